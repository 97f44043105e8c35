"""Values and real SQLite files that the store's tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.domain import (
    Baseline,
    Completion,
    Event,
    IncidentState,
    Kind,
    Outcome,
    Purpose,
    Run,
    Score,
    State,
    Step,
    Verdict,
)
from driftwatch.store import Store

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class World:
    """A store with a target in it, and short ways to fill it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path)
        self.slot = 0

    def at(self, hours: float = 0) -> datetime:
        return T0 + timedelta(hours=hours)

    def baseline(self, target: str = "support", **changes: Any) -> Baseline:
        values = {
            "target": target,
            "series_key": "0123456789abcdef",
            "author": "ana",
            "reason": "first",
            "at": T0,
            "anchors_wanted": 8,
            "calibration_wanted": 168,
        }
        return self.store.start_baseline(**{**values, **changes})

    def claim(self, baseline: Baseline, purpose: Purpose = Purpose.WATCH, hour: float | None = None) -> Run:
        if hour is None:
            hour = self.slot
            self.slot += 1
        run = self.store.claim_run(
            target=baseline.target,
            scheduled_at=self.at(hour),
            purpose=purpose,
            baseline_id=baseline.id,
            at=self.at(hour + 0.01),
        )
        assert run is not None
        return run

    def measured(
        self,
        baseline: Baseline,
        purpose: Purpose = Purpose.WATCH,
        hour: float | None = None,
        scores: tuple[Score, ...] = (),
        n_failed: int = 0,
    ) -> tuple[Run, tuple[Completion, ...]]:
        run = self.claim(baseline, purpose, hour)
        completions = [completion(canary_id=f"core/{name}") for name in ("capital", "sum")]
        completions += [completion(outcome=Outcome.TIMEOUT, text="", error="no reply in 60 s")] * n_failed
        stored = self.store.record_measurement(
            run.id, completions=completions, scores=scores, finished_at=run.started_at, cost_usd=0.01
        )
        return run, stored

    def verdict(self, run: Run, state: State = State.STABLE) -> Verdict:
        return Verdict(
            run_id=run.id,
            target=run.target,
            baseline_id=run.baseline_id,
            at=run.scheduled_at,
            state=state,
            reason="as calibrated",
            n_calibration=168,
            n_monitored=3,
        )

    def opening(self, run: Run, **changes: Any) -> Step:
        values: dict[str, Any] = {
            "incident_id": None,
            "target": run.target,
            "kind": Kind.BEHAVIOUR,
            "before": None,
            "after": IncidentState.OPEN,
            "at": run.scheduled_at,
            "author": "driftwatch",
            "reason": "evidence 9,000 of 8,766",
            "onset_at": run.scheduled_at - timedelta(hours=2),
            "baseline_id": run.baseline_id,
            "run_id": run.id,
            "evidence": {"channels": ["wording"]},
            "receivers": ("oncall", "team"),
        }
        values |= changes
        values.setdefault("event", {"open": Event.OPENED}.get(values["after"]) or Event(values["after"].value))
        return Step(**values)


def completion(**changes: Any) -> Completion:
    values: dict[str, Any] = {
        "canary_id": "core/capital",
        "canary_hash": "00112233aabbccdd",
        "repeat": 0,
        "outcome": Outcome.OK,
        "at": T0,
        "latency_s": 0.5,
        "text": "Paris.",
    }
    return Completion(**{**values, **changes})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "driftwatch.db")
    yield world
    world.store.close()


@pytest.fixture
def make_completion() -> Callable[..., Completion]:
    return completion
