"""What a notifier is, and how it reaches its receiver without holding a secret."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Protocol, TypeGuard

from driftwatch.domain import Announcement, Event, Json

EVERY_EVENT = frozenset(Event)

FOR_PEOPLE = frozenset({Event.OPENED, Event.JOINED, Event.ESCALATED, Event.REOPENED, Event.REMINDED, Event.RESOLVED})
"""What is worth a message of its own to a person; that somebody has acknowledged or commented is not."""


def write_to_stdout(text: str) -> None:
    """Write at once: a page that waits in a buffer is no page."""
    sys.stdout.write(text)
    sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConnection:
    """How to reach one receiver of the config. Secrets are read at use and never kept."""

    name: str
    """The receiver's key in the config; errors name it."""
    secrets: Mapping[str, Callable[[], str | None]] = field(default_factory=dict)
    """Name → how to read it, e.g. ``webhook_url`` for the config's ``webhook_url_env`` and ``webhook_url_file``."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """Every other key of the receiver's section, as the config has validated it; keys without a value are absent."""
    timeout_s: float = 10.0
    """Longest silence of the other side, in seconds; a whole delivery may take three times that."""
    write: Callable[[str], None] = write_to_stdout
    """Where a console receiver writes."""

    def secret(self, name: str) -> str | None:
        """Read one; None when the config names no place for it, or the place is empty."""
        read = self.secrets.get(name)
        return read() if read is not None else None


class Notifier(Protocol):
    """Tells one receiver. One attempt per call: repeating is the outbox's business alone."""

    events: ClassVar[frozenset[Event]]
    """What this kind of receiver can use; the outbox mutes the rest."""

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Return only after the other side took the message.

        Returns:
            What the next ``send`` about the same group shall find in ``announcement.receipt``, e.g. the id of the
            message to answer to; None leaves what is stored.

        Raises:
            DeliveryError: it did not, with whether another attempt can help.
        """
        ...

    async def send_digest(self, announcements: Sequence[Announcement]) -> Mapping[str, Mapping[str, Json]] | None:
        """Tell in one message what could not be told in time: the latest edge of each group, oldest first.

        Called instead of ``send`` when a receiver was out of reach for long, or a silence or quiet hours end, and more
        waits than a person wants to read one by one.

        Returns:
            Group's key → receipt, as ``send`` returns it, of the groups that have one now; None leaves what is stored.

        Raises:
            DeliveryError: as for ``send``.
        """
        ...


class Repeating(Notifier, Protocol):
    """A notifier of a receiver that forgets, and expects to be told again and again what stands."""

    repeats_every: ClassVar[timedelta]
    """How often it is told at most."""

    async def repeat(self, announcements: Sequence[Announcement]) -> None:
        """Tell again, in one request, what the receipts say that was told, as far as it is still open.

        Nothing else: no end, no incident that was not told yet. What it tells leaves no receipt.

        Raises:
            DeliveryError: as for ``send``.
        """
        ...


def is_repeating(notifier: Notifier) -> TypeGuard[Repeating]:
    """Whether its receiver forgets. Such a notifier says ``repeats_every``; the others say nothing, or None."""
    return getattr(notifier, "repeats_every", None) is not None


def shows_each(notifier: Notifier) -> bool:
    """Whether it shows each incident of a group by itself, so that it must hear of each beginning and end at once.

    Such a notifier says ``shows_each: ClassVar[bool] = True``; the others say nothing.
    """
    return bool(getattr(notifier, "shows_each", False))
