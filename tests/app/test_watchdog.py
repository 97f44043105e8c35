"""A scheduler that stands still, seen from a thread: told once, by a loop of its own, and over when it goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time

from driftwatch.domain import IncidentState, NotificationState
from driftwatch.upkeep import Watchdog

RECEIVER = "receivers: {me: {type: console}}"


def wait(condition, timeout_s=5.0):
    """In this very thread: the event loop stands still meanwhile."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


async def until(condition, timeout_s=5.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is another thread's
            await asyncio.sleep(0.01)


# ---------------------------------------------------------------- the thread alone


def test_it_tells_once_per_stall():
    age, told = [0.0], []
    dog = Watchdog(lambda: age[0], limit_s=0.04, on_stall=told.append)
    dog.start()
    age[0] = 1.0
    wait(lambda: told)
    time.sleep(0.1)
    assert told == [1.0]
    age[0] = 0.0
    time.sleep(0.1)
    age[0] = 2.0
    wait(lambda: len(told) == 2)
    dog.stop()
    assert told == [1.0, 2.0]
    assert "watchdog" not in [thread.name for thread in threading.enumerate()]


def test_before_the_first_look_nothing_stands_still():
    told = []
    dog = Watchdog(lambda: None, limit_s=0.02, on_stall=told.append)
    dog.start()
    time.sleep(0.1)
    dog.stop()
    assert told == []


def test_it_outlives_what_it_calls(logs):
    def fail(_):
        raise RuntimeError("the receiver's library")

    def failed():
        return [line["event"] for line in logs].count("watchdog.failed")

    age = [1.0]
    dog = Watchdog(lambda: age[0], limit_s=0.02, on_stall=fail)
    dog.start()
    wait(lambda: failed() == 1)
    age[0] = 0.0
    time.sleep(0.1)
    age[0] = 1.0
    wait(lambda: failed() == 2)
    dog.stop()


def test_one_that_was_never_started_can_be_stopped():
    Watchdog(lambda: 9.0, limit_s=1.0, on_stall=lambda _: None).stop()


# ---------------------------------------------------------------- in the running program


def stalls(app):
    return [incident for incident in app.store.incidents() if incident.trouble == "stalled"]


def test_a_blocked_loop_is_told_while_it_is_blocked_and_over_when_it_goes_on(place, local, endpoint):
    app = place.app({"a": {**local, "receivers": ["me"]}}, RECEIVER, stalled_s=0.8)

    async def work():
        daemon = asyncio.create_task(app.serve())
        await until(lambda: app.health().is_alive)
        # The loop stands still: no task of it runs, and nobody but a thread can tell.
        wait(lambda: any("stands still" in text for text in place.lines))
        assert not app.health().is_alive
        during = [str(incident.state) for incident in stalls(app)]
        await until(lambda: stalls(app)[0].state is IncidentState.RESOLVED)
        app.stop()
        await daemon
        opening, *_ = app.store.notifications(stalls(app)[0].id)
        return during, len(stalls(app)), opening

    during, n, opening = place.use(app, work)
    assert during == ["open"]
    assert n == 1
    assert (opening.state, opening.attempts) == (NotificationState.SENT, 1), "and not again by the loop that goes on"
    assert any("the scheduler is at work again" in text for text in place.lines)


def test_a_stall_that_cannot_be_stored_is_told_all_the_same(place, local, endpoint, monkeypatch):
    app = place.app({"a": local}, RECEIVER, stalled_s=0.3)
    app.store._database.busy_timeout_s = 0.0

    async def work():
        daemon = asyncio.create_task(app.serve())
        await until(lambda: app.health().is_alive and not app._in_flight)
        app.store.close()
        wait(lambda: any("stands still" in text for text in place.lines))
        app.stop()
        await daemon

    place.use(app, work)


def test_simulated_time_has_no_watchdog(place, simulated):
    top = "simulation: {start: 2026-03-02T00:00:00Z, end: 2026-03-02T06:00:00Z}"
    app = place.app({"a": simulated}, top, clock=None, stalled_s=0.0)
    place.use(app, app.serve)
    assert stalls_of(place) == []


def stalls_of(place):
    with sqlite3.connect(place.root / "watch.db") as connection:
        return connection.execute("SELECT id FROM incident WHERE trouble = 'stalled'").fetchall()
