from __future__ import annotations

import math

import numpy as np
import pytest

from driftwatch.score.channels.label import measure_label
from driftwatch.score.channels.surprise import SURPRISE, measure_surprise
from driftwatch.score.reading import Anchors, read


@pytest.fixture
def value(make):
    def measured(words, anchors, measure=measure_surprise):
        replies = [make.reply(word, repeat=i) for i, word in enumerate(words)]
        accepted = [make.reply(word, repeat=i) for i, word in enumerate(anchors)]
        return measure(read(replies), Anchors(read(accepted)), make.canary())

    return measured


def test_the_commonest_answer_is_no_surprise_and_one_never_given_is_all(value):
    anchors = ["heads"] * 6 + ["tails"] * 2
    assert value(["Heads."], anchors) == 0.0
    assert value(["edge"], anchors) == 1.0
    assert value(["tails"], anchors) == pytest.approx(math.log(6.5 / 2.5) / math.log(13))


def test_the_mean_over_repeats_counts(value):
    assert value(["heads", "edge"], ["heads"] * 4) == 0.5


def test_a_colder_endpoint_falls_below_what_is_usual(value):
    anchors = ["a"] * 5 + ["b"] * 3 + ["c"] * 2
    assert value(["a"] * 10, anchors) < value(anchors, anchors)
    assert SURPRISE.two_sided


def test_it_applies_to_one_word_canaries_only(make):
    canary = make.canary(parameters={"max_tokens": 5})
    assert SURPRISE.applies(make.target(canary), canary)
    assert not SURPRISE.applies(make.target(), make.canary())


def test_a_small_shift_towards_rare_answers_moves_it_more_than_the_label_channel(value):
    """In standard deviations of a run, which is what decides how soon it is found."""
    rng = np.random.default_rng(3)
    words = np.array(list("abcdef"))
    usual = np.array([0.6, 0.3, 0.09, 0.01, 0.0, 0.0])
    shifted = 0.95 * usual + 0.05 * np.array([0, 0, 0.2, 0.3, 0.3, 0.2])

    def effect(measure):
        anchors = rng.choice(words, 50, p=usual).tolist()
        before, after = (
            np.array([value(rng.choice(words, 10, p=p).tolist(), anchors, measure) for _ in range(80)])
            for p in (usual, shifted)
        )
        return (after.mean() - before.mean()) / before.std()

    of_surprise, of_label = (
        np.mean([effect(measure) for _ in range(6)]) for measure in (measure_surprise, measure_label)
    )
    assert of_surprise > 1.2 * of_label > 0
