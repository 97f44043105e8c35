"""The outward form of a reply: length, structure, script, refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from driftwatch.canaries.refusal import looks_like_refusal
from driftwatch.score.scripts import script_shares

_FENCED = re.compile(r"^[ \t]{0,3}(```|~~~).*?(?:^[ \t]{0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"^[ \t]{0,8}(?:[-*+•]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE)
_LEAST_ITEMS = 2
"""One line that begins with a dash or ``1.`` is a sentence; two are a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What can be seen of a reply without understanding it."""

    n_characters: int
    n_paragraphs: int
    """Blocks of lines between blank lines, 0 for an empty text."""
    is_json: bool
    """Whether the reply, as a whole, is a JSON object or array."""
    has_fence: bool
    has_list: bool
    has_heading: bool
    is_refusal: bool
    scripts: Mapping[str, float]
    """Script → share of the letters; see ``script_shares``."""


def form_of(body: str, text: str) -> Form:
    """Describe a reply.

    Args:
        body: the reply's words without lone surrogates; what is asked whether it is JSON or a refusal.
        text: the body followed by the rendering of its tool calls; what is measured otherwise.
    """
    prose, n_fences = _FENCED.subn("", text)  # a comment in code is no heading
    return Form(
        n_characters=len(text),
        n_paragraphs=_paragraphs(text),
        is_json=parses_as_json(body),
        has_fence=n_fences > 0,
        has_list=len(_ITEM.findall(prose)) >= _LEAST_ITEMS,
        has_heading=_HEADING.search(prose) is not None,
        is_refusal=looks_like_refusal(body),
        scripts=script_shares(text),
    )


def parses_as_json(text: str) -> bool:
    """Whether a text is one JSON object or array; a bare number or word is prose that happens to parse.

    >>> parses_as_json('{"a": 1}'), parses_as_json("42"), parses_as_json("[1, 2")
    (True, False, False)
    """
    stripped = text.strip()
    if not stripped.startswith(("{", "[")):
        return False
    try:
        json.loads(stripped)
    except (ValueError, RecursionError):  # RecursionError: thousands of opening brackets
        return False
    return True


def _paragraphs(text: str) -> int:
    n, is_inside = 0, False
    for line in text.splitlines():
        is_blank = not line.strip()
        n += not is_blank and not is_inside
        is_inside = not is_blank
    return n
