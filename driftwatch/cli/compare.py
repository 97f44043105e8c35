"""``driftwatch compare LEFT RIGHT``: do two recordings or baselines differ, in what, and how sure is it?"""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, LARGEST_NUMBER, load_settings, open_store, unknown
from driftwatch.errors import EmbedderUnavailable, UsageError
from driftwatch.recordings import FORMAT_HELP

if TYPE_CHECKING:
    from driftwatch.compare.sides import Side
    from driftwatch.config import Settings
    from driftwatch.domain import Baseline, Target
    from driftwatch.store import Store

DIFFERENT = 1
"""Exit code, that of drift."""
CURRENT = "current"
_WRITE_INSTEAD = {
    "set `embedder.model` to": "point `--embedder` to",
    "set `embedder: off`": "leave `--embedder` out",
}
"""What an embedder that is not there says of the config → what to do about an option."""


class Format(StrEnum):
    """How the answer is printed."""

    TEXT = "text"
    JSON = "json"


def compare(
    left: str = typer.Argument(help="The earlier side: a .jsonl or .jsonl.gz file, or TARGET@BASELINE."),
    right: str = typer.Argument(help="The later side, likewise; TARGET@current is the baseline in use."),
    config: Path | None = CONFIG,
    alpha: float = typer.Option(0.01, "--alpha", help="Chance of a false 'different' that is accepted."),
    permutations: int = typer.Option(
        9_999, "--permutations", min=1, max=1_000_000, help="Exchanges of the sides that are drawn."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the draws; the same seed gives the same answer."),
    embedder: str | None = typer.Option(
        None, "--embedder", metavar="MODEL", help="Compare meaning too, e.g. all-MiniLM-L6-v2; about 50 texts/s."
    ),
    common: bool = typer.Option(False, "--common", help="Compare only the prompts that both sides have."),
    output: Format = typer.Option(Format.TEXT, "--format", help="How to print."),
) -> None:
    """Ask once whether two sets of replies to the same prompts differ. Exits with 1 when they do.

    An exact test: within every prompt the sides' replies are exchanged at random, and p is how often an exchange
    looks as different as what was recorded. Latency and cost are not compared.
    """
    from driftwatch.cli.compare_text import progress, show  # noqa: PLC0415 - beside its use
    from driftwatch.compare import compare as ask  # noqa: PLC0415 - slow import
    from driftwatch.compare.sides import in_common, require_same_prompts  # noqa: PLC0415 - slow import
    from driftwatch.score import open_embedder  # noqa: PLC0415 - slow import

    if not 0 < alpha < 1:
        raise UsageError(f"--alpha {alpha:g} is no chance; write one above 0 and below 1, e.g. 0.01")
    with progress() as on_stage:
        on_stage(f"reading {left}")
        before = _side(left, config)
        on_stage(f"reading {right}")
        after = _side(right, config)
        left_out = (0, 0)
        if common:
            before, after, left_out = in_common(before, after)
        require_same_prompts(before, after)
        try:
            answer = ask(
                before.completions,
                after.completions,
                canaries=before.canaries or after.canaries,
                embedder=None if embedder is None else open_embedder(embedder, None, None),
                alpha=alpha,
                permutations=permutations,
                seed=seed,
                on_stage=on_stage,
            )
        except EmbedderUnavailable as error:
            said = str(error)
            for theirs, ours in _WRITE_INSTEAD.items():
                said = said.replace(theirs, ours)
            raise EmbedderUnavailable(said) from error
    if output is Format.JSON:
        told = {"left": left, "right": right, "n_left_out": left_out, **asdict(answer)}
        typer.echo(json.dumps(_as_json(told), indent=2))
    else:
        accept = left.rpartition("@")[0] if before.hashes and not after.hashes else None
        show(answer, left, right, left_out=left_out, accept=accept)
    raise typer.Exit(DIFFERENT if answer.is_different else 0)


compare.__doc__ = f"{inspect.getdoc(compare)}\n\n{FORMAT_HELP}"


# ---------------------------------------------------------------- the sides


def _side(name: str, config: Path | None) -> Side:
    target, at, version = name.rpartition("@")
    if at and target and not Path(name).exists():
        return _baseline(name, target, version, load_settings(config))
    from driftwatch.compare.sides import Side  # noqa: PLC0415 - slow import
    from driftwatch.recordings import read_recording  # noqa: PLC0415 - beside its use

    recording = read_recording(Path(name))
    return Side(name=name, completions=recording.completions, prompts=recording.prompts)


def _baseline(name: str, target_name: str, version: str, settings: Settings) -> Side:
    """The anchors of a baseline, with what the config says about their canaries where that is still the same."""
    from driftwatch.compare.sides import Side  # noqa: PLC0415 - slow import
    from driftwatch.wiring import build_targets  # noqa: PLC0415 - slow import

    targets: dict[str, Target] = {target.name: target for target in build_targets(settings)}
    if target_name not in targets:
        raise UsageError(f"{unknown('target', target_name, targets)}; a recording is named by its file")
    with open_store(settings) as store:
        baseline = _version(store, target_name, version)
        anchors = store.anchors(baseline.id)
    if not anchors:
        raise UsageError(f"{name}: baseline {baseline.id} has no anchors yet; run `driftwatch baseline {target_name}`")
    completions = tuple(completion for those in anchors.values() for completion in those)
    hashes = {completion.canary_id: completion.canary_hash for completion in completions}
    canaries = {canary.id: canary for canary in targets[target_name].canaries}
    same = {one: canaries[one] for one in anchors if one in canaries and canaries[one].content_hash == hashes[one]}
    return Side(
        name=name,
        completions=completions,
        prompts={one: same[one].messages if one in same else () for one in anchors},
        hashes=hashes,
        canaries=tuple(same.values()),
    )


def _version(store: Store, target: str, version: str) -> Baseline:
    known = store.baselines(target)
    if version == CURRENT:
        current = store.current_baseline(target)
        if current is None:
            raise UsageError(f"{target} has no baseline yet; run `driftwatch baseline {target}`")
        return current
    number = int(version) if version.isascii() and version.isdigit() and len(version) <= len(str(LARGEST_NUMBER)) else 0
    found = next((baseline for baseline in known if baseline.id == number), None)
    if found is None:
        there = ", ".join([*(str(baseline.id) for baseline in known), CURRENT]) if known else "none"
        raise UsageError(f"{target} has no baseline '{version}'; there are: {there}")
    return found


def _as_json(value: object) -> object:
    """NaN, which JSON does not have, becomes null."""
    if isinstance(value, dict):
        return {key: _as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
