"""Intermittent routing: how many runs until 16, 5 or 1 % of answers from another model are found.

Run ``python -m benchmarks.detection.routing --recorded DIR [--lab DIR] [--write] [--quick]``; DIR holds the recorded
real outputs (or set DRIFTWATCH_RECORDED), --lab the lab's recordings (default: tests/data/lab). Seeded, no network.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import driftwatch
from benchmarks.detection.scenes import N_CANARIES, Scene, lab_scenes, scenes
from benchmarks.page import publish
from driftwatch.detect import ChannelSpec, budget, judge
from driftwatch.domain import Canary, Completion, Kind, Message, Outcome, Target
from driftwatch.score import CHANNELS, Reference, combine
from driftwatch.score.channels.novelty import EVENS, POWER
from driftwatch.score.explain.effects import clopper_pearson
from driftwatch.score.reading import Reading, read

SHARES = (0.16, 0.05, 0.01)
"""Of the answers that come from elsewhere."""
GOALS = (3, 9, 100)
N_CALIBRATION = 168
N_WATCHED = 200
N_SERIES = 24
A = budget.threshold(runs_per_year=8766.0, chance_of_any_per_year=0.1)
LEVEL = 0.01
"""Of the peers that test every run by itself."""
FIXED_COSINE = 0.85
N_PERMUTATIONS = 999
SEED = 51
LAB = Path(__file__).parents[2] / "tests" / "data" / "lab"
AT = datetime(2026, 1, 5, tzinfo=UTC)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Every answer of one canary, measured once; runs are drawn from it."""

    values: Mapping[str, Floats]
    """Channel → (n,) the value of a run's only answer; answers of the endpoint first."""
    n_natural: int
    apart: Floats
    """(n,) mean wording distance to the anchors, for the peers."""
    anchors_apart: Floats
    """(n_anchors,) each anchor's to the others."""


# ---------------------------------------------------------------- measuring


def measure(scene: Scene, rng: np.random.Generator) -> tuple[Reference, dict[str, Pool]]:
    """Draw the anchors and value every other answer once, as the only answer of its canary in a run."""
    canaries = tuple(Canary(id=p, suite="s", messages=(Message(role="user", content=p),)) for p in scene.natural)
    target = Target(
        name="routing",
        provider="openai",
        model="m",
        canaries=canaries,
        parameters={"temperature": scene.temperature},
    )
    shuffled = {p: [texts[i] for i in rng.permutation(len(texts))] for p, texts in scene.natural.items()}
    anchors = {p: [_reply(p, text) for text in texts[: scene.n_anchors]] for p, texts in shuffled.items()}
    reference = Reference.from_anchors(target, anchors, None)
    channels = [name for name in reference.weighings if CHANNELS[name].kind is Kind.BEHAVIOUR]
    pools = {}
    for canary in canaries:
        own, accepted = shuffled[canary.id][scene.n_anchors :], reference.anchors[canary.id]
        readings: tuple[Reading, ...] = read([_reply(canary.id, t) for t in [*own, *scene.foreign[canary.id]]])
        pools[canary.id] = Pool(
            values={
                name: np.array([CHANNELS[name].measure((r,), accepted, canary) for r in readings]) for name in channels
            },
            n_natural=len(own),
            apart=np.array([np.mean(accepted.distances("wording", r)) for r in readings]),
            anchors_apart=np.array(accepted.to_others("wording")),
        )
    return reference, pools


def _reply(canary_id: str, text: str) -> Completion:
    return Completion(
        canary_id=canary_id, canary_hash="h", repeat=0, outcome=Outcome.OK, at=AT, latency_s=1.0, text=text
    )


def draw(pools: Mapping[str, Pool], n_runs: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which answer of its pool each canary gives in each run: (n_runs, canaries)."""
    columns = []
    for pool in pools.values():
        own = rng.integers(pool.n_natural, size=n_runs)
        other = rng.integers(pool.n_natural, pool.apart.size, size=n_runs)
        columns.append(np.where(rng.random(n_runs) < share, other, own))
    return np.stack(columns, axis=1)


def run_values(reference: Reference, pools: Mapping[str, Pool], drawn: NDArray[np.int64]) -> dict[str, Floats]:
    """Channel → (n_runs,) the runs' values."""
    names = next(iter(pools.values())).values
    return {
        name: np.array(
            [
                combine(
                    reference,
                    name,
                    {c: float(pool.values[name][i]) for (c, pool), i in zip(pools.items(), run, strict=True)},
                )
                for run in drawn.tolist()
            ],
        )
        for name in names
    }


# ---------------------------------------------------------------- deciding

Decider = Callable[[dict[str, Floats], dict[str, Floats], "Answers", "Answers", int], int | None]
"""(calibration values, watched values, calibration answers, watched answers, seed) → runs to the alarm, None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers' distances to their anchors, as the peers read them."""

    apart: Floats
    """(n_runs, canaries)"""
    anchors_apart: Floats
    """(canaries, n_anchors)"""


def by_driftwatch(without: str = "") -> Decider:
    """The e-detector at the default budget, over all behaviour channels but one."""

    def decide(before: dict[str, Floats], since: dict[str, Floats], _b: Answers, _s: Answers, seed: int) -> int | None:
        specs = [
            ChannelSpec(name=n, kind=Kind.BEHAVIOUR, two_sided=CHANNELS[n].two_sided) for n in before if n != without
        ]
        episodes = judge(before, since, specs, threshold=A, seed=seed)[Kind.BEHAVIOUR].episodes
        return episodes[0].alarm + 1 if episodes else None

    return decide


def by_fixed_cosine(
    _b: dict[str, Floats], _s: dict[str, Floats], _a: Answers, since: Answers, _seed: int
) -> int | None:
    """Alarm when the run's mean cosine to the anchors falls below .85."""
    return _first(1.0 - since.apart.mean(axis=1) < FIXED_COSINE)


def by_ks(_b: dict[str, Floats], _s: dict[str, Floats], before: Answers, since: Answers, _seed: int) -> int | None:
    """Alarm when Kolmogorov and Smirnov's test of the run's distances against all calibration ones gives p < .01."""
    usual = before.apart.ravel()
    return _first(np.array([stats.ks_2samp(run, usual, method="asymp").pvalue < LEVEL for run in since.apart]))


def by_permutation(_b: dict[str, Floats], _s: dict[str, Floats], _a: Answers, since: Answers, seed: int) -> int | None:
    """Alarm when a permutation of each answer with its anchors gives p < .01 for the run's mean distance."""
    rng = np.random.default_rng(seed)
    n_canaries, n_anchors = since.anchors_apart.shape
    alarms = []
    for run in since.apart:
        together = np.hstack([since.anchors_apart, run[:, None]])
        picks = rng.integers(n_anchors + 1, size=(N_PERMUTATIONS, n_canaries))
        usual = together[np.arange(n_canaries), picks].sum(axis=1)
        alarms.append((1 + int((usual >= run.sum() - 1e-12).sum())) / (1 + N_PERMUTATIONS) < LEVEL)
    return _first(np.array(alarms))


def _first(alarms: NDArray[np.bool_]) -> int | None:
    return int(alarms.argmax()) + 1 if alarms.any() else None


DECIDERS: dict[str, Decider] = {
    "driftwatch": by_driftwatch(),
    "driftwatch without novelty": by_driftwatch(without="novelty"),
    "cosine below .85": by_fixed_cosine,
    "KS per run, p < .01": by_ks,
    "permutation per run, p < .01": by_permutation,
}


def race(scene: Scene, *, n_series: int, n_watched: int, seed: int) -> dict[str, dict[float, list[int | None]]]:
    """Decider → share (0 = nothing routed) → runs to the alarm in each series; calibration and anchors drawn anew."""
    delays: dict[str, dict[float, list[int | None]]] = {name: defaultdict(list) for name in DECIDERS}
    for number in range(n_series):
        rng = np.random.default_rng([seed, number])
        reference, pools = measure(scene, rng)
        calibration = draw(pools, N_CALIBRATION, 0.0, rng)
        before = run_values(reference, pools, calibration)
        for share in (0.0, *SHARES):
            watched = draw(pools, n_watched, share, rng)
            since = run_values(reference, pools, watched)
            answers = _answers(pools, calibration), _answers(pools, watched)
            for name, decide in DECIDERS.items():
                delays[name][share].append(decide(before, since, *answers, number))
    return delays


def _answers(pools: Mapping[str, Pool], drawn: NDArray[np.int64]) -> Answers:
    return Answers(
        apart=np.stack([pool.apart[drawn[:, i]] for i, pool in enumerate(pools.values())], axis=1),
        anchors_apart=np.stack([pool.anchors_apart for pool in pools.values()]),
    )


def simulate(deviations: float, share: float, *, n_series: int, n_watched: int, seed: int) -> list[int | None]:
    """One novelty channel among eight; an answer's outlyingness is N(0, 1), a foreign one's N(deviations, 1)."""
    specs = [ChannelSpec(name=f"channel{i}", kind=Kind.BEHAVIOUR, two_sided=False) for i in range(8)]
    found: list[int | None] = []
    for number in range(n_series):
        rng = np.random.default_rng([seed, number])
        z = rng.standard_normal((N_CALIBRATION + n_watched, N_CANARIES))
        z[N_CALIBRATION:] += deviations * (rng.random((n_watched, N_CANARIES)) < share)
        odds = ((np.maximum(0.0, z) / EVENS) ** POWER).sum(axis=1)
        values = {"channel0": odds / (1 + odds)}
        values |= {spec.name: rng.random(odds.size) for spec in specs[1:]}
        before = {name: v[:N_CALIBRATION] for name, v in values.items()}
        since = {name: v[N_CALIBRATION:] for name, v in values.items()}
        episodes = judge(before, since, specs, threshold=A, seed=number)[Kind.BEHAVIOUR].episodes
        found.append(episodes[0].alarm + 1 if episodes else None)
    return found


# ---------------------------------------------------------------- telling


def delay_words(delays: Sequence[int | None]) -> str:
    """Median and 90th percentile in runs; a dash where that many series were not found."""
    known = sorted(np.inf if d is None else d for d in delays)

    def at(share: float) -> str:
        value = known[min(len(known) - 1, int(np.ceil(share * len(known))) - 1)]
        return "–" if np.isinf(value) else f"{value:.0f}"

    return f"{at(0.5)} ({at(0.9)})"


def share_words(delays: Sequence[int | None]) -> str:
    """The share of series with an alarm and its 95 % Clopper–Pearson interval."""
    k, n = sum(d is not None for d in delays), len(delays)
    low, high = clopper_pearson(k, n)
    return f"{100 * k / n:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def report(all_scenes: Sequence[Scene], *, n_series: int, n_watched: int) -> str:
    """The page's section."""
    told = (
        f"Runs until routing is found, median (90th percentile), – beyond {n_watched}: driftwatch"
        f" {driftwatch.__version__} at its default (A = {A:,.0f}; K = {N_CALIBRATION}, {N_CANARIES} canaries asked once"
        f" a run, without an embedder), {n_series} series a cell with anchors, calibration and runs drawn anew from the"
        f" recorded answers, seed {SEED}, numpy {np.__version__}. *Unrouted*: series with any alarm when nothing is"
        " routed, with the 95 % Clopper–Pearson interval; a delay beside many of those is none. The peers run on the"
        " same answers. Novelty was tuned on the T = 1 prompts of even position, the tables use the odd ones; the"
        " summaries have too few prompts to halve and were seen while tuning."
    )
    lines = [
        told,
        "",
        "| endpoint · where the answers come from | rule | 16 % (goal ≤ 3) | 5 % (≤ 9) | 1 % (≤ 100) | unrouted |",
        "|---|---|---|---|---|---|",
    ]
    for scene in all_scenes:
        delays = race(scene, n_series=n_series, n_watched=n_watched, seed=SEED)
        for name, by_share in delays.items():
            cells = " | ".join(delay_words(by_share[share]) for share in SHARES)
            lines.append(f"| {scene.name} | {name} | {cells} | {share_words(by_share[0.0])} |")
    told = (
        "How far apart the models have to be: answers whose outlyingness is normal, foreign ones shifted by so many"
        f" standard deviations, novelty among seven channels that see nothing; seed {SEED}."
    )
    lines += [
        "",
        told,
        "",
        "| shift | 16 % | 5 % | 1 % | unrouted |",
        "|---|---|---|---|---|",
    ]
    for deviations in (3.0, 4.0, 6.0, 10.0):
        cells = [
            simulate(deviations, share, n_series=n_series, n_watched=n_watched, seed=SEED) for share in (*SHARES, 0.0)
        ]
        told = " | ".join(map(delay_words, cells[:-1]))
        lines.append(f"| {deviations:.0f} | {told} | {share_words(cells[-1])} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the options, measure, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recorded", type=Path, default=os.environ.get("DRIFTWATCH_RECORDED"))
    parser.add_argument("--lab", type=Path, default=LAB)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="one short series of each, to see that it runs")
    options = parser.parse_args(arguments)
    if options.recorded is None:
        parser.error("say where the recorded outputs are: --recorded DIR or DRIFTWATCH_RECORDED")
    found = [*scenes(options.recorded, temperature_one=range(1, 100, 2)), *lab_scenes(options.lab)]
    n_series, n_watched = (1, 8) if options.quick else (N_SERIES, N_WATCHED)
    publish("routing", report(found, n_series=n_series, n_watched=n_watched), write=options.write)


if __name__ == "__main__":
    main()
