"""Reads what Cohere's Chat API answers, as one document or as a stream of events; see ``cohere.py`` for the request.

Sources, all 2026-11: "Chat" and "Chat with streaming", https://docs.cohere.com/reference/chat and
https://docs.cohere.com/reference/chat-stream; field names: cohere 7.3 (``V2ChatResponse``, ``V2ChatStreamResponse``).

Two pairs of token counts come with a reply. ``input_tokens`` is that of ``usage.tokens``, what the model was really
given: it includes the instructions that Cohere adds and does not bill, whose change is worth knowing, so that a cost
reckoned from it is an upper bound. ``output_tokens`` is that of ``usage.billed_units``. The served model is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftwatch.domain import Finish, Json, Outcome, ToolCall
from driftwatch.errors import ReplyUnreadable
from driftwatch.providers.dialect import Reply, malformed
from driftwatch.providers.failures import Say, from_error_object, given_up, quote
from driftwatch.providers.reading import count, mapping, objects, optional_text, text

FINISHES: Mapping[str, Finish] = {
    "COMPLETE": Finish.STOP,
    "STOP_SEQUENCE": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "TOOL_CALL": Finish.TOOL_CALLS,
}
"""``finish_reason`` → ours; any other word is kept as served."""

BROKEN: Mapping[str, Outcome] = {"ERROR": Outcome.UNAVAILABLE, "TIMEOUT": Outcome.TIMEOUT}
"""``finish_reason`` of a generation that failed on their side: what there is of it is no reply."""


def read_reply(document: Json, *, say: Say, names: Mapping[str, Outcome] | None = None) -> Reply:
    """Read a reply document.

    Args:
        document: the parsed body.
        say: masks key material in quotations.
        names: the vendor's error words.

    Raises:
        ProviderError: the generation failed, an error stands where the reply is due, or a document of another shape.
    """
    _refuse_errors(document, say, names)
    message = document.get("message")
    if not isinstance(message, dict):
        raise _malformed("the body is JSON without a message")
    served = optional_text(document.get("finish_reason"))
    if served is not None and served in BROKEN:
        why = quote(text(document.get("error")), say)
        raise given_up(BROKEN[served], served, began=bool(message.get("content") or message.get("tool_calls")), why=why)
    usage = mapping(document.get("usage"))
    tokens, billed = mapping(usage.get("tokens")), mapping(usage.get("billed_units"))
    return Reply(
        text="".join(_texts(message.get("content"))),
        finish_reason=FINISHES.get(served or "", served),
        finish_detail="STOP_SEQUENCE" if served == "STOP_SEQUENCE" else None,
        tool_calls=_tool_calls(message.get("tool_calls")),
        input_tokens=_first_count(tokens.get("input_tokens"), billed.get("input_tokens")),
        output_tokens=_first_count(billed.get("output_tokens"), tokens.get("output_tokens")),
        cached_tokens=_first_count(usage.get("cached_tokens")),
        id=optional_text(document.get("id")),
        logprobs=_logprobs(document.get("logprobs")),
    )


class StreamedReply:
    """Puts the events of one stream together into the reply it would have been without streaming.

    Pieces of content, and tool calls, are opened, added to and closed under an index; what does not fit is malformed.
    """

    def __init__(self, *, say: Say, names: Mapping[str, Outcome] | None = None) -> None:
        self._say, self._names = say, names
        self._id: str | None = None
        self._started = False
        self._blocks: dict[int, str] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._open: set[tuple[str, int]] = set()
        self._logprobs: list[Json] = []
        self._end: Mapping[str, Any] | None = None
        self._has_events = False
        self.is_complete = False

    def add(self, event: str, data: Json) -> bool:
        """Take one event; see ``Assembler``. Its type stands in the data; unknown types are passed over."""
        del event
        if not isinstance(data, dict):
            raise _malformed("a stream event is JSON but not an object")
        if "type" not in data:
            _refuse_errors(data, self._say, self._names)
            raise _malformed("a stream event has no type")
        self._has_events = True
        match data["type"]:
            case "message-start":
                self._start(data)
            case "message-end":
                self._end, self.is_complete = mapping(data.get("delta")), True
            case "content-end" | "tool-call-end":
                kind = data["type"].removesuffix("-end")
                self._open.discard((kind, self._ongoing(kind, data)))
            case _:
                return self._add_piece(data, mapping(mapping(data.get("delta")).get("message")))
        return False

    def reply(self) -> Reply:
        """See ``Assembler``."""
        if not self._has_events:
            raise ReplyUnreadable("the endpoint answered 200 with an empty stream", outcome=Outcome.EMPTY_BODY)
        if self._end is None:
            raise ReplyUnreadable("the stream ended before message-end came", outcome=Outcome.CUT_OFF)
        message = {
            "content": [{"type": "text", "text": block} for _, block in sorted(self._blocks.items())],
            "tool_calls": [call for _, call in sorted(self._calls.items())],
        }
        document = {**self._end, "id": self._id, "message": message, "logprobs": self._logprobs}
        return read_reply(document, say=self._say, names=self._names)

    def _add_piece(self, data: Mapping[str, Json], message: Mapping[str, Json]) -> bool:
        match data["type"]:
            case "content-start":
                index = self._opened("content", data)
                self._blocks[index] = ""
                return self._add_content(index, mapping(message.get("content")))
            case "content-delta":
                self._logprobs += objects([data.get("logprobs")])
                return self._add_content(self._ongoing("content", data), mapping(message.get("content")))
            case "tool-call-start":
                self._calls[self._opened("tool-call", data)] = _started_call(mapping(message.get("tool_calls")))
                return True
            case "tool-call-delta":
                return self._add_call(self._ongoing("tool-call", data), mapping(message.get("tool_calls")))
        return bool(message.get("tool_plan"))  # a plan is thinking; citations and unknown types have none

    def _start(self, data: Mapping[str, Json]) -> None:
        if self._started:
            raise _malformed("message-start came twice")
        self._started, self._id = True, optional_text(data.get("id"))

    def _add_content(self, index: int, content: Mapping[str, Json]) -> bool:
        piece = text(content.get("text"))
        self._blocks[index] += piece
        return bool(piece or content.get("thinking"))

    def _add_call(self, index: int, call: Mapping[str, Json]) -> bool:
        piece = text(mapping(call.get("function")).get("arguments"))
        self._calls[index]["function"]["arguments"] += piece
        return bool(piece)

    def _opened(self, kind: str, data: Mapping[str, Json]) -> int:
        index = count(data.get("index", 0))
        seen: dict[int, Any] = self._blocks if kind == "content" else self._calls
        if index is None or index <= next(reversed(seen), -1):  # the highest one, since they begin in order
            raise _malformed(f"{kind}-start came out of order or twice, with index {data.get('index')!r}")
        self._open.add((kind, index))
        return index

    def _ongoing(self, kind: str, data: Mapping[str, Json]) -> int:
        index = count(data.get("index", 0))
        if index is None or (kind, index) not in self._open:
            raise _malformed(f"{data['type']} came without its {kind}-start, with index {data.get('index')!r}")
        return index


def _refuse_errors(document: Json, say: Say, names: Mapping[str, Outcome] | None) -> None:
    if not isinstance(document, dict):
        raise _malformed("the body is JSON but not an object")
    # An error is {"id", "message": "…"}, and a reply's message is an object.
    if isinstance(document.get("message"), str):
        raise from_error_object(document, say=say, names=names)
    if document.get("error") and "message" not in document:
        raise from_error_object(document["error"], say=say, names=names)


def _started_call(call: Mapping[str, Json]) -> dict[str, Any]:
    function = mapping(call.get("function"))
    return {
        "id": call.get("id"),
        "function": {"name": function.get("name"), "arguments": text(function.get("arguments"))},
    }


def _texts(content: Json) -> list[str]:
    if isinstance(content, str):  # some gateways
        return [text(content)]
    if content is not None and not isinstance(content, list):
        raise _malformed("the content is neither a list of parts nor a text")
    # Thinking is no answer.
    return [text(part.get("text")) for part in objects(content) if part.get("type") == "text"]


def _tool_calls(value: Json) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _malformed("tool_calls is not a list")
    return tuple(_tool_call(mapping(call)) for call in value)


def _tool_call(call: Mapping[str, Json]) -> ToolCall:
    function = mapping(call.get("function"))
    if not isinstance(function.get("name"), str):
        raise _malformed("a tool call has no function name")
    return ToolCall(
        name=text(function["name"]), arguments=text(function.get("arguments")), id=optional_text(call.get("id"))
    )


def _first_count(*values: Json) -> int | None:
    # The wire's counts are JSON numbers that may be written 7.0.
    whole = (int(value) if isinstance(value, float) and value.is_integer() else value for value in values)
    return next((known for known in map(count, whole) if known is not None), None)


def _logprobs(value: Json) -> Json:
    # A reply is worth keeping when only its logprobs are odd, hence None instead of an error. A piece of text may be of
    # several tokens, whose own texts are not told: its logarithm is the sum of theirs. There are no alternatives.
    try:
        entries = [
            {"token": text(item.get("text")), "logprob": float(sum(item["logprobs"])), "top": []}
            for item in objects(value)
            if item.get("logprobs")
        ]
    except (TypeError, KeyError, ReplyUnreadable):
        return None
    return entries or None


def _malformed(what: str) -> ReplyUnreadable:
    return malformed(what, "Cohere chat reply")
