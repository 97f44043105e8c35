"""Cohere's Chat API, version 2: the request, and how errors are named; ``cohere_reply.py`` reads the replies.

Sources, all 2026-11: "Chat", https://docs.cohere.com/reference/chat (POST ``{base_url}/chat``, ``Authorization:
Bearer``); "Errors", https://docs.cohere.com/reference/errors; "API keys and rate limits",
https://docs.cohere.com/docs/rate-limits; field names: cohere 7.3. What differs from what one would expect:

* A tool choice is REQUIRED, NONE or, for the model's own choice, left out; there is none that names a function.
* ``strict_tools`` holds for all tools: it is sent when any tool of the canary is strict.
* Thinking is switched on and off, or bounded in tokens: configure ``thinking: {type: disabled}`` natively.
* Errors have a message and no code: a trial key's monthly limit is known by its sentence, a deny-listed word in the
  prompt by the status 498.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from driftwatch.domain import Canary, Json, Message, Outcome, Target, ToolCall
from driftwatch.providers import PROVIDERS
from driftwatch.providers.address import joined
from driftwatch.providers.asked import (
    COMMON_PARAMETERS,
    Function,
    ToolUse,
    choice_of,
    format_of,
    functions_of,
    stops_of,
)
from driftwatch.providers.cohere_reply import StreamedReply, read_reply
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler, Reply, bearer, renamed, unaskable, without_place
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import Say

NAMES: Mapping[str, str | None] = {
    **{name: name for name in COMMON_PARAMETERS},
    "stop": "stop_sequences",
    "top_p": "p",
    "top_k": "k",
    "logit_bias": None,
    "parallel_tool_calls": None,
    "reasoning_effort": None,
    "top_logprobs": None,
}

ERROR_NAMES: Mapping[str, Outcome] = {
    "api calls / month": Outcome.QUOTA,  # "You are using a Trial key, which is limited to 1000 API calls / month"
    "498": Outcome.FILTERED,
    "499": Outcome.UNAVAILABLE,
}
"""Part of a message, or a status of this vendor alone → what it means."""


class CohereChat:
    """The wire as Cohere serves it.

    Args:
        connection: ``base_url`` defaults to Cohere's.

    Raises:
        ConfigError: ``base_url`` is no http(s) address.
    """

    def __init__(self, connection: Connection) -> None:
        self.unsent = without_place(NAMES)
        self.error_names = ERROR_NAMES
        self._url = joined(connection.base_url or PROVIDERS["cohere"].base_url, "/chat")

    def url(self, target: Target) -> str:
        """Always the same address: the body names the model."""
        del target
        return self._url

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Dialect``."""
        body = renamed(target.parameters_for(canary), NAMES)
        if "stop_sequences" in body:
            body["stop_sequences"] = stops_of(body["stop_sequences"])
        body |= {"model": target.model, "messages": [_message(message) for message in canary.messages]}
        body |= _tools(canary)
        form = format_of(canary)
        if form is not None:
            schema = {} if form.schema is None else {"json_schema": dict(form.schema)}
            body["response_format"] = {"type": "json_object", **schema}
        if target.stream:
            body["stream"] = True
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


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    return Endpoint(connection, CohereChat(connection), transport=transport)


def _tools(canary: Canary) -> dict[str, Json]:
    choice, functions = choice_of(canary), functions_of(canary)
    told: dict[str, Json] = {}
    if functions:
        told["tools"] = [_tool(function) for function in functions]
    if any(function.strict for function in functions):
        told["strict_tools"] = True
    if choice is not None and choice.use is ToolUse.NAMED:
        raise unaskable("a tool_choice that names a function")
    if choice is not None and choice.use is not ToolUse.AUTO:
        told["tool_choice"] = "NONE" if choice.use is ToolUse.NONE else "REQUIRED"
    return told


def _tool(function: Function) -> dict[str, Json]:
    described = {} if function.description is None else {"description": function.description}
    return {
        "type": "function",
        "function": {"name": function.name, **described, "parameters": dict(function.schema)},
    }


def _message(message: Message) -> dict[str, Json]:
    sent: dict[str, Json] = {"role": "system" if message.role == "developer" else message.role}
    if message.content or not message.tool_calls:
        sent["content"] = message.content
    if message.tool_calls:
        sent["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _call(call: ToolCall) -> dict[str, Json]:
    # The id is required; a call that nothing refers to may be known by its name.
    return {
        "id": call.id or call.name,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
