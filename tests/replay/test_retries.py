"""A failure is asked again as often as it is allowed to be: by request, by run, by hour; and never before its time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.domain import Outcome
from driftwatch.errors import (
    ProviderConnection,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from driftwatch.replay import Gate, Limits, RetryPolicy, replay
from driftwatch.replay.retries import FIRST_WAIT_S, PER_HOUR, back_off_s

pytestmark = pytest.mark.anyio


@pytest.fixture
def gate(fake_time) -> Gate:
    return Gate(8, timing=fake_time)


@pytest.fixture
def run(target, puppet, gate, at):
    async def run(**changed):
        arguments = {"at": at, "gate": gate, "retry": RetryPolicy(attempts=3), "deadline_s": 3000.0} | changed
        return await replay(arguments.pop("target", target), puppet, **arguments)

    return run


def always(error: Exception):
    async def behave(*_: object) -> None:
        raise error

    return behave


def limited(retry_after_s=None):
    return RateLimited("slow down", outcome=Outcome.RATE_LIMITED, retry_after_s=retry_after_s)


def refused():
    return ProviderConnection("refused", outcome=Outcome.CONNECTION)


def tell(completions):
    return {(c.outcome, c.attempts) for c in completions}


# ---------------------------------------------------------------- by request

RETRYABLE = [
    limited(0.0),
    limited(),
    refused(),
    ProviderUnavailable("503", outcome=Outcome.UNAVAILABLE, retry_after_s=0.0),
]


@pytest.mark.parametrize("error", RETRYABLE)
async def test_a_transport_failure_is_asked_again_and_the_attempts_are_counted(error, run, target, puppet):
    async def twice(canary, repeat, attempt):
        if attempt <= 2:
            raise error

    generous = RetryPolicy(attempts=3, least=100)
    alone = replace(target, canaries=target.canaries[:1])  # several would make it an outage
    puppet.behave = twice
    recovered = await run(retry=generous, target=alone)
    puppet.behave = always(error)
    puppet.asked.clear()
    given_up = await run(retry=generous, target=alone)

    assert tell(recovered) == {(Outcome.OK, 3)}
    assert tell(given_up) == {(error.outcome, 3)}
    assert {c.error for c in given_up} == {str(error)}
    assert len(puppet.asked) == 3


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_no_request_is_sent_more_often_than_its_attempts(attempts, run, puppet):
    puppet.behave = always(refused())
    await run(retry=RetryPolicy(attempts=attempts, least=1000))
    assert set(Counter(puppet.asked).values()) == {attempts}


@pytest.mark.parametrize(
    "error",
    [
        ProviderTimeout("slow", outcome=Outcome.TIMEOUT),
        ProviderRejected("no", outcome=Outcome.REJECTED),
        ProviderRejected("no credit", outcome=Outcome.QUOTA, retry_after_s=1.0),
    ],
)
async def test_what_asking_again_does_not_change_is_asked_once(error, run, puppet):
    puppet.behave = always(error)
    assert tell(await run()) == {(error.outcome, 1)}


async def test_a_reply_that_had_begun_is_not_paid_for_twice(run, puppet):
    overloaded = ProviderUnavailable("overloaded", outcome=Outcome.UNAVAILABLE, is_overload=True)
    overloaded.reply_began = True
    puppet.behave = always(overloaded)
    assert tell(await run()) == {(Outcome.UNAVAILABLE, 1)}


async def test_a_failure_keeps_the_request_id_and_the_headers_of_its_last_attempt(run, puppet):
    async def fail(canary, repeat, attempt):
        error = refused()
        error.request_id, error.headers = f"request-{attempt}", {"retry-after": "1"}
        raise error

    puppet.behave = fail
    got = await run(retry=RetryPolicy(attempts=2))
    assert {(c.request_id, c.headers["retry-after"]) for c in got} == {("request-2", "1")}


# ---------------------------------------------------------------- by run


async def test_a_run_repeats_a_share_of_its_requests_at_most_and_says_when_it_is_used_up(run, target, puppet):
    puppet.behave = always(refused())
    got = await run(target=replace(target, repeats=50), retry=RetryPolicy(attempts=5, share=0.2, least=10))
    assert len(got) == 300
    assert len(puppet.asked) == 300 + 60
    assert {c.outcome for c in got} == {Outcome.CONNECTION}
    ended = [c.error for c in got if "not asked again" in c.error]
    assert set(ended) == {"refused; not asked again: the run's 60 retries are used up"}
    assert sum(c.attempts for c in got) == 360


async def test_a_small_run_has_a_few_retries_all_the_same(run, puppet):
    puppet.behave = always(refused())
    await run(retry=RetryPolicy(attempts=5, share=0.0, least=4))
    assert len(puppet.asked) == 6 + 4


# ---------------------------------------------------------------- by hour


async def test_runs_together_repeat_no_more_than_an_hour_allows(run, target, puppet, at, fake_time):
    puppet.behave = always(refused())
    n_runs = 100
    for number in range(n_runs):
        await run(at=at + timedelta(minutes=number), retry=RetryPolicy(attempts=3, least=12))
    retries = len(puppet.asked) - n_runs * 6
    hours = (fake_time.t - 1000) / 3600
    assert PER_HOUR <= retries <= PER_HOUR * (1 + hours) + 1
    last = await run(at=at + timedelta(days=1))
    assert f"refused; not asked again: the endpoint's {PER_HOUR} retries an hour are used up" in {c.error for c in last}

    fake_time.t += 3600
    puppet.asked.clear()
    await run(at=at + timedelta(days=2), retry=RetryPolicy(attempts=3, least=12))
    assert len(puppet.asked) == 6 + 12


# ---------------------------------------------------------------- when


async def test_a_retry_after_is_kept_to_however_long_it_is(run, puppet, fake_time):
    sent_at = []

    async def once(canary, repeat, attempt):
        sent_at.append(fake_time.t)
        if len(sent_at) == 1:
            raise limited(900.0)

    puppet.behave = once
    got = await run(gate=Gate(1, timing=fake_time), retry=RetryPolicy(max_wait_s=1.0))
    assert all(c.is_ok for c in got)
    assert [later - 1000 for later in sent_at[:2]] == [0, 900]
    assert len(sent_at) == 7


async def test_a_retry_after_beyond_the_run_is_not_waited_for_and_keeps_the_true_outcome(run, puppet, fake_time):
    puppet.behave = always(limited(900.0))
    got = await run(gate=Gate(1, timing=fake_time), deadline_s=600.0)

    asked = [c for c in got if c.attempts]
    assert [(c.outcome, c.error) for c in asked] == [
        (Outcome.RATE_LIMITED, "slow down; the run's limit of 600 s leaves no time to ask again")
    ]
    others = [c for c in got if not c.attempts]
    assert {c.outcome for c in others} == {Outcome.NOT_ASKED}
    assert {c.error for c in others} == {
        "not asked: the endpoint's wish to be left alone for another 900 s leaves no time for it"
    }
    assert fake_time.slept == []


async def test_one_target_s_retry_after_holds_back_the_others_of_its_gate(run, target, puppet, fake_time):
    sent = []

    async def once(canary, repeat, attempt):
        sent.append(fake_time.t - 1000)
        if len(sent) == 1:
            raise limited(120.0)

    puppet.behave = once
    gate = Gate(1, timing=fake_time)
    await run(gate=gate, target=replace(target, canaries=target.canaries[:1]), retry=RetryPolicy(attempts=1))
    await run(gate=gate, target=replace(target, name="other", canaries=target.canaries[:1]))
    assert sent == [0, 120]


@pytest.mark.parametrize("asked_for_s", [0.0, 0.01])
async def test_an_endpoint_that_asks_for_no_wait_is_not_asked_again_at_once(
    asked_for_s, run, target, puppet, fake_time
):
    unavailable = ProviderUnavailable("503", outcome=Outcome.UNAVAILABLE, retry_after_s=asked_for_s)
    puppet.behave = always(unavailable)
    await run(target=replace(target, canaries=target.canaries[:1]))
    first, second = (wait_s for wait_s in fake_time.slept if wait_s > asked_for_s)
    assert FIRST_WAIT_S / 2 <= first <= FIRST_WAIT_S <= second <= 2 * FIRST_WAIT_S


async def test_few_are_refused_by_an_endpoint_that_counts_by_the_second_and_says_nothing(
    run, target, puppet, fake_time
):
    level, since = 5.0, fake_time.t

    async def limit(*_):
        nonlocal level, since
        level, since = min(5.0, level + 5 * (fake_time.t - since)), fake_time.t
        if level < 1:
            raise limited()
        level -= 1
        await fake_time.sleep(0.2)

    puppet.behave = limit
    got = await run(target=replace(target, repeats=10))
    assert sum(not c.is_ok for c in got) <= 0.1 * len(got)


async def test_the_back_off_doubles_and_never_passes_its_bound():
    waits = [back_off_s(attempt, 60.0, seed="x") for attempt in range(1, 20)]
    for attempt, wait_s in enumerate(waits, 1):
        whole = min(60.0, FIRST_WAIT_S * 2 ** (attempt - 1))
        assert whole / 2 <= wait_s <= whole


async def test_requests_that_fail_together_do_not_come_back_together_but_as_they_did_the_last_time():
    first = [back_off_s(1, 60.0, seed=f"request {i}") for i in range(200)]
    assert first == [back_off_s(1, 60.0, seed=f"request {i}") for i in range(200)]
    quarters = Counter(int((wait_s / FIRST_WAIT_S - 0.5) * 8) for wait_s in first)
    assert all(30 <= quarters[quarter] <= 70 for quarter in range(4))


async def test_a_back_off_beyond_the_deadline_is_not_begun_and_keeps_the_true_outcome(run, puppet, fake_time):
    puppet.behave = always(refused())
    got = await run(deadline_s=0.2)
    assert {c.error for c in got} == {"refused; the run's limit of 0.2 s leaves no time to ask again"}
    assert fake_time.slept == []


async def test_a_deadline_that_passes_while_a_retry_waits_in_line_keeps_the_true_outcome(
    run, target, puppet, fake_time
):
    async def once(canary, repeat, attempt):
        if attempt == 1:
            raise refused()

    puppet.behave = once
    gate = Gate(8, timing=fake_time, limits=Limits(requests_per_minute=1))
    (got,) = await run(gate=gate, target=replace(target, canaries=target.canaries[:1]), deadline_s=30.0)
    assert (got.outcome, got.attempts) == (Outcome.CONNECTION, 1)
    assert got.error == "refused; the configured limit of 1 requests a minute leaves no time for it"


# ---------------------------------------------------------------- the rates and the run


async def test_a_configured_rate_is_kept_to_over_a_run_and_counts_towards_its_deadline(run, puppet, fake_time):
    sent = []

    async def note(*_):
        sent.append(fake_time.t - 1000)

    puppet.behave = note
    gate = Gate(8, timing=fake_time, limits=Limits(requests_per_minute=6))
    got = await run(gate=gate, deadline_s=25.0)
    assert sent == [0, pytest.approx(10), pytest.approx(20)]
    assert Counter(c.outcome for c in got) == {Outcome.OK: 3, Outcome.NOT_ASKED: 3}
    assert {c.latency_s for c in got if c.attempts == 0} == {0.0}
    assert all(c.latency_s < 1 for c in got), "the wait is ours, not the endpoint's"


async def test_what_was_waited_before_counts_towards_the_deadline_too(run, puppet):
    got = await run(deadline_s=25.0, waited_s=25.0)
    assert puppet.asked == []
    assert {(c.outcome, c.error) for c in got} == {
        (Outcome.TIMEOUT, "not asked: the run's limit of 25 s was over first")
    }


# ---------------------------------------------------------------- the allowance


class Purse:
    """Allows so many attempts."""

    def __init__(self, n):
        self.n, self.settled = n, []

    def take(self, _canary):
        if self.n == 0:
            return "the budget of 3 requests a run is used up"
        self.n -= 1
        return None

    def settle(self, completion):
        self.settled.append(completion)


async def test_what_the_allowance_refuses_is_not_asked_and_says_why(run, puppet):
    purse = Purse(4)
    got = await run(allowance=purse)
    assert len(puppet.asked) == 4
    assert Counter(c.outcome for c in got) == {Outcome.OK: 4, Outcome.NOT_ASKED: 2}
    refused = [c for c in got if c.outcome is Outcome.NOT_ASKED]
    assert {(c.attempts, c.error) for c in refused} == {(0, "the budget of 3 requests a run is used up")}
    assert sorted(purse.settled, key=lambda c: c.canary_id) == sorted(got, key=lambda c: c.canary_id)


async def test_every_attempt_is_taken_from_the_allowance_and_a_refused_retry_keeps_the_failure(run, target, puppet):
    puppet.behave = always(refused())
    purse = Purse(2)
    (got,) = await run(allowance=purse, target=replace(target, canaries=target.canaries[:1]))
    assert (got.outcome, got.attempts) == (Outcome.CONNECTION, 2)
    assert got.error == "refused; the budget of 3 requests a run is used up"


async def test_a_refusal_leaves_the_gate_as_it_was(run, gate):
    await run(allowance=Purse(0))
    assert gate.in_flight == 0
    assert all(c.is_ok for c in await run())


async def test_an_allowance_that_breaks_leaves_no_place_taken(run, gate):
    class Broken(Purse):
        def take(self, _canary):
            raise RuntimeError("no ledger")

    got = await run(allowance=Broken(9))
    assert {c.outcome for c in got} == {Outcome.MALFORMED}
    assert gate.in_flight == 0


async def test_an_error_of_the_allowance_ends_the_run(run, puppet):
    class Broken(Purse):
        def settle(self, _completion):
            raise RuntimeError("no ledger")

    with pytest.raises(RuntimeError, match="no ledger"):
        await run(allowance=Broken(9))


# ---------------------------------------------------------------- memory


async def test_no_more_requests_wait_than_the_gate_could_take(run, target, puppet, fake_time):
    most = 0

    async def watch(*_):
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        await asyncio.sleep(0)

    puppet.behave = watch
    got = await run(target=replace(target, repeats=100), gate=Gate(2, timing=fake_time))
    assert len(got) == 600
    assert most <= 4 + 2


async def test_a_failure_of_any_kind_leaves_no_place_taken(run, puppet, gate):
    for error in [*RETRYABLE, ProviderError("x", outcome=Outcome.CUT_OFF), KeyError("bug")]:
        puppet.behave = always(error)
        await run()
        assert gate.in_flight == 0
