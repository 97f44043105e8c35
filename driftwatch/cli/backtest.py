"""``driftwatch backtest FILE…``: what driftwatch would have said about recorded outputs."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.check import DRIFT, OK, UNMEASURED, Format
from driftwatch.cli.context import console
from driftwatch.errors import UsageError
from driftwatch.recordings import FORMAT_HELP

if TYPE_CHECKING:
    from driftwatch.backtest import Grouping, Rehearsal
    from driftwatch.score import Embedder


class Runs(StrEnum):
    """What makes completions one run."""

    RUN = "run"
    TIME = "time"
    SAMPLE = "sample"


class Embedding(StrEnum):
    """Whether replies are compared by meaning as well."""

    OFF = "off"
    DEFAULT = "default"


def backtest(
    files: list[Path] = typer.Argument(
        metavar="FILE…", help="JSON lines of completions, .jsonl or .jsonl.gz, oldest first.", show_default=False
    ),
    where: list[str] | None = typer.Option(
        None,
        "--where",
        metavar="KEY=VALUE",
        help="Read only lines with this value, e.g. model=gpt-4; may be repeated.",
        show_default=False,
    ),
    by: Runs | None = typer.Option(
        None, "--by", help="What makes a run. Default: the run key, else time, else sample_idx.", show_default=False
    ),
    every: str | None = typer.Option(
        None, "--every", metavar="TIME", help="Length of a run by time, e.g. 15m. Default: 1h.", show_default=False
    ),
    repeats: int = typer.Option(1, "--repeats", min=1, max=10_000, help="Samples of a prompt in a run, by sample."),
    anchors: int = typer.Option(
        8, "--anchors", min=2, max=1000, help="Replies per prompt that others are compared to."
    ),
    calibration: int | None = typer.Option(
        None,
        "--calibration",
        min=20,
        max=10_000,
        help="Runs that teach the natural noise. Default: a week of runs, fewer where the recording is short.",
        show_default=False,
    ),
    budget: str = typer.Option(
        "10%", "--budget", help="False alarms accepted: 10% is the chance of any in a year, 1/year the mean number."
    ),
    runs_per_year: float | None = typer.Option(
        None,
        "--runs-per-year",
        help="What the budget counts. Default: from the times, else hourly.",
        show_default=False,
    ),
    embedder: Embedding = typer.Option(Embedding.OFF, "--embedder", help="Compare meaning too; slow."),
    output: Format = typer.Option(Format.TABLE, "--format", help="How to print."),
    plot: Path | None = typer.Option(
        None, "--plot", metavar="FILE.svg", help="Draw the evidence over the runs.", show_default=False
    ),
) -> None:
    """Replay recorded outputs as if they had been watched. Exit code 0 quiet, 1 drift, 3 no answer.

    The first runs become anchors, the next ones calibration, the rest is judged run after run as the daemon would.
    """
    from driftwatch.backtest import Answer, By, Plan, group, rehearse  # noqa: PLC0415 - slow import
    from driftwatch.cli.backtest_view import as_json, show  # noqa: PLC0415 - slow import
    from driftwatch.config import BaselineSettings  # noqa: PLC0415 - slow import
    from driftwatch.recordings import parse_where, read_recording  # noqa: PLC0415 - beside its use

    every_s = _seconds(every)
    chance, mean_number = _budget(budget)
    if runs_per_year is not None and not (math.isfinite(runs_per_year) and runs_per_year > 0):
        raise UsageError(f"--runs-per-year is {runs_per_year:g}; write a number above 0, e.g. 8766 for hourly runs")
    _refuse_plot(plot)
    asked = parse_where(where or [])
    recordings = [read_recording(path, asked) for path in files]
    grouping = group(recordings, by=By(by.value) if by else None, every_s=every_s, repeats=repeats)
    per_year = runs_per_year or 365.25 * 86_400 / grouping.interval_s
    plan = Plan(
        anchors=anchors,
        calibration=calibration or BaselineSettings().calibration_runs_for(grouping.interval_s),
        may_shorten=calibration is None,
        threshold=_threshold(per_year, chance, mean_number),
    )
    found = rehearse(grouping, plan, _embedder(embedder))
    if output is Format.JSON:
        answer = as_json(files, grouping, found, where=asked, budget=budget, runs_per_year=per_year)
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        promise = (
            f"at most a {chance:.0%} chance of any false alarm" if chance else f"{mean_number:g} false alarms at most"
        )
        show(
            console(),
            files,
            grouping,
            found,
            where=asked,
            promise=f"{promise} in a year of {per_year:,.0f} runs",
            has_meaning=embedder is Embedding.DEFAULT,
        )
    if plot is not None:
        _write(plot, files, grouping, found)
    code = {Answer.QUIET: OK, Answer.DRIFT: DRIFT, Answer.INCONCLUSIVE: UNMEASURED}[found.answer]
    raise typer.Exit(code)


backtest.__doc__ = f"{inspect.getdoc(backtest)}\n\n{FORMAT_HELP}"


# ---------------------------------------------------------------- what the user asked for


def _refuse_plot(plot: Path | None) -> None:
    """What cannot be written is told before minutes of work, not after."""
    if plot is None:
        return
    if plot.suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot} is no .svg file; write one like drift.svg")
    if not plot.parent.is_dir():
        raise UsageError(f"--plot {plot}: there is no folder {plot.parent}; make it first, or name another file")


def _seconds(every: str | None) -> float | None:
    from driftwatch.config.fields import duration_s  # noqa: PLC0415 - slow import

    if every is None:
        return None
    length_s = duration_s(every)
    if length_s is None or not 1 <= length_s <= 366 * 86_400:
        raise UsageError(f"--every {every!r} is no length of a run; write 15m, 1h or 1d, a second at least")
    return length_s


def _budget(given: str) -> tuple[float | None, float | None]:
    """Chance of any false alarm in a year, or their mean number; exactly one."""
    matched = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*(%|/\s*year)", given.strip())
    if matched:
        number = float(matched[1])
        if matched[2] == "%" and 0 < number < 100:  # noqa: PLR2004 - per cent
            return number / 100, None
        if matched[2] != "%" and number > 0:
            return None, number
    raise UsageError(f"--budget {given!r} is no budget; write 10% (chance of any in a year) or 1/year (mean number)")


def _threshold(per_year: float, chance: float | None, mean_number: float | None) -> float:
    from driftwatch.detect.budget import threshold  # noqa: PLC0415 - slow import
    from driftwatch.judgement import kinds_watched  # noqa: PLC0415 - slow import

    return threshold(
        runs_per_year=per_year,
        chance_of_any_per_year=chance,
        false_alarms_per_year=mean_number,
        n_kinds=kinds_watched(),
    )


def _embedder(wanted: Embedding) -> Embedder | None:
    from driftwatch.config import BUNDLED_EMBEDDER  # noqa: PLC0415 - slow import
    from driftwatch.score import open_embedder  # noqa: PLC0415 - slow import

    return None if wanted is Embedding.OFF else open_embedder(BUNDLED_EMBEDDER, None, None)


# ---------------------------------------------------------------- what is written


def _write(plot: Path, files: Sequence[Path], grouping: Grouping, found: Rehearsal) -> None:
    from driftwatch.cli.backtest_plot import draw  # noqa: PLC0415 - slow import
    from driftwatch.cli.backtest_view import named, title  # noqa: PLC0415 - slow import

    if not found.watched:
        typer.echo(f"Nothing to draw: no run was watched, so {plot} is not written.", err=True)
        return
    picture = draw(found, [named(grouping, run) for run in found.watched], title=title(files))
    try:
        plot.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {plot}: {error.strerror}; name another file with --plot") from None
    typer.echo(f"Wrote {plot}.", err=True)
