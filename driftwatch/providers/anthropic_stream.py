"""Puts the events of one Anthropic stream together into the message it would have been without streaming.

Source: Anthropic, "Streaming messages", https://platform.claude.com/docs/en/build-with-claude/streaming, 2026-11: one
``message_start``; per content block, numbered from 0, ``content_block_start``, deltas, ``content_block_stop``; a
``message_delta`` with stop reason and token counts that replace the earlier ones; ``message_stop``. ``ping`` and
``error`` come anywhere, and other events may be added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from driftwatch.domain import Json, Outcome
from driftwatch.errors import ProviderError, ReplyUnreadable
from driftwatch.providers.dialect import Reply, malformed
from driftwatch.providers.reading import mapping, text

DELTAS: Mapping[str, str] = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""Type of delta → its field; other types (signatures, citations) carry no content."""


class StreamedMessage:
    """The message so far.

    Args:
        failed: names the failure of an ``error`` event.
        read: reads the whole message.
    """

    def __init__(self, *, failed: Callable[[Json], ProviderError], read: Callable[[Json], Reply]) -> None:
        self._failed, self._read = failed, read
        self._message: dict[str, Json] | None = None
        self._blocks: list[dict[str, Json]] = []
        self._pieces: list[list[str]] = []
        self._open: set[int] = set()
        self._is_empty = True
        self.is_complete = False

    def add(self, event: str, data: Json) -> bool:
        """Take one event; see ``Assembler``. Its type is in the data as well as in its name."""
        del event
        if not isinstance(data, dict):
            raise _malformed("an event is JSON but not an object")
        self._is_empty = False
        kind = str(data.get("type"))
        if kind == "error":
            raise self._failed(data.get("error") or data)
        if kind == "message_start":
            self._start(data.get("message"))
        elif kind in {"content_block_start", "content_block_delta", "content_block_stop"}:
            self._must_have_begun(kind)
            return self._block(kind, data)
        elif kind == "message_delta":
            message = self._must_have_begun(kind)
            message["usage"] |= _known(mapping(data.get("usage")))
            message |= mapping(data.get("delta"))
        elif kind == "message_stop":
            self._must_have_begun(kind)
            if self._open:
                raise _malformed(f"message_stop came before the end of content block {min(self._open)}")
            self.is_complete = True
        return False

    def reply(self) -> Reply:
        """See ``Assembler``."""
        if self._is_empty:
            raise ReplyUnreadable("the endpoint answered 200 with an empty stream", outcome=Outcome.EMPTY_BODY)
        if self._message is None or not self.is_complete:
            raise ReplyUnreadable("the stream ended before message_stop came", outcome=Outcome.CUT_OFF)
        blocks = [_whole(block, "".join(pieces)) for block, pieces in zip(self._blocks, self._pieces, strict=True)]
        return self._read({**self._message, "content": blocks})

    def _start(self, message: Json) -> None:
        if self._message is not None:
            raise _malformed("message_start came twice")
        if not isinstance(message, dict):
            raise _malformed("message_start holds no message")
        self._message = {**message, "usage": dict(mapping(message.get("usage")))}

    def _must_have_begun(self, kind: str) -> dict[str, Json]:
        if self._message is None:
            raise _malformed(f"{kind} came before message_start")
        return self._message

    def _block(self, kind: str, data: Mapping[str, Json]) -> bool:
        index = data.get("index")
        if kind == "content_block_start":
            block = data.get("content_block")
            if not isinstance(index, int) or index != len(self._blocks) or not isinstance(block, dict):
                raise _malformed(f"content block {index!a} begins where {len(self._blocks)} is due")
            self._blocks.append(block)
            self._pieces.append([])
            self._open.add(index)
            return False
        if not isinstance(index, int) or index not in self._open:
            raise _malformed(f"{kind} came for content block {index!a}, which is not open")
        if kind == "content_block_stop":
            self._open.remove(index)
            return False
        delta = mapping(data.get("delta"))
        piece = text(delta.get(DELTAS.get(str(delta.get("type")), "")))
        self._pieces[index].append(piece)
        return bool(piece)


def _known(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if value is not None}


def _whole(block: Mapping[str, Json], said: str) -> dict[str, Json]:
    if block.get("type") == "text":
        return {**block, "text": text(block.get("text")) + said}
    if block.get("type") == "tool_use" and said:
        # An object where it is one, so that a call reads the same streamed or not; as served where it broke off.
        try:
            parsed = json.loads(said)
        except ValueError:
            parsed = None
        return {**block, "input": parsed if isinstance(parsed, dict) else said}
    return dict(block)


def _malformed(what: str) -> ReplyUnreadable:
    return malformed(what, "stream of Anthropic's")
