"""The within-canary permutation test: exact, label-blind, and never fooled by ties, rounding or constants."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from driftwatch.detect.permutation import Energy, Layout, Shift, permutation_test


def layout(*sizes):
    return Layout(n_left=np.array([n for n, _ in sizes]), n_right=np.array([n for _, n in sizes]))


def apart(values):
    return np.abs(np.subtract.outer(values, values)).astype(float)


def test_one_separated_canary_gives_the_p_of_all_its_labellings():
    rows = np.array([[1.0], [2], [3], [11], [12], [13]])

    answer = permutation_test(layout((3, 3)), [Shift(name="size", rows=rows)], permutations=999, seed=0)

    assert (answer.p_value, answer.n_permutations, answer.is_exact) == (2 / 20, 20, True)


def test_pairs_are_flipped_in_sign():
    differences = np.array([1.0, 2, 3, -0.5, 4, 2.5])
    rows = np.array([[x] for d in differences for x in (0.0, d)])

    answer = permutation_test(layout(*[(1, 1)] * 6), [Shift(name="size", rows=rows)], permutations=999, seed=0)

    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=6)]
    assert answer.is_exact
    assert answer.p_value == np.mean([s >= abs(differences.sum()) - 1e-9 for s in sums])


def test_the_energy_is_that_of_the_definition():
    rng = np.random.default_rng(1)
    values = rng.normal(size=7)
    shape = layout((3, 4))
    distances = apart(values)

    answer = permutation_test(shape, [Energy(name="e", distances=[distances])], permutations=99, seed=0)

    def energy(right):
        left = [i for i in range(7) if i not in right]
        between = distances[np.ix_(left, right)].mean()
        return 2 * between - distances[np.ix_(left, left)].mean() - distances[np.ix_(right, right)].mean()

    all_of_them = [energy(list(right)) for right in itertools.combinations(range(7), 4)]
    assert answer.is_exact
    assert answer.p_value == pytest.approx(np.mean(np.array(all_of_them) >= energy([3, 4, 5, 6]) - 1e-9))


def test_labels_are_exchanged_within_canaries_only():
    # canaries differ by far more than the sides do; a pooled permutation would drown the sides' difference
    levels = np.repeat(np.arange(10) * 1000.0, 4)
    rows = (levels + np.tile([0.0, 0.1, 5.0, 5.1], 10))[:, None]

    answer = permutation_test(layout(*[(2, 2)] * 10), [Shift(name="size", rows=rows)], permutations=999, seed=0)

    assert answer.p_value == 0.001


def test_no_p_is_ever_zero():
    rows = np.tile([[0.0], [0], [0], [9], [9], [9]], (20, 1))

    answer = permutation_test(layout(*[(3, 3)] * 20), [Shift(name="size", rows=rows)], permutations=499, seed=0)

    assert answer.p_value == 1 / 500


def test_spread_sees_what_means_cannot():
    rng = np.random.default_rng(2)
    sides = [(rng.normal(0, 0.1, (6, 8)), rng.normal(0, 1.0, (6, 8))) for _ in range(15)]
    # the sides' means are made equal, so that only the spread differs
    points = [np.concatenate([side - side.mean(axis=0) for side in both]) for both in sides]
    matrices = [np.sqrt(((p[:, None] - p[None]) ** 2).sum(-1)) for p in points]
    asked = [Shift(name="mean", rows=np.concatenate(points)), Energy(name="e", distances=matrices, spread="spread")]

    answer = permutation_test(layout(*[(6, 6)] * 15), asked, permutations=999, seed=0)

    mean, _, spread = answer.parts
    assert (spread.name, spread.p_adjusted) == ("spread", 0.001)
    assert mean.p_adjusted > 0.1


def test_the_answer_is_the_best_of_the_corrected_parts_and_never_better_than_one_alone():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(40, 5))
    rows[::2, 0] += 1.0
    shifts = [Shift(name=str(k), rows=rows[:, [k]]) for k in range(5)]

    answer = permutation_test(layout(*[(1, 1)] * 20), shifts, permutations=999, seed=0)

    assert answer.p_value == min(part.p_adjusted for part in answer.parts)
    assert all(part.p_adjusted >= part.p_value for part in answer.parts)


def test_asking_the_same_thing_twice_costs_nothing():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(40, 1))
    once = [Shift(name="a", rows=rows)]
    twice = [*once, Shift(name="b", rows=rows)]

    answers = [permutation_test(layout(*[(1, 1)] * 20), s, permutations=999, seed=0).p_value for s in (once, twice)]

    assert answers[0] == answers[1]


@pytest.mark.parametrize("sizes", [[(1, 1)] * 12, [(2, 3)] * 5, [(1, 4), (3, 1), (2, 2), (5, 1)] * 2])
def test_under_no_change_p_is_below_alpha_as_often_as_alpha_says(sizes):
    rng = np.random.default_rng(5)
    shape = layout(*sizes)
    hits, rounds, alpha = 0, 400, 0.1
    for _ in range(rounds):
        heavy = rng.standard_t(2, size=(int(shape.sizes.sum()), 3))
        matrices = [apart(heavy[s : s + n, 0]) for s, n in zip(shape.starts, shape.sizes, strict=True)]
        asked = [
            Shift(name="one", rows=heavy[:, [1]]),
            Shift(name="many", rows=heavy),
            Energy(name="energy", distances=matrices, spread="spread"),
        ]
        hits += permutation_test(shape, asked, permutations=99, seed=int(rng.integers(2**31))).p_value <= alpha
    # not above α, and not so far below it that the test would be wasted
    assert binomtest(hits, rounds, alpha, alternative="greater").pvalue > 0.001
    assert hits > 0.03 * rounds


def test_what_no_labelling_changes_is_left_out():
    same = np.ones((8, 1))
    moving = np.arange(8.0)[:, None]

    answer = permutation_test(
        layout((4, 4)), [Shift(name="same", rows=same), Shift(name="moves", rows=moving)], permutations=99, seed=0
    )

    assert answer.constant == ("same",)
    assert [part.name for part in answer.parts] == ["moves"]


def test_with_nothing_to_test_p_is_one():
    zero = np.zeros((4, 4))
    energy = Energy(name="e", distances=[zero], spread="s")

    answer = permutation_test(layout((2, 2)), [energy], permutations=99, seed=0)

    assert (answer.p_value, answer.parts, answer.constant) == (1.0, (), ("e", "s"))
    assert permutation_test(layout((2, 2)), [], permutations=99, seed=0).p_value == 1.0


def test_replies_that_all_differ_alike_are_no_evidence_of_spread():
    # every pair lies equally far apart: rounding alone distinguishes the sides
    matrices = [(1 - np.eye(20)) * np.sqrt(2.0)] * 6

    answer = permutation_test(
        layout(*[(7, 13)] * 6), [Energy(name="e", distances=matrices, spread="s")], permutations=199, seed=0
    )

    assert answer.p_value == 1.0


def test_pairs_have_no_energy_to_permute():
    matrices = [apart(np.array([0.0, 5.0]))] * 9

    answer = permutation_test(layout(*[(1, 1)] * 9), [Energy(name="e", distances=matrices)], permutations=99, seed=0)

    assert answer.constant == ("e",)


def test_the_sides_may_be_of_any_size():
    rng = np.random.default_rng(6)
    shape = layout((1, 5), (4, 2), (3, 3), (1, 1))
    rows = rng.normal(size=(20, 2))
    matrices = [apart(rows[s : s + n, 0]) for s, n in zip(shape.starts, shape.sizes, strict=True)]

    answer = permutation_test(
        shape,
        [Shift(name="x", rows=rows), Energy(name="e", distances=matrices, spread="s")],
        permutations=99,
        seed=0,
    )

    assert 0 < answer.p_value <= 1
    assert not answer.is_exact
    assert shape.n_labellings == 6 * 15 * 20 * 2


def test_all_labellings_and_many_drawn_ones_agree():
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(16, 1))
    rows[2::4] += 1.2
    shape = layout(*[(2, 2)] * 4)

    exact = permutation_test(shape, [Shift(name="x", rows=rows)], permutations=1296, seed=0)
    drawn = permutation_test(shape, [Shift(name="x", rows=rows)], permutations=1295, seed=0)

    assert (exact.is_exact, drawn.is_exact) == (True, False)
    assert exact.p_value == pytest.approx(drawn.p_value, abs=0.05)


def test_the_same_seed_gives_the_same_answer_and_leaves_its_input_alone():
    rows = np.random.default_rng(8).normal(size=(60, 4))
    before = rows.copy()
    shape = layout(*[(1, 1)] * 30)

    one, two = (permutation_test(shape, [Shift(name="x", rows=rows)], permutations=99, seed=3) for _ in range(2))

    assert one == two
    assert (rows == before).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_by_name(bad):
    rows, distances = np.zeros((4, 1)), np.zeros((4, 4))
    rows[1], distances[1, 2] = bad, bad

    for statistic in (Shift(name="length", rows=rows), Energy(name="length", distances=[distances])):
        with pytest.raises(ValueError, match=r"^length: "):
            permutation_test(layout((2, 2)), [statistic], permutations=99, seed=0)


@pytest.mark.parametrize("sizes", [[], [(0, 3)], [(2, 2), (1, 0)]])
def test_a_canary_without_completions_is_refused(sizes):
    with pytest.raises(ValueError, match=r"same canaries|a completion on both sides"):
        layout(*sizes)


@pytest.mark.parametrize(
    "statistic",
    [
        Shift(name="x", rows=np.zeros((3, 1))),
        Shift(name="x", rows=np.zeros((4, 0))),
        Energy(name="x", distances=[np.zeros((3, 3))]),
        Energy(name="x", distances=[]),
    ],
)
def test_another_shape_than_the_layout_is_refused(statistic):
    with pytest.raises(ValueError, match=r"^x: "):
        permutation_test(layout((2, 2)), [statistic], permutations=99, seed=0)


def test_two_statistics_of_one_name_are_refused():
    shift = Shift(name="x", rows=np.zeros((4, 1)))

    with pytest.raises(ValueError, match="same name"):
        permutation_test(layout((2, 2)), [shift, shift], permutations=99, seed=0)


@pytest.mark.parametrize(("sizes", "least"), [([(1, 1)] * 5, 2 / 32), ([(1, 2)] * 3, 1 / 27), ([(1, 1)] * 2000, 0.0)])
def test_the_smallest_p_is_known_before_asking(sizes, least):
    assert layout(*sizes).smallest_p == pytest.approx(least)
