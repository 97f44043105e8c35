"""Requests, tokens and dollars of runs: before they are made, and after."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driftwatch.domain import Canary, Completion, Target
from driftwatch.providers import PROVIDERS

if TYPE_CHECKING:
    import genai_prices

CHARACTERS_PER_TOKEN = 4
"""Rule of thumb for English text. Source: OpenAI, "What are tokens and how to count them", 2026-11."""

MESSAGE_OVERHEAD_TOKENS = 4
"""Wire framing per message. Source: OpenAI cookbook, "How to count tokens with tiktoken", 2026-11."""

DEFAULT_OUTPUT_TOKENS = 300
"""Assumed length of a reply where no max_tokens bounds it."""

REQUEST_TOKENS = 1_000
"""Tokens in and out of the request that a list price is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """List price in USD per million tokens."""

    input_usd: float
    output_usd: float
    source: str
    """Where the figures come from, e.g. ``genai-prices 0.2.3`` or ``config``."""
    cached_usd: float | None = None
    """Input tokens that are read from the endpoint's cache; None: charged as any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a number of requests will take. Output tokens are an upper bound where max_tokens is set."""

    requests: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    """None when the price is unknown."""
    price: Price | None

    def __add__(self, other: Estimate) -> Estimate:
        """Add up two targets' estimates; the sum is unknown when a part is."""
        return Estimate(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
            price=self.price if self.price == other.price else None,
        )


def find_price(provider: str, model: str, base_url: str | None = None) -> Price | None:
    """Look a model's list price up in genai-prices, offline; None when it is not listed.

    A simulated target costs nothing. An endpoint on this machine or in a private network costs nothing per token,
    unless its provider is a vendor: behind an address of one's own, e.g. a gateway, the vendor charges all the same.

    Source: package genai-prices (MIT), whose data carry their own sources.
    """
    entry = PROVIDERS.get(provider)
    listed_as = entry.prices if entry else None
    if provider == "simulated" or (listed_as is None and _is_private(base_url)):
        return Price(input_usd=0.0, output_usd=0.0, source="no charge per token")
    import genai_prices  # noqa: PLC0415 - loads a megabyte of prices

    # Priced as a request of a canary's size: some models cost twice as much beyond 200,000 tokens in one request.
    one = {"input_tokens": REQUEST_TOKENS, "output_tokens": REQUEST_TOKENS}
    priced = _calculated(genai_prices.Usage(**one), model, base_url, listed_as)
    cached = _calculated(genai_prices.Usage(**one, cache_read_tokens=REQUEST_TOKENS), model, base_url, listed_as)
    if priced is None or cached is None:
        return None
    per_million = 1_000_000 // REQUEST_TOKENS
    return Price(
        input_usd=float(priced.input_price * per_million),
        output_usd=float(priced.output_price * per_million),
        cached_usd=float(cached.input_price * per_million),
        source=f"genai-prices {genai_prices.__version__}",
    )


def _calculated(
    usage: genai_prices.Usage, model: str, base_url: str | None, listed_as: str | None
) -> genai_prices.types.PriceCalculation | None:
    import genai_prices  # noqa: PLC0415 - loads a megabyte of prices

    with contextlib.suppress(LookupError):
        if base_url:
            return genai_prices.calc_price(usage, model, provider_api_url=base_url)
    with contextlib.suppress(LookupError):
        if listed_as:
            return genai_prices.calc_price(usage, model, provider_id=listed_as)
    return None


def estimate(
    target: Target, price: Price | None, *, passes: int | Mapping[str, int], canaries: Sequence[Canary] | None = None
) -> Estimate:
    """Estimate ``passes`` passes over a target's canaries, each asked once in a pass.

    Args:
        target: whose parameters apply.
        price: from ``find_price`` or the config; None when unknown.
        passes: how often every canary is asked, or canary id → how often it is, 0 where absent.
        canaries: the canaries asked, all of the target's when None.
    """
    asked = [
        (canary, passes if isinstance(passes, int) else passes.get(canary.id, 0))
        for canary in (target.canaries if canaries is None else canaries)
    ]
    input_tokens = sum(_input_tokens(canary) * times for canary, times in asked)
    output_tokens = sum(_expected_output(target, canary) * times for canary, times in asked)
    usd = None if price is None else _usd(price, input_tokens, output_tokens)
    return Estimate(
        requests=sum(times for _, times in asked),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        usd=usd,
        price=price,
    )


def cost_usd(completions: Sequence[Completion], price: Price | None) -> float | None:
    """What completions cost by the tokens they report, USD; None when price or tokens are unknown."""
    answered = [completion for completion in completions if completion.is_ok]
    if price is None or any(c.input_tokens is None or c.output_tokens is None for c in answered):
        return None
    return sum(price_of(price, completion) for completion in answered)


def price_of(price: Price, completion: Completion) -> float:
    """What one reply costs by the tokens it reports, USD; those it does not report are taken for none.

    What an endpoint charges for writing to its cache is not told apart: it is priced as any other input.
    """
    input_tokens = completion.input_tokens or 0
    if price.cached_usd is None:
        return _usd(price, input_tokens, completion.output_tokens or 0)
    # A part: more than the whole is a mistake of the endpoint, and must not be paid for.
    cached_tokens = min(completion.cached_tokens or 0, input_tokens)
    return (
        _usd(price, input_tokens - cached_tokens, completion.output_tokens or 0)
        + price.cached_usd * cached_tokens / 1_000_000
    )


def output_bound(target: Target, canary: Canary) -> int | None:
    """The most tokens that a reply may have by what is asked for; None where nothing bounds it."""
    parameters = target.parameters_for(canary)
    bounds = [parameters.get(key) for key in ("max_tokens", "max_completion_tokens")]
    return next((bound for bound in bounds if isinstance(bound, int)), None)


def _usd(price: Price, input_tokens: int, output_tokens: int) -> float:
    return (price.input_usd * input_tokens + price.output_usd * output_tokens) / 1_000_000


def _input_tokens(canary: Canary) -> int:
    characters = sum(
        len(message.content) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
        for message in canary.messages
    ) + sum(len(str(tool)) for tool in canary.tools)
    return characters // CHARACTERS_PER_TOKEN + MESSAGE_OVERHEAD_TOKENS * len(canary.messages)


def _expected_output(target: Target, canary: Canary) -> int:
    bound = output_bound(target, canary)
    return DEFAULT_OUTPUT_TOKENS if bound is None else bound


def _is_private(base_url: str | None) -> bool:
    import ipaddress  # noqa: PLC0415 - used once per target
    from urllib.parse import urlsplit  # noqa: PLC0415 - used once per target

    host = urlsplit(base_url).hostname if base_url else None
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
