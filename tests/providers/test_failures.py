"""Every way a request can fail, by its own name, and never with a key in it."""

from __future__ import annotations

import inspect
import json

import httpx
import pytest
import structlog
from hypothesis import given, strategies as st

from driftwatch.domain import Outcome
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
from driftwatch.providers import Connection
from driftwatch.providers.failures import MESSAGE_CHARS, from_error_object, from_status, from_transport, retry_after_s
from driftwatch.providers.masking import mask
from driftwatch.providers.openai import ERROR_NAMES as OPENAI_NAMES

pytestmark = pytest.mark.anyio


def told(message: str, **more: object) -> dict[str, object]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "outcome"),
    [
        (400, told("Unsupported parameter: 'temperature'"), ProviderRejected, Outcome.REJECTED),
        (401, told("Incorrect API key", code="invalid_api_key"), ProviderRejected, Outcome.AUTH),
        (403, told("Country not supported"), ProviderRejected, Outcome.AUTH),
        (404, told("The model `x` does not exist", code="model_not_found"), ModelGone, Outcome.MODEL_GONE),
        (404, told('model "gpt-4o-mini" not found, try pulling it first'), ModelGone, Outcome.MODEL_GONE),
        (404, {"object": "error", "message": "The model `gpt-4o-mini` does not exist."}, ModelGone, Outcome.MODEL_GONE),
        (404, told("The API deployment does not exist", code="DeploymentNotFound"), ModelGone, Outcome.MODEL_GONE),
        (400, told("has been decommissioned", code="model_decommissioned"), ModelGone, Outcome.MODEL_GONE),
        (410, told("gpt-4o-mini was retired"), ModelGone, Outcome.MODEL_GONE),
        (404, {"detail": "Not Found"}, ProviderRejected, Outcome.REJECTED),
        (404, told("gpt-4o-mini-tts is another one"), ProviderRejected, Outcome.REJECTED),
        (408, {}, ProviderTimeout, Outcome.TIMEOUT),
        (413, {}, ProviderRejected, Outcome.REJECTED),
        (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, ProviderRejected, Outcome.REJECTED),
        (429, told("Rate limit reached", code="rate_limit_exceeded"), RateLimited, Outcome.RATE_LIMITED),
        (429, told("You exceeded your quota", code="insufficient_quota"), ProviderRejected, Outcome.QUOTA),
        (500, told("The server had an error"), ProviderUnavailable, Outcome.UNAVAILABLE),
        (503, "overloaded", ProviderUnavailable, Outcome.UNAVAILABLE),
        (529, told("Overloaded", type="overloaded_error"), ProviderUnavailable, Outcome.UNAVAILABLE),
        (302, {}, ProviderRejected, Outcome.REJECTED),
    ],
)
async def test_a_status_has_one_kind_and_one_outcome(status, body, kind, outcome, ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(status, json=body, headers={"location": "https://elsewhere.example.org"}))

    assert type(caught.value) is kind
    assert caught.value.outcome is outcome
    assert str(status) in str(caught.value)


async def test_the_provider_s_message_is_quoted_and_kept_short(ask) -> None:
    with pytest.raises(ProviderRejected) as short:
        await ask(httpx.Response(400, json=told("Unsupported\n  parameter: 'temperature'")))
    with pytest.raises(ProviderRejected) as long:
        await ask(httpx.Response(400, json=told("so long " * 1000)))

    assert str(short.value) == "the endpoint answered 400 Bad Request: Unsupported parameter: 'temperature'"
    assert len(str(long.value)) <= len("the endpoint answered 400 Bad Request: ") + MESSAGE_CHARS


@pytest.mark.parametrize(
    ("content", "quoted"),
    [
        (b"", ""),
        (b"<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        (b"<html><body></body></html>", "an HTML page"),
        (b"upstream \xff gone", "upstream \N{REPLACEMENT CHARACTER} gone"),
        (b'["a"]', '["a"]'),
        (b"[" * 100_000, "[" * 299 + "…"),
        (b'{"error": "no"}', "no"),
        (b'{"error": {"code": 5}}', '{"code": 5}'),
    ],
)
async def test_error_bodies_of_any_shape_are_quoted(content, quoted, ask) -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        await ask(httpx.Response(502, content=content))

    assert str(caught.value) == "the endpoint answered 502 Bad Gateway" + (f": {quoted}" if quoted else "")


@pytest.mark.parametrize(
    ("content", "outcome", "says"),
    [
        (b"", Outcome.EMPTY_BODY, "empty body"),
        (b" \n ", Outcome.EMPTY_BODY, "empty body"),
        (b"<!doctype html><title>Sign in</title>", Outcome.NOT_JSON, "it starts '<!doctype html>"),
        (b"hello", Outcome.NOT_JSON, "not JSON"),
        (b'{"choices": [{"message": {"content": "\xff"}}]}', Outcome.NOT_JSON, "not valid UTF-8"),
        (b'{"choices": [{"message": {"con', Outcome.CUT_OFF, "middle of its JSON"),
        (b"[" * 100_000 + b"]" * 100_000, Outcome.MALFORMED, "nested too deeply"),
        (b'{"error": {"message": "upstream failed", "code": 502}}', Outcome.ERROR_BODY, "upstream failed"),
        (b'{"error": "upstream failed"}', Outcome.ERROR_BODY, "upstream failed"),
        (b'{"object": "error", "message": "no"}', Outcome.ERROR_BODY, "no"),
        (b'{"error": {"message": "slow down", "type": "rate_limit_error"}}', Outcome.RATE_LIMITED, "slow down"),
        (
            b'{"choices": [{"message": {"content": ""}, "finish_reason": "error"}]}',
            Outcome.ERROR_BODY,
            "upstream provider failed",
        ),
    ],
)
async def test_a_200_that_is_no_reply_says_what_it_is(content, outcome, says, ask) -> None:
    with pytest.raises(ProviderError, match=says) as caught:
        await ask(httpx.Response(200, content=content))

    assert caught.value.outcome is outcome


async def test_a_body_without_end_is_cut_without_filling_the_memory(ask) -> None:
    served = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):
            nonlocal served
            while True:
                served += 1
                yield b" " * 2**16

    for headers in ({}, {"content-type": "text/event-stream"}):
        with pytest.raises(ReplyUnreadable, match="larger than 8 MB") as caught:
            await ask(httpx.Response(200, headers=headers, stream=Endless()))

        assert caught.value.outcome is Outcome.TOO_LARGE
    assert served == 2 * (8 * 2**20 // 2**16 + 1)


async def test_an_error_body_without_end_does_not_hide_the_status(ask) -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):
            while True:
                yield b" " * 2**16

    with pytest.raises(ProviderUnavailable, match="answered 500"):
        await ask(httpx.Response(500, stream=Endless()))


# ---------------------------------------------------------------- Retry-After


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        # 30 s by the provider's own clock, whatever ours says.
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT", "date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30.0),
        ({"retry-after": "Mon, 02 Mar 2026 12:01:00 GMT"}, 60.0),
        ({"retry-after": "Mon, 02 Mar 2026 12:01:00 -0000"}, 60.0),
        ({"retry-after": "Mon, 02 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "9" * 400}, None),
        # Dates at the edges of time.
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2300"}, None),
        ({"retry-after": "Mon, 16 Mar 2026 09:00:30 +99999999999999999"}, None),
        ({"retry-after": "Mon, 02 Mar 2026 12:01:00 GMT", "date": "Fri, 31 Dec 9999 23:59:59 -2300"}, 60.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers, seconds, at) -> None:
    assert retry_after_s(headers, at=at) == seconds


@pytest.mark.parametrize("status", [429, 503, 529])
async def test_retry_after_travels_with_the_error(status, ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(status, headers={"Retry-After": "12"}))

    assert caught.value.retry_after_s == 12.0
    assert caught.value.retryable


def test_inside_a_200_the_vendor_s_words_go_before_the_code() -> None:
    spent = from_error_object({"code": 429, "type": "insufficient_quota", "message": "No more."}, say=str)
    slow = from_error_object({"code": 429, "message": "Slower."}, say=str)

    assert (spent.outcome, slow.outcome) == (Outcome.QUOTA, Outcome.RATE_LIMITED)
    assert (type(spent), spent.retryable) == (ProviderRejected, False)


@pytest.mark.parametrize(
    "code",
    [
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
    ],
)
def test_a_429_of_openai_that_no_waiting_lifts_is_a_quota(code, at) -> None:
    body = json.dumps(told("Stop.", code=code)).encode()

    got = from_status(429, {}, body, model="m", at=at, say=str, names=OPENAI_NAMES)

    assert (got.outcome, got.retryable) == (Outcome.QUOTA, False)


def test_inside_a_200_the_wait_that_google_asks_for_is_kept() -> None:
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "q", "details": [{"retryDelay": "34s"}]}

    got = from_error_object(error, say=str)

    assert (got.outcome, got.retry_after_s) == (Outcome.RATE_LIMITED, 34.0)


# ---------------------------------------------------------------- compression


class Untouched(httpx.AsyncByteStream):
    """A body of which nothing may be read."""

    async def __aiter__(self):
        pytest.fail("a compressed body was read")
        yield b""


@pytest.mark.parametrize("codings", ["gzip", "gzip, gzip", "identity, GZIP", "br"])
async def test_a_compressed_body_is_refused_before_it_can_unfold(codings, ask) -> None:
    headers = {"content-encoding": codings, "content-type": "application/json"}

    with pytest.raises(ReplyUnreadable, match="compressed although none was asked for") as caught:
        await ask(httpx.Response(200, headers=headers, stream=Untouched()))
    with pytest.raises(ProviderUnavailable, match=r"^the endpoint answered 503 Service Unavailable$"):
        await ask(httpx.Response(503, headers=headers, stream=Untouched()))

    assert caught.value.outcome is Outcome.MALFORMED


@pytest.mark.parametrize("codings", ["identity", "Identity", ""])
async def test_a_body_that_says_it_is_plain_is_read(codings, ask, wire) -> None:
    assert (await ask(httpx.Response(200, content=wire("chat.json"), headers={"content-encoding": codings}))).is_ok


# ---------------------------------------------------------------- the transport


def httpx_errors() -> list[type[httpx.HTTPError]]:
    found = [
        kind
        for _, kind in inspect.getmembers(httpx, inspect.isclass)
        if issubclass(kind, httpx.RequestError) and not kind.__subclasses__()
    ]
    assert len(found) > 10
    return found


@pytest.mark.parametrize("kind", httpx_errors())
@pytest.mark.parametrize("reply_began", [False, True])
def test_no_httpx_exception_is_unmapped(kind, reply_began) -> None:
    got = from_transport(kind("why"), reply_began=reply_began, connection=Connection(), say=mask)

    assert isinstance(got, ProviderError)
    assert got.outcome is not Outcome.OK


@pytest.mark.parametrize(
    ("error", "kind", "outcome"),
    [
        (httpx.ConnectError("refused"), ProviderConnection, Outcome.CONNECTION),
        (httpx.ConnectTimeout(""), ProviderConnection, Outcome.CONNECTION),
        (httpx.ReadTimeout(""), ProviderTimeout, Outcome.TIMEOUT),
        (httpx.WriteTimeout(""), ProviderTimeout, Outcome.TIMEOUT),
        (httpx.ProxyError("403 Forbidden"), ProviderConnection, Outcome.CONNECTION),
        (httpx.RemoteProtocolError("illegal status line"), ReplyUnreadable, Outcome.MALFORMED),
        (
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            ProviderConnection,
            "connection",
        ),
        (httpx.LocalProtocolError("illegal header value b'Bearer sk-1'"), ProviderRejected, Outcome.REJECTED),
    ],
)
async def test_a_transport_failure_before_the_reply_has_its_own_name(error, kind, outcome, ask) -> None:
    with pytest.raises(kind) as caught:
        await ask(error)

    assert caught.value.outcome == outcome
    assert "Bearer" not in str(caught.value)


# ---------------------------------------------------------------- secrets


def shown(error: ProviderError) -> str:
    return f"{error} {error!r}"


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500])
@pytest.mark.parametrize("where", ["message", "code", "text", "html"])
async def test_an_echoed_key_is_masked_wherever_it_is_echoed(status, where, ask, key) -> None:
    content = {
        "message": json.dumps(told(f"Incorrect API key provided: {key}. Header: Bearer {key}")),
        "code": json.dumps({"error": {"code": key}}),
        "text": f"{'x' * (MESSAGE_CHARS - 5)} {key}",  # cut in two by the limit, if it were cut first
        "html": f"<title>{key}</title>",
    }[where]

    with structlog.testing.capture_logs() as logs, pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(status, content=content))

    assert key not in shown(caught.value) + str(logs)
    assert key[:12] not in shown(caught.value) + str(logs)


async def test_a_secret_is_masked_without_its_scheme_and_a_flag_leaves_sentences_readable(ask, key) -> None:
    headers = {"authorization": "Token t0k3n-of-mine", "x-flag": "1"}
    answer = httpx.Response(400, json=told("10 of 11 parameters are fine, t0k3n-of-mine is not"))

    with pytest.raises(ProviderRejected) as caught:
        await ask(answer, read_headers=lambda: headers)

    assert str(caught.value) == "the endpoint answered 400 Bad Request: 10 of 11 parameters are fine, *** is not"


@given(
    secret=st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=4, max_size=60),
    before=st.text(max_size=400),
    after=st.text(max_size=40),
)
def test_a_known_secret_of_any_shape_never_survives(secret, before, after) -> None:
    masked = mask(before + secret + after, [secret])

    assert secret not in masked or set(secret) == {"*"}


@pytest.mark.parametrize(
    "shape",
    [
        "sk-proj-abcDEF123456",
        "sk-ant-api03-abc",
        "sk-ab***yz",
        "gsk_a1B2c3D4e5",
        "AIzaSyA1234567890abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "hf_abcdefghij",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIx.sig-nature",
        "0123456789abcdef0123456789abcdef",
        "a8Fj3kQ0zLm4Np7Rs9Tu2Vw5Xy8Zb1Cd",
    ],
)
def test_what_looks_like_a_key_is_masked_even_when_it_is_not_ours(shape) -> None:
    assert shape not in mask(f"Incorrect API key provided: {shape}. You can find yours on the dashboard.")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer hunter2x", "Authorization: Bearer ***"),
        ("api_key=hunter2x is wrong", "api_key=*** is wrong"),
        ('"password": "hunter2x"', '"password": "***"'),
        ("cannot reach https://me:hunter2x@llm.example.org/v1", "cannot reach https://***@llm.example.org/v1"),
    ],
)
def test_a_secret_named_as_one_is_masked(text, masked) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "The model `meta-llama/llama-4-maverick-17b-128e-instruct` has been decommissioned.",
        "Missing bearer or basic authentication in header",
        "max_tokens: 4096 is too large; this model's maximum context length is 128000 tokens",
        "see https://platform.openai.com/docs/guides/error-codes/api-errors",
        "",
    ],
)
def test_ordinary_messages_stay_readable(text) -> None:
    assert mask(text) == text
