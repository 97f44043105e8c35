"""Which ``driftwatch serve`` watch with one database: more than one is safe, and told of, never refused.

Each holds an operating system's lock on a small file beside the database, which ends with the process however it ends.
The database itself cannot be locked for this: closing it here would end SQLite's own locks on it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PLACES = 4
"""How many of one database are told apart; further ones hear of these."""

TRIES, PAUSE_S = 5, 0.02
"""How often a place that looks taken is tried, and the pause between, s: ``present`` holds a free one for a moment."""

_LONGEST = 1000
"""Bytes that are read of such a file: it is somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """One ``driftwatch serve``, as it introduced itself."""

    pid: int | None
    """Of its process; None when the file says nothing readable."""
    host: str
    since: str
    """When it began, in words."""

    @property
    def words(self) -> str:
        """Which process, where and since when."""
        return f"process {self.pid} on {self.host}, since {self.since} UTC" if self.pid else "a process"


@contextmanager
def announced(database: Path, at: datetime) -> Iterator[list[Presence]]:
    """Be seen for as long as the block lasts.

    Args:
        database: the file that is watched with.
        at: now, aware UTC.

    Yields:
        The others. Empty too where no lock can be had: a directory that is read-only, a file system without locks.
    """
    lock, mine = _claim(database, at)
    try:
        yield _others(database, besides=mine)
    finally:
        if lock is not None and mine is not None:
            with suppress(OSError):
                mine.unlink()  # while it is still held: nobody can have taken it meanwhile
            os.close(lock)


def present(database: Path) -> list[Presence]:
    """Every ``driftwatch serve`` that can be seen, also from another process; empty where locks cannot be read."""
    return _others(database, besides=None)


def _claim(database: Path, at: datetime) -> tuple[int | None, Path | None]:
    """The first free place: its open file, which holds the lock, and the file's path."""
    for place in _places(database):
        for _ in range(TRIES):
            try:
                lock = os.open(place, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError:
                return None, None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                time.sleep(PAUSE_S)
                continue
            except OSError:
                os.close(lock)
                return None, None
            if not _is_still(lock, place):
                os.close(lock)  # its holder has ended and taken the file along
                continue
            mine = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{at:%Y-%m-%d %H:%M}"}
            with suppress(OSError):
                os.ftruncate(lock, 0)
                os.write(lock, json.dumps(mine).encode())
            return lock, place
    return None, None


def _others(database: Path, *, besides: Path | None) -> list[Presence]:
    return [found for place in _places(database) if place != besides and (found := _holder(place)) is not None]


def _holder(place: Path) -> Presence | None:
    """Who holds a place; None when nobody does, or it cannot be known."""
    try:
        lock = os.open(place, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(lock)
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(lock)


def _read(lock: int) -> Presence:
    try:
        said = json.loads(os.read(lock, _LONGEST))
        return Presence(pid=int(said["pid"]), host=_word(said["host"]), since=_word(said["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Presence(pid=None, host="", since="")


def _word(said: object) -> str:
    """What another program wrote, so that it cannot move the cursor."""
    return "".join(c for c in str(said) if c.isprintable())


def _is_still(lock: int, place: Path) -> bool:
    """Whether the open file is the one that the path names."""
    try:
        return os.path.samestat(os.fstat(lock), place.stat())
    except OSError:
        return False


def _places(database: Path) -> list[Path]:
    """Beside the file itself, so that two names of one database meet."""
    file = database.resolve()
    return [file.with_name(f"{file.name}.serve{number}") for number in range(1, PLACES + 1)]
