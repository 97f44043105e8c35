"""How much there is of everything: sums for metrics, and how deliveries to each receiver go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Float, case, cast, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import IncidentState, NotificationState, Outcome, RunState, Severity
from driftwatch.store.database import among
from driftwatch.store.tables import CompletionRow, IncidentRow, NotificationRow, RunRow, TransitionRow

_UNFINISHED = (RunState.CLAIMED.value, RunState.MEASURED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSum:
    """Runs of one target that ended alike."""

    target: str
    outcome: str
    """``measured``, ``failed`` (too many requests failed) or ``interrupted``."""
    n_runs: int
    n_ok: int
    """Completions that are replies."""
    n_failed: int
    cost_usd: float
    last_finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSums:
    """Runs that are finished, as sums. Runs are never deleted, so that these only grow."""

    sums: tuple[RunSum, ...] = ()
    last_id: int = 0
    """Up to which run this was counted."""
    unfinished: tuple[int, ...] = ()
    """Of those the ones that were still under way, and are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One completion, as far as metrics go."""

    target: str
    latency_s: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """What became of the notifications to one receiver."""

    n_by_state: Mapping[NotificationState, int]
    n_failed_attempts: int
    """Attempts that ended neither in success nor in giving up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """What one receiver has not taken."""

    n_waiting: int = 0
    """Pending ones of which an attempt failed."""
    waiting_since: datetime | None = None
    """When the oldest of them arose."""
    attempts: int = 0
    """The most attempts at one of them."""
    refused_at: datetime | None = None
    """When the latest that it refused for good arose."""
    sent_at: datetime | None = None
    """When it last took one."""
    last_error: str = ""
    is_grave: bool = False
    """Whether one of them is about a critical incident that is open."""


@dataclass(slots=True)
class _Found:
    waiting: list[tuple[datetime, int, str]] = field(default_factory=list)
    refused: list[tuple[datetime, str]] = field(default_factory=list)
    is_grave: bool = False


def run_sums(session: Session, *, after_id: int, unfinished: Collection[int], failure_share: float) -> RunSums:
    """Sum up the runs with a higher id, and those named, as far as they are finished."""
    last_id = session.scalar(select(func.coalesce(func.max(col(RunRow.id)), 0))) or 0
    under_way = set(session.scalars(select(col(RunRow.id)).where(col(RunRow.state).in_(_UNFINISHED))))
    n_asked = cast(col(RunRow.n_ok) + col(RunRow.n_failed), Float)
    outcome = case(
        (col(RunRow.state) == RunState.INTERRUPTED.value, "interrupted"),
        (col(RunRow.n_failed) > failure_share * n_asked, "failed"),
        (col(RunRow.n_ok) == 0, "failed"),
        else_="measured",
    )
    query = (
        select(
            col(RunRow.target),
            outcome,
            func.count(),
            func.sum(col(RunRow.n_ok)),
            func.sum(col(RunRow.n_failed)),
            func.coalesce(func.sum(col(RunRow.cost_usd)), 0.0),
            func.max(col(RunRow.finished_at)),
        )
        .where((col(RunRow.id) > after_id) | col(RunRow.id).in_(among(sorted(unfinished))))
        .where(col(RunRow.id) <= last_id, col(RunRow.state).not_in(_UNFINISHED))
        .group_by(col(RunRow.target), outcome)
    )
    sums = tuple(
        RunSum(
            target=target,
            outcome=ended,
            n_runs=n_runs,
            n_ok=n_ok,
            n_failed=n_failed,
            cost_usd=cost_usd,
            last_finished_at=last,
        )
        for target, ended, n_runs, n_ok, n_failed, cost_usd, last in session.execute(query)
    )
    return RunSums(sums=sums, last_id=last_id, unfinished=tuple(sorted(i for i in under_way if i is not None)))


def last_completion_id(session: Session) -> int:
    """The highest id; 0 when there is none."""
    return session.scalar(select(func.coalesce(func.max(col(CompletionRow.id)), 0))) or 0


def asked(session: Session, *, after_id: int, until_id: int) -> list[Asked]:
    """The completions with ids in (after_id, until_id] that were sent at all."""
    query = (
        select(
            col(RunRow.target),
            col(CompletionRow.latency_s),
            func.coalesce(col(CompletionRow.input_tokens), 0),
            func.coalesce(col(CompletionRow.output_tokens), 0),
        )
        .join(RunRow, col(RunRow.id) == col(CompletionRow.run_id))
        .where(col(CompletionRow.id) > after_id, col(CompletionRow.id) <= until_id)
        .where(col(CompletionRow.outcome) != Outcome.NOT_ASKED.value)
    )
    return [
        Asked(target=target, latency_s=latency_s, input_tokens=n_input, output_tokens=n_output)
        for target, latency_s, n_input, n_output in session.execute(query)
    ]


def deliveries(session: Session) -> dict[str, Deliveries]:
    """Receiver → what became of its notifications, since the database began."""
    query = select(
        col(NotificationRow.receiver), col(NotificationRow.state), func.count(), func.sum(col(NotificationRow.attempts))
    ).group_by(col(NotificationRow.receiver), col(NotificationRow.state))
    counted: dict[str, dict[NotificationState, int]] = {}
    failed: dict[str, int] = {}
    for receiver, state, n, attempts in session.execute(query):
        counted.setdefault(receiver, {})[NotificationState(state)] = n
        # The last attempt of one that is sent or dead is counted as that.
        is_settled = state in {NotificationState.SENT.value, NotificationState.DEAD.value}
        failed[receiver] = failed.get(receiver, 0) + max(0, attempts - (n if is_settled else 0))
    return {
        receiver: Deliveries(n_by_state=by_state, n_failed_attempts=failed[receiver])
        for receiver, by_state in counted.items()
    }


def undelivered(session: Session, *, since: datetime, also: Iterable[str]) -> dict[str, Undelivered]:
    """Receivers that have not taken something, and those in ``also`` with when they last took one.

    Args:
        session: to read with.
        since: what was refused before is left out.
        also: receivers to look at in any case.
    """
    found: dict[str, _Found] = {receiver: _Found() for receiver in also}
    query = (
        select(
            col(NotificationRow.receiver),
            col(NotificationRow.state),
            col(NotificationRow.attempts),
            col(NotificationRow.last_error),
            col(TransitionRow.at),
            col(IncidentRow.severity),
            col(IncidentRow.state),
        )
        .join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where(
            ((col(NotificationRow.state) == NotificationState.PENDING.value) & (col(NotificationRow.attempts) > 0))
            | ((col(NotificationRow.state) == NotificationState.DEAD.value) & (col(TransitionRow.at) > since))
        )
        .order_by(col(NotificationRow.id))
    )
    for receiver, state, attempts, error, at, severity, standing in session.execute(query):
        of_receiver = found.setdefault(receiver, _Found())
        is_open = standing != IncidentState.RESOLVED.value
        of_receiver.is_grave |= is_open and severity == Severity.CRITICAL.value
        if state == NotificationState.PENDING.value:
            of_receiver.waiting.append((at, attempts, error or ""))
        else:
            of_receiver.refused.append((at, error or ""))
    if not found:
        return {}
    taken = (
        select(col(NotificationRow.receiver), func.max(col(NotificationRow.sent_at)))
        .where(col(NotificationRow.receiver).in_(among(sorted(found))))
        .where(col(NotificationRow.state) == NotificationState.SENT.value)
        .group_by(col(NotificationRow.receiver))
    )
    sent_at = {row[0]: row[1] for row in session.execute(taken)}
    return {receiver: _undelivered(those, sent_at.get(receiver)) for receiver, those in found.items()}


def _undelivered(found: _Found, sent_at: datetime | None) -> Undelivered:
    refused_at, refusal = max(found.refused, default=(None, ""))
    errors = [error for _, _, error in found.waiting]
    return Undelivered(
        n_waiting=len(found.waiting),
        waiting_since=min((at for at, _, _ in found.waiting), default=None),
        attempts=max((attempts for _, attempts, _ in found.waiting), default=0),
        refused_at=refused_at,
        sent_at=sent_at,
        last_error=refusal or (errors[0] if errors else ""),
        is_grave=found.is_grave,
    )
