"""The rules that depend on which provider a target has: its options, its address, what it fills in itself."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping

from driftwatch.config.problems import KeyPath, Problem, suggest
from driftwatch.config.rules import sections, unknown
from driftwatch.config.settings import TargetSettings
from driftwatch.domain import Json
from driftwatch.providers import PROVIDERS, Entry, Option
from driftwatch.providers.asked import COMMON_PARAMETERS

RESERVED_PARAMETERS: Mapping[str, str] = {
    "input": "remove it: canaries say what is asked",
    "messages": "remove it: canaries say what is asked",
    "model": "write the key `model` of the target",
    "n": "remove it: `repeats` says how often a canary is asked",
    "stream": "write the key `stream` of the target",
    "tools": "remove it: canaries say what is asked",
}
"""Keys of a request that driftwatch fills itself → what to write instead.

Source: the request bodies of chat completions and Responses, developers.openai.com/api/reference, 2026-11.
"""

BASE_URLS: Mapping[str, str] = {
    "azure_openai": "https://my-resource.openai.azure.com/openai/v1",
    "http": "https://api.example.com/answer",
    "openai_compatible": "http://127.0.0.1:8000/v1",
}
"""Provider whose address only the config can say → what one looks like."""

_CHAT = "write provider: openai_compatible with base_url: "

OTHER_NAMES: Mapping[str, str] = {
    "amazon": "did you mean 'bedrock'?",
    "aws": "did you mean 'bedrock'?",
    "azure": "did you mean 'azure_openai'?",
    "claude": "did you mean 'anthropic'?",
    "google": "did you mean 'gemini' or 'vertex'?",
    "grok": "did you mean 'xai'?",
    "litellm": f"{_CHAT}http://127.0.0.1:4000/v1",
    "lm_studio": f"{_CHAT}http://127.0.0.1:1234/v1",
    "sglang": f"{_CHAT}http://127.0.0.1:30000/v1",
}
"""What people call a provider that has another name here → what to write instead.

Source: LiteLLM, LM Studio and SGLang, pages on their OpenAI-compatible servers, 2026-11.
"""

KEYS = tuple(field.alias or name for name, field in TargetSettings.model_fields.items())
"""What a target may say."""

_TYPES: Mapping[type, str] = {str: "must be text", dict: "must be a mapping", bool: "must be true or false"}


def broken_provider_rules(values: Mapping[str, Json], providers: Collection[str] | None) -> list[Problem]:
    """Find every broken rule.

    Args:
        values: the merged configuration, targets filled with what they inherit.
        providers: the providers there are; None when the caller does not know them.
    """
    return list(_broken(values, providers))


def _broken(values: Mapping[str, Json], providers: Collection[str] | None) -> Iterator[Problem]:
    for path, target in sections(values, "targets"):
        provider = target.get("provider")
        yield from _reserved(path, target)
        yield from _misplaced(path, target, provider)
        if not isinstance(provider, str):
            continue
        if providers is not None and provider not in providers:
            yield _unknown_provider((*path, "provider"), provider, providers)
        entry = PROVIDERS.get(provider)
        if entry is not None:
            yield from _address(path, target, provider, entry)
            yield from _options(path, target, provider, entry)


def _unknown_provider(path: KeyPath, name: str, providers: Collection[str]) -> Problem:
    instead = OTHER_NAMES.get(name.lower())
    if instead is None:
        return unknown(path, "provider", name, providers)
    return Problem(path=path, problem=f"unknown provider {name!r}", instead=instead)


def _reserved(path: KeyPath, target: Mapping[str, Json]) -> Iterator[Problem]:
    parameters = target.get("parameters")
    for key, instead in RESERVED_PARAMETERS.items():
        if isinstance(parameters, dict) and key in parameters:
            yield Problem(path=(*path, "parameters", key), problem="driftwatch fills this itself", instead=instead)


def _address(path: KeyPath, target: Mapping[str, Json], provider: str, entry: Entry) -> Iterator[Problem]:
    if entry.needs_base_url and "base_url" not in target:
        instead = f"write base_url: {BASE_URLS.get(provider, 'https://api.example.com/v1')}"
        yield Problem(path=(*path, "base_url"), problem=f"missing; provider {provider} needs it", instead=instead)


def _misplaced(path: KeyPath, target: Mapping[str, Json], provider: Json) -> Iterator[Problem]:
    """Keys of a target that belong one level deeper."""
    entry = PROVIDERS.get(provider) if isinstance(provider, str) else None
    options = entry.options if entry else {}
    for key in target:
        if key in KEYS:
            continue
        if key in options:
            instead = f"write options: {{{key}: {yaml_of(options[key].example)}}}"
            yield Problem(path=(*path, key), problem=f"an option of provider {provider}", instead=instead)
        elif key in COMMON_PARAMETERS:
            instead = f"write it under parameters: {{{key}: …}}"
            yield Problem(path=(*path, key), problem="a sampling parameter", instead=instead)


def _options(path: KeyPath, target: Mapping[str, Json], provider: str, entry: Entry) -> Iterator[Problem]:
    given = target.get("options", {})
    if not isinstance(given, dict):
        return
    here = (*path, "options")
    for name, value in given.items():
        if name in entry.options:
            yield from _value((*here, name), name, value, entry.options[name])
        elif name in COMMON_PARAMETERS:
            instead = f"write it under parameters: {{{name}: …}}"
            yield Problem(path=(*here, name), problem="a sampling parameter is no option", instead=instead)
        elif name in KEYS:
            instead = "write it beside `options:`, not under it"
            yield Problem(path=(*here, name), problem="a key of the target is no option", instead=instead)
        elif not entry.options:
            yield Problem(path=(*here, name), problem=f"provider {provider} takes no options", instead="remove it")
        else:
            yield _unknown_option((*here, name), name, provider, entry.options)
    for name, option in entry.options.items():
        if option.is_required and name not in given and name not in target:
            instead = f"write options: {{{name}: {yaml_of(option.example)}}}"
            yield Problem(path=(*here, name), problem=f"missing; provider {provider} needs it", instead=instead)


def _unknown_option(path: KeyPath, name: str, provider: str, known: Mapping[str, Option]) -> Problem:
    problem = unknown(path, "option", name, known).problem
    return Problem(path=path, problem=problem, instead=suggest(name, known, f"options of {provider}"))


def _value(path: KeyPath, name: str, value: Json, option: Option) -> Iterator[Problem]:
    wanted = type(option.example)
    is_right = isinstance(value, wanted) and not (isinstance(value, bool) and wanted is not bool)
    if is_right and value not in ("", {}):
        return
    if is_right:
        problem, instead = "must not be empty", f"write {name}: {yaml_of(option.example)}"
    else:
        problem, instead = _TYPES.get(wanted, "must be a number"), f"write {name}: {yaml_of(option.example)}"
        if wanted is str and isinstance(value, int | float) and not isinstance(value, bool):
            instead = "put the value in quotes"
    yield Problem(path=path, problem=problem, instead=instead)


def yaml_of(value: Json) -> str:
    """A value as a person would write it on one line of YAML.

    >>> yaml_of({"question": "{{prompt}}", "n": [1, True], "text": "$.answer"})
    '{question: "{{prompt}}", n: [1, true], text: $.answer}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml_of(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml_of, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value) if set(value) & set("{}[]:,#&*!|>'\"%@`") and "://" not in value else value
    return json.dumps(value)
