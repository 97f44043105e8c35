"""``run_due``: one look at the schedule for cron, CI and people, safe beside a daemon."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from driftwatch.domain import RunState, State
from driftwatch.errors import StoreError


def use(place, app, *calls):
    async def work():
        return [await app.run_due(names, **options) for names, options in calls]

    return place.use(app, work)


def test_what_is_due_is_run_once_and_what_is_not_is_absent(place, simulated):
    app = place.app({"a": simulated, "b": simulated})
    first, second, both = use(place, app, (["a"], {}), (["a"], {}), (["a", "b"], {}))
    assert first["a"].state is State.CALIBRATING
    assert second == {}
    assert list(both) == ["b"]


def test_a_look_does_not_wait_for_the_jitter_of_the_daemon(place, simulated):
    app = place.app({"a": {**simulated, "jitter": "59m"}})
    [made] = use(place, app, (["a"], {}))
    assert list(made) == ["a"]


def test_now_makes_a_run_of_this_moment_beside_the_grid(place, simulated):
    place.clock.at += timedelta(minutes=7)
    app = place.app({"a": simulated})

    async def work():
        await app.run_due(["a"])
        await app.run_due(["a"], now=True)
        same = await app.run_due(["a"], now=True)
        return same, [run.scheduled_at.minute for run in app.store.runs()]

    same, minutes = place.use(app, work)
    assert minutes == [0, 7]
    assert same == {"a": None}, "of this very moment there is one already"


def test_of_a_check_and_a_daemon_in_the_same_slot_one_asks(place, local, endpoint):
    daemon, check = place.app({"a": local}), place.app({"a": local})
    use(place, daemon, (["a"], {}))

    async def both():
        return await asyncio.gather(daemon.run_due(["a"]), check.run_due(["a"]))

    daemon, check = place.app({"a": local}), place.app({"a": local})
    place.clock.at += timedelta(minutes=1)
    n = len(endpoint.asked)

    async def work():
        try:
            return await both()
        finally:
            await check.close()

    made = place.use(daemon, work)
    assert len(endpoint.asked) - n == 2
    verdicts = [verdict for those in made for verdict in those.values() if verdict is not None]
    assert len(verdicts) == 1


def test_when_one_target_breaks_off_the_others_are_run_and_told_before_it_is_raised(
    place, local, endpoint, monkeypatch
):
    endpoint.status = 500
    app = place.app(
        {"a": local, "b": {**local, "model": "m-2"}}, "receivers: {me: {type: console}}\nfailure_threshold: 1"
    )
    original = app.store.claim_run

    def refuse(*, target, **rest):
        if target == "a":
            raise StoreError("the disk is full")
        return original(target=target, **rest)

    monkeypatch.setattr(app.store, "claim_run", refuse)
    with pytest.raises(StoreError, match="disk is full"):
        use(place, app, (["a", "b"], {}))
    assert "Cannot measure" in "".join(place.lines)
    after = place.app({"a": local, "b": {**local, "model": "m-2"}})
    states = [(run.target, run.state) for run in after.store.runs()]
    after.store.close()
    assert states == [("b", RunState.JUDGED)]


def test_messages_left_by_an_earlier_process_are_sent(place, local, endpoint):
    endpoint.status = 500
    quiet = place.app({"a": local}, "receivers: {me: {type: console}}\nfailure_threshold: 1")

    async def killed():
        at = place.clock.now()
        await quiet.pipeline.run(quiet.targets[0], scheduled_at=at, at=at)

    place.use(quiet, killed)
    assert place.lines == []
    app = place.app({"a": local}, "receivers: {me: {type: console}}\nfailure_threshold: 1")
    use(place, app, (["a"], {}))
    assert "Cannot measure" in "".join(place.lines)
