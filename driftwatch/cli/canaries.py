"""``driftwatch canaries``: list suites, lock them, and say what was edited."""

from __future__ import annotations

from pathlib import Path

import typer

from driftwatch.cli.context import CONFIG, load_settings
from driftwatch.cli.printing import show
from driftwatch.errors import ConfigError, UsageError

app = typer.Typer(no_args_is_help=True, help="List suites, lock their hashes, verify the lock.")

LOCK = "canaries.lock"


@app.command("list")
def list_(config: Path | None = CONFIG) -> None:
    """Show every canary with its reason."""
    from driftwatch.canaries import load_suites  # noqa: PLC0415 - pydantic is slow to import
    from driftwatch.cli.style import plain, table  # noqa: PLC0415 - slow import

    settings = load_settings(config)
    rows = table("canary", "hash", "checks", "reason")
    for suite in load_suites(settings.canaries).values():
        for canary in suite.canaries:
            rows.add_row(canary.id, canary.content_hash[:8], str(len(canary.checks)), plain(canary.reason))
    show(rows)


@app.command()
def lock(config: Path | None = CONFIG) -> None:
    """Write canaries.lock beside the suites, to be reviewed and committed with them."""
    from driftwatch.canaries import load_suites  # noqa: PLC0415 - pydantic is slow to import
    from driftwatch.canaries.lock import write_lock  # noqa: PLC0415 - beside its use

    settings = load_settings(config)
    path = _lock_path(settings.canaries)
    suites = load_suites(settings.canaries)
    try:
        write_lock(suites, path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; make its place writable") from None
    typer.echo(f"Wrote {path}.")


@app.command()
def verify(config: Path | None = CONFIG) -> None:
    """Compare the suites with canaries.lock; exit code 2 when they differ."""
    from driftwatch.canaries import load_suites  # noqa: PLC0415 - pydantic is slow to import
    from driftwatch.canaries.lock import verify_lock  # noqa: PLC0415 - beside its use

    settings = load_settings(config)
    path = _lock_path(settings.canaries)
    differences = verify_lock(load_suites(settings.canaries), path)
    if differences:
        raise ConfigError(
            "; ".join(differences), file=str(path), instead="if that is meant, run `driftwatch canaries lock`"
        )
    typer.echo(f"{path}: ok")


def _lock_path(paths: tuple[Path, ...]) -> Path:
    first = paths[0]
    return (first if first.is_dir() else first.parent) / LOCK
