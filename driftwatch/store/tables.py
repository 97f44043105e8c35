"""The tables and what each of them makes impossible. Rows never leave this package; ``rows.py`` maps them.

Every invariant that must survive a crash, a second process or a bug is a constraint here, not an ``if`` elsewhere.
A change here needs a migration in ``migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, LargeBinary, MetaData, Table, UniqueConstraint, literal_column, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col

from driftwatch.domain import (
    BaselineState,
    Event,
    IncidentState,
    Kind,
    NotificationState,
    Outcome,
    Purpose,
    RunState,
    Severity,
    State,
)
from driftwatch.store.columns import JsonText, Words

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)
"""Constraints have stable names, so that a later migration can drop them."""


def _one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    words = ", ".join(f"'{member.value}'" for member in kind)
    return CheckConstraint(f"{column} IN ({words})", name=column)


class _Row(SQLModel, registry=registry(metadata=METADATA)):
    """A row of this database and of no other SQLModel in the process."""

    __table__: ClassVar[Table]


class BaselineRow(_Row, table=True):
    """One baseline. At most one per target is current."""

    __tablename__ = "baseline"
    __table_args__: ClassVar[Any] = (
        _one_of("state", BaselineState),
        Index("ix_baseline_current", "target", unique=True, sqlite_where=text("state IN ('collecting', 'active')")),
        Index("ix_baseline_target", "target", "id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    target: str = Field(sa_type=Words)
    series_key: str = Field(sa_type=Words)
    state: str = Field(sa_type=Words)
    author: str = Field(sa_type=Words)
    reason: str = Field(sa_type=Words)
    created_at: datetime
    activated_at: datetime | None = None
    superseded_at: datetime | None = None
    anchors_wanted: int
    calibration_wanted: int
    parent_id: int | None = Field(default=None, foreign_key="baseline.id")
    expires_at: datetime | None = None
    scope: Any = Field(default=None, sa_type=JsonText, nullable=True)


class BaselineChangeRow(_Row, table=True):
    """One stored edge of a baseline's life: who changed its state, when and why. Rows are only ever added."""

    __tablename__ = "baseline_change"
    __table_args__: ClassVar[Any] = (_one_of("after", BaselineState), Index("ix_baseline_change_of", "baseline_id"))
    id: int | None = Field(default=None, primary_key=True)
    baseline_id: int = Field(foreign_key="baseline.id")
    before: str | None = Field(default=None, sa_type=Words)
    after: str = Field(sa_type=Words)
    at: datetime
    author: str = Field(sa_type=Words)
    reason: str = Field(sa_type=Words)


class RunRow(_Row, table=True):
    """One run. Unique (target, scheduled_at) is what makes any number of workers spend and page once."""

    __tablename__ = "run"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("target", "scheduled_at"),
        _one_of("purpose", Purpose),
        _one_of("state", RunState),
        Index("ix_run_baseline", "baseline_id", "scheduled_at"),
        Index("ix_run_scheduled_at", "scheduled_at"),
        # All that a sum over a day or month reads: it is made before every run that has a budget.
        Index("ix_run_spent", "started_at", "target", "state", "n_requests", "n_tokens", "cost_usd"),
        # Not partial: SQLite cannot match a bound parameter with the condition of a partial index.
        Index("ix_run_state", "state", "target"),
    )
    id: int | None = Field(default=None, primary_key=True)
    target: str = Field(sa_type=Words)
    scheduled_at: datetime
    purpose: str = Field(sa_type=Words)
    state: str = Field(sa_type=Words)
    baseline_id: int = Field(foreign_key="baseline.id")
    started_at: datetime
    finished_at: datetime | None = None
    n_ok: int = 0
    n_failed: int = 0
    n_requests: int = 0
    n_tokens: int = 0
    cost_usd: float | None = None


class CompletionRow(_Row, table=True):
    """One reply or one failure."""

    __tablename__ = "completion"
    __table_args__: ClassVar[Any] = (
        _one_of("outcome", Outcome),
        Index("ix_completion_run", "run_id", "canary_id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id")
    canary_id: str = Field(sa_type=Words)
    canary_hash: str = Field(sa_type=Words)
    repeat: int
    outcome: str = Field(sa_type=Words)
    at: datetime
    latency_s: float
    text: str = Field(sa_type=Words)
    finish_reason: str | None = Field(default=None, sa_type=Words)
    finish_detail: str | None = Field(default=None, sa_type=Words)
    tool_calls: Any = Field(default=None, sa_type=JsonText, nullable=True)
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    ttft_s: float | None = None
    gap_median_s: float | None = None
    gap_max_s: float | None = None
    served_model: str | None = Field(default=None, sa_type=Words)
    fingerprint: str | None = Field(default=None, sa_type=Words)
    upstream: str | None = Field(default=None, sa_type=Words)
    request_id: str | None = Field(default=None, sa_type=Words)
    headers: Any = Field(default=None, sa_type=JsonText, nullable=True)
    deprecation: str | None = Field(default=None, sa_type=Words)
    logprobs: Any = Field(default=None, sa_type=JsonText, nullable=True)
    attempts: int
    error: str | None = Field(default=None, sa_type=Words)


class AnchorRow(_Row, table=True):
    """A completion accepted as an anchor of a baseline; the foreign key keeps it from being pruned."""

    __tablename__ = "anchor"
    __table_args__: ClassVar[Any] = (Index("ix_anchor_completion", "completion_id"),)
    baseline_id: int = Field(primary_key=True, foreign_key="baseline.id")
    completion_id: int = Field(primary_key=True, foreign_key="completion.id")


class MembershipRow(_Row, table=True):
    """What a run counts as for a baseline, which need not be the one it was made for."""

    __tablename__ = "membership"
    __table_args__: ClassVar[Any] = (_one_of("purpose", Purpose), Index("ix_membership_run", "run_id"))
    baseline_id: int = Field(primary_key=True, foreign_key="baseline.id")
    run_id: int = Field(primary_key=True, foreign_key="run.id")
    purpose: str = Field(sa_type=Words)


class ScoreRow(_Row, table=True):
    """One channel's value for one run against one baseline; NULL where it could not be measured."""

    __tablename__ = "score"
    __table_args__: ClassVar[Any] = (
        # Holds all that reading a series needs, so that ten thousand runs are read without their by_canary texts.
        Index("ix_score_series", "baseline_id", "run_id", "channel", "value"),
    )
    baseline_id: int = Field(primary_key=True, foreign_key="baseline.id")
    run_id: int = Field(primary_key=True, foreign_key="run.id")
    channel: str = Field(primary_key=True, sa_type=Words)
    value: float | None = None
    by_canary: Any = Field(sa_type=JsonText, nullable=False)


class VerdictRow(_Row, table=True):
    """The one verdict of a run."""

    __tablename__ = "verdict"
    __table_args__: ClassVar[Any] = (
        _one_of("state", State),
        Index("ix_verdict_target", "target", "at"),
        Index("ix_verdict_at", "at"),
        # The few verdicts that note one are found without reading the others, which are long.
        Index("ix_verdict_tripped", "target", "baseline_id", sqlite_where=text("tripwires IS NOT NULL")),
    )
    run_id: int = Field(primary_key=True, foreign_key="run.id")
    target: str = Field(sa_type=Words)
    baseline_id: int = Field(foreign_key="baseline.id")
    at: datetime
    state: str = Field(sa_type=Words)
    reason: str = Field(sa_type=Words)
    n_calibration: int
    n_monitored: int
    kinds: Any = Field(sa_type=JsonText, nullable=False)
    channels: Any = Field(sa_type=JsonText, nullable=False)
    tripwires: Any = Field(default=None, sa_type=JsonText, nullable=True)


class IncidentRow(_Row, table=True):
    """One incident. At most one per (target, kind, trouble) is not resolved."""

    __tablename__ = "incident"
    __table_args__: ClassVar[Any] = (
        _one_of("kind", Kind),
        _one_of("state", IncidentState),
        _one_of("severity", Severity),
        Index("ix_incident_open", "target", "kind", "trouble", unique=True, sqlite_where=text("state != 'resolved'")),
        Index("ix_incident_target", "target", "id"),
        Index("ix_incident_part_of", "part_of"),
    )
    id: int | None = Field(default=None, primary_key=True)
    target: str = Field(sa_type=Words)
    kind: str = Field(sa_type=Words)
    state: str = Field(sa_type=Words)
    opened_at: datetime
    onset_at: datetime
    baseline_id: int | None = Field(default=None, foreign_key="baseline.id")
    run_id: int | None = Field(default=None, foreign_key="run.id")
    evidence: Any = Field(sa_type=JsonText, nullable=False)
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    severity: str = Field(sa_type=Words)
    part_of: int | None = Field(default=None, foreign_key="incident.id")
    cause: str = Field(default="", sa_type=Words)
    trouble: str = Field(default="", sa_type=Words)
    n_reopened: int = 0


IS_OPEN = col(IncidentRow.state) != literal_column(f"'{IncidentState.RESOLVED.value}'")
"""The condition of ``ix_incident_open``, word for word: with it SQLite reads the few that are open from that index, and
with a bound parameter, or another wording, it reads every incident that ever was."""


class TransitionRow(_Row, table=True):
    """One stored edge of the incident state machine. Rows are only ever added."""

    __tablename__ = "transition"
    __table_args__: ClassVar[Any] = (
        _one_of("after", IncidentState),
        _one_of("event", Event),
        Index("ix_transition_incident", "incident_id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    incident_id: int = Field(foreign_key="incident.id")
    before: str | None = Field(default=None, sa_type=Words)
    after: str = Field(sa_type=Words)
    at: datetime
    author: str = Field(sa_type=Words)
    reason: str = Field(sa_type=Words)
    event: str = Field(sa_type=Words)


class NotificationRow(_Row, table=True):
    """One delivery of one transition to one receiver."""

    __tablename__ = "notification"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("transition_id", "receiver"),
        UniqueConstraint("dedup_key"),
        _one_of("state", NotificationState),
        Index("ix_notification_due", "state", "next_attempt_at"),
    )
    id: int | None = Field(default=None, primary_key=True)
    transition_id: int = Field(foreign_key="transition.id")
    receiver: str = Field(sa_type=Words)
    state: str = Field(sa_type=Words)
    dedup_key: str = Field(sa_type=Words)
    attempts: int = 0
    next_attempt_at: datetime
    sent_at: datetime | None = None
    last_error: str | None = Field(default=None, sa_type=Words)


class ReceiptRow(_Row, table=True):
    """What a notifier returned when it told a receiver of a group of incidents."""

    __tablename__ = "receipt"
    receiver: str = Field(primary_key=True, sa_type=Words)
    incident_id: int = Field(primary_key=True, foreign_key="incident.id")
    value: Any = Field(sa_type=JsonText, nullable=False)


class SilenceRow(_Row, table=True):
    """One silence. What ended it early moved ``ends_at`` forward."""

    __tablename__ = "silence"
    __table_args__: ClassVar[Any] = (Index("ix_silence_ends_at", "ends_at"),)
    id: int | None = Field(default=None, primary_key=True)
    match: Any = Field(sa_type=JsonText, nullable=False)
    starts_at: datetime
    ends_at: datetime
    author: str = Field(sa_type=Words)
    reason: str = Field(sa_type=Words)
    created_at: datetime
    ended_by: str | None = Field(default=None, sa_type=Words)


class HarnessRow(_Row, table=True):
    """What was so on the operator's side from a time on; written only when it differs from the row before."""

    __tablename__ = "harness"
    id: int | None = Field(default=None, primary_key=True)
    at: datetime
    facts: Any = Field(sa_type=JsonText, nullable=False)
    changed: Any = Field(sa_type=JsonText, nullable=False)


class InstallationRow(_Row, table=True):
    """The one row that tells this database from every other: receivers that outlive it are given its name."""

    __tablename__ = "installation"
    name: str = Field(primary_key=True, sa_type=Words)


class LookupRow(_Row, table=True):
    """What the endpoint's list of models says of a target's model; ``is_listed`` is NULL until a look told anything."""

    __tablename__ = "lookup"
    target: str = Field(primary_key=True, sa_type=Words)
    model: str = Field(sa_type=Words)
    source: str = Field(sa_type=Words)
    looked_at: datetime
    is_listed: bool | None = None
    was_listed: bool
    is_deprecated: bool
    retires_on: date | None = None
    replacement: str | None = Field(default=None, sa_type=Words)


class EmbeddingRow(_Row, table=True):
    """A cached unit vector: float32, little-endian, of the text with this hash under this embedder revision."""

    __tablename__ = "embedding"
    __table_args__: ClassVar[Any] = (Index("ix_embedding_last_used_on", "last_used_on"),)
    revision: str = Field(primary_key=True, sa_type=Words)
    hash: str = Field(primary_key=True, sa_type=Words)
    vector: bytes = Field(sa_type=LargeBinary)
    last_used_on: date
