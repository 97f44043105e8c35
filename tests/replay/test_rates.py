"""Requests and tokens a minute are kept to, whether an operator or the endpoint sets them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftwatch.domain import Canary, Message, Target
from driftwatch.replay.headers import Told, Unit
from driftwatch.replay.quotas import DOUBTED_AFTER, LONGEST_HINT_S, MOST_QUOTAS, Cost
from driftwatch.replay.rates import FIRST_OUTPUT_TOKENS, LONGEST_DEBT_S, Bucket, Limits, Rates


class Clock:
    t = 50.0

    def __call__(self) -> float:
        return self.t


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sent_within(rates: Rates, clock: Clock, seconds: float, cost: Cost, *, used: Cost | None = None) -> int:
    """How many requests one after the other go out in so much time."""
    end, n = clock.t + seconds, 0
    while True:
        wait_s, _ = rates.wait_s("m", cost)
        clock.t += wait_s
        if clock.t >= end:
            return n
        rates.take("m", cost)
        rates.settle("m", cost, used or cost, ())
        n += 1


def told(remaining, reset_s, *, limit=100.0, unit=Unit.REQUESTS, is_gradual=False) -> Told:
    return Told(name=unit.value, unit=unit, remaining=remaining, reset_s=reset_s, limit=limit, is_gradual=is_gradual)


# ---------------------------------------------------------------- the bucket


def test_a_bucket_fills_no_further_than_it_holds(clock):
    bucket = Bucket(1.0, 5.0, clock)
    clock.t += 1000
    bucket.take(5)
    assert bucket.wait_s(2) == pytest.approx(2.0)


def test_more_than_a_bucket_holds_may_be_taken_when_it_is_full_and_is_paid_for_after(clock):
    bucket = Bucket(1.0, 5.0, clock)
    assert bucket.wait_s(20) == 0
    bucket.take(20)
    assert bucket.wait_s(1) == pytest.approx(16.0)


def test_a_mistaken_count_costs_a_minute_and_is_given_back_as_it_was_taken(clock):
    bucket = Bucket(100.0, 100.0, clock)
    for _ in range(3):
        bucket.take(2**31 - 1)
    assert bucket.wait_s(0) == pytest.approx(LONGEST_DEBT_S)
    clock.t += LONGEST_DEBT_S + 1
    bucket.take(2**31 - 1)
    bucket.take(50, instead_of=2**31 - 1)
    assert bucket.wait_s(100) == pytest.approx(0.5)


# ---------------------------------------------------------------- as configured


@pytest.mark.parametrize("per_minute", [1, 10, 60, 90, 6000])
def test_no_minute_has_more_requests_than_configured(per_minute, clock):
    rates = Rates(Limits(requests_per_minute=per_minute), clock)
    burst = max(1, per_minute / 60)
    for _ in range(3):
        assert sent_within(rates, clock, 60, Cost()) <= per_minute + burst


def test_requests_are_spread_over_the_minute_and_not_sent_at_its_beginning(clock):
    rates = Rates(Limits(requests_per_minute=60), clock)
    assert sent_within(rates, clock, 10, Cost()) <= 11


def test_tokens_are_counted_as_they_turn_out_and_not_as_they_were_expected(clock):
    rates = Rates(Limits(tokens_per_minute=6000), clock)
    cost, used = Cost(1, 50, 50), Cost(1, 50, 950)
    n = sent_within(rates, clock, 600, cost, used=used)
    assert 58 <= n <= 61, "6,000 tokens a minute are 6 replies of 1,000"


def test_both_limits_hold_and_the_stricter_names_itself(clock):
    rates = Rates(Limits(requests_per_minute=600, tokens_per_minute=600), clock)
    rates.take("m", Cost(1, 10, 10))
    wait_s, reason = rates.wait_s("m", Cost(1, 10, 10))
    assert (wait_s, reason) == (pytest.approx(2.0), "the configured limit of 600 tokens a minute")


def test_without_limits_nothing_waits(clock):
    rates = Rates(Limits(), clock)
    for _ in range(1000):
        rates.take("m", Cost())
    assert rates.wait_s("m", Cost()) == (0.0, "")


def test_what_was_not_sent_is_given_back(clock):
    rates = Rates(Limits(requests_per_minute=1), clock)
    rates.take("m", Cost())
    assert rates.wait_s("m", Cost())[0] == pytest.approx(60)
    rates.give_back("m", Cost())
    assert rates.wait_s("m", Cost())[0] == 0


# ---------------------------------------------------------------- as the endpoint tells


def learned(clock, *tellings: Told) -> Rates:
    rates = Rates(Limits(), clock)
    rates.take("m", Cost())
    rates.settle("m", Cost(), Cost(), tellings)
    return rates


def test_a_window_that_is_used_up_is_waited_for(clock):
    rates = learned(clock, told(2, 30))
    rates.take("m", Cost())
    rates.take("m", Cost())
    assert rates.wait_s("m", Cost()) == (pytest.approx(30), "the endpoint's own limit (requests)")
    clock.t += 30
    assert rates.wait_s("m", Cost())[0] == 0


def test_a_limit_that_fills_gradually_is_waited_for_only_until_it_is_enough(clock):
    # 10 of 60 are used and come back in 10 s: one a second.
    rates = learned(clock, told(0, 60, limit=60, is_gradual=True))
    assert rates.wait_s("m", Cost())[0] == pytest.approx(1.0)
    clock.t += 1.0
    assert rates.wait_s("m", Cost())[0] == 0


def test_a_limit_by_the_day_that_is_used_up_is_left_to_a_429(clock):
    rates = learned(clock, told(0, LONGEST_HINT_S + 1))
    assert rates.wait_s("m", Cost())[0] == 0


def test_limits_of_one_model_do_not_hold_another(clock):
    rates = learned(clock, told(0, 30))
    assert rates.wait_s("m", Cost())[0] > 0
    assert rates.wait_s("other", Cost())[0] == 0


def test_requests_in_flight_are_not_counted_on_twice(clock):
    rates = Rates(Limits(), clock)
    for _ in range(4):
        rates.take("m", Cost())
    rates.settle("m", Cost(), Cost(), [told(4, 30)])
    # Three are under way, and the endpoint may not have seen them when it said four.
    rates.take("m", Cost())
    assert rates.wait_s("m", Cost())[0] == pytest.approx(30)


def test_the_latest_response_is_believed_over_the_ones_before(clock):
    rates = learned(clock, told(0, 30))
    rates.take("m", Cost())
    rates.settle("m", Cost(), Cost(), [told(50, 30)])
    assert rates.wait_s("m", Cost())[0] == 0


@pytest.mark.parametrize(
    ("unit", "waits"), [(Unit.INPUT, True), (Unit.OUTPUT, False), (Unit.TOKENS, True), (Unit.REQUESTS, False)]
)
def test_each_limit_counts_its_own_unit(unit, waits, clock):
    rates = learned(clock, told(20, 30, unit=unit, limit=1000.0))
    assert (rates.wait_s("m", Cost(1, 30, 5))[0] > 0) is waits


def test_a_request_larger_than_the_whole_limit_goes_out_when_it_is_whole(clock):
    rates = learned(clock, told(100, 30, unit=Unit.TOKENS, limit=100))
    assert rates.wait_s("m", Cost(1, 5000, 0))[0] == 0


def settle(rates, *tellings, **how):
    rates.take("m", Cost())
    rates.settle("m", Cost(), Cost(), tellings, **how)


def test_limits_that_are_over_are_forgotten_and_no_more_are_kept_than_vendors_tell(clock):
    rates = Rates(Limits(), clock)
    for response in range(100):
        settle(rates, *(replace(told(9, 1), name=f"{response}-{n}") for n in range(9)))
    assert len(rates._theirs["m"]) == MOST_QUOTAS
    clock.t += 1
    settle(rates, told(9, 1))
    assert len(rates._theirs["m"]) == 1


def empty_windows(rates, clock, n):
    """So many times: a wait until the limit is whole, and a reply that says that nothing is left."""
    for _ in range(n):
        wait_s, _ = rates.wait_s("m", Cost())
        assert wait_s == pytest.approx(60)
        clock.t += wait_s
        settle(rates, told(0, 60, limit=None))


def test_a_limit_that_is_told_to_be_used_up_by_every_reply_is_soon_waited_for_no_more(clock):
    rates = learned(clock, told(0, 60, limit=None))
    empty_windows(rates, clock, DOUBTED_AFTER)
    for _ in range(100):
        assert rates.wait_s("m", Cost())[0] == 0
        settle(rates, told(0, 60, limit=None))
        settle(rates)  # a failure without headers changes nothing


def test_replies_of_one_window_raise_no_doubt_however_many_say_that_nothing_is_left(clock):
    rates = learned(clock, told(0, 60, limit=None))
    for _ in range(3 * DOUBTED_AFTER):
        settle(rates, told(0, 60, limit=None))
    assert rates.wait_s("m", Cost())[0] == pytest.approx(60)


def test_a_limit_that_was_doubted_and_proves_right_is_believed_from_then_on(clock):
    rates = learned(clock, told(0, 60, limit=None))
    empty_windows(rates, clock, DOUBTED_AFTER)
    settle(rates, is_refusal=True)
    empty_windows(rates, clock, 3 * DOUBTED_AFTER)


def test_a_limit_that_was_not_empty_all_along_is_no_mistake(clock):
    rates = learned(clock, told(0, 60, limit=None))
    for _ in range(3):
        empty_windows(rates, clock, DOUBTED_AFTER - 1)
        settle(rates, told(5, 60, limit=None))
        settle(rates, told(0, 60, limit=None))


# ---------------------------------------------------------------- what a request will use


def test_a_canary_is_expected_to_use_what_it_used_last(clock):
    canary = Canary(id="core/a", suite="core", messages=(Message(role="user", content="x" * 400),))
    target = Target(name="t", provider="openai", model="m", canaries=(canary,), parameters={"max_tokens": 50})
    rates = Rates(Limits(), clock)

    assert rates.expected(target, canary) == Cost(1, 101, 50)
    rates.take("m", Cost())
    rates.settle("m", Cost(), Cost(1, 90, 7), (), canary_id="core/a")
    assert rates.expected(target, canary) == Cost(1, 90, 7)


def test_a_canary_without_a_bound_is_expected_to_answer_at_some_length(clock):
    canary = Canary(id="core/a", suite="core", messages=())
    target = Target(name="t", provider="openai", model="m", canaries=(canary,))
    assert Rates(Limits(), clock).expected(target, canary) == Cost(1, 1, FIRST_OUTPUT_TOKENS)
