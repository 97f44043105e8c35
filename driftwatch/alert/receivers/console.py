"""Tells a terminal or a log: the message as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from driftwatch.alert.message import Message, compose, compose_digest
from driftwatch.alert.receiver import FOR_PEOPLE, ReceiverConnection
from driftwatch.alert.text import quote
from driftwatch.domain import Announcement, Event
from driftwatch.errors import DeliveryError

_PROMPT_UNITS = 240
_REPLY_UNITS = 600
"""Quoted at most, in UTF-16 units; ``driftwatch report`` has the whole."""


class ConsoleNotifier:
    """Writes each message as text through ``ReceiverConnection.write``."""

    events: ClassVar[frozenset[Event]] = FOR_PEOPLE

    def __init__(self, connection: ReceiverConnection) -> None:
        self._connection = connection

    async def send(self, announcement: Announcement) -> None:
        """Write it.

        Raises:
            DeliveryError: retryable, when the stream does not take it.
        """
        self._write(render_text(compose(announcement)) + "\n")

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        """Write one message about all.

        Raises:
            DeliveryError: as for ``send``.
        """
        self._write(render_text(compose_digest(announcements)) + "\n")

    def _write(self, text: str) -> None:
        try:
            self._connection.write(text)
        except (OSError, ValueError) as error:  # a closed pipe, a full disk; ValueError: a closed or narrow stream
            raise DeliveryError(
                f"receiver '{self._connection.name}' could not be written to ({type(error).__name__})",
                receiver=self._connection.name,
                retryable=True,
            ) from error


def render_text(message: Message, *, width: int = 88) -> str:
    """The message for a terminal, without colours.

    Args:
        message: what to say.
        width: columns, 40 or more; only commands may be wider, so that they can be copied in one piece.
    """
    rule = "─" * width
    parts = [f"{rule}\n {message.title}\n{rule}"]
    parts.append("\n".join(_wrapped(text, width) for text in message.summary))
    if message.steps:
        steps = (f"  {step.command}\n{_wrapped(step.meaning, width, '      ', '      ')}" for step in message.steps)
        parts.append("\n".join(["Next", *steps]))
    if message.changes:
        parts.append("\n".join(["What changed", *(_wrapped(text, width, "  • ", "    ") for text in message.changes)]))
    if message.pair:
        pair = message.pair
        quoted = (
            ("asked", pair.prompt, None, _PROMPT_UNITS),
            ("before", pair.before, pair.before_completion_id, _REPLY_UNITS),
            ("since", pair.after, pair.after_completion_id, _REPLY_UNITS),
        )
        blocks = [_quotation(label, text, id_, limit, width) for label, text, id_, limit in quoted]
        parts.append("\n".join([f"Before and since: {quote(pair.canary_id, 100)}", *blocks]))
    parts.extend(
        "\n".join([_wrapped(section.title, width), *(_wrapped(text, width, "  • ", "    ") for text in section.lines)])
        for section in message.sections
    )
    if message.fields:
        label_width = max(len(label) for label, _ in message.fields)
        indent = " " * (label_width + 2)
        parts.append(
            "\n".join(_wrapped(value, width, f"{label:<{label_width}}  ", indent) for label, value in message.fields),
        )
    parts.append(message.footer)
    return "\n\n".join(part for part in parts if part) + "\n"


def _wrapped(text: str, width: int, first: str = "", later: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_on_hyphens=False,
    )


def _quotation(label: str, text: str, completion_id: int | None, limit: int, width: int) -> str:
    """A bar before every line, so that nothing in the text can pass for driftwatch's own words."""
    reference = f" (completion {completion_id})" if completion_id is not None else ""
    lines: list[str] = []
    for paragraph in quote(text, limit).expandtabs(4).split("\n"):
        # White space is kept where it indents, dropped where a long line was broken.
        rows = textwrap.wrap(paragraph, width - 4, drop_whitespace=False, break_on_hyphens=False) or [""]
        lines.extend([rows[0], *(row.lstrip(" ") for row in rows[1:])])
    return "\n".join([f"  {label}{reference}", *(f"  │ {row}".rstrip() for row in (lines if text else ["(nothing)"]))])
