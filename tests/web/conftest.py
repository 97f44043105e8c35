"""The HTTP server as the daemon runs it: a real uvicorn on the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from driftwatch.app import Health
from driftwatch.web import health, server

WELL = Health(is_alive=True, is_ready=True, detail="ok", last_tick_age_s=1.26, targets=3, runs_in_flight=1)


@dataclass
class Daemon:
    """What the server asks, and a client to ask the server with."""

    state: Health = WELL
    error: Exception | None = None
    client: httpx.Client = field(default_factory=httpx.Client)

    def health(self) -> Health:
        if self.error is not None:
            raise self.error
        return self.state


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    with (
        server.serving(health.build(daemon.health), "127.0.0.1", 0) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client,
    ):
        daemon.client = client
        yield daemon
