"""Reads the body of a response within its limits, and parses it, naming whatever is wrong with it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import httpx

from driftwatch.domain import Json, Outcome
from driftwatch.errors import ReplyUnreadable
from driftwatch.providers.failures import Say, quote

MAX_BODY_BYTES = 8 * 2**20
"""A reply larger than this is cut: no canary's answer is, and an endless body must not fill the memory."""

MAX_ERROR_BYTES = 64 * 2**10
"""Of an error no more is read: a sentence is quoted from it."""
ERROR_BODY_S = 5.0
"""Nor for longer, in seconds."""
START_CHARS = 80
"""So much is quoted of a body that is no reply, in characters."""


def content_type(response: httpx.Response) -> str:
    """The media type in lower case, without its parameters; empty when the response has none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def must_be_plain(response: httpx.Response) -> None:
    """See that a body is not compressed: we ask for none that is, and a kilobyte could hide gigabytes.

    Raises:
        ReplyUnreadable: MALFORMED.
    """
    if _is_compressed(response):
        raise ReplyUnreadable(
            "the reply is compressed although none was asked for; let the gateway pass it through",
            outcome=Outcome.MALFORMED,
        )


async def read_body(response: httpx.Response) -> bytes:
    """The whole body.

    Raises:
        ReplyUnreadable: TOO_LARGE, or MALFORMED when it is compressed.
        httpx.HTTPError: the transport broke.
    """
    must_be_plain(response)
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise too_large()
    return bytes(body)


async def error_body(response: httpx.Response) -> bytes:
    """The beginning of an error's body, as far as it comes: the status already says what happened.

    Whatever is wrong with the body must not hide that, so nothing is raised and nothing waited for. Of a compressed
    one nothing is read.
    """
    if _is_compressed(response):
        return b""
    body = bytearray()
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(ERROR_BODY_S):
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MAX_ERROR_BYTES:
                    break
    return bytes(body[:MAX_ERROR_BYTES])


def parse(body: bytes, say: Say) -> Json:
    """Parse a body or one event's data.

    Raises:
        ReplyUnreadable: EMPTY_BODY, NOT_JSON, CUT_OFF or MALFORMED.
    """
    if not body.strip():
        raise ReplyUnreadable("the endpoint answered 200 with an empty body", outcome=Outcome.EMPTY_BODY)
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise not_utf8() from error
    try:
        # NaN and Infinity are no JSON and cannot be stored; some servers send them among logprobs.
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError as error:
        raise ReplyUnreadable("the body is JSON nested too deeply", outcome=Outcome.MALFORMED) from error
    except ValueError as error:
        if text.startswith("{") and not text.endswith("}"):
            # HTTP/1.0 bodies end with the connection: nothing below tells that they broke off.
            raise ReplyUnreadable("the body ends in the middle of its JSON", outcome=Outcome.CUT_OFF) from error
        # Masked before it is cut: a key cut in two would no longer be recognised.
        start = quote(text[:MAX_ERROR_BYTES], say)[:START_CHARS]
        raise ReplyUnreadable(f"the body is not JSON; it starts {start!r}", outcome=Outcome.NOT_JSON) from error


def _is_compressed(response: httpx.Response) -> bool:
    codings = str(response.headers.get("content-encoding", "")).lower().split(",")
    return any(coding.strip() not in {"", "identity"} for coding in codings)


def too_large() -> ReplyUnreadable:
    """A body beyond ``MAX_BODY_BYTES``."""
    return ReplyUnreadable(f"the body is larger than {MAX_BODY_BYTES // 2**20} MB", outcome=Outcome.TOO_LARGE)


def not_utf8() -> ReplyUnreadable:
    """A body of bytes that are no text."""
    return ReplyUnreadable("the body is not valid UTF-8, so it is not JSON", outcome=Outcome.NOT_JSON)
