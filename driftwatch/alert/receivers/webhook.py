"""Tells any HTTP endpoint: the JSON document of ``document``, signed as Standard Webhooks describes.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, version 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from driftwatch.alert import document
from driftwatch.alert.receiver import EVERY_EVENT, ReceiverConnection
from driftwatch.alert.receivers.posting import Answer, Post, to_bytes
from driftwatch.clock import WallClock
from driftwatch.domain import Announcement, Event, Json

_PREFIX = "whsec_"
_SHORTEST_KEY, _LONGEST_KEY = 24, 64
"""Bytes. Source: the specification's table of signature schemes: at least 192 bits, 512 at most."""


class WebhookNotifier:
    """Posts every edge; whoever listens picks by the document's ``type``."""

    events: ClassVar[frozenset[Event]] = EVERY_EVENT

    def __init__(self, connection: ReceiverConnection, now: Callable[[], datetime] | None = None) -> None:
        """``now`` is the time of the attempt, which is signed."""
        self._connection, self._now = connection, now or WallClock().now
        self._post = Post(connection, "webhook", is_taken=_is_taken)

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Post it.

        Raises:
            DeliveryError: retryable for 408, 425, 429, 5xx and an unreachable endpoint; otherwise permanent.
        """
        await self._tell(announcement.dedup_key, document.of_announcement(announcement))
        return None

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        """Post one document for all.

        Raises:
            DeliveryError: as for ``send``.
        """
        await self._tell(document.digest_key(announcements), document.of_digest(announcements))

    async def _tell(self, key: str, said: Json) -> None:
        url = self._post.secret("url", "address")
        body, id_ = to_bytes(said), webhook_id(key)
        timestamp = str(int(self._now().timestamp()))
        headers = {"webhook-id": id_, "webhook-timestamp": timestamp}
        own = {name: self._header(name) for name in self._connection.options.get("headers") or ()}
        secrets = tuple(own.values())
        if "signing_key" in self._connection.secrets:
            # Never unsigned where a key is configured: the page waits for it.
            key_text = self._post.secret("signing_key", "signing key")
            headers["webhook-signature"] = sign(self._key(key_text), id_, timestamp, body)
            secrets = (*secrets, key_text)
        await self._post.send(url, body, headers={**own, **headers}, secrets=secrets)

    def _header(self, name: str) -> str:
        return self._post.secret(f"headers.{name}", f"value for the header {name}")

    def _key(self, text: str) -> bytes:
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
            self._post.fail(
                "has a signing key of another form: store whsec_ and the base64 of 24 to 64 random bytes, "
                f"e.g. the output of: echo {_PREFIX}$(openssl rand -base64 32)",
                False,
            )
        return key


def sign(key: bytes, id_: str, timestamp: str, body: bytes) -> str:
    """The value of ``webhook-signature``.

    Args:
        key: the shared secret, decoded.
        id_: as sent in ``webhook-id``; without a full stop, which ends it in the signed content.
        timestamp: as sent in ``webhook-timestamp``.
        body: exactly as sent.
    """
    content = b".".join((id_.encode(), timestamp.encode(), body))
    return f"v1,{base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()}"


def webhook_id(key: str) -> str:
    """A notification's key as the header can carry it: the same over every attempt, and without a full stop.

    >>> webhook_id("30:on.call")
    '30:on_call'
    """
    return re.sub(r"[^A-Za-z0-9:_-]", "_", key)


def _is_taken(answer: Answer) -> bool:
    """Any 2xx, as the specification has it; but a log-in page is no endpoint."""
    return not answer.is_page
