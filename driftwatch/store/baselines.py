"""Baselines, their edges and their anchors: ``collecting → active → superseded``, at most one current per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Baseline, BaselineState, Completion, Outcome, Purpose, Score
from driftwatch.errors import StoreError, UsageError
from driftwatch.store import rows, series
from driftwatch.store.database import among
from driftwatch.store.tables import AnchorRow, BaselineChangeRow, BaselineRow, CompletionRow, MembershipRow

_CURRENT = (BaselineState.COLLECTING.value, BaselineState.ACTIVE.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineChange:
    """One stored edge of a baseline's life: what an auditor of re-baselining reads."""

    baseline_id: int
    before: BaselineState | None
    """None for the edge that began it."""
    after: BaselineState
    at: datetime
    author: str
    reason: str


def start(
    session: Session,
    *,
    target: str,
    series_key: str,
    author: str,
    reason: str,
    at: datetime,
    anchors_wanted: int,
    calibration_wanted: int,
    parent_id: int | None,
    expires_at: datetime | None = None,
    scope: Sequence[str] = (),
) -> Baseline:
    """Begin a baseline and supersede the current one, which becomes its parent unless another is named."""
    former = _current(session, target)
    if former is not None:
        _move(session, former, BaselineState.SUPERSEDED, at=at, author=author, reason=reason)
    row = BaselineRow(
        target=target,
        series_key=series_key,
        state=BaselineState.COLLECTING.value,
        author=author,
        reason=reason,
        created_at=at,
        anchors_wanted=anchors_wanted,
        calibration_wanted=calibration_wanted,
        parent_id=former.id if parent_id is None and former is not None else parent_id,
        expires_at=expires_at,
        scope=list(scope) or None,
    )
    session.add(row)
    session.flush()
    _note(session, row, before=None, at=at, author=author, reason=reason)
    return _fresh(session, row)


def activate(session: Session, baseline_id: int, *, at: datetime, reason: str) -> Baseline:
    """Move a collecting baseline to active; one that is active already stays as it is."""
    row = session.get(BaselineRow, baseline_id)
    if row is None or row.state == BaselineState.SUPERSEDED:
        raise StoreError(f"baseline {baseline_id} is not current, so it cannot become active")
    if row.state == BaselineState.COLLECTING:
        _move(session, row, BaselineState.ACTIVE, at=at, author="driftwatch", reason=reason)
    return _fresh(session, row)


def replace(
    session: Session,
    replaced: Baseline,
    *,
    author: str,
    reason: str,
    at: datetime,
    calibration_wanted: int,
    parent_id: int,
    expires_at: datetime | None,
    scope: Sequence[str],
    anchor_ids: Sequence[int],
    scores: Mapping[int, Sequence[Score]],
) -> Baseline:
    """Begin a baseline of the same question in the place of the current one, with all that it has."""
    require_current(session, replaced)
    created = start(
        session,
        target=replaced.target,
        series_key=replaced.series_key,
        author=author,
        reason=reason,
        at=at,
        anchors_wanted=replaced.anchors_wanted,
        calibration_wanted=calibration_wanted,
        parent_id=parent_id,
        expires_at=expires_at,
        scope=scope,
    )
    accept_anchors(session, created.id, anchor_ids)
    series.record_scores(session, created.id, scores)
    series.set_members(session, created.id, list(scores), Purpose.CALIBRATION)
    if len(scores) < calibration_wanted:
        return created
    return activate(session, created.id, at=at, reason="calibration is complete")


def require_current(session: Session, known: Baseline) -> None:
    """Refuse a change that was decided upon while another baseline was current: of two people, one wins."""
    row = _current(session, known.target)
    if row is None or row.id != known.id:
        taken = "no baseline is current" if row is None else f"baseline {row.id} has taken its place"
        raise UsageError(
            f"{known.target}: baseline {known.id} was current a moment ago, and {taken} meanwhile; nothing was "
            f"written: `driftwatch rebaseline {known.target} --history` says who changed what"
        )


def set_expiry(
    session: Session, known: Baseline, expires_at: datetime | None, *, author: str, reason: str, at: datetime
) -> Baseline:
    """Say anew until when the current baseline is accepted; None: for good."""
    require_current(session, known)
    row = session.get_one(BaselineRow, known.id)
    row.expires_at = expires_at
    session.flush()
    _note(session, row, before=row.state, at=at, author=author, reason=reason)
    return _fresh(session, row)


def restore(
    session: Session, baseline_id: int, *, author: str, reason: str, at: datetime, replacing: Baseline | None = None
) -> Baseline:
    """Make a superseded baseline current again and supersede the one that is."""
    if replacing is not None:
        require_current(session, replacing)
    row = session.get(BaselineRow, baseline_id)
    if row is None:
        raise UsageError(f"there is no baseline {baseline_id}; `driftwatch baseline` lists them")
    if row.state in _CURRENT:
        raise UsageError(f"baseline {baseline_id} of {row.target} is the current one already")
    former = _current(session, row.target)
    if former is not None:
        _move(session, former, BaselineState.SUPERSEDED, at=at, author=author, reason=reason)
    # One that was superseded before its calibration was complete goes on collecting.
    after = BaselineState.COLLECTING if row.activated_at is None else BaselineState.ACTIVE
    _move(session, row, after, at=at, author=author, reason=reason)
    return _fresh(session, row)


def current(session: Session, target: str) -> Baseline | None:
    """The collecting or active baseline of a target."""
    row = _current(session, target)
    return None if row is None else rows.baseline(row)


def listing(session: Session, target: str | None) -> list[Baseline]:
    """All baselines, of one target or of all, oldest first."""
    query = select(BaselineRow).order_by(col(BaselineRow.id))
    if target is not None:
        query = query.where(col(BaselineRow.target) == target)
    return [rows.baseline(row) for row in session.scalars(query)]


def changes(session: Session, target: str) -> list[BaselineChange]:
    """Every edge of every baseline of a target, oldest first."""
    query = (
        select(BaselineChangeRow)
        .join(BaselineRow, col(BaselineRow.id) == col(BaselineChangeRow.baseline_id))
        .where(col(BaselineRow.target) == target)
        .order_by(col(BaselineChangeRow.id))
    )
    return [
        BaselineChange(
            baseline_id=row.baseline_id,
            before=None if row.before is None else BaselineState(row.before),
            after=BaselineState(row.after),
            at=row.at,
            author=row.author,
            reason=row.reason,
        )
        for row in session.scalars(query)
    ]


def accept_anchors(session: Session, baseline_id: int, completion_ids: Sequence[int]) -> None:
    """Link completions to a baseline as its anchors; those that are linked already stay linked."""
    if not completion_ids:
        return
    chosen = select(col(CompletionRow.id), col(CompletionRow.outcome), col(MembershipRow.purpose)).outerjoin(
        MembershipRow,
        (col(MembershipRow.run_id) == col(CompletionRow.run_id)) & (col(MembershipRow.baseline_id) == baseline_id),
    )
    found = {i: (o, p) for i, o, p in session.execute(chosen.where(col(CompletionRow.id).in_(among(completion_ids))))}
    for completion_id in completion_ids:
        if completion_id not in found:
            raise StoreError(f"completion {completion_id} is not stored, so it cannot be an anchor")
        outcome, purpose = found[completion_id]
        if outcome != Outcome.OK:
            raise StoreError(f"completion {completion_id} is a failure ({outcome}), so it cannot be an anchor")
        if purpose not in (None, Purpose.ANCHOR):
            raise StoreError(
                f"completion {completion_id} belongs to a {purpose} run of baseline {baseline_id}, "
                "so it cannot be an anchor of it too",
            )
    session.execute(
        insert(AnchorRow).on_conflict_do_nothing(),
        [{"baseline_id": baseline_id, "completion_id": completion_id} for completion_id in completion_ids],
    )


def anchors(session: Session, baseline_id: int) -> dict[str, list[Completion]]:
    """A baseline's anchors by canary id, in the order in which they were recorded."""
    query = (
        select(CompletionRow)
        .join(AnchorRow, col(AnchorRow.completion_id) == col(CompletionRow.id))
        .where(col(AnchorRow.baseline_id) == baseline_id)
        .order_by(col(CompletionRow.canary_id), col(CompletionRow.id))
    )
    by_canary: dict[str, list[Completion]] = {}
    for row in session.scalars(query):
        by_canary.setdefault(row.canary_id, []).append(rows.completion(row))
    return by_canary


def _current(session: Session, target: str) -> BaselineRow | None:
    query = select(BaselineRow).where(col(BaselineRow.target) == target, col(BaselineRow.state).in_(_CURRENT))
    return session.scalars(query).one_or_none()


def _move(session: Session, row: BaselineRow, after: BaselineState, *, at: datetime, author: str, reason: str) -> None:
    before, row.state = row.state, after.value
    if after is BaselineState.ACTIVE and row.activated_at is None:
        # One that comes back is as it was: it has been armed since then.
        row.activated_at = at
    row.superseded_at = at if after is BaselineState.SUPERSEDED else None
    # Now, not at the commit: the index that allows one current baseline must see this one leave before another comes.
    session.flush()
    _note(session, row, before=before, at=at, author=author, reason=reason)


def _note(session: Session, row: BaselineRow, *, before: str | None, at: datetime, author: str, reason: str) -> None:
    change = {"before": before, "after": row.state, "at": at, "author": author, "reason": reason}
    session.execute(insert(BaselineChangeRow), [{"baseline_id": row.id, **change}])


def _fresh(session: Session, row: BaselineRow) -> Baseline:
    """The baseline as the database holds it: times in UTC, texts as they were storable."""
    session.refresh(row)
    return rows.baseline(row)
