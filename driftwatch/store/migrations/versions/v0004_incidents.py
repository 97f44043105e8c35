"""Incidents form groups, come back and are graded; silences, receipts, acceptances for a while, changes of our own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite changes no constraint of a table, and writes an added column behind the constraints: all are made anew.
    # Under the names they have, for the rows that point to them. Foreign keys are off meanwhile.
    # Source: https://sqlite.org/lang_altertable.html, section 7.
    baselines = _set_aside("baseline", "ix_baseline_current", "ix_baseline_target")
    op.create_table(
        "baseline",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("series_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("activated_at", sa.DateTime(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(), nullable=True),
        sa.Column("anchors_wanted", sa.Integer(), nullable=False),
        sa.Column("calibration_wanted", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('collecting', 'active', 'superseded')", name=op.f("ck_baseline_state")),
        sa.ForeignKeyConstraint(["parent_id"], ["baseline.id"], name=op.f("fk_baseline_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_baseline")),
    )
    _bring_back("baseline", baselines)
    current = sa.text("state IN ('collecting', 'active')")
    op.create_index("ix_baseline_current", "baseline", ["target"], unique=True, sqlite_where=current)
    op.create_index("ix_baseline_target", "baseline", ["target", "id"], unique=False)

    incidents = _set_aside("incident", "ix_incident_open", "ix_incident_target")
    op.create_table(
        "incident",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("onset_at", sa.DateTime(), nullable=False),
        sa.Column("baseline_id", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("part_of", sa.Integer(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("n_reopened", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('behaviour', 'performance', 'availability', 'tripwire', 'watch-itself')",
            name=op.f("ck_incident_kind"),
        ),
        sa.CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_incident_state")),
        sa.CheckConstraint("severity IN ('critical', 'warning', 'info')", name=op.f("ck_incident_severity")),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_incident_baseline_id")),
        sa.ForeignKeyConstraint(["part_of"], ["incident.id"], name=op.f("fk_incident_part_of")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_incident_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    # What was open before is as grave as it would be found today, and stands alone.
    severity = "CASE WHEN kind = 'behaviour' THEN 'critical' ELSE 'warning' END"
    _bring_back("incident", incidents, severity=severity, cause="''", trouble="''", n_reopened="0")
    op.create_index(
        "ix_incident_open",
        "incident",
        ["target", "kind", "trouble"],
        unique=True,
        sqlite_where=sa.text("state != 'resolved'"),
    )
    op.create_index("ix_incident_part_of", "incident", ["part_of"], unique=False)
    op.create_index("ix_incident_target", "incident", ["target", "id"], unique=False)

    transitions = _set_aside("transition", "ix_transition_incident")
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.CheckConstraint("after IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_transition_after")),
        sa.CheckConstraint(
            "event IN ('opened', 'joined', 'escalated', 'reopened', 'reminded', 'acknowledged', 'commented', "
            "'resolved')",
            name=op.f("ck_transition_event"),
        ),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_transition_incident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transition")),
    )
    event = "CASE after WHEN 'open' THEN 'opened' ELSE after END"
    _bring_back("transition", transitions, event=event)
    op.create_index("ix_transition_incident", "transition", ["incident_id"], unique=False)

    notifications = _set_aside("notification", "ix_notification_due")
    op.create_table(
        "notification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transition_id", sa.Integer(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'sent', 'dead', 'muted')", name=op.f("ck_notification_state")),
        sa.ForeignKeyConstraint(["transition_id"], ["transition.id"], name=op.f("fk_notification_transition_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_notification_dedup_key")),
        sa.UniqueConstraint("transition_id", "receiver", name=op.f("uq_notification_transition_id_receiver")),
    )
    _bring_back("notification", notifications)
    op.create_index("ix_notification_due", "notification", ["state", "next_attempt_at"], unique=False)

    op.create_table(
        "receipt",
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_receipt_incident_id")),
        sa.PrimaryKeyConstraint("receiver", "incident_id", name=op.f("pk_receipt")),
    )
    op.create_table(
        "silence",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("match", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(), nullable=False),
        sa.Column("ends_at", sa.DateTime(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silence")),
    )
    op.create_index("ix_silence_ends_at", "silence", ["ends_at"], unique=False)
    op.create_table(
        "harness",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("changed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_harness")),
    )
    op.create_table(
        "installation",
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
    )
    op.execute("INSERT INTO installation (name) VALUES (lower(hex(randomblob(4))))")


def _set_aside(table: str, *indexes: str) -> str:
    """Move a table's rows into a copy without constraints; returns the names of its columns."""
    columns = ", ".join(f'"{row[1]}"' for row in op.get_bind().exec_driver_sql(f"PRAGMA table_info({table})"))
    op.execute(f"CREATE TABLE {table}_before_0004 AS SELECT {columns} FROM {table}")  # noqa: S608 - our own names
    for index in indexes:
        op.drop_index(index, table)
    op.drop_table(table)
    return columns


def _bring_back(table: str, columns: str, **added: str) -> None:
    names = ", ".join([columns, *added])
    values = ", ".join([columns, *added.values()])
    op.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}_before_0004 AS before")  # noqa: S608 - our own names
    op.drop_table(f"{table}_before_0004")
