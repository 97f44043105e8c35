"""``driftwatch demo``: three simulated weeks, one change, one incident, in about a minute and without keys."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import console, start_logging
from driftwatch.errors import DriftwatchError

if TYPE_CHECKING:
    from datetime import date

    from rich.console import Console
    from rich.text import Text

    from driftwatch.domain import Verdict


STATE_CELLS, EVIDENCE_CELLS, WIDTH = 14, 29, 120
"""Widths of the diary's columns and of its lines, in terminal cells."""


class DemoFailed(DriftwatchError):
    """The demo did not show what it is there to show."""


def demo(
    directory: Path = typer.Option(Path("demo"), "--dir", help="Where to leave the database and the report."),
) -> None:
    """Run the real daemon through three simulated weeks in which the served checkpoint is swapped."""
    import asyncio  # noqa: PLC0415 - slow import

    from driftwatch import demo as demonstration  # noqa: PLC0415 - slow import
    from driftwatch.cli.report import write_report  # noqa: PLC0415 - slow import

    start_logging("error", "console")
    out = console()
    settings = demonstration.settings_for(directory)
    [(name, target)] = settings.targets.items()
    assert settings.simulation is not None  # noqa: S101 - the shipped demo config has one
    out.print(
        f"[bold]driftwatch demo[/]: the real daemon, SQLite, the offline embedder and a simulated provider.\n"
        f"Watching [bold]{name}[/] every {target.interval_s / 3600:g} h from "
        f"{settings.simulation.start:%a %d %b %Y} to {settings.simulation.end:%a %d %b %Y}, simulated.\n"
    )
    outcome = asyncio.run(demonstration.run(settings, _Diary(out).write))
    report = directory / "report.html"
    write_report(settings, outcome.incidents[0].id if outcome.incidents else None, report)
    out.print(
        f"\n{outcome.n_runs} runs, {outcome.n_requests:,} requests and "
        f"{len(outcome.incidents)} incident{'s' if len(outcome.incidents) != 1 else ''} in {outcome.elapsed_s:.0f} s. "
        f"Slack would have received {len(outcome.payloads)} message{'s' if len(outcome.payloads) != 1 else ''}:\n"
    )
    for message in outcome.messages:
        typer.echo(message)
    out.print(f"Report    {report}\nDatabase  {outcome.database}", highlight=False)
    out.print(
        "\nLook around:\n"
        f"  DRIFTWATCH_STORE={outcome.database} driftwatch status --config {settings.file}\n"
        f"  DRIFTWATCH_STORE={outcome.database} driftwatch history {name} --config {settings.file}\n"
        "Watch your own endpoints: driftwatch init",
        highlight=False,
    )
    if len(outcome.incidents) != 1:
        raise DemoFailed(f"the demo raised {len(outcome.incidents)} incidents instead of one; the lines above say more")


class _Diary:
    """Prints a line for every simulated day, and one for every change of state."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._day: date | None = None
        self._last: Verdict | None = None

    def write(self, verdict: Verdict) -> None:
        from driftwatch.cli.style import badge  # noqa: PLC0415 - slow import

        day = verdict.at.date()
        changed = self._last is not None and verdict.state is not self._last.state
        if day != self._day or changed:
            state, evidence = badge(verdict.state), _evidence(verdict)
            state.pad_right(STATE_CELLS - len(state.plain))
            evidence.pad_right(EVIDENCE_CELLS - len(evidence.plain))
            start = f"{verdict.at:%a %d %b %H:%M}  "
            indent = len(start) + STATE_CELLS + EVIDENCE_CELLS
            words = textwrap.fill(
                _words(verdict, changed=changed),
                WIDTH,
                initial_indent=" " * indent,
                subsequent_indent=" " * indent,
                break_on_hyphens=False,
            )
            self._out.print(start, state, evidence, words[indent:], sep="", soft_wrap=True)
        self._day, self._last = day, verdict


def _evidence(verdict: Verdict) -> Text:
    """The gauge; a drift that lasts makes figures that no column holds, and past the bar they say no more."""
    from driftwatch.cli.style import BAR_CELLS, gauge  # noqa: PLC0415 - slow import

    shown = gauge(verdict)
    if len(shown.plain) < EVIDENCE_CELLS - 1:
        return shown
    most = max(verdict.kinds, key=lambda kind: kind.evidence / kind.threshold)
    return shown[:BAR_CELLS] + f" over {most.threshold:,.0f}"


def _words(verdict: Verdict, *, changed: bool) -> str:
    """What the gauge does not say: why a state began, and how far the watch has come."""
    if verdict.state == "stable":
        return "watching" if changed else f"{verdict.n_monitored} runs watched"
    if verdict.state == "drifted" and not changed:
        return "still drifted"
    return verdict.reason
