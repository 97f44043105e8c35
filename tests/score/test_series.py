"""What the channels' values do over many runs, judged as the daemon judges them at its default alarm budget."""

from __future__ import annotations

import random

import numpy as np
import pytest

from driftwatch.detect import ChannelSpec, budget, judge
from driftwatch.domain import Kind
from driftwatch.score import CHANNELS, Reference, score

A = budget.threshold(runs_per_year=8766, chance_of_any_per_year=0.1)
N_CALIBRATION = 168
WORDS = [f"word{i}" for i in range(10)]
NAMES = [f"c{i}" for i in range(20)]


@pytest.fixture
def watch(make):
    """(channels, runs as canary → answers, anchors, the target's fields) → channel → its first episode or None."""

    def run(channels, runs, anchors, **target):
        canaries = [make.canary(name) for name in NAMES]
        accepted = {f"core/{name}": [make.reply(t, canary=name) for t in texts] for name, texts in anchors.items()}
        reference = Reference.from_anchors(make.target(*canaries, **target), accepted, None)
        known = {}  # a run that is repeated is scored once
        for answers in runs:
            if id(answers) not in known:
                replies = [
                    make.reply(t, canary=name, repeat=i) for name, texts in answers.items() for i, t in enumerate(texts)
                ]
                known[id(answers)] = {s.channel: s.value for s in score(reference, replies)}
        return {name: first_episode(name, [known[id(answers)][name] for answers in runs]) for name in channels}

    return run


def first_episode(channel, values):
    spec = ChannelSpec(name=channel, kind=Kind.BEHAVIOUR, two_sided=CHANNELS[channel].two_sided)
    series = np.array(values)
    found = judge({channel: series[:N_CALIBRATION]}, {channel: series[N_CALIBRATION:]}, [spec], threshold=A, seed=1)
    return next(iter(found[Kind.BEHAVIOUR].episodes), None)


def text(rng, words=WORDS, n=20):
    return " ".join(rng.choices(words, k=n))


@pytest.fixture
def greedy():
    """An endpoint that has never forked, and a way to make single canaries fork."""
    rng = random.Random(1)
    own = {name: text(rng) for name in NAMES}
    other = {name: own[name][:60] + " " + text(rng) for name in NAMES}

    def answers(*forked):
        return {name: [other[name] if name in forked else own[name]] for name in NAMES}

    return {name: [own[name]] * 8 for name in NAMES}, answers


def test_one_fork_of_an_endpoint_that_never_forked_does_not_page(watch, greedy):
    anchors, answers = greedy
    usual = answers()
    runs = [usual] * (N_CALIBRATION + 5) + [answers("c3")] + [usual] * 20
    channels = ("prefix", "wording", "novelty")
    assert watch(channels, runs, anchors, repeats=1) == dict.fromkeys(channels)


def test_forks_that_stay_page_by_the_fourth_run(watch, greedy):
    anchors, answers = greedy
    runs = [answers()] * (N_CALIBRATION + 5) + [answers("c3", "c7")] * 6
    found = watch(["prefix"], runs, anchors, repeats=1)["prefix"]
    assert found.onset == 5
    assert found.alarm <= 8


def test_a_late_fork_counts_less_than_an_early_one(make):
    usual = " ".join(f"w{i}" for i in range(80))
    readings = [make.reply(" ".join(["x" if i >= place else f"w{i}" for i in range(80)])) for place in (4, 32, 63, 70)]
    reference = Reference.from_anchors(make.target(repeats=1), {"core/capital": [make.reply(usual)] * 3}, None)
    values = [next(s.value for s in score(reference, [r]) if s.channel == "prefix") for r in readings]
    assert values == pytest.approx([60 / 64, 32 / 64, 1 / 64, 0.0])


@pytest.mark.parametrize(("words", "moved"), [(WORDS[:2], "colder"), ([f"word{i}" for i in range(60)], "hotter")])
def test_spread_sees_a_temperature_that_falls_and_one_that_rises(watch, words, moved):
    rng = random.Random(moved)
    anchors = {name: [text(rng) for _ in range(8)] for name in NAMES}
    runs = [
        {name: [text(rng, WORDS if i < N_CALIBRATION else words) for _ in range(2)] for name in NAMES}
        for i in range(N_CALIBRATION + 8)
    ]
    found = watch(["spread"], runs, anchors, repeats=2)["spread"]
    assert found is not None, moved
    assert found.alarm <= 6


def test_one_answer_in_twenty_from_elsewhere_is_found_among_answers_that_vary(watch):
    rng = random.Random(2)
    other = [f"andere{i}" for i in range(10)]
    anchors = {name: [text(rng) for _ in range(8)] for name in NAMES}

    def run(share):
        return {name: [text(rng, other if rng.random() < share else WORDS)] for name in NAMES}

    runs = [run(0.0) for _ in range(N_CALIBRATION + 20)] + [run(0.05) for _ in range(25)]
    found = watch(["novelty"], runs, anchors, repeats=1, parameters={})["novelty"]
    assert 20 <= found.alarm < 20 + 12
