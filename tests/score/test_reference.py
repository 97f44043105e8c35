"""How canaries add up to a run's value."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest
from hypothesis import given, settings, strategies as st

from driftwatch.domain import Check
from driftwatch.score import CHANNELS, Reference, combine, score

NAMES = ("quiet", "loud", "middle", "other")


def texts(rng, words, n):
    return [" ".join(rng.choice(words) for _ in range(12)) for _ in range(n)]


@pytest.fixture(scope="module")
def reference(make):
    """Four canaries with 8 anchors each: one never varies, the others the more, the more words they choose from.

    Every channel applies to one of them at least; "quiet" is asked for a word and may call a tool.
    """
    rng = random.Random(1)
    special = {"quiet": {"parameters": {"max_tokens": 8}, "tools": ({"function": {"name": "find"}},)}}
    checks = (Check(kind="min_length", argument={"words": 12}),)
    canaries = [make.canary(name, checks=checks, **special.get(name, {})) for name in NAMES]
    vocabulary = [f"word{i}" for i in range(40)]
    anchors = {
        canary.id: [make.reply(t, canary=name, logprobs=make.told(t)) for t in texts(rng, vocabulary[:n], 8)]
        for canary, name, n in zip(canaries, NAMES, (1, 40, 4, 10), strict=True)
    }
    return Reference.from_anchors(make.target(*canaries), anchors, make.embedder())


@pytest.fixture(scope="module")
def run(make):
    rng = random.Random(2)
    return [
        make.reply(t, canary=name, repeat=i, logprobs=make.told(t))
        for name, n in zip(NAMES, (1, 40, 4, 10), strict=True)
        for i, t in enumerate(texts(rng, [f"word{i}" for i in range(n)], 2))
    ]


def test_weights_are_positive_and_sum_to_1(reference):
    assert list(reference.weighings) == list(CHANNELS)
    for weighing in reference.weighings.values():
        assert all(weight > 0 for weight in weighing.weights.values())
        assert math.fsum(weighing.weights.values()) == pytest.approx(1.0, abs=1e-12)


def test_a_canary_counts_the_less_the_more_its_anchors_vary(make):
    canaries = [make.canary(name) for name in ("still", "wild")]
    anchors = {
        "core/still": [make.reply(t, canary="still") for t in ["abcd"] * 4],
        "core/wild": [make.reply(t, canary="wild") for t in ["abcd", "abcd", "abcd", "wxyz"]],
    }
    weights = Reference.from_anchors(make.target(*canaries), anchors, None).weighings["wording"].weights
    # leave-one-out values of "wild": 1/3 three times and 1, variance 1/9; of "still": 0. Mean 1/18.
    v, mean_v = 1 / 9, 1 / 18
    expected = (1 / (mean_v / 2 + 1e-6)) / (1 / (mean_v / 2 + 1e-6) + 1 / (v / 2 + mean_v / 2 + 1e-6))
    assert weights == pytest.approx({"core/still": expected, "core/wild": 1 - expected})


def test_canaries_that_never_vary_weigh_the_same(make):
    canaries = [make.canary(name) for name in NAMES]
    anchors = {canary.id: [make.reply("Paris.", canary=canary.id[5:])] * 4 for canary in canaries}
    reference = Reference.from_anchors(make.target(*canaries), anchors, None)
    assert set(reference.weighings["wording"].weights.values()) == {0.25}


def test_shares_that_are_reported_as_such_weigh_every_canary_the_same(reference):
    assert set(reference.weighings["checks"].weights.values()) == {0.25}
    assert set(reference.weighings["novelty"].weights.values()) == {1 / 3}


def test_a_run_is_the_weighted_sum_of_its_canaries(reference, run):
    scores = {s.channel: s for s in score(reference, run)}
    assert list(scores) == list(CHANNELS)
    for name, got in scores.items():
        weights = reference.weighings[name].weights
        assert set(got.by_canary) == set(weights)
        if CHANNELS[name].combining == "mean":
            assert got.value == pytest.approx(sum(weights[c] * v for c, v in got.by_canary.items()))
        assert got.value == combine(reference, name, got.by_canary)


def test_scoring_is_repeatable_and_blind_to_order(reference, run):
    assert score(reference, run) == score(reference, run) == score(reference, run[::-1])


def test_scoring_its_own_anchors_is_near_the_leave_one_out_mean(reference):
    own = [r.completion for anchors in reference.anchors.values() for r in anchors]
    wording = next(s for s in score(reference, own) if s.channel == "wording")
    means = reference.weighings["wording"].anchor_means
    expected = sum(w * means[c] for c, w in reference.weighings["wording"].weights.items())
    assert wording.value == pytest.approx(expected * 7 / 8)  # an anchor is 0 from itself, one of eight


def test_a_missing_canary_hardly_moves_the_value(reference, run):
    whole = {s.channel: s.value for s in score(reference, run)}
    for name in NAMES:
        partial = score(reference, [c for c in run if c.canary_id != f"core/{name}"])
        for got in partial:
            if reference.weighings[got.channel].weights.get(f"core/{name}", 1.0) < 0.5:
                assert got.value == pytest.approx(whole[got.channel], abs=0.1)
                assert f"core/{name}" not in got.by_canary


def test_a_missing_canary_is_imputed_by_what_its_anchors_say(reference):
    weighing = reference.weighings["checks"]
    present = {"core/quiet": 0.0, "core/loud": 0.5, "core/middle": 1.0}
    expected = 0.25 * (0.0 + 0.5 + 1.0 + weighing.anchor_means["core/other"])
    assert combine(reference, "checks", present) == pytest.approx(expected)
    assert combine(reference, "checks", {**present, "core/other": math.nan}) == pytest.approx(expected)
    assert combine(reference, "checks", {**present, "core/unknown": 1.0}) == pytest.approx(expected)


def test_half_of_the_weight_is_enough_and_less_is_not(reference):
    assert not math.isnan(combine(reference, "checks", {"core/quiet": 0.0, "core/loud": 0.0}))
    assert math.isnan(combine(reference, "checks", {"core/quiet": 0.0}))
    assert math.isnan(combine(reference, "checks", {}))


def test_odds_add_up_so_that_one_canary_far_out_makes_the_run_far_out(reference):
    far, near = 0.99, 0.02
    odds = 0.99 / 0.01 + 2 * 0.02 / 0.98
    values = {"core/loud": far, "core/middle": near, "core/other": near}
    assert combine(reference, "novelty", values) == pytest.approx(odds / (1 + odds))
    assert combine(reference, "novelty", dict.fromkeys(values, 0.0)) == 0.0
    assert combine(reference, "novelty", dict.fromkeys(values, 1.0)) == pytest.approx(1.0)
    usual = reference.weighings["novelty"].anchor_means["core/other"]
    missing = combine(reference, "novelty", {"core/loud": near, "core/middle": near})
    imputed = 2 * near / (1 - near) + usual / (1 - usual)
    assert missing == pytest.approx(imputed / (1 + imputed))


def test_a_channel_that_is_not_watched_has_no_value(reference):
    assert math.isnan(combine(reference, "telepathy", {"core/quiet": 0.0}))


@settings(max_examples=50, deadline=None)
@given(values=st.dictionaries(st.sampled_from([f"core/{n}" for n in NAMES]), st.floats(0, 1) | st.just(math.nan)))
def test_a_combined_value_is_in_0_to_1_or_nan(reference, values):
    for name in CHANNELS:
        got = combine(reference, name, values)
        assert math.isnan(got) or 0.0 <= got <= 1.0


def test_a_run_of_failures_has_scores_without_a_value(reference, run):
    failed = [dataclasses.replace(c, outcome="timeout", text="") for c in run]
    for completions in (failed, []):
        scores = score(reference, completions)
        assert list(CHANNELS) == [s.channel for s in scores]
        assert all(math.isnan(s.value) and not s.by_canary for s in scores)


def test_a_failure_does_not_change_the_canary_it_hit(reference, run, make):
    whole = score(reference, run)
    failed = [make.reply(canary=name, repeat=9, ok=False, latency_s=99.0) for name in NAMES]
    assert score(reference, [*failed, *run]) == whole


def test_replies_to_canaries_the_target_lacks_are_left_out(reference, run, make):
    assert score(reference, [*run, make.reply("x", canary="gone")]) == score(reference, run)


def test_a_channel_that_applies_to_no_canary_has_no_score(make):
    anchors = {"core/capital": [make.reply("Paris."), make.reply("Paris!"), make.reply("Paris")]}
    reference = Reference.from_anchors(make.target(repeats=1, parameters={}), anchors, None)
    scores = score(reference, [make.reply("Paris.")])
    assert [s.channel for s in scores] == ["wording", "shape", "novelty", "latency", "tokens"]


def test_a_channel_the_anchors_cannot_support_has_no_score(make):
    anchors = {"core/capital": [make.reply("Paris.", output_tokens=None)]}
    reference = Reference.from_anchors(make.target(), anchors, None)
    assert [s.channel for s in score(reference, [make.reply("Rome.")])] == [
        "prefix", "wording", "shape", "spread", "latency",
    ]  # fmt: skip


def test_a_single_anchor_measures_but_imputes_nothing(make):
    canaries = [make.canary(name) for name in ("a", "b")]
    anchors = {c.id: [make.reply("Paris.", canary=c.id[5:])] for c in canaries}
    reference = Reference.from_anchors(make.target(*canaries), anchors, None)
    assert reference.weighings["wording"].weights == {"core/a": 0.5, "core/b": 0.5}
    (wording,) = (s for s in score(reference, [make.reply("xyz", canary="a")]) if s.channel == "wording")
    assert wording.value == 1.0


def test_a_canary_without_anchors_is_not_missed(make):
    canaries = [make.canary(name, checks=(Check(kind="contains", argument="Paris"),)) for name in ("a", "b")]
    anchors = {"core/a": [make.reply("Paris.", canary="a")] * 3, "core/b": [make.reply(canary="b", ok=False)]}
    reference = Reference.from_anchors(make.target(*canaries), anchors, None)
    assert reference.weighings["wording"].weights == {"core/a": 1.0}
    run = [make.reply("Paris.", canary="a"), make.reply("Rome.", canary="b")]
    scores = {s.channel: s for s in score(reference, run)}
    assert scores["wording"].value == 0.0
    assert scores["checks"].by_canary == {"core/a": 0.0, "core/b": 1.0}
    assert scores["checks"].value == 0.5
    assert scores["prefix"].by_canary == {"core/a": 0.0}


def test_more_anchors_of_the_same_kind_hardly_move_a_value(make):
    rng = random.Random(3)
    words = [f"word{i}" for i in range(8)]
    run = [make.reply(t) for t in texts(rng, words, 4)]
    values = []
    for n in (8, 50):
        anchors = {"core/capital": [make.reply(t) for t in texts(rng, words, n)]}
        scores = score(Reference.from_anchors(make.target(), anchors, None), run)
        values.append(next(s.value for s in scores if s.channel == "wording"))
    assert values[0] == pytest.approx(values[1], abs=0.05)
