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
from dataclasses import dataclass, replace
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
from driftwatch.providers.connection import Connection
from driftwatch.providers.reading import objects

MESSAGE_CHARS = 300
"""The longest quotation of a provider's message, in characters."""
GONE_CODES = frozenset({"model_not_found", "model_decommissioned", "DeploymentNotFound"})
"""Error codes that say the model is gone, whatever the status.

Source: OpenAI (page above); Groq answers 400 with ``model_decommissioned``, https://console.groq.com/docs/deprecations;
Azure OpenAI answers 404 with ``DeploymentNotFound`` and does not name the deployment. Both as quoted in 2026.
"""
COMMON_NAMES: Mapping[str, Outcome] = {
    **dict.fromkeys(GONE_CODES, Outcome.MODEL_GONE),
    "insufficient_quota": Outcome.QUOTA,
    "billing_hard_limit_reached": Outcome.QUOTA,
    "billing_not_active": Outcome.QUOTA,
    "content_filter": Outcome.FILTERED,
    "content_policy_violation": Outcome.FILTERED,
    "ResponsibleAIPolicyViolation": Outcome.FILTERED,
    "rate_limit_exceeded": Outcome.RATE_LIMITED,
}
"""Error words that mean the same wherever they are met; a dialect's own ``error_names`` go first."""
ERROR_HEADER = "x-amzn-errortype"
"""Where AWS says the error's name, in front of a colon and a namespace; its bodies hold nothing but the message."""
_SPAN = re.compile(r"Per(?:Day|Month)")
"""The span in Google's name of a quota, e.g. ``GenerateRequestsPerDayPerProjectPerModel-FreeTier``."""
OVERLOADED = frozenset({503, 529})
"""Statuses that ask for fewer requests beside 429: RFC 9110, section 15.6.4 ("temporary overload"), and Anthropic's."""

Say = Callable[[str], str]
"""Masks key material in a text that is about to be quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What an error body says, whichever of the common shapes it has."""

    message: str
    code: str | None = None
    type: str | None = None
    status: str | None = None
    """Google's word, e.g. ``RESOURCE_EXHAUSTED``."""
    inner: str | None = None
    """Azure's second code, e.g. ``ResponsibleAIPolicyViolation``, or OpenRouter's ``metadata`` in one word."""
    reasons: tuple[str, ...] = ()
    """Google's details: the reasons, e.g. ``API_KEY_INVALID``, and the spans of exhausted quotas, e.g. ``PerDay``."""
    retry_after_s: float | None = None
    """Google's RetryInfo."""

    def outcome(self, names: Mapping[str, Outcome]) -> Outcome | None:
        """What one of its words stands for, the most special first; None when no word is known."""
        known = {**COMMON_NAMES, **names}
        said = self.message.lower()
        phrases = (name for name in known if " " in name and name in said)
        words = (*self.reasons, self.inner, self.code, self.type, self.status)
        return next((known[name] for name in (*phrases, *words) if name in known), None)


def from_status(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    model: str,
    at: datetime,
    say: Say,
    names: Mapping[str, Outcome] | None = None,
) -> ProviderError:
    """Name the failure that a status outside 200 … 299 stands for.

    Args:
        status: the HTTP status.
        headers: of the response, case-insensitive.
        body: of the response, possibly empty.
        model: the model that was asked for; a 404 that names it means the model is gone, any other 404 a wrong URL.
        at: aware UTC; what a Retry-After date is measured from when the response has no Date.
        say: masks key material.
        names: the vendor's error words, which win over the status, and statuses as text that this vendor alone uses.
    """
    told = read_error_body(body)
    if ERROR_HEADER in headers:
        told = replace(told, code=headers[ERROR_HEADER].partition(":")[0])
    asked_s = retry_after_s(headers, at=at)
    retry_after = told.retry_after_s if asked_s is None else asked_s
    quoted = quote(told.message, say)
    sentence = f"the endpoint answered {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    sentence = f"{sentence}: {quoted}" if quoted else sentence

    if httpx.codes.is_redirect(status):
        elsewhere = quote(headers.get("location", "").partition("?")[0], say) or "elsewhere"
        return ProviderRejected(
            f"the endpoint answered {status} and sent us to {elsewhere}; redirects are not followed, "
            "so put the final address into base_url",
            outcome=Outcome.REJECTED,
        )
    outcome = told.outcome(names or {}) or (names or {}).get(str(status)) or _by_status(status, told.message, model)
    return named(outcome, sentence, retry_after_s=retry_after, is_overload=status in OVERLOADED)


def named(  # noqa: PLR0911 - one return per branch of the error tree
    outcome: Outcome, sentence: str, *, retry_after_s: float | None = None, is_overload: bool = False
) -> ProviderError:
    """The error of a failure that has been named.

    Args:
        outcome: what happened; one that a reply cannot have is a ReplyUnreadable.
        sentence: what to tell a person.
        retry_after_s: what the endpoint asked for.
        is_overload: whether it asks for fewer requests; RATE_LIMITED always does.
    """
    match outcome:
        case Outcome.MODEL_GONE:
            return ModelGone(sentence, outcome=outcome)
        case Outcome.AUTH | Outcome.QUOTA | Outcome.FILTERED | Outcome.REJECTED:
            return ProviderRejected(sentence, outcome=outcome)
        case Outcome.TIMEOUT:
            return ProviderTimeout(sentence, outcome=outcome)
        case Outcome.CONNECTION:
            return ProviderConnection(sentence, outcome=outcome)
        case Outcome.RATE_LIMITED:
            return RateLimited(sentence, outcome=outcome, retry_after_s=retry_after_s, is_overload=True)
        case Outcome.UNAVAILABLE:
            return ProviderUnavailable(sentence, outcome=outcome, retry_after_s=retry_after_s, is_overload=is_overload)
        case _:
            return ReplyUnreadable(sentence, outcome=outcome)


def given_up(outcome: Outcome, word: str, *, began: bool, why: str = "") -> ProviderError:
    """A generation that the endpoint began, and ended with a word that says it failed.

    Args:
        outcome: what the word stands for.
        word: the finish reason.
        began: whether the model had said anything by then.
        why: what the endpoint adds, as quoted.
    """
    error = named(outcome, f"the endpoint ended the reply with {word}" + (f": {why}" if why else ""))
    error.reply_began = began
    return error


def _by_status(status: int, message: str, model: str) -> Outcome:
    if status in {401, 403}:
        return Outcome.AUTH
    if status == httpx.codes.PAYMENT_REQUIRED:
        return Outcome.QUOTA
    if status in {404, 410} and _names(message, model):
        return Outcome.MODEL_GONE
    if status == httpx.codes.REQUEST_TIMEOUT:
        return Outcome.TIMEOUT
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Outcome.RATE_LIMITED
    return Outcome.UNAVAILABLE if status >= httpx.codes.INTERNAL_SERVER_ERROR else Outcome.REJECTED


def from_error_object(error: Json, *, say: Say, names: Mapping[str, Outcome] | None = None) -> ProviderError:
    """Name the failure that an ``error`` inside a status 200, or inside a stream, stands for.

    Args:
        error: the error object, or its text.
        say: masks key material.
        names: the vendor's error words.
    """
    told = _told_by({"error": error})
    sentence = f"the endpoint answered 200 around an error: {quote(told.message, say) or 'without a message'}"
    words = f"{told.code} {told.type}"
    is_rate_limit = told.code == "429" or "rate_limit" in words
    # The vendor's words go first: a quota that is used up is 429 as well.
    outcome = told.outcome(names or {}) or (Outcome.RATE_LIMITED if is_rate_limit else Outcome.ERROR_BODY)
    return named(outcome, sentence, retry_after_s=told.retry_after_s, is_overload="overloaded" in words)


def from_transport(  # noqa: PLR0911 - one return per family of exceptions
    error: httpx.HTTPError, *, reply_began: bool, connection: Connection, say: Say
) -> ProviderError:
    """Name the failure that an httpx exception stands for.

    Args:
        error: any httpx.HTTPError except HTTPStatusError, which we never raise.
        reply_began: whether a status line had been read; after it a break means a reply cut off.
        connection: whose limits of time were set, for the sentence.
        say: masks key material; an httpx message can quote a header.
    """
    why = quote(str(error), say) or type(error).__name__
    match error:
        case httpx.ConnectTimeout():
            sentence = f"no connection within {connection.connect_timeout_s:g} s (connect_timeout)"
            return ProviderConnection(sentence, outcome=Outcome.CONNECTION)
        case httpx.ReadTimeout() | httpx.WriteTimeout() if connection.read_timeout_s is not None:
            sentence = f"the endpoint was silent for {connection.read_timeout_s:g} s (read_timeout)"
            return ProviderTimeout(sentence, outcome=Outcome.TIMEOUT)
        case httpx.TimeoutException():
            return too_slow(connection)
        case httpx.DecodingError():
            return ReplyUnreadable(f"the body could not be decompressed: {why}", outcome=Outcome.MALFORMED)
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            return ProviderRejected(
                "the request could not be formed; look at base_url and headers", outcome=Outcome.REJECTED
            )
        case _ if reply_began:
            return ReplyUnreadable(f"the reply broke off: {why}", outcome=Outcome.CUT_OFF)
        case httpx.ProxyError():
            return ProviderConnection(f"the proxy did not let the request through: {why}", outcome=Outcome.CONNECTION)
        case httpx.ConnectError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            sentence = f"the endpoint's certificate is not trusted: {why}; name its authority in ca_file if it is yours"
            return ProviderConnection(sentence, outcome=Outcome.CONNECTION)
        case httpx.RemoteProtocolError() if "disconnected" not in str(error):
            return ReplyUnreadable(f"the endpoint does not speak HTTP: {why}", outcome=Outcome.MALFORMED)
        case _:
            return ProviderConnection(f"the endpoint could not be reached: {why}", outcome=Outcome.CONNECTION)


def too_slow(connection: Connection) -> ProviderTimeout:
    """The request took longer than all of it may."""
    return ProviderTimeout(f"no complete reply within {connection.timeout_s:g} s (timeout)", outcome=Outcome.TIMEOUT)


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
    if isinstance(document, list) and len(document) == 1 and isinstance(document[0], dict):
        document = document[0]  # Google, where a stream was asked for
    told = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(told, dict):
        return ErrorBody(message=told if isinstance(told, str) else json.dumps(told))
    message = told.get("message", told.get("detail", told))
    inner = told.get("innererror", told.get("inner_error"))
    inner = inner.get("code") if isinstance(inner, dict) else _noted_by_router(told.get("metadata"))
    details = told.get("details")  # Anthropic's second word
    inner = inner or (details.get("error_code") if isinstance(details, dict) else None)
    return ErrorBody(
        message=message if isinstance(message, str) else json.dumps(message),
        code=_word(told.get("code")),
        type=_word(told.get("type")),
        status=_word(told.get("status")),
        inner=_word(inner),
        reasons=_google_reasons(told.get("details")),
        retry_after_s=_google_wait_s(told.get("details")),
    )


def _google_reasons(details: Json) -> tuple[str, ...]:
    # Source: google.rpc error_details.proto (ErrorInfo, QuotaFailure, RetryInfo), https://google.aip.dev/193, 2026-11.
    reasons = [entry["reason"] for entry in objects(details) if isinstance(entry.get("reason"), str)]
    broken = [violation for entry in objects(details) for violation in objects(entry.get("violations"))]
    return (*reasons, *(span for violation in broken for span in _SPAN.findall(str(violation.get("quotaId")))))


def _google_wait_s(details: Json) -> float | None:
    waits = (_seconds(str(entry.get("retryDelay")).removesuffix("s")) for entry in objects(details))
    return next((wait for wait in waits if wait is not None), None)


def _noted_by_router(metadata: Json) -> Json:
    # OpenRouter: why its moderation flagged the prompt, whom it could have asked, or its own word for the kind.
    if not isinstance(metadata, dict):
        return None
    if metadata.get("reasons"):
        return "content_policy_violation"
    return "no_allowed_provider" if "available_providers" in metadata else metadata.get("error_type")


def _word(value: Json) -> str | None:
    return None if value is None else str(value)


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
        # "-0000" parses as naive; HTTP dates are always GMT. One at the edge of time may not exist in it.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError):
        return None
