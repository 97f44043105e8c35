"""What an incident keeps of its cause, built from a verdict and the replies behind it; the types are in ``kept``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from driftwatch.alert.kept import (
    Affected,
    BaselineRef,
    CanaryShift,
    Change,
    ChannelShift,
    EffectSize,
    IncidentEvidence,
    KindOfChange,
    NextStep,
    Pair,
)
from driftwatch.alert.text import count, uncapped, when
from driftwatch.alert.whose import Attribution, Reason, Whose
from driftwatch.domain import LASTING, Baseline, CanaryEvidence, Completion, Json, Kind, Target, Verdict

__all__ = [
    "Affected",
    "Attribution",
    "BaselineRef",
    "CanaryShift",
    "Change",
    "ChannelShift",
    "EffectSize",
    "IncidentEvidence",
    "KindOfChange",
    "NextStep",
    "Pair",
    "Reason",
    "Whose",
    "also",
    "build",
    "headline",
    "lasting",
    "told",
    "trend",
]

CANARIES_KEPT = 10
"""How many canaries an incident names; the report computes the rest from the store."""


def build(
    kind: Kind,
    *,
    target: Target,
    verdict: Verdict,
    baseline: Baseline | None = None,
    alarm_budget: str = "",
    kind_of_change: Sequence[KindOfChange] = (),
    changes: Sequence[str] = (),
    effects: Sequence[EffectSize] = (),
    pair: Pair | None = None,
    served_model: Change | None = None,
    fingerprint: Change | None = None,
    failures: Sequence[Completion] = (),
    failing_since: datetime | None = None,
    attribution: Attribution | None = None,
) -> dict[str, Json]:
    """What an incident of ``kind`` stores, should it open on this verdict.

    Args:
        kind: of the incident.
        target: under watch.
        verdict: of the run just judged; its channels of ``kind`` are kept.
        baseline: the one judged against.
        alarm_budget: the operator's setting in words.
        kind_of_change: what ``score.explain`` found, the headline first.
        changes: sentences on the material differences.
        effects: their figures.
        pair: medoid anchor and medoid reply since the onset of the canary that moved most.
        served_model: only when it changed.
        fingerprint: only when it changed.
        failures: availability: the failed completions of the failing runs, oldest first.
        failing_since: availability: scheduled_at of the first failing run.
        attribution: whose it is, as far as is known.
    """
    found = verdict.kind(kind)
    performance = verdict.kind(Kind.PERFORMANCE)
    measured = sorted((c for c in verdict.channels if c.kind is kind), key=lambda c: -c.share)
    channels = tuple(
        ChannelShift(
            name=c.channel,
            share=c.share,
            calibration_mean=c.calibration_mean,
            since_onset_mean=c.since_onset_mean,
            calibration_high=c.calibration_high,
        )
        for c in measured
    )
    canaries = [(c.channel, canary) for c in measured for canary in c.canaries]
    canaries.sort(key=lambda item: -item[1].evidence)
    outcomes: dict[str, int] = {}
    for failure in failures:
        outcomes[failure.outcome.value] = outcomes.get(failure.outcome.value, 0) + 1
    onset_at = (found.onset_at or found.alarm_at) if found else None
    n_since = found.runs_since_onset if found else None
    began_at = failing_since or onset_at or verdict.at
    return IncidentEvidence(
        headline=headline(
            kind, target.name, onset_at=began_at, n_runs=n_since, channels=channels, reason=lasting(outcomes)
        ),
        kind_of_change=tuple(kind_of_change),
        changes=tuple(changes),
        effects=tuple(effects),
        affected=_affected_of(canaries, len(target.canaries)) if found else None,
        onset_at=onset_at,
        alarm_at=found.alarm_at if found else None,
        runs_since_onset=n_since,
        evidence=found.evidence if found else None,
        threshold=found.threshold if found else None,
        alarm_budget=alarm_budget,
        channels=channels,
        canaries=tuple(
            CanaryShift(
                id=canary.canary_id,
                channel=channel,
                before_mean=canary.calibration_mean,
                after_mean=canary.since_onset_mean,
                is_affected=canary.is_affected,
            )
            for channel, canary in canaries[:CANARIES_KEPT]
        ),
        pair=pair,
        served_model=served_model,
        fingerprint=fingerprint,
        performance_also=kind is Kind.BEHAVIOUR and performance is not None and performance.is_drifted,
        owner=target.owner,
        feature=target.feature,
        baseline=BaselineRef(id=baseline.id, author=baseline.author, at=baseline.created_at) if baseline else None,
        model=target.model,
        provider=target.provider,
        outcomes=outcomes,
        last_error=next((f.error for f in reversed(failures) if f.error), None),
        failing_since=failing_since,
        attribution=attribution,
    ).to_json()


def told(evidence: IncidentEvidence) -> str | None:
    """The kind of change as one sentence without a full stop, with how many canaries and since when; None without one.

    >>> from datetime import UTC, datetime
    >>> told(IncidentEvidence(
    ...     kind_of_change=(KindOfChange(kind="shorter", text="Replies got 41 % shorter"),),
    ...     affected=Affected(n=12, of=14),
    ...     onset_at=datetime(2026, 3, 16, 9, tzinfo=UTC),
    ...     runs_since_onset=6,
    ... ))
    'Replies got 41 % shorter on 12 of 14 canaries since Mon 16 Mar 09:00 UTC (6 runs until the alarm)'
    """
    if not evidence.kind_of_change:
        return None
    first, affected = evidence.kind_of_change[0], evidence.affected
    n = first.n_canaries if affected is None or first.n_canaries is not None else affected.n
    where = f" on {n} of {count(affected.of, 'canary')}" if affected and n else ""
    since = f" since {when(evidence.onset_at)}" if evidence.onset_at else ""
    return f"{first.text}{where}{since}{_until_the_alarm(evidence.runs_since_onset)}"


def also(evidence: IncidentEvidence, changes: Sequence[str]) -> list[str]:
    """Further kinds of change, as they go on after a colon, that ``changes`` do not tell already by their figures.

    Args:
        evidence: of the incident.
        changes: sentences on what changed that stand below.

    >>> json = KindOfChange(kind="JSON broken", text="JSON replies are broken (98 % → 61 % parse)")
    >>> evidence = IncidentEvidence(kind_of_change=(KindOfChange(kind="longer", text="Replies got longer"), json))
    >>> also(evidence, ["checks failing: 8 % → 61 % (+53 points [40, 66])"])
    ['JSON replies are broken (98 % → 61 % parse)']
    >>> also(evidence, ["replies that parse as JSON: 98 % → 61 % (−37 points [−45, −29])"])
    []
    """
    said = {figure for change in changes for figure in _FIGURES.findall(change)}
    others = evidence.kind_of_change[1:]
    return [uncapped(other.text) for other in others if said.isdisjoint(_FIGURES.findall(f"{other.text} {other.why}"))]


def headline(
    kind: Kind,
    target: str,
    *,
    onset_at: datetime,
    n_runs: int | None,
    channels: Sequence[ChannelShift] = (),
    reason: str | None = None,
) -> str:
    """The one sentence that opens every message about an incident; ``reason``, where one is known, ends it.

    >>> from datetime import UTC, datetime
    >>> headline(Kind.BEHAVIOUR, "support-bot", onset_at=datetime(2026, 3, 16, 9, tzinfo=UTC), n_runs=6)
    'support-bot behaves differently since Mon 16 Mar 09:00 UTC (6 runs until the alarm)'
    """
    verb = {
        Kind.BEHAVIOUR: "behaves differently",
        Kind.PERFORMANCE: _PERFORMANCE_VERBS[trend(channels)],
        Kind.AVAILABILITY: "cannot be measured",
        Kind.TRIPWIRE: "reports other metadata",
        Kind.WATCH_ITSELF: "is not watched",
    }[kind]
    because = f": {reason}" if reason else ""
    return f"{target} {verb} since {when(onset_at)}{_until_the_alarm(n_runs)}{because}"


def lasting(outcomes: Mapping[str, int]) -> str | None:
    """Why most requests fail, in words, where asking again does not change it; None where it may pass by itself.

    Args:
        outcomes: of the failed requests, with how many.

    >>> lasting({"model_gone": 40, "timeout": 2}), lasting({"timeout": 2})
    ('the model is gone', None)
    """
    most = max(outcomes, key=lambda outcome: outcomes[outcome], default="")
    if 2 * outcomes.get(most, 0) <= sum(outcomes.values()):
        return None
    return next((words for outcome, words in LASTING.items() if outcome.value == most), None)


def trend(channels: Sequence[ChannelShift]) -> str:
    """Which way performance moved, from the strongest channel; scores of latency and tokens grow with them.

    Returns:
        ``slower``, ``faster``, ``longer``, ``shorter``, or ``different`` when the channels do not say.
    """
    strongest = channels[0] if channels else None
    if strongest is None or strongest.calibration_mean is None or strongest.since_onset_mean is None:
        return "different"
    grew, shrank = _TRENDS.get(strongest.name, ("different", "different"))
    return grew if strongest.since_onset_mean > strongest.calibration_mean else shrank


def _until_the_alarm(n_runs: int | None) -> str:
    """The figure is kept as it was at the alarm, and is read for as long as the incident is open."""
    return f" ({count(n_runs, 'run')} until the alarm)" if n_runs else ""


def _affected_of(canaries: Sequence[tuple[str, CanaryEvidence]], n: int) -> Affected | None:
    """Canaries that stand out in any channel, strongest first."""
    names = list(dict.fromkeys(canary.canary_id for _, canary in canaries if canary.is_affected))
    of = max(n, len(names))
    return Affected(n=len(names), of=of, names=tuple(names[:CANARIES_KEPT])) if of else None


_FIGURES = re.compile(r"\d[\d.,]*(?: %)? → \d[\d.,]*(?: %)?")
"""``8 % → 21 %`` or ``31 → 66``, as ``score.explain`` writes them."""
_TRENDS = {"latency": ("slower", "faster"), "ttft": ("slower", "faster"), "tokens": ("longer", "shorter")}
_PERFORMANCE_VERBS = {
    "slower": "answers more slowly",
    "faster": "answers faster",
    "longer": "answers at greater length",
    "shorter": "answers more briefly",
    "different": "answers at a different speed or length",
}
