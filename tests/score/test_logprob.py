"""The logprob channel: how far the first token's log-probabilities have shifted."""

from __future__ import annotations

import math

import pytest

from driftwatch.score.channels.logprob import LEAST_LOGPROB, first_token, measure_logprob
from driftwatch.score.reading import Anchors, read


def listed(**logprobs):
    """The ``logprobs`` of a reply whose first token has these candidates; a second token is never looked at."""
    top = [[token, value] for token, value in logprobs.items()]
    return [{"token": top[0][0], "logprob": top[0][1], "top": top}, {"token": "!", "logprob": -9.0, "top": []}]


@pytest.fixture
def measure(make):
    """``measure([logprobs, …], [logprobs, …])`` of the run's and the anchors' replies."""

    def value(run, anchors):
        readings, accepted = (read([make.reply("a", logprobs=each) for each in those]) for those in (run, anchors))
        return measure_logprob(readings, Anchors(accepted), make.canary())

    return value


@pytest.mark.parametrize("n_run", [1, 3, 7])
@pytest.mark.parametrize("n_anchors", [1, 7, 50])
def test_identical_replies_are_exactly_0_apart(measure, n_run, n_anchors):
    same = listed(a=-0.1234567, b=-2.3456789, c=-3.9876543)
    assert measure([same] * n_run, [same] * n_anchors) == 0.0


def test_the_value_is_the_mean_absolute_shift_brought_into_0_to_1(measure):
    value = measure([listed(a=-0.4, b=-1.4)], [listed(a=-0.5, b=-1.1)])
    assert value == pytest.approx(1 - math.exp(-(0.1 + 0.3) / 2))


def test_repeats_and_anchors_are_averaged_before_they_are_compared(measure):
    run = [listed(a=-0.4), listed(a=-0.6)]
    assert measure(run, [listed(a=-0.5)] * 3) == pytest.approx(0.0, abs=1e-9)
    assert measure([listed(a=-0.7)], [listed(a=-0.4), listed(a=-0.6)]) == pytest.approx(1 - math.exp(-0.2))


def test_a_token_that_is_not_listed_stands_at_the_smallest_that_is(measure):
    # a: 0; c enters at -1.9 where the anchors listed nothing below -2.0: at least .1; b left, below -1.9: at least .1
    value = measure([listed(a=-0.5, c=-1.9)], [listed(a=-0.5, b=-2.0)])
    assert value == pytest.approx(1 - math.exp(-(0.0 + 0.1 + 0.1) / 3))


def test_impossible_tokens_do_not_drown_the_others(measure):
    assert measure([listed(a=-0.5, b=-9999.0)], [listed(a=-0.5, b=-3.4e38)]) == 0.0
    assert first_token(listed(a=-0.5, b=-math.inf)) == {"a": -0.5, "b": LEAST_LOGPROB}


def test_the_value_grows_with_the_shift_and_stays_below_1(measure):
    values = [measure([listed(a=-0.1 - shift)], [listed(a=-0.1)]) for shift in (0.0, 0.01, 0.1, 1.0, 9999.0)]
    assert values == sorted(values)
    assert values[1] == pytest.approx(0.00995, abs=1e-5)
    assert 0.99 < values[-1] <= 1.0


def test_replies_without_log_probabilities_are_passed_over(measure):
    assert measure([None, listed(a=-0.5)], [listed(a=-0.5), None]) == 0.0
    assert math.isnan(measure([None], [listed(a=-0.5)]))
    assert math.isnan(measure([listed(a=-0.5)], [None]))


@pytest.mark.parametrize("odd", [None, [], {}, "x", [None], [{}], [{"token": "a", "logprob": None, "top": []}]])
def test_odd_log_probabilities_are_none(odd):
    assert first_token(odd) == {}


def test_numbers_that_were_stored_as_null_are_left_out():
    assert first_token([{"token": "a", "logprob": None, "top": [["a", None], ["b", -1.0]]}]) == {"b": -1.0}


def test_the_sampled_token_stands_alone_where_no_others_are_told():
    assert first_token([{"token": "a", "logprob": -0.2, "top": []}]) == {"a": -0.2}
    assert first_token([{"token": "rare", "logprob": -9.0, "top": [["a", -0.2]]}]) == {"a": -0.2}


def test_two_tokens_of_the_same_text_count_as_the_likelier():
    assert first_token([{"token": "�", "logprob": -1.0, "top": [["�", -1.0], ["�", -3.0]]}]) == {"�": -1.0}
