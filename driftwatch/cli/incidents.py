"""``driftwatch incidents``: list, show, acknowledge, comment, resolve; all by the number of the whole group."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.check import Format
from driftwatch.cli.context import CONFIG, author, console, load_settings, open_store, reason_for, when

if TYPE_CHECKING:
    from rich.console import Console

    from driftwatch.desk import Desk
    from driftwatch.domain import Announcement, Incident, IncidentState, Notification
    from driftwatch.store import Store

app = typer.Typer(no_args_is_help=False, invoke_without_command=True, help="List, show, acknowledge, comment, resolve.")

BY = typer.Option(None, "--by", metavar="NAME", help="Who decides; default: your login name.", show_default=False)
REASON = typer.Option(..., "--reason", help="Why; stored and shown with the incident.")
NUMBER = typer.Argument(help="The incident's number.")
ALL = typer.Option(False, "--all", "-a", help="Resolved ones too.")
FORMAT = typer.Option(Format.TABLE, "--format", help="How to print.")

_NAMES = 18
"""Columns that the names of targets may take in the list, so that it fits into 80."""


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
        leads = dict.fromkeys(incident.lead_id for incident in store.incidents(open_only=not all_))
        groups = [store.group(lead) for lead in leads]
        untold = {lead: _untold(store.group_notifications(lead)) for lead in leads}
    if output is Format.JSON:
        typer.echo(json.dumps([_as_json(group) for group in groups], indent=2))
    elif not groups:
        typer.echo("No incidents." if all_ else "No open incidents; --all shows resolved ones.")
    else:
        _print(console(), groups, untold)


def _print(terminal: Console, groups: Sequence[Sequence[Incident]], untold: dict[int, list[str]]) -> None:
    """One line for each group, and below it what happened: a table would fold its cells in 80 columns."""
    from rich.text import Text  # noqa: PLC0415 - slow import

    from driftwatch.alert.evidence import IncidentEvidence  # noqa: PLC0415 - slow import
    from driftwatch.cli.printing import say  # noqa: PLC0415 - slow import
    from driftwatch.cli.style import badge, plain  # noqa: PLC0415 - slow import

    wide = max(7, *(len(_targets(group)) for group in groups))
    head = f"{'no.':>4}  {'targets':<{wide}}  {'kind':<12}  {'severity':<8}  {'state':<12}  since (UTC)"
    terminal.print(Text(head, style="dim"), soft_wrap=True)
    for group in groups:
        lead, state = group[0], _state(group)
        line = Text(f"{lead.id:>4}  {_targets(group):<{wide}}  {lead.kind:<12}  {_severity(group):<8}  ")
        line += badge(state) + Text(f"{'':<{12 - len(state)}}  {min(m.onset_at for m in group):%Y-%m-%d %H:%M}")
        terminal.print(line, soft_wrap=True)
        stored = IncidentEvidence.from_json(lead.evidence)
        below = [plain(stored.headline)] if stored.headline else []
        below += [f"whose change: {plain(stored.attribution.verdict.value)}"] if stored.attribution else []
        below += [plain(sentence) for sentence in untold[lead.id]]
        for sentence in below:
            say(sentence, indent=6)


def _untold(notifications: Iterable[Notification]) -> list[str]:
    """Who has not been told of what, and why, one sentence for each receiver."""
    from driftwatch.domain import NotificationState  # noqa: PLC0415 - beside its use

    found: dict[str, str] = {}
    for n in notifications:
        if n.state is NotificationState.DEAD:
            found[n.receiver] = f"not told: {n.receiver}: {n.last_error}"
        elif n.state is NotificationState.PENDING and n.last_error:
            tried = f" after {n.attempts} attempts" if n.attempts else ""
            found[n.receiver] = f"not told yet: {n.receiver}{tried}: {n.last_error}"
        elif n.state is NotificationState.SENT:
            found.pop(n.receiver, None)
    return list(found.values())


@app.command()
def show(
    context: typer.Context,
    number: int = NUMBER,
    config: Path | None = CONFIG,
    output: Format = FORMAT,
) -> None:
    """Show one incident as it was told, every step since, and who was told of it."""
    settings = load_settings(config or context.obj)
    with open_store(settings) as store:
        found = _desk(store).evidence(number)
        told = store.group_notifications(number)
    if output is Format.JSON:
        steps = [
            {
                "at": step.at.isoformat(),
                "incident": step.incident_id,
                "event": step.event,
                "before": step.before,
                "after": step.after,
                "author": step.author,
                "reason": step.reason,
            }
            for step in found.history
        ]
        sent = [
            {
                "receiver": n.receiver,
                "step": next(i for i, step in enumerate(found.history) if step.id == n.transition_id),
                "state": n.state,
                "attempts": n.attempts,
                "sent_at": n.sent_at.isoformat() if n.sent_at else None,
                "why": n.last_error,
            }
            for n in told
        ]
        shown = {**_as_json(found.members), "evidence": dict(found.lead.evidence), "steps": steps, "told": sent}
        typer.echo(json.dumps(shown, indent=2))
        return
    _tell(found, told)


def _tell(found: Announcement, told: Sequence[Notification]) -> None:
    from driftwatch.alert.message import compose  # noqa: PLC0415 - beside its use
    from driftwatch.alert.receivers.console import render_text  # noqa: PLC0415 - beside its use
    from driftwatch.alert.text import line  # noqa: PLC0415 - beside its use

    members = {member.id: member for member in found.members}
    first = found.history[0]
    key = told[0].dedup_key if told else ""
    opening = replace(found, incident=members[first.incident_id], transition=first, dedup_key=key)
    typer.echo(render_text(compose(opening)))
    if len(members) > 1:
        typer.echo("Incidents")
        for member in found.members:
            typer.echo(f"  {member.id:<5} {member.target}  {member.kind}, {member.severity}, {member.state}")
    typer.echo("Steps")
    for step in found.history:
        whose = f"{members[step.incident_id].target}: " if len(members) > 1 else ""
        typer.echo(f"  {when(step.at)}  {step.event:<12}  {whose}{line(step.author, 100)}: {line(step.reason)}")
    if told:
        typer.echo("Told")
    events = {step.id: step.event for step in found.history}
    for n in told:
        trouble = f": {line(n.last_error)}" if n.last_error else ""
        state = f"sent {when(n.sent_at)}" if n.sent_at else f"{n.state}{trouble}"
        typer.echo(f"  {n.receiver}: {events[n.transition_id]}: {state}")


@app.command()
def ack(
    context: typer.Context,
    number: int = NUMBER,
    config: Path | None = CONFIG,
    by: str | None = BY,
    reason: str = REASON,
) -> None:
    """Say that somebody is on it: reminders and escalations end."""
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use

    settings = load_settings(config or context.obj)
    why, who = reason_for("you are on it", reason), author(by)
    with open_store(settings) as store:
        moved = _desk(store).acknowledge(number, author=who, reason=why, at=WallClock().now())
    typer.echo(f"Incident {moved[0].lead_id} acknowledged by {who}.")


@app.command()
def comment(
    context: typer.Context,
    number: int = NUMBER,
    config: Path | None = CONFIG,
    by: str | None = BY,
    reason: str = typer.Option(..., "--reason", help="What others should know; stored and shown with the incident."),
) -> None:
    """Note something for whoever reads of it."""
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use

    settings = load_settings(config or context.obj)
    why, who = reason_for("others should read it", reason), author(by)
    with open_store(settings) as store:
        moved = _desk(store).comment(number, author=who, reason=why, at=WallClock().now())
    typer.echo(f"Noted by {who} on incident {moved[0].lead_id}.")


@app.command()
def resolve(
    context: typer.Context,
    number: int = NUMBER,
    config: Path | None = CONFIG,
    by: str | None = BY,
    reason: str = REASON,
) -> None:
    """Close an incident by hand. To accept the new behaviour use `driftwatch rebaseline`."""
    from driftwatch.alert.incidents import UNMEASURED  # noqa: PLC0415 - beside its use
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use

    settings = load_settings(config or context.obj)
    why, who = reason_for("the incident is over", reason), author(by)
    with open_store(settings) as store:
        moved = _desk(store).resolve(number, author=who, reason=why, at=WallClock().now())
    typer.echo(f"Incident {moved[0].lead_id} resolved by {who}. A running `driftwatch serve` tells the receivers.")
    drifted = list(dict.fromkeys(incident.target for incident in moved if incident.kind not in UNMEASURED))
    if drifted:
        whole = " --group" if len(drifted) > 1 else ""
        typer.echo(
            "While this drift lasts, no other of its kind pages; `driftwatch status` tells when it is over. "
            f"To accept it and be watched from here: driftwatch rebaseline {drifted[0]}{whole} --reason …"
        )


def _desk(store: Store) -> Desk:
    """A desk at which nothing is accepted: that needs targets and the embedder, see `driftwatch rebaseline`."""
    from driftwatch.desk import Desk  # noqa: PLC0415 - slow import

    return Desk(store, targets={})


def _targets(group: Sequence[Incident]) -> str:
    """The lead's target, cut where it is long, and how many others there are: ``support +5``."""
    names = list(dict.fromkeys(member.target for member in group))
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    room = _NAMES - len(more)
    name = names[0] if len(names[0]) <= room else f"{names[0][: room - 1]}…"
    return f"{name}{more}"


def _state(group: Sequence[Incident]) -> IncidentState:
    from driftwatch.alert.holding import is_answered  # noqa: PLC0415 - slow import
    from driftwatch.domain import IncidentState  # noqa: PLC0415 - beside its use

    if not any(member.is_open for member in group):
        return IncidentState.RESOLVED
    return IncidentState.ACKNOWLEDGED if is_answered(group) else IncidentState.OPEN


def _severity(group: Sequence[Incident]) -> str:
    """Of the gravest that is open, of all when it is over."""
    standing = [member for member in group if member.is_open] or group
    return min((member.severity for member in standing), key=lambda severity: severity.rank).value


def _as_json(group: Sequence[Incident]) -> dict[str, object]:
    from driftwatch.alert.evidence import IncidentEvidence  # noqa: PLC0415 - slow import

    lead, state = group[0], _state(group)
    stored = IncidentEvidence.from_json(lead.evidence)
    ends = [member.resolved_at for member in group if member.resolved_at is not None]
    return {
        "id": lead.id,
        "target": lead.target,
        "kind": lead.kind,
        "state": state,
        "severity": _severity(group),
        "onset_at": min(member.onset_at for member in group).isoformat(),
        "opened_at": lead.opened_at.isoformat(),
        "resolved_at": max(ends).isoformat() if ends and not any(member.is_open for member in group) else None,
        "headline": lead.evidence.get("headline"),
        "whose": stored.attribution.verdict.value if stored.attribution else None,
        "targets": list(dict.fromkeys(member.target for member in group)),
        "members": [
            {
                "id": member.id,
                "target": member.target,
                "kind": member.kind,
                "state": member.state,
                "severity": member.severity,
                "onset_at": member.onset_at.isoformat(),
                "headline": member.evidence.get("headline"),
            }
            for member in group
        ],
    }
