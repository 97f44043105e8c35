"""Budgets in the running program: who pauses, what is said of it and how often, and how it goes on."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from driftwatch.domain import Purpose, Spending, State
from driftwatch.errors import ConfigError


def use(place, app, *calls):
    async def work():
        return [await app.run_due(names, **options) for names, options in calls]

    return place.use(app, work)


def paid(target, **budget):
    """With a price, since a simulated endpoint is free otherwise."""
    return {**target, "price": {"input": 100, "output": 100}, "budget": budget}


def told(logs, event="budget.paused"):
    return [(line["target"], line["cap"]) for line in logs if line["event"] == event]


async def tick(app, place, *, hours: float):
    """What the scheduler does, hour by hour; when the last look wants the next one."""
    following = None
    for _ in range(int(hours)):
        following = await app._tick(place.clock.now())
        await asyncio.gather(*(task for _, task in app._in_flight.values()))
        place.clock.at += timedelta(hours=1)
    return following


def test_a_pause_is_logged_once_however_often_it_is_looked_at(place, simulated, logs):
    app = place.app({"a": paid(simulated, requests_per_day=6)})
    place.use(app, lambda: tick(app, place, hours=8))
    assert told(logs) == [("a", "targets.a.budget.requests_per_day")]
    [line] = [line for line in logs if line["event"] == "budget.paused"]
    assert (line["log_level"], line["limit"], line["spent"], line["needed"]) == ("warning", 6, 6, 2)
    assert line["until"] == "2021-03-02T00:00:00+00:00"


def test_with_the_new_day_it_goes_on_and_says_so(place, simulated, logs):
    app = place.app({"a": paid(simulated, requests_per_day=6)})
    place.use(app, lambda: tick(app, place, hours=16))
    assert told(logs, "budget.resumed") == [("a", "targets.a.budget.requests_per_day")]
    assert told(logs) == [("a", "targets.a.budget.requests_per_day")] * 2, "and pauses on the second day again"


def test_a_paused_target_is_looked_at_again_when_its_period_ends(place, simulated):
    app = place.app({"a": paid(simulated, requests_per_month=4)})
    following = place.use(app, lambda: tick(app, place, hours=3))
    assert following.isoformat() == "2021-04-01T00:00:00+00:00"


def leave_claimed(app, place, *, target: str = "a", requests: int):
    """What a process leaves that is killed while it asks."""
    at = place.clock.now() - timedelta(minutes=10)
    baseline = app.store.start_baseline(
        target=target,
        series_key="0" * 16,
        author="ana",
        reason="first",
        at=at,
        anchors_wanted=2,
        calibration_wanted=20,
    )
    return app.store.claim_run(
        target=target,
        scheduled_at=at,
        purpose=Purpose.ANCHOR,
        baseline_id=baseline.id,
        at=at,
        reserved=Spending(requests=requests),
    )


def test_a_killed_run_is_waited_for_no_longer_than_a_run_can_take(place, simulated, logs):
    app = place.app({"a": paid(simulated, requests_per_day=6)})
    leave_claimed(app, place, requests=6)

    async def work():
        await tick(app, place, hours=1)
        early = (told(logs), dict(app.health().paused))
        following = await tick(app, place, hours=2)
        return early, following, dict(app.health().paused)

    early, following, late = place.use(app, work)
    assert early == ([], {}), "it may be under way in another process"
    assert told(logs) == [("a", "targets.a.budget.requests_per_day")]
    assert late["a"].startswith("paused by its budget until Tue 2 Mar 00:00 UTC: 6 requests of 6 requests a day are")
    assert following.isoformat() == "2021-03-02T00:00:00+00:00"


def test_who_waits_for_others_longer_than_a_run_of_its_own_is_told_of_once_and_goes_on_by_itself(
    place, simulated, logs
):
    app = place.app({"a": simulated}, "budget: {requests_per_day: 6}")
    # Not in this config: how long its runs take is not known, so nobody here may give it up.
    other = leave_claimed(app, place, target="elsewhere", requests=6)

    async def work():
        seen = []
        for _ in range(4):
            await tick(app, place, hours=1)
            seen.append(list(app.health().paused.values()))
        app.store.record_measurement(other.id, completions=(), scores=(), finished_at=place.clock.now(), cost_usd=None)
        await tick(app, place, hours=1)
        return [*seen, list(app.health().paused.values())], app.store.runs("a")

    seen, made = place.use(app, work)
    assert [len(those) for those in seen] == [0, 1, 1, 1, 0]
    assert seen[1][0].startswith("waits for runs under way: 6 requests of all targets of 6 requests a day are spent or")
    assert told(logs) == told(logs, "budget.resumed") == [("a", "budget.requests_per_day")]
    assert len(made) == 1


def test_the_others_run_while_one_is_paused(place, simulated):
    app = place.app({"a": paid(simulated, requests_per_day=4), "b": simulated})

    async def work():
        await tick(app, place, hours=4)
        return [run.target for run in app.store.runs()], app.health()

    made, health = place.use(app, work)
    assert (made.count("a"), made.count("b")) == (1, 4)
    assert list(health.paused) == ["a"]
    assert health.paused["a"].startswith("paused by its budget until Tue 2 Mar 00:00 UTC: ")


def test_targets_that_start_together_never_overspend_the_cap_of_all(place, simulated):
    targets = dict.fromkeys("abcdef", simulated)
    app = place.app(targets, "budget: {requests_per_day: 40}")
    made = place.use(app, lambda: tick(app, place, hours=6))
    assert made is not None
    again = place.app(targets, "budget: {requests_per_day: 40}")
    day = datetime(2021, 3, 1, tzinfo=place.clock.at.tzinfo)
    spent = again.store.spent(since=day, until=day + timedelta(days=1))
    again.store.close()
    assert spent.requests == 40


def test_one_look_runs_all_that_can_be_paid_one_after_another_if_need_be(place, local, endpoint):
    # Each sets three attempts at four questions aside and needs four.
    targets = {name: {**local, "attempts": 3} for name in "abc"}
    app = place.app(targets, "budget: {requests_per_day: 13}")
    [made] = use(place, app, (list("abc"), {}))
    assert sorted(made) == ["a", "b", "c"]
    assert len(endpoint.asked) == 12


def test_a_paused_target_is_absent_from_what_was_run(place, simulated):
    app = place.app({"a": paid(simulated, requests_per_day=5), "b": simulated})
    first, second = use(place, app, (["a", "b"], {}), (["a", "b"], {"now": True}))
    assert sorted(first) == ["a", "b"]
    assert list(second) == ["b"]
    assert list(app.paused()) == ["a"]


def test_a_raised_cap_in_the_config_is_all_it_takes(place, simulated):
    use(place, place.app({"a": paid(simulated, requests_per_day=4)}), (["a"], {}))
    place.clock.at += timedelta(hours=1)
    assert use(place, place.app({"a": paid(simulated, requests_per_day=4)}), (["a"], {})) == [{}]
    [made] = use(place, place.app({"a": paid(simulated, requests_per_day=6)}), (["a"], {}))
    assert made["a"].state is State.CALIBRATING
    assert made["a"].n_calibration == 1, "the anchors are still there"


def test_simulated_weeks_under_a_cap_end_and_spend_no_more(place, simulated):
    top = "simulation: {start: 2026-03-02T00:00:00Z, end: 2026-03-09T00:00:00Z}\nbudget: {usd_per_day: 0.02}"
    app = place.app({"a": paid(simulated, requests_per_day=10)}, top, clock=None)
    place.use(app, app.serve, timeout_s=60)
    again = place.app({"a": simulated})
    runs = again.store.runs()
    again.store.close()
    days = {run.started_at.date() for run in runs}
    assert len(days) == 7
    for day in days:
        of_day = [run for run in runs if run.started_at.date() == day]
        assert sum(run.n_requests for run in of_day) <= 10
        assert sum(run.cost_usd for run in of_day) <= 0.02


@pytest.mark.parametrize("where", ["target", "top"])
def test_a_cap_in_dollars_needs_a_price(place, local, where):
    one = {**local, "base_url": "https://models.example.org/v1"}
    targets = {"a": {**one, "budget": {"usd_per_day": 1}} if where == "target" else one}
    with pytest.raises(ConfigError, match="nobody knows what m costs at target a"):
        place.app(targets, "budget: {usd_per_month: 5}" if where == "top" else "")
