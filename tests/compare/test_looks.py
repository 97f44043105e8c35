"""A comparison that ends early keeps the promise of its p."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from driftwatch.compare.comparing import CALM, LOOK, compare, two_looks
from driftwatch.compare.measures import QUANTITIES, Measured
from driftwatch.detect.permutation import Layout, permutation_test

B = 2 * LOOK + 1
"""The fewest that are worth a first look."""


def drawn(rng, *, move=0.0, n_canaries=8):
    """Two completions a side, one quantity."""
    values = rng.normal(size=4 * n_canaries) + move * np.tile([0, 0, 1, 1], n_canaries)
    layout = Layout(n_left=np.full(n_canaries, 2), n_right=np.full(n_canaries, 2))
    return Measured(layout=layout, quantities=((QUANTITIES[0], values),), directions=(), distances=())


def test_p_of_a_test_that_may_end_early_is_as_rare_as_it_says_when_nothing_differs():
    rng = np.random.default_rng(7)
    answers = [two_looks(drawn(rng), permutations=B, alpha=0.01, seed=i) for i in range(400)]
    told = np.array([answer.p_value for answer in answers])

    for a in (0.02, 0.05, 0.1, CALM, 0.3, 0.5, 0.8):
        assert binomtest(int((told <= a).sum()), len(told), a, alternative="greater").pvalue > 0.001
        # nor is it timid: a rule that always waved changes through would be valid too
        assert binomtest(int((told <= a).sum()), len(told), a, alternative="less").pvalue > 0.001


@pytest.mark.parametrize("seed", range(12))
def test_what_is_told_is_one_of_two_whole_tests_by_the_rule(seed):
    measured = drawn(np.random.default_rng(seed), move=0.4)
    first, second = (
        permutation_test(measured.layout, measured.statistics(), permutations=n, seed=seed) for n in (LOOK, B)
    )

    told = two_looks(measured, permutations=B, alpha=0.01, seed=seed)

    assert told == (first if first.p_value > CALM else second)


def test_both_outcomes_of_the_first_look_occur_in_the_rule_test():
    looks = {
        two_looks(drawn(np.random.default_rng(i), move=0.4), permutations=B, alpha=0.01, seed=i).n_permutations
        for i in range(12)
    }

    assert looks == {LOOK, B}


@pytest.mark.parametrize(("permutations", "alpha"), [(B, CALM + 0.01), (2 * LOOK, 0.01)], ids=["alpha", "few"])
def test_nothing_ends_early_where_it_could_matter_or_saves_little(permutations, alpha):
    measured = drawn(np.random.default_rng(3))

    told = two_looks(measured, permutations=permutations, alpha=alpha, seed=0)

    assert (told.p_value > CALM, told.n_permutations) == (True, permutations)


def test_all_labellings_are_compared_where_they_are_no_more_than_asked():
    measured = drawn(np.random.default_rng(3), n_canaries=4)

    assert two_looks(measured, permutations=B, alpha=0.01, seed=0).is_exact


def test_a_comparison_says_that_it_was_cut_short_and_what_it_does(side):
    stages = []

    calm = compare(side(12, 3, seed=1), side(12, 3, seed=2), on_stage=stages.append)
    moved = compare(side(12, 3, seed=1), side(12, 3, seed=2, length=60))

    assert (calm.is_cut_short, calm.n_permutations, calm.n_asked) == (True, LOOK, 9_999)
    assert (moved.is_cut_short, moved.n_permutations) == (False, 9_999)
    assert stages == ["measuring 72 replies", "comparing, the first 999 of 9,999 exchanges", "sizing the differences"]
