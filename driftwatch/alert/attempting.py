"""One attempt to tell a receiver, and how long until the next: whatever goes wrong, a sentence and no traceback."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from driftwatch.errors import DeliveryError, DriftwatchError

FIRST_WAIT_S = 30.0
"""Seconds before the second attempt; doubled before each further one."""
LONGEST_WAIT_S = 3600.0
"""Seconds between attempts at most, also where a receiver asks for more: its header may be wrong, the page is not."""

ATTEMPT_S = 100.0
"""Longest attempt, in seconds: below the lease, so that a receiver that drips is not told twice."""

_Said = TypeVar("_Said")
_Receipt = TypeVar("_Receipt")


async def attempt(
    receiver: str,
    send: Callable[[_Said], Awaitable[_Receipt]],
    said: _Said,
    *,
    longest_s: float | None = None,
) -> tuple[_Receipt | None, DeliveryError | None]:
    """Send once: the notifier's receipt, and what went wrong; given up after ``longest_s``, or ``ATTEMPT_S``."""
    longest_s = ATTEMPT_S if longest_s is None else longest_s
    try:
        async with asyncio.timeout(longest_s):
            return await send(said), None
    except DeliveryError as error:
        return None, error
    except DriftwatchError as error:
        return None, DeliveryError(f"receiver '{receiver}': {error}", receiver=receiver, retryable=True)
    except TimeoutError:
        sentence = f"receiver '{receiver}': it did not answer within {longest_s:g} s"
        return None, DeliveryError(sentence, receiver=receiver, retryable=True)
    except Exception as error:  # noqa: BLE001 - whatever a notifier's library raises, the page must stay due
        # The type alone: a library's message may hold the address, which for a webhook is the secret.
        sentence = f"receiver '{receiver}': an unexpected {type(error).__name__} while sending"
        return None, DeliveryError(sentence, receiver=receiver, retryable=True)


def wait_s(attempts: int, retry_after_s: float | None) -> float:
    """Seconds until the next attempt: what the receiver asked for, or 30 s · 2^attempts; an hour at most.

    >>> [wait_s(attempts, None) for attempts in (0, 1, 2, 20)]
    [30.0, 60.0, 120.0, 3600.0]
    >>> wait_s(5, 7.0)
    7.0

    Args:
        attempts: failed attempts before this one.
        retry_after_s: what the receiver asked for; None, negative or not finite counts as nothing said.
    """
    if retry_after_s is not None and math.isfinite(retry_after_s) and retry_after_s > 0:
        return min(retry_after_s, LONGEST_WAIT_S)
    return min(FIRST_WAIT_S * 2.0 ** min(attempts, 10), LONGEST_WAIT_S)
