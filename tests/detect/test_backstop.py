from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from driftwatch.detect import backstop

UNIT = st.floats(0, 1, allow_nan=False)


def bets(calibration, scores, *, two_sided):
    return backstop.bets(backstop.Allowed.by(calibration, two_sided=two_sided), scores)


def test_three_standard_errors_are_granted():
    calibration = np.array([0.1, 0.3] * 50)
    expected = 0.2 + 3 * calibration.std(ddof=1) / 10
    assert backstop.allowed_mean(calibration) == pytest.approx(expected)


def test_rhythm_and_dependence_are_granted_on_top():
    calibration = np.array([0.1, 0.3] * 50)
    expected = 0.2 + 0.07 + 3 * 2.5 * calibration.std(ddof=1) / 10
    assert backstop.allowed_mean(calibration, slack=0.07, widening=2.5) == pytest.approx(expected)


def test_a_calibration_of_zeros_does_not_make_one_run_worth_more_than_its_rank():
    calibration = np.zeros(168)
    assert backstop.allowed_mean(calibration) == pytest.approx(1 / 169)
    assert bets(calibration, np.array([1.0]), two_sided=False).max() <= 169


def test_one_calibration_run_is_allowed_for_by_succession():
    assert backstop.allowed_mean(np.array([0.5])) == pytest.approx(0.75)


def test_a_calibration_of_ones_leaves_nothing_to_rise_to():
    calibration = np.ones(20)
    assert backstop.allowed_mean(calibration) == 1.0
    assert bets(calibration, np.array([1.0, 0.5]), two_sided=False).max() <= 1.0


def test_a_mean_whose_margin_passes_one_is_held_at_one():
    assert backstop.allowed_mean(np.array([0.0, 1.0])) == 1.0


@pytest.mark.parametrize("level", [0.0, 0.3, 0.9])
def test_a_constant_channel_never_gathers_evidence(level):
    got = bets(np.full(50, level), np.full(5, level), two_sided=True)
    assert got.max() <= 1.0
    assert got[:, :4].max() < 1.0


def test_the_two_sides_mirror_each_other():
    rng = np.random.default_rng(5)
    calibration, scores = rng.beta(5, 9, 40), rng.beta(5, 9, 10)
    got = bets(calibration, scores, two_sided=True)
    mirrored = bets(1 - calibration, 1 - scores, two_sided=True)
    np.testing.assert_allclose(got, np.hstack([mirrored[:, 4:], mirrored[:, :4]]))


def test_gaps_stay_gaps_and_gaps_in_calibration_count_for_nothing():
    got = bets(np.array([0.2, np.nan, 0.4]), np.array([np.nan, 0.5]), two_sided=False)
    assert np.isnan(got[0]).all()
    np.testing.assert_array_equal(got[1:], bets(np.array([0.2, 0.4]), np.array([0.5]), two_sided=False))


@given(calibration=arrays(float, st.integers(1, 30), elements=UNIT), two_sided=st.booleans())
def test_bets_never_lose_everything_and_are_fair_at_the_allowed_mean(calibration, two_sided):
    ends = bets(calibration, np.array([0.0, 1.0]), two_sided=two_sided)
    assert ends.min() >= 0.05 - 1e-12
    assert np.isfinite(ends).all()
    # Linear in the score: a run of mean μ0 spread over {0, 1} is worth 1.
    rise = backstop.allowed_mean(calibration)
    assert (1 - rise) * ends[0, :4] + rise * ends[1, :4] == pytest.approx(np.ones(4))
    if two_sided:
        fall = backstop.allowed_mean(1 - calibration)
        assert (1 - fall) * ends[1, 4:] + fall * ends[0, 4:] == pytest.approx(np.ones(4))
