"""What Mistral does differently from the chat completions it adopted."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import httpx
import pytest

from driftwatch.domain import Json, Message, Outcome, ToolCall
from driftwatch.errors import ProviderError
from driftwatch.providers import Connection
from driftwatch.providers.mistral import Mistral, call_id, open_provider

pytestmark = pytest.mark.anyio

FINE: Json = {
    "id": "reply-1",
    "model": "mistral-large-2512",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
}


@pytest.fixture
def ask(target, canary, at, key):
    """Ask an endpoint in memory: the completion, and the request it was sent."""

    async def ask(answer=None, **changed):
        requests = []

        def handle(request):
            requests.append(request)
            return answer or httpx.Response(200, json=FINE)

        provider = open_provider(Connection(read_key=lambda: key), transport=httpx.MockTransport(handle))
        try:
            got = await provider.complete(replace(target, **changed), canary, repeat=0, at=at)
        finally:
            await provider.aclose()
        return got, requests[0]

    return ask


@pytest.fixture
def body(target, canary):
    """The body for a canary and parameters, changed as told."""

    def body(parameters=None, stream=False, **asked) -> Json:
        changed = replace(target, stream=stream, parameters=parameters or {})
        return Mistral(Connection()).body(changed, replace(canary, **asked))

    return body


def chunk(delta: Json = None, **more: Json) -> Json:
    return {"id": "reply-1", "choices": [{"index": 0, "delta": delta or {}, **more}]}


# ---------------------------------------------------------------- what is asked


async def test_the_address_and_the_key(ask, key) -> None:
    _, request = await ask()

    assert str(request.url) == "https://api.mistral.ai/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {key}"


def test_what_is_openais_alone_stays_out(body) -> None:
    got = body(
        stream=True,
        parameters={"seed": 7, "logit_bias": {"1": 2}, "safe_prompt": True},
        messages=(Message(role="developer", content="Be brief."), Message(role="user", content="Hi.")),
        tools=({"type": "function", "function": {"name": "now"}},),
        tool_choice="required",
    )

    assert got == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}],
        "tools": [
            {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
        ],
        "tool_choice": "any",
        "stream": True,
        "random_seed": 7,
        "safe_prompt": True,
    }


def test_a_tools_own_schema_is_kept(body) -> None:
    function = {"name": "look", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}

    assert body(tools=({"type": "function", "function": function},))["tools"][0]["function"] == function


def test_ids_of_calls_become_nine_letters_or_digits_and_still_belong_together(body) -> None:
    calls = (
        ToolCall(name="look", arguments="{}", id="call_1"),
        ToolCall(name="now", arguments="{}", id="D681PevkZ"),
        ToolCall(name="then", arguments="{}"),
    )

    called, answered = body(
        messages=(
            Message(role="assistant", content="", tool_calls=calls),
            Message(role="tool", content="blue", tool_call_id="call_1"),
        )
    )["messages"]

    first, second, third = called["tool_calls"]
    assert re.fullmatch("[a-zA-Z0-9]{9}", first["id"])
    assert answered["tool_call_id"] == first["id"]
    assert second["id"] == "D681PevkZ"
    assert "id" not in third


def test_different_ids_stay_different() -> None:
    assert len({call_id(f"call_{i}") for i in range(1000)}) == 1000


# ---------------------------------------------------------------- what comes back


async def test_of_a_list_of_parts_only_text_is_the_answer(ask) -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Hello."},
        {"type": "reference", "reference_ids": [1]},
    ]
    message = {"role": "assistant", "content": parts}

    got, _ = await ask(httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "model_length"}]}))

    assert (got.text, got.finish_reason) == ("Hello.", "length")


def test_thinking_is_content_of_a_stream_and_no_text() -> None:
    reply = Mistral(Connection()).assembler(say=str)

    moved = [
        reply.add("message", one)
        for one in (
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}),
            chunk({"content": [{"type": "text", "text": "Hel"}]}),
            chunk({"content": "lo."}),
            {**chunk({"content": ""}, finish_reason="stop"), "usage": {"prompt_tokens": 3}},
        )
    ]

    got = reply.reply()
    assert moved == [False, True, True, True, False]
    assert (got.text, got.finish_reason, got.input_tokens) == ("Hello.", "stop", 3)


@pytest.mark.parametrize("odd", ["no", None, {"choices": "no"}, {"choices": [{"delta": "no"}]}])
def test_a_chunk_of_another_shape_is_malformed(odd) -> None:
    with pytest.raises(ProviderError) as caught:
        Mistral(Connection()).assembler(say=str).add("message", odd)

    assert caught.value.outcome is Outcome.MALFORMED


async def test_headers_and_the_id_for_the_support_desk_are_kept(ask) -> None:
    limits = {"x-ratelimit-limit-req-minute": "720", "x-ratelimitbysize-remaining-minute": "499"}
    headers = {**limits, "cf-ray": "9ba40a32-IAD", "mistral-correlation-id": "019b98cb"}

    got, _ = await ask(httpx.Response(200, json=FINE, headers=headers))

    assert (got.headers, got.request_id) == (limits, "019b98cb")


# ---------------------------------------------------------------- errors


def told(message: str, kind: str, code: str | None = None) -> Json:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


@pytest.mark.parametrize(
    ("status", "answer", "expected", "quoted"),
    [
        (400, told("Invalid model: mistral-old", "invalid_model", "1500"), Outcome.MODEL_GONE, "Invalid model"),
        (400, told("No such model.", "invalid_request_error", "unknown_model"), Outcome.MODEL_GONE, "No such"),
        (400, told("Tool call id was x", "invalid_function_call", "3280"), Outcome.REJECTED, "Tool call id"),
        (401, {"message": "Unauthorized", "request_id": "9"}, Outcome.AUTH, "Unauthorized"),
        (402, told("Payment required", "invalid_request_error"), Outcome.QUOTA, "Payment"),
        (403, told("Not on your plan.", "invalid_request_error"), Outcome.AUTH, "plan"),
        (
            422,
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "store"], "msg": "Extra inputs"}]},
            Outcome.REJECTED,
            "extra_forbidden",
        ),
        (429, {"message": "Requests rate limit exceeded"}, Outcome.RATE_LIMITED, "rate limit"),
        (429, told("Rate limit exceeded", "rate_limited", "1300"), Outcome.RATE_LIMITED, "Rate limit"),
        (503, told("Service tier capacity exceeded", "service_tier_capacity_exceeded"), Outcome.UNAVAILABLE, "tier"),
    ],
)
async def test_an_error_means_what_its_words_say(status, answer, expected, quoted, ask) -> None:
    with pytest.raises(ProviderError, match=quoted) as caught:
        await ask(httpx.Response(status, json=answer))

    assert caught.value.outcome is expected


async def test_an_error_inside_a_stream_has_its_meaning(ask) -> None:
    frames = (chunk({"content": "Hel"}), told("Rate limit exceeded", "rate_limited", "1300"))
    content = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=content.encode())

    with pytest.raises(ProviderError, match="Rate limit exceeded") as caught:
        await ask(answer, stream=True)

    assert caught.value.outcome is Outcome.RATE_LIMITED
