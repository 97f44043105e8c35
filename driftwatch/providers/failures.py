"""Every way an HTTP request can fail to end in a reply, mapped to the error tree.

Source: OpenAI, "Error codes", https://platform.openai.com/docs/guides/error-codes, 2026-11 (401, 403, 404
``model_not_found``, 429 with ``rate_limit_exceeded`` or ``insufficient_quota``, 500, 503); OpenRouter, "Errors and
Debugging", https://openrouter.ai/docs/api/reference/errors-and-debugging, 2026-11 (an error object inside status 200
and inside a stream, numeric ``code``); Anthropic, "Errors", https://docs.anthropic.com/en/api/errors, 2026-11 (529
overloaded).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from driftwatch.domain import Json, Outcome
from driftwatch.errors import (
    ModelGone,
    ProviderConnection,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    ReplyUnreadable,
)

MESSAGE_CHARS = 300
"""The longest quotation of a provider's message, in characters."""
GONE_CODES = frozenset({"model_not_found", "model_decommissioned", "DeploymentNotFound"})
"""Error codes that say the model is gone, whatever the status.

Source: OpenAI (page above); Groq answers 400 with ``model_decommissioned``, https://console.groq.com/docs/deprecations;
Azure OpenAI answers 404 with ``DeploymentNotFound`` and does not name the deployment. Both as quoted in 2026.
"""

Say = Callable[[str], str]
"""Masks key material in a text that is about to be quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What an error body says, whichever of the common shapes it has."""

    message: str
    code: str | None = None
    type: str | None = None


def from_status(  # noqa: PLR0911 - one return per row of the vendor's table
    status: int, headers: Mapping[str, str], body: bytes, *, model: str, at: datetime, say: Say
) -> ProviderError:
    """Name the failure that a status outside 200 … 299 stands for.

    Args:
        status: the HTTP status.
        headers: of the response, case-insensitive.
        body: of the response, possibly empty.
        model: the model that was asked for; a 404 that names it means the model is gone, any other 404 a wrong URL.
        at: aware UTC; what a Retry-After date is measured from when the response has no Date.
        say: masks key material.
    """
    told = read_error_body(body)
    retry_after = retry_after_s(headers, at=at)
    quoted = quote(told.message, say)
    sentence = f"the endpoint answered {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    sentence = f"{sentence}: {quoted}" if quoted else sentence

    if httpx.codes.is_redirect(status):
        return ProviderRejected(
            f"the endpoint answered {status} and sent us elsewhere; redirects are not followed, "
            "so put the final address into base_url",
            outcome=Outcome.REJECTED,
        )
    if status in {401, 403}:
        return ProviderRejected(sentence, outcome=Outcome.AUTH)
    if told.code in GONE_CODES or (status in {404, 410} and _names(told.message, model)):
        return ModelGone(sentence, outcome=Outcome.MODEL_GONE)
    if status == httpx.codes.REQUEST_TIMEOUT:
        return ProviderTimeout(sentence, outcome=Outcome.TIMEOUT)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return _limited(told, sentence, retry_after)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return ProviderUnavailable(sentence, outcome=Outcome.UNAVAILABLE, retry_after_s=retry_after)
    return ProviderRejected(sentence, outcome=Outcome.REJECTED)


def from_error_object(error: Json, *, say: Say) -> ProviderError:
    """Name the failure that an ``error`` inside a status 200 stands for."""
    told = _told_by({"error": error})
    sentence = f"the endpoint answered 200 around an error: {quote(told.message, say) or 'without a message'}"
    if told.code == "429" or "rate_limit" in f"{told.code} {told.type}":
        return _limited(told, sentence, None)
    return ReplyUnreadable(sentence, outcome=Outcome.ERROR_BODY)


def from_transport(  # noqa: PLR0911 - one return per family of exceptions
    error: httpx.HTTPError, *, reply_began: bool, timeout_s: float, say: Say
) -> ProviderError:
    """Name the failure that an httpx exception stands for.

    Args:
        error: any httpx.HTTPError except HTTPStatusError, which we never raise.
        reply_began: whether a status line had been read; after it a break means a reply cut off.
        timeout_s: the limit that was set, for the sentence.
        say: masks key material; an httpx message can quote a header.
    """
    why = quote(str(error), say) or type(error).__name__
    match error:
        case httpx.ConnectTimeout():
            return ProviderConnection("no connection to the endpoint in time", outcome=Outcome.CONNECTION)
        case httpx.TimeoutException():
            return ProviderTimeout(f"no complete reply within {timeout_s:g} s", outcome=Outcome.TIMEOUT)
        case httpx.DecodingError():
            return ReplyUnreadable(f"the body could not be decompressed: {why}", outcome=Outcome.MALFORMED)
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            return ProviderRejected(
                "the request could not be formed; look at base_url and headers", outcome=Outcome.REJECTED
            )
        case _ if reply_began:
            return ReplyUnreadable(f"the reply broke off: {why}", outcome=Outcome.CUT_OFF)
        case httpx.RemoteProtocolError() if "disconnected" not in str(error):
            return ReplyUnreadable(f"the endpoint does not speak HTTP: {why}", outcome=Outcome.MALFORMED)
        case _:
            return ProviderConnection(f"the endpoint could not be reached: {why}", outcome=Outcome.CONNECTION)


def retry_after_s(headers: Mapping[str, str], *, at: datetime) -> float | None:
    """Read how long the endpoint asks us to wait: seconds, 0 or more; None when it does not say.

    Understands ``retry-after-ms``, and ``Retry-After`` as seconds and as an HTTP date. The date is measured from the
    response's own ``Date``, so that neither clock has to be right, or else from ``at``.

    Source: RFC 9110 section 10.2.3; ``retry-after-ms``: the openai-python client, 2026-11.

    >>> from datetime import UTC, datetime
    >>> retry_after_s({"retry-after": "Mon, 16 Mar 2026 09:00:30 GMT"}, at=datetime(2026, 3, 16, 9, tzinfo=UTC))
    30.0
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    until, now = _http_date(value), _http_date(headers.get("date")) or at
    return max(0.0, (until - now).total_seconds()) if until else None


def quote(text: str, say: Say) -> str:
    """Make somebody else's text fit into one sentence: masked, white space folded, at most 300 characters."""
    # Masked before it is cut: a key cut in two would no longer be recognised.
    folded = " ".join(say(text).split())
    return folded if len(folded) <= MESSAGE_CHARS else folded[: MESSAGE_CHARS - 1] + "…"


def read_error_body(body: bytes) -> ErrorBody:
    """Find the message in an error body of any common shape; empty when there is none.

    >>> read_error_body(b'{"error": {"message": "no such model", "code": "model_not_found"}}').code
    'model_not_found'
    >>> read_error_body(b'{"detail": "Not Found"}').message
    'Not Found'
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
        if title:
            return ErrorBody(message=title.group(1))
        return ErrorBody(message="an HTML page" if text.startswith("<") else text)
    return _told_by(document)


def _told_by(document: Json) -> ErrorBody:
    # {"error": {"message", "type", "code"}} is OpenAI's; {"error": "…"}, {"message": "…"} and FastAPI's {"detail": …}
    # are met at compatible servers.
    told = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(told, dict):
        return ErrorBody(message=told if isinstance(told, str) else json.dumps(told))
    message = told.get("message", told.get("detail", told))
    code, kind = told.get("code"), told.get("type")
    return ErrorBody(
        message=message if isinstance(message, str) else json.dumps(message),
        code=None if code is None else str(code),
        type=None if kind is None else str(kind),
    )


def _limited(told: ErrorBody, sentence: str, retry_after: float | None) -> ProviderError:
    if "insufficient_quota" in {told.code, told.type}:
        # Only a person with a credit card can help: further attempts would be noise.
        return ProviderRejected(sentence, outcome=Outcome.RATE_LIMITED)
    return RateLimited(sentence, outcome=Outcome.RATE_LIMITED, retry_after_s=retry_after)


def _names(message: str, model: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(model)}(?![\w-])", message, re.IGNORECASE) is not None


def _seconds(value: str | None) -> float | None:
    # float() would also take "nan", "inf" and "1e9".
    return float(value) if value is not None and re.fullmatch(r"\s*\d{1,9}(\.\d+)?\s*", value) else None


def _http_date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    # "-0000" parses as naive; HTTP dates are always GMT.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
