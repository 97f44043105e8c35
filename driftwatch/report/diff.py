"""Word-level differences between a reply before and a reply since."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from itertools import groupby

MAX_WORDS = 600
"""Longer replies are compared up to here: the difference of two essays is not read, and costs seconds."""

LEAST_COMMON = 2
"""Fewer words than this between two changes count as changed too: a comma in common says nothing and hides the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of words that is in both replies, or only in one."""

    text: str
    is_changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """The same place in both replies."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    is_changed: bool


def compare(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both replies in pieces, so that what is only in one can be marked; joined, the pieces are the reply.

    >>> compare("a b", "a c")[1][-1]
    Piece(text='c', is_changed=True)
    """
    old, new = _words(before), _words(after)
    opcodes = difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes()
    stretches = [
        _Stretch(old=tuple(old[i1:i2]), new=tuple(new[j1:j2]), is_changed=tag != "equal")
        for tag, i1, i2, j1, j2 in opcodes
    ]
    readable = _without_islands(stretches)
    return _pieces([(s.old, s.is_changed) for s in readable]), _pieces([(s.new, s.is_changed) for s in readable])


def _without_islands(stretches: list[_Stretch]) -> list[_Stretch]:
    """Short common stretches between two changes become part of the change."""
    result = []
    for index, stretch in enumerate(stretches):
        is_between = 0 < index < len(stretches) - 1
        n_words = sum(word[0].isalnum() for word in stretch.old)
        is_island = is_between and not stretch.is_changed and n_words < LEAST_COMMON
        result.append(_Stretch(old=stretch.old, new=stretch.new, is_changed=True) if is_island else stretch)
    return result


def _pieces(sides: list[tuple[tuple[str, ...], bool]]) -> tuple[Piece, ...]:
    joined = (
        ("".join("".join(words) for words, _ in group), is_changed)
        for is_changed, group in groupby(sides, key=lambda side: side[1])
    )
    return tuple(Piece(text=text, is_changed=is_changed) for text, is_changed in joined if text)


def _words(text: str) -> list[str]:
    words = re.findall(r"\s+|\w+|[^\w\s]", text)
    return words if len(words) <= MAX_WORDS else [*words[:MAX_WORDS], " …"]
