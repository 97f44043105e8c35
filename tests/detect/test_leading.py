from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from driftwatch.detect.leading import canary_evidence, e_benjamini_hochberg

USUAL = np.linspace(0.1, 0.3, 40)


def found(calibration, since_onset, *, two_sided=False, seed=1):
    return canary_evidence(calibration, since_onset, two_sided=two_sided, seed=seed)


def test_the_canary_that_moved_is_named_first_and_alone():
    calibration = {f"core/{i}": USUAL for i in range(10)}
    rng = np.random.default_rng(2)
    since = {name: rng.choice(USUAL, 4) for name in calibration} | {"core/7": np.full(4, 0.8)}
    got = found(calibration, since)
    assert got[0].canary_id == "core/7"
    assert [canary.canary_id for canary in got if canary.is_affected] == ["core/7"]
    assert got[0].calibration_mean == pytest.approx(0.2)
    assert got[0].since_onset_mean == pytest.approx(0.8)


def test_evidence_of_one_top_rank_is_the_weighted_sum_of_its_bets():
    got = found({"a": np.linspace(0.1, 0.2, 19)}, {"a": np.array([0.9])})[0]
    sizes = np.array([1, 1, 3, 6])
    stakes = np.array([0.3, 0.7, 0.95])
    weights = np.array([[2, 3, 23], [5, 9, 7], [9, 9, 3], [6, 7, 1]]) / 84
    expected = (weights * (1 - stakes + stakes * 20 / sizes[:, None])).sum()
    assert got.evidence == pytest.approx(expected)


def test_a_fall_counts_only_where_both_sides_are_drift():
    since = {"a": np.zeros(6)}
    assert not found({"a": USUAL}, since)[0].is_affected
    assert found({"a": USUAL}, since, two_sided=True)[0].is_affected


@pytest.mark.parametrize("n_known", [0, 1, 4])
def test_a_canary_with_little_calibration_says_nothing(n_known):
    got = found({"a": np.append(USUAL[:n_known], np.nan)}, {"a": np.ones(50)})[0]
    assert got.evidence == 1.0
    assert not got.is_affected


def test_five_calibration_values_are_enough_to_say_something():
    assert found({"a": USUAL[:5]}, {"a": np.ones(8)})[0].evidence > 1


def test_a_canary_without_replies_says_nothing():
    for since in ({}, {"a": np.array([])}, {"a": np.array([np.nan, np.nan])}):
        got = found({"a": USUAL}, since)[0]
        assert got.evidence == 1.0
        assert math.isnan(got.since_onset_mean)


def test_a_canary_without_calibration_is_listed_without_a_mean():
    got = found({}, {"new": np.ones(3)})[0]
    assert (got.canary_id, got.evidence) == ("new", 1.0)
    assert math.isnan(got.calibration_mean)


def test_nothing_in_gives_nothing_out():
    assert found({}, {}) == ()


def test_gaps_are_left_out():
    whole = found({"a": USUAL}, {"a": np.array([0.8, 0.8])})
    assert found({"a": np.append(USUAL, np.nan)}, {"a": np.array([0.8, np.nan, 0.8])}) == whole


def test_all_zero_and_all_tied_canaries_are_safe():
    zeros = {f"c{i:02}": np.zeros(168) for i in range(20)}
    got = found(zeros, {name: np.zeros(30) for name in zeros})
    assert all(np.isfinite(canary.evidence) for canary in got)
    assert not any(canary.is_affected for canary in got)


def test_a_year_of_full_drift_stays_a_finite_number():
    assert math.isfinite(found({"a": np.zeros(168)}, {"a": np.ones(8766)})[0].evidence)


def test_the_order_of_the_canaries_does_not_matter_and_equals_go_by_id():
    calibration = dict.fromkeys("cab", USUAL)
    since = dict.fromkeys("cab", np.full(2, 0.9))
    got = found(calibration, since)
    assert [canary.canary_id for canary in got] == ["a", "b", "c"]
    assert found(dict(reversed(calibration.items())), dict(reversed(since.items()))) == got


def test_input_is_left_alone():
    calibration, since = USUAL.copy(), np.array([0.5, np.nan])
    found({"a": calibration}, {"a": since})
    np.testing.assert_array_equal(calibration, USUAL)
    np.testing.assert_array_equal(since, np.array([0.5, np.nan]))


def test_e_bh_by_hand():
    assert e_benjamini_hochberg([], level=0.05) == 0
    assert e_benjamini_hochberg([20.0], level=0.05) == 1
    assert e_benjamini_hochberg([19.9], level=0.05) == 0
    assert e_benjamini_hochberg([30.0, 30.0, 1.0], level=0.05) == 2
    assert e_benjamini_hochberg([59.0, 29.0, 20.0], level=0.05) == 3
    assert e_benjamini_hochberg([59.0, 29.0, 19.0], level=0.05) == 0


@given(e_values=st.lists(st.floats(0, 1e6), max_size=12), factor=st.floats(1, 100))
def test_more_evidence_never_names_fewer_canaries(e_values, factor):
    falling = sorted(e_values, reverse=True)
    before = e_benjamini_hochberg(falling, level=0.05)
    assert e_benjamini_hochberg([e * factor for e in falling], level=0.05) >= before
