"""What replies tell beside the reply: the metadata that tripwires compare, counted in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Listing, Lookup, Outcome, Purpose, Told, Tripwire
from driftwatch.store import rows
from driftwatch.store.database import among
from driftwatch.store.tables import AnchorRow, CompletionRow, LookupRow, MembershipRow, VerdictRow


def by_runs(session: Session, run_ids: Sequence[int]) -> list[Told]:
    """What the completions of these runs tell."""
    return _told(session, col(CompletionRow.run_id).in_(among(run_ids)))


def by_baseline(session: Session, baseline_id: int) -> list[Told]:
    """What a baseline's anchors tell, and its anchor and calibration runs."""
    anchors = select(col(AnchorRow.completion_id)).where(col(AnchorRow.baseline_id) == baseline_id)
    members = select(col(MembershipRow.run_id)).where(
        col(MembershipRow.baseline_id) == baseline_id, col(MembershipRow.purpose) != Purpose.WATCH.value
    )
    return _told(session, or_(col(CompletionRow.id).in_(anchors), col(CompletionRow.run_id).in_(members)))


def tripped(session: Session, target: str, baseline_id: int) -> list[Tripwire]:
    """Every tripwire noted in a verdict against this baseline, oldest first."""
    query = (
        select(col(VerdictRow.tripwires))
        .where(
            col(VerdictRow.target) == target,
            col(VerdictRow.baseline_id) == baseline_id,
            col(VerdictRow.tripwires).is_not(None),
        )
        .order_by(col(VerdictRow.at), col(VerdictRow.run_id))
    )
    return [rows.tripwire(item) for stored in session.scalars(query) for item in stored or ()]


def lookup(session: Session, target: str) -> Lookup | None:
    """What is remembered of the list of models; None before the first look."""
    row = session.get(LookupRow, target)
    return rows.lookup(row) if row is not None else None


def looked(session: Session, target: str, *, model: str, source: str, listing: Listing | None, at: datetime) -> None:
    """Note a look. One that told nothing leaves what is known, unless another model or list was asked."""
    row = session.get(LookupRow, target)
    if row is None or (row.model, row.source) != (model, source):
        if row is not None:
            session.delete(row)
            session.flush()
        row = LookupRow(target=target, model=model, source=source, looked_at=at, was_listed=False, is_deprecated=False)
        session.add(row)
    row.looked_at = at
    if listing is not None:
        row.is_listed = listing.is_listed
        row.was_listed = row.was_listed or listing.is_listed
        row.is_deprecated = listing.is_deprecated
        row.retires_on = listing.retires_on
        row.replacement = listing.replacement


def _told(session: Session, where: ColumnElement[bool]) -> list[Told]:
    columns: list[Any] = [
        col(CompletionRow.canary_id),
        col(CompletionRow.outcome),
        col(CompletionRow.served_model),
        col(CompletionRow.fingerprint),
        col(CompletionRow.upstream),
        col(CompletionRow.input_tokens),
        col(CompletionRow.deprecation),
    ]
    query = select(*columns, func.count()).where(where).group_by(*columns).order_by(*columns)
    return [
        Told(
            canary_id=row[0],
            outcome=Outcome(row[1]),
            served_model=row[2],
            fingerprint=row[3],
            upstream=row[4],
            input_tokens=row[5],
            deprecation=row[6],
            n=row[7],
        )
        for row in session.execute(query)
    ]
