"""Backtests of real recordings: spliced where a provider changed the model, and unspliced, where nothing did.

Run ``python -m benchmarks.detection.splices --recorded DIR [--write] [--quick]``; DIR holds the recorded real outputs
(or set DRIFTWATCH_RECORDED). Seeded, no network.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

import driftwatch
from benchmarks.page import publish
from driftwatch.backtest import Alarm, By, Grouping, Plan, RecordedRun, Rehearsal, rehearse
from driftwatch.detect import budget
from driftwatch.domain import Canary, Completion, Kind, Message, Outcome
from driftwatch.judgement import kinds_watched
from driftwatch.recordings import UNDATED
from driftwatch.score.explain.effects import clopper_pearson

HOURLY = 8766.0
A = budget.threshold(runs_per_year=HOURLY, chance_of_any_per_year=0.1, n_kinds=kinds_watched())

PER_RUN = (5, 10)
"""Replies in a run of a task whose prompts were asked once each; every pair is tried with both."""
TASK_ANCHORS = 40
"""Anchors where a whole task is one canary: its replies differ as its prompts do."""
BEFORE = 0.6
"""Share of a task's prompts that are taken from before the change; the others come from after it."""
CALIBRATION = 0.75
"""Share of the runs between the anchors and the splice that calibrate, 168 at most."""
PROMPTS, WIKIPEDIA, HUMANEVAL = 20, "audit_wikipedia", "audit_humaneval"
"""Prompts of a watch over the recordings that repeat every prompt."""
LEAST_RUNS = 45
"""Of a splice: 8 anchors, 20 to calibrate, 7 before and 10 after the splice."""
GOAL_RUNS = 4
SEED = 17

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One backtest."""

    group: str
    n_calibration: int
    n_quiet: int
    """Watched runs that nothing changed in."""
    false_alarms: int
    """Alarms of either kind before the splice, or at all where there is none."""
    delay: int | None = None
    """Runs from the splice to the alarm, both counted; None when it was not found."""
    onset_error: int | None = None
    """Runs between the estimated onset and the splice."""
    leading: str = ""


def rows_of(folder: Path, name: str) -> list[Row]:
    """The rows of one recorded file."""
    with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def completion(row: Row, canary_id: str, repeat: int) -> Completion:
    """A recorded row as the reply to a canary."""
    return Completion(
        canary_id=canary_id,
        canary_hash="",
        repeat=repeat,
        outcome=Outcome.OK,
        at=UNDATED,
        latency_s=float("nan"),
        text=row["output"],
        output_tokens=row.get("out_tokens"),
    )


def grouping(runs: Sequence[Sequence[Completion]], canaries: Sequence[str], model: str) -> Grouping:
    """Hourly runs without times, as ``driftwatch backtest`` makes them of a file without any."""
    return Grouping(
        runs=tuple(
            RecordedRun(name=str(number), at=UNDATED + timedelta(hours=number), completions=tuple(run))
            for number, run in enumerate(runs)
        ),
        canaries=tuple(
            Canary(id=name, suite="recorded", messages=(Message(role="user", content=name),)) for name in canaries
        ),
        model=model,
        by=By.SAMPLE,
        interval_s=3600.0,
        has_times=False,
        has_latency=False,
        has_some_latency=False,
        can_split=False,
        notes=(),
    )


def task_runs(rows: Sequence[Row], task: str, per_run: int) -> list[list[Completion]]:
    """Runs of different prompts of one task, which is the only canary."""
    whole = len(rows) // per_run
    return [
        [completion(row, task, repeat) for repeat, row in enumerate(rows[number * per_run : (number + 1) * per_run])]
        for number in range(whole)
    ]


def judged(
    runs: Sequence[Sequence[Completion]], canaries: Sequence[str], group: str, splice: int, anchors: int
) -> Result:
    """Backtest one series; ``splice`` is its first changed run, its length when nothing changed."""
    n_anchor_runs = anchors if len(canaries) > 1 else -(-anchors // len(runs[0]))
    k = min(168, max(20, int(CALIBRATION * (splice - n_anchor_runs))))
    if splice == len(runs):
        k = min(168, max(20, (splice - n_anchor_runs) // 2))
    plan = Plan(anchors=anchors, calibration=k, may_shorten=False, threshold=A)
    found: Rehearsal = rehearse(grouping(runs, canaries, group), plan, None)
    first = splice - found.n_anchor_runs - found.n_calibration
    early = [alarm for alarm in found.alarms if alarm.alarm < first]
    late = [alarm for alarm in found.alarms if alarm.alarm >= first]
    hit: Alarm | None = min(late, key=lambda alarm: alarm.alarm, default=None)
    return Result(
        group=group,
        n_calibration=found.n_calibration,
        n_quiet=min(first, len(found.watched)),
        false_alarms=len(early),
        delay=hit.alarm - first + 1 if hit else None,
        onset_error=abs(hit.onset - first) if hit else None,
        leading=hit.channels[0].channel + (" (performance)" if hit.kind is Kind.PERFORMANCE else "") if hit else "",
    )


def matches(row: Row, wanted: Mapping[str, Any]) -> bool:
    """Whether a row belongs to a side that is named by plain columns."""
    return all(row.get(name) in (value if isinstance(value, list) else [value]) for name, value in wanted.items())


def changed_pairs(folder: Path) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """Documented changes of one task with prompts enough for a series: (name, before, after), prompt by prompt."""
    cached: dict[str, list[Row]] = {}
    for line in (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        plain = {"model", "snapshot_or_provider", "task"}
        if pair["label"] != "changed" or pair["n_prompts"] < LEAST_RUNS * max(PER_RUN):
            continue
        if not (set(pair["left"]) | set(pair["right"])) <= plain:
            continue
        rows = cached.setdefault(pair["file"], rows_of(folder, pair["file"]))
        sides = []
        for side in ("left", "right"):
            of_side = {r["prompt_id"]: r for r in rows if r["task"] in pair["tasks"] and matches(r, pair[side])}
            sides.append(of_side)
        shared = sorted(sides[0].keys() & sides[1].keys())
        if len(shared) >= LEAST_RUNS * max(PER_RUN):
            yield pair["pair_id"], [sides[0][p] for p in shared], [sides[1][p] for p in shared]


def splices(folder: Path, n_seeds: int, n_pairs: int | None) -> list[Result]:
    """Every changed pair, its prompts in ``n_seeds`` random orders; no prompt is used on both sides."""
    results = []
    for number, (name, before, after) in enumerate(changed_pairs(folder)):
        if n_pairs is not None and number >= n_pairs:
            break
        for per_run in PER_RUN:
            for seed in range(n_seeds):
                order = np.random.default_rng([SEED, number, seed]).permutation(len(before)).tolist()
                cut = int(BEFORE * len(order)) // per_run * per_run
                runs = task_runs([before[i] for i in order[:cut]], name, per_run)
                runs += task_runs([after[i] for i in order[cut:]], name, per_run)
                results.append(judged(runs, [name], f"{name}, {per_run} a run", cut // per_run, TASK_ANCHORS))
    return results


def unchanged_tasks(folder: Path, n_seeds: int, n_pairs: int | None) -> list[Result]:
    """Either side of every changed pair alone, its prompts in random order."""
    results = []
    for number, (name, before, after) in enumerate(changed_pairs(folder)):
        if n_pairs is not None and number >= n_pairs:
            break
        for side, rows in (("before", before), ("after", after)):
            for seed in range(n_seeds):
                order = np.random.default_rng([SEED + 1, number, seed]).permutation(len(rows)).tolist()
                runs = task_runs([rows[i] for i in order], name, min(PER_RUN))
                results.append(judged(runs, [name], f"{name}, {side} alone", len(runs), TASK_ANCHORS))
    return results


def unchanged_prompts(folder: Path, name: str, n_seeds: int, n_sets: int) -> list[Result]:
    """A model that was asked every prompt many times: sets of prompts, the samples in random order."""
    by_prompt: dict[str, list[Row]] = {}
    for row in rows_of(folder, f"{name}.jsonl.gz"):
        by_prompt.setdefault(row["prompt_id"], []).append(row)
    names = sorted(by_prompt)
    results = []
    for number in range(min(n_sets, len(names) // PROMPTS)):
        chosen = names[number * PROMPTS : (number + 1) * PROMPTS]
        for seed in range(n_seeds):
            rng = np.random.default_rng([SEED + 2, number, seed])
            orders = {prompt: rng.permutation(len(by_prompt[prompt])).tolist() for prompt in chosen}
            n_runs = min(len(order) for order in orders.values())
            runs = [[completion(by_prompt[p][orders[p][i]], p, 0) for p in chosen] for i in range(n_runs)]
            results.append(judged(runs, chosen, name, n_runs, 8))
    return results


def per_cent(hits: int, n: int) -> str:
    """A share with its 95 % Clopper–Pearson interval."""
    low, high = clopper_pearson(hits, n)
    return f"{100 * hits / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def found_table(results: Sequence[Result]) -> Iterator[str]:
    """One line per pair."""
    yield "| pair | K | series | found | delay, median (worst) | onset within ±1 | shows in | false alarms before |"
    yield "|---|---|---|---|---|---|---|---|"
    for name in dict.fromkeys(result.group for result in results):
        those = [result for result in results if result.group == name]
        hits = [result for result in those if result.delay is not None]
        delays = sorted(result.delay or 0 for result in hits)
        delay = f"{np.median(delays):.0f} ({delays[-1]})" if delays else "–"
        near = sum((result.onset_error or 0) <= 1 for result in hits)
        shows = ", ".join(channel for channel, _ in Counter(result.leading for result in hits).most_common(2))
        yield (
            f"| {name} | {those[0].n_calibration} | {len(those)} | {len(hits)} | {delay} | {near} of {len(hits)} | "
            f"{shows or '–'} | {sum(result.false_alarms for result in those)} |"
        )


def quiet_table(results: Sequence[Result]) -> Iterator[str]:
    """One line per source."""
    yield "| recording | series | watched runs | series with any false alarm |"
    yield "|---|---|---|---|"
    for name in [*dict.fromkeys(result.group for result in results), "all"]:
        those = [result for result in results if name in {result.group, "all"}]
        alarmed = sum(result.false_alarms > 0 for result in those)
        watched = sum(result.n_quiet for result in those)
        yield f"| {name} | {len(those)} | {watched:,} | {per_cent(alarmed, len(those))} |"


def text(folder: Path, *, quick: bool) -> str:
    """The section, as markdown."""
    n_seeds, n_pairs, n_sets = (1, 1, 1) if quick else (5, None, 5)
    changed = splices(folder, n_seeds, n_pairs)
    quiet = [
        *unchanged_prompts(folder, HUMANEVAL, n_seeds, n_sets),
        *([] if quick else unchanged_prompts(folder, WIKIPEDIA, n_seeds, n_sets)),
        *unchanged_tasks(folder, n_seeds, n_pairs),
    ]
    hits = [result for result in changed if result.delay is not None]
    early = sum((result.delay or 0) <= GOAL_RUNS for result in hits)
    near = sum((result.onset_error or 0) <= 1 for result in hits)
    early_alarms = sum(result.false_alarms > 0 for result in changed)
    alarmed = sum(result.false_alarms > 0 for result in quiet)
    setting = (
        f"`python -m benchmarks.detection.splices`, driftwatch {driftwatch.__version__}, numpy {np.__version__}, seed "
        f"{SEED}. Real replies are replayed by the code of `driftwatch backtest`, hourly, A = {A:,.0f} (a 10 % chance "
        "of any false alarm a year), without the embedder; no constant was tuned on them."
    )
    how_changed = (
        f"*Changed:* a task is one canary, a run asks {PER_RUN[0]} or {PER_RUN[1]} of its prompts, {TASK_ANCHORS} "
        f"anchors; {BEFORE:.0%} of the prompts are answered by the model before the change, the others by the one "
        f"after it; no prompt occurs twice. Random orders per pair: {n_seeds}. Pairs with fewer than "
        f"{LEAST_RUNS * max(PER_RUN)} prompts make no series and are left to `driftwatch compare`."
    )
    so_changed = (
        f"Found: {per_cent(len(hits), len(changed))} (goal: all). Within {GOAL_RUNS} runs: "
        f"{per_cent(early, len(changed))} (goal: all). Onset within ±1 run: {per_cent(near, max(1, len(hits)))} of "
        f"those found (goal: 80 %). Series with an alarm before the splice: {early_alarms} of {len(changed)} (goal: "
        "none)."
    )
    how_quiet = (
        f"*Unchanged:* {PROMPTS} prompts a run and 8 anchors each where every prompt was asked 100 or 250 times "
        "(Llama-3-70B, T = 1), and each side of the pairs above alone. The series of one source are the same replies "
        "in other orders, so the interval is too narrow for new sources."
    )
    so_quiet = f"Unchanged series with a false alarm: {alarmed} of {len(quiet)} (goal: none)."
    return "\n".join(
        [
            "### Splices of real recordings\n",
            f"{setting}\n\n{how_changed}\n",
            *found_table(changed),
            f"\n{so_changed}\n\n{how_quiet}\n",
            *quiet_table(quiet),
            f"\n{so_quiet}",
        ]
    )


def main() -> None:
    """Print the section; with ``--write`` put it on the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recorded", type=Path, default=os.environ.get("DRIFTWATCH_RECORDED"))
    parser.add_argument("--write", action="store_true", help="put the tables into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="one pair and one order: does it run?")
    options = parser.parse_args()
    if options.recorded is None:
        parser.error("name the folder of recorded outputs with --recorded or DRIFTWATCH_RECORDED")
    publish("splices", text(Path(options.recorded), quick=options.quick), write=options.write)


if __name__ == "__main__":
    main()
