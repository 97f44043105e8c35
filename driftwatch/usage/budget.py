"""Hard caps on what watching may take, and the purse that a run pays from.

A cap bounds requests, tokens or dollars in a run, a day or a month, of one target or of all together. Days and months
are those of the UTC calendar; a run counts wholly where it began.

How hard a cap is:

* Requests: exactly. Each attempt is counted before it is sent, the repeated ones too.
* Tokens and dollars: by what is expected of a request before it is sent, by what its reply reports afterwards. What is
  expected is the mean of the canary's earlier replies; before there are any, what its text and ``max_tokens`` say. So
  a cap can be exceeded by what the requests in flight take beyond their expectation, and by no more. A reply that no
  ``max_tokens`` bounds is bounded by nothing but the model.
* Dollars are list prices. A reply that reports no tokens, a failure whose reply had begun, and a request that was
  broken off after the endpoint may have worked on it, are counted as expected. What an endpoint refused is free.
* A count that cannot be true is not believed: above DISTRUSTED times the most that a canary's text and ``max_tokens``
  allow, and above CREDIBLE_TOKENS. Such a reply counts for the most that is expected of it, so that one wrong number
  does not eat a month.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import structlog

from driftwatch.domain import Canary, Completion, Outcome, Spending, Target
from driftwatch.usage.estimate import CHARACTERS_PER_TOKEN, Price, estimate, output_bound, price_of
from driftwatch.usage.per_run import Tokens

log = structlog.get_logger()

STOPPED = "stopped by the budget"
"""How the sentence of every completion begins that a budget has kept from being asked."""

UNBOUNDED = 10
"""A reply that no max_tokens bounds is taken to be at most so many times as long as expected, to set something aside
for a run: an arbitrary round figure."""

MAY_BE_BILLED = frozenset({Outcome.OK, Outcome.TIMEOUT, Outcome.CUT_OFF, Outcome.MALFORMED, Outcome.TOO_LARGE})
"""How a request ends that the endpoint may have worked on: it counts as expected when it reports no tokens."""

DISTRUSTED = 10
"""How many times the most that could be expected a reply's count is not believed above: an arbitrary round figure."""

CREDIBLE_TOKENS = 100_000
"""Up to here a count is believed whatever was expected, for models think at length and servers overlook max_tokens: an
arbitrary round figure, about the longest output that is on offer."""

ROUNDING = 1e-9
"""Share of a cap below which a sum of dollars beyond it is an error of floating point."""


class Amount(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"


class Period(StrEnum):
    """In what time."""

    RUN = "run"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """One cap as a person wrote it."""

    key: str
    """Where it is written, e.g. ``targets.support.budget.usd_per_day``."""
    amount: Amount
    period: Period
    limit: float
    target: str | None = None
    """None: of all targets together."""

    def in_words(self, value: float) -> str:
        """An amount of what is capped, e.g. ``$0.42`` or ``1,200 tokens``.

        >>> Cap(key="budget.usd_per_day", amount=Amount.USD, period=Period.DAY, limit=5).in_words(0.425)
        '$0.4250'
        """
        if self.amount is Amount.USD:
            return f"${value:,.2f}" if value >= 1 or round(value, 2) == value else f"${value:.4f}"
        whole = round(value)
        return f"{whole:,} {self.amount.value[:-1] if whole == 1 else self.amount.value}"


def read_caps(written: Mapping[str, float], *, key: str, target: str | None = None) -> tuple[Cap, ...]:
    """The caps of one section of the config.

    Args:
        written: ``usd_per_day`` → 5 and the like.
        key: where the section is, e.g. ``targets.support.budget``.
        target: whose they are; None for those of all targets together.

    >>> [cap.key for cap in read_caps({"usd_per_day": 5}, key="budget")]
    ['budget.usd_per_day']
    """
    caps = []
    for name, limit in written.items():
        amount, _, period = name.partition("_per_")
        caps.append(Cap(key=f"{key}.{name}", amount=Amount(amount), period=Period(period), limit=limit, target=target))
    return tuple(caps)


def bounds(period: Period, at: datetime) -> tuple[datetime, datetime]:
    """First instant of the UTC calendar day or month that a time lies in, and of the next one.

    >>> [f"{each:%m-%d}" for each in bounds(Period.MONTH, datetime(2026, 2, 28, 23, tzinfo=UTC))]
    ['02-01', '03-01']
    """
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period is not Period.MONTH:
        return day, day + timedelta(days=1)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def of(spending: Spending, amount: Amount) -> float:
    """One of the three amounts."""
    return {Amount.REQUESTS: spending.requests, Amount.TOKENS: spending.tokens, Amount.USD: spending.usd}[amount]


def is_stopped(completion: Completion) -> bool:
    """Whether a budget has kept it from being asked; such a completion says nothing of the endpoint."""
    return completion.outcome is Outcome.NOT_ASKED and STOPPED in (completion.error or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the requests of one target take, in tokens and dollars."""

    target: Target
    price: Price | None
    measured: Mapping[str, Tokens]
    """Canary id → mean tokens of its earlier replies; the others are estimated."""

    def tokens(self, canary: Canary) -> Tokens:
        """What a request of a canary is expected to take; an upper bound while nothing is measured."""
        known = self.measured.get(canary.id)
        if known is not None:
            return known
        one = estimate(self.target, None, passes=1, canaries=(canary,))
        return Tokens(input=one.input_tokens, output=one.output_tokens)

    def most(self, canary: Canary) -> Tokens:
        """What a request of a canary takes at most: no tokenizer is expected to make more tokens than characters."""
        expected = self.tokens(canary)
        one = estimate(self.target, None, passes=1, canaries=(canary,))
        bound = output_bound(self.target, canary)
        return Tokens(
            input=max(CHARACTERS_PER_TOKEN * one.input_tokens, 2 * expected.input),
            output=max(expected.output, UNBOUNDED * expected.output if bound is None else bound),
        )

    def spending(self, asks: Mapping[str, int], *, at_most: bool = False) -> Spending:
        """What asking canaries so many times takes, one attempt each."""
        tokens = usd = 0.0
        for canary in self.target.canaries:
            each_tokens, each_usd = self.each(canary, at_most=at_most)
            tokens += asks.get(canary.id, 0) * each_tokens
            usd += asks.get(canary.id, 0) * each_usd
        return Spending(requests=sum(asks.values()), tokens=round(tokens), usd=usd)

    def each(self, canary: Canary, *, at_most: bool = False) -> tuple[float, float]:
        """Tokens and dollars of one request."""
        tokens = self.most(canary) if at_most else self.tokens(canary)
        return tokens.input + tokens.output, self._usd(tokens)

    def is_credible(self, completion: Completion) -> bool:
        """Whether the tokens that a reply reports can be true; see the top of this module.

        What was measured does not matter: a wrong number must not make the next one credible.
        """
        told = Tokens(input=completion.input_tokens or 0, output=completion.output_tokens or 0)
        canary = self._canary(completion)
        if canary is None or max(told.input, told.output) <= CREDIBLE_TOKENS:
            return True
        most = replace(self, measured={}).most(canary)
        return all(
            count <= max(CREDIBLE_TOKENS, DISTRUSTED * bound)
            for count, bound in ((told.input, most.input), (told.output, most.output))
        )

    def charge(self, completion: Completion) -> Spending:
        """What a completion has taken.

        As it reports where that is credible, else as the most that is expected of it; where it reports nothing, as
        expected if it may be billed at all.
        """
        if completion.attempts == 0:
            return Spending()
        taken = Spending(requests=completion.attempts)
        is_credible = self.is_credible(completion)
        if is_credible and completion.input_tokens is not None and completion.output_tokens is not None:
            usd = 0.0 if self.price is None else price_of(self.price, completion)
            return taken + Spending(tokens=completion.input_tokens + completion.output_tokens, usd=usd)
        canary = self._canary(completion)
        may_be_billed = completion.outcome in MAY_BE_BILLED or completion.reply_began or not is_credible
        if canary is None or not may_be_billed:
            return taken
        tokens, usd = self.each(canary, at_most=not is_credible)
        return taken + Spending(tokens=round(tokens), usd=usd)

    def _canary(self, completion: Completion) -> Canary | None:
        return next((canary for canary in self.target.canaries if canary.id == completion.canary_id), None)

    def _usd(self, tokens: Tokens) -> float:
        if self.price is None:
            return 0.0
        return (self.price.input_usd * tokens.input + self.price.output_usd * tokens.output) / 1_000_000


class Purse:
    """What one run may take: an ``Allowance`` of the replay. Belongs to one event loop.

    Args:
        expectation: of the target asked.
        asks: canary id → how often it is asked in this run.
        limit: what the run may take in all; an amount of infinity is not bounded.
        why: amount → the sentence for what is not asked any more, with STOPPED in it.
    """

    def __init__(
        self,
        expectation: Expectation,
        asks: Mapping[str, int],
        *,
        limit: Mapping[Amount, float],
        why: Mapping[Amount, str],
    ) -> None:
        self._expectation, self._limit, self._why = expectation, limit, why
        self._each = {canary.id: expectation.each(canary) for canary in expectation.target.canaries}
        self._to_come = Counter(asks)
        """Canary id → replies that are not settled yet."""
        self._taken: Counter[str] = Counter()
        """Canary id → attempts taken and not settled."""
        self._attempts = 0
        self._settled = Spending()
        self._has_distrusted = False

    def take(self, canary: Canary) -> str | None:
        """Count an attempt that is about to be sent; otherwise say in one sentence why it must not be."""
        self._taken[canary.id] += 1
        self._attempts += 1
        for amount, limit in self._limit.items():
            if of(self.spent, amount) > limit * (1 + ROUNDING):
                self._taken[canary.id] -= 1
                self._attempts -= 1
                return self._why[amount]
        return None

    def settle(self, completion: Completion) -> None:
        """Put what a completion took in the place of what was expected of it."""
        name = completion.canary_id
        self._to_come[name] = max(0, self._to_come[name] - 1)
        self._taken[name] = max(0, self._taken[name] - completion.attempts)
        charged = self._expectation.charge(completion)
        self._settled += charged
        if not self._has_distrusted and not self._expectation.is_credible(completion):
            # Once a run: an endpoint that counts wrong does so in every reply.
            self._has_distrusted = True
            log.warning(
                "budget.count_distrusted",
                target=self._expectation.target.name,
                canary=name,
                input_tokens=completion.input_tokens,
                output_tokens=completion.output_tokens,
                counted_tokens=charged.tokens,
            )

    @property
    def spent(self) -> Spending:
        """What the run has taken, with what is expected of the requests in flight.

        Of the attempts at one question only the last can have a reply: the failures that are asked again are free.
        """
        tokens, usd = float(self._settled.tokens), self._settled.usd
        for name, n_taken in self._taken.items():
            in_flight = min(n_taken, self._to_come[name])
            tokens += in_flight * self._each[name][0]
            usd += in_flight * self._each[name][1]
        return Spending(requests=self._attempts, tokens=round(tokens), usd=usd)

    def charged(self, completions: Sequence[Completion]) -> Spending:
        """What completions have taken in all."""
        total = Spending()
        for completion in completions:
            total += self._expectation.charge(completion)
        return total
