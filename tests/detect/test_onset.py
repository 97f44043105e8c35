from __future__ import annotations

import numpy as np
import pytest

from driftwatch.detect.finding import judge
from driftwatch.detect.onset import log_mixture, most_likely_start
from driftwatch.domain import Kind


def test_the_start_with_the_largest_product_is_the_onset():
    e = np.array([[3.0], [0.1], [2.0], [2.0], [0.9], [4.0]])
    assert most_likely_start(e, np.array([1.0])) == 2


def test_a_gap_at_the_start_is_not_counted_as_changed():
    e = np.array([[0.5], [1.0], [5.0]])
    assert most_likely_start(e, np.array([1.0])) == 2


def test_the_strategy_that_led_the_alarm_decides():
    quick = [0.05, 0.05, 160.0, 80.0]
    slow = [1.5, 1.5, 1.5, 1.5]
    assert most_likely_start(np.array([quick, slow]).T, np.array([0.5, 0.5])) == 2
    assert most_likely_start(np.array([[0.05, 0.05, 1.1, 1.1], slow]).T, np.array([0.5, 0.5])) == 0


def test_a_single_run_is_its_own_onset():
    assert most_likely_start(np.array([[9.0, 2.0]]), np.array([0.5, 0.5])) == 0


def test_a_mixture_of_logarithms_neither_overflows_nor_vanishes():
    got = log_mixture(np.array([[5000.0, 4000.0], [-5000.0, -5000.0]]), np.array([0.25, 0.75]))
    assert got.tolist() == pytest.approx([5000 + np.log(0.25), -5000.0])


def test_the_onset_of_a_large_step_is_found_within_one_run_in_at_least_four_of_five(steady, wording):
    n_near, n_series = 0, 100
    for seed in range(n_series):
        scores = steady(seed, 168 + 110)
        scores[168 + 100 :] += 0.25
        found = judge({"wording": scores[:168]}, {"wording": scores[168:]}, [wording], threshold=17532.0, seed=seed)
        episode = found[Kind.BEHAVIOUR].episodes[-1]
        n_near += abs(episode.onset - 100) <= 1
    assert n_near >= 80
