"""``driftwatch init``: writes an annotated config and starter suites."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import typer

from driftwatch import shipped
from driftwatch.errors import UsageError

NEXT = {
    "validate": "is what you wrote right? no keys, no network",
    "plan": "what it will cost and how soon it will see what",
    "doctor": "keys, endpoints, embedder, store: one request per target",
    "baseline": "says what it costs, asks, then collects what is normal",
    "serve": "watches until stopped",
}
"""Verb → what it does: the way from a new config to a running watch."""


def init(
    directory: Path = typer.Argument(Path(), help="Where to write; made when it does not exist."),
    force: bool = typer.Option(False, "--force", help="Overwrite files that are there."),
) -> None:
    """Write an annotated driftwatch.yaml and the starter suites, ready to be edited."""
    planned = {
        directory / name: shipped.path(f"config/{name}") for name in ("driftwatch.yaml", "driftwatch.schema.json")
    }
    planned |= {directory / "canaries" / file.name: file for file in sorted(shipped.path("canaries").glob("*.yaml"))}
    present = [str(file) for file in planned if file.exists()]
    if present and not force:
        raise UsageError(f"{present[0]} exists already; name another directory, or write --force to overwrite it")
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file; name a directory, which is made when it does not exist")
    try:
        for file, source in planned.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, file)
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename or directory}: {error.strerror}; name another directory"
        ) from None
    suites = sum(file.parent.name == "canaries" for file in planned)
    typer.echo(f"Wrote {directory / 'driftwatch.yaml'} and {suites} suites in {directory / 'canaries'}.")
    typer.echo("Next: edit the targets and export the API keys they name, then")
    if directory != Path():
        typer.echo(f"  cd {shlex.quote(str(directory))}")
    for verb, what in NEXT.items():
        typer.echo(f"  driftwatch {verb:<9} # {what}")
