"""Google's generateContent, as Vertex AI serves it.

Sources, all 2026-11: "Generate content with the Gemini API in Vertex AI",
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference (POST
``…/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent``, ``Authorization:
Bearer``); "Deployments and endpoints", https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations (the host
of a region, of ``global``, and of the multi-regions ``us`` and ``eu``). Everything else is as in ``gemini.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

import httpx

from driftwatch.errors import ConfigError
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import bearer
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.gemini import GenerateContent
from driftwatch.providers.vertex_token import Tokens, require_library

MULTI_REGIONS = frozenset({"us", "eu"})

_PROJECT = re.compile(r"[a-z0-9][a-z0-9:.\-]*")
_LOCATION = re.compile(r"[a-z0-9][a-z0-9\-]*")


class Vertex(GenerateContent):
    """The wire as Vertex AI serves it.

    Args:
        connection: options ``project`` and ``location`` (default ``global``); ``base_url`` replaces host and version.
            Its key is an access token; without one the machine's Google identity is used.

    Raises:
        ConfigError: an option is missing or unusable, or google-auth is needed and not installed.
    """

    def __init__(self, connection: Connection) -> None:
        project = _option(connection, "project", _PROJECT, "the id of your Google Cloud project")
        location = _option(
            connection, "location", _LOCATION, "a region such as europe-west4, or global", default="global"
        )
        base_url = connection.base_url or f"https://{host(location)}/v1"
        super().__init__(replace(connection, base_url=base_url))
        self._place = f"projects/{project}/locations/{location}"
        self._tokens = Tokens(connection)

    def resource(self, model: str) -> str:
        """Below project and location; a name that holds a slash says itself whose model it is."""
        return quote(f"{self._place}/{model if '/' in model else f'publishers/google/models/{model}'}")

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """``Authorization: Bearer``, with the key or a token of this machine's identity."""
        del url, body
        return bearer(key) if key else await self._tokens.headers()


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    dialect = Vertex(connection)
    if connection.read_key() is None:
        require_library()
    return Endpoint(connection, dialect, transport=transport)


def host(location: str) -> str:
    """Where a location is served.

    >>> host("europe-west4"), host("global"), host("eu")
    ('europe-west4-aiplatform.googleapis.com', 'aiplatform.googleapis.com', 'aiplatform.eu.rep.googleapis.com')
    """
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in MULTI_REGIONS:
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


def _option(connection: Connection, name: str, shape: re.Pattern[str], instead: str, *, default: str = "") -> str:
    value = connection.options.get(name, default)
    if not value:
        raise ConfigError(f"{name} is missing", key=f"options.{name}", instead=f"write {name}: {instead}")
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise ConfigError(f"{value!r} is no {name}", key=f"options.{name}", instead=f"write {name}: {instead}")
    return value
