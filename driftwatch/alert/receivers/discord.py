"""Tells a Discord channel through its webhook: one message for each edge, the first of a group kept up to date.

Everything is shown in an embed. Words that driftwatch did not write are escaped, or stand in a code block where Discord
reads no markup; ``allowed_mentions`` lets nothing ping anybody.

Source: docs.discord.com/developers/resources/webhook (Execute, Edit Webhook Message), …/resources/message (Embed
Limits, Allowed Mentions) and …/topics/rate-limits, 2025.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

from driftwatch.alert.message import Message, Tone, compose, compose_digest, present
from driftwatch.alert.receiver import FOR_PEOPLE, ReceiverConnection
from driftwatch.alert.receivers.posting import Answer, Post
from driftwatch.alert.text import line, quote, units
from driftwatch.domain import Announcement, Event, Json
from driftwatch.errors import DeliveryError

TITLE, DESCRIPTION, FOOTER, WHOLE = 256, 4_096, 2_048, 6_000
FIELDS, FIELD_NAME, FIELD_VALUE = 25, 256, 1_024
"""Characters and fields of one embed at most. Source: …/resources/message, Embed Limits."""

_COLOURS = {Tone.ALARM: 0xC0392B, Tone.WARNING: 0xD68910, Tone.NOTICE: 0x5D6D7E, Tone.GOOD: 0x1E8449}
_PROMPT, _REPLY = 200, 500
"""Characters quoted; ``driftwatch report`` has the whole."""
_MARKUP = re.compile(r"([\\*_~`|>#\[\]()<@-])")
_BREAK = "\u200b"
"""Put between backticks, three of which would end a code block; the texts' own are shown by their code point."""


class DiscordNotifier:
    """Posts embeds, and edits the first one of a group to show how the group stands."""

    events: ClassVar[frozenset[Event]] = FOR_PEOPLE | {Event.ACKNOWLEDGED}
    """An acknowledgement only changes the first message."""

    def __init__(self, connection: ReceiverConnection) -> None:
        self._post = Post(
            connection,
            "Discord",
            is_taken=_is_taken,
            reason=lambda said: said.get("message") if isinstance(said, Mapping) else None,
            advice={
                400: "driftwatch built a message that Discord refuses, please report this as a bug",
                401: "create a new webhook in the channel's settings and store its address",
                404: "the webhook is gone: create a new one in the channel's settings and store its address",
            },
            retry_after_s=lambda said: said.get("retry_after") if isinstance(said, Mapping) else None,
        )

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Post it, and bring the group's first message up to date.

        Raises:
            DeliveryError: retryable for 429, 5xx and an unreachable Discord; otherwise permanent.
        """
        url, first = self._post.secret("webhook_url", "webhook address"), (announcement.receipt or {}).get("message_id")
        is_message = announcement.transition.event is not Event.ACKNOWLEDGED
        id_ = await self._tell(url, compose(announcement)) if is_message else None
        if isinstance(first, str) and first.isalnum():
            await self._update(url, first, announcement)
            return None
        return {"message_id": id_} if id_ else None

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        """Post one message for all.

        Raises:
            DeliveryError: as for ``send``.
        """
        await self._tell(self._post.secret("webhook_url", "webhook address"), compose_digest(announcements))

    async def _tell(self, url: str, message: Message) -> str | None:
        answer = await self._post.send(_with(url, query="wait=true"), body(message))
        said = answer.json()
        id_ = said.get("id") if isinstance(said, Mapping) else None
        return id_ if isinstance(id_, str) else None

    async def _update(self, url: str, id_: str, announcement: Announcement) -> None:
        """Edit the first message; no failure counts, since the news itself is told and people may delete messages."""
        try:
            await self._post.send(_with(url, path=f"/messages/{id_}"), body(present(announcement)), method="PATCH")
        except DeliveryError:
            return


def body(message: Message) -> dict[str, Json]:
    """The request for a message, within Discord's limits."""
    embed: dict[str, Json] = {
        "title": _cut(escaped(message.title), TITLE),
        "color": _COLOURS[message.tone],
        "footer": {"text": _cut(message.footer, 300)},
    }
    room = WHOLE - units(str(embed["title"])) - units(message.footer[:300]) - 100
    fields: list[Json] = []
    for label, value in message.fields[:FIELDS]:
        if room < DESCRIPTION // 2:
            break
        field = {"name": _cut(escaped(label), FIELD_NAME), "value": _cut(escaped(value), 300), "inline": True}
        room -= units(str(field["name"])) + units(str(field["value"]))
        fields.append(field)
    embed["description"] = _fitting(_parts(message), min(DESCRIPTION, room))
    return {"embeds": [embed | {"fields": fields}], "allowed_mentions": {"parse": []}}


def _parts(message: Message) -> list[str]:
    """Paragraphs, what must not be lost first."""
    first, *rest = map(escaped, message.summary)
    parts = ["\n".join([f"**{first}**", *rest])]
    if message.steps:
        steps = "\n".join(f"- {_command(step.command)} {escaped(step.meaning)}" for step in message.steps)
        parts.append(f"**Next**\n{steps}")
    if message.changes:
        parts.append("\n".join(["**What changed**", *(f"- {escaped(change)}" for change in message.changes)]))
    if message.pair:
        pair = message.pair
        quoted = (("Asked", pair.prompt, _PROMPT), ("Before", pair.before, _REPLY), ("Since", pair.after, _REPLY))
        shown = "".join(f"{label}{code(quote(text, limit) or '(nothing)')}" for label, text, limit in quoted)
        parts.append(f"**Before and since: {escaped(line(pair.canary_id, 100))}**\n{shown}")
    parts += [
        "\n".join([f"**{escaped(section.title)}**", *(f"- {escaped(text)}" for text in section.lines)])
        for section in message.sections
    ]
    return parts


def _fitting(parts: Sequence[str], room: int) -> str:
    """As many paragraphs as fit, whole; the first always, cut when it must be."""
    kept = _cut(parts[0], room)
    for part in parts[1:]:
        if units(kept) + units(part) + 2 > room:
            continue
        kept = f"{kept}\n\n{part}"
    return kept


def escaped(text: str) -> str:
    r"""Text in which Discord reads no markup, mention or link.

    >>> escaped("*now* <@1> [x](https://a.test)")
    '\\*now\\* \\<\\@1\\> \\[x\\]\\(https:\\//a.test\\)'
    """
    return _MARKUP.sub(r"\\\1", text).replace("://", ":\\//")


def code(text: str) -> str:
    r"""A block in which Discord reads no markup at all.

    >>> code("a ``` b").replace("\u200b", "|")
    '```\na `|`|` b\n```'
    """
    # Between any two: of five in a row, the last would make three with those behind a broken first three.
    apart = re.sub("`(?=`)", f"`{_BREAK}", text)
    return f"```\n{apart}\n```"


def _command(text: str) -> str:
    """A command to copy; a backtick in it would end the code, so it is then shown as text."""
    return escaped(text) if "`" in text else f"`{text}`"


def _cut(text: str, limit: int) -> str:
    if units(text) <= limit:
        return text
    # An escape must not lose the character it belongs to.
    return f"{text[: (limit - 1) // 2].rstrip(chr(92))}…"


def _with(url: str, *, path: str = "", query: str = "") -> str:
    """The webhook's address with something added; a thread that the query names stays named."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit(parts._replace(path=parts.path + path, query="&".join(filter(None, (parts.query, query)))))


def _is_taken(answer: Answer) -> bool:
    """With ``wait=true`` the answer is the message, a JSON object."""
    return isinstance(answer.json(), Mapping)
