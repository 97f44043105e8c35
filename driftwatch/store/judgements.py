"""Verdicts, incidents and transitions: what was concluded, written with what must be told, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Event, Incident, IncidentState, NotificationState, Step, Transition, Verdict
from driftwatch.errors import StoreError
from driftwatch.store import rows, runs
from driftwatch.store.columns import storable
from driftwatch.store.database import among
from driftwatch.store.tables import IS_OPEN, IncidentRow, NotificationRow, TransitionRow, VerdictRow

Join: TypeAlias = Callable[[Step, Sequence[Incident]], Step]
"""Makes an incident that opens a part of one of the open groups; see ``driftwatch.alert.grouping.join``."""


def commit(
    session: Session, verdict: Verdict | None, steps: Sequence[Step], *, at: datetime, join: Join | None = None
) -> list[Incident]:
    """Write a judgement; what is written already is left alone, so that judging a run again is harmless.

    Groups are formed in here: of two targets judged at the same moment in two processes, one sees the other's incident.
    """
    if verdict is not None:
        if session.get(VerdictRow, verdict.run_id) is not None:
            return []
        runs.mark_judged(session, verdict.run_id)
        session.execute(insert(VerdictRow), [rows.verdict_columns(verdict)])
    moved: list[IncidentRow] = []
    edges: list[_Edge] = []
    known = _Known(session, steps)
    for step in steps:
        if join is not None and step.after is IncidentState.OPEN and step.before in _CLOSED:
            step = join(step, known.open_groups(step.cause))  # noqa: PLW2901 - the step as it is written
        is_new = step.incident_id is None
        incident = (
            _open(session, step, known) if step.incident_id is None else _move(session, step, step.incident_id, known)
        )
        if incident is not None:
            known.wrote(incident, is_new=is_new)
            edges.append(_edge(incident, step, known.told(incident, is_new=is_new)))
            moved.append(incident)
    _tell(session, edges, at=at)
    return _as_stored(session, moved)


def verdicts(
    session: Session, target: str | None, *, since: datetime | None, limit: int | None, newest_first: bool
) -> list[Verdict]:
    """Verdicts, of one target or of all, in order of their runs' ``scheduled_at``."""
    query = select(VerdictRow)
    if target is not None:
        query = query.where(col(VerdictRow.target) == target)
    if since is not None:
        query = query.where(col(VerdictRow.at) >= since)
    if newest_first:
        query = query.order_by(col(VerdictRow.at).desc(), col(VerdictRow.run_id).desc())
    else:
        query = query.order_by(col(VerdictRow.at), col(VerdictRow.run_id))
    return [rows.verdict(row) for row in session.scalars(query.limit(limit))]


def latest_verdicts(session: Session, targets: Sequence[str]) -> dict[str, Verdict]:
    """Target → its latest verdict."""
    names = among(targets).subquery()
    latest = (
        select(col(VerdictRow.run_id))
        .where(col(VerdictRow.target) == names.c.value)
        .order_by(col(VerdictRow.at).desc(), col(VerdictRow.run_id).desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(VerdictRow).where(col(VerdictRow.run_id).in_(select(latest).select_from(names)))
    return {row.target: rows.verdict(row) for row in session.scalars(query)}


def name_causes(session: Session, causes: Mapping[int, str]) -> None:
    """Give incidents of before revision 0004 a cause."""
    for incident_id, cause in causes.items():
        unnamed = update(IncidentRow).where(col(IncidentRow.id) == incident_id, col(IncidentRow.cause) == "")
        session.execute(unnamed.values(cause=cause))


def incidents(session: Session, *, target: str | None, open_only: bool, limit: int | None) -> list[Incident]:
    """Incidents, newest first."""
    query = select(IncidentRow).order_by(col(IncidentRow.id).desc())
    if target is not None:
        query = query.where(col(IncidentRow.target) == target)
    if open_only and target is not None:
        query = query.where(IS_OPEN)
    elif open_only:
        # By number: for the sake of the order SQLite would read all that ever was.
        query = query.where(col(IncidentRow.id).in_(select(col(IncidentRow.id)).where(IS_OPEN)))
    return [rows.incident(row) for row in session.scalars(query.limit(limit))]


def incident(session: Session, incident_id: int) -> Incident | None:
    """One incident."""
    row = session.get(IncidentRow, incident_id)
    return None if row is None else rows.incident(row)


def group(session: Session, incident_id: int) -> list[Incident]:
    """All incidents of the group that an incident belongs to, the leading one first; empty when it is not stored."""
    found = session.get(IncidentRow, incident_id)
    if found is None:
        return []
    lead_id = incident_id if found.part_of is None else found.part_of
    query = select(IncidentRow).where((col(IncidentRow.id) == lead_id) | (col(IncidentRow.part_of) == lead_id))
    members = [rows.incident(row) for row in session.scalars(query.order_by(col(IncidentRow.id)))]
    return sorted(members, key=lambda member: member.id != lead_id)


def transitions(session: Session, incident_id: int) -> list[Transition]:
    """The edges of an incident, oldest first."""
    query = select(TransitionRow).where(col(TransitionRow.incident_id) == incident_id).order_by(col(TransitionRow.id))
    return [rows.transition(row) for row in session.scalars(query)]


def _open(session: Session, step: Step, known: _Known) -> IncidentRow | None:
    """A new incident, or None when one of this target and kind is open: two causes at once are told as one."""
    if known.is_standing(step):
        return None
    # What left its place in this commit leaves it in the file first: SQLAlchemy would write new rows before others.
    session.flush()
    row = IncidentRow(
        target=step.target,
        kind=step.kind.value,
        state=step.after.value,
        opened_at=step.at,
        onset_at=step.onset_at,
        baseline_id=step.baseline_id,
        run_id=step.run_id,
        evidence=dict(step.evidence),
        severity=step.severity.value,
        part_of=step.part_of,
        cause=step.cause,
        trouble=step.trouble,
    )
    session.add(row)
    session.flush()
    return row


def _move(session: Session, step: Step, incident_id: int, known: _Known) -> IncidentRow | None:
    """The incident moved along an edge, or None when it is no longer where the edge begins."""
    row = session.get(IncidentRow, incident_id)
    if row is None:
        raise StoreError(f"there is no incident {incident_id}")
    if step.before is None or row.state != step.before.value:
        return None
    if step.before is IncidentState.RESOLVED:
        if known.is_standing(step):
            return None
        session.flush()
        row.n_reopened += 1
        row.severity, row.cause = step.severity.value, step.cause
        row.onset_at, row.run_id, row.baseline_id = step.onset_at, step.run_id, step.baseline_id
        row.acknowledged_at = row.resolved_at = None
    row.state = step.after.value
    if step.event is Event.ESCALATED:
        row.severity = step.severity.value
    if step.evidence:
        row.evidence = dict(step.evidence)
    if step.event is Event.ACKNOWLEDGED:
        row.acknowledged_at = step.at
    if step.event is Event.RESOLVED:
        row.resolved_at = step.at
    return row


_CLOSED = {None, IncidentState.RESOLVED}
"""Where an edge that opens an incident, or opens it again, begins."""


def _open_groups(session: Session, cause: str) -> list[Incident]:
    """All incidents, resolved ones too, of the groups with this cause that are open."""
    lead_id = func.coalesce(col(IncidentRow.part_of), col(IncidentRow.id))
    leads = select(lead_id).where(col(IncidentRow.cause) == cause, IS_OPEN)
    lead_ids = sorted(set(session.scalars(leads)))
    members = col(IncidentRow.id).in_(among(lead_ids)) | col(IncidentRow.part_of).in_(among(lead_ids))
    query = select(IncidentRow).where(members).order_by(col(IncidentRow.id))
    return [rows.incident(row) for row in session.scalars(query)] if lead_ids else []


@dataclass(frozen=True, slots=True)
class _Edge:
    """An edge that is to be written, and who is told of it."""

    transition: TransitionRow
    receivers: Sequence[str]


class _Known:
    """What the steps of one commit ask of the file again and again, read once: nobody else writes meanwhile."""

    def __init__(self, session: Session, steps: Sequence[Step]) -> None:
        self._session = session
        self._groups: dict[str, list[Incident]] = {}
        self._told: dict[int, dict[str, None]] = {}
        self._opening = sorted({step.target for step in steps if step.incident_id is None or step.before in _CLOSED})
        self._standing: set[_Place] | None = None
        moved = [step.incident_id for step in steps if step.incident_id is not None]
        # Kept, so that the session finds them by number without asking the file again.
        self._moving = list(session.scalars(_numbered(moved))) if len(moved) > 1 else []

    def is_standing(self, step: Step) -> bool:
        """Whether an incident is open beside which the file allows no second like the step's."""
        if self._standing is None:
            self._standing = _standing(self._session, self._opening)
        return _place(step.target, step.kind.value, step.trouble) in self._standing

    def open_groups(self, cause: str) -> list[Incident]:
        """All incidents, resolved ones too, of the groups with this cause that are open."""
        if cause not in self._groups:
            self._groups[cause] = _open_groups(self._session, cause)
        return list(self._groups[cause])

    def wrote(self, incident: IncidentRow, *, is_new: bool) -> None:
        """An incident was opened, or moved: then a group may have opened again, and is read again."""
        if self._standing is not None:
            place = _place(incident.target, incident.kind, incident.trouble)
            is_open = incident.state != IncidentState.RESOLVED.value
            (self._standing.add if is_open else self._standing.discard)(place)
        if not is_new:
            self._groups.clear()
        elif incident.cause in self._groups:
            self._groups[incident.cause].append(rows.incident(incident))

    def told(self, incident: IncidentRow, *, is_new: bool) -> dict[str, None]:
        """Receivers that were to be told of the incident's group before, in order; add those that are now."""
        lead_id = rows.stored_id(incident.id) if incident.part_of is None else incident.part_of
        if lead_id not in self._told:
            is_first = is_new and incident.part_of is None
            self._told[lead_id] = dict.fromkeys([] if is_first else _told_before(self._session, lead_id))
        return self._told[lead_id]


_Place: TypeAlias = tuple[str, str, str]
"""Target, kind and trouble, as stored: of each one incident at most is open."""


def _place(target: str, kind: str, trouble: str) -> _Place:
    return storable(target), kind, storable(trouble)


def _standing(session: Session, targets: Sequence[str]) -> set[_Place]:
    """Where incidents of these targets are open."""
    columns = (col(IncidentRow.target), col(IncidentRow.kind), col(IncidentRow.trouble))
    query = select(*columns).where(col(IncidentRow.target).in_(among(targets)), IS_OPEN)
    return {(target, kind, trouble) for target, kind, trouble in session.execute(query)}


def _numbered(incident_ids: Sequence[int]) -> Select[Any]:
    return select(IncidentRow).where(col(IncidentRow.id).in_(among(incident_ids)))


def _as_stored(session: Session, moved: Sequence[IncidentRow]) -> list[Incident]:
    """Incidents as they read back, e.g. without NaN, in order; one for each edge."""
    ids = [rows.stored_id(incident.id) for incident in moved]
    query = _numbered(sorted(set(ids))).execution_options(populate_existing=True)
    found = {rows.stored_id(row.id): rows.incident(row) for row in session.scalars(query)} if ids else {}
    return [found[incident_id] for incident_id in ids]


def _told_before(session: Session, lead_id: int) -> list[str]:
    """Receivers that were to be told of a group before, in order."""
    query = (
        select(col(NotificationRow.receiver))
        .join(TransitionRow, col(TransitionRow.id) == col(NotificationRow.transition_id))
        .join(IncidentRow, col(IncidentRow.id) == col(TransitionRow.incident_id))
        .where((col(IncidentRow.id) == lead_id) | (col(IncidentRow.part_of) == lead_id))
        .group_by(col(NotificationRow.receiver))
        .order_by(func.min(col(NotificationRow.id)))
    )
    return list(session.scalars(query))


def _edge(incident: IncidentRow, step: Step, told: dict[str, None]) -> _Edge:
    """The edge of a step, for its receivers and those told before, who are then among those told."""
    transition = TransitionRow(
        incident_id=rows.stored_id(incident.id),
        before=None if step.before is None else step.before.value,
        after=step.after.value,
        at=step.at,
        author=step.author,
        reason=step.reason,
        event=step.event.value,
    )
    # Whoever was told of the beginning is told how it goes on, whatever the routes say by then.
    receivers = dict.fromkeys([*step.receivers, *told])
    told |= dict.fromkeys(step.receivers)
    return _Edge(transition, tuple(receivers))


def _tell(session: Session, edges: Sequence[_Edge], *, at: datetime) -> None:
    """Write the edges in order, and one pending notification for each receiver of each."""
    session.add_all([edge.transition for edge in edges])
    session.flush()
    pending = [
        {
            "transition_id": edge.transition.id,
            "receiver": receiver,
            "state": NotificationState.PENDING.value,
            # The same over every attempt and every process: what lets a receiver tell a repetition from news.
            "dedup_key": f"driftwatch/{edge.transition.incident_id}/{edge.transition.id}/{receiver}",
            "attempts": 0,
            "next_attempt_at": at,
        }
        for edge in edges
        for receiver in edge.receivers
    ]
    if pending:
        session.execute(insert(NotificationRow), pending)
