"""The watch looks after itself: what it opens, whom it tells, and that it ends, over a real database."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.alert.policy import Policy
from driftwatch.alert.troubles import MB, Space
from driftwatch.domain import Event, IncidentState, Kind, NotificationState, Purpose, Severity, Target
from driftwatch.errors import ConfigError, StoreError
from driftwatch.store import Store
from driftwatch.upkeep import Upkeep

AT = datetime(2026, 3, 16, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class Room:
    """The room on a disk that a test fills and frees; the rest of the machine has none."""

    def __init__(self, free: int = 900 * MB) -> None:
        self.free = free

    def __call__(self, directory: Path) -> Space:
        return Space(directory=str(directory), free_bytes=self.free, total_bytes=8000 * MB)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "watch.db") as store:
        yield store


@pytest.fixture
def room():
    return Room()


class Watch:
    """Stopwatches that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self):
        start = self.now_s
        return lambda: self.now_s - start


@pytest.fixture
def timer():
    return Watch()


@pytest.fixture
def keep(store, tmp_path, room, timer):
    def build(*targets, receivers=("pager", "mail"), at=AT, **more):
        return Upkeep(
            timer=timer,
            store=store,
            path=tmp_path / "watch.db",
            targets=targets or (target("shop"),),
            policy=Policy(receivers=tuple(receivers)),
            receivers=receivers,
            at=at,
            space=room,
            **more,
        )

    return build


def target(name, **more):
    return Target(**{"name": name, "provider": "openai", "model": "m", "canaries": (), "receivers": ("pager",), **more})


def edges(store):
    """(trouble, target, event) in the order in which they were written."""
    found = []
    for incident in reversed(store.incidents()):
        found += [(edge.id, incident.trouble, incident.target, edge.event) for edge in store.transitions(incident.id)]
    return [rest for _, *rest in sorted(found)]


def told(store, receiver):
    return sum(one.receiver == receiver for one in store.notifications())


# ---------------------------------------------------------------- the disk


def test_a_low_disk_is_one_incident_that_gets_graver_and_ends_by_itself(keep, store, room):
    upkeep = keep()
    assert upkeep.look(AT, last={}) == []
    room.free = 150 * MB
    [incident] = upkeep.look(AT + MINUTE, last={})
    assert (incident.kind, incident.trouble, incident.severity) == (Kind.WATCH_ITSELF, "disk", Severity.WARNING)
    assert upkeep.look(AT + 2 * MINUTE, last={}) == []
    room.free = 40 * MB
    [incident] = upkeep.look(AT + 3 * MINUTE, last={})
    assert incident.severity is Severity.CRITICAL
    room.free = 240 * MB
    assert upkeep.look(AT + 4 * MINUTE, last={}) == [], "above the threshold, and too near to it to be over"
    room.free = 900 * MB
    [incident] = upkeep.look(AT + 5 * MINUTE, last={})
    assert incident.state is IncidentState.RESOLVED
    assert [event for _, _, event in edges(store)] == [Event.OPENED, Event.ESCALATED, Event.RESOLVED]
    assert told(store, "pager") == told(store, "mail") == 3
    assert store.transitions(incident.id)[-1].reason.endswith("has 900 MB free again")


def test_another_process_neither_opens_a_second_incident_nor_tells_again(keep, store, room):
    room.free = 150 * MB
    keep().look(AT, last={})
    keep().look(AT + MINUTE, last={})
    assert [event for _, _, event in edges(store)] == [Event.OPENED]
    room.free = 900 * MB
    keep().look(AT + 2 * MINUTE, last={})
    keep().look(AT + 3 * MINUTE, last={})
    assert [event for _, _, event in edges(store)] == [Event.OPENED, Event.RESOLVED]


def test_what_comes_back_within_a_day_is_the_same_incident(keep, store, room):
    upkeep = keep()
    for minutes, free in enumerate([150, 900, 150]):
        room.free = free * MB
        upkeep.look(AT + minutes * MINUTE, last={})
    assert [event for _, _, event in edges(store)] == [Event.OPENED, Event.RESOLVED, Event.REOPENED]
    assert len(store.incidents()) == 1


def test_simulated_time_knows_nothing_of_this_machines_disk(keep, store, room):
    room.free = 0
    assert keep(is_simulated=True).look(AT, last={}) == []


# ---------------------------------------------------------------- the clock


def test_a_clock_that_jumps_is_told_and_is_well_after_an_hour(keep, store, timer):
    upkeep = keep()
    upkeep.look(AT, last={})
    timer.now_s += 60
    [incident] = upkeep.look(AT + 3 * HOUR + MINUTE, last={})
    assert incident.evidence["headline"].startswith(
        "The clock of this machine jumped forward by 3 h, to Mon 16 Mar 12:01"
    )
    timer.now_s += 60
    assert upkeep.look(AT + 3 * HOUR + 2 * MINUTE, last={}) == []
    # Another process knows of no jump; the hour is counted from the incident.
    assert keep().look(AT + 3 * HOUR + 3 * MINUTE, last={}) == []
    timer.now_s += 3600
    [incident] = upkeep.look(AT + 4 * HOUR + 3 * MINUTE, last={})
    assert incident.state is IncidentState.RESOLVED


def test_after_a_restart_a_jump_is_over_an_hour_after_it_was_told(keep, timer):
    upkeep = keep()
    upkeep.look(AT, last={})
    upkeep.look(AT + 3 * HOUR, last={})
    assert keep().look(AT + 4 * HOUR, last={}) == []
    [incident] = keep().look(AT + 4 * HOUR + MINUTE, last={})
    assert incident.state is IncidentState.RESOLVED


def test_a_clock_that_was_set_back_is_told_too(keep, store):
    upkeep = keep()
    upkeep.look(AT, last={})
    [incident] = upkeep.look(AT - 2 * HOUR, last={})
    assert "jumped back by 2 h" in incident.evidence["headline"]


def test_an_hour_by_clock_and_stopwatch_is_no_jump(keep, timer):
    upkeep = keep()
    upkeep.look(AT, last={})
    timer.now_s += 7200
    assert upkeep.look(AT + 3 * HOUR, last={}) == [], "one hour off, not more"


# ---------------------------------------------------------------- runs


def test_three_runs_in_a_row_that_break_off_are_an_incident_of_their_target(keep, store):
    upkeep = keep()
    for hours in range(3):
        assert upkeep.look(AT + hours * MINUTE, last={}) == []
        upkeep.broke_off("shop", AT + hours * HOUR, KeyError("x"), "an unexpected KeyError, see the log")
        # The same slot twice is one run.
        upkeep.broke_off("shop", AT + hours * HOUR, KeyError("x"), "an unexpected KeyError, see the log")
    [incident] = upkeep.look(AT + 4 * MINUTE, last={})
    assert (incident.target, incident.trouble) == ("shop", "broken")
    assert told(store, "pager") == 1
    assert told(store, "mail") == 0, "a target's own receivers are told of its troubles"
    upkeep.went_well("shop", AT + 5 * MINUTE)
    [incident] = upkeep.look(AT + 6 * MINUTE, last={})
    assert incident.state is IncidentState.RESOLVED


def test_one_success_in_between_is_no_row(keep, store):
    upkeep = keep()
    for hours in range(4):
        upkeep.broke_off("shop", AT + hours * HOUR, KeyError("x"), "see the log")
        if hours == 1:
            upkeep.went_well("shop", AT)
    assert upkeep.look(AT + MINUTE, last={}) == []


def test_a_missing_secret_is_a_key_incident_of_all_its_targets_at_once(keep, store):
    upkeep = keep(*(target(name) for name in "abc"))
    for hours in range(2):
        for name in "abc":
            upkeep.broke_off(name, AT + hours * HOUR, ConfigError("KEY is not set"), "KEY is not set")
    moved = upkeep.look(AT + MINUTE, last={})
    assert [(i.target, i.trouble, i.part_of) for i in moved] == [("a", "key", None), ("b", "key", 1), ("c", "key", 1)]
    assert [event for _, _, event in edges(store)] == [Event.OPENED, Event.JOINED, Event.JOINED]


def test_a_database_that_fails_is_not_blamed_on_the_targets(keep):
    upkeep = keep()
    for hours in range(5):
        upkeep.broke_off("shop", AT + hours * HOUR, StoreError("the disk is full"), "the disk is full")
    assert upkeep.look(AT + MINUTE, last={}) == []


def test_a_target_that_nothing_was_measured_of_is_overdue(keep, store, timer):
    upkeep = keep(target("shop", interval_s=600.0))
    timer.now_s += 7200
    assert upkeep.look(AT + 2 * HOUR, last={}) == []
    timer.now_s += 60
    [incident] = upkeep.look(AT + 2 * HOUR + MINUTE, last={})
    assert incident.trouble == "broken"
    assert "nothing was measured for 2 h 1 min" in incident.evidence["headline"]
    upkeep.went_well("shop", AT + 2 * HOUR + 2 * MINUTE)
    [incident] = upkeep.look(AT + 2 * HOUR + 2 * MINUTE, last={})
    assert incident.state is IncidentState.RESOLVED


def test_what_another_process_measured_is_not_overdue(keep, store, timer):
    upkeep = keep()
    baseline = store.start_baseline(
        target="shop", series_key="0" * 16, author="ana", reason="first", at=AT, anchors_wanted=2, calibration_wanted=20
    )
    run = store.claim_run(
        target="shop", scheduled_at=AT + 3 * HOUR, purpose=Purpose.ANCHOR, baseline_id=baseline.id, at=AT + 3 * HOUR
    )
    store.record_measurement(run.id, completions=(), scores=(), finished_at=AT + 3 * HOUR, cost_usd=None)
    timer.now_s += 6 * 3600
    assert upkeep.look(AT + 6 * HOUR, last={}) == []
    timer.now_s += 60
    assert [one.trouble for one in upkeep.look(AT + 6 * HOUR + MINUTE, last={})] == ["broken"]


def test_a_jump_of_the_clock_makes_no_target_overdue(keep):
    upkeep = keep()
    upkeep.look(AT, last={})
    assert [one.trouble for one in upkeep.look(AT + 90 * HOUR, last={})] == ["clock"]


def test_a_watch_that_has_just_started_waits_before_it_calls_anything_overdue(keep, timer):
    upkeep = keep(at=AT + 90 * HOUR)
    timer.now_s += 3600
    assert upkeep.look(AT + 91 * HOUR, last={"shop": AT}) == []


# ---------------------------------------------------------------- receivers


def notify(store, upkeep, room, *, at=AT):
    """Make something to tell: a low disk."""
    room.free = 150 * MB
    upkeep.look(at, last={})
    room.free = 900 * MB
    return {one.receiver: one.id for one in store.notifications() if one.state is NotificationState.PENDING}


def test_a_receiver_that_refuses_is_told_of_to_the_others_until_it_takes_something(keep, store, room):
    upkeep = keep()
    ids = notify(store, upkeep, room)
    store.mark_dead(ids["pager"], error="the channel is archived")
    store.mark_sent(ids["mail"], at=AT)
    room.free = 150 * MB
    [incident] = upkeep.look(AT + MINUTE, last={})
    assert incident.trouble == "receiver:pager"
    assert incident.evidence["headline"] == "Receiver pager refuses messages: the channel is archived"
    assert {one.receiver for one in store.notifications(incident.id)} == {"mail"}
    room.free = 900 * MB
    [disk] = upkeep.look(AT + 2 * MINUTE, last={})
    assert disk.trouble == "disk"
    [again] = [one for one in store.notifications(disk.id) if one.receiver == "pager" and one.sent_at is None][-1:]
    store.mark_sent(again.id, at=AT + 3 * MINUTE)
    [over] = upkeep.look(AT + 4 * MINUTE, last={})
    assert (over.trouble, over.state) == ("receiver:pager", IncidentState.RESOLVED)


def test_a_receiver_that_was_out_of_reach_for_an_hour_is_told_of(keep, store, room, timer):
    upkeep = keep()
    ids = notify(store, upkeep, room)
    store.mark_failed(ids["pager"], error="it answered with status 500", next_attempt_at=AT + 2 * HOUR)
    room.free = 150 * MB
    assert upkeep.look(AT + MINUTE, last={}) == []
    timer.now_s += 3720
    assert upkeep.look(AT + HOUR, last={}) == []
    [incident] = upkeep.look(AT + HOUR + 2 * MINUTE, last={})
    assert incident.trouble == "receiver:pager"


def test_a_receiver_that_left_the_config_ends_its_incident(keep, store, room):
    upkeep = keep()
    store.mark_dead(notify(store, upkeep, room)["pager"], error="gone")
    upkeep.look(AT + MINUTE, last={})
    room.free = 150 * MB
    keep(receivers=("mail",)).look(AT + 2 * MINUTE, last={})
    [incident] = [one for one in store.incidents() if one.trouble == "receiver:pager"]
    assert incident.state is IncidentState.RESOLVED


# ---------------------------------------------------------------- a scheduler that stood still


def test_a_stall_is_stored_once_and_ends_with_the_next_look(keep, store):
    upkeep = keep()
    [incident] = upkeep.stalled(150.0, AT)
    assert (incident.trouble, incident.severity) == ("stalled", Severity.CRITICAL)
    assert incident.onset_at == AT - timedelta(seconds=150)
    assert upkeep.stalled(180.0, AT + MINUTE) == []
    # The process that stood still was killed: the next one ends it.
    [incident] = keep().look(AT + 2 * MINUTE, last={})
    assert incident.state is IncidentState.RESOLVED


# ---------------------------------------------------------------- in the running program


async def tick(app, place, *, hours):
    for _ in range(hours):
        await app._tick(place.clock.now())
        await asyncio.gather(*(task for _, task in app._in_flight.values()))
        place.clock.at += HOUR


def own(app):
    return [i for i in app.store.incidents() if i.kind is Kind.WATCH_ITSELF and i.trouble not in {"disk", "clock"}]


def test_a_budget_that_is_used_up_for_longer_than_an_interval_is_told_once_and_ends_with_the_next_run(place, simulated):
    paid = {**simulated, "price": {"input": 100, "output": 100}, "budget": {"requests_per_day": 6}}
    top = "receivers: {me: {type: console}}"
    app = place.app({"a": paid}, top)

    async def work():
        seen = []
        for hours in (4, 1, 2, 5, 2):
            await tick(app, place, hours=hours)
            seen.append([(i.trouble, i.target, str(i.state)) for i in own(app)])
        return seen, own(app)[0]

    seen, incident = place.use(app, work)
    opened = [("budget", "a", "open")]
    # It runs at 12:00 and 13:00, is left out from 14:00 on, and runs again at midnight.
    assert seen == [[], opened, opened, opened, [("budget", "a", "resolved")]]
    assert incident.onset_at.hour == 14
    headline = incident.evidence["headline"]
    assert headline.startswith("a has not been watched since Mon 1 Mar 14:00 UTC: paused by its budget until Tue 2 Mar")
    assert sum("budget used up" in line.lower() for line in place.lines) >= 1


def test_a_restart_does_not_end_what_it_has_not_tried(place, simulated):
    paid = {**simulated, "price": {"input": 100, "output": 100}, "budget": {"requests_per_day": 6}}
    app = place.app({"a": paid})
    place.use(app, lambda: tick(app, place, hours=5))
    later = place.app({"a": paid})

    async def work():
        await later._tick(place.clock.now())
        return [str(i.state) for i in own(later)]

    assert place.use(later, work) == ["open"]


def test_the_budget_of_all_targets_is_one_incident_of_the_watch(place, simulated):
    top = "budget: {requests_per_day: 8}"
    app = place.app({"a": simulated, "b": simulated}, top)

    async def work():
        await tick(app, place, hours=6)
        return [(i.trouble, i.target, i.evidence["headline"]) for i in own(app)]

    [(trouble, about, headline)] = place.use(app, work)
    assert (trouble, about) == ("budget", "driftwatch")
    assert re.match(r"[12] targets? \(.*\) (is|are) not watched since Mon 1 Mar 1[34]:00 UTC: paused by", headline)


def test_a_secret_that_is_missing_is_told_and_its_return_ends_it(place, local, endpoint):
    top = "receivers: {me: {type: console}}"
    key = place.root / "key"
    app = place.app({"a": {**local, "api_key_file": str(key)}}, top)

    async def work():
        seen = []
        for minute in range(6):
            if minute == 3:
                key.write_text("k-1")
            await app._tick(place.clock.now())
            await asyncio.gather(*(task for _, task in app._in_flight.values()))
            place.clock.at += MINUTE
            seen.append([(i.trouble, str(i.state)) for i in own(app)])
        return seen

    seen = place.use(app, work)
    assert ("key", "open") in seen[2]
    assert seen[-1] == [("key", "resolved")], "by the runs that were measured"


def test_a_look_of_a_check_tells_as_the_daemon_does(place, simulated):
    paid = {**simulated, "price": {"input": 100, "output": 100}, "budget": {"requests_per_day": 6}}

    async def check(app):
        await app.run_due(["a"])
        return [i.trouble for i in own(app)]

    found = []
    for _ in range(6):
        app = place.app({"a": paid})
        found.append(place.use(app, lambda app=app: check(app)))
        place.clock.at += HOUR
    assert found == [[], [], [], [], ["budget"], ["budget"]]
