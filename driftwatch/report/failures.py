"""How requests failed: by outcome and run, and the last errors with the request ids that a support desk asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftwatch.domain import Completion, Outcome, Run
from driftwatch.report.figures import Window
from driftwatch.store import Store

MAX_RUNS = 24
"""Runs listed, the latest: a day of hourly ones."""

MAX_ERRORS = 8
"""Errors listed, the latest of each kind first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingRun:
    """One run with failures."""

    at: datetime
    n_ok: int
    by_outcome: tuple[int, ...]
    """In the order of ``Failures.outcomes``."""

    @property
    def n_failed(self) -> int:
        """All failures of the run."""
        return sum(self.by_outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    """One failed request."""

    at: datetime
    outcome: str
    canary_id: str
    error: str
    request_id: str
    """Empty where the endpoint gave none."""
    n_alike: int
    """Failures with the same outcome and sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """The failures of an incident."""

    outcomes: tuple[str, ...]
    """Most frequent first, in words."""
    totals: tuple[int, ...]
    runs: tuple[FailingRun, ...]
    """Latest first."""
    n_runs_left_out: int
    errors: tuple[LastError, ...]
    """One for each outcome and sentence, latest first."""


def failures(store: Store, runs: Sequence[Run], window: Window) -> Failures | None:
    """The failures of the runs within a window; None when nothing failed.

    Args:
        store: read only.
        runs: of one target, oldest first.
        window: from the first failing run to the end of the incident.
    """
    failing = [run for run in runs if run.n_failed and window.holds(run.scheduled_at)]
    shown = failing[-MAX_RUNS:]
    stored = store.completions([run.id for run in shown])
    failed = {run.id: [c for c in stored[run.id] if not c.is_ok] for run in shown}
    everything = [completion for run in shown for completion in failed[run.id]]
    if not everything:
        return None
    counts: dict[Outcome, int] = {}
    for completion in everything:
        counts[completion.outcome] = counts.get(completion.outcome, 0) + 1
    ranked = sorted(counts, key=lambda outcome: -counts[outcome])
    return Failures(
        outcomes=tuple(outcome.value.replace("_", " ") for outcome in ranked),
        totals=tuple(counts[outcome] for outcome in ranked),
        runs=tuple(
            FailingRun(
                at=run.scheduled_at,
                n_ok=run.n_ok,
                by_outcome=tuple(sum(c.outcome is outcome for c in failed[run.id]) for outcome in ranked),
            )
            for run in reversed(shown)
        ),
        n_runs_left_out=len(failing) - len(shown),
        errors=_errors(everything),
    )


def _errors(failed: Sequence[Completion]) -> tuple[LastError, ...]:
    alike: dict[tuple[Outcome, str], list[Completion]] = {}
    for completion in failed:
        alike.setdefault((completion.outcome, completion.error or ""), []).append(completion)
    latest = [
        LastError(
            at=those[-1].at,
            outcome=outcome.value.replace("_", " "),
            canary_id=those[-1].canary_id,
            error=error,
            request_id=next((c.request_id for c in reversed(those) if c.request_id), ""),
            n_alike=len(those),
        )
        for (outcome, error), those in alike.items()
    ]
    return tuple(sorted(latest, key=lambda error: error.at, reverse=True)[:MAX_ERRORS])
