"""What detection promises, measured. Seeded; every bound is the far end of a 99 % Clopper–Pearson interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from driftwatch.detect import judge, rank
from driftwatch.domain import Kind

K = 168
DEVIATION = 0.063
"""Standard deviation of a binomial run of forty answers at .2."""
RUNS_PER_YEAR = 1000
"""Instead of 8,766; the thresholds scale with it."""


def with_noise(scores, noise, rng):
    """Add what makes runs depend on each other: a daily wave or AR(.7) run effects, half of a score's deviation."""
    n = len(next(iter(scores.values())))
    effect = np.zeros(n)
    if noise == "diurnal":
        effect = np.sqrt(2) * np.sin(2 * np.pi * np.arange(n) / 24 + rng.uniform(0, 2 * np.pi))
    if noise == "dependent":
        shocks = rng.standard_normal(n + 100)
        effect = lfilter([np.sqrt(1 - 0.49)], [1, -0.7], shocks)[100:]
    return {name: np.clip(values + 0.5 * DEVIATION * effect, 0, 1) for name, values in scores.items()}


def years_with_an_alarm(simulate, specs, *, seed, n_years, overdispersion, threshold, noise="iid"):
    """How many of n unchanged target-years have any alarm, and how many alarms there are in all."""
    rng = np.random.default_rng(seed)
    n_years_alarmed = n_alarms = 0
    for year in range(n_years):
        scores = with_noise(simulate(rng, K + RUNS_PER_YEAR, overdispersion), noise, rng)
        found = judge(
            {name: values[:K] for name, values in scores.items()},
            {name: values[K:] for name, values in scores.items()},
            specs,
            threshold=threshold,
            seed=year,
        )[Kind.BEHAVIOUR]
        n_years_alarmed += bool(found.episodes)
        n_alarms += len(found.episodes)
    return n_years_alarmed, n_alarms


@pytest.mark.parametrize("noise", ["iid", "overdispersed", "diurnal", "dependent"])
def test_the_default_budget_is_kept(simulate, specs, interval, noise):
    """P(any alarm of one kind in a year) ≤ 10 % at A = 20 · runs per year, and so the interval's upper end.

    The default budget is a 10 % chance of any alarm, shared by two kinds.
    """
    n_years = 150
    alarmed, _ = years_with_an_alarm(
        simulate,
        specs,
        seed=101,
        n_years=n_years,
        overdispersion=1.6 if noise == "overdispersed" else 1.0,
        noise=noise,
        threshold=20 * RUNS_PER_YEAR,
    )
    assert interval(alarmed, n_years)[1] <= 0.10


@pytest.mark.parametrize("overdispersion", [1.0, 1.6])
def test_a_budget_of_one_false_alarm_a_year_is_kept(simulate, specs, overdispersion):
    """At most one alarm a year on average at A = runs per year, all alarms of a year counted."""
    n_years = 320
    _, alarms = years_with_an_alarm(
        simulate,
        specs,
        seed=202,
        n_years=n_years,
        overdispersion=overdispersion,
        threshold=RUNS_PER_YEAR,
    )
    assert alarms <= n_years


def test_a_threshold_that_is_too_low_would_be_noticed(simulate, specs, interval):
    """The measurement can fail: a tenth of the evidence breaks the one-in-ten budget clearly."""
    alarmed, _ = years_with_an_alarm(simulate, specs, seed=101, n_years=60, overdispersion=1.0, threshold=100.0)
    assert interval(alarmed, 60)[0] > 0.10


def test_sequential_ranks_follow_the_predictive_chances(interval):
    """Runs in the top 5 % of gaps come as often as π_t says, however many came before."""
    rng = np.random.default_rng(7)
    n_series, n_runs = 400, 40
    hits, promised = 0, 0.0
    sizes = rank.set_sizes(19)[2]
    for series in range(n_series):
        scores = rng.integers(0, 9, 19 + n_runs) / 8
        place = rank.ranks(scores[:19], scores[19:], seed=series, channel="wording")
        hit = rank.hits(place, 19, two_sided=False)[:, 2]
        before = np.cumsum(hit) - hit
        promised += rank.predictive(sizes, np.array(19), before, np.arange(n_runs)).sum()
        hits += int(hit.sum())
    # The differences hit − π are uncorrelated with variance at most π, so that three standard errors bound the sum.
    assert abs(hits - promised) <= 3 * np.sqrt(promised)
    low, high = interval(hits, n_series * n_runs)
    assert low <= promised / (n_series * n_runs) <= high


@pytest.mark.parametrize(("rise", "runs"), [(0.5, 4), (0.2, 7), (0.1, 25)])
def test_a_rise_is_found_within_the_stated_runs_in_nine_of_ten(simulate, specs, interval, rise, runs):
    """One of four channels rises by 8, 3 and 1.6 standard deviations of a binomial run (.063), A = 17,532."""
    rng = np.random.default_rng(303)
    n_series, n_found = 100, 0
    for series in range(n_series):
        scores = simulate(rng, K + 100 + runs, 1.0)
        scores["channel 0"][K + 100 :] += rise
        found = judge(
            {name: values[:K] for name, values in scores.items()},
            {name: np.clip(values[K:], 0, 1) for name, values in scores.items()},
            specs,
            threshold=17532.0,
            seed=series,
        )[Kind.BEHAVIOUR]
        n_found += found.is_drifted
    assert interval(n_found, n_series)[1] >= 0.9


@pytest.mark.parametrize("rise", [0.08, 0.2])
def test_a_lasting_drift_is_not_called_over_more_often_than_the_budget_allows(simulate, specs, rise):
    """At most one false recovery in A drifted runs on average; three standard deviations are granted."""
    rng = np.random.default_rng(404)
    threshold, n_series, n_runs = 5000.0, 24, 2500
    n_recoveries = n_drifted = 0
    for series in range(n_series):
        scores = simulate(rng, K + n_runs, 1.6)
        scores["channel 0"][K:] += rise
        found = judge(
            {name: values[:K] for name, values in scores.items()},
            {name: np.clip(values[K:], 0, 1) for name, values in scores.items()},
            specs,
            threshold=threshold,
            seed=series,
        )[Kind.BEHAVIOUR]
        n_recoveries += sum(episode.recovery is not None for episode in found.episodes)
        n_drifted += sum((episode.recovery or n_runs) - episode.alarm for episode in found.episodes)
    assert n_drifted > 0.8 * n_series * n_runs
    expected = n_drifted / threshold
    assert n_recoveries <= expected + 3 * np.sqrt(expected)
