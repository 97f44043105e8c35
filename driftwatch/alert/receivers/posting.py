"""One HTTP request to a receiver, and in words why it was not taken; no sentence here holds an address or a secret.

Redirects are not followed: a webhook's body must not go where nobody sent it. Proxies and certificate files are those
of the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.failing import NO_ADDRESS, NOT_IN_TIME, fail, fail_unreached, required
from driftwatch.alert.text import line
from driftwatch.clock import WallClock
from driftwatch.domain import Json

if TYPE_CHECKING:
    import httpx

MOST_ANSWER_BYTES = 65_536
"""Read of an answer at most: all that is of use in one is an id or a reason."""
_SHORTEST_SECRET = 6
"""Characters; shorter parts of a secret address, such as ``api``, are words that a reason may hold."""
_HOST = re.compile(r"^(https?://(?:[^/?#@]*@)?)[^/?#@]*")
_LONGEST_WAIT_S = 7 * 86_400.0
"""Seconds; a receiver that asks for more is asked again all the same."""

_MULTIPLE, _MOVED, _PERMANENT_REDIRECT, _BAD_REQUEST = 300, 301, 308, 400
_TOO_MANY, _SERVER_ERROR = 429, 500
_PASSING = frozenset({408, 425})
"""Statuses below 500 that another attempt can turn, beside 429. Source: RFC 9110, 15.5.9; RFC 8470, 5.2."""
_ADVICE = {
    401: "check the secret where the receiver reads it",
    403: "check the secret where the receiver reads it, and what it is allowed to do",
    404: "check the address where the receiver reads it: nothing answers there",
    405: "check the address where the receiver reads it: it takes no messages",
    410: "the address is gone for good: create a new one and store it where the receiver reads it",
    413: "driftwatch built a message that is too large, please report this as a bug",
}
_FALLBACK_ADVICE = "look the status up in its documentation and correct the receiver"

_IS_PRIVATE: ContextVar[bool] = ContextVar("driftwatch_posting", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the other side said."""

    status: int
    body: bytes = b""
    """Its first ``MOST_ANSWER_BYTES``."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Json:
        """The body read as JSON; None when it is not."""
        with suppress(ValueError, RecursionError):
            found: Json = json.loads(self.body)
            return found
        return None

    @property
    def is_page(self) -> bool:
        """Whether it is a web page, such as a proxy or a log-in shows in place of the receiver."""
        return self.body.lstrip()[:1] == b"<"


@dataclass(frozen=True, slots=True)
class Post:
    """How one kind of receiver is posted to."""

    connection: ReceiverConnection
    kind: str
    """The vendor's name as errors say it, e.g. ``PagerDuty``."""
    is_taken: Callable[[Answer], bool]
    """Whether an answer below 300 says that the message was taken."""
    reason: Callable[[Json], object] = lambda _: None
    """Picks the vendor's own words from a refusal's JSON; they are shown, without the secrets of this receiver."""
    advice: Mapping[int, str] = field(default_factory=dict)
    """Status → what to do, where the vendor's meaning differs from everybody's."""
    retry_after_s: Callable[[Json], object] = lambda _: None
    """Picks the wait in seconds from a 429's JSON, where the vendor puts it there."""
    now: Callable[[], datetime] = WallClock().now

    def secret(self, name: str, meant: str) -> str:
        """Read a secret that the receiver cannot do without.

        Raises:
            DeliveryError: nothing is there. Retryable: whoever mends the environment wants the pages that waited.
        """
        return required(self.connection, self.kind, name, meant)

    async def send(
        self,
        url: str,
        document: Json | bytes,
        *,
        secrets: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> Answer:
        """Send a JSON document once and return the answer that took it.

        Args:
            url: where to; may be a secret, so it is never shown.
            document: a JSON value, or its bytes as they are to be signed.
            secrets: what no error may repeat, beside the address.
            headers: beside Content-Type and User-Agent.
            method: POST or PATCH.

        Raises:
            DeliveryError: retryable for 408, 425, 429, 5xx, silence, and whatever keeps a connection from being made.
        """
        body = document if isinstance(document, bytes) else to_bytes(document)
        try:
            # The client's own limits are per read; a server that sends a byte now and then would hold the outbox.
            async with asyncio.timeout(3 * self.connection.timeout_s):
                answer = await self._once(method, url, body, headers or {})
        except TimeoutError:
            self.fail(NOT_IN_TIME, retryable=True)
        if not (answer.status < _MULTIPLE and self.is_taken(answer)):
            self._refused(answer, (url, *secrets))
        return answer

    async def _once(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        import httpx  # noqa: PLC0415 - slow import

        from driftwatch import __version__  # noqa: PLC0415 - beside its use

        _keep_quiet()
        own = {
            "Content-Type": "application/json",
            "User-Agent": f"driftwatch/{__version__}",
            "Accept-Encoding": "identity",  # a small answer must not unpack to a huge one
        }
        marked = _IS_PRIVATE.set(True)
        try:
            async with (
                httpx.AsyncClient(timeout=self.connection.timeout_s, follow_redirects=False) as client,
                client.stream(method, url, content=body, headers={**own, **headers}) as response,
            ):
                return Answer(
                    status=response.status_code, body=await _beginning(response), headers=dict(response.headers)
                )
        except (UnicodeEncodeError, httpx.LocalProtocolError):
            self.fail("has a secret that no header can carry: check what is stored where it is read", retryable=False)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):
            self.fail(NO_ADDRESS, retryable=False)
        except (httpx.HTTPError, OSError) as error:
            fail_unreached(self.connection, self.kind, error)
        finally:
            _IS_PRIVATE.reset(marked)

    def _refused(self, answer: Answer, secrets: tuple[str, ...]) -> NoReturn:
        """The other side, or something in front of it, answered with anything but its thanks."""
        status, said = answer.status, answer.json()
        if status < _MULTIPLE:
            if answer.is_page:
                self.fail("answered with a web page, as a proxy or log-in does; trying again later", retryable=True)
            # Not repeated: something took the message, and would take it again every hour.
            self.fail(f"answered, but not as {self.kind} does: check the address", retryable=False)
        if status < _BAD_REQUEST:
            is_final = status in {_MOVED, _PERMANENT_REDIRECT}
            rest = "store the address it moved to" if is_final else "a log-in does so; trying again later"
            self.fail(f"answered with a redirect (status {status}), which is not followed: {rest}", not is_final)
        words = self._words(said, secrets)
        if status == _TOO_MANY:
            asked = _seconds(self.retry_after_s(said))
            wait_s = asked if asked is not None else wait_of(answer.headers, at=self.now())
            self.fail(f"is asked too often (status {status}); trying again later", True, wait_s)
        if status >= _SERVER_ERROR or status in _PASSING:
            wait_s = wait_of(answer.headers, at=self.now())
            self.fail(f"has trouble on its side (status {status}{words}); trying again later", True, wait_s)
        advice = self.advice.get(status) or _ADVICE.get(status, _FALLBACK_ADVICE)
        self.fail(f"refused the message (status {status}{words}): {advice}", retryable=False)

    def _words(self, said: Json, secrets: tuple[str, ...]) -> str:
        found = self.reason(said)
        return f", {line(without(found, secrets), 200)}" if isinstance(found, str) and found.strip() else ""

    def fail(self, what: str, retryable: bool, retry_after_s: float | None = None) -> NoReturn:
        """Raise a DeliveryError that begins with the receiver's name; ``what`` must hold no secret."""
        fail(self.connection, self.kind, what, retryable=retryable, retry_after_s=retry_after_s)


def to_bytes(document: Json) -> bytes:
    """A JSON document as it is sent: UTF-8 without needless spaces; half characters as escapes.

    >>> to_bytes({"said": "naïve"}).decode()
    '{"said":"naïve"}'
    """
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can carry it as \ud800, UTF-8 cannot
        return json.dumps(document, separators=(",", ":")).encode()


def without(text: str, secrets: tuple[str, ...]) -> str:
    """Take secrets, and the telling parts of secret addresses, out of somebody else's words.

    >>> without("no webhook /hooks/T0B0-s3cret here", ("https://chat.test/hooks/T0B0-s3cret",))
    'no webhook /hooks/… here'
    """
    for part in sorted({part for secret in secrets for part in _telling_parts(secret)}, key=len, reverse=True):
        text = text.replace(part, "…")
    return text


def _telling_parts(secret: str) -> Iterator[str]:
    """The whole, and what somebody might repeat of it: as it is written, or as it reads without percent signs."""
    if secret:
        yield secret
    # Of an address all but its host, which is no secret; of a header such as "Bearer abc.def" both words.
    for part in re.split(r"[/?&=\s:@]+", _HOST.sub(r"\1", secret)):
        yield from (form for form in (part, unquote(part)) if len(form) >= _SHORTEST_SECRET)


def wait_of(headers: Mapping[str, str], *, at: datetime) -> float | None:
    """The wait that ``Retry-After`` asks for, in seconds; None when absent, unreadable or past.

    Source: RFC 9110, 10.2.3: a number of seconds or a date.

    >>> wait_of({"Retry-After": "7"}, at=datetime(2026, 10, 21, 7, 27, tzinfo=UTC))
    7.0
    >>> wait_of({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, at=datetime(2026, 10, 21, 7, 27, tzinfo=UTC))
    60.0
    """
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", said):
        return _seconds(float(said))
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return _seconds((until - at).total_seconds())


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:  # NaN is not above zero either
        return None
    return float(min(value, _LONGEST_WAIT_S))  # the lesser first: JSON can hold a whole number that no float can


async def _beginning(response: httpx.Response) -> bytes:
    """As much of the body as is of use; the connection is closed on the rest."""
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) >= MOST_ANSWER_BYTES:
            break
    return body[:MOST_ANSWER_BYTES]


def _keep_quiet() -> None:
    """The client writes each request's address to its log, and a webhook's address lets anybody post."""
    log = logging.getLogger("httpx")
    if _is_public not in log.filters:
        log.addFilter(_is_public)


def _is_public(_record: logging.LogRecord) -> bool:
    return not _IS_PRIVATE.get()
