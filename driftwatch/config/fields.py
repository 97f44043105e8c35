"""The kinds of value a key can take: durations, names, URLs, variable names."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Literal, NoReturn
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from driftwatch.config.credentials import ENV_NAME, names_secret
from driftwatch.domain import Json

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
"""Seconds in each unit of a duration."""

LONGEST_S = 366 * 86_400.0
"""Seconds; a longer interval, delay or timeout is a slip of the unit."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names of targets, receivers and suites: they stand in URLs and in metric labels."""

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""Source: RFC 9110, 5.6.2 Tokens."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd])")


def duration_s(value: Json) -> float | None:
    """Read a duration in seconds; None when it is none.

    >>> [duration_s(v) for v in ("30s", "15m", "1.5h", "7d", 90)]
    [30.0, 900.0, 5400.0, 604800.0, 90.0]
    >>> duration_s("1 hour") is None
    True
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) * UNITS_S[found[2]] if found else None


def fail(problem: str, instead: str) -> NoReturn:
    """Reject a value inside a validator with the words a person will read; ``translation`` passes them on."""
    raise PydanticCustomError("driftwatch", "{problem}; {instead}", {"problem": problem, "instead": instead})


def _duration(*, longest: str, zero_allowed: bool = False) -> Callable[[Json], float]:
    longest_s = duration_s(longest) or LONGEST_S

    def validate(value: Json) -> float:
        length_s = duration_s(value)
        if length_s is None:
            fail("not a duration", "write 30s, 15m, 1h or 7d")
        if not (length_s > 0 or (length_s == 0 and zero_allowed)):  # NaN is not above zero either
            fail("a duration must be longer than zero", "write 30s, 15m, 1h or 7d")
        if length_s > longest_s:
            fail("longer than makes sense here", f"write at most {longest}")
        return length_s

    return validate


_DURATION_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": f"^{_DURATION.pattern}$"}, {"type": "number", "minimum": 0}]}
)


_LIKE = "write one like https://api.openai.com/v1"

_SECRET_PARTS = frozenset({"key", "code", "sig", "signature", "subscription-key"})
"""Names of a query's parts by which a secret can be sent: Google, Azure Functions, Azure storage, API gateways."""


def _url(value: str) -> str:
    parts = _split(value)
    if parts.query:
        fail("a URL must end with its path: paths of the API are appended to it", _LIKE)
    return value.rstrip("/")


def _address(value: str) -> str:
    parts = _split(value)
    names = (part.partition("=")[0] for part in parts.query.split("&"))
    if any(names_secret(name) or name.lower() in _SECRET_PARTS for name in names):
        fail("a URL must not hold credentials", "send them as a header: headers: {X-Header: NAME_OF_A_VARIABLE}")
    return value


def _split(value: str) -> SplitResult:
    if not value.isascii() or not value.isprintable() or " " in value:
        fail("not an http:// or https:// URL", _LIKE)
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        fail("not an http:// or https:// URL", _LIKE)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        fail("not an http:// or https:// URL", _LIKE)
    if "@" in parts.netloc:
        fail("a URL must not hold credentials", "name the environment variable: api_key_env: OPENAI_API_KEY")
    if parts.fragment:
        fail("a URL must not hold a '#': nothing behind it is sent", _LIKE)
    return parts


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        fail("not a usable name", "take letters, digits, '.', '_' and '-', 64 at most, a letter or digit first")
    return value


def _header_name(value: str) -> str:
    if not HEADER_NAME.fullmatch(value):
        fail("not a header name", "take letters, digits and '-'")
    return value


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _no_repeats(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        fail("names the same thing twice", "keep one of the two")
    return values


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"})]

Names = Annotated[tuple[Name, ...], AfterValidator(_no_repeats)]

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
"""A short text with something in it."""


def one_or_more(value: Json) -> Json:
    """One word may be written without brackets."""
    if isinstance(value, str):
        return (value,)
    # Strict: a list that has passed through Python is no tuple any more.
    return tuple(value) if isinstance(value, list) else value


def _clocktime(value: Json) -> time:
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", value) if isinstance(value, str) else None
    if found is None:
        fail("not a time of day", 'write one like "22:00", in quotes')
    return time(int(found[1]), int(found[2]))


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        fail("not a time zone", "write its IANA name, e.g. Europe/Berlin or UTC")
    return value


def _cron(value: str) -> str:
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - only windows that come back need it

    try:
        trigger = CronTrigger.from_crontab(value, timezone=UTC)
        # From a leap day on: what never comes within the years that APScheduler looks ahead never comes.
        comes = trigger.get_next_fire_time(None, datetime(2024, 2, 29, tzinfo=UTC))
    except (ValueError, TypeError):
        fail("not a cron expression", 'write minute hour day month weekday, e.g. "0 2 * * sun"')
    if comes is None:
        fail("a time that never comes", 'write minute hour day month weekday, e.g. "0 2 * * sun"')
    return value


Patterns = Annotated[
    tuple[Text, ...],
    BeforeValidator(one_or_more),
    AfterValidator(_no_repeats),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}}]}
    ),
]
"""Names in which ``*`` stands for any characters; a single one may stand without brackets."""

Clocktime = Annotated[
    time,
    BeforeValidator(_clocktime),
    WithJsonSchema({"type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$"}),
]
"""A time of day, in a zone that another key names."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

Weekdays = Annotated[tuple[Weekday, ...], AfterValidator(_no_repeats)]

Zone = Annotated[str, AfterValidator(_zone)]
"""A time zone by its IANA name."""

Cron = Annotated[str, AfterValidator(_cron)]

Wait = Annotated[float, BeforeValidator(_duration(longest="366d", zero_allowed=True)), _DURATION_SCHEMA]
"""A stretch of time that may be none at all."""

HeaderName = Annotated[str, AfterValidator(_header_name)]

EnvName = Annotated[str, StringConstraints(pattern=f"^{ENV_NAME.pattern}$")]
"""The name of an environment variable that holds a secret. ``leaks`` has rejected what cannot be one."""

FilePath = Annotated[Path, WithJsonSchema({"type": "string", "minLength": 1})]

Interval = Annotated[float, BeforeValidator(_duration(longest="366d")), _DURATION_SCHEMA]

Jitter = Annotated[float, BeforeValidator(_duration(longest="366d", zero_allowed=True)), _DURATION_SCHEMA]
"""Zero is meant here: runs start exactly at their slot."""

Timeout = Annotated[float, BeforeValidator(_duration(longest="1h")), _DURATION_SCHEMA]

Address = Annotated[str, AfterValidator(_address), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
"""Where an API begins; a query is kept."""

Url = Annotated[str, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]

UtcTime = Annotated[AwareDatetime, AfterValidator(_utc)]
