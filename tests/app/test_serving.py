"""The daemon: what a tick starts, how it stops, what it tells of its health, and what it survives."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch import app as module, reminding
from driftwatch.alert import grouping
from driftwatch.alert.receiver import FOR_PEOPLE
from driftwatch.domain import Event, IncidentState, Kind, Purpose, RunState, Step
from driftwatch.errors import EmbedderUnavailable, StoreError
from driftwatch.schedule import Slot

MINUTE = timedelta(minutes=1)
SIMULATION = "simulation: {start: 2026-03-02T00:00:00Z, end: 2026-03-03T00:00:00Z}"


def events(logs) -> list[str]:
    return [entry["event"] for entry in logs]


def runs(app) -> list[tuple[str, str]]:
    return [(f"{run.scheduled_at:%H:%M}", run.state.value) for run in app.store.runs()]


async def finished(app) -> None:
    """Wait for what the last tick started."""
    while tasks := app._unfinished():
        await asyncio.wait(tasks)


async def until(is_so, *, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110 - what is waited for happens in threads and in the database
            await asyncio.sleep(0.005)


# ---------------------------------------------------------------- in simulated time


def test_a_simulation_watches_every_slot_and_ends(place, simulated):
    seen = []
    app = place.app({"a": simulated, "b": {**simulated, "interval": "2h"}}, SIMULATION, clock=None)
    app._on_verdict = seen.append

    async def work():
        await app.serve()
        return app.store.runs("a"), app.store.runs("b")

    a, b = place.use(app, work)
    assert (len(a), len(b)) == (24, 12)
    assert {run.state for run in (*a, *b)} == {RunState.JUDGED}
    assert [run.purpose for run in a[:2]] == [Purpose.ANCHOR, Purpose.CALIBRATION]
    assert len(seen) == 36


def test_a_simulation_that_was_stopped_goes_on_where_it_was(place, simulated):
    first = place.app({"a": simulated}, SIMULATION, clock=None)
    first._on_verdict = lambda verdict: first.stop() if verdict.at.hour == 9 else None

    async def serve(app):
        await app.serve()
        return [run.scheduled_at for run in app.store.runs()]

    stopped = place.use(first, lambda: serve(first))
    second = place.app({"a": simulated}, SIMULATION, clock=None)
    assert second.clock.now() == stopped[-1]
    assert second.store._clock is second.clock, "embeddings are dated in simulated time too"
    slots = place.use(second, lambda: serve(second))
    assert len(stopped) == 10
    assert len(slots) == len(set(slots)) == 24


# ---------------------------------------------------------------- in real time, the clock moved by hand


def test_the_daemon_runs_what_is_due_when_it_is_due(place, local, endpoint):
    app = place.app({"a": local})

    async def work():
        daemon = asyncio.create_task(app.serve())
        await until(lambda: runs(app) == [("12:00", "judged")])
        place.clock.at += MINUTE
        await until(lambda: runs(app)[1:] == [("12:01", "judged")])
        app.stop()
        await daemon

    place.use(app, work)
    assert len(endpoint.asked) == 2 * 2 + 2, "two anchors of two canaries, then a calibration run"


def test_a_run_in_flight_is_finished_and_judged_before_the_daemon_stops(place, local, endpoint):
    endpoint.delay_s = 0.3
    app = place.app({"a": local})

    async def work():
        daemon = asyncio.create_task(app.serve())
        await until(lambda: endpoint.asked)
        app.stop()
        await daemon
        return runs(app)

    assert place.use(app, work) == [("12:00", "judged")]


def test_a_run_that_outlasts_the_grace_is_cut_short_and_given_up_later(place, local, endpoint, monkeypatch, logs):
    monkeypatch.setattr(module, "DRAIN_S", 0.1)
    endpoint.delay_s = 1.0
    app = place.app({"a": local})

    async def work():
        daemon = asyncio.create_task(app.serve())
        await until(lambda: endpoint.asked)
        app.stop()
        await asyncio.wait_for(daemon, 0.9)
        return runs(app)

    assert place.use(app, work) == [("12:00", "claimed")]
    assert "watch.cut_short" in events(logs)
    assert "run.failed" not in events(logs)
    endpoint.delay_s = 0.0
    place.clock.at += timedelta(minutes=20)
    later = place.app({"a": local})

    async def again():
        await later.run_due(["a"])
        return runs(later)

    assert place.use(later, again) == [("12:00", "interrupted"), ("12:20", "judged")]


def test_a_tick_that_is_overtaken_by_the_stop_begins_no_run(place, local, endpoint):
    app = place.app({"a": local})

    async def work():
        app.stop()
        return await app._tick(place.clock.now())

    assert place.use(app, work) is None
    assert endpoint.asked == []


def test_weights_that_cannot_be_loaded_end_the_start_and_not_every_run(place, local, endpoint):
    class Altered:
        revision = "r"

        def embed(self, _texts):
            raise EmbedderUnavailable("the weights were altered")

    app = place.app({"a": local})
    app.pipeline.embedder = Altered()
    with pytest.raises(EmbedderUnavailable, match="altered"):
        place.use(app, app.serve)
    assert endpoint.asked == []


def test_a_stop_before_the_start_is_a_stop(place, local):
    app = place.app({"a": local})
    app.stop()
    place.use(app, app.serve, timeout_s=5)


def test_a_target_has_one_run_at_a_time_however_long_it_takes(place, local, endpoint):
    endpoint.delay_s = 0.2
    app = place.app({"a": local})

    async def work():
        start = place.clock.now()
        await app._tick(start)
        following = await app._tick(start + MINUTE)
        assert len(app._in_flight) == 1
        assert following == start + 2 * MINUTE, "nothing to look for before the next slot"
        await finished(app)
        await app._tick(start + MINUTE + timedelta(seconds=30))
        await finished(app)
        return runs(app)

    assert place.use(app, work) == [("12:00", "judged"), ("12:01", "judged")]


def test_requests_of_two_targets_of_one_endpoint_together_keep_to_its_limit(place, local, endpoint):
    endpoint.delay_s = 0.02
    app = place.app({"a": {**local, "concurrency": 2}, "b": {**local, "model": "m-2", "concurrency": 3}})
    place.use(app, lambda: app.run_due(["a", "b"]))
    assert len(endpoint.asked) == 8
    assert endpoint.most_at_once <= 2


def test_the_trouble_of_one_target_does_not_end_the_watch_over_another(place, local, monkeypatch, logs):
    app = place.app({"a": local, "b": {**local, "model": "m-2"}})
    original = app.store.claim_run
    troubles = iter([StoreError("the disk is full"), ValueError("a bug, with a secret in its text")])

    def refuse(*, target, **rest):
        if target == "a" and (trouble := next(troubles, None)) is not None:
            raise trouble
        return original(target=target, **rest)

    monkeypatch.setattr(app.store, "claim_run", refuse)
    told = []

    async def work():
        for _ in range(3):
            await app._tick(place.clock.now())
            await finished(app)
            told.append(app.health())
        return [(run.target, run.state.value) for run in app.store.runs()]

    assert sorted(place.use(app, work)) == [("a", "judged"), ("b", "judged")], "the slot was still due"
    assert events(logs).count("run.failed") == 2
    assert [state.is_ready for state in told] == [False, False, True]
    assert told[0].is_alive
    assert told[0].detail == "the run of a of 2021-03-01 12:00 UTC broke off: the disk is full"
    assert told[1].detail.endswith("broke off: an unexpected ValueError, see the log")


def test_a_watcher_of_verdicts_that_fails_does_not_take_the_message_with_it(place, local, endpoint, logs):
    endpoint.status = 500
    app = place.app({"a": local}, "receivers: {me: {type: console}}\nfailure_threshold: 1")
    app._on_verdict = lambda _: 1 / 0

    async def work():
        await app._tick(place.clock.now())
        await finished(app)
        await app._tick(place.clock.now())
        await finished(app)

    place.use(app, work)
    assert "run.failed" in events(logs)
    assert "Cannot measure" in "".join(place.lines)


# ---------------------------------------------------------------- receivers


class Hanging:
    """A receiver that takes nothing and says nothing until it is let go."""

    events = FOR_PEOPLE

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.n_sent = 0

    async def send(self, _announcement) -> None:
        await self.let_go.wait()
        self.n_sent += 1


def test_a_receiver_that_hangs_holds_up_neither_runs_nor_the_look_at_the_clock(place, local, endpoint):
    endpoint.status = 500
    app = place.app({"a": local}, "receivers: {me: {type: console}}\nfailure_threshold: 1")

    async def work():
        app._notifiers["me"] = Hanging()
        start = place.clock.now()
        for minute in range(3):
            await asyncio.wait_for(app._tick(start + minute * MINUTE), 5)
            await until(lambda: not app._in_flight)
        assert [state for _, state in runs(app)] == 3 * ["judged"]
        app._notifiers["me"].let_go.set()
        await finished(app)
        return app._notifiers["me"].n_sent

    assert place.use(app, work) == 1


def test_many_runs_that_end_together_are_one_look_and_only_a_tick_looks_for_reminders(place, local, monkeypatch):
    app = place.app({"a": local})
    asked = []
    for name, store in (("check_writable", app.store), ("waiting", app.store)):
        original = getattr(store, name)
        monkeypatch.setattr(store, name, lambda *given, n=name, o=original: asked.append(n) or o(*given))
    monkeypatch.setattr(reminding, "remind", lambda *_, **__: asked.append("remind") or [])

    async def work():
        for _ in range(50):
            await app._tell(reminds=False)
        await finished(app)
        of_runs = list(asked)
        asked.clear()
        await app._tell(reminds=False)
        await app._tell(reminds=True)
        await finished(app)
        await app._tell(reminds=False)
        await finished(app)
        return of_runs, asked

    of_runs, later = place.use(app, work)
    assert of_runs == ["check_writable", "waiting"]
    assert later == ["check_writable", "remind", "waiting", "check_writable", "waiting"]


def test_a_look_that_fails_does_not_keep_the_next_from_beginning(place, local, monkeypatch, logs):
    app = place.app({"a": local})
    troubles = iter([StoreError("locked")])

    def check():
        if (trouble := next(troubles, None)) is not None:
            raise trouble
        checked.append(1)

    checked = []
    monkeypatch.setattr(app.store, "check_writable", check)

    async def work():
        for _ in range(2):
            await app._tell(reminds=True)
            await finished(app)

    place.use(app, work)
    assert (events(logs).count("delivery.failed"), len(checked)) == (1, 1)


def test_what_was_open_before_groups_were_known_gets_its_cause_at_the_start(place, local):
    app = place.app({"a": local})
    at = place.clock.now()
    opening = Step(
        incident_id=None,
        target="a",
        kind=Kind.AVAILABILITY,
        before=None,
        after=IncidentState.OPEN,
        at=at,
        author="driftwatch",
        reason="x",
        onset_at=at,
        baseline_id=None,
        run_id=None,
        event=Event.OPENED,
    )
    steps = [opening, replace(opening, kind=Kind.BEHAVIOUR, cause="mine"), replace(opening, target="gone")]
    app.store.commit_judgement(None, steps, at=at)

    async def work():
        app.begin(app.targets, at)
        return [app.store.incident(n).cause for n in (1, 2, 3)]

    expected = grouping.cause(Kind.AVAILABILITY, app.targets[0])
    assert expected.startswith("reach ")
    assert place.use(app, work) == [expected, "mine", ""]


def test_a_message_under_way_is_finished_before_the_daemon_stops(place, local, endpoint):
    endpoint.status = 500
    app = place.app({"a": local}, "receivers: {me: {type: console}}\nfailure_threshold: 1")

    async def work():
        hanging = Hanging()
        app._notifiers["me"] = hanging
        daemon = asyncio.create_task(app.serve())
        await until(lambda: app._deliveries.under_way and app.store.incidents() != [])
        app.stop()
        asyncio.get_running_loop().call_later(0.1, hanging.let_go.set)
        await daemon
        return [n.state.value for n in app.store.notifications()]

    assert place.use(app, work) == ["sent"]


def test_a_store_that_fails_while_telling_is_logged_and_tried_again(place, local, endpoint, monkeypatch, logs):
    endpoint.status = 500
    app = place.app({"a": local}, "receivers: {me: {type: console}}\nfailure_threshold: 1")
    original, troubles = app.store.waiting, iter([StoreError("locked")] * 2)

    def refuse(at):
        if (trouble := next(troubles, None)) is not None:
            raise trouble
        return original(at)

    monkeypatch.setattr(app.store, "waiting", refuse)

    async def work():
        for _ in range(3):
            await app._tick(place.clock.now())
            await finished(app)

    place.use(app, work)
    assert "delivery.failed" in events(logs)
    assert "Cannot measure" in "".join(place.lines)


# ---------------------------------------------------------------- health


def test_health_follows_the_scheduler_and_the_store(place, local, monkeypatch):
    app = place.app({"a": local})
    before = app.health()
    assert (before.is_alive, before.is_ready, before.last_tick_age_s) == (False, False, None)
    assert before.detail == "the scheduler has not started"

    async def work():
        await app._tick(place.clock.now())
        in_flight = app.health()
        await finished(app)
        alive = app.health()
        app._since_tick = lambda: module.STALLED_S
        stalled = app.health()
        app._since_tick = lambda: 0.0
        place.root.joinpath("watch.db").rename(place.root / "elsewhere.db")
        gone = app.health()
        return in_flight, alive, stalled, gone

    in_flight, alive, stalled, gone = place.use(app, work)
    assert in_flight.runs_in_flight == 1
    assert (alive.is_alive, alive.is_ready, alive.detail, alive.targets) == (True, True, "ok", 1)
    assert (stalled.is_alive, stalled.is_ready, stalled.detail) == (False, False, "the scheduler is stalled")
    assert (gone.is_alive, gone.is_ready) == (True, False)
    assert "watch.db" in gone.detail


# ---------------------------------------------------------------- clocks


def test_a_clock_set_back_by_more_than_an_interval_neither_stops_nor_spins_the_watch(place, local, logs):
    app = place.app({"a": local})
    right = place.clock.now()

    async def work():
        for at in (right + timedelta(days=300), right, right + timedelta(seconds=10), right + MINUTE):
            following = await app._tick(at)
            await finished(app)
            assert following > at
        return [run.scheduled_at for run in app.store.runs()]

    assert place.use(app, work) == [right, right + MINUTE, right + timedelta(days=300)]
    assert "run.claimed_elsewhere" not in events(logs)


def test_a_clock_set_back_within_an_interval_repeats_no_slot(place, simulated, logs):
    app = place.app({"a": simulated})
    start = place.clock.now()

    async def work():
        for minutes in (0, -5, -20, 1):
            await app._tick(start + minutes * MINUTE)
            await finished(app)
        return [run.scheduled_at for run in app.store.runs()]

    assert place.use(app, work) == [start]
    assert "run.claimed_elsewhere" not in events(logs)


# ---------------------------------------------------------------- housekeeping


def test_old_replies_are_deleted_once_a_day(place, local, monkeypatch):
    app = place.app({"a": local}, "retention_days: 7")
    asked: list[datetime] = []
    monkeypatch.setattr(app.store, "prune", lambda *, before: asked.append(before) or 0)
    start = place.clock.now()

    async def work():
        for hours in (0, 1, 23, 24, 25, 48):
            await app._tick(start + timedelta(hours=hours))
            await finished(app)

    place.use(app, work)
    assert asked == [start + timedelta(days=day - 7) for day in (0, 1, 2)]


def test_replies_older_than_the_retention_are_gone_and_their_verdicts_are_not(place, simulated, logs):
    app = place.app({"a": simulated}, "retention_days: 1")
    start = place.clock.now()

    async def work():
        for hour in range(50):
            await app._tick(start + timedelta(hours=hour))
            await finished(app)
        watched = app.store.runs(purposes=(Purpose.WATCH,))
        stored = app.store.completions([run.id for run in watched])
        return [bool(stored[run.id]) for run in watched], len(app.store.verdicts())

    kept, n_verdicts = place.use(app, work)
    assert kept == sorted(kept), "the oldest go first"
    assert 0 < kept.count(False) < len(kept)
    assert n_verdicts == 50
    assert "store.pruned" in events(logs)


def test_what_a_killed_process_left_behind_is_given_up_without_a_restart(place, local):
    app = place.app({"a": local})
    start = place.clock.now()

    async def work():
        await app._tick(start)
        await finished(app)
        baseline = app.store.current_baseline("a")
        app.store.claim_run(
            target="a",
            scheduled_at=start + MINUTE,
            purpose=Purpose.CALIBRATION,
            baseline_id=baseline.id,
            at=start + MINUTE,
        )
        await app._tick(start + timedelta(days=1))
        await finished(app)
        return runs(app)

    assert place.use(app, work)[1] == ("12:01", "interrupted")


# ---------------------------------------------------------------- another config


def test_a_target_that_left_the_config_keeps_its_incident_and_says_so_at_the_start(place, local, endpoint, logs):
    endpoint.status = 500
    first = place.app({"a": local, "b": {**local, "model": "m-2"}}, "failure_threshold: 1")
    place.use(first, lambda: first.run_due(["a"]))
    second = place.app({"b": {**local, "model": "m-2"}}, "failure_threshold: 1")
    place.use(second, lambda: second.run_due(["b"]))
    third = place.app({"b": {**local, "model": "m-2"}}, "failure_threshold: 1")
    third.stop()
    place.use(third, third.serve)
    [warning] = [entry for entry in logs if entry["event"] == "incident.unwatched"]
    assert (warning["target"], warning["incident"]) == ("a", 1)
    assert warning["instead"].endswith("driftwatch incidents resolve 1")


def test_a_target_that_comes_back_goes_on_with_its_baseline(place, local):
    other = {**local, "model": "m-2"}
    baselines = []
    for targets in ({"a": local, "b": other}, {"b": other}, {"a": local, "b": other}):
        app = place.app(targets)

        async def work(app=app, targets=targets):
            await app.run_due(list(targets))
            return [b.id for b in app.store.baselines("a")]

        baselines.append(place.use(app, work))
        place.clock.at += MINUTE
    assert len(baselines[0]) == 1
    assert baselines == 3 * [baselines[0]]


def test_a_connection_that_cannot_be_closed_does_not_keep_the_database_open(place, local, monkeypatch):
    app = place.app({"a": local})

    async def refuse():
        raise OSError("no")

    monkeypatch.setattr(app.lines["a"].provider, "aclose", refuse)
    with pytest.raises(OSError, match="no"):
        asyncio.run(app.close())
    with pytest.raises(StoreError):
        app.store.ping()


# ---------------------------------------------------------------- bursts

CHANGED = "changes:\n  - {at: 2026-03-03T04:00:00Z, persona: after}\n"


def at_night(place, simulated, **options) -> list[datetime]:
    """A day of calibration and a few hours with another persona: the runs since it came."""
    script = place.root / "script.yaml"
    script.write_text(script.read_text(encoding="utf-8") + CHANGED, encoding="utf-8")
    until = "simulation: {start: 2026-03-02T00:00:00Z, end: 2026-03-03T07:00:00Z}"
    app = place.app({"a": {**simulated, "jitter": "0s", **options}}, until, clock=None)

    async def work():
        await app.serve()
        return [run.scheduled_at for run in app.store.runs(since=datetime(2026, 3, 3, 4, tzinfo=UTC))]

    return place.use(app, work)


def test_in_simulated_time_a_suspicious_run_is_followed_by_a_burst(place, simulated):
    slots = at_night(place, simulated)
    assert [f"{slot:%H:%M}" for slot in slots[:5]] == ["04:00", "04:10", "04:20", "04:30", "05:00"]


@pytest.mark.parametrize("options", [{"burst": False}, {"interval": "30m"}])
def test_without_bursts_the_next_slot_is_the_next_look(place, simulated, options):
    slots = at_night(place, simulated, **options)
    assert {slot.minute for slot in slots} <= {0, 30}


def test_a_check_makes_the_follow_up_when_it_comes_ten_minutes_later(place, simulated, monkeypatch):
    app = place.app({"a": simulated})
    slot = Slot(target="a", scheduled_at=app.clock.now() + 10 * MINUTE, start_at=app.clock.now() + 10 * MINUTE)

    async def work():
        await app.run_due(["a"])
        monkeypatch.setattr(app._bursts, "follow_ups", lambda *_: {"a": slot})
        first = await app.run_due(["a"])
        app.clock.at += 10 * MINUTE
        return first, await app.run_due(["a"]), [run.scheduled_at for run in app.store.runs()]

    early, later, slots = place.use(app, work)
    assert (list(early), list(later)) == ([], ["a"])
    assert slots[-1] == slot.scheduled_at
