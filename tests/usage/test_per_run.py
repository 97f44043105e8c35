"""What a run takes: measured where replies were seen, estimated elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from driftwatch.domain import Canary, Completion, Message, Outcome, Target
from driftwatch.usage import Price, Tokens, cost_of, cost_per_run, measured_tokens

PRICE = Price(input_usd=1.0, output_usd=2.0, source="config")


def canary(name: str, **fields) -> Canary:
    return Canary(id=name, suite="s", messages=(Message(role="user", content="x" * 40),), **fields)


def target(*canaries: Canary, **fields) -> Target:
    return Target(name="t", provider="openai", model="m", canaries=canaries, **fields)


def reply(name: str, input_tokens: int | None, output_tokens: int | None, outcome: Outcome = Outcome.OK) -> Completion:
    return Completion(
        canary_id=name,
        canary_hash="h",
        repeat=0,
        outcome=outcome,
        at=datetime(2026, 3, 2, tzinfo=UTC),
        latency_s=1.0,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )


def test_tokens_are_the_mean_of_the_replies_that_report_them():
    replies = [
        reply("a", 10, 20),
        reply("a", 14, 30),
        reply("a", None, 99),
        reply("a", 99, 99, Outcome.TIMEOUT),
        reply("b", 5, None),
    ]

    assert measured_tokens(replies) == {"a": Tokens(input=12.0, output=25.0)}


def test_measured_tokens_replace_the_estimate_canary_by_canary():
    asked = target(canary("a"), canary("b", parameters={"max_tokens": 7}), repeats=2)

    cost = cost_per_run(asked, PRICE, {"a": Tokens(input=100.0, output=50.0)})

    # b: 40 characters are 10 tokens, 4 frame the message, at most 7 come back
    assert (cost.requests, cost.input_tokens, cost.output_tokens) == (4, 2 * (100 + 14), 2 * (50 + 7))
    assert cost.usd == pytest.approx((228 * 1 + 114 * 2) / 1e6)


def test_a_canary_is_asked_its_own_number_of_times():
    asked = target(canary("a", repeats=5), canary("b"), repeats=2)

    assert cost_per_run(asked, PRICE).requests == 7


def test_canaries_that_are_not_asked_cost_nothing():
    asked = target(canary("a"), canary("b"))

    assert cost_of(asked, PRICE, {"b": 3}).requests == 3
    assert cost_of(asked, PRICE, {}).usd == 0.0


def test_an_unknown_price_stays_unknown_however_much_is_asked():
    cost = cost_per_run(target(canary("a")), None)

    assert cost.usd is None
    assert cost.times(1000).usd is None
    assert cost.times(1000).requests == 1000


def test_twice_as_much_costs_twice_as_much():
    cost = cost_per_run(target(canary("a")), PRICE)

    assert replace(cost.times(2), usd=None) == replace(
        cost,
        requests=2,
        input_tokens=2 * cost.input_tokens,
        output_tokens=2 * cost.output_tokens,
        usd=None,
    )
    assert cost.times(2).usd == pytest.approx(2 * cost.usd)
