"""``driftwatch check``: does what is due once and says how things stand by its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch import __version__
from driftwatch.cli.context import (
    CONFIG,
    load_settings,
    pick_targets,
    start_logging,
    unknown,
    with_app,
    write_text,
)
from driftwatch.cli.grades import CheckFormat, FailOn
from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from driftwatch.app import App
    from driftwatch.cli.formats import Outcome


OK, DRIFT, UNMEASURED = 0, 1, 3


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"


def check(
    targets: list[str] = typer.Argument(None, help="Targets to look at, all when none is named.", show_default=False),
    config: Path | None = CONFIG,
    now: bool = typer.Option(False, "--now", help="Run even when nothing is due."),
    output: CheckFormat = typer.Option(CheckFormat.TABLE, "--format", help="How to print."),
    write: list[str] = typer.Option(
        None,
        "--write",
        metavar="FORMAT=FILE",
        help="Write the same in another format too, e.g. junit=drift.xml; may be repeated.",
        show_default=False,
    ),
    fail_on: FailOn = typer.Option(
        FailOn.DRIFT, "--fail-on", help="From where on to leave with 1: also warnings, drift, of behaviour only, never."
    ),
) -> None:
    """Do what is due once, for cron and CI. Exit code 0 ok, 1 drift or a tripwire that pages, 3 could not measure."""
    from driftwatch.cli.checked import check_of, exit_code, of_the_watch  # noqa: PLC0415 - slow import
    from driftwatch.cli.formats import FORMATS, Outcome  # noqa: PLC0415 - slow import

    files = [_file(wanted) for wanted in write or ()]
    settings = load_settings(config)
    start_logging("warning", settings.log.format)
    names = pick_targets(settings, targets or ())

    async def work(application: App) -> Outcome:
        from driftwatch.cli.standing import standing  # noqa: PLC0415 - slow import

        await _wait_in_simulated_time(application, names)
        made = await application.run_due(names, now=now)
        paused = application.paused()
        checks = [
            check_of(
                application.store,
                name,
                standing(application.store, name),
                ran=made.get(name) is not None,
                paused=paused[name].sentence if name in paused else None,
                place=settings.place_of(("targets", name)),
                model=settings.targets[name].model,
            )
            for name in names
        ]
        watch = of_the_watch(application.store)
        return Outcome(at=application.clock.now(), checks=checks, watch=watch, version=__version__)

    # Console receivers print on standard output, which belongs to the document when one is asked for.
    outcome = with_app(settings, work, write=None if output is CheckFormat.TABLE else _aside)
    for name, file in files:
        write_text(file, FORMATS[name](outcome))
    if output is CheckFormat.TABLE:
        _print(outcome)
    else:
        typer.echo(FORMATS[output.value](outcome))
    raise typer.Exit(exit_code(outcome.checks, fail_on, watch=outcome.watch))


def _file(wanted: str) -> tuple[str, Path]:
    """One ``--write``: the format and where to."""
    from driftwatch.cli.formats import FORMATS  # noqa: PLC0415 - slow import

    name, _, file = wanted.partition("=")
    if name not in FORMATS:
        raise UsageError(unknown("format", name, FORMATS))
    if not file:
        raise UsageError(f"--write {wanted} names no file; write --write {name}=FILE")
    return name, Path(file)


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


def _print(outcome: Outcome) -> None:
    from driftwatch.cli.printing import say, show  # noqa: PLC0415 - slow import
    from driftwatch.cli.style import badge, plain, table  # noqa: PLC0415 - slow import

    rows = table("target", "state", "this time", "why")
    for check in outcome.checks:
        if check.paused is not None:
            rows.add_row(check.target, badge(check.state), "paused", plain(f"{check.paused}; {check.reason}"))
        else:
            rows.add_row(check.target, badge(check.state), "ran" if check.ran else "not due", plain(check.reason))
    show(rows)
    for check in outcome.checks:
        if check.notable is not None:
            say(f"{check.target}: {plain(check.notable)}")
    for found in outcome.watch:
        say(f"the watch itself: {plain(found.headline)}")
