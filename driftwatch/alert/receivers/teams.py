"""Tells a Microsoft Teams channel through a Workflows webhook, as an Adaptive Card.

A workflow answers 202 before Teams has taken the card and gives no id: a card that is too large would be lost without a
word, and no message can be changed afterwards. So the size is kept here, and every edge is a card of its own.

All text stands in RichTextBlocks, in which Teams reads no Markdown.

Source: learn.microsoft.com/connectors/teams (request body, limit of about 28 KB),
learn.microsoft.com/adaptive-cards/create/textfeatures ("RichTextBlock does not support markdown") and
learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference (Adaptive Cards 1.5), 2025.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from driftwatch.alert.message import Message, Tone, compose, compose_digest
from driftwatch.alert.receiver import FOR_PEOPLE, ReceiverConnection
from driftwatch.alert.receivers.posting import Answer, Post
from driftwatch.alert.text import line, quote, units
from driftwatch.domain import Announcement, Event, Json

LARGEST = 14_000
"""UTF-16 units of the JSON: 28 KB in the encoding that Teams counts in. Source: …/connectors/teams, Known issues."""

_STYLES = {Tone.ALARM: "attention", Tone.WARNING: "warning", Tone.NOTICE: "accent", Tone.GOOD: "good"}
_PROMPT, _REPLY = 240, 900
"""Characters quoted; ``driftwatch report`` has the whole."""


class TeamsNotifier:
    """Posts each edge as a card."""

    events: ClassVar[frozenset[Event]] = FOR_PEOPLE

    def __init__(self, connection: ReceiverConnection) -> None:
        gone = "the workflow is gone or switched off: create a new one in Teams and store its address"
        self._post = Post(
            connection,
            "Teams",
            is_taken=_is_taken,
            reason=_reason,
            advice={
                400: "check that the workflow begins with 'When a Teams webhook request is received'",
                401: "let anyone trigger the workflow, or create a new one and store its address",
                404: gone,
                410: gone,
            },
        )

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Post it.

        Raises:
            DeliveryError: retryable for 429, 5xx and an unreachable workflow; otherwise permanent.
        """
        await self._tell(compose(announcement))
        return None

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        """Post one card for all.

        Raises:
            DeliveryError: as for ``send``.
        """
        await self._tell(compose_digest(announcements))

    async def _tell(self, message: Message) -> None:
        await self._post.send(self._post.secret("webhook_url", "webhook address"), body(message))


def body(message: Message) -> dict[str, Json]:
    """The request for a message; paragraphs that do not fit are left out, the least useful first."""
    title = {
        "type": "Container",
        "style": _STYLES[message.tone],
        "bleed": True,
        "items": [_text(_run(message.title, weight="Bolder", size="Large"))],
    }
    footer = _text(_run(message.footer, size="Small", isSubtle=True))
    kept: list[Json] = []
    for part in _parts(message):
        if _size(_enveloped([title, *kept, part, footer])) <= LARGEST:
            kept.append(part)
    return _enveloped([title, *kept, footer])


def _enveloped(elements: Sequence[Json]) -> dict[str, Json]:
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "msteams": {"width": "Full"},
                    "body": list(elements),
                },
            }
        ],
    }


def _parts(message: Message) -> list[dict[str, Json]]:
    """Elements of the card, what must not be lost first."""
    parts = [
        _container([_text(_run(sentence, weight="Bolder" if n == 0 else "Default"))])
        for n, sentence in enumerate(message.summary)
    ]
    if message.steps:
        steps = [
            _text(_run(step.command, fontType="Monospace"), _run(f"  {step.meaning}", isSubtle=True))
            for step in message.steps
        ]
        parts.append(_container([_heading("Next"), *steps]))
    if message.changes:
        parts.append(
            _container([_heading("What changed"), *(_text(_run(f"• {change}")) for change in message.changes)])
        )
    if message.pair:
        pair = message.pair
        quoted = (("Asked", pair.prompt, _PROMPT), ("Before", pair.before, _REPLY), ("Since", pair.after, _REPLY))
        parts.append(_container([_heading(f"Before and since: {line(pair.canary_id, 100)}")]))
        parts += [_quotation(label, text, limit) for label, text, limit in quoted]
    parts += [
        _container([_heading(section.title), *(_text(_run(f"• {text}")) for text in section.lines)])
        for section in message.sections
    ]
    if message.fields:
        parts.append(_container([_row(label, value) for label, value in message.fields]))
    return parts


def _quotation(label: str, text: str, limit: int) -> dict[str, Json]:
    """A reply in a box of its own, so that nothing in it can pass for driftwatch's words."""
    lines = (quote(text, limit) or "(nothing)").split("\n")
    quoted = [_text(_run(row or " ", fontType="Monospace", size="Small"), spacing="None") for row in lines]
    return _container([_text(_run(label, isSubtle=True)), *quoted], style="emphasis")


def _row(label: str, value: str) -> dict[str, Json]:
    # Not a FactSet: its values are read as Markdown.
    columns = [("100px", _run(label, isSubtle=True)), ("stretch", _run(value))]
    return {
        "type": "ColumnSet",
        "spacing": "Small",
        "columns": [{"type": "Column", "width": width, "items": [_text(*[run])]} for width, run in columns],
    }


def _container(items: Sequence[Json], **more: Json) -> dict[str, Json]:
    return {"type": "Container", "spacing": "Medium", "items": list(items), **more}


def _heading(text: str) -> dict[str, Json]:
    return _text(_run(text, weight="Bolder"))


def _text(*runs: list[Json], **more: Json) -> dict[str, Json]:
    return {"type": "RichTextBlock", "inlines": [piece for run in runs for piece in run], **more}


def _run(text: str, **more: Json) -> list[Json]:
    """Text as it is. ``{{`` is split, since Teams would read ``{{DATE(…)}}`` in it.

    Source: learn.microsoft.com/adaptive-cards/create/textfeatures, Date/Time formatting.
    """
    return [{"type": "TextRun", "text": piece, **more} for piece in re.split(r"(?<=\{)(?=\{)", text)]


def _size(document: Json) -> int:
    return units(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def _is_taken(answer: Answer) -> bool:
    """A workflow answers 202, an older connector 200; a page is a log-in in front of it."""
    return not answer.is_page


def _reason(said: Json) -> object:
    """``{"error": {"code": "WorkflowTriggerIsNotEnabled", "message": …}}``, as Logic Apps answer."""
    error = said.get("error") if isinstance(said, Mapping) else None
    return error.get("message") if isinstance(error, Mapping) else None
