"""The same client against real sockets: hang-ups, truncation, slowness, connections kept and closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
import trustme

from benchmarks.vendors import wire
from benchmarks.vendors.serving import answering, serving
from driftwatch.clock import stopwatch
from driftwatch.domain import Outcome
from driftwatch.errors import ConfigError, ProviderConnection, ProviderError, ProviderTimeout
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.providers.streaming import LINGER_S

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


async def drip_head(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        for byte in b"HTTP/1.1 200 OK\r\nx-filler: %b\r\n\r\n" % (b"a" * 1000):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)


async def drip_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD)
    with contextlib.suppress(ConnectionError):
        for _ in range(1000):
            writer.write(chunked(CHUNK))
            await writer.drain()
            await asyncio.sleep(0.02)


async def silence(writer: asyncio.StreamWriter) -> None:
    del writer
    await asyncio.sleep(2)


@pytest.mark.parametrize("handler", [drip, drip_head, drip_stream, silence])
async def test_a_slow_endpoint_ends_at_the_timeout(handler, server, target, canary, at) -> None:
    server.handlers = [handler]
    provider = PROVIDERS["openai_compatible"](Connection(base_url=server.base_url, timeout_s=0.2))
    elapsed_s = stopwatch()

    with pytest.raises(ProviderTimeout, match=r"no complete reply within 0\.2 s \(timeout\)"):
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


COLD = """
import asyncio, sys
from datetime import UTC, datetime
from driftwatch.domain import Canary, Message, Target
from driftwatch.providers import PROVIDERS, Connection, endpoint

canary = Canary(id="core/a", suite="core", messages=(Message(role="user", content="Hello"),))
target = Target(name="a", provider="openai_compatible", model="m", canaries=(canary,))
before, started = set(), endpoint.stopwatch

def stopwatch():
    before.update(sys.modules)
    return started()

async def main():
    endpoint.stopwatch = stopwatch
    provider = PROVIDERS["openai_compatible"](Connection(base_url=sys.argv[1]))
    await provider.complete(target, canary, repeat=0, at=datetime(2026, 3, 2, tzinfo=UTC))
    print(sorted(name for name in set(sys.modules) - before if not name.startswith("encodings")))
    await provider.aclose()

asyncio.run(main())
"""


async def test_a_process_s_first_request_loads_nothing_while_its_time_is_taken(server) -> None:
    # Else a run of its own process, as cron starts it, would look slower than the daemon's.
    server.answers(FINE)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COLD, server.base_url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    assert out.decode().strip() == "[]"


async def test_many_requests_at_once_are_not_confused(server, provider, target, canary, at) -> None:
    server.answers(FINE)

    got = await asyncio.gather(*(provider.complete(target, canary, repeat=i, at=at) for i in range(30)))

    assert [completion.repeat for completion in got] == list(range(30))
    assert {completion.text for completion in got} == {"hello"}


# ---------------------------------------------------------------- limits of time, each with its own sentence


async def test_no_connection_in_time_names_its_key(target, canary, at) -> None:
    with contextlib.ExitStack() as stack:
        # A queue of connections that is full: the next one is not answered.
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        provider = PROVIDERS["openai_compatible"](Connection(base_url=address, connect_timeout_s=0.2))

        with pytest.raises(ProviderConnection, match=r"no connection within 0\.2 s \(connect_timeout\)"):
            await provider.complete(target, canary, repeat=0, at=at)

        await provider.aclose()


@pytest.mark.parametrize("begin", [b"", STREAM_HEAD + chunked(CHUNK)], ids=["before the reply", "within it"])
async def test_silence_names_its_key(begin, server, target, canary, at) -> None:
    async def begin_and_stop(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        await writer.drain()
        await asyncio.sleep(2)

    server.handlers = [begin_and_stop]
    provider = PROVIDERS["openai_compatible"](Connection(base_url=server.base_url, read_timeout_s=0.2))

    with pytest.raises(ProviderTimeout, match=r"silent for 0\.2 s \(read_timeout\)"):
        await provider.complete(target, canary, repeat=0, at=at)

    await provider.aclose()


async def test_a_reply_that_comes_too_late_still_tells_its_request_id(server, target, canary, at) -> None:
    async def begin_and_stop(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-request-id: r-7\r\nx-ratelimit-limit: 9\r\ncontent-length: 9\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(2)

    server.handlers = [begin_and_stop]
    provider = PROVIDERS["openai_compatible"](Connection(base_url=server.base_url, timeout_s=0.2))

    with pytest.raises(ProviderTimeout) as caught:
        await provider.complete(target, canary, repeat=0, at=at)

    assert (caught.value.request_id, caught.value.headers) == ("r-7", {"x-ratelimit-limit": "9"})
    await provider.aclose()


async def test_an_error_whose_body_never_ends_is_named_by_its_status(server, provider, target, canary, at, monkeypatch):
    async def begin_and_stop(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 99\r\n\r\ntoo many at onc")
        await writer.drain()
        await asyncio.sleep(2)

    monkeypatch.setattr("driftwatch.providers.body.ERROR_BODY_S", 0.1)
    server.handlers = [begin_and_stop]

    with pytest.raises(ProviderError, match="answered 503 Service Unavailable: too many at onc") as caught:
        await provider.complete(target, canary, repeat=0, at=at)

    assert caught.value.retry_after_s == 3.0


# ---------------------------------------------------------------- connections


async def ask_often(provider, target, canary, at, times: int) -> None:
    for repeat in range(times):
        await provider.complete(target, canary, repeat=repeat, at=at)


@pytest.mark.parametrize("stream", [False, True])
async def test_connections_are_kept_and_now_and_then_renewed(stream, target, canary, at) -> None:
    vendor = wire.vendor("openai_compatible")
    said = vendor.streams(wire.Said()) if stream else vendor.says(wire.Said())
    target = replace(target, stream=stream)

    async with serving(answering(lambda _: said)) as renewed, serving(answering(lambda _: said)) as kept:
        for served, every in ((renewed, 16), (kept, 0)):
            provider = PROVIDERS["openai_compatible"](
                Connection(base_url=served.address + vendor.base_path, requests_per_connection=every)
            )
            await ask_often(provider, target, canary, at, 160)
            await provider.aclose()

    closing = [request.headers.get("connection") == "close" for request in renewed.requests]
    assert 3 <= sum(closing) <= 20
    assert renewed.n_connections == 1 + sum(closing[:-1])
    assert kept.n_connections == 1


async def test_an_endpoint_that_goes_on_after_the_end_is_not_waited_for(server, provider, target, canary, at) -> None:
    hung_up = asyncio.Event()

    async def stream(writer: asyncio.StreamWriter) -> None:
        end = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        writer.write(STREAM_HEAD + chunked(CHUNK + end))
        with contextlib.suppress(ConnectionError):
            while not writer.transport.is_closing():
                writer.write(chunked(b": ping\n\n"))
                await writer.drain()
                await asyncio.sleep(0.01)
        hung_up.set()

    server.handlers = [stream]
    elapsed_s = stopwatch()

    got = await provider.complete(target, canary, repeat=0, at=at)

    assert got.text == "hel"
    assert got.latency_s <= elapsed_s() - LINGER_S
    async with asyncio.timeout(2):
        await hung_up.wait()


# ---------------------------------------------------------------- much too much


MEGABYTE = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 2**20)


@pytest.mark.parametrize(
    ("begin", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n", Outcome.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", Outcome.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ", Outcome.TOO_LARGE),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 104857600\r\n\r\n", Outcome.UNAVAILABLE),
    ],
    ids=["document", "stream", "one endless frame", "error"],
)
async def test_a_hundred_megabytes_are_neither_read_nor_kept(begin, outcome, server, provider, target, canary, at):
    n_sent = 0

    async def pour(writer: asyncio.StreamWriter) -> None:
        nonlocal n_sent
        piece = MEGABYTE if not begin.endswith(b"data: ") else b"x" * 2**20
        writer.write(begin)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(piece)
                await writer.drain()
                n_sent += 1

    server.handlers = [pour]
    tracemalloc.start()
    try:
        with pytest.raises(ProviderError) as caught:
            await provider.complete(target, canary, repeat=0, at=at)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.outcome is outcome
    # 8 MB are read at most; the rest lies in the buffers of the sockets.
    assert n_sent < 30
    assert peak < 48 * 2**20


# ---------------------------------------------------------------- certificates and proxies


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secure(authority, server) -> AsyncIterator[str]:
    """The same server behind TLS, with a certificate of an authority of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.answers(FINE)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"


async def asked_once(connection: Connection, target, canary, at):
    provider = PROVIDERS["openai_compatible"](connection)
    try:
        return await provider.complete(target, canary, repeat=0, at=at)
    finally:
        await provider.aclose()


async def test_a_certificate_of_an_authority_of_one_s_own_is_trusted_once_it_is_named(
    authority, secure, tmp_path, target, canary, at
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    got = await asked_once(Connection(base_url=secure, ca_file=tmp_path / "ca.pem"), target, canary, at)
    with pytest.raises(ProviderConnection, match=r"certificate is not trusted: .*name its authority in ca_file"):
        await asked_once(Connection(base_url=secure), target, canary, at)

    assert got.text == "hello"


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_without_certificates_is_a_config_error(content, tmp_path) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"ca\.pem: ca_file: no certificates can be read from it; name a file"):
        PROVIDERS["openai_compatible"](Connection(base_url="https://llm.example.org/v1", ca_file=ca_file))


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_certificates_that_the_environment_names_wrongly_are_a_config_error(content, tmp_path, monkeypatch) -> None:
    named = tmp_path / f"{content}.pem"
    if content is not None:
        named.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(named))

    with pytest.raises(ConfigError, match="ca_file: no certificates can be read from what SSL_CERT_FILE or SSL_CERT"):
        PROVIDERS["openai_compatible"](Connection(base_url="https://llm.example.org/v1"))


@dataclass
class Proxy:
    """A proxy that tunnels (CONNECT) or forwards what it is asked, if it knows the one who asks."""

    is_open: bool = True
    address: str = ""
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            method, address, *_ = head.split(b" ")
            if not self.is_open:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
            else:
                host, _, port = address.removeprefix(b"http://").partition(b"/")[0].decode().partition(":")
                upstream_reader, upstream = await asyncio.open_connection(host, int(port))
                if method == b"CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    upstream.write(head)
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(pump(reader, upstream))
                    pumps.create_task(pump(upstream_reader, writer))
        writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(2**16):
            writer.write(piece)
            await writer.drain()
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    served = Proxy()
    listener = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener:
        yield served


async def test_a_configured_proxy_tunnels_to_a_secure_endpoint(
    proxy, authority, secure, tmp_path, target, canary, at
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    connection = Connection(
        base_url=secure, ca_file=tmp_path / "ca.pem", read_proxy=lambda: f"http://me:pass-w0rd@{proxy.address}"
    )

    got = await asked_once(connection, target, canary, at)

    assert got.text == "hello"
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {secure.removeprefix('https://').removesuffix('/v1')} ".encode())
    assert b"Proxy-Authorization: Basic " in head


async def test_a_configured_proxy_forwards_to_a_plain_endpoint(proxy, server, target, canary, at) -> None:
    server.answers(FINE)
    connection = Connection(base_url=server.base_url, read_proxy=lambda: f"http://{proxy.address}")

    got = await asked_once(connection, target, canary, at)

    assert got.text == "hello"
    assert proxy.heads[0].startswith(f"POST {server.base_url}/chat/completions ".encode())


async def test_a_proxy_that_refuses_is_named_and_its_password_is_not(proxy, secure, target, canary, at) -> None:
    proxy.is_open = False
    connection = Connection(base_url=secure, read_proxy=lambda: f"http://me:pass-w0rd@{proxy.address}")

    with pytest.raises(ProviderConnection, match="the proxy did not let the request through: 407") as caught:
        await asked_once(connection, target, canary, at)

    assert "pass-w0rd" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("address", ["ftp://proxy.example.org", "proxy.example.org:8080", "http://[::1"])
def test_a_proxy_that_is_no_address_is_a_config_error(address) -> None:
    with pytest.raises(ConfigError, match=r"proxy_env: the proxy is no http address; set it to http://host:port"):
        PROVIDERS["openai_compatible"](Connection(base_url="https://llm.example.org/v1", read_proxy=lambda: address))


@pytest.mark.parametrize(
    ("address", "problem"), [("socks5://127.0.0.1:9", "SOCKS proxy"), ("ftp://127.0.0.1:9", "in the environment")]
)
def test_a_proxy_of_the_environment_that_cannot_be_used_is_a_config_error(address, problem, monkeypatch) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    monkeypatch.setitem(sys.modules, "socksio", None)  # as if it were not installed

    with pytest.raises(ConfigError, match=f"proxy_env: .*{problem}.*http://host:port"):
        PROVIDERS["openai_compatible"](Connection(base_url="https://llm.example.org/v1"))


async def test_proxies_come_from_the_environment(monkeypatch, server, target, canary, at) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1"))
    server.answers(FINE)
    provider = PROVIDERS["openai_compatible"](Connection(base_url="http://llm.example.org/v1"))

    got = await provider.complete(target, canary, repeat=0, at=at)

    assert got.text == "hello"  # llm.example.org does not exist: only the proxy can have answered
    await provider.aclose()
