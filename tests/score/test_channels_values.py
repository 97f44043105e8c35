"""Values of each channel that were worked out by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from driftwatch.domain import Check, ToolCall
from driftwatch.score import CHANNELS
from driftwatch.score.channels.prefix import is_greedy
from driftwatch.score.reading import Anchors, Reading, read


@pytest.fixture
def measure(make):
    def run(name, replies, anchors, canary=None):
        as_replies = [[make.reply(r) if isinstance(r, str) else r for r in side] for side in (replies, anchors)]
        return CHANNELS[name].measure(read(as_replies[0]), Anchors(read(as_replies[1])), canary or make.canary())

    return run


@pytest.mark.parametrize(
    ("reply", "anchors", "expected"),
    [
        ("the capital is Paris", ["the capital is Paris"], 0.0),
        ("the capital is Rome", ["the capital is Paris"], 0.25),
        ("the capital is Rome", ["a b c d", "the capital is Paris", "the town is Rome"], 0.25),  # the best match
        ("the capital is Paris today", ["the capital is Paris"], 0.2),  # a tail counts
        ("the capital", ["the capital is Paris"], 0.5),  # so does a missing one
        ("The capital is Paris", ["the capital is Paris"], 1.0),
        ("", ["the capital is Paris"], 1.0),
        ("", [""], 0.0),
        ("巴黎是首都", ["巴黎是城市"], 0.4),  # characters where there are no spaces
        ("yes, it is", ["yes; it is"], 0.75),  # punctuation is a token
    ],
)
def test_prefix_is_the_share_behind_the_fork(measure, reply, anchors, expected):
    assert measure("prefix", [reply], anchors) == pytest.approx(expected)


def test_prefix_looks_at_64_tokens_and_no_further(measure):
    words = [f"w{i}" for i in range(80)]
    late, last = [*words[:64], "fork"], [*words[:63], "fork"]
    assert measure("prefix", [" ".join(late)], [" ".join(words)]) == 0.0
    assert measure("prefix", [" ".join(last)], [" ".join(words)]) == pytest.approx(1 / 64)


def test_prefix_applies_only_where_temperature_is_said_to_be_0(make):
    def greedy(canary, **of_target):
        return is_greedy(make.target(parameters=of_target), make.canary(parameters=canary))

    assert greedy({}, temperature=0)
    assert greedy({}, temperature=0.0)
    assert greedy({"temperature": 0}, temperature=1)
    assert not greedy({"temperature": 0.7}, temperature=0)
    assert not greedy({})
    assert not greedy({}, temperature=None)
    assert not greedy({}, temperature=False)
    assert not greedy({}, temperature="0")


def test_wording_is_1_minus_the_summed_roots_of_shared_3_grams(measure):
    # abcd: abc bcd · abce: abc bce → one of two shared, 1 − √(½ · ½) = ½; xyz: nothing shared
    assert measure("wording", ["abcd"], ["abce"]) == pytest.approx(0.5)
    assert measure("wording", ["abcd"], ["abce", "xyz"]) == pytest.approx(0.75)
    # aaaaa: 3 × aaa · aaab: aaa aab → 1 − √(1 · ½)
    assert measure("wording", ["aaaaa"], ["aaab"]) == pytest.approx(1 - math.sqrt(0.5))


def test_wording_sees_tool_calls_but_not_their_spelling(measure, make):
    def call(arguments):
        return make.reply("", tool_calls=(ToolCall(name="find", arguments=arguments, id=arguments),))

    assert measure("wording", [call('{"a":1,"b":2}')], [call('{ "b": 2, "a": 1 }')]) == 0.0
    assert measure("wording", [call('{"a":1,"b":3}')], [call('{"a":1,"b":2}')]) > 0.0
    assert measure("wording", [call('{"a":1')], [call('{"a":1')]) == 0.0


def test_wording_takes_composed_and_decomposed_letters_for_the_same(measure):
    assert measure("wording", ["cafe\u0301 au lait"], ["caf\u00e9 au lait"]) == 0.0


def test_meaning_is_half_the_euclidean_distance(make):
    def at(*row):
        return Reading(completion=make.reply("x"), embedding=np.array(row, np.float32))

    def measured(reading, *anchors):
        return CHANNELS["meaning"].measure([reading], Anchors(anchors), make.canary())

    assert measured(at(1, 0), at(1, 0)) == 0.0
    assert measured(at(1, 0), at(-1, 0)) == 1.0
    assert measured(at(1, 0), at(0, 1)) == pytest.approx(math.sqrt(2) / 2, abs=1e-5)
    assert measured(at(1, 0), at(1, 0), at(-1, 0)) == 0.5
    assert measured(at(1, 0), at(1 - 1e-7, 0)) == 0.0  # what the batch size does
    assert math.isnan(measured(at(1, 0), Reading(completion=make.reply("x"))))
    assert math.isnan(measured(Reading(completion=make.reply("x")), at(1, 0)))


@pytest.mark.parametrize(
    ("reply", "anchor", "expected_parts"),
    [
        ("Paris", "Paris", 0.0),
        ("Par", "Paris!!", 1 - 4 / 8),  # 3 and 7 characters, each one up
        ("a\n\nb", "a--b", 1 - 2 / 3),  # 2 paragraphs and 1
        ('{"a":1}', '{"a":1,', 1.0),  # JSON or not
        ("ab", "да", 1.0),  # Latin or Cyrillic
        ("abab", "abда", 0.5),
        ("42", "ab", 1.0),  # letters or none
        ("- a\n- b", "+ a\n. b", 1.0),  # a list or none
        ("# abc", "#abc ", 1.0),  # a heading or none
        ("```\na\n```", "..`\na\n`..", 1.0),  # a fence or none
        ("I can't help with that.", "I can always help that.", 1.0),  # a refusal or none
        ("", "", 0.0),
    ],
)
def test_shape_is_the_mean_of_nine_parts(measure, reply, anchor, expected_parts):
    assert measure("shape", [reply], [anchor]) == pytest.approx(expected_parts / 9)


def test_shape_counts_the_anchors_that_ended_otherwise(measure, make):
    cut = make.reply("Paris", finish_reason="length")
    assert measure("shape", [cut], ["Paris", "Paris", "Paris", cut]) == pytest.approx(0.75 / 9)


def test_checks_is_the_share_that_fails(measure, make):
    canary = make.canary(
        checks=tuple(Check(kind="contains", argument=word) for word in ("Paris", "France", "city", "is"))
    )
    assert measure("checks", ["Paris is it"], [], canary) == 0.5
    assert measure("checks", ["Paris is it", "Paris is a city in France"], [], canary) == 0.25
    assert not CHANNELS["checks"].applies(make.target(), make.canary())


WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "required": ["city"]}},
}
TIME = {"type": "function", "function": {"name": "time"}}


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ((), 0.5),  # in words: another choice
        ((("weather", '{"city": "Rome"}'),), 0.0),  # what it says is not asked here
        ((("weather", '{"town": "Rome"}'),), 0.5),  # does not fit
        ((("weather", '{"city": "Ro'),), 0.5),  # cut off
        ((("time", "{}"),), 0.5),  # another one
        ((("time", "{}"), ("weather", '{"city": "Rome"}')), 0.25),  # one of two shared
        ((("weather", '{"city": "a"}'), ("weather", '{"city": "b"}')), 0.25),  # one call too many
        ((("forecast", "{}"),), 1.0),  # an invented one
        ((("weather", "[" * 100_000),), 0.5),
    ],
)
def test_tools_is_the_choice_and_the_fit_of_the_arguments(measure, make, calls, expected):
    canary = make.canary(tools=(WEATHER, TIME))
    usual = make.reply("", tool_calls=(ToolCall(name="weather", arguments='{"city": "Paris"}'),))
    got = make.reply("", tool_calls=tuple(ToolCall(name=name, arguments=arguments) for name, arguments in calls))
    assert measure("tools", [got], [usual], canary) == pytest.approx(expected)
    assert measure("tools", [got], [got, got], canary) == 0.0, "what was broken before is no drift"


def test_tools_applies_where_there_are_tools(make):
    assert CHANNELS["tools"].applies(make.target(), make.canary(tools=(TIME,)))
    assert not CHANNELS["tools"].applies(make.target(), make.canary())


def test_spread_is_the_mean_over_pairs_of_repeats(measure, make):
    # abcd–abce ½, abcd–xyz 1, abce–xyz 1
    assert measure("spread", ["abcd", "abce", "xyz"], []) == pytest.approx(2.5 / 3)
    assert CHANNELS["spread"].applies(make.target(repeats=2), make.canary())
    assert not CHANNELS["spread"].applies(make.target(repeats=1), make.canary())
    assert CHANNELS["spread"].applies(make.target(repeats=1), make.canary(repeats=2))
    assert not CHANNELS["spread"].applies(make.target(repeats=2), make.canary(repeats=1))


def test_novelty_finds_the_one_foreign_reply_in_twenty(measure):
    def own(i):
        return f"You can return it within {i} days of purchase for a full refund."

    anchors = [own(i) for i in range(10, 26)]
    run = [own(i) for i in range(12, 24)] + [own(i) for i in range(12, 19)]
    assert measure("novelty", run, anchors) < 0.01
    assert measure("novelty", [*run, "Certainly! Returns are handled by our partners."], anchors) > 0.9


def test_novelty_is_the_odds_of_how_many_deviations_a_reply_is_out(measure):
    # alike but for one: distances to the others 1/3 three times and 1, in 3-grams and in words; of a foreign reply 1
    anchors = ["abcd", "abcd", "abcd", "wxyz"]
    centre, variance = 0.5, 1 / 9
    z = (1 - centre) / math.sqrt(variance + 0.02**2 + (centre / 16) ** 2)
    odds = (z / 5) ** 4
    assert measure("novelty", ["mnop"], anchors) == pytest.approx(odds / (1 + odds))
    assert measure("novelty", ["mnop", "abcd"], anchors) == pytest.approx((odds / 2) / (1 + odds / 2))
    assert measure("novelty", ["abcd"], anchors) == 0.0, "nearer than the anchors are to each other"


def test_a_text_equal_to_the_anchors_is_never_new(measure):
    assert measure("novelty", ["Paris.", "Paris."], ["Paris.", "Paris.", "Paris."]) == 0.0
    assert measure("novelty", ["Paris.", "Rome"], ["Paris.", "Rome"]) == 0.0


def test_a_comma_in_a_text_that_never_varied_is_not_foreign_and_another_text_is(measure):
    usual = "The capital of France is Paris, which lies on the river Seine in the north of the country."
    assert measure("novelty", [usual.replace("Paris,", "Paris")], [usual] * 8) < 0.15
    assert measure("novelty", ["I'm sorry, but I can't help with that."], [usual] * 8) > 0.99


@pytest.mark.parametrize("n", [2, 3, 8, 50])
def test_novelty_tells_natural_from_foreign_at_any_number_of_anchors(measure, n):
    rng = random.Random(n)
    own, other = ([f"{side}{i}" for i in range(12)] for side in ("word", "andere"))

    def texts(words, k):
        return [" ".join(rng.choice(words) for _ in range(30)) for _ in range(k)]

    anchors = texts(own, n)
    natural = [measure("novelty", [text], anchors) for text in texts(own, 30)]
    foreign = [measure("novelty", [text], anchors) for text in texts(other, 30)]
    assert min(foreign) > max(natural)
    assert sorted(natural)[15] < 0.1


def test_one_word_has_nothing_to_be_foreign_in(make):
    assert CHANNELS["novelty"].applies(make.target(), make.canary())
    assert not CHANNELS["novelty"].applies(make.target(), make.canary(parameters={"max_tokens": 1}))


@pytest.mark.parametrize(
    ("latency_s", "expected"),
    [(2.0, 0.5), (20.0, 0.75), (0.2, 0.25), (200.0, 1.0), (9e9, 1.0), (0.0, 0.0)],
)
def test_latency_is_logarithmic_around_the_geometric_mean(measure, make, latency_s, expected):
    anchors = [make.reply(latency_s=1.0), make.reply(latency_s=4.0)]
    assert measure("latency", [make.reply(latency_s=latency_s)], anchors) == pytest.approx(expected)


def test_tokens_are_logarithmic_and_nan_without_usage(measure, make):
    def of(n):
        return make.reply(output_tokens=n)

    assert measure("tokens", [of(100)], [of(5), of(20)]) == pytest.approx(0.75)
    assert measure("tokens", [of(0)], [of(1)]) == 0.5
    assert measure("tokens", [of(None), of(10)], [of(None), of(10)]) == 0.5
    assert math.isnan(measure("tokens", [of(None)], [of(10)]))
    assert math.isnan(measure("tokens", [of(10)], [of(None)]))


def test_a_latency_difference_that_nobody_notices_is_no_difference(measure, make):
    anchors = [make.reply(latency_s=0.010), make.reply(latency_s=0.010)]
    assert measure("latency", [make.reply(latency_s=0.035)], anchors) == 0.5, "a cold connection on a fast endpoint"
    assert measure("latency", [make.reply(latency_s=0.080)], anchors) > 0.7
