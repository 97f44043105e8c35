"""``driftwatch init``: writes an annotated config and starter suites."""

from __future__ import annotations

import shutil
from pathlib import Path

import typer

from driftwatch import shipped
from driftwatch.errors import UsageError


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
    where = "" if directory == Path() else f"cd {directory} && "
    typer.echo(f"Next: edit the targets, export the API key it names, then `{where}driftwatch doctor`.")
