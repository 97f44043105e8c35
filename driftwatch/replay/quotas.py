"""The limits that an endpoint tells of one model, counted on between two responses, and how far they are believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftwatch.replay.headers import Told, Unit

LONGEST_HINT_S = 90.0
"""The longest wait for what a header tells, s: limits by the minute are kept to, those by the day are left to a 429,
so that one wrong header cannot stop a watch. Source: draft-ietf-httpapi-ratelimit-headers-10, section 6, by which what
the headers tell is no promise."""
MOST_QUOTAS = 16
"""Limits that are kept for one model: vendors tell six at most, and their names are the endpoint's to choose."""
DOUBTED_AFTER = 3
"""Windows in a row that were waited for, and of which a reply says that nothing is left, until nobody waits any more:
either so little is allowed, and a refusal will say so, or the header is a mistake that would draw out every run."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request uses."""

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0

    def of(self, unit: Unit) -> float:
        """The part that a limit counts."""
        match unit:
            case Unit.REQUESTS:
                return self.requests
            case Unit.INPUT:
                return self.input_tokens
            case Unit.OUTPUT:
                return self.output_tokens
            case Unit.TOKENS:
                return self.input_tokens + self.output_tokens


class _Quota:
    """One limit that the endpoint tells.

    Args:
        told: what it tells.
        level: units that are left, without what the endpoint may not have counted yet.
        now: by a monotonic clock, s.
        n_empty: windows in a row that were waited for and found empty; None for a limit that was proved right.
    """

    def __init__(self, told: Told, level: float, now: float, n_empty: int | None) -> None:
        self.unit, self.n_empty = told.unit, n_empty
        self.is_empty = told.remaining <= 0
        self._level, self._at, self._reset_at = level, now, now + told.reset_s
        self._whole = told.limit
        used = (told.limit or 0.0) - told.remaining
        self._per_s = used / told.reset_s if told.is_gradual and used > 0 and told.reset_s > 0 else 0.0

    @property
    def is_doubted(self) -> bool:
        return self.n_empty is not None and self.n_empty >= DOUBTED_AFTER

    def is_over(self, now: float) -> bool:
        """Whether it is whole again, or nobody knows better until the next response."""
        return now >= self._reset_at

    def wait_s(self, amount: float, now: float) -> float:
        if self.is_over(now) or self.is_doubted:
            return 0.0
        wanted = amount if self._whole is None else min(amount, self._whole)
        missing = wanted - self._level - (now - self._at) * self._per_s
        if missing <= 0:
            return 0.0
        until_reset_s = self._reset_at - now
        wait_s = min(missing / self._per_s, until_reset_s) if self._per_s else until_reset_s
        return wait_s if wait_s <= LONGEST_HINT_S else 0.0

    def take(self, amount: float) -> None:
        self._level -= amount


class Quotas:
    """The limits of one model."""

    def __init__(self) -> None:
        self._quotas: dict[str, _Quota] = {}
        """By name, what was told last at the end."""

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._quotas)

    def wait_s(self, cost: Cost, now: float) -> tuple[float, str]:
        """Seconds until such a request may be sent, 0 when at once; and which limit says so."""
        longest = (0.0, "")
        for name, quota in self._quotas.items():
            longest = max(longest, (quota.wait_s(cost.of(quota.unit), now), f"the endpoint's own limit ({name})"))
        return longest

    def take(self, cost: Cost, *, times: int = 1) -> None:
        """Count a request that is about to be sent, or -1 times one that was not sent after all."""
        for quota in self._quotas.values():
            quota.take(times * cost.of(quota.unit))

    def learn(self, told: Sequence[Told], in_flight: Mapping[Unit, float], *, now: float, is_refusal: bool) -> None:
        """Take over what a response tells.

        Args:
            told: by the response; none for a response that tells nothing.
            in_flight: units under way, which the endpoint may not have counted when it answered.
            now: by the clock of ``wait_s``.
            is_refusal: whether the endpoint wants fewer requests. What was doubted until then is believed from then on.
        """
        if is_refusal:
            for quota in self._quotas.values():
                quota.n_empty = None if quota.is_doubted else quota.n_empty
        for one in told:
            n_empty = self._n_empty(one, now)
            self._quotas.pop(one.name, None)
            self._quotas[one.name] = _Quota(one, one.remaining - in_flight[one.unit], now, n_empty)
        if not told:
            return
        kept = [(name, quota) for name, quota in self._quotas.items() if not quota.is_over(now)]
        self._quotas = dict(kept[-MOST_QUOTAS:])

    def _n_empty(self, told: Told, now: float) -> int | None:
        before = self._quotas.get(told.name)
        if before is None:
            return 0
        if before.n_empty is None or told.remaining > 0 or not before.is_empty:
            return None if before.n_empty is None else 0
        return before.n_empty + before.is_over(now)
