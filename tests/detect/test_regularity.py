"""Rhythm and dependence: what is learned from calibration runs, and what is left of later ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from driftwatch.detect import dependence, rhythm
from driftwatch.detect.steady import unsteady

HOUR_S = 3600.0


def hours(n, start=0):
    return HOUR_S * np.arange(start, start + n)


def wandering(seed, n, phi=0.7):
    """(n,) AR(1) run effects of standard deviation 1."""
    noise = np.random.default_rng(seed).standard_normal(n + 200)
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise)[200:]


def lag_one(values):
    centred = values - values.mean()
    return float((centred[1:] * centred[:-1]).mean() / centred.var())


def daily(n, start=0, height=0.02):
    return height * np.sin(2 * np.pi * np.arange(start, start + n) / 24 + 1.0)


def test_a_daily_rhythm_is_learned_from_a_week_and_taken_out_of_the_next_months():
    noise = 0.02 * np.random.default_rng(1).standard_normal(168 + 2000)
    scores = 0.3 + daily(168 + 2000) + noise
    learned, _ = rhythm.learn(scores[:168, None], hours(168))
    assert rhythm.DAY_S in learned.periods_s
    left = learned.rest(scores[168:, None], hours(2000, 168))[:, 0]
    assert left.std() < 1.05 * noise[168:].std()
    assert abs(left.mean()) < 0.005


def test_calibration_and_later_runs_are_left_alike():
    """Same mean and spread before and after, so that later runs rank among the calibration runs as equals."""
    gaps = []
    for seed in range(40):
        scores = 0.3 + daily(168 * 2) + 0.02 * np.random.default_rng(seed).standard_normal(168 * 2)
        learned, left = rhythm.learn(scores[:168, None], hours(168))
        later = learned.rest(scores[168:, None], hours(168, 168))
        gaps.append((left.std() / later.std(), left.mean() - later.mean()))
    ratio, gap = np.mean(gaps, axis=0)
    assert ratio == pytest.approx(1.0, abs=0.02)
    assert gap == pytest.approx(0.0, abs=0.001)


def test_noise_has_no_rhythm_and_keeps_a_lasting_shift():
    """Filters found in noise are few and weak: what they leave of a step that stays is nearly all of it."""
    n_rhythms, n_filtered, left_of_a_step = 0, 0, []
    for seed in range(100):
        scores = 0.2 + 0.03 * np.random.default_rng(seed).standard_normal((168, 8))
        learned, left = rhythm.learn(scores, hours(168))
        filtered = dependence.learn(left, hours(168))
        n_rhythms += bool(learned.periods_s)
        n_filtered += filtered.persistence.any()
        left_of_a_step.append((1 / filtered.widening).min())
    assert n_rhythms <= 3
    assert n_filtered <= 30
    assert np.mean(left_of_a_step) > 0.9


@pytest.mark.parametrize(("n", "interval_s"), [(50, HOUR_S), (60, 12 * HOUR_S)])
def test_a_rhythm_is_not_looked_for_where_it_cannot_be_told_from_chance(n, interval_s):
    at = interval_s * np.arange(n)
    scores = (0.3 + 0.1 * np.sin(2 * np.pi * at / rhythm.DAY_S))[:, None]
    assert rhythm.learn(scores, at)[0].periods_s == ()


def test_a_weekly_rhythm_needs_three_weeks():
    week = 0.1 * np.sin(2 * np.pi * np.arange(504) / 168)
    scores = (0.4 + week + 0.02 * np.random.default_rng(3).standard_normal(504))[:, None]
    assert 7 * rhythm.DAY_S not in rhythm.learn(scores[:336], hours(336))[0].periods_s
    assert 7 * rhythm.DAY_S in rhythm.learn(scores, hours(504))[0].periods_s


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_run_effects_are_learned_and_taken_out(noise):
    before, after = [], []
    for seed in range(20):
        effects = wandering(seed, 168 + 1000)
        scores = effects + noise * np.random.default_rng(1000 + seed).standard_normal(effects.size)
        learned = dependence.learn(scores[:168, None], hours(168))
        memory = learned.surprises(scores[:168, None], hours(168), learned.start())[1]
        left = learned.surprises(scores[168:, None], hours(1000, 168), memory)[0][:, 0]
        before.append(lag_one(scores[168:]))
        after.append(lag_one(left))
    assert np.mean(before) > 0.3
    # What is left may be over-corrected a little, which costs runs and no false alarms.
    assert -0.3 < np.mean(after) < 0.05


def test_channels_of_one_endpoint_learn_their_dependence_together():
    """A channel whose own noise hides the run effects is filtered because its siblings show them."""
    effects = wandering(5, 168)
    rng = np.random.default_rng(6)
    clear = np.stack([effects + 0.5 * rng.standard_normal(168) for _ in range(5)], axis=1)
    hidden = effects + 5.0 * rng.standard_normal(168)
    alone = dependence.learn(hidden[:, None], hours(168))
    together = dependence.learn(np.hstack([clear, hidden[:, None]]), hours(168))
    assert not alone.persistence.any()
    assert together.persistence[-1] > 0


def test_surprises_in_parts_are_surprises_at_once():
    scores = wandering(7, 300)[:, None]
    scores[40] = np.nan
    learned = dependence.learn(scores[:168], hours(168))
    whole, _ = learned.surprises(scores, hours(300), learned.start())
    memory, parts = learned.start(), []
    for t in range(300):
        part, memory = learned.surprises(scores[t : t + 1], hours(1, t), memory)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts), whole)
    assert np.isnan(whole[40, 0])


def test_a_clock_that_was_ahead_once_makes_no_weeks_of_calibration():
    week = 0.1 * np.sin(2 * np.pi * np.arange(168) / 168)
    scores = (0.4 + week + 0.02 * np.random.default_rng(3).standard_normal(168))[:, None]
    at = hours(168)
    at[-1] += 30 * rhythm.DAY_S
    assert 7 * rhythm.DAY_S not in rhythm.learn(scores, at)[0].periods_s


def test_an_expectation_fades_over_a_gap_and_half_of_a_run_is_expected_again_within_minutes():
    learned = dependence.learn(wandering(8, 168)[:, None], hours(168))
    high = np.array([[3.0]])
    _, memory = learned.surprises(high, hours(1), learned.start())

    def expected_at(at):
        return -learned.surprises(np.array([[0.0]]), np.array([at]), memory)[0][0, 0]

    assert expected_at(HOUR_S) > 1.0
    assert expected_at(-HOUR_S) == expected_at(HOUR_S)
    assert expected_at(600.0) == max(1.5, expected_at(HOUR_S))
    assert expected_at(30 * HOUR_S) < 0.2


def test_a_constant_channel_and_a_short_one_are_left_alone():
    scores = np.zeros((168, 2))
    scores[:, 1] = np.nan
    scores[:19, 1] = wandering(9, 19)
    learned, left = rhythm.learn(scores, hours(168))
    assert learned.periods_s == ()
    assert not dependence.learn(left, hours(168)).persistence.any()
    assert (left[:, 0] == 0).all()


@pytest.mark.parametrize("n", [20, 60, 168])
def test_unchanged_calibrations_are_steady(n):
    found = sum(
        unsteady(
            np.sqrt(0.5) * (wandering(seed, n)[:, None] + np.random.default_rng(seed).standard_normal((n, 8))),
            list("abcdefgh"),
        )
        is not None
        for seed in range(60)
    )
    assert found <= 3


def test_a_calibration_that_changed_half_way_is_named():
    scores = np.random.default_rng(2).standard_normal((168, 3))
    scores[100:, 1] += 3
    words = unsteady(scores, ["checks", "wording", "shape"])
    assert words == "the calibration runs themselves drifted, most clearly in wording"


def test_constant_and_empty_calibrations_are_steady():
    assert unsteady(np.zeros((168, 2)), ["a", "b"]) is None
    assert unsteady(np.zeros((0, 1)), ["a"]) is None


def test_no_runs_leave_the_memory_as_it_was():
    learned = dependence.learn(wandering(8, 168)[:, None], hours(168))
    memory = learned.surprises(np.array([[3.0]]), hours(1), learned.start())[1]
    nothing, after = learned.surprises(np.zeros((0, 1)), np.zeros(0), memory)
    assert nothing.shape == (0, 1)
    assert after is memory


def test_columns_that_cancel_each_other_are_still_seen_to_depend():
    """Their mean is 0 throughout, so one of them has to stand for it."""
    effects = wandering(10, 168)
    learned = dependence.learn(np.stack([effects, -effects], axis=1), hours(168))
    assert (learned.persistence > 0).all()
