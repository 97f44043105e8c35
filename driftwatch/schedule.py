"""When a run is due: a pure function of targets, last runs and the time, and its APScheduler adapter."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from driftwatch.clock import Clock, SimulatedClock
from driftwatch.domain import Target

log = structlog.get_logger()

MAX_NAP_S = 30.0
"""Longest wait between two looks at the schedule, s: pending notifications and a stepped clock are seen within it."""

GUARD_S = MAX_NAP_S + 1.0
"""When a tick is made whatever the wall clock says, s after the one before it: a nap and time to begin on time."""

FOLLOW_UP_GAP = timedelta(minutes=10)
"""Least time between a run and its follow-up, and between that and the next slot. Source: detection design, "Probe
tiers": runs that are closer share the same minute's load and say the same thing twice."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where the grid of slots begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place in the schedule: one run of one target."""

    target: str
    scheduled_at: datetime
    """The grid point that names the run, aware UTC."""
    start_at: datetime
    """When to begin: the grid point plus the slot's own jitter."""


def slot_at(target: Target, at: datetime) -> Slot:
    """The slot that ``at`` lies in.

    Slots lie on a grid of whole intervals since 1970-01-01T00:00Z, so that every replica and every restart
    computes the same ones. The jitter is drawn evenly, by a hash whose seed is the target's name and the slot: equal on
    every machine, spread over the fleet, and another at every slot, so that what an endpoint does at a fixed minute of
    the hour is neither always met nor never.
    """
    # In whole microseconds: with floats a slot's own beginning can fall into the slot before it.
    interval = timedelta(seconds=target.interval_s)
    scheduled_at = EPOCH + (at - EPOCH) // interval * interval
    digest = hashlib.sha256(f"{target.name}\0{scheduled_at.isoformat()}".encode()).digest()
    jitter_us = timedelta(seconds=target.jitter_s) // timedelta(microseconds=1)
    delay_us = int.from_bytes(digest[:8], "big") * jitter_us >> 64
    return Slot(
        target=target.name,
        scheduled_at=scheduled_at,
        start_at=scheduled_at + timedelta(microseconds=delay_us),
    )


def due(
    targets: Sequence[Target],
    last_runs: Mapping[str, datetime],
    at: datetime,
    follow_ups: Mapping[str, Slot] | None = None,
) -> list[Slot]:
    """The slots to run now, earliest start first: at most one per target.

    Only the slot that ``at`` lies in can be due. A slot missed while nobody watched is neither made up for later
    nor invented; it stays a gap in the series.

    Args:
        targets: what is watched.
        last_runs: target name → ``scheduled_at`` of its latest run; absent for a target that never ran.
        at: the time, aware UTC.
        follow_ups: target name → the run that it wants between two slots, from ``burst``. It is made only after its
            slot's own run, and only when the next slot starts at least FOLLOW_UP_GAP later.
    """
    wanted = follow_ups or {}
    slots = [_open(target, last_runs.get(target.name), at, wanted.get(target.name)) for target in targets]
    ready = [slot for slot in slots if slot is not None and slot.start_at <= at]
    return sorted(ready, key=lambda slot: (slot.start_at, slot.target))


def next_start(
    targets: Sequence[Target],
    last_runs: Mapping[str, datetime],
    at: datetime,
    follow_ups: Mapping[str, Slot] | None = None,
) -> datetime | None:
    """When the next slot or follow-up of any target starts, ``at`` itself when one is due; None without targets."""
    wanted = follow_ups or {}
    starts = []
    for target in targets:
        slot = _open(target, last_runs.get(target.name), at, wanted.get(target.name)) or _next_slot(target, at)
        starts.append(max(slot.start_at, at))
    return min(starts, default=None)


def _open(target: Target, last: datetime | None, at: datetime, follow_up: Slot | None) -> Slot | None:
    """What is to be run in the slot that ``at`` lies in: the slot itself, after it its follow-up; None when neither."""
    slot = _open_slot(target, last, at)
    if slot is not None or follow_up is None or last is None:
        return slot
    is_new = follow_up.scheduled_at > last
    is_of_this_slot = slot_at(target, follow_up.scheduled_at) == slot_at(target, at)
    leaves_time = max(follow_up.start_at, at) + FOLLOW_UP_GAP <= _next_slot(target, at).start_at
    return follow_up if is_new and is_of_this_slot and leaves_time else None


def _next_slot(target: Target, at: datetime) -> Slot:
    return slot_at(target, slot_at(target, at).scheduled_at + timedelta(seconds=target.interval_s))


def _open_slot(target: Target, last: datetime | None, at: datetime) -> Slot | None:
    """The slot that ``at`` lies in when it has not been run, else None."""
    slot = slot_at(target, at)
    if last is None or slot.scheduled_at > last:
        return slot
    # A run more than an interval ahead of the clock was written while the clock was wrong: without this the
    # target would stay unwatched until the clock catches up.
    if last - at > timedelta(seconds=target.interval_s):
        return slot
    return None


class Scheduler:
    """Calls ``tick(at)`` whenever a slot starts, through APScheduler's asyncio scheduler.

    One tick at a time: each, when done, plans the next. Plans live in memory and are rebuilt from the database at
    every start, so that a restart neither repeats nor loses a run. All methods belong to the event loop's thread.

    Args:
        clock: a SimulatedClock jumps from slot to slot; any other is waited for.
        tick: starts what is due and returns when the next slot starts, None when there is nothing left to do.
    """

    def __init__(self, clock: Clock, tick: Callable[[datetime], Awaitable[datetime | None]]) -> None:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415 - slow import

        self._clock, self._tick = clock, tick
        self._apscheduler = AsyncIOScheduler(timezone=UTC)
        self._is_running = False
        self._ticking: asyncio.Task[None] | None = None
        self._is_wanted_again = False
        self._guard: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._apscheduler.start()
        self._is_running = True
        self._plan(self._clock.now())

    def stop(self) -> None:
        """Begin no further tick. One in flight goes on: ``drain`` waits for it."""
        if not self._is_running:
            return
        self._is_running = False
        self._disarm()
        self._apscheduler.shutdown(wait=False)

    async def drain(self, grace_s: float) -> None:
        """Return when no tick is in flight any more; one that takes longer than ``grace_s`` is cancelled."""
        if self._ticking is None:
            return
        _, unfinished = await asyncio.wait([self._ticking], timeout=grace_s)
        for task in unfinished:
            task.cancel()
            await asyncio.wait([task])

    def wake(self) -> None:
        """Tick now, or once more when the tick in flight is done: it may have looked already."""
        if not self._is_running:
            return
        if self._ticking is not None:
            self._is_wanted_again = True
            return
        self._disarm()
        self._ticking = asyncio.create_task(self._run_tick(), name="driftwatch-tick")

    async def _fire(self) -> None:
        """APScheduler's job. It only starts the tick: what APScheduler awaits itself it cancels at its shutdown."""
        self.wake()

    def _plan(self, at: datetime) -> None:
        from apscheduler.triggers.date import DateTrigger  # noqa: PLC0415 - slow import

        # A date trigger without a date fires at once: simulated time does not wait.
        trigger = DateTrigger(None if isinstance(self._clock, SimulatedClock) else at, timezone=UTC)
        # A fresh job instead of one id: APScheduler counts instances by id and drops a job that begins while the
        # instance before it is still being wound up. misfire_grace_time None: late is fine, whereas the default of
        # 1 s silently drops what a busy machine starts late.
        self._apscheduler.remove_all_jobs()
        self._apscheduler.add_job(self._fire, trigger, misfire_grace_time=None)
        # APScheduler compares wall clocks: set back by an hour, it would sleep the hour. This timer is monotonic.
        self._guard = asyncio.get_running_loop().call_later(GUARD_S, self.wake)

    def _disarm(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None

    async def _run_tick(self) -> None:
        try:
            # Between a task's making and its first step, stop may have been called.
            following = await self._look() if self._is_running else None
            if isinstance(self._clock, SimulatedClock) and following is not None:
                await self._clock.sleep_until(following)
        finally:
            self._ticking = None
        again, self._is_wanted_again = self._is_wanted_again, False
        if not self._is_running or (following is None and not again):
            return
        now = self._clock.now()
        self._plan(now if again or following is None else min(following, now + timedelta(seconds=MAX_NAP_S)))

    async def _look(self) -> datetime | None:
        """One tick: when to look again."""
        at = self._clock.now()
        after_nap = at + timedelta(seconds=MAX_NAP_S)
        try:
            following = await self._tick(at)
        except Exception:
            # The watch must outlive any single failure; the next look comes after a nap.
            log.exception("schedule.tick_failed")
            return after_nap
        # What is still due right after a tick could not be started: asking again at once would spin.
        return after_nap if following is not None and following <= at else following
