"""Effects are the sizes they say, with intervals that hold them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from driftwatch.compare.effects import effects, farthest
from driftwatch.compare.measures import PHRASES, QUANTITIES, SPREAD, TEXT, WORDING, Measured
from driftwatch.detect.permutation import Layout

LENGTH = next(quantity for quantity in QUANTITIES if quantity.name == "length")
JSON = next(quantity for quantity in QUANTITIES if quantity.name == "JSON")


def measured(n_canaries, n_left, n_right, **parts):
    layout = Layout(n_left=np.full(n_canaries, n_left), n_right=np.full(n_canaries, n_right))
    return Measured(layout=layout, **{"quantities": (), "directions": (), "distances": (), **parts})


def test_a_logarithm_becomes_a_ratio():
    values = np.tile([1.0, 1.0, 1.0 + math.log(2)], 10)

    found = effects(measured(10, 2, 1, quantities=((LENGTH, values),)), seed=0)["length"]

    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_a_share_stays_a_difference_of_shares():
    values = np.tile([0.0, 1, 1, 1], 10)

    found = effects(measured(10, 2, 2, quantities=((JSON, values),)), seed=0)["JSON"]

    assert (found.unit, found.value) == ("points", pytest.approx(0.5))


def test_a_common_move_is_all_shared_and_an_unrelated_one_not_at_all():
    n = 200
    rng = np.random.default_rng(0)
    same, unrelated = np.zeros((2 * n, 4)), np.zeros((2 * n, 4))
    same[1::2] = [1.0, 2, 0, 0]
    unrelated[1::2] = rng.normal(size=(n, 4))

    shares = [effects(measured(n, 1, 1, directions=((PHRASES, rows),)), seed=0)[PHRASES] for rows in (same, unrelated)]

    assert shares[0].value == pytest.approx(1.0)
    assert shares[1].value < 0.02
    assert shares[1].low <= shares[1].value <= shares[1].high


def test_a_distance_is_what_the_sides_add_to_their_own():
    far = np.array([[0, 0.2, 1, 1], [0.2, 0, 1, 1], [1, 1, 0, 0.4], [1, 1, 0.4, 0]])

    found = effects(measured(6, 2, 2, distances=((WORDING, (far,) * 6),)), seed=0)

    assert found[WORDING].value == pytest.approx(1 - 0.3)
    assert found[SPREAD].value == pytest.approx(0.2)


def test_without_repeats_a_distance_has_no_size():
    pair = np.array([[0, 1.0], [1, 0]])

    found = effects(measured(6, 1, 1, distances=((TEXT, (pair,) * 6),)), seed=0)[TEXT]

    assert all(math.isnan(value) for value in (found.value, found.low, found.high))


def test_with_few_canaries_there_is_no_interval():
    values = np.tile([0.0, 1.0], 4)

    found = effects(measured(4, 1, 1, quantities=((JSON, values),)), seed=0)["JSON"]

    assert found.value == 1.0
    assert math.isnan(found.low)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for i in range(200):
        values = rng.normal(size=60)
        values[1::2] += 0.5
        found = effects(measured(30, 1, 1, quantities=((JSON, values),)), seed=i)["JSON"]
        covered += found.low <= 0.5 <= found.high
    # the percentile bootstrap over 30 canaries is a little narrow; a wrong formula would be far off
    assert 0.88 <= covered / 200 <= 0.99


def test_the_canaries_whose_wording_moved_most_come_first_and_those_that_did_not_are_left_out():
    def moved(by):
        return np.array([[0, 0.2, by, by], [0.2, 0, by, by], [by, by, 0, 0.2], [by, by, 0.2, 0]])

    matrices = tuple(moved(by) for by in (0.1, 0.5, 0.9, 0.2, 0.7, 0.6))

    assert farthest(measured(6, 2, 2, distances=((WORDING, matrices),))) == [2, 4, 5]
    assert farthest(measured(6, 2, 2, distances=((WORDING, (moved(0.1),) * 6),))) == []
    assert farthest(measured(6, 1, 1)) == []
