"""Simulated weeks through the daemon as a user runs it: kill -9, restarts, outages, a dead Slack."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHANGE = "changes: [{at: 2026-03-20T09:00:00Z, persona: after}]\n"
OUTAGE = "faults: [{from: 2026-03-17T00:00:00Z, until: 2026-03-18T12:00:00Z, outcome: unavailable}]\n"
WEEKS_END = "2026-03-30T00:00:00Z"

KILL_POINTS = [
    "claim_run:after",
    "record_measurement:before",
    "record_measurement:after",
    "commit_judgement:before",
    "commit_judgement:after",
    "mark_sent:before",
    "mark_sent:after",
]
"""Every step between claiming a run and having told people about it."""

CHILD = """
import os, signal, sys
from driftwatch.store import Store

step, when, nth = sys.argv[1].split(":")[0], sys.argv[1].split(":")[1], int(sys.argv[2])
original, calls = getattr(Store, step), 0

def dying(self, *args, **kwargs):
    global calls
    calls += 1
    if when == "before" and calls == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(self, *args, **kwargs)
    if when == "after" and calls == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(Store, step, dying)
sys.argv = ["driftwatch", "serve"]
from driftwatch.cli import main
main()
"""


def incidents(watch) -> list[tuple]:
    return watch.rows("SELECT kind, state FROM incident ORDER BY id")


def dedup_keys(watch) -> list[str]:
    return [key for (key,) in watch.rows("SELECT dedup_key FROM notification WHERE state = 'sent'")]


def finish(watch) -> None:
    done = watch.run("serve")
    assert done.returncode == 0, done.stderr


def test_a_change_midway_raises_exactly_one_incident_and_one_message(watch):
    watch.write(end=WEEKS_END, script=CHANGE)
    finish(watch)
    assert incidents(watch) == [("behaviour", "open")]
    assert len(watch.slack.payloads) == 1
    [(onset,)] = watch.rows("SELECT onset_at FROM incident")
    assert str(onset).startswith("2026-03-20 12:00")


def test_weeks_without_a_change_are_quiet(watch):
    watch.write(end=WEEKS_END)
    finish(watch)
    assert incidents(watch) == []
    assert watch.slack.payloads == []


def test_an_outage_is_told_as_an_outage_and_never_as_drift(watch):
    watch.write(end=WEEKS_END, script=OUTAGE)
    finish(watch)
    assert incidents(watch) == [("availability", "resolved")]
    told = [str(payload["text"]) for payload in watch.slack.payloads]
    assert len(told) == 2
    assert "Cannot measure" in told[0]
    assert "Recovered" in told[1]


@pytest.mark.slow
def test_kill_minus_nine_at_random_moments_changes_neither_verdicts_nor_the_number_of_messages(watch):
    watch.write(end=WEEKS_END, script=CHANGE)
    n_runs, kills = 0, 0
    for target_runs in (3, 30, 55, 75, 80, 100):
        daemon = watch.start("serve")
        give_up_at = time.monotonic() + 60
        while n_runs < target_runs and daemon.poll() is None and time.monotonic() < give_up_at:
            time.sleep(0.02)
            n_runs = (watch.rows("SELECT count(*) FROM run") or [(0,)])[0][0]
        daemon.send_signal(signal.SIGKILL)
        daemon.communicate()
        kills += 1
    finish(watch)
    assert kills == 6
    assert incidents(watch) == [("behaviour", "open")]
    assert len(set(dedup_keys(watch))) == 1
    assert 1 <= len(watch.slack.payloads) <= 2, "at least once; a kill between acceptance and record repeats it"
    duplicates = watch.rows("SELECT target, scheduled_at FROM run GROUP BY 1, 2 HAVING count(*) > 1")
    assert duplicates == []
    assert watch.rows("SELECT count(*) FROM run WHERE state = 'measured'") == [(0,)], "evidence is always judged"


@pytest.mark.parametrize("point", KILL_POINTS)
@pytest.mark.slow
def test_a_kill_at_any_step_loses_nothing_and_tells_once(watch, tmp_path: Path, point):
    watch.write(end=WEEKS_END, script=CHANGE)
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    # The step of the run that raises the alarm; mark_sent happens once, for its message.
    nth = "1" if point.startswith("mark_sent") else str(alarm_run(watch))
    died = subprocess.run(
        [sys.executable, str(child), point, nth], cwd=watch.root, env=watch.env(), capture_output=True, check=False
    )
    assert died.returncode == -signal.SIGKILL
    finish(watch)
    assert incidents(watch) == [("behaviour", "open")]
    [(key, n)] = watch.rows("SELECT dedup_key, count(*) FROM notification GROUP BY 1")
    assert n == 1
    assert [key] == dedup_keys(watch)
    allowed = 2 if point == "mark_sent:before" else 1
    assert allowed == len(watch.slack.payloads)
    assert {key} == {str(payload_key(payload)) for payload in watch.slack.payloads}


_ALARM_RUN: list[int] = []
"""How many runs the scenario takes to its alarm, once that is known: it is the same every time."""


def alarm_run(watch) -> int:
    if not _ALARM_RUN:
        finish(watch)
        [(n,)] = watch.rows("SELECT count(*) FROM run WHERE id <= (SELECT run_id FROM incident)")
        _ALARM_RUN.append(n)
        for file in watch.root.glob("watch.db*"):
            file.unlink()
        watch.slack.payloads.clear()
    return _ALARM_RUN[0]


def payload_key(payload: dict) -> str:
    """The stable key that lets a receiver recognise a repetition."""
    footer = payload["blocks"][-1]["elements"][0]["text"]
    return footer.split()[-1].strip("`")


def test_a_dead_slack_delays_the_message_and_does_not_multiply_it(watch):
    watch.write(end=WEEKS_END, script=CHANGE)
    watch.slack.statuses = [503] * 5
    finish(watch)
    assert len(watch.slack.payloads) == 1
    assert watch.rows("SELECT attempts FROM notification") == [(6,)]


def test_sigterm_drains_and_a_restart_goes_on_where_it_was(watch):
    watch.write(end=WEEKS_END, script=CHANGE)
    daemon = watch.start("serve")
    while not (watch.rows("SELECT count(*) FROM run") or [(0,)])[0][0] > 20:
        time.sleep(0.02)
        assert daemon.poll() is None, daemon.communicate()
    daemon.send_signal(signal.SIGTERM)
    daemon.communicate(timeout=30)
    assert daemon.returncode == 0
    assert watch.rows("SELECT count(*) FROM run WHERE state IN ('claimed', 'measured')") == [(0,)]
    finish(watch)
    assert incidents(watch) == [("behaviour", "open")]
    [(slots,)] = watch.rows("SELECT count(*) FROM run WHERE scheduled_at LIKE '%:00:00.%'")
    assert slots == 28 * 4, "no run is lost to a clean stop"
