"""A wish is met by the setting that meets it best, or said to be out of reach with what comes closest."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from driftwatch.config.settings import TargetSettings
from driftwatch.plan import Answer, Setting, within_budget, within_delay
from driftwatch.plan.forecasts import cost_per_month
from driftwatch.plan.solve import INTERVALS_S, MOST_REPEATS, _delay

HOUR_S, DAY_S = 3600.0, 86_400.0


def cost(known, make, setting: Setting) -> float:
    return cost_per_month(known, make(setting)).usd


def seconds(known, make, answer: Answer, change: str = "medium") -> float:
    return _delay(known, make(answer.setting), change)


def test_no_setting_within_the_budget_is_told_much_sooner_than_the_proposed_one(known, make):
    answer = within_budget(known, make, usd_per_month=5.0, change="medium")

    assert answer.is_met
    assert cost(known, make, answer.setting) <= 5.0
    soonest = seconds(known, make, answer)
    for interval_s in (900.0, HOUR_S, 4 * HOUR_S):
        for repeats in (1, 2, 4, 8):
            other = Answer(setting=Setting(interval_s=interval_s, repeats=repeats), is_met=True)
            if cost(known, make, other.setting) <= 5.0:
                assert seconds(known, make, other) >= soonest / 1.25, other


def test_more_money_never_buys_a_later_alarm(known, make):
    delays = [
        seconds(known, make, within_budget(known, make, usd_per_month=usd, change="medium")) for usd in (1, 4, 16, 64)
    ]

    for poorer, richer in itertools.pairwise(delays):
        assert richer <= poorer * 1.15  # the search and the forecast simulate different numbers of series


def test_a_budget_below_the_cheapest_setting_is_not_met_and_names_the_cheapest(known, make):
    answer = within_budget(known, make, usd_per_month=0.0001, change="medium")

    assert answer == Answer(setting=Setting(interval_s=7 * DAY_S, repeats=1), is_met=False)


def test_a_budget_needs_a_price(known, make):
    with pytest.raises(ValueError, match="without a price"):
        within_budget(replace(known, price=None), make, usd_per_month=5.0, change="medium")


def test_the_proposed_setting_keeps_the_delay_and_nothing_clearly_cheaper_does(known, make):
    answer = within_delay(known, make, seconds=6 * HOUR_S, change="medium")

    assert answer.is_met
    assert seconds(known, make, answer) <= 6 * HOUR_S
    paid = cost(known, make, answer.setting)
    for interval_s in (HOUR_S, 2 * HOUR_S, 4 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S):
        for repeats in (1, 2, 3):
            other = Answer(setting=Setting(interval_s=interval_s, repeats=repeats), is_met=True)
            if cost(known, make, other.setting) < 0.8 * paid:
                assert seconds(known, make, other) > 0.8 * 6 * HOUR_S, other


def test_a_delay_below_the_fastest_setting_is_not_met_and_names_a_fast_one(known, make):
    answer = within_delay(known, make, seconds=1.0, change="medium")

    assert not answer.is_met
    assert answer.setting.interval_s == INTERVALS_S[0]


def test_without_a_price_the_setting_with_the_fewest_requests_is_the_cheapest(known, make):
    paid = within_delay(known, make, seconds=DAY_S, change="medium")
    counted = within_delay(replace(known, price=None), make, seconds=DAY_S, change="medium")

    assert counted == paid  # every request costs the same here


def test_a_free_endpoint_gets_the_fastest_setting(known, make):
    free = replace(known, price=replace(known.price, input_usd=0.0, output_usd=0.0))

    answer = within_budget(free, make, usd_per_month=0.01, change="medium")

    assert (answer.is_met, answer.setting.interval_s) == (True, INTERVALS_S[0])


def test_a_swap_can_be_asked_for(known, make):
    answer = within_delay(known, make, seconds=6 * HOUR_S, change="swap")

    assert answer.setting.repeats == 1  # what everyone sees needs no repeats
    assert seconds(known, make, answer, "swap") <= 6 * HOUR_S


def test_an_interval_that_the_config_would_refuse_is_not_proposed(known, make):
    answer = within_delay(known, make, seconds=1.0, change="medium", above_s=1800.0)

    assert answer.setting.interval_s == HOUR_S


def test_repeats_are_tried_up_to_what_the_config_takes():
    [most] = [rule.le for rule in TargetSettings.model_fields["repeats"].metadata if hasattr(rule, "le")]

    assert most == MOST_REPEATS


def test_the_present_setting_is_tried_though_it_is_on_no_grid(known, make):
    odd = replace(known, present=make(Setting(interval_s=5000.0, repeats=1)))
    bound = _delay(odd, odd.present, "swap")

    tried = {within_delay(odd, make, seconds=bound * scale, change="swap").setting.interval_s for scale in (1.0, 1.01)}
    assert 5000.0 in tried
