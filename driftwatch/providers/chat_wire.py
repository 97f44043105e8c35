"""The chat-completions wire as values: domain → request body, reply document or stream chunks → Reply.

Source: OpenAI, "Create chat completion", "The chat completion object" and "The chat completion chunk object",
https://developers.openai.com/api/reference/resources/chat, 2026-11. Deviations met at compatible servers are named
where they are handled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftwatch.domain import Canary, Json, Message, Outcome, Target, ToolCall
from driftwatch.errors import ReplyUnreadable
from driftwatch.providers.failures import Say, from_error_object

MAX_TOKENS_COUNTED = 2**31 - 1
"""A count above this is a broken endpoint's, and would not fit a database column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the wire carries of one reply; the fields are those of ``domain.Completion``."""

    text: str
    finish_reason: str | None
    tool_calls: tuple[ToolCall, ...]
    input_tokens: int | None
    output_tokens: int | None
    served_model: str | None
    fingerprint: str | None
    id: str | None
    logprobs: Json


def request_body(target: Target, canary: Canary) -> dict[str, Json]:
    """Build the body of one request: the configured parameters, what the canary asks, and nothing else.

    Nothing is sent that was not configured, because newer models reject even a default ``temperature``.
    """
    body: dict[str, Json] = {
        **target.parameters_for(canary),
        "model": target.model,
        "messages": [_message(message) for message in canary.messages],
    }
    if canary.tools:
        body["tools"] = list(canary.tools)
    if canary.tool_choice is not None:
        body["tool_choice"] = canary.tool_choice
    if canary.response_format is not None:
        body["response_format"] = canary.response_format
    if body.get("stream") is True:
        # Without it a stream carries no token counts.
        body["stream_options"] = {"include_usage": True, **(body.get("stream_options") or {})}
    return body


def read_reply(document: Json, *, say: Say) -> Reply:
    """Read a reply document.

    Args:
        document: the parsed body.
        say: masks key material in quotations.

    Raises:
        ProviderError: an error object inside the document, or a document of another shape.
    """
    if not isinstance(document, dict):
        raise _malformed("the body is JSON but not an object")
    if document.get("error"):
        raise from_error_object(document["error"], say=say)
    if document.get("object") == "error":  # older vLLM puts the error at the top
        raise from_error_object(document, say=say)
    choice = _first_choice(document)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _malformed("choices[0] has no message")
    raw_usage = document.get("usage")
    usage = raw_usage if isinstance(raw_usage, dict) else {}
    if choice.get("error") or choice.get("finish_reason") == "error":  # OpenRouter reports upstream failures here
        raise from_error_object(choice.get("error") or "the upstream provider failed", say=say)
    return Reply(
        text=_text(message.get("content")) or _text(message.get("refusal")),
        finish_reason=_optional_text(choice.get("finish_reason")),
        tool_calls=_tool_calls(message.get("tool_calls")),
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        served_model=_optional_text(document.get("model")),
        fingerprint=_optional_text(document.get("system_fingerprint")),
        id=_optional_text(document.get("id")),
        logprobs=_logprobs(choice.get("logprobs")),
    )


class StreamedReply:
    """Puts the chunks of one stream together into the reply it would have been without streaming.

    The reply is complete exactly when a finish reason came. ``[DONE]`` alone does not count: gateways send it after an
    upstream that broke off, and some servers never send it.
    """

    def __init__(self, *, say: Say) -> None:
        self._say = say
        self._top: dict[str, Json] = {}
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._logprobs: list[Json] = []
        self._finish_reason: Json = None
        self.has_chunks = False

    def add(self, chunk: Json) -> bool:
        """Take one parsed chunk; True when it carried content (text, a refusal or part of a tool call).

        Raises:
            ProviderError: an error object inside the stream, or a chunk of another shape.
        """
        if not isinstance(chunk, dict):
            raise _malformed("a stream chunk is JSON but not an object")
        if chunk.get("error"):
            raise from_error_object(chunk["error"], say=self._say)
        self.has_chunks = True
        for key in ("id", "model", "system_fingerprint", "usage"):
            if chunk.get(key) is not None:
                self._top[key] = chunk[key]
        if not chunk.get("choices"):  # the usage chunk; Azure's prompt filter results
            return False
        choice = _first_choice(chunk)
        if choice.get("error"):
            raise from_error_object(choice["error"], say=self._say)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        entries = choice["logprobs"].get("content") if isinstance(choice.get("logprobs"), dict) else None
        self._logprobs.extend(entries if isinstance(entries, list) else [])
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise _malformed("a stream chunk has a delta that is not an object")
        content, refusal = _text(delta.get("content")), _text(delta.get("refusal"))
        self._content.append(content)
        self._refusal.append(refusal)
        return self._add_calls(delta.get("tool_calls")) or bool(content or refusal)

    def reply(self) -> Reply:
        """The whole reply, once the stream has ended.

        Raises:
            ProviderError: CUT_OFF when no finish reason came.
        """
        if not self._finish_reason:
            raise ReplyUnreadable("the stream ended before a finish reason came", outcome=Outcome.CUT_OFF)
        calls = [
            {"id": call["id"] or None, "function": {"name": call["name"], "arguments": call["arguments"]}}
            for _, call in sorted(self._calls.items())
        ]
        message = {"content": "".join(self._content), "refusal": "".join(self._refusal), "tool_calls": calls}
        choice = {
            "message": message,
            "finish_reason": self._finish_reason,
            "logprobs": {"content": self._logprobs} if self._logprobs else None,
        }
        return read_reply({**self._top, "choices": [choice]}, say=self._say)

    def _add_calls(self, deltas: Json) -> bool:
        if not isinstance(deltas, list):
            return False
        for position, delta in enumerate(deltas):
            function = delta.get("function") if isinstance(delta, dict) else None
            if not isinstance(function, dict):
                raise _malformed("a stream chunk has a tool call that is not a function")
            index = delta.get("index")
            call = self._calls.setdefault(
                index if isinstance(index, int) else position, {"id": "", "name": "", "arguments": ""}
            )
            # id and name come once, arguments in pieces.
            call["id"] = call["id"] or _text(delta.get("id"))
            call["name"] = call["name"] or _text(function.get("name"))
            call["arguments"] += _text(function.get("arguments"))
        return bool(deltas)


def _message(message: Message) -> dict[str, Json]:
    sent: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        sent["content"] = message.content or None
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _first_choice(document: Mapping[str, Json]) -> dict[str, Any]:
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _malformed("the body is JSON without choices")
    return choices[0]


def _text(value: Json) -> str:
    # null, a string, or a list of parts (Mistral, OpenRouter); parts that are not text (thinking) are no answer.
    if value is None:
        return ""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return "".join(
            _text(part.get("text") or part.get("refusal")) if isinstance(part, dict) else _text(part)
            for part in value
            if not isinstance(part, dict) or part.get("type") in {"text", "output_text", "refusal", None}
        )
    raise _malformed("a text is neither a string nor a list of parts")


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of an escaped pair ("\\ud83d" alone) is legal JSON but cannot be stored as UTF-8."""


def _optional_text(value: Json) -> str | None:
    return _text(value) if isinstance(value, str) and value else None


def _count(value: Json) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS_COUNTED
    return value if is_count else None


def _tool_calls(value: Json) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _malformed("tool_calls is not a list")
    return tuple(_tool_call(call) for call in value)


def _tool_call(call: Json) -> ToolCall:
    function = call.get("function") or call.get("custom") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise _malformed("a tool call has no function name")
    arguments = function.get("arguments", function.get("input"))
    return ToolCall(
        name=_text(function["name"]),
        # Ollama's own wire and some proxies send an object where the JSON text is due.
        arguments=json.dumps(arguments) if isinstance(arguments, dict) else _text(arguments),
        id=_optional_text(call.get("id")),
    )


def _logprobs(value: Json) -> Json:
    # A reply is worth keeping when only its logprobs are odd, hence None instead of an error.
    entries = (value.get("content") or value.get("refusal")) if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return None
    try:
        return [
            {
                "token": _text(entry["token"]),
                "logprob": float(entry["logprob"]),
                "top": [[_text(top["token"]), float(top["logprob"])] for top in entry.get("top_logprobs") or []],
            }
            for entry in entries
        ]
    except (TypeError, KeyError, ValueError, AttributeError, ReplyUnreadable):
        return None


def _malformed(what: str) -> ReplyUnreadable:
    return ReplyUnreadable(f"{what}; this is no chat completion", outcome=Outcome.MALFORMED)
