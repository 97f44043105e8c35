"""Promised delays are those that the real detector has, and behave as delays must."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from driftwatch.burst import can_burst
from driftwatch.detect import ChannelSpec, judge, watchers
from driftwatch.domain import Kind
from driftwatch.plan import Setting
from driftwatch.plan.delays import (
    BURST_GAP_S,
    HORIZON,
    SIZES,
    Delay,
    Watch,
    _clock,
    _suspicious,
    delay,
    smallest_visible,
    suspicious_gaps,
    swap_delay,
)

HOURLY = Watch(n_calibration=168, threshold=175_320.0, interval_s=3600.0, n_channels=3, n_two_sided=1)
QUICK = {"n_series": 12}


def watch(**fields) -> Watch:
    usual = {"n_calibration": 40, "threshold": 50_000.0, "interval_s": 3600.0, "n_channels": 2, "n_two_sided": 0}
    return Watch(**{**usual, **fields})


# ---------------------------------------------------------------- the promise


@pytest.mark.parametrize(("size", "horizon"), [(1.0, 300), (2.0, 60), (4.0, 24)])
def test_the_detector_keeps_the_promised_median_on_series_of_another_seed(size, horizon):
    before, n_series = 30, 48
    specs = [ChannelSpec(name=name, kind=Kind.BEHAVIOUR, two_sided=name == "c") for name in "abc"]
    runs = []
    for number in range(n_series):
        rng = np.random.default_rng([987, number])
        n = 168 + before + horizon
        z = 0.7 * rng.standard_normal((n, 1)) + 0.7 * rng.standard_normal((n, 3))
        z[168 + before :, 0] += size * math.sqrt(0.98)
        scores = np.clip(0.5 + 0.03 * z, 0, 1)
        found = judge(
            {spec.name: scores[:168, i] for i, spec in enumerate(specs)},
            {spec.name: scores[168:, i] for i, spec in enumerate(specs)},
            specs,
            threshold=HOURLY.threshold,
            seed=number,
        )[Kind.BEHAVIOUR]
        after = [episode.alarm for episode in found.episodes if episode.alarm >= before]
        runs.append(after[0] - before + 1 if after else math.inf)

    assert delay(HOURLY, size).runs == pytest.approx(np.quantile(runs, 0.5, method="inverted_cdf"), rel=0.3)


def test_evidence_before_an_alarm_does_not_depend_on_the_threshold():
    # That is why one simulation serves every threshold up to its ceiling.
    rng = np.random.default_rng(4)
    scores = np.clip(rng.normal(0.4, 0.03, 90), 0, 1)
    scores[60:] += 0.06
    spec = ChannelSpec(name="a", kind=Kind.BEHAVIOUR, two_sided=False)
    low, high = (
        judge({"a": scores[:40]}, {"a": scores[40:]}, [spec], threshold=threshold, seed=1)[Kind.BEHAVIOUR]
        for threshold in (300.0, 1e6)
    )

    alarm = low.episodes[0].alarm
    assert high.evidence[: alarm + 1] == pytest.approx(low.evidence[: alarm + 1])
    assert int(np.argmax(high.evidence >= 300.0)) == alarm


# ---------------------------------------------------------------- what must hold of any delay


def test_a_larger_change_is_never_told_later():
    found = [delay(watch(), size, **QUICK) for size in SIZES]

    for smaller, larger in itertools.pairwise(found):
        assert larger.runs <= smaller.runs
        assert larger.seconds <= smaller.seconds * 1.1  # where a burst falls is chance


def test_nine_in_ten_take_no_less_than_half_do():
    for size in (1.0, 3.0, 8.0):
        found = delay(watch(), size, **QUICK)
        assert found.runs_90 >= found.runs
        assert found.seconds_90 >= found.seconds


def test_between_two_simulated_sizes_the_delay_lies_between_theirs():
    small, between, large = (delay(watch(), size, **QUICK).seconds for size in (1.0, 1.2, SIZES[3]))

    assert large < between < small


def test_a_change_below_every_simulated_size_is_never_told():
    assert delay(watch(), 0.1, **QUICK) == Delay(runs=math.inf, runs_90=math.inf, seconds=math.inf, seconds_90=math.inf)


def test_a_change_beyond_every_simulated_size_is_told_as_the_largest():
    assert delay(watch(), 100.0, **QUICK) == delay(watch(), SIZES[-1], **QUICK)


def test_a_swap_that_moves_every_second_channel_is_told_no_later_than_one_channel_that_moves_far():
    wide = watch(n_channels=6)

    assert swap_delay(wide, **QUICK).runs <= delay(wide, 8.0, **QUICK).runs <= 6


def test_the_same_question_has_the_same_answer():
    assert delay(watch(), 2.0, n_series=6, seed=3) == delay(watch(interval_s=3600.0), 2.0, n_series=6, seed=3)


def test_no_median_exceeds_the_horizon():
    found = delay(watch(n_calibration=20, threshold=1e9), 0.5, **QUICK)

    assert found.runs == math.inf or found.runs <= HORIZON


# ---------------------------------------------------------------- bursts


def test_the_runs_of_a_burst_come_ten_minutes_apart_and_the_next_slot_after_them():
    flags = np.array([[True, True, True, True, True, False, False]])

    [times] = _clock(flags, watch(), seed=1)

    assert times[0] == 1800.0  # the middle of the interval: half a slot to wait
    # Three follow-ups at most; the slot after them is suspicious again and has one.
    assert np.diff(times).tolist() == [600.0, 600.0, 600.0, 1800.0, 600.0, 3000.0]


def test_a_burst_ends_with_the_first_run_that_is_not_suspicious():
    [times] = _clock(np.array([[True, False, False, False]]), watch(), seed=1)

    assert np.diff(times).tolist() == [BURST_GAP_S, 3600.0 - BURST_GAP_S, 3600.0]


@pytest.mark.parametrize(("interval_s", "runs"), [(300.0, 0), (1800.0, 0), (2399.0, 0), (2400.0, 3), (86_400.0, 3)])
def test_there_are_bursts_where_a_whole_one_fits_between_two_slots(interval_s, runs):
    assert watch(interval_s=interval_s).burst_runs == runs


def test_the_plan_and_the_schedule_agree_on_where_bursts_fit(make):
    for interval_s in (600.0, 2399.0, 2400.0, 7200.0):
        target = make(Setting(interval_s=interval_s, repeats=1))
        assert (watch(interval_s=interval_s).burst_runs > 0) == can_burst(target)


def test_without_bursts_runs_keep_to_their_slots_and_cost_nothing_more():
    plain = watch(has_burst=False)

    assert np.diff(_clock(np.ones((1, 4), dtype=bool), plain, seed=1)[0]).tolist() == [3600.0] * 3
    assert plain.burst_share == 0.0
    assert delay(plain, 4.0, **QUICK).seconds > delay(watch(), 4.0, **QUICK).seconds


def test_an_unchanged_run_is_suspicious_as_often_as_one_rank_in_a_hundred_is():
    rng = np.random.default_rng(5)
    rate = np.mean([_suspicious(rng.random((168, 3)), rng.random((50, 3)), 1).mean() for _ in range(300)])

    assert rate == pytest.approx(suspicious_gaps(168) / 169, rel=0.25)


def test_the_watcher_finds_the_same_runs_suspicious():
    # In series like most: in a few, chance feigns a rhythm or dependence, which the watcher takes out first.
    rng = np.random.default_rng(12)
    calibration, monitored = rng.normal(0.4, 0.03, (168, 3)), rng.normal(0.42, 0.03, (60, 3))
    specs = [ChannelSpec(name=f"c{i}", kind=Kind.BEHAVIOUR, two_sided=False) for i in range(3)]
    [watcher] = watchers({f"c{i}": calibration[:, i] for i in range(3)}, specs, threshold=1e6, seed=1).values()
    theirs = []
    for t in range(60):
        watcher.extend({f"c{i}": monitored[t : t + 1, i] for i in range(3)}, np.array([3600.0 * (168 + t)]))
        theirs.append(watcher.is_suspicious)

    ours = _suspicious(calibration, monitored, 0)
    assert sum(theirs) >= 3
    assert ours.tolist() == theirs


# ---------------------------------------------------------------- the smallest visible change


def test_the_smallest_visible_change_is_told_just_within_the_time():
    for within_s in (86_400.0, 7 * 86_400.0):
        size = smallest_visible(watch(), within_s, **QUICK)
        assert delay(watch(), size, **QUICK).seconds == pytest.approx(within_s, rel=0.02)


def test_nothing_is_visible_within_less_than_an_interval():
    assert smallest_visible(watch(interval_s=86_400.0), 60.0, **QUICK) is None


def test_with_time_enough_the_smallest_simulated_change_is_visible():
    quick = watch(threshold=100.0, n_calibration=168)

    assert smallest_visible(quick, 1e9, **QUICK) == SIZES[0]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"n_calibration": 19}, "K is 19; a channel is judged from 20 runs on"),
        ({"threshold": 1.0}, "the threshold is 1.0"),
        ({"threshold": math.inf}, "the threshold is inf"),
        ({"interval_s": 0.0}, "the interval is 0.0 s"),
        ({"interval_s": math.nan}, "the interval is nan s"),
        ({"n_two_sided": 3}, "3 of 2 channels are two-sided"),
        ({"n_channels": 0}, "0 of 0 channels"),
    ],
    ids=str,
)
def test_what_no_detector_can_be_run_with_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        watch(**fields)


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan])
def test_a_change_of_no_size_is_refused(size):
    with pytest.raises(ValueError, match="it must be above 0"):
        delay(watch(), size)


def test_a_threshold_that_noise_passes_at_once_promises_nothing():
    # Two alarms are accepted per run: evidence of 1.0001 is there before any change.
    assert delay(watch(threshold=1.0001), 4.0, **QUICK).runs == math.inf
