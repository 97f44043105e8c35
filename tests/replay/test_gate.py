"""The gate slows down when the endpoint is overloaded, speeds up when it is not, and stays shut when it is asked to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.clock import SimulatedClock, stopwatch
from driftwatch.domain import Completion, Outcome
from driftwatch.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable, RateLimited
from driftwatch.replay import Gate, Limits, SimulatedTime
from driftwatch.replay.gate import (
    FIRST_PAUSE_S,
    GIVEN_UP_AFTER,
    LONGEST_HOLD_S,
    LONGEST_PAUSE_S,
    RUNS_PER_PLACE,
    START,
    Held,
)

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 23, tzinfo=UTC)
OVERLOADS = [
    RateLimited("429", outcome=Outcome.RATE_LIMITED),
    ProviderUnavailable("529", outcome=Outcome.UNAVAILABLE, is_overload=True),
]


class Driver:
    """Sends and ends requests through a gate one by one."""

    def __init__(self, gate, target):
        self.gate, self.target = gate, target

    async def send(self, n=1, left_s=1e9):
        canary = self.target.canaries[0]
        return [await self.gate.admit(self.target, canary, left_s=lambda: left_s) for _ in range(n)]

    def answer(self, *tickets, **said):
        for ticket in tickets:
            completion = Completion(
                canary_id=ticket.canary_id, canary_hash="h", repeat=0, outcome=Outcome.OK, at=AT, latency_s=0.1, **said
            )
            self.gate.answered(ticket, completion, now=AT)

    def fail(self, error, *tickets):
        for ticket in tickets:
            self.gate.failed(ticket, error, now=AT)

    async def rounds(self, n):
        """So many roundfuls of replies."""
        for _ in range(n):
            self.answer(*await self.send(self.gate.allowed))


@pytest.fixture
def drive(target, fake_time):
    def drive(concurrency=32, **limits) -> Driver:
        return Driver(Gate(concurrency, limits=Limits(**limits), timing=fake_time), target)

    return drive


# ---------------------------------------------------------------- places


async def test_a_gate_begins_gently_and_never_above_what_is_configured(drive):
    assert drive(3).gate.allowed == 3
    assert drive(200).gate.allowed == START


async def test_replies_open_it_up_to_what_is_configured_and_no_further(drive):
    driver = drive(32)
    await driver.rounds(10)
    assert driver.gate.allowed == 32


async def test_it_does_not_grow_while_its_places_are_not_used(drive):
    driver = drive(32)
    for _ in range(200):
        driver.answer(*await driver.send(START // 2 - 1))
    assert driver.gate.allowed == START


@pytest.mark.parametrize("error", OVERLOADS)
async def test_an_overload_halves_it(error, drive):
    driver = drive(32)
    await driver.rounds(10)
    driver.fail(error, *await driver.send())
    assert driver.gate.allowed == 16


@pytest.mark.parametrize(
    "error",
    [
        ProviderTimeout("slow", outcome=Outcome.TIMEOUT),
        ProviderRejected("no", outcome=Outcome.REJECTED),
        ProviderUnavailable("500", outcome=Outcome.UNAVAILABLE),
        None,
    ],
)
async def test_other_failures_leave_it_as_it_is(error, drive):
    driver = drive(8)
    driver.fail(error, *await driver.send())
    assert (driver.gate.allowed, driver.gate.in_flight) == (8, 0)


async def test_requests_in_flight_together_halve_it_once(drive):
    driver = drive(8)
    driver.fail(OVERLOADS[0], *await driver.send(8))
    assert driver.gate.allowed == 4
    driver.fail(OVERLOADS[0], *await driver.send(4))
    assert driver.gate.allowed == 2


async def test_it_never_shuts_for_good(drive, fake_time):
    driver = drive(8)
    for _ in range(10):
        driver.fail(OVERLOADS[0], *await driver.send())
        fake_time.t += LONGEST_PAUSE_S
    assert driver.gate.allowed == 1
    driver.answer(*await driver.send())
    assert driver.gate.allowed == 2


async def test_after_an_overload_it_grows_by_one_with_each_roundful(drive):
    driver = drive(32)
    await driver.rounds(10)
    driver.fail(OVERLOADS[0], *await driver.send())
    sizes = [driver.gate.allowed]
    in_flight = await driver.send(16)
    for _ in range(3):
        for _ in range(driver.gate.allowed):
            # As under load: a place that is left is taken again at once.
            driver.answer(in_flight.pop(0))
            in_flight += await driver.send(driver.gate.allowed - driver.gate.in_flight)
        sizes.append(driver.gate.allowed)
    assert sizes == [16, 17, 18, 19]


async def test_a_narrowed_gate_lets_those_in_flight_end_and_nobody_in(drive):
    driver = drive(8)
    tickets = await driver.send(8)
    driver.fail(OVERLOADS[0], tickets[0])
    waiting = asyncio.create_task(driver.send())
    driver.answer(*tickets[1:4])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (driver.gate.in_flight, waiting.done()) == (4, False)
    driver.answer(tickets[4])
    await waiting
    assert driver.gate.in_flight == 4


async def test_whoever_gives_up_waiting_takes_no_place(drive):
    driver = drive(1)
    (ticket,) = await driver.send()
    waiting = [asyncio.create_task(driver.send()) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    waiting[1].cancel()
    driver.answer(ticket)
    ((last,),) = [await waiting[2]]
    assert driver.gate.in_flight == 1
    driver.answer(last)
    assert driver.gate.in_flight == 0


# ---------------------------------------------------------------- Retry-After


def busy(retry_after_s: float) -> ProviderError:
    return RateLimited("slow down", outcome=Outcome.RATE_LIMITED, retry_after_s=retry_after_s)


async def test_a_retry_after_holds_back_everybody(drive, fake_time):
    driver = drive()
    began = fake_time.t
    first, second = await driver.send(2)
    driver.fail(busy(30), first)
    await driver.send()
    assert fake_time.t - began == 30
    driver.answer(second)


async def test_a_hold_that_grows_while_it_is_waited_for_is_waited_for_whole(drive, fake_time):
    driver = drive()
    began = fake_time.t
    first, second = await driver.send(2)
    driver.fail(busy(10), first)

    async def fail_later():
        await fake_time.sleep(5)
        driver.fail(busy(60), second)

    await asyncio.gather(driver.send(), fail_later())
    assert fake_time.t - began == 65


async def test_what_would_be_held_beyond_its_run_is_refused_at_once(drive, fake_time):
    driver = drive()
    driver.fail(busy(600), *await driver.send())
    with pytest.raises(Held, match="wish to be left alone for another 600 s"):
        await driver.send(left_s=60)
    assert fake_time.slept == []


async def test_a_mistaken_header_does_not_keep_it_shut_for_years(drive, fake_time):
    driver = drive()
    began = fake_time.t
    driver.fail(busy(1e9), *await driver.send())
    await driver.send()
    assert fake_time.t - began == LONGEST_HOLD_S


async def test_a_retry_after_of_what_is_not_retried_holds_nobody(drive, fake_time):
    driver = drive()
    driver.fail(ProviderRejected("no", outcome=Outcome.QUOTA, retry_after_s=600), *await driver.send())
    await driver.send()
    assert fake_time.slept == []


# ---------------------------------------------------------------- overloads without one


@pytest.mark.parametrize("error", [*OVERLOADS, busy(0)])
async def test_an_overload_that_says_nothing_shuts_it_for_everybody_and_longer_each_time(error, drive, fake_time):
    driver = drive()
    waited = []
    for _ in range(GIVEN_UP_AFTER - 1):
        driver.fail(error, *await driver.send())
        assert driver.gate.is_held
        began = fake_time.t
        driver.gate.give_back(*await driver.send())
        waited.append(fake_time.t - began)
    assert waited == [1, 2, 4, 8]
    assert waited[0] == FIRST_PAUSE_S
    assert not driver.gate.is_held


async def test_after_overloads_in_a_row_those_in_line_are_sent_away_until_the_pause_is_over(drive, fake_time):
    driver = drive()
    for _ in range(GIVEN_UP_AFTER - 1):
        driver.fail(OVERLOADS[0], *await driver.send())
    driver.fail(OVERLOADS[0], *await driver.send())
    for _ in range(2):
        with pytest.raises(Held, match=r"^the endpoint was overloaded \d times in a row$"):
            await driver.send()
        fake_time.t += LONGEST_PAUSE_S
        # An outage costs one request a pause, and its end is found by one.
        (asked,) = await driver.send()
        driver.fail(OVERLOADS[0], asked)
    fake_time.t += LONGEST_PAUSE_S
    driver.answer(*await driver.send())
    assert len(await driver.send(2)) == 2


async def test_a_reply_makes_the_next_pause_short_again_unless_it_was_sent_before_the_overload(drive, fake_time):
    driver = drive()
    first, second, third = await driver.send(3)
    driver.fail(OVERLOADS[0], first, second)
    driver.answer(third)
    driver.fail(OVERLOADS[0], *await driver.send())
    (fourth,) = await driver.send()
    assert fake_time.slept == [1, 2], "the two in flight together are one overload"
    driver.answer(fourth)
    driver.fail(OVERLOADS[0], *await driver.send())
    await driver.send()
    assert fake_time.slept == [1, 2, 1]


async def test_a_pause_beyond_its_run_is_named_for_what_it_is(drive):
    driver = drive()
    driver.fail(OVERLOADS[0], *await driver.send())
    with pytest.raises(Held, match="a pause of another 1 s for an overloaded endpoint"):
        await driver.send(left_s=0.5)


async def test_other_failures_pause_nobody(drive, fake_time):
    driver = drive()
    driver.fail(ProviderUnavailable("500", outcome=Outcome.UNAVAILABLE), *await driver.send())
    await driver.send()
    assert (fake_time.slept, driver.gate.is_held) == ([], False)


# ---------------------------------------------------------------- rates


async def test_the_wait_for_a_rate_takes_nobody_s_place(drive, fake_time):
    driver = drive(8, requests_per_minute=60)
    began = fake_time.t
    (first,) = await driver.send()
    waiting = asyncio.create_task(driver.send())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert driver.gate.in_flight == 1
    await waiting
    assert fake_time.t - began == pytest.approx(1.0)
    driver.answer(first)


async def test_requests_leave_in_the_order_they_came(drive, fake_time):
    driver = drive(8, requests_per_minute=60)
    order = []

    async def send(number):
        await driver.send()
        order.append((number, fake_time.t - 1000))

    await asyncio.gather(*(send(number) for number in range(5)))
    assert order == [(number, pytest.approx(number)) for number in range(5)]


async def test_one_model_s_limit_does_not_hold_up_another_s_requests(drive, target, fake_time):
    driver = drive(8)
    (first,) = await driver.send()
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20"}
    driver.answer(first, headers=headers)
    waiting = asyncio.create_task(driver.send())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    other = type(target)(name="o", provider="openai", model="other", canaries=target.canaries)
    await driver.gate.admit(other, other.canaries[0], left_s=lambda: 1.0)
    assert not waiting.done()
    await waiting
    assert fake_time.t == 1020


async def test_a_failure_tells_of_limits_too(drive, fake_time):
    driver = drive(8)
    error = RateLimited("429", outcome=Outcome.RATE_LIMITED)
    error.headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7"}
    driver.fail(error, *await driver.send())
    await driver.send()
    assert fake_time.t == 1007


async def test_an_endpoint_that_counts_no_tokens_is_limited_by_what_was_expected(drive, fake_time):
    driver = drive(8, tokens_per_minute=6000)
    expected = driver.gate.rates.expected(driver.target, driver.target.canaries[0])
    began = fake_time.t
    for _ in range(11):
        driver.answer(*await driver.send())
    per_request_s = (expected.input_tokens + expected.output_tokens) / 100
    assert fake_time.t - began == pytest.approx(10 * per_request_s, rel=0.1)


async def test_a_request_that_was_refused_costs_no_tokens_and_one_that_timed_out_may_have(drive, fake_time):
    down = ProviderUnavailable("500", outcome=Outcome.UNAVAILABLE)
    broken_off = ProviderUnavailable("500", outcome=Outcome.UNAVAILABLE)
    broken_off.reply_began = True
    for error, waits in [(down, False), (broken_off, True), (ProviderTimeout("slow", outcome=Outcome.TIMEOUT), True)]:
        driver = drive(8, tokens_per_minute=60)
        slept = len(fake_time.slept)
        driver.fail(error, *await driver.send())
        await driver.send()
        assert (len(fake_time.slept) > slept) is waits


async def test_one_absurd_count_of_tokens_does_not_shut_it_for_days(drive, fake_time):
    driver = drive(8, tokens_per_minute=100_000)
    driver.answer(*await driver.send(), input_tokens=2**31 - 1, output_tokens=5)
    began = fake_time.t
    driver.answer(*await driver.send(), input_tokens=9, output_tokens=5)
    assert fake_time.t - began <= 62


# ---------------------------------------------------------------- runs


async def test_only_so_many_runs_are_half_finished_at_once(drive):
    gate = drive(2).gate
    at_once = most = 0

    async def run():
        nonlocal at_once, most
        async with gate.run(60.0):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(run() for _ in range(50)))
    assert most == 2 * RUNS_PER_PLACE


async def test_a_run_knows_how_long_ago_it_was_begun(drive, fake_time):
    async with drive(1).gate.run(60.0) as elapsed_s:
        await fake_time.sleep(7)
        assert elapsed_s() == 7


async def test_a_run_whose_turn_does_not_come_goes_on_without_one(drive):
    gate = drive(1).gate
    async with gate.run(60.0), gate.run(60.0):
        async with gate.run(0.01):
            pass
        assert gate._runs._value == 0
    assert gate._runs._value == RUNS_PER_PLACE


# ---------------------------------------------------------------- simulated time


async def test_simulated_waits_pass_at_once_and_move_the_gate_s_own_time(target):
    clock = SimulatedClock(AT)
    timing = SimulatedTime(clock)
    driver = Driver(Gate(8, timing=timing), target)
    began = timing.now_s()
    driver.fail(busy(600), *await driver.send())
    await driver.send()
    assert timing.now_s() - began == 600
    assert clock.now() == AT
    clock.jump(AT + timedelta(hours=1))
    assert timing.now_s() - began == 4200


@pytest.mark.parametrize("per_minute", [60, 97, 100, 120, 600])
async def test_no_rounding_error_makes_a_simulation_wait_for_ever(per_minute, target):
    timing = SimulatedTime(SimulatedClock(AT))
    began = timing.now_s()
    driver = Driver(Gate(1, limits=Limits(requests_per_minute=per_minute), timing=timing), target)
    async with asyncio.timeout(20):
        for _ in range(1000):
            driver.answer(*await driver.send())
    assert timing.now_s() - began == pytest.approx(1000 * 60 / per_minute, rel=0.02)


async def test_in_real_time_a_hold_is_slept_through(target):
    driver = Driver(Gate(8), target)
    elapsed_s = stopwatch()
    driver.fail(busy(0.05), *await driver.send())
    await driver.send()
    assert elapsed_s() >= 0.04
    assert driver.gate._alarm is None
