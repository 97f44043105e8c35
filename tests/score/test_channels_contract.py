"""What every channel keeps to, whatever it measures."""

from __future__ import annotations

import copy
import math

import pytest
from hypothesis import given, settings, strategies as st

from driftwatch.domain import Check, Kind, ToolCall
from driftwatch.score import CHANNELS
from driftwatch.score.reading import Anchors, read

AT_REST = {"latency": 0.5, "tokens": 0.5}
"""The value of a run that is equal to its only anchor; 0 where not named."""

TEXTS = st.lists(
    st.text(max_size=80)
    | st.sampled_from(["", "Paris.", "It is Paris.", '{"city": "Paris"}', "I can't help with that."]),
    min_size=1,
    max_size=5,
)


@pytest.fixture(params=list(CHANNELS))
def channel(request):
    return CHANNELS[request.param]


@pytest.fixture(scope="session")
def measure(make):
    canary = make.canary(
        checks=(Check(kind="contains", argument="Paris"), Check(kind="max_length", argument={"chars": 12}))
    )

    def run(channel, texts, anchors, **fields):
        embedder = make.embedder()
        made = [make.reply(text, repeat=i, logprobs=make.told(text), **fields) for i, text in enumerate(texts)]
        accepted = [make.reply(text, repeat=i, logprobs=make.told(text)) for i, text in enumerate(anchors)]
        return channel.measure(read(made, embedder), Anchors(read(accepted, embedder)), canary)

    return run


def test_there_are_thirteen_channels_and_each_is_listed_under_its_name():
    assert list(CHANNELS) == [
        "label", "surprise", "prefix", "wording", "meaning", "shape", "checks", "tools", "spread", "novelty", "logprob",
        "latency", "tokens",
    ]  # fmt: skip
    assert [c.name for c in CHANNELS.values()] == list(CHANNELS)


def test_performance_is_never_called_behaviour():
    assert {"latency", "tokens"} == {c.name for c in CHANNELS.values() if c.kind is Kind.PERFORMANCE}
    assert {"spread", "surprise", "tokens"} == {c.name for c in CHANNELS.values() if c.two_sided}
    assert all(c.kind in (Kind.BEHAVIOUR, Kind.PERFORMANCE) for c in CHANNELS.values())


@settings(max_examples=40, deadline=None)
@given(texts=TEXTS, anchors=TEXTS)
def test_a_value_is_in_0_to_1_or_nan(measure, texts, anchors):
    for channel in CHANNELS.values():
        value = measure(channel, texts, anchors)
        assert math.isnan(value) or 0.0 <= value <= 1.0, channel.name


@settings(max_examples=40, deadline=None)
@given(texts=TEXTS, anchors=TEXTS, data=st.data())
def test_the_order_of_anchors_and_repeats_does_not_matter(measure, texts, anchors, data):
    shuffled_texts, shuffled_anchors = data.draw(st.permutations(texts)), data.draw(st.permutations(anchors))
    for channel in CHANNELS.values():
        expected = measure(channel, texts, anchors)
        got = measure(channel, shuffled_texts, shuffled_anchors)
        assert (math.isnan(expected) and math.isnan(got)) or expected == got, channel.name


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60), n_anchors=st.integers(1, 4), n_repeats=st.integers(1, 3))
def test_a_run_equal_to_its_anchors_is_at_rest(measure, text, n_anchors, n_repeats):
    for channel in CHANNELS.values():
        if channel.name == "checks":
            continue  # a text may fail its checks and its anchors with it
        value = measure(channel, [text] * n_repeats, [text] * n_anchors)
        assert math.isnan(value) or value == AT_REST.get(channel.name, 0.0), channel.name


def test_nothing_to_measure_is_nan(channel, measure):
    assert math.isnan(measure(channel, [], ["Paris."]))


def test_nothing_to_measure_against_is_nan(channel, measure):
    value = measure(channel, ["Paris.", "Rome."], [])
    assert math.isnan(value) == channel.needs_anchors


def test_one_repeat_and_one_anchor_are_enough_except_for_spread_and_novelty(channel, measure):
    value = measure(channel, ["Paris."], ["Rome."])
    assert math.isnan(value) == (channel.name in ("spread", "novelty"))


def test_an_empty_text_is_a_reply(channel, measure):
    assert not math.isnan(measure(channel, ["", ""], ["Paris.", "Rome."]))


def test_measuring_twice_gives_the_same_and_changes_nothing(channel, make):
    canary = make.canary(checks=(Check(kind="contains", argument="Paris"),))
    calls = (ToolCall(name="find", arguments='{"a": 1}'),)
    run = [make.reply("Paris.", tool_calls=calls, logprobs=make.told("P")), make.reply("It is Paris.", repeat=1)]
    accepted = [make.reply("Paris."), make.reply("Rome.", logprobs=make.told("R")), make.reply("Paris!")]
    before = copy.deepcopy((run, accepted))

    def once():
        return channel.measure(read(run, make.embedder()), Anchors(read(accepted, make.embedder())), canary)

    assert once() == once()
    assert (run, accepted) == before


def test_failures_are_never_read(make):
    assert read([make.reply(ok=False), make.reply("Paris."), make.reply(ok=False)])[0].text == "Paris."
    assert read([make.reply(ok=False)], make.embedder()) == ()


def test_without_embeddings_only_meaning_is_unmeasurable(channel, make):
    readings = read([make.reply(text, logprobs=make.told(text)) for text in ("Paris.", "Rome.")])
    canary = make.canary(checks=(Check(kind="contains", argument="Paris"),))
    assert math.isnan(channel.measure(readings, Anchors(readings), canary)) == channel.needs_embedder
