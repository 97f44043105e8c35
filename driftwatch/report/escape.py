"""Foreign text in Markdown and CSV: shown literally, whatever it says to a renderer or a spreadsheet."""

from __future__ import annotations

import re

from driftwatch.alert.text import line, quote

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$#]")
"""Characters that begin something in CommonMark or GitHub's dialect wherever they stand.

Source: CommonMark 0.31, section 2.4 (any ASCII punctuation may be escaped); GitHub Flavored Markdown, tables.
"""

_LEADING = re.compile(r"^(?:[-+=]|\d{1,9}(?=[.)]))")
"""What begins a list or underlines a heading at the beginning of a line."""

_LINKED = re.compile(r"://|www\.|\w@\w|(?<!\w)@\w|:[a-z][\w+-]*:|mailto:|xmpp:|#\d|\bGH-\d", re.IGNORECASE)
"""What renderers make a link, a mention or a picture of although nothing marks it, escaped or not.

Source: GitHub Flavored Markdown, section 6.9 (autolinks); mentions, emoji and references to issues are
made after rendering.
"""

_TICKS = re.compile(r"`+")

_AFTER_SEMICOLON = re.compile("(?<=;)(\\s*['\"]?)(?=[=+@\uff1d\uff0b\uff0d\uff20-])")
"""Where a cell would begin with a formula for a spreadsheet whose country writes lists with semicolons."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of a cell that a spreadsheet computes. Source: OWASP, CSV Injection (2023)."""


def text(said: str, limit: int = 1000) -> str:
    r"""One line of prose for Markdown.

    A sentence of which a renderer would make a link or a mention becomes code, where it does neither.

    >>> text("a * b | <i>"), text("see https://evil.example")
    ('a \\* b \\| \\<i\\>', '`see https://evil.example`')
    """
    safe = line(said, limit)
    if _LINKED.search(safe):
        return code(safe, limit)
    return _LEADING.sub(lambda found: _led(found.group()), _SPECIAL.sub(r"\\\g<0>", safe))


def cell(said: str, limit: int = 200) -> str:
    r"""One cell of a Markdown table; what a renderer would make a link or a mention of becomes code, as in ``text``.

    In code a bar is shown as a broken one, because dialects disagree on how to escape it there.

    >>> cell("a|b"), cell("ask @ana|bo")
    ('a&#124;b', '`ask @ana¦bo`')
    """
    safe = line(said, limit)
    if _LINKED.search(safe):
        return code(safe.replace("|", "\N{BROKEN BAR}"), limit)
    return _SPECIAL.sub(r"\\\g<0>", safe).replace(r"\|", "&#124;")


def code(said: str, limit: int = 1000) -> str:
    """One line as a code span.

    >>> code("a `b` c")
    '``a `b` c``'
    """
    safe = line(said, limit)
    if not safe:
        return ""
    ticks = "`" * (max((len(run) for run in _TICKS.findall(safe)), default=0) + 1)
    # A space keeps a tick of the text apart from the fence, and is not shown.
    gap = " " if safe.startswith("`") or safe.endswith("`") else ""
    return f"{ticks}{gap}{safe}{gap}{ticks}"


def fence(said: str, limit: int) -> str:
    """Several lines as a code block that nothing in them can end."""
    safe = quote(said, limit)
    ticks = "`" * max(3, max((len(run) for run in _TICKS.findall(safe)), default=0) + 1)
    return f"{ticks}text\n{safe}\n{ticks}"


def csv_cell(said: object) -> str:
    """A cell that no spreadsheet takes for a formula; hidden characters shown, on one line.

    >>> csv_cell("=1+1"), csv_cell(3), csv_cell(None), csv_cell("a;=1")
    ("'=1+1", '3', '', "a;'=1")
    """
    if said is None:
        return ""
    if isinstance(said, (int, float)):
        return str(said)
    raw = str(said)
    safe = _AFTER_SEMICOLON.sub(r"\1'", line(raw, 2000))
    return f"'{safe}" if raw.startswith(_FORMULA) or safe.startswith(_FORMULA) else safe


def _led(found: str) -> str:
    """A number keeps its digits: the full stop behind it is what makes a list."""
    return f"{found}\\" if found[0].isdigit() else f"\\{found}"
