"""``driftwatch incidents``: list, show, acknowledge, resolve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.check import Format
from driftwatch.cli.context import (
    CONFIG,
    author,
    console,
    find_incident,
    load_settings,
    open_store,
    reason_for,
    when,
)

if TYPE_CHECKING:
    from driftwatch.domain import Incident, Step
    from driftwatch.store import Store

app = typer.Typer(no_args_is_help=False, invoke_without_command=True, help="List, show, acknowledge, resolve.")

BY = typer.Option(None, "--by", metavar="NAME", help="Who decides; default: your login name.", show_default=False)
REASON = typer.Option(..., "--reason", help="Why; stored and shown with the incident.")
NUMBER = typer.Argument(help="The incident's number.")
ALL = typer.Option(False, "--all", "-a", help="Resolved ones too.")
FORMAT = typer.Option(Format.TABLE, "--format", help="How to print.")


@app.callback()
def listing(
    context: typer.Context,
    config: Path | None = CONFIG,
    all_: bool = ALL,
    output: Format = FORMAT,
) -> None:
    """List incidents, newest first; without a subcommand."""
    context.obj = config
    if context.invoked_subcommand is None:
        _list(config, all_=all_, output=output)


@app.command("list")
def list_(
    context: typer.Context,
    config: Path | None = CONFIG,
    all_: bool = ALL,
    output: Format = FORMAT,
) -> None:
    """List incidents, newest first; the same as without a subcommand."""
    _list(config or context.obj, all_=all_, output=output)


def _list(config: Path | None, *, all_: bool, output: Format) -> None:
    settings = load_settings(config)
    with open_store(settings) as store:
        found = store.incidents(open_only=not all_)
    if output is Format.JSON:
        typer.echo(json.dumps([_as_json(incident) for incident in found], indent=2))
        return
    from driftwatch.cli.style import badge, plain, table  # noqa: PLC0415 - slow import

    if not found:
        typer.echo("No incidents." if all_ else "No open incidents; --all shows resolved ones.")
        return
    rows = table("number", "target", "kind", "state", "since (UTC)", "opened (UTC)", "what")
    for incident in found:
        rows.add_row(
            str(incident.id),
            incident.target,
            incident.kind.value,
            badge(incident.state),
            when(incident.onset_at),
            when(incident.opened_at),
            plain(str(incident.evidence.get("headline", ""))),
        )
    console().print(rows)


@app.command()
def show(
    context: typer.Context,
    number: int = NUMBER,
    config: Path | None = CONFIG,
    output: Format = FORMAT,
) -> None:
    """Show one incident as it was told, and every step since."""
    from driftwatch.alert.console import render_text  # noqa: PLC0415 - beside its use
    from driftwatch.alert.message import compose  # noqa: PLC0415 - beside its use
    from driftwatch.domain import Announcement  # noqa: PLC0415 - beside its use

    settings = load_settings(config or context.obj)
    with open_store(settings) as store:
        incident = find_incident(store, number)
        steps = store.transitions(number)
        deliveries = store.notifications(number)
    if output is Format.JSON:
        rows = [
            {"at": s.at.isoformat(), "before": s.before, "after": s.after, "author": s.author, "reason": s.reason}
            for s in steps
        ]
        typer.echo(json.dumps({**_as_json(incident), "evidence": dict(incident.evidence), "steps": rows}, indent=2))
        return
    key = deliveries[0].dedup_key if deliveries else ""
    opening = Announcement(incident=incident, transition=steps[0], dedup_key=key, history=steps)
    typer.echo(render_text(compose(opening)))
    typer.echo("Steps")
    for step in steps:
        typer.echo(f"  {when(step.at)}  {step.after:<13} {step.author}: {step.reason}")
    for delivery in deliveries:
        trouble = f": {delivery.last_error}" if delivery.last_error else ""
        told = f"sent {when(delivery.sent_at)}" if delivery.sent_at else f"{delivery.state}{trouble}"
        typer.echo(f"  to {delivery.receiver}: {told}")


@app.command()
def ack(
    context: typer.Context,
    number: int = NUMBER,
    config: Path | None = CONFIG,
    by: str | None = BY,
    reason: str = REASON,
) -> None:
    """Say that somebody is on it."""
    from driftwatch.alert import incidents  # noqa: PLC0415 - beside its use
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use

    settings = load_settings(config or context.obj)
    why, who = reason_for("you are on it", reason), author(by)
    with open_store(settings) as store:
        incident = find_incident(store, number)
        step = incidents.acknowledge(incident, author=who, reason=why, at=WallClock().now())
        _write(store, step)
    typer.echo(f"Incident {number} acknowledged by {who}.")


@app.command()
def resolve(
    context: typer.Context,
    number: int = NUMBER,
    config: Path | None = CONFIG,
    by: str | None = BY,
    reason: str = REASON,
) -> None:
    """Close an incident by hand. To accept the new behaviour use `driftwatch rebaseline`."""
    from driftwatch.alert import incidents  # noqa: PLC0415 - beside its use
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use
    from driftwatch.domain import Kind  # noqa: PLC0415 - beside its use

    settings = load_settings(config or context.obj)
    why, who = reason_for("the incident is over", reason), author(by)
    with open_store(settings) as store:
        incident = find_incident(store, number)
        receivers = settings.targets[incident.target].receivers if incident.target in settings.targets else ()
        step = incidents.resolve(incident, author=who, reason=why, at=WallClock().now(), receivers=tuple(receivers))
        _write(store, step)
    typer.echo(f"Incident {number} resolved by {who}. A running `driftwatch serve` tells the receivers.")
    if incident.kind is not Kind.AVAILABILITY:
        typer.echo(
            "While this drift lasts, no other of its kind pages; `driftwatch status` tells when it is over. "
            f"To accept it and be watched from here: driftwatch rebaseline {incident.target} --reason …"
        )


def _write(store: Store, step: Step) -> None:
    store.commit_judgement(None, [step], at=step.at)


def _as_json(incident: Incident) -> dict[str, object]:
    return {
        "id": incident.id,
        "target": incident.target,
        "kind": incident.kind,
        "state": incident.state,
        "onset_at": incident.onset_at.isoformat(),
        "opened_at": incident.opened_at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
        "headline": incident.evidence.get("headline"),
    }
