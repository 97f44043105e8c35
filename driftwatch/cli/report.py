"""``driftwatch report``: one HTML page about an incident or a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, find_incident, load_settings, open_store, unknown
from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from driftwatch.config import Settings


def report(
    subject: str = typer.Argument(
        None, help="An incident's number or a target's name; default: the newest incident.", show_default=False
    ),
    config: Path | None = CONFIG,
    output: Path = typer.Option(Path("driftwatch-report.html"), "--output", "-o", help="Where to write."),
) -> None:
    """Write a self-contained HTML page: what changed, since when, how sure, before and after."""
    settings = load_settings(config)
    if subject is None or (subject.isascii() and subject.isdigit()):
        write_report(settings, int(subject) if subject else None, output)
    else:
        write_report(settings, None, output, target_name=subject)
    typer.echo(f"Wrote {output}.")


def write_report(settings: Settings, number: int | None, output: Path, *, target_name: str | None = None) -> None:
    """Write the page.

    Args:
        settings: whose store and targets.
        number: the incident; the newest when None and no target is named.
        output: the file.
        target_name: write about this target instead of an incident.

    Raises:
        UsageError: there is no such incident or target, or the file cannot be written.
    """
    from driftwatch.app import build_targets  # noqa: PLC0415 - slow import
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use
    from driftwatch.report import render  # noqa: PLC0415 - slow import

    targets = {target.name: target for target in build_targets(settings)}
    with open_store(settings) as store:
        incident = None
        if target_name is None:
            newest = store.incidents(limit=1)
            incident = find_incident(store, number) if number is not None else newest[0] if newest else None
        name = target_name or (incident.target if incident else next(iter(targets)))
        if name not in targets:
            raise UsageError(unknown("target", name, targets))
        page = render(store, targets[name], incident, at=WallClock().now())
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        # Making the folders of a path that leads through a file says that the file exists.
        reason = "a file is in the way" if isinstance(error, FileExistsError) else error.strerror
        raise UsageError(f"cannot write {output}: {reason}; name another file with --output") from None
