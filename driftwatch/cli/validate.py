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
    from driftwatch.alert.policy import Policy
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
    policy = wiring.policy(settings)
    for target in targets:
        times = [target.repeats_for(canary) for canary in target.canaries]
        asked = f"{len(target.canaries)} canaries × {min(times)}"
        if min(times) != max(times):
            asked += f" to {max(times)}"
        asked += f" every {_span(target.interval_s)}"
        _tell_target(f"{target.name}: {target.provider} {target.model}, {asked}", target, policy)
    _tell_of_the_watch(targets, policy)
    _tell_heartbeat(settings)
    typer.echo(f"{settings.file}: ok")


def _tell_target(what: str, target: Target, policy: Policy) -> None:
    """What is asked, and who is really told: routes replace a target's own receivers, perhaps for some kinds only."""
    from driftwatch.cli.addressees import addressees, in_words  # noqa: PLC0415 - slow import

    found = addressees(target, policy)
    lines = in_words(found)
    if len(lines) == 1:
        typer.echo(f"{what}, {lines[0]}")
    else:
        typer.echo(what)
        for line in lines:
            typer.echo(f"  {line}")
    told = {name for one in found for name in one.everybody}
    if replaced := [name for name in target.receivers if name not in told]:
        typer.echo(f"  its own receivers are replaced by alerts.routes: {', '.join(replaced)}")


def _tell_of_the_watch(targets: Sequence[Target], policy: Policy) -> None:
    """Who is told of what no target stands for, and who is never told of anything."""
    from driftwatch.cli.addressees import addressees, in_words, never_told  # noqa: PLC0415 - slow import

    if not policy.receivers:
        return
    own = addressees(None, policy)
    for line in in_words(own):
        typer.echo(f"the watch itself: {line}")
    found = [*own, *(one for target in targets for one in addressees(target, policy))]
    for name in never_told(policy.receivers, found):
        typer.echo(f"receiver {name}: told of nothing; no target and no route that is reached names it")


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
