"""Baselines that were measured elsewhere: written with runs of their own, beside those that this watch made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.domain import Baseline, Completion, Outcome, Purpose, RunState, Score, Told
from driftwatch.store import baselines, rows, series
from driftwatch.store.database import among
from driftwatch.store.tables import BaselineRow, CompletionRow, RunRow


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtRun:
    """A calibration run of which the scores are known and the replies are not."""

    scheduled_at: datetime
    n_ok: int
    n_failed: int
    scores: Sequence[Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtIn:
    """A baseline with all that later runs are compared to."""

    target: str
    series_key: str
    author: str
    """Who accepted it where it was measured."""
    reason: str
    created_at: datetime
    """When it was begun there."""
    anchors_wanted: int
    calibration_wanted: int
    scope: Sequence[str]
    replacing: Baseline | None
    """The baseline that was current when it was decided; it becomes the parent."""
    expires_at: datetime | None
    anchors: Sequence[Completion]
    """Of each canary in the order in which they are compared."""
    calibration: Sequence[BroughtRun]
    told: Sequence[Told] = field(default=())
    """Metadata of its runs beyond that of the anchors themselves."""


def bring_in(session: Session, brought: BroughtIn, *, author: str, reason: str, at: datetime) -> Baseline:
    """Write it and make it current and active.

    Its runs stand under a name of their own: they are no runs of this watch, so they take no slot of its schedule,
    nothing of its budget and no line of its history.
    """
    if brought.replacing is not None:
        baselines.require_current(session, brought.replacing)
    created = baselines.start(
        session,
        target=brought.target,
        series_key=brought.series_key,
        author=author,
        reason=reason,
        at=at,
        anchors_wanted=brought.anchors_wanted,
        calibration_wanted=brought.calibration_wanted,
        parent_id=None,
        expires_at=brought.expires_at,
        scope=brought.scope,
    )
    # Who brought it in is on record with the change; the baseline itself is the work of whoever accepted it.
    row = session.get_one(BaselineRow, created.id)
    row.author, row.reason, row.created_at = brought.author, brought.reason, brought.created_at
    session.flush()
    made_for = f"{brought.target} (brought in as baseline {created.id})"

    def add_run(purpose: Purpose, slot: datetime, n_ok: int, n_failed: int) -> int:
        run = RunRow(
            target=made_for,
            scheduled_at=slot,
            purpose=purpose.value,
            state=RunState.JUDGED.value,
            baseline_id=created.id,
            started_at=slot,
            finished_at=slot,
            n_ok=n_ok,
            n_failed=n_failed,
        )
        session.add(run)
        session.flush()
        return rows.stored_id(run.id)

    # What is made up stands before all that is known.
    first = min([*(c.at for c in brought.anchors), *(run.scheduled_at for run in brought.calibration)])
    run_id = add_run(Purpose.ANCHOR, first - timedelta(seconds=1), len(brought.anchors), 0)
    series.set_members(session, created.id, [run_id], Purpose.ANCHOR)
    ids = session.scalars(
        insert(CompletionRow).returning(col(CompletionRow.id), sort_by_parameter_order=True),
        [rows.completion_columns(anchor, run_id) for anchor in brought.anchors],
    )
    baselines.accept_anchors(session, created.id, [rows.stored_id(i) for i in ids])
    by_run = {
        add_run(Purpose.CALIBRATION, run.scheduled_at, run.n_ok, run.n_failed): run.scores
        for run in brought.calibration
    }
    series.record_scores(session, created.id, by_run)
    series.set_members(session, created.id, list(by_run), Purpose.CALIBRATION)
    if brought.told:
        # A run of its own, which gave no anchors: told of, and never measured or accepted.
        slot = first - timedelta(seconds=2)
        n_ok = sum(told.n for told in brought.told if told.outcome is Outcome.OK)
        run_id = add_run(Purpose.ANCHOR, slot, n_ok, sum(told.n for told in brought.told) - n_ok)
        series.set_members(session, created.id, [run_id], Purpose.ANCHOR)
        session.execute(insert(CompletionRow), [row for told in brought.told for row in _replies(told, run_id, slot)])
    return baselines.activate(session, created.id, at=at, reason="it was complete where it was measured")


def run_counts(session: Session, run_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Run id → good replies and failures."""
    query = select(col(RunRow.id), col(RunRow.n_ok), col(RunRow.n_failed)).where(col(RunRow.id).in_(among(run_ids)))
    return {rows.stored_id(run_id): (n_ok, n_failed) for run_id, n_ok, n_failed in session.execute(query)}


def _replies(told: Told, run_id: int, at: datetime) -> list[dict[str, Any]]:
    """Replies of which nothing but the metadata is known."""
    silent = Completion(
        canary_id=told.canary_id,
        canary_hash="",
        repeat=0,
        outcome=told.outcome,
        at=at,
        latency_s=0.0,
        served_model=told.served_model,
        fingerprint=told.fingerprint,
        upstream=told.upstream,
        input_tokens=told.input_tokens,
    )
    return [
        {**rows.completion_columns(replace(silent, repeat=n), run_id), "deprecation": told.deprecation}
        for n in range(told.n)
    ]
