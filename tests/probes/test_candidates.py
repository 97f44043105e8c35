from __future__ import annotations

import pytest

from driftwatch.probes import candidate


def test_candidates_depend_on_seed_and_number_alone():
    assert [candidate(i, 7) for i in range(50)] == [candidate(i, 7) for i in range(50)]
    assert candidate(0, 7) == "Choose one word, Rome or Paris."


def test_other_seeds_give_other_candidates():
    first, second = ({candidate(i, seed) for i in range(100)} for seed in (1, 2))
    assert len(first & second) < 20


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_hundreds_of_candidates_are_short_and_mostly_different(seed):
    made = [candidate(i, seed) for i in range(300)]
    assert len(set(made)) > 220
    assert all(1 <= len(prompt) <= 90 and prompt.strip() == prompt for prompt in made)


def test_any_beginning_is_a_mixture_of_kinds():
    made = [candidate(i, 1) for i in range(5)]
    assert any("number" in prompt for prompt in made)
    assert any("Continue" in prompt for prompt in made)
    assert any("or " in prompt for prompt in made)
