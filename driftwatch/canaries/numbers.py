"""Find the numbers in a reply as people and models write them, and compare one with what is expected."""

from __future__ import annotations

import math
import re

from driftwatch.canaries.argument import ArgumentError, describe, expect_keys
from driftwatch.domain import Completion, Json

MAX_CHARS = 100_000
"""Characters of a reply that are searched."""


def numbers_in(text: str) -> list[float]:
    r"""Every number in ``text``, in order.

    Thousands may be grouped by ``,`` ``'`` ``_`` ``\,`` ``{,}`` or a no-break or thin space in groups of three, or by
    ``.`` when there are two groups or decimals behind a comma. The decimal point is ``.``, or ``,`` when not exactly
    three digits follow: ``3,5`` is 3.5, ``3,500`` is 3500. An ordinary space separates numbers, as in "3 400". A
    sign is ``-``, ``−`` or ``+`` with neither a letter nor a digit before it. Digits of any script count; digits
    inside a word ("v2") do not.

    >>> numbers_in("from 1,234.50 to −7 °C")
    [1234.5, -7.0]
    """
    text = text[:MAX_CHARS].replace("{,}", ",").replace("\\,", "\u2009")
    return [_value(match) for match in _NUMBER.finditer(text)]


def validate(argument: Json) -> None:
    """Accept a number, or a mapping of equals, tolerance and which.

    Raises:
        ArgumentError: for anything else.
    """
    if not isinstance(argument, dict):
        _expect_number(argument, path=())
        return
    options = expect_keys(argument, allowed=("equals", "tolerance", "which"), required=("equals",))
    _expect_number(options["equals"], path=("equals",))
    tolerance = options.get("tolerance", 0)
    _expect_number(tolerance, path=("tolerance",))
    if tolerance < 0:
        raise ArgumentError("a tolerance cannot be negative", instead="write 0 or more", path=("tolerance",))
    if options.get("which", "last") not in ("first", "last"):
        problem = f"expected first or last, found {describe(options['which'])}"
        raise ArgumentError(problem, instead="write first or last", path=("which",))


def evaluate(argument: Json, completion: Completion) -> bool:
    """Whether the chosen number (the last, unless told otherwise) is within the tolerance."""
    options = argument if isinstance(argument, dict) else {"equals": argument}
    found = numbers_in(completion.text)
    if not found:
        return False
    number = found[0] if options.get("which", "last") == "first" else found[-1]
    # Both sides are the doubles nearest to what is written, so equal decimals are equal here; the tolerance's own
    # rounding (6.3 ± 0.1 against 6.4) is forgiven by a billionth of it.
    return bool(abs(number - options["equals"]) <= options.get("tolerance", 0) * (1 + 1e-9))


_NUMBER = re.compile(
    r"""
    (?<![^\W_])                                   # not inside a word or number
    (?P<sign>(?<![\w)\]])[-\u2212+])?             # 5-3 is two numbers, not 5 and minus 3
    (?:
        (?P<dots>\d{1,3}(?:\.\d{3})+),(?P<dots_decimals>\d+)(?!\d)        # 1.234,5
      | (?P<dots_only>\d{1,3}(?:\.\d{3}){2,})(?![\d.,]*\d)                # 1.234.567
      | (?P<grouped>\d{1,3}(?:(?P<mark>[,'\u2019_\u00a0\u202f\u2009])\d{3}(?:(?P=mark)\d{3})*))(?!\d)
        (?:\.(?P<grouped_decimals>\d+))?                                  # 1,234.5
      | (?P<whole>\d+)(?:[.,](?P<decimals>\d+))?                          # 1234.5 and 3,5
      | \.(?P<bare>\d+)                                                   # .5
    )
    (?:[eE](?P<exponent>[-+\u2212]?\d{1,4})(?!\w))?
    """,
    re.VERBOSE,
)


def _value(match: re.Match[str]) -> float:
    parts = match.groupdict(default="")
    whole = parts["dots"] or parts["dots_only"] or parts["grouped"] or parts["whole"] or "0"
    decimals = parts["dots_decimals"] or parts["grouped_decimals"] or parts["decimals"] or parts["bare"] or "0"
    digits = "".join(character for character in whole if character.isdigit())
    sign = "-" if parts["sign"] in ("-", "\u2212") else ""
    exponent = (parts["exponent"] or "0").replace("\u2212", "-")
    return float(f"{sign}{digits}.{decimals}e{exponent}")


def _expect_number(value: Json, *, path: tuple[str | int, ...]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArgumentError(f"expected a number, found {describe(value)}", instead="write it without quotes", path=path)
