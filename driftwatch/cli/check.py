"""``driftwatch check``: does what is due once and says how things stand by its exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, console, load_settings, pick_targets, start_logging, with_app

if TYPE_CHECKING:
    from driftwatch.app import App
    from driftwatch.cli.standing import Standing

OK, DRIFT, UNMEASURED = 0, 1, 3


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"


def check(
    targets: list[str] = typer.Argument(None, help="Targets to look at, all when none is named.", show_default=False),
    config: Path | None = CONFIG,
    now: bool = typer.Option(False, "--now", help="Run even when nothing is due."),
    output: Format = typer.Option(Format.TABLE, "--format", help="How to print."),
) -> None:
    """Do what is due once, for cron and CI. Exit code 0 ok, 1 drift, 3 could not measure."""
    settings = load_settings(config)
    start_logging("warning", settings.log.format)
    names = pick_targets(settings, targets or ())

    async def work(application: App) -> tuple[dict[str, Standing], set[str]]:
        from driftwatch.cli.standing import standing  # noqa: PLC0415 - slow import

        await _wait_in_simulated_time(application, names)
        made = await application.run_due(names, now=now)
        ran = {name for name, verdict in made.items() if verdict is not None}
        return {name: standing(application.store, name) for name in names}, ran

    # Console receivers print on standard output, which belongs to the JSON when that is asked for.
    standings, ran = with_app(settings, work, write=_aside if output is Format.JSON else None)
    if output is Format.JSON:
        typer.echo(json.dumps([_row(name, found, ran=name in ran) for name, found in standings.items()], indent=2))
    else:
        _print(standings, ran)
    raise typer.Exit(exit_code(list(standings.values())))


def exit_code(standings: Sequence[Standing]) -> int:
    """1 when any target has drifted, else 3 when any could not be measured, else 0."""
    if any(found.state is not None and found.state.value == "drifted" for found in standings):
        return DRIFT
    return OK if all(found.is_measured for found in standings) else UNMEASURED


async def _wait_in_simulated_time(application: App, names: Sequence[str]) -> None:
    """Go to the next slot when time is simulated: it stands still until somebody waits, as cron would have."""
    from driftwatch.schedule import next_start  # noqa: PLC0415 - slow import

    if application.settings.simulation is None:
        return
    targets = [target for target in application.targets if target.name in names]
    start_at = next_start(targets, application.store.last_scheduled(names), application.clock.now())
    if start_at is not None:
        await application.clock.sleep_until(start_at)


def _aside(text: str) -> None:
    typer.echo(text, nl=False, err=True)


def _row(name: str, found: Standing, *, ran: bool) -> dict[str, object]:
    return {
        "target": name,
        "ran": ran,
        "state": found.state,
        "measured": found.is_measured,
        "reason": found.reason,
        "at": found.verdict.at.isoformat() if found.verdict else None,
    }


def _print(standings: dict[str, Standing], ran: set[str]) -> None:
    from driftwatch.cli.style import badge, plain, table  # noqa: PLC0415 - slow import

    rows = table("target", "state", "this time", "why")
    for name, found in standings.items():
        rows.add_row(name, badge(found.state), "ran" if name in ran else "not due", plain(found.reason))
    console().print(rows)
