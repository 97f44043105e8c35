"""``driftwatch rebaseline TARGET``: a person accepts the new behaviour, or takes that back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import (
    CONFIG,
    author,
    load_settings,
    pick_targets,
    reason_for,
    start_logging,
    unknown,
    with_app,
)
from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from driftwatch.app import App
    from driftwatch.rebaseline import Acceptance


def rebaseline(
    target: str = typer.Argument(help="The target's name in the config."),
    canaries: list[str] = typer.Argument(
        None, help="Accept only these canaries (suite/name), all when none is named.", show_default=False
    ),
    config: Path | None = CONFIG,
    reason: str = typer.Option(..., "--reason", help="Why it is accepted; stored with your name."),
    by: str | None = typer.Option(None, "--by", metavar="NAME", help="Who accepts; default: your login name."),
    since: str | None = typer.Option(
        None, "--since", metavar="TIME", help="When the new behaviour began; default: the open incident's onset."
    ),
    undo: bool = typer.Option(False, "--undo", help="Put the replaced baseline back."),
) -> None:
    """Accept what has been served since the change as the new normal, and resolve the incident."""
    settings = load_settings(config)
    start_logging("error", settings.log.format)
    [name] = pick_targets(settings, [target])
    why = reason_for("the replaced baseline is put back" if undo else "the new behaviour is accepted", reason)
    if undo and (canaries or since):
        raise UsageError("--undo puts the whole replaced baseline back; leave out the canaries and --since")
    begun = _time(since)
    decider = author(by)

    async def work(application: App) -> None:
        from driftwatch import rebaseline as accepting  # noqa: PLC0415 - slow import

        wanted = next(t for t in application.targets if t.name == name)
        ids = [canary.id for canary in wanted.canaries]
        for canary in canaries or ():
            if canary not in ids:
                raise UsageError(unknown("canary", canary, ids))
        at = application.clock.now()
        if begun is not None and begun > at:
            raise UsageError(f"--since {since} is in the future; write when the new behaviour began")
        if undo:
            restored = accepting.undo(application.store, wanted, author=decider, reason=why, at=at)
            typer.echo(f"{name}: baseline {restored.id} of {restored.created_at:%Y-%m-%d %H:%M} UTC is back.")
            typer.echo(
                "The next run is judged against it; if what is served still differs, it pages again as a new incident."
            )
            return
        accepted = accepting.accept(
            application.store,
            wanted,
            application.pipeline.embedder,
            canary_ids=list(canaries or ()),
            since=begun,
            author=decider,
            reason=why,
            at=at,
        )
        _tell(name, accepted)
        await application.deliver()

    with_app(settings, work)


def _tell(name: str, accepted: Acceptance) -> None:
    numbers = ", ".join(str(incident.id) for incident in accepted.resolved)
    typer.echo(f"{name}: baseline {accepted.baseline.id} accepted by {accepted.baseline.author}.")
    if numbers:
        typer.echo(f"Resolved: incident {numbers}.")
    if accepted.missing_runs:
        typer.echo(
            f"{accepted.n_calibration} of {accepted.baseline.calibration_wanted} calibration runs are there; "
            f"the watch is armed after {accepted.missing_runs} more. At once: driftwatch baseline {name}"
        )
    else:
        typer.echo(f"Armed again with {accepted.n_calibration} calibration runs.")
    if accepted.creep is not None:
        words = accepted.creep.in_words()
        typer.echo(f"{words[0].upper()}{words[1:]}.")
    typer.echo(f"To take it back: driftwatch rebaseline {name} --undo --reason …")


def _time(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        parsed = datetime.fromisoformat(given)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"--since {given!r} is not a time; write it like 2026-03-16T09:00Z") from None
