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
    from driftwatch.spending import Pause

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
    """Do what is due once, for cron and CI. Exit code 0 ok, 1 drift or a tripwire that pages, 3 could not measure."""
    settings = load_settings(config)
    start_logging("warning", settings.log.format)
    names = pick_targets(settings, targets or ())

    async def work(application: App) -> tuple[dict[str, Standing], set[str], dict[str, Pause]]:
        from driftwatch.cli.standing import standing  # noqa: PLC0415 - slow import

        await _wait_in_simulated_time(application, names)
        made = await application.run_due(names, now=now)
        ran = {name for name, verdict in made.items() if verdict is not None}
        return {name: standing(application.store, name) for name in names}, ran, application.paused()

    # Console receivers print on standard output, which belongs to the JSON when that is asked for.
    standings, ran, paused = with_app(settings, work, write=_aside if output is Format.JSON else None)
    if output is Format.JSON:
        rows = [_row(name, found, ran=name in ran, pause=paused.get(name)) for name, found in standings.items()]
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print(standings, ran, paused)
    raise typer.Exit(exit_code(list(standings.values()), any_paused=bool(paused)))


def exit_code(standings: Sequence[Standing], *, any_paused: bool = False) -> int:
    """1 when any target drifted or tripped a wire that pages, else 3 when any is unmeasured or paused, else 0."""
    if any(found.state is not None and found.state.value == "drifted" for found in standings):
        return DRIFT
    tripped = [wire for found in standings if found.verdict is not None for wire in found.verdict.tripwires]
    if any(wire.level.value == "page" for wire in tripped):
        return DRIFT
    return OK if all(found.is_measured for found in standings) and not any_paused else UNMEASURED


async def _wait_in_simulated_time(application: App, names: Sequence[str]) -> None:
    """Go to the next slot when time is simulated: it stands still until somebody waits, as cron would have."""
    from driftwatch import wiring  # noqa: PLC0415 - slow import
    from driftwatch.schedule import next_start  # noqa: PLC0415 - slow import
    from driftwatch.spending import next_pause  # noqa: PLC0415 - slow import

    if application.settings.simulation is None:
        return
    targets = [target for target in application.targets if target.name in names]
    last, at = application.store.last_scheduled(names), application.clock.now()
    starts = []
    for target in targets:
        pause = next_pause(application.store, wiring.account(target, application.settings), target, at)
        starts.append(next_start([target], last, at if pause is None else pause.again_at))
    start_at = min((start for start in starts if start is not None), default=None)
    if start_at is not None:
        await application.clock.sleep_until(start_at)


def _aside(text: str) -> None:
    typer.echo(text, nl=False, err=True)


def _row(name: str, found: Standing, *, ran: bool, pause: Pause | None) -> dict[str, object]:
    return {
        "target": name,
        "ran": ran,
        "state": found.state,
        "measured": found.is_measured,
        "reason": found.reason,
        "at": found.verdict.at.isoformat() if found.verdict else None,
        "paused": pause.sentence if pause else None,
    }


def _print(standings: dict[str, Standing], ran: set[str], paused: dict[str, Pause]) -> None:
    from driftwatch.cli.style import badge, plain, table  # noqa: PLC0415 - slow import

    rows = table("target", "state", "this time", "why")
    for name, found in standings.items():
        if name in paused:
            rows.add_row(name, badge(found.state), "paused", plain(f"{paused[name].sentence}; {found.reason}"))
        else:
            rows.add_row(name, badge(found.state), "ran" if name in ran else "not due", plain(found.reason))
    console().print(rows)
