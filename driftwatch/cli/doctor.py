"""``driftwatch doctor``: would the watch work from here? One line for each thing that must."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import CONFIG, console, load_settings, pick_targets, start_logging, with_app
from driftwatch.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from driftwatch.app import App
    from driftwatch.config import Settings
    from driftwatch.domain import Completion, Target

OK, MISCONFIGURED, UNMEASURED = 0, 2, 3

ADVICE = {
    "auth": "the key is not accepted: set {key} to a valid one",
    "model_gone": "the endpoint does not know the model: correct `model:`",
    "connection": "nothing answers there: correct `base_url:` or the network",
    "timeout": "no reply in time: raise `timeout:` or lower `max_tokens`",
    "rejected": "the request is refused: if it names a parameter, `parameters: {{that: null}}` never sends it",
    "rate_limited": "too many requests for this key: lower `concurrency:` or lengthen `interval:`",
    "not_json": "this is not the API but a web page or gateway: correct `base_url:`",
    "unavailable": "the endpoint is overloaded or broken: try again later",
    "empty_body": "something between here and the API swallows the reply: correct `base_url:`",
    "error_body": "the gateway passes an error on as a reply: see its own log",
    "cut_off": "the reply broke off: look at proxies in between, or lower `max_tokens`",
    "malformed": "this is not a chat-completions endpoint: correct `base_url:` or `provider:`",
}


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
    """Verify secrets, store, embedder and receivers, and send each target one canary. Exit code 0, 2 or 3."""
    settings = load_settings(config)
    start_logging("critical", settings.log.format)
    names = pick_targets(settings, targets or ())
    findings = _secrets(settings, names)

    async def work(application: App) -> list[Finding]:
        found = [
            Finding(about="store", code=OK, sentence=f"{settings.store}, schema {application.store.schema_version}")
        ]
        found.append(_embedder(application))
        if offline:
            return found
        missing = {finding.about for finding in findings if finding.code != OK}
        for target in application.targets:
            if target.name in names and f"target {target.name}" not in missing:
                found += await _ask(application, target)
        return found

    try:
        findings += with_app(settings, work)
    except EmbedderUnavailable as error:
        findings.append(Finding(about="embedder", code=UNMEASURED, sentence=str(error)))
    _print(findings)
    codes = {finding.code for finding in findings}
    raise typer.Exit(MISCONFIGURED if MISCONFIGURED in codes else UNMEASURED if UNMEASURED in codes else OK)


def _secrets(settings: Settings, names: list[str]) -> list[Finding]:
    from driftwatch.config import missing_secrets  # noqa: PLC0415 - pydantic is slow to import

    wrong = [
        Finding(about=missing.about, code=MISCONFIGURED, sentence=missing.sentence)
        for missing in missing_secrets(settings, os.environ)
        if not missing.about.startswith("target ") or missing.about.removeprefix("target ") in names
    ]
    silent = {name for name in names if not settings.targets[name].receivers}
    wrong += [
        Finding(
            about=f"target {name}",
            code=OK,
            sentence="nobody is told of its incidents: add `receivers:`",
            is_warning=True,
        )
        for name in sorted(silent)
    ]
    told = {finding.about for finding in wrong}
    fine = [f"receiver {name}" for name in settings.receivers if f"receiver {name}" not in told]
    return wrong + [Finding(about=about, code=OK, sentence="its secret is set; nothing was sent") for about in fine]


def _embedder(application: App) -> Finding:
    embedder = application.pipeline.embedder
    if embedder is None:
        return Finding(about="embedder", code=OK, sentence="off: the meaning channel is not watched")
    try:
        embedder.embed(["driftwatch"])
    except EmbedderUnavailable as error:
        return Finding(about="embedder", code=UNMEASURED, sentence=str(error))
    return Finding(about="embedder", code=OK, sentence=f"{embedder.revision} loads and embeds")


async def _ask(application: App, target: Target) -> list[Finding]:
    """Send the target's first canary once."""
    from dataclasses import replace  # noqa: PLC0415 - one use

    from driftwatch.replay import RetryPolicy, replay  # noqa: PLC0415 - beside its use

    line = application.lines[target.name]
    one = replace(target, canaries=target.canaries[:1])
    [completion] = await replay(
        one,
        line.provider,
        at=application.clock.now(),
        gate=line.gate,
        retry=RetryPolicy(attempts=1),
        deadline_s=line.deadline_s,
        repeats=1,
    )
    about = f"target {target.name}"
    if not completion.is_ok:
        key = application.settings.targets[target.name].api_key_env or "the key"
        advice = ADVICE.get(completion.outcome.value, "").format(key=key)
        sentence = "; ".join(part for part in (completion.error, advice) if part)
        return [Finding(about=about, code=UNMEASURED, sentence=sentence)]
    return [Finding(about=about, code=OK, sentence=_praise(application, target, completion))]


def _praise(application: App, target: Target, completion: Completion) -> str:
    from driftwatch import usage  # noqa: PLC0415 - beside its use

    served = completion.served_model or "not told"
    said = f"answers in {completion.latency_s:.1f} s, served model {served}"
    if completion.output_tokens is None:
        said += ", tells no token counts"
    price = application.lines[target.name].price
    run = usage.estimate(target, price, passes={c.id: target.repeats_for(c) for c in target.canaries})
    if run.usd is None:
        return f"{said}; a run is {run.requests} requests, price unknown: set `price:` to see dollars"
    if run.usd == 0:
        return f"{said}; a run is {run.requests} requests, no charge per token"
    return f"{said}; a run costs at most ${run.usd:.4f}, a month ${run.usd * target.runs_per_year / 12:,.2f}"


def _print(findings: list[Finding]) -> None:
    from driftwatch.cli.style import plain, table  # noqa: PLC0415 - slow import

    marks = {OK: "[green]ok[/]", MISCONFIGURED: "[red]wrong[/]", UNMEASURED: "[yellow]failed[/]"}
    rows = table("", "what", "finding")
    for finding in findings:
        mark = "[yellow]warning[/]" if finding.is_warning else marks[finding.code]
        rows.add_row(mark, finding.about, plain(finding.sentence))
    console().print(rows)
