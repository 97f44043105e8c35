"""Incidents may be of kind tripwire, and verdicts note the tripwires they found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite changes no constraint of a table, and writes an added column behind the constraints: both are made anew.
    # Under the names they have, for the rows that point to them. Foreign keys are off meanwhile.
    # Source: https://sqlite.org/lang_altertable.html, section 7.
    incidents = _set_aside("incident", "ix_incident_open", "ix_incident_target")
    op.create_table(
        "incident",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("onset_at", sa.DateTime(), nullable=False),
        sa.Column("baseline_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('behaviour', 'performance', 'availability', 'tripwire')", name=op.f("ck_incident_kind")
        ),
        sa.CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_incident_state")),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_incident_baseline_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_incident_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    _bring_back("incident", incidents)
    op.create_index(
        "ix_incident_open", "incident", ["target", "kind"], unique=True, sqlite_where=sa.text("state != 'resolved'")
    )
    op.create_index("ix_incident_target", "incident", ["target", "id"], unique=False)

    verdicts = _set_aside("verdict", "ix_verdict_at", "ix_verdict_target")
    op.create_table(
        "verdict",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("baseline_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("n_calibration", sa.Integer(), nullable=False),
        sa.Column("n_monitored", sa.Integer(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("channels", sa.Text(), nullable=False),
        sa.Column("tripwires", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('calibrating', 'stable', 'drifted', 'inconclusive')", name=op.f("ck_verdict_state")
        ),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_verdict_baseline_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_verdict_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_verdict")),
    )
    _bring_back("verdict", verdicts)
    op.create_index("ix_verdict_at", "verdict", ["at"], unique=False)
    op.create_index("ix_verdict_target", "verdict", ["target", "at"], unique=False)
    op.create_index(
        "ix_verdict_tripped",
        "verdict",
        ["target", "baseline_id"],
        unique=False,
        sqlite_where=sa.text("tripwires IS NOT NULL"),
    )


def _set_aside(table: str, *indexes: str) -> str:
    """Move a table's rows into a copy without constraints; returns the names of its columns."""
    columns = ", ".join(row[1] for row in op.get_bind().exec_driver_sql(f"PRAGMA table_info({table})"))
    op.execute(f"CREATE TABLE {table}_before_0002 AS SELECT {columns} FROM {table}")  # noqa: S608 - our own names
    for index in indexes:
        op.drop_index(index, table)
    op.drop_table(table)
    return columns


def _bring_back(table: str, columns: str) -> None:
    op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_before_0002")  # noqa: S608 - our own names
    op.drop_table(f"{table}_before_0002")
