"""Requests, tokens and dollars: arithmetic that a person can redo by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from driftwatch.domain import Canary, Completion, Message, Outcome, Target, ToolCall
from driftwatch.usage import Price, cost_usd, estimate, find_price

PRICE = Price(input_usd=0.15, output_usd=0.60, source="config")
AT = datetime(2026, 3, 2, tzinfo=UTC)


def canary(content: str = "x" * 400, name: str = "a", **fields) -> Canary:
    return Canary(id=f"core/{name}", suite="core", messages=(Message(role="user", content=content),), **fields)


def target(*canaries: Canary, **parameters) -> Target:
    return Target(name="t", provider="openai", model="m", canaries=canaries, parameters=parameters)


def reply(input_tokens: int | None = 100, output_tokens: int | None = 50, outcome: Outcome = Outcome.OK) -> Completion:
    return Completion(
        canary_id="core/a",
        canary_hash="h",
        repeat=0,
        outcome=outcome,
        at=AT,
        latency_s=1.0,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )


# ---------------------------------------------------------------- estimates


def test_tokens_are_a_quarter_of_the_characters_and_four_for_each_message():
    assert estimate(target(canary("x" * 400)), None, passes=1).input_tokens == 104


def test_canaries_asked_unequally_often_are_counted_each_by_its_own_number():
    both = target(canary("x" * 400, "a"), canary("x" * 800, "b"), max_tokens=10)
    found = estimate(both, PRICE, passes={"core/a": 3, "core/b": 1})
    assert (found.requests, found.input_tokens, found.output_tokens) == (4, 3 * 104 + 204, 40)
    assert estimate(both, PRICE, passes={"core/a": 2}) == estimate(both, PRICE, passes=2, canaries=both.canaries[:1])


def test_what_is_sent_beside_the_text_counts_too():
    called = Message(role="assistant", content="", tool_calls=(ToolCall(name="weather", arguments='{"city": "Oslo"}'),))
    spoken = canary(tools=({"name": "weather"},)).messages
    plain = estimate(target(canary()), None, passes=1).input_tokens
    assert estimate(target(canary(tools=({"name": "w" * 400},))), None, passes=1).input_tokens > plain + 100
    conversation = Canary(id="core/c", suite="core", messages=(*spoken, called))
    assert estimate(target(conversation), None, passes=1).input_tokens == (400 + 7 + 16) // 4 + 8


@pytest.mark.parametrize(
    ("of_target", "of_canary", "bound"),
    [
        ({}, {}, 300),
        ({"max_tokens": 64}, {}, 64),
        ({"max_tokens": 64}, {"max_tokens": 8}, 8),
        ({"max_completion_tokens": 32}, {}, 32),
        ({"max_tokens": None}, {}, 300),
    ],
)
def test_output_is_bounded_by_what_is_asked_for(of_target, of_canary, bound):
    asked = canary(parameters=of_canary)
    assert estimate(target(asked, **of_target), None, passes=1).output_tokens == bound


def test_dollars_are_tokens_times_the_price_per_million():
    found = estimate(target(canary("x" * 400), max_tokens=100), PRICE, passes=1000)
    assert (found.requests, found.input_tokens, found.output_tokens) == (1000, 104_000, 100_000)
    assert found.usd == pytest.approx(0.104 * 0.15 + 0.1 * 0.60)
    assert found.price is PRICE


def test_without_a_price_dollars_are_unknown_and_not_zero():
    assert estimate(target(canary()), None, passes=10).usd is None
    assert estimate(target(canary()), Price(input_usd=0, output_usd=0, source="config"), passes=10).usd == 0.0


def test_only_the_canaries_named_are_counted():
    one, other = canary(name="a"), canary(name="b")
    assert estimate(target(one, other), PRICE, passes=3).requests == 6
    assert estimate(target(one, other), PRICE, passes=3, canaries=(one,)).requests == 3
    assert estimate(target(one, other), PRICE, passes=3, canaries=()).requests == 0


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_more_passes_never_cost_less_and_passes_add_up(passes, more):
    asked = target(canary(), canary("short", name="b"), max_tokens=20)
    fewer, both = estimate(asked, PRICE, passes=passes), estimate(asked, PRICE, passes=passes + more)
    assert (fewer.requests, fewer.input_tokens, fewer.output_tokens, fewer.usd) <= (
        both.requests,
        both.input_tokens,
        both.output_tokens,
        both.usd,
    )
    added = fewer + estimate(asked, PRICE, passes=more)
    assert (added.requests, added.input_tokens, added.output_tokens) == (
        both.requests,
        both.input_tokens,
        both.output_tokens,
    )
    assert added.usd == pytest.approx(both.usd)


def test_a_sum_with_an_unknown_part_is_unknown():
    known, unknown = estimate(target(canary()), PRICE, passes=1), estimate(target(canary()), None, passes=1)
    assert (known + unknown).usd is None
    assert (unknown + known).usd is None
    assert (known + unknown).price is None
    assert (known + unknown).requests == 2
    assert (known + known).price is PRICE


# ---------------------------------------------------------------- prices


def test_the_list_price_of_a_known_model_is_found_offline():
    price = find_price("openai", "gpt-4o-mini")
    assert price is not None
    assert (price.input_usd, price.output_usd) == (0.15, 0.6)
    assert price.source.startswith("genai-prices ")


def test_the_list_price_is_that_of_a_small_request():
    # Beyond 200,000 tokens in one request this model costs twice as much; no canary is that long.
    price = find_price("openai_compatible", "gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai")
    assert price is not None
    assert (price.input_usd, price.output_usd) == (1.25, 10.0)


@pytest.mark.parametrize(
    ("provider", "model", "base_url"),
    [
        ("openai", "no-such-model", None),
        ("openai_compatible", "no-such-model", "https://llm.example.com/v1"),
        ("openai_compatible", "no-such-model", "http://8.8.8.8/v1"),
        ("openai_compatible", "no-such-model", "https://localhost.example.com/v1"),
    ],
)
def test_the_price_of_an_unknown_model_is_unknown(provider, model, base_url):
    assert find_price(provider, model, base_url) is None


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost:11434/v1",
        "http://127.0.0.1:8000/v1",
        "http://[::1]:8000/v1",
        "http://10.1.2.3/v1",
        "http://172.16.0.9/v1",
        "http://192.168.1.4:8080/v1",
        "http://[fd00::1]/v1",
    ],
)
def test_an_endpoint_of_ones_own_costs_nothing_per_token(base_url):
    price = find_price("openai_compatible", "gpt-4o-mini", base_url)
    assert price is not None
    assert (price.input_usd, price.output_usd) == (0.0, 0.0)


def test_a_simulated_target_costs_nothing():
    price = find_price("simulated", "gpt-4o-mini")
    assert price is not None
    assert (price.input_usd, price.output_usd) == (0.0, 0.0)


# ---------------------------------------------------------------- what was spent


def test_completions_cost_what_they_report():
    price = Price(input_usd=1.0, output_usd=10.0, source="config")
    assert cost_usd([reply(100, 50), reply(200, 0)], price) == pytest.approx((300 * 1 + 50 * 10) / 1e6)


@pytest.mark.parametrize("missing", [reply(input_tokens=None), reply(output_tokens=None)])
def test_a_reply_that_reports_no_tokens_makes_the_cost_unknown(missing):
    assert cost_usd([reply(), missing], PRICE) is None


def test_failures_cost_nothing_and_hide_nothing():
    failure = reply(None, None, outcome=Outcome.TIMEOUT)
    assert cost_usd([reply(), failure], PRICE) == cost_usd([reply()], PRICE)
    assert cost_usd([failure], PRICE) == 0.0
    assert cost_usd([reply()], None) is None
