"""Work in a thread that ends in time: a thread cannot be stopped, so it asks before each thing it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from driftwatch.clock import stopwatch

_T = TypeVar("_T")


class TooLate(TimeoutError):
    """Nothing more may be begun: nobody waits for it, and what it was about will be told again."""


class Deadline:
    """Until when a piece of work may begin something; safe to ask from any thread.

    Args:
        limit_s: seconds from now, above 0.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s, self._past_s = limit_s, stopwatch()

    def within(self, limit_s: float) -> float:
        """Seconds that the next call may take: what it is allowed, or what is left where that is less.

        Raises:
            TooLate: nothing is left.
        """
        left_s = self._limit_s - self._past_s()
        if left_s <= 0:
            raise TooLate
        return min(limit_s, left_s)

    def end(self) -> None:
        """It is over now."""
        self._limit_s = 0.0


async def in_thread(work: Callable[[Deadline], _T], *, limit_s: float) -> _T:
    """Do it in a thread. When this returns, whatever way, the work begins nothing more.

    Args:
        work: asks its deadline before each call.
        limit_s: seconds that are waited for it.

    Raises:
        TimeoutError: it is not done. A call that was under way may still arrive.
    """
    deadline = Deadline(limit_s)
    try:
        # A client's own limit is per read; a server that sends a byte now and then would hold the outbox.
        async with asyncio.timeout(limit_s):
            return await asyncio.to_thread(work, deadline)
    finally:
        deadline.end()
