"""How soon a change is found, how well its onset is dated, and how an episode ends, on simulated endpoints.

Run ``python -m benchmarks.detection.delay [--write] [--quick]``; about five minutes on one core.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.detection.simulate import N_BEHAVIOUR, SPECS, Floats, K, Probe, median_of, share
from benchmarks.page import publish
from driftwatch.detect import Finding, budget, judge
from driftwatch.domain import Kind

BEHAVIOUR = SPECS[:N_BEHAVIOUR]
A = budget.threshold(runs_per_year=8766, chance_of_any_per_year=0.1)
BEFORE, AFTER = 100, 400
GOALS = {0.04: 36, 0.09: 8, 0.17: 3, 1.0: 2}
SEED = 1212
LARGE = 0.17


def follow(probe: Probe, shift: float, number: int, *, part: str, after: int = AFTER) -> Finding:
    """A change after 100 watched runs; the other channels of the eight stay as they are.

    Args:
        probe: what is asked.
        shift: mean total variation, 1 for another model.
        number: of the series.
        part: ``both``: label and surprise move; ``label``: label alone.
        after: runs since the change.
    """
    rng = np.random.default_rng([SEED, int(1000 * shift), number, probe.n_answers, int(10 * probe.overdispersion)])
    n = K + BEFORE + after
    label, surprise = probe.scores(rng, shift, (np.arange(n) >= K + BEFORE).astype(float))
    rest = np.clip(0.2 + 0.05 * rng.standard_normal((n, N_BEHAVIOUR)), 0, 1)
    scores: dict[str, Floats] = {spec.name: rest[:, i] for i, spec in enumerate(BEHAVIOUR)}
    scores["b0"] = label
    if part == "both":
        scores["b7"] = surprise  # the two-sided one, as surprise is
    before = {name: values[:K] for name, values in scores.items()}
    since = {name: values[K:] for name, values in scores.items()}
    return judge(before, since, BEHAVIOUR, threshold=A, seed=number)[Kind.BEHAVIOUR]


def delay_of(finding: Finding, censored: int) -> int:
    """Runs from the change to the alarm, 1 = the first changed run; an alarm before it counts as not found."""
    since = [episode for episode in finding.episodes if episode.alarm >= BEFORE]
    return since[0].alarm - BEFORE + 1 if since else censored


def delays(n_series: int) -> list[str]:
    """Steps of four sizes."""
    lines = [
        f"A step after {BEFORE} watched runs, K = {K}, A = {A:,.0f} (the default: 10 % chance of any alarm a year,",
        "hourly, two kinds), 26 one-word prompts of six possible answers, 50 anchors each; the shift is the mean total",
        "variation between the true answer distributions. Eight channels of behaviour of which the probes' two move",
        f"(`label` and `surprise`), or one (`label`). {n_series} series each, seed {SEED}; runs to the alarm: median",
        "(90th percentile).",
        "",
        "| answers per prompt | noise | shift | label and surprise move | label alone | goal | onset within ±1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for n_answers, overdispersion in ((10, 1.0), (10, 1.6), (20, 1.0), (20, 1.6)):
        probe = Probe(n_answers=n_answers, overdispersion=overdispersion)
        for shift, goal in GOALS.items():
            both = [follow(probe, shift, i, part="both") for i in range(n_series)]
            alone = [follow(probe, shift, i, part="label") for i in range(n_series)]
            found = [f.episodes[0] for f in both if f.episodes and f.episodes[0].alarm >= BEFORE]
            dated = sum(abs(episode.onset - BEFORE) <= 1 for episode in found)
            lines.append(
                f"| {n_answers} | {'1.6 ×' if overdispersion > 1 else 'iid'} | {shift if shift < 1 else 'full swap'} "
                f"| {median_of([delay_of(f, AFTER + 1) for f in both], AFTER + 1)} "
                f"| {median_of([delay_of(f, AFTER + 1) for f in alone], AFTER + 1)} "
                f"| {goal} | {share(dated, len(found)) if shift >= LARGE and found else '–'} |"
            )
    return lines


def swaps(n_series: int) -> list[str]:
    """Another model, by length of calibration."""
    lines = [
        "",
        "Full swap by length of calibration, `label` and `surprise` of eight channels, 10 answers per prompt, beside",
        "the bound ⌈ln A / ln(K + 1)⌉ that no rank detector can beat. With a confirmation burst the second to fourth",
        "run follow 10, 20 and 30 minutes after the first.",
        "",
        "| K | bound | runs to the alarm: median (90th percentile) |",
        "|---|---|---|",
    ]
    for k in (20, 50, 100, 168, 336):
        found = []
        for number in range(n_series):
            rng = np.random.default_rng([SEED, k, number])
            n = k + BEFORE + 40
            probe, moved = Probe(n_answers=10, overdispersion=1.6), (np.arange(n) >= k + BEFORE).astype(float)
            label, surprise = probe.scores(rng, 1.0, moved)
            rest = np.clip(0.2 + 0.05 * rng.standard_normal((n, N_BEHAVIOUR)), 0, 1)
            scores = {spec.name: rest[:, i] for i, spec in enumerate(BEHAVIOUR)} | {"b0": label, "b7": surprise}
            before = {name: values[:k] for name, values in scores.items()}
            since = {name: values[k:] for name, values in scores.items()}
            found.append(delay_of(judge(before, since, BEHAVIOUR, threshold=A, seed=number)[Kind.BEHAVIOUR], 41))
        lines.append(f"| {k} | {budget.shortest_delay(k, A)} | {median_of(found, 41)} |")
    return lines


def creeps(n_series: int) -> list[str]:
    """Changes that come little by little."""
    lines = [
        "",
        "Slow creep: the answers move towards another model's in a straight line, 10 answers per prompt, 1.6 ×",
        "overdispersed; runs from its beginning to the alarm, and how far the answers had moved by then.",
        "",
        "| full shift of .17 after | runs to the alarm: median (90th percentile) | shift reached at the median |",
        "|---|---|---|",
    ]
    for length in (168, 720, 2160):
        found = []
        for number in range(n_series):
            rng = np.random.default_rng([SEED, length, number])
            probe = Probe(n_answers=10, overdispersion=1.6)
            n = K + BEFORE + length + 200
            label, surprise = probe.scores(rng, LARGE, np.clip((np.arange(n) - K - BEFORE) / length, 0, 1))
            rest = np.clip(0.2 + 0.05 * rng.standard_normal((n, N_BEHAVIOUR)), 0, 1)
            scores = {spec.name: rest[:, i] for i, spec in enumerate(BEHAVIOUR)} | {"b0": label, "b7": surprise}
            before = {name: values[:K] for name, values in scores.items()}
            since = {name: values[K:] for name, values in scores.items()}
            found.append(
                delay_of(judge(before, since, BEHAVIOUR, threshold=A, seed=number)[Kind.BEHAVIOUR], length + 201)
            )
        middle = int(np.median(found))
        lines.append(f"| {length} runs | {median_of(found, length + 201)} | {min(1, middle / length) * LARGE:.3f} |")
    return lines


def recoveries(n_series: int) -> list[str]:
    """How episodes end, and how seldom they seem to."""
    lines = [
        "",
        "Recovery. A drift that lasts, 1.6 × overdispersed, 10 answers per prompt: false recoveries; at most about one",
        "in A drifted runs is wanted. A drift that ends: runs of usual behaviour until the episode is over.",
        "",
        "| shift | drifted runs | false recoveries | ends after | episode over: median (90th percentile) |",
        "|---|---|---|---|---|",
    ]
    probe = Probe(n_answers=10, overdispersion=1.6)
    for shift in (0.09, 0.17, 1.0):
        drifted = ended = 0
        for number in range(n_series):
            finding = follow(probe, shift, number, part="both", after=2000)
            drifted += sum((e.recovery or BEFORE + 2000) - e.alarm for e in finding.episodes)
            ended += sum(e.recovery is not None for e in finding.episodes if e.alarm >= BEFORE)
        waits = []
        for number in range(n_series):
            rng = np.random.default_rng([SEED, 7, int(100 * shift), number])
            n = K + BEFORE + 60 + 200
            changed = (np.arange(n) >= K + BEFORE) & (np.arange(n) < K + BEFORE + 60)
            label, surprise = probe.scores(rng, shift, changed.astype(float))
            before = {"b0": label[:K], "b7": surprise[:K]}
            since = {"b0": label[K:], "b7": surprise[K:]}
            specs = [BEHAVIOUR[0], BEHAVIOUR[7]]
            found = judge(before, since, specs, threshold=A, seed=number)[Kind.BEHAVIOUR]
            waits += [
                (201 if episode.recovery is None else episode.recovery - BEFORE - 60 + 1)
                for episode in found.episodes[:1]
            ]
        lines.append(
            f"| {shift if shift < 1 else 'full swap'} | {drifted:,} | {ended} | 60 runs | {median_of(waits, 201)} |"
        )
    return lines


def main() -> None:
    """Simulate and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="three series each, to see that it works")
    options = parser.parse_args()
    n_series = 3 if options.quick else 100
    text = [*delays(n_series), *swaps(n_series), *creeps(max(3, n_series // 4)), *recoveries(max(3, n_series // 4))]
    publish("delay", "\n".join(text), write=options.write)


if __name__ == "__main__":
    main()
