from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
import sqlalchemy as sa

from driftwatch.domain import Purpose, RunState


@pytest.fixture
def connection(world):
    """A file with one of everything, and a connection that knows nothing of the code above the tables."""
    baseline = world.baseline()
    run, _ = world.measured(baseline)
    _, anchors = world.measured(baseline, Purpose.ANCHOR)
    world.store.accept_anchors(baseline.id, [anchors[0].id])
    world.store.commit_judgement(world.verdict(run), [world.opening(run)], at=world.at(1))
    with world.store._database.plain() as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            """INSERT INTO run SELECT 99, target, scheduled_at, 'watch', 'claimed', 1, started_at, NULL,
            0, 0, 0, 0, NULL
            FROM run""",
            "UNIQUE constraint failed: run.target, run.scheduled_at",
        ),
        (
            """INSERT INTO notification SELECT 99, transition_id, receiver, 'pending', 'x', 0, next_attempt_at, NULL,
            NULL FROM notification""",
            "UNIQUE constraint failed: notification.transition_id, notification.receiver",
        ),
        (
            """INSERT INTO notification SELECT 99, transition_id, 'x', 'pending', dedup_key, 0, next_attempt_at, NULL,
            NULL FROM notification""",
            "UNIQUE constraint failed: notification.dedup_key",
        ),
        (
            """INSERT INTO baseline SELECT 99, target, 'k', 'active', '', '', created_at, NULL, NULL, 1, 1, NULL,
            NULL, NULL FROM baseline""",
            "UNIQUE constraint failed: baseline.target",
        ),
        (
            """INSERT INTO incident SELECT 99, target, kind, 'acknowledged', opened_at, onset_at, 1, 1, '{}', NULL,
            NULL, severity, NULL, '', trouble, 0 FROM incident""",
            "UNIQUE constraint failed: incident.target, incident.kind, incident.trouble",
        ),
        ("INSERT INTO verdict SELECT * FROM verdict", "UNIQUE constraint failed: verdict.run_id"),
        ("UPDATE run SET state = 'finished'", "CHECK constraint failed: ck_run_state"),
        ("UPDATE run SET purpose = 'test'", "CHECK constraint failed: ck_run_purpose"),
        ("UPDATE completion SET outcome = 'fine'", "CHECK constraint failed: ck_completion_outcome"),
        ("UPDATE baseline SET state = 'old'", "CHECK constraint failed: ck_baseline_state"),
        ("UPDATE verdict SET state = 'ok'", "CHECK constraint failed: ck_verdict_state"),
        ("UPDATE incident SET kind = 'mood'", "CHECK constraint failed: ck_incident_kind"),
        ("UPDATE incident SET state = 'closed'", "CHECK constraint failed: ck_incident_state"),
        ("UPDATE incident SET severity = 'dire'", "CHECK constraint failed: ck_incident_severity"),
        ("UPDATE incident SET part_of = 99", "FOREIGN KEY constraint failed"),
        ("UPDATE transition SET event = 'moved'", "CHECK constraint failed: ck_transition_event"),
        ("UPDATE transition SET after = 'closed'", "CHECK constraint failed: ck_transition_after"),
        ("UPDATE notification SET state = 'lost'", "CHECK constraint failed: ck_notification_state"),
        ("UPDATE membership SET purpose = 'x'", "CHECK constraint failed: ck_membership_purpose"),
        ("DELETE FROM completion", "FOREIGN KEY constraint failed"),
        ("DELETE FROM run", "FOREIGN KEY constraint failed"),
        ("DELETE FROM baseline", "FOREIGN KEY constraint failed"),
        ("DELETE FROM incident", "FOREIGN KEY constraint failed"),
    ],
)
def test_the_file_itself_refuses_what_must_not_be(connection, statement, told):
    with pytest.raises(sqlite3.IntegrityError) as raised:
        connection.execute(statement)
    assert str(raised.value) == told


def test_superseded_baselines_and_resolved_incidents_do_not_count_as_current(connection):
    for _ in range(2):
        connection.execute(
            "INSERT INTO baseline SELECT NULL, target, 'k', 'superseded', '', '', created_at, NULL, NULL, 1, 1, NULL, "
            "NULL, NULL FROM baseline WHERE id = 1"
        )
        connection.execute(
            "INSERT INTO incident SELECT NULL, target, kind, 'resolved', opened_at, onset_at, 1, 1, '{}', NULL, NULL, "
            "severity, NULL, '', '', 0 FROM incident WHERE id = 1"
        )
    assert connection.execute("SELECT count(*) FROM baseline").fetchone() == (3,)
    assert connection.execute("SELECT count(*) FROM incident").fetchone() == (3,)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store, _: store.runs("support", newest_first=True, limit=5),
        lambda store, _: store.runs("support", states=[RunState.MEASURED]),
        lambda store, at: store.runs(since=at, limit=5),
        lambda store, at: store.interrupt_stale_runs("support", before=at),
        lambda store, _: store.last_scheduled(["support"]),
        lambda store, _: store.series(1),
        lambda store, _: store.canary_values(1, "wording", [1]),
        lambda store, _: store.completions([1], canary_id="core/sum"),
        lambda store, _: store.anchors(1),
        lambda store, _: store.current_baseline("support"),
        lambda store, _: store.latest_verdict("support"),
        lambda store, _: store.told(run_ids=[1]),
        lambda store, _: store.told(baseline_id=1),
        lambda store, _: store.tripped("support", 1),
        lambda store, _: store.incidents(target="support", open_only=True),
        lambda store, _: store.incidents(open_only=True),
        lambda store, _: store.unanswered(),
        lambda store, at: store.revive("oncall", at=at),
        lambda store, _: store.transitions(1),
        lambda store, at: store.waiting(at),
        lambda store, at: store.waiting(at + timedelta(days=1)),
        lambda store, _: store.announcement(1),
        lambda store, _: store.group(1),
        lambda store, _: store.group_notifications(1),
        lambda store, at: store.rest("oncall", until=at, reason="busy", at=at),
        lambda store, at: store.wake("oncall", at=at),
        lambda store, at: store.silences(ending_after=at),
        lambda store, _: store.get_embeddings("rev", ["hash"]),
    ],
)
def test_the_frequent_questions_never_read_a_whole_table(world, connection, ask):
    asked = []
    engine = world.store._database._readers
    sa.event.listen(
        engine, "before_cursor_execute", lambda _c, _k, statement, given, *_: asked.append((statement, given))
    )
    ask(world.store, world.at())
    queries = [(statement, given) for statement, given in asked if not statement.startswith("BEGIN")]
    assert queries
    for statement, given in queries:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given)]
        # The one row that names the file is no table to speak of, and the index holds only what is open.
        known = ("VIRTUAL TABLE", "SCAN installation", "SCAN incident USING INDEX ix_incident_open")
        assert [step for step in plan if step.startswith("SCAN") and not any(word in step for word in known)] == []


def test_an_incident_opens_without_a_look_at_all_that_ever_were(world, connection):
    asked = []
    sa.event.listen(
        world.store._database._readers,
        "before_cursor_execute",
        lambda _c, _k, statement, given, *_: asked.append((statement, given)),
    )
    step = world.opening(world.store.runs()[0], target="other", cause="served openai")
    world.store.commit_judgement(None, [step], at=world.at(2), join=lambda step, _: step)
    queries = [(statement, given) for statement, given in asked if statement.startswith("SELECT")]
    plans = [row[3] for query in queries for row in connection.execute(f"EXPLAIN QUERY PLAN {query[0]}", query[1])]
    assert "SCAN incident USING INDEX ix_incident_open" in plans
    assert "SCAN incident" not in plans


def test_a_series_is_read_from_its_index_alone(connection):
    query = "SELECT run_id, channel, value FROM score WHERE baseline_id = 1 ORDER BY run_id, channel"
    assert "USING COVERING INDEX ix_score_series" in connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchone()[3]
