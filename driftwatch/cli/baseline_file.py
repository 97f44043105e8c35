"""Baselines as files, from the command line: written, looked at and brought in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch import rebaseline
from driftwatch.alert.text import count
from driftwatch.errors import DriftwatchError, UsageError
from driftwatch.exchange import Document, dump, export, fit, read

if TYPE_CHECKING:
    from driftwatch.app import App
    from driftwatch.domain import Baseline, Target
    from driftwatch.rebaseline import Acceptance


OWNER_ONLY = 0o600
"""Permissions of a file that holds private replies."""


def write(application: App, names: Sequence[str], place: Path, *, with_private: bool) -> None:
    """Write the baselines of some targets: into a folder one file each, or the only one to a file.

    Raises:
        DriftwatchError: one cannot be written; the others are, and the first reason is told.
    """
    is_file = place.suffix == ".json" and not place.is_dir()
    if is_file and len(names) > 1:
        raise UsageError(
            f"{place} is one file, and {len(names)} targets have a baseline each; name a folder or a target"
        )
    failed: list[DriftwatchError] = []
    for target in application.targets:
        if target.name not in names:
            continue
        try:
            document = export(application.store, target, application.pipeline.embedder, with_private=with_private)
        except DriftwatchError as error:
            failed.append(error)
            continue
        path = place if is_file else place / f"{target.name}.json"
        done = _save(path, dump(document), is_private=bool(document.private))
        typer.echo(f"{target.name}: {_said(document)}; {done}: {path}")
        if document.private:
            typer.echo(f"{target.name}: it holds replies of {count(len(document.private), 'private canary')}: {path}")
    for other in failed[1:]:
        typer.echo(str(other), err=True)
    if failed:
        raise failed[0]


def look(application: App, source: Path, name: str) -> None:
    """Say what a file holds and that it fits, and write nothing."""
    [target] = [t for t in application.targets if t.name == name]
    document, current = read(source), application.store.current_baseline(name)
    fit(document, target, application.pipeline.embedder, source=str(source), replacing=current)
    typer.echo(f"{source}: {_said(document)}.")
    typer.echo(f"It is for {name} as it is configured here, and would arm the watch at once.")
    if _is_current(application, target, current, document):
        typer.echo("It is the current baseline already.")
        return
    replaced = f" in the place of baseline {current.id}" if current else ""
    typer.echo(f'Nothing was written. To take it{replaced}: driftwatch rebaseline {name} --from {source} --reason "…"')


def bring_in(
    application: App,
    source: Path,
    target: Target,
    *,
    expires_at: datetime | None,
    author: str,
    reason: str,
    at: datetime,
) -> Acceptance:
    """Make a file's baseline the target's.

    Raises:
        UsageError: it cannot be read, is for another question, or is current already; nothing was written.
    """
    document, current = read(source), application.store.current_baseline(target.name)
    brought = fit(
        document,
        target,
        application.pipeline.embedder,
        source=str(source),
        replacing=current,
        expires_at=expires_at,
    )
    if expires_at is not None and (current is None or current.series_key != document.series_key):
        raise UsageError(
            f"{target.name}: there is no baseline of the same question that could come back when this one expires; "
            "leave out --expires"
        )
    if _is_current(application, target, current, document):
        raise UsageError(f"{source}: it is the current baseline of {target.name} already; nothing was written")
    return rebaseline.bring_in(application.store, target, brought, author=author, reason=reason, at=at)


def _is_current(application: App, target: Target, current: Baseline | None, document: Document) -> bool:
    if current is None or current.series_key != document.series_key or current.activated_at is None:
        return False
    return export(application.store, target, application.pipeline.embedder, with_private=True) == document


def _said(document: Document) -> str:
    accepted = document.accepted
    scope = f", for {', '.join(accepted.scope)} alone" if accepted.scope else ""
    return (
        f"{count(len(document.anchors), 'anchor')} and {count(len(document.calibration), 'calibration run')}, "
        f"accepted by {accepted.author} on {accepted.at:%Y-%m-%d}{scope}"
    )


def _save(path: Path, text: str, *, is_private: bool) -> str:
    """Write a file whole or not at all."""
    content = text.encode()
    try:
        if path.is_file() and path.read_bytes() == content:
            return "unchanged"
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with unfinished.open("wb") as file:
                if is_private:
                    unfinished.chmod(OWNER_ONLY)
                file.write(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise UsageError(f"{path}: cannot be written: {said}; name another place") from None
    return "written"
