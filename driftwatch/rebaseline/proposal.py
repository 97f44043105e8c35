"""What would be accepted: read from the runs since a change began and measured, and nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from driftwatch.creep import Creep, creep
from driftwatch.domain import (
    Baseline,
    Completion,
    Incident,
    Kind,
    Purpose,
    Score,
    SeriesRow,
    Target,
    content_hash,
)
from driftwatch.errors import BaselineMissing, UsageError
from driftwatch.score import CHANNELS, SCORING_VERSION, Embedder, Reference, combine, score
from driftwatch.store import Store

MINIMUM_RUNS = 20
"""Calibration runs below which nothing statistical may alarm. Source: docs/detection.md."""

MINIMUM_FOR_CANARIES = 10
"""Runs beside the anchors' that accepting single canaries needs: their scores are drawn from so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A baseline that a person could accept now."""

    target: Target
    current: Baseline
    """What would be replaced."""
    measured: Baseline
    """What the runs since the change were measured against; ``current`` unless that has no run yet."""
    since: datetime | None
    """When the accepted behaviour began; None where nothing stored is accepted."""
    canary_ids: tuple[str, ...] = ()
    """Whose new behaviour is accepted; empty: the whole target's."""
    incidents: tuple[Incident, ...] = ()
    """Open ones that it would resolve."""
    rows: tuple[SeriesRow, ...] = ()
    """The runs since then whose replies are kept, oldest first, with their scores against ``measured``."""
    replies: Mapping[int, Sequence[Completion]]
    """Run id → its good replies."""
    anchors: Mapping[str, Sequence[Completion]]
    """Canary id → the replies that later ones would be compared to."""
    n_anchor_runs: int = 0
    """The first of ``rows``, which give the anchors."""
    fresh: Mapping[int, tuple[Score, ...]]
    """The others → their scores against the new anchors."""
    calibration: Mapping[int, tuple[Score, ...]]
    """Run id → scores of the calibration runs there would be."""
    calibration_wanted: int
    creep: Creep | None = None
    """How far it is from the first behaviour that was ever accepted; None when nothing was before."""

    @property
    def missing_runs(self) -> int:
        """Calibration runs that would still be to be collected, 0 when the watch would be armed at once."""
        return max(0, self.calibration_wanted - len(self.calibration))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Ids of canaries with too few anchors to be watched, once no more anchors are collected."""
        few = (c for c in self.target.canaries if len(self.anchors.get(c.id, ())) < self.current.least_anchors(c))
        return tuple(canary.id for canary in few) if self.calibration else ()


def propose(
    store: Store,
    target: Target,
    embedder: Embedder | None,
    *,
    canary_ids: Sequence[str] = (),
    since: datetime | None = None,
    collect: bool = False,
) -> Proposal:
    """Work out what an acceptance would make the new baseline.

    The earliest runs since then become anchors, the later ones calibration runs: the two share no completion.

    Args:
        store: read only.
        target: the target.
        embedder: the one the target's scores are made with.
        canary_ids: accept only these canaries' new behaviour; all when empty, and when all are named.
        since: when the accepted behaviour began; the open incident's onset when None.
        collect: accept what the next runs will bring, nothing stored.

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
    standing = incidents_of(store, target.name)
    if collect:
        return Proposal(
            target=target,
            current=current,
            measured=measured,
            since=None,
            incidents=standing,
            replies={},
            anchors={},
            fresh={},
            calibration={},
            calibration_wanted=max(MINIMUM_RUNS, target.calibration_wanted),
        )
    if {canary.id for canary in target.canaries} <= set(canary_ids):
        canary_ids = ()
    begun = since or _onset(standing, target, measured)
    rows = [row for row in store.series(measured.id) if row.scheduled_at >= begun]
    if canary_ids:
        rows = [row for row in rows if row.purpose is Purpose.WATCH]
    stored = _replies(store, rows)
    rows = [row for row in rows if row.run_id in stored]
    if not rows:
        raise UsageError(
            f"{target.name}: no run since {begun:%Y-%m-%d %H:%M} UTC has been measured and kept; wait for one, "
            f"or begin anew with the next runs: `driftwatch rebaseline {target.name} --collect --reason …`"
        )
    anchors, used = _new_anchors(target, [stored[row.run_id] for row in rows], current)
    rest = rows[used:]
    if canary_ids:
        _require_enough(target, canary_ids, anchors, current, n_rest=len(rest), n_rows=len(rows))
        kept = store.anchors(measured.id)
        anchors = {c.id: anchors[c.id] if c.id in canary_ids else kept.get(c.id, []) for c in target.canaries}
    reference = _reference(target, anchors, current, embedder)
    fresh = {row.run_id: score(reference, stored[row.run_id]) for row in rest}
    calibration, wanted = fresh, min(measured.calibration_wanted, max(MINIMUM_RUNS, len(rest)))
    if canary_ids:
        calibration = _draw(store, reference, measured, fresh=list(fresh.values()), canary_ids=canary_ids)
        wanted = len(calibration)
    return Proposal(
        target=target,
        current=current,
        measured=measured,
        since=begun,
        canary_ids=tuple(canary_ids),
        incidents=standing,
        rows=tuple(rows),
        replies=stored,
        anchors=anchors,
        n_anchor_runs=used,
        fresh=fresh,
        calibration=calibration,
        calibration_wanted=wanted,
        creep=creep(store, target, embedder, series_key=current.series_key, anchors=anchors),
    )


def incidents_of(store: Store, target: str) -> tuple[Incident, ...]:
    """The open incidents of a target that are about what a baseline says, newest first; an outage is not."""
    found = store.incidents(target=target, open_only=True)
    return tuple(incident for incident in found if incident.kind not in {Kind.AVAILABILITY, Kind.WATCH_ITSELF})


def series_key(target: Target, embedder: Embedder | None) -> str:
    """What makes two scores of a target comparable: who is asked what, how it is measured, by which embedder."""
    revision = embedder.revision if embedder else None
    return content_hash([target.definition_hash, target.suite_hash, SCORING_VERSION, sorted(CHANNELS), revision])


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


def _onset(standing: Sequence[Incident], target: Target, measured: Baseline) -> datetime:
    found = [incident for incident in standing if incident.baseline_id == measured.id]
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
