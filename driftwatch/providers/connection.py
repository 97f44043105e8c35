"""What a provider is: the way to reach one endpoint, and the one verb it must have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from driftwatch.domain import Canary, Completion, Json, Target


def _nothing() -> str | None:
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
    """Where the API begins, without the part that every request adds; a query (``?api-version=…``) is kept."""
    read_key: Callable[[], str | None] = _nothing
    """Read before every request, so that a rotated key is used at once; None sends no credentials."""
    read_headers: Callable[[], Mapping[str, str]] = _no_headers
    """Extra headers, read before every request; their values count as secrets."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """What this provider needs beside the common keys; ``Entry.options`` names them."""
    timeout_s: float = 60.0
    """The longest one request may take from the first byte sent to the last byte read, in seconds."""
    connect_timeout_s: float = 10.0
    """The longest wait for a connection: it takes a round trip or two; more only hides that the endpoint is away."""
    read_timeout_s: float | None = None
    """The longest silence before and within a reply, in seconds; None for no other limit than ``timeout_s``."""
    read_proxy: Callable[[], str | None] = _nothing
    """The URL of an HTTP proxy, read once; None for what the environment says (HTTPS_PROXY, NO_PROXY …)."""
    ca_file: Path | None = None
    """Certificates in PEM that are trusted instead of the public ones; None for those."""
    requests_per_connection: int = 16
    """After so many requests on average a connection is closed: behind a balancer each one sticks to one backend,
    and a pool of good ones would hide the bad. 0 keeps connections for as long as the endpoint does."""
    concurrency: int | None = None
    """The most connections to keep open between requests, 1 or more; None keeps all. What is under way is replay's to
    bound: a request that waited for a connection here would be taken for a slow one."""
    script: Mapping[str, Json] | None = None
    """Simulated only: the parsed script, see ``driftwatch.providers.script``."""


class Provider(Protocol):
    """One wire format towards one endpoint."""

    unsent: frozenset[str]
    """Sampling parameters of the common vocabulary that this wire has no place for: configured or not, not sent."""

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        """Ask one canary once.

        Args:
            target: whose model, parameters, options and stream are used.
            canary: what is asked.
            repeat: 0 … repeats − 1, written into the completion.
            at: the run's time, aware UTC, written into the completion.

        Returns:
            A completion whose outcome is OK.

        Raises:
            ProviderError: when the request did not end in a usable reply; carries the outcome, and the request id and
                telling headers of the response where there was one.
        """
        ...

    async def aclose(self) -> None:
        """Release connections. Calling it again does nothing."""
        ...
