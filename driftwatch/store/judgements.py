"""Verdicts, incidents and transitions: what was concluded, written with what must be told, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Incident, IncidentState, NotificationState, Step, Transition, Verdict
from driftwatch.errors import StoreError
from driftwatch.store import rows, runs
from driftwatch.store.tables import IncidentRow, NotificationRow, TransitionRow, VerdictRow


def commit(session: Session, verdict: Verdict | None, steps: Sequence[Step], *, at: datetime) -> list[Incident]:
    """Write a judgement; what is written already is left alone, so that judging a run again is harmless."""
    if verdict is not None:
        if session.get(VerdictRow, verdict.run_id) is not None:
            return []
        runs.mark_judged(session, verdict.run_id)
        session.execute(insert(VerdictRow), [rows.verdict_columns(verdict)])
    moved = []
    for step in steps:
        incident = _open(session, step) if step.incident_id is None else _move(session, step, step.incident_id)
        if incident is not None:
            _tell(session, incident, step, at=at)
            moved.append(incident)
    session.flush()
    for incident in moved:
        session.refresh(incident)
    return [rows.incident(incident) for incident in moved]


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


def incidents(session: Session, *, target: str | None, open_only: bool, limit: int | None) -> list[Incident]:
    """Incidents, newest first."""
    query = select(IncidentRow).order_by(col(IncidentRow.id).desc())
    if target is not None:
        query = query.where(col(IncidentRow.target) == target)
    if open_only:
        query = query.where(col(IncidentRow.state) != IncidentState.RESOLVED.value)
    return [rows.incident(row) for row in session.scalars(query.limit(limit))]


def incident(session: Session, incident_id: int) -> Incident | None:
    """One incident."""
    row = session.get(IncidentRow, incident_id)
    return None if row is None else rows.incident(row)


def transitions(session: Session, incident_id: int) -> list[Transition]:
    """The edges of an incident, oldest first."""
    query = select(TransitionRow).where(col(TransitionRow.incident_id) == incident_id).order_by(col(TransitionRow.id))
    return [rows.transition(row) for row in session.scalars(query)]


def _open(session: Session, step: Step) -> IncidentRow | None:
    """A new incident, or None when one of this target and kind is open: two causes at once are told as one."""
    is_open = select(col(IncidentRow.id)).where(
        col(IncidentRow.target) == step.target,
        col(IncidentRow.kind) == step.kind.value,
        col(IncidentRow.state) != IncidentState.RESOLVED.value,
    )
    if session.scalar(is_open) is not None:
        return None
    row = IncidentRow(
        target=step.target,
        kind=step.kind.value,
        state=step.after.value,
        opened_at=step.at,
        onset_at=step.onset_at,
        baseline_id=step.baseline_id,
        run_id=step.run_id,
        evidence=dict(step.evidence),
    )
    session.add(row)
    session.flush()
    return row


def _move(session: Session, step: Step, incident_id: int) -> IncidentRow | None:
    """The incident moved along an edge, or None when it is no longer where the edge begins."""
    row = session.get(IncidentRow, incident_id)
    if row is None:
        raise StoreError(f"there is no incident {incident_id}")
    if step.before is None or row.state != step.before.value:
        return None
    row.state = step.after.value
    if step.after is IncidentState.ACKNOWLEDGED:
        row.acknowledged_at = step.at
    if step.after is IncidentState.RESOLVED:
        row.resolved_at = step.at
    session.flush()
    return row


def _tell(session: Session, incident: IncidentRow, step: Step, *, at: datetime) -> None:
    """Write the edge and one pending notification for each receiver."""
    transition = TransitionRow(
        incident_id=rows.stored_id(incident.id),
        before=None if step.before is None else step.before.value,
        after=step.after.value,
        at=step.at,
        author=step.author,
        reason=step.reason,
    )
    session.add(transition)
    session.flush()
    pending = [
        {
            "transition_id": transition.id,
            "receiver": receiver,
            "state": NotificationState.PENDING.value,
            # The same over every attempt and every process: what lets a receiver tell a repetition from news.
            "dedup_key": f"driftwatch/{incident.id}/{transition.id}/{receiver}",
            "attempts": 0,
            "next_attempt_at": at,
        }
        for receiver in dict.fromkeys(step.receivers)
    ]
    if pending:
        session.execute(insert(NotificationRow), pending)
