from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from driftwatch.domain import Event, IncidentState, Kind, Step
from driftwatch.errors import StoreError
from driftwatch.store import Store
from driftwatch.store.database import Database
from driftwatch.store.migrate import PACKAGED, migrate
from driftwatch.store.tables import METADATA

LATER = """
from alembic import op
import sqlalchemy as sa

revision = "0005"
down_revision = "0004"


def upgrade():
    op.add_column("run", sa.Column("worker", sa.Text(), nullable=True))
    {then}
"""


def later(directory: Path, then: str = ""):
    """The packaged migrations and one more, as a release to come will have."""
    scripts = directory / "migrations 100%"
    shutil.copytree(PACKAGED.directory, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "v0005_later.py").write_text(LATER.format(then=then))
    return replace(PACKAGED, directory=scripts, revisions=(*PACKAGED.revisions, "0005"))


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
    assert bring(world.path, later(tmp_path)) == "0005"
    assert "worker" in schema(world.path)["run"]
    copy = world.path.with_name("driftwatch.db.bak-0004")
    assert "worker" not in schema(copy)["run"]
    with Store.open(copy) as store:
        assert store.baselines() == [baseline]
    with pytest.raises(StoreError, match=r"newer driftwatch \(revision 0005\)"):
        Store.open(world.path)


def test_what_only_the_write_ahead_log_holds_is_in_the_copy(world, tmp_path):
    baseline = world.baseline()  # the store stays open: nothing has been folded into the file
    assert bring(world.path, later(tmp_path)) == "0005"
    with Store.open(world.path.with_name("driftwatch.db.bak-0004")) as store:
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
    assert names == {"driftwatch.db", "driftwatch.db.bak-0004"}
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


def release(directory: Path, *revisions: str, rows: str) -> Path:
    """A database as the release with these revisions left it behind."""
    scripts = directory / "then"
    later_ones = [f"v{revision}*" for revision in PACKAGED.revisions if revision not in revisions]
    shutil.copytree(PACKAGED.directory, scripts, ignore=shutil.ignore_patterns("__pycache__", *later_ones))
    path = directory / "old.db"
    bring(path, replace(PACKAGED, directory=scripts, revisions=revisions))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(rows)
    return path


def first_release(directory: Path) -> Path:
    return release(directory, "0001", rows=OF_0001)


def test_incidents_and_verdicts_of_the_first_release_are_kept_with_all_that_points_to_them(tmp_path):
    with Store.open(first_release(tmp_path)) as store:
        assert store.schema_version == "0004"
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


OF_0003 = """
INSERT INTO baseline VALUES (1, 'support', 'k', 'superseded', 'ana', 'first', '2026-03-01 00:00:00',
    '2026-03-01 09:00:00', '2026-03-02 00:00:00', 8, 20, NULL);
INSERT INTO baseline VALUES (2, 'support', 'k', 'active', 'bo', 'accepted', '2026-03-02 00:00:00',
    '2026-03-02 00:00:00', NULL, 8, 20, 1);
INSERT INTO baseline_change VALUES (4, 2, 'collecting', 'active', '2026-03-02 00:00:00', 'bo', 'calibrated');
INSERT INTO run VALUES (7, 'support', '2026-03-02 01:00:00', 'watch', 'judged', 2, '2026-03-02 01:00:00', NULL, 1, 0,
    1, 7, 0.01);
INSERT INTO completion (id, run_id, canary_id, canary_hash, repeat, outcome, at, latency_s, text, attempts)
    VALUES (8, 7, 'core/a', 'h', 0, 'ok', '2026-03-02 01:00:00', 1.0, 'hi', 1);
INSERT INTO anchor VALUES (1, 8);
INSERT INTO verdict VALUES (7, 'support', 2, '2026-03-02 01:00:00', 'drifted', 'it has', 20, 1, '[]', '[]', NULL);
INSERT INTO incident VALUES (3, 'support', 'behaviour', 'acknowledged', '2026-03-02 01:00:00', '2026-03-02 00:00:00',
    2, 7, '{"headline":"it has"}', '2026-03-02 02:00:00', NULL);
INSERT INTO incident VALUES (4, 'support', 'availability', 'open', '2026-03-02 03:00:00', '2026-03-02 02:00:00', 2, 7,
    '{"headline":"it is down"}', NULL, NULL);
INSERT INTO incident VALUES (5, 'support', 'behaviour', 'resolved', '2026-03-01 01:00:00', '2026-03-01 01:00:00', 1, 7,
    '{}', NULL, '2026-03-01 05:00:00');
INSERT INTO transition VALUES (10, 5, NULL, 'open', '2026-03-01 01:00:00', 'driftwatch', 'earlier');
INSERT INTO transition VALUES (11, 5, 'open', 'resolved', '2026-03-01 05:00:00', 'ana', 'over');
INSERT INTO transition VALUES (12, 3, NULL, 'open', '2026-03-02 01:00:00', 'driftwatch', 'it has');
INSERT INTO transition VALUES (13, 3, 'open', 'acknowledged', '2026-03-02 02:00:00', 'bo', 'on it');
INSERT INTO transition VALUES (14, 4, NULL, 'open', '2026-03-02 03:00:00', 'driftwatch', 'it is down');
INSERT INTO notification VALUES (20, 10, 'oncall', 'sent', 'd10', 1, '2026-03-01 01:00:00',
    '2026-03-01 01:00:01', NULL);
INSERT INTO notification VALUES (21, 11, 'oncall', 'dead', 'd11', 1, '2026-03-01 05:00:00', NULL, 'revoked');
INSERT INTO notification VALUES (22, 12, 'oncall', 'sent', 'd12', 2, '2026-03-02 01:00:00',
    '2026-03-02 01:01:00', NULL);
INSERT INTO notification VALUES (23, 14, 'oncall', 'pending', 'd14', 3, '2026-03-02 03:10:00', NULL, 'HTTP 503');
INSERT INTO notification VALUES (24, 14, 'log', 'pending', 'd14l', 0, '2026-03-02 03:00:00', NULL, NULL);
"""
"""A watch in the midst of things, as revision 0003 stored it."""


def test_a_watch_in_the_midst_of_things_goes_on_after_the_migration(tmp_path):
    path = release(tmp_path, "0001", "0002", "0003", rows=OF_0003)
    at = datetime(2026, 3, 2, 4, tzinfo=UTC)
    with Store.open(path) as store:
        assert store.schema_version == "0004"
        told = {incident.id: incident for incident in store.incidents()}
        assert {
            n: (i.kind, i.state, i.severity, i.part_of, i.cause, i.trouble, i.n_reopened) for n, i in told.items()
        } == {
            3: ("behaviour", "acknowledged", "critical", None, "", "", 0),
            4: ("availability", "open", "warning", None, "", "", 0),
            5: ("behaviour", "resolved", "critical", None, "", "", 0),
        }
        assert [(t.id, t.event, t.reason) for n in (5, 3, 4) for t in store.transitions(n)] == [
            (10, "opened", "earlier"),
            (11, "resolved", "over"),
            (12, "opened", "it has"),
            (13, "acknowledged", "on it"),
            (14, "opened", "it is down"),
        ]
        assert [(n.id, n.state, n.attempts, n.last_error) for n in store.notifications()] == [
            (20, "sent", 1, None),
            (21, "dead", 1, "revoked"),
            (22, "sent", 2, None),
            (23, "pending", 3, "HTTP 503"),
            (24, "pending", 0, None),
        ]
        assert [(b.id, b.parent_id, b.expires_at, b.scope) for b in store.baselines()] == [
            (1, None, None, ()),
            (2, 1, None, ()),
        ]
        assert [c.after for c in store.baseline_changes("support")] == ["active"]
        assert store.anchors(1)["core/a"][0].id == 8
        assert store.latest_verdict("support").state == "drifted"
        due = store.waiting(at)
        assert [(a.dedup_key, a.incident.id, a.receipt) for _, a in due] == [("d14", 4, None), ("d14l", 4, None)]
        # And what was written before can be moved: the outage ends, and who was told of it is told.
        ending = Step(
            incident_id=4,
            target="support",
            kind=Kind.AVAILABILITY,
            before=IncidentState.OPEN,
            after=IncidentState.RESOLVED,
            at=at,
            author="driftwatch",
            reason="back",
            onset_at=at,
            baseline_id=2,
            run_id=7,
            event=Event.RESOLVED,
        )
        store.commit_judgement(None, [ending], at=at)
        assert [n.receiver for n in store.group_notifications(4)] == ["oncall", "log", "oncall", "log"]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert len(connection.execute("SELECT name FROM installation").fetchone()[0]) == 8
    copy = path.with_name("old.db.bak-0003")
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM notification WHERE state = 'pending'").fetchone() == (2,)
        assert "severity" not in schema(copy)["incident"]


def test_two_installations_have_two_names(tmp_path):
    names = set()
    for name in ("one.db", "two.db"):
        Store.open(tmp_path / name).close()
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as connection:
            names |= {found for (found,) in connection.execute("SELECT name FROM installation")}
    assert len(names) == 2


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
