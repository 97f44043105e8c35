"""Reads a streamed reply: its frames, their order, and how fast its content came."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from statistics import median
from typing import cast

import httpx
from httpx_sse import EventSource

from driftwatch.errors import ProviderError
from driftwatch.providers.body import MAX_BODY_BYTES, content_type, must_be_plain, not_utf8, parse, too_large
from driftwatch.providers.dialect import Assembler, Reply
from driftwatch.providers.event_stream import MEDIA_TYPE, amazon_events
from driftwatch.providers.failures import Say

Frame = tuple[str, bytes]
"""One event: its name (``message`` where the stream names none) and its data."""

LINGER_S = 0.2
"""How long the end of the body is waited for once the reply is complete: it is usually in the same packet."""
LEAST_GAPS = 2
"""Gaps below this number have no median worth the name."""


class Pace:
    """When the pieces of content of one stream came.

    Args:
        elapsed_s: seconds since the request was sent.
    """

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._last_s: float | None = None
        self._gaps_s: list[float] = []
        self.ttft_s: float | None = None
        self.end_s: float | None = None
        """When the reply was complete, however long the stream went on; None until then."""

    def end(self) -> None:
        """The reply is complete now."""
        self.end_s = self._elapsed_s()

    def content(self) -> None:
        """A piece of content came now."""
        now_s = self._elapsed_s()
        if self._last_s is None:
            self.ttft_s = now_s
        else:
            self._gaps_s.append(now_s - self._last_s)
        self._last_s = now_s

    @property
    def gap_median_s(self) -> float | None:
        """Median time between two pieces; None below three pieces."""
        return median(self._gaps_s) if len(self._gaps_s) >= LEAST_GAPS else None

    @property
    def gap_max_s(self) -> float | None:
        """Longest time between two pieces; None below three pieces."""
        return max(self._gaps_s) if len(self._gaps_s) >= LEAST_GAPS else None


HANG_UP = frozenset({"llama.cpp"})
"""Servers that promise to keep a connection and hang up after a stream: read to its end, the connection would be used
again and the next request be lost. Seen in llama.cpp b11549, 2026-11."""


async def read_stream(response: httpx.Response, assembler: Assembler, pace: Pace, say: Say) -> Reply:
    """Read a stream to its end and put the reply together.

    What comes after the wire's own end is not looked at. It is read, because only a body that was read to its end
    leaves a connection that can be used again; an endpoint that then falls silent is not waited for.

    Raises:
        ProviderError: as ``Assembler`` says; and for what is compressed, too large or no UTF-8.
        httpx.HTTPError: the transport broke.
    """
    must_be_plain(response)
    async with aclosing(STREAMS[content_type(response)](response)) as frames:
        async for event, data in frames:
            is_done = data.strip() == b"[DONE]"
            if data.strip() and not is_done and assembler.add(event, parse(data, say)):
                pace.content()
            if is_done or assembler.is_complete:
                pace.end()
                if response.headers.get("server") not in HANG_UP:
                    await _rest(frames)
                break
    return assembler.reply()


async def _rest(frames: AsyncGenerator[Frame, None]) -> None:
    # The reply is complete: nothing that happens from here on is its fault.
    with suppress(TimeoutError, httpx.HTTPError, ProviderError):
        async with asyncio.timeout(LINGER_S):
            async for _ in frames:
                pass


async def _server_sent_events(response: httpx.Response) -> AsyncGenerator[Frame, None]:
    """Source: WHATWG HTML, "Server-sent events", https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    response.stream = _WatchedStream(cast("httpx.AsyncByteStream", response.stream))  # an AsyncClient's always is
    # Event streams are UTF-8 whatever charset the header claims, and httpx_sse wants the type in lower case.
    response.headers["content-type"] = "text/event-stream; charset=utf-8"
    async with aclosing(EventSource(response).aiter_sse()) as events:
        async for event in events:
            yield event.event or "message", event.data.encode()


class _WatchedStream(httpx.AsyncByteStream):
    """Passes bytes on while they are valid UTF-8 and not too many; httpx would replace or collect them silently."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decoder, n_bytes = codecs.getincrementaldecoder("utf-8")("strict"), 0
        async for piece in self._inner:
            n_bytes += len(piece)
            if n_bytes > MAX_BODY_BYTES:
                raise too_large()
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                raise not_utf8() from error
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


STREAMS: Mapping[str, Callable[[httpx.Response], AsyncGenerator[Frame, None]]] = {
    "text/event-stream": _server_sent_events,
    MEDIA_TYPE: amazon_events,
}
"""Media type of a response → how its frames are read. A response of any other type is one document."""
