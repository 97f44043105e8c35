"""Notifications: what is due, and what became of it. ``pending → sent | dead``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session, aliased
from sqlmodel import col

from driftwatch.domain import Announcement, Notification, NotificationState, Transition
from driftwatch.errors import StoreError
from driftwatch.store import rows
from driftwatch.store.database import among
from driftwatch.store.tables import IncidentRow, NotificationRow, TransitionRow

_PENDING = NotificationState.PENDING.value


def due(session: Session, at: datetime) -> list[tuple[Notification, Announcement]]:
    """Pending notifications whose time has come, oldest first, each with all that a notifier needs.

    One that must wait holds back the later ones of the same incident to the same receiver: nobody reads "resolved"
    before "open".
    """
    earlier, edge = aliased(NotificationRow), aliased(TransitionRow)
    has_earlier_sibling = (
        exists()
        .where(
            col(earlier.state) == _PENDING,
            col(earlier.receiver) == col(NotificationRow.receiver),
            col(earlier.id) < col(NotificationRow.id),
            col(edge.id) == col(earlier.transition_id),
            col(edge.incident_id) == col(TransitionRow.incident_id),
        )
        .correlate(NotificationRow, TransitionRow)
    )
    query = (
        select(NotificationRow, TransitionRow, IncidentRow)
        .join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where(col(NotificationRow.state) == _PENDING, col(NotificationRow.next_attempt_at) <= at)
        .where(~has_earlier_sibling)
        .order_by(col(NotificationRow.id))
    )
    found = session.execute(query).all()
    history = _history(session, sorted({transition.incident_id for _, transition, _ in found}))
    return [
        (
            rows.notification(notification),
            Announcement(
                incident=rows.incident(incident),
                transition=rows.transition(transition),
                dedup_key=notification.dedup_key,
                history=tuple(history[transition.incident_id]),
            ),
        )
        for notification, transition, incident in found
    ]


def listing(session: Session, incident_id: int | None) -> list[Notification]:
    """Notifications of one incident or of all, oldest first."""
    query = select(NotificationRow).order_by(col(NotificationRow.id))
    if incident_id is not None:
        query = query.join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        query = query.where(col(TransitionRow.incident_id) == incident_id)
    return [rows.notification(row) for row in session.scalars(query)]


def mark_sent(session: Session, notification_id: int, *, at: datetime) -> None:
    """The receiver took it."""
    _attempted(session, notification_id, state=NotificationState.SENT.value, sent_at=at, last_error=None)


def mark_failed(session: Session, notification_id: int, *, error: str, next_attempt_at: datetime) -> None:
    """The receiver did not take it; it stays pending."""
    _attempted(session, notification_id, last_error=error, next_attempt_at=next_attempt_at)


def mark_dead(session: Session, notification_id: int, *, error: str) -> None:
    """The receiver will never take it."""
    _attempted(session, notification_id, state=NotificationState.DEAD.value, last_error=error)


def _attempted(session: Session, notification_id: int, **values: Any) -> None:
    """Count an attempt on a pending notification; what was settled by another process stays settled."""
    statement = (
        update(NotificationRow)
        .where(col(NotificationRow.id) == notification_id, col(NotificationRow.state) == _PENDING)
        .values(attempts=col(NotificationRow.attempts) + 1, **values)
        .returning(col(NotificationRow.id))
    )
    if session.scalar(statement) is None and session.get(NotificationRow, notification_id) is None:
        raise StoreError(f"there is no notification {notification_id}")


def _history(session: Session, incident_ids: Sequence[int]) -> dict[int, list[Transition]]:
    query = select(TransitionRow).where(col(TransitionRow.incident_id).in_(among(incident_ids)))
    by_incident: dict[int, list[Transition]] = {incident_id: [] for incident_id in incident_ids}
    for row in session.scalars(query.order_by(col(TransitionRow.id))):
        by_incident[row.incident_id].append(rows.transition(row))
    return by_incident
