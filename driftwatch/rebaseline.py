"""Accepting new behaviour: a person's decision, made from what was stored since the change began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from driftwatch.alert import incidents
from driftwatch.creep import Creep, creep
from driftwatch.domain import Baseline, Completion, Incident, Kind, Purpose, Score, SeriesRow, Target, content_hash
from driftwatch.errors import BaselineMissing, UsageError
from driftwatch.score import CHANNELS, SCORING_VERSION, Embedder, Reference, combine, score
from driftwatch.store import Store

MINIMUM_RUNS = 20
"""Calibration runs below which nothing statistical may alarm. Source: docs/detection.md."""

MINIMUM_FOR_CANARIES = 10
"""Runs beside the anchors' that accepting single canaries needs: their scores are drawn from so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What was accepted, and what is still missing before the watch is armed again."""

    baseline: Baseline
    resolved: tuple[Incident, ...]
    n_anchor_runs: int
    n_calibration: int
    creep: Creep | None
    """How far the accepted behaviour is from the first that was ever accepted; None when nothing was before."""

    @property
    def missing_runs(self) -> int:
        """Calibration runs still to be collected, 0 when the watch is armed."""
        return max(0, self.baseline.calibration_wanted - self.n_calibration)


def accept(
    store: Store,
    target: Target,
    embedder: Embedder | None,
    *,
    canary_ids: Sequence[str],
    since: datetime | None,
    author: str,
    reason: str,
    at: datetime,
) -> Acceptance:
    """Make what was served since a change began the new baseline.

    The earliest runs since then become anchors, the later ones calibration runs: the two share no completion.

    Args:
        store: read and measured from first, then written in a few short transactions. A crash between them leaves a
            baseline that collects what is missing; accepting again starts from the same runs.
        target: the target.
        embedder: the one the target's scores are made with.
        canary_ids: accept only these canaries' new behaviour; all when empty.
        since: when the accepted behaviour began; the open incident's onset when None.
        author: who accepts.
        reason: why.
        at: when.

    Raises:
        BaselineMissing: the target has no baseline that could be replaced.
        UsageError: nothing tells since when, too little has been stored since, or the target asks something else now.
    """
    current = store.current_baseline(target.name)
    if current is None:
        raise BaselineMissing(f"{target.name} has no baseline yet; run `driftwatch baseline {target.name}` first")
    if current.series_key != series_key(target, embedder):
        raise UsageError(
            f"{target.name}: the target, its canaries or the embedder were changed since the last run, so there is no "
            "behaviour to accept; the next run begins a new baseline by itself"
        )
    measured = _measured(store, current)
    begun = since or _onset(store, target, measured)
    rows = [row for row in store.series(measured.id) if row.scheduled_at >= begun]
    if canary_ids:
        rows = [row for row in rows if row.purpose is Purpose.WATCH]
    stored = _replies(store, rows)
    rows = [row for row in rows if row.run_id in stored]
    if not rows:
        raise UsageError(
            f"{target.name}: no run since {begun:%Y-%m-%d %H:%M} UTC has been measured and kept; wait for one"
        )
    anchors, used = _new_anchors(target, [stored[row.run_id] for row in rows], current)
    rest = rows[used:]
    if canary_ids:
        _require_enough(target, canary_ids, anchors, current, n_rest=len(rest), n_rows=len(rows))
        kept = store.anchors(measured.id)
        anchors = {c.id: anchors[c.id] if c.id in canary_ids else kept.get(c.id, []) for c in target.canaries}
    reference = _reference(target, anchors, current, embedder)
    by_run = {row.run_id: score(reference, stored[row.run_id]) for row in rest}
    wanted = min(measured.calibration_wanted, max(MINIMUM_RUNS, len(rest)))
    if canary_ids:
        by_run = _draw(store, reference, measured, fresh=list(by_run.values()), canary_ids=canary_ids)
        wanted = len(by_run)
    crept = creep(store, target, embedder, series_key=current.series_key, anchors=anchors)
    created = store.start_baseline(
        target=target.name,
        series_key=current.series_key,
        author=author,
        reason=reason,
        at=at,
        anchors_wanted=current.anchors_wanted,
        calibration_wanted=wanted,
        parent_id=measured.id,
    )
    store.accept_anchors(created.id, [c.id for accepted in anchors.values() for c in accepted if c.id is not None])
    store.record_scores(created.id, by_run)
    store.set_members(created.id, list(by_run), Purpose.CALIBRATION)
    if len(by_run) >= wanted:
        store.activate_baseline(created.id, at=at)
    steps = incidents.superseded(
        store.incidents(target=target.name, open_only=True),
        baseline=created,
        author=author,
        reason=_with_creep(reason, crept),
        at=at,
        receivers=target.receivers,
    )
    resolved = store.commit_judgement(None, steps, at=at)
    return Acceptance(
        baseline=store.current_baseline(target.name) or created,
        resolved=tuple(resolved),
        n_anchor_runs=used,
        n_calibration=len(by_run),
        creep=crept,
    )


def undo(store: Store, target: Target, *, author: str, reason: str, at: datetime) -> Baseline:
    """Put the baseline back that the current one replaced; what was found against the current one is closed.

    Drift that stands against the restored baseline opens an incident again with the next run.

    Raises:
        UsageError: there is none, or it belongs to another question.
    """
    current = store.current_baseline(target.name)
    if current is None or current.parent_id is None:
        raise UsageError(f"{target.name}: the current baseline replaced none, so there is nothing to undo")
    parent = next(baseline for baseline in store.baselines(target.name) if baseline.id == current.parent_id)
    if parent.series_key != current.series_key:
        raise UsageError(
            f"{target.name}: the baseline before this one was made when the target or its canaries were others; "
            "configure them as they were, and it comes back by itself"
        )
    restored = store.restore_baseline(parent.id, author=author, reason=reason, at=at)
    steps = [
        incidents.resolve(
            incident,
            author=author,
            reason=f"baseline {current.id}, which it was found against, was taken back: {reason}",
            at=at,
            receivers=target.receivers,
        )
        for incident in store.incidents(target=target.name, open_only=True)
        if incident.baseline_id == current.id and incident.kind is not Kind.AVAILABILITY
    ]
    store.commit_judgement(None, steps, at=at)
    return restored


def series_key(target: Target, embedder: Embedder | None) -> str:
    """What makes two scores of a target comparable: who is asked what, how it is measured, by which embedder."""
    revision = embedder.revision if embedder else None
    return content_hash([target.definition_hash, target.suite_hash, SCORING_VERSION, sorted(CHANNELS), revision])


def _with_creep(reason: str, crept: Creep | None) -> str:
    """Receivers hear when many acceptances have added up; after a single one the incident has told them itself."""
    is_news = crept is not None and crept.n_between and any(channel.is_far for channel in crept.channels)
    return f"{reason.rstrip('.')}; {crept.in_words()}" if crept is not None and is_news else reason


def _measured(store: Store, current: Baseline) -> Baseline:
    """The current baseline, or the one it replaced while nothing has been measured against it.

    The latter is what an acceptance that was cut short leaves behind.
    """
    by_id = {baseline.id: baseline for baseline in store.baselines(current.target)}
    while not store.series(current.id):
        parent = by_id.get(current.parent_id or 0)
        if parent is None or parent.series_key != current.series_key:
            break
        current = parent
    return current


def _onset(store: Store, target: Target, measured: Baseline) -> datetime:
    found = [
        incident
        for incident in store.incidents(target=target.name, open_only=True)
        if incident.kind is not Kind.AVAILABILITY and incident.baseline_id == measured.id
    ]
    if not found:
        raise UsageError(
            f"{target.name} has no open incident that says since when it has changed; write --since 2026-03-16T09:00Z"
        )
    return min(incident.onset_at for incident in found)


def _replies(store: Store, rows: Sequence[SeriesRow]) -> dict[int, list[Completion]]:
    """Run id → its replies, of the runs that have any; those of old runs are deleted in time."""
    stored = store.completions([row.run_id for row in rows])
    replies = {run_id: [c for c in completions if c.is_ok] for run_id, completions in stored.items()}
    return {run_id: those for run_id, those in replies.items() if those}


def _new_anchors(
    target: Target, runs: Sequence[Sequence[Completion]], baseline: Baseline
) -> tuple[dict[str, list[Completion]], int]:
    """The earliest replies of every canary, and from how many runs they are taken.

    A canary that has answered fewer times than are wanted does not use up the runs that the others leave for
    calibration, unless none has answered often enough.
    """
    wanted = {canary.id: baseline.anchors_for(canary) for canary in target.canaries}
    anchors: dict[str, list[Completion]] = {canary_id: [] for canary_id in wanted}
    given = Counter(completion.canary_id for replies in runs for completion in replies)
    enough = [canary_id for canary_id, n in wanted.items() if given[canary_id] >= n] or list(anchors)
    used = 0
    for replies in runs:
        if all(len(anchors[canary_id]) >= wanted[canary_id] for canary_id in enough):
            break
        used += 1
        for completion in replies:
            if len(anchors[completion.canary_id]) < wanted[completion.canary_id]:
                anchors[completion.canary_id].append(completion)
    return anchors, used


def _require_enough(
    target: Target,
    canary_ids: Sequence[str],
    anchors: Mapping[str, Sequence[Completion]],
    baseline: Baseline,
    *,
    n_rest: int,
    n_rows: int,
) -> None:
    wanted = {canary.id: baseline.anchors_for(canary) for canary in target.canaries}
    for canary_id in canary_ids:
        n, n_wanted = len(anchors[canary_id]), wanted[canary_id]
        if n < n_wanted and n_rest:
            raise UsageError(
                f"{target.name}: {canary_id} has {n} replies since the change, and {n_wanted} make a baseline; "
                "wait for them, or leave the canary out"
            )
    missing = MINIMUM_FOR_CANARIES - n_rest
    if missing > 0:
        raise UsageError(
            f"{target.name}: {n_rows} runs have been stored since the change, {missing} too few to accept "
            "single canaries; wait for them, or accept the whole target by naming no canary"
        )


def _reference(
    target: Target, anchors: Mapping[str, Sequence[Completion]], baseline: Baseline, embedder: Embedder | None
) -> Reference:
    """As the pipeline will prepare the same anchors: without the canaries that have too few."""
    watched = tuple(c for c in target.canaries if len(anchors[c.id]) >= baseline.least_anchors(c))
    return Reference.from_anchors(replace(target, canaries=watched or target.canaries), anchors, embedder)


def _draw(
    store: Store,
    reference: Reference,
    measured: Baseline,
    *,
    fresh: Sequence[Sequence[Score]],
    canary_ids: Sequence[str],
) -> dict[int, tuple[Score, ...]]:
    """Keep the old calibration and draw the accepted canaries' part of it from the runs since the change.

    The other canaries may still be drifted, so their runs since the change must not become normal; their old
    calibration scores stand. An accepted canary's score is drawn, seeded, from its scores since the change.
    """
    by_channel = [{score.channel: score for score in scores} for scores in fresh]
    old = [row for row in store.series(measured.id) if row.purpose is Purpose.CALIBRATION]
    rng = np.random.default_rng(int(measured.series_key, 16))
    draws = rng.integers(len(by_channel), size=len(old))
    kept = {name: store.canary_values(measured.id, name, [row.run_id for row in old]) for name in CHANNELS}
    by_run: dict[int, tuple[Score, ...]] = {}
    for row, draw in zip(old, draws, strict=True):
        scores = []
        for name in CHANNELS:
            values = dict(kept[name].get(row.run_id, {}))
            drawn = by_channel[draw].get(name)
            for canary_id in canary_ids:
                values.pop(canary_id, None)
                if drawn is not None and canary_id in drawn.by_canary:
                    values[canary_id] = drawn.by_canary[canary_id]
            if values:
                scores.append(Score(channel=name, value=combine(reference, name, values), by_canary=values))
        by_run[row.run_id] = tuple(scores)
    return by_run
