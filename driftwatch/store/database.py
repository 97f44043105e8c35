"""One SQLite file: how it is reached, who may write, and what is said when it cannot be."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, func, literal, select
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from driftwatch.clock import stopwatch
from driftwatch.domain import Json
from driftwatch.errors import StoreError
from driftwatch.store.columns import JsonText

_HEADER = b"SQLite format 3\x00"
"""The first 16 bytes of every SQLite file. Source: https://sqlite.org/fileformat2.html, section 1.3."""

_WRITER = threading.Lock()
"""SQLite has one writer at a time; threads of this process queue here instead of polling the file's lock."""


class Database:
    """A SQLite file in WAL mode with enforced foreign keys.

    Args:
        path: the file, as the user named it.
        busy_timeout_s: how long to wait for another process that writes, seconds.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float) -> None:
        self.path = path
        self.busy_timeout_s = busy_timeout_s
        self._readers = self._engine()
        event.listen(self._readers, "connect", _enforce)
        event.listen(self._readers, "begin", _begin)
        self._writers = self._readers.execution_options(immediate=True)
        self._inode: int | None = None
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one consistent snapshot, which sees no write that is committed after its first read."""
        self._refuse_if_closed()
        with self.explained(), Session(self._readers) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is the file's only writer: all it does is kept, or, after an exception, nothing."""
        self._refuse_if_closed()
        with self.explained(), _WRITER, Session(self._writers) as session, session.begin():
            yield session

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A write transaction with foreign keys off, as rebuilding a table needs. Check them before leaving it.

        Source: https://sqlite.org/lang_altertable.html, section 7, steps 1 and 10.
        """
        engine = self._engine(poolclass=NullPool)
        event.listen(engine, "begin", _begin)
        with self.explained(), _WRITER, engine.execution_options(immediate=True).begin() as connection:
            yield connection

    @contextmanager
    def plain(self) -> Iterator[sqlite3.Connection]:
        """A bare connection outside any transaction, for what SQLite does not allow inside one."""
        with self.explained(), closing(self._connect()) as connection:
            yield connection

    def preflight(self, *, create: bool) -> None:
        """Say what is wrong with the path before SQLite touches it.

        Raises:
            StoreError: no such directory or file, not readable or writable, or another kind of file.
        """
        with self.explained():
            if not self.path.parent.is_dir():
                raise StoreError(
                    f"the directory {self.path.parent} of the database {self.path} does not exist; "
                    "create it or name another file",
                )
            if self.path.is_dir():
                raise StoreError(f"{self.path} is a directory; name a file for the database")
            if not self.path.exists():
                if not create:
                    raise StoreError(f"there is no database at {self.path}; name the file that driftwatch wrote")
                self._refuse_unless(self.path.parent, os.W_OK, "is a directory that cannot be written")
                return
            self._refuse_unless(self.path, os.R_OK, "cannot be read")
            with self.path.open("rb") as file:
                header = file.read(len(_HEADER))
            if header not in (b"", _HEADER):
                raise StoreError(f"{self.path} is not a SQLite database; move it away or name another file")
            self._refuse_unless(self.path, os.W_OK, "is read-only")
            self._refuse_unless(self.path.parent, os.W_OK, "is a directory that cannot be written")

    def use_write_ahead_log(self) -> None:
        """Switch the file to WAL, which it then remembers, so that readers and the writer never wait for each other."""
        with self.plain() as connection:
            elapsed_s = stopwatch()
            while True:
                try:
                    connection.execute("PRAGMA journal_mode = WAL")
                except sqlite3.OperationalError as error:
                    # SQLite does not wait for this lock itself when two processes create the file at once.
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or elapsed_s() > self.busy_timeout_s:
                        raise
                    time.sleep(0.01)
                else:
                    break
        self._inode = self.path.stat().st_ino

    def ping(self) -> None:
        """Check that the file still answers and is still the one that was opened.

        Raises:
            StoreError: it does not, or was removed or replaced: SQLite would go on writing to the unlinked file.
        """
        self._refuse_if_closed()
        with self.explained():
            if not self.path.exists() or self.path.stat().st_ino != self._inode:
                raise StoreError(
                    f"{self.path} was removed or replaced while it was open; put it back and restart driftwatch",
                )
            with self._readers.connect() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM alembic_version")

    def close(self) -> None:
        """Close every connection; the last one folds the write-ahead log into the file."""
        self._is_closed = True
        self._readers.dispose()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what SQLite and the operating system raise into one StoreError sentence that names the file."""
        try:
            yield
        except DBAPIError as error:
            raise self._sentence(error.orig) from None
        except StatementError as error:
            # A value that its column refuses is the caller's mistake, not the file's.
            if isinstance(error.orig, ValueError):
                raise ValueError(str(error.orig)) from None  # noqa: TRY004 - a naive datetime
            raise
        except (sqlite3.Error, OSError) as error:
            raise self._sentence(error) from None

    def _sentence(self, error: BaseException | None) -> StoreError:
        if isinstance(error, OSError):
            return StoreError(f"{self.path} could not be reached: {error.strerror}; name another file")
        # The low byte is the primary code. Source: https://sqlite.org/rescode.html, section 2.
        code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
        sentence = _SENTENCES.get(code, "{path} could not be used, SQLite says: {error}")
        return StoreError(
            sentence.format(path=self.path, parent=self.path.parent, error=error, waited_s=f"{self.busy_timeout_s:g}"),
        )

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise StoreError(f"{self.path} is closed; open the store again")

    def _refuse_unless(self, path: Path, mode: int, problem: str) -> None:
        if not os.access(path, mode, effective_ids=os.access in os.supports_effective_ids):
            of = "" if path == self.path else f", so the database {self.path} cannot be kept in it"
            raise StoreError(f"{path} {problem}{of}; change its permissions or name another file")

    def _engine(self, **options: Any) -> Engine:
        url = URL.create("sqlite", database=str(self.path.absolute()))
        # isolation_level None: Python's sqlite3 would otherwise begin transactions by itself, and too late.
        arguments = {"isolation_level": None, "timeout": self.busy_timeout_s}
        return create_engine(url, connect_args=arguments, hide_parameters=True, **options)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path.absolute(), isolation_level=None, timeout=self.busy_timeout_s)


def among(values: Sequence[Json]) -> Select[Any]:
    """A subquery over any number of values, past SQLite's limit of 32,766 parameters: ``column.in_(among(ids))``."""
    return select(func.json_each(literal(list(values), JsonText())).table_valued("value").c.value)


def _enforce(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    # Safe with WAL: a power cut may lose the last commits, it cannot tear one. Source: https://sqlite.org/pragma.html.
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a transaction that reads first and writes later could be refused midway.
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


_SENTENCES = {
    sqlite3.SQLITE_BUSY: "{path} was locked by another program for {waited_s} s; stop that program or try again",
    sqlite3.SQLITE_LOCKED: "{path} was locked by another program for {waited_s} s; stop that program or try again",
    sqlite3.SQLITE_READONLY: "{path} is read-only; change its permissions or name another file",
    sqlite3.SQLITE_PERM: "{path} is read-only; change its permissions or name another file",
    sqlite3.SQLITE_CANTOPEN: "{path} cannot be opened; check that the directory {parent} exists and can be written",
    sqlite3.SQLITE_FULL: "{path} could not be written because the disk is full; free some space and try again",
    sqlite3.SQLITE_IOERR: "{path} could not be read or written, SQLite says: {error}; check the disk and try again",
    sqlite3.SQLITE_CORRUPT: "{path} is damaged, SQLite says: {error}; restore a copy, or save what can be read with "
    "`sqlite3 {path} .recover`",
    sqlite3.SQLITE_NOTADB: "{path} is not a SQLite database; move it away or name another file",
    sqlite3.SQLITE_CONSTRAINT: "{path} refused a write that contradicts what it holds: {error}",
}
"""SQLite's primary result code → what to tell a person. Source: https://sqlite.org/rescode.html."""
