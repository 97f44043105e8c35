"""Lays a message out in Slack's Block Kit, inside its limits and without giving quoted text any meaning.

Everything dynamic goes into ``rich_text`` elements, which Slack shows literally: no mrkdwn, no mention, no
emoji code, no code fence to break out of. Only the header, the footer and the notification text are plain
strings, and are cleared of Slack's control characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from driftwatch.alert.message import Message, Tone
from driftwatch.alert.text import quote, units
from driftwatch.domain import Json

if TYPE_CHECKING:
    from slack_sdk.models.blocks import RichTextElement

HEADER_LIMIT = 150
"""Characters of a header. Source: docs.slack.dev/reference/block-kit/blocks/header-block, 2025."""
TOTAL_LIMIT = 11_000
"""Most a message's blocks may weigh as JSON, in UTF-16 units. Slack documents no sum, yet refuses chat.postMessage
with ``msg_blocks_too_long`` near 13,200 and once at 11,341 characters of text.
Source: github.com/slackapi/bolt-js issues 2509 and 2867."""
TEXT_LIMIT = 500
"""UTF-16 units of the notification text before escaping, which makes five of one at worst; Slack splits above 4,000.
Source: api.slack.com/changelog/2018-04-truncating-really-long-messages."""

_Part: TypeAlias = tuple[str, str | None]
"""Text and its style: ``bold``, ``code`` or None."""

_TIERS = ((1_200, 300), (600, 200), (200, 100), (100, 64))
"""Units for each quoted reply and for each other line; the first pair that stays in TOTAL_LIMIT is used.
The last without any section always does: a message has a bounded number of lines."""
_SYMBOLS = {Tone.ALARM: "🔴", Tone.WARNING: "🟠", Tone.NOTICE: "🔵", Tone.GOOD: "🟢"}


def blocks(message: Message, actions: Sequence[Mapping[str, Json]] = ()) -> list[dict[str, Json]]:
    """The message as Block Kit blocks, shortened until Slack takes it.

    Args:
        message: what to say.
        actions: blocks with buttons, shown below the summary.

    Returns:
        At most 15 blocks of at most ``TOTAL_LIMIT`` UTF-16 units of JSON together.
    """
    # Last of all figures are left out, the least telling first: the report has them.
    fewer = [
        (replace(message, sections=message.sections[:n]), _TIERS[-1]) for n in reversed(range(len(message.sections)))
    ]
    *ways, (shortest, tightest) = [*((message, tier) for tier in _TIERS), *fewer]
    for said, tier in ways:
        laid_out = _lay_out(said, actions, *tier)
        if units(json.dumps(laid_out, ensure_ascii=False)) <= TOTAL_LIMIT:
            return laid_out
    return _lay_out(shortest, actions, *tightest)


def notification_text(message: Message) -> str:
    """The line on a locked phone and in clients without blocks: title and first sentence."""
    return literal(quote(f"{_SYMBOLS[message.tone]} {message.title}. {message.summary[0]}", TEXT_LIMIT))


def literal(text: str) -> str:
    """Text for a ``text`` argument in which nothing is a mention, a link or an entity.

    >>> literal("<!here>")
    '&lt;!here&gt;'
    """
    # A word joiner keeps "@channel" readable and stops clients that link bare names from linking it.
    return _escaped(text).replace("@", "@\u2060")


def _lay_out(
    message: Message, actions: Sequence[Mapping[str, Json]], reply_units: int, line_units: int
) -> list[dict[str, Json]]:
    from slack_sdk.models.blocks import (  # noqa: PLC0415 - a tenth of a second that --help need not wait for
        Block,
        ContextBlock,
        HeaderBlock,
        PlainTextObject,
        RichTextBlock,
        RichTextPreformattedElement,
    )

    header = _unambiguous(quote(f"{_SYMBOLS[message.tone]} {message.title}", HEADER_LIMIT))
    short = [quote(sentence, line_units) for sentence in message.summary]
    laid_out: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=header, emoji=False)),
        RichTextBlock(elements=[_paragraph([(f"{sentence}\n", None)]) for sentence in short]),
    ]
    rows: list[list[_Part]]
    n_above = len(laid_out)
    if message.steps:
        rows = [
            [(quote(step.command, 300), "code"), (f"  {quote(step.meaning, min(150, line_units))}", None)]
            for step in message.steps
        ]
        laid_out.append(RichTextBlock(elements=[_paragraph([("Next", "bold")]), _bullets(rows)]))
    if message.changes:
        changes: list[list[_Part]] = [[(quote(text, line_units), None)] for text in message.changes]
        laid_out.append(RichTextBlock(elements=[_paragraph([("What changed", "bold")]), _bullets(changes)]))
    if message.pair:
        pair = message.pair
        elements: list[RichTextElement] = []
        for label, text, completion_id, limit in (
            (f"Canary {quote(pair.canary_id, 100)} asked", pair.prompt, None, max(64, reply_units // 3)),
            ("Before", pair.before, pair.before_completion_id, reply_units),
            ("Since", pair.after, pair.after_completion_id, reply_units),
        ):
            reference = f" (completion {completion_id})" if completion_id is not None else ""
            elements.append(_paragraph([(label, "bold"), (reference or " ", None)]))
            elements.append(RichTextPreformattedElement(elements=[_text(quote(text, limit))]))
        laid_out.append(RichTextBlock(elements=elements))
    for section in message.sections:
        rows = [[(quote(text, line_units), None)] for text in section.lines]
        laid_out.append(RichTextBlock(elements=[_paragraph([(section.title, "bold")]), _bullets(rows)]))
    if message.fields:
        rows = [[(f"{label}: ", "bold"), (quote(value, line_units), None)] for label, value in message.fields]
        laid_out.append(RichTextBlock(elements=[_bullets(rows)]))
    if message.footer:
        footer = PlainTextObject(text=_unambiguous(quote(message.footer, 250)), emoji=False)
        laid_out.append(ContextBlock(elements=[footer]))
    found = [block.to_dict() for block in laid_out]
    return [*found[:n_above], *map(dict, actions), *found[n_above:]]


def _paragraph(parts: Sequence[_Part]) -> RichTextElement:
    from slack_sdk.models.blocks import RichTextSectionElement  # noqa: PLC0415 - see _lay_out

    return RichTextSectionElement(elements=[_text(text, style) for text, style in parts])


def _bullets(rows: Sequence[Sequence[_Part]]) -> RichTextElement:
    from slack_sdk.models.blocks import RichTextListElement  # noqa: PLC0415 - see _lay_out

    return RichTextListElement(style="bullet", elements=[_paragraph(row) for row in rows])


def _text(text: str, style: str | None = None) -> RichTextElement:
    from slack_sdk.models.blocks import RichTextElementParts  # noqa: PLC0415 - see _lay_out

    # Slack refuses an empty text.
    return RichTextElementParts.Text(text=text or "(nothing)", style={style: True} if style else None)


def _unambiguous(text: str) -> str:
    """Look-alikes for Slack's control characters where it is not documented whether entities are decoded."""
    return text.replace("&", "＆").replace("<", "＜").replace(">", "＞")


def _escaped(text: str) -> str:
    """Slack's three control characters. Source: api.slack.com/reference/surfaces/formatting#escaping, 2025."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
