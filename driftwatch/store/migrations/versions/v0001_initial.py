"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
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
        sa.CheckConstraint("state IN ('collecting', 'active', 'superseded')", name=op.f("ck_baseline_state")),
        sa.ForeignKeyConstraint(["parent_id"], ["baseline.id"], name=op.f("fk_baseline_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_baseline")),
    )
    op.create_index(
        "ix_baseline_current",
        "baseline",
        ["target"],
        unique=True,
        sqlite_where=sa.text("state IN ('collecting', 'active')"),
    )
    op.create_index("ix_baseline_target", "baseline", ["target", "id"], unique=False)
    op.create_table(
        "embedding",
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("last_used_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("revision", "hash", name=op.f("pk_embedding")),
    )
    op.create_index("ix_embedding_last_used_on", "embedding", ["last_used_on"], unique=False)
    op.create_table(
        "baseline_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("baseline_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("after IN ('collecting', 'active', 'superseded')", name=op.f("ck_baseline_change_after")),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_baseline_change_baseline_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_baseline_change")),
    )
    op.create_index("ix_baseline_change_of", "baseline_change", ["baseline_id"], unique=False)
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
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.CheckConstraint("purpose IN ('anchor', 'calibration', 'watch')", name=op.f("ck_run_purpose")),
        sa.CheckConstraint("state IN ('claimed', 'measured', 'judged', 'interrupted')", name=op.f("ck_run_state")),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_run_baseline_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("target", "scheduled_at", name=op.f("uq_run_target_scheduled_at")),
    )
    op.create_index("ix_run_baseline", "run", ["baseline_id", "scheduled_at"], unique=False)
    op.create_index("ix_run_scheduled_at", "run", ["scheduled_at"], unique=False)
    op.create_index("ix_run_state", "run", ["state", "target"], unique=False)
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
        sa.Column("tool_calls", sa.Text(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("ttft_s", sa.Float(), nullable=True),
        sa.Column("served_model", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("logprobs", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('ok', 'timeout', 'connection', 'rate_limited', 'unavailable', 'auth', 'model_gone', "
            "'rejected', 'empty_body', 'not_json', 'malformed', 'error_body', 'cut_off')",
            name=op.f("ck_completion_outcome"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_completion_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_completion")),
    )
    op.create_index("ix_completion_run", "completion", ["run_id", "canary_id"], unique=False)
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
        sa.CheckConstraint("kind IN ('behaviour', 'performance', 'availability')", name=op.f("ck_incident_kind")),
        sa.CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_incident_state")),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_incident_baseline_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_incident_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index(
        "ix_incident_open", "incident", ["target", "kind"], unique=True, sqlite_where=sa.text("state != 'resolved'")
    )
    op.create_index("ix_incident_target", "incident", ["target", "id"], unique=False)
    op.create_table(
        "membership",
        sa.Column("baseline_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.CheckConstraint("purpose IN ('anchor', 'calibration', 'watch')", name=op.f("ck_membership_purpose")),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_membership_baseline_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_membership_run_id")),
        sa.PrimaryKeyConstraint("baseline_id", "run_id", name=op.f("pk_membership")),
    )
    op.create_index("ix_membership_run", "membership", ["run_id"], unique=False)
    op.create_table(
        "score",
        sa.Column("baseline_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("by_canary", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_score_baseline_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_score_run_id")),
        sa.PrimaryKeyConstraint("baseline_id", "run_id", "channel", name=op.f("pk_score")),
    )
    op.create_index("ix_score_series", "score", ["baseline_id", "run_id", "channel", "value"], unique=False)
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
        sa.CheckConstraint(
            "state IN ('calibrating', 'stable', 'drifted', 'inconclusive')", name=op.f("ck_verdict_state")
        ),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_verdict_baseline_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_verdict_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_verdict")),
    )
    op.create_index("ix_verdict_at", "verdict", ["at"], unique=False)
    op.create_index("ix_verdict_target", "verdict", ["target", "at"], unique=False)
    op.create_table(
        "anchor",
        sa.Column("baseline_id", sa.Integer(), nullable=False),
        sa.Column("completion_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["baseline_id"], ["baseline.id"], name=op.f("fk_anchor_baseline_id")),
        sa.ForeignKeyConstraint(["completion_id"], ["completion.id"], name=op.f("fk_anchor_completion_id")),
        sa.PrimaryKeyConstraint("baseline_id", "completion_id", name=op.f("pk_anchor")),
    )
    op.create_index("ix_anchor_completion", "anchor", ["completion_id"], unique=False)
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("after IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_transition_after")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_transition_incident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transition")),
    )
    op.create_index("ix_transition_incident", "transition", ["incident_id"], unique=False)
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
        sa.CheckConstraint("state IN ('pending', 'sent', 'dead')", name=op.f("ck_notification_state")),
        sa.ForeignKeyConstraint(["transition_id"], ["transition.id"], name=op.f("fk_notification_transition_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_notification_dedup_key")),
        sa.UniqueConstraint("transition_id", "receiver", name=op.f("uq_notification_transition_id_receiver")),
    )
    op.create_index("ix_notification_due", "notification", ["state", "next_attempt_at"], unique=False)
