"""Caps, and the purse that a run pays from: what is counted, when, and how hard a cap is."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st
from structlog.testing import capture_logs

from driftwatch.domain import Canary, Completion, Message, Outcome, Target
from driftwatch.usage import (
    STOPPED,
    Amount,
    Cap,
    Expectation,
    Period,
    Price,
    Purse,
    Tokens,
    bounds,
    is_stopped,
    read_caps,
)

AT = datetime(2026, 3, 2, tzinfo=UTC)
A, B = (
    Canary(id=f"core/{name}", suite="core", messages=(Message(role="user", content="x" * 400),)) for name in ("a", "b")
)
TARGET = Target(name="t", provider="openai", model="m", canaries=(A, B), parameters={"max_tokens": 96})
"""A request is estimated at 104 tokens in and 96 out."""
PRICE = Price(input_usd=1_000_000.0, output_usd=2_000_000.0, source="config")
"""A dollar a token in, two a token out."""


def expectation(*, price: Price | None = None, measured: dict[str, Tokens] | None = None) -> Expectation:
    return Expectation(target=TARGET, price=price, measured=measured or {})


def purse(asks: dict[str, int] | None = None, *, price: Price | None = None, **limit: float) -> Purse:
    limits = {Amount(name): value for name, value in limit.items()}
    why = {amount: f"{STOPPED}: enough {amount}" for amount in limits}
    return Purse(expectation(price=price), asks or {"core/a": 3, "core/b": 3}, limit=limits, why=why)


def ended(canary: Canary = A, outcome: Outcome = Outcome.OK, *, attempts: int = 1, **changes) -> Completion:
    given_ = {"input_tokens": 10, "output_tokens": 5} if outcome is Outcome.OK else {}
    return Completion(
        canary_id=canary.id,
        canary_hash="h",
        repeat=0,
        outcome=outcome,
        at=AT,
        latency_s=1.0,
        attempts=attempts,
        **{**given_, **changes},
    )


# ---------------------------------------------------------------- caps and calendars


def test_a_cap_knows_where_it_is_written():
    written = {"usd_per_day": 2.5, "requests_per_run": 40}
    assert read_caps(written, key="targets.t.budget", target="t") == (
        Cap(key="targets.t.budget.usd_per_day", amount=Amount.USD, period=Period.DAY, limit=2.5, target="t"),
        Cap(key="targets.t.budget.requests_per_run", amount=Amount.REQUESTS, period=Period.RUN, limit=40, target="t"),
    )


@pytest.mark.parametrize(
    ("period", "at", "since", "until"),
    [
        (Period.DAY, "2026-03-02T00:00:00+00:00", "2026-03-02", "2026-03-03"),
        (Period.DAY, "2026-03-02T23:59:59.999999+00:00", "2026-03-02", "2026-03-03"),
        (Period.DAY, "2026-03-02T23:30:00-05:00", "2026-03-03", "2026-03-04"),
        (Period.MONTH, "2026-12-31T23:00:00+00:00", "2026-12-01", "2027-01-01"),
        (Period.MONTH, "2026-01-31T12:00:00+00:00", "2026-01-01", "2026-02-01"),
        (Period.MONTH, "2028-02-29T12:00:00+00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_days_and_months_are_those_of_utc(period, at, since, until):
    midnights = tuple(datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (since, until))
    assert bounds(period, datetime.fromisoformat(at)) == midnights


@pytest.mark.parametrize(
    ("amount", "value", "said"),
    [
        (Amount.USD, 12.5, "$12.50"),
        (Amount.USD, 0.00031, "$0.0003"),
        (Amount.USD, 0.5, "$0.50"),
        (Amount.TOKENS, 12_345, "12,345 tokens"),
        (Amount.REQUESTS, 1, "1 request"),
    ],
)
def test_an_amount_reads_as_a_person_would_write_it(amount, value, said):
    assert Cap(key="k", amount=amount, period=Period.DAY, limit=1).in_words(value) == said


# ---------------------------------------------------------------- what is expected


def test_what_was_measured_stands_in_the_place_of_the_upper_bound():
    guess = expectation(price=PRICE)
    known = expectation(price=PRICE, measured={"core/a": Tokens(input=90.0, output=3.0)})
    assert guess.spending({"core/a": 2}).tokens == 2 * (104 + 96)
    assert known.spending({"core/a": 2}).tokens == 2 * 93
    assert known.spending({"core/a": 2}).usd == pytest.approx(2 * (90 + 2 * 3))
    assert known.spending({"core/b": 1}).tokens == 200


def test_the_most_is_never_less_than_what_is_expected():
    long_winded = expectation(measured={"core/a": Tokens(input=900.0, output=500.0)})
    for known in (expectation(), long_winded):
        for asked in (A, B):
            most, expected = known.most(asked), known.tokens(asked)
            assert most.input >= expected.input
            assert most.output >= expected.output
    assert long_winded.most(B).output == 96


def test_a_reply_that_nothing_bounds_is_taken_to_be_ten_times_as_long_at_most():
    free = Expectation(target=replace(TARGET, parameters={}), price=None, measured={})
    assert (free.tokens(A).output, free.most(A).output) == (300, 3000)


# ---------------------------------------------------------------- what is charged


def test_what_a_reply_reports_is_what_it_costs_its_cache_included():
    cached = replace(PRICE, cached_usd=100_000.0)
    reply = ended(input_tokens=100, output_tokens=10, cached_tokens=80)
    assert expectation(price=PRICE).charge(reply).usd == pytest.approx(100 + 20)
    assert expectation(price=cached).charge(reply).usd == pytest.approx(20 + 80 * 0.1 + 20)
    assert expectation(price=cached).charge(reply).tokens == 110, "tokens are tokens, however cheap"


def test_more_read_from_a_cache_than_was_sent_is_not_paid_for():
    reply = ended(input_tokens=100, output_tokens=10, cached_tokens=2**31 - 1)
    assert expectation(price=replace(PRICE, cached_usd=100_000.0)).charge(reply).usd == pytest.approx(100 * 0.1 + 20)


ABSURD = 2**31 - 1


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": ABSURD, "output_tokens": 5},
        {"input_tokens": 10, "output_tokens": ABSURD},
        {"input_tokens": 10, "output_tokens": 100_001},
        {"input_tokens": ABSURD, "output_tokens": None},
    ],
)
def test_a_count_that_cannot_be_true_is_charged_as_the_most_that_is_expected(counts):
    asked = expectation(price=PRICE)
    assert asked.charge(ended(**counts)) == asked.spending({"core/a": 1}, at_most=True)


def test_a_count_is_believed_up_to_ten_times_the_most_that_is_allowed_and_as_far_as_models_think():
    told = ended(input_tokens=100_000, output_tokens=100_000)
    assert expectation().charge(told).tokens == 200_000, "a server may overlook max_tokens"
    essays = Expectation(target=replace(TARGET, parameters={"max_tokens": 20_000}), price=None, measured={})
    assert essays.is_credible(ended(output_tokens=200_000))
    assert not essays.is_credible(ended(output_tokens=200_001))


def test_an_absurd_count_makes_no_other_credible():
    fooled = expectation(measured={"core/a": Tokens(input=10.0, output=float(ABSURD))})
    assert not fooled.is_credible(ended(output_tokens=ABSURD))


def test_counts_that_nobody_believes_are_logged_once_a_run():
    asked = purse(tokens=5_000)
    with capture_logs() as logs:
        for _ in range(3):
            assert asked.take(A) is None
            asked.settle(ended(output_tokens=ABSURD))
    [line] = logs
    assert (line["event"], line["log_level"], line["target"]) == ("budget.count_distrusted", "warning", "t")
    assert (line["canary"], line["output_tokens"], line["counted_tokens"]) == ("core/a", ABSURD, 416 + 96)
    assert asked.spent.tokens == 3 * (416 + 96)


@pytest.mark.parametrize(
    ("completion", "tokens"),
    [
        (ended(input_tokens=None, output_tokens=None), 200),
        (ended(outcome=Outcome.TIMEOUT), 200),
        (ended(outcome=Outcome.CUT_OFF), 200),
        (ended(outcome=Outcome.CUT_OFF, input_tokens=9, output_tokens=4), 13),
        (ended(outcome=Outcome.RATE_LIMITED, attempts=3), 0),
        (ended(outcome=Outcome.UNAVAILABLE), 0),
        (ended(outcome=Outcome.UNAVAILABLE, reply_began=True), 200),
        (ended(outcome=Outcome.REJECTED), 0),
        (ended(outcome=Outcome.TIMEOUT, attempts=0), 0),
    ],
    ids=[
        "untold",
        "timeout",
        "cut off",
        "cut off and told",
        "rate limited",
        "unavailable",
        "broke off",
        "rejected",
        "never sent",
    ],
)
def test_what_may_be_billed_and_is_not_told_counts_as_expected(completion, tokens):
    charged = expectation(price=PRICE).charge(completion)
    assert (charged.requests, charged.tokens) == (completion.attempts, tokens)
    assert (charged.usd > 0) == (tokens > 0)


# ---------------------------------------------------------------- the purse


def test_requests_are_counted_to_the_last_attempt():
    asked = purse(requests=3)
    assert [asked.take(A), asked.take(A), asked.take(B)] == [None, None, None]
    assert asked.take(B) == "stopped by the budget: enough requests"
    asked.settle(ended(attempts=2))
    assert asked.take(A) is not None, "what was sent stays sent"
    assert asked.spent.requests == 3


def test_tokens_in_flight_count_as_expected_until_the_reply_tells():
    asked = purse(tokens=430)
    assert [asked.take(A), asked.take(A)] == [None, None]
    assert asked.take(B) == "stopped by the budget: enough tokens"
    asked.settle(ended())
    assert asked.take(B) is None, "the reply was shorter than it might have been"
    assert asked.spent.tokens == 15 + 2 * 200


def test_a_failure_that_is_asked_again_is_not_paid_twice():
    asked = purse({"core/a": 1}, usd=300.0, price=PRICE)
    assert [asked.take(A) for _ in range(3)] == [None, None, None]
    asked.settle(ended(attempts=3))
    assert asked.spent.usd == pytest.approx(10 + 2 * 5)


def test_what_is_not_asked_costs_nothing_and_is_no_failure_of_the_endpoint():
    asked = purse(requests=0)
    kept = ended(outcome=Outcome.NOT_ASKED, attempts=0, error=asked.take(A))
    asked.settle(kept)
    assert is_stopped(kept)
    assert asked.spent.requests == 0
    assert not is_stopped(replace(kept, error="the limit on repeated requests was reached"))
    assert not is_stopped(ended(outcome=Outcome.RATE_LIMITED, error=f"429; {STOPPED}: enough"))


@given(seed=st.integers(0, 10_000), cap=st.integers(0, 12), tokens=st.integers(0, 2_000), usd=st.integers(0, 2_000))
def test_no_order_of_requests_replies_and_retries_exceeds_a_cap_by_more_than_is_in_flight(seed, cap, tokens, usd):
    chance = random.Random(seed)
    asks = {"core/a": chance.randint(1, 6), "core/b": chance.randint(0, 6)}
    asked = purse(asks, price=PRICE, requests=cap, tokens=tokens, usd=usd)
    waiting = [(canary, 0) for canary in (A, B) for _ in range(asks[canary.id])]
    in_flight: list[tuple[Canary, int]] = []
    sent, paid_tokens, paid_usd, excess_tokens, excess_usd = 0, 0, 0.0, 0, 0.0
    while waiting or in_flight:
        if waiting and (not in_flight or chance.random() < 0.6):
            canary, attempts = waiting.pop(chance.randrange(len(waiting)))
            why = asked.take(canary)
            if why is None:
                sent += 1
                in_flight.append((canary, attempts + 1))
                # Whatever was longer than expected has been seen: only what is in flight now can be beyond the cap.
                excess_tokens, excess_usd = 0, 0.0
            else:
                outcome = Outcome.RATE_LIMITED if attempts else Outcome.NOT_ASKED
                asked.settle(ended(canary, outcome, attempts=attempts, error=why))
            continue
        canary, attempts = in_flight.pop(chance.randrange(len(in_flight)))
        if attempts < 3 and chance.random() < 0.3:
            waiting.append((canary, attempts))
            continue
        told_in, told_out = chance.randint(1, 160), chance.randint(0, 160)
        asked.settle(ended(canary, attempts=attempts, input_tokens=told_in, output_tokens=told_out))
        paid_tokens += told_in + told_out
        paid_usd += told_in + 2 * told_out
        excess_tokens += max(0, told_in + told_out - 200)
        excess_usd += max(0.0, told_in + 2 * told_out - (104 + 2 * 96))
        assert asked.spent.requests == sent <= cap
        assert paid_tokens <= tokens + excess_tokens
        assert paid_usd <= usd + excess_usd + 1e-6
    assert asked.spent.tokens == paid_tokens
    assert asked.spent.usd == pytest.approx(paid_usd)
