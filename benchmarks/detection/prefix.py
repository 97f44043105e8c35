"""Prefix agreement at T = 0: where greedy answers fork, and what that finds beside wording and exact match.

Run ``python -m benchmarks.detection.prefix --recorded DIR [--lab DIR] [--write] [--quick]``; DIR holds the recorded
real outputs (or set DRIFTWATCH_RECORDED), --lab the lab's recordings (default: tests/data/lab). Seeded, no network.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import driftwatch
from benchmarks.detection.scenes import by_prompt, rows_in
from benchmarks.lab import recordings as lab_recordings
from benchmarks.page import publish
from driftwatch.detect import ChannelSpec, budget, judge
from driftwatch.domain import Canary, Completion, Kind, Message, Outcome
from driftwatch.score import CHANNELS
from driftwatch.score.reading import Anchors, Reading, read

N_CALIBRATION = 168
N_WATCHED = 60
N_RUNS = 2_000
N_SERIES = 40
N_ANSWERS = 40
"""Answers per prompt of an endpoint whose forks are simulated, after its anchors."""
SIZES = (5, 20)
"""Canaries in a run."""
LEVEL = 0.01
A = budget.threshold(runs_per_year=8766.0, chance_of_any_per_year=0.1)
SEED = 52
HOSTED = 0.0135
"""Chance per token that a hosted endpoint forks by itself: 58 % of GPT-4o's repeats had forked before token 64."""
LAB = Path(__file__).parents[2] / "tests" / "data" / "lab"
AT = datetime(2026, 1, 5, tzinfo=UTC)
_ASKED = Canary(id="s/c", suite="s", messages=(Message(role="user", content="?"),))
_PIECE = re.compile(r"\S+\s*")

Floats = NDArray[np.float64]
Texts = Mapping[str, Sequence[str]]
"""Prompt → answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An endpoint at T = 0 and what it changes to under its name."""

    name: str
    own: Texts
    """Anchors first."""
    changed: Mapping[str, Texts]
    n_anchors: int


# ---------------------------------------------------------------- the statistics that are compared


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))


def _fork(cut: Callable[[Reading], Sequence[str]]) -> Callable[[Reading, Anchors], float]:
    def statistic(reading: Reading, anchors: Anchors) -> float:
        mine, best = cut(reading), 1.0
        for anchor in anchors:
            theirs = cut(anchor)
            longer = max(len(mine), len(theirs))
            best = min(best, 1.0 - _shared(mine, theirs) / longer if longer else 0.0)
        return best

    return statistic


def _channel(name: str) -> Callable[[Reading, Anchors], float]:
    return lambda reading, anchors: CHANNELS[name].measure((reading,), anchors, _ASKED)


STATISTICS: dict[str, Callable[[Reading, Anchors], float]] = {
    "prefix": _channel("prefix"),
    "first 32 tokens": _fork(lambda r: r.tokens[:32]),
    "first 128 tokens": _fork(lambda r: r.tokens[:128]),
    "first 300 characters": _fork(lambda r: r.text[:300]),
    "wording": _channel("wording"),
    "exact match": lambda reading, anchors: float(all(reading.text != anchor.text for anchor in anchors)),
}


# ---------------------------------------------------------------- the recordings


def recorded_cases(folder: Path) -> Iterator[Case]:
    """GPT-4 at T = 0, and what its answers are at T = .3 and from another model."""
    own, warm, other = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in rows_in(folder / "repro_summarization.jsonl.gz"):
        kind = {("gpt-4", 0.0): own, ("gpt-4", 0.3): warm, ("gemma2-9b", 0.0): other}.get(
            (row["model"], row["temperature"])
        )
        if kind is not None:
            kind[row["prompt_id"]].append(row["output"])
    yield Case(
        name="GPT-4, summaries",
        own=own,
        changed={"T = 0 becomes .3": warm, "becomes gemma2-9b": other},
        n_anchors=4,
    )


def lab_cases(folder: Path, rng: np.random.Generator) -> Iterator[Case]:
    """The lab's greedy answers, as they are and with the forks of a hosted endpoint; nothing without recordings."""
    try:
        variants = lab_recordings.load(folder)
    except FileNotFoundError:
        return
    greedy = {name: by_prompt(row for row in rows if row.task == "greedy") for name, rows in variants.items()}
    own = greedy.pop("original")
    # What a fork goes on with: the same model's answers to other prompts, from the same place on.
    tails = [text for texts in own.values() for text in texts[:1]]
    changed = {name: texts for name, texts in greedy.items() if texts}
    yield Case(name="SmolLM2-135M", own={p: t * N_ANSWERS for p, t in own.items()}, changed=changed, n_anchors=1)
    yield Case(
        name="SmolLM2-135M, forking as hosted ones do",
        own=_forking(own, tails, rng),
        changed={name: _forking(texts, tails, rng) for name, texts in changed.items()},
        n_anchors=8,
    )


def _forking(texts: Texts, tails: Sequence[str], rng: np.random.Generator) -> dict[str, list[str]]:
    """Answers that go on otherwise from a random place: after geometrically many tokens, if the text is that long."""
    forked = {}
    for prompt, answers in texts.items():
        pieces = _PIECE.findall(answers[0])
        forked[prompt] = []
        for _ in range(N_ANSWERS + 8):
            place = int(rng.geometric(HOSTED)) - 1
            tail = _PIECE.findall(tails[int(rng.integers(len(tails)))])
            forked[prompt].append("".join([*pieces[:place], *tail[place:]]) if place < len(pieces) else answers[0])
    return forked


def fork_rows(folder: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What is compared, and the pairs of recorded T = 0 answers to the same prompt."""
    asked: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_in(folder / "llm_stability_gpt4o.jsonl.gz"):
        if row["task"] == "college_mathematics":
            prefix = row["snapshot_or_provider"].split("-0.0-college_mathematics-")[1].rsplit("_", 2)[0]
            asked[prefix][row["prompt_id"]].append(row["output"])
    for name, words in (("0", "no prefix"), ("chomsky", "a long prefix")):
        yield f"GPT-4o, the same again, {words}", _pairs_within(asked[name])
    yield "GPT-4o, another wording of the prefix", _pairs_across(asked["chomsky"], asked["str_chomsky"])
    yield "GPT-4o, prefix or none", _pairs_across(asked["0"], asked["chomsky"])
    snapshots: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_in(folder / "zeroeval_gsm.jsonl.gz"):
        snapshots[row["snapshot_or_provider"]][row["prompt_id"]].append(row["output"])
    new = snapshots["gpt-4o-2024-08-06"]
    yield "GPT-4o, snapshots of May and August 2024", _pairs_across(snapshots["gpt-4o-2024-05-13"], new)
    yield "GPT-4o and GPT-4o mini", _pairs_across(new, snapshots["gpt-4o-mini-2024-07-18"])


def _pairs_within(texts: Texts) -> list[tuple[str, str]]:
    return [(one, other) for answers in texts.values() for i, one in enumerate(answers) for other in answers[:i]]


def _pairs_across(texts: Texts, others: Texts) -> list[tuple[str, str]]:
    return [(one, other) for p, answers in texts.items() for one in answers[:1] for other in others.get(p, ())[:1]]


def _read(texts: Sequence[str]) -> tuple[Reading, ...]:
    return read(
        [
            Completion(canary_id="s/c", canary_hash="h", repeat=0, outcome=Outcome.OK, at=AT, latency_s=1.0, text=text)
            for text in texts
        ]
    )


# ---------------------------------------------------------------- measuring


def compare(case: Case, change: str, rng: np.random.Generator, *, n_runs: int, n_series: int) -> dict[str, list[str]]:
    """Statistic → its power per size of run at a false-alarm rate of 1 %, and the runs to the alarm, as words."""
    prompts = [p for p in case.changed[change] if len(case.own[p]) > case.n_anchors]
    own: dict[str, list[Floats]] = defaultdict(list)
    new: dict[str, list[Floats]] = defaultdict(list)
    for prompt in prompts:
        order = rng.permutation(len(case.own[prompt]))
        readings = _read([case.own[prompt][i] for i in order])
        anchors, rest = Anchors(readings[: case.n_anchors]), readings[case.n_anchors :]
        other = _read(case.changed[change][prompt])
        for name, statistic in STATISTICS.items():
            own[name].append(np.array([statistic(r, anchors) for r in rest]))
            new[name].append(np.array([statistic(r, anchors) for r in other]))
    told = {}
    for name in STATISTICS:
        cells = []
        for size in SIZES:
            usual = _runs(own[name], n_runs, size, rng)
            changed = _runs(new[name], n_runs, size, rng)
            cells.append(f"{(changed > np.quantile(usual, 1 - LEVEL)).mean():.2f}")
        told[name] = [*cells, _delay(own[name], new[name], n_series, rng)]
    return told


def _runs(values: Sequence[Floats], n_runs: int, size: int, rng: np.random.Generator) -> Floats:
    """(n_runs,) means over ``size`` prompts drawn anew for every run; ties are decided by chance."""
    picked = np.stack([v[rng.integers(v.size, size=n_runs)] for v in values], axis=1)
    chosen = np.argsort(rng.random(picked.shape), axis=1)[:, :size]
    return np.take_along_axis(picked, chosen, axis=1).mean(axis=1) + 1e-9 * rng.random(n_runs)


def _delay(own: Sequence[Floats], new: Sequence[Floats], n_series: int, rng: np.random.Generator) -> str:
    spec = ChannelSpec(name="alone", kind=Kind.BEHAVIOUR, two_sided=False)
    delays = []
    for number in range(n_series):
        chosen = rng.permutation(len(own))[: max(SIZES)]

        def series(values: Sequence[Floats], n: int, chosen: NDArray[np.int64] = chosen) -> Floats:
            return np.stack([values[c][rng.integers(values[c].size, size=n)] for c in chosen], axis=1).mean(axis=1)

        before, since = series(own, N_CALIBRATION), series(new, N_WATCHED)
        episodes = judge({"alone": before}, {"alone": since}, [spec], threshold=A, seed=number)[Kind.BEHAVIOUR].episodes
        delays.append(episodes[0].alarm + 1 if episodes else np.inf)
    median = np.median(delays)
    return "–" if np.isinf(median) else f"{median:.0f}"


# ---------------------------------------------------------------- telling


def report(recorded: Path, lab: Path, *, n_runs: int, n_series: int) -> str:
    """The page's section."""
    rng = np.random.default_rng(SEED)
    cases = [*recorded_cases(recorded), *lab_cases(lab, rng)]
    told = (
        f"Greedy answers (T = 0), driftwatch {driftwatch.__version__}, numpy {np.__version__}, seed {SEED}; nothing was"
        " tuned on them. Agreement is 1 − the channel's value against one answer."
    )
    lines = [
        told,
        "",
        "| answers to the same prompt | pairs | the same | agreement | forked before token 8 | 32 | 64 |",
        "|---|---|---|---|---|---|---|",
    ]
    pairs = list(fork_rows(recorded))
    for case in cases:
        if "forking" not in case.name:
            pairs.append((f"{case.name}, the same again", _pairs_across(case.own, _rest(case.own))))
            pairs += [(f"{case.name}, {name}", _pairs_across(case.own, texts)) for name, texts in case.changed.items()]
    lines += [_fork_line(name, those) for name, those in pairs if those]
    told = (
        f"Power of one run of {SIZES[0]} and of {SIZES[1]} answers when 1 % of unchanged runs are called changed"
        f" ({n_runs:,} resampled runs each, prompts drawn anew for every run), then the median runs until the"
        f" e-detector alarms on {max(SIZES)} answers a run by this statistic alone (A = {A:,.0f}, K = {N_CALIBRATION},"
        f" {n_series} series, – beyond {N_WATCHED}). *prefix* takes 64 tokens. *Forking as hosted ones do*: every"
        f" answer goes on with other text from a random token on, with chance {HOSTED} per token, as GPT-4o's do."
    )
    lines += [
        "",
        told,
        "",
        f"| endpoint · change | {' | '.join(STATISTICS)} |",
        "|---|" + "---|" * len(STATISTICS),
    ]
    for case in cases:
        for change in case.changed:
            cells = compare(case, change, rng, n_runs=n_runs, n_series=n_series)
            lines.append(f"| {case.name} · {change} | " + " | ".join(" · ".join(cells[n]) for n in STATISTICS) + " |")
    return "\n".join(lines)


def _rest(texts: Texts) -> dict[str, Sequence[str]]:
    return {prompt: answers[1:] for prompt, answers in texts.items()}


def _fork_line(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    places, agreement = [], []
    for one, other in pairs:
        mine, theirs = _read([one, other])
        agreement.append(1.0 - CHANNELS["prefix"].measure((mine,), Anchors((theirs,)), _ASKED))
        places.append(np.inf if one == other else _shared(mine.tokens, theirs.tokens))
    forked = np.array(places)
    shares = " | ".join(f"{(forked < place).mean():.2f}" for place in (8, 32, 64))
    return f"| {name} | {len(pairs)} | {np.isinf(forked).mean():.2f} | {np.mean(agreement):.2f} | {shares} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the options, measure, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recorded", type=Path, default=os.environ.get("DRIFTWATCH_RECORDED"))
    parser.add_argument("--lab", type=Path, default=LAB)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="a few runs of each, to see that it runs")
    options = parser.parse_args(arguments)
    if options.recorded is None:
        parser.error("say where the recorded outputs are: --recorded DIR or DRIFTWATCH_RECORDED")
    n_runs, n_series = (100, 2) if options.quick else (N_RUNS, N_SERIES)
    publish(
        "prefix", report(Path(options.recorded), options.lab, n_runs=n_runs, n_series=n_series), write=options.write
    )


if __name__ == "__main__":
    main()
