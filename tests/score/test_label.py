"""The label channel: one-word answers as a distribution."""

from __future__ import annotations

import math
import random
import statistics

import numpy as np
import pytest

from driftwatch.score import CHANNELS, Reference, score
from driftwatch.score.channels.label import ONE_WORD_TOKENS, is_one_word, label_of, measure_label
from driftwatch.score.reading import Anchors, read

WORD = {"temperature": 1, "max_tokens": 1}


@pytest.fixture
def measure(make):
    """``measure(run, anchors)`` of texts."""

    def value(run, anchors):
        readings, accepted = (read([make.reply(text) for text in those]) for those in (run, anchors))
        return measure_label(readings, Anchors(accepted), make.canary())

    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heads", "heads"),
        (" heads.\n", "heads"),
        ("**Heads**, of course", "heads"),
        ("- heads", "heads"),
        ("'Straße'", "strasse"),
        ("42", "42"),
        ("$5", "$5"),
        ("ｈｅａｄｓ", "heads"),
        ("...", "..."),
        ("", ""),
        ("  \n ", ""),
        ("東京", "東京"),
        ("don't", "don't"),
    ],
)
def test_an_answer_is_its_first_word_whatever_its_form(text, expected):
    assert label_of(text) == expected


def test_the_same_shares_are_exactly_0_apart(measure):
    assert measure(["a", "b", "c"], ["A.", "b", "c!"] * 17) == 0.0


def test_the_value_is_half_the_sum_of_the_differences(measure):
    # run: a .6, b .4; anchors: a .2, b .5, c .3
    assert measure(["a", "a", "a", "b", "b"], ["a"] * 2 + ["b"] * 5 + ["c"] * 3) == pytest.approx(0.4)


def test_a_single_answer_is_as_far_out_as_it_is_rare(measure):
    anchors = ["a"] * 7 + ["b"] * 3
    assert measure(["a"], anchors) == pytest.approx(0.3)
    assert measure(["b"], anchors) == pytest.approx(0.7)
    assert measure(["new"], anchors) == 1.0


def test_new_answers_count_the_same_whether_alike_or_not(measure):
    anchors = ["a"] * 5 + ["b"] * 5
    assert measure(["x", "y", "a", "b"], anchors) == measure(["x", "x", "a", "b"], anchors) == 0.5


@pytest.mark.parametrize(
    ("of_target", "of_canary", "expected"),
    [
        ({}, {"max_tokens": 1}, True),
        ({}, {"max_completion_tokens": ONE_WORD_TOKENS}, True),
        ({"max_tokens": 1}, {}, True),
        ({}, {"max_tokens": ONE_WORD_TOKENS + 1}, False),
        ({}, {}, False),
        ({"max_tokens": None}, {"max_tokens": 1}, False),
        ({"max_tokens": 1}, {"max_tokens": 100}, False),
    ],
)
def test_a_canary_is_one_word_when_its_request_bounds_the_reply_to_one(make, of_target, of_canary, expected):
    assert is_one_word(make.target(parameters=of_target), make.canary(parameters=of_canary)) is expected


def test_the_noise_learned_from_anchors_is_that_of_a_run_with_as_many_repeats(make):
    """Against simulation: mean and spread of runs of the same source, where single anchors would say 0 spread."""
    rng = np.random.default_rng(4)
    learned, seen = [], []
    for _ in range(30):
        anchors = rng.choice(["a", "b"], 50)
        canary = make.canary(parameters=WORD, repeats=5)
        accepted = Anchors(read([make.reply(text) for text in anchors]))
        values = CHANNELS["label"].anchor_values(accepted, [], canary)
        assert len(values) <= 50
        assert all(0 <= value <= 1 for value in values)
        learned.append((statistics.mean(values), statistics.stdev(values)))
        runs = [read([make.reply(text) for text in rng.choice(["a", "b"], 5)]) for _ in range(40)]
        measured = [measure_label(run, accepted, canary) for run in runs]
        seen.append((statistics.mean(measured), statistics.stdev(measured)))
    learned_mean, learned_spread = np.mean(learned, axis=0)
    seen_mean, seen_spread = np.mean(seen, axis=0)
    assert learned_mean == pytest.approx(seen_mean, rel=0.15)
    assert learned_spread == pytest.approx(seen_spread, rel=0.15)
    assert seen_spread > 0.1


def test_with_one_repeat_every_anchor_is_valued_by_the_others(make):
    accepted = Anchors(read([make.reply(text) for text in ["a"] * 7 + ["b"]]))
    values = CHANNELS["label"].anchor_values(accepted, [], make.canary(repeats=1))
    assert sorted(values) == pytest.approx([1 / 7] * 7 + [1.0])


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 0), (2, 2), (3, 3)])
def test_few_anchors_say_little_and_break_nothing(make, n, expected):
    accepted = Anchors(read([make.reply("a") for _ in range(n)]))
    assert len(CHANNELS["label"].anchor_values(accepted, [], make.canary(repeats=20))) == expected


def test_what_is_learned_does_not_depend_on_the_order_of_anchors(make):
    texts = ["a", "b", "c", "a", "b", "a", "a", "d"]
    shuffled = random.Random(1).sample(texts, len(texts))
    learned = [
        CHANNELS["label"].anchor_values(Anchors(read([make.reply(t) for t in those])), [], make.canary(repeats=3))
        for those in (texts, shuffled)
    ]
    assert learned[0] == learned[1]


def test_a_canary_that_wavers_counts_less_than_one_that_does_not_and_the_targets_repeats_decide_how_much(make):
    canaries = [make.canary(name, parameters=WORD) for name in ("still", "wavers")]
    anchors = {
        "core/still": [make.reply("a", canary="still")] * 50,
        "core/wavers": [make.reply(text, canary="wavers") for text in ("a", "b")] * 25,
    }
    weights = {}
    for repeats in (1, 5):
        target = make.target(*canaries, parameters={}, repeats=repeats)
        weights[repeats] = Reference.from_anchors(target, anchors, None).weighings["label"].weights
    # One answer to a tie is always .5 from it, so it never varies; the share among five does.
    assert weights[1]["core/wavers"] == pytest.approx(0.5, abs=0.01)
    assert weights[5]["core/wavers"] < 0.3


def test_a_flipped_greedy_answer_is_seen_by_one_request(make):
    canary = make.canary(parameters={"temperature": 0, "max_tokens": 1})
    target = make.target(canary, repeats=1)
    reference = Reference.from_anchors(target, {canary.id: [make.reply("heads")] * 8}, None)
    before, after = ({s.channel: s.value for s in score(reference, [make.reply(text)])} for text in ("heads", "tails"))
    assert (before["label"], after["label"]) == (0.0, 1.0)


def test_nothing_is_nan_and_never_a_number(measure):
    assert math.isnan(measure([], ["a"]))
    assert math.isnan(measure(["a"], []))


def test_lost_repeats_do_not_look_like_drift(make):
    """Fewer answers lie farther from any distribution by chance: a lasting rate limit would page as behaviour."""
    rng = np.random.default_rng(8)
    words, usual = np.array(list("abcdef")), [0.5, 0.2, 0.1, 0.1, 0.05, 0.05]
    canary = make.canary(repeats=10)
    anchors = Anchors(read([make.reply(word) for word in rng.choice(words, 200, p=usual)]))

    def values(n_answers):
        runs = (rng.choice(words, n_answers, p=usual) for _ in range(300))
        return np.array([measure_label(read([make.reply(w) for w in run]), anchors, canary) for run in runs])

    whole, cut = values(10), values(8)
    assert cut.mean() <= whole.mean()
    assert abs(cut.mean() - whole.mean()) < 0.5 * whole.std()
