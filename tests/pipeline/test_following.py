"""A series followed run by run says what the whole series says, and reads no more than is new."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.domain import Purpose
from driftwatch.following import Follower
from driftwatch.judgement import conclude


def newest(watch):
    return watch.store.runs(newest_first=True, limit=1)[0]


def told(watch, follower, run=None):
    run = run or newest(watch)
    seen = follower.see(watch.target, watch.baseline(), run)
    return conclude(watch.store, watch.target, watch.baseline(), run, seen=seen)


def whole(watch, run=None):
    return conclude(watch.store, watch.target, watch.baseline(), run or newest(watch))


@pytest.fixture
def reads(monkeypatch):
    """Where each reading of the series began: None for the whole of it."""

    def count(store):
        made = []
        read = store.series

        def series(baseline_id, *, after=None):
            made.append(after)
            return read(baseline_id, after=after)

        monkeypatch.setattr(store, "series", series)
        return made

    return count


def test_every_verdict_of_a_change_and_its_end_is_what_the_whole_series_says(armed):
    follower = Follower(armed.store)
    armed.run(3)
    states = []
    for persona, n in (("before", 2), ("after", 10), ("before", 30)):
        armed.serve(persona)
        for _ in range(n):
            armed.run()
            assert told(armed, follower) == whole(armed)
            states.append(whole(armed).state)
    assert {"stable", "drifted"} <= set(states)
    assert states[-1] == "stable"


def test_a_quiet_run_reads_only_what_is_new(armed, reads):
    armed.run(4)
    follower = Follower(armed.store)
    told(armed, follower)
    armed.run()
    made = reads(armed.store)
    assert told(armed, follower).n_monitored == 5
    assert len(made) == 1
    assert made[0] is not None


def test_asking_twice_changes_nothing(armed):
    armed.run(4)
    follower = Follower(armed.store)
    assert told(armed, follower) == told(armed, follower) == whole(armed)


def test_a_late_judgement_is_made_of_what_was_known_then(armed):
    armed.run(6)
    follower = Follower(armed.store)
    told(armed, follower)
    earlier = armed.store.runs(newest_first=True, limit=3)[-1]
    assert told(armed, follower, earlier) == whole(armed, earlier)
    assert whole(armed, earlier).n_monitored == 4
    armed.run()
    assert told(armed, follower) == whole(armed)


def test_a_run_that_is_taken_out_or_comes_in_between_is_noticed(armed):
    armed.run(6)
    follower = Follower(armed.store)
    told(armed, follower)
    dropped = armed.store.runs(newest_first=True, limit=4)[-1]
    armed.store.set_members(armed.baseline().id, [dropped.id], None)
    assert told(armed, follower) == whole(armed)
    assert whole(armed).n_monitored == 5
    armed.store.set_members(armed.baseline().id, [dropped.id], Purpose.WATCH)
    assert told(armed, follower) == whole(armed)
    assert whole(armed).n_monitored == 6


def test_another_threshold_or_baseline_begins_anew(armed):
    armed.run(6)
    follower = Follower(armed.store)
    told(armed, follower)
    armed.target = replace(armed.target, threshold=50_000.0)
    assert told(armed, follower) == whole(armed)
    assert told(armed, follower).kinds[0].threshold == 50_000.0


def test_a_clock_that_was_ahead_during_calibration_costs_readings_and_no_verdict(armed):
    """The calibration runs then lie after the watched ones, for as long as the clock was wrong by."""
    armed.run(3)
    armed.hour -= 2000
    for _ in range(3):
        armed.run_at(armed.now - timedelta(minutes=1))
        armed.hour += 1
    follower = Follower(armed.store)
    run = armed.store.runs()[-1]
    oldest = min(armed.store.runs(), key=lambda made: made.scheduled_at)
    assert told(armed, follower, oldest) == whole(armed, oldest)
    assert told(armed, follower, run) == whole(armed, run)
