"""Completions keep what the wires of more providers tell, runs what they spent, targets what lists of models say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite changes no constraint of a table, and writes an added column behind the constraints: both are made anew.
    # Under the names they have, for the rows that point to them. Foreign keys are off meanwhile.
    # Source: https://sqlite.org/lang_altertable.html, section 7.
    completions = _set_aside("completion", "ix_completion_run")
    op.create_table(
        "completion",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("canary_id", sa.Text(), nullable=False),
        sa.Column("canary_hash", sa.Text(), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("latency_s", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("finish_detail", sa.Text(), nullable=True),
        sa.Column("tool_calls", sa.Text(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=True),
        sa.Column("ttft_s", sa.Float(), nullable=True),
        sa.Column("gap_median_s", sa.Float(), nullable=True),
        sa.Column("gap_max_s", sa.Float(), nullable=True),
        sa.Column("served_model", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("upstream", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("deprecation", sa.Text(), nullable=True),
        sa.Column("logprobs", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('ok', 'timeout', 'connection', 'rate_limited', 'unavailable', 'auth', 'quota', 'model_gone', "
            "'filtered', 'rejected', 'empty_body', 'not_json', 'malformed', 'too_large', 'error_body', 'cut_off', "
            "'not_asked')",
            name=op.f("ck_completion_outcome"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_completion_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_completion")),
    )
    _bring_back("completion", completions)
    op.create_index("ix_completion_run", "completion", ["run_id", "canary_id"], unique=False)

    runs = _set_aside("run", "ix_run_baseline", "ix_run_scheduled_at", "ix_run_state")
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("baseline_id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("n_ok", sa.Integer(), nullable=False),
        sa.Column("n_failed", sa.Integer(), nullable=False),
        sa.Column("n_requests", sa.Integer(), nullable=False),
        sa.Column("n_tokens", sa.Integer(), nullable=False),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.CheckConstraint("purpose IN ('anchor', 'calibration', 'watch')", name=op.f("ck_run_purpose")),
        sa.CheckConstraint("state IN ('claimed', 'measured', 'judged', 'interrupted')", name=op.f("ck_run_state")),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_run_baseline_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("target", "scheduled_at", name=op.f("uq_run_target_scheduled_at")),
    )
    _bring_back(
        "run",
        runs,
        n_requests="COALESCE((SELECT SUM(attempts) FROM completion WHERE run_id = before.id), 0)",
        n_tokens="COALESCE((SELECT SUM(COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0)) FROM completion "
        "WHERE run_id = before.id), 0)",
    )
    op.create_index("ix_run_baseline", "run", ["baseline_id", "scheduled_at"], unique=False)
    op.create_index("ix_run_scheduled_at", "run", ["scheduled_at"], unique=False)
    spent = ["started_at", "target", "state", "n_requests", "n_tokens", "cost_usd"]
    op.create_index("ix_run_spent", "run", spent, unique=False)
    op.create_index("ix_run_state", "run", ["state", "target"], unique=False)

    op.create_table(
        "lookup",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("looked_at", sa.DateTime(), nullable=False),
        sa.Column("is_listed", sa.Boolean(), nullable=True),
        sa.Column("was_listed", sa.Boolean(), nullable=False),
        sa.Column("is_deprecated", sa.Boolean(), nullable=False),
        sa.Column("retires_on", sa.Date(), nullable=True),
        sa.Column("replacement", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_lookup")),
    )


def _set_aside(table: str, *indexes: str) -> str:
    """Move a table's rows into a copy without constraints; returns the names of its columns."""
    columns = ", ".join(f'"{row[1]}"' for row in op.get_bind().exec_driver_sql(f"PRAGMA table_info({table})"))
    op.execute(f"CREATE TABLE {table}_before_0003 AS SELECT {columns} FROM {table}")  # noqa: S608 - our own names
    for index in indexes:
        op.drop_index(index, table)
    op.drop_table(table)
    return columns


def _bring_back(table: str, columns: str, **added: str) -> None:
    names = ", ".join([columns, *added])
    values = ", ".join([columns, *added.values()])
    op.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}_before_0003 AS before")  # noqa: S608 - our own names
    op.drop_table(f"{table}_before_0003")
