"""What judging costs a daemon with many targets: one more run of a series, beside judging the whole series again.

Run ``python -m benchmarks.detection.daemon [--write] [--quick]``; about a minute.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import numpy as np

from benchmarks.detection.simulate import HOUR_S, HOURLY, SPECS, K, noise
from benchmarks.page import publish
from driftwatch.clock import stopwatch
from driftwatch.detect import budget, judge, watchers

SEED = 77
FLEET = 10_000


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="a short series")
    options = parser.parse_args()
    n_runs = 300 if options.quick else HOURLY
    threshold = budget.threshold(runs_per_year=HOURLY, chance_of_any_per_year=0.1)
    lines = [
        f"One target with {len(SPECS)} channels, K = {K}, a year of {n_runs:,} hourly runs behind it; seed {SEED},",
        "median of repeated measurements in one process. A fleet of 10,000 hourly targets makes 2.8 runs a second.",
        "",
        "| noise | one more run, ms | whole series again, ms | ratio | of a core for 10,000 targets | memory, kB |",
        "|---|---|---|---|---|---|",
    ]
    for model in ("iid", "AR(.7) run effects"):
        scores = noise(np.random.default_rng(SEED), K + n_runs + 200, model)
        before = {spec.name: scores[:K, i] for i, spec in enumerate(SPECS)}
        since = {spec.name: scores[K : K + n_runs, i] for i, spec in enumerate(SPECS)}
        at = HOUR_S * np.arange(K, K + n_runs)
        whole = []
        for _ in range(3):
            elapsed_s = stopwatch()
            judge(before, since, SPECS, threshold=threshold, seed=1)
            whole.append(elapsed_s())
        watching = watchers(before, SPECS, threshold=threshold, seed=1)
        for watcher in watching.values():
            watcher.extend(since, at)
        one = []
        for t in range(200):
            row = {spec.name: scores[K + n_runs + t : K + n_runs + t + 1, i] for i, spec in enumerate(SPECS)}
            elapsed_s = stopwatch()
            for watcher in watching.values():
                watcher.extend(row, np.array([HOUR_S * (K + n_runs + t)]))
            one.append(elapsed_s())
        step_s, whole_s = statistics.median(one), statistics.median(whole)
        kept = sum(size_of(watcher) for watcher in watching.values())
        lines.append(
            f"| {model} | {1e3 * step_s:.2f} | {1e3 * whole_s:.0f} | {whole_s / step_s:.0f} "
            f"| {step_s * FLEET / 3600:.1%} | {kept / 1e3:.0f} |"
        )
    publish("daemon", "\n".join(lines), write=options.write)


def size_of(held: object, seen: set[int] | None = None) -> int:
    """Bytes of an object and all that it holds."""
    seen = set() if seen is None else seen
    if id(held) in seen or isinstance(held, type):
        return 0
    seen.add(id(held))
    size = held.nbytes if isinstance(held, np.ndarray) else sys.getsizeof(held)
    if isinstance(held, dict):
        parts = [*held.keys(), *held.values()]
    elif isinstance(held, list | tuple):
        parts = list(held)
    else:
        slots = getattr(type(held), "__slots__", ())
        parts = [*vars(held).values()] if hasattr(held, "__dict__") else [getattr(held, name) for name in slots]
    return size + sum(size_of(part, seen) for part in parts)


if __name__ == "__main__":
    main()
