"""How long a verdict takes: ``compare`` beside model-equality-testing's permutation test on the same texts.

Run ``python -m benchmarks.detection.speed [--write]``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.detection.recorded import Texts, completions
from benchmarks.page import publish
from benchmarks.peers.met import VERSION, ModelEqualityTesting
from driftwatch.compare import PERMUTATIONS, compare
from driftwatch.compare.measures import measure as measure_sides
from driftwatch.detect.permutation import permutation_test
from driftwatch.domain import Canary
from driftwatch.score.reading import Reading, read

SEED = 32
SIZES = ((20, 10, 1000), (25, 10, 1000), (10, 25, 1000))
"""Prompts, completions per prompt and side, characters of a completion."""
DEFAULT_B = 1000
"""The peer's default number of permutations."""
PROBE_B = 10
"""Permutations that the peer is timed with; its time is a straight line in their number, see ``_slope``."""
ROUNDS = 5
"""Verdicts of ours that are timed; their median is told."""
GOAL = 1000


def texts(n_prompts: int, n_completions: int, length: int, seed: int) -> Texts:
    """Replies made of a few thousand words with Zipf's frequencies, cut at a length."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    words = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(3000)]
    shares = 1 / np.arange(1, len(words) + 1)
    shares /= shares.sum()
    return {
        f"p{prompt:03d}": [" ".join(rng.choice(words, length // 4, p=shares))[:length] for _ in range(n_completions)]
        for prompt in range(n_prompts)
    }


def _canaries(left: Texts, right: Texts) -> list[tuple[Canary, tuple[Reading, ...], tuple[Reading, ...]]]:
    return [
        (Canary(id=p, suite="", messages=()), read(completions({p: left[p]})), read(completions({p: right[p]})))
        for p in left
    ]


def _timed(work: Callable[[], object], rounds: int) -> float:
    """The median of some rounds, in processor seconds."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def _slope(met: ModelEqualityTesting, left: Texts, right: Texts, probe: int) -> tuple[float, float]:
    """Seconds that the peer takes before and per permutation, from two short runs."""
    few, many = (met.test(left, right, b=b, seed=SEED).seconds for b in (probe, 3 * probe))
    per_permutation = (many - few) / (2 * probe)
    return max(0.0, few - probe * per_permutation), per_permutation


def measure(met: ModelEqualityTesting, *, sizes: Sequence[tuple[int, int, int]], probe: int, rounds: int) -> str:
    """Time both on the same texts; return the section's markdown."""
    lines = []
    for n_prompts, n_completions, length in sizes:
        left, right = (texts(n_prompts, n_completions, length, SEED + side) for side in (0, 1))
        one, other = completions(left), completions(right)
        measured = measure_sides(_canaries(left, right))
        statistics_ = measured.statistics()
        before, per_permutation = _slope(met, left, right, probe)
        for name, ours_b, theirs_b in (
            ("equal", DEFAULT_B - 1, DEFAULT_B),
            ("each its default", PERMUTATIONS, DEFAULT_B),
        ):
            ask = partial(compare, one, other, permutations=ours_b, seed=SEED, is_explained=False)
            ours = _timed(ask, rounds)
            test = partial(permutation_test, measured.layout, statistics_, permutations=ours_b, seed=SEED)
            alone = _timed(test, rounds)
            theirs = before + theirs_b * per_permutation
            ratio = theirs / ours
            verdict = "met" if ratio >= GOAL else f"missed by a factor of {GOAL / ratio:.1f}"
            lines.append(
                f"| {n_prompts} × {n_completions} + {n_completions} | {name}: {ours_b:,} and {theirs_b:,} "
                f"| {1000 * ours:.0f} ms ({1000 * alone:.0f} ms) | {theirs:.0f} s "
                f"| {ratio:,.0f} ({theirs / alone:,.0f}) | {verdict} |"
            )
    table = "\n".join(lines)
    return f"""\
### Speed of a verdict

`python -m benchmarks.detection.speed`, seed {SEED}, one thread, Python {platform.python_version()}, numpy
{importlib.metadata.version("numpy")}, model-equality-testing {VERSION} (MMD, Hamming kernel, replies of 1,000
characters). Processor seconds from the texts to p, so that neighbours do not count. Ours hold all measures with their
effects and intervals, without the words about a difference, and are the median of {rounds} rounds; in brackets the
permutation test alone, its features given. The peer's time is extrapolated from {probe} and {3 * probe} permutations,
in which it is a straight line.

| prompts × replies | permutations, ours and theirs | `compare` | model-equality-testing | ratio | goal ≥ {GOAL:,} |
|---|---|---|---|---|---|
{table}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="one tiny size")
    given = parser.parse_args(arguments)
    sizes, probe, rounds = (((5, 3, 200),), 2, 1) if given.quick else (SIZES, PROBE_B, ROUNDS)
    with ModelEqualityTesting() as met:
        publish("speed", measure(met, sizes=sizes, probe=probe, rounds=rounds), write=given.write)


if __name__ == "__main__":
    main()
