"""What an endpoint announces of its model's end, in words: response headers, and entries of its list of models.

Sources, all 2026-11: RFC 9745 (Deprecation: ``@`` and seconds since 1970), RFC 8594 (Sunset: an HTTP date), RFC 9111
section 5.5 (Warning: ``299 - "text" "date"``); Mistral's client 3.7 (``x-model-deprecation-timestamp``, the day from
which the model is gone); Microsoft, "Azure REST API guidelines" (``azure-deprecating``, a text). OpenAI, Anthropic,
Google, Cohere and OpenRouter document no such header; those of gateways are found by the words in their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime

from driftwatch.domain import Lookup

ANNOUNCING = ("deprecat", "sunset", "retire")
"""Parts of the names of headers that announce an end by being there."""

WARNING = "warning"
"""Part of the names of headers that may warn of anything: their text must speak of an end."""

LONGEST = 160
"""A header's text is told up to so many characters."""

ANY_DAYS = 100 * 365
"""Notice days that tell an announced day however far ahead it is."""

OTHER_EACH_TIME = "another value each time"
"""Stands for a header's values when every response brings its own."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Not strftime: its names follow the process's locale."""

_DENIED = {"", "0", "?0", "false", "no", "none", "null"}
_PLAIN = {"1", "?1", "true", "yes"}
_ENDS = re.compile(
    r"deprecat|sunset|retir|discontinu|end.of.(life|support)|shut.?down|switched off|no longer|will be removed",
    re.IGNORECASE,
)
_WARN_DATE = re.compile(r'"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]{8} GMT"\s*$')
_CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|\b(?=\w*\d)(?=\w*[a-z])\w{16,}\b|\b\d{9,}\b"  # ids, counters
    r"|[T ]?\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z| ?GMT| ?UTC|[+-]\d{2}:?\d{2})?",  # times of day
    re.IGNORECASE,
)
_LEAST_EPOCH, _MOST_EPOCH = 946_684_800, 4_102_444_800
"""2000 and 2100: a number between them is a time in seconds."""


def announced(headers: Mapping[str, str]) -> str | None:
    """What response headers say of the model's or the API's end, in words; None when they say nothing.

    What differs from response to response without meaning anything (ids, times of day) is left out, so that the same
    announcement reads the same every time.

    Args:
        headers: by lower-case name.

    >>> announced({"sunset": "Sun, 31 Jan 2027 00:00:00 GMT", "deprecation": "@1788220800", "x-request-id": "r1"})
    'deprecation 1 Sep 2026; sunset 31 Jan 2027'
    >>> announced({"deprecation": "false", "warning": '110 - "Response is Stale"'}) is None
    True
    """
    told = [_told(name, headers[name]) for name in sorted(headers)]
    return "; ".join(words for words in told if words) or None


def unchanging(words: str) -> str:
    """An announcement without its values, for an endpoint that announces another end with every response.

    >>> unchanging("deprecation 1 Sep 2026; sunset 31 Jan 2027")
    'deprecation and sunset (another value each time)'
    """
    names = " and ".join(dict.fromkeys(part.partition(" ")[0].rstrip(":") for part in words.split("; ")))
    return words if OTHER_EACH_TIME in words else f"{names} ({OTHER_EACH_TIME})"


def ending(lookup: Lookup | None, *, model: str, at: datetime, notice_days: int) -> str | None:
    """What an endpoint's list says of the end of a model, as the part of a sentence after "the endpoint".

    Args:
        lookup: what is remembered of the list; None when nobody looked.
        model: as configured now.
        at: aware; how near the announced day is counts from here.
        notice_days: how many days before it that day is told.

    Returns:
        None while nothing is announced, or not for a day so near. The words do not change as the day comes nearer.

    >>> from driftwatch.domain import Listing
    >>> listing = Listing(is_listed=True, retires_on=date(2027, 1, 31), replacement="m-2")
    >>> at = datetime(2027, 1, 10, tzinfo=UTC)
    >>> lookup = Lookup(model="m-1", source="list", looked_at=at, listing=listing, was_listed=True)
    >>> ending(lookup, model="m-1", at=at, notice_days=30)
    'announces the end of its model for 31 Jan 2027, with m-2 in its place'
    >>> ending(lookup, model="m-1", at=at, notice_days=7) is None
    True
    """
    if lookup is None or lookup.listing is None or lookup.model != model:
        return None
    listing = lookup.listing
    instead = f", with {listing.replacement} in its place" if listing.replacement else ""
    if not listing.is_listed:
        # An alias may work and be in no list: only what has been there can leave.
        return f"no longer lists its model{instead}" if lookup.was_listed else None
    if listing.retires_on is not None:
        if listing.retires_on - at.astimezone(UTC).date() > timedelta(days=notice_days):
            return None
        return f"announces the end of its model for {day(listing.retires_on)}{instead}"
    return f"calls its model deprecated, without a day{instead}" if listing.is_deprecated else None


def day(value: date) -> str:
    """A date for people.

    >>> day(date(2027, 1, 31))
    '31 Jan 2027'
    """
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def day_of(value: object) -> date | None:
    """The day of UTC that a date or time stands for; None for anything else.

    Understands ``@`` and seconds (RFC 9745), seconds since 1970, ISO 8601 and HTTP dates.

    >>> day_of("2027-01-31T23:30:00-05:00"), day_of("@1788220800"), day_of("soon")
    (datetime.date(2027, 2, 1), datetime.date(2026, 9, 1), None)
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    written = str(value).strip().strip('"')
    number = re.fullmatch(r"@?(\d{9,10})(?:\.\d+)?", written)
    if number:
        seconds = int(number[1])
        return datetime.fromtimestamp(seconds, UTC).date() if _LEAST_EPOCH <= seconds <= _MOST_EPOCH else None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(written)
            return moment.astimezone(UTC).date() if moment.tzinfo else moment.date()
        except (ValueError, OverflowError):
            continue
    return None


def _told(name: str, value: str) -> str | None:
    name, value = name.lower(), " ".join(value.split())
    if value.lower() in _DENIED:
        return None
    if any(word in name for word in ANNOUNCING):
        found = day_of(value)
        if found is not None:
            return f"{name} {day(found)}"
        return name if value.lower() in _PLAIN else f"{name}: {_steady(value)}"
    return f"{name}: {_steady(value)}" if WARNING in name and _ENDS.search(value) else None


def _steady(text: str) -> str:
    """A text without what changes from response to response, on one line, and without our own separator."""
    bare = _CHANGING.sub("…", _WARN_DATE.sub("", text)).replace(";", ",")
    return " ".join(bare.split())[:LONGEST]
