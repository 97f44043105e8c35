"""What a canary asks, taken apart for wires that say it in another shape than chat completions.

Canaries are written in the chat-completions shape (``driftwatch.canaries.wire`` accepts nothing else), so what is read
here is known to be well formed.
Source: OpenAI, "Create chat completion", https://developers.openai.com/api/reference/resources/chat, 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from driftwatch.domain import Canary, Json, Message, Outcome, ToolCall
from driftwatch.errors import ProviderRejected

COMMON_PARAMETERS = (
    "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "parallel_tool_calls", "presence_penalty",
    "reasoning_effort", "seed", "stop", "temperature", "top_k", "top_logprobs", "top_p",
)  # fmt: skip
"""The vocabulary in which suites and targets configure sampling; a dialect has a place for each or says it has none.

``max_tokens`` bounds the output, ``logprobs`` is true or false and ``top_logprobs`` how many alternatives, ``stop`` is
a text or a list of them, ``reasoning_effort`` one of none, minimal, low, medium, high.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A tool the model may call."""

    name: str
    description: str | None
    schema: Mapping[str, Json]
    """JSON Schema of the arguments; an object without properties when the canary gives none."""
    strict: bool | None
    """Whether arguments must follow the schema; None when the canary does not say."""


class ToolUse(StrEnum):
    """Whether the model has to call a tool."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the canary says of tool use."""

    use: ToolUse
    name: str | None = None
    """The one function that must be called; of NAMED alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What the reply must look like: any JSON object, or one that a schema describes."""

    schema: Mapping[str, Json] | None
    """None for any JSON object."""
    name: str = "reply"
    strict: bool | None = None


def functions_of(canary: Canary) -> tuple[Function, ...]:
    """The tools a canary offers."""
    return tuple(_function(tool["function"]) for tool in canary.tools)


def choice_of(canary: Canary) -> Choice | None:
    """Which tool must be called; None when the canary leaves it to the endpoint."""
    said = canary.tool_choice
    if said is None:
        return None
    if isinstance(said, str):
        return Choice(use=ToolUse(said))
    return Choice(use=ToolUse.NAMED, name=said["function"]["name"])


def format_of(canary: Canary) -> Format | None:
    """The form the reply must have; None when any text will do."""
    said = canary.response_format
    if said is None or said["type"] == "text":
        return None
    if said["type"] == "json_object":
        return Format(schema=None)
    described = said["json_schema"]
    return Format(
        schema=described.get("schema", {}), name=described.get("name", "reply"), strict=described.get("strict")
    )


def instructions_of(canary: Canary) -> str:
    """System and developer messages as one text, empty when there are none: many wires have one place for them."""
    return "\n\n".join(message.content for message in canary.messages if message.role in {"system", "developer"})


def conversation_of(canary: Canary) -> tuple[Message, ...]:
    """The messages that are not instructions."""
    return tuple(message for message in canary.messages if message.role not in {"system", "developer"})


def turns_of(canary: Canary) -> tuple[tuple[str, tuple[Message, ...]], ...]:
    """The conversation in turns, for wires whose roles alternate and whose tools answer in the user's turn.

    Returns:
        (``user`` | ``assistant``, the messages of that turn) in order; ``tool`` messages are of the user's.
    """
    sides = groupby(conversation_of(canary), key=lambda message: message.role == "assistant")
    return tuple(("assistant" if is_model else "user", tuple(messages)) for is_model, messages in sides)


def arguments_of(call: ToolCall) -> dict[str, Json]:
    """The arguments of a canary's tool call, for wires that want an object and no text.

    Raises:
        ProviderRejected: they are no JSON object.
    """
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise ProviderRejected(
            f"the canary's call of {call.name!r} has arguments that are no JSON object, which this provider requires; "
            "write them as a mapping",
            outcome=Outcome.REJECTED,
        )
    return arguments


def stops_of(value: Json) -> list[Json]:
    """``stop`` as a list: one text stands for itself."""
    return value if isinstance(value, list) else [value]


def _function(said: Mapping[str, Json]) -> Function:
    return Function(
        name=said["name"],
        description=said.get("description"),
        schema=said.get("parameters") or {"type": "object", "properties": {}},
        strict=said.get("strict"),
    )
