"""A run asks every canary, within its bounds, and whatever happens is a completion."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from driftwatch.clock import stopwatch
from driftwatch.domain import Completion, Outcome
from driftwatch.errors import (
    ProviderConnection,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    RateLimited,
)
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.replay import Gate, RetryPolicy, replay

pytestmark = pytest.mark.anyio


@pytest.fixture
def run(target, puppet, at, fake_time):
    """Replay the target's canaries: ``await run()``; keywords replace the arguments."""

    async def run(**changed) -> tuple[Completion, ...]:
        gate = Gate(4, timing=fake_time)
        arguments = {"at": at, "gate": gate, "retry": RetryPolicy(attempts=3), "deadline_s": 30.0} | changed
        who, whom = arguments.pop("target", target), arguments.pop("provider", puppet)
        return await replay(who, whom, **arguments)

    return run


def always(error: Exception):
    async def behave(*_: object) -> None:
        raise error

    return behave


def limited(retry_after_s: float | None = 0.0) -> RateLimited:
    return RateLimited("slow down", outcome=Outcome.RATE_LIMITED, retry_after_s=retry_after_s)


# ---------------------------------------------------------------- what is asked


async def test_a_canary_with_repeats_of_its_own_is_asked_so_often_and_the_others_as_the_target_says(
    run, target
) -> None:
    first, *rest = target.canaries
    got = await run(target=replace(target, canaries=(replace(first, repeats=5), *rest), repeats=2))

    assert Counter(c.canary_id for c in got) == {first.id: 5, **{canary.id: 2 for canary in rest}}
    assert [c.repeat for c in got if c.canary_id == first.id] == [0, 1, 2, 3, 4]


async def test_whoever_says_how_often_comes_before_target_and_canary(run, target) -> None:
    canaries = tuple(replace(canary, repeats=5) for canary in target.canaries)
    got = await run(target=replace(target, canaries=canaries), repeats=1)
    assert {c.canary_id: c.repeat for c in got} == {canary.id: 0 for canary in canaries}

    asked = {canaries[0].id: 3, canaries[1].id: 0, canaries[2].id: 1}
    got = await run(target=replace(target, canaries=canaries), repeats=asked)
    assert Counter(c.canary_id for c in got) == {canaries[0].id: 3, canaries[2].id: 1}


async def test_every_canary_is_asked_once_and_completions_come_in_the_suite_s_order(run, target) -> None:
    got = await run()

    assert [c.canary_id for c in got] == [canary.id for canary in target.canaries]
    assert all(c.is_ok and c.attempts == 1 for c in got)


async def test_repeats_are_the_target_s_unless_told_otherwise(run, target) -> None:
    theirs = await run(target=replace(target, repeats=3))
    told = await run(target=replace(target, repeats=3), repeats=2)

    assert [(c.canary_id, c.repeat) for c in theirs] == [(k.id, i) for k in target.canaries for i in range(3)]
    assert len(told) == 12


async def test_a_target_without_canaries_has_an_empty_run(run, target) -> None:
    assert await run(target=replace(target, canaries=())) == ()


async def test_the_order_of_asking_is_fixed_by_target_and_time(run, puppet, target, at) -> None:
    orders = []
    for who, when in [(target, at), (target, at), (target, at + timedelta(hours=1)), (replace(target, name="b"), at)]:
        puppet.asked.clear()
        await run(target=who, at=when, repeats=2)
        orders.append(list(puppet.asked))

    first, again, later, other = orders
    suite_order = [(canary.id, i) for canary in target.canaries for i in range(2)]
    assert first == again
    assert len({tuple(order) for order in (first, later, other, suite_order)}) == 4
    assert Counter(first) == Counter(suite_order)


async def test_a_canary_s_place_in_the_queue_is_even_over_many_runs(run, puppet, at) -> None:
    first_places: Counter[str] = Counter()
    for hour in range(300):
        puppet.asked.clear()
        await run(at=at + timedelta(hours=hour))
        first_places[puppet.asked[0][0]] += 1

    # 300 runs, 6 canaries: 50 ± 4 standard deviations of 6.5.
    assert all(24 <= first_places[f"core/c{i}"] <= 76 for i in range(6))


async def test_each_completion_is_told_as_it_comes(run, puppet) -> None:
    async def slow_first(canary, repeat, attempt) -> None:
        await asyncio.sleep(0.1 if canary.id == "core/c0" else 0.0)

    puppet.behave = slow_first
    told: list[Completion] = []

    got = await run(on_completion=told.append)

    assert told[-1].canary_id == "core/c0"
    assert sorted(told, key=lambda c: c.canary_id) == list(got)


# ---------------------------------------------------------------- the gate


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_requests_are_in_flight_than_the_gate_allows(concurrency, run, puppet) -> None:
    async def wait(*_: object) -> None:
        await asyncio.sleep(0.005)

    puppet.behave = wait

    await run(gate=Gate(concurrency), repeats=4)

    assert puppet.max_in_flight == concurrency


async def test_targets_share_their_gate(run, puppet, target) -> None:
    async def wait(*_: object) -> None:
        await asyncio.sleep(0.005)

    puppet.behave = wait
    gate = Gate(2)

    await asyncio.gather(run(gate=gate), run(gate=gate, target=replace(target, name="other")))

    assert puppet.max_in_flight == 2


async def test_a_request_that_backs_off_leaves_its_place_to_others(run, puppet, fake_time) -> None:
    async def first_fails(canary, repeat, attempt) -> None:
        if canary.id == "core/c0" and attempt == 1:
            raise ProviderConnection("refused", outcome=Outcome.CONNECTION)

    puppet.behave = first_fails

    got = await run(gate=Gate(1, timing=fake_time))

    assert puppet.asked[-1] == ("core/c0", 0)
    assert all(c.is_ok for c in got)


def test_a_gate_lets_somebody_through() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Gate(0)


# ---------------------------------------------------------------- failures and retries


async def test_a_failure_is_a_completion_and_costs_the_others_nothing(run, puppet) -> None:
    async def one_fails(canary, repeat, attempt) -> None:
        if canary.id == "core/c2":
            raise ProviderRejected("the endpoint answered 400: no", outcome=Outcome.REJECTED)

    puppet.behave = one_fails

    with structlog.testing.capture_logs() as logs:
        got = await run()

    assert [c.outcome for c in got].count(Outcome.OK) == 5
    failed = got[2]
    assert (failed.outcome, failed.text, failed.attempts) == (Outcome.REJECTED, "", 1)
    assert failed.error == "the endpoint answered 400: no"
    assert [log["event"] for log in logs] == ["replay.failed", "replay.finished"]
    assert [log["log_level"] for log in logs] == ["debug", "warning"], "one line a run, not one a request"
    assert (logs[-1]["ok"], logs[-1]["rejected"]) == (5, 1)
    assert logs[-1]["last_error"] == "the endpoint answered 400: no"


@pytest.mark.parametrize(
    "error",
    [
        ProviderTimeout("no reply", outcome=Outcome.TIMEOUT),
        ProviderRejected("no", outcome=Outcome.AUTH),
        ProviderRejected("no credit", outcome=Outcome.RATE_LIMITED, retry_after_s=0.0),
    ],
)
async def test_what_is_not_retryable_is_asked_once(error, run, puppet) -> None:
    puppet.behave = always(error)

    got = await run()

    assert len(puppet.asked) == 6
    assert {(c.outcome, c.attempts) for c in got} == {(error.outcome, 1)}


async def test_the_latency_of_a_failure_does_not_include_our_own_waiting(run, puppet) -> None:
    async def fail_slowly(*_: object) -> None:
        await asyncio.sleep(0.02)
        raise limited(0.15)

    puppet.behave = fail_slowly

    got = await run(retry=RetryPolicy(attempts=2), gate=Gate(8))  # in real time

    assert all(0.015 < c.latency_s < 0.1 for c in got)


async def test_retry_after_is_kept_to_against_a_real_server(run, target) -> None:
    answers = [b"HTTP/1.1 429 Slow\r\nretry-after: 1.5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"]
    body = b'{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}'
    fine = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
    asked_at: list[float] = []
    elapsed_s = stopwatch()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked_at.append(elapsed_s())
        writer.write(answers.pop() if answers else fine)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        provider = PROVIDERS["openai_compatible"](Connection(base_url=f"http://127.0.0.1:{port}/v1"))
        one = replace(target, canaries=target.canaries[:1])
        (got,) = await run(provider=provider, target=one, gate=Gate(4))  # in real time
        await provider.aclose()

    assert (got.outcome, got.attempts, got.text) == (Outcome.OK, 2, "hello")
    assert asked_at[1] - asked_at[0] >= 1.5


# ---------------------------------------------------------------- bugs


class OddError(Exception):
    """What a provider must not raise, and one day will."""


@pytest.mark.parametrize("error", [OddError("sk-proj-abcDEF123456 is odd"), TimeoutError("not ours"), KeyError("x")])
async def test_a_bug_in_a_provider_is_logged_and_becomes_a_completion(error, run, puppet) -> None:
    async def one_is_odd(canary, repeat, attempt) -> None:
        if canary.id == "core/c1":
            raise error

    puppet.behave = one_is_odd

    with structlog.testing.capture_logs() as logs:
        got = await run()

    assert got[1].outcome is Outcome.MALFORMED
    assert type(error).__name__ in got[1].error
    assert "odd" not in got[1].error
    assert sum(c.is_ok for c in got) == 5
    (unexpected,) = [log for log in logs if log["event"] == "replay.unexpected"]
    assert unexpected["log_level"] == "error"
    assert "conftest.py" in unexpected["frames"]
    assert "sk-proj" not in str(logs)


# ---------------------------------------------------------------- the deadline


async def test_what_is_not_done_by_the_deadline_is_a_timeout_that_says_so(run, puppet) -> None:  # in real time
    async def hang(canary, repeat, attempt) -> None:
        if canary.id != "core/c0":
            await asyncio.sleep(60)

    puppet.behave = hang
    elapsed_s = stopwatch()

    got = await run(gate=Gate(3), deadline_s=0.2)

    assert elapsed_s() < 1.0
    assert got[0].is_ok or "not asked" in got[0].error
    late = [c for c in got if not c.is_ok]
    assert {c.outcome for c in late} == {Outcome.TIMEOUT}
    asked = {name for name, _ in puppet.asked}
    for completion in late:
        if completion.canary_id in asked:
            assert completion.error == "no reply before the run's limit of 0.2 s was over"
            assert completion.attempts == 1
            assert 0.1 < completion.latency_s < 1.0
        else:
            assert completion.error == "not asked: the run's limit of 0.2 s was over first"
            assert (completion.attempts, completion.latency_s) == (0, 0.0)
    assert len(asked) < 6
    assert puppet.in_flight == 0


# ---------------------------------------------------------------- cancellation


async def test_cancelling_a_run_leaves_no_task_behind(run, puppet) -> None:
    async def hang(*_: object) -> None:
        await asyncio.sleep(60)

    puppet.behave = hang
    before = asyncio.all_tasks()
    running = asyncio.create_task(run(gate=Gate(2)))
    await asyncio.sleep(0.02)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == before
    assert puppet.cancelled == 2


async def test_cancelling_a_run_that_backs_off_does_not_ask_again(run, puppet) -> None:
    puppet.behave = always(ProviderConnection("refused", outcome=Outcome.CONNECTION))
    running = asyncio.create_task(run(gate=Gate(8)))
    await asyncio.sleep(0.02)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(puppet.asked) == 6


async def test_an_error_of_the_listener_ends_the_run_and_leaves_no_task_behind(run, puppet) -> None:
    async def hang(canary, repeat, attempt) -> None:
        if canary.id != "core/c0":
            await asyncio.sleep(60)

    def listen(_: Completion) -> None:
        raise OddError("the listener's own")

    puppet.behave = hang
    before = asyncio.all_tasks()

    with pytest.raises(OddError, match="the listener's own"):
        await run(gate=Gate(6), on_completion=listen)

    assert asyncio.all_tasks() == before


async def test_a_run_never_raises_a_provider_error(run, puppet) -> None:
    for outcome in set(Outcome) - {Outcome.OK}:
        puppet.behave = always(ProviderError("x", outcome=outcome))

        got = await run()

        assert {c.outcome for c in got} == {outcome}


async def test_a_simulated_week_with_faults_is_quick(run, target, at) -> None:
    script = {
        "start": "a",
        "personas": {"a": {}},
        "faults": [{"from": "2026-01-01", "share": 0.3, "outcome": "rate_limited"}],
    }
    provider = PROVIDERS["simulated"](Connection(script=script))
    elapsed_s = stopwatch()

    n_failed = 0
    for hour in range(168):
        n_failed += sum(not c.is_ok for c in await run(provider=provider, at=at + timedelta(hours=hour)))

    assert 0.22 < n_failed / (168 * 6) < 0.38
    assert elapsed_s() < 10
