from __future__ import annotations

import math

import numpy as np
import pytest

from driftwatch.detect import budget, judge
from driftwatch.domain import Kind


def test_one_false_alarm_a_year_asks_for_a_years_runs_of_every_kind():
    assert budget.threshold(runs_per_year=8766, false_alarms_per_year=1) == 17532
    assert budget.threshold(runs_per_year=8766, false_alarms_per_year=1, n_kinds=1) == 8766


def test_a_ten_percent_chance_asks_for_ten_times_as_much():
    assert budget.threshold(runs_per_year=8766, chance_of_any_per_year=0.1) == pytest.approx(175320)


def test_a_budget_shared_by_a_fleet_is_divided_among_its_targets():
    assert budget.threshold(runs_per_year=1000, false_alarms_per_year=2, n_targets=10, n_kinds=1) == 5000


def test_a_budget_larger_than_the_runs_still_asks_for_some_evidence():
    assert budget.threshold(runs_per_year=12, false_alarms_per_year=365) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"runs_per_year": 9}, "not both and not neither"),
        ({"runs_per_year": 9, "false_alarms_per_year": 1, "chance_of_any_per_year": 0.1}, "not both and not neither"),
        ({"runs_per_year": 0, "false_alarms_per_year": 1}, "runs_per_year is 0"),
        ({"runs_per_year": math.nan, "false_alarms_per_year": 1}, "runs_per_year is nan"),
        ({"runs_per_year": 9, "false_alarms_per_year": 0}, "false_alarms_per_year is 0"),
        ({"runs_per_year": 9, "false_alarms_per_year": math.inf}, "false_alarms_per_year is inf"),
        ({"runs_per_year": 9, "chance_of_any_per_year": 1.0}, "between 0 and 1"),
        ({"runs_per_year": 9, "chance_of_any_per_year": 0.0}, "between 0 and 1"),
        ({"runs_per_year": 9, "false_alarms_per_year": 1, "n_targets": 0}, "n_targets is 0"),
        ({"runs_per_year": 9, "false_alarms_per_year": 1, "n_kinds": 0}, "n_kinds 0"),
    ],
)
def test_a_budget_that_means_nothing_is_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        budget.threshold(**arguments)


@pytest.mark.parametrize(
    ("n_calibration", "threshold", "runs"),
    [(168, 8766, 2), (168, 169, 1), (168, 170, 2), (1, 8, 3), (20, 17532, 4)],
)
def test_no_rank_detector_is_quicker_than_its_ranks_allow(n_calibration, threshold, runs):
    assert budget.shortest_delay(n_calibration, threshold) == runs


@pytest.mark.parametrize(("n_calibration", "threshold"), [(0, 100), (168, 1), (168, math.nan)])
def test_a_delay_without_calibration_or_threshold_is_refused(n_calibration, threshold):
    with pytest.raises(ValueError, match="K must be 1 or more"):
        budget.shortest_delay(n_calibration, threshold)


@pytest.mark.parametrize(("n_calibration", "threshold"), [(19, 100), (168, 1), (168, math.inf)])
def test_a_swap_that_cannot_be_judged_is_refused(n_calibration, threshold):
    with pytest.raises(ValueError, match="K must be 20 or more"):
        budget.full_swap_delay(n_calibration, threshold, n_channels=1)


@pytest.mark.parametrize("n_moved", [0, 4])
def test_a_swap_of_channels_that_are_not_there_is_refused(n_moved):
    with pytest.raises(ValueError, match="between 1 and their number"):
        budget.full_swap_delay(168, 17532, n_channels=3, n_moved=n_moved)


def test_the_delay_grows_with_silent_channels_and_sides_and_the_threshold():
    alone = budget.full_swap_delay(50, 17532, n_channels=1)
    assert alone >= budget.shortest_delay(50, 17532)
    silent = budget.full_swap_delay(50, 17532, n_channels=9)
    assert silent >= alone
    assert budget.full_swap_delay(50, 17532, n_channels=9, n_moved=9) <= silent
    assert budget.full_swap_delay(50, 17532, n_channels=9, two_sided=True) >= silent
    assert budget.full_swap_delay(50, 1e12, n_channels=1) > alone


def test_what_all_channels_say_together_spares_a_search_over_them():
    """With an average over nine channels alone, one that moves would need a run more."""
    assert budget.full_swap_delay(168, 175320, n_channels=9) == budget.full_swap_delay(168, 175320, n_channels=3) == 4


@pytest.mark.parametrize("n_calibration", [20, 168])
def test_the_promised_delay_is_the_one_the_detector_shows(n_calibration, wording):
    promised = budget.full_swap_delay(n_calibration, 17532, n_channels=1)
    # Just above every calibration score, where the backstop, which the promise leaves out, sees nothing.
    usual = {"wording": np.random.default_rng(3).permutation(np.linspace(0.30, 0.40, n_calibration))}
    swapped = {"wording": np.full(12, 0.4001)}
    found = judge(usual, swapped, [wording], threshold=17532, seed=0)[Kind.BEHAVIOUR]
    assert found.episodes[0].alarm + 1 == promised
