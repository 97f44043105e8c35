"""OpenAI's Responses: domain → request body, response document or typed stream events → Reply.

Source: OpenAI, "Create a model response", "The response object" and "Streaming events",
https://developers.openai.com/api/reference/resources/responses, and "Migrate to the Responses API",
https://developers.openai.com/api/docs/guides/migrate-to-responses, 2026-11; field names as in openai-python 3.54.

Sent without being configured, each overridden by a parameter or canary that says otherwise:

* ``store: false``. Omitted it is true, and the vendor would keep every prompt and reply for at least 30 days; a monitor
  reads none of them again.
* ``strict: false`` in a tool of which the canary does not say it. Here the default is strict, in chat completions, in
  whose shape canaries are written, it is not; the same canary must ask for the same.

System and developer messages stay items of ``input``, each with its role: ``instructions`` would make one text of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from driftwatch.domain import Canary, Finish, Json, Message, Outcome, Target, ToolCall
from driftwatch.errors import ReplyUnreadable
from driftwatch.providers import PROVIDERS
from driftwatch.providers.address import joined
from driftwatch.providers.asked import COMMON_PARAMETERS, Format, Function, choice_of, format_of, functions_of
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler, Reply, bearer, malformed, renamed, without_place
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import Say, from_error_object
from driftwatch.providers.openai import ERROR_NAMES
from driftwatch.providers.reading import count, logprobs, mapping, objects, optional_text, text

NAMES: Mapping[str, str | None] = {
    "max_tokens": "max_output_tokens",
    "frequency_penalty": None,
    "logit_bias": None,
    "presence_penalty": None,
    "seed": None,
    "stop": None,
    "top_k": None,
}
"""Common parameter → this wire's name; those not listed keep theirs, two move into an object (see ``body``)."""
INCOMPLETE: Mapping[str, Finish] = {
    "max_output_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}
"""``incomplete_details.reason`` → ours; any other word is kept as served."""
LOGPROBS = "message.output_text.logprobs"

CONTENT_EVENTS = frozenset({
    "response.output_text.delta",
    "response.refusal.delta",
    "response.function_call_arguments.delta",
    "response.reasoning_text.delta",
    "response.reasoning_summary_text.delta",
})  # fmt: skip
END_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    reached = replace(connection, base_url=connection.base_url or PROVIDERS["openai_responses"].base_url)
    return Endpoint(connection, Responses(reached), transport=transport)


class Responses:
    """The wire; see ``driftwatch.providers.dialect.Dialect``.

    Raises:
        ConfigError: ``base_url`` is missing or is no http(s) address.
    """

    def __init__(self, connection: Connection) -> None:
        self.unsent = without_place({**dict(zip(COMMON_PARAMETERS, COMMON_PARAMETERS, strict=True)), **NAMES})
        self.error_names = ERROR_NAMES
        self._url = joined(connection.base_url, "/responses")

    def url(self, target: Target) -> str:
        """Always the same address: the body names the model."""
        del target
        return self._url

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Dialect``. Configured ``text``, ``reasoning`` and ``include`` are added to, not replaced."""
        parameters = target.parameters_for(canary)
        effort, wants_logprobs = parameters.pop("reasoning_effort", None), parameters.pop("logprobs", None)
        body: dict[str, Json] = {
            "store": False,
            **renamed(parameters, NAMES),
            "model": target.model,
            "input": [item for message in canary.messages for item in _items(message)],
        }
        if effort is not None:
            body["reasoning"] = {"effort": effort, **mapping(body.get("reasoning"))}
        if wants_logprobs:
            body["include"] = [*(body.get("include") or ()), LOGPROBS]
        if canary.tools:
            body["tools"] = [_tool(function) for function in functions_of(canary)]
        if (choice := choice_of(canary)) is not None:
            body["tool_choice"] = choice.use.value if choice.name is None else _named(choice.name)
        if (form := format_of(canary)) is not None:
            body["text"] = {**mapping(body.get("text")), "format": _format(form)}
        if target.stream:
            body["stream"] = True
        return body

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """``Authorization: Bearer``."""
        del url, body
        return bearer(key)

    def read(self, document: Json, *, say: Say) -> Reply:
        """See ``Dialect``."""
        return read_response(document, say=say)

    def assembler(self, *, say: Say) -> Assembler:
        """See ``Dialect``."""
        return StreamedResponse(say=say)


def read_response(document: Json, *, say: Say) -> Reply:
    """Read a response document.

    Raises:
        ProviderError: the response failed, has not ended, or the document is of another shape.
    """
    if not isinstance(document, dict):
        raise _malformed("the body is JSON but not an object")
    status = optional_text(document.get("status"))
    if document.get("error") or status == "failed":
        raise from_error_object(document.get("error") or "the response failed", say=say, names=ERROR_NAMES)
    if not isinstance(document.get("output"), list):
        raise _malformed("the body is JSON without output")
    if status not in {"completed", "incomplete"}:
        raise _malformed(f"the response has not ended, its status is {say(str(status))!r}")
    items = objects(document["output"])
    parts = [part for item in items if item.get("type") == "message" for part in objects(item.get("content"))]
    said = [part for part in parts if part.get("type") == "output_text"]
    refusal = "".join(text(part.get("refusal")) for part in parts if part.get("type") == "refusal")
    calls = tuple(_call(item) for item in items if item.get("type") == "function_call")
    usage = mapping(document.get("usage"))
    entries = [entry for part in said for entry in objects(part.get("logprobs"))]
    return Reply(
        text="".join(text(part.get("text")) for part in said) or refusal,
        finish_reason=_finish(document, refusal=refusal, calls=calls),
        tool_calls=calls,
        input_tokens=count(usage.get("input_tokens")),
        output_tokens=count(usage.get("output_tokens")),
        cached_tokens=count(mapping(usage.get("input_tokens_details")).get("cached_tokens")),
        reasoning_tokens=count(mapping(usage.get("output_tokens_details")).get("reasoning_tokens")),
        served_model=optional_text(document.get("model")),
        id=optional_text(document.get("id")),
        logprobs=logprobs(entries) if entries else None,
    )


class StreamedResponse:
    """Reads the typed events of one stream.

    The event that ends it carries the whole response, so that is what is read; the pieces before it only have to add
    up to it. Events are numbered: one that comes twice or late makes the stream malformed. A number left out does not:
    gateways drop events they do not know, and what is missing shows in the sum.
    """

    def __init__(self, *, say: Say) -> None:
        self._say = say
        self._last = -1
        self._pieces: list[str] = []
        self._done: dict[int, Json] = {}
        self._document: dict[str, Json] | None = None
        self._has_events = False
        self.is_complete = False
        """True once ``response.completed`` or ``response.incomplete`` came."""

    def add(self, event: str, data: Json) -> bool:
        """Take one event; see ``Assembler``. ``type`` inside the data names it, as it does for the official clients."""
        if not isinstance(data, dict):
            raise _malformed("a stream event is JSON but not an object")
        self._has_events = True
        kind = optional_text(data.get("type")) or event
        if kind == "error":
            raise from_error_object(data.get("error") or data, say=self._say, names=ERROR_NAMES)
        self._check_order(data.get("sequence_number"))
        if kind in END_EVENTS:
            self._document, self.is_complete = dict(mapping(data.get("response"))), True
        elif kind == "response.output_item.done":
            index = data.get("output_index")  # llama.cpp gives none; its items come in order
            self._done[index if isinstance(index, int) else len(self._done)] = data.get("item")
        elif kind == "response.output_text.delta":
            self._pieces.append(text(data.get("delta")))
        elif kind == "response.output_item.added":
            return mapping(data.get("item")).get("type") == "function_call"
        return kind in CONTENT_EVENTS and bool(data.get("delta"))

    def reply(self) -> Reply:
        """See ``Assembler``."""
        if not self._has_events:
            raise ReplyUnreadable("the endpoint answered 200 with an empty stream", outcome=Outcome.EMPTY_BODY)
        if self._document is None:
            raise ReplyUnreadable("the stream ended before the response did", outcome=Outcome.CUT_OFF)
        if not self._document.get("output"):  # compatible servers leave it out of the last event
            self._document["output"] = [item for _, item in sorted(self._done.items())]
        reply = read_response(self._document, say=self._say)
        streamed = "".join(self._pieces)
        if streamed and streamed != reply.text:
            raise _malformed("the pieces of the stream do not add up to the response that ends it")
        return reply

    def _check_order(self, number: Json) -> None:
        if not isinstance(number, int):  # compatible servers do not number
            return
        if number <= self._last:
            raise _malformed(f"stream event {number} came after event {self._last}")
        self._last = number


def _items(message: Message) -> list[dict[str, Json]]:
    if message.role == "tool":
        return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": message.content}]
    calls: list[dict[str, Json]] = [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    # llama.cpp's server wants the type, which the vendor's needs not be told.
    says: list[dict[str, Json]] = [{"type": "message", "role": message.role, "content": message.content}]
    return [*(says if message.content or not calls else []), *calls]


def _tool(function: Function) -> dict[str, Json]:
    described = {} if function.description is None else {"description": function.description}
    return {
        "type": "function",
        "name": function.name,
        **described,
        "parameters": function.schema,
        "strict": bool(function.strict),
    }


def _named(name: str) -> dict[str, Json]:
    return {"type": "function", "name": name}


def _format(form: Format) -> dict[str, Json]:
    if form.schema is None:
        return {"type": "json_object"}
    strict = {} if form.strict is None else {"strict": form.strict}
    return {"type": "json_schema", "name": form.name, "schema": form.schema, **strict}


def _finish(document: Mapping[str, Any], *, refusal: str, calls: Sequence[ToolCall]) -> str | None:
    if document.get("status") == "incomplete":
        reason = optional_text(mapping(document.get("incomplete_details")).get("reason"))
        return INCOMPLETE.get(reason or "", reason or "incomplete")
    if calls:
        return Finish.TOOL_CALLS
    return Finish.REFUSAL if refusal else Finish.STOP


def _call(item: Mapping[str, Any]) -> ToolCall:
    if not isinstance(item.get("name"), str):
        raise _malformed("a function call has no name")
    return ToolCall(
        name=text(item["name"]), arguments=text(item.get("arguments")), id=optional_text(item.get("call_id"))
    )


def _malformed(what: str) -> ReplyUnreadable:
    return malformed(what, "response")
