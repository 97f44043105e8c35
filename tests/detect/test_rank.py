from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from driftwatch.detect import rank
from driftwatch.detect.edetector import FINE_STAKES

SCORES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, float("nan")]), max_size=40)


def ranks_of(calibration, scores, seed=0):
    return rank.ranks(np.array(calibration), np.array(scores), seed=seed, channel="wording")


def test_a_rank_counts_the_calibration_scores_below():
    assert ranks_of([0.3, 0.1, 0.2], [0.0, 0.15, 0.25, 1.0]).tolist() == [0, 1, 2, 3]


def test_a_gap_has_no_rank_and_a_gap_in_calibration_counts_for_nothing():
    assert ranks_of([0.1, np.nan, 0.2], [np.nan, 0.15, 0.9]).tolist() == [-1, 1, 2]


def test_without_calibration_there_is_one_gap():
    assert ranks_of([], [0.2, np.nan]).tolist() == [0, -1]


def test_without_runs_there_are_no_ranks():
    assert ranks_of([0.1, 0.2], []).tolist() == []


@pytest.mark.parametrize("n_calibration", [1, 19, 20, 168])
def test_ties_are_decided_by_fixed_draws_that_cover_all_gaps(n_calibration):
    got = ranks_of(np.full(n_calibration, 0.5), np.full(20 * (n_calibration + 1), 0.5), seed=4)
    assert got.min() == 0
    assert got.max() == n_calibration


def test_ties_are_broken_differently_for_channels_and_seeds_and_roles():
    draws = {
        tuple(rank.tie_breakers(4, seed=seed, channel=channel, role=role))
        for seed in (0, 1)
        for channel in ("wording", "meaning")
        for role in ("calibration", "monitored")
    }
    assert len(draws) == 8


@given(calibration=SCORES, scores=SCORES, cut=st.integers(0, 40))
def test_ranks_of_a_longer_series_begin_with_those_of_the_shorter(calibration, scores, cut):
    longer = ranks_of(calibration, scores, seed=7)
    assert ranks_of(calibration, scores[:cut], seed=7).tolist() == longer[:cut].tolist()


@given(calibration=SCORES, scores=SCORES)
def test_ranks_stay_between_the_counts_of_lower_and_of_equal_scores(calibration, scores):
    known = np.array([value for value in calibration if not np.isnan(value)])
    for place, score in zip(ranks_of(calibration, scores), scores, strict=True):
        if np.isnan(score):
            assert place == -1
        else:
            assert (known < score).sum() <= place <= (known <= score).sum()


def test_the_first_rank_is_uniform_over_many_series():
    n_calibration, n_series = 19, 4000
    rng = np.random.default_rng(11)
    # Scores on a coarse grid, so that most ranks are decided by the tie-breakers.
    places = [
        ranks_of(rng.integers(0, 6, n_calibration) / 5, rng.integers(0, 6, 1) / 5, seed=seed)[0]
        for seed in range(n_series)
    ]
    counts = np.bincount(places, minlength=n_calibration + 1)
    assert stats.chisquare(counts).pvalue > 0.01


def test_set_sizes_are_the_stated_shares_and_never_empty():
    assert rank.set_sizes(0).tolist() == [1, 1, 1, 1]
    assert rank.set_sizes(1).tolist() == [1, 1, 1, 1]
    assert rank.set_sizes(19).tolist() == [1, 1, 3, 6]
    assert rank.set_sizes(20).tolist() == [1, 1, 3, 6]
    assert rank.set_sizes(168).tolist() == [1, 8, 25, 51]


def test_top_and_bottom_sets_mirror_each_other():
    places = np.arange(169)
    got = rank.hits(places, 168, two_sided=True)
    assert (got[:, :4] == got[::-1, 4:]).all()
    assert got.sum(axis=0).tolist() == [1, 8, 25, 51] * 2


def test_a_gap_hits_neither_side():
    assert not rank.hits(np.array([-1]), 0, two_sided=True).any()


@pytest.mark.parametrize("n_calibration", [0, 1, 19, 20, 168])
@pytest.mark.parametrize("n_seen", [0, 1, 57])
def test_the_predictive_chances_of_all_gaps_sum_to_one(n_calibration, n_seen):
    seen = np.bincount(
        np.random.default_rng(3).integers(0, n_calibration + 1, n_seen),
        minlength=n_calibration + 1,
    )
    chances = rank.predictive(np.ones_like(seen), np.array(n_calibration), seen, np.array(n_seen))
    assert chances.sum() == pytest.approx(1.0, abs=1e-12)


def test_the_first_run_is_as_likely_in_every_gap():
    assert rank.predictive(np.array(1), np.array(168), np.array(0), np.array(0)) == pytest.approx(1 / 169)


@settings(max_examples=60, deadline=None)
@given(
    n_calibration=st.sampled_from([0, 1, 19, 20, 168]),
    two_sided=st.booleans(),
    n_seen=st.integers(0, 300),
    seed=st.integers(0, 2**16),
    stakes=st.sampled_from([rank.STAKES, FINE_STAKES]),
)
def test_every_bet_is_worth_exactly_one_on_average(n_calibration, two_sided, n_seen, seed, stakes):
    """E[e_t | earlier ranks] = Σ_j π_t(j) · e(j) = 1, enumerated over all gaps j."""
    n_gaps = n_calibration + 1
    # Any past will do, also one the calibrated behaviour would hardly give.
    shape = np.random.default_rng(seed).dirichlet(np.full(n_gaps, 0.2))
    seen = np.random.default_rng(seed + 1).choice(n_gaps, size=n_seen, p=shape)
    in_gap = np.bincount(seen, minlength=n_gaps)
    everywhere = rank.hits(np.arange(n_gaps), n_calibration, two_sided=two_sided)
    sizes = np.tile(rank.set_sizes(n_calibration), 2 if two_sided else 1)
    n_hits = (everywhere * in_gap[:, None]).sum(axis=0)
    chance = rank.predictive(sizes, np.array(n_calibration), n_hits, np.array(n_seen))
    e = rank.bets(everywhere, np.broadcast_to(chance, everywhere.shape), stakes)
    of_gap = (1 + in_gap) / (n_calibration + 1 + n_seen)
    assert e.shape == (n_gaps, sizes.size, len(stakes))
    assert np.tensordot(of_gap, e, axes=1) == pytest.approx(np.ones((sizes.size, len(stakes))), abs=1e-9)


def test_the_top_rank_of_a_first_run_pays_the_stated_amount():
    hit = rank.hits(np.array([168]), 168, two_sided=False)
    chance = rank.predictive(rank.set_sizes(168), np.array(168), np.zeros(4, dtype=int), np.array(0))
    e = rank.bets(hit, chance[None, :])
    assert e[0, 0].tolist() == pytest.approx([0.7 + 0.3 * 169, 0.3 + 0.7 * 169, 0.05 + 0.95 * 169])
    assert e[0, 3, 2] == pytest.approx(0.05 + 0.95 * 169 / 51)


def test_ranking_leaves_its_input_alone():
    calibration, scores = np.array([0.2, 0.1, np.nan]), np.array([0.3, np.nan])
    kept = calibration.copy(), scores.copy()
    rank.ranks(calibration, scores, seed=0, channel="wording")
    np.testing.assert_array_equal(calibration, kept[0])
    np.testing.assert_array_equal(scores, kept[1])
