"""Times, money and intervals as people read them, and as the config takes them."""

from __future__ import annotations

import math

MINUTE_S, HOUR_S, DAY_S, YEAR_S = 60.0, 3600.0, 86_400.0, 365.25 * 86_400.0

_SCALES = ((90 * MINUTE_S, MINUTE_S, "min"), (36 * HOUR_S, HOUR_S, "h"), (365 * DAY_S, DAY_S, "days"))
"""Up to so many seconds → unit, its name."""


def span(seconds: float) -> str:
    """A length of time with two or three figures.

    >>> [span(s) for s in (0, 2400, 5400, 12_345, 200_000, 4e7, math.inf)]
    ['0 min', '40 min', '1.5 h', '3.4 h', '2.3 days', '1.3 years', 'never']
    """
    if math.isinf(seconds):
        return "never"
    for below, unit, name in _SCALES:
        if seconds < below:
            return f"{_short(seconds / unit, whole=unit == MINUTE_S)} {name}"
    return f"{_short(seconds / YEAR_S)} years"


def dollars(usd: float) -> str:
    """An amount with the digits that matter.

    >>> [dollars(x) for x in (0.0, 0.00042, 0.5, 3.456, 1234.5)]
    ['$0', '$0.00042', '$0.50', '$3.46', '$1,234']
    """
    if usd == 0:
        return "$0"
    if usd < 0.01:  # noqa: PLR2004 - below a cent
        return f"${usd:.2g}" if usd >= 0.0001 else f"${usd:.1e}"  # noqa: PLR2004 - where digits become zeros
    return f"${usd:,.2f}" if usd < 1000 else f"${usd:,.0f}"  # noqa: PLR2004 - cents no longer matter


def duration(seconds: float) -> str:
    """A duration as the config takes it.

    >>> [duration(s) for s in (3600.0, 900.0, 86_400.0, 90.0, 1.5)]
    ['1h', '15m', '1d', '90s', '1.5s']
    """
    for unit, size in (("d", DAY_S), ("h", HOUR_S), ("m", MINUTE_S)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def _short(number: float, *, whole: bool = False) -> str:
    text = f"{number:,.0f}" if whole or number >= 10 else f"{number:.1f}"  # noqa: PLR2004 - two figures are enough
    return text.removesuffix(".0")
