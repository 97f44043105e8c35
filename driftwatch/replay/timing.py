"""The time that waits are measured in: the machine's, or simulated."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from driftwatch.clock import Clock


class Timing(Protocol):
    """A monotonic clock and a way to wait by it."""

    def now_s(self) -> float:
        """Seconds since some moment; never less than before."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        ...


class RealTime:
    """The machine's monotonic clock."""

    def now_s(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SimulatedTime:
    """A simulation's clock, which stands still while anything runs: whoever waits moves it on for this clock alone.

    Without it a simulated week would use up the retries of one real hour.

    Args:
        clock: the simulation's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._waited_s = clock, 0.0

    def now_s(self) -> float:
        """Simulated seconds since 1970, and what was waited."""
        return self._clock.now().timestamp() + self._waited_s

    async def sleep(self, seconds: float) -> None:
        """Let others go first, at once."""
        self._waited_s += seconds
        await asyncio.sleep(0)
