"""``driftwatch alerts``: who can be told, whether they can be reached, and a test message to one of them."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.check import Format
from driftwatch.cli.context import (
    CONFIG,
    author,
    load_settings,
    open_store,
    start_logging,
    unknown,
    when,
)
from driftwatch.errors import DeliveryError, DriftwatchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from driftwatch.config import Settings
    from driftwatch.domain import Announcement, Json, Notification

app = typer.Typer(no_args_is_help=False, invoke_without_command=True, help="List receivers, send a test message.")

STATEFUL = ("pagerduty", "alertmanager")
"""Types of receivers in which a test would leave something open: it is ended right after."""
TEST_TARGET = "TEST, nothing is wrong"
_AGAIN = "; trying again later"
"""What a receiver's error ends in when the outbox repeats it; a test is sent once."""
RECEIVERS = typer.Argument(None, help="Names of receivers in the config.", show_default=False)
ALL = typer.Option(False, "--all", "-a", help="All receivers of the config at once.")
FORMAT = typer.Option(Format.TABLE, "--format", help="How to print.")


class Told(StrEnum):
    """What a test message can tell; the words are those of ``domain.Event``."""

    OPENED = "opened"
    ESCALATED = "escalated"
    REOPENED = "reopened"
    REMINDED = "reminded"
    ACKNOWLEDGED = "acknowledged"
    COMMENTED = "commented"
    RESOLVED = "resolved"


EVENT = typer.Option(Told.OPENED, "--event", help="What the message tells.")


@app.callback()
def listing(context: typer.Context, config: Path | None = CONFIG, output: Format = FORMAT) -> None:
    """List the receivers; without a subcommand."""
    context.obj = config
    if context.invoked_subcommand is None:
        _list(config, output=output)


@app.command("list")
def list_(context: typer.Context, config: Path | None = CONFIG, output: Format = FORMAT) -> None:
    """List the receivers: what each needs, whether that is there, and the last delivery."""
    _list(config or context.obj, output=output)


def _list(config: Path | None, *, output: Format) -> None:
    settings = load_settings(config)
    told = _told(settings)
    rows = [_row(settings, name, [n for n in told if n.receiver == name]) for name in settings.receivers]
    if output is Format.JSON:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo("No receivers. Add one under `receivers:` in the config; docs/receivers.md has an example of each.")
        return
    from driftwatch.cli.printing import show  # noqa: PLC0415 - slow import
    from driftwatch.cli.style import plain, table  # noqa: PLC0415 - slow import

    shown = table("receiver", "type", "needs", "is it there?", "last delivery (UTC)", "waiting")
    for row in rows:
        shown.add_row(
            row["receiver"],
            row["type"],
            plain(", ".join(row["needs"]) or "nothing"),
            plain("; ".join(row["missing"]) or "yes"),
            plain(str(row["last_delivery"] or "never") + (f", then: {row['trouble']}" if row["trouble"] else "")),
            str(row["waiting"]),
        )
    show(shown)


def _row(settings: Settings, name: str, told: Sequence[Notification]) -> dict[str, Json]:
    """What is known of one receiver; nothing in it is secret."""
    from driftwatch.config import secrets_of  # noqa: PLC0415 - pydantic is slow to import
    from driftwatch.domain import NotificationState  # noqa: PLC0415 - beside its use

    receiver = settings.receivers[name]
    needs = [f"${variable}" if variable else str(file) for variable, file in secrets_of(receiver).values()]
    sent = [n for n in told if n.sent_at is not None]
    waiting = [n for n in told if n.state is NotificationState.PENDING]
    last_sent = max((n.id for n in sent), default=0)
    refused = [n for n in told if n.state is NotificationState.DEAD and n.id > last_sent]
    trouble = next((n.last_error for n in reversed(refused + waiting) if n.last_error and n.attempts), None)
    return {
        "receiver": name,
        "type": receiver.type,
        "needs": needs,
        "missing": _missing(settings, name),
        "last_delivery": when(max(n.sent_at for n in sent if n.sent_at)) if sent else None,
        "waiting": len(waiting),
        "trouble": trouble,
    }


def _told(settings: Settings) -> list[Notification]:
    if not settings.store.exists():
        return []
    with open_store(settings) as store:
        return store.notifications()


def _missing(settings: Settings, name: str) -> list[str]:
    from driftwatch.config import missing_secrets  # noqa: PLC0415 - pydantic is slow to import

    return [m.sentence for m in missing_secrets(settings, os.environ) if m.about == f"receiver {name}"]


@app.command("test")
def send_test(
    context: typer.Context,
    receivers: list[str] = RECEIVERS,
    all_: bool = ALL,
    event: Told = EVENT,
    config: Path | None = CONFIG,
) -> None:
    """Send a message that is marked as a test, once. Exit code 0: taken; 2: not set up; 3: not delivered.

    A test alert in PagerDuty or Alertmanager is ended right after, under a key of its own.
    """
    settings = load_settings(config or context.obj)
    start_logging("warning", settings.log.format)
    names = _named(settings, receivers or [], all_=all_)
    if len(names) == 1:
        asyncio.run(_test(settings, names[0], event))
    else:
        asyncio.run(_test_each(settings, names, event))


def _named(settings: Settings, names: Sequence[str], *, all_: bool) -> list[str]:
    """Those that are meant, each once.

    Raises:
        UsageError: one is unknown, none is named, or both names and ``--all`` are.
    """
    for name in names:
        if name not in settings.receivers:
            raise UsageError(unknown("receiver", name, settings.receivers))
    if not settings.receivers:
        raise UsageError("the config has no receivers; docs/receivers.md has an example of each")
    if bool(names) == all_:
        wish = "name receivers or write --all, not both" if all_ else "name a receiver, or write --all"
        raise UsageError(f"{wish}; there are: {', '.join(settings.receivers)}")
    return list(dict.fromkeys(names)) or list(settings.receivers)


async def _test_each(settings: Settings, names: Sequence[str], event: Told) -> None:
    """Test several at the same time, so that one which hangs holds up no other, and say of each what came of it.

    Raises:
        UsageError: some are not set up, and all others took the message.
        DriftwatchError: some did not take it.
    """

    async def test(name: str) -> DriftwatchError | None:
        try:
            await _test(settings, name, event)
        except DriftwatchError as error:
            typer.echo(f"not told: {error}", err=True)
            return error
        return None

    wrong = [error for error in await asyncio.gather(*map(test, names)) if error is not None]
    if not wrong:
        return
    said = f"{len(wrong)} of {len(names)} receivers did not take the message; the lines above say why"
    raise UsageError(said) if all(isinstance(e, UsageError) for e in wrong) else DriftwatchError(said)


async def _test(settings: Settings, name: str, event: Told) -> None:
    """Test one.

    Raises:
        UsageError: it is not set up, or has no use for the event.
        DeliveryError: it did not take the message.
    """
    try:
        await _send(settings, name, event)
    except DeliveryError as error:
        said = str(error).replace(_AGAIN, "")
        rest = "; `driftwatch serve` would try again" if error.retryable else ""
        raise DeliveryError(f"{said}{rest}", receiver=error.receiver, retryable=error.retryable) from None


async def _send(settings: Settings, name: str, event: Told) -> None:
    from driftwatch import wiring  # noqa: PLC0415 - slow import
    from driftwatch.clock import WallClock, stopwatch  # noqa: PLC0415 - beside its use
    from driftwatch.domain import Event  # noqa: PLC0415 - beside its use

    if missing := _missing(settings, name):
        raise UsageError(f"receiver '{name}': {'; '.join(missing)}")
    kind = settings.receivers[name].type
    notifier = wiring.notifiers(settings, os.environ, None)[name]
    if Event(event) not in notifier.events:
        told = ", ".join(known.value for known in Event if known in notifier.events and known.value in list(Told))
        raise UsageError(f"--event {event}: no use to a receiver of type {kind}; write one of {told}")
    key, elapsed = f"driftwatch-test-{uuid.uuid4().hex[:12]}", stopwatch()
    sent = announcement(event, key=key, by=author(None), at=WallClock().now())
    receipt = await notifier.send(sent)
    typer.echo(f"{name} ({kind}): taken in {elapsed():.1f} s.")
    if kind in STATEFUL and event is not Told.RESOLVED:
        over = announcement(Told.RESOLVED, key=key, by=author(None), at=WallClock().now(), receipt=receipt)
        await notifier.send(over)
        typer.echo(f"{name} ({kind}): the test alert is ended again.")
    if settings.store.exists():
        with open_store(settings) as store:
            n_again = store.revive(name, at=WallClock().now())
        if n_again:
            typer.echo(f"{name}: refused before, and due again: {n_again}; `driftwatch serve` sends what still stands.")


def announcement(
    event: Told, *, key: str, by: str, at: datetime, receipt: Mapping[str, Json] | None = None
) -> Announcement:
    """A message that nobody can take for news.

    Args:
        event: what it tells.
        key: of the made-up group; that of no real one.
        by: who tests.
        at: now.
        receipt: what the test before it returned.
    """
    from driftwatch.domain import (  # noqa: PLC0415 - beside its use
        Announcement,
        Event,
        Incident,
        IncidentState,
        Kind,
        Severity,
        Transition,
    )

    says = f"This is a test of driftwatch's alerts, sent by {by}. Nothing is wrong, and there is nothing to do"
    state = {
        Told.RESOLVED: IncidentState.RESOLVED,
        Told.ACKNOWLEDGED: IncidentState.ACKNOWLEDGED,
    }.get(event, IncidentState.OPEN)
    incident = Incident(
        id=0,
        target=TEST_TARGET,
        kind=Kind.BEHAVIOUR,
        state=state,
        opened_at=at,
        onset_at=at,
        baseline_id=None,
        run_id=None,
        evidence={"headline": says, "alarm_at": at.isoformat()},
        severity=Severity.INFO,
        resolved_at=at if event is Told.RESOLVED else None,
        acknowledged_at=at if event is Told.ACKNOWLEDGED else None,
    )
    opening = Transition(
        id=0,
        incident_id=0,
        before=None,
        after=IncidentState.OPEN,
        at=at,
        author="driftwatch",
        reason=says,
        event=Event.OPENED,
    )
    edge = replace(opening, event=Event(event), after=state, author=by, reason="this is a test")
    return Announcement(
        incident=incident,
        transition=opening if event is Told.OPENED else edge,
        dedup_key=f"{key}:{event}",
        history=(opening,) if event is Told.OPENED else (opening, edge),
        group=(incident,),
        key=key,
        receipt=receipt,
    )
