"""What a notifier is, and how it reaches its receiver without holding a secret."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from driftwatch.domain import Announcement


def write_to_stdout(text: str) -> None:
    """Write at once: a page that waits in a buffer is no page."""
    sys.stdout.write(text)
    sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConnection:
    """How to reach one receiver of the config. Secrets are read at use and never kept."""

    name: str
    """The receiver's key in the config; errors name it."""
    read_webhook_url: Callable[[], str | None] = lambda: None
    read_bot_token: Callable[[], str | None] = lambda: None
    channel: str | None = None
    """Where a bot posts: a channel id or ``#name``. A webhook has its channel built in."""
    base_url: str | None = None
    """Another root of Slack's Web API, for gateways; None is Slack itself."""
    timeout_s: float = 10.0
    """Longest silence of the other side, in seconds; a whole delivery may take three times that."""
    write: Callable[[str], None] = write_to_stdout
    """Where a console receiver writes."""


class Notifier(Protocol):
    """Tells one receiver. One attempt per call: repeating is the outbox's business alone."""

    async def send(self, announcement: Announcement) -> None:
        """Return only after the other side took the message.

        Raises:
            DeliveryError: it did not, with whether another attempt can help.
        """
        ...
