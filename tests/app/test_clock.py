"""The clocks: the real one, and the one that stands still until somebody waits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from driftwatch.clock import SimulatedClock, WallClock, stopwatch


def test_simulated_time_stands_still_until_somebody_waits(at):
    clock = SimulatedClock(at)
    assert clock.now() == clock.now() == at
    asyncio.run(clock.sleep_until(at + timedelta(weeks=3)))
    assert clock.now() == at + timedelta(weeks=3)


def test_simulated_time_never_goes_back(at):
    clock = SimulatedClock(at)
    clock.jump(at - timedelta(days=1))
    assert clock.now() == at


def test_simulated_time_is_utc_wherever_it_began(at):
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    clock = SimulatedClock(at.astimezone(kathmandu))
    assert clock.now().tzinfo is UTC
    assert clock.now() == at


def test_a_start_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="aware"):
        SimulatedClock(datetime(2026, 3, 2))  # noqa: DTZ001 - the mistake under trial


def test_the_wall_clock_is_aware_and_does_not_wait_for_the_past():
    clock, elapsed_s = WallClock(), stopwatch()
    now = clock.now()
    asyncio.run(clock.sleep_until(now - timedelta(days=1)))
    asyncio.run(clock.sleep_until(clock.now() + timedelta(milliseconds=20)))
    assert now.tzinfo is UTC
    assert 0.01 < elapsed_s() < 5
    assert clock.now() > now
