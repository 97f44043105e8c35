"""Refuse, before it costs a request, what no chat-completions endpoint would accept.

Source: OpenAI API reference, "Create chat completion", https://platform.openai.com/docs/api-reference/chat/create;
endpoints that call themselves compatible take the same fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from driftwatch.canaries.argument import ArgumentError, describe
from driftwatch.canaries.document import closest, did_you_mean
from driftwatch.canaries.schemas import validate_schema
from driftwatch.domain import Json, Message

PARAMETERS = (
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_new_tokens", "max_tokens", "min_p",
    "min_tokens", "parallel_tool_calls", "presence_penalty", "reasoning_effort", "repetition_penalty", "seed",
    "service_tier", "stop", "temperature", "top_k", "top_logprobs", "top_p", "typical_p", "verbosity",
)  # fmt: skip
"""Sampling parameters in common use. Others are passed on as they are, unless they look like one of these misspelt."""

NOT_PARAMETERS = {
    "messages": "write it beside 'parameters'",
    "tools": "write it beside 'parameters'",
    "tool_choice": "write it beside 'parameters'",
    "response_format": "write it beside 'parameters'",
    "model": "the target says it",
    "stream": "the provider decides it",
    "stream_options": "the provider decides it",
    "n": "use the target's 'repeats'",
}
"""Fields of a request that are not the canary's sampling parameters, and where they belong."""


def validate_parameters(parameters: Mapping[str, Json]) -> None:
    """Accept sampling parameters.

    Raises:
        ArgumentError: for a misspelt one, a field that belongs elsewhere, or a value that is never accepted.
    """
    for name, value in parameters.items():
        if name in NOT_PARAMETERS:
            raise ArgumentError(f"{name!r} is no sampling parameter", instead=NOT_PARAMETERS[name], path=(name,))
        near = None if name in PARAMETERS else closest(name, PARAMETERS, cutoff=85)
        if near:
            raise ArgumentError(f"unknown parameter {name!r}", instead=f"did you mean {near!r}?", path=(name,))
        if name in ("max_tokens", "max_completion_tokens") and not (_is_whole(value) and value >= 1):
            problem = f"expected a whole number of 1 or more, found {describe(value)}"
            raise ArgumentError(problem, instead="write a count such as 64", path=(name,))
        if name == "temperature" and not (_is_number(value) and 0 <= value <= 2):  # noqa: PLR2004 - the wire's range
            problem = f"expected a number from 0 to 2, found {describe(value)}"
            raise ArgumentError(problem, instead="write 0 for the most repeatable replies", path=(name,))


def validate_tools(tools: Sequence[Json], tool_choice: Json) -> tuple[str, ...]:
    """Accept function definitions and the choice among them; return the functions' names.

    Raises:
        ArgumentError: with a path that starts with ``tools`` or ``tool_choice``.
    """
    names: list[str] = []
    for i, tool in enumerate(tools):
        names.append(_tool_name(tool, ("tools", i)))
        if names[-1] in names[:-1]:
            problem = f"the tool {names[-1]!r} is defined twice"
            raise ArgumentError(problem, instead="give it another name", path=("tools", i, "function", "name"))
    if tool_choice is not None:
        _validate_tool_choice(tool_choice, names)
    return tuple(names)


def validate_response_format(response_format: Mapping[str, Json]) -> None:
    """Accept ``{type: text | json_object | json_schema, …}``.

    Raises:
        ArgumentError: for another type.
    """
    kinds = ("text", "json_object", "json_schema")
    kind = response_format.get("type")
    if kind not in kinds:
        instead = did_you_mean(kind, kinds) if isinstance(kind, str) else "write 'type: json_object'"
        raise ArgumentError(
            f"unknown type {kind!r}" if "type" in response_format else "missing key 'type'", instead=instead
        )


def validate_messages(messages: Sequence[Message]) -> None:
    """Accept a conversation whose next turn is the model's and whose tool calls are all answered.

    Raises:
        ArgumentError: with a path that starts with the message's index.
    """
    if not messages:
        raise ArgumentError("the conversation is empty", instead="write at least one message of the user")
    waiting: list[str] = []
    for i, message in enumerate(messages):
        _validate_message(message, (i,))
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                problem = f"no open tool call {message.tool_call_id!r} before this result"
                raise ArgumentError(problem, instead="repeat the id of the assistant's call", path=(i,))
            waiting.remove(message.tool_call_id)
        elif waiting:
            problem = f"the tool call {waiting[0]!r} has no result before this message"
            raise ArgumentError(problem, instead=f"add a message of role tool, tool_call_id {waiting[0]!r}", path=(i,))
        waiting += [call.id or "" for call in message.tool_calls]
    last = messages[-1]
    if last.role not in ("user", "tool"):
        problem = f"the last message is from {last.role!r}, so there is nothing to reply to"
        raise ArgumentError(problem, instead="end with a message of the user or a tool", path=(len(messages) - 1,))


_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _validate_message(message: Message, path: tuple[str | int, ...]) -> None:
    if message.tool_calls and message.role != "assistant":
        raise ArgumentError(
            "only the assistant calls tools", instead="use role 'assistant'", path=(*path, "tool_calls")
        )
    if message.role == "tool" and message.tool_call_id is None:
        raise ArgumentError("missing key 'tool_call_id'", instead="repeat the id of the assistant's call", path=path)
    if message.role != "tool" and message.tool_call_id is not None:
        instead = "use role 'tool', or leave it out"
        raise ArgumentError("only a tool's result has a tool_call_id", instead=instead, path=(*path, "tool_call_id"))
    if not message.content.strip() and not message.tool_calls and message.role != "tool":
        raise ArgumentError("the message says nothing", instead="write its content", path=path)


def _tool_name(tool: Json, path: tuple[str | int, ...]) -> str:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        instead = "write {type: function, function: {name, description, parameters}}"
        raise ArgumentError("not a function tool", instead=instead, path=path)
    for key in tool:
        if key not in ("type", "function"):
            raise ArgumentError(f"unknown key {key!r}", instead="move it into 'function'", path=(*path, key))
    known = ("name", "description", "parameters", "strict")
    for key in function:
        if key not in known:
            raise ArgumentError(f"unknown key {key!r}", instead=did_you_mean(key, known), path=(*path, "function", key))
    name = function.get("name")
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        problem = f"expected a tool's name, found {describe(name)}"
        instead = "write up to 64 letters, digits, underscores and hyphens"
        raise ArgumentError(problem, instead=instead, path=(*path, "function", "name"))
    if function.get("parameters", {}) != {}:  # an empty mapping is how a function without arguments is written
        validate_schema(function["parameters"], path=(*path, "function", "parameters"))
    return name


def _validate_tool_choice(tool_choice: Json, names: Sequence[str]) -> None:
    if not names:
        raise ArgumentError("a tool_choice without tools", instead="add 'tools' or leave it out", path=("tool_choice",))
    if tool_choice in ("auto", "none", "required"):
        return
    match tool_choice:
        case {"type": "function", "function": {"name": str(name)}}:
            if name not in names:
                problem = f"the tool {name!r} is not defined"
                place = ("tool_choice", "function", "name")
                raise ArgumentError(problem, instead=did_you_mean(name, names), path=place)
        case _:
            instead = "write auto, none, required or {type: function, function: {name: …}}"
            raise ArgumentError(f"unknown tool_choice, {describe(tool_choice)}", instead=instead, path=("tool_choice",))


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
