"""The confirmation burst: when another look is due soon, how often, and that nothing of it is kept in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.burst import LONGEST, PER_DAY, Bursts, can_burst, is_suspicious
from driftwatch.domain import Kind, KindEvidence, Purpose, State
from driftwatch.schedule import due

TEN = timedelta(minutes=10)
SECOND = timedelta(seconds=1)


def wanted(watch, at):
    """What is due at a moment, as the daemon asks."""
    last = watch.store.last_scheduled([watch.target.name])
    return due([watch.target], last, at, Bursts(watch.store).follow_ups([watch.target], last, at))


def burst(watch) -> list:
    """Make every follow-up that comes before the next slot; their verdicts."""
    verdicts = []
    at = watch.now - timedelta(hours=1)  # of the run just made
    while at < watch.now - SECOND:
        at += timedelta(minutes=1)
        for slot in wanted(watch, at):
            if slot.scheduled_at < watch.now:
                run = watch.pipeline.run(watch.target, scheduled_at=slot.scheduled_at, at=at)
                verdicts.append(watch.runner.run(run))
    return verdicts


def quiet_run(watch):
    return watch.until(lambda verdict: not is_suspicious(verdict), at_most=20)


@pytest.fixture
def suspicious(armed):
    """The first run after a change: suspicious, and no alarm yet."""
    armed.target = replace(armed.target, threshold=1e6)
    quiet_run(armed)
    armed.serve("after")
    verdict = armed.run()
    assert (verdict.state, is_suspicious(verdict)) == (State.STABLE, True)
    return armed


def test_a_suspicious_run_is_followed_by_three_more_ten_minutes_apart(suspicious):
    verdicts = burst(suspicious)
    begun = suspicious.now - timedelta(hours=1)
    assert [v.at - begun for v in verdicts] == [TEN, 2 * TEN, 3 * TEN]
    assert LONGEST == 3
    runs = suspicious.store.runs(since=begun)
    assert {run.purpose for run in runs} == {Purpose.WATCH}
    assert [v.n_monitored for v in verdicts] == list(range(verdicts[0].n_monitored, verdicts[0].n_monitored + 3))


def test_an_ordinary_run_is_followed_by_nothing_until_the_next_slot(armed):
    quiet_run(armed)
    assert burst(armed) == []


def test_an_ordinary_run_ends_a_burst(suspicious):
    begun = suspicious.now - timedelta(hours=1)
    suspicious.changes.append({"at": (begun + TEN).isoformat(), "persona": "before"})
    suspicious.restart()
    [only] = burst(suspicious)
    assert not is_suspicious(only)


def test_a_burst_finds_a_swap_before_the_next_slot_would_have_looked(armed):
    quiet_run(armed)
    armed.serve("after")
    first = armed.run()
    assert first.state is State.STABLE
    assert State.DRIFTED in [verdict.state for verdict in burst(armed)]
    assert armed.incidents() == [("behaviour", "open")]


def test_an_alarm_ends_a_burst_and_drift_that_stands_begins_none(suspicious):
    suspicious.target = replace(suspicious.target, threshold=20.0)
    verdicts = burst(suspicious)
    assert [v.state for v in verdicts][-1] is State.DRIFTED
    assert len(verdicts) < LONGEST
    assert suspicious.run().state is State.DRIFTED
    assert burst(suspicious) == []


def test_a_restart_goes_on_with_a_burst(suspicious):
    at = suspicious.now - timedelta(hours=1) + TEN
    suspicious.run_at(at)
    suspicious.restart()
    assert [slot.scheduled_at for slot in wanted(suspicious, at + TEN)] == [at + TEN]


def test_two_processes_make_a_follow_up_once(suspicious):
    at = suspicious.now - timedelta(hours=1) + TEN
    slots = wanted(suspicious, at) + wanted(suspicious, at)
    made = [suspicious.run_at(slot.scheduled_at) for slot in slots]
    assert [verdict is None for verdict in made] == [False, True]


def test_a_follow_up_is_ten_minutes_after_its_run_really_began(suspicious):
    begun = suspicious.now
    suspicious.runner.run(
        suspicious.pipeline.run(suspicious.target, scheduled_at=begun, at=begun + timedelta(minutes=4))
    )
    assert wanted(suspicious, begun + timedelta(minutes=13)) == []
    assert [slot.scheduled_at for slot in wanted(suspicious, begun + timedelta(minutes=14))] == [begun + TEN]


def test_a_run_that_could_not_be_judged_ends_a_burst(suspicious):
    suspicious.endpoint.is_down = True
    [only] = burst(suspicious)
    assert only.state is State.INCONCLUSIVE


def test_bursts_stop_when_a_day_has_had_enough_of_them(suspicious):
    suspicious.target = replace(suspicious.target, threshold=1e300)
    n = len(burst(suspicious))
    while n < PER_DAY:
        suspicious.run()
        made = burst(suspicious)
        assert made, "every run of another model is suspicious"
        n += len(made)
    assert n == PER_DAY
    suspicious.run()
    assert burst(suspicious) == []


def test_a_replaced_baseline_ends_a_burst(suspicious):
    suspicious.edit(model="another")
    suspicious.pipeline.baseline_for(suspicious.target, suspicious.now)
    assert burst(suspicious) == []


def test_calibration_knows_no_bursts(watch):
    watch.run(10)
    watch.serve("after")
    watch.run()
    assert burst(watch) == []


@pytest.mark.parametrize(("interval_s", "expected"), [(2399, False), (2400, True), (3600, True), (86_400, True)])
def test_bursts_need_room_for_three_runs_between_two_slots(armed, interval_s, expected):
    assert can_burst(replace(armed.target, interval_s=interval_s)) is expected
    assert not can_burst(replace(armed.target, interval_s=interval_s, burst=False))


def test_a_switched_off_burst_is_none(suspicious):
    suspicious.target = replace(suspicious.target, burst=False)
    assert burst(suspicious) == []


@pytest.mark.parametrize(
    ("behaviour", "performance", "expected"),
    [
        ({"is_suspicious": True}, {}, True),
        ({}, {"is_suspicious": True}, True),
        ({}, {}, False),
        ({"is_suspicious": True, "is_drifted": True}, {}, False),
        ({"is_drifted": True}, {"is_suspicious": True}, False),
        ({"is_suspicious": True}, {"is_drifted": True}, True),
        ({"is_suspicious": True, "problem": "the calibration drifted"}, {}, False),
    ],
)
def test_what_is_not_told_yet_is_worth_another_look(armed, behaviour, performance, expected):
    kinds = tuple(
        KindEvidence(**{"kind": kind, "evidence": 1.0, "threshold": 9.0, "is_drifted": False, **given})
        for kind, given in ((Kind.BEHAVIOUR, behaviour), (Kind.PERFORMANCE, performance))
    )
    verdict = replace(armed.run(), kinds=kinds)
    assert is_suspicious(verdict) is expected
    assert not is_suspicious(replace(verdict, state=State.INCONCLUSIVE))
    assert not is_suspicious(replace(verdict, state=State.CALIBRATING))


def test_the_store_is_asked_once_about_a_run_that_calls_for_no_follow_up(armed, monkeypatch):
    quiet_run(armed)
    last = armed.store.last_scheduled([armed.target.name])
    bursts = Bursts(armed.store)
    at = armed.now - timedelta(minutes=50)
    assert bursts.follow_ups([armed.target], last, at) == {}
    monkeypatch.setattr(armed.store, "latest_verdict", lambda _: pytest.fail("asked again"))
    assert bursts.follow_ups([armed.target], last, at + TEN) == {}
