"""``driftwatch rebaseline TARGET``: a person looks at new behaviour, accepts it, or takes that back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import (
    CONFIG,
    author,
    load_settings,
    open_store,
    pick_targets,
    reason_for,
    start_logging,
    with_app,
)
from driftwatch.cli.rebaseline_wish import Wish
from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from driftwatch.app import App
    from driftwatch.config import Settings
    from driftwatch.domain import Target
    from driftwatch.rebaseline import Acceptance
    from driftwatch.store import Store


class Format(StrEnum):
    """How a preview or the audit log is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def rebaseline(
    target: str = typer.Argument(help="The target's name in the config."),
    canaries: list[str] = typer.Argument(
        None, help="Accept only these canaries (suite/name), all when none is named.", show_default=False
    ),
    config: Path | None = CONFIG,
    preview: bool = typer.Option(False, "--preview", help="Show what would be accepted; write nothing."),
    reason: str | None = typer.Option(
        None, "--reason", help="Why it is accepted; stored with your name.", show_default=False
    ),
    by: str | None = typer.Option(None, "--by", metavar="NAME", help="Who accepts; default: your login name."),
    suite: str | None = typer.Option(None, "--suite", metavar="NAME", help="Accept the canaries of this suite only."),
    since: str | None = typer.Option(
        None, "--since", metavar="TIME", help="When the new behaviour began; default: the open incident's onset."
    ),
    collect: bool = typer.Option(False, "--collect", help="Begin anew with the next runs, not with stored ones."),
    expires: str | None = typer.Option(
        None, "--expires", metavar="7d", help="Accept for a while: the replaced baseline then comes back by itself."
    ),
    group: bool = typer.Option(False, "--group", help="Accept on every target of the open incident's group."),
    source: Path | None = typer.Option(
        None, "--from", metavar="FILE", help="Take the baseline from a file of `driftwatch baseline --export`."
    ),
    keep: bool = typer.Option(False, "--keep", help="Accept for good what was accepted for a while."),
    undo: bool = typer.Option(False, "--undo", help="Put the replaced baseline back."),
    history: bool = typer.Option(False, "--history", help="Show who changed the baseline, when and why."),
    output: Format = typer.Option(Format.TABLE, "--format", help="How --preview and --history print."),
) -> None:
    """Accept what has been served since the change as the new normal, and resolve the incident.

    Begin with --preview; --undo takes an acceptance back.
    """
    settings = load_settings(config)
    [name] = pick_targets(settings, [target])
    wish = Wish(
        name=name,
        canaries=tuple(canaries or ()),
        suite=suite,
        since=since,
        expires=expires,
        collect=collect,
        group=group,
        source=source,
    )
    chosen = [f"--{word}" for word, is_on in (("keep", keep), ("undo", undo), ("history", history)) if is_on]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} are different wishes; write one of them")
    if chosen and wish.is_more:
        raise UsageError(f"{chosen[0]} is about the whole baseline; leave out canaries and all other options")
    if chosen and preview:
        raise UsageError(f"{chosen[0]} has no preview; `driftwatch rebaseline {name} --history` shows what there is")
    if output is not Format.TABLE and not (preview or history):
        raise UsageError("--format is for --preview and --history")
    if history:
        from driftwatch.cli.baseline_history import show  # noqa: PLC0415 - slow import

        with open_store(settings) as store:
            show(store, name, output)
        return
    start_logging("error", settings.log.format)
    wish.check()
    if preview:
        with_app(settings, lambda application: _preview(application, wish, output))
        return
    decision = "the replaced baseline is put back" if undo else "the new behaviour is accepted"
    if reason is None:
        raise UsageError(
            f"--reason is missing; write why {decision}"
            + ("" if chosen else f", and look first with `driftwatch rebaseline {name} --preview`")
        )
    why, decider = reason_for(decision, reason), author(by)
    _decide(settings, wish, chosen, author=decider, reason=why)


def _targets(application: App, wish: Wish) -> list[Target]:
    """The target, and with --group those that share an open incident with it."""
    by_name = {target.name: target for target in application.targets}
    if not wish.group:
        return [by_name[wish.name]]
    from driftwatch.rebaseline import incidents_of  # noqa: PLC0415 - slow import

    store = application.store
    groups = [store.group(incident.id) for incident in incidents_of(store, wish.name)]
    shared = dict.fromkeys(member.target for members in groups for member in members if member.is_open)
    if not shared:
        raise UsageError(f"{wish.name} has no open incident, so there is no group; leave out --group")
    with_something = [name for name in shared if name in by_name and incidents_of(store, name)]
    return [by_name[name] for name in [wish.name, *(name for name in with_something if name != wish.name)]]


async def _preview(application: App, wish: Wish, output: Format) -> None:
    from driftwatch import preview  # noqa: PLC0415 - slow import
    from driftwatch.cli import preview_text  # noqa: PLC0415 - beside its use
    from driftwatch.rebaseline import propose  # noqa: PLC0415 - slow import

    at = application.clock.now()
    if wish.source is not None:
        from driftwatch.cli.baseline_file import look  # noqa: PLC0415 - slow import

        look(application, wish.source, wish.name)
        return
    previews = [
        preview.preview(
            application.store,
            propose(
                application.store,
                target,
                application.pipeline.embedder,
                canary_ids=wish.ids(target),
                since=wish.begun(at),
                collect=wish.collect,
            ),
            at=at,
            expires_at=wish.until(at),
        )
        for target in _targets(application, wish)
    ]
    if output is Format.JSON:
        typer.echo(json.dumps([preview_text.as_json(found) for found in previews], indent=2))
        return
    written = preview_text.as_markdown if output is Format.MARKDOWN else preview_text.as_text
    typer.echo("\n\n".join(written(found) for found in previews))


def _decide(settings: Settings, wish: Wish, chosen: Sequence[str], *, author: str, reason: str) -> None:
    async def work(application: App) -> None:
        from driftwatch import rebaseline as accepting  # noqa: PLC0415 - slow import

        store, at = application.store, application.clock.now()
        [target] = [t for t in application.targets if t.name == wish.name]
        if chosen == ["--undo"]:
            accepting.undo(store, target, author=author, reason=reason, at=at)
            _tell_undone(application, wish.name, at)
        elif chosen == ["--keep"]:
            kept = accepting.keep(store, target, author=author, reason=reason, at=at)
            typer.echo(f"{wish.name}: baseline {kept.id} is accepted for good, and expires no more.")
        elif wish.source is not None:
            from driftwatch.cli.baseline_file import bring_in  # noqa: PLC0415 - slow import

            accepted = bring_in(
                application, wish.source, target, expires_at=wish.until(at), author=author, reason=reason, at=at
            )
            _tell(store, wish.name, accepted, f"baseline {accepted.baseline.id} brought in by {author}")
        else:
            _accept(application, wish, author=author, reason=reason, at=at)
        await application.deliver()

    with_app(settings, work)


def _accept(application: App, wish: Wish, *, author: str, reason: str, at: datetime) -> None:
    from driftwatch import rebaseline as accepting  # noqa: PLC0415 - slow import

    store, embedder = application.store, application.pipeline.embedder
    since, until = wish.begun(at), wish.until(at)
    # All are worked out before the first is written: of a group that cannot be accepted whole, nothing is.
    proposals = [
        accepting.propose(store, target, embedder, canary_ids=wish.ids(target), since=since, collect=wish.collect)
        for target in _targets(application, wish)
    ]
    for proposal in proposals:
        accepted = accepting.accept(
            store,
            proposal.target,
            embedder,
            canary_ids=proposal.canary_ids,
            since=since,
            author=author,
            reason=reason,
            at=at,
            expires_at=until,
            collect=wish.collect,
            proposal=proposal,
        )
        _tell(
            store,
            proposal.target.name,
            accepted,
            f"baseline {accepted.baseline.id} accepted by {accepted.baseline.author}",
        )


def _tell(store: Store, name: str, accepted: Acceptance, done: str) -> None:
    from driftwatch.alert.text import listing  # noqa: PLC0415 - slow import
    from driftwatch.alert.titles import targets_of  # noqa: PLC0415 - slow import

    baseline = accepted.baseline
    leads = dict.fromkeys(incident.lead_id for incident in accepted.resolved)
    standing = {lead: targets_of([member for member in store.group(lead) if member.is_open]) for lead in leads}
    numbers = ", ".join(str(lead) for lead, targets in standing.items() if not targets)
    until = f" until {baseline.expires_at:%Y-%m-%d %H:%M} UTC" if baseline.expires_at else ""
    typer.echo(f"{name}: {done}{until}.")
    if numbers:
        typer.echo(f"Resolved: incident {numbers}.")
    for lead, targets in standing.items():
        if targets:
            typer.echo(f"Resolved: this part of incident {lead}, which is still open on {listing(targets)}.")
    if accepted.missing_runs:
        typer.echo(
            f"{accepted.n_calibration} of {baseline.calibration_wanted} calibration runs are there; "
            f"the watch is armed after {accepted.missing_runs} more. At once: driftwatch baseline {name}"
        )
    else:
        typer.echo(f"Armed again with {accepted.n_calibration} calibration runs.")
    if accepted.creep is not None:
        words = accepted.creep.in_words()
        typer.echo(f"{words[0].upper()}{words[1:]}.")
    if until:
        typer.echo(
            f"Then baseline {baseline.parent_id} comes back by itself. To keep this one: "
            f"driftwatch rebaseline {name} --keep --reason …"
        )
    if baseline.parent_id is not None:
        typer.echo(f"To take it back: driftwatch rebaseline {name} --undo --reason …")


def _tell_undone(application: App, name: str, at: datetime) -> None:
    """What came back, and what follows."""
    store = application.store
    restored = store.current_baseline(name)
    assert restored is not None  # noqa: S101 - it has just been restored
    until = f", accepted until {restored.expires_at:%Y-%m-%d %H:%M} UTC" if restored.expires_at else ""
    typer.echo(
        f"{name}: baseline {restored.id} of {restored.created_at:%Y-%m-%d %H:%M} UTC is back "
        f"(accepted by {restored.author}: {restored.reason}{until})."
    )
    if restored.expires_at is not None and restored.expires_at <= at:
        typer.echo(f"Its time is over, so the next run goes on to baseline {restored.parent_id}.")
    elif restored.activated_at is None:
        typer.echo(f"It was still being collected, and goes on. At once: driftwatch baseline {name}")
    else:
        typer.echo("The next run is judged against it; if what is served still differs, it pages again.")
    if restored.parent_id is not None:
        typer.echo(f"One step further back: driftwatch rebaseline {name} --undo --reason …")
