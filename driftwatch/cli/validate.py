"""``driftwatch validate``: is what was written right? Offline, without keys, without cost."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, load_settings

if TYPE_CHECKING:
    from driftwatch.config import Settings
    from driftwatch.domain import Target


def validate(
    config: Path | None = CONFIG,
    schema: bool = typer.Option(False, "--schema", help="Print the config's JSON Schema, for editors, and exit."),
) -> None:
    """Read config, suites and scripts as `serve` would, and say what is wrong. Needs no key and no network."""
    if schema:
        from driftwatch.config import json_schema  # noqa: PLC0415 - pydantic is slow to import

        typer.echo(json.dumps(json_schema(), indent=2))
        return
    from driftwatch import wiring  # noqa: PLC0415 - slow import
    from driftwatch.wiring import build_targets  # noqa: PLC0415 - slow import

    settings = load_settings(config)
    targets = build_targets(settings)
    wiring.check_scripts(settings)
    asyncio.run(_open(targets, settings))
    for target in targets:
        times = [target.repeats_for(canary) for canary in target.canaries]
        asked = f"{len(target.canaries)} canaries × {min(times)}"
        if min(times) != max(times):
            asked += f" to {max(times)}"
        told = ", ".join(target.receivers) or "nobody is told"
        typer.echo(f"{target.name}: {target.provider} {target.model}, {asked} every {_span(target.interval_s)}, {told}")
    _tell_heartbeat(settings)
    typer.echo(f"{settings.file}: ok")


def _tell_heartbeat(settings: Settings) -> None:
    """A heartbeat without its URL is as good as none; that it is not set here need not be wrong."""
    from driftwatch.config import missing_secrets  # noqa: PLC0415 - pydantic is slow to import

    if settings.heartbeat is None:
        return
    missing = [found.sentence for found in missing_secrets(settings, os.environ) if found.about == "heartbeat"]
    beat = f"heartbeat: {settings.heartbeat.method} every {_span(settings.heartbeat.interval_s)}"
    typer.echo(f"{beat}; here {missing[0]}" if missing else beat)


async def _open(targets: Sequence[Target], settings: Settings) -> None:
    """Open each provider and close it again: it knows best what is wrong with its options."""
    from driftwatch import wiring  # noqa: PLC0415 - slow import

    for target in targets:
        await wiring.provider(target, settings, None).aclose()


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
