"""Decide whether a reply keeps what its canary's author asserted: the kinds of check, one dict entry each.

Checks read the reply as served. Where a check says "text", leading and trailing white space does not count.
An empty reply is a reply: it fails what asks for something (``contains``, ``regex``, ``number``, ``json_valid``,
``language``, ``min_length``) and keeps what forbids something (``not_contains``, ``max_length``).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from driftwatch.canaries import language, length, numbers, structure
from driftwatch.canaries.argument import ArgumentError, expect_bool, expect_keys, expect_text, expect_texts
from driftwatch.canaries.refusal import looks_like_refusal
from driftwatch.domain import Check, Completion, Json

log = structlog.get_logger()

MAX_MATCHED_CHARS = 100_000
"""A regular expression sees this many characters of a reply at most: a runaway reply must not stall the daemon."""

MAX_MATCHING_S = 1.0
"""A regular expression that backtracks for longer counts as not matching, s: ``(a+)+$`` must not stall it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckKind:
    """One way of asserting something about a reply."""

    summary: str
    """What holds, in one line; for the reference and ``driftwatch canaries``."""
    validate: Callable[[Json], None]
    """Raises ArgumentError when the argument, as parsed from YAML, makes no sense for this kind."""
    evaluate: Callable[[Json, Completion], bool]
    """Whether the assertion holds; the argument has been validated."""


def evaluate(check: Check, completion: Completion) -> bool:
    """Whether ``check`` holds for a reply.

    Args:
        check: as loaded by ``load_suites``; its argument has been validated.
        completion: a reply with ``is_ok``. A failure is never scored, so asking about one is a mistake of the caller.

    Raises:
        KeyError: for a kind that is not in ``CHECKS``.

    >>> from datetime import UTC, datetime
    >>> from driftwatch.domain import Outcome
    >>> reply = Completion(canary_id="core/capital", canary_hash="", repeat=0, outcome=Outcome.OK, latency_s=0.5,
    ...                    at=datetime(2026, 3, 2, tzinfo=UTC), text="Canberra.")
    >>> evaluate(Check(kind="contains", argument="Canberra"), reply)
    True
    """
    return CHECKS[check.kind].evaluate(check.argument, completion)


def _validate_equals(argument: Json) -> None:
    if isinstance(argument, dict):
        options = expect_keys(argument, allowed=("text", "ignore_case"), required=("text",))
        expect_text(options["text"], path=("text",))
        expect_bool(options.get("ignore_case", False), path=("ignore_case",))
    else:
        expect_text(argument)


def _validate_texts(argument: Json) -> None:
    if isinstance(argument, dict):
        options = expect_keys(argument, allowed=("text", "ignore_case"), required=("text",))
        expect_texts(options["text"], path=("text",))
        expect_bool(options.get("ignore_case", False), path=("ignore_case",))
    else:
        expect_texts(argument)


def _validate_regex(argument: Json) -> None:
    import regex  # noqa: PLC0415 - only suites with such a check need it

    pattern = expect_text(argument)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "possible nested set" today is another meaning tomorrow
            re.compile(pattern)  # for its messages, which users know
            regex.compile(pattern)
    except (re.error, regex.error, Warning, OverflowError, RecursionError) as error:
        raise ArgumentError(
            f"not a regular expression: {error}", instead="write one that Python's re accepts"
        ) from None


def _texts(argument: Json) -> tuple[tuple[str, ...], bool]:
    """The texts of an argument and whether case is ignored."""
    options = argument if isinstance(argument, dict) else {"text": argument}
    texts = options["text"] if isinstance(options["text"], list) else [options["text"]]
    ignore_case = bool(options.get("ignore_case", False))
    return tuple(text.casefold() if ignore_case else text for text in texts), ignore_case


def _reply(completion: Completion, *, ignore_case: bool) -> str:
    return completion.text.casefold() if ignore_case else completion.text


def _equals(argument: Json, completion: Completion) -> bool:
    (text,), ignore_case = _texts(argument)
    return _reply(completion, ignore_case=ignore_case).strip() == text.strip()


def _contains(argument: Json, completion: Completion) -> bool:
    texts, ignore_case = _texts(argument)
    reply = _reply(completion, ignore_case=ignore_case)
    return all(text in reply for text in texts)


def _not_contains(argument: Json, completion: Completion) -> bool:
    texts, ignore_case = _texts(argument)
    reply = _reply(completion, ignore_case=ignore_case)
    return not any(text in reply for text in texts)


def _contains_any(argument: Json, completion: Completion) -> bool:
    texts, ignore_case = _texts(argument)
    reply = _reply(completion, ignore_case=ignore_case)
    return any(text in reply for text in texts)


def _regex(argument: Json, completion: Completion) -> bool:
    import regex  # noqa: PLC0415 - only suites with such a check need it

    try:
        # `re` cannot be interrupted and would hold every other thread meanwhile.
        found = regex.search(argument, completion.text[:MAX_MATCHED_CHARS], timeout=MAX_MATCHING_S, concurrent=True)
    except TimeoutError:
        log.warning("check.regex_too_slow", canary=completion.canary_id, pattern=argument, limit_s=MAX_MATCHING_S)
        return False
    return found is not None


def _validate_refusal(argument: Json) -> None:
    expect_bool(argument)


def _refusal(argument: Json, completion: Completion) -> bool:
    return looks_like_refusal(completion.text) is argument


CHECKS: dict[str, CheckKind] = {
    "equals": CheckKind(
        summary="the text is exactly this; {text, ignore_case} to ignore case",
        validate=_validate_equals,
        evaluate=_equals,
    ),
    "contains": CheckKind(
        summary="the reply has this text, or every text of a list; {text, ignore_case} to ignore case",
        validate=_validate_texts,
        evaluate=_contains,
    ),
    "not_contains": CheckKind(
        summary="the reply has neither this text nor any text of a list; {text, ignore_case} to ignore case",
        validate=_validate_texts,
        evaluate=_not_contains,
    ),
    "contains_any": CheckKind(
        summary="the reply has at least one text of a list; {text, ignore_case} to ignore case",
        validate=_validate_texts,
        evaluate=_contains_any,
    ),
    "regex": CheckKind(
        summary="this Python regular expression is found in the reply's first 100,000 characters",
        validate=_validate_regex,
        evaluate=_regex,
    ),
    "json_valid": CheckKind(
        summary="true: the whole text is one JSON value, without a code fence",
        validate=structure.validate_json_valid,
        evaluate=structure.json_valid,
    ),
    "json_schema": CheckKind(
        summary="the whole text is JSON that fits this JSON Schema; {schema, allow_fence} to accept a code fence",
        validate=structure.validate_json_schema,
        evaluate=structure.json_schema,
    ),
    "number": CheckKind(
        summary="the last number in the reply is this one; {equals, tolerance, which: first|last}",
        validate=numbers.validate,
        evaluate=numbers.evaluate,
    ),
    "max_length": CheckKind(
        summary="the text has at most so many {chars, words, sentences, lines}",
        validate=length.validate,
        evaluate=length.at_most,
    ),
    "min_length": CheckKind(
        summary="the text has at least so many {chars, words, sentences, lines}",
        validate=length.validate,
        evaluate=length.at_least,
    ),
    "refusal": CheckKind(
        summary="true: the reply declines to answer; false: it does not (by its phrases, in ten languages)",
        validate=_validate_refusal,
        evaluate=_refusal,
    ),
    "language": CheckKind(
        summary="the reply is in this language (ISO 639-1 code); {code, among} to narrow the choice for short replies",
        validate=language.validate,
        evaluate=language.evaluate,
    ),
    "tool_called": CheckKind(
        summary="this tool was called; {name, arguments_schema} to assert the arguments as well",
        validate=structure.validate_tool_called,
        evaluate=structure.tool_called,
    ),
    "no_tool_called": CheckKind(
        summary="true: no tool was called",
        validate=structure.validate_no_tool_called,
        evaluate=structure.no_tool_called,
    ),
}
"""kind → how its argument is validated and evaluated. A new kind is one entry here."""
