"""Reads what an endpoint's own list of models says of one of them: whether it is there, and when it will not be.

Sources, all 2026-11. ``GET {base_url}/models``: OpenAI, "List models", developers.openai.com (``data[].id``,
``shutdown_date``: a day or null); Mistral, client 3.7 (``aliases``, ``deprecation``: a time,
``deprecation_replacement_model``); OpenRouter, "Model", openrouter.ai/docs (``canonical_slug``, ``expiration_date``: a
day, ``links.next`` beyond 500). ``GET /v1/models/{model}``, which knows aliases too: Anthropic, client 2.12
(``lifecycle``: active, deprecated or retired; ``retires_at``). ``GET /v1beta/models``: Google, "Models"
(``models[].name`` as ``models/…``; it tells no end, and goes on listing some models that are retired).
``GET /v1/models``: Cohere, client 7.3 (``models[].name``, ``is_deprecated``). Compatible servers list ``data[].id``;
Ollama adds ``:latest``. Azure lists models where a target names its own deployment; Bedrock's and Vertex AI's lists
need rights of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from urllib.parse import quote

import httpx

from driftwatch.domain import Json, Listing, Target
from driftwatch.lifecycle import day_of
from driftwatch.providers.address import joined
from driftwatch.providers.failures import Say
from driftwatch.providers.reading import mapping, objects, optional_text

DAYS = ("retires_at", "shutdown_date", "expiration_date", "deprecation")
"""Fields of an entry that say from which day the model may be gone."""

NAMES = ("id", "name", "canonical_slug")
"""Fields by which an entry's model can be asked for; ``aliases`` has more."""

LONGEST_NAME = 200
"""A longer name of a replacement is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a provider lists its models."""

    path: str = "/models"
    """Added to the base URL; ``{model}`` where the provider tells of one model at a time."""
    query: Mapping[str, str] | None = None
    instead_of: str = ""
    """An end of the base URL that the path takes the place of."""


PLACES: Mapping[str, Place] = {
    "anthropic": Place(path="/v1/models/{model}"),
    "gemini": Place(query={"pageSize": "1000"}),
    "cohere": Place(path="/v1/models", query={"page_size": "1000"}, instead_of="/v2"),
}
"""Provider → where its list is, unless it is where chat completions have it."""

WITHOUT = frozenset({"azure_openai", "bedrock", "vertex", "http", "simulated"})
"""Providers without a list of what a target names, or with one that not every key may read."""


@runtime_checkable
class Lists(Protocol):
    """A provider that may know more of a model than its replies tell."""

    async def listed(self, target: Target) -> Listing | None:
        """Look the target's model up; None when there is no list, or it does not say.

        Raises:
            ProviderError: the list could not be read.
        """
        ...


def address(target: Target, base_url: str | None) -> str | None:
    """Where to GET what is said of the target's model; None when its provider has no list.

    >>> watched = Target(name="t", provider="cohere", model="command-a", canaries=())
    >>> address(watched, "https://api.cohere.com/v2")
    'https://api.cohere.com/v1/models?page_size=1000'
    """
    if target.provider in WITHOUT or not base_url:
        return None
    place = PLACES.get(target.provider, Place())
    url = httpx.URL(base_url)
    path = url.path.rstrip("/")
    root = url.copy_with(path=path.removesuffix(place.instead_of))
    whole = httpx.URL(joined(str(root), place.path.format(model=quote(target.model, safe=""))))
    return str(whole.copy_merge_params(dict(place.query)) if place.query else whole)


def read(document: Json, model: str, *, say: Say) -> Listing | None:
    """What a list, or a single entry, says of a model; None when it does not say.

    Only a list that is complete and not empty can say that a model is missing.

    >>> read({"data": [{"id": "m-1", "shutdown_date": "2027-01-31"}]}, "m-1", say=str)
    Listing(is_listed=True, retires_on=datetime.date(2027, 1, 31), is_deprecated=False, replacement=None)
    """
    told = mapping(document)
    if told.get("type") == "model":
        return _entry(told, say)
    # Together answers with the bare list.
    entries = objects(document if isinstance(document, list) else told.get("data") or told.get("models"))
    wanted = _plain(model)
    found = next((entry for entry in entries if wanted in _names(entry)), None)
    if found is not None:
        return _entry(found, say)
    goes_on = told.get("has_more") or told.get("nextPageToken") or told.get("next_page_token")
    is_whole = bool(entries) and not goes_on and not mapping(told.get("links")).get("next")
    return Listing(is_listed=False) if is_whole else None


def is_absent(target: Target, status: int, body: bytes) -> bool:
    """Whether an error says that there is no such model, where a provider tells of one model at a time."""
    is_single = "{model}" in PLACES.get(target.provider, Place()).path
    if not is_single or status != httpx.codes.NOT_FOUND:
        return False
    try:
        return mapping(mapping(json.loads(body)).get("error")).get("type") == "not_found_error"
    except (ValueError, RecursionError):
        return False


def _entry(entry: Mapping[str, Json], say: Say) -> Listing:
    days = [day for name in DAYS if (day := day_of(entry.get(name))) is not None]
    lifecycle = entry.get("lifecycle")
    replacement = optional_text(entry.get("deprecation_replacement_model"))
    return Listing(
        is_listed=lifecycle != "retired",
        retires_on=min(days, default=None),
        is_deprecated=lifecycle == "deprecated" or entry.get("is_deprecated") is True,
        replacement=say(replacement)[:LONGEST_NAME] if replacement else None,
    )


def _names(entry: Mapping[str, Json]) -> set[str]:
    aliases = entry.get("aliases")
    names = [entry.get(name) for name in NAMES] + (aliases if isinstance(aliases, list) else [])
    return {_plain(name) for name in names if isinstance(name, str)}


def _plain(name: str) -> str:
    return name.removeprefix("models/").removesuffix(":latest")
