from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from driftwatch.domain import Purpose, RunState
from driftwatch.store import Store

SLOTS = 50

CLAIMER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from driftwatch.domain import Purpose
from driftwatch.store import Store

store = Store.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
start = datetime(2026, 3, 1, tzinfo=UTC)
for slot in range(int(sys.argv[2])):
    at = start + timedelta(hours=slot)
    run = store.claim_run(target="support", scheduled_at=at, purpose=Purpose.WATCH, baseline_id=1, at=at)
    if run is not None:
        print(slot, flush=True)
store.close()
"""

WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from driftwatch.domain import Completion, Outcome, Purpose, Score
from driftwatch.store import Store

store = Store.open(Path(sys.argv[1]))
start = datetime(2026, 3, 1, tzinfo=UTC)
for slot in range(100_000):
    at = start + timedelta(hours=slot)
    run = store.claim_run(target="support", scheduled_at=at, purpose=Purpose.WATCH, baseline_id=1, at=at)
    completions = [
        Completion(canary_id=f"core/{n}", canary_hash="0" * 16, repeat=0, outcome=Outcome.OK, at=at, latency_s=0.1,
                   text="x" * 5000)
        for n in range(40)
    ]
    scores = [Score(channel=f"c{n}", value=0.5) for n in range(9)]
    store.record_measurement(run.id, completions=completions, scores=scores, finished_at=at, cost_usd=None)
    print(run.id, flush=True)
"""


def test_two_processes_never_win_the_same_slot(world):
    world.baseline()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(world.path), str(SLOTS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    won = []
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        won += [int(line) for line in out.split()]
    assert sorted(won) == list(range(SLOTS))
    assert len(world.store.runs()) == SLOTS


@pytest.mark.parametrize("own_stores", [False, True])
def test_threads_never_win_the_same_slot(world, own_stores):
    baseline = world.baseline()
    stores = [Store.open(world.path) if own_stores else world.store for _ in range(6)]
    barrier, won, failed = threading.Barrier(len(stores)), [], []

    def claim(store):
        barrier.wait()
        try:
            for slot in range(SLOTS):
                at = world.at() + timedelta(hours=slot)
                run = store.claim_run(
                    target="support", scheduled_at=at, purpose=Purpose.WATCH, baseline_id=baseline.id, at=at
                )
                if run is not None:
                    won.append(slot)
        except Exception as error:  # noqa: BLE001 - a thread's failure must fail the claim made here
            failed.append(error)

    threads = [threading.Thread(target=claim, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if own_stores:
        for store in stores:
            store.close()
    assert failed == []
    assert sorted(won) == list(range(SLOTS))


def test_readers_see_whole_transactions_while_a_writer_works(world):
    baseline = world.baseline()
    done, seen = threading.Event(), set()

    def read():
        while not done.is_set():
            for run in world.store.runs():
                if run.state is RunState.MEASURED:
                    seen.add(len(world.store.completions([run.id])[run.id]))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        world.measured(baseline)
    done.set()
    reader.join(timeout=60)
    assert seen <= {2}


def test_a_killed_writer_leaves_whole_transactions_only(world):
    world.baseline()
    world.store.close()
    for reported in (5, 9):
        child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                WRITER.replace("range(100_000)", f"range({reported * 1000}, 100_000)"),
                str(world.path),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        promised = [int(child.stdout.readline()) for _ in range(reported)]
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=60)
        with contextlib.closing(sqlite3.connect(world.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        with Store.open(world.path) as store:
            runs = store.runs()
            completions = store.completions([run.id for run in runs])
            scored = {row.run_id: len(row.values) for row in store.series(1)}
            for run in runs:
                whole = (40, 9) if run.state is RunState.MEASURED else (0, 0)
                assert (len(completions[run.id]), scored.get(run.id, 0)) == whole
            measured = {run.id for run in runs if run.state is RunState.MEASURED}
            assert set(promised) <= measured
            assert len([run for run in runs if run.state is RunState.CLAIMED]) <= 1
            store.interrupt_stale_runs(before=world.at(10**6))
