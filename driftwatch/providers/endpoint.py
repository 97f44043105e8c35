"""Asks one endpoint over HTTP in whatever dialect it speaks: connections, limits of time and size, streams, secrets."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy

import anyio.lowlevel
import httpx

from driftwatch import __version__
from driftwatch.clock import stopwatch
from driftwatch.domain import Canary, Completion, Listing, Outcome, Target, content_hash
from driftwatch.errors import ConfigError, ProviderConnection, ProviderError, ProviderRejected
from driftwatch.providers import PROVIDERS, listing
from driftwatch.providers.body import content_type, error_body, parse, read_body
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Dialect, Reply
from driftwatch.providers.echoes import cleansed, secrets_of, without_echo
from driftwatch.providers.failures import Say, from_status, from_transport, too_slow
from driftwatch.providers.masking import mask
from driftwatch.providers.streaming import STREAMS, Pace, read_stream
from driftwatch.providers.telling import LONGEST_KEPT, REQUEST_IDS, telling

JSON = {"Content-Type": "application/json"}


class Endpoint:
    """One endpoint and the dialect it speaks. Belongs to one event loop; redirects and cookies are not followed.

    Args:
        connection: how to reach it.
        dialect: what its requests and replies look like.
        transport: replaces the network, for tests.

    Raises:
        ConfigError: the certificates cannot be read, or the proxy is no address.
    """

    def __init__(
        self, connection: Connection, dialect: Dialect, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.unsent = dialect.unsent
        self._connection, self._dialect = connection, dialect
        self._client = _client(connection, transport)
        self._is_warm = False

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        """Ask one canary once; see ``driftwatch.providers.connection.Provider``."""
        url, body = self._dialect.url(target), json.dumps(self._dialect.body(target, canary)).encode()
        headers = await self._headers(url, body)
        secrets = secrets_of(headers)
        say = partial(mask, secrets=secrets)
        if self._closes_after(target, canary, repeat, at):
            headers["Connection"] = "close"
        request = self._client.build_request("POST", url, headers=_over(JSON, headers), content=body)
        if not self._is_warm:
            # Loads what httpx loads with its first request, 30 ms and more: in a process started for a single run,
            # that would be taken for the endpoint's latency.
            await anyio.lowlevel.checkpoint()
            self._is_warm = True
        elapsed_s = stopwatch()
        told = _Told(Pace(elapsed_s), secrets)
        try:
            # httpx limits the wait for each piece; an endpoint that drips would never end.
            async with asyncio.timeout(self._connection.timeout_s):
                reply = cleansed(await self._exchange(request, target.model, at, say, told), secrets)
        except TimeoutError as error:
            raise told.noted(too_slow(self._connection)) from error
        except ProviderError as error:
            told.noted(error)
            raise
        return Completion(
            canary_id=canary.id,
            canary_hash=canary.content_hash,
            repeat=repeat,
            outcome=Outcome.OK,
            at=at,
            latency_s=elapsed_s() if told.pace.end_s is None else told.pace.end_s,
            text=reply.text,
            finish_reason=reply.finish_reason,
            finish_detail=reply.finish_detail,
            tool_calls=reply.tool_calls,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cached_tokens=reply.cached_tokens,
            reasoning_tokens=reply.reasoning_tokens,
            ttft_s=told.pace.ttft_s,
            gap_median_s=told.pace.gap_median_s,
            gap_max_s=told.pace.gap_max_s,
            served_model=reply.served_model,
            fingerprint=reply.fingerprint,
            upstream=reply.upstream,
            request_id=told.request_id or reply.id,
            headers={**told.headers, **{name: say(said)[:LONGEST_KEPT] for name, said in reply.announces.items()}},
            logprobs=reply.logprobs,
        )

    def unaskable(self, target: Target, canary: Canary) -> str | None:
        """Why this wire cannot ask a canary at all, in one sentence; None when it can. Nothing is sent."""
        try:
            self._dialect.body(target, canary)
        except ProviderError as error:
            return str(error)
        return None

    async def listed(self, target: Target) -> Listing | None:
        """Look the target's model up in the endpoint's own list; see ``driftwatch.providers.listing.Lists``."""
        url = listing.address(target, self._connection.base_url or PROVIDERS[target.provider].base_url)
        if url is None:
            return None
        headers = await self._headers(url, b"")
        say = partial(mask, secrets=secrets_of(headers))
        # Not kept: no canary is to find a connection that is open already.
        request = self._client.build_request("GET", url, headers={**headers, "Connection": "close"})
        try:
            async with asyncio.timeout(self._connection.timeout_s):
                response = await self._client.send(request, stream=True)
                try:
                    if response.is_success:
                        return listing.read(parse(await read_body(response), say), target.model, say=say)
                    body = await error_body(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, TimeoutError) as error:
            raise ProviderConnection("the list of models could not be read", outcome=Outcome.CONNECTION) from error
        if listing.is_absent(target, response.status_code, body):
            return Listing(is_listed=False)
        raise ProviderRejected(f"the list of models answered {response.status_code}", outcome=Outcome.REJECTED)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _exchange(self, request: httpx.Request, model: str, at: datetime, say: Say, told: _Told) -> Reply:
        reply_began = False
        try:
            response = await self._client.send(request, stream=True)
            reply_began = True
            told.read(response.headers, say)
            try:
                reply = await self._read(response, model, at, say, told.pace)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise from_transport(error, reply_began=reply_began, connection=self._connection, say=say) from error
        return reply

    async def _read(self, response: httpx.Response, model: str, at: datetime, say: Say, pace: Pace) -> Reply:
        if not response.is_success:
            raise from_status(
                response.status_code,
                response.headers,
                await error_body(response),
                model=model,
                at=at,
                say=say,
                names=self._dialect.error_names,
            )
        if content_type(response) in STREAMS:
            return await read_stream(response, self._dialect.assembler(say=say), pace, say)
        return self._dialect.read(parse(await read_body(response), say), say=say)

    async def _headers(self, url: str, body: bytes) -> dict[str, str]:
        what = "the API key"
        try:
            key = self._connection.read_key()
            what = "the extra headers"
            extra = self._connection.read_headers()
        except (OSError, ConfigError) as error:
            raise ProviderRejected(f"{what} could not be read: {error}", outcome=Outcome.AUTH) from error
        key = key.strip() if key else None
        _must_be_sendable("the API key", key or "")
        try:
            async with asyncio.timeout(self._connection.timeout_s):
                headers = dict(await self._dialect.authorise(key or None, url=url, body=body))
        except TimeoutError as error:
            sentence = f"no credentials were issued within {self._connection.timeout_s:g} s (timeout)"
            raise ProviderConnection(sentence, outcome=Outcome.CONNECTION) from error
        headers = _over(headers, {name: value.strip() for name, value in extra.items()})
        for name, value in headers.items():
            _must_be_sendable(f"the value for the header {name!a}", value)
        return headers

    def _closes_after(self, target: Target, canary: Canary, repeat: int, at: datetime) -> bool:
        # By chance and not by count, so that no canary always rides on a fresh connection; by hash, to be repeatable.
        every = self._connection.requests_per_connection
        return every > 0 and int(content_hash([target.name, canary.id, repeat, at.isoformat()]), 16) % every == 0


@dataclass
class _Told:
    """What is known of a response before it is read to its end, whatever becomes of it."""

    pace: Pace
    secrets: Sequence[str]
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def read(self, headers: httpx.Headers, say: Say) -> None:
        served = next((headers[name] for name in REQUEST_IDS if name in headers), None)
        self.request_id = None if served is None else without_echo(served, self.secrets)[:LONGEST_KEPT]
        self.headers = telling(headers, say=say)

    def noted(self, error: ProviderError) -> ProviderError:
        error.request_id, error.headers = self.request_id, self.headers
        error.reply_began = error.reply_began or self.pace.ttft_s is not None
        return error


def _over(below: Mapping[str, str], above: Mapping[str, str]) -> dict[str, str]:
    # Names of headers know no case: with both of "Authorization" and "authorization" two would be sent.
    taken = {name.lower() for name in above}
    return {**{name: value for name, value in below.items() if name.lower() not in taken}, **above}


def _must_be_sendable(what: str, value: str) -> None:
    if not (value.isascii() and (value.isprintable() or not value)):
        # httpx would quote the value in its own error.
        raise ProviderRejected(
            f"{what} holds a character that cannot be sent; a key is printable ASCII on one line",
            outcome=Outcome.AUTH,
        )


def _client(connection: Connection, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    total_s, connect_s = connection.timeout_s, connection.connect_timeout_s
    try:
        return httpx.AsyncClient(
            transport=transport,
            follow_redirects=False,
            timeout=httpx.Timeout(
                connection.read_timeout_s, connect=connect_s if connect_s < total_s else None, pool=None
            ),
            # Waiting for a connection would be taken for the endpoint's latency: replay bounds what is under way.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=connection.concurrency),
            verify=_trusted(connection),
            proxy=_proxy(connection),
            # Compression could hide a body of gigabytes behind the size limit, and replies are small.
            headers={"User-Agent": f"driftwatch/{__version__}", "Accept-Encoding": "identity"},
            # A sticky-session cookie would pin all canaries to one backend and hide what users of the others get.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )
    except ImportError as error:
        raise ConfigError(
            "the proxy is a SOCKS proxy, which needs the package socksio",
            key="proxy_env",
            instead="run pip install 'httpx[socks]', or name a proxy http://host:port",
        ) from error
    except ValueError as error:  # of the environment: HTTPS_PROXY and its like
        raise ConfigError(
            "a proxy named in the environment is no http address", key="proxy_env", instead="set it to http://host:port"
        ) from error


def _trusted(connection: Connection) -> ssl.SSLContext:
    if connection.ca_file is None:
        try:
            return _public(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        except OSError as error:
            raise ConfigError(
                "no certificates can be read from what SSL_CERT_FILE or SSL_CERT_DIR names",
                key="ca_file",
                instead="unset it, or let it name certificates in PEM",
            ) from error
    try:
        return ssl.create_default_context(cafile=str(connection.ca_file))
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            "no certificates can be read from it",
            file=str(connection.ca_file),
            key="ca_file",
            instead="name a file of certificates in PEM",
        ) from error


@cache
def _public(*where: str | None) -> ssl.SSLContext:
    # Reading the public authorities takes 20 ms and a megabyte: once for all endpoints. httpx reads ``where`` itself.
    del where
    return httpx.create_ssl_context()


def _proxy(connection: Connection) -> httpx.Proxy | None:
    address = connection.read_proxy()
    if not address:
        return None
    try:
        return httpx.Proxy(address)
    except (ValueError, httpx.InvalidURL) as error:
        # The value is not repeated: it can hold a password.
        raise ConfigError(
            "the proxy is no http address", key="proxy_env", instead="set it to http://host:port"
        ) from error
