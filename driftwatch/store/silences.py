"""Silences: who muted what, until when and why. What has ended stays, for those who ask afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Silence
from driftwatch.errors import UsageError
from driftwatch.store import rows
from driftwatch.store.tables import SilenceRow


def add(
    session: Session,
    *,
    match: Mapping[str, Sequence[str]],
    starts_at: datetime,
    ends_at: datetime,
    author: str,
    reason: str,
    at: datetime,
) -> Silence:
    """Begin a silence."""
    row = SilenceRow(
        match={key: list(values) for key, values in match.items()},
        starts_at=starts_at,
        ends_at=ends_at,
        author=author,
        reason=reason,
        created_at=at,
    )
    session.add(row)
    session.flush()
    return rows.silence(row)


def end(session: Session, silence_id: int, *, author: str, at: datetime) -> Silence:
    """End one before its time."""
    row = session.get(SilenceRow, silence_id)
    if row is None:
        raise UsageError(f"there is no silence {silence_id}; list them with: driftwatch silence")
    if row.ends_at <= at:
        raise UsageError(f"silence {silence_id} has ended already")
    # One that has not begun never mutes anything.
    row.starts_at, row.ends_at, row.ended_by = min(row.starts_at, at), at, author
    session.flush()
    return rows.silence(row)


def listing(session: Session, *, ending_after: datetime | None) -> list[Silence]:
    """Silences in the order in which they were made, those that end after a time when one is given."""
    query = select(SilenceRow)
    if ending_after is not None:
        query = query.where(col(SilenceRow.ends_at) > ending_after)
    # In Python: asked for this order, SQLite reads the table by number instead of the few by their end.
    return sorted((rows.silence(row) for row in session.scalars(query)), key=lambda silence: silence.id)
