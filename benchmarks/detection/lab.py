"""A real model changed under an unchanged name: power at equal tokens, and runs until the alarm.

Run as ``python -m benchmarks.detection.lab [--lab DIR] [--quick] [--write]`` on what ``benchmarks.lab.record``
recorded; by default on the part of it in ``tests/data/lab``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.lab.endpoints import Endpoint, Readings, TooFew, halves
from benchmarks.lab.intervals import roc_area, roc_interval
from benchmarks.lab.methods import PERMUTATIONS, Method, ask, methods, tokens
from benchmarks.lab.recordings import Row, load
from benchmarks.lab.series import CALIBRATION, SUITES, THRESHOLD, Suite, Watch, alarm_after
from benchmarks.page import publish
from benchmarks.peers import logprob_tracking
from benchmarks.peers.met import PACKAGE, VERSION, ModelEqualityTesting
from driftwatch.score import Embedder, open_embedder
from driftwatch.score.explain.effects import clopper_pearson

FIXTURES = Path(__file__).parents[2] / "tests" / "data" / "lab"
ALPHA = 0.05
BUDGETS = (500, 1_500, 6_000)
"""Tokens per side, sent and received; a completion of 40 tokens costs about 72, one of a single token 33."""
SEED = 20
GROUPS = {
    "noise_1": "weights", "noise_2": "weights", "noise_5": "weights", "q4_0": "weights", "q4_1": "weights",
    "q5_0": "weights", "lora": "weights", "kv_q8_0": "stack", "plain_attention": "stack",
    "hidden_prompt": "behaviour", "warmer": "behaviour", "cut": "behaviour",
    "bits_3": "swap", "other_model": "swap",
}  # fmt: skip
"""Variant → kind of change; all others must stay quiet."""
WORDS = {
    "noise_1": "weight noise 1 %", "noise_2": "weight noise 2 %", "noise_5": "weight noise 5 %",
    "lora": "small random LoRA", "q4_0": "Q8_0 → Q4_0", "q4_1": "Q8_0 → Q4_1", "q5_0": "Q8_0 → Q5_0",
    "bits_3": "3-bit rounding", "kv_q8_0": "key-value cache in Q8_0", "plain_attention": "another attention kernel",
    "hidden_prompt": "hidden system prompt", "warmer": "temperature + .4", "cut": "cut at 24 tokens",
    "other_model": "another model (270M)", "restart": "restart, other seeds", "resaved": "same weights saved again",
    "slow": "400 ms slower", "bursts_429": "bursts of 429 (30 %)", "errors_5": "5 % errors",
}  # fmt: skip
WAVERING = (
    "Each request is answered by one of two servers of the same weights whose attention kernels round differently "
    "(*another attention kernel* above), by chance."
)
TROUBLED = frozenset({"slow", "bursts_429", "errors_5"})
"""The original behind a proxy that makes trouble: a matter for the watch, not for one comparison."""
ROUTED = (0.01, 0.05, 0.16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is computed."""

    draws: int
    """Resampled comparisons per variant, method and budget."""
    series: int
    """Series per variant and suite."""
    control_runs: int
    most_runs: int
    """Runs after which a change counts as not found."""
    budgets: tuple[int, ...] = BUDGETS


FULL = Size(draws=20, series=10, control_runs=1_000, most_runs=300)
QUICK = Size(draws=2, series=1, control_runs=20, most_runs=12, budgets=(1_500,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one method says of one variant at one budget, over all draws."""

    p_values: tuple[float, ...]
    tokens: float

    @property
    def power(self) -> float:
        """Share of draws with p ≤ α."""
        return sum(p <= ALPHA for p in self.p_values) / len(self.p_values)


Cells = Mapping[tuple[str, str, int], Cell]
"""(variant, method, budget) → what was found; absent where the recordings do not hold as much."""

# ---------------------------------------------------------------- how large the changes are


def size_table(endpoints: Mapping[str, Endpoint]) -> list[str]:
    """What each change does to greedy texts, to the answers at border inputs and to first-token log-probabilities."""
    original = endpoints["original"].shares[0][1]
    lines = _head(
        "change", ["greedy texts that stay the same", "border answers that stay", "mean \\|Δ logprob\\|, nats"]
    )
    for name, endpoint in endpoints.items():
        if name == "original" or len(endpoint.shares) > 1:
            continue
        rows_of = endpoint.shares[0][1]
        shown = []
        for task in ("greedy", "probe"):
            keys = [key for key in original if key[0] == task and key in rows_of and key[1] != "bare"]
            same = [one.output == original[key][0].output for key in keys for one in rows_of[key]]
            shown.append(f"{sum(same)} of {len(same)}" if same else "–")
        listed = [
            (dict(original[key][0].logprobs or ()), dict(rows_of[key][0].logprobs or ()))
            for key in original
            if key[0] == "probe" and key in rows_of
        ]
        shifts = [logprob_tracking.mean_shift([one], [other]) for one, other in listed if one and other]
        shown.append(f"{np.mean(shifts):.3f}" if shifts else "–")
        lines.append(f"| {WORDS.get(name, name)} | {' | '.join(shown)} |")
    return lines


# ---------------------------------------------------------------- one shot


def pairs(endpoints: Mapping[str, Endpoint]) -> Iterator[tuple[str, Callable[[int], tuple[Endpoint, Endpoint]]]]:
    """Name → (draw → left and right endpoint) of every comparison; the left one is always the original."""
    original = endpoints["original"]
    yield "original", lambda draw: halves(original, draw)
    for name, endpoint in endpoints.items():
        if name != "original":
            yield name, lambda _, other=endpoint: (original, other)  # type: ignore[misc] - bound per variant


def measure(endpoints: Mapping[str, Endpoint], which: Sequence[Method], size: Size, readings: Readings) -> Cells:
    """Every method on every variant at every budget."""
    cells, known = {}, {}
    for name, sides_of in pairs(endpoints):
        for method in which:
            middle = len(size.budgets) // 2  # at the largest the peer takes 20 GB
            for budget in size.budgets[middle : middle + 1] if method.is_slow else size.budgets:
                rng = np.random.default_rng([SEED, budget])  # the same prompts for every variant and method
                found, spent = [], []
                try:
                    for draw in range(size.draws // 2 if method.is_slow else size.draws):
                        left, right = sides_of(draw)
                        sides = ask(method.plan(left, budget, rng), left, right, rng)
                        key = (method.name, tuple(tuple(map(id, rows)) for both in sides.values() for rows in both))
                        if key not in known:  # at temperature 0 the same rows come again and again
                            known[key] = method.decide(sides, readings, draw) if sides else 1.0
                        found.append(known[key])
                        spent.append(tokens(sides))
                except TooFew:
                    continue
                cells[name, method.name, budget] = Cell(p_values=tuple(found), tokens=float(np.mean(spent)))
    return cells


def power_table(cells: Cells, names: Sequence[str], which: Sequence[Method], budget: int) -> list[str]:
    """Variants down, methods across."""
    lines = _head("change", [_title(method) for method in which])
    for name in names:
        shown = [_percent(cells.get((name, method.name, budget))) for method in which]
        lines.append(f"| {WORDS.get(name, name)} | {' | '.join(shown)} |")
    spent = [
        [cell.tokens for (_, m, b), cell in cells.items() if m == method.name and b == budget and cell.tokens]
        for method in which
    ]
    lines.append(f"| *tokens per side* | {' | '.join(f'{np.mean(s):,.0f}' if s else '–' for s in spent)} |")
    return lines


def area_table(cells: Cells, which: Sequence[Method], budget: int, quiet: Sequence[str]) -> list[str]:
    """ROC areas per kind of change, with bootstrap intervals."""
    lines = _head("kind of change", [_title(method) for method in which])
    for group in dict.fromkeys(GROUPS.values()):
        shown = []
        for method in which:
            changed = [p for name in GROUPS if GROUPS[name] == group for p in _found(cells, name, method, budget)]
            unchanged = [p for name in quiet for p in _found(cells, name, method, budget)]
            if not changed or not unchanged:
                shown.append("–")
                continue
            low, high = roc_interval(changed, unchanged)
            shown.append(f"{roc_area(changed, unchanged):.3f} [{low:.3f}, {high:.3f}]")
        lines.append(f"| {group} | {' | '.join(shown)} |")
    return lines


# ---------------------------------------------------------------- run by run

Calibration = Mapping[str, np.ndarray]
"""Channel → (K,) scores of the calibration runs."""


def delays(
    watches: Sequence[Watch], endpoint: Endpoint, calibrations: Sequence[Calibration], most: int
) -> list[int | None]:
    """Runs until the alarm, one per watch; None for none. Empty where the endpoint cannot answer the suite."""
    found = []
    for seed, (watch, calibration) in enumerate(zip(watches, calibrations, strict=True)):
        if not set(watch.keys) <= endpoint.prompts:
            return []
        n = min(most, min(endpoint.n(*key) for key in watch.keys) // watch.suite.repeats)
        rng = np.random.default_rng([SEED, seed, 1])
        found.append(alarm_after(calibration, watch.runs(endpoint, n, rng, reuse=False), seed=seed))
    return found


def calibrate(
    suite: Suite, endpoint: Endpoint, readings: Readings, n: int
) -> tuple[list[Watch], list[dict[str, np.ndarray]]]:
    """Watches with anchors and calibration runs of their own."""
    watches = [Watch.over(suite, endpoint, readings, seed) for seed in range(n)]
    rngs = [np.random.default_rng([SEED, seed]) for seed in range(n)]
    return watches, [w.runs(w.pool, CALIBRATION, rng, reuse=True) for w, rng in zip(watches, rngs, strict=True)]


def delay_tables(endpoints: Mapping[str, Endpoint], size: Size, readings: Readings) -> tuple[list[str], list[str]]:
    """Runs until the alarm per change and suite; and alarms in long quiet watches."""
    original = endpoints["original"]
    suites = [suite for suite in SUITES if any(task == suite.task for task, _ in original.prompts)]
    columns: dict[str, dict[str, str]] = {}
    quiet = _head("watch", ["runs", "watches", "with a false alarm"])
    for suite in suites:
        watches, calibrations = calibrate(suite, original, readings, size.series)
        for name, endpoint in endpoints.items():
            if name != "original" and not name.endswith("-plain"):
                columns.setdefault(name, {})[suite.name] = _runs(
                    delays(watches, endpoint, calibrations, size.most_runs)
                )
        quiet += _quiet_rows(suite.name, watches, calibrations, size)
        if suite.task in {"greedy", "probe"} and "plain_attention" in endpoints:
            two = original.mixed(endpoints["plain_attention"], 0.5, name="two kernels")
            mixed, learned = calibrate(suite, two, readings, size.series)
            quiet += _quiet_rows(f"{suite.name}, each answer by one of two attention kernels", mixed, learned, size)
    table = _head("what happens", [suite.name for suite in suites])
    for name, shown in columns.items():
        table.append(f"| {WORDS.get(name, name)} | {' | '.join(shown.get(s.name, '–') for s in suites)} |")
    return table, quiet


def _quiet_rows(what: str, watches: Sequence[Watch], calibrations: Sequence[Calibration], size: Size) -> list[str]:
    alarms = 0
    for seed, (watch, calibration) in enumerate(zip(watches, calibrations, strict=True)):
        rng = np.random.default_rng([SEED, seed, 2])
        runs = watch.runs(watch.pool, size.control_runs, rng, reuse=True)
        alarms += alarm_after(calibration, runs, seed=seed) is not None
    low, high = clopper_pearson(alarms, len(watches))
    shown = f"{alarms} [{100 * low:.0f} %, {100 * high:.0f} %]"
    return [f"| {what} | {size.control_runs:,} | {len(watches)} | {shown} |"]


# ---------------------------------------------------------------- the page


def endpoints_of(recorded: Mapping[str, Sequence[Row]]) -> dict[str, Endpoint]:
    """The original, every variant, and the original with some answers from elsewhere."""
    found = {name: Endpoint.of(name, rows) for name, rows in recorded.items()}
    elsewhere = next((found[name] for name in ("other_model", "bits_3") if name in found), None)
    if elsewhere is not None:
        for share in ROUTED:
            name = f"{share:.0%} of answers from {WORDS[elsewhere.name]}"
            found[name] = found["original"].mixed(elsewhere, share, name=name)
    order = [*GROUPS, *WORDS]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def two_kernels(endpoints: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
    """The original and the variants that were recorded under both kernels, each request by one of them."""
    if "plain_attention" not in endpoints:
        return {}
    twins = {"original": "plain_attention"} | {
        name: f"{name}-plain" for name in endpoints if f"{name}-plain" in endpoints
    }
    return {name: endpoints[name].mixed(endpoints[twin], 0.5, name=name) for name, twin in twins.items()}


def report(
    recorded: Mapping[str, Sequence[Row]],
    size: Size,
    *,
    package: ModelEqualityTesting | None,
    embedder: Embedder | None,
) -> str:
    """The whole section as markdown."""
    endpoints = endpoints_of(recorded)
    readings = Readings(embedder=embedder)
    readings.prepare([row for rows in recorded.values() for row in rows])
    which = methods(package)
    asked = {name: one for name, one in endpoints.items() if name not in TROUBLED and not name.endswith("-plain")}
    cells = measure(asked, which, size, readings)
    noisy = two_kernels(endpoints)
    at_zero = [method for method in which if method.at_zero]
    noisy_cells = measure(noisy, at_zero, size, readings) if noisy else {}
    quiet = [name for name in ("original", "restart", "resaved") if name in endpoints]
    lines = [_preamble(size, package), "", *size_table(asked), ""]
    for budget in size.budgets:
        lines += [
            f"**Power at α = {ALPHA}, {budget:,} tokens per side.**",
            "",
            *power_table(cells, list(asked), which, budget),
            "",
        ]
    budget = size.budgets[-1]
    lines += [f"**ROC area, {budget:,} tokens per side**, 95 % bootstrap interval.", ""]
    lines += [*area_table(cells, which, budget, quiet), ""]
    if noisy:
        lines += [f"**An endpoint that wavers.** {WAVERING} Power at α = {ALPHA}.", ""]
        for few in size.budgets:
            lines += [f"{few:,} tokens per side:", "", *power_table(noisy_cells, [*noisy], at_zero, few), ""]
    table, controls = delay_tables(endpoints, size, readings)
    lines += [
        f"**Runs until the alarm**, A = {THRESHOLD:,.0f}, K = {CALIBRATION}: median (slowest) of {size.series}.",
        "",
    ]
    lines += [*table, "", "**Nothing happens.**", "", *controls]
    return "\n".join(lines)


def _preamble(size: Size, package: ModelEqualityTesting | None) -> str:
    met = f"{PACKAGE} {VERSION}" if package is not None else "without model-equality-testing"
    return (
        "A real model behind one name: SmolLM2-135M-Instruct (Q8_0) served by llama.cpp "
        f"(recorded with `benchmarks.lab.record`; {met}; numpy {importlib.metadata.version('numpy')}). "
        f"{size.draws} resampled comparisons per cell (a cell's 95 % interval is up to ±{_half_width(size.draws):.0f} "
        f"points; model-equality-testing, MET, is slow and asked half as often, at the largest budget only), "
        f"{PERMUTATIONS} permutations, seed {SEED}. Peers in italics. "
        "Nothing was tuned on these recordings: all prompts report."
    )


def _half_width(n: int) -> float:
    low, high = clopper_pearson(n // 2, n)
    return 50 * (high - low)


def _title(method: Method) -> str:
    return method.name if method.ours else f"*{method.name}*"


def _found(cells: Cells, name: str, method: Method, budget: int) -> tuple[float, ...]:
    cell = cells.get((name, method.name, budget))
    return cell.p_values if cell is not None else ()


def _percent(cell: Cell | None) -> str:
    return "–" if cell is None or not cell.tokens else f"{cell.power:.0%}"


def _runs(found: Sequence[int | None]) -> str:
    if not found:
        return "–"
    known = [math.inf if one is None else float(one) for one in found]
    middle, worst = float(np.median(known)), max(known)
    if math.isinf(middle):
        n = sum(one is not None for one in found)
        return f"{n} of {len(found)}" if n else "quiet"
    return f"{middle:g} ({'not all' if math.isinf(worst) else f'{worst:g}'})"


def _head(first: str, columns: Sequence[str]) -> list[str]:
    return [f"| {first} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=Path, default=Path(os.environ.get("DRIFTWATCH_LAB", FIXTURES)))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/detection.md")
    parser.add_argument("--no-met", action="store_true", help="without model-equality-testing and its environment")
    parser.add_argument("--no-embedder", action="store_true", help="without the channels that need embeddings")
    options = parser.parse_args()
    with ExitStack() as stack:
        package = None if options.no_met or options.quick else stack.enter_context(ModelEqualityTesting())
        embedder = None if options.no_embedder or options.quick else open_embedder("all-MiniLM-L6-v2", None, None)
        size = QUICK if options.quick else FULL
        text = report(load(options.lab), size, package=package, embedder=embedder)
    publish("lab", text, write=options.write)


if __name__ == "__main__":
    main()
