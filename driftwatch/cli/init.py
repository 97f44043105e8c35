"""``driftwatch init``: writes an annotated config and starter suites."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import typer

from driftwatch import shipped
from driftwatch.cli.context import unknown
from driftwatch.errors import UsageError
from driftwatch.providers import PROVIDERS

NEXT = {
    "validate": "is what you wrote right? no keys, no network",
    "plan": "what it will cost and how soon it will see what",
    "doctor": "keys, endpoints, embedder, store: one request per target",
    "baseline": "says what it costs, asks, then collects what is normal",
    "serve": "watches until stopped",
}
"""Verb → what it does: the way from a new config to a running watch."""


MODELS = {
    "anthropic": "claude-haiku-4-5",
    "azure_openai": "gpt-4o-mini",
    "bedrock": "eu.amazon.nova-lite-v1:0",
    "cerebras": "gpt-oss-120b",
    "cohere": "command-a-03-2025",
    "deepseek": "deepseek-chat",
    "fireworks": "accounts/fireworks/models/gpt-oss-120b",
    "gemini": "gemini-2.5-flash",
    "groq": "llama-3.3-70b-versatile",
    "mistral": "mistral-small-latest",
    "openai": "gpt-4o-mini",
    "openai_responses": "gpt-4.1-mini",
    "openrouter": "meta-llama/llama-3.3-70b-instruct",
    "together": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "vertex": "gemini-2.5-flash",
    "xai": "grok-4-fast-non-reasoning",
}
"""Provider → a model to begin with, a small one; those of one's own servers have other names everywhere."""

SUGGESTED = {"bedrock": ("region",), "openrouter": ("upstream",)}
"""Provider → options that it can do without and a watch hardly can."""


OFFERED = sorted(set(PROVIDERS) - {"simulated"})


def init(
    directory: Path = typer.Argument(Path(), help="Where to write; made when it does not exist."),
    provider: str | None = typer.Option(
        None, "--provider", "-p", help=f"Write a target of this provider: {', '.join(OFFERED)}.", show_default=False
    ),
    model: str | None = typer.Option(None, "--model", "-m", help="Its model.", show_default=False),
    force: bool = typer.Option(False, "--force", help="Overwrite files that are there."),
) -> None:
    """Write an annotated driftwatch.yaml and the starter suites, ready to be edited."""
    text = shipped.path("config/driftwatch.yaml").read_text(encoding="utf-8")
    if provider is not None:
        text = _for_one(text, provider, model)
    elif model is not None:
        raise UsageError("--model goes with --provider")
    planned = {
        directory / name: shipped.path(f"config/{name}") for name in ("driftwatch.yaml", "driftwatch.schema.json")
    }
    planned |= {directory / "canaries" / file.name: file for file in sorted(shipped.path("canaries").glob("*.yaml"))}
    present = [str(file) for file in planned if file.exists()]
    if present and not force:
        raise UsageError(f"{present[0]} exists already; name another directory, or write --force to overwrite it")
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file; name a directory, which is made when it does not exist")
    try:
        for file, source in planned.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, file)
        (directory / "driftwatch.yaml").write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename or directory}: {error.strerror}; name another directory"
        ) from None
    suites = sum(file.parent.name == "canaries" for file in planned)
    typer.echo(f"Wrote {directory / 'driftwatch.yaml'} and {suites} suites in {directory / 'canaries'}.")
    typer.echo(f"Next: {_first(provider)}, then")
    if directory != Path():
        typer.echo(f"  cd {shlex.quote(str(directory))}")
    for verb, what in NEXT.items():
        typer.echo(f"  driftwatch {verb:<9} # {what}")


def _first(provider: str | None) -> str:
    """What only a person can do."""
    if provider is None:
        return "edit the targets and export the API keys they name"
    entry = PROVIDERS[provider]
    if entry.extra and entry.key_env is None:
        return f"pip install 'driftwatch[{entry.extra}]', look through the target"
    return "look through the target" + (f" and export {entry.key_env}" if entry.key_env else "")


def _for_one(text: str, provider: str, model: str | None) -> str:
    """The annotated example with one target of a provider.

    Raises:
        UsageError: there is no such provider, or it is not for watches of one's own.
    """
    from driftwatch.config import yaml_of  # noqa: PLC0415 - pydantic is slow to import
    from driftwatch.config.provider_rules import BASE_URLS, OTHER_NAMES  # noqa: PLC0415 - as above
    from driftwatch.usage import find_price  # noqa: PLC0415 - beside its use

    if provider not in OFFERED:
        hint = OTHER_NAMES.get(provider.lower())
        raise UsageError(f"unknown provider '{provider}'; {hint}" if hint else unknown("provider", provider, OFFERED))
    entry, named = PROVIDERS[provider], model or MODELS.get(provider, "my-model")
    base_url = BASE_URLS.get(provider) or (None if entry.key_env else entry.base_url)
    options = {
        name: option.example
        for name, option in entry.options.items()
        if option.is_required or name in SUGGESTED.get(provider, ())
    }
    lines = {
        "    provider:": [f"    provider: {provider}", entry.about],
        "    model:": [f"    model: {yaml_of(named)}", "the model name as the endpoint knows it"],
        "    api_key_env:": [f"    api_key_env: {entry.key_env}", "variable that holds the key"]
        if entry.key_env
        else [],
        "    # options:": [f"    options: {yaml_of(options)}", "what only this provider knows"] if options else [],
    }
    if find_price(provider, named, base_url or entry.base_url) is None:
        lines["      usd_per_day:"] = [
            "      requests_per_day: 5000",
            "dollars need a `price:`; also, for requests and tokens,",
        ]
    if base_url:
        lines["    model:"] += [f"    base_url: {base_url}", "where its API begins"]
    before, after = text[: text.index("\n  local:\n")], text[text.index("\n# Providers:") :]
    written = []
    for line in before.splitlines():
        instead = next((pairs for start, pairs in lines.items() if line.startswith(start)), [line, ""])
        for said, about in zip(instead[::2], instead[1::2], strict=True):
            written.append(f"{said:<39} # {about}" if about else said)
    return "\n".join([*written, after])
