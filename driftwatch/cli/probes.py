"""``driftwatch probes``: discover the one-token prompts on which an endpoint shows a change, within a stated budget."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.baseline import agree, dollars
from driftwatch.cli.context import CONFIG, load_settings, pick_targets, start_logging, with_app
from driftwatch.errors import DriftwatchError, UsageError

if TYPE_CHECKING:
    from driftwatch import usage
    from driftwatch.app import App
    from driftwatch.config import Settings
    from driftwatch.domain import Completion, Target
    from driftwatch.probes import Discovery

app = typer.Typer(no_args_is_help=True, help="Discover one-token probes for an endpoint.")

LEAST_REQUESTS = 40
"""Finding out what the endpoint takes costs up to a dozen; with fewer than this nothing is left to search with."""

NAMES = {"border": "border inputs", "words": "one-word prompts", "logprob": "log-probability probes"}


class NothingFound(DriftwatchError):
    """The search ended without a probe."""


@app.callback()
def _group() -> None:
    """Keep the verb ``discover`` a verb: with a single command the library would leave its name out."""


@app.command()
def discover(
    target: str = typer.Argument(help="The target whose endpoint is asked."),
    config: Path | None = CONFIG,
    requests: int = typer.Option(
        200, "--requests", "-n", min=LEAST_REQUESTS, max=100_000, help="Requests to spend at most."
    ),
    probes: int = typer.Option(8, "--probes", min=1, max=100, help="Probes of each kind to keep at most."),
    kinds: str = typer.Option("border,words,logprob", "--kinds", help="Which kinds to look for, with commas."),
    out: Path | None = typer.Option(
        None,
        "--out",
        "-o",
        help="The suite file to write. Default: probes-TARGET.yaml beside the config.",
        show_default=False,
    ),
    seed: int = typer.Option(1, "--seed", min=0, help="Decides which prompts are tried."),
    force: bool = typer.Option(False, "--force", help="Replace the suite file if it exists."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Spend without asking."),
) -> None:
    """Find one-token probes for a target's endpoint and write them as a suite. Exit code 3 when there are none.

    Asks first what the endpoint takes. Border inputs need temperature 0, one-word prompts need answers that vary,
    log-probabilities need an endpoint that tells them; what does not fit is left out, and said.
    """
    settings = load_settings(config)
    start_logging("critical", settings.log.format)
    [name] = pick_targets(settings, [target])
    wanted = _kinds(kinds)
    path = out or _default_path(settings, name)
    _require_writable(path, force=force)

    async def work(application: App) -> None:
        from driftwatch.probes import Asker, discover, suite_text  # noqa: PLC0415 - slow import

        asked = next(each for each in application.targets if each.name == name)
        line = application.lines[name]
        estimate = _estimate(asked, line.price, requests, seed)
        typer.echo(
            f"{name}: at most {requests:,} requests, about {estimate.input_tokens:,} tokens in and "
            f"{estimate.output_tokens:,} out, {dollars(estimate)}"
        )
        agree(estimate, yes=yes)
        at = application.clock.now()
        with _progress(name, requests) as note:
            asker = Asker(
                asked,
                line.provider,
                line.gate,
                at=at,
                deadline_s=line.deadline_s,
                n_requests=requests,
                on_completion=note,
            )
            found = await discover(asker, kinds=wanted, n_probes=probes, seed=seed)
        _tell(found, requests)
        if not found.probes:
            raise NothingFound(_why_nothing(name, found, requests))
        try:
            path.write_text(suite_text(found, asked, seed=seed, at=at), encoding="utf-8")
        except OSError as error:
            raise _cannot_write(path, error) from None
        _next(settings, asked, path)

    with _without_store(settings) as settings_here:
        with_app(settings_here, work)


@contextmanager
def _without_store(settings: Settings) -> Iterator[Settings]:
    """The settings with a passing database in place of the watch's: nothing is looked up there and nothing kept.

    A simulation keeps its own: it tells how far simulated time has come.
    """
    if settings.simulation is not None:
        yield settings
        return
    with TemporaryDirectory(prefix="driftwatch-") as folder:
        yield settings.model_copy(update={"store": Path(folder) / "probes.db"})


@contextmanager
def _progress(name: str, requests: int) -> Iterator[Callable[[Completion], None]]:
    """On a terminal, a bar of the requests spent; it is advanced with each completion."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from driftwatch.cli.context import console  # noqa: PLC0415 - slow import

    out = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal) as progress:
        bar = progress.add_task(name, total=requests)
        yield lambda _: progress.advance(bar)


def _kinds(written: str) -> list[str]:
    from driftwatch.cli.context import unknown  # noqa: PLC0415 - beside its use

    wanted = [kind.strip() for kind in written.split(",") if kind.strip()]
    for kind in wanted:
        if kind not in NAMES:
            raise UsageError(unknown("kind", kind, NAMES))
    if not wanted:
        raise UsageError(f"--kinds is empty; write some of: {', '.join(NAMES)}")
    return wanted


def _default_path(settings: Settings, name: str) -> Path:
    from driftwatch.probes import suite_name  # noqa: PLC0415 - slow import

    folder = settings.file if settings.file.is_dir() else settings.file.parent
    return folder / f"{suite_name(name)}.yaml"


def _require_writable(path: Path, *, force: bool) -> None:
    """Before anything is spent.

    Raises:
        UsageError: the file exists, has no place or cannot be written.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a directory; write --out a file in it")
        exists = path.exists()
        if exists and not force:
            raise UsageError(f"{path} exists; write --force to replace it, or --out another file")
        if not path.parent.is_dir():
            raise UsageError(f"{path.parent} is no directory; make it, or write --out another file")
        # Asking for permission is no proof: read-only mounts and /proc refuse whoever is allowed to.
        with path.open("ab" if exists else "xb"):
            pass
        if not exists:
            path.unlink()
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write {path}: {error.strerror}; write --out another file")


def _estimate(target: Target, price: usage.Price | None, requests: int, seed: int) -> usage.Estimate:
    """What the budget costs: prompts of the length that will be asked, bound to a word each."""
    from driftwatch import usage  # noqa: PLC0415 - beside its use
    from driftwatch.domain import Canary, Message  # noqa: PLC0415 - beside its use
    from driftwatch.probes import candidate  # noqa: PLC0415 - slow import
    from driftwatch.score.channels.label import ONE_WORD_TOKENS  # noqa: PLC0415 - slow import

    canaries = tuple(
        Canary(
            id=f"probes/{i}",
            suite="probes",
            messages=(Message(role="user", content=candidate(i, seed)),),
            parameters={"max_tokens": ONE_WORD_TOKENS},
        )
        for i in range(requests)
    )
    return usage.estimate(replace(target, canaries=canaries), price, passes=1)


def _tell(found: Discovery, requests: int) -> None:
    from driftwatch.cli.style import plain  # noqa: PLC0415 - slow import

    for note in found.abilities.notes:
        typer.echo(f"  {plain(note)}")
    for kind, name in NAMES.items():
        kept = [probe for probe in found.probes if probe.kind == kind]
        gaps = [probe.gap_nats for probe in kept if probe.gap_nats is not None]
        if kind == "border" and gaps:
            typer.echo(f"  {len(kept)} {name}, {min(gaps):.2f} to {max(gaps):.2f} nats from a tie")
        elif kind == "border" and kept:
            typer.echo(f"  {len(kept)} {name}: each gave two answers about equally often")
        elif kept:
            typer.echo(f"  {len(kept)} {name}")
    with_logprobs = sum(probe.kind == "border" and "logprobs" in probe.parameters for probe in found.probes)
    if with_logprobs:
        typer.echo(f"  log-probabilities come along with {with_logprobs} of the border inputs")
    typer.echo(f"  {found.n_requests:,} of {requests:,} requests used, {found.n_candidates:,} prompts tried")
    if found.unspent:
        typer.echo(f"  {requests - found.n_requests:,} requests are left: {found.unspent}")
    if found.trouble:
        typer.echo(f"  ended early, the endpoint stopped to answer: {plain(found.trouble)}")


def _why_nothing(name: str, found: Discovery, requests: int) -> str:
    if found.trouble:
        return f"{name}: no probe found before the endpoint stopped to answer: {found.trouble}; try again later"
    if not found.abilities.bound:
        return f"{name}: no micro probe fits this endpoint; watch it with ordinary canaries"
    return (
        f"{name}: none of {found.n_candidates:,} prompts is near a tie or varies; "
        f"write --requests above {requests:,}, or another --seed"
    )


def _next(settings: Settings, target: Target, path: Path) -> None:
    from driftwatch.canaries import load_suites  # noqa: PLC0415 - slow import
    from driftwatch.probes import suite_name  # noqa: PLC0415 - slow import

    suite = suite_name(target.name)
    typer.echo(f"Wrote {path}.")
    typer.echo("Next:")
    if _is_listed(settings.canaries, path):
        typer.echo(f"  1. it is among the `canaries:` of {settings.file} already")
    else:
        typer.echo(f"  1. in {settings.file}, write (it replaces the line that is there, if any):")
        typer.echo(f"       {_canaries_line(settings, path)}")
    typer.echo(f"  2. give the probes a target of their own, like {target.name} but with a short `interval:` and")
    typer.echo(f"       suites: [{suite}]")
    typer.echo("     added to a watched target they would begin its baseline anew")
    everything = [name for name, wanted in settings.targets.items() if not wanted.suites]
    others = [name for name in load_suites(settings.canaries) if name != suite]
    if everything and others:
        typer.echo(f"  3. a target without `suites:` replays every suite; so write for {', '.join(everything)}:")
        typer.echo(f"       suites: [{', '.join(others)}]")
    typer.echo(f"  {4 if everything and others else 3}. run `driftwatch validate`")


def _is_listed(canaries: Sequence[Path], path: Path) -> bool:
    """Whether the config's canaries name the file, or a folder that it lies in."""
    wanted = os.path.abspath(path)  # noqa: PTH100 - Path.resolve follows links, which are named as they are
    places = {os.path.abspath(place) for place in canaries}  # noqa: PTH100
    return wanted in places or os.path.dirname(wanted) in places  # noqa: PTH120


def _canaries_line(settings: Settings, path: Path) -> str:
    """The config's line with its present canaries and the file, written as the config's folder sees them."""
    folder = settings.file if settings.file.is_dir() else settings.file.parent
    return f"canaries: [{', '.join(_as_written(place, folder) for place in [*settings.canaries, path])}]"


def _as_written(place: Path, folder: Path) -> str:
    here, there = os.path.abspath(folder), os.path.abspath(place)  # noqa: PTH100 - as in _is_listed
    is_near = Path(there).is_relative_to(Path(here).parent)
    text = os.path.relpath(there, here) if is_near else there
    return text if re.fullmatch(r"[\w./-]+", text) else json.dumps(text)
