"""The two clocks and the stopwatch."""

from __future__ import annotations

import ast
import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import freezegun
import pytest

import driftwatch
from driftwatch.clock import SimulatedClock, WallClock, stopwatch

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_simulated_time_stands_still_until_somebody_waits(at):
    clock = SimulatedClock(at)
    await asyncio.sleep(0.01)
    assert clock.now() == at
    await clock.sleep_until(at + timedelta(weeks=3))
    assert clock.now() == at + timedelta(weeks=3)


async def test_simulated_time_never_goes_back(at):
    clock = SimulatedClock(at)
    await clock.sleep_until(at - timedelta(hours=1))
    assert clock.now() == at


async def test_simulated_time_is_utc_whatever_zone_it_is_given_in(at):
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    clock = SimulatedClock(at.astimezone(kathmandu))
    assert clock.now().tzinfo is UTC
    await clock.sleep_until((at + timedelta(hours=1)).astimezone(kathmandu))
    assert clock.now() == at + timedelta(hours=1)
    assert clock.now().tzinfo is UTC


async def test_waiting_in_simulated_time_lets_others_go_first(at):
    order = []

    async def other() -> None:
        order.append("other")

    task = asyncio.create_task(other())
    await SimulatedClock(at).sleep_until(at + timedelta(days=1))
    order.append("waiter")
    await task
    assert order == ["other", "waiter"]


async def test_a_simulated_clock_refuses_a_naive_start(at):
    with pytest.raises(ValueError, match="aware start time"):
        SimulatedClock(at.replace(tzinfo=None))


async def test_the_wall_clock_is_utc_in_any_time_zone(at):
    # conftest sets TZ to a zone that is 5:45 ahead.
    with freezegun.freeze_time(at, real_asyncio=True):
        assert WallClock().now() == at
        assert WallClock().now().tzinfo is UTC


async def test_the_wall_clock_waits_for_a_time_to_come_and_not_for_one_that_has_passed():
    clock = WallClock()
    elapsed_s = stopwatch()
    await clock.sleep_until(clock.now() - timedelta(days=1))
    assert elapsed_s() < 1
    until = clock.now() + timedelta(milliseconds=50)
    await clock.sleep_until(until)
    assert elapsed_s() >= 0.04


async def test_a_stopwatch_counts_seconds_from_its_own_start():
    first_s = stopwatch()
    await asyncio.sleep(0.02)
    second_s = stopwatch()
    earlier, later = first_s(), first_s()
    assert 0.01 < earlier <= later < 60
    assert second_s() < later


async def test_only_this_module_reads_the_wall_clock():
    package = Path(driftwatch.__file__).parent
    reading = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"} and _names_the_class(node)
    }
    assert reading == {"clock.py"}


def _names_the_class(node: ast.Attribute) -> bool:
    name = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
    return name in {datetime.__name__, "date"}
