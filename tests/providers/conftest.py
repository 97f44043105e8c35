"""A target, its canary, an endpoint that answers from memory, and one that answers over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from driftwatch.domain import Canary, Completion, Message, Target
from driftwatch.providers import Connection
from driftwatch.providers.openai_compatible import open_provider

KEY = "sk-proj-T3stK3yT3stK3yT3stK3yT3stK3y"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def wire() -> Callable[[str], bytes]:
    """Read a recorded body: ``wire("chat.json")``."""
    here = Path(__file__).parents[1] / "data" / "wire"
    return lambda name: (here / name).read_bytes()


@pytest.fixture
def canary() -> Canary:
    return Canary(id="core/greeting", suite="core", messages=(Message(role="user", content="Say hello."),))


@pytest.fixture
def target(canary: Canary) -> Target:
    return Target(name="support", provider="openai", model="gpt-4o-mini", canaries=(canary,))


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in pieces which respect neither lines nor characters."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 7 if len(self._content) < 10_000 else 2**16
        for start in range(0, len(self._content), size):
            yield self._content[start : start + size]


def in_pieces(response: httpx.Response) -> httpx.Response:
    """As a socket would deliver it; a body given whole would bypass the reading of streams."""
    if not response.is_stream_consumed:
        return response
    return httpx.Response(response.status_code, headers=response.headers, stream=Pieces(response.content))


@dataclass
class Asked:
    """Requests put to an endpoint in memory, and what came of them."""

    target: Target
    canary: Canary
    at: datetime
    requests: list[httpx.Request] = field(default_factory=list)

    async def __call__(
        self,
        answer: httpx.Response | Exception,
        *,
        target: Target | None = None,
        canary: Canary | None = None,
        **connection: object,
    ) -> Completion:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            if isinstance(answer, Exception):
                raise answer
            return in_pieces(answer)

        connection = {"base_url": "https://llm.example.org/v1", "read_key": lambda: KEY, **connection}
        provider = open_provider(Connection(**connection), transport=httpx.MockTransport(handle))
        try:
            return await provider.complete(target or self.target, canary or self.canary, repeat=2, at=self.at)
        finally:
            await provider.aclose()


@pytest.fixture
def ask(target: Target, canary: Canary, at: datetime) -> Asked:
    """Put one request to an endpoint in memory: ``await ask(httpx.Response(...))``."""
    return Asked(target, canary, at)


Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class SocketServer:
    """Answers on a loopback port with exactly the bytes it is told, however wrong they are."""

    base_url: str = ""
    handlers: list[Handler] = field(default_factory=list)
    """One per request; the last one serves all further requests."""
    n_requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(length)
            handler = self.handlers[min(self.n_requests, len(self.handlers) - 1)]
            self.n_requests += 1
            await handler(writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as some of these tests want it to
        finally:
            writer.close()

    def answers(self, *payloads: bytes) -> None:
        """Answer each request with one payload, then close."""

        def handler(payload: bytes) -> Handler:
            async def write(writer: asyncio.StreamWriter) -> None:
                writer.write(payload)

            return write

        self.handlers = [handler(payload) for payload in payloads]


@pytest.fixture
async def server() -> AsyncIterator[SocketServer]:
    served = SocketServer()
    listener = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    served.base_url = f"http://{host}:{port}/v1"
    async with listener:
        yield served
