"""Measure how long a reply is, in the units a person would count."""

from __future__ import annotations

import re
from collections.abc import Mapping

from driftwatch.canaries.argument import ArgumentError, describe, expect_keys
from driftwatch.domain import Completion, Json

UNITS = ("chars", "words", "sentences", "lines")


def measure(text: str) -> dict[str, int]:
    r"""Count a text in every unit; white space around it does not count.

    ``chars`` are Unicode code points. ``words`` are stretches without white space, so that Chinese, Japanese and Thai
    count as one word a stretch: use ``chars`` for them. ``sentences`` are endings in ``. ! ?`` (also ``。！？…``),
    where a Latin one needs white space or the end behind it, plus an unended rest; abbreviations count double.
    ``lines`` are the lines with something on them.

    >>> measure("Two lines.\n\nThree sentences! Really")
    {'chars': 35, 'words': 5, 'sentences': 3, 'lines': 2}
    """
    text = text.strip()
    return {
        "chars": len(text),
        "words": len(text.split()),
        "sentences": _sentences(text),
        "lines": sum(1 for line in text.splitlines() if line.strip()),
    }


def validate(argument: Json) -> None:
    """Accept a mapping of units to whole numbers.

    Raises:
        ArgumentError: for anything else.
    """
    limits = expect_keys(argument, allowed=UNITS, required=())
    if not limits:
        raise ArgumentError("an empty mapping asserts nothing", instead=f"give a limit in {' or '.join(UNITS)}")
    for unit, limit in limits.items():
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            problem = f"expected a whole number of 0 or more, found {describe(limit)}"
            raise ArgumentError(problem, instead="write a count such as 20", path=(unit,))


def at_most(argument: Mapping[str, int], completion: Completion) -> bool:
    """Whether the reply is within every limit."""
    measured = measure(completion.text)
    return all(measured[unit] <= limit for unit, limit in argument.items())


def at_least(argument: Mapping[str, int], completion: Completion) -> bool:
    """Whether the reply reaches every limit."""
    measured = measure(completion.text)
    return all(measured[unit] >= limit for unit, limit in argument.items())


_CLOSING = "\"'\u201d\u2019)\\]*_»"  # quotes, brackets and Markdown emphasis may follow the stop
_SENTENCE_END = re.compile(rf"[.!?…]+[{_CLOSING}]*(?=\s|$)|[。！？]+[{_CLOSING}」』]*")
_LIST_NUMBER = re.compile(r"(?m)^\s*\d{1,3}[.)]\s")  # "1. " begins an item, it ends no sentence


def _sentences(text: str) -> int:
    text = _LIST_NUMBER.sub("", text).strip()
    ends = list(_SENTENCE_END.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    return len(ends) + (1 if any(character.isalnum() for character in rest) else 0)
