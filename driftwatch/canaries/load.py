"""Load suites: YAML files in, canaries out, every mistake named with file, line and what to write instead."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from driftwatch.canaries.argument import ArgumentError, describe
from driftwatch.canaries.checks import CHECKS
from driftwatch.canaries.document import Document, Place, did_you_mean, parse_document
from driftwatch.canaries.suitefile import CanaryEntry, MessageEntry, SuiteEntry, read_suite
from driftwatch.canaries.wire import validate_messages, validate_parameters, validate_response_format, validate_tools
from driftwatch.domain import Canary, Check, Json, Message, ToolCall
from driftwatch.errors import ConfigError

Validated = TypeVar("Validated")

MAX_BYTES = 1_000_000
"""Largest suite file that is read; a hundred long canaries are a tenth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The canaries of one YAML file."""

    name: str
    description: str
    file: str
    """The file as the user named it, or as found in the directory the user named."""
    canaries: tuple[Canary, ...]


def load_suites(paths: Sequence[Path]) -> dict[str, Suite]:
    """Load every suite in the given files and directories.

    Args:
        paths: suite files, and directories whose ``*.yaml`` and ``*.yml`` files (not those of their sub-directories)
            are suites. A file reached twice is read once.

    Returns:
        name → suite, in the order of ``paths``, within a directory by file name.

    Raises:
        ConfigError: for the first mistake, with file and line; for two suites of one name, with both files.
    """
    suites: dict[str, Suite] = {}
    for file in _files(paths):
        document = parse_document(_read(file), str(file))
        suite = _suite(read_suite(document), document)
        if suite.name in suites:
            problem = f"suite {suite.name!r} is already defined in {suites[suite.name].file}"
            raise document.error(problem, ("suite",), instead="give one of them another name")
        suites[suite.name] = suite
    return suites


def parse_suite(text: str, file: str) -> Suite:
    """Load one suite from the text of its file.

    Raises:
        ConfigError: for the first mistake, with ``file`` and line.

    >>> suite = parse_suite('''
    ... suite: core
    ... canaries:
    ...   - id: capital
    ...     reason: A fact every checkpoint knows; a change here is a change of format.
    ...     prompt: What is the capital of Australia? Answer with the city's name only.
    ...     checks: [{contains: Canberra}]
    ... ''', "core.yaml")
    >>> suite.canaries[0].id
    'core/capital'
    """
    document = parse_document(text, file)
    return _suite(read_suite(document), document)


def _files(paths: Sequence[Path]) -> list[Path]:
    files: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            found = sorted(f for f in path.iterdir() if f.suffix in (".yaml", ".yml") and not f.name.startswith("."))
            if not found:
                raise ConfigError("no suite in this directory", file=str(path), instead="add a .yaml file")
        elif path.exists():
            found = [path]
        else:
            raise ConfigError("no such file or directory", file=str(path), instead="name a suite file or its directory")
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def _read(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(file), instead="name a readable file") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES:,} bytes", file=str(file), instead="split the suite")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError("not UTF-8", file=str(file), line=line, instead="save the file as UTF-8") from None


def _suite(entry: SuiteEntry, document: Document) -> Suite:
    _located(document, ("defaults", "parameters"), validate_parameters, entry.defaults.parameters)
    lines: dict[str, int] = {}
    for i, canary in enumerate(entry.canaries):
        place: Place = ("canaries", i, "id")
        if canary.id in lines:
            problem = f"the id {canary.id!r} is already used on line {lines[canary.id]}"
            raise document.error(problem, place, instead="give the canary another id")
        lines[canary.id] = document.line(place)
    return Suite(
        name=entry.suite,
        description=entry.description,
        file=document.file,
        canaries=tuple(_canary(canary, entry, document, ("canaries", i)) for i, canary in enumerate(entry.canaries)),
    )


def _canary(entry: CanaryEntry, suite: SuiteEntry, document: Document, place: Place) -> Canary:
    defaults = suite.defaults
    _located(document, (*place, "parameters"), validate_parameters, entry.parameters)
    tools = _located(document, place, validate_tools, entry.tools, entry.tool_choice)
    if entry.response_format is not None:
        _located(document, (*place, "response_format"), validate_response_format, entry.response_format)
    return Canary(
        id=f"{suite.suite}/{entry.id}",
        suite=suite.suite,
        messages=_messages(entry, document, place),
        reason=entry.reason.strip(),
        checks=tuple(_check(item, tools, document, (*place, "checks", i)) for i, item in enumerate(entry.checks)),
        tools=tuple(entry.tools),
        tool_choice=entry.tool_choice,
        response_format=entry.response_format,
        parameters={**defaults.parameters, **entry.parameters},
        repeats=defaults.repeats if entry.repeats is None else entry.repeats,
        anchors=defaults.anchors if entry.anchors is None else entry.anchors,
        is_private=suite.private if entry.private is None else entry.private,
    )


def _messages(entry: CanaryEntry, document: Document, place: Place) -> tuple[Message, ...]:
    if (entry.prompt is None) == (entry.messages is None):
        if entry.prompt is None:
            raise document.error("nothing is asked", place, instead="write 'prompt' or 'messages'")
        raise document.error("both 'prompt' and 'messages'", (*place, "messages"), instead="keep one of them")
    leading = () if entry.system is None else (Message(role="system", content=entry.system),)
    if entry.prompt is not None:
        return (*leading, Message(role="user", content=entry.prompt))
    written = tuple(
        _message(message, document, (*place, "messages", i)) for i, message in enumerate(entry.messages or ())
    )
    if leading and written and written[0].role in ("system", "developer"):
        instead = "keep the one in 'messages'"
        raise document.error("both 'system' and a leading system message", (*place, "system"), instead=instead)
    _located(document, (*place, "messages"), validate_messages, written)
    return (*leading, *written)


def _message(entry: MessageEntry, document: Document, place: Place) -> Message:
    calls = []
    for i, call in enumerate(entry.tool_calls):
        if not isinstance(call.arguments, dict | str):
            path = (*place, "tool_calls", i, "arguments")
            problem = f"expected a mapping or JSON text, found {describe(call.arguments)}"
            raise document.error(problem, path, instead="write the arguments as a mapping")
        arguments = (
            call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
        )
        calls.append(ToolCall(name=call.name, arguments=arguments, id=call.id))
    return Message(
        role=entry.role,
        content=entry.content,
        tool_calls=tuple(calls),
        tool_call_id=entry.tool_call_id,
    )


def _check(item: dict[str, Json], tools: Sequence[str], document: Document, place: Place) -> Check:
    if len(item) != 1:
        problem = f"a check is one kind with its argument, found {len(item)}"
        raise document.error(problem, place, instead="write '- contains: Paris', each check as an item of its own")
    ((kind, argument),) = item.items()
    if kind not in CHECKS:
        raise document.error(f"unknown check {kind!r}", (*place, kind), instead=did_you_mean(kind, list(CHECKS)))
    _located(document, (*place, kind), CHECKS[kind].validate, argument)
    if kind == "tool_called":
        name = argument["name"] if isinstance(argument, dict) else argument
        if name not in tools:
            problem = f"the tool {name!r} is not among the canary's tools"
            instead = did_you_mean(name, tools) if tools else "add 'tools' to the canary"
            raise document.error(problem, (*place, kind), instead=instead)
    return Check(kind=kind, argument=argument)


def _located(document: Document, place: Place, validate: Callable[..., Validated], *arguments: Json) -> Validated:
    """Call a validator; what it refuses becomes a ConfigError at ``place``."""
    try:
        return validate(*arguments)
    except ArgumentError as error:
        raise document.error(error.problem, (*place, *error.path), instead=error.instead) from None
