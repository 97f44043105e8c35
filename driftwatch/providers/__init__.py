"""The endpoints driftwatch can talk to: one wire format per file, and the literal dict of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from driftwatch.providers.connection import Connection, Provider

__all__ = ["PROVIDERS", "Connection", "Provider"]

OPENAI_BASE_URL = "https://api.openai.com/v1"
"""Source: https://platform.openai.com/docs/api-reference/introduction, 2026-11."""


def _openai(connection: Connection) -> Provider:
    return _openai_compatible(replace(connection, base_url=connection.base_url or OPENAI_BASE_URL))


def _openai_compatible(connection: Connection) -> Provider:
    from driftwatch.providers.openai_compatible import (  # noqa: PLC0415 - httpx would slow every start of the program
        OpenAICompatible,
    )

    return OpenAICompatible(connection)


def _simulated(connection: Connection) -> Provider:
    from driftwatch.providers.simulated import (  # noqa: PLC0415 - pydantic is only needed where a script is read
        Simulated,
    )

    return Simulated(connection)


PROVIDERS: dict[str, Callable[[Connection], Provider]] = {
    "openai": _openai,
    "openai_compatible": _openai_compatible,
    "simulated": _simulated,
}
"""Name in the config → factory. A factory raises ConfigError when the connection lacks what it needs."""
