"""A real HTTP server on a loopback port that plays a vendor, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from benchmarks.vendors.wire import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


Play = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
"""Writes the whole response, right or wrong; the connection is closed when it raises or asks for it."""


@dataclass
class Server:
    """Serves every request with ``play``, and keeps what it was asked."""

    play: Play
    address: str = ""
    requests: list[Request] = field(default_factory=list)
    n_connections: int = 0
    keeps: bool = True
    """Whether requests are kept; off for benchmarks that must not fill the memory."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        self.n_connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while True:
                request = await _read(reader)
                if self.keeps:
                    self.requests.append(request)
                await self.play(request, writer)
                await writer.drain()
                if request.headers.get("connection") == "close":
                    break
        with contextlib.suppress(ConnectionError):
            writer.close()


@contextlib.asynccontextmanager
async def serving(play: Play) -> AsyncIterator[Server]:
    """Serve on a free port of the loopback address until the block ends."""
    server = Server(play)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    server.address = f"http://{host}:{port}"
    async with listener:
        yield server


def answering(answer: Callable[[Request], Answer], *, pause_s: float = 0.0) -> Play:
    """Play what ``answer`` says: a document with its length, several pieces chunked and ``pause_s`` apart."""

    async def play(request: Request, writer: asyncio.StreamWriter) -> None:
        said = answer(request)
        writer.write(head(said))
        if len(said.pieces) == 1:
            writer.write(said.pieces[0])
            return
        for piece in said.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(pause_s)
        writer.write(b"0\r\n\r\n")

    return play


def head(said: Answer) -> bytes:
    """Status line and headers; the length of one piece, chunks for any other number."""
    length = f"content-length: {len(said.pieces[0])}" if len(said.pieces) == 1 else "transfer-encoding: chunked"
    lines = [
        f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase if said.status in _KNOWN else 'Overloaded'}",
        *(f"{name}: {value}" for name, value in said.headers.items()),
        length,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


_KNOWN = {status.value for status in HTTPStatus}


async def _read(reader: asyncio.StreamReader) -> Request:
    raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = raw[0].split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in raw[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method=method, path=path, headers=headers, body=body)
