"""When a run is due: claims about the pure part, over any interval, jitter and moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from driftwatch.schedule import EPOCH, Slot, due, next_start, slot_at

WEEK_S = 7 * 86_400
MICROSECOND = timedelta(microseconds=1)

moments = st.integers(0, 100 * 365 * 86_400 * 10**6).map(lambda us: datetime(2001, 1, 1, tzinfo=UTC) + us * MICROSECOND)
intervals = st.one_of(
    st.integers(60, WEEK_S).map(float),
    st.floats(60, WEEK_S, allow_nan=False),
    st.sampled_from([60.0, 90.5, 3600.0, 86_400.0, float(WEEK_S)]),
)


@st.composite
def timings(draw):
    """(interval_s, jitter_s) as the config admits them: the jitter is shorter than the interval."""
    interval_s = draw(intervals)
    return interval_s, interval_s * draw(st.sampled_from([0.0, 0.1, 0.5, 0.999]))


@given(timings(), moments)
def test_a_moment_lies_in_exactly_the_slot_it_is_said_to_lie_in(make_target, timing, at):
    target = make_target(*timing)
    slot = slot_at(target, at)
    assert slot.scheduled_at <= at < slot.scheduled_at + timedelta(seconds=target.interval_s)
    assert slot_at(target, slot.scheduled_at) == slot
    assert slot_at(target, slot.scheduled_at - MICROSECOND).scheduled_at < slot.scheduled_at


@given(timings(), moments)
def test_the_jitter_stays_inside_its_bounds_and_is_the_same_on_every_call(make_target, timing, at):
    target = make_target(*timing)
    slot = slot_at(target, at)
    delay = slot.start_at - slot.scheduled_at
    assert timedelta(0) <= delay
    assert delay < timedelta(seconds=target.jitter_s) or target.jitter_s == 0 == delay.total_seconds()
    assert slot_at(make_target(*timing), at) == slot


def test_the_jitter_spreads_a_fleet_over_its_whole_range(make_target, at):
    delays = [(slot := slot_at(make_target(3600, 600, f"t{i}"), at)).start_at - slot.scheduled_at for i in range(200)]
    by_minute = [sum(delay // timedelta(minutes=1) == minute for delay in delays) for minute in range(10)]
    assert min(by_minute) >= 8
    assert sum(by_minute) == 200


def test_a_thousand_targets_of_one_interval_do_not_start_in_one_minute(make_target, at):
    hour = slot_at(make_target(3600), at).scheduled_at
    starts = [slot_at(make_target(3600, 360, f"t{i}"), at).start_at for i in range(1000)]
    by_minute = [sum((start - hour) // timedelta(minutes=1) == minute for start in starts) for minute in range(6)]
    # 1,000 over six minutes: 167 ± 5 standard deviations of 11.8.
    assert all(107 <= n <= 226 for n in by_minute)
    assert {slot_at(make_target(3600, 0, f"t{i}"), at).start_at for i in range(1000)} == {hour}


def test_a_target_starts_at_another_minute_in_every_slot(make_target, at):
    target = make_target(3600, 3599)
    slots = [slot_at(target, at + timedelta(hours=hour)) for hour in range(200)]
    by_quarter = [
        sum((slot.start_at - slot.scheduled_at) // timedelta(minutes=15) == q for slot in slots) for q in range(4)
    ]
    # 200 over four quarters: 50 ± 4 standard deviations of 6.1.
    assert all(25 <= n <= 75 for n in by_quarter)


def test_slots_lie_on_whole_intervals_since_1970(make_target):
    slot = slot_at(make_target(7200), datetime(2026, 3, 16, 9, 59, tzinfo=UTC))
    assert slot.scheduled_at == datetime(2026, 3, 16, 8, tzinfo=UTC)
    assert slot_at(make_target(WEEK_S), EPOCH + timedelta(days=20)).scheduled_at == EPOCH + timedelta(days=14)


@given(st.lists(timings(), max_size=6), moments, st.data())
def test_at_most_one_slot_per_target_is_due_and_it_has_begun(make_target, fleet, at, data):
    targets = [make_target(*timing, name=f"t{i}") for i, timing in enumerate(fleet)]
    last = {
        target.name: at - timedelta(seconds=data.draw(st.floats(-2, 3)) * target.interval_s)
        for target in targets
        if data.draw(st.booleans())
    }
    slots = due(targets, last, at)
    assert len({slot.target for slot in slots}) == len(slots)
    assert [slot.start_at for slot in slots] == sorted(slot.start_at for slot in slots)
    assert all(slot.scheduled_at <= slot.start_at <= at for slot in slots)


@given(timings(), moments, st.floats(0, 1, exclude_max=True))
def test_a_slot_that_has_been_run_is_not_due_again(make_target, timing, at, part):
    target = make_target(*timing)
    slot = slot_at(target, at)
    later = slot.scheduled_at + timedelta(seconds=part * target.interval_s) - MICROSECOND
    assert due([target], {target.name: slot.scheduled_at}, max(later, slot.scheduled_at)) == []


@given(timings(), moments, st.floats(1, 500))
def test_slots_missed_while_nobody_watched_are_not_made_up_for(make_target, timing, at, n_intervals):
    target = make_target(*timing)
    last = slot_at(target, at - timedelta(seconds=n_intervals * target.interval_s)).scheduled_at
    slots = due([target], {target.name: last}, at)
    assert [slot.scheduled_at for slot in slots] in ([], [slot_at(target, at).scheduled_at])


@given(timings(), moments, st.floats(0, 1))
def test_a_clock_set_back_a_little_makes_nothing_due(make_target, timing, at, part):
    target = make_target(*timing)
    last = slot_at(target, at).scheduled_at
    earlier = last - timedelta(seconds=part * target.interval_s)
    assert due([target], {target.name: last}, earlier) == []
    assert next_start([target], {target.name: last}, earlier) > earlier


@given(intervals, moments, st.floats(1.001, 10_000))
def test_a_last_run_far_in_the_future_does_not_stop_the_watch(make_target, interval_s, at, n_intervals):
    target = make_target(interval_s)
    last = {target.name: at + timedelta(seconds=n_intervals * interval_s)}
    assert due([target], last, at) == [slot_at(target, at)]
    assert next_start([target], last, at) == at


@given(st.lists(timings(), min_size=1, max_size=4), moments, st.data())
def test_nothing_is_due_before_the_next_start_and_something_is_due_at_it(make_target, fleet, at, data):
    targets = [make_target(*timing, name=f"t{i}") for i, timing in enumerate(fleet)]
    last = {t.name: slot_at(t, at).scheduled_at for t in targets if data.draw(st.booleans())}
    start = next_start(targets, last, at)
    assert start >= at
    assert due(targets, last, start)
    assert start == at or not due(targets, last, start - MICROSECOND)


@given(timings(), moments)
def test_going_from_next_start_to_next_start_visits_every_slot_exactly_once(make_target, timing, at):
    target = make_target(*timing)
    last, visited = {}, []
    while len(visited) < 20:
        for slot in due([target], last, at):
            visited.append(slot.scheduled_at)
            last[slot.target] = slot.scheduled_at
        following = next_start([target], last, at)
        assert following > at, "the loop would spin"
        at = following
    steps = {after - before for before, after in pairwise(visited)}
    assert steps == {timedelta(seconds=target.interval_s)}


def test_a_target_that_never_ran_is_due_in_the_slot_at_hand(make_target, at):
    assert [slot.scheduled_at for slot in due([make_target()], {}, at)] == [at]


def test_a_run_made_by_hand_inside_the_slot_stands_for_the_slot(make_target, at):
    by_hand = at + timedelta(minutes=7)
    assert due([make_target()], {"support": by_hand}, at + timedelta(minutes=50)) == []
    assert len(due([make_target()], {"support": by_hand}, at + timedelta(minutes=60))) == 1


def test_without_targets_there_is_no_next_start(at):
    assert next_start([], {}, at) is None
    assert due([], {}, at) == []


@pytest.mark.parametrize("minutes", [0, 1, 29, 59])
def test_two_replicas_compute_the_same_slots(make_target, at, minutes):
    one, other = make_target(3600, 1800), make_target(3600, 1800)
    moment = at + timedelta(minutes=minutes)
    assert due([one], {}, moment) == due([other], {}, moment)


# ---------------------------------------------------------------- follow-ups of a burst

TEN = timedelta(minutes=10)
NINE = datetime(2026, 3, 16, 9, tzinfo=UTC)


def follow_up(after, *, start_at=None):
    return {"support": Slot(target="support", scheduled_at=after + TEN, start_at=start_at or after + TEN)}


def test_a_follow_up_starts_ten_minutes_after_its_run_and_not_before(make_target):
    target, wanted = make_target(), follow_up(NINE)
    early, due_at = NINE + timedelta(minutes=9, seconds=59), NINE + TEN
    assert due([target], {"support": NINE}, early, wanted) == []
    assert next_start([target], {"support": NINE}, early, wanted) == due_at
    assert due([target], {"support": NINE}, due_at, wanted) == [wanted["support"]]
    assert next_start([target], {"support": NINE}, due_at, wanted) == due_at


def test_a_follow_up_is_made_once(make_target):
    made = {"support": NINE + TEN}
    assert due([make_target()], made, NINE + TEN, follow_up(NINE)) == []
    assert next_start([make_target()], made, NINE + TEN, follow_up(NINE)) == NINE + timedelta(hours=1)


def test_a_slot_comes_before_the_follow_up_of_an_earlier_one(make_target):
    ten = NINE + timedelta(hours=1)
    assert [s.scheduled_at for s in due([make_target()], {"support": NINE}, ten, follow_up(NINE))] == [ten]


def test_a_follow_up_that_would_come_too_close_to_the_next_slot_is_left_to_it(make_target):
    for minute, n in ((50, 1), (51, 0)):
        at = NINE + timedelta(minutes=minute)
        assert len(due([make_target()], {"support": NINE}, at, follow_up(NINE))) == n
    late = follow_up(NINE, start_at=NINE + timedelta(minutes=51))
    assert next_start([make_target()], {"support": NINE}, NINE + TEN, late) == NINE + timedelta(hours=1)


def test_a_follow_up_of_yesterday_is_neither_made_up_for_nor_invented(make_target):
    now = NINE + timedelta(days=1, minutes=30)
    slot = slot_at(make_target(), now).scheduled_at
    assert due([make_target()], {"support": slot}, now, follow_up(NINE)) == []


@given(st.floats(2400, WEEK_S), moments, st.integers(0, 7200))
def test_follow_ups_and_slots_are_never_less_than_ten_minutes_apart(make_target, interval_s, at, later_s):
    target = make_target(interval_s, interval_s / 10)
    slot = slot_at(target, at)
    wanted = follow_up(slot.scheduled_at, start_at=slot.start_at + TEN)
    now = slot.start_at + timedelta(seconds=later_s)
    for found in due([target], {"support": slot.scheduled_at}, now, wanted):
        if found == wanted["support"]:
            following = slot_at(target, slot.scheduled_at + timedelta(seconds=interval_s) + MICROSECOND)
            assert now - slot.start_at >= TEN
            assert following.start_at - now >= TEN - 2 * MICROSECOND
