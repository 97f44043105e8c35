"""Two ``driftwatch serve`` over one database: told of, not refused, and forgotten with the process."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from driftwatch.upkeep import presence

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOLD = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from driftwatch.upkeep import presence
with presence.announced(Path(sys.argv[1]), datetime(2026, 3, 1, tzinfo=UTC)):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def database(tmp_path):
    return tmp_path / "watch.db"


@pytest.fixture
def another(database):
    """Another process that watches."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(database)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def left(database):
    return sorted(path.name for path in database.parent.glob("*.serve*"))


def test_who_is_alone_sees_nobody_and_leaves_no_file(database):
    with presence.announced(database, AT) as others:
        assert others == []
        assert left(database) == ["watch.db.serve1"]
    assert left(database) == []


def test_the_second_sees_the_first_with_process_and_start(database, another):
    with presence.announced(database, AT) as [other]:
        assert other.pid == another.pid
        assert other.words.startswith(f"process {another.pid} on ")
        assert other.words.endswith(", since 2026-03-01 00:00 UTC")
        assert [found.pid for found in presence.present(database)] == [another.pid, os.getpid()]


def test_a_third_sees_the_second_when_the_first_has_ended(database):
    first, second = presence.announced(database, AT), presence.announced(database, AT)
    first.__enter__()
    assert len(second.__enter__()) == 1
    first.__exit__(None, None, None)
    with presence.announced(database, AT) as others:
        assert len(others) == 1
    second.__exit__(None, None, None)
    assert left(database) == []


def test_kill_9_leaves_nobody(database, another):
    another.kill()
    another.wait()

    assert left(database) == ["watch.db.serve1"], "the file stays, its lock does not"
    assert presence.present(database) == []
    with presence.announced(database, AT) as others:
        assert others == []
    assert left(database) == []


def test_two_names_of_one_database_meet(database, another, tmp_path):
    database.touch()
    (tmp_path / "link.db").symlink_to(database)

    with presence.announced(tmp_path / "link.db", AT) as others:
        assert len(others) == 1


@pytest.mark.parametrize("said", [b"", b"{", b"[1]", b'{"pid": null}', b"\xff\xfe"])
def test_a_holder_that_says_nothing_readable_is_told_all_the_same(database, another, said):
    database.with_name("watch.db.serve1").write_bytes(said)

    with presence.announced(database, AT) as [other]:
        assert other.words == "a process"


def test_what_a_holder_wrote_cannot_move_the_cursor(database, another):
    database.with_name("watch.db.serve1").write_text('{"pid": 7, "host": "a\\u001b[2Jb", "since": "x\\ny"}')

    assert [found.words for found in presence.present(database)] == ["process 7 on a[2Jb, since xy UTC"]


def test_more_than_can_be_told_apart_are_safe_too(database):
    held = [presence.announced(database, AT) for _ in range(presence.PLACES)]
    seen = [len(one.__enter__()) for one in held]
    with presence.announced(database, AT) as others:
        assert len(others) == presence.PLACES
    for one in held:
        one.__exit__(None, None, None)

    assert seen == [0, 1, 2, 3]
    assert left(database) == []


def test_a_file_system_without_locks_is_silent(database, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with presence.announced(database, AT) as others:
        assert others == []
        assert presence.present(database) == []


def test_a_directory_that_cannot_be_written_is_silent(tmp_path):
    (tmp_path / "file").touch()

    with presence.announced(tmp_path / "file" / "watch.db", AT) as others:
        assert others == []


def test_a_file_that_another_account_left_is_no_reason_to_stop(database, monkeypatch):
    really = os.open

    def refused(path, flags, *mode):
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied")
        return really(path, flags, *mode)

    monkeypatch.setattr(os, "open", refused)
    with presence.announced(database, AT) as others:
        assert others == []


def test_a_place_whose_holder_ends_just_then_is_taken_anew(database, monkeypatch):
    """Its holder unlinks the file between our opening and our lock: a lock on it would be seen by nobody."""
    really, unlinked = fcntl.flock, []

    def late(lock, how):
        if not unlinked:
            unlinked.append(database.with_name("watch.db.serve1"))
            unlinked[0].unlink()
        really(lock, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with presence.announced(database, AT):
        monkeypatch.undo()
        assert [found.pid for found in presence.present(database)] == [os.getpid()]


# ---------------------------------------------------------------- the daemon


def serve_until_started(place, app, logs):
    async def work():
        daemon = asyncio.create_task(app.serve())
        while not any(entry["event"] == "watch.started" for entry in logs):  # noqa: ASYNC110 - it is started in threads
            await asyncio.sleep(0.005)
        app.stop()
        await daemon

    place.use(app, work)
    return [entry for entry in logs if entry["event"] == "watch.not_alone"]


def test_a_daemon_that_is_not_alone_warns_once_and_watches_all_the_same(place, local, logs):
    app = place.app({"a": local})
    with presence.announced(place.root / "watch.db", AT):
        [said] = serve_until_started(place, app, logs)

    assert said["log_level"] == "warning"
    assert said["sentence"].startswith("another `driftwatch serve` watches with this database: process ")
    assert said["sentence"].endswith("stop one")
    assert [entry["event"] for entry in logs][-1] == "watch.stopped"


def test_a_daemon_that_is_alone_says_nothing_of_it_and_leaves_no_file(place, local, logs):
    assert serve_until_started(place, place.app({"a": local}), logs) == []
    assert left(place.root / "watch.db") == []
