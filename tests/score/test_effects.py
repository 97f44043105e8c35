"""Effect sizes: their intervals hold what they promise, and chance is not told."""

from __future__ import annotations

import math
import random

import pytest

from driftwatch.score.explain.effects import NOTHING, clopper_pearson, share, size


def test_nothing_measured_is_no_difference():
    assert share([]) is NOTHING
    assert size([], floor=1, least=1) is NOTHING
    assert not NOTHING.is_rise
    assert not NOTHING.is_fall


def test_a_share_counts_each_canary_the_same():
    found = share([([0.0] * 8, [1.0] * 2), ([0.0] * 2, [0.0] * 20)])
    assert (found.before, found.after, found.change) == (0.0, 0.5, 0.5)


def test_the_interval_of_a_share_covers_the_truth_19_times_in_20():
    rng = random.Random(1)
    chances = [(0.9, 0.6), (0.2, 0.5), (0.05, 0.1), (0.99, 0.9)]
    truth = sum(q - p for p, q in chances) / len(chances)
    draws = [
        share(
            [
                ([float(rng.random() < p) for _ in range(8)], [float(rng.random() < q) for _ in range(12)])
                for p, q in chances
            ]
        )
        for _ in range(600)
    ]
    covered = sum(d.low <= truth <= d.high for d in draws)
    assert 0.93 <= covered / 600 <= 0.995


def test_an_unchanged_share_is_two_errors_off_once_in_twenty():
    rng = random.Random(2)
    errors = [
        share(
            [
                ([float(rng.random() < 0.3) for _ in range(8)], [float(rng.random() < 0.3) for _ in range(8)])
                for _ in range(6)
            ]
        ).errors
        for _ in range(800)
    ]
    assert 0.02 <= sum(abs(e) >= 2 for e in errors) / 800 <= 0.075


def test_the_interval_of_a_ratio_covers_the_truth_19_times_in_20():
    rng = random.Random(3)

    def draw(centre: float, n: int) -> list[float]:
        return [rng.lognormvariate(math.log(centre), 0.4) for _ in range(n)]

    found = [size([(draw(c, 8), draw(1.3 * c, 6)) for c in (20, 60, 300)], floor=1, least=0) for _ in range(600)]
    assert 0.925 <= sum(f.low <= 1.3 <= f.high for f in found) / 600 <= 0.975


def test_a_change_without_noise_is_certain_and_needs_no_interval():
    found = size([([10.0, 10.0], [20.0, 20.0])], floor=1, least=3)
    assert (found.change, found.errors, found.is_rise) == (pytest.approx(2.0), math.inf, True)
    assert found.low == pytest.approx(found.high)


def test_one_reply_on_each_side_is_judged_by_how_canaries_agree():
    agreeing = size([([10.0 + i], [20.0 + 2 * i + i % 2]) for i in range(12)], floor=1, least=3)
    torn = size([([20.0], [45.0 if i % 2 else 9.0]) for i in range(12)], floor=1, least=3)
    assert agreeing.is_rise
    assert not torn.is_material


def test_a_single_pair_of_replies_says_nothing():
    found = size([([10.0], [30.0])], floor=1, least=3)
    assert (found.errors, found.is_material) == (0.0, False)
    assert math.isnan(found.low)


def test_from_nothing_there_is_no_ratio():
    found = size([([0.0, 0.0], [9.0, 9.0])], floor=1, least=3)
    assert math.isnan(found.change)
    assert found.is_rise


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (2, 30), (0, 0)])
def test_the_exact_interval_holds_the_share_seen(hits, n):
    low, high = clopper_pearson(hits, n)
    assert 0 <= low <= (hits / n if n else 0) <= high <= 1
