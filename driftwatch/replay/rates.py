"""How many requests and tokens a minute one key may use: as configured, and as the endpoint tells.

No library of token buckets found could be told in the middle of a wait what is left and until when: aiolimiter 1.3
reads its loop's clock and fixes its rate when it is made, pyrate-limiter 4.5 counts past calls in sliding windows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from driftwatch.domain import Canary, Target
from driftwatch.replay.headers import Told, Unit
from driftwatch.replay.quotas import Cost, Quotas

LONGEST_DEBT_S = 60.0
"""The most that a bucket may be in debt, as seconds of its rate: no endpoint answers a request that is larger than a
minute's limit, so a count beyond it is a mistake, and must not shut a gate for days."""
CHARS_PER_TOKEN = 4
"""For a canary that was never answered. Source: OpenAI, "What are tokens", https://help.openai.com/articles/4936856."""
FIRST_OUTPUT_TOKENS = 256
"""The reply that is expected of a canary that was never answered and has no max_tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an operator allows for one key; None for no limit of our own."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    """Input and output together."""


class Bucket:
    """A token bucket that may go into debt: what turns out dearer than expected delays what follows.

    No amount counts for more than the bucket holds or ``LONGEST_DEBT_S`` bring, and no debt is larger.

    Args:
        per_s: units that flow in each second.
        capacity: units it holds, and holds at the beginning.
        now_s: a monotonic clock, s.
    """

    def __init__(self, per_s: float, capacity: float, now_s: Callable[[], float]) -> None:
        self._per_s, self._capacity, self._now_s = per_s, capacity, now_s
        self._level, self._at = capacity, now_s()
        self._most = max(capacity, LONGEST_DEBT_S * per_s)

    def wait_s(self, amount: float) -> float:
        """Seconds until so much may be taken; more than the bucket holds may be taken when it is full."""
        self._fill()
        return max(0.0, min(amount, self._capacity) - self._level) / self._per_s

    def take(self, amount: float, *, instead_of: float = 0.0) -> None:
        """Take, whatever is left, and give back what was taken before in its place."""
        self._fill()
        level = self._level - min(amount, self._most) + min(instead_of, self._most)
        self._level = max(-self._most, min(self._capacity, level))

    def _fill(self) -> None:
        now = self._now_s()
        self._level = min(self._capacity, self._level + (now - self._at) * self._per_s)
        self._at = now


def per_minute(amount: float, now_s: Callable[[], float]) -> Bucket:
    """A bucket for so many a minute that holds one second's worth, at least 1.

    Not a minute's worth: endpoints keep their minute in shorter steps. Source: OpenAI, "Rate limits": "60,000
    requests/minute may be enforced as 1,000 requests/second"; 2026-11.
    """
    return Bucket(amount / 60, max(1.0, amount / 60), now_s)


class Rates:
    """The limits of one key. Told limits are kept for each model apart, since vendors count so.

    Args:
        limits: as configured, for all models of the key together.
        now_s: a monotonic clock, s.
    """

    def __init__(self, limits: Limits, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._ours: list[tuple[Unit, Bucket, str]] = []
        if limits.requests_per_minute is not None:
            sentence = f"{limits.requests_per_minute:g} requests a minute"
            self._ours.append((Unit.REQUESTS, per_minute(limits.requests_per_minute, now_s), sentence))
        if limits.tokens_per_minute is not None:
            sentence = f"{limits.tokens_per_minute:g} tokens a minute"
            self._ours.append((Unit.TOKENS, per_minute(limits.tokens_per_minute, now_s), sentence))
        self._theirs: defaultdict[str, Quotas] = defaultdict(Quotas)
        self._in_flight: defaultdict[str, Counter[Unit]] = defaultdict(Counter)
        self._seen: dict[tuple[str, str], Cost] = {}

    def expected(self, target: Target, canary: Canary) -> Cost:
        """What a request will probably use: what the same one used last, else a guess by its length."""
        seen = self._seen.get((target.model, canary.id))
        if seen is not None:
            return seen
        chars = sum(len(message.content) for message in canary.messages)
        parameters = target.parameters_for(canary)
        asked = parameters.get("max_tokens") or parameters.get("max_completion_tokens")
        output_tokens = asked if isinstance(asked, int) else FIRST_OUTPUT_TOKENS
        return Cost(1, chars // CHARS_PER_TOKEN + 1, output_tokens)

    def wait_s(self, model: str, cost: Cost) -> tuple[float, str]:
        """Seconds until such a request may be sent, 0 when at once; and which limit says so."""
        longest = (0.0, "")
        for unit, bucket, sentence in self._ours:
            longest = max(longest, (bucket.wait_s(cost.of(unit)), f"the configured limit of {sentence}"))
        return max(longest, self._theirs[model].wait_s(cost, self._now_s()))

    def take(self, model: str, cost: Cost) -> None:
        """Count a request that is about to be sent."""
        for unit, bucket, _ in self._ours:
            bucket.take(cost.of(unit))
        self._theirs[model].take(cost)
        self._count(model, cost, 1)

    def give_back(self, model: str, cost: Cost) -> None:
        """Undo ``take`` for a request that was not sent after all."""
        self._count(model, cost, -1)
        for unit, bucket, _ in self._ours:
            bucket.take(0, instead_of=cost.of(unit))
        self._theirs[model].take(cost, times=-1)

    def settle(
        self,
        model: str,
        cost: Cost,
        used: Cost,
        told: Sequence[Told],
        *,
        canary_id: str | None = None,
        is_refusal: bool = False,
    ) -> None:
        """Count a request that has come to an end.

        Args:
            model: who was asked.
            cost: what ``take`` counted.
            used: what it used.
            told: by the response; none for a response that tells nothing.
            canary_id: what was asked, if the next such request will use the same.
            is_refusal: whether the endpoint wants fewer requests.
        """
        self._count(model, cost, -1)
        if canary_id is not None:
            self._seen[model, canary_id] = used
        for unit, bucket, _ in self._ours:
            bucket.take(used.of(unit), instead_of=cost.of(unit))
        self._theirs[model].learn(told, self._in_flight[model], now=self._now_s(), is_refusal=is_refusal)

    def _count(self, model: str, cost: Cost, times: int) -> None:
        in_flight = self._in_flight[model]
        in_flight[Unit.REQUESTS] += times * cost.requests
        in_flight[Unit.INPUT] += times * cost.input_tokens
        in_flight[Unit.OUTPUT] += times * cost.output_tokens
        in_flight[Unit.TOKENS] += times * (cost.input_tokens + cost.output_tokens)
