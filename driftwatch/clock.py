"""The only place that reads the wall clock. Everything else is told the time as ``at``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the outer shell gets the time from and how it waits."""

    def now(self) -> datetime:
        """The current time, aware UTC."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Return at ``at`` or at once when it has passed."""
        ...


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current time, aware UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one place

    async def sleep_until(self, at: datetime) -> None:
        """Wait in real time."""
        await asyncio.sleep(max(0.0, (at - self.now()).total_seconds()))


class SimulatedClock:
    """A clock that stands still until somebody waits, then jumps: weeks pass as fast as they can be computed."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            msg = "a simulated clock needs an aware start time"
            raise ValueError(msg)
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The simulated time, aware UTC."""
        return self._now

    async def sleep_until(self, at: datetime) -> None:
        """Jump forward to ``at``."""
        self.jump(at)
        await asyncio.sleep(0)

    def jump(self, at: datetime) -> None:
        """Make it ``at``; never goes backward."""
        self._now = max(self._now, at.astimezone(UTC))


def stopwatch() -> Callable[[], float]:
    """Start a monotonic stopwatch; calling it returns the seconds since.

    >>> elapsed_s = stopwatch()
    >>> elapsed_s() >= 0
    True
    """
    start = time.perf_counter()
    return lambda: time.perf_counter() - start
