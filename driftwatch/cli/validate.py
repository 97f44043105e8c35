"""``driftwatch validate``: is what was written right? Offline, without keys, without cost."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from driftwatch.cli.context import CONFIG, load_settings


def validate(
    config: Path | None = CONFIG,
    schema: bool = typer.Option(False, "--schema", help="Print the config's JSON Schema, for editors, and exit."),
) -> None:
    """Read config, suites and scripts as `serve` would, and say what is wrong. Needs no key and no network."""
    if schema:
        from driftwatch.config import json_schema  # noqa: PLC0415 - pydantic is slow to import

        typer.echo(json.dumps(json_schema(), indent=2))
        return
    from driftwatch.app import build_targets, check_scripts  # noqa: PLC0415 - slow import

    settings = load_settings(config)
    targets = build_targets(settings)
    check_scripts(settings)
    for target in targets:
        times = [target.repeats_for(canary) for canary in target.canaries]
        asked = f"{len(target.canaries)} canaries × {min(times)}"
        if min(times) != max(times):
            asked += f" to {max(times)}"
        told = ", ".join(target.receivers) or "nobody is told"
        typer.echo(f"{target.name}: {target.provider} {target.model}, {asked} every {_span(target.interval_s)}, {told}")
    typer.echo(f"{settings.file}: ok")


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
