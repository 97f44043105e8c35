"""Delivers what the store says is due, at least once and in order, and writes down how it went.

A notification is marked sent only after the receiver took it. A crash between the two repeats the message
with the same ``dedup_key``: a page twice is a nuisance, a page lost is the failure driftwatch exists against.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from driftwatch.alert.receiver import Notifier
from driftwatch.domain import Announcement, Notification
from driftwatch.errors import DeliveryError, DriftwatchError

FIRST_WAIT_S = 30.0
"""Seconds before the second attempt; doubled before each further one."""
LONGEST_WAIT_S = 3600.0
"""Seconds between attempts at most, also where a receiver asks for more: its header may be wrong, the page is not."""

log = structlog.get_logger()


class Outbox(Protocol):
    """What delivery needs of the store."""

    def due_notifications(self, at: datetime) -> list[tuple[Notification, Announcement]]:
        """Pending notifications whose next attempt is at or before ``at``.

        Never one whose earlier sibling, of the same incident and to the same receiver, is still pending:
        "Recovered" must not arrive before "Drift".
        """
        ...

    def mark_sent(self, notification_id: int, *, at: datetime) -> None:
        """The receiver took it."""
        ...

    def mark_failed(self, notification_id: int, *, error: str, next_attempt_at: datetime) -> None:
        """It did not; try again then."""
        ...

    def mark_dead(self, notification_id: int, *, error: str) -> None:
        """It never will."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """How many notifications one pass sent, put off after a failed attempt, gave up, and held back."""

    n_sent: int = 0
    n_failed: int = 0
    n_dead: int = 0
    n_held: int = 0
    """Not tried, because an earlier one to the same receiver had just failed."""


async def deliver(outbox: Outbox, notifiers: Mapping[str, Notifier], *, at: datetime) -> DeliveryReport:
    """Make one pass over what is due, one attempt each.

    After a failure that may pass, the rest for that receiver waits as long: a receiver that is down or limits
    its rate is asked once per pass, not once per message. There is no last attempt: as long as a receiver is
    down, its notifications stay due.

    Args:
        outbox: the store.
        notifiers: receiver name → how to tell it.
        at: the time of this pass.
    """
    tally = {"n_sent": 0, "n_failed": 0, "n_dead": 0, "n_held": 0}
    resting: dict[str, datetime] = {}
    for notification, announcement in sorted(outbox.due_notifications(at), key=lambda due: due[0].id):
        receiver = notification.receiver
        if receiver in resting:
            outbox.mark_failed(
                notification.id,
                error=f"waits with an earlier notification to '{receiver}', which failed",
                next_attempt_at=resting[receiver],
            )
            tally["n_held"] += 1
        else:
            error = await _attempt(notification, announcement, notifiers)
            tally[_record(outbox, notification, announcement, error, at=at, resting=resting)] += 1
    return DeliveryReport(**tally)


async def _attempt(
    notification: Notification,
    announcement: Announcement,
    notifiers: Mapping[str, Notifier],
) -> DeliveryError | None:
    """Send once; None when the receiver took it."""
    receiver = notification.receiver
    notifier = notifiers.get(receiver)
    if notifier is None:
        return DeliveryError(
            f"receiver '{receiver}' is not in the config any more: add it under 'receivers' again, "
            f"or name another one in the target's 'receivers'",
            receiver=receiver,
            retryable=False,
        )
    try:
        await notifier.send(announcement)
    except DeliveryError as error:
        return error
    except DriftwatchError as error:
        return DeliveryError(f"receiver '{receiver}': {error}", receiver=receiver, retryable=True)
    except Exception as error:  # noqa: BLE001 - whatever a notifier's library raises, the page must stay due
        # The type alone: a library's message may hold the address, which for a webhook is the secret.
        sentence = f"receiver '{receiver}': an unexpected {type(error).__name__} while sending"
        return DeliveryError(sentence, receiver=receiver, retryable=True)
    return None


def _record(
    outbox: Outbox,
    notification: Notification,
    announcement: Announcement,
    error: DeliveryError | None,
    *,
    at: datetime,
    resting: dict[str, datetime],
) -> str:
    """Write the attempt down; returns the tally it counts in."""
    fields = {
        "receiver": notification.receiver,
        "target": announcement.incident.target,
        "incident": announcement.incident.id,
        "dedup_key": notification.dedup_key,
        "attempt": notification.attempts + 1,
    }
    if error is None:
        outbox.mark_sent(notification.id, at=at)
        log.info("notification.sent", **fields)
        return "n_sent"
    if not error.retryable:
        outbox.mark_dead(notification.id, error=str(error))
        log.error("notification.dead", error=str(error), **fields)
        return "n_dead"
    next_attempt_at = at + timedelta(seconds=wait_s(notification.attempts, error.retry_after_s))
    outbox.mark_failed(notification.id, error=str(error), next_attempt_at=next_attempt_at)
    resting[notification.receiver] = next_attempt_at
    log.warning("notification.failed", error=str(error), next_attempt_at=next_attempt_at.isoformat(), **fields)
    return "n_failed"


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
