"""Runs that cost something: not begun when they cannot be paid, ended at a cap, and never mistaken for news."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from driftwatch.domain import Canary, Completion, Message, Outcome, Purpose, RunState, Spending, State, Target
from driftwatch.errors import ProviderRejected, ProviderUnavailable, RateLimited, StoreError
from driftwatch.pipeline import Line, Pipeline
from driftwatch.providers import Connection
from driftwatch.providers.simulated import Simulated
from driftwatch.replay import Gate, RetryPolicy
from driftwatch.spending import Account, OverBudget, next_pause
from driftwatch.store import Store
from driftwatch.usage import Price, read_caps

T0 = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = ("shop/capital", "shop/refund", "shop/greeting", "shop/triage")
CANARIES = tuple(
    Canary(id=name, suite="shop", messages=(Message(role="user", content=f"about {name}"),)) for name in NAMES
)
TARGET = Target(
    name="shop-bot", provider="simulated", model="m", canaries=CANARIES, anchors_wanted=4, calibration_wanted=20
)
PERSONAS = {"before": {"answers": {name: ["Yes.", "No."] for name in NAMES}}}
PRICE = Price(input_usd=1_000.0, output_usd=1_000.0, source="config")
"""A tenth of a cent a token."""


def pay(watch, *, shared=None, attempts=1, concurrency=8, **caps: float) -> None:
    """Another config and the restart that reads it."""
    watch.restart()
    own = read_caps(caps, key=f"targets.{watch.target.name}.budget", target=watch.target.name)
    account = Account(caps=own + read_caps(shared or {}, key="budget"), price=PRICE, attempts=attempts)
    line = Line(
        provider=watch.endpoint,
        gate=Gate(concurrency),
        retry=RetryPolicy(attempts=attempts, max_wait_s=0.0),
        deadline_s=60.0,
        price=PRICE,
    )
    watch.pipeline = Pipeline(
        store=watch.store, lines={watch.target.name: line}, embedder=None, accounts={watch.target.name: account}
    )
    watch.account = account


def refused(watch, at: datetime | None = None) -> OverBudget:
    n = len(watch.endpoint.asked)
    with pytest.raises(OverBudget) as found:
        watch.run_at(at or watch.now)
    assert len(watch.endpoint.asked) == n, "nothing was asked"
    return found.value


def today(watch) -> int:
    day = watch.now.replace(hour=0)
    return watch.store.spent(since=day, until=day + timedelta(days=1)).requests


# ---------------------------------------------------------------- before the first request


def test_a_run_that_cannot_be_paid_in_full_is_not_begun_and_its_slot_stays_free(armed):
    pay(armed, requests_per_day=10)
    assert armed.hour == 21, "21 runs of this day are made, before the cap was written"
    before = armed.store.runs()
    error = refused(armed)
    assert str(error) == (
        "shop-bot: paused by its budget until Tue 3 Mar 00:00 UTC: 96 requests of 10 requests a day are spent, "
        "a run takes about 4 requests (targets.shop-bot.budget.requests_per_day); it goes on by itself"
    )
    assert armed.store.runs() == before
    assert error.pause == next_pause(armed.store, armed.account, armed.target, armed.now)


def test_after_the_day_it_goes_on_by_itself_and_nothing_is_lost(armed):
    armed.hour = 24
    pay(armed, requests_per_day=10)
    first, second = armed.run(), armed.run()
    series = armed.store.series(armed.baseline().id)
    pause = refused(armed).pause
    assert pause.until == datetime(2026, 3, 4, tzinfo=UTC)
    assert (pause.spent, pause.needed) == (8, 4)
    armed.hour = 48
    third = armed.run()
    assert [v.n_monitored for v in (first, second, third)] == [1, 2, 3]
    assert armed.store.series(armed.baseline().id)[: len(series)] == series
    assert armed.incidents() == []


def test_a_raised_cap_ends_the_pause_at_once(armed):
    pay(armed, requests_per_day=96)
    refused(armed)
    pay(armed, requests_per_day=100)
    assert armed.run().state is State.STABLE
    refused(armed)


def test_a_month_pauses_for_longer_than_a_day(armed):
    pay(armed, requests_per_day=98, requests_per_month=98)
    assert refused(armed).pause.until == datetime(2026, 4, 1, tzinfo=UTC)


def test_a_run_beyond_the_cap_of_a_run_is_never_begun_and_the_sentence_says_what_is_needed(armed):
    pay(armed, requests_per_run=3)
    error = refused(armed)
    assert error.pause.until is None
    assert str(error) == (
        "shop-bot: paused by its budget: a run takes about 4 requests, "
        "targets.shop-bot.budget.requests_per_run allows 3 requests"
    )
    assert error.pause.again_at == datetime(2026, 3, 3, tzinfo=UTC)


def test_what_replies_took_so_far_decides_and_not_the_upper_bound(armed):
    spent = armed.store.runs()[-1].n_tokens
    assert 0 < spent < 100, "the upper bound of a run is 4 × 300 tokens"
    armed.hour = 24
    pay(armed, tokens_per_day=250)
    n = 0
    while today(armed) < 100:
        try:
            armed.run()
        except OverBudget:
            break
        n += 1
    assert n >= 250 // spent - 2
    assert armed.store.spent(since=armed.now.replace(hour=0), until=armed.now + timedelta(days=1)).tokens <= 250


def test_dollars_are_counted_by_the_price_and_the_tokens(armed):
    armed.hour = 24
    pay(armed, usd_per_day=0.15)
    armed.run()
    [run] = armed.store.runs(since=datetime(2026, 3, 3, tzinfo=UTC))
    assert run.cost_usd == pytest.approx(run.n_tokens / 1_000)


def test_the_cap_of_all_targets_counts_what_the_others_took(armed):
    armed.hour = 24
    other = armed.store.start_baseline(
        target="other",
        series_key="0" * 16,
        author="ana",
        reason="first",
        at=armed.now,
        anchors_wanted=2,
        calibration_wanted=20,
    )
    armed.store.claim_run(
        target="other",
        scheduled_at=armed.now,
        purpose=Purpose.WATCH,
        baseline_id=other.id,
        at=armed.now,
        reserved=Spending(requests=7),
    )
    armed.store.interrupt_stale_runs(before=armed.now + timedelta(hours=1))
    pay(armed, shared={"requests_per_day": 12})
    armed.run()
    assert "11 requests of all targets of 12 requests a day are spent" in str(refused(armed))


def test_what_is_set_aside_for_a_run_under_way_is_waited_for_and_no_pause(armed):
    armed.hour = 24
    pay(armed, requests_per_day=9, attempts=2)
    rival = armed.store.claim_run(
        target=TARGET.name,
        scheduled_at=armed.now - timedelta(minutes=10),
        purpose=Purpose.WATCH,
        baseline_id=armed.baseline().id,
        at=armed.now,
        reserved=Spending(requests=8),
    )
    waits = refused(armed).pause
    assert waits.is_passing
    assert not waits.holds(armed.now)
    armed.store.record_measurement(rival.id, completions=(), scores=(), finished_at=armed.now, cost_usd=None)
    assert armed.run().state is State.STABLE


@pytest.mark.parametrize("minutes", [-12, 12], ids=["long ago", "while the clock was ahead"])
def test_what_is_set_aside_for_a_killed_run_is_a_pause_and_not_waited_for(armed, minutes):
    armed.hour = 24
    pay(armed, requests_per_day=9)
    began = armed.now + timedelta(minutes=minutes) + timedelta(hours=1)
    killed = armed.store.claim_run(
        target=TARGET.name,
        scheduled_at=began,
        purpose=Purpose.WATCH,
        baseline_id=armed.baseline().id,
        at=began,
        reserved=Spending(requests=8),
    )
    armed.hour += 1
    pause = refused(armed).pause
    assert not pause.is_passing
    assert pause.holds(armed.now)
    assert (pause.spent, pause.until) == (8, datetime(2026, 3, 4, tzinfo=UTC))
    assert armed.store.runs(states=(RunState.INTERRUPTED,)) == [replace(killed, state=RunState.INTERRUPTED)]


# ---------------------------------------------------------------- during a run


def flood(watch) -> None:
    """From now on replies are a hundred times as long as they were."""
    watch.endpoint.change_reply = lambda reply: replace(reply, output_tokens=2_000)


def test_a_run_that_a_cap_ends_has_no_verdict_and_says_why(armed):
    pay(armed, concurrency=1, tokens_per_run=100)
    flood(armed)
    verdict = armed.run()
    run = armed.store.runs()[-1]
    outcomes = [c.outcome for c in armed.store.completions([run.id])[run.id]]
    assert sorted(outcomes) == [Outcome.NOT_ASKED] * 3 + [Outcome.OK]
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.reason == (
        "no verdict: stopped by the budget: the run has used up 100 tokens a run "
        "(targets.shop-bot.budget.tokens_per_run); 1 of 4 requests were made"
    )
    assert (run.n_requests, len(armed.endpoint.asked)) == (1, 1)


def test_runs_that_a_cap_ends_are_no_outage_however_many(armed):
    pay(armed, concurrency=1, tokens_per_run=100)
    flood(armed)
    for _ in range(5):
        assert armed.run().state is State.INCONCLUSIVE
        assert refused(armed).pause.until is None
        armed.hour = 24 * (armed.hour // 24 + 1)
    assert armed.incidents() == []


def test_a_target_whose_replies_were_long_for_an_hour_goes_on_by_itself(armed):
    pay(armed, concurrency=1, tokens_per_run=100)
    flood(armed)
    armed.run()
    assert str(refused(armed)).endswith("once a day it is tried how far that goes")
    armed.endpoint.change_reply = lambda reply: reply
    states = []
    for hour in (24 * day + n for day in range(1, 8) for n in range(3)):
        armed.hour = hour
        with contextlib.suppress(OverBudget):
            states.append(armed.run_at(armed.now).state)
    assert states[-3:] == [State.STABLE] * 3, "the flood is no longer among the latest runs"


def test_a_guess_that_is_too_high_for_the_cap_is_tested_before_it_is_believed(watch):
    pay(watch, tokens_per_run=500)
    assert watch.target.parameters_for(watch.target.canaries[0]) == {}, "so 300 tokens a reply are expected"
    for _ in range(8):
        watch.run()
    assert [run.n_failed for run in watch.store.runs()][-4:] == [0, 0, 0, 0]


def test_a_run_that_a_cap_ends_neither_ends_an_outage_nor_makes_one(armed):
    pay(armed)
    armed.endpoint.is_down = True
    armed.run(3)
    assert armed.incidents() == [("availability", "open")]
    armed.endpoint.is_down = False
    pay(armed, concurrency=1, tokens_per_run=100)
    flood(armed)
    assert "stopped by the budget" in armed.run().reason
    assert armed.incidents() == [("availability", "open")]
    pay(armed)
    armed.run(2)
    assert armed.incidents() == [("availability", "resolved")]


def test_an_endpoint_that_fails_while_the_money_lasts_is_out_all_the_same(armed):
    armed.endpoint.is_down = True
    armed.hour = 24
    pay(armed, concurrency=1, requests_per_run=4, attempts=3)
    armed.run(3)
    runs = armed.store.runs(since=datetime(2026, 3, 3, tzinfo=UTC))
    assert all(run.n_requests <= 4 for run in runs)
    assert armed.incidents() == [("availability", "open")]


def test_a_cap_that_keeps_a_few_from_being_asked_leaves_a_verdict(armed_with_five):
    armed_with_five.hour = 24
    pay(armed_with_five, concurrency=1, tokens_per_run=100)
    n = 0

    def last_is_long(reply: Completion) -> Completion:
        nonlocal n
        n += 1
        return replace(reply, output_tokens=80) if n == 4 else reply

    armed_with_five.endpoint.change_reply = last_is_long
    verdict = armed_with_five.run()
    assert armed_with_five.store.runs()[-1].n_failed == 1
    assert verdict.state is State.STABLE


def test_a_run_that_breaks_off_counts_for_what_it_took(armed):
    armed.hour = 24
    pay(armed, requests_per_day=50, attempts=3)

    async def stopped() -> None:
        run = asyncio.create_task(armed.pipeline.run(armed.target, scheduled_at=armed.now, at=armed.now))
        armed.endpoint.while_asked = lambda: run.cancel() if len(armed.endpoint.asked) == 2 else None
        with contextlib.suppress(asyncio.CancelledError):
            await run

    armed.runner.run(stopped())
    assert 2 <= today(armed) <= 4, "3 attempts at 4 questions were set aside"
    assert armed.store.runs()[-1].state is RunState.CLAIMED


def test_a_killed_run_counts_for_all_that_was_set_aside(armed, monkeypatch):
    armed.hour = 24
    pay(armed, requests_per_day=50, attempts=3)
    monkeypatch.setattr(armed.store, "record_spending", lambda *_: None)

    def die(*_, **__):
        raise StoreError("killed")

    monkeypatch.setattr(armed.store, "record_measurement", die)
    with pytest.raises(StoreError):
        armed.run_at(armed.now)
    assert today(armed) == 12


def test_tokens_that_the_endpoint_does_not_tell_are_counted_as_expected(armed):
    armed.hour = 24
    pay(armed, tokens_per_day=5_000)
    armed.endpoint.change_reply = lambda reply: replace(reply, input_tokens=None, output_tokens=None)
    expected = next(iter({run.n_tokens for run in armed.store.runs()[-1:]}))
    armed.run()
    assert armed.store.runs()[-1].n_tokens == pytest.approx(expected, rel=0.3)


def test_one_absurd_count_eats_no_month(armed):
    armed.hour = 24
    pay(armed, tokens_per_month=100_000, usd_per_month=100.0)
    armed.endpoint.change_reply = lambda reply: replace(reply, output_tokens=2**31 - 1, cached_tokens=2**31 - 1)
    armed.run()
    assert armed.store.runs()[-1].n_tokens < 4 * 500
    armed.endpoint.change_reply = lambda reply: reply
    assert next_pause(armed.store, armed.account, armed.target, armed.now) is None, "what is expected is as it was"
    armed.run()
    assert armed.store.runs()[-1].n_requests == 4


def test_a_failure_whose_reply_had_begun_counts_as_expected(armed):
    armed.hour = 24
    pay(armed, tokens_per_day=5_000, attempts=3)
    expected = armed.store.runs()[-1].n_tokens

    def break_off(_: Completion) -> Completion:
        error = ProviderUnavailable("overloaded in the middle", outcome=Outcome.UNAVAILABLE)
        error.reply_began = True
        raise error

    armed.endpoint.change_reply = break_off
    armed.run()
    run = armed.store.runs()[-1]
    assert (run.n_ok, run.n_requests) == (0, 4), "asked again it would be billed again"
    assert run.n_tokens == pytest.approx(expected, rel=0.3)


# ---------------------------------------------------------------- collecting


def test_anchors_are_collected_in_as_many_runs_as_the_budget_makes_of_them(watch):
    pay(watch, requests_per_run=6)
    verdicts = [watch.run() for _ in range(4)]
    assert [v.reason for v in verdicts[:2]] == [
        "collecting anchors: 1 of 4 for every canary",
        "collecting anchors: 2 of 4 for every canary",
    ]
    assert verdicts[3].reason == "calibrating: 0 of 20 runs"
    assert [run.n_requests for run in watch.store.runs()] == [4, 4, 4, 4]
    assert watch.run().reason == "calibrating: 1 of 20 runs"


def test_an_anchor_run_that_a_cap_ends_keeps_its_good_replies(watch):
    pay(watch, concurrency=1, tokens_per_run=6_000)
    flood(watch)
    verdict = watch.run()
    anchors = watch.store.anchors(watch.baseline().id)
    assert sum(map(len, anchors.values())) == 3
    assert "stopped by the budget" in verdict.reason
    assert verdict.reason.startswith("collecting anchors: ")


def test_anchoring_goes_on_after_runs_that_were_cut_short_and_still_gives_up_on_a_canary_that_fails(watch):
    watch.edit(canaries=(*watch.target.canaries, replace(watch.target.canaries[0], id="shop/extra")))
    watch.endpoint.rejected = {"shop/extra"}
    pay(watch, requests_per_run=5)
    watch.endpoint.rejected = {"shop/extra"}
    verdict = watch.until(lambda v: v.reason.startswith("calibrating"), at_most=8)
    assert verdict.reason.endswith("not watched, for they hardly answer: shop/extra")
    assert [len(those) for those in watch.store.anchors(watch.baseline().id).values()] == [4, 4, 4, 4]


def test_calibration_waits_for_money_and_goes_on(watch):
    pay(watch, requests_per_day=40)
    reasons = []
    for _ in range(24 * 4):
        with contextlib.suppress(OverBudget):
            reasons.append(watch.run_at(watch.now).reason)
        watch.hour += 1
    assert reasons[-1].startswith("evidence") or reasons[-1].startswith("calibrat")
    per_day = Counter(run.started_at.date() for run in watch.store.runs())
    assert set(per_day.values()) <= {7, 10}, "16 requests of anchors and 6 runs, then 10 runs a day"
    assert watch.baseline().state.value == "active"


# ---------------------------------------------------------------- several at once


def many(path, n: int, *, cap: float, attempts: int = 1, amount: str = "requests_per_day", latency: bool = True):
    """So many targets in one process, which share a cap."""
    store = Store.open(path)
    targets = [replace(TARGET, name=f"t{i}") for i in range(n)]
    shared = read_caps({amount: cap}, key="budget")
    asked: list[str] = []

    class Slow(Simulated):
        async def complete(self, target, canary, *, repeat, at):
            asked.append(target.name)
            await asyncio.sleep(0)
            return await super().complete(target, canary, repeat=repeat, at=at)

    provider = Slow(Connection(script={"seed": 5, "start": "before", "personas": PERSONAS}))
    retry = RetryPolicy(attempts=attempts, max_wait_s=0.0)
    lines = {t.name: Line(provider=provider, gate=Gate(4), retry=retry, deadline_s=60.0) for t in targets}
    accounts = {t.name: Account(caps=shared, price=PRICE, attempts=attempts) for t in targets}
    return store, targets, Pipeline(store=store, lines=lines, embedder=None, accounts=accounts), asked


def test_targets_that_start_in_the_same_moment_share_what_is_left(tmp_path):
    store, targets, pipeline, asked = many(tmp_path / "w.db", 6, cap=50)

    async def work():
        return await asyncio.gather(
            *(pipeline.run(target, scheduled_at=T0, at=T0) for target in targets), return_exceptions=True
        )

    made = asyncio.run(work())
    assert not [error for error in made if isinstance(error, BaseException) and not isinstance(error, OverBudget)]
    assert len(asked) == store.spent(since=T0, until=T0 + timedelta(days=1)).requests == 48
    store.close()


def test_two_processes_do_not_exceed_a_cap_together(tmp_path):
    both = [many(tmp_path / "w.db", 6, cap=50) for _ in range(2)]

    async def work():
        slots = [(p, t, T0 + timedelta(minutes=i)) for i, (_, ts, p, _) in enumerate(both) for t in ts]
        return await asyncio.gather(*(p.run(t, scheduled_at=s, at=s) for p, t, s in slots), return_exceptions=True)

    asyncio.run(work())
    assert sum(len(asked) for *_, asked in both) <= 50
    for store, *_ in both:
        store.close()


class Moody:
    """An endpoint that refuses, fails, hides its counts and answers at length, by a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.n_sent = 0
        self.tokens = 0
        self.longest = 0

    async def complete(self, _target, canary, *, repeat, at):
        self.n_sent += 1
        mood = self.chance.random()
        await asyncio.sleep(0)
        if mood < 0.2:
            raise RateLimited("slow down", outcome=Outcome.RATE_LIMITED, retry_after_s=0.0)
        if mood < 0.3:
            raise ProviderRejected("no", outcome=Outcome.REJECTED)
        tokens = self.chance.randint(1, 400)
        self.tokens += 10 + tokens
        self.longest = max(self.longest, 10 + tokens)
        return Completion(
            canary_id=canary.id,
            canary_hash=canary.content_hash,
            repeat=repeat,
            outcome=Outcome.OK,
            at=at,
            latency_s=0.1,
            text="Paris.",
            input_tokens=10,
            output_tokens=tokens,
        )

    async def aclose(self) -> None:
        """Nothing to close."""


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    requests=st.integers(1, 60),
    tokens=st.integers(100, 6_000),
    attempts=st.integers(1, 3),
    concurrency=st.integers(1, 5),
)
def test_over_no_history_is_a_cap_exceeded_by_more_than_the_requests_in_flight(
    seed, requests, tokens, attempts, concurrency
):
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "w.db") as store:
        chance, moody = random.Random(seed), Moody(seed)
        targets = [replace(TARGET, name=f"t{i}", anchors_wanted=2) for i in range(3)]
        caps = read_caps({"requests_per_day": requests, "tokens_per_day": tokens}, key="budget")
        gate = Gate(concurrency)
        retry = RetryPolicy(attempts=attempts, max_wait_s=0.0)
        pipeline = Pipeline(
            store=store,
            lines={t.name: Line(provider=moody, gate=gate, retry=retry, deadline_s=60.0) for t in targets},
            embedder=None,
            accounts={t.name: Account(caps=caps, attempts=attempts) for t in targets},
        )
        at, day, sent, spent = T0, T0, 0, 0

        async def start(those, at):
            runs = (pipeline.run(target, scheduled_at=at, at=at) for target in those)
            return await asyncio.gather(*runs, return_exceptions=True)

        for _ in range(10):
            at += timedelta(hours=chance.choice((1, 1, 1, 9)))
            if at - day >= timedelta(days=1):
                day, sent, spent = at.replace(hour=0), moody.n_sent, moody.tokens
            made = asyncio.run(start(chance.sample(targets, chance.randint(1, 3)), at))
            assert {type(error) for error in made if isinstance(error, BaseException)} <= {OverBudget}
            assert moody.n_sent - sent <= requests
            assert moody.tokens - spent <= tokens + concurrency * moody.longest
            counted = store.spent(since=day, until=day + timedelta(days=1))
            assert (counted.requests, counted.tokens) == (moody.n_sent - sent, moody.tokens - spent)
