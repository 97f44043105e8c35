"""What was so on the operator's side, and since when: versions, settings, the machine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import HarnessChange
from driftwatch.store.tables import HarnessRow


def note(session: Session, facts: Mapping[str, str], *, at: datetime) -> HarnessChange | None:
    """Remember what is so from now on; None when it was so already."""
    before = session.scalars(select(HarnessRow).order_by(col(HarnessRow.id).desc()).limit(1)).first()
    if before is not None and before.facts == dict(facts):
        return None
    was = {} if before is None else before.facts
    changed = [] if before is None else sorted(k for k in {*was, *facts} if was.get(k) != facts.get(k))
    row = HarnessRow(at=at, facts=dict(facts), changed=changed)
    session.add(row)
    session.flush()
    return _change(row)


def listing(session: Session, *, since: datetime | None, until: datetime | None) -> list[HarnessChange]:
    """Changes in order, the times inclusive."""
    query = select(HarnessRow).order_by(col(HarnessRow.id))
    if since is not None:
        query = query.where(col(HarnessRow.at) >= since)
    if until is not None:
        query = query.where(col(HarnessRow.at) <= until)
    return [_change(row) for row in session.scalars(query)]


def _change(row: HarnessRow) -> HarnessChange:
    return HarnessChange(at=row.at, facts=row.facts, changed=tuple(row.changed))
