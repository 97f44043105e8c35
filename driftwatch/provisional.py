"""Protection while calibrating: the later calibration runs judged in the light of the first twenty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from driftwatch.detect import Finding
from driftwatch.detect.finding import MINIMUM_CALIBRATION
from driftwatch.domain import Baseline, Kind, Purpose, Run, SeriesRow, State, Target, Verdict
from driftwatch.judgement import MAX_FAILURE_SHARE, Seen, examine, usual_of, weigh
from driftwatch.store import Store

PROVISIONAL = MINIMUM_CALIBRATION
"""Calibration runs that the later ones are judged against while a baseline is being collected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a baseline that is being collected has so far."""

    counted: tuple[SeriesRow, ...]
    """The calibration runs that show one behaviour."""
    left_out: tuple[SeriesRow, ...]
    """Those of times at which the endpoint was another: between the onset of an alarm and its end."""
    first: tuple[SeriesRow, ...]
    """At most PROVISIONAL."""
    later: tuple[SeriesRow, ...]
    """The others, which are judged against the first."""
    findings: Mapping[Kind, Finding]
    """What that shows, of the kinds that can be judged; empty while there are no later ones."""

    @property
    def is_away(self) -> bool:
        """Whether the endpoint is at present not what it was in the first runs."""
        return any(finding.is_drifted for finding in self.findings.values())


def calibration(store: Store, target: Target, baseline: Baseline) -> Calibration:
    """Look at the calibration runs of a baseline that is being collected, the later ones in the light of the first.

    A change in the week of calibration would otherwise become part of the normal. The threshold is that of the
    watch: ranks among 20 runs are as exact as among 168, they only need more runs to say the same.
    """
    rows = [row for row in store.series(baseline.id) if row.purpose is Purpose.CALIBRATION]
    first, later = rows[:PROVISIONAL], rows[PROVISIONAL:]
    found = examine(target, baseline, first, later) if later else {}
    findings = {kind: finding for kind, finding in found.items() if finding.problem is None}
    away = {
        row.run_id
        for finding in findings.values()
        for episode in finding.episodes
        for row in later[episode.onset : episode.recovery]
    }
    return Calibration(
        counted=tuple(row for row in rows if row.run_id not in away),
        left_out=tuple(row for row in rows if row.run_id in away),
        first=tuple(first),
        later=tuple(later),
        findings=findings,
    )


def protect(
    store: Store, target: Target, baseline: Baseline, run: Run, *, waits: Verdict, found: Calibration
) -> Verdict:
    """The verdict of a calibration run in the light of the first ones.

    Args:
        store: read only.
        target: what is calibrated.
        baseline: being collected.
        run: the run just made.
        waits: its verdict from ``collecting.waiting``.
        found: the baseline's calibration, this run included.

    Returns:
        ``waits`` with the evidence so far; DRIFTED while an alarm stands. The verdict is then as sure as one of the
        armed watch and somebody must be told; only what it is compared to, 20 runs, is provisional.
    """
    if not found.findings or run.purpose is not Purpose.CALIBRATION or run.failure_share > MAX_FAILURE_SHARE:
        return waits
    seen = Seen(
        findings=found.findings,
        usual=usual_of(found.first),
        n_calibration=len(found.first),
        n_watched=len(found.later),
        latest=found.later[-1] if found.later else None,
        rows=lambda: (found.first, found.later),
    )
    weighed = weigh(store, target, baseline, run, seen)
    if not found.is_away:
        return replace(waits, kinds=weighed.kinds)
    return replace(
        waits,
        state=State.DRIFTED,
        reason=f"changed while it was being calibrated: {weighed.reason} (provisional, against its first "
        f"{len(found.first)} calibration runs); the watch is not armed on a mixture: "
        f"`driftwatch rebaseline {target.name} --reason …` accepts what it serves now",
        n_calibration=len(found.first),
        n_monitored=len(found.later),
        kinds=weighed.kinds,
        channels=weighed.channels,
    )
