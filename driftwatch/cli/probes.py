"""``driftwatch probes``: discover the one-token prompts on which an endpoint shows a change, within a stated budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.baseline import agree, dollars
from driftwatch.cli.context import CONFIG, load_settings, pick_targets, start_logging, with_app
from driftwatch.errors import DriftwatchError, UsageError

if TYPE_CHECKING:
    from driftwatch import usage
    from driftwatch.app import App
    from driftwatch.config import Settings
    from driftwatch.domain import Target
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
        asker = Asker(asked, line.provider, line.gate, at=at, deadline_s=line.deadline_s, n_requests=requests)
        found = await discover(asker, kinds=wanted, n_probes=probes, seed=seed)
        _tell(found, requests)
        if not found.probes:
            raise NothingFound(_why_nothing(name, found, requests))
        try:
            path.write_text(suite_text(found, asked, seed=seed, at=at), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}; write --out another file") from None
        _next(settings, asked, path)

    with_app(settings, work)


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
        UsageError: the file exists or has no place.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory; write --out a file in it")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; write --force to replace it, or --out another file")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is no directory; make it, or write --out another file")


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
        gaps = [probe.gap_nats for probe in found.probes if probe.kind == kind]
        if kind == "border" and gaps:
            typer.echo(f"  {len(gaps)} {name}, {min(gaps):.2f} to {max(gaps):.2f} nats from a tie")
        elif gaps:
            typer.echo(f"  {len(gaps)} {name}")
    with_logprobs = sum(probe.kind == "border" and "logprobs" in probe.parameters for probe in found.probes)
    if with_logprobs:
        typer.echo(f"  log-probabilities come along with {with_logprobs} of the border inputs")
    typer.echo(f"  {found.n_requests:,} of {requests:,} requests used, {found.n_candidates:,} prompts tried")
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
    from driftwatch.probes import suite_name  # noqa: PLC0415 - slow import

    suite = suite_name(target.name)
    typer.echo(f"Wrote {path}.")
    typer.echo("Next:")
    typer.echo(f"  1. add {path} to `canaries:` in {settings.file}")
    typer.echo(
        f"  2. give the probes a target of their own, like {target.name} but `suites: [{suite}]` and a short "
        "`interval:`;\n     added to a watched target they would begin its baseline anew"
    )
    typer.echo("  3. targets without `suites:` replay every suite: name theirs, then run `driftwatch validate`")
