"""Puts the events of one ConverseStream together into the reply it would have been without streaming.

Source: AWS, "ConverseStream", https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html,
2026-11: ``messageStart``; per numbered content block ``contentBlockStart`` (tool calls have one, text none), deltas,
``contentBlockStop``; ``messageStop`` with the stop reason; ``metadata`` with the token counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from driftwatch.domain import Json, Outcome
from driftwatch.errors import ProviderError, ReplyUnreadable
from driftwatch.providers.dialect import Reply, malformed
from driftwatch.providers.reading import mapping, text

BLOCK_EVENTS = frozenset({"contentBlockStart", "contentBlockDelta", "contentBlockStop"})


class StreamedConverse:
    """The reply so far.

    Args:
        failed: names the failure of an ``error`` event, from its ``code`` and ``message``.
        read: reads the whole reply.
    """

    def __init__(self, *, failed: Callable[[Json], ProviderError], read: Callable[[Json], Reply]) -> None:
        self._failed, self._read = failed, read
        self._blocks: dict[int, _Block] = {}
        self._document: dict[str, Json] = {}
        self._is_empty, self._has_begun = True, False
        self.is_complete = False

    def add(self, event: str, data: Json) -> bool:
        """Take one event; see ``Assembler``."""
        if not isinstance(data, dict):
            raise _malformed("an event is JSON but not an object")
        self._is_empty = False
        if event == "error":
            # In a stream the names begin with a small letter, in a header with a capital one.
            code = text(data.get("code"))
            raise self._failed({**data, "code": code[:1].upper() + code[1:]})
        if event == "messageStart":
            if self._has_begun:
                raise _malformed("messageStart came twice")
            self._has_begun = True
        elif event in BLOCK_EVENTS:
            self._must_be_under_way(event)
            return self._block(event, data)
        elif event == "messageStop":
            self._must_be_under_way(event)
            self._document["stopReason"] = data.get("stopReason")
        elif event == "metadata":
            self._document |= {name: data[name] for name in ("usage", "trace") if name in data}
            self.is_complete = "stopReason" in self._document
        return False

    def reply(self) -> Reply:
        """See ``Assembler``. Token counts may be missing: some gateways leave the last event out."""
        if self._is_empty:
            raise ReplyUnreadable("the endpoint answered 200 with an empty stream", outcome=Outcome.EMPTY_BODY)
        if "stopReason" not in self._document:
            raise ReplyUnreadable("the stream ended before messageStop came", outcome=Outcome.CUT_OFF)
        content = [block.whole() for _, block in sorted(self._blocks.items())]
        return self._read({**self._document, "output": {"message": {"content": content}}})

    def _must_be_under_way(self, event: str) -> None:
        if not self._has_begun:
            raise _malformed(f"{event} came before messageStart")
        if "stopReason" in self._document:
            raise _malformed(f"{event} came after messageStop")

    def _block(self, event: str, data: Mapping[str, Json]) -> bool:
        index = data.get("contentBlockIndex")
        if not isinstance(index, int):
            raise _malformed(f"{event} names no content block")
        is_new = index not in self._blocks
        last = next(reversed(self._blocks), -1)  # the highest one, since they begin in order
        if is_new and index < last:
            raise _malformed(f"content block {index} begins after block {last}")
        if not is_new and (event == "contentBlockStart" or self._blocks[index].is_closed):
            raise _malformed(f"{event} came for content block {index}, which is under way or closed")
        block = self._blocks.setdefault(index, _Block(data.get("start")))
        if event == "contentBlockStop":
            block.is_closed = True
        return event == "contentBlockDelta" and block.add(mapping(data.get("delta")))


class _Block:
    """One content block so far."""

    def __init__(self, start: Json) -> None:
        use = mapping(start).get("toolUse")
        self._use = use if isinstance(use, dict) else None
        self._pieces: list[str] = []
        self.is_closed = False

    def add(self, delta: Mapping[str, Json]) -> bool:
        """Take one delta, and say whether it carried content."""
        use = mapping(delta.get("toolUse"))
        if use and self._use is None:
            raise _malformed("a part of a tool call came before its name")
        piece = text(use.get("input")) if self._use is not None else text(delta.get("text"))
        self._pieces.append(piece)
        # Reasoning is no answer, but it is the model at work.
        return bool(piece or mapping(delta.get("reasoningContent")).get("text"))

    def whole(self) -> dict[str, Json]:
        """The block as a document has it."""
        said = "".join(self._pieces)
        if self._use is None:
            return {"text": said}
        # An object where it is one, so that a call reads the same streamed or not; as served where it broke off.
        try:
            parsed = json.loads(said or "{}")
        except ValueError:
            parsed = None
        return {"toolUse": {**self._use, "input": parsed if isinstance(parsed, dict) else said}}


def _malformed(what: str) -> ReplyUnreadable:
    return malformed(what, "stream of Converse's")
