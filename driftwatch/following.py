"""Following a series run by run: what a daemon has judged once it does not read or judge again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from driftwatch.detect import Finding, Watcher, finding_of, watchers
from driftwatch.domain import Baseline, Kind, Purpose, Run, SeriesRow, Target
from driftwatch.judgement import Seen, Usual, columns_of, parts, see, specs, times_of, usual_of
from driftwatch.store import Store


@dataclass(slots=True, kw_only=True)
class _Followed:
    """A series as far as it has been judged."""

    baseline_id: int
    threshold: float
    watchers: dict[Kind, Watcher]
    usual: dict[str, Usual]
    n_calibration: int
    n_rows: int = 0
    """Runs in the series up to ``until``, calibration runs included."""
    until: datetime | None = None
    n_watched: int = 0
    latest: SeriesRow | None = None
    findings: dict[Kind, Finding] = field(default_factory=dict)


class Follower:
    """Keeps a watcher per target, so that one more run costs the same after an hour and after years.

    What it says is what judging the whole series says: the series is followed from the start when it is not the one
    that was followed before (another baseline or threshold, a run added or taken out in between, a restart). A
    run that is judged late, after later ones, is judged from the store and changes nothing here.

    Args:
        store: read only.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, _Followed] = {}

    def see(self, target: Target, baseline: Baseline, run: Run) -> Seen:
        """What is known of a target's series after a run.

        Args:
            target: what is watched.
            baseline: what it is compared to, active.
            run: stored with its scores.
        """
        known = self._continued(target, baseline)
        # Whatever breaks off below leaves nothing half followed behind.
        self._known.pop(target.name, None)
        fresh = self._store.series(baseline.id, after=known.until) if known else []
        if known is None:
            rows = self._store.series(baseline.id)
            if any(row.scheduled_at > run.scheduled_at and row.purpose is Purpose.WATCH for row in rows):
                return see(target, baseline, *parts(rows, run))
            known, fresh = self._begun(target, baseline, rows), rows
        elif max([row.scheduled_at for row in fresh], default=known.until or run.scheduled_at) > run.scheduled_at:
            return see(target, baseline, *parts(self._store.series(baseline.id), run))
        self._extend(known, fresh)
        self._known[target.name] = known
        return Seen(
            findings=dict(known.findings),
            usual=known.usual,
            n_calibration=known.n_calibration,
            n_watched=known.n_watched,
            latest=known.latest,
            rows=lambda: parts(self._store.series(baseline.id), run),
        )

    def _continued(self, target: Target, baseline: Baseline) -> _Followed | None:
        known = self._known.get(target.name)
        if known is None or known.baseline_id != baseline.id or known.threshold != target.threshold:
            return None
        is_same = known.until is None or self._store.series_length(baseline.id, until=known.until) == known.n_rows
        return known if is_same else None

    def _begun(self, target: Target, baseline: Baseline, rows: list[SeriesRow]) -> _Followed:
        calibration = [row for row in rows if row.purpose is Purpose.CALIBRATION]
        return _Followed(
            baseline_id=baseline.id,
            threshold=target.threshold,
            watchers=watchers(
                columns_of(calibration),
                specs(),
                threshold=target.threshold,
                seed=int(baseline.series_key, 16),
                calibrated_at=times_of(calibration),
            ),
            usual=usual_of(calibration),
            n_calibration=len(calibration),
        )

    @staticmethod
    def _extend(known: _Followed, fresh: list[SeriesRow]) -> None:
        watched = [row for row in fresh if row.purpose is Purpose.WATCH]
        columns, at = columns_of(watched), times_of(watched)
        for kind, watcher in known.watchers.items():
            evidence = watcher.extend(columns, at)
            before = known.findings[kind].evidence if kind in known.findings else np.zeros(0)
            # Only the latest value is told; the whole of it is in the store.
            known.findings[kind] = finding_of(watcher, evidence[-1:] if len(evidence) else before)
        if fresh:
            known.n_rows += len(fresh)
            known.until = fresh[-1].scheduled_at
        if watched:
            known.n_watched += len(watched)
            known.latest = watched[-1]
