"""The APScheduler adapter: every slot is visited, one tick at a time, whatever a tick does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import freezegun
import pytest
from structlog.testing import capture_logs

from driftwatch import schedule
from driftwatch.clock import SimulatedClock, WallClock
from driftwatch.schedule import MAX_NAP_S, Scheduler, due, next_start

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
WAIT_S = 10.0
POLL_S = 0.001


async def until(condition: Callable[[], bool]) -> None:
    """Wait in real time; a condition that never comes true fails the test."""
    for _ in range(int(WAIT_S / POLL_S)):
        if condition():
            return
        await asyncio.sleep(POLL_S)
    pytest.fail("it never came true")


async def a_while() -> None:
    """Long enough for anything that could follow at once."""
    await asyncio.sleep(0.05)


@asynccontextmanager
async def started(clock, tick: Callable[[datetime], Awaitable[datetime | None]]):
    """A running scheduler that is stopped and drained whatever happens."""
    scheduler = Scheduler(clock, tick)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.stop()
        await scheduler.drain(WAIT_S)


def planned(scheduler: Scheduler) -> list[datetime]:
    return [job.next_run_time for job in scheduler._apscheduler.get_jobs()]


async def test_simulated_time_visits_every_slot_in_order(make_target, at):
    targets = [make_target(3600, 600, "hourly"), make_target(7200, 0, "two-hourly")]
    last: dict[str, datetime] = {}
    visited: list[tuple[str, datetime]] = []

    async def tick(now: datetime) -> datetime | None:
        for slot in due(targets, last, now):
            visited.append((slot.target, slot.scheduled_at))
            last[slot.target] = slot.scheduled_at
        return next_start(targets, last, now) if len(visited) < 30 else None

    async with started(SimulatedClock(at), tick):
        await until(lambda: len(visited) == 30)
    assert [slot for name, slot in visited if name == "hourly"] == [at + n * HOUR for n in range(20)]
    assert [slot for name, slot in visited if name == "two-hourly"] == [at + 2 * n * HOUR for n in range(10)]


async def test_a_tick_that_raises_is_logged_and_the_watch_goes_on(at):
    ticks: list[datetime] = []

    async def tick(now: datetime) -> datetime | None:
        ticks.append(now)
        if len(ticks) == 2:
            raise RuntimeError("the database is away")
        return now + HOUR if len(ticks) < 4 else None

    with capture_logs() as logs:
        async with started(SimulatedClock(at), tick):
            await until(lambda: len(ticks) == 4)
    assert [entry["event"] for entry in logs] == ["schedule.tick_failed"]
    assert [at, at + HOUR, at + HOUR + timedelta(seconds=MAX_NAP_S)] == ticks[:3]


async def test_a_tick_that_leaves_a_slot_due_is_followed_by_a_nap_and_not_by_a_storm(at):
    ticks: list[datetime] = []

    async def tick(now: datetime) -> datetime | None:
        ticks.append(now)
        return now if len(ticks) < 3 else None

    async with started(SimulatedClock(at), tick):
        await until(lambda: len(ticks) == 3)
    assert [at + timedelta(seconds=n * MAX_NAP_S) for n in range(3)] == ticks


async def test_nothing_follows_a_tick_that_says_there_is_nothing_left(at):
    ticks: list[datetime] = []

    async def tick(now: datetime) -> None:
        ticks.append(now)

    async with started(SimulatedClock(at), tick) as scheduler:
        await until(lambda: ticks == [at])
        await a_while()
        assert planned(scheduler) == []
        scheduler.wake()
        await until(lambda: len(ticks) == 2)


async def test_stop_begins_no_further_tick(at):
    ticks: list[datetime] = []

    async def tick(now: datetime) -> datetime:
        ticks.append(now)
        return now + HOUR

    async with started(SimulatedClock(at), tick) as scheduler:
        await until(lambda: len(ticks) > 3)
        scheduler.stop()
        n_ticks = len(ticks)
        scheduler.stop()
        scheduler.wake()
        await a_while()
        assert n_ticks == len(ticks)


async def test_stop_lets_the_tick_in_flight_finish_and_drain_waits_for_it(at):
    began, may_end, ended = asyncio.Event(), asyncio.Event(), []

    async def tick(now: datetime) -> datetime:
        began.set()
        await may_end.wait()
        ended.append(now)
        return now + HOUR

    async with started(SimulatedClock(at), tick) as scheduler:
        await began.wait()
        scheduler.stop()
        await a_while()
        assert ended == []
        may_end.set()
        await scheduler.drain(WAIT_S)
        assert ended == [at]
        assert planned(scheduler) == []


async def test_drain_cancels_a_tick_that_takes_too_long(at):
    began, cancelled = asyncio.Event(), []

    async def tick(now: datetime) -> datetime:
        began.set()
        try:
            await asyncio.sleep(WAIT_S)
        except asyncio.CancelledError:
            cancelled.append(now)
            raise
        return now

    async with started(SimulatedClock(at), tick) as scheduler:
        await began.wait()
        scheduler.stop()
        await scheduler.drain(0.01)
        assert cancelled == [at]
        await scheduler.drain(0.01)


async def test_waking_never_runs_two_ticks_at_once_and_never_loses_one(at):
    running, most, ticks = 0, 0, 0

    async def tick(_: datetime) -> None:
        nonlocal running, most, ticks
        running, ticks = running + 1, ticks + 1
        most = max(most, running)
        for _turn in range(3):
            await asyncio.sleep(0)
        running -= 1

    async with started(SimulatedClock(at), tick) as scheduler:
        await until(lambda: ticks == 1 and running == 0)
        for n in range(200):
            before = ticks
            for _wake in range(1 + n % 3):
                scheduler.wake()
                for _turn in range(n % 5):
                    await asyncio.sleep(0)
            scheduler.wake()
            await until(lambda before=before: ticks > before and running == 0 and scheduler._ticking is None)
    assert most == 1


async def test_a_wake_during_a_tick_is_answered_by_a_tick_after_it(at):
    began, may_end, ticks = asyncio.Event(), asyncio.Event(), []

    async def tick(now: datetime) -> None:
        ticks.append(now)
        began.set()
        await may_end.wait()

    async with started(SimulatedClock(at), tick) as scheduler:
        await began.wait()
        scheduler.wake()
        scheduler.wake()
        await a_while()
        assert len(ticks) == 1
        may_end.set()
        await until(lambda: len(ticks) == 2)
        await a_while()
        assert len(ticks) == 2


@pytest.mark.parametrize(
    ("following", "nap_s"),
    [(timedelta(days=7), MAX_NAP_S), (timedelta(seconds=12), 12.0), (timedelta(0), MAX_NAP_S)],
)
async def test_the_wall_clock_is_looked_at_again_within_a_nap(at, following, nap_s):
    ticks: list[datetime] = []

    async def tick(now: datetime) -> datetime:
        ticks.append(now)
        return now + following

    with freezegun.freeze_time(at, real_asyncio=True):
        async with started(WallClock(), tick) as scheduler:
            await until(lambda: bool(ticks and planned(scheduler)))
            assert ticks == [at]
            assert [at + timedelta(seconds=nap_s)] == planned(scheduler)


async def test_a_clock_that_jumps_ahead_ticks_once(at):
    ticks: list[datetime] = []

    async def tick(now: datetime) -> datetime:
        ticks.append(now)
        return now + HOUR

    with freezegun.freeze_time(at, real_asyncio=True) as frozen:
        async with started(WallClock(), tick) as scheduler:
            await until(lambda: bool(ticks and planned(scheduler)))
            frozen.move_to(at + 5 * HOUR)
            scheduler._apscheduler.wakeup()
            await until(lambda: len(ticks) == 2)
            await a_while()
    assert ticks == [at, at + 5 * HOUR]


async def test_a_clock_set_back_by_an_hour_does_not_stall_the_watch(at, monkeypatch):
    ticks: list[datetime] = []

    async def tick(now: datetime) -> datetime:
        ticks.append(now)
        return now + HOUR

    monkeypatch.setattr(schedule, "GUARD_S", 0.05)
    with freezegun.freeze_time(at, real_asyncio=True) as frozen:
        async with started(WallClock(), tick):
            await until(lambda: len(ticks) >= 1)
            frozen.move_to(at - HOUR)
            await until(lambda: ticks[-1] == at - HOUR)


async def test_a_late_tick_is_made_and_not_dropped(at):
    ticks: list[datetime] = []

    async def tick(now: datetime) -> datetime:
        ticks.append(now)
        return now + timedelta(seconds=2)

    with freezegun.freeze_time(at, real_asyncio=True) as frozen:
        async with started(WallClock(), tick) as scheduler:
            await until(lambda: bool(ticks and planned(scheduler)))
            frozen.move_to(at + timedelta(minutes=3))
            scheduler._apscheduler.wakeup()
            await until(lambda: len(ticks) == 2)
