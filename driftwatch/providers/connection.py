"""What a provider is: the way to reach one endpoint, and the one verb it must have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from driftwatch.domain import Canary, Completion, Json, Target


def _no_key() -> str | None:
    return None


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach an endpoint. Holds no secret, only how to read it, so that its repr can be logged.

    >>> Connection(base_url="https://llm.example.org/v1").read_key() is None
    True
    """

    base_url: str | None = None
    """Up to and without ``/chat/completions``; a query (``?api-version=…``) is kept."""
    read_key: Callable[[], str | None] = _no_key
    """Read before every request, so that a rotated key is used at once; None sends no Authorization header."""
    read_headers: Callable[[], Mapping[str, str]] = _no_headers
    """Extra headers, read before every request; their values count as secrets."""
    timeout_s: float = 60.0
    """The longest one request may take from the first byte sent to the last byte read, in seconds."""
    concurrency: int | None = None
    """The most connections to keep, 1 or more; None leaves the bound on requests in flight to ``replay.Gate`` alone."""
    script: Mapping[str, Json] | None = None
    """Simulated only: the parsed script, see ``driftwatch.providers.script``."""


class Provider(Protocol):
    """One wire format towards one endpoint."""

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        """Ask one canary once.

        Args:
            target: whose model and parameters are used.
            canary: what is asked.
            repeat: 0 … repeats − 1, written into the completion.
            at: the run's time, aware UTC, written into the completion.

        Returns:
            A completion whose outcome is OK.

        Raises:
            ProviderError: when the request did not end in a usable reply; carries the outcome.
        """
        ...

    async def aclose(self) -> None:
        """Close connections; may be called more than once."""
        ...
