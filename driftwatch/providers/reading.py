"""Reads single values out of somebody else's JSON: what is odd but harmless becomes None, the rest an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from driftwatch.domain import Json, Outcome
from driftwatch.errors import ReplyUnreadable

MAX_TOKENS_COUNTED = 2**31 - 1
"""A count above this is a broken endpoint's, and would not fit a database column."""

LONGEST_NAME = 1000
"""In characters. No vendor's name or id comes near it; a broken gateway must not fill the database."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of an escaped pair ("\\ud83d" alone) is legal JSON but cannot be stored as UTF-8."""


def text(value: Json) -> str:
    """A string fit to be stored; empty for null.

    Raises:
        ReplyUnreadable: it is neither.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    raise ReplyUnreadable("a text is no string", outcome=Outcome.MALFORMED)


def optional_text(value: Json) -> str | None:
    r"""A name, an id or a reason: a string that is not empty, cut to ``LONGEST_NAME``; None for anything else.

    What cannot be printed on one line is replaced: a name goes into tables, logs and messages as it is.

    >>> optional_text("gpt\n-4\x1b[2J")
    'gpt�-4�[2J'
    """
    if not isinstance(value, str) or not value:
        return None
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text(value[:LONGEST_NAME]))


def count(value: Json) -> int | None:
    """A number of tokens; None for anything that cannot be one.

    >>> count(7), count(-1), count(True), count("7")
    (7, None, None, None)
    """
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS_COUNTED
    return value if is_count else None


def total(*counts: int | None) -> int | None:
    """The sum of what is known; None when nothing is.

    >>> total(3, None), total(None)
    (3, None)
    """
    known = [one for one in counts if one is not None]
    return sum(known) if known else None


def mapping(value: Json) -> Mapping[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: Json) -> Sequence[Mapping[str, Any]]:
    """The objects of a list; none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def logprobs(entries: Json) -> Json:
    """OpenAI's list of {token, logprob, top_logprobs} as ``Completion.logprobs``; None for anything else.

    A reply is worth keeping when only its logprobs are odd, hence None instead of an error.
    """
    if not isinstance(entries, list):
        return None
    try:
        return [
            {
                "token": text(entry["token"]),
                "logprob": float(entry["logprob"]),
                "top": [[text(top["token"]), float(top["logprob"])] for top in entry.get("top_logprobs") or []],
            }
            for entry in entries
        ]
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError, ReplyUnreadable):
        return None
