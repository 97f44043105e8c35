"""The groups that nobody has acknowledged, with no more of each than decides whether time alone makes it worth telling.

They are read at every tick, and there may be thousands: no evidence is read, and no notification one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, type_coerce
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Incident, IncidentState, NotificationState, Transition
from driftwatch.store import rows
from driftwatch.store.database import among
from driftwatch.store.tables import IS_OPEN, IncidentRow, NotificationRow, TransitionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A group of which something is open that nobody has acknowledged."""

    standing: tuple[Incident, ...]
    """What is open of it, the leading one first; of their evidence owner and feature alone."""
    history: tuple[Transition, ...]
    """All its edges, oldest first."""
    sent_at: datetime | None = None
    """When a receiver last took something of it."""
    is_waiting: bool = False
    """Whether something of it is still to be delivered."""
    refused_at: datetime | None = None
    """When the latest edge arose that a receiver refused for good."""


def groups(session: Session) -> list[Unanswered]:
    """All such groups, by number."""
    query = select(_LEAD_ID).where(IS_OPEN, col(IncidentRow.state) == IncidentState.OPEN.value)
    lead_ids = sorted(set(session.scalars(query)))
    if not lead_ids:
        return []
    standing, history, mail = _standing(session, lead_ids), _history(session, lead_ids), _mail(session, lead_ids)
    return [
        Unanswered(standing=tuple(standing[lead]), history=tuple(history[lead]), **mail.get(lead, {}))
        for lead in lead_ids
    ]


def _standing(session: Session, lead_ids: Sequence[int]) -> dict[int, list[Incident]]:
    """Lead's number → what is open of the group."""
    kept = IncidentRow.__table__.c
    # Replies and pairs make evidence long; these two are all that routes and silences ask of it.
    facts = func.json_object(
        "owner", func.json_extract(kept.evidence, "$.owner"), "feature", func.json_extract(kept.evidence, "$.feature")
    )
    columns = [column for column in kept if column is not kept.evidence]
    query = select(*columns, type_coerce(facts, kept.evidence.type).label("evidence"))
    query = query.where(IS_OPEN, _of_groups(lead_ids)).order_by(kept.part_of.is_not(None), kept.id)
    found: dict[int, list[Incident]] = defaultdict(list)
    for row in session.execute(query):
        incident = rows.incident(row)
        found[incident.lead_id].append(incident)
    return found


def _history(session: Session, lead_ids: Sequence[int]) -> dict[int, list[Transition]]:
    """Lead's number → its edges, oldest first."""
    # Columns instead of rows that SQLAlchemy watches for changes: a third of the time, and nothing is changed here.
    query = (
        select(*TransitionRow.__table__.c, _LEAD_ID.label("lead_id"))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where(_of_groups(lead_ids))
        .order_by(col(TransitionRow.id))
    )
    found: dict[int, list[Transition]] = defaultdict(list)
    for row in session.execute(query):
        found[row.lead_id].append(rows.transition(row))
    return found


def _mail(session: Session, lead_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Lead's number → what became of its notifications; a group of which nobody was to be told is absent."""
    is_pending = col(NotificationRow.state) == NotificationState.PENDING.value
    refused = case((col(NotificationRow.state) == NotificationState.DEAD.value, col(TransitionRow.at)))
    query = (
        select(_LEAD_ID, func.max(col(NotificationRow.sent_at)), func.max(is_pending), func.max(refused))
        .join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where(_of_groups(lead_ids))
        .group_by(_LEAD_ID)
    )
    return {
        lead_id: {"sent_at": sent_at, "is_waiting": bool(is_waiting), "refused_at": refused_at}
        for lead_id, sent_at, is_waiting, refused_at in session.execute(query)
    }


_LEAD_ID = func.coalesce(col(IncidentRow.part_of), col(IncidentRow.id))


def _of_groups(lead_ids: Sequence[int]) -> ColumnElement[bool]:
    return col(IncidentRow.id).in_(among(lead_ids)) | col(IncidentRow.part_of).in_(among(lead_ids))
