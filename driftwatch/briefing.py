"""What a person is told when an incident opens: gathered from stored completions, so that it can be followed back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from driftwatch import lifecycle
from driftwatch.alert.evidence import Change, EffectSize, KindOfChange, Pair, build
from driftwatch.domain import (
    Baseline,
    ChannelEvidence,
    Completion,
    Json,
    Kind,
    KindEvidence,
    Purpose,
    Run,
    Target,
    Verdict,
)
from driftwatch.score import Explanation, explain, medoid
from driftwatch.store import Store
from driftwatch.usage import is_stopped

MAX_RUNS_COMPARED = 40
"""Completions of at most this many runs since the onset are read: enough for stable shares, cheap to load."""


def brief(
    store: Store,
    *,
    target: Target,
    baseline: Baseline,
    verdict: Verdict,
    kinds: Collection[Kind],
    failing: Sequence[Run],
) -> dict[Kind, Mapping[str, Json]]:
    """The evidence of the incidents that a verdict opens.

    Args:
        store: read only.
        target: the target the verdict is about.
        baseline: what it was compared to.
        verdict: the run's verdict.
        kinds: of the incidents that open.
        failing: the latest runs in a row that could not be judged, oldest first.
    """
    result: dict[Kind, Mapping[str, Json]] = {
        found.kind: _drift(store, target, baseline, verdict, found) for found in verdict.kinds if found.kind in kinds
    }
    if Kind.AVAILABILITY in kinds:
        result[Kind.AVAILABILITY] = _availability(store, target, baseline, verdict, failing)
    return result


def completions_since(store: Store, baseline: Baseline, kind: KindEvidence) -> list[Completion]:
    """Good completions of the runs since the onset of a drift, oldest first: watched ones, else calibration's."""
    rows = [row for row in store.series(baseline.id) if kind.onset_at is not None and row.scheduled_at >= kind.onset_at]
    watched = [row for row in rows if row.purpose is Purpose.WATCH]
    # A provisional alarm has none yet.
    run_ids = [row.run_id for row in watched or rows][:MAX_RUNS_COMPARED]
    stored = store.completions(run_ids)
    return [completion for run_id in run_ids for completion in stored.get(run_id, ()) if completion.is_ok]


def _drift(
    store: Store, target: Target, baseline: Baseline, verdict: Verdict, kind: KindEvidence
) -> Mapping[str, Json]:
    before = [completion for accepted in store.anchors(baseline.id).values() for completion in accepted]
    after = completions_since(store, baseline, kind)
    channels = sorted((c for c in verdict.channels if c.kind is kind.kind), key=lambda c: -c.share)
    found = explain(before, after, target.canaries, about=kind.kind, seed=int(baseline.series_key, 16) % 2**32)
    return build(
        kind.kind,
        target=target,
        verdict=verdict,
        baseline=baseline,
        alarm_budget=target.alarm_budget,
        kind_of_change=[
            KindOfChange(kind=c.kind.value, text=c.text, why=c.why, n_canaries=c.n_canaries) for c in found.changes
        ],
        changes=[effect.text for effect in found.effects],
        effects=_figures(found),
        pair=_pair(target, channels, before, found.far or after),
        served_model=_told(before, after, lambda completion: completion.served_model),
        fingerprint=_told(before, after, lambda completion: completion.fingerprint),
    )


def _figures(found: Explanation) -> list[EffectSize]:
    return [
        EffectSize(
            name=effect.name,
            unit=effect.unit,
            before=effect.before,
            after=effect.after,
            change=effect.change,
            low=effect.low,
            high=effect.high,
        )
        for effect in found.effects
    ]


def _pair(
    target: Target, channels: Sequence[ChannelEvidence], before: Sequence[Completion], after: Sequence[Completion]
) -> Pair | None:
    """Typical reply before and since, of the canary that moved most and whose typical reply is another.

    Where only some replies changed, ``after`` holds these: the typical one of all would be as before.
    """
    ranked = [evidence.canary_id for channel in channels for evidence in channel.canaries]
    prompts = {canary.id: canary.messages[-1].content for canary in target.canaries}
    for canary_id in dict.fromkeys([*ranked, *prompts]):
        old = [completion for completion in before if completion.canary_id == canary_id]
        new = [completion for completion in after if completion.canary_id == canary_id]
        if not (old and new and canary_id in prompts):
            continue
        was, has_become = medoid(old), medoid(new)
        if shown(was) != shown(has_become):
            return Pair(
                canary_id=canary_id,
                prompt=prompts[canary_id],
                before=shown(was),
                after=shown(has_become),
                before_completion_id=was.id,
                after_completion_id=has_become.id,
            )
    return None


def shown(completion: Completion) -> str:
    """A reply as a person reads it: its text, then its tool calls."""
    calls = [f"{call.name}({call.arguments})" for call in completion.tool_calls]
    return "\n".join(part for part in (completion.text, *calls) if part)


def _told(
    before: Sequence[Completion], after: Sequence[Completion], read: Callable[[Completion], str | None]
) -> Change | None:
    """A value that the endpoint tells of itself, when it tells another or none any more.

    One of several values that is merely missing is chance: endpoints rotate through them, and replies are few.
    """
    was, has_become = ({value for c in side if (value := read(c)) is not None} for side in (before, after))
    is_silent = bool(was and after) and not has_become
    if not has_become - was and not is_silent:
        return None
    return Change(before=", ".join(sorted(was)) or None, after=", ".join(sorted(has_become)) or None)


def _availability(
    store: Store, target: Target, baseline: Baseline, verdict: Verdict, failing: Sequence[Run]
) -> Mapping[str, Json]:
    stored = store.completions([run.id for run in failing])
    completions = [completion for run in failing for completion in stored.get(run.id, ())]
    # However far ahead it was announced.
    announced = lifecycle.ending(
        store.lookup(target.name), model=target.model, at=verdict.at, notice_days=lifecycle.ANY_DAYS
    )
    return build(
        Kind.AVAILABILITY,
        target=target,
        verdict=verdict,
        baseline=baseline,
        changes=[f"The endpoint {announced}."] if announced else (),
        failures=[c for c in completions if not c.is_ok and not is_stopped(c)],
        failing_since=failing[0].scheduled_at,
    )
