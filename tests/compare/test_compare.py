"""Two sets of completions are compared: what is found, how it is sized, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from driftwatch.compare import CannotCompare, compare
from driftwatch.compare.comparing import needed
from driftwatch.domain import Canary, Check
from driftwatch.errors import UsageError


def of(answer, measure):
    return next(one for one in answer.differences if one.measure == measure)


def test_the_same_endpoint_twice_is_no_difference(side):
    answer = compare(side(15, 4, seed=1), side(15, 4, seed=2))

    assert not answer.is_different
    assert answer.p_value > 0.01
    assert answer.changes == ()


@pytest.mark.parametrize("repeats", [1, 2])
def test_false_differences_are_as_rare_as_alpha_says(side, repeats):
    # each round draws its own labellings: with the same few, all rounds would share their luck
    rounds, hits = 100, 0
    for i in range(rounds):
        left, right = side(12, repeats, seed=i), side(12, repeats, seed=1000 + i)
        hits += compare(left, right, alpha=0.1, permutations=199, seed=i, is_explained=False).is_different

    assert binomtest(hits, rounds, 0.1, alternative="greater").pvalue > 0.001


def test_longer_replies_are_found_and_sized(side):
    answer = compare(side(20, 3, seed=1), side(20, 3, seed=2, length=52))

    assert answer.is_different
    length = of(answer, "length")
    assert (length.unit, length.is_different) == ("ratio", True)
    assert length.low < 1.3 < length.high
    assert length.effect == pytest.approx(1.3, abs=0.05)
    assert any("longer" in change for change in answer.changes)


def test_one_reply_per_prompt_and_side_is_enough_for_a_new_habit(side):
    answer = compare(side(20, 1, seed=1), side(20, 1, seed=2, tail=" I hope this helps!"))

    assert answer.is_different
    assert of(answer, "phrases").is_different
    assert {"wording", "spread", "exact text"}.isdisjoint({one.measure for one in answer.differences})


def test_replies_that_scatter_more_are_found_by_their_spread(side):
    answer = compare(side(10, 4, seed=1, jitter=0.02), side(10, 4, seed=2, jitter=0.3))

    spread = of(answer, "spread")
    assert spread.is_different
    assert spread.low > 0


def test_a_share_is_told_in_points(say):
    left = [c for i in range(12) for c in say(f"p{i:02d}", "It is 4.", "It's 4.")]
    right = [c for i in range(12) for c in say(f"p{i:02d}", '{"answer": 4}', "It is 4.")]

    share = of(compare(left, right), "JSON")

    assert (share.unit, share.effect, share.is_different) == ("points", pytest.approx(0.5), True)


def test_failing_checks_are_compared_where_they_are_known(say):
    canaries = [
        Canary(id=f"p{i:02d}", suite="s", messages=(), checks=(Check(kind="contains", argument="yes"),))
        for i in range(12)
    ]
    left = [c for one in canaries for c in say(one.id, "yes", "yes sir")]
    right = [c for one in canaries for c in say(one.id, "no", "no sir")]

    assert of(compare(left, right, canaries=canaries), "failing checks").effect == 1.0
    assert all(one.measure != "failing checks" for one in compare(left, right).differences)


def test_embeddings_are_compared_when_an_embedder_is_given(side):
    class Embedder:
        revision = "letters"

        def embed(self, texts):
            rows = np.array([[t.count(c) + 0.01 for c in "aeiou"] for t in texts], np.float32)
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    answer = compare(side(15, 3, seed=1), side(15, 3, seed=2, tail=" eeeeeeeee"), embedder=Embedder())

    assert of(answer, "meaning").is_different
    assert of(answer, "topics").is_different


def test_equal_replies_leave_nothing_to_compare(say):
    both = [c for i in range(10) for c in say(f"p{i}", "42", "42")]

    answer = compare(both, both)

    assert (answer.p_value, answer.is_different, answer.differences) == (1.0, False, ())
    assert {"length", "wording", "spread", "phrases"} <= set(answer.constant)


def test_the_same_replies_are_known_in_any_order_and_one_other_reply_is_seen(say):
    left = [c for i in range(10) for c in say(f"p{i}", "41", "42")]
    right = [c for i in range(10) for c in say(f"p{i}", "42", "41")]
    swapped = [*say("p0", "41", "41"), *right[2:]]

    assert compare(left, right).is_same
    assert not compare(left, swapped).is_same
    assert not compare(left, [*right, *say("p0", "42")]).is_same


def test_the_order_of_completions_changes_nothing_that_matters(side):
    left, right = side(10, 2, seed=1), side(10, 2, seed=2, length=45)

    one, other = compare(left, right), compare(left[::-1], right[::-1])

    assert of(one, "length").effect == pytest.approx(of(other, "length").effect)
    assert one.p_value == pytest.approx(other.p_value, abs=0.02)


def test_the_same_seed_gives_the_same_answer(side):
    left, right = side(10, 2, seed=1), side(10, 2, seed=2)

    assert compare(left, right, seed=4) == compare(left, right, seed=4)


def test_sides_of_different_sizes_are_compared(side):
    answer = compare(side(15, 1, seed=1), side(15, 5, seed=2))

    assert (answer.n_left, answer.n_right) == (15, 75)
    assert not answer.is_different
    assert not math.isnan(of(answer, "wording").effect)


def test_a_single_prompt_with_many_replies_is_compared(side):
    answer = compare(side(1, 12, seed=1), side(1, 12, seed=2, tail=" Regards"))

    assert answer.is_different
    assert math.isnan(of(answer, "phrases").effect)  # nothing to share it with
    assert math.isnan(of(answer, "wording").low)


def test_empty_replies_and_odd_characters_are_replies_too(say):
    texts = ["", " ", "\ud800", "\x00", "💥" * 50, "日本語のテキスト", "a"]
    left = [c for i in range(10) for c in say(f"p{i}", *texts)]
    right = [c for i in range(10) for c in say(f"p{i}", *texts[::-1])]

    assert compare(left, right, permutations=199).p_value == 1.0


def test_failures_are_counted_and_left_out(side, failed):
    left, right = side(12, 2, seed=1), side(12, 2, seed=2)

    answer = compare([*left, failed("p00")], [c for c in right if c.canary_id != "p01"] + [failed("p01")])

    assert answer.n_failed == (1, 1)
    assert answer.unmeasured == ("p01",)
    assert answer.n_canaries == 11


def test_mostly_failures_cannot_be_compared(side, failed):
    left = side(6, 3, seed=1)

    with pytest.raises(CannotCompare, match="6 of 6 prompts have no usable reply") as refused:
        compare(left, [failed(f"p{i:02d}") for i in range(6)])

    assert refused.value.exit_code == 3


def test_too_few_replies_for_alpha_cannot_be_compared(side):
    with pytest.raises(CannotCompare, match=r"5 and 5 replies to 5 prompts cannot show p below 0\.062"):
        compare(side(5, 1, seed=1), side(5, 1, seed=2, length=500))


def test_too_few_permutations_for_alpha_are_refused(side):
    with pytest.raises(UsageError, match=r"98 permutations cannot show p ≤ 0\.01; draw 99 or more"):
        compare(side(9, 1, seed=1), side(9, 1, seed=2), permutations=98)


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.01, 0.001, 0.3, 1 / 3])
def test_the_permutations_needed_are_the_fewest_that_can_reach_alpha(alpha):
    n = needed(alpha)

    assert 1 / (1 + n) <= alpha
    assert n == 1 or 1 / n > alpha


@pytest.mark.parametrize(("missing", "name"), [(0, "left"), (1, "right")])
def test_a_prompt_without_a_completion_is_named(side, missing, name):
    sides = [side(9, 1, seed=1), side(9, 1, seed=2)]
    sides[missing] = [c for c in sides[missing] if c.canary_id != "p03"]

    with pytest.raises(UsageError, match=f"'p03' has no completion on the {name} side"):
        compare(*sides)


def test_nothing_cannot_be_compared():
    with pytest.raises(UsageError, match="neither side has a completion"):
        compare([], [])
