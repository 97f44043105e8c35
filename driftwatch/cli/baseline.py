"""``driftwatch baseline``: collects anchors and calibration runs at once, with the cost said first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, load_settings, pick_targets, start_logging, with_app
from driftwatch.errors import DriftwatchError, UsageError

if TYPE_CHECKING:
    from driftwatch import usage
    from driftwatch.app import App
    from driftwatch.domain import Baseline, Completion, Target

MINIMUM_RUNS = 20
"""Fewer calibration runs cannot carry a statistical alarm. Source: docs/detection.md."""

PATIENCE = 3
"""Runs in a row with too many failures before collecting stops; it goes on where it stopped."""


HOPELESS = frozenset({"auth", "model_gone", "rejected"})
"""Outcomes that asking again does not change: when a whole run ends so, collecting stops at once."""


class CannotMeasure(DriftwatchError):
    """The endpoint fails too often to collect a baseline from."""


class Declined(DriftwatchError):
    """The user does not want to spend what it costs."""

    exit_code = 130


def baseline(
    targets: list[str] = typer.Argument(None, help="Targets, all when none is named.", show_default=False),
    config: Path | None = CONFIG,
    runs: int = typer.Option(
        MINIMUM_RUNS, "--runs", min=MINIMUM_RUNS, help="Calibration runs to collect before the watch is armed."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Spend without asking."),
    place: Path | None = typer.Option(
        None, "--export", metavar="PATH", help="Ask nothing: write the baselines to this folder or .json file."
    ),
    with_private: bool = typer.Option(
        False, "--with-private", help="With --export: write replies of canaries that their suite marks private too."
    ),
) -> None:
    """Collect a baseline now: anchors, then calibration runs back to back. Interrupted, only the run under way is lost.

    Without this command `driftwatch serve` collects the baseline on its schedule, a week by default, which also
    learns the daily rhythm that runs made in one sitting cannot show.
    """
    settings = load_settings(config)
    start_logging("error", settings.log.format)
    names = pick_targets(settings, targets or ())
    if with_private and place is None:
        raise UsageError("--with-private is for --export; leave it out")

    async def export(application: App) -> None:
        from driftwatch.cli.baseline_file import write  # noqa: PLC0415 - slow import

        write(application, names, place or Path(), with_private=with_private)

    if place is not None:
        with_app(settings, export)
        return

    async def work(application: App) -> None:
        wanted = [target for target in application.targets if target.name in names]
        plans = [_Plan(application, target, runs) for target in wanted]
        open_plans = [plan for plan in plans if not plan.is_done]
        for plan in plans:
            typer.echo(plan.sentence())
        if not open_plans:
            return
        agree(reduce(add, (plan.estimate for plan in open_plans)), yes=yes)
        application.begin((), application.clock.now())
        for plan in open_plans:
            await plan.collect()

    with_app(settings, work)


class _Plan:
    """What one target's baseline still needs, and the collecting of it."""

    def __init__(self, application: App, target: Target, runs: int) -> None:
        from driftwatch import usage  # noqa: PLC0415 - beside its use

        self._app, self._target = application, target
        self._baseline: Baseline = application.pipeline.baseline_for(target, application.clock.now())
        self.wanted = min(runs, self._baseline.calibration_wanted)
        self.is_done = self._baseline.state == "active"
        missing = {} if self.is_done else application.pipeline.missing_anchors(target, self._baseline)
        self._missing: Mapping[str, int] = missing
        self.missing_runs = 0 if self.is_done else max(0, self.wanted - self._collected())
        passes = {c.id: missing.get(c.id, 0) + self.missing_runs * target.repeats_for(c) for c in target.canaries}
        price = application.lines[target.name].price
        self.estimate: usage.Estimate = usage.estimate(target, price, passes=passes)

    def sentence(self) -> str:
        """What is to be done for this target, in one line."""
        name = self._target.name
        if self.is_done:
            return (
                f"{name}: the baseline is complete and armed (since {self._baseline.activated_at:%Y-%m-%d %H:%M} UTC); "
                f"to replace it, `driftwatch rebaseline {name} --preview`{self._until()}"
            )
        return (
            f"{name}: {self._missing_in_words()}: {self.estimate.requests:,} requests, about "
            f"{self.estimate.input_tokens:,} tokens in and at most {self.estimate.output_tokens:,} out, "
            f"{dollars(self.estimate)}"
        )

    def _until(self) -> str:
        expires_at = self._baseline.expires_at
        return f"; it was accepted until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else ""

    def _missing_in_words(self) -> str:
        """Only what is missing, so that a command that goes on does not read as if it began."""
        from driftwatch.alert.text import count  # noqa: PLC0415 - beside its use

        runs = count(self.missing_runs, "calibration run")
        lacking = [n for n in self._missing.values() if n]
        if not lacking:
            return runs
        each = "for each of" if len(set(lacking)) == 1 else "at most for each of"
        anchors = f"{count(max(lacking), 'anchor')} {each} {count(len(lacking), 'canary')}"
        return f"{anchors}, then {runs}" if self.missing_runs else anchors

    async def collect(self) -> None:
        """Run until the baseline is armed.

        Raises:
            CannotMeasure: too many requests fail.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        from driftwatch.cli.context import console  # noqa: PLC0415 - slow import

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console(stderr=True)) as progress:
            bar = progress.add_task(self._target.name, total=self.estimate.requests)
            failures = 0
            while (current := self._current()).state == "collecting" and self._collected() < self.wanted:
                made, counted = await self._run(lambda _: progress.advance(bar))
                failures = 0 if counted else failures + 1
                if failures >= PATIENCE or (failures and {c.outcome.value for c in made} <= HOPELESS):
                    raise CannotMeasure(self._why(made))
            at = self._app.clock.now()
            if current.state == "collecting" and not self._app.pipeline.arm(
                self._target, current, at, wanted=self.wanted
            ):
                name = self._target.name
                raise CannotMeasure(
                    f"{name}: it changed while it was being calibrated, so the watch is not armed; `driftwatch status` "
                    f"says since when, and `driftwatch rebaseline {name} --reason …` accepts what it serves now"
                )
        typer.echo(f"{self._target.name}: armed with {self._collected()} calibration runs. Next: driftwatch serve")

    async def _run(self, on_completion: Callable[[Completion], None]) -> tuple[list[Completion], bool]:
        """One run: what came of it, and whether it counts."""
        from driftwatch.cli.standing import counts  # noqa: PLC0415 - slow import

        made: list[Completion] = []

        def note(completion: Completion) -> None:
            made.append(completion)
            on_completion(completion)

        at = self._app.clock.now()
        verdict = await self._app.pipeline.run(self._target, scheduled_at=at, at=at, on_completion=note)
        if verdict is None:
            # A run of this very moment is there already: simulated time stands still until somebody waits.
            await self._app.clock.sleep_until(at + timedelta(seconds=1))
            return made, True
        runs = self._app.store.runs(self._target.name, since=at, until=at)
        return made, all(counts(self._app.store, run) for run in runs)

    def _why(self, made: list[Completion]) -> str:
        name, failed = self._target.name, [completion for completion in made if not completion.is_ok]
        return (
            f"{name}: {len(failed)} of {len(made)} requests failed, the first: {failed[0].error}; what was stored is "
            f"kept: `driftwatch doctor {name}` says what to correct, then this command goes on where it stopped"
        )

    def _current(self) -> Baseline:
        return self._app.pipeline.baseline_for(self._target, self._app.clock.now())

    def _collected(self) -> int:
        return sum(row.purpose == "calibration" for row in self._app.store.series(self._current().id))


def agree(total: usage.Estimate, *, yes: bool) -> None:
    """Let the user agree to what is about to be spent.

    Raises:
        UsageError: nobody is there to be asked.
        Declined: the answer is no.
    """
    if yes or total.usd == 0:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"{total.requests:,} requests, {dollars(total)}: nobody is here to be asked; write --yes to spend it"
        )
    if not typer.confirm(f"Spend {total.requests:,} requests, {dollars(total)}?"):
        raise Declined("nothing was sent; the same command asks again")


def dollars(estimate: usage.Estimate) -> str:
    """What an estimate costs, in words."""
    if estimate.usd is None:
        return "price unknown (set `price:` on the target to see dollars)"
    if estimate.price is None:
        return f"at most ${estimate.usd:.2f}"
    if estimate.usd == 0:
        return "no charge per token"
    return f"at most ${estimate.usd:.2f} (price from {estimate.price.source})"
