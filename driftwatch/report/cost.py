"""What watching a target has taken: requests, tokens and dollars, since the onset and in total."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftwatch.alert.text import count
from driftwatch.domain import Run
from driftwatch.report.figures import Window

LEAST_SHOWN_USD = 0.01
"""Less than a cent is told as that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What some runs took."""

    n_runs: int
    n_requests: int
    """Sent, repeated ones included."""
    n_tokens: int
    """Input and output, as replies report them."""
    cost_usd: float | None
    """By list prices; None where no price is known."""

    @property
    def text(self) -> str:
        """In words, e.g. ``82 runs, 1,968 requests, 190,234 tokens, about $1.20``."""
        return ", ".join([count(self.n_runs, "run"), count(self.n_requests, "request"), *self._further])

    @property
    def beside(self) -> str:
        """What there is to say beside the number of requests."""
        return ", ".join([count(self.n_runs, "run"), *self._further])

    @property
    def _further(self) -> list[str]:
        said = [count(self.n_tokens, "token")]
        if self.cost_usd:
            is_less = self.cost_usd < LEAST_SHOWN_USD
            said.append("under $0.01" if is_less else f"about ${self.cost_usd:,.2f}")
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The whole watch of a target, and the part of it since the onset."""

    total: Spent
    since: Spent | None
    """None without an onset."""
    first_at: datetime
    last_at: datetime
    n_answered: int
    n_failed: int


def cost(runs: Sequence[Run], window: Window) -> Cost | None:
    """Add up the runs of a target; None when there are none."""
    if not runs:
        return None
    return Cost(
        total=_spent(runs),
        since=_spent([run for run in runs if window.holds(run.scheduled_at)]) if window.onset_at else None,
        first_at=runs[0].scheduled_at,
        last_at=runs[-1].scheduled_at,
        n_answered=sum(run.n_ok for run in runs),
        n_failed=sum(run.n_failed for run in runs),
    )


def _spent(runs: Sequence[Run]) -> Spent:
    known = [run.cost_usd for run in runs if run.cost_usd is not None]
    return Spent(
        n_runs=len(runs),
        n_requests=sum(run.n_requests for run in runs),
        n_tokens=sum(run.n_tokens for run in runs),
        cost_usd=sum(known) if known else None,
    )
