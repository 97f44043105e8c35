"""How often a failure may be asked again: bounded by request, by run and by hour, so that no storm can begin."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from driftwatch.replay.rates import Bucket

PER_HOUR = 300
"""Retries an hour through one gate, over all targets. One target never comes near it; a thousand that fail together
add at most these to a struggling endpoint."""
FIRST_WAIT_S = 0.5
"""The back-off before the second attempt is half of this to all of it, s; it doubles with each attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to ask again after a failure of the transport.

    Only errors that say so are retried (connection, 429, 5xx): they tell nothing about behaviour. A reply is never
    asked for twice; a canary that retries until it looks good is none.
    """

    attempts: int = 3
    """For one request in all, 1 or more."""
    max_wait_s: float = 60.0
    """The longest back-off of our own, s; a wait that the endpoint asks for is kept to whatever it is."""
    share: float = 0.2
    """Retries of one run as a share of its requests, 0 … 1. Source: Google, "Site Reliability Engineering", chapter 21,
    "Handling overload", which bounds a client's retries by 10 % of its requests; a run is shorter than theirs."""
    least: int = 10
    """Retries that a run has however few its requests."""


class Retries:
    """What one run may still ask again.

    Args:
        policy: how much.
        n_requests: of the run.
        hourly: the gate's own bound.
    """

    def __init__(self, policy: RetryPolicy, n_requests: int, hourly: Bucket) -> None:
        self._most = self._left = max(policy.least, int(policy.share * n_requests))
        self._hourly = hourly

    def take(self) -> str | None:
        """One retry; None when it may be made, else what is used up."""
        if self._left < 1:
            return f"the run's {self._most} retries are used up"
        if self._hourly.wait_s(1) > 0:
            return f"the endpoint's {PER_HOUR} retries an hour are used up"
        self._left -= 1
        self._hourly.take(1)
        return None


def back_off_s(attempt: int, longest_s: float, *, seed: str) -> float:
    """The pause after a failed attempt, s: exponential, half of it drawn by hash so that equals do not come together.

    Args:
        attempt: the one that failed, from 1.
        longest_s: the most it may be.
        seed: names the request; the same gives the same pause.

    Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015, "equal jitter".
    """
    whole = min(longest_s, FIRST_WAIT_S * 2.0 ** (attempt - 1))
    drawn = int.from_bytes(hashlib.sha256(f"{seed}\0{attempt}".encode()).digest()[:8], "big") / 2**64
    return whole * (1 + drawn) / 2
