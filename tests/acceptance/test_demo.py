"""The README's first command: what it promises is what it does."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_the_demo_raises_one_incident_shows_its_message_and_leaves_a_database_and_a_report(tmp_path):
    command = [sys.executable, "-m", "driftwatch", "demo", "--dir", "left-behind"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "1 incident " in done.stdout
    assert "Slack would have received 1 message" in done.stdout
    assert "Drift: support-bot" in done.stdout
    assert "driftwatch rebaseline support-bot --preview" in done.stdout

    diary, _, _ = done.stdout.partition("Slack would have received")
    assert max(map(len, diary.splitlines())) <= 120
    assert re.search(r" drifted +█{10} [\d,a-z ]+ {2,}behaviour has drifted since ", diary)

    database = sqlite3.connect(tmp_path / "left-behind" / "demo.db")
    assert database.execute("SELECT kind, state FROM incident").fetchall() == [("behaviour", "open")]
    assert database.execute("SELECT state, attempts FROM notification").fetchall() == [("sent", 1)]
    [(n_slots,)] = database.execute("SELECT count(*) FROM run WHERE scheduled_at LIKE '%:00:00.%'").fetchall()
    [(n_follow_ups,)] = database.execute("SELECT count(*) - ? FROM run", [n_slots]).fetchall()
    database.close()
    assert n_slots == 21 * 12, "every slot of three weeks"
    assert 1 <= n_follow_ups <= 15, "a look ten minutes later after each suspicious run, and there are few"
    page = (tmp_path / "left-behind" / "report.html").read_text()
    assert "support-bot behaves differently since Mon 16 Mar" in page

    again = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False, timeout=500)
    assert again.returncode == 0, "a second demo replaces the first"


def test_a_demo_that_cannot_write_says_so(tmp_path):
    (tmp_path / "taken").write_text("a file")
    command = [sys.executable, "-m", "driftwatch", "demo", "--dir", "taken"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "driftwatch: cannot write in taken: File exists; name another with --dir\n"
