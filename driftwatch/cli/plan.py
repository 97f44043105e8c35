"""``driftwatch plan``: what watching costs and how soon it tells, and which setting meets a wish."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, load_settings, pick_targets
from driftwatch.errors import ConfigError, EmbedderUnavailable, UsageError

if TYPE_CHECKING:
    from driftwatch.config import Settings
    from driftwatch.domain import Target
    from driftwatch.plan import Answer, Known, Noise, Remake, Wish
    from driftwatch.usage import Tokens

_AMOUNT = re.compile(r"\$?\s*(\d[\d,]*(?:\.\d+)?|\.\d+)\s*(?:(?:/|per)\s*(month|year))?", re.IGNORECASE)

DEAREST_USD = 1e9
"""A larger budget per month is a slip."""


class PlanFormat(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


class Change(StrEnum):
    """What is to be found: 1, 2 or 4 standard deviations of a channel from run to run, or another model."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    SWAP = "swap"


def plan(
    targets: list[str] = typer.Argument(None, help="Targets, all when none is named.", show_default=False),
    config: Path | None = CONFIG,
    budget: str | None = typer.Option(None, "--budget", metavar="AMOUNT", help="Most to spend, e.g. '$5/month'."),
    delay: str | None = typer.Option(
        None, "--delay", metavar="TIME", help="Longest time to the alarm, e.g. 6h (median)."
    ),
    change: Change | None = typer.Option(None, "--change", help="What is to be found by then. Default: medium."),
    plot: Path | None = typer.Option(None, "--plot", metavar="FILE.svg", help="Also draw delay against change size."),
    output: PlanFormat = typer.Option(PlanFormat.TEXT, "--format", help="How to print."),
) -> None:
    """Show what watching costs and how soon it tells; with --budget or --delay, the setting that meets the wish."""
    if budget is not None and delay is not None:
        raise UsageError("--budget and --delay are two wishes; give one of them")
    if change is not None and budget is None and delay is None:
        raise UsageError("--change says what --budget or --delay is to find; give one of them too")
    if plot is not None:
        _require_place(plot)
    usd_per_month = None if budget is None else _dollars_per_month(budget)
    longest_s = None if delay is None else _seconds(delay)
    settings = load_settings(config)
    names = list(dict.fromkeys(pick_targets(settings, targets or ())))
    if len(names) > 1 and (budget is not None or delay is not None or plot is not None):
        option = "--budget" if budget is not None else "--delay" if delay is not None else "--plot"
        raise UsageError(f"{option} plans one target at a time; name one of: {', '.join(names)}")
    _plan(settings, names, usd_per_month, longest_s, (change or Change.MEDIUM).value, plot, output)


def _plan(
    settings: Settings,
    names: list[str],
    usd_per_month: float | None,
    longest_s: float | None,
    change: str,
    plot: Path | None,
    output: PlanFormat,
) -> None:
    from driftwatch.cli.plan_text import as_json, show  # noqa: PLC0415 - slow import
    from driftwatch.plan import Wish, forecast, picture  # noqa: PLC0415 - slow import
    from driftwatch.wiring import build_targets  # noqa: PLC0415 - slow import

    by_name = {target.name: target for target in build_targets(settings)}
    told, drawing = [], ""
    for name in names:
        target = by_name[name]
        known, remake = _known(settings, target), _remake(settings, target)
        if usd_per_month is not None and known.price is None:
            raise ConfigError(
                f"the price of {target.model} is not known, so no budget can be planned for",
                file=str(settings.file),
                key=f"targets.{name}.price",
                instead="write price: {input: …, output: …}, in US dollars per million tokens",
            )
        wanted = settings.targets[name]
        # A jitter that is written down must stay shorter than the interval, or the config is refused.
        above_s = wanted.jitter_s if "jitter_s" in wanted.model_fields_set else 0.0
        present, proposed = forecast(known), None
        wish = _answered(known, remake, Wish(usd_per_month=usd_per_month, seconds=longest_s, change=change), above_s)
        if wish.answer is not None:
            same = wish.answer.setting == present.setting
            proposed = present if same else forecast(known, remake(wish.answer.setting))
        told.append((present, wish, proposed))
        if plot is not None:
            drawn = None if proposed is None or proposed.setting == present.setting else proposed
            drawing = picture(known, present, drawn)
    if output is PlanFormat.JSON:
        typer.echo(json.dumps([as_json(*each) for each in told], indent=2))
    else:
        show(told)
    if plot is not None:
        # Last: a drawing that cannot be written must not cost the answer.
        _write(plot, drawing)
        if output is PlanFormat.TEXT:
            typer.echo(f"\nWrote {plot}.")


def _answered(known: Known, remake: Remake, wish: Wish, above_s: float) -> Wish:
    """The wish with its answer, and with what a written jitter kept from being proposed."""
    from driftwatch.plan import INTERVALS_S, forecast, within_budget, within_delay  # noqa: PLC0415 - slow import

    def best(above_s: float) -> Answer | None:
        if wish.usd_per_month is not None:
            return within_budget(known, remake, usd_per_month=wish.usd_per_month, change=wish.change, above_s=above_s)
        if wish.seconds is not None:
            return within_delay(known, remake, seconds=wish.seconds, change=wish.change, above_s=above_s)
        return None

    answer = best(above_s)
    freed = best(0.0) if above_s >= INTERVALS_S[0] else answer
    unbound = None if freed is None or freed == answer else forecast(known, remake(freed.setting))
    return replace(wish, answer=answer, jitter_s=above_s, unbound=unbound)


def _known(settings: Settings, target: Target) -> Known:
    from driftwatch import wiring  # noqa: PLC0415 - slow import
    from driftwatch.plan import Known, assumed_noise  # noqa: PLC0415 - slow import

    if not target.canaries:
        raise ConfigError(
            f"{target.name} has no canaries, so there is nothing to plan",
            file=str(settings.file),
            key="canaries",
            instead="name a file or folder with a suite; `driftwatch init` writes one",
        )
    noise, tokens = _observed(settings, target)
    return Known(
        present=target,
        noise=noise or assumed_noise(target, has_embedder=not settings.embedder.is_off),
        price=wiring.price(settings.targets[target.name], target),
        tokens=tokens,
    )


def _observed(settings: Settings, target: Target) -> tuple[Noise | None, dict[str, Tokens]]:
    """What the store knows; nothing when there is none yet."""
    from driftwatch.cli.context import open_store  # noqa: PLC0415 - beside its use
    from driftwatch.plan import observe  # noqa: PLC0415 - slow import
    from driftwatch.rebaseline import series_key  # noqa: PLC0415 - slow import
    from driftwatch.score import open_embedder  # noqa: PLC0415 - slow import

    if not settings.store.exists():
        return None, {}
    chosen = settings.embedder
    try:
        key = series_key(target, None if chosen.is_off else open_embedder(chosen.model, chosen.revision, None))
    except EmbedderUnavailable:
        key = ""  # a plan can be made where the watch cannot run: with assumed noise
    with open_store(settings) as store:
        return observe(store, target, key)


def _remake(settings: Settings, target: Target) -> Remake:
    from driftwatch import wiring  # noqa: PLC0415 - slow import
    from driftwatch.plan import Setting  # noqa: PLC0415 - slow import

    wanted = settings.targets[target.name]

    def remake(setting: Setting) -> Target:
        changed = wanted.model_copy(update={"interval_s": setting.interval_s, "repeats": setting.repeats})
        return wiring.target(target.name, changed, settings, target.canaries)

    return remake


def _dollars_per_month(text: str) -> float:
    """Read ``$5/month``, ``5`` or ``$60 per year``."""
    found = _AMOUNT.fullmatch(text.strip())
    instead = "write dollars per month, such as --budget '$5/month'"
    if found is None:
        raise UsageError(f"--budget {text!r} is not an amount above zero; {instead}")
    usd = float(found[1].replace(",", ""))
    if (found[2] or "").lower() == "year":
        usd /= 12
    if not 0 < usd <= DEAREST_USD:
        raise UsageError(f"--budget {text!r} is not an amount between zero and a billion dollars; {instead}")
    return usd


def _seconds(text: str) -> float:
    from driftwatch.config.fields import LONGEST_S, duration_s  # noqa: PLC0415 - pydantic is slow to import

    seconds = duration_s(text.strip())
    if seconds is None or not (math.isfinite(seconds) and 0 < seconds <= LONGEST_S):
        raise UsageError(f"--delay {text!r} is not a time between zero and a year; write 30m, 6h or 2d")
    return seconds


def _require_place(file: Path) -> None:
    """Before anything is worked out.

    Raises:
        UsageError: the drawing would be of another kind, or has no folder.
    """
    if file.suffix.lower() != ".svg":
        raise UsageError(f"--plot {file}: the drawing is an SVG; write a name that ends in .svg")
    if not os.path.isdir(file.parent):  # noqa: PTH112 - Path.is_dir raises for a folder that may not be entered
        raise UsageError(f"--plot {file}: {file.parent} is no folder; make it, or name another file")


def _write(file: Path, drawing: str) -> None:
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}; name another file with --plot") from None
