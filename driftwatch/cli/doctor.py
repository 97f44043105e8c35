"""``driftwatch doctor``: would the watch work from here? One line for each thing that must."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, load_settings, pick_targets, start_logging, with_app
from driftwatch.cli.printing import show
from driftwatch.domain import Outcome
from driftwatch.errors import ConfigError, DriftwatchError, EmbedderUnavailable

if TYPE_CHECKING:
    from driftwatch.app import App
    from driftwatch.config import Settings
    from driftwatch.domain import Completion, Target
    from driftwatch.providers import Provider
    from driftwatch.usage import Estimate

OK, MISCONFIGURED, UNMEASURED = 0, 2, 3

AT_ONCE = 4
"""Requests to one endpoint at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at."""

    about: str
    code: int
    sentence: str
    is_warning: bool = False
    """The watch works, but hardly as it is meant; the exit code stays."""


def doctor(
    targets: list[str] = typer.Argument(None, help="Targets to ask, all when none is named.", show_default=False),
    config: Path | None = CONFIG,
    offline: bool = typer.Option(False, "--offline", help="Send nothing to the endpoints."),
) -> None:
    """Verify secrets, store, embedder and receivers, and send each target one canary. Exit code 0, 2 or 3.

    An endpoint that refuses the canary is asked up to 4 times more, to find out which parameter it refuses.
    """
    settings = load_settings(config)
    start_logging("critical", settings.log.format)
    names = pick_targets(settings, targets or ())
    secrets = _secrets(settings, names)

    async def work(application: App) -> list[Finding]:
        found = [
            Finding(about="store", code=OK, sentence=f"{settings.store}, schema {application.store.schema_version}")
        ]
        found += [_embedder(application), *secrets]
        missing = {finding.about for finding in secrets if finding.code != OK}
        chosen = [t for t in application.targets if t.name in names and f"target {t.name}" not in missing]
        if not offline:
            _unpaced(application)
            # At once, as a run would: the gates keep targets of one endpoint from crowding it.
            for findings in await asyncio.gather(*(_look_at(application, target) for target in chosen)):
                found += findings
        return found + _fleet_budget(application)

    try:
        findings = with_app(settings, work)
    except EmbedderUnavailable as error:
        findings = [Finding(about="embedder", code=UNMEASURED, sentence=str(error)), *secrets]
    except ConfigError:
        # It ends the command; what else is wrong is told first.
        _print([finding for finding in secrets if finding.code != OK], names)
        raise
    _print(findings, names)
    codes = {finding.code for finding in findings}
    raise typer.Exit(MISCONFIGURED if MISCONFIGURED in codes else UNMEASURED if UNMEASURED in codes else OK)


def _unpaced(application: App) -> None:
    """Ask a few requests without the pace that `limits:` set for runs: nobody waits minutes for a diagnosis."""
    from driftwatch.replay import Gate  # noqa: PLC0415 - beside its use

    gates: dict[int, Gate] = {}
    for name, line in application.lines.items():
        gate = gates.setdefault(id(line.gate), Gate(AT_ONCE))
        application.lines[name] = replace(line, gate=gate)


def _secrets(settings: Settings, names: list[str]) -> list[Finding]:
    from driftwatch.config import missing_secrets, secrets_of  # noqa: PLC0415 - pydantic is slow to import

    wrong = [
        Finding(about=missing.about, code=MISCONFIGURED, sentence=missing.sentence)
        for missing in missing_secrets(settings, os.environ)
        if not missing.about.startswith("target ") or missing.about.removeprefix("target ") in names
    ]
    # With routes the answer depends on the kind: `validate` shows it.
    silent = [] if settings.alerts.routes else sorted(n for n in names if not settings.targets[n].receivers)
    if silent:
        # One line for all of them: a config without receivers would repeat it for every target.
        sentence = f"nobody is told of the incidents of {', '.join(silent)}: add `receivers:`"
        wrong.append(Finding(about="receivers", code=OK, sentence=sentence, is_warning=True))
    told = {finding.about for finding in wrong}
    named = [*(f"receiver {name}" for name in settings.receivers), *(["heartbeat"] if settings.heartbeat else [])]
    fine = [about for about in named if about not in told]
    secretless = {f"receiver {name}" for name, receiver in settings.receivers.items() if not secrets_of(receiver)}
    return wrong + [
        Finding(
            about=about,
            code=OK,
            sentence=f"{'needs no secret' if about in secretless else 'its secret is set'}; nothing was sent",
        )
        for about in fine
    ]


def _embedder(application: App) -> Finding:
    embedder = application.pipeline.embedder
    if embedder is None:
        return Finding(about="embedder", code=OK, sentence="off: the meaning channel is not watched")
    try:
        embedder.embed(["driftwatch"])
    except EmbedderUnavailable as error:
        return Finding(about="embedder", code=UNMEASURED, sentence=str(error))
    return Finding(about="embedder", code=OK, sentence=f"{embedder.revision} loads and embeds")


async def _look_at(application: App, target: Target) -> list[Finding]:
    """Send the target one canary, and say what its endpoint does with it."""
    from driftwatch.cli import doctor_ask, doctor_text  # noqa: PLC0415 - beside their use

    settings, about = application.settings, f"target {target.name}"
    canary = doctor_ask.most_demanding(target, _unasked(application.lines[target.name].provider, target))
    completion = await doctor_ask.ask(application, target, canary)
    found = []
    if completion.outcome is Outcome.REJECTED and completion.error:
        sent = [
            name for name in target.parameters_for(canary) if name not in application.lines[target.name].provider.unsent
        ]
        blame = await doctor_ask.find_refused(
            partial(doctor_ask.ask, application, target, canary), sent, completion.error or ""
        )
        if blame.parameters:
            sentence = f"{doctor_text.refused(settings, target, blame)}\n{completion.error}"
            found.append(Finding(about=about, code=UNMEASURED, sentence=sentence))
            completion = blame.answer or completion
    if not completion.is_ok and not found:
        told = ((completion.error or "").removesuffix("."), doctor_text.advice(settings, target, canary, completion))
        found.append(Finding(about=about, code=UNMEASURED, sentence="; ".join(part for part in told if part)))
    if completion.is_ok:
        parts = [doctor_text.works(target, completion, canary), doctor_text.limits(completion)]
        if not found:
            parts.append(doctor_text.costs(target, _run(application, target)))
            found.append(Finding(about=about, code=OK, sentence="\n".join(part for part in parts if part)))
    warnings = await _warnings(application, target, completion)
    return found + [Finding(about=about, code=OK, sentence=said, is_warning=True) for said in warnings]


async def _warnings(application: App, target: Target, completion: Completion) -> list[str]:
    """What works otherwise than the config lets expect."""
    from driftwatch.cli import doctor_text  # noqa: PLC0415 - beside its use
    from driftwatch.lifecycle import announced  # noqa: PLC0415 - beside its use

    settings, provider = application.settings, application.lines[target.name].provider
    configured = {name for canary in target.canaries for name in target.parameters_for(canary)}
    said = []
    if unsent := sorted(configured & provider.unsent):
        said.append(doctor_text.unsent(target, unsent))
    if unasked := _unasked(provider, target):
        said.append(doctor_text.unasked(unasked, target))
    if completion.is_ok and target.stream and completion.ttft_s is None:
        said.append("a stream was asked for and a document came: times to the first token are not measured")
    if target.provider == "openrouter" and "upstream" not in target.options:
        said.append(doctor_text.unpinned(completion))
    if ending := announced(completion.headers):
        said.append(f"the endpoint announces an end: {ending}")
    if completion.is_ok and (listed := await _listed(application, target)):
        said.append(listed)
    run = _run(application, target)
    if slow := doctor_text.too_slow(settings, target, run, application.lines[target.name].deadline_s):
        said.append(slow)
    return said + list(doctor_text.over_budget(settings, [(target, run)], target))


def _unasked(provider: Provider, target: Target) -> dict[str, str]:
    """Canary id → why this wire cannot ask it."""
    from driftwatch.providers.endpoint import Endpoint  # noqa: PLC0415 - slow import

    if not isinstance(provider, Endpoint):
        return {}
    refusals = {canary.id: provider.unaskable(target, canary) for canary in target.canaries}
    return {name: why for name, why in refusals.items() if why is not None}


async def _listed(application: App, target: Target) -> str | None:
    """What the endpoint's own list of models says of the model's end; looking costs nothing."""
    from driftwatch.lifecycle import day  # noqa: PLC0415 - beside its use
    from driftwatch.providers.listing import Lists  # noqa: PLC0415 - beside its use

    provider = application.lines[target.name].provider
    if not isinstance(provider, Lists):
        return None
    try:
        listing = await provider.listed(target)
    except DriftwatchError:
        return None  # not every key may read the list, and not every server has one
    if listing is None or not (listing.retires_on or listing.is_deprecated):
        return None
    instead = f"; {listing.replacement} takes its place" if listing.replacement else ""
    when = f"ends on {day(listing.retires_on)}" if listing.retires_on else "is deprecated"
    return f"the endpoint's list of models says that {target.model} {when}{instead}"


def _run(application: App, target: Target) -> Estimate:
    from driftwatch import usage  # noqa: PLC0415 - beside its use

    passes = {canary.id: target.repeats_for(canary) for canary in target.canaries}
    return usage.estimate(target, application.lines[target.name].price, passes=passes)


def _fleet_budget(application: App) -> list[Finding]:
    from driftwatch.cli.doctor_text import over_budget  # noqa: PLC0415 - beside its use

    runs = [(target, _run(application, target)) for target in application.targets]
    sentences = over_budget(application.settings, runs, None)
    return [Finding(about="budget", code=OK, sentence=said, is_warning=True) for said in sentences]


def _by_subject(findings: list[Finding], names: list[str]) -> list[Finding]:
    """Targets last and in their order, warnings after what they warn of; otherwise as found."""
    order = [f"target {name}" for name in names]

    def place(finding: Finding) -> tuple[int, bool]:
        return (order.index(finding.about) + 1, finding.is_warning) if finding.about in order else (0, False)

    return sorted(findings, key=place)


def _print(findings: list[Finding], names: list[str]) -> None:
    from driftwatch.cli.style import plain, table  # noqa: PLC0415 - slow import

    marks = {OK: "[green]ok[/]", MISCONFIGURED: "[red]wrong[/]", UNMEASURED: "[yellow]failed[/]"}
    rows = table("", "what", "finding")
    for finding in _by_subject(findings, names):
        mark = "[yellow]warning[/]" if finding.is_warning else marks[finding.code]
        rows.add_row(mark, finding.about, plain(finding.sentence))
    if findings:
        show(rows)
