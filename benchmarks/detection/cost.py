"""What each tier of probes costs a target-year, and whether `driftwatch plan` promises what the detector keeps.

Run ``python -m benchmarks.detection.cost [--write] [--quick]``; seeded, no network, a few minutes.
"""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import genai_prices
import numpy as np
from numpy.typing import NDArray

from benchmarks.page import publish
from driftwatch import shipped
from driftwatch.canaries import load_suites
from driftwatch.detect import ChannelSpec, budget, judge
from driftwatch.domain import Canary, Kind, Message, Target
from driftwatch.plan import Delay, Known, Noise, Watch, delay, swap_delay
from driftwatch.plan.forecasts import cost_per_month
from driftwatch.probes.candidates import candidate
from driftwatch.usage import find_price

Floats = NDArray[np.float64]
Make = Callable[[np.random.Generator, int, float, NDArray[np.bool_]], Floats]
"""(chance, runs, size of the change in sd, which runs have changed) → (runs, N_CHANNELS) scores."""

N_CHANNELS = 7

SEED = 31
"""Of the series that the promises are held against; the plan itself simulates with another one."""

GOAL_USD = 2.2
"""Dollars per target-year for the micro tier. Source: detection design, benchmark 6."""

GOAL_DELAY = 0.3
"""How far a promised median may lie from the one that comes about."""

MONTHS = 365.25 / 30.44
K = 168
HOURLY_S, RUNS_PER_YEAR = 3600.0, 8766.0
A = budget.threshold(runs_per_year=RUNS_PER_YEAR, chance_of_any_per_year=0.1)

MODELS = (
    ("cheap", "groq", "llama-3.1-8b-instant"),
    ("cheap", "openai", "gpt-4.1-nano"),
    ("cheap", "gemini", "gemini-2.5-flash-lite"),
    ("cheap", "openai", "gpt-4o-mini"),
    ("mid", "deepseek", "deepseek-chat"),
    ("mid", "anthropic", "claude-haiku-4-5"),
    ("mid", "openai", "gpt-4.1"),
    ("frontier", "openai", "gpt-4o"),
    ("frontier", "anthropic", "claude-sonnet-4-5"),
    ("frontier", "anthropic", "claude-opus-4-5"),
)
"""Class, provider and model as genai-prices names them. None of them reasons before it answers unless told to: a model
that does bills its thoughts and does not answer in one token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One way of watching an endpoint."""

    name: str
    canaries: tuple[Canary, ...]
    repeats: int
    interval_s: float = HOURLY_S
    is_micro: bool = False
    """Whether the goal holds for it."""

    def target(self, provider: str, model: str) -> Target:
        """The tier pointed at a model, with the default alarm budget."""
        runs = RUNS_PER_YEAR * HOURLY_S / self.interval_s
        return Target(
            name=self.name,
            provider=provider,
            model=model,
            canaries=self.canaries,
            repeats=self.repeats,
            interval_s=self.interval_s,
            threshold=budget.threshold(runs_per_year=runs, chance_of_any_per_year=0.1),
            calibration_wanted=min(K, max(20, int(7 * 86_400 / self.interval_s))),
        )


def tiers() -> list[Tier]:
    """Micro probes first; prompts are those that `driftwatch probes discover` tries, and the shipped suites."""
    suites = load_suites([shipped.path("canaries")])
    everything = tuple(canary for suite in suites.values() for canary in suite.canaries)
    core = suites["core"].canaries
    return [
        Tier(name="border inputs, 20 × 1", canaries=_one_token(20), repeats=1, is_micro=True),
        Tier(name="border inputs, 5 × 4", canaries=_one_token(5), repeats=4, is_micro=True),
        Tier(name="logprobs, 10 × 1", canaries=_one_token(10), repeats=1, is_micro=True),
        Tier(name="one word at T=1, 26 × 5", canaries=_one_token(26), repeats=5),
        Tier(name=f"suite core, {len(core)} × 1", canaries=core, repeats=1),
        Tier(name=f"all suites, {len(everything)} × 1", canaries=everything, repeats=1),
        Tier(name=f"all suites, {len(everything)} × 1, daily", canaries=everything, repeats=1, interval_s=86_400.0),
    ]


def cost_per_year(tier: Tier, provider: str, model: str) -> float:
    """Dollars per target-year, confirmation bursts included; replies as long as max_tokens allows.

    Raises:
        LookupError: genai-prices does not list the model.
    """
    price = find_price(provider, model)
    if price is None:
        raise LookupError(f"{provider} {model} has no price in genai-prices {genai_prices.__version__}")
    target = tier.target(provider, model)
    noise = Noise(n_channels=N_CHANNELS, n_two_sided=1, measured={}, n_calibration=None)
    month = cost_per_month(Known(present=target, noise=noise, price=price, tokens={}), target)
    assert month.usd is not None  # noqa: S101 - the price is known
    return month.usd * MONTHS


def cost_section(models: Sequence[tuple[str, str, str]]) -> str:
    """The table of dollars per target-year."""
    made = tiers()
    lines = [
        _paragraph(
            f"""Dollars per target-year at list prices (genai-prices {genai_prices.__version__}), hourly unless said,
            confirmation bursts included, list prices without batch or cache discounts; input tokens estimated at four
            characters each, replies at the longest that max_tokens allows. The goal of ${GOAL_USD} holds for the first
            three columns, the micro tier. Prompts × repeats in the headings."""
        ),
        "",
        "| class | model | in / out, $ per million | " + " | ".join(tier.name for tier in made) + " | micro goal |",
        "|---|---|---|" + "---:|" * len(made) + "---|",
    ]
    for kind, provider, model in models:
        price = find_price(provider, model)
        assert price is not None  # noqa: S101 - cost_per_year says so in words
        costs = [cost_per_year(tier, provider, model) for tier in made]
        micro = max(cost for tier, cost in zip(made, costs, strict=True) if tier.is_micro)
        goal = "met" if micro <= GOAL_USD else f"missed by {micro / GOAL_USD:.1f} ×; met every {_hours(micro)} h"
        figures = " | ".join(f"{cost:.2f}" for cost in costs)
        lines.append(f"| {kind} | {model} | {price.input_usd:g} / {price.output_usd:g} | {figures} | {goal} |")
    return "\n".join(lines)


# ---------------------------------------------------------------- promises


def gaussian(rng: np.random.Generator, n: int, size: float, changed: NDArray[np.bool_]) -> Floats:
    """(n, N_CHANNELS) scores of seven channels correlated by .5, the first moved by ``size`` sd."""
    z = np.sqrt(0.5) * rng.standard_normal((n, 1)) + np.sqrt(0.5) * rng.standard_normal((n, N_CHANNELS))
    z[changed, 0] += size
    return np.clip(0.35 + 0.05 * z, 0.0, 1.0)


def shares(rng: np.random.Generator, n: int, size: float, changed: NDArray[np.bool_]) -> Floats:
    """(n, N_CHANNELS) shares of 130 one-word answers that went the other way: few values, hence many ties."""
    rate, n_answers = 0.3, 130
    common = rng.standard_normal((n, N_CHANNELS)) * np.sqrt(0.6 / n_answers * rate * (1 - rate))
    moved = np.zeros((n, N_CHANNELS))
    moved[changed, 0] = size * np.sqrt(1.6 * rate * (1 - rate) / n_answers)
    return rng.binomial(n_answers, np.clip(rate + common + moved, 0.0, 1.0)) / n_answers


def kept(make: Make, size: float, *, n_series: int, horizon: int, before: int = 24) -> Floats:
    """(n_series,) runs from a change to the alarm of the real detector; infinite past the horizon."""
    specs = [ChannelSpec(name=f"c{i}", kind=Kind.BEHAVIOUR, two_sided=i == N_CHANNELS - 1) for i in range(N_CHANNELS)]
    delays = np.full(n_series, np.inf)
    for number in range(n_series):
        n = K + before + horizon
        scores = make(np.random.default_rng([SEED, number]), n, size, np.arange(n) >= K + before)
        found = judge(
            {spec.name: scores[:K, i] for i, spec in enumerate(specs)},
            {spec.name: scores[K:, i] for i, spec in enumerate(specs)},
            specs,
            threshold=A,
            seed=number,
        )[Kind.BEHAVIOUR]
        after = [episode.alarm for episode in found.episodes if episode.alarm >= before]
        if after:
            delays[number] = after[0] - before + 1
    return delays


def promise_section(n_series: int, sizes: Sequence[tuple[float, int]]) -> str:
    """The table of promised and kept delays."""
    watch = Watch(n_calibration=K, threshold=A, interval_s=HOURLY_S, n_channels=N_CHANNELS, n_two_sided=1)
    lines = [
        _paragraph(
            f"""Median runs to the alarm (90th percentile) as `driftwatch plan` promises them and as `detect.judge`
            keeps them on {n_series} series of another seed ({SEED}) each: seven channels correlated by .5, one of
            them moved, K = {K}, A = {A:,.0f}. The plan simulates normal scores; the last column has shares of 130
            one-word answers, 1.6 × overdispersed and full of ties, which it does not know of. Goal: the medians
            within {GOAL_DELAY:.0%}."""
        ),
        "",
        "| change | promised | kept, normal scores | off by | kept, one-word shares | off by | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, horizon in sizes:
        promised = delay(watch, size)
        cells, offs = [], []
        for make in (gaussian, shares):
            runs = kept(make, size, n_series=n_series, horizon=horizon)
            middle, late = np.quantile(runs, [0.5, 0.9], method="inverted_cdf")
            offs.append(promised.runs / middle - 1.0)
            cells.append(f"{_runs(middle, late)} | {offs[-1]:+.0%}")
        worst = max(abs(off) for off in offs)
        # One run more or less is no finer than a run can be.
        goal = "met" if worst <= GOAL_DELAY else f"missed: {worst:.0%}"
        lines.append(f"| {size:g} sd | {_runs(promised.runs, promised.runs_90)} | {' | '.join(cells)} | {goal} |")
    swap: Delay = swap_delay(watch)
    lines += [
        "",
        _paragraph(
            f"""A full swap is promised after {swap.runs:.0f} runs, {swap.seconds / 60:.0f} minutes after the change at
            hourly interval (median, waiting for the next slot included)."""
        ),
    ]
    return "\n".join(lines)


def _one_token(n: int) -> tuple[Canary, ...]:
    prompts = [candidate(index, SEED) for index in range(n)]
    return tuple(
        Canary(
            id=f"micro/{number}",
            suite="micro",
            messages=(Message(role="user", content=prompt),),
            parameters={"max_tokens": 1},
        )
        for number, prompt in enumerate(prompts)
    )


def _hours(usd_hourly: float) -> int:
    """The shortest interval in whole hours that the goal pays for: cost is inverse to the interval."""
    return math.ceil(usd_hourly / GOAL_USD)


def _runs(middle: float, late: float) -> str:
    return f"{middle:.0f} ({'never' if math.isinf(late) else f'{late:.0f}'})"


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the section, and write it into the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="few models and series, for a smoke test")
    options = parser.parse_args(arguments)
    models = MODELS[1:4] if options.quick else MODELS
    sizes = ((4.0, 40),) if options.quick else ((0.7, 1000), (1.0, 600), (1.5, 200), (2.0, 120), (3.0, 60), (4.0, 40))
    text = "\n".join(
        [
            "### Cost of a target-year",
            "",
            cost_section(models),
            "",
            "### What the plan promises",
            "",
            promise_section(8 if options.quick else 200, sizes),
        ]
    )
    publish("cost", text, write=options.write)


if __name__ == "__main__":
    main()
