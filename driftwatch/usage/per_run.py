"""What one run takes: requests, tokens and dollars, by the replies seen so far or else by estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftwatch.domain import Canary, Completion, Target
from driftwatch.usage.estimate import Price, estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What one request of a canary takes on average."""

    input: float
    output: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Requests, tokens and dollars of a run, or of a stretch of time: averages, hence no whole numbers."""

    requests: float
    input_tokens: float
    output_tokens: float
    usd: float | None
    """None when the price is unknown."""

    def times(self, factor: float) -> Cost:
        """The cost of ``factor`` times as much."""
        return Cost(
            requests=self.requests * factor,
            input_tokens=self.input_tokens * factor,
            output_tokens=self.output_tokens * factor,
            usd=None if self.usd is None else self.usd * factor,
        )


def measured_tokens(completions: Sequence[Completion]) -> dict[str, Tokens]:
    """Mean tokens per canary of the replies that report them; canaries without such a reply are absent."""
    seen: dict[str, list[tuple[int, int]]] = {}
    for completion in completions:
        if completion.is_ok and completion.input_tokens is not None and completion.output_tokens is not None:
            seen.setdefault(completion.canary_id, []).append((completion.input_tokens, completion.output_tokens))
    return {
        canary_id: Tokens(input=sum(i for i, _ in those) / len(those), output=sum(o for _, o in those) / len(those))
        for canary_id, those in seen.items()
    }


def cost_of(
    target: Target, price: Price | None, asks: Mapping[str, float], measured: Mapping[str, Tokens] | None = None
) -> Cost:
    """What a number of requests takes, retries left out.

    Args:
        target: whose canaries are asked.
        price: None when unknown.
        asks: canary id → how often it is asked; 0 where absent.
        measured: canary id → tokens of its replies so far; the others are estimated from their text and from
            max_tokens, an upper bound.
    """
    known = measured or {}
    requests = input_tokens = output_tokens = 0.0
    for canary in target.canaries:
        n = asks.get(canary.id, 0.0)
        tokens = known.get(canary.id) or _estimated(target, canary)
        requests += n
        input_tokens += n * tokens.input
        output_tokens += n * tokens.output
    usd = None if price is None else (price.input_usd * input_tokens + price.output_usd * output_tokens) / 1_000_000
    return Cost(requests=requests, input_tokens=input_tokens, output_tokens=output_tokens, usd=usd)


def cost_per_run(target: Target, price: Price | None, measured: Mapping[str, Tokens] | None = None) -> Cost:
    """What one scheduled run takes, retries and confirmation bursts left out; arguments as for ``cost_of``."""
    return cost_of(target, price, {c.id: target.repeats_for(c) for c in target.canaries}, measured)


def _estimated(target: Target, canary: Canary) -> Tokens:
    one = estimate(target, None, passes=1, canaries=(canary,))
    return Tokens(input=one.input_tokens, output=one.output_tokens)
