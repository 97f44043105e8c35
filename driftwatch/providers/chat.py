"""The chat-completions wire: domain → request body, reply document or stream chunks → Reply.

Source: OpenAI, "Create chat completion", "The chat completion object" and "The chat completion chunk object",
https://developers.openai.com/api/reference/resources/chat, 2026-11: POST ``{base_url}/chat/completions``,
``Authorization: Bearer``, the request id in the ``x-request-id`` header; streams as server-sent events ended by
``data: [DONE]``, token counts in a last chunk on ``stream_options.include_usage``. Deviations met at compatible servers
are named where they are handled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from driftwatch.domain import Canary, Finish, Json, Message, Outcome, Target, ToolCall
from driftwatch.errors import ReplyUnreadable
from driftwatch.providers.address import joined
from driftwatch.providers.asked import COMMON_PARAMETERS
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler, Reply, bearer, malformed, renamed, without_place
from driftwatch.providers.failures import Say, from_error_object, given_up
from driftwatch.providers.reading import count, logprobs, mapping, optional_text, text

FINISHES: Mapping[str, Finish] = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
    "eos": Finish.STOP,  # Together
    "eos_token": Finish.STOP,  # Text Generation Inference
    "stop_sequence": Finish.STOP,
    "model_length": Finish.LENGTH,  # Mistral
    "max_tokens": Finish.LENGTH,
}
"""``finish_reason`` → ours; any other word is kept as served."""

BROKEN: Mapping[str, Outcome] = {
    "abort": Outcome.UNAVAILABLE,  # vLLM, SGLang
    "aborted": Outcome.UNAVAILABLE,
    "insufficient_system_resource": Outcome.UNAVAILABLE,  # DeepSeek
}
"""``finish_reason`` of a generation that the server gave up: what there is of it is no reply, and no drift."""


class Chat:
    """The wire as OpenAI defined it and others adopted it; vendors' deviations are arguments or subclasses.

    Args:
        connection: ``base_url`` is required.
        names: common parameter → this vendor's name, None where it has no place; absent ones keep their name.
        error_names: this vendor's error words.

    Raises:
        ConfigError: ``base_url`` is missing or is no http(s) address.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        names: Mapping[str, str | None] | None = None,
        error_names: Mapping[str, Outcome] | None = None,
    ) -> None:
        self.names = dict.fromkeys(COMMON_PARAMETERS) | {name: name for name in COMMON_PARAMETERS} | dict(names or {})
        self.unsent = without_place(self.names)
        self.error_names = error_names or {}
        self._url = joined(connection.base_url, "/chat/completions")

    def url(self, target: Target) -> str:
        """Always the same address: the body names the model."""
        del target
        return self._url

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Dialect``; a canary is written in this wire's own shape."""
        body: dict[str, Json] = {
            **renamed(target.parameters_for(canary), self.names),
            "model": target.model,
            "messages": [_message(message) for message in canary.messages],
        }
        if canary.tools:
            body["tools"] = list(canary.tools)
        if canary.tool_choice is not None:
            body["tool_choice"] = canary.tool_choice
        if canary.response_format is not None:
            body["response_format"] = canary.response_format
        if target.stream:
            body["stream"] = True
            # Without it a stream carries no token counts.
            body["stream_options"] = {"include_usage": True, **(body.get("stream_options") or {})}
        return body

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """``Authorization: Bearer``."""
        del url, body
        return bearer(key)

    def read(self, document: Json, *, say: Say) -> Reply:
        """See ``Dialect``."""
        return read_reply(document, say=say, names=self.error_names)

    def assembler(self, *, say: Say) -> Assembler:
        """See ``Dialect``."""
        return StreamedReply(say=say, names=self.error_names)


def read_reply(document: Json, *, say: Say, names: Mapping[str, Outcome] | None = None) -> Reply:
    """Read a reply document.

    Args:
        document: the parsed body.
        say: masks key material in quotations.
        names: the vendor's error words.

    Raises:
        ProviderError: an error object inside the document, or a document of another shape.
    """
    if not isinstance(document, dict):
        raise _malformed("the body is JSON but not an object")
    if document.get("error"):
        raise from_error_object(document["error"], say=say, names=names)
    if document.get("object") == "error":  # older vLLM puts the error at the top
        raise from_error_object(document, say=say, names=names)
    choice = _first_choice(document)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _malformed("choices[0] has no message")
    raw_usage = document.get("usage")
    usage = raw_usage if isinstance(raw_usage, dict) else {}
    if choice.get("error") or choice.get("finish_reason") == "error":  # OpenRouter reports upstream failures here
        raise from_error_object(choice.get("error") or "the upstream provider failed", say=say, names=names)
    refusal = _parts(message.get("refusal"))
    told_logprobs = mapping(choice.get("logprobs"))
    served = optional_text(choice.get("finish_reason"))
    finish = Finish.REFUSAL if refusal and served in {None, "stop"} else FINISHES.get(served or "", served)
    said, calls = _parts(message.get("content")) or refusal, _tool_calls(message.get("tool_calls"))
    if served is not None and served in BROKEN:
        raise given_up(BROKEN[served], served, began=bool(said or calls))
    if not (served or said or calls):
        sentence = "the reply has neither a finish reason nor any content"
        raise ReplyUnreadable(sentence, outcome=Outcome.CUT_OFF)
    return Reply(
        text=said,
        finish_reason=finish,
        # What a compatible server tells beside the reason: vLLM its stop string, OpenRouter the vendor's own word.
        finish_detail=optional_text(choice.get("native_finish_reason")) or optional_text(choice.get("stop_reason")),
        tool_calls=calls,
        input_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
        cached_tokens=count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens")),
        reasoning_tokens=count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        served_model=optional_text(document.get("model")),
        fingerprint=optional_text(document.get("system_fingerprint")),
        upstream=optional_text(document.get("provider")),  # OpenRouter
        id=optional_text(document.get("id")),
        logprobs=logprobs(told_logprobs.get("content") or told_logprobs.get("refusal")),
    )


class StreamedReply:
    """Puts the chunks of one stream together into the reply it would have been without streaming.

    The reply is complete exactly when a finish reason came. ``[DONE]`` alone does not count: gateways send it after an
    upstream that broke off, and some servers never send it.

    Chunks carry no number. A role or a finish reason that comes twice changes nothing, and the last finish reason
    counts; but a piece of text sent twice looks like text that says it twice, and one left out like text without it.
    """

    def __init__(self, *, say: Say, names: Mapping[str, Outcome] | None = None) -> None:
        self._say, self._names = say, names
        self._top: dict[str, Json] = {}
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._logprobs: list[Json] = []
        self._choice: dict[str, Json] = {}
        self._has_chunks = False
        self.is_complete = False
        """Never true: the token counts come after the finish reason, and some servers add chunks of their own."""

    def add(self, event: str, data: Json) -> bool:
        """Take one chunk; see ``Assembler``. Event names play no part in this wire."""
        del event
        chunk = data
        if not isinstance(chunk, dict):
            raise _malformed("a stream chunk is JSON but not an object")
        if chunk.get("error"):
            raise from_error_object(chunk["error"], say=self._say, names=self._names)
        self._has_chunks = True
        for key in ("id", "model", "system_fingerprint", "usage", "provider"):
            if chunk.get(key) is not None:
                self._top[key] = chunk[key]
        if not chunk.get("choices"):  # the usage chunk; Azure's prompt filter results
            return False
        choice = _first_choice(chunk)
        if choice.get("error"):
            raise from_error_object(choice["error"], say=self._say, names=self._names)
        ends = {key: choice[key] for key in ("finish_reason", "native_finish_reason", "stop_reason") if choice.get(key)}
        self._choice |= ends
        told_logprobs = mapping(choice.get("logprobs"))
        entries = told_logprobs.get("content") or told_logprobs.get("refusal")
        self._logprobs.extend(entries if isinstance(entries, list) else [])
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise _malformed("a stream chunk has a delta that is not an object")
        content, refusal = _parts(delta.get("content")), _parts(delta.get("refusal"))
        self._content.append(content)
        self._refusal.append(refusal)
        # Reasoning is no answer, but it is the model at work (vLLM: reasoning_content; OpenRouter: reasoning).
        is_thinking = bool(delta.get("reasoning_content") or delta.get("reasoning"))
        return self._add_calls(delta.get("tool_calls")) or bool(content or refusal or is_thinking)

    def reply(self) -> Reply:
        """See ``Assembler``."""
        if not self._has_chunks:
            raise ReplyUnreadable("the endpoint answered 200 with an empty stream", outcome=Outcome.EMPTY_BODY)
        if "finish_reason" not in self._choice:
            raise ReplyUnreadable("the stream ended before a finish reason came", outcome=Outcome.CUT_OFF)
        calls = [
            {"id": call["id"] or None, "function": {"name": call["name"], "arguments": call["arguments"]}}
            for _, call in sorted(self._calls.items())
        ]
        message = {"content": "".join(self._content), "refusal": "".join(self._refusal), "tool_calls": calls}
        choice = {
            "message": message,
            **self._choice,
            "logprobs": {"content": self._logprobs} if self._logprobs else None,
        }
        return read_reply({**self._top, "choices": [choice]}, say=self._say, names=self._names)

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
            call["id"] = call["id"] or text(delta.get("id"))
            call["name"] = call["name"] or text(function.get("name"))
            call["arguments"] += text(function.get("arguments"))
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


def _parts(value: Json) -> str:
    # null, a string, or a list of parts (Mistral, OpenRouter); parts that are not text (thinking) are no answer.
    if isinstance(value, list):
        return "".join(
            text(part.get("text") or part.get("refusal")) if isinstance(part, dict) else text(part)
            for part in value
            if not isinstance(part, dict) or part.get("type") in ("text", "output_text", "refusal", None)
        )
    if value is None or isinstance(value, str):
        return text(value)
    raise _malformed("a text is neither a string nor a list of parts")


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
        name=text(function["name"]),
        # Ollama's own wire and some proxies send an object where the JSON text is due.
        arguments=json.dumps(arguments) if isinstance(arguments, dict) else text(arguments),
        id=optional_text(call.get("id")),
    )


def _malformed(what: str) -> ReplyUnreadable:
    return malformed(what, "chat completion")
