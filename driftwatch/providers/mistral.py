"""Mistral's chat completions.

Sources, all 2026-11: "Chat Completion", https://docs.mistral.ai/api/endpoint/chat; "Error glossary",
https://docs.mistral.ai/resources/error-glossary; "Prompt caching",
https://docs.mistral.ai/studio-api/conversations/advanced/prompt-caching; field names: mistralai 3.7. The server refuses
fields it does not know (422), so that what is OpenAI's alone stays out:

* ``random_seed`` is the seed; ``stream_options`` is unknown, the token counts come in the last chunk unasked;
* tool choice ``required`` is ``any``, a tool always has ``parameters``, and there is no role ``developer``;
* ids of tool calls are nine letters or digits: a canary's other ids are replaced by such, the same for the same;
* content may be a list of parts, of which ``thinking`` is no answer;
* an error is ``{object: error, message, type, code}``, or ``{detail: [...]}`` with status 422.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import httpx

from driftwatch.domain import Canary, Json, Outcome, Target
from driftwatch.providers import PROVIDERS
from driftwatch.providers.chat import Chat, StreamedReply
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import Say, from_error_object
from driftwatch.providers.reading import mapping, objects

NAMES = {"seed": "random_seed", "logit_bias": None}
ERROR_NAMES: Mapping[str, Outcome] = {
    "invalid_model": Outcome.MODEL_GONE,  # with status 400
    "unknown_model": Outcome.MODEL_GONE,
    "rate_limited": Outcome.RATE_LIMITED,
    "rate_limit_error": Outcome.RATE_LIMITED,
    "authentication_error": Outcome.AUTH,
    "server_error": Outcome.UNAVAILABLE,
}
"""``type`` and ``code`` → what they mean."""

_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")


class Mistral(Chat):
    """Chat completions with Mistral's deviations.

    Args:
        connection: ``base_url`` defaults to Mistral's.
    """

    def __init__(self, connection: Connection) -> None:
        reached = replace(connection, base_url=connection.base_url or PROVIDERS["mistral"].base_url)
        super().__init__(reached, names=NAMES, error_names=ERROR_NAMES)

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Dialect``."""
        body = super().body(target, canary)
        if "stream_options" not in target.parameters_for(canary):
            body.pop("stream_options", None)
        body["messages"] = [_message(message) for message in body["messages"]]
        if "tools" in body:
            body["tools"] = [_tool(tool) for tool in body["tools"]]
        if body.get("tool_choice") == "required":
            body["tool_choice"] = "any"
        return body

    def assembler(self, *, say: Say) -> Assembler:
        """See ``Dialect``."""
        return ThinkingStream(say=say, names=self.error_names)


class ThinkingStream(StreamedReply):
    """A stream whose content may be lists of parts, and whose errors stand at the top of a chunk."""

    def __init__(self, *, say: Say, names: Mapping[str, Outcome]) -> None:
        super().__init__(say=say, names=names)
        self._say_error, self._error_names = say, names

    def add(self, event: str, data: Json) -> bool:
        """Take one chunk; see ``Assembler``."""
        if mapping(data).get("object") == "error":
            raise from_error_object(data, say=self._say_error, names=self._error_names)
        deltas = (mapping(choice.get("delta")) for choice in objects(mapping(data).get("choices")))
        thinks = any(part.get("thinking") for delta in deltas for part in objects(delta.get("content")))
        return super().add(event, data) or thinks


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    return Endpoint(connection, Mistral(connection), transport=transport)


def call_id(given: str) -> str:
    """An id that Mistral takes: the given one, or nine hex digits that stand for it.

    >>> call_id("9kd8Xp2Qa"), call_id("call_1"), call_id("call_1") == call_id("call_1")
    ('9kd8Xp2Qa', '74196fe72', True)
    """
    return given if _CALL_ID.fullmatch(given) else sha256(given.encode()).hexdigest()[:9]


def _message(sent: Mapping[str, Any]) -> dict[str, Json]:
    message = dict(sent)
    if message["role"] == "developer":
        message["role"] = "system"
    if message.get("tool_call_id"):
        message["tool_call_id"] = call_id(message["tool_call_id"])
    if "tool_calls" in message:
        message["tool_calls"] = [
            {key: call_id(value) if key == "id" else value for key, value in call.items() if value is not None}
            for call in message["tool_calls"]
        ]
    return message


def _tool(sent: Mapping[str, Any]) -> dict[str, Json]:
    function = {"parameters": {"type": "object", "properties": {}}, **sent["function"]}
    return {**sent, "function": function}
