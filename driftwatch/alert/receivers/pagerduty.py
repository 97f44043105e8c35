"""Tells PagerDuty: one alert for each group, through Events API v2.

The group's key is the alert's ``dedup_key``, so that later edges update the alert that the first one opened. What is
sent is the group's present state, not the edge: a page that comes late about something that is over resolves it.

Source: developer.pagerduty.com/docs/events-api-v2/overview and …/trigger-events, 2025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from driftwatch.alert.message import Message, compose
from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.posting import Answer, Post
from driftwatch.alert.text import line, quote
from driftwatch.alert.titles import gravest
from driftwatch.domain import Announcement, Event, IncidentState, Json, Severity

BASE_URL = "https://events.pagerduty.com"
_PATH = "/v2/enqueue"
_ACCEPTED = 202
_SUMMARY = 1024
_DEDUP_KEY = 255
"""Characters at most. Source: …/trigger-events, Parameters."""
_REPLY = 4_000
"""Characters quoted of a prompt and of a reply; a whole event may hold 512 KB. Source: …/overview, Size Limits."""
_SEVERITIES = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.INFO: "info"}


class PagerDutyNotifier:
    """Triggers, acknowledges and resolves one alert for each group."""

    events: ClassVar[frozenset[Event]] = frozenset(Event) - {Event.REMINDED, Event.COMMENTED}
    """PagerDuty reminds by its own escalation policy, and keeps the comments that people write there."""

    def __init__(self, connection: ReceiverConnection) -> None:
        self._url = f"{connection.options.get('base_url') or BASE_URL}{_PATH}"
        self._post = Post(
            connection,
            "PagerDuty",
            is_taken=_is_taken,
            reason=_reason,
            advice={400: "check the routing key: it is the 32 characters of an Events API v2 integration"},
        )

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Bring the alert to what the group is now.

        Raises:
            DeliveryError: retryable for 429, 5xx and an unreachable PagerDuty; 400 and the like are permanent.
        """
        event = announcement.transition.event
        if announcement.is_over:
            return await self._tell(announcement, "resolve")
        if event is Event.ACKNOWLEDGED:
            return await self._tell(announcement, "acknowledge")
        if event is Event.RESOLVED and announcement.receipt is not None:
            # Others of the group are open: the alert stays as it is, and a trigger would undo what people did there.
            return None
        return await self._tell(announcement, "trigger")

    async def send_digest(self, announcements: Sequence[Announcement]) -> Mapping[str, Mapping[str, Json]] | None:
        """Bring each group's alert to what the group is now; returns a receipt of each.

        PagerDuty drops the end of an alert it does not have, so what began and ended untold stays untold. Repeated
        after a failure, this sends the same events again, which change nothing there.

        Raises:
            DeliveryError: as for ``send``.
        """
        receipts = {}
        for announcement in announcements:
            receipts[announcement.key] = await self._tell(
                announcement, "resolve" if announcement.is_over else "trigger"
            )
            if _is_somebodys(announcement):
                await self._tell(announcement, "acknowledge")
        return receipts

    async def _tell(self, announcement: Announcement, action: str) -> Mapping[str, Json]:
        routing_key = self._post.secret("routing_key", "routing key")
        key = dedup_key(announcement)
        event: dict[str, Json] = {"routing_key": routing_key, "event_action": action, "dedup_key": key}
        if action == "trigger":
            event |= {"client": "driftwatch", "payload": payload(announcement)}
        await self._post.send(self._url, event, secrets=(routing_key,))
        return {"dedup_key": key}


def _is_somebodys(announcement: Announcement) -> bool:
    """Whether all that is not over has been acknowledged, e.g. in Slack: nobody has to be paged any further."""
    states = {member.state for member in announcement.members}
    return IncidentState.ACKNOWLEDGED in states and IncidentState.OPEN not in states


def dedup_key(announcement: Announcement) -> str:
    """The alert's key: the group's, or this notification's own where a group has none."""
    return line(announcement.key or announcement.dedup_key, _DEDUP_KEY)


def payload(announcement: Announcement) -> dict[str, Json]:
    """What a trigger event tells of a group."""
    message, main = compose(announcement), gravest(announcement)
    return {
        "summary": line(f"{message.title}. {message.summary[0]}", _SUMMARY),
        "source": line(main.target, 100),
        "severity": _SEVERITIES[main.severity],
        "timestamp": announcement.transition.at.isoformat(),
        "component": line(main.target, 100),
        "group": line(announcement.owner or "driftwatch", 100),
        "class": main.kind.value,
        "custom_details": _details(announcement, message),
    }


def _details(announcement: Announcement, message: Message) -> dict[str, Json]:
    """Shown as a table of keys and texts: markup is not read there, so nothing needs escaping."""
    details: dict[str, Json] = {
        "what happened": "\n".join(message.summary),
        "next": "\n".join(f"{step.command}\n    {step.meaning}" for step in message.steps),
        "what changed": "\n".join(message.changes),
        **{section.title: "\n".join(section.lines) for section in message.sections},
        **dict(message.fields),
        "incidents of the group": ", ".join(
            f"{line(member.target, 100)} ({member.kind.value}, {member.state.value})" for member in announcement.members
        ),
    }
    if message.pair:
        pair = message.pair
        details |= {
            f"asked ({line(pair.canary_id, 100)})": quote(pair.prompt, _REPLY),
            "reply before": quote(pair.before, _REPLY),
            "reply since": quote(pair.after, _REPLY),
        }
    return {label: quote(text, 4 * _REPLY) for label, text in details.items() if text}


def _is_taken(answer: Answer) -> bool:
    return answer.status == _ACCEPTED


def _reason(said: Json) -> object:
    """``{"status": "invalid event", "message": …, "errors": ["Length of 'routing_key' is incorrect …"]}``."""
    if not isinstance(said, Mapping):
        return None
    errors = said.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(error for error in errors if isinstance(error, str))
    return said.get("message")
