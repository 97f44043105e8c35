"""How a backtest looks: for people in a terminal, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.text import Text

from driftwatch.alert.text import amount, count, line, listing
from driftwatch.backtest import Alarm, Answer, By, Grouping, Rehearsal, WatchedRun
from driftwatch.cli.style import plain, table
from driftwatch.domain import Kind

BARS = "▁▂▃▄▅▆▇█"
"""Evidence on its way to an alarm, on a logarithmic scale because evidence multiplies; the last is an alarm."""

STRIP_CELLS = 72
QUOTED = 160
"""Characters shown of a reply; the whole is in the JSON."""
PROMPTS_NAMED = 3


def as_json(
    files: Sequence[Path],
    grouping: Grouping,
    found: Rehearsal,
    *,
    where: Mapping[str, str],
    budget: str,
    runs_per_year: float,
) -> dict[str, object]:
    """A backtest as JSON, for machines; positions count watched runs from 0, what was not measured is null."""

    def place(position: int | None) -> dict[str, object] | None:
        return None if position is None else _run_json(grouping, found.watched[position], position)

    return {
        "files": [str(path) for path in files],
        "where": dict(where),
        "answer": found.answer,
        "reason": found.reason,
        "runs_by": grouping.by,
        "runs": len(grouping.runs),
        "prompts": len(grouping.canaries),
        "anchor_runs": found.n_anchor_runs,
        "calibration_runs": found.n_calibration,
        "watched_runs": len(found.watched),
        "budget": budget,
        "runs_per_year": runs_per_year,
        "threshold": found.threshold,
        "channels": list(found.channels),
        "left_out": list(found.left_out),
        "notes": [*grouping.notes, *found.notes],
        "alarms": [
            {
                "kind": alarm.kind,
                "onset": place(alarm.onset),
                "alarm": place(alarm.alarm),
                "recovery": place(alarm.recovery),
                "delay_runs": alarm.delay,
                "evidence": alarm.evidence,
                "channels": [
                    {
                        "channel": moved.channel,
                        "share": moved.share,
                        "calibration_mean": _number(moved.calibration_mean),
                        "since_onset_mean": _number(moved.since_onset_mean),
                    }
                    for moved in alarm.channels
                ],
                "headline": alarm.headline,
                "words": list(alarm.words),
                "affected": list(alarm.affected),
                "prompts": alarm.n_prompts,
                "pair": {"prompt": alarm.pair.canary_id, "before": alarm.pair.before, "after": alarm.pair.after}
                if alarm.pair
                else None,
            }
            for alarm in found.alarms
        ],
        "watched": [
            _run_json(grouping, run, position)
            | {
                "judged": run.is_judged,
                "evidence": {kind: value if kind in found.kinds else None for kind, value in run.evidence.items()},
            }
            for position, run in enumerate(found.watched)
        ],
    }


def title(files: Sequence[Path]) -> str:
    """The files as people read them."""
    return listing([line(path.name) for path in files])


def named(grouping: Grouping, run: WatchedRun) -> str:
    """A run as people read it, with its time where there is one."""
    if grouping.by is By.TIME:
        return run.name[:16] if run.name.endswith(":00") else run.name
    name = f"run {line(run.name, 64)}"
    return f"{name} ({run.at:%Y-%m-%d %H:%M})" if grouping.has_times else name


def show(
    out: Console,
    files: Sequence[Path],
    grouping: Grouping,
    found: Rehearsal,
    *,
    where: Mapping[str, str],
    promise: str,
    has_meaning: bool,
) -> None:
    """Print a backtest for people: the answer, the evidence over the runs, and what every alarm was about.

    Args:
        out: where to.
        files: as the user named them.
        grouping: the runs.
        found: what was found in them.
        where: the filter on their lines, empty without one.
        promise: the alarm budget in words.
        has_meaning: whether an embedder was in use.
    """
    out.print(Text(title(files), style="bold"), end="")
    if where:
        chosen = ", ".join(f"{line(key, 64)}={line(value, 64)}" for key, value in where.items())
        out.print(Text(f" (only {chosen})"), end="")
    out.print(
        f": {count(len(grouping.runs), 'run')} of {count(len(grouping.canaries), 'prompt')}, told by {_told(grouping)}"
    )
    if found.answer is not Answer.INCONCLUSIVE:
        off = "" if has_meaning else "; meaning is off, --embedder default adds it"
        _field(
            out,
            "runs",
            f"{found.n_anchor_runs} for anchors · {found.n_calibration} for calibration · {len(found.watched)} watched",
        )
        _field(out, "measured", f"{', '.join(found.channels)}{off}")
        _field(out, "alarm at", f"evidence {amount(found.threshold)}: {promise}")
    style, word = {
        Answer.QUIET: ("bold green", "QUIET"),
        Answer.DRIFT: ("bold red", "DRIFT"),
        Answer.INCONCLUSIVE: ("bold yellow", "INCONCLUSIVE"),
    }[found.answer]
    out.print()
    out.print(Text(word, style=style), end="")
    out.print(Text(f"  {found.reason}"))
    if found.watched:
        out.print()
        _print_strips(out, grouping, found)
    if found.alarms:
        out.print()
        _print_table(out, grouping, found)
        for number, alarm in enumerate(found.alarms, start=1):
            out.print()
            _print_alarm(out, grouping, found, number, alarm)
    notes = [*grouping.notes, *found.notes]
    if notes:
        out.print()
    for note in notes:
        out.print(Text(f"note: {line(note)}", style="dim"))


def _told(grouping: Grouping) -> str:
    return {By.RUN: "the run key", By.TIME: "their times", By.SAMPLE: "sample_idx"}[grouping.by]


def _field(out: Console, name: str, value: str) -> None:
    out.print(Text(f"  {name:<11}", style="dim") + Text(value))


def _print_strips(out: Console, grouping: Grouping, found: Rehearsal) -> None:
    """One line of bars per kind: the highest evidence of each stretch of runs."""
    n = len(found.watched)
    cells = min(STRIP_CELLS, n)
    edges = [round(cell * n / cells) for cell in range(cells + 1)]
    for kind in found.watched[0].evidence:
        label = Text(f"  {kind:<13}", style="dim")
        if kind not in found.kinds:
            out.print(label + Text("not measured", style="dim"))
            continue
        evidence = [run.evidence[kind] for run in found.watched]
        strip = label
        for start, end in pairwise(edges):
            is_drifted = any(_drifted(found, kind, position) for position in range(start, end))
            strip += Text(_bar(max(evidence[start:end]), found.threshold), style="red" if is_drifted else "green")
        out.print(strip + Text(f"  highest {amount(max(evidence))}", style="dim"))
    first, last = (named(grouping, found.watched[position]) for position in (0, n - 1))
    room = max(1, cells - len(first) - len(last))
    if n > 1:
        out.print(Text(f"  {'':<13}{first}{' ' * room}{last}", style="dim"))


def _bar(evidence: float, threshold: float) -> str:
    share = min(1.0, math.log1p(evidence) / math.log1p(threshold))
    return BARS[-1] if share >= 1 else BARS[int(share * (len(BARS) - 1))]


def _drifted(found: Rehearsal, kind: Kind, position: int) -> bool:
    return any(
        alarm.kind is kind and alarm.alarm <= position and (alarm.recovery is None or position < alarm.recovery)
        for alarm in found.alarms
    )


def _print_table(out: Console, grouping: Grouping, found: Rehearsal) -> None:
    rows = table("", "kind", "onset", "alarm", "recovered", "found after", "shows in")
    for number, alarm in enumerate(found.alarms, start=1):
        recovered = named(grouping, found.watched[alarm.recovery]) if alarm.recovery is not None else "not yet"
        rows.add_row(
            str(number),
            alarm.kind.value,
            plain(named(grouping, found.watched[alarm.onset])),
            plain(named(grouping, found.watched[alarm.alarm])),
            plain(recovered),
            count(alarm.delay, "run"),
            ", ".join(f"{moved.channel} {moved.share:.0%}" for moved in alarm.channels),
        )
    out.print(rows)


def _print_alarm(out: Console, grouping: Grouping, found: Rehearsal, number: int, alarm: Alarm) -> None:
    what = line(alarm.headline) if alarm.headline else f"{alarm.kind.value} changed"
    head = f"{number}. {what}, since {named(grouping, found.watched[alarm.onset])}"
    out.print(Text(head, style="bold"))
    told = {sentence for other in found.alarms[: number - 1] if other.onset == alarm.onset for sentence in other.words}
    for sentence in alarm.words:
        if sentence not in told:
            out.print(Text(f"   • {line(sentence)}"))
    for moved in alarm.channels:
        figures = f"{moved.calibration_mean:.3f} → {moved.since_onset_mean:.3f}"
        out.print(Text(f"   {moved.channel:<9} {figures}", style="dim"))
    if alarm.affected:
        moved_most = [line(name, 64) for name in alarm.affected[:PROMPTS_NAMED]]
        if len(alarm.affected) > PROMPTS_NAMED:
            moved_most.append(f"{len(alarm.affected) - PROMPTS_NAMED} more")
        out.print(Text(f"   {len(alarm.affected)} of {alarm.n_prompts} prompts moved: {listing(moved_most)}"))
    elif alarm.n_prompts > 1:
        out.print(Text("   no single prompt stands out: the change is spread over them", style="dim"))
    if alarm.pair:
        out.print(Text(f"   {line(alarm.pair.canary_id, 64)}, typically", style="dim"))
        pair = table("", "")
        pair.show_header = False
        for label, reply, style in (("before", alarm.pair.before, "green"), ("after", alarm.pair.after, "red")):
            shown = line(reply, QUOTED) if reply.strip() else "(empty)"
            pair.add_row(Text(f"     {label}", style="dim"), Text(shown, style=style))
        out.print(pair)


def _run_json(grouping: Grouping, run: WatchedRun, position: int) -> dict[str, object]:
    return {"run": run.name, "position": position, "at": run.at.isoformat() if grouping.has_times else None}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
