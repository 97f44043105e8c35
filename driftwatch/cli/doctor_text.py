"""The sentences of ``driftwatch doctor``: what an endpoint tells, what a run costs, what to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from driftwatch.domain import Canary, Completion, Outcome, Target
from driftwatch.providers import PROVIDERS

if TYPE_CHECKING:
    from driftwatch.cli.doctor_ask import Blame
    from driftwatch.config import Settings
    from driftwatch.usage import Estimate

ADVICE = {
    Outcome.AUTH: "the key is not accepted: set {key} to a valid one",
    Outcome.QUOTA: "the account has no credit or no plan left: only its owner can help, asking again does not",
    Outcome.MODEL_GONE: "the endpoint does not know the model, or this key may not use it: correct `model:`",
    Outcome.FILTERED: "a content filter refuses this canary: reword it, or loosen the filter where you run it",
    Outcome.CONNECTION: "nothing answers there: correct {address} or the network; behind a proxy, `proxy_env:`",
    Outcome.TIMEOUT: "no reply in time: raise `timeout:` or lower `max_tokens`",
    Outcome.REJECTED: "no sampling parameter is to blame: see what the endpoint says",
    Outcome.RATE_LIMITED: "too many requests for this key: set `limits:`, lower `concurrency:` or lengthen `interval:`",
    Outcome.UNAVAILABLE: "the endpoint is overloaded or broken: try again later",
    Outcome.NOT_JSON: "this is not the API but a web page or gateway: correct {address}",
    Outcome.EMPTY_BODY: "something between here and the API swallows the reply: correct {address}",
    Outcome.ERROR_BODY: "the gateway passes an error on as a reply: see its own log",
    Outcome.CUT_OFF: "the reply broke off: look at proxies in between, or lower `max_tokens`",
    Outcome.TOO_LARGE: "far more came than any answer to a canary: correct {address}, or lower `max_tokens`",
    Outcome.MALFORMED: "this does not answer like {about}: correct {address} or `provider:`",
    Outcome.NOT_ASKED: "nothing was sent: raise `limits:` or `timeout:`, or wait",
}
"""Outcome → what to do about it. ``{address}`` is the key that says where the API is."""

WITHOUT_KEY = {
    "azure_openai": "give the identity the role Cognitive Services OpenAI User on the resource",
    "bedrock": "name another `profile:` under `options:`, or let the identity call bedrock:InvokeModel in this region",
    "vertex": "log in with `gcloud auth application-default login`, or give the identity the role Vertex AI User",
}
"""Provider → what to do where an identity takes the key's place."""

SHAPES = {"response_format": "response_format", "json_schema": "response_format", "tool": "tools", "function": "tools"}
"""Word in a refusal → what a canary asks for that not every endpoint has."""


def advice(settings: Settings, target: Target, canary: Canary, completion: Completion) -> str:
    """What to do about a canary that got no reply."""
    wanted, entry = settings.targets[target.name], PROVIDERS[target.provider]
    address = "`options:`" if entry.base_url is None and not entry.needs_base_url else "`base_url:`"
    key = wanted.api_key_env or (f"the key in {wanted.api_key_file}" if wanted.api_key_file else None)
    if completion.outcome is Outcome.AUTH and key is None:
        return WITHOUT_KEY.get(target.provider, "the endpoint wants a key: name its variable with `api_key_env:`")
    if completion.outcome is Outcome.REJECTED and (shape := _shape(canary, completion.error or "")):
        return f"{canary.id} asks for {shape}: name only suites without it under `suites:`"
    if completion.outcome is Outcome.MALFORMED and target.provider == "http":
        return "the paths under `options:` do not fit this reply: correct `text:`, or `base_url:`"
    if completion.outcome is Outcome.CONNECTION and wanted.proxy_env:
        return f"look at the proxy that {wanted.proxy_env} names, then at {address} and the network"
    if completion.outcome is Outcome.CONNECTION and entry.about.endswith("on this machine"):
        return f"nothing answers at {target.base_url}: start the server, or correct `base_url:`"
    return ADVICE.get(completion.outcome, "").format(key=key, address=address, about=entry.about)


def refused(settings: Settings, target: Target, blame: Blame) -> str:
    """Which parameters are refused, and the line to change."""
    names = blame.parameters
    if blame.answer is None:
        said = f"refuses {_and(names)}, as it says itself"
    elif blame.is_certain:
        said = f"refuses {_and(names)} and answers without {'it' if len(names) == 1 else 'them'}"
    else:
        said = f"refuses at least one of {_and(names)} and answers without them"
    return f"{said}: {_change(settings, target, names)}"


def _change(settings: Settings, target: Target, names: Sequence[str]) -> str:
    """The least to write so that these parameters are not sent."""
    from driftwatch.config import yaml_of  # noqa: PLC0415 - pydantic is slow to import

    section = ("targets", target.name)
    places = [settings.place_of((*section, "parameters", name)) for name in names]
    if all(places) and not any(name in canary.parameters for name in names for canary in target.canaries):
        where = ", ".join(
            f"{'.'.join(section)}.parameters.{name} ({at})" for name, at in zip(names, places, strict=True)
        )
        return f"remove {where}"
    wanted = {**target.parameters, **dict.fromkeys(names)}
    at = settings.place_of((*section, "parameters")) or settings.place_of(section)
    return f"write parameters: {yaml_of(wanted)} under {'.'.join(section)}{f' ({at})' if at else ''}"


def works(target: Target, completion: Completion, canary: Canary) -> str:
    """That the endpoint answers, and what it tells beside the reply."""
    said = f"answers in {_seconds(completion.latency_s)}"
    if completion.ttft_s is not None:
        said += f", the first token after {_seconds(completion.ttft_s)}"
    return f"{said}\n{_tells(target, completion, canary)}"


def _tells(target: Target, completion: Completion, canary: Canary) -> str:
    counts = {"tokens in and out": completion.output_tokens, "cached": completion.cached_tokens}
    counts["reasoning"] = completion.reasoning_tokens
    counted = [name for name, count in counts.items() if count is not None]
    told = {
        f"served model {completion.served_model}": completion.served_model is not None,
        f"upstream {completion.upstream}": completion.upstream is not None,
        f"fingerprint {completion.fingerprint}": completion.fingerprint is not None,
        f"token counts ({', '.join(counted)})": bool(counted),
        "logprobs": completion.logprobs is not None,
    }
    silent = {
        "the served model": completion.served_model is None,
        "token counts": completion.output_tokens is None,
        "logprobs": completion.logprobs is None and bool(target.parameters_for(canary).get("logprobs")),
    }
    there, missing = [name for name, is_so in told.items() if is_so], [name for name, is_so in silent.items() if is_so]
    parts = ([f"tells {_and(there)}"] if there else []) + ([f"does not tell {_and(missing)}"] if missing else [])
    return "; ".join(parts)


def limits(completion: Completion) -> str | None:
    """What its headers leave of the endpoint's rate limits; None when they tell nothing."""
    from driftwatch.replay.headers import told_by  # noqa: PLC0415 - beside its use

    told = [
        f"{one.remaining:,.0f} of {one.limit:,.0f} {one.name.replace('-', ' ')}"
        for one in told_by(completion.headers, at=completion.at)
        if one.limit is not None
    ]
    return f"rate limits left: {', '.join(told)}" if told else None


def costs(target: Target, run: Estimate) -> str:
    """What a run and a month cost at most."""
    asks = "a run is 1 request" if run.requests == 1 else f"a run is {run.requests:,} requests"
    if run.usd is None:
        return f"{asks}, price unknown: set `price:` to see dollars"
    if run.usd == 0:
        return f"{asks}, no charge per token"
    return f"{asks} and costs at most ${run.usd:.4f}, a month ${run.usd * target.runs_per_year / 12:,.2f}"


def over_budget(settings: Settings, runs: Sequence[tuple[Target, Estimate]], target: Target | None) -> Iterator[str]:
    """Each cap that the schedule will reach, as a sentence.

    Args:
        settings: hold the caps.
        runs: targets and what a run of each takes at most.
        target: whose own caps; None for those of all together.
    """
    from driftwatch.usage.budget import Amount, Period, read_caps  # noqa: PLC0415 - beside its use

    key = f"targets.{target.name}.budget" if target else "budget"
    caps = read_caps((settings.targets[target.name] if target else settings).budget.caps, key=key)
    for cap in caps:
        most = 0.0
        for each, run in runs:
            amount = {Amount.USD: run.usd or 0.0, Amount.REQUESTS: run.requests}.get(cap.amount, _tokens(run))
            most += (
                amount
                * {
                    Period.RUN: 1.0,
                    Period.DAY: 86_400 / each.interval_s,
                    Period.MONTH: each.runs_per_year / 12,
                }[cap.period]
            )
        if most > cap.limit:
            at = settings.place_of(tuple(cap.key.split(".")))
            less = "ask fewer canaries" if cap.period is Period.RUN else "lengthen `interval:`"
            yield (
                f"{cap.key}{f' ({at})' if at else ''} stops it: a {cap.period.value} may take "
                f"{cap.in_words(most)}, the cap is {cap.in_words(cap.limit)}; raise it or {less}"
            )


def too_slow(settings: Settings, target: Target, run: Estimate, deadline_s: float) -> str | None:
    """That the target's own limits leave a run no time to end; None when they do."""
    limits = settings.targets[target.name].limits
    paces = {
        "requests_per_minute": (run.requests, limits.requests_per_minute),
        "tokens_per_minute": (_tokens(run), limits.tokens_per_minute),
    }
    for key, (amount, per_minute) in paces.items():
        if per_minute is not None and amount / per_minute * 60 > deadline_s:
            at = settings.place_of(("targets", target.name, "limits", key))
            return (
                f"targets.{target.name}.limits.{key}{f' ({at})' if at else ''} holds it up: a run may take "
                f"{amount / per_minute:,.0f} minutes and is broken off after {deadline_s / 60:,.0f}; "
                "raise it or lengthen `interval:`"
            )
    return None


def unsent(target: Target, names: Sequence[str]) -> str:
    """Configured parameters that never reach the model."""
    are, them = ("is", "it") if len(names) == 1 else ("are", "them")
    about = PROVIDERS[target.provider].about
    return f"{_and(names)} {are} configured and not sent: {about} has no place for {them}"


def unasked(sentences: Mapping[str, str], target: Target) -> str:
    """Canaries that the wire cannot ask at all.

    Args:
        sentences: canary id → why not.
        target: whose canaries they are.
    """
    first, why = next(iter(sentences.items()))
    others = f" and {len(sentences) - 1} more" if len(sentences) > 1 else ""
    left = sorted({c.suite for c in target.canaries} - {c.suite for c in target.canaries if c.id in sentences})
    instead = f"write suites: [{', '.join(left)}], or " if left else ""
    return f"{first}{others} cannot be asked here: {why}; {instead}take what this API lacks out of the canary"


def unpinned(completion: Completion) -> str:
    """That a router is free to choose."""
    came = f"; this reply came from {completion.upstream}" if completion.upstream else ""
    return (
        "OpenRouter may ask another provider with each request, and each serves the model its own way"
        f"{came}: write options: {{upstream: NAME}}"
    )


def _tokens(run: Estimate) -> float:
    return run.input_tokens + run.output_tokens


def _shape(canary: Canary, sentence: str) -> str | None:
    has = {"response_format": canary.response_format is not None, "tools": bool(canary.tools)}
    return next((shape for word, shape in SHAPES.items() if has[shape] and word in sentence.lower()), None)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _and(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
