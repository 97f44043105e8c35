"""``driftwatch rebaseline TARGET --history``: who changed a target's baseline, when and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from driftwatch.rebaseline import Act, Entry, audit

if TYPE_CHECKING:
    from driftwatch.store import Store


def show(store: Store, name: str, output: str) -> None:
    """Print the audit log of a target, oldest first."""
    entries = audit(store, name)
    if output == "json":
        typer.echo(json.dumps([_json(entry) for entry in entries], indent=2))
    elif not entries:
        typer.echo(f"{name}: no baseline yet; run `driftwatch baseline {name}`")
    elif output == "markdown":
        from driftwatch.cli.preview_text import escaped  # noqa: PLC0415 - beside its use

        typer.echo("| when (UTC) | who | what | why |\n|---|---|---|---|")
        for entry in entries:
            cells = (f"{entry.at:%Y-%m-%d %H:%M}", entry.author, what(entry), entry.reason)
            typer.echo(f"| {' | '.join(map(escaped, cells))} |")
    else:
        _print(entries)


def what(entry: Entry) -> str:
    """An act in words."""
    baseline = entry.baseline
    said = f"baseline {baseline.id} {_DONE[entry.act]}"
    if entry.replaced is not None:
        said += f", in the place of {entry.replaced}"
    if entry.act is Act.BROUGHT_IN:
        said += f" (accepted by {baseline.author} on {baseline.created_at:%Y-%m-%d}: {baseline.reason})"
    if entry.act in {Act.BEGUN, Act.BROUGHT_IN}:
        if baseline.scope:
            said += f"; for {', '.join(baseline.scope)}"
        if baseline.expires_at:
            said += f"; until {baseline.expires_at:%Y-%m-%d %H:%M} UTC"
    if entry.resolved:
        said += f"; ended incident {', '.join(map(str, entry.resolved))}"
    return said


_DONE = {
    Act.BEGUN: "begun",
    Act.BROUGHT_IN: "brought in from a file",
    Act.ARMED: "armed",
    Act.RESTORED: "is back",
    Act.KEPT: "kept",
}


def _json(entry: Entry) -> dict[str, object]:
    baseline = entry.baseline
    return {
        "at": entry.at.isoformat(),
        "author": entry.author,
        "act": entry.act,
        "reason": entry.reason,
        "baseline": baseline.id,
        "state": baseline.state,
        "replaced": entry.replaced,
        "scope": list(baseline.scope),
        "expires_at": baseline.expires_at.isoformat() if baseline.expires_at else None,
        "resolved": list(entry.resolved),
    }


def _print(entries: list[Entry]) -> None:
    from driftwatch.cli.context import when  # noqa: PLC0415 - slow import
    from driftwatch.cli.printing import show  # noqa: PLC0415 - slow import
    from driftwatch.cli.style import plain, table  # noqa: PLC0415 - slow import

    rows = table("when (UTC)", "who", "what", "why")
    for entry in entries:
        rows.add_row(when(entry.at), plain(entry.author), plain(what(entry)), plain(entry.reason))
    show(rows)
