"""The alarms that a proposed baseline, and the one it would replace, would have raised over stored runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftwatch.alert.text import count
from driftwatch.detect import Finding
from driftwatch.domain import Kind, Purpose, Score, SeriesRow
from driftwatch.judgement import examine
from driftwatch.rebaseline import MINIMUM_RUNS, Proposal
from driftwatch.store import Store

WEEKS_BEFORE = timedelta(weeks=4)
"""How far before the change the replaced baseline's false alarms are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Alarms that a baseline would have raised over stored runs."""

    n_runs: int
    since: datetime | None
    """The first of the runs; None without any."""
    until: datetime | None
    alarms: tuple[tuple[Kind, datetime], ...]
    """Kind and the run that would have raised it."""
    problem: str | None = None
    """Why it says nothing; None when it does."""


def own(store: Store, proposal: Proposal) -> tuple[Backtest, Mapping[Kind, Finding]]:
    """The proposed baseline over the runs since the change.

    Where the whole target is accepted these runs are its calibration, which says nothing of itself: the first twenty
    then stand for the calibration, and the later ones are judged against them, as while a baseline is collected.
    """
    watched = _series(proposal.rows, proposal.fresh, Purpose.WATCH)
    if not proposal.rows:
        return _nothing("nothing stored is accepted: the next runs are")
    if not proposal.canary_ids:
        calibration, watched = watched[:MINIMUM_RUNS], watched[MINIMUM_RUNS:]
        if not watched:
            return _nothing(
                f"{count(len(calibration), 'run')} since the change beside those that give the anchors: a test against "
                f"itself takes more than {MINIMUM_RUNS}"
            )
    else:
        rows = store.series(proposal.measured.id)
        calibration = _series(rows, proposal.calibration, Purpose.CALIBRATION)
    findings = examine(proposal.target, proposal.current, calibration, watched)
    return _backtest(watched, findings), findings


def replaced(store: Store, proposal: Proposal) -> Backtest:
    """The replaced baseline over the weeks before the change: how noisy this endpoint is to such a watch."""
    series = store.series(proposal.measured.id)
    calibration = [row for row in series if row.purpose is Purpose.CALIBRATION]
    until = proposal.since or max((incident.onset_at for incident in proposal.incidents), default=None)
    watched = [row for row in series if row.purpose is Purpose.WATCH and (until is None or row.scheduled_at < until)]
    if not watched:
        return _nothing("no watched run from before the change is stored")[0]
    findings = examine(proposal.target, proposal.measured, calibration, watched)
    first = watched[-1].scheduled_at - WEEKS_BEFORE
    found = _backtest(watched, findings)
    kept = [row for row in watched if row.scheduled_at >= first]
    return replace(
        found,
        n_runs=len(kept),
        since=kept[0].scheduled_at,
        alarms=tuple(alarm for alarm in found.alarms if alarm[1] >= first),
    )


def _backtest(watched: Sequence[SeriesRow], findings: Mapping[Kind, Finding]) -> Backtest:
    judged = [finding for finding in findings.values() if finding.problem is None]
    behaviour = findings.get(Kind.BEHAVIOUR)
    alarms = [(finding.kind, watched[episode.alarm].scheduled_at) for finding in judged for episode in finding.episodes]
    return Backtest(
        n_runs=len(watched),
        since=watched[0].scheduled_at,
        until=watched[-1].scheduled_at,
        alarms=tuple(sorted(alarms, key=lambda alarm: (alarm[1], alarm[0]))),
        problem=behaviour.problem if behaviour else None,
    )


def _nothing(why: str) -> tuple[Backtest, Mapping[Kind, Finding]]:
    return Backtest(n_runs=0, since=None, until=None, alarms=(), problem=why), {}


def _series(rows: Sequence[SeriesRow], scores: Mapping[int, Sequence[Score]], purpose: Purpose) -> list[SeriesRow]:
    """Runs with other scores than those they are stored with, as detection reads them."""
    return [
        replace(
            row,
            purpose=purpose,
            values={found.channel: found.value for found in scores[row.run_id] if found.is_measured},
        )
        for row in rows
        if row.run_id in scores
    ]
