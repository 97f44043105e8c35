"""The cost benchmark runs, and its tables are arithmetic on list prices and kept promises."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection import cost


def test_a_target_year_of_border_inputs_costs_what_its_tokens_do():
    tier = cost.tiers()[0]
    target = tier.target("openai", "gpt-4o-mini")
    tokens = sum(len(canary.messages[0].content) // 4 + 4 for canary in target.canaries)

    # 8,766 runs and 2.4 % more, $0.15 in and $0.60 out per million
    expected = 8766 * 1.0241 * (tokens * 0.15 + 20 * 0.60) / 1e6
    assert cost.cost_per_year(tier, "openai", "gpt-4o-mini") == pytest.approx(expected, rel=0.01)


def test_the_micro_tier_of_cheap_models_meets_the_goal():
    for tier in cost.tiers():
        if tier.is_micro:
            assert cost.cost_per_year(tier, "openai", "gpt-4.1-nano") <= cost.GOAL_USD, tier.name


def test_every_model_has_a_price():
    for _, provider, model in cost.MODELS:
        assert cost.cost_per_year(cost.tiers()[0], provider, model) > 0


def test_a_model_without_a_price_is_an_error_and_not_free():
    with pytest.raises(LookupError, match="no-such-model has no price"):
        cost.cost_per_year(cost.tiers()[0], "openai", "no-such-model")


@pytest.mark.parametrize("make", [cost.gaussian, cost.shares])
def test_a_change_of_four_sd_moves_the_first_channel_by_four_sd(make):
    changed = np.arange(4000) >= 2000

    scores = make(np.random.default_rng(1), 4000, 4.0, changed)

    moved = (scores[2000:].mean(axis=0) - scores[:2000].mean(axis=0)) / scores[:2000].std(axis=0)
    assert moved[0] == pytest.approx(4.0, rel=0.1)
    assert abs(moved[1:]).max() < 0.2


def test_the_quick_benchmark_prints_both_tables(capsys):
    cost.main(["--quick"])

    said = capsys.readouterr().out
    assert "genai-prices" in said
    assert "| cheap | gpt-4o-mini | 0.15 / 0.6 |" in said
    assert "| 4 sd | 4 (" in said
