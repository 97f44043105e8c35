"""The same client against real sockets: hang-ups, truncation, slowness, connections kept and closed."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from driftwatch.clock import stopwatch
from driftwatch.domain import Outcome
from driftwatch.errors import ProviderConnection, ProviderError, ProviderTimeout
from driftwatch.providers import PROVIDERS, Connection

pytestmark = pytest.mark.anyio

BODY = b'{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}'
FINE = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNK = b'data: {"choices":[{"delta":{"content":"hel"}}]}\n\n'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
async def provider(server):
    opened = PROVIDERS["openai_compatible"](Connection(base_url=server.base_url, timeout_s=5.0))
    yield opened
    await opened.aclose()


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        (b"", Outcome.CONNECTION),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n" + BODY, Outcome.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(BODY), Outcome.CUT_OFF),
        (b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:-9], Outcome.CUT_OFF),
        (STREAM_HEAD + chunked(CHUNK), Outcome.CUT_OFF),
        (STREAM_HEAD + chunked(CHUNK) + b"0\r\n\r\n", Outcome.CUT_OFF),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Outcome.EMPTY_BODY),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Outcome.EMPTY_BODY),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 500\r\n\r\nhalf", Outcome.UNAVAILABLE),
        (b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:9/v2\r\ncontent-length: 0\r\n\r\n", Outcome.REJECTED),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope", Outcome.MALFORMED),
    ],
)
async def test_what_the_socket_does_has_its_own_outcome(payload, outcome, server, provider, target, canary, at) -> None:
    server.answers(payload)

    with pytest.raises(ProviderError) as caught:
        await provider.complete(target, canary, repeat=0, at=at)

    assert caught.value.outcome is outcome


async def test_nobody_listening_is_a_connection_failure(free_port, target, canary, at) -> None:
    provider = PROVIDERS["openai_compatible"](Connection(base_url=f"http://127.0.0.1:{free_port}"))

    with pytest.raises(ProviderConnection, match="could not be reached"):
        await provider.complete(target, canary, repeat=0, at=at)

    await provider.aclose()


async def drip(writer: asyncio.StreamWriter) -> None:
    # Each byte comes well within any limit per read: only a limit on the whole request ends this.
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        for _ in range(1000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)


async def silence(writer: asyncio.StreamWriter) -> None:
    del writer
    await asyncio.sleep(2)


@pytest.mark.parametrize("handler", [drip, silence])
async def test_a_slow_endpoint_ends_at_the_timeout(handler, server, target, canary, at) -> None:
    server.handlers = [handler]
    provider = PROVIDERS["openai_compatible"](Connection(base_url=server.base_url, timeout_s=0.2))
    elapsed_s = stopwatch()

    with pytest.raises(ProviderTimeout, match=r"no complete reply within 0\.2 s"):
        await provider.complete(target, canary, repeat=0, at=at)

    assert 0.15 < elapsed_s() < 1.5
    await provider.aclose()


async def test_the_time_to_the_first_token_is_that_of_the_first_content(server, provider, target, canary, at) -> None:
    async def stream(writer: asyncio.StreamWriter) -> None:
        role = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
        end = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        writer.write(STREAM_HEAD + chunked(role))
        await writer.drain()
        for data in (CHUNK, CHUNK + end):
            await asyncio.sleep(0.1)
            writer.write(chunked(data))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    server.handlers = [stream]

    got = await provider.complete(target, canary, repeat=0, at=at)

    assert got.text == "helhel"
    assert 0.08 < got.ttft_s < 0.18
    assert 0.19 < got.latency_s < 1.0


async def test_a_cancelled_request_closes_its_connection(server, provider, target, canary, at) -> None:
    closed = asyncio.Event()

    async def wait_for_hang_up(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.transport.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.01)
        closed.set()

    server.handlers = [wait_for_hang_up]
    asking = asyncio.create_task(provider.complete(target, canary, repeat=0, at=at))
    await asyncio.sleep(0.05)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    async with asyncio.timeout(2):
        await closed.wait()


async def test_many_requests_at_once_are_not_confused(server, provider, target, canary, at) -> None:
    server.answers(FINE)

    got = await asyncio.gather(*(provider.complete(target, canary, repeat=i, at=at) for i in range(30)))

    assert [completion.repeat for completion in got] == list(range(30))
    assert {completion.text for completion in got} == {"hello"}


async def test_proxies_come_from_the_environment(monkeypatch, server, target, canary, at) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1"))
    server.answers(FINE)
    provider = PROVIDERS["openai_compatible"](Connection(base_url="http://llm.example.org/v1"))

    got = await provider.complete(target, canary, repeat=0, at=at)

    assert got.text == "hello"  # llm.example.org does not exist: only the proxy can have answered
    await provider.aclose()
