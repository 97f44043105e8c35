from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

from driftwatch.domain import Purpose
from driftwatch.errors import StoreError
from driftwatch.store import Store

NOBODY = 65_534


def sentence(path: Path, **options) -> str:
    """What a person is told; never a chain of tracebacks."""
    with pytest.raises(StoreError) as raised:
        Store.open(path, **options)
    assert "During handling" not in "".join(traceback.format_exception(raised.value))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def public():
    """A directory that every user may reach, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


@contextlib.contextmanager
def unprivileged():
    """Permissions do not bind root, so a run as root steps down for as long as they matter."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_new_file_has_the_newest_schema_and_opens_again(tmp_path):
    path = tmp_path / "a b%20ü'\".db"
    with Store.open(path) as store:
        assert store.schema_version == "0004"
        store.ping()
    with Store.open(path, create=False) as store:
        assert store.baselines() == []
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_empty_file_becomes_a_database(tmp_path):
    path = tmp_path / "empty.db"
    path.touch()
    Store.open(path).close()


def test_the_file_is_opened_as_promised(world):
    with world.store._database.reading() as session:
        pragma = {
            name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragma == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 10_000}


def test_a_missing_file_is_not_created_when_not_asked_to(tmp_path):
    path = tmp_path / "none.db"
    assert sentence(path, create=False) == f"there is no database at {path}; name the file that driftwatch wrote"
    assert not path.exists()


def test_a_missing_directory(tmp_path):
    path = tmp_path / "deep" / "er.db"
    assert sentence(path) == (
        f"the directory {tmp_path}/deep of the database {path} does not exist; create it or name another file"
    )


def test_a_directory_in_place_of_the_file(tmp_path):
    assert sentence(tmp_path) == f"{tmp_path} is a directory; name a file for the database"


@pytest.mark.parametrize("content", [b"targets:\n  support:\n", b"x", b"SQLite format 2\x00" * 100])
def test_a_file_that_is_not_sqlite_is_left_untouched(tmp_path, content):
    path = tmp_path / "driftwatch.yaml"
    path.write_bytes(content)
    assert sentence(path) == f"{path} is not a SQLite database; move it away or name another file"
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_truncated_header_is_not_sqlite(tmp_path):
    path = tmp_path / "cut.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 200)
    assert sentence(path) == f"{path} is not a SQLite database; move it away or name another file"


@pytest.mark.parametrize("marked", [False, True])
def test_another_programs_database_is_left_untouched(tmp_path, marked):
    path = tmp_path / "bookmarks.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE moz_bookmarks (id)" if not marked else "CREATE TABLE alembic_version (v)")
        connection.commit()
    content = path.read_bytes()
    assert sentence(path) == f"{path} is the database of another program; name another file"
    assert path.read_bytes() == content


def test_a_newer_database_is_refused_and_left_untouched(world):
    world.baseline()
    world.store.close()
    with contextlib.closing(sqlite3.connect(world.path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0042'")
        connection.commit()
    content = world.path.read_bytes()
    assert sentence(world.path) == (
        f"{world.path} was written by a newer driftwatch (revision 0042); upgrade driftwatch or name another file"
    )
    assert world.path.read_bytes() == content
    assert [p.name for p in world.path.parent.iterdir()] == ["driftwatch.db"]


def test_an_unwritable_directory(public):
    path = public / "driftwatch.db"
    public.chmod(0o555)
    with unprivileged():
        expected = (
            f"{public} is a directory that cannot be written, so the database {path} cannot be kept in it; "
            "change its permissions or name another file"
        )
        assert sentence(path) == expected


def test_a_read_only_file(public):
    path = public / "driftwatch.db"
    Store.open(path).close()
    path.chmod(0o444)
    with unprivileged():
        assert sentence(path) == f"{path} is read-only; change its permissions or name another file"


def test_an_unreadable_file(public):
    path = public / "driftwatch.db"
    Store.open(path).close()
    path.chmod(0o000)
    with unprivileged():
        assert sentence(path) == f"{path} cannot be read; change its permissions or name another file"


def test_a_directory_that_may_not_be_entered(public):
    closed = public / "closed"
    closed.mkdir(mode=0o700)
    path = closed / "driftwatch.db"
    with unprivileged() if os.geteuid() == 0 else contextlib.nullcontext(closed.chmod(0o000)):
        assert sentence(path).startswith(f"{path} could not be reached: Permission denied; name another file")
    closed.chmod(0o700)


def test_a_file_that_another_program_locks(world):
    world.store.close()
    with contextlib.closing(sqlite3.connect(world.path, isolation_level=None)) as other:
        store = Store.open(world.path, busy_timeout_s=0.05)
        other.execute("BEGIN IMMEDIATE")
        expected = f"{world.path} was locked by another program for 0.05 s; stop that program or try again"
        with pytest.raises(StoreError) as raised:
            store.interrupt_stale_runs(before=world.at())
        assert str(raised.value) == expected
        assert store.runs() == []  # readers are not held up
        other.execute("COMMIT")
        assert store.interrupt_stale_runs(before=world.at()) == 0
        store.close()


def test_a_locked_new_file_cannot_be_migrated(tmp_path):
    path = tmp_path / "new.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert sentence(path, busy_timeout_s=0.05) == (
            f"{path} was locked by another program for 0.05 s; stop that program or try again"
        )


def test_a_full_disk_loses_only_the_write_that_did_not_fit(world, make_completion):
    baseline = world.baseline()
    kept, stored = world.measured(baseline)
    run = world.claim(baseline)
    with world.store._database.reading() as session:
        connection = session.connection()
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError) as raised:
        world.store.record_measurement(
            run.id,
            completions=[make_completion(text="x" * 100_000)],
            scores=(),
            finished_at=world.at(),
            cost_usd=None,
        )
    assert str(raised.value) == (
        f"{world.path} could not be written because the disk is full; free some space and try again"
    )
    assert world.store.completions([kept.id, run.id]) == {kept.id: list(stored), run.id: []}
    assert world.store.runs()[-1] == run


def test_a_damaged_page_is_named_with_the_way_out(world, make_completion):
    run = world.claim(world.baseline())
    texts = [make_completion(text=str(n) * 3000) for n in range(200)]
    world.store.record_measurement(run.id, completions=texts, scores=(), finished_at=world.at(), cost_usd=None)
    world.store.close()
    content = bytearray(world.path.read_bytes())
    half = len(content) // 2 // 4096 * 4096  # the schema's own pages are in the first half
    content[half:] = b"\xa5" * (len(content) - half)
    world.path.write_bytes(content)
    with Store.open(world.path) as store, pytest.raises(StoreError) as raised:
        store.completions([run.id])
    assert str(raised.value) == (
        f"{world.path} is damaged, SQLite says: database disk image is malformed; "
        f"restore a copy, or save what can be read with `sqlite3 {world.path} .recover`"
    )


def test_a_file_that_was_removed_or_replaced_is_noticed(world):
    world.baseline()
    world.store.ping()
    expected = f"{world.path} was removed or replaced while it was open; put it back and restart driftwatch"
    world.path.rename(world.path.with_suffix(".old"))
    with pytest.raises(StoreError) as raised:
        world.store.ping()
    assert str(raised.value) == expected
    Store.open(world.path).close()
    with pytest.raises(StoreError, match="was removed or replaced"):
        world.store.ping()


def test_a_closed_store_says_so(world):
    world.store.close()
    world.store.close()
    for use in (
        world.store.ping,
        world.store.runs,
        lambda: world.store.interrupt_stale_runs(before=world.at()),
        lambda: world.store.set_members(1, [1], Purpose.WATCH),
    ):
        with pytest.raises(StoreError) as raised:
            use()
        assert str(raised.value) == f"{world.path} is closed; open the store again"


def test_importing_the_package_does_not_load_the_database_stack():
    program = (
        "import sys, driftwatch.store as s; assert 'sqlalchemy' not in sys.modules; "
        "s.Store; assert 'sqlmodel' in sys.modules and 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_has_no_other_names():
    import driftwatch.store  # noqa: PLC0415 - the module itself is under examination

    with pytest.raises(AttributeError, match="has no attribute 'Row'"):
        driftwatch.store.Row  # noqa: B018 - the access is the point


def test_switching_a_file_to_wal_waits_for_readers_and_then_says_so(world):
    world.store.close()
    with contextlib.closing(sqlite3.connect(world.path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN")
        other.execute("SELECT * FROM run").fetchall()
        assert sentence(world.path, busy_timeout_s=0.05) == (
            f"{world.path} was locked by another program for 0.05 s; stop that program or try again"
        )
        other.execute("COMMIT")
    Store.open(world.path).close()
