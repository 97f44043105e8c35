"""What is read from a reply that came whole, streamed or not."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from driftwatch.domain import Outcome, ToolCall
from driftwatch.errors import ProviderError, ProviderUnavailable

pytestmark = pytest.mark.anyio

SSE = {"content-type": "text/event-stream; charset=utf-8"}


def document(message: object, **choice: object) -> httpx.Response:
    body = {"choices": [{"message": message, "finish_reason": "stop", **choice}]}
    return httpx.Response(200, content=json.dumps(body))  # escapes what httpx's own encoder cannot send


async def test_a_reply_is_read_in_full(ask, wire, canary, at) -> None:
    got = await ask(httpx.Response(200, content=wire("chat.json"), headers={"x-request-id": "req_8d1"}))

    assert got.outcome is Outcome.OK
    assert got.text == "Hello! How can I assist you today?"
    assert got.finish_reason == "stop"
    assert (got.input_tokens, got.output_tokens) == (19, 10)
    assert got.served_model == "gpt-4.1-2025-04-14"
    assert got.fingerprint == "fp_44709d6fcb"
    assert got.request_id == "req_8d1"
    assert (got.canary_id, got.canary_hash) == (canary.id, canary.content_hash)
    assert (got.repeat, got.at, got.attempts, got.error) == (2, at, 1, None)
    assert 0 <= got.latency_s < 5
    assert (got.ttft_s, got.logprobs, got.tool_calls) == (None, None, ())


async def test_without_a_header_the_request_id_is_the_reply_s_own(ask, wire) -> None:
    got = await ask(httpx.Response(200, content=wire("chat.json")))

    assert got.request_id == "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"


async def test_a_tool_call_keeps_its_arguments_as_served(ask, wire) -> None:
    got = await ask(httpx.Response(200, content=wire("chat_tools.json")))

    arguments = '{\n"location": "Boston, MA"\n}'
    assert got.tool_calls == (ToolCall(name="get_current_weather", arguments=arguments, id="call_abc123"),)
    assert (got.text, got.finish_reason) == ("", "tool_calls")


async def test_logprobs_are_normalised(ask, wire) -> None:
    got = await ask(httpx.Response(200, content=wire("chat_logprobs.json")))

    assert got.logprobs == [
        {"token": "Hello", "logprob": -0.31725305, "top": [["Hello", -0.31725305], ["Hi", -1.3190403]]},
        {"token": "!", "logprob": -0.02380986, "top": []},
    ]


async def test_a_refusal_is_the_text_when_there_is_no_other(ask, wire) -> None:
    got = await ask(httpx.Response(200, content=wire("chat_refusal.json")))

    assert got.text == "I'm sorry, I cannot assist with that request."


async def test_a_name_without_end_is_cut(ask) -> None:
    body = {"choices": [{"message": {"content": "x"}, "finish_reason": "y" * 9000}], "model": "z" * 9000}

    limit = {"x-ratelimit-" + "a" * 9000: "b" * 9000}

    got = await ask(httpx.Response(200, json=body, headers={"x-request-id": "r" * 9000, **limit}))

    assert {len(got.served_model), len(got.finish_reason)} == {1000}
    assert len(got.request_id) == 200
    assert [(len(name), len(value)) for name, value in got.headers.items()] == [(200, 200)]


async def test_content_parts_are_joined_and_thinking_is_left_out(ask, wire) -> None:
    got = await ask(httpx.Response(200, content=wire("chat_parts.json")))

    assert got.text == "Hello there."


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({}, ""),
        ({"content": "", "refusal": None}, ""),
        ({"content": ["a", {"text": "b"}, {"type": "refusal", "refusal": "c"}]}, "abc"),
        ({"content": "half a pair \ud83d"}, "half a pair \N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_odd_but_legal_contents_are_texts(message, text, ask) -> None:
    got = await ask(document(message))

    assert got.text == text
    assert got.is_ok


async def test_counts_that_cannot_be_are_left_out(ask) -> None:
    usage = {"prompt_tokens": -1, "completion_tokens": 10**30}
    body = {"choices": [{"message": {"content": "x"}}], "usage": usage, "model": 7, "system_fingerprint": ""}

    got = await ask(httpx.Response(200, json=body))

    assert (got.input_tokens, got.output_tokens) == (None, None)
    assert (got.served_model, got.fingerprint, got.finish_reason) == (None, None, None)


@pytest.mark.parametrize("calls", [None, []])
async def test_no_tool_calls_in_either_spelling(calls, ask) -> None:
    assert (await ask(document({"content": "x", "tool_calls": calls}))).tool_calls == ()


async def test_tool_arguments_served_as_an_object_become_their_json_text(ask) -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"custom": {"name": "g", "input": "raw"}}]

    got = await ask(document({"content": None, "tool_calls": calls}))

    assert got.tool_calls == (ToolCall(name="f", arguments='{"a": 1}'), ToolCall(name="g", arguments="raw"))


@pytest.mark.parametrize("logprobs", [{"content": [{"token": "a"}]}, {"tokens": ["a"]}, [1], {"content": [1]}])
async def test_odd_logprobs_do_not_cost_the_reply(logprobs, ask) -> None:
    got = await ask(document({"content": "x"}, logprobs=logprobs))

    assert (got.text, got.logprobs) == ("x", None)


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"choices": []},
        {"choices": None},
        {"choices": ["x"]},
        {"choices": [{}]},
        {"choices": [{"message": "x"}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"content": "", "tool_calls": "x"}}]},
        {"choices": [{"message": {"content": "", "tool_calls": [{"function": {}}]}}]},
        {"choices": [{"message": {"content": "", "tool_calls": ["x"]}}]},
    ],
)
async def test_json_of_another_shape_is_malformed(body, ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(200, json=body))

    assert caught.value.outcome is Outcome.MALFORMED
    assert not caught.value.retryable


# ---------------------------------------------------------------- streams


async def test_a_stream_is_read_as_the_reply_it_would_have_been(ask, wire, target) -> None:
    target = replace(target, stream=True)

    got = await ask(httpx.Response(200, content=wire("stream.sse"), headers=SSE), target=target)

    # U+2028 ends a line for str.splitlines, and not in an event stream.
    assert got.text == "Hello\N{LINE SEPARATOR}ð."
    assert got.finish_reason == "stop"
    assert (got.input_tokens, got.output_tokens) == (9, 2)
    assert (got.served_model, got.fingerprint, got.request_id) == ("gpt-4o-mini", "fp_44709d6fcb", "chatcmpl-123")
    assert [entry["token"] for entry in got.logprobs] == ["Hel", "lo."]
    assert got.ttft_s is not None
    assert 0 < got.ttft_s <= got.latency_s


async def test_tool_calls_are_put_together_from_their_pieces(ask, wire) -> None:
    got = await ask(httpx.Response(200, content=wire("stream_tools.sse"), headers=SSE))

    assert got.tool_calls == (
        ToolCall(name="get_weather", arguments='{"city":"Oslo"}', id="call_A"),
        ToolCall(name="get_time", arguments="{}", id="call_B"),
    )
    assert (got.finish_reason, got.input_tokens) == ("tool_calls", None)


async def test_an_endpoint_that_ignores_streaming_is_read_all_the_same(ask, wire, target) -> None:
    target = replace(target, stream=True)

    got = await ask(httpx.Response(200, content=wire("chat.json")), target=target)

    assert got.text == "Hello! How can I assist you today?"
    assert got.ttft_s is None


@pytest.mark.parametrize("content_type", ["Text/Event-Stream", "text/event-stream;charset=latin-1"])
async def test_the_spelling_of_the_content_type_does_not_matter(content_type, ask, wire) -> None:
    got = await ask(httpx.Response(200, content=wire("stream.sse"), headers={"content-type": content_type}))

    assert got.text == "Hello\N{LINE SEPARATOR}ð."


def event(**chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def piece(delta: object, **choice: object) -> bytes:
    return event(choices=[{"delta": delta, **choice}])


DONE = b"data: [DONE]\n\n"


async def test_a_missing_done_is_no_failure_once_the_finish_reason_came(ask) -> None:
    body = piece({"content": "a"}) + piece({}, finish_reason="length")

    got = await ask(httpx.Response(200, content=body, headers=SSE))

    assert (got.text, got.finish_reason) == ("a", "length")


async def test_a_role_or_a_finish_reason_that_comes_twice_changes_nothing(ask) -> None:
    role, end = piece({"role": "assistant", "content": ""}), piece({}, finish_reason="stop")

    got = await ask(httpx.Response(200, content=role + role + piece({"content": "a"}) + end + end + DONE, headers=SSE))

    assert (got.text, got.finish_reason) == ("a", "stop")


async def test_the_last_finish_reason_counts(ask) -> None:
    body = (
        piece({"content": "a"}) + piece({}, finish_reason="stop") + piece(None, finish_reason="content_filter") + DONE
    )

    got = await ask(httpx.Response(200, content=body, headers=SSE))

    assert (got.text, got.finish_reason) == ("a", "content_filter")


async def test_what_comes_after_done_is_not_looked_at(ask) -> None:
    body = piece({"content": "a"}, finish_reason="stop") + DONE + b"data: {oops\n\n" + DONE

    got = await ask(httpx.Response(200, content=body, headers=SSE))

    assert (got.text, got.finish_reason) == ("a", "stop")


async def test_numbers_that_are_no_json_cost_only_themselves(ask) -> None:
    entries = b'[{"token": "a", "logprob": NaN, "top_logprobs": []}]'
    body = (
        b'{"choices": [{"message": {"content": "a"}, "finish_reason": "stop", "logprobs": {"content": %b}}]}' % entries
    )

    got = await ask(httpx.Response(200, content=body))

    assert (got.text, got.logprobs) == ("a", None)


async def test_a_streamed_refusal_is_the_text(ask) -> None:
    body = piece({"refusal": "I'd "}) + piece({"refusal": "rather not."}, finish_reason="stop") + DONE

    got = await ask(httpx.Response(200, content=body, headers=SSE))

    assert got.text == "I'd rather not."
    assert got.ttft_s is not None


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", Outcome.EMPTY_BODY),
        (piece({"content": "a"}), Outcome.CUT_OFF),
        (piece({"content": "a"}) + DONE, Outcome.CUT_OFF),
        (piece({"content": "a"}) + b'data: {"choices": [{"del', Outcome.CUT_OFF),
        (piece({"content": "a"}) + b'data: {"choices": [{"del\n\n', Outcome.CUT_OFF),
        (piece({"content": "a"}) + event(error={"message": "overloaded"}), Outcome.ERROR_BODY),
        (piece({"content": "a"}) + b"event: error\n" + event(error="overloaded"), Outcome.ERROR_BODY),
        (piece({"content": "a"}) + event(error={"code": 429, "message": "slow down"}), Outcome.RATE_LIMITED),
        (piece({}, error={"message": "upstream died"}), Outcome.ERROR_BODY),
        (piece({"content": "a"}, finish_reason="error"), Outcome.ERROR_BODY),
        (DONE, Outcome.EMPTY_BODY),
        (b"data: hello\n\n", Outcome.NOT_JSON),
        (b"data: [1]\n\n", Outcome.MALFORMED),
        (piece("text"), Outcome.MALFORMED),
        (piece({"tool_calls": ["x"]}), Outcome.MALFORMED),
        (
            b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n' + piece({}, finish_reason="stop"),
            Outcome.NOT_JSON,
        ),
    ],
)
async def test_a_stream_that_fails_says_how(body, outcome, ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(200, content=body, headers=SSE))

    assert caught.value.outcome is outcome


@pytest.mark.parametrize("word", ["abort", "aborted", "insufficient_system_resource"])
@pytest.mark.parametrize("said", ["", "half an ans"])
async def test_a_generation_that_the_server_gave_up_is_no_reply(word, said, ask) -> None:
    for response in (
        document({"content": said}, finish_reason=word),
        httpx.Response(200, content=piece({"content": said}) + piece({}, finish_reason=word) + DONE, headers=SSE),
    ):
        with pytest.raises(ProviderUnavailable, match=f"ended the reply with {word}") as caught:
            await ask(response)

        assert caught.value.outcome is Outcome.UNAVAILABLE
        assert caught.value.reply_began is bool(said)


@pytest.mark.parametrize("content", [None, "", []])
async def test_neither_a_finish_reason_nor_content_is_a_reply_cut_off(content, ask) -> None:
    with pytest.raises(ProviderError, match="neither a finish reason nor any content") as caught:
        await ask(document({"content": content}, finish_reason=None))

    assert caught.value.outcome is Outcome.CUT_OFF
    assert (await ask(document({"content": content}))).text == ""  # the model may have nothing to say
    assert (await ask(document({"content": "x"}, finish_reason=None))).finish_reason is None


@pytest.mark.parametrize(
    ("before", "began"),
    [
        (b"", False),
        (piece({"role": "assistant", "content": ""}), False),
        (piece({"content": "a"}), True),
        (piece({"reasoning_content": "Let me"}), True),
        (piece({"tool_calls": [{"function": {"name": "f", "arguments": ""}}]}), True),
    ],
)
async def test_a_failure_tells_whether_the_model_had_begun_to_answer(before, began, ask) -> None:
    body = before + event(error={"message": "overloaded", "type": "overloaded_error", "code": 429})

    with pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(200, content=body, headers=SSE))
    with pytest.raises(ProviderError) as refused:
        await ask(httpx.Response(503))

    assert (caught.value.reply_began, refused.value.reply_began) == (began, False)


async def test_a_compressed_stream_is_refused(ask, wire) -> None:
    response = httpx.Response(200, headers={**SSE, "content-encoding": "gzip"}, stream=httpx.ByteStream(b"\x1f\x8b"))

    with pytest.raises(ProviderError, match="compressed"):
        await ask(response)


async def test_a_reply_that_echoes_the_key_is_kept_without_it(ask) -> None:
    key = "sk-local-0123456789"
    echo = {"content": f"Your key is {key}; sk-other-987654 is somebody else's."}

    got = await ask(document(echo), read_key=lambda: key)

    assert got.text == "Your key is ***; sk-other-987654 is somebody else's."
