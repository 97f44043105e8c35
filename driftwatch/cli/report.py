"""``driftwatch report``: an incident or a target as a page, as text, as data, or as a bundle for a support desk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, find_incident, load_settings, open_store, unknown
from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from driftwatch.config import Settings
    from driftwatch.domain import Incident, Target
    from driftwatch.report import Report
    from driftwatch.store import Store

STANDARD_OUTPUT = Path("-")


class Form(StrEnum):
    """A report's format."""

    HTML = "html"
    MARKDOWN = "markdown"
    JSON = "json"


DEFAULT_NAMES = {
    Form.HTML: Path("driftwatch-report.html"),
    Form.MARKDOWN: Path("driftwatch-report.md"),
    Form.JSON: Path("driftwatch-report.json"),
}


def report(
    subject: str = typer.Argument(
        None, help="An incident's number or a target's name; default: the newest incident.", show_default=False
    ),
    config: Path | None = CONFIG,
    form: Form = typer.Option(Form.HTML, "--format", help="A page to look at, text for a ticket, or data."),
    output: Path | None = typer.Option(
        None,
        "--output",
        "-o",
        help="Where to write; - is standard output. Default: driftwatch-report.html, .md or .json.",
        show_default=False,
    ),
    bundle: Path | None = typer.Option(
        None,
        "--bundle",
        metavar="FILE.zip",
        help="Write a zip for the provider's support desk instead, without secrets and private texts.",
        show_default=False,
    ),
) -> None:
    """Write the evidence: what changed, since when, how sure, before and after, who was told, what to do."""
    settings = load_settings(config)
    is_number = subject is None or (subject.isascii() and subject.isdigit())
    number = int(subject) if subject and is_number else None
    name = None if is_number else subject
    if bundle is not None:
        if output is not None:
            raise UsageError("write either --output or --bundle: the bundle holds a report")
        write_bundle(settings, number, bundle, target_name=name)
        typer.echo(f"Wrote {bundle}.")
        return
    output = output or DEFAULT_NAMES[form]
    write_report(settings, number, output, target_name=name, form=form)
    if output != STANDARD_OUTPUT:
        typer.echo(f"Wrote {output}.")


def write_report(
    settings: Settings, number: int | None, output: Path, *, target_name: str | None = None, form: Form = Form.HTML
) -> None:
    """Write a report.

    Args:
        settings: whose store and targets.
        number: the incident; the newest when None and no target is named.
        output: the file; ``-`` is standard output.
        target_name: write about this target instead of an incident.
        form: how.

    Raises:
        UsageError: there is no such incident or target, or the file cannot be written.
    """
    from driftwatch.report import document, markdown, page  # noqa: PLC0415 - slow import

    targets = _targets(settings)
    with open_store(settings) as store:
        found = _report(store, targets, number, target_name)
    if form is Form.JSON:
        text = json.dumps(document(found), indent=2) + "\n"
    else:
        text = markdown(found) if form is Form.MARKDOWN else page(found)
    if output == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
    else:
        _write(output, text.encode("utf-8", "backslashreplace"), "--output")


def write_bundle(settings: Settings, number: int | None, output: Path, *, target_name: str | None = None) -> None:
    """Write the bundle of an incident.

    Raises:
        UsageError: there is no such incident, or it concerns no endpoint, or the file cannot be written.
    """
    from driftwatch.domain import Kind  # noqa: PLC0415 - beside its use
    from driftwatch.report import bundle  # noqa: PLC0415 - slow import

    if target_name is not None:
        raise UsageError(f"a bundle is about an incident, '{target_name}' is none; name one: driftwatch incidents")
    if output == STANDARD_OUTPUT:
        raise UsageError("a bundle is a zip file; name it: --bundle incident.zip")
    targets = _targets(settings)
    with open_store(settings) as store:
        incident = _incident(store, number)
        if incident is None:
            raise UsageError("there is no incident yet, and a bundle is about one")
        if incident.kind is Kind.WATCH_ITSELF:
            raise UsageError(
                f"incident {incident.id} is about driftwatch itself, so no support desk can help; "
                f"see: driftwatch report {incident.id}"
            )
        content = bundle(store, targets, incident)
    _write(output, content, "--bundle")


def _targets(settings: Settings) -> Mapping[str, Target]:
    from driftwatch.wiring import build_targets  # noqa: PLC0415 - slow import

    return {target.name: target for target in build_targets(settings)}


def _incident(store: Store, number: int | None) -> Incident | None:
    if number is not None:
        return find_incident(store, number)
    newest = store.incidents(limit=1)
    return newest[0] if newest else None


def _report(store: Store, targets: Mapping[str, Target], number: int | None, target_name: str | None) -> Report:
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use
    from driftwatch.report import about_incident, about_target  # noqa: PLC0415 - slow import

    at = WallClock().now()
    incident = _incident(store, number) if target_name is None else None
    if incident is not None:
        return about_incident(store, targets, incident, at=at)
    name = target_name or next(iter(targets))
    if name not in targets:
        raise UsageError(unknown("target", name, targets))
    return about_target(store, targets[name], at=at)


def _write(output: Path, content: bytes, option: str) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(content)
    except OSError as error:
        # Making the folders of a path that leads through a file says that the file exists.
        reason = "a file is in the way" if isinstance(error, FileExistsError) else error.strerror
        raise UsageError(f"cannot write {output}: {reason}; name another file with {option}") from None
