"""Which scripts a text is written in, as shares of its letters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_BLOCKS: tuple[tuple[int, int, str], ...] = (
    (0x0041, 0x005A, "Latin"),
    (0x0061, 0x007A, "Latin"),
    (0x00C0, 0x00D6, "Latin"),
    (0x00D8, 0x00F6, "Latin"),
    (0x00F8, 0x02AF, "Latin"),
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Cyrillic"),
    (0x0531, 0x058F, "Armenian"),
    (0x0591, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "Arabic"),
    (0x0750, 0x077F, "Arabic"),
    (0x08A0, 0x08FF, "Arabic"),
    (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"),
    (0x0A00, 0x0A7F, "Gurmukhi"),
    (0x0A80, 0x0AFF, "Gujarati"),
    (0x0B00, 0x0B7F, "Oriya"),
    (0x0B80, 0x0BFF, "Tamil"),
    (0x0C00, 0x0C7F, "Telugu"),
    (0x0C80, 0x0CFF, "Kannada"),
    (0x0D00, 0x0D7F, "Malayalam"),
    (0x0D80, 0x0DFF, "Sinhala"),
    (0x0E01, 0x0E7F, "Thai"),
    (0x0E80, 0x0EFF, "Lao"),
    (0x0F00, 0x0FFF, "Tibetan"),
    (0x1000, 0x109F, "Myanmar"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"),
    (0x1200, 0x139F, "Ethiopic"),
    (0x1780, 0x17FF, "Khmer"),
    (0x1800, 0x18AF, "Mongolian"),
    (0x1C80, 0x1C8F, "Cyrillic"),
    (0x1E00, 0x1EFF, "Latin"),
    (0x1F00, 0x1FFF, "Greek"),
    (0x2C60, 0x2C7F, "Latin"),
    (0x2DE0, 0x2DFF, "Cyrillic"),
    (0x2E80, 0x2FDF, "Han"),
    (0x3005, 0x3007, "Han"),
    (0x3041, 0x309F, "Hiragana"),
    (0x30A1, 0x30FF, "Katakana"),
    (0x3131, 0x318F, "Hangul"),
    (0x31F0, 0x31FF, "Katakana"),
    (0x3400, 0x4DBF, "Han"),
    (0x4E00, 0x9FFF, "Han"),
    (0xA640, 0xA69F, "Cyrillic"),
    (0xA720, 0xA7FF, "Latin"),
    (0xAC00, 0xD7AF, "Hangul"),
    (0xF900, 0xFAFF, "Han"),
    (0xFB00, 0xFB06, "Latin"),
    (0xFB1D, 0xFB4F, "Hebrew"),
    (0xFB50, 0xFDFF, "Arabic"),
    (0xFE70, 0xFEFC, "Arabic"),
    (0xFF21, 0xFF3A, "Latin"),
    (0xFF41, 0xFF5A, "Latin"),
    (0xFF66, 0xFF9D, "Katakana"),
    (0x20000, 0x323AF, "Han"),
)
"""First and last code point of a block and its script, ascending. Python has no script property; whole blocks are
near enough to notice a stray script. Source: Unicode 16.0, Blocks.txt; letters only in the first two blocks, so
that digits, signs and µ belong to no script."""

_NAMES = tuple(sorted({name for _, _, name in _BLOCKS}))
_FIRST = np.array([first for first, _, _ in _BLOCKS], np.uint32)
_LAST = np.array([last for _, last, _ in _BLOCKS], np.uint32)
_SCRIPT = np.array([_NAMES.index(name) for _, _, name in _BLOCKS])

NO_LETTERS = "none"
"""The script of a text without letters, so that ``42`` and ``forty-two`` differ."""


def script_shares(text: str) -> dict[str, float]:
    """Name the scripts of a text without lone surrogates and each one's share of the letters; the shares sum to 1.

    >>> script_shares("да, yes")
    {'Cyrillic': 0.4, 'Latin': 0.6}
    >>> script_shares("42")
    {'none': 1.0}
    """
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    # a code point below the first block becomes block 0, whose range then rejects it
    block = np.maximum(np.searchsorted(_FIRST, points, side="right") - 1, 0)
    letters = block[(points >= _FIRST[block]) & (points <= _LAST[block])]
    if not letters.size:
        return {NO_LETTERS: 1.0}
    counts = np.bincount(_SCRIPT[letters], minlength=len(_NAMES))
    return {_NAMES[i]: float(counts[i] / letters.size) for i in np.flatnonzero(counts)}


def total_variation(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Half the summed absolute differences of two histograms: 0 for equal, 1 for disjoint.

    >>> total_variation({"Latin": 1.0}, {"Latin": 0.75, "Cyrillic": 0.25})
    0.25
    """
    return min(1.0, sum(abs(one.get(k, 0.0) - other.get(k, 0.0)) for k in sorted({*one, *other})) / 2)
