"""Tells Slack: as a bot in one thread for each incident, or through an incoming webhook, one message for each edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

import structlog

from driftwatch.alert.message import Message, compose, compose_digest, present
from driftwatch.alert.receiver import EVERY_EVENT, ReceiverConnection
from driftwatch.alert.receivers.deadline import in_thread
from driftwatch.alert.receivers.failing import NOT_IN_TIME, optional
from driftwatch.alert.receivers.slack_actions import buttons
from driftwatch.alert.receivers.slack_blocks import blocks, notification_text
from driftwatch.alert.receivers.slack_wire import Answer, Wire
from driftwatch.domain import Announcement, Event, Json
from driftwatch.errors import DeliveryError, DriftwatchError

log = structlog.get_logger()

_T = TypeVar("_T")

_BROADCAST = frozenset({Event.ESCALATED, Event.REOPENED})
"""Edges that are shown in the channel beside the thread; so is the end of the whole group."""

_FIRST_IS_GONE = frozenset({"cant_update_message", "message_not_found", "thread_not_found"})
"""Slack's words for a first message that is no more, or no longer ours: posted anew."""
_CHANNEL_IS_GONE = frozenset({"channel_not_found", "is_archived", "not_in_channel"})
"""The thread's channel is out of reach; the configured one may be another by now."""
_CANNOT_BE_EDITED = frozenset({"edit_window_closed"})
"""A workspace's rule on editing: the thread goes on, its first message stays as it was.
Source of the three: docs.slack.dev/reference/methods/chat.update and chat.postMessage, 2026-11."""

MOST_UPDATES = 20
"""First messages that a digest brings up to date. Slack allows about 50 calls of chat.update a minute, of which other
edges need some. Source: docs.slack.dev/apis/web-api/rate-limits, Tier 3, 2026-11."""
UPDATES_S = 10.0
"""Seconds for them at most: an attempt that ends with the digest posted and not counted would post it again."""


class SlackNotifier:
    """Keeps one thread for each group of incidents as a bot; without a bot posts each edge through the webhook.

    The first message of a thread is brought up to date with every edge. Posting and keeping its receipt are two steps:
    after a crash between them the message is posted again, with the same ``dedup_key`` in its metadata.
    """

    events: ClassVar[frozenset[Event]] = EVERY_EVENT

    def __init__(self, connection: ReceiverConnection) -> None:
        self.connection = connection
        self._wire = Wire(connection)

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Post it.

        Returns:
            ``channel`` and ``ts`` of the first message when a thread begins; None otherwise.

        Raises:
            DeliveryError: retryable for rate limits, 5xx, time-outs and an unreachable Slack; otherwise permanent.
        """
        return await self._either_way(
            lambda wire, token: self._tell_as_bot(wire, token, announcement),
            lambda: compose(announcement),
            n_calls=3,
        )

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        """Post one message about all, then bring the first messages of their threads up to date as far as that goes.

        A group that has no thread gets one with its next edge: the digest is nobody's first message.

        Raises:
            DeliveryError: as for ``send``; the digest is not posted then.
        """
        token = await self._either_way(
            lambda wire, token: self._digest_as_bot(wire, token, announcements),
            lambda: compose_digest(announcements),
            n_calls=1,
        )
        if token:
            await self._bring_all_up_to_date(token, announcements)

    async def _either_way(
        self, as_bot: Callable[[Wire, str], _T], message: Callable[[], Message], *, n_calls: int
    ) -> _T | None:
        """As a bot; through the webhook where there is none, or where Slack has refused the bot for good."""
        token, refused = self._token()
        url = optional(self.connection, "Slack", "webhook_url")
        if token:
            try:
                return await self._in_time(lambda wire: as_bot(wire, token), n_calls=n_calls)
            except DeliveryError as error:
                if error.retryable or not url:
                    raise
                refused = error
                log.warning("slack.bot_refused", receiver=self.connection.name, error=str(error))
        if not url and refused:
            raise refused
        if not url:
            # Retryable: whoever mends the environment wants the pages that waited.
            self._wire.fail(
                "has neither a webhook address nor a bot token: set the variable or file it names", retryable=True
            )
        told = _with_note(message(), refused)
        await self._in_time(
            lambda wire: wire.post_to_webhook(url, notification_text(told), blocks(told)),
            n_calls=1,
        )
        return None

    def _token(self) -> tuple[str, DeliveryError | None]:
        """The bot's; where it cannot be read, why: a page that the webhook can tell does not wait for that."""
        try:
            return optional(self.connection, "Slack", "bot_token"), None
        except DeliveryError as error:
            return "", error

    async def _in_time(self, work: Callable[[Wire], _T], *, n_calls: int) -> _T:
        try:
            return await in_thread(
                lambda deadline: work(Wire(self.connection, deadline)), limit_s=3 * n_calls * self.connection.timeout_s
            )
        except TimeoutError:
            self._wire.fail(NOT_IN_TIME, retryable=True)

    # ------------------------------------------------------------ as a bot

    def _tell_as_bot(self, wire: Wire, token: str, announcement: Announcement) -> Mapping[str, Json] | None:
        message = compose(announcement)
        place = _place(announcement)
        if place and self._bring_up_to_date(wire, token, place, announcement):
            is_loud = announcement.transition.event in _BROADCAST or _is_the_end(announcement)
            thread = {"thread_ts": place["ts"], "reply_broadcast": is_loud}
            answer = self._post(wire, token, place["channel"], message, announcement, more=thread)
            if answer.text not in _FIRST_IS_GONE | _CHANNEL_IS_GONE:
                posted = wire.check(answer)
                # To a thread whose first message was deleted meanwhile, Slack posts in the channel and says nothing:
                # the answer's message has no thread_ts then. Source: github.com/slack-go/slack issue 1571.
                is_reply = "thread_ts" in (posted.get("message") or {"thread_ts": ""})
                return None if is_reply else _receipt(posted)
        actions = self._buttons(announcement)
        return _receipt(wire.check(self._post(wire, token, self._channel(), message, announcement, actions=actions)))

    def _digest_as_bot(self, wire: Wire, token: str, announcements: Sequence[Announcement]) -> str:
        """Post it; returns the token that could."""
        wire.check(self._post(wire, token, self._channel(), compose_digest(announcements), announcements[-1]))
        return token

    async def _bring_all_up_to_date(self, token: str, announcements: Sequence[Announcement]) -> None:
        """After a digest: whatever goes wrong here, the news is told, and a failure would tell it again."""
        # Those of the latest news first; of several about one group, the latest.
        latest: dict[str, tuple[Mapping[str, str], Announcement]] = {}
        for announcement in reversed(announcements):
            if place := _place(announcement):
                latest.setdefault(f"{place['channel']} {place['ts']}", (place, announcement))
        chosen = list(latest.values())[:MOST_UPDATES]

        def update(wire: Wire) -> None:
            for place, announcement in chosen:
                try:
                    self._bring_up_to_date(wire, token, place, announcement)
                except DeliveryError as error:
                    log.warning("slack.update_failed", receiver=self.connection.name, error=str(error))
                    if error.retryable:  # a limit, or a Slack in trouble: the next update would fare no better
                        return

        try:
            await in_thread(
                lambda deadline: update(Wire(self.connection, deadline)),
                limit_s=min(UPDATES_S, self.connection.timeout_s),
            )
        except Exception as error:  # noqa: BLE001 - the digest is posted, whatever the library raises now
            log.warning("slack.update_failed", receiver=self.connection.name, error=type(error).__name__)

    def _channel(self) -> str:
        channel = self.connection.options.get("channel")
        if not channel:
            self._wire.fail("has a bot token but no channel: add 'channel' to it in the config", retryable=False)
        return str(channel)

    def _bring_up_to_date(self, wire: Wire, token: str, place: Mapping[str, str], announcement: Announcement) -> bool:
        """Show how the group stands in the first message; False when there is none any more."""
        message = present(announcement)
        changed = {
            "channel": place["channel"],
            "ts": place["ts"],
            "text": notification_text(message),
            "blocks": blocks(message, self._buttons(announcement)),
        }
        answer = wire.call(token, "chat.update", changed)
        if answer.text in _FIRST_IS_GONE | _CHANNEL_IS_GONE:
            return False
        if answer.text not in _CANNOT_BE_EDITED:
            wire.check(answer)
        return True

    def _post(
        self,
        wire: Wire,
        token: str,
        channel: str,
        message: Message,
        announcement: Announcement,
        *,
        more: Mapping[str, Json] | None = None,
        actions: Sequence[Mapping[str, Json]] = (),
    ) -> Answer:
        posted = {
            "channel": channel,
            "text": notification_text(message),
            "blocks": blocks(message, actions),
            # Lets an operator's tooling join the messages of one incident and drop a repeated delivery.
            "metadata": {
                "event_type": "driftwatch_incident",
                "event_payload": {"incident": announcement.lead.id, "dedup_key": announcement.dedup_key},
            },
            "unfurl_links": False,
            "unfurl_media": False,
            **(more or {}),
        }
        return wire.call(token, "chat.postMessage", posted)

    def _buttons(self, announcement: Announcement) -> Sequence[Mapping[str, Json]]:
        """Only where somebody listens to them. A page does not wait for a token that it does not need."""
        try:
            listens = bool(self.connection.secret("app_token"))
        except DriftwatchError as error:
            log.warning("slack.app_token_unreadable", receiver=self.connection.name, error=str(error))
            listens = False
        return buttons(announcement, self.connection.name) if listens else ()


def _is_the_end(announcement: Announcement) -> bool:
    return announcement.transition.event is Event.RESOLVED and announcement.is_over


def _place(announcement: Announcement) -> dict[str, str] | None:
    """Where the thread is; None before there is one, or when what is stored cannot be read."""
    stored = announcement.receipt or {}
    channel, ts = stored.get("channel"), stored.get("ts")
    return {"channel": channel, "ts": ts} if isinstance(channel, str) and isinstance(ts, str) else None


def _receipt(posted: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """None from a look-alike of Slack that names no message: each edge is posted by itself then."""
    channel, ts = posted.get("channel"), posted.get("ts")
    return {"channel": channel, "ts": ts} if isinstance(channel, str) and isinstance(ts, str) else None


def _with_note(message: Message, refused: DeliveryError | None) -> Message:
    """Why it comes through the webhook, below what it is about."""
    if refused is None:
        return message
    note = f"This came through the webhook, because the bot was refused: {refused}."
    return replace(message, summary=(*message.summary, note))
