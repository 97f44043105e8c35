"""Bring a database to the newest schema, or refuse it untouched."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Connection

from driftwatch.errors import StoreError
from driftwatch.store.database import Database

log = structlog.get_logger()

APPLICATION_ID = 0x44574348
"""Marks a SQLite file as driftwatch's ("DWCH"). Source: https://sqlite.org/pragma.html#pragma_application_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """An Alembic directory and its revisions, oldest first.

    The revisions are repeated here so that opening a current database needs no import of Alembic; a test compares.
    """

    directory: Path
    revisions: tuple[str, ...]


PACKAGED = Scripts(directory=Path(__file__).parent / "migrations", revisions=("0001", "0002", "0003", "0004"))


def migrate(database: Database, *, scripts: Scripts = PACKAGED) -> str:
    """Create the schema, or bring an older one up to date after copying the file to ``NAME.bak-REVISION``.

    Everything happens in one transaction under the write lock: a failure or a kill leaves the file as it was, and of
    several processes that start together one migrates.

    Returns:
        The revision that the database now has.

    Raises:
        StoreError: the file belongs to another program or a newer driftwatch (it is left untouched), or a step failed.
    """
    newest = scripts.revisions[-1]
    with database.plain() as connection:
        found = _revision(database, connection, scripts)
    database.use_write_ahead_log()
    if found == newest:
        return newest
    with database.migrating() as transaction:
        found = _revision(database, _driver(transaction), scripts)
        if found == newest:
            return newest
        if found is not None:
            _copy(database, found)
        _upgrade(database, transaction, scripts)
        transaction.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    log.info("store.migrated", path=str(database.path), before=found, after=newest)
    return newest


def _revision(database: Database, connection: sqlite3.Connection, scripts: Scripts) -> str | None:
    """The revision of the file, None when it is empty; reads only."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not names:
        return None
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID or "alembic_version" not in names:
        raise StoreError(f"{database.path} is the database of another program; name another file")
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    found = str(revision[0]) if revision else "none"
    if found not in scripts.revisions:
        raise StoreError(
            f"{database.path} was written by a newer driftwatch (revision {found}); "
            "upgrade driftwatch or name another file",
        )
    return found


def _copy(database: Database, revision: str) -> None:
    """Keep a whole copy beside the file. Called under the write lock, so that nothing is written meanwhile."""
    copy = database.path.with_name(f"{database.path.name}.bak-{revision}")
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with database.plain() as connection:
        connection.execute("VACUUM INTO ?", (str(unfinished),))
    # A copy of the same revision is from an attempt that failed and changed nothing: the new one holds all it held.
    os.replace(unfinished, copy)  # noqa: PTH105 - says that an existing copy is replaced
    log.info("store.copied", path=str(database.path), copy=str(copy), revision=revision)


def _upgrade(database: Database, connection: Connection, scripts: Scripts) -> None:
    from alembic import command  # noqa: PLC0415 - takes .2 s, and a current database does not need it
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(scripts.directory).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise StoreError(
            f"{database.path} was not migrated: a row of {broken[0]} would point to no row of {broken[2]}; "
            "report this, the file is as it was",
        )


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        msg = "the store speaks to SQLite only"
        raise TypeError(msg)
    return driver
