"""Dates of a report: with their year, since a report is read after the year is over; a message is read at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.alert.text import when as at_once

_SAID = re.compile(r"\b((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d{1,2} [A-Z][a-z]{2}) (\d\d:\d\d UTC)\b")
"""A time as messages tell it, see ``driftwatch.alert.text.when``."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_YEARS = (0, -1, 1, -2, 2)
"""How far the year of a told time may be from the year it was told in, the likeliest first."""


def when(at: datetime) -> str:
    """A time for a person: weekday, day, month, year and minute in UTC.

    >>> when(datetime(2026, 3, 16, 9, 0, tzinfo=UTC))
    'Mon 16 Mar 2026 09:00 UTC'
    """
    return _SAID.sub(rf"\1 {at.astimezone(UTC).year} \2", at_once(at))


def dated(said: str, near: datetime) -> str:
    """A sentence of driftwatch with the year in every time that it tells; the weekday says which year it is.

    Args:
        said: a sentence that was made for a message. What others wrote stays as they wrote it.
        near: when it was made, give or take two years.

    >>> dated("off since Tue 30 Dec 23:00 UTC", datetime(2026, 1, 2, tzinfo=UTC))
    'off since Tue 30 Dec 2025 23:00 UTC'
    """
    return _SAID.sub(lambda found: _with_year(found, near), said)


def dated_evidence(kept: IncidentEvidence, near: datetime) -> IncidentEvidence:
    """What an incident keeps, with the year in every sentence; errors of the endpoint stay as they are."""
    found = kept.attribution
    return replace(
        kept,
        headline=dated(kept.headline, near),
        changes=dated_all(kept.changes, near),
        attribution=replace(
            found,
            summary=dated(found.summary, near),
            reasons=tuple(replace(reason, text=dated(reason.text, near)) for reason in found.reasons),
        )
        if found
        else None,
    )


def dated_all(said: Sequence[str], near: datetime) -> tuple[str, ...]:
    """Every sentence ``dated``."""
    return tuple(dated(sentence, near) for sentence in said)


def _with_year(found: re.Match[str], near: datetime) -> str:
    day, minute = found.groups()
    year = near.astimezone(UTC).year
    told = next((year + step for step in _YEARS if _is_day_of(year + step, day)), None)
    return f"{day} {told} {minute}" if told else found.group()


def _is_day_of(year: int, day: str) -> bool:
    """Whether ``day`` (``Mon 16 Mar``) has its weekday in this year."""
    _, number, month = day.split(" ")
    try:
        at = datetime(year, _MONTHS.index(month) + 1, int(number), tzinfo=UTC)
    except ValueError:
        return False  # 29 February of another year, or no month at all
    return at_once(at).startswith(f"{day} ")
