"""What may be forgotten: old completions that nothing points to, and embeddings of no more use."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Purpose
from driftwatch.store.tables import AnchorRow, CompletionRow, EmbeddingRow, IncidentRow, MembershipRow, RunRow


def prune(session: Session, *, before: datetime) -> int:
    """Delete the completions of old watch runs, and embeddings unused since the day of ``before``.

    Kept are anchors, the runs of any incident from its onset to its resolution, and runs that count as calibration
    for a baseline. Runs, scores and verdicts stay, so that no series and no judgement changes.

    Returns:
        How many completions were deleted.
    """
    in_incident = exists().where(
        col(IncidentRow.target) == col(RunRow.target),
        col(IncidentRow.onset_at) <= col(RunRow.scheduled_at),
        or_(col(IncidentRow.resolved_at).is_(None), col(IncidentRow.resolved_at) >= col(RunRow.scheduled_at)),
    )
    counts_for_a_baseline = exists().where(
        col(MembershipRow.run_id) == col(RunRow.id), col(MembershipRow.purpose) != Purpose.WATCH.value
    )
    forgettable = select(col(RunRow.id)).where(
        col(RunRow.purpose) == Purpose.WATCH.value,
        col(RunRow.scheduled_at) < before,
        ~in_incident,
        ~counts_for_a_baseline,
    )
    is_anchor = exists().where(col(AnchorRow.completion_id) == col(CompletionRow.id))
    completions = delete(CompletionRow).where(col(CompletionRow.run_id).in_(forgettable), ~is_anchor)
    embeddings = delete(EmbeddingRow).where(col(EmbeddingRow.last_used_on) < before.astimezone(UTC).date())
    unsynchronised = {"synchronize_session": False}
    session.execute(embeddings, execution_options=unsynchronised)
    ids = session.scalars(completions.returning(col(CompletionRow.id)), execution_options=unsynchronised)
    return len(ids.all())
