"""Anthropic's Messages: domain → request body, message → Reply. Streams are in ``anthropic_stream.py``.

Source: Anthropic, "Messages", "Streaming messages", "Errors", "Versions" and "Structured outputs",
https://platform.claude.com/docs, and the types of its Python SDK 2.12, 2026-11: POST ``{base_url}/v1/messages``,
``x-api-key``, ``anthropic-version``, the request id in the ``request-id`` header. What is special:

* The newest version of the API, 2026-10-21, refuses ``temperature``, ``top_p`` and ``top_k`` even at their defaults:
  they are not sent. Option ``api_version: 2023-06-01`` sends them, for models before Claude Opus 4.7, which take them.
* ``max_tokens`` is required; 1024 is sent when none is configured.
* ``json_schema`` goes to ``output_config.format``; ``json_object``, any object, cannot be asked for.
* ``reasoning_effort`` goes to ``output_config.effort`` (low, medium, high, xhigh, max), none to ``thinking``: disabled.
* A refusal has a stop reason of its own and no text of its own: what was written before it stays the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from driftwatch.domain import Canary, Finish, Json, Message, Outcome, Target, ToolCall
from driftwatch.errors import ConfigError, ReplyUnreadable
from driftwatch.providers import PROVIDERS
from driftwatch.providers.address import joined
from driftwatch.providers.anthropic_stream import StreamedMessage
from driftwatch.providers.asked import (
    COMMON_PARAMETERS,
    Function,
    ToolUse,
    arguments_of,
    choice_of,
    format_of,
    functions_of,
    instructions_of,
    stops_of,
    turns_of,
)
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler, Reply, malformed, renamed, unaskable, without_place
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import Say, from_error_object
from driftwatch.providers.reading import count, mapping, optional_text, text, total

VERSION = "2026-10-21"
"""The newest version of the API, and the first without ``SAMPLING``; "Versions" (page above), 2026-11."""
SAMPLING = ("temperature", "top_p", "top_k")
DEFAULT_MAX_TOKENS = 1024
"""The value of the vendor's own examples."""
NAMES: Mapping[str, str | None] = {
    **dict.fromkeys(COMMON_PARAMETERS),
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
    "parallel_tool_calls": "tool_choice",
    "reasoning_effort": "output_config",
}
"""Common parameter → the field it goes to in the newest version; None where there is none."""
FINISHES: Mapping[str, Finish] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "refusal": Finish.REFUSAL,
    "pause_turn": Finish.PAUSE,
}
"""``stop_reason`` → ours; any other word is kept as served."""
TELLING = frozenset({"stop_sequence", "model_context_window_exceeded"})
"""Stop reasons that say more than ours."""
ERROR_NAMES: Mapping[str, Outcome] = {
    "credit balance is too low": Outcome.QUOTA,
    "you have reached your specified": Outcome.QUOTA,
    "output blocked by content filtering policy": Outcome.FILTERED,
    "enforced_spend_limit_reached": Outcome.QUOTA,
    "contract_spend_limit_reached": Outcome.QUOTA,
    "linked_organization_spend_limit_reached": Outcome.QUOTA,
    "billing_error": Outcome.QUOTA,
    "authentication_error": Outcome.AUTH,
    "permission_error": Outcome.AUTH,
    "invalid_request_error": Outcome.REJECTED,
    "request_too_large": Outcome.REJECTED,
    "rate_limit_error": Outcome.RATE_LIMITED,
    "timeout_error": Outcome.TIMEOUT,
    "overloaded_error": Outcome.UNAVAILABLE,
    "api_error": Outcome.UNAVAILABLE,
}
"""Spend limits and a used-up balance come as 400 or 429, the withheld output as 400: see the page "Errors"."""


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    return Endpoint(connection, Messages(connection), transport=transport)


class Messages:
    """The wire.

    Args:
        connection: option ``api_version``, a day; the newest when it is absent.

    Raises:
        ConfigError: ``base_url`` is no http(s) address, or the version is no day.
    """

    error_names = ERROR_NAMES

    def __init__(self, connection: Connection) -> None:
        self._version = str(connection.options.get("api_version", VERSION))
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", self._version):
            raise ConfigError(
                "this is no version of Anthropic's API", key="options.api_version", instead=f"write a day: {VERSION}"
            )
        self._names = {**NAMES, **{name: name for name in SAMPLING if self._version < VERSION}}
        self.unsent = without_place(self._names)
        self._url = joined(connection.base_url or PROVIDERS["anthropic"].base_url, "/v1/messages")

    def url(self, target: Target) -> str:
        """Always the same address: the body names the model."""
        del target
        return self._url

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Dialect``.

        Raises:
            ProviderRejected: the canary wants any JSON object, or holds a call whose arguments are no JSON object.
        """
        asked = target.parameters_for(canary)
        parallel, effort = asked.pop("parallel_tool_calls", None), asked.pop("reasoning_effort", None)
        body: dict[str, Json] = {
            "max_tokens": DEFAULT_MAX_TOKENS,
            **renamed(asked, self._names),
            "model": target.model,
            "messages": [
                {"role": role, "content": [block for message in turn for block in _blocks(message)]}
                for role, turn in turns_of(canary)
            ],
        }
        if asked.get("stop") is not None:
            body["stop_sequences"] = stops_of(asked["stop"])
        if instructions := instructions_of(canary):
            body["system"] = instructions
        if canary.tools:
            body["tools"] = [_tool(function) for function in functions_of(canary)]
            body |= _choice(canary, parallel)
        if effort == "none":
            body.setdefault("thinking", {"type": "disabled"})
        output = dict(body.get("output_config") or {})
        if effort not in {None, "none"}:
            output["effort"] = effort
        form = format_of(canary)
        if form is not None:
            if form.schema is None:
                raise unaskable("json_object")
            output["format"] = {"type": "json_schema", "schema": form.schema}
        if output:
            body["output_config"] = output
        if target.stream:
            body["stream"] = True
        return body

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """``x-api-key``; the API's version, which is no secret, goes with it."""
        del url, body
        return {"anthropic-version": self._version} | ({"x-api-key": key} if key else {})

    def read(self, document: Json, *, say: Say) -> Reply:
        """See ``Dialect``."""
        return read_message(document, say=say)

    def assembler(self, *, say: Say) -> Assembler:
        """See ``Dialect``."""
        return StreamedMessage(
            failed=lambda error: from_error_object(error, say=say, names=ERROR_NAMES),
            read=lambda document: read_message(document, say=say),
        )


def read_message(document: Json, *, say: Say) -> Reply:
    """Read a message.

    Args:
        document: the parsed body; a ``tool_use`` whose input is a text holds it as served.
        say: masks key material in quotations.

    Raises:
        ProviderError: an error object inside the document, or a document of another shape.
    """
    if not isinstance(document, dict):
        raise _malformed("the body is JSON but not an object")
    if document.get("error"):
        raise from_error_object(document["error"], say=say, names=ERROR_NAMES)
    blocks = document.get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise _malformed("the body is JSON without content blocks")
    usage = mapping(document.get("usage"))
    served = optional_text(document.get("stop_reason"))
    cached = count(usage.get("cache_read_input_tokens"))
    return Reply(
        text="".join(text(block.get("text")) for block in blocks if block.get("type") == "text"),
        finish_reason=FINISHES.get(served or "", served),
        # Which policy was touched; the explanation beside it changes its wording at will.
        finish_detail=optional_text(mapping(document.get("stop_details")).get("category"))
        or (served if served in TELLING else None),
        tool_calls=tuple(_tool_call(block) for block in blocks if block.get("type") == "tool_use"),
        input_tokens=total(count(usage.get("input_tokens")), count(usage.get("cache_creation_input_tokens")), cached),
        output_tokens=count(usage.get("output_tokens")),
        cached_tokens=cached,
        reasoning_tokens=count(mapping(usage.get("output_tokens_details")).get("thinking_tokens")),
        served_model=optional_text(document.get("model")),
        id=optional_text(document.get("id")),
    )


def _blocks(message: Message) -> list[dict[str, Json]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}]
    # A text block without text is refused.
    said: list[dict[str, Json]] = [{"type": "text", "text": message.content}] if message.content else []
    calls = [{"type": "tool_use", "id": c.id, "name": c.name, "input": arguments_of(c)} for c in message.tool_calls]
    return said + calls


def _tool(function: Function) -> dict[str, Json]:
    tool: dict[str, Json] = {"name": function.name, "input_schema": function.schema}
    if function.description is not None:
        tool["description"] = function.description
    if function.strict is not None:
        tool["strict"] = function.strict
    return tool


def _choice(canary: Canary, parallel: Json) -> dict[str, Json]:
    choice = choice_of(canary)
    if choice is None and parallel is None:
        return {}
    use = choice.use if choice else ToolUse.AUTO
    said: dict[str, Json] = {"type": _CHOICES[use]}
    if choice and choice.name is not None:
        said["name"] = choice.name
    if parallel is not None and use is not ToolUse.NONE:
        said["disable_parallel_tool_use"] = not parallel
    return {"tool_choice": said}


_CHOICES = {ToolUse.AUTO: "auto", ToolUse.NONE: "none", ToolUse.REQUIRED: "any", ToolUse.NAMED: "tool"}


def _tool_call(block: Mapping[str, Any]) -> ToolCall:
    if not isinstance(block.get("name"), str):
        raise _malformed("a tool_use block has no name")
    given = block.get("input")
    return ToolCall(
        name=text(block["name"]),
        arguments=text(given) if isinstance(given, str) else json.dumps(given or {}),
        id=optional_text(block.get("id")),
    )


def _malformed(what: str) -> ReplyUnreadable:
    return malformed(what, "message of Anthropic's")
