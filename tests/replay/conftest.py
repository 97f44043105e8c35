"""A target of several canaries, and a provider that does what each test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from driftwatch.domain import Canary, Completion, Message, Outcome, Target

Behaviour = Callable[[Canary, int, int], Awaitable[Completion | None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def target() -> Target:
    canaries = tuple(
        Canary(id=f"core/c{i}", suite="core", messages=(Message(role="user", content=f"question {i}"),))
        for i in range(6)
    )
    return Target(name="support", provider="simulated", model="m", canaries=canaries)


@dataclass
class Puppet:
    """A provider that records what it is asked and how many requests are in flight."""

    behave: Callable[[Canary, int, int], Awaitable[None]] | None = None
    """(canary, repeat, attempt from 1) → nothing, after waiting or raising."""
    asked: list[tuple[str, int]] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0
    cancelled: int = 0

    async def complete(
        self,
        target: Target,  # noqa: ARG002 - the protocol's
        canary: Canary,
        *,
        repeat: int,
        at: datetime,
    ) -> Completion:
        self.asked.append((canary.id, repeat))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            if self.behave is not None:
                await self.behave(canary, repeat, self.asked.count((canary.id, repeat)))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        return Completion(
            canary_id=canary.id,
            canary_hash=canary.content_hash,
            repeat=repeat,
            outcome=Outcome.OK,
            at=at,
            latency_s=0.1,
            text=f"{canary.id} {repeat}",
        )

    async def aclose(self) -> None:
        """Nothing to close."""


@pytest.fixture
def puppet() -> Puppet:
    return Puppet()
