"""The confirmation burst: up to three further runs, ten minutes apart, after a suspicious one.

Everything is derived from stored runs and verdicts, so that a restart goes on with a burst, and two processes name its
runs alike and make each of them once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from driftwatch.domain import BaselineState, Kind, Purpose, Run, State, Target, Verdict
from driftwatch.schedule import FOLLOW_UP_GAP, Slot, slot_at
from driftwatch.store import Store

LONGEST = 3
"""Runs of one burst at most. Source: detection design, "Probe tiers"."""

PER_DAY = 24
"""Runs of bursts of one target in 24 hours at most: with hourly runs a noisy endpoint costs twice as much, no more."""

DAY = timedelta(days=1)


class Bursts:
    """Finds the follow-ups of targets; asks the store once about each run that calls for none.

    Args:
        store: read only.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._quiet: dict[str, datetime] = {}
        """Target → the latest slot of whose run it is known that it calls for no follow-up."""

    def follow_ups(self, targets: Sequence[Target], last_runs: Mapping[str, datetime], at: datetime) -> dict[str, Slot]:
        """The runs that bursts ask for next; ``schedule.due`` says whether there is time for them.

        Args:
            targets: what is watched.
            last_runs: target name → ``scheduled_at`` of its latest run; absent for a target that never ran.
            at: the time, aware UTC.
        """
        found = {}
        for target in targets:
            last = last_runs.get(target.name)
            # A regular slot that has come meanwhile is a look of its own.
            if last is None or not can_burst(target) or self._quiet.get(target.name) == last:
                continue
            if slot_at(target, last).scheduled_at != slot_at(target, at).scheduled_at:
                continue
            verdict = self._store.latest_verdict(target.name)
            if verdict is None or verdict.at != last:
                continue  # it is being made, or broke off
            slot = self._follow_up(target, verdict, at) if is_suspicious(verdict) else None
            if slot is None:
                self._quiet[target.name] = last
            else:
                found[target.name] = slot
        return found

    def _follow_up(self, target: Target, verdict: Verdict, at: datetime) -> Slot | None:
        baseline = self._store.current_baseline(target.name)
        if baseline is None or baseline.id != verdict.baseline_id or baseline.state is not BaselineState.ACTIVE:
            return None
        runs = {run.scheduled_at: run for run in self._store.runs(target.name, since=min(at, verdict.at) - DAY)}
        latest = runs.get(verdict.at)
        if latest is None or latest.purpose is not Purpose.WATCH:
            return None
        n_made = place(target, runs, verdict.at)
        n_today = sum(place(target, runs, made_at) > 0 for made_at in runs)
        if n_made >= LONGEST or n_today >= PER_DAY:
            return None
        return Slot(
            target=target.name,
            scheduled_at=verdict.at + FOLLOW_UP_GAP,
            # From when it really began: the slot's jitter, or a busy machine, may have put it off.
            start_at=max(verdict.at, latest.started_at) + FOLLOW_UP_GAP,
        )


def can_burst(target: Target) -> bool:
    """Whether there is room for a whole burst between two slots; with shorter intervals the next slot is as good."""
    return target.burst and timedelta(seconds=target.interval_s) >= (LONGEST + 1) * FOLLOW_UP_GAP


def is_suspicious(verdict: Verdict) -> bool:
    """Whether a verdict asks to look again soon: a kind is suspicious, and nobody has been told of it yet.

    Performance that moves while behaviour has drifted is told with that, so it needs no confirmation.
    """
    if verdict.state not in {State.STABLE, State.DRIFTED}:
        return False
    behaviour = verdict.kind(Kind.BEHAVIOUR)
    is_told = behaviour is not None and behaviour.is_drifted
    return any(
        kind.is_suspicious and kind.problem is None and not kind.is_drifted and not is_told for kind in verdict.kinds
    )


def place(target: Target, runs: Mapping[datetime, Run], scheduled_at: datetime) -> int:
    """A run's place in its burst: 0 for one that is none of a burst, 1 for the first after a suspicious run.

    A run of a burst is named ten minutes after the one before it, and not by the schedule's grid.

    Args:
        target: whose grid.
        runs: the target's runs by ``scheduled_at``.
        scheduled_at: names the run.
    """
    n = 0
    while slot_at(target, scheduled_at).scheduled_at != scheduled_at and scheduled_at - FOLLOW_UP_GAP in runs:
        scheduled_at -= FOLLOW_UP_GAP
        n += 1
    return n
