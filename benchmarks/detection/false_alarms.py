"""How often an unchanged endpoint pages: 1,000 target-years in each of four noise models, and common rules beside it.

Run ``python -m benchmarks.detection.false_alarms [--write] [--quick]``; about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from scipy import stats

from benchmarks.detection.simulate import HARDER, HOURLY, MODELS, SPECS, K, noise, share
from benchmarks.page import publish
from driftwatch.detect import budget, judge

SEED = 2024
"""Years are drawn from (SEED, model, year); constants were tuned on other seeds (11 to 16)."""
KS_STEP = 24
"""Runs between two KS tests: one a day."""
ALPHA = 0.01


def year(
    number: int, *, model: str, n_runs: int, threshold: float, with_peers: bool
) -> tuple[int, int, bool, list[bool]]:
    """(alarms, episodes of behaviour, whether the calibration was refused, whether each peer alarmed)."""
    rng = np.random.default_rng([SEED, (*MODELS, *HARDER).index(model), number])
    scores = noise(rng, K + n_runs, model)
    before = {spec.name: scores[:K, i] for i, spec in enumerate(SPECS)}
    since = {spec.name: scores[K:, i] for i, spec in enumerate(SPECS)}
    found = judge(before, since, SPECS, threshold=threshold, seed=number)
    alarms = [len(finding.episodes) for finding in found.values()]
    refused = any(finding.problem is not None for finding in found.values())
    peers = _peers(scores[:, 0]) if with_peers else []
    return sum(alarms), alarms[0], refused, peers


def _peers(scores: np.ndarray) -> list[bool]:
    """On one channel: every run tested, a weekly KS window daily, four deviations three times running."""
    before, since = scores[:K], scores[K:]
    above = K - np.searchsorted(np.sort(before), since, side="left")
    per_run = (1 + above) / (1 + K) < ALPHA
    windows = [since[i : i + K] for i in range(0, len(since) - K + 1, KS_STEP)]
    ks = any(stats.ks_2samp(before, window, method="asymp").pvalue < ALPHA for window in windows)
    far = since > before.mean() + 4 * before.std(ddof=1)
    return [bool(per_run.any()), ks, bool((far[2:] & far[1:-1] & far[:-2]).any())]


def main() -> None:
    """Simulate and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="a few short years, to see that it works")
    parser.add_argument("--years", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    n_years, n_harder, n_runs = (6, 2, 400) if options.quick else (options.years, options.years // 5, HOURLY)
    threshold = budget.threshold(runs_per_year=n_runs, chance_of_any_per_year=0.1)
    lines = [
        f"{n_years:,} target-years of {n_runs:,} hourly runs per noise model ({n_harder:,} for the other four),",
        f"K = {K}, eight channels of behaviour and two of performance, correlated by .5, scores of 40 answers; the",
        f'default budget "at most a 10 % chance of any false alarm", A = {threshold:,.0f}; seed {SEED}, constants',
        "tuned on other seeds.",
        "In brackets the 95 % Clopper–Pearson interval. Goal: ≤ 10 % of target-years with any alarm.",
        "",
        "| noise | years with any alarm | of behaviour | alarms per year | calibration refused |",
        "|---|---|---|---|---|",
    ]
    peers: dict[str, list[list[bool]]] = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        for model in (*MODELS, *HARDER):
            n = n_years if model in MODELS else n_harder
            work = partial(year, model=model, n_runs=n_runs, threshold=threshold, with_peers=False)
            years = list(pool.map(work, range(n), chunksize=max(1, n // 50)))
            lines.append(
                f"| {model} | {share(sum(y[0] > 0 for y in years), n)} | {share(sum(y[1] > 0 for y in years), n)} "
                f"| {sum(y[0] for y in years) / n:.3f} | {sum(y[2] for y in years) / n:.1%} |"
            )
            few = max(2, n // 10)
            with_peers = partial(year, model=model, n_runs=n_runs, threshold=threshold, with_peers=True)
            peers[model] = [y[3] for y in pool.map(with_peers, range(few))] if model in MODELS else []
    lines += [
        "",
        "Common rules on a single one of the channels, the first tenth of the same years:",
        "",
        "| noise | every run at p < .01 | KS test of the last week at p < .01, daily | 4 deviations, 3 times running |",
        "|---|---|---|---|",
    ]
    for model in MODELS:
        n = len(peers[model])
        hits = [sum(year[i] for year in peers[model]) for i in range(3)]
        lines.append(f"| {model} | " + " | ".join(share(h, n) for h in hits) + " |")
    publish("false_alarms", "\n".join(lines), write=options.write)


if __name__ == "__main__":
    main()
