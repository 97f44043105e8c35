from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from driftwatch.errors import StoreError
from driftwatch.store import Store
from driftwatch.store.database import Database
from driftwatch.store.migrate import PACKAGED, migrate
from driftwatch.store.tables import METADATA

LATER = """
from alembic import op
import sqlalchemy as sa

revision = "0004"
down_revision = "0003"


def upgrade():
    op.add_column("run", sa.Column("worker", sa.Text(), nullable=True))
    {then}
"""


def later(directory: Path, then: str = ""):
    """The packaged migrations and one more, as a release to come will have."""
    scripts = directory / "migrations 100%"
    shutil.copytree(PACKAGED.directory, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "v0004_later.py").write_text(LATER.format(then=then))
    return replace(PACKAGED, directory=scripts, revisions=(*PACKAGED.revisions, "0004"))


def bring(path: Path, scripts):
    database = Database(path, busy_timeout_s=5)
    try:
        return migrate(database, scripts=scripts)
    finally:
        database.close()


def schema(path: Path) -> dict[str, str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    # SQLAlchemy keeps no order among a table's constraints; all of them are named, so sorting loses nothing.
    return {
        name: ", ".join(sorted(" ".join(sql.split()).removesuffix(" )").split(", CONSTRAINT ")))
        for name, sql in rows
        if name != "alembic_version"
    }


def test_the_migrated_schema_equals_the_tables(world):
    with world.store._database.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"target_metadata": METADATA})
        assert compare_metadata(context, METADATA) == []


def test_constraints_too_are_the_same_to_the_letter(world, tmp_path):
    """Alembic compares neither checks nor the conditions of partial indexes."""
    path = tmp_path / "created.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    METADATA.create_all(engine)
    engine.dispose()
    assert len(schema(path)) > 20
    assert schema(world.path) == schema(path)


def test_the_list_of_revisions_is_that_of_the_scripts():
    found = [script.revision for script in ScriptDirectory(str(PACKAGED.directory)).walk_revisions()]
    assert tuple(reversed(found)) == PACKAGED.revisions


def test_an_older_database_is_copied_before_it_is_migrated(world, tmp_path):
    baseline = world.baseline()
    world.store.close()
    assert bring(world.path, later(tmp_path)) == "0004"
    assert "worker" in schema(world.path)["run"]
    copy = world.path.with_name("driftwatch.db.bak-0003")
    assert "worker" not in schema(copy)["run"]
    with Store.open(copy) as store:
        assert store.baselines() == [baseline]
    with pytest.raises(StoreError, match=r"newer driftwatch \(revision 0004\)"):
        Store.open(world.path)


def test_what_only_the_write_ahead_log_holds_is_in_the_copy(world, tmp_path):
    baseline = world.baseline()  # the store stays open: nothing has been folded into the file
    assert bring(world.path, later(tmp_path)) == "0004"
    with Store.open(world.path.with_name("driftwatch.db.bak-0003")) as store:
        assert store.baselines() == [baseline]


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("raise ValueError('no such luck')", "no such luck"),
        ("op.execute('INSERT INTO nowhere VALUES (1)')", "no such table: nowhere"),
        (
            'op.execute("INSERT INTO anchor VALUES (7, 7)")',
            "was not migrated: a row of anchor would point to no row of",
        ),
    ],
)
def test_a_migration_that_fails_leaves_the_file_as_it_was(world, tmp_path, then, told):
    baseline = world.baseline()
    world.store.close()
    before = schema(world.path)
    scripts = later(tmp_path, then)
    for _ in range(2):  # a daemon that restarts must not pile up copies
        with pytest.raises((StoreError, ValueError), match=told):
            bring(world.path, scripts)
    assert schema(world.path) == before
    names = {p.name for p in world.path.parent.iterdir() if p.is_file()}
    assert names == {"driftwatch.db", "driftwatch.db.bak-0003"}
    with Store.open(world.path) as store:
        assert store.baselines() == [baseline]


OF_0001 = """
INSERT INTO baseline VALUES (1, 'support', 'k', 'active', 'ana', 'first', '2026-03-02 00:00:00', NULL, NULL, 8, 20,
    NULL);
INSERT INTO run VALUES (7, 'support', '2026-03-02 01:00:00', 'watch', 'judged', 1, '2026-03-02 01:00:00', NULL, 1, 0,
    NULL);
INSERT INTO completion (id, run_id, canary_id, canary_hash, repeat, outcome, at, latency_s, text, input_tokens,
    output_tokens, attempts) VALUES (8, 7, 'core/a', 'h', 0, 'ok', '2026-03-02 01:00:00', 1.0, 'hi', 5, 2, 3);
INSERT INTO verdict VALUES (7, 'support', 1, '2026-03-02 01:00:00', 'drifted', 'it has', 20, 1,
    '[{"kind":"behaviour","evidence":9000.0,"threshold":8766.0,"is_drifted":true,"alarm_at":null,"onset_at":null,'
    || '"runs_since_onset":1}]', '[]');
INSERT INTO incident VALUES (3, 'support', 'behaviour', 'open', '2026-03-02 01:00:00', '2026-03-02 01:00:00', 1, 7,
    '{"headline":"it has"}', NULL, NULL);
INSERT INTO transition VALUES (5, 3, NULL, 'open', '2026-03-02 01:00:00', 'driftwatch', 'it has');
INSERT INTO notification VALUES (6, 5, 'oncall', 'pending', 'd', 0, '2026-03-02 01:00:00', NULL, NULL);
"""
"""One of everything that a migration rebuilds or that points to it, as release 0001 stored it."""


def first_release(directory: Path) -> Path:
    scripts = directory / "first"
    shutil.copytree(PACKAGED.directory, scripts, ignore=shutil.ignore_patterns("__pycache__", "v0002*", "v0003*"))
    path = directory / "old.db"
    bring(path, replace(PACKAGED, directory=scripts, revisions=("0001",)))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(OF_0001)
    return path


def test_incidents_and_verdicts_of_the_first_release_are_kept_with_all_that_points_to_them(tmp_path):
    with Store.open(first_release(tmp_path)) as store:
        assert store.schema_version == "0003"
        [incident] = store.incidents(open_only=True)
        assert (incident.id, incident.kind, incident.evidence) == (3, "behaviour", {"headline": "it has"})
        assert [t.reason for t in store.transitions(3)] == ["it has"]
        assert [n.dedup_key for n in store.notifications(3)] == ["d"]
        verdict = store.latest_verdict("support")
        assert (verdict.run_id, verdict.state, verdict.tripwires) == (7, "drifted", ())
        [run] = store.runs("support")
        assert (run.id, run.n_requests, run.n_tokens) == (7, 3, 7)
        [completion] = store.completions([7])[7]
        assert (completion.id, completion.text, completion.upstream, completion.headers) == (8, "hi", None, {})
        assert (verdict.kinds[0].evidence, verdict.kinds[0].is_suspicious, verdict.kinds[0].problem) == (
            9000,
            False,
            None,
        )


def test_a_file_of_the_first_release_becomes_the_same_as_a_new_one(tmp_path):
    path = first_release(tmp_path)
    Store.open(path).close()
    Store.open(tmp_path / "new.db").close()
    assert schema(path) == schema(tmp_path / "new.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE incident SET kind = 'tripwire'")
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%before%'").fetchall() == []


def test_a_current_database_is_not_copied(world):
    world.store.close()
    Store.open(world.path).close()
    assert [p.name for p in world.path.parent.iterdir()] == ["driftwatch.db"]


def test_many_processes_may_create_one_file_at_once(tmp_path):
    program = (
        "import sys; from pathlib import Path; from driftwatch.store import Store; "
        "Store.open(Path(sys.argv[1])).close()"
    )
    path = tmp_path / "new.db"
    children = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(4)]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0, 0]
    Store.open(path, create=False).close()
    assert [p.name for p in tmp_path.iterdir()] == ["new.db"]


def test_the_migrations_are_part_of_the_package():
    assert (PACKAGED.directory / "env.py").is_file()
    assert (PACKAGED.directory / "script.py.mako").is_file()
    assert PACKAGED.directory.parent == Path(sys.modules["driftwatch.store.migrate"].__file__).parent
