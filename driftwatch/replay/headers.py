"""Reads what response headers tell of an endpoint's rate limits, in every vendor's spelling.

Sources, all 2026-11: OpenAI, "Rate limits", https://developers.openai.com/api/docs/guides/rate-limits (x-ratelimit-*,
durations such as ``6m0s`` until the limit is "at its initial state"); Groq, https://console.groq.com/docs/rate-limits
(the same names, ``2m59.56s``; requests are counted by the day); Azure OpenAI (the same names, seconds); Cerebras,
https://inference-docs.cerebras.ai/support/rate-limits (``-day`` and ``-minute`` at the end, seconds); Anthropic, "Rate
limits", https://docs.anthropic.com/en/api/rate-limits (anthropic-ratelimit-*, RFC 3339, a token bucket "continuously
replenished"); Mistral (x-ratelimit-limit-req-minute, -tokens-minute; no reset); OpenRouter (X-RateLimit-Reset in
milliseconds since 1970); draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4 (RateLimit-Policy, RateLimit), its
revision 6 (RateLimit-Limit, -Remaining, -Reset) and 7 (``limit=…, remaining=…, reset=…``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT = "input-tokens"
    OUTPUT = "output-tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One limit as a response tells it."""

    name: str
    """Which limit, the same in every response."""
    unit: Unit
    remaining: float
    """Units that may still be used, 0 or more."""
    reset_s: float
    """Seconds until the limit is whole again, 0 or more."""
    limit: float | None = None
    """Units of a whole limit."""
    is_gradual: bool = False
    """Whether it refills evenly until then, rather than at once at the end of a window."""


def told_by(headers: Mapping[str, str], *, at: datetime) -> tuple[Told, ...]:
    """What the headers tell; limits that lack what is left or when they are whole again are not told.

    Args:
        headers: of the response, by lower-case name. Values that cannot be read are passed over.
        at: now, aware UTC; what a reset that is a point in time is measured from.

    >>> from datetime import UTC, datetime
    >>> headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59",
    ...            "x-ratelimit-reset-requests": "1s"}
    >>> [(told.remaining, told.reset_s) for told in told_by(headers, at=datetime(2026, 11, 1, tzinfo=UTC))]
    [(59.0, 1.0)]
    """
    parts: dict[tuple[str, Unit], dict[str, str]] = defaultdict(dict)
    for header, value in headers.items():
        if "ratelimit" not in header:
            continue
        match = _NAMED.fullmatch(header) or _PLAIN.fullmatch(header)
        if match is None:
            continue
        found = match.groupdict()
        word = found.get("unit") or "requests"
        name = f"{word}{found.get('period') or ''}"
        parts[name, _UNITS[word]][found.get("part") or found["other_part"]] = value
    told = [_told(name, unit, part, at) for (name, unit), part in parts.items()]
    return (*(one for one in told if one is not None), *_by_policy(headers))


_UNITS = {
    "requests": Unit.REQUESTS,
    "req": Unit.REQUESTS,
    "tokens": Unit.TOKENS,
    "input-tokens": Unit.INPUT,
    "output-tokens": Unit.OUTPUT,
}
_NAMED = re.compile(
    r"anthropic-ratelimit-(?P<unit>requests|tokens|input-tokens|output-tokens)-(?P<part>limit|remaining|reset)"
)
_PLAIN = re.compile(
    r"(?:x-)?ratelimit-(?P<other_part>limit|remaining|reset)"
    r"(?:-(?P<unit>requests|req|tokens)(?P<period>-second|-minute|-hour|-day|-month)?)?"
)
_PERIODS_S = {"-second": 1.0, "-minute": 60.0, "-hour": 3600.0, "-day": 86_400.0}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_FACTORS_S = (86_400.0, 3600.0, 60.0, 1.0, 0.001)
_MILLISECONDS_FROM, _SECONDS_FROM = 1e11, 1e9
"""A plain number from here on is no wait but a point in time: in milliseconds, in seconds since 1970."""


def _told(name: str, unit: Unit, part: Mapping[str, str], at: datetime) -> Told | None:
    remaining = _number(part.get("remaining"))
    period_s = next((seconds for period, seconds in _PERIODS_S.items() if name.endswith(period)), None)
    reset = _reset(part["reset"], at) if "reset" in part else None
    # A window that is named and whose end is not told is over after its length at the latest.
    reset_s, is_gradual = reset if reset is not None else (period_s, False)
    if remaining is None or reset_s is None:
        return None
    return Told(
        name=name,
        unit=unit,
        remaining=remaining,
        reset_s=reset_s,
        limit=_number(part.get("limit")),
        is_gradual=is_gradual,
    )


def _reset(value: str, at: datetime) -> tuple[float, bool] | None:
    """Seconds until the reset, and whether it is told in a way that gradual limits are."""
    number = _number(value)
    if number is not None:
        since = at.timestamp()
        if number >= _MILLISECONDS_FROM:
            return max(0.0, number / 1000 - since), False
        return (max(0.0, number - since) if number >= _SECONDS_FROM else number), False
    duration = _DURATION.fullmatch(value.strip())
    if duration is not None and any(duration.groups()):
        found = zip(duration.groups(), _FACTORS_S, strict=True)
        return sum(float(amount) * factor for amount, factor in found if amount), True
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - at).total_seconds()), True


def _by_policy(headers: Mapping[str, str]) -> Iterator[Told]:
    """The IETF draft's two fields: policies with their quota and window, and what is left of them."""
    state = headers.get("ratelimit", "")
    if "remaining=" in state:  # revision 7
        part = dict(re.findall(r"(limit|remaining|reset)=(\d+)", state))
        remaining, reset_s = _number(part.get("remaining")), _number(part.get("reset"))
        if remaining is not None and reset_s is not None:
            limit = _number(part.get("limit"))
            yield Told(name="policy", unit=Unit.REQUESTS, remaining=remaining, reset_s=reset_s, limit=limit)
        return
    policies = dict(_items(headers.get("ratelimit-policy", "")))
    for name, parameters in _items(state):
        policy = policies.get(name, {})
        remaining, reset_s = _number(parameters.get("r")), _number(parameters.get("t", policy.get("w")))
        counts_requests = policy.get("qu", "requests").strip('"') == "requests"
        if remaining is not None and reset_s is not None and counts_requests:
            limit = _number(policy.get("q"))
            yield Told(name=f"policy {name}", unit=Unit.REQUESTS, remaining=remaining, reset_s=reset_s, limit=limit)


def _items(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The members of a structured field's list: name and parameters. Source: RFC 9651, section 3.1."""
    for name, parameters in re.findall(r'"([^"]*)"((?:\s*;\s*[\w-]+=(?:"[^"]*"|[^,;]*))*)', value):
        yield name, dict(re.findall(r';\s*([\w-]+)=("[^"]*"|[^,;]*)', parameters))


def _number(value: str | None) -> float | None:
    """The number that a value begins with (some add their policy after a comma); None when it is no number."""
    if value is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d+)?)\s*(?:,.*)?", value)
    return float(match.group(1)) if match else None
