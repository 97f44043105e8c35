"""Notifications: what waits, and what became of it. ``pending → sent | dead | muted``.

Of a pending one three things can be so: it waits for its turn; an attempt failed and the next is not due, then
``last_error`` says why; or a process is sending it right now, then it is leased: not due, and without an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Announcement, Incident, Json, Notification, NotificationState, Transition
from driftwatch.errors import StoreError
from driftwatch.store import rows
from driftwatch.store.database import among
from driftwatch.store.tables import IS_OPEN, IncidentRow, InstallationRow, NotificationRow, ReceiptRow, TransitionRow

_PENDING = NotificationState.PENDING.value
_LEAD_ID = func.coalesce(col(IncidentRow.part_of), col(IncidentRow.id))

LONGEST_WAIT = timedelta(days=1)
"""Nothing waits for its next attempt, or is leased, for longer: the most is an hour, and as long as a pass takes."""


def waiting(
    session: Session, at: datetime, *, receiver: str | None = None, apart_from: Sequence[int] = ()
) -> list[tuple[list[Notification], Announcement]]:
    """For each receiver and group of which something is due: all that the receiver was or will be told of the group."""
    query = (
        select(col(NotificationRow.receiver), _LEAD_ID)
        .join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where(col(NotificationRow.state) == _PENDING, col(NotificationRow.next_attempt_at) <= at)
        .distinct()
    )
    if receiver is not None:
        query = query.where(col(NotificationRow.receiver) == receiver)
    if apart_from:
        query = query.where(_LEAD_ID.not_in(among(apart_from)))
    pairs = [(receiver, int(found)) for receiver, found in session.execute(query)]
    lead_ids = sorted({found for _, found in pairs})
    announcements, told = _announcements(session, lead_ids), _told(session, lead_ids, receiver)
    receipts = _receipts(session, sorted({receiver for receiver, _ in pairs}), lead_ids)
    found = []
    for name, lead in pairs:
        notifications = told[name, lead]
        first = next(n for n in notifications if n.state is NotificationState.PENDING)
        announcement = _of_edge(announcements[lead], first)
        found.append((first.id, notifications, replace(announcement, receipt=receipts.get((name, lead)))))
    found.sort(key=lambda one: one[0])
    return [(notifications, announcement) for _, notifications, announcement in found]


def told_of(session: Session, receiver: str, incident_id: int) -> tuple[list[Notification], Announcement]:
    """All that one receiver was or will be told of the group of an incident, and its latest edge."""
    row = session.get(IncidentRow, incident_id)
    if row is None:
        raise StoreError(f"there is no incident {incident_id}")
    lead = _lead_id(row)
    receipt = _receipts(session, [receiver], [lead]).get((receiver, lead))
    told = _told(session, [lead], receiver)[receiver, lead]
    return told, replace(_announcements(session, [lead])[lead], receipt=receipt)


def standing(session: Session, receiver: str) -> list[tuple[list[Notification], Announcement]]:
    """For each group of which something is open and the receiver was told: all that it was or will be told of it."""
    leads = sorted(set(session.scalars(select(_LEAD_ID).where(IS_OPEN))))
    heard = {
        lead: notifications
        for (_, lead), notifications in _told(session, leads, receiver).items()
        if any(n.sent_at is not None for n in notifications)
    }
    receipts, announcements = _receipts(session, [receiver], sorted(heard)), _announcements(session, sorted(heard))
    return [
        (heard[lead], replace(found, receipt=receipts.get((receiver, lead)))) for lead, found in announcements.items()
    ]


def announcement(session: Session, incident_id: int) -> Announcement | None:
    """The latest edge of the group of an incident; None when it is not stored."""
    row = session.get(IncidentRow, incident_id)
    return None if row is None else _announcements(session, [_lead_id(row)])[_lead_id(row)]


def latest_edge(session: Session, incident_id: int) -> int | None:
    """The number of the latest edge of the group of an incident; None when it is not stored."""
    row = session.get(IncidentRow, incident_id)
    if row is None:
        return None
    query = select(func.max(col(TransitionRow.id))).join(
        IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id)
    )
    return session.scalar(query.where(_of_groups([_lead_id(row)])))


def listing(session: Session, incident_id: int | None) -> list[Notification]:
    """Notifications of one incident or of all, oldest first."""
    query = select(NotificationRow).order_by(col(NotificationRow.id))
    if incident_id is not None:
        query = query.join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        query = query.where(col(TransitionRow.incident_id) == incident_id)
    return [rows.notification(row) for row in session.scalars(query)]


def of_group(session: Session, incident_id: int) -> list[Notification]:
    """Notifications of the whole group of an incident, oldest first; empty when it is not stored."""
    row = session.get(IncidentRow, incident_id)
    told = {} if row is None else _told(session, [_lead_id(row)])
    return sorted((n for found in told.values() for n in found), key=lambda n: n.id)


def lease(
    session: Session,
    notifications: Sequence[Notification],
    *,
    at: datetime,
    until: datetime,
    beside: Sequence[Notification] = (),
) -> list[int]:
    """Take pending notifications to one receiver about one group, all or none.

    None when one of them is not as it was read, or one beside them was settled since, or any other of the receiver and
    the group is being sent: whoever tells of its end must not be overtaken by who tells of its beginning.
    """
    current = {n.id: n for n in _beside(session, notifications[0])}
    taken = {n.id for n in notifications}
    if any(n.state is not NotificationState.PENDING or current.get(n.id) != n for n in notifications):
        return []
    # What is muted was told to nobody; with what it was told, was sent.
    if any(current[n.id].state not in {n.state, NotificationState.MUTED} for n in beside):
        return []
    if any(_is_leased(n, at) for n in current.values()):
        return []
    session.execute(
        update(NotificationRow)
        .where(col(NotificationRow.id).in_(among(sorted(taken))), col(NotificationRow.state) == _PENDING)
        .values(next_attempt_at=until, last_error=None)
    )
    return sorted(taken)


def give_back(session: Session, notifications: Sequence[Notification]) -> None:
    """Leave what was leased as it was read before. No attempt was made."""
    for notification in notifications:
        values = {"next_attempt_at": notification.next_attempt_at, "last_error": notification.last_error}
        _settle(session, notification.id, **values)


def revive(session: Session, receiver: str, *, at: datetime) -> int:
    """Make due again what a receiver refused for good of groups that are open, unless it was told of later; how many.

    A group that has ended since is left alone: nobody wants to read that it began. Due again is too what was put off or
    leased while the clock was ahead, which would else keep the receiver from all that comes after it.
    """
    told_at_latest = at + LONGEST_WAIT
    early = session.execute(
        update(NotificationRow)
        .where(
            col(NotificationRow.state) == _PENDING,
            col(NotificationRow.next_attempt_at) > told_at_latest,
            col(NotificationRow.receiver) == receiver,
        )
        .values(next_attempt_at=at)
        .returning(col(NotificationRow.id))
    ).all()
    dead = (
        select(_LEAD_ID)
        .join(TransitionRow, col(TransitionRow.incident_id) == col(IncidentRow.id))
        .join(NotificationRow, col(NotificationRow.transition_id) == col(TransitionRow.id))
        .where(col(NotificationRow.state) == NotificationState.DEAD.value, col(NotificationRow.receiver) == receiver)
        # It is asked after every message: what a receiver refused of thousands that are over is not read again.
        .where(_LEAD_ID.in_(select(_LEAD_ID).where(IS_OPEN)))
    )
    lead_ids = sorted(set(session.scalars(dead)))
    revived: list[int] = []
    for mail in _told(session, lead_ids, receiver).values() if lead_ids else ():
        heard = max((n.transition_id for n in mail if n.state is NotificationState.SENT), default=0)
        revived += [n.id for n in mail if n.state is NotificationState.DEAD and n.transition_id > heard]
    if revived:
        session.execute(
            update(NotificationRow)
            .where(col(NotificationRow.id).in_(among(revived)))
            .values(state=_PENDING, next_attempt_at=at)
        )
    return len(early) + len(revived)


def mark_sent(
    session: Session,
    notification_id: int,
    *,
    at: datetime,
    receipt: Mapping[str, Json] | None = None,
    along: Sequence[int] = (),
) -> None:
    """The receiver took it, gave a receipt for the group, and knows with it what others would tell."""
    _attempted(session, notification_id, state=NotificationState.SENT.value, sent_at=at, last_error=None)
    for other in along:
        mute(session, other, reason=f"told with notification {notification_id}")
    if receipt is None:
        return
    query = (
        select(NotificationRow, IncidentRow)
        .join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where(col(NotificationRow.id) == notification_id)
    )
    for notification, incident in session.execute(query):
        kept = {"receiver": notification.receiver, "incident_id": _lead_id(incident), "value": dict(receipt)}
        statement = insert(ReceiptRow).values(kept)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["receiver", "incident_id"], set_={"value": statement.excluded.value}
            )
        )


def mute(session: Session, notification_id: int, *, reason: str) -> None:
    """It is not worth telling any more. No attempt was made."""
    _settle(session, notification_id, state=NotificationState.MUTED.value, last_error=reason)


def hold(session: Session, notification_id: int, *, reason: str) -> None:
    """It waits, and is looked at again at every pass. No attempt was made."""
    _settle(session, notification_id, last_error=reason)


def rest(session: Session, receiver: str, *, until: datetime, reason: str, at: datetime) -> None:
    """Let all wait that is due for a receiver, which has just refused something. No attempt was made."""
    session.execute(
        update(NotificationRow)
        .where(
            col(NotificationRow.state) == _PENDING,
            col(NotificationRow.receiver) == receiver,
            col(NotificationRow.next_attempt_at) <= at,
        )
        .values(next_attempt_at=until, last_error=reason)
    )


def wake(session: Session, receiver: str, *, at: datetime) -> None:
    """Let nothing wait any longer for a receiver that has just taken something."""
    session.execute(
        update(NotificationRow)
        .where(
            col(NotificationRow.state) == _PENDING,
            col(NotificationRow.receiver) == receiver,
            col(NotificationRow.next_attempt_at) > at,
            col(NotificationRow.last_error).is_not(None),
        )
        .values(next_attempt_at=at)
    )


def mark_failed(
    session: Session, notification_id: int, *, error: str, next_attempt_at: datetime, along: Sequence[int] = ()
) -> None:
    """The receiver did not take it; it stays pending, and so do those that it would have told too."""
    _attempted(session, notification_id, last_error=error, next_attempt_at=next_attempt_at)
    for other in along:
        _settle(session, other, last_error=error, next_attempt_at=next_attempt_at)


def mark_dead(session: Session, notification_id: int, *, error: str, along: Sequence[Notification] = ()) -> None:
    """The receiver will never take it; what it would have told too is as it was before the lease."""
    give_back(session, along)
    _attempted(session, notification_id, state=NotificationState.DEAD.value, last_error=error)


def _attempted(session: Session, notification_id: int, **values: Any) -> None:
    """Count an attempt on a pending notification; what was settled by another process stays settled."""
    _settle(session, notification_id, attempts=col(NotificationRow.attempts) + 1, **values)


def _settle(session: Session, notification_id: int, **values: Any) -> None:
    statement = (
        update(NotificationRow)
        .where(col(NotificationRow.id) == notification_id, col(NotificationRow.state) == _PENDING)
        .values(**values)
        .returning(col(NotificationRow.id))
    )
    if session.scalar(statement) is None and session.get(NotificationRow, notification_id) is None:
        raise StoreError(f"there is no notification {notification_id}")


def _is_leased(notification: Notification, at: datetime) -> bool:
    is_pending = notification.state is NotificationState.PENDING
    return is_pending and notification.next_attempt_at > at and notification.last_error is None


def _beside(session: Session, notification: Notification) -> list[Notification]:
    """All to its receiver about its group, oldest first."""
    transition = session.get(TransitionRow, notification.transition_id)
    incident = session.get(IncidentRow, transition.incident_id) if transition is not None else None
    if incident is None:
        return []
    lead, receiver = _lead_id(incident), notification.receiver
    return _told(session, [lead], receiver)[receiver, lead]


def _lead_id(incident: IncidentRow) -> int:
    return rows.stored_id(incident.id) if incident.part_of is None else incident.part_of


def _announcements(session: Session, lead_ids: Sequence[int]) -> dict[int, Announcement]:
    """Lead's number → the latest edge of the group."""
    (installation,) = session.scalars(select(col(InstallationRow.name)))
    groups, history = _groups(session, lead_ids), _history(session, lead_ids)
    return {
        lead_id: Announcement(
            incident=next(m for m in groups[lead_id] if m.id == history[lead_id][-1].incident_id),
            transition=history[lead_id][-1],
            dedup_key="",
            history=tuple(history[lead_id]),
            group=tuple(groups[lead_id]),
            key=f"driftwatch/{installation}/{lead_id}",
        )
        for lead_id in lead_ids
    }


def _of_edge(announcement: Announcement, notification: Notification) -> Announcement:
    """The announcement of another edge of the same group."""
    transition = next(t for t in announcement.history if t.id == notification.transition_id)
    incident = next(m for m in announcement.members if m.id == transition.incident_id)
    return replace(announcement, incident=incident, transition=transition, dedup_key=notification.dedup_key)


def _of_groups(lead_ids: Sequence[int]) -> Any:
    return col(IncidentRow.id).in_(among(lead_ids)) | col(IncidentRow.part_of).in_(among(lead_ids))


def _groups(session: Session, lead_ids: Sequence[int]) -> dict[int, list[Incident]]:
    groups: dict[int, list[Incident]] = {lead_id: [] for lead_id in lead_ids}
    for row in session.scalars(select(IncidentRow).where(_of_groups(lead_ids)).order_by(col(IncidentRow.id))):
        groups[_lead_id(row)].append(rows.incident(row))
    return {lead_id: sorted(group, key=lambda m: m.part_of is not None) for lead_id, group in groups.items()}


def _history(session: Session, lead_ids: Sequence[int]) -> dict[int, list[Transition]]:
    # Columns instead of rows that SQLAlchemy watches for changes, here and below: a third of the time.
    query = (
        select(*TransitionRow.__table__.c, _LEAD_ID.label("lead_id"))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where(_of_groups(lead_ids))
        .order_by(col(TransitionRow.id))
    )
    by_lead: dict[int, list[Transition]] = {lead_id: [] for lead_id in lead_ids}
    for row in session.execute(query):
        by_lead[row.lead_id].append(rows.transition(row))
    return by_lead


def _told(
    session: Session, lead_ids: Sequence[int], receiver: str | None = None
) -> dict[tuple[str, int], list[Notification]]:
    """(receiver, lead's number) → its notifications of that group, oldest first; of one receiver or of all."""
    query = (
        select(*NotificationRow.__table__.c, _LEAD_ID.label("lead_id"))
        .join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where(_of_groups(lead_ids))
        .order_by(col(NotificationRow.id))
    )
    if receiver is not None:
        query = query.where(col(NotificationRow.receiver) == receiver)
    found: dict[tuple[str, int], list[Notification]] = defaultdict(list)
    for row in session.execute(query):
        found[row.receiver, row.lead_id].append(rows.notification(row))
    return found


def _receipts(
    session: Session, receivers: Sequence[str], lead_ids: Sequence[int]
) -> dict[tuple[str, int], Mapping[str, Json]]:
    query = select(ReceiptRow).where(
        col(ReceiptRow.receiver).in_(among(receivers)), col(ReceiptRow.incident_id).in_(among(lead_ids))
    )
    return {(row.receiver, row.incident_id): row.value for row in session.scalars(query)}
