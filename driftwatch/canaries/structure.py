"""Assert the structure of a reply: JSON, JSON Schema, and the tools that were called."""

from __future__ import annotations

import json
import re

from driftwatch.canaries.argument import expect_bool, expect_keys, expect_text, expect_true
from driftwatch.canaries.schemas import fits, validate_schema
from driftwatch.domain import Completion, Json


def parse_json(text: str, *, allow_fence: bool = False) -> Json:
    """The one JSON value that is the whole text.

    Strict: a code fence around it is a change of format that breaks ``json.loads`` in production, so it is accepted
    only where the author says so; NaN and Infinity are not JSON.

    Raises:
        ValueError: when it is not JSON; also for nesting and integers beyond what Python reads.
    """
    text = text.strip()
    if allow_fence and (fence := _FENCE.fullmatch(text)):
        text = fence["body"]
    try:
        return json.loads(text, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def validate_json_valid(argument: Json) -> None:
    """Accept ``true``."""
    expect_true(argument)


def json_valid(argument: Json, completion: Completion) -> bool:  # noqa: ARG001 - every kind is called alike
    """Whether the whole text is one JSON value."""
    try:
        parse_json(completion.text)
    except ValueError:
        return False
    return True


def validate_json_schema(argument: Json) -> None:
    """Accept a JSON Schema, or a mapping of schema and allow_fence (no schema has a keyword ``schema``).

    Raises:
        ArgumentError: when it is none, or the schema itself is not valid.
    """
    if isinstance(argument, dict) and "schema" in argument:
        options = expect_keys(argument, allowed=("schema", "allow_fence"), required=("schema",))
        expect_bool(options.get("allow_fence", False), path=("allow_fence",))
        validate_schema(options["schema"], path=("schema",))
    else:
        validate_schema(argument, path=())


def json_schema(argument: Json, completion: Completion) -> bool:
    """Whether the whole text is JSON that fits the schema."""
    options = argument if "schema" in argument else {"schema": argument}
    try:
        value = parse_json(completion.text, allow_fence=options.get("allow_fence", False))
    except ValueError:
        return False
    return _keeps(value, options["schema"])


def validate_tool_called(argument: Json) -> None:
    """Accept a tool's name, or a mapping of name and arguments_schema.

    Raises:
        ArgumentError: for anything else.
    """
    if not isinstance(argument, dict):
        expect_text(argument)
        return
    options = expect_keys(argument, allowed=("name", "arguments_schema"), required=("name", "arguments_schema"))
    expect_text(options["name"], path=("name",))
    validate_schema(options["arguments_schema"], path=("arguments_schema",))


def tool_called(argument: Json, completion: Completion) -> bool:
    """Whether at least one call is of the named tool and, where a schema is given, its arguments fit."""
    options = argument if isinstance(argument, dict) else {"name": argument}
    calls = [call for call in completion.tool_calls if call.name == options["name"]]
    schema = options.get("arguments_schema")
    if schema is None:
        return bool(calls)
    return any(_arguments_fit(call.arguments, schema) for call in calls)


def validate_no_tool_called(argument: Json) -> None:
    """Accept ``true``."""
    expect_true(argument)


def no_tool_called(argument: Json, completion: Completion) -> bool:  # noqa: ARG001 - every kind is called alike
    """Whether the reply calls no tool."""
    return not completion.tool_calls


_FENCE = re.compile(r"```[\w-]*[ \t]*\n(?P<body>.*?)\n?[ \t]*```", re.DOTALL)


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _arguments_fit(arguments: str, schema: Json) -> bool:
    try:
        # Some servers send "" for a call without arguments.
        value = parse_json(arguments or "{}")
    except ValueError:
        return False
    return _keeps(value, schema)


def _keeps(value: Json, schema: Json) -> bool:
    try:
        return fits(value, schema)
    except (RecursionError, OverflowError):  # a reply nested or sized beyond reason; it must not end the run
        return False
