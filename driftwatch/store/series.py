"""Scores and what runs count as: the series that detection reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Purpose, Score, SeriesRow
from driftwatch.errors import StoreError
from driftwatch.store import rows
from driftwatch.store.database import among
from driftwatch.store.tables import AnchorRow, CompletionRow, MembershipRow, RunRow, ScoreRow


def record_scores(session: Session, baseline_id: int, by_run: Mapping[int, Sequence[Score]]) -> None:
    """Store scores of runs against a baseline, in place of those that the same channels had."""
    values = [
        rows.score_columns(score, baseline_id=baseline_id, run_id=run_id)
        for run_id, scores in by_run.items()
        for score in scores
    ]
    if not values:
        return
    statement = insert(ScoreRow)
    kept = {"value": statement.excluded.value, "by_canary": statement.excluded.by_canary}
    key = ["baseline_id", "run_id", "channel"]
    session.execute(statement.on_conflict_do_update(index_elements=key, set_=kept), values)


def set_members(session: Session, baseline_id: int, run_ids: Sequence[int], purpose: Purpose | None) -> None:
    """Say what stored runs count as for a baseline, in place of what they counted as before; None: as nothing."""
    if not run_ids:
        return
    if purpose is None:
        chosen = [col(MembershipRow.baseline_id) == baseline_id, col(MembershipRow.run_id).in_(among(run_ids))]
        session.execute(delete(MembershipRow).where(*chosen), execution_options={"synchronize_session": False})
        return
    if purpose is not Purpose.ANCHOR:
        _refuse_anchors(session, baseline_id, run_ids, purpose)
    statement = insert(MembershipRow).on_conflict_do_update(
        index_elements=["baseline_id", "run_id"], set_={"purpose": purpose.value}
    )
    session.execute(statement, [{"baseline_id": baseline_id, "run_id": i, "purpose": purpose.value} for i in run_ids])


def series(session: Session, baseline_id: int, *, after: datetime | None = None) -> list[SeriesRow]:
    """The runs that have scores and a membership for a baseline, in order of ``scheduled_at``; those after a time."""
    members = (
        select(
            col(MembershipRow.run_id),
            col(MembershipRow.purpose),
            col(RunRow.scheduled_at),
            col(RunRow.n_ok),
            col(RunRow.n_failed),
        )
        .join(RunRow, col(RunRow.id) == col(MembershipRow.run_id))
        .where(col(MembershipRow.baseline_id) == baseline_id)
        .order_by(col(RunRow.scheduled_at), col(RunRow.id))
    )
    scores = (
        select(col(ScoreRow.run_id), col(ScoreRow.channel), col(ScoreRow.value))
        .where(col(ScoreRow.baseline_id) == baseline_id)
        .order_by(col(ScoreRow.run_id), col(ScoreRow.channel))
    )
    if after is not None:
        members = members.where(col(RunRow.scheduled_at) > after)
        fresh = [run_id for run_id, *_ in session.execute(members)]
        scores = scores.where(col(ScoreRow.run_id).in_(among(fresh)))
    # Two queries and not one join: the runs' columns are decoded once a run, not once a channel.
    by_run: dict[int, dict[str, float]] = {}
    for run_id, channel, value in session.execute(scores):
        values = by_run.setdefault(run_id, {})
        if value is not None:
            values[channel] = value
    return [
        SeriesRow(
            run_id=run_id,
            scheduled_at=scheduled_at,
            purpose=Purpose(purpose),
            failure_share=n_failed / (n_ok + n_failed) if n_ok + n_failed else 1.0,
            values=by_run[run_id],
        )
        for run_id, purpose, scheduled_at, n_ok, n_failed in session.execute(members)
        if run_id in by_run
    ]


def length(session: Session, baseline_id: int, *, until: datetime) -> int:
    """How many runs ``series`` has up to and with a time."""
    has_scores = select(col(ScoreRow.run_id)).where(
        col(ScoreRow.baseline_id) == baseline_id, col(ScoreRow.run_id) == col(MembershipRow.run_id)
    )
    query = (
        select(func.count())
        .select_from(MembershipRow)
        .join(RunRow, col(RunRow.id) == col(MembershipRow.run_id))
        .where(col(MembershipRow.baseline_id) == baseline_id, col(RunRow.scheduled_at) <= until, has_scores.exists())
    )
    return session.scalar(query) or 0


def canary_values(
    session: Session, baseline_id: int, channel: str, run_ids: Sequence[int]
) -> dict[int, dict[str, float]]:
    """Per run the canaries' own values in one channel; runs without a score in it are absent."""
    query = select(col(ScoreRow.run_id), col(ScoreRow.by_canary)).where(
        col(ScoreRow.baseline_id) == baseline_id,
        col(ScoreRow.channel) == channel,
        col(ScoreRow.run_id).in_(among(run_ids)),
    )
    return {run_id: dict(by_canary) for run_id, by_canary in session.execute(query)}


def _refuse_anchors(session: Session, baseline_id: int, run_ids: Sequence[int], purpose: Purpose) -> None:
    """A run measured against its own completions looks calmer than any later one can: a false alarm to come."""
    query = (
        select(col(CompletionRow.run_id))
        .join(AnchorRow, col(AnchorRow.completion_id) == col(CompletionRow.id))
        .where(col(AnchorRow.baseline_id) == baseline_id, col(CompletionRow.run_id).in_(among(run_ids)))
    )
    run_id = session.scalar(query.limit(1))
    if run_id is not None:
        raise StoreError(f"run {run_id} gave anchors to baseline {baseline_id}, so it cannot count as {purpose} for it")
