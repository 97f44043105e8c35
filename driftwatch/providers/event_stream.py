"""Reads the binary frames in which AWS streams: length, headers and payload, each frame with its checksums.

Source: AWS, "Event stream encoding", https://smithy.io/2.0/aws/amazon-eventstream.html, 2026-11; decoded by botocore.
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncGenerator, Mapping
from importlib import import_module
from typing import Any

import httpx

from driftwatch.domain import Outcome
from driftwatch.errors import ReplyUnreadable
from driftwatch.providers.body import MAX_BODY_BYTES, too_large

MEDIA_TYPE = "application/vnd.amazon.eventstream"


async def amazon_events(response: httpx.Response) -> AsyncGenerator[tuple[str, bytes], None]:
    """The events of a stream as (name, data); a failure is an event ``error`` with ``code`` and ``message``.

    Raises:
        ReplyUnreadable: TOO_LARGE; MALFORMED for a checksum that does not fit, or for bytes that are no frame.
        httpx.HTTPError: the transport broke.
    """
    try:
        # Not at the top: every stream is read through the table that names this function, with or without botocore.
        decoder = import_module("botocore.eventstream")
    except ImportError as error:
        raise ReplyUnreadable(
            "the reply is a stream of AWS's, and botocore, which reads those, is not installed",
            outcome=Outcome.MALFORMED,
        ) from error
    frames, n_bytes = decoder.EventStreamBuffer(), 0
    async for piece in response.aiter_bytes():
        n_bytes += len(piece)
        if n_bytes > MAX_BODY_BYTES:
            raise too_large()
        frames.add_data(piece)
        while True:
            try:
                frame = next(frames, None)
            except (decoder.ParserError, struct.error, KeyError, ValueError) as error:
                raise ReplyUnreadable(f"a frame of the stream is broken: {error}", outcome=Outcome.MALFORMED) from error
            if frame is None:
                break
            yield _event(frame.headers, frame.payload)


def _event(headers: Mapping[str, Any], payload: bytes) -> tuple[str, bytes]:
    match headers.get(":message-type"):
        case "exception":
            return _error(headers.get(":exception-type"), _message(payload))
        case "error":
            return _error(headers.get(":error-code"), str(headers.get(":error-message", "")))
        case _:
            return str(headers.get(":event-type", "message")), payload


def _error(code: Any, message: str) -> tuple[str, bytes]:
    return "error", json.dumps({"code": str(code), "message": message}).encode()


def _message(payload: bytes) -> str:
    said = payload.decode("utf-8", "replace")
    try:
        document = json.loads(said)
    except (ValueError, RecursionError):
        return said
    return str(document.get("message", said)) if isinstance(document, dict) else said
