"""Asks any endpoint that speaks the chat-completions wire, over httpx.

Source: OpenAI, "Create chat completion", https://developers.openai.com/api/reference/resources/chat, 2026-11: POST
``{base_url}/chat/completions``, ``Authorization: Bearer``, the request id in the ``x-request-id`` header; streams as
server-sent events ended by ``data: [DONE]``, token counts in a last chunk on ``stream_options.include_usage``.
"""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import httpx
from httpx_sse import EventSource

from driftwatch import __version__
from driftwatch.clock import stopwatch
from driftwatch.domain import Canary, Completion, Json, Outcome, Target
from driftwatch.errors import ConfigError, ProviderRejected, ProviderTimeout, ReplyUnreadable
from driftwatch.providers.chat_wire import Reply, StreamedReply, read_reply, request_body
from driftwatch.providers.connection import Connection
from driftwatch.providers.failures import Say, from_status, from_transport, quote
from driftwatch.providers.masking import mask, without

MAX_BODY_BYTES = 8 * 2**20
"""A reply larger than this is cut: no canary's answer is, and an endless body must not fill the memory."""
CONNECT_TIMEOUT_S = 10.0
"""A connection takes one round trip or two; waiting longer only hides that the endpoint is away."""


LEAST_ECHOED_CHARS = 12
"""Header values from this length on are taken out of replies. No key in use is shorter; most words are."""


class OpenAICompatible:
    """One endpoint that speaks chat completions. Belongs to one event loop; redirects and cookies are not followed.

    Args:
        connection: ``base_url`` is required; proxies come from the environment as httpx reads it.
        transport: replaces the network, for tests.

    Raises:
        ConfigError: ``base_url`` is missing or is no http(s) address.
    """

    def __init__(self, connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._connection = connection
        self._url = _chat_url(connection.base_url)
        self._client = httpx.AsyncClient(
            transport=transport,
            follow_redirects=False,
            timeout=httpx.Timeout(
                connection.timeout_s, connect=min(CONNECT_TIMEOUT_S, connection.timeout_s), pool=None
            ),
            limits=httpx.Limits(
                max_connections=connection.concurrency, max_keepalive_connections=connection.concurrency
            ),
            # Compression could hide a body of gigabytes behind the size limit, and replies are small.
            headers={"User-Agent": f"driftwatch/{__version__}", "Accept-Encoding": "identity"},
            # A sticky-session cookie would pin all canaries to one backend and hide what users of the others get.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        """Ask one canary once; see ``driftwatch.providers.connection.Provider``."""
        headers = self._headers()
        secrets = _secrets(headers)
        say = partial(mask, secrets=secrets)
        # A debugging gateway may send the key back inside a reply; a short header value may be an ordinary word.
        echoed = [secret for secret in secrets if len(secret) >= LEAST_ECHOED_CHARS]
        request = self._client.build_request(
            "POST",
            self._url,
            headers={**headers, "Content-Type": "application/json"},
            content=json.dumps(request_body(target, canary)).encode(),
        )
        elapsed_s = stopwatch()
        try:
            # httpx limits the wait for each piece; an endpoint that drips would never end.
            async with asyncio.timeout(self._connection.timeout_s):
                reply, request_id, ttft_s = await self._exchange(request, target.model, at, say, elapsed_s)
        except TimeoutError as error:
            sentence = f"no complete reply within {self._connection.timeout_s:g} s"
            raise ProviderTimeout(sentence, outcome=Outcome.TIMEOUT) from error
        return Completion(
            canary_id=canary.id,
            canary_hash=canary.content_hash,
            repeat=repeat,
            outcome=Outcome.OK,
            at=at,
            latency_s=elapsed_s(),
            text=without(reply.text, echoed),
            finish_reason=reply.finish_reason,
            tool_calls=tuple(replace(c, arguments=without(c.arguments, echoed)) for c in reply.tool_calls),
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            ttft_s=ttft_s,
            served_model=reply.served_model,
            fingerprint=reply.fingerprint,
            request_id=request_id or reply.id,
            logprobs=reply.logprobs,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _exchange(
        self, request: httpx.Request, model: str, at: datetime, say: Say, elapsed_s: Callable[[], float]
    ) -> tuple[Reply, str | None, float | None]:
        transport_error = partial(from_transport, timeout_s=self._connection.timeout_s, say=say)
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise transport_error(error, reply_began=False) from error
        try:
            if not response.is_success:
                raise from_status(
                    response.status_code, response.headers, await _error_body(response), model=model, at=at, say=say
                )
            if _content_type(response) == "text/event-stream":
                reply, ttft_s = await _read_stream(response, say, elapsed_s)
            else:
                reply, ttft_s = read_reply(_parse(await _read_body(response), say), say=say), None
        except httpx.HTTPError as error:
            raise transport_error(error, reply_began=True) from error
        finally:
            await response.aclose()
        return reply, response.headers.get("x-request-id"), ttft_s

    def _headers(self) -> dict[str, str]:
        try:
            key, extra = self._connection.read_key(), self._connection.read_headers()
        except (OSError, ConfigError) as error:
            raise ProviderRejected(f"the API key could not be read: {error}", outcome=Outcome.AUTH) from error
        headers = {"Authorization": f"Bearer {key.strip()}"} if key and key.strip() else {}
        headers |= {name: value.strip() for name, value in extra.items()}
        for name, value in headers.items():
            if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
                # httpx would quote the value in its own error.
                raise ProviderRejected(
                    f"the value for the header {name!a} holds a character that cannot be sent; "
                    "a key is printable ASCII on one line",
                    outcome=Outcome.AUTH,
                )
        return headers


def _chat_url(base_url: str | None) -> httpx.URL:
    if not base_url:
        raise ConfigError("base_url is missing", key="base_url", instead="write base_url: https://your-endpoint/v1")
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise _bad_url() from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise _bad_url()
    return url.copy_with(path=f"{url.path.rstrip('/')}/chat/completions", fragment=None)


def _bad_url() -> ConfigError:
    # The value is not repeated: it can hold a password.
    return ConfigError(
        "base_url is no http address", key="base_url", instead="write base_url: https://your-endpoint/v1"
    )


def _secrets(headers: Mapping[str, str]) -> tuple[str, ...]:
    return (*headers.values(), headers.get("Authorization", "").removeprefix("Bearer "))


def _content_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def _read_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    return bytes(body)


async def _error_body(response: httpx.Response) -> bytes:
    # The status already says what happened; a body that breaks off must not hide it.
    try:
        return await _read_body(response)
    except (httpx.HTTPError, ReplyUnreadable):
        return b""


def _parse(body: bytes, say: Say) -> Json:
    if not body.strip():
        raise ReplyUnreadable("the endpoint answered 200 with an empty body", outcome=Outcome.EMPTY_BODY)
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise _not_utf8() from error
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ReplyUnreadable("the body is JSON nested too deeply", outcome=Outcome.MALFORMED) from error
    except ValueError as error:
        if text.startswith("{") and not text.endswith("}"):
            # HTTP/1.0 bodies end with the connection: nothing below tells that they broke off.
            raise ReplyUnreadable("the body ends in the middle of its JSON", outcome=Outcome.CUT_OFF) from error
        start = quote(text[:80], say)
        raise ReplyUnreadable(f"the body is not JSON; it starts {start!r}", outcome=Outcome.NOT_JSON) from error


async def _read_stream(
    response: httpx.Response, say: Say, elapsed_s: Callable[[], float]
) -> tuple[Reply, float | None]:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ReplyUnreadable(
            "the stream is compressed although none was asked for; let the gateway pass it through",
            outcome=Outcome.MALFORMED,
        )
    response.stream = _WatchedStream(cast("httpx.AsyncByteStream", response.stream))  # an AsyncClient's always is
    # Event streams are UTF-8 whatever charset the header claims, and httpx_sse wants the type in lower case.
    response.headers["content-type"] = "text/event-stream; charset=utf-8"
    streamed, ttft_s = StreamedReply(say=say), None
    async with aclosing(EventSource(response).aiter_sse()) as events:
        async for event in events:
            if event.data.strip() == "[DONE]":
                break
            if event.data and streamed.add(_parse(event.data.encode(), say)) and ttft_s is None:
                ttft_s = elapsed_s()
    if not streamed.has_chunks:
        raise ReplyUnreadable("the endpoint answered 200 with an empty stream", outcome=Outcome.EMPTY_BODY)
    return streamed.reply(), ttft_s


class _WatchedStream(httpx.AsyncByteStream):
    """Passes bytes on while they are valid UTF-8 and not too many; httpx would replace or collect them silently."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decoder, n_bytes = codecs.getincrementaldecoder("utf-8")("strict"), 0
        async for piece in self._inner:
            n_bytes += len(piece)
            if n_bytes > MAX_BODY_BYTES:
                raise _too_large()
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                raise _not_utf8() from error
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


def _too_large() -> ReplyUnreadable:
    return ReplyUnreadable(f"the body is larger than {MAX_BODY_BYTES // 2**20} MB", outcome=Outcome.MALFORMED)


def _not_utf8() -> ReplyUnreadable:
    return ReplyUnreadable("the body is not valid UTF-8, so it is not JSON", outcome=Outcome.NOT_JSON)
