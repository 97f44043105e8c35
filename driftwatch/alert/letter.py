"""One message that is to be sent now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from driftwatch.alert.correspondence import Correspondence
from driftwatch.domain import Announcement, Json, Notification
from driftwatch.errors import DeliveryError

DIGEST_AFTER = timedelta(hours=1)
"""How long the oldest must have waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One notification that is to be sent now."""

    mail: Correspondence
    """What the receiver was told of the group, and what waits."""
    notification: Notification
    """Which is told."""
    along: tuple[int, ...]
    """Numbers of those that are told with it."""

    @property
    def leased(self) -> list[Notification]:
        """It and those along, as they were read before the lease."""
        return [n for n in self.mail.notifications if n.id in {self.notification.id, *self.along}]

    @property
    def announcement(self) -> Announcement:
        """What is told."""
        return self.mail.telling(self.notification)

    def has_waited(self, at: datetime) -> bool:
        """Whether it could not be told for long, for whatever reason."""
        pending = self.mail.pending
        is_late = at - min(self.mail.edge(n).at for n in pending) >= DIGEST_AFTER
        return is_late and any(n.attempts or n.last_error for n in pending)


def unknown_receiver(receiver: str) -> DeliveryError:
    """Why a receiver that has left the config is never told."""
    return DeliveryError(
        f"receiver '{receiver}' is not in the config any more: add it under 'receivers' again, "
        f"or name another one in the target's 'receivers'",
        receiver=receiver,
        retryable=False,
    )


def fields_of(mail: Correspondence, notification: Notification) -> dict[str, Json]:
    """What every line of the log about a notification says."""
    return {
        "receiver": notification.receiver,
        "target": mail.incident(notification).target,
        "incident": mail.announcement.lead.id,
        "dedup_key": notification.dedup_key,
    }
