"""Targets that differ in when they run only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from driftwatch.domain import Target


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def make_target() -> Callable[..., Target]:
    """``make_target(interval_s, jitter_s, name)``; of the session, so that property tests may use it."""

    def make(interval_s: float = 3600.0, jitter_s: float = 0.0, name: str = "support") -> Target:
        return Target(name=name, provider="simulated", model="m", canaries=(), interval_s=interval_s, jitter_s=jitter_s)

    return make
