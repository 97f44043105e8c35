"""A target of several canaries, and a provider that does what each test tells it."""

from __future__ import annotations

import asyncio
import heapq
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


IDLE_STEPS = 50
"""Steps of the event loop without a new wait after which nobody has anything to do but to wait."""


class FakeTime:
    """Time that passes only when everybody waits: hours of pauses in milliseconds, to the second."""

    def __init__(self) -> None:
        self.t = 1000.0
        self.slept: list[float] = []
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._idle_for = 0
        self._is_pumping = False

    def now_s(self) -> float:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        heapq.heappush(self._waiting, (self.t + seconds, len(self.slept), woken))
        self._idle_for = 0
        if not self._is_pumping:
            self._is_pumping = True
            loop.call_soon(self._pump)
        await woken

    def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle_for += 1
        if self._idle_for > IDLE_STEPS:
            until, _, woken = heapq.heappop(self._waiting)
            if not woken.done():
                self.t = max(self.t, until)
                woken.set_result(None)
            self._idle_for = 0
        self._is_pumping = bool(self._waiting)
        if self._is_pumping:
            loop.call_soon(self._pump)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def puppet() -> Puppet:
    return Puppet()
