"""False alarms, delays, onsets and recoveries of the e-detector on simulated endpoints, as markdown.

Run ``python benchmarks/detection/first_figures.py``; about 80 seconds on an idle core, seeded, no network.
What it prints is the section "Measured" of docs/detection.md.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from driftwatch.clock import stopwatch
from driftwatch.detect import ChannelSpec, Finding, budget, judge
from driftwatch.detect.edetector import ChannelScores, detect, lay_out
from driftwatch.domain import Kind

Floats = NDArray[np.float64]

K = 168
BEFORE = 100
"""Watched runs before a step."""
GOAL_S = 0.3
HOURLY = 8766.0
A = budget.threshold(runs_per_year=HOURLY, false_alarms_per_year=1)
N_CHANNELS = 8
SPECS = [ChannelSpec(name=f"c{i}", kind=Kind.BEHAVIOUR, two_sided=i == N_CHANNELS - 1) for i in range(N_CHANNELS)]
SEED_FALSE_ALARMS, SEED_DELAY, SEED_LASTING, SEED_RETURN, SEED_WEIGHTS = 11, 12, 13, 14, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One-word prompts whose answers are compared with 50 anchors each by total variation."""

    n_answers: int
    """Answers per prompt and run."""
    overdispersion: float
    """Variance of a prompt's counts as a multiple of multinomial."""
    n_prompts: int = 26
    n_words: int = 6
    n_anchors: int = 50

    def scores(self, rng: np.random.Generator, n: int, shift: float, changed: NDArray[np.bool_]) -> Floats:
        """Run scores; where ``changed``, answers come from words that moved by ``shift`` in mean total variation."""
        usual = rng.dirichlet(np.full(self.n_words, 0.6), self.n_prompts)
        other = rng.dirichlet(np.full(self.n_words, 0.6), self.n_prompts)
        whole = 0.5 * np.abs(usual - other).sum(axis=1).mean()
        mixed = min(1.0, shift / whole)
        words = np.where(changed[:, None, None], (1 - mixed) * usual + mixed * other, usual)
        anchors = rng.multinomial(self.n_anchors, usual) / self.n_anchors
        if self.overdispersion > 1:
            intra = (self.overdispersion - 1) / (self.n_answers - 1)
            gamma = rng.standard_gamma(np.maximum(words, 1e-9) * (1 - intra) / intra) + 1e-12
            words = gamma / gamma.sum(axis=2, keepdims=True)
        answers = rng.multinomial(self.n_answers, words) / self.n_answers
        score: Floats = 0.5 * np.abs(answers - anchors).sum(axis=2).mean(axis=1)
        assert score.shape == (n,)  # noqa: S101 - a benchmark may state what it relies on
        return score


def noise(rng: np.random.Generator, n: int, model: str) -> Floats:
    """(n, 8) unchanged scores, shares of 40 answers; the channels of a run correlate by one half."""
    common = rng.standard_normal(n)
    if model == "AR(.7) run effects":
        for t in range(1, n):
            common[t] = 0.7 * common[t - 1] + np.sqrt(1 - 0.49) * common[t]
    z = np.sqrt(0.5) * common[:, None] + np.sqrt(0.5) * rng.standard_normal((n, N_CHANNELS))
    if model == "20 % diurnal":
        wave = np.sqrt(2) * np.sin(2 * np.pi * np.arange(n) / 24 + rng.uniform(0, 2 * np.pi))
        z = np.sqrt(0.8) * z + np.sqrt(0.2) * wave[:, None]
    rate, n_answers = 0.2, 40
    counts = stats.binom(n_answers, rate)
    if model == "1.6 × overdispersed":
        intra = 0.6 / (n_answers - 1)
        total = (1 - intra) / intra
        counts = stats.betabinom(n_answers, rate * total, (1 - rate) * total)
    # A lookup: scipy's own quantile functions search value by value.
    return np.searchsorted(counts.cdf(np.arange(n_answers + 1)), stats.norm.cdf(z)) / n_answers


def say(title: str, text: str) -> None:
    """Print a heading, if any, and a paragraph before a table."""
    heading = f"\n### {title}\n" if title else ""
    print(f"{heading}\n{textwrap.fill(' '.join(text.split()), 120)}\n")


def found(scores: Mapping[str, Floats], *, threshold: float, seed: int) -> Finding:
    """Judge with the first K runs as calibration."""
    calibration = {name: values[:K] for name, values in scores.items()}
    monitored = {name: values[K:] for name, values in scores.items()}
    return judge(calibration, monitored, SPECS[: len(scores)], threshold=threshold, seed=seed)[Kind.BEHAVIOUR]


def per_cent(hits: int, n: int) -> str:
    """A share with its 95 % Clopper–Pearson interval."""
    low = stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return f"{100 * hits / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def false_alarms() -> None:
    """Table 1: unchanged endpoints."""
    n_years, n_runs = 300, 1000
    say(
        "False alarms",
        f"""{n_years} target-years of {n_runs:,} runs per noise model (thresholds scale with the runs per year),
        K = {K}, {N_CHANNELS} channels correlated by .5, one of them two-sided, one kind; seed {SEED_FALSE_ALARMS}.
        In brackets the 95 % Clopper–Pearson interval.""",
    )
    print("| noise | budget | A | years with any alarm | alarms per year |")
    print("|---|---|---|---|---|")
    for number, model in enumerate(("iid", "1.6 × overdispersed", "20 % diurnal", "AR(.7) run effects")):
        rng = np.random.default_rng([SEED_FALSE_ALARMS, number])
        years = [noise(rng, K + n_runs, model) for _ in range(n_years)]
        for words, threshold in (
            ("one a year", budget.threshold(runs_per_year=n_runs, false_alarms_per_year=1, n_kinds=1)),
            ("10 % chance of any", budget.threshold(runs_per_year=n_runs, chance_of_any_per_year=0.1, n_kinds=1)),
        ):
            episodes = [
                len(found({s.name: z[:, i] for i, s in enumerate(SPECS)}, threshold=threshold, seed=year).episodes)
                for year, z in enumerate(years)
            ]
            any_alarm = per_cent(sum(n > 0 for n in episodes), n_years)
            print(f"| {model} | {words} | {threshold:,.0f} | {any_alarm} | {sum(episodes) / n_years:.2f} |")


def delays() -> None:
    """Table 2: a step after 100 watched runs."""
    n_series = 100
    say(
        "Delay and onset",
        f"""A step after {BEFORE} watched runs, K = {K}, A = {A:,.0f} (one false alarm a year, hourly, two kinds),
        26 one-word prompts per run scored by total variation from 50 anchors; the shift is the mean total variation
        between the true answer distributions. Runs to the alarm: median (90th percentile), for the channel alone and
        as one moved channel of {N_CHANNELS}. {n_series} series each, seed {SEED_DELAY}.""",
    )
    print("| answers per prompt | noise | shift | effect in sd | alone | one of eight | onset within ±1 |")
    print("|---|---|---|---|---|---|---|")
    for n_answers, overdispersion in ((10, 1.0), (10, 1.6), (20, 1.0)):
        for shift, length in ((0.04, 600), (0.09, 200), (0.17, 60), (1.0, 20)):
            rng = np.random.default_rng(SEED_DELAY)
            probe = Probe(n_answers=n_answers, overdispersion=overdispersion)
            alone, among, effects, n_near = [], [], [], 0
            for series in range(n_series):
                n = K + BEFORE + length
                scores = {"c0": probe.scores(rng, n, shift, np.arange(n) >= K + BEFORE)}
                calm, moved = scores["c0"][: K + BEFORE], scores["c0"][K + BEFORE :]
                effects.append((moved.mean() - calm.mean()) / calm.std())
                others = noise(rng, n, "iid")
                everything = scores | {spec.name: others[:, i] for i, spec in enumerate(SPECS) if i}
                for into, given in ((alone, scores), (among, everything)):
                    episodes = found(given, threshold=A, seed=series).episodes
                    after = [episode for episode in episodes if episode.alarm >= BEFORE]
                    into.append(after[0].alarm - BEFORE + 1 if after else length + 1)
                    n_near += given is everything and bool(after) and abs(after[0].onset - BEFORE) <= 1
            label = "full swap" if shift == 1.0 else f"{shift:.2f}"
            kind = "iid" if overdispersion == 1 else "1.6 ×"
            print(f"| {n_answers} | {kind} | {label} | {np.mean(effects):.1f} | ", end="")
            print(" | ".join(f"{np.median(d):.0f} ({np.quantile(d, 0.9):.0f})" for d in (alone, among)), end="")
            print(f" | {100 * n_near / n_series:.0f} % |")


def recoveries() -> None:
    """Tables 3 and 4: drifts that last, and drifts that end."""
    say(
        "Recovery",
        f"""A drift that lasts: false recoveries, 1.6 × overdispersed, 10 answers per prompt, one moved channel of
        four, A = {A:,.0f}; at most about one in A drifted runs is wanted. Seed {SEED_LASTING}.""",
    )
    print("| shift | drifted runs | false recoveries | one in |")
    print("|---|---|---|---|")
    probe = Probe(n_answers=10, overdispersion=1.6)
    for shift in (0.06, 0.09, 0.17, 1.0):
        rng = np.random.default_rng(SEED_LASTING)
        n_drifted = n_recoveries = 0
        for series in range(30):
            n = K + 2000
            others = noise(rng, n, "iid")
            scores = {"c0": probe.scores(rng, n, shift, np.arange(n) >= K)}
            scores |= {f"c{i}": others[:, i] for i in range(1, 4)}
            episodes = found(scores, threshold=A, seed=series).episodes
            n_recoveries += sum(episode.recovery is not None for episode in episodes)
            n_drifted += sum((episode.recovery or 2000) - episode.alarm for episode in episodes)
        rate = f"{n_drifted / n_recoveries:,.0f}" if n_recoveries else "none seen"
        print(f"| {'full swap' if shift == 1.0 else f'{shift:.2f}'} | {n_drifted:,} | {n_recoveries} | {rate} |")
    say(
        "",
        f"""A drift that ends: runs of calibrated behaviour until the episode is over, 40 series each,
        seed {SEED_RETURN}.""",
    )
    print("| shift | lasted runs | alarmed | median | 90th percentile |")
    print("|---|---|---|---|---|")
    for shift, lasted in ((1.0, 4), (1.0, 12), (1.0, 168), (0.17, 24), (0.17, 168), (0.09, 60), (0.09, 168)):
        rng = np.random.default_rng(SEED_RETURN)
        waits = []
        for series in range(40):
            n = K + BEFORE + lasted + 400
            position = np.arange(n) - K - BEFORE
            others = noise(rng, n, "iid")
            scores = {"c0": probe.scores(rng, n, shift, (position >= 0) & (position < lasted))}
            scores |= {f"c{i}": others[:, i] for i in range(1, 4)}
            for episode in found(scores, threshold=A, seed=series).episodes:
                if BEFORE <= episode.alarm < BEFORE + lasted:
                    waits.append((episode.recovery or n) - (BEFORE + lasted) + 1)
                    break
        label = "full swap" if shift == 1.0 else f"{shift:.2f}"
        print(f"| {label} | {lasted} | {len(waits)} of 40 | {np.median(waits):.0f} | {np.quantile(waits, 0.9):.0f} |")


def swaps() -> None:
    """Table 5: what calibration buys."""
    say(
        "Full swap by length of calibration",
        f"""Runs until the alarm when every run outranks all calibration runs, {N_CHANNELS} channels, backstop left
        out (`budget.full_swap_delay`), beside the bound ⌈ln A / ln(K + 1)⌉.""",
    )
    ten = budget.threshold(runs_per_year=HOURLY, chance_of_any_per_year=0.1)
    print(f"| K | bound, A = {A:,.0f} | one moved | three | all | one moved, A = {ten:,.0f} | all |")
    print("|---|---|---|---|---|---|---|")
    for k in (20, 50, 100, 168, 336):
        usual = [budget.full_swap_delay(k, A, n_channels=N_CHANNELS, n_moved=m) for m in (1, 3, 8)]
        strict = [budget.full_swap_delay(k, ten, n_channels=N_CHANNELS, n_moved=m) for m in (1, 8)]
        print(f"| {k} | {budget.shortest_delay(k, A)} | {' | '.join(str(n) for n in usual + strict)} |")


def weights() -> None:
    """Table 6: the fixed weights against equal ones, on series they were not chosen on."""
    n_series = 100
    say(
        "Weights",
        f"""Mean runs to the alarm, one channel, A = {A:,.0f}, 10 answers per prompt; the weights were chosen on
        series of another seed. {n_series} series each, seed {SEED_WEIGHTS}.""",
    )
    print("| shift | noise | fixed weights | equal weights |")
    print("|---|---|---|---|")
    for shift, length in ((0.06, 500), (0.09, 200), (0.17, 60), (1.0, 20)):
        for overdispersion in (1.0, 1.6):
            rng = np.random.default_rng(SEED_WEIGHTS)
            probe = Probe(n_answers=10, overdispersion=overdispersion)
            chosen, equal = [], []
            for series in range(n_series):
                n = K + BEFORE + length
                scores = probe.scores(rng, n, shift, np.arange(n) >= K + BEFORE)
                channel = ChannelScores(name="c0", two_sided=False, calibration=scores[:K], monitored=scores[K:])
                bets = lay_out([channel], seed=series)
                even = replace(bets, weights=np.full_like(bets.weights, 1 / bets.weights.size))
                for into, given in ((chosen, bets), (equal, even)):
                    after = [e.alarm for e in detect(given, threshold=A).episodes if e.alarm >= BEFORE]
                    into.append(after[0] - BEFORE + 1 if after else length + 1)
            label = "full swap" if shift == 1.0 else f"{shift:.2f}"
            kind = "iid" if overdispersion == 1 else "1.6 ×"
            print(f"| {label} | {kind} | {np.mean(chosen):.1f} | {np.mean(equal):.1f} |")


def speed() -> None:
    """Table 7: a year of hourly runs."""
    rng = np.random.default_rng(0)
    specs = [*SPECS, ChannelSpec(name="latency", kind=Kind.PERFORMANCE, two_sided=False)]
    scores = {spec.name: rng.beta(18, 57, K + 8760) for spec in specs}
    elapsed_s = stopwatch()
    judge({n: v[:K] for n, v in scores.items()}, {n: v[K:] for n, v in scores.items()}, specs, threshold=A, seed=0)
    verdict = "under" if elapsed_s() < GOAL_S else "OVER"
    print(f"\nJudging a year of hourly runs, {len(specs)} channels: {verdict} {GOAL_S} s.")


if __name__ == "__main__":
    false_alarms()
    delays()
    recoveries()
    swaps()
    weights()
    speed()
