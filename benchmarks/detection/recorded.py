"""Recorded real pairs: what ``compare`` says about each, beside three rules that others use.

Run ``python -m benchmarks.detection.recorded --recorded DIR [--write]``. Labels of correctness are never looked at.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from benchmarks.page import publish
from benchmarks.peers.cosine import THRESHOLD, mean_cosine
from benchmarks.peers.ks import ks_p_value
from benchmarks.peers.met import VERSION, ModelEqualityTesting
from driftwatch.compare import CannotCompare, compare
from driftwatch.domain import Completion, Outcome
from driftwatch.errors import EmbedderUnavailable
from driftwatch.score import Embedder, open_embedder
from driftwatch.score.explain.effects import clopper_pearson

SEED = 31
ALPHA = 0.01
SIZES = (10, 25, 50, 100)
"""Prompts of a subsample."""
SMALL, REPEATS = 25, 3
"""Prompts, and completions per prompt and side, that the slow peers are asked about."""
DRAWS = 3
"""Subsamples per pair and size; the slow peers are asked about the first."""
PEER_SIZES = (10, 25)
B = 300
"""Permutations of the slow peer, a third of its default: enough for α, and it takes seconds a case."""

Texts = dict[str, list[str]]
"""Prompt → completions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two sides of recorded completions of the same prompts."""

    number: int
    """Position in pairs.jsonl; even ones were used for tuning."""
    name: str
    is_changed: bool
    left: Texts
    right: Texts

    @property
    def half(self) -> str:
        """Which half of the pairs it belongs to."""
        return "tuned on" if self.number % 2 == 0 else "held out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What every method says about one pair or subsample; NaN where it cannot be asked."""

    pair: Pair
    n_prompts: int
    driftwatch: float
    ks: float
    met: float = math.nan
    cosine: float = math.nan


# ---------------------------------------------------------------- reading


def read_pairs(folder: Path) -> Iterator[Pair]:
    """Read the pairs of a folder laid out as its README says; one file is held in memory at a time."""
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    name, rows = "", []
    for number, pair in enumerate(pairs):
        if pair["file"] != name:
            name = pair["file"]
            with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
        wanted = [row for row in rows if row.get("task") in pair["tasks"]]
        left, right = (_texts(row for row in wanted if _keeps(row, pair[side])) for side in ("left", "right"))
        both = sorted(left.keys() & right.keys())
        yield Pair(
            number=number,
            name=pair["pair_id"],
            is_changed=pair["label"] == "changed",
            left={prompt: left[prompt] for prompt in both},
            right={prompt: right[prompt] for prompt in both},
        )


def _texts(rows: Iterator[Mapping[str, object]]) -> Texts:
    found: Texts = {}
    for row in rows:
        found.setdefault(str(row["prompt_id"]), []).append(str(row["output"]))
    return found


def _keeps(row: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    sample = row.get("sample_idx", 0)
    tests: dict[str, Callable[[object], bool]] = {
        "samples_lt": lambda value: sample < value,
        "samples_ge": lambda value: sample >= value,
        "sample_mod": lambda value: sample % value[0] == value[1],
        "ts_lt": lambda value: str(row.get("ts")) < value,
        "ts_ge": lambda value: str(row.get("ts")) >= value,
        "extra": lambda value: all((row.get("extra") or {}).get(key) == one for key, one in value.items()),
        "prompt_prefix": lambda value: str(row.get("prompt_id")).startswith(value),
        "snapshot_prefix": lambda value: str(row.get("snapshot_or_provider")).startswith(value),
    }
    return all(
        tests[key](value)
        if key in tests
        else row.get(key) in value
        if isinstance(value, list)
        else row.get(key) == value
        for key, value in wanted.items()
    )


# ---------------------------------------------------------------- asking


def completions(side: Texts) -> list[Completion]:
    """The texts as completions that ``compare`` takes."""
    at = datetime(2000, 1, 1, tzinfo=UTC)
    return [
        Completion(
            canary_id=prompt,
            canary_hash="",
            repeat=repeat,
            outcome=Outcome.OK,
            at=at,
            latency_s=math.nan,
            text=text,
        )
        for prompt, texts in side.items()
        for repeat, text in enumerate(texts)
    ]


def ours(left: Texts, right: Texts) -> float:
    """The p-value of ``compare`` at its defaults; 1 where it says that it cannot tell."""
    try:
        return compare(completions(left), completions(right), alpha=ALPHA, seed=SEED).p_value
    except CannotCompare:
        return 1.0


def has_repeats(side: Texts) -> bool:
    """Whether the peer's statistic is defined for it."""
    return any(len(texts) > 1 for texts in side.values())


class Peers:
    """The slow methods, each of which may be missing."""

    def __init__(self, met: ModelEqualityTesting | None, embedder: Embedder | None) -> None:
        self.met, self.embedder = met, embedder

    def row(self, pair: Pair, left: Texts, right: Texts, *, is_slow: bool) -> Row:
        """Ask every method about two sides."""
        met = cosine = math.nan
        if is_slow and self.met is not None and has_repeats(left) and has_repeats(right):
            met = self.met.test(left, right, b=B, seed=SEED).p_value
        if is_slow and self.embedder is not None:
            cosine = mean_cosine(self.embedder, left, right)
        return Row(
            pair=pair,
            n_prompts=len(left),
            driftwatch=ours(left, right),
            ks=ks_p_value(left, right),
            met=met,
            cosine=cosine,
        )


def subsample(pair: Pair, n: int, repeats: int, rng: np.random.Generator) -> tuple[Texts, Texts]:
    """Some prompts and some completions of each; of an unchanged pair the sides are mixed before they are split."""
    prompts = sorted(pair.left)
    chosen = [prompts[i] for i in sorted(rng.choice(len(prompts), min(n, len(prompts)), replace=False))]
    left: Texts = {}
    right: Texts = {}
    for prompt in chosen:
        sides = pair.left[prompt], pair.right[prompt]
        if not pair.is_changed:
            mixed = [*sides[0], *sides[1]]
            mixed = [mixed[i] for i in rng.permutation(len(mixed))]
            sides = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
        left[prompt], right[prompt] = ([side[i] for i in rng.permutation(len(side))[:repeats]] for side in sides)
    return left, right


# ---------------------------------------------------------------- telling


def share(hits: Sequence[bool]) -> str:
    """A share with its 95 % Clopper–Pearson interval."""
    k, n = sum(hits), len(hits)
    if not n:
        return "–"
    low, high = clopper_pearson(k, n)
    return f"{k} of {n} [{100 * low:.0f}, {100 * high:.0f} %]"


def area(changed: Sequence[float], unchanged: Sequence[float]) -> str:
    """The ROC area of scores that should be larger when something changed; ties count half."""
    if not changed or not unchanged:
        return "–"
    ranks = rankdata([*changed, *unchanged])
    n, m = len(changed), len(unchanged)
    return f"{(ranks[:n].sum() - n * (n + 1) / 2) / (n * m):.3f}"


def _p(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}" if value >= 0.0001 else f"{value:.0e}"  # noqa: PLR2004 - decimals


METHODS: tuple[tuple[str, Callable[[Row], float], Callable[[float], bool]], ...] = (
    ("driftwatch compare", lambda row: -row.driftwatch, lambda score: -score <= ALPHA),
    ("model-equality-testing", lambda row: -row.met, lambda score: -score <= ALPHA),
    ("KS on lengths", lambda row: -row.ks, lambda score: -score <= ALPHA),
    (f"cosine < {THRESHOLD}", lambda row: -row.cosine, lambda score: -score < THRESHOLD),
)
"""Name, score (larger says changed), alarm."""


def _pairs_table(rows: Sequence[tuple[Row, Row]]) -> Iterator[str]:
    yield f"| pair | label | half | prompts | p | KS p | p, {SMALL} prompts | MET p, {SMALL} | cosine, {SMALL} |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for full, small in rows:
        label = "changed" if full.pair.is_changed else "unchanged"
        yield (
            f"| {full.pair.name} | {label} | {full.pair.half} | {full.n_prompts} | {_p(full.driftwatch)} "
            f"| {_p(full.ks)} | {_p(small.driftwatch)} | {_p(small.met)} | {_p(small.cosine)} |"
        )


def _shares_table(sets: Sequence[tuple[str, Sequence[Row]]]) -> Iterator[str]:
    yield "| pairs | method | changed, found | unchanged, alarmed |"
    yield "|---|---|---|---|"
    for title, rows in sets:
        for name, score, alarms in METHODS:
            known = [row for row in rows if not math.isnan(score(row))]
            if known:
                found = share([alarms(score(row)) for row in known if row.pair.is_changed])
                false = share([alarms(score(row)) for row in known if not row.pair.is_changed])
                yield f"| {title} | {name} | {found} | {false} |"


def _areas_table(rows: Sequence[Row]) -> Iterator[str]:
    yield "| prompts | method | cases | ROC area | changed, found | unchanged, alarmed |"
    yield "|---|---|---|---|---|---|"
    for size in sorted({row.n_prompts for row in rows} & set(SIZES)):
        of_size = [row for row in rows if row.n_prompts == size]
        asked = [row for row in of_size if not math.isnan(row.met)]
        for title, those in ((str(size), of_size), (f"{size}, with repeats", asked)):
            for name, score, alarms in METHODS:
                known = [row for row in those if not math.isnan(score(row))]
                is_peer = name == METHODS[1][0]
                if not known or (is_peer and those is of_size):
                    continue
                changed, unchanged = ([score(r) for r in known if r.pair.is_changed is one] for one in (True, False))
                yield (
                    f"| {title} | {name} | {len(known)} | {area(changed, unchanged)} "
                    f"| {share([alarms(s) for s in changed])} | {share([alarms(s) for s in unchanged])} |"
                )


def measure(folder: Path, peers: Peers, *, is_quick: bool) -> str:
    """Ask about every pair; return the section's markdown."""
    rng = np.random.default_rng(SEED)
    rows: list[tuple[Row, Row]] = []
    cases: list[Row] = []
    for pair in read_pairs(folder):
        full = peers.row(pair, pair.left, pair.right, is_slow=False)
        # halves as recorded, so that an unchanged pair is judged as it was recorded, not shuffled
        chosen = sorted(rng.choice(sorted(pair.left), min(SMALL, len(pair.left)), replace=False).tolist())
        small = [{prompt: side[prompt][:REPEATS] for prompt in chosen} for side in (pair.left, pair.right)]
        rows.append((full, peers.row(pair, small[0], small[1], is_slow=not is_quick)))
        for size in SIZES[: 1 if is_quick else None]:
            if size > len(pair.left):
                continue
            for draw in range(1 if is_quick else DRAWS):
                left, right = subsample(pair, size, REPEATS, rng)
                is_slow = not is_quick and draw == 0 and size in PEER_SIZES
                cases.append(peers.row(pair, left, right, is_slow=is_slow))
        print(f"  {pair.name}: {full.driftwatch:.4f}", flush=True)
    fulls = [full for full, _ in rows]
    smalls = [small for _, small in rows]
    halves = [(half, [row for row in fulls if row.pair.half == half]) for half in ("tuned on", "held out")]
    sets = [("all, as recorded", fulls), *halves, (f"all, {SMALL} prompts × ≤ {REPEATS}", smalls)]
    scipy = importlib.metadata.version("scipy")
    shares, areas, pairs = (
        "\n".join(lines) for lines in (_shares_table(sets), _areas_table(cases), _pairs_table(rows))
    )
    return f"""\
### Recorded real pairs

`python -m benchmarks.detection.recorded`, seed {SEED}, α = {ALPHA}, 9,999 permutations. Beside it, in the same run:
model-equality-testing {VERSION} (MMD, Hamming kernel, {B:,} permutations, first 1,000 characters; it needs two
completions per prompt and side), KS by scipy {scipy}, and the cosine of all-MiniLM-L6-v2 with the usual threshold
{THRESHOLD}. Statistics were chosen on the even pairs. Goals: no unchanged pair alarmed, at least 95 % of the changed
pairs found. In brackets the 95 % Clopper–Pearson interval.

{shares}

Random subsamples, at most {REPEATS} completions per prompt and side; an unchanged pair's completions are mixed and
split anew. "With repeats" are the cases that model-equality-testing can be asked about.

{areas}

{pairs}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recorded", type=Path, default=os.environ.get("DRIFTWATCH_RECORDED"))
    parser.add_argument("--write", action="store_true", help="put the tables into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="one subsample per pair, without the slow peers")
    given = parser.parse_args(arguments)
    if given.recorded is None or not (Path(given.recorded) / "pairs.jsonl").is_file():
        parser.error("name the folder of recorded pairs with --recorded or $DRIFTWATCH_RECORDED")
    folder = Path(given.recorded)
    if given.quick:
        publish("recorded", measure(folder, Peers(None, None), is_quick=True), write=given.write)
        return
    try:
        embedder: Embedder | None = open_embedder("all-MiniLM-L6-v2", None, None)
    except EmbedderUnavailable as error:
        print(f"without the cosine rule: {error}")
        embedder = None
    with ModelEqualityTesting() as met:
        publish("recorded", measure(folder, Peers(met, embedder), is_quick=False), write=given.write)


if __name__ == "__main__":
    main()
