"""Costs are arithmetic that a person can redo; delays and alarms are those of the setting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from driftwatch.plan import CHANGES, ONE_WORD_SHIFTS, SWAP, Noise, Setting, forecast, rerouted_share
from driftwatch.plan.forecasts import watch_of

HOURLY = Setting(interval_s=3600.0, repeats=1)
BURSTS = 0.0241
"""Runs that bursts add at K = 168."""


def test_a_run_costs_what_its_requests_do(known):
    cost = forecast(known).per_run

    # 4 requests × (50 in at $1 + 20 out at $10 per million)
    assert (cost.requests, cost.input_tokens, cost.output_tokens) == (4, 200, 80)
    assert cost.usd == pytest.approx(4 * (50 * 1 + 20 * 10) / 1e6)


def test_a_month_has_its_hours_and_the_runs_of_bursts(known):
    made = forecast(known)

    # Either kind finds 2 of 169 ranks suspicious; a second and a third follow-up need as much luck again.
    either = 1 - (1 - 2 / 169) ** 2
    assert made.watch.burst_share == pytest.approx(either + either**2 + either**3)
    assert made.per_month.requests == pytest.approx(4 * 30.44 * 24 * (1 + BURSTS), rel=1e-4)
    assert made.per_year.usd == pytest.approx(made.per_month.usd * 365.25 / 30.44)


def test_a_baseline_costs_anchors_once_and_calibration_as_often_as_runs_ask(known, make):
    repeated = make(Setting(interval_s=3600.0, repeats=3))

    assert forecast(known).baseline.requests == 4 * (8 + 168)
    assert forecast(known, repeated).baseline.requests == 4 * (8 + 3 * 168)


def test_false_alarms_are_runs_of_both_kinds_over_the_threshold(known):
    # 10 % a year, and as much more as bursts add runs
    assert forecast(known).false_alarms_per_year == pytest.approx(0.1 * (1 + BURSTS), rel=1e-4)


def test_without_a_price_there_are_requests_and_no_dollars(known):
    made = forecast(replace(known, price=None))

    assert made.per_month.requests == pytest.approx(forecast(known).per_month.requests)
    assert (made.per_run.usd, made.per_month.usd, made.baseline.usd) == (None, None, None)


def test_tokens_are_estimated_where_no_reply_was_seen(known):
    made = forecast(replace(known, tokens={}))

    assert not made.has_measured_tokens
    # 40 characters are 10 tokens, 4 more frame the message; nothing bounds the reply
    assert (made.per_run.input_tokens, made.per_run.output_tokens) == (4 * 14, 4 * 300)


def test_every_change_has_a_delay_and_a_larger_one_a_shorter(known):
    delays = forecast(known).delays

    assert list(delays) == [*CHANGES, SWAP]
    assert delays["small"].seconds > delays["medium"].seconds > delays["large"].seconds >= delays[SWAP].seconds / 2


def test_more_repeats_tell_the_same_change_sooner(known, make):
    once, often = forecast(known), forecast(known, make(Setting(interval_s=3600.0, repeats=8)))

    assert often.delays["small"].runs < once.delays["small"].runs / 2
    assert often.visible_in_a_day_sd < once.visible_in_a_day_sd


def test_the_soonest_possible_alarm_takes_a_burst(known, make):
    hourly, frequent = forecast(known), forecast(known, make(Setting(interval_s=300.0, repeats=1)))

    assert (hourly.shortest_runs, hourly.shortest_s) == (3, 1200.0)
    assert frequent.shortest_s == (frequent.shortest_runs - 1) * 300.0


def test_another_interval_keeps_the_calibration_and_other_repeats_do_not(known, make):
    calibrated = replace(known, noise=Noise(n_channels=3, n_two_sided=1, measured={}, n_calibration=90))

    assert watch_of(calibrated, make(HOURLY)).n_calibration == 90
    assert watch_of(calibrated, make(Setting(interval_s=86_400.0, repeats=1))).n_calibration == 90
    assert watch_of(calibrated, make(Setting(interval_s=86_400.0, repeats=2))).n_calibration == 20


def test_fewer_calibration_runs_than_can_be_judged_with_are_refused(known):
    with pytest.raises(ValueError, match="K is 19"):
        forecast(replace(known, present=replace(known.present, calibration_wanted=19)))


@pytest.mark.parametrize("interval_s", [1.0, 366 * 86_400.0], ids=["a second", "a year"])
def test_absurd_intervals_have_a_plan_all_the_same(known, make, interval_s):
    made = forecast(known, make(Setting(interval_s=interval_s, repeats=1)))

    assert made.per_year.requests >= 4 * 365.25 * 86_400 / interval_s
    assert made.delays[SWAP].seconds >= 0.4 * interval_s
    assert made.calibration_s == made.target.calibration_wanted * interval_s


def test_a_share_of_answers_counts_for_more_the_more_answers_a_run_has(make):
    few, many = make(HOURLY), make(Setting(interval_s=3600.0, repeats=20))

    # 4 answers: 2 sd / (5 · √4); 80 answers: 2 / (5 · √80)
    assert rerouted_share(few, 2.0) == pytest.approx(0.2)
    assert rerouted_share(many, 2.0) == pytest.approx(0.0447, abs=1e-4)
    assert rerouted_share(make(HOURLY, n_canaries=1), 8.0) == 1.0


def test_the_shifts_of_one_word_answers_are_those_of_a_simulation():
    # 26 prompts × 10 answers a run, 50 anchors each, counts 1.6 × overdispersed; scored by total variation.
    n_prompts, n_words, n_answers, n_runs = 26, 6, 10, 160
    intra = 0.6 / (n_answers - 1)
    effects: dict[str, list[float]] = {name: [] for name in ONE_WORD_SHIFTS}
    for number in range(24):
        for name, shift in ONE_WORD_SHIFTS.items():
            rng = np.random.default_rng([6, number])
            usual, other = (rng.dirichlet(np.full(n_words, 0.6), n_prompts) for _ in range(2))
            anchors = rng.multinomial(50, usual) / 50
            mixed = shift / (0.5 * np.abs(usual - other).sum(axis=1).mean())
            means = []
            for words in (usual, (1 - mixed) * usual + mixed * other):
                gamma = rng.standard_gamma(np.tile(np.maximum(words, 1e-9) * (1 - intra) / intra, (n_runs, 1, 1)))
                gamma += 1e-12
                answers = rng.multinomial(n_answers, gamma / gamma.sum(axis=2, keepdims=True)) / n_answers
                scores = 0.5 * np.abs(answers - anchors).sum(axis=2).mean(axis=1)
                means.append((scores.mean(), scores.std(ddof=1)))
            effects[name].append((means[1][0] - means[0][0]) / means[0][1])

    for name, size in CHANGES.items():
        assert np.mean(effects[name]) == pytest.approx(size, rel=0.12), name
