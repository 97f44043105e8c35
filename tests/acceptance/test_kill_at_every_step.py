"""A process killed with -9 at every step between a verdict and its delivery: nothing lost, nothing told as news twice.

``test_simulated_weeks`` kills whole watches; here one short life is walked through step by step: two targets change,
the first page goes out, both come back, the end goes out. The receiver is a real HTTP server.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

CHILD = """
import asyncio, os, signal, sys
from datetime import datetime, timedelta, UTC
from pathlib import Path
from driftwatch.alert.receivers import NOTIFIERS, ReceiverConnection
from driftwatch.alert.outbox import Courier
from driftwatch.alert.policy import Policy
from driftwatch.domain import Event, IncidentState, Kind, Step
from driftwatch.store import Store

path, url, point, minutes = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
step, when, nth = (*point.split(":"), "")[:3] if point else ("", "", "")
AT = datetime(2026, 3, 16, 14, tzinfo=UTC)
at = AT + timedelta(minutes=minutes)
calls = 0

def dies(moment):
    if moment == when and calls == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)

def dying(owner, name):
    original = getattr(owner, name)
    def call(self, *args, **kwargs):
        global calls
        calls += 1
        dies("before")
        result = original(self, *args, **kwargs)
        dies("after")
        return result
    async def send(self, *args, **kwargs):
        global calls
        calls += 1
        dies("before")
        result = await original(self, *args, **kwargs)
        dies("after")
        return result
    setattr(owner, name, send if name == "send" else call)

if step:
    dying(NOTIFIERS["webhook"] if step == "send" else Store, step)

def edge(target, known):
    is_new = known is None
    return Step(
        incident_id=None if is_new else known.id, target=target, kind=Kind.BEHAVIOUR,
        before=None if is_new else known.state,
        after=IncidentState.OPEN if is_new else IncidentState.RESOLVED,
        at=at, author="driftwatch", reason="it moved", onset_at=AT, baseline_id=None, run_id=None,
        event=Event.OPENED if is_new else Event.RESOLVED, receivers=("hook",),
    )

with Store.open(path) as store:
    for target in ("billing", "support"):
        known = {i.target: i for i in store.incidents()}
        if (target not in known) or (minutes >= 60 and known[target].is_open):
            store.commit_judgement(None, [edge(target, known.get(target))], at=at)
    hook = NOTIFIERS["webhook"](ReceiverConnection(name="hook", secrets={"url": lambda: url}))
    asyncio.run(Courier(store, {"hook": hook}, policy=Policy()).deliver(at=at))
"""
"""Argument 4 is the time in minutes: from the 60th on, what is open is over."""

POINTS = [
    f"{step}:{moment}:{nth}"
    for step, n in (("commit_judgement", 2), ("waiting", 2), ("silences", 1), ("lease", 2), ("told_of", 2), ("send", 2))
    for nth in range(1, n + 1)
    for moment in ("before", "after")
] + [f"{step}:{moment}:{nth}" for step in ("mark_sent", "wake") for nth in (1, 2) for moment in ("before", "after")]


class Life:
    """The database of one short life, and the receiver that is told of it."""

    def __init__(self, root: Path, hook) -> None:
        self.path, self.hook = root / "watch.db", hook
        self.child = root / "child.py"
        self.child.write_text(CHILD)

    def start(self, minutes: float, point: str = "") -> subprocess.Popen[bytes]:
        command = [sys.executable, str(self.child), str(self.path), self.hook.url, point, str(minutes)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, minutes: float, point: str = "") -> int:
        child = self.start(minutes, point)
        _, said = child.communicate(timeout=60)
        assert child.returncode in {0, -signal.SIGKILL}, said.decode()
        return child.returncode

    def told(self) -> Counter[tuple[str, str]]:
        """(target, event) → how often."""
        return Counter((key.split("/")[1], self.event(key)) for key in self.keys())

    def keys(self) -> list[str]:
        return [found for payload in self.hook.payloads for found in [key_of(payload)]]

    def event(self, key: str) -> str:
        [(event,)] = self.rows("SELECT event FROM transition WHERE id = ?", key.split("/")[2])
        return event

    def rows(self, query: str, *values: object) -> list[tuple]:
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()


def key_of(document) -> str:
    """The one key that says whether this is news."""
    found = [value for value in walk(document) if isinstance(value, tuple) and value[0] == "dedup_key"]
    assert len(found) == 1, document
    return str(found[0][1])


def walk(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (key, inner)
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


@pytest.fixture
def life(tmp_path, slack) -> Life:
    return Life(tmp_path, slack)


ALL = {("1", "opened"): 1, ("2", "opened"): 1, ("1", "resolved"): 1, ("2", "resolved"): 1}


def test_without_a_kill_every_edge_is_told_once(life):
    assert (life.run(0), life.run(60)) == (0, 0)
    assert life.told() == ALL
    assert life.rows("SELECT DISTINCT state FROM notification") == [("sent",)]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.slow
def test_a_kill_at_any_step_loses_nothing_and_repeats_only_the_same_key(life, point):
    step, moment, _ = point.split(":")
    assert life.run(0, point) == -signal.SIGKILL
    assert life.run(10) == 0  # whatever was leased is free again
    assert life.run(60, point) == -signal.SIGKILL
    assert life.run(70) == 0
    told = life.told()
    assert set(told) == set(ALL), "nothing is lost"
    may_repeat = (step, moment) in {("send", "after"), ("mark_sent", "before")}
    assert set(told.values()) == ({1, 2} if may_repeat else {1}), "only what was taken and not marked is told again"
    assert len(set(life.keys())) == 4, "and then under the same key"
    assert life.rows("SELECT DISTINCT state FROM notification") == [("sent",)]


def test_two_processes_at_once_tell_once(life):
    for minutes in (0, 60):
        children = [life.start(minutes) for _ in range(3)]
        for child in children:
            _, said = child.communicate(timeout=60)
            assert child.returncode == 0, said.decode()
    assert life.run(70) == 0
    assert life.told() == ALL
