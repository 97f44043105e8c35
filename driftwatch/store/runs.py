"""Runs and their completions: ``claimed → measured → judged``, or ``interrupted``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import Session
from sqlmodel import col, func

from driftwatch.domain import Ceiling, Completion, Purpose, Run, RunState, Score, Spending
from driftwatch.errors import StoreError
from driftwatch.store import rows, series
from driftwatch.store.database import among
from driftwatch.store.tables import CompletionRow, RunRow

LARGEST = 2**63 - 1
"""The largest number of a column. Source: https://sqlite.org/datatype3.html, section 2."""


def claim(
    session: Session,
    *,
    target: str,
    scheduled_at: datetime,
    purpose: Purpose,
    baseline_id: int,
    at: datetime,
    reserved: Spending,
    ceilings: Sequence[Ceiling],
) -> Run | None:
    """Take a slot and set aside what its run may take; None when somebody has the slot, or the room under a ceiling."""
    for ceiling in ceilings:
        taken = spent(session, since=ceiling.since, until=ceiling.until, target=ceiling.target, settled_only=False)
        if not ceiling.holds(taken + reserved):
            return None
    values = {
        "target": target,
        "scheduled_at": scheduled_at,
        "purpose": purpose.value,
        "state": RunState.CLAIMED.value,
        "baseline_id": baseline_id,
        "started_at": at,
        "n_ok": 0,
        "n_failed": 0,
        "n_requests": min(reserved.requests, LARGEST),
        "n_tokens": min(reserved.tokens, LARGEST),
        "cost_usd": reserved.usd or None,
    }
    statement = upsert(RunRow).values(values).on_conflict_do_nothing(index_elements=["target", "scheduled_at"])
    row = session.scalars(statement.returning(RunRow)).one_or_none()
    return None if row is None else rows.run(row)


def record_measurement(
    session: Session,
    run_id: int,
    *,
    completions: Sequence[Completion],
    scores: Sequence[Score],
    finished_at: datetime,
    cost_usd: float | None,
    n_tokens: int | None,
) -> tuple[Completion, ...]:
    """Store a claimed run's evidence and its membership of its own baseline."""
    row = _run(session, run_id)
    if row.state != RunState.CLAIMED:
        raise StoreError(f"run {run_id} of {row.target} is {row.state}, so it takes no measurement")
    row.state = RunState.MEASURED.value
    row.finished_at = finished_at
    row.n_ok = sum(completion.is_ok for completion in completions)
    row.n_failed = len(completions) - row.n_ok
    row.n_requests = min(sum(completion.attempts for completion in completions), LARGEST)
    told = sum((c.input_tokens or 0) + (c.output_tokens or 0) for c in completions)
    row.n_tokens = min(told if n_tokens is None else n_tokens, LARGEST)
    row.cost_usd = cost_usd
    session.flush()
    series.set_members(session, row.baseline_id, [run_id], Purpose(row.purpose))
    series.record_scores(session, row.baseline_id, {run_id: scores})
    if not completions:
        return ()
    ids = session.scalars(
        insert(CompletionRow).returning(col(CompletionRow.id), sort_by_parameter_order=True),
        [rows.completion_columns(completion, run_id) for completion in completions],
    )
    return tuple(replace(completion, id=i) for completion, i in zip(completions, ids, strict=True))


def record_spending(session: Session, run_id: int, spending: Spending) -> None:
    """Put what a run that breaks off has taken in the place of what was set aside for it."""
    row = _run(session, run_id)
    if row.state == RunState.CLAIMED:
        row.n_requests, row.n_tokens = min(spending.requests, LARGEST), min(spending.tokens, LARGEST)
        row.cost_usd = spending.usd or None


def spent(session: Session, *, since: datetime, until: datetime, target: str | None, settled_only: bool) -> Spending:
    """What the runs that began in a stretch of time have taken."""
    query = select(
        # Not SUM: that ends with an error when what endpoints report is more than an integer holds.
        func.total(RunRow.n_requests),
        func.total(RunRow.n_tokens),
        func.total(RunRow.cost_usd),
    ).where(col(RunRow.started_at) >= since, col(RunRow.started_at) < until)
    if target is not None:
        query = query.where(col(RunRow.target) == target)
    if settled_only:
        query = query.where(col(RunRow.state) != RunState.CLAIMED.value)
    requests, tokens, usd = session.execute(query).one()
    return Spending(requests=round(requests), tokens=round(tokens), usd=usd)


def mark_judged(session: Session, run_id: int) -> None:
    """Move a measured run to judged; one that is judged already stays as it is."""
    row = _run(session, run_id)
    if row.state not in (RunState.MEASURED, RunState.JUDGED):
        raise StoreError(f"run {run_id} of {row.target} is {row.state}, so it has no evidence to be judged by")
    row.state = RunState.JUDGED.value


def interrupt_stale(session: Session, target: str | None, *, before: datetime, after: datetime | None) -> int:
    """Give up claimed runs that started before one time or after another; returns how many."""
    started = col(RunRow.started_at)
    outside = started < before if after is None else or_(started < before, started > after)
    stale = [col(RunRow.state) == RunState.CLAIMED.value, outside]
    if target is not None:
        stale.append(col(RunRow.target) == target)
    statement = update(RunRow).where(*stale).values(state=RunState.INTERRUPTED.value).returning(col(RunRow.id))
    return len(session.scalars(statement).all())


def listing(
    session: Session,
    target: str | None,
    *,
    baseline_id: int | None,
    purposes: Collection[Purpose] | None,
    states: Collection[RunState] | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    newest_first: bool,
) -> list[Run]:
    """Runs that meet every condition given."""
    query = select(RunRow)
    if target is not None:
        query = query.where(col(RunRow.target) == target)
    if baseline_id is not None:
        query = query.where(col(RunRow.baseline_id) == baseline_id)
    if purposes is not None:
        query = query.where(col(RunRow.purpose).in_([purpose.value for purpose in purposes]))
    if states is not None:
        query = query.where(col(RunRow.state).in_([state.value for state in states]))
    if since is not None:
        query = query.where(col(RunRow.scheduled_at) >= since)
    if until is not None:
        query = query.where(col(RunRow.scheduled_at) <= until)
    if newest_first:
        query = query.order_by(col(RunRow.scheduled_at).desc(), col(RunRow.id).desc())
    else:
        query = query.order_by(col(RunRow.scheduled_at), col(RunRow.id))
    return [rows.run(row) for row in session.scalars(query.limit(limit))]


def last_scheduled(session: Session, targets: Sequence[str]) -> dict[str, datetime]:
    """Each target's latest slot in any state; targets that never ran are absent."""
    latest: dict[str, datetime] = {}
    for target in targets:  # one look-up in the unique index each, however many runs there are
        slot = session.scalar(select(func.max(RunRow.scheduled_at)).where(col(RunRow.target) == target))
        if slot is not None:
            latest[target] = slot
    return latest


def completions(session: Session, run_ids: Sequence[int], canary_id: str | None) -> dict[int, list[Completion]]:
    """The completions of runs, in the order in which they were recorded; every run asked for has an entry."""
    query = select(CompletionRow).where(col(CompletionRow.run_id).in_(among(run_ids)))
    if canary_id is not None:
        query = query.where(col(CompletionRow.canary_id) == canary_id)
    by_run: dict[int, list[Completion]] = {run_id: [] for run_id in run_ids}
    for row in session.scalars(query.order_by(col(CompletionRow.id))):
        by_run[row.run_id].append(rows.completion(row))
    return by_run


def _run(session: Session, run_id: int) -> RunRow:
    row = session.get(RunRow, run_id)
    if row is None:
        raise StoreError(f"there is no run {run_id}")
    return row
