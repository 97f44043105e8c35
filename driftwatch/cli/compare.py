"""``driftwatch compare LEFT RIGHT``: do two recordings or baselines differ, in what, and how sure is it?"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, LARGEST_NUMBER, console, load_settings, open_store, unknown
from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from driftwatch.compare import Comparison, Difference
    from driftwatch.compare.sides import Side
    from driftwatch.config import Settings
    from driftwatch.domain import Baseline, Target
    from driftwatch.store import Store

DIFFERENT = 1
"""Exit code, that of drift."""
CURRENT = "current"
_ROWS = 5
"""Measures shown at the least; all that differ are."""
_MEANINGS = {
    "phrases": "a move shared by many prompts",
    "openings": "first words, a shared move",
    "topics": "meaning, a shared move",
    "wording": "prompt by prompt, beyond its noise",
    "meaning": "prompt by prompt, beyond its noise",
    "exact text": "same or not, beyond its noise",
    "first token": "first word, beyond its noise",
    "prefix": "where replies part, beyond its noise",
    "size": "length, beyond its noise",
    "spread": "scatter of the right's own replies",
}
"""What the measures' names do not say by themselves."""


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
    output: Format = typer.Option(Format.TEXT, "--format", help="How to print."),
) -> None:
    """Ask once whether two sets of replies to the same prompts differ. Exits with 1 when they do.

    An exact test: within every prompt the sides' replies are exchanged at random, and p is how often an exchange
    looks as different as what was recorded. Latency and cost are not compared.
    """
    from driftwatch.compare import compare as ask  # noqa: PLC0415 - slow import
    from driftwatch.compare.sides import require_same_prompts  # noqa: PLC0415 - slow import
    from driftwatch.score import open_embedder  # noqa: PLC0415 - slow import

    if not 0 < alpha < 1:
        raise UsageError(f"--alpha {alpha:g} is no chance; write one above 0 and below 1, e.g. 0.01")
    before, after = _side(left, config), _side(right, config)
    require_same_prompts(before, after)
    answer = ask(
        before.completions,
        after.completions,
        canaries=before.canaries or after.canaries,
        embedder=None if embedder is None else open_embedder(embedder, None, None),
        alpha=alpha,
        permutations=permutations,
        seed=seed,
    )
    if output is Format.JSON:
        typer.echo(json.dumps(_as_json({"left": left, "right": right, **asdict(answer)}), indent=2))
    else:
        _print(answer, before, after)
    raise typer.Exit(DIFFERENT if answer.is_different else 0)


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
    from driftwatch.app import build_targets  # noqa: PLC0415 - slow import
    from driftwatch.compare.sides import Side  # noqa: PLC0415 - slow import

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


# ---------------------------------------------------------------- the answer


def _as_json(value: object) -> object:
    """NaN, which JSON does not have, becomes null."""
    if isinstance(value, dict):
        return {key: _as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _print(answer: Comparison, left: Side, right: Side) -> None:
    from rich.text import Text  # noqa: PLC0415 - slow import

    from driftwatch.cli.style import plain, table  # noqa: PLC0415 - slow import

    out = console()
    verdict = Text("DIFFERENT", "bold red") if answer.is_different else Text("NO DIFFERENCE FOUND", "green")
    out.print(verdict + Text(f"  {_p(answer.p_value, answer)}, α = {answer.alpha:g}"))
    out.print(f"{plain(left.name)} → {plain(right.name)}", style="dim")
    out.print(_basis(answer), style="dim")
    for change in answer.changes:
        out.print(f"  • {plain(change)}")
    if answer.is_different and not answer.changes:
        out.print("  • nothing that a reader would notice at once; the measures below carry it")
    shown = [one for i, one in enumerate(answer.differences) if one.is_different or i < _ROWS]
    if shown:
        out.print()
        rows = table("measure", "effect", "95 % interval", "p adjusted", "", "")
        for one in shown:
            rows.add_row(
                Text(one.measure),
                _effect(one, one.effect),
                "-" if math.isnan(one.low) else f"{_effect(one, one.low)} … {_effect(one, one.high)}",
                _p(one.p_adjusted, answer).removeprefix("p = "),
                Text("different", "red") if one.is_different else Text("-", "dim"),
                Text(_MEANINGS.get(one.measure, ""), "dim"),
            )
        out.print(rows)
        if rest := len(answer.differences) - len(shown):
            out.print(f"{rest} more measures show no difference: --format json lists them.", style="dim")
    out.print()
    out.print(_next(answer))


def _basis(answer: Comparison) -> str:
    failed = sum(answer.n_failed)
    parts = [
        f"{answer.n_canaries:,} prompts, {answer.n_left:,} + {answer.n_right:,} replies",
        f"{'all' if answer.is_exact else 'seed ' + str(answer.seed) + ','} {answer.n_permutations:,} exchanges",
    ]
    if failed:
        parts.append(f"{failed:,} failed requests left out")
    if answer.unmeasured:
        parts.append(f"{len(answer.unmeasured):,} prompts without a reply on one side left out")
    return " · ".join(parts)


def _next(answer: Comparison) -> str:
    if answer.is_different:
        return "Next: read a few prompts side by side; if the new behaviour is wanted, accept it as the new baseline."
    if not answer.differences:
        return "Every reply is the same on both sides, in every measure."
    if answer.n_left == answer.n_right == answer.n_canaries:
        return "No difference is not sameness: three replies per prompt and side would show smaller changes."
    return "No difference is not sameness: more prompts or replies would show smaller changes."


def _p(value: float, answer: Comparison) -> str:
    least = 1 / (1 + answer.n_permutations)
    return f"p = {value:.4f}" if value >= 0.0001 or answer.is_exact else f"p = {max(value, least):.1g}"  # noqa: PLR2004 - four decimals


def _effect(one: Difference, value: float) -> str:
    if math.isnan(value):
        return "-"
    if one.unit == "ratio":
        return f"{100 * (value - 1):+.1f} %"
    if one.unit == "points":
        return f"{100 * value:+.1f} points"
    if one.unit == "common":
        return f"{100 * value:.0f} % shared"
    return f"{value:+.3f}"
