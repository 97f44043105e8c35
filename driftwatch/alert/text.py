"""How figures, times and quoted replies are put into words and made safe to show.

A reply is untrusted: it may carry terminal escapes, bidirectional overrides or text hidden in invisible
characters. Whatever reaches a screen passes ``quote`` or ``line`` first, which show such characters by
their code point instead of obeying them.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

# Not strftime: its names follow the process's locale.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_NOTE_UNITS = 40
"""Room kept for ``… (N more characters)``, in UTF-16 units."""
_LONGEST_CLUSTER = 64
"""Code points stepped back at most to keep one visible character whole; stacked accents are cut after that."""


def when(at: datetime) -> str:
    """A time for a person: weekday, day, month and minute in UTC.

    >>> when(datetime(2026, 3, 16, 9, 0, tzinfo=UTC))
    'Mon 16 Mar 09:00 UTC'
    """
    utc = at.astimezone(UTC)
    return f"{_DAYS[utc.weekday()]} {utc.day} {_MONTHS[utc.month - 1]} {utc:%H:%M} UTC"


def day(at: datetime) -> str:
    """A date with its year, for things that may be old.

    >>> day(datetime(2026, 3, 2, 23, 0, tzinfo=UTC))
    '2 Mar 2026'
    """
    utc = at.astimezone(UTC)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}"


def duration(seconds: float) -> str:
    """A length of time in the two largest units, whole minutes at least.

    >>> duration(18_600)
    '5 h 10 min'
    >>> duration(20)
    'less than a minute'
    """
    minutes = int(seconds // 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if n]
    return " ".join(parts[:2])


def amount(value: float) -> str:
    """An evidence figure: two significant digits above a thousand, since nobody acts on the third.

    >>> amount(41_327.2), amount(3.14), amount(120.4), amount(1e40)
    ('41,000', '3.1', '120', 'over a billion')
    """
    if value >= 1e9:  # noqa: PLR2004 - spelled out in the answer
        return "over a billion"
    if value < 10:  # noqa: PLR2004 - one digit before the point
        return f"{value:.1f}"
    digits = max(0, math.floor(math.log10(value)) - 1) if value >= 1000 else 0  # noqa: PLR2004 - see the docstring
    return f"{round(value, -digits):,.0f}"


def count(n: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "run"), count(6, "run"), count(2, "canary")
    ('1 run', '6 runs', '2 canaries')
    """
    plural = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"


def ordinal(n: int) -> str:
    """Which one in a row, counted from 1.

    >>> ordinal(2), ordinal(3), ordinal(11), ordinal(22)
    ('second', 'third', '11th', '22nd')
    """
    if 0 < n <= len(_ORDINALS):
        return _ORDINALS[n - 1]
    ends = {1: "st", 2: "nd", 3: "rd"}
    is_teen = n // 10 % 10 == 1
    return f"{n:,}{'th' if is_teen else ends.get(n % 10, 'th')}"


def listing(words: Sequence[str]) -> str:
    """Words joined as in a sentence.

    >>> listing(["wording", "shape", "checks"])
    'wording, shape and checks'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def sentence(text: str) -> str:
    """With a full stop, unless it ends already.

    >>> sentence("on it"), sentence("on it!")
    ('on it.', 'on it!')
    """
    return text if text.endswith((".", "!", "?")) else f"{text}."


def uncapped(text: str) -> str:
    """A sentence as it goes on after a colon: without its capital, unless that belongs to an abbreviation.

    >>> uncapped("Replies got longer"), uncapped("JSON replies are broken")
    ('replies got longer', 'JSON replies are broken')
    """
    return text if text[1:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def line(text: str, limit: int = 300) -> str:
    r"""Any text as one safe line: white space folded, hidden characters shown, cut at ``limit``.

    >>> line("two\nlines\x1b[31m")
    'two lines⟨U+001B⟩[31m'
    """
    return quote(" ".join(text.split()), limit)


def quote(text: str, limit: int) -> str:
    r"""A reply as it is, safe to show: control, bidirectional and invisible characters become ``⟨U+202E⟩``.

    A long text ends in ``… (N more characters)`` and is cut between visible characters, never inside an
    emoji or between a letter and its accent.

    Args:
        text: anything, of any length.
        limit: the most the answer may hold, in UTF-16 units (what JSON services count), the note included;
            at least 64.

    >>> quote("safe\u202etxt.exe", 100)
    'safe⟨U+202E⟩txt.exe'
    """
    text = text.replace("\r\n", "\n")
    pieces = _pieces_within(text, limit)
    if len(pieces) == len(text):
        return "".join(pieces)
    end = _boundary(text, len(_pieces_within(text, limit - _NOTE_UNITS)))
    return f"{''.join(pieces[:end])}… ({len(text) - end:,} more characters)"


def units(text: str) -> int:
    """The length in UTF-16 units: two for an emoji.

    >>> units("a😀")
    3
    """
    return sum(2 if ord(char) > 0xFFFF else 1 for char in text)  # noqa: PLR2004 - the last of the basic plane


def _pieces_within(text: str, limit: int) -> list[str]:
    """The shown form of each leading character for as long as all of them fit."""
    pieces: list[str] = []
    used = 0
    for index in range(len(text)):
        shown = _shown(text, index)
        used += units(shown)
        if used > limit:
            break
        pieces.append(shown)
    return pieces


def _shown(text: str, index: int) -> str:
    char = text[index]
    if char in "\n\t" or not _is_hidden(text, index):
        return char
    return f"⟨U+{ord(char):04X}⟩"


def _is_hidden(text: str, index: int) -> bool:
    """Whether a character steers the display or hides in it instead of being seen."""
    char = text[index]
    if char in "\u200c\u200d":  # the joiners of Persian and of emoji families are honest between such characters
        around = text[index - 1 : index] + text[index + 1 : index + 2]
        return len(around) < 2 or around.isascii()  # noqa: PLR2004 - one on each side
    # Variation selectors other than text and emoji style can smuggle bytes behind any character.
    if "\ufe00" <= char <= "\ufe0d" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _boundary(text: str, index: int) -> int:
    """The nearest place at or before ``index`` where a visible character begins."""
    for place in range(index, max(0, index - _LONGEST_CLUSTER), -1):
        if not _continues(text, place):
            return place
    return index


def _continues(text: str, index: int) -> bool:
    char, before = text[index], text[index - 1]
    if _is_flag_half(char):
        run = len(text[:index]) - len(text[:index].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
        return run % 2 == 1
    return (
        char == "\u200d"
        or before == "\u200d"
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
        or unicodedata.category(char) in {"Mn", "Mc", "Me"}
    )


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
