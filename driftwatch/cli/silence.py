"""``driftwatch silence``: tell nobody for a while, with who decided it and why."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.check import Format
from driftwatch.cli.context import CONFIG, author, load_settings, open_store, reason_for, unknown, when
from driftwatch.cli.incidents import BY, FORMAT
from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from driftwatch.config import Settings
    from driftwatch.domain import Silence

app = typer.Typer(no_args_is_help=False, invoke_without_command=True, help="Tell nobody for a while: list, add, end.")

ALL = typer.Option(False, "--all", "-a", help="Those that have ended too.")


@app.callback()
def listing(
    context: typer.Context,
    config: Path | None = CONFIG,
    all_: bool = ALL,
    output: Format = FORMAT,
) -> None:
    """List silences; without a subcommand."""
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
    """List silences; the same as without a subcommand."""
    _list(config or context.obj, all_=all_, output=output)


def _list(config: Path | None, *, all_: bool, output: Format) -> None:
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use

    at = WallClock().now()
    settings = load_settings(config)
    with open_store(settings) as store:
        found = store.silences(ending_after=None if all_ else at)
    if output is Format.JSON:
        typer.echo(json.dumps([_as_json(silence, at) for silence in found], indent=2))
        return
    if not found:
        typer.echo("No silences." if all_ else "No silences; --all shows those that have ended.")
        return
    from driftwatch.cli.printing import show  # noqa: PLC0415 - slow import
    from driftwatch.cli.style import plain, table  # noqa: PLC0415 - slow import

    rows = table("no.", "what", "until (UTC)", "who and why")
    for silence in found:
        until = (
            when(silence.ends_at) if silence.starts_at <= at else f"{when(silence.starts_at)} - {when(silence.ends_at)}"
        )
        ended = f" (ended by {silence.ended_by})" if silence.ended_by else ""
        rows.add_row(str(silence.id), plain(_what(silence)), until, plain(f"{silence.author}: {silence.reason}{ended}"))
    show(rows)


@app.command()
def add(
    context: typer.Context,
    number: int | None = typer.Argument(
        None, help="The incident to be silent about; or say below what.", show_default=False
    ),
    config: Path | None = CONFIG,
    target: list[str] = typer.Option([], "--target", help="Targets, by name or pattern (support-*)."),
    kind: list[str] = typer.Option(
        [], "--kind", help="behaviour, performance, availability, tripwire or watch-itself."
    ),
    owner: list[str] = typer.Option([], "--owner", help="Owners, by name or pattern."),
    feature: list[str] = typer.Option([], "--feature", help="Features, by name or pattern."),
    severity: list[str] = typer.Option([], "--severity", help="critical, warning or info."),
    length: str | None = typer.Option(None, "--for", metavar="24h", help="How long from now on."),
    until: str | None = typer.Option(None, "--until", metavar="TIME", help="Until when, e.g. 2026-03-16T09:00Z."),
    by: str | None = BY,
    reason: str = typer.Option(..., "--reason", help="Why; stored and shown with what is muted."),
) -> None:
    """Tell nobody of an incident, or of all that fits every option given; what still stands is told afterwards."""
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use
    from driftwatch.desk import Desk  # noqa: PLC0415 - slow import
    from driftwatch.domain import Kind, Severity  # noqa: PLC0415 - beside its use

    for option, words, known in (("kind", kind, list(Kind)), ("severity", severity, list(Severity))):
        for word in words:
            if word not in known:
                raise UsageError(f"there is no {option} '{word}'; write {', '.join(known)}")
    match = {"target": target, "kind": kind, "owner": owner, "feature": feature, "severity": severity}
    if number is not None and any(match.values()):
        raise UsageError("an incident's number says what is silenced; leave out the other options, or the number")
    at = WallClock().now()
    ends_at = _end(length, until, at)
    settings = load_settings(config or context.obj)
    why, who = reason_for("it is silenced", reason), author(by)
    fitting_none = _fitting_none(settings, match)
    with open_store(settings) as store:
        desk = Desk(store, targets={})
        if number is not None:
            made = desk.silence(number, length=ends_at - at, author=who, reason=why, at=at)
        else:
            made = desk.silence_where(match, starts_at=at, ends_at=ends_at, author=who, reason=why, at=at)
    typer.echo(f"Silence {made.id} of {_what(made)} until {when(made.ends_at)} UTC, by {who}.")
    for sentence in fitting_none:
        typer.echo(f"Nothing fits yet: {sentence}")
    typer.echo(f"What still stands then is told. To end it earlier: driftwatch silence end {made.id} --reason …")


@app.command()
def end(
    context: typer.Context,
    number: int = typer.Argument(help="The silence's number."),
    config: Path | None = CONFIG,
    by: str | None = BY,
    reason: str = typer.Option(..., "--reason", help="Why."),
) -> None:
    """End a silence before its time: what still stands is told."""
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use
    from driftwatch.desk import Desk  # noqa: PLC0415 - slow import

    settings = load_settings(config or context.obj)
    why, who = reason_for("the silence ends", reason), author(by)
    with open_store(settings) as store:
        Desk(store, targets={}).end_silence(number, author=who, reason=why, at=WallClock().now())
    typer.echo(f"Silence {number} ended by {who}. A running `driftwatch serve` tells what still stands.")


def _fitting_none(settings: Settings, match: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each name or pattern that nothing in the config fits: a slip, or about what is to come."""
    from driftwatch.domain import WATCH  # noqa: PLC0415 - beside its use

    targets = settings.targets
    there = {
        "target": [*targets, WATCH],
        "owner": [target.owner for target in targets.values() if target.owner],
        "feature": [target.feature for target in targets.values() if target.feature],
    }
    nothing = []
    for key, known in there.items():
        for wanted in match[key]:
            pattern = ".*".join(map(re.escape, wanted.split("*")))
            if any(re.fullmatch(pattern, name, re.DOTALL) for name in known):
                continue
            nothing.append(unknown(key, wanted, known))
    return nothing


def _end(length: str | None, until: str | None, at: datetime) -> datetime:
    from driftwatch.config.fields import duration_s  # noqa: PLC0415 - slow import

    if (length is None) == (until is None):
        raise UsageError("say once how long: --for 24h, or --until 2026-03-16T09:00Z")
    if length is not None:
        length_s = duration_s(length)
        if length_s is None or length_s <= 0:
            raise UsageError(f"--for {length!r} is no length of time; write one like 30m, 24h or 7d")
        return at + timedelta(seconds=length_s)
    try:
        found = datetime.fromisoformat(until or "")
    except ValueError:
        raise UsageError(f"--until {until!r} is no time; write one like 2026-03-16T09:00Z") from None
    if found.tzinfo is None:
        raise UsageError(f"--until {until} has no time zone; write {until}Z for UTC")
    if found <= at:
        raise UsageError(f"--until {until} is over already; write a later time")
    return found


def _what(silence: Silence) -> str:
    """What it matches in words: ``target support-*, kind behaviour``."""
    return ", ".join(f"{key} {' or '.join(values)}" for key, values in silence.match.items())


def _as_json(silence: Silence, at: datetime) -> dict[str, object]:
    return {
        "id": silence.id,
        "match": {key: list(values) for key, values in silence.match.items()},
        "is_active": silence.is_active(at),
        "starts_at": silence.starts_at.isoformat(),
        "ends_at": silence.ends_at.isoformat(),
        "author": silence.author,
        "reason": silence.reason,
        "ended_by": silence.ended_by,
    }
