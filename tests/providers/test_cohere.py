"""What is special to Cohere's Chat API."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from driftwatch.domain import Json, Message, Outcome, ToolCall
from driftwatch.errors import ProviderError
from driftwatch.providers import Connection
from driftwatch.providers.cohere import CohereChat, open_provider
from driftwatch.providers.cohere_reply import StreamedReply, read_reply

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
END: Json = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}
START: Json = {"type": "message-start", "id": "reply-1", "delta": {"message": {"role": "assistant"}}}


def text_of(*pieces: Json, **more: Json) -> Json:
    return {"id": "r", "message": {"role": "assistant", "content": list(pieces)}, "finish_reason": "COMPLETE", **more}


FINE = text_of({"type": "text", "text": "Hello."})


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

    def body(parameters=None, **asked) -> Json:
        changed = replace(target, model="command-a", parameters=parameters or {})
        return CohereChat(Connection()).body(changed, replace(canary, **asked))

    return body


def tool(name: str, **more: Json) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, **more}}


# ---------------------------------------------------------------- what is asked


async def test_the_address_and_the_key(ask, key) -> None:
    _, request = await ask()

    assert str(request.url) == "https://api.cohere.com/v2/chat"
    assert request.headers["authorization"] == f"Bearer {key}"


def test_a_request_holds_what_was_asked_and_nothing_else(body) -> None:
    calls = (ToolCall(name="look", arguments='{"city": "Oslo"}', id="a"), ToolCall(name="now", arguments="{}"))

    got = body(
        messages=(
            Message(role="developer", content="Be brief."),
            Message(role="user", content="Hi."),
            Message(role="assistant", content="", tool_calls=calls),
            Message(role="tool", content="blue", tool_call_id="a"),
        ),
        tools=(tool("look"), {"type": "function", "function": {"name": "now", "description": "Tells the time."}}),
        tool_choice="required",
        response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
        parameters={
            "max_tokens": 9,
            "stop": "END",
            "top_p": 0.5,
            "top_k": 3,
            "reasoning_effort": "low",
            "thinking": {"type": "disabled"},
        },
    )

    function = {"name": "look", "arguments": '{"city": "Oslo"}'}
    assert got == {
        "model": "command-a",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi."},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": function},
                    {"id": "now", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "content": "blue", "tool_call_id": "a"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look", "parameters": SCHEMA}},
            {
                "type": "function",
                "function": {
                    "name": "now",
                    "description": "Tells the time.",
                    "parameters": {"type": "object", "properties": {}},
                },
            },
        ],
        "tool_choice": "REQUIRED",
        "response_format": {"type": "json_object", "json_schema": SCHEMA},
        "max_tokens": 9,
        "stop_sequences": ["END"],
        "p": 0.5,
        "k": 3,
        "thinking": {"type": "disabled"},
    }


def test_one_strict_tool_makes_all_strict(body) -> None:
    assert body(tools=(tool("look"), tool("now", strict=True)))["strict_tools"] is True
    assert "strict_tools" not in body(tools=(tool("look"), tool("now", strict=False)))


def test_the_models_own_choice_of_tools_is_left_unsaid(body) -> None:
    assert "tool_choice" not in body(tools=(tool("look"),), tool_choice="auto")


def test_a_choice_that_names_a_function_is_refused_before_it_is_sent(body) -> None:
    named = {"type": "function", "function": {"name": "look"}}

    with pytest.raises(ProviderError, match="names a function") as caught:
        body(tools=(tool("look"),), tool_choice=named)

    assert caught.value.outcome is Outcome.REJECTED


# ---------------------------------------------------------------- what comes back


def test_input_is_what_the_model_was_given_and_output_is_what_is_billed() -> None:
    usage = {
        "billed_units": {"input_tokens": 5.0, "output_tokens": 418.0},
        "tokens": {"input_tokens": 71.0, "output_tokens": 420.0},
        "cached_tokens": 64.0,
    }

    got = read_reply({**FINE, "usage": usage}, say=str)

    assert (got.input_tokens, got.output_tokens, got.cached_tokens) == (71, 418, 64)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"billed_units": {"input_tokens": 5, "output_tokens": 7}}, (5, 7)),
        ({"tokens": {"input_tokens": 5, "output_tokens": 7}}, (5, 7)),
        ({"tokens": {"input_tokens": 5.5, "output_tokens": float("inf")}}, (None, None)),
        ({"tokens": None}, (None, None)),
        (None, (None, None)),
    ],
)
def test_one_pair_of_counts_stands_in_for_the_other(usage, expected) -> None:
    got = read_reply({**FINE, "usage": usage}, say=str)

    assert (got.input_tokens, got.output_tokens) == expected


def test_a_text_in_place_of_parts_is_read() -> None:
    assert read_reply({"message": {"content": "Hello."}, "finish_reason": "COMPLETE"}, say=str).text == "Hello."


def test_an_error_in_place_of_a_reply_is_an_error() -> None:
    with pytest.raises(ProviderError, match="it broke") as caught:
        read_reply({"error": "it broke"}, say=str)

    assert caught.value.outcome is Outcome.ERROR_BODY


def test_a_plan_and_thinking_are_no_text() -> None:
    message = {
        "tool_plan": "I will look.",
        "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Let me see."}],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }

    got = read_reply({"message": message, "finish_reason": "TOOL_CALL"}, say=str)

    assert (got.text, got.finish_reason) == ("Let me see.", "tool_calls")
    assert got.tool_calls == (ToolCall(name="look", arguments="{}", id="a"),)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("COMPLETE", ("stop", None)),
        ("STOP_SEQUENCE", ("stop", "STOP_SEQUENCE")),
        ("MAX_TOKENS", ("length", None)),
        ("NEW_WORD", ("NEW_WORD", None)),
    ],
)
def test_every_reason_to_finish_has_our_word(word, expected) -> None:
    got = read_reply({**FINE, "finish_reason": word}, say=str)

    assert (got.finish_reason, got.finish_detail) == expected


def test_a_piece_of_several_tokens_has_the_sum_of_their_logprobs() -> None:
    told = [
        {"text": "Hel", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]},
        {"text": "lo", "token_ids": [3], "logprobs": [-1]},
        {"text": "", "token_ids": []},
    ]

    assert read_reply({**FINE, "logprobs": told}, say=str).logprobs == [
        {"token": "Hel", "logprob": -0.75, "top": []},
        {"token": "lo", "logprob": -1.0, "top": []},
    ]


@pytest.mark.parametrize("odd", [[{"text": "a", "logprobs": ["b"]}], [{"text": 1, "logprobs": [1]}], "no", None, []])
def test_odd_logprobs_do_not_cost_the_reply(odd) -> None:
    got = read_reply({**FINE, "logprobs": odd}, say=str)

    assert (got.text, got.logprobs) == ("Hello.", None)


@pytest.mark.parametrize(
    "document",
    [
        [], {}, {"message": None}, {"message": {"content": 7}}, {"message": {"tool_calls": {}}},
        {"message": {"tool_calls": [{"function": {}}]}}, {"message": {"content": [{"type": "text", "text": 7}]}},
    ],
)  # fmt: skip
def test_a_document_of_another_shape_is_malformed(document) -> None:
    with pytest.raises(ProviderError) as caught:
        read_reply(document, say=str)

    assert caught.value.outcome is Outcome.MALFORMED


# ---------------------------------------------------------------- streams


def content(kind: str, index: int | None = 0, **said: Json) -> Json:
    event: Json = {"type": f"content-{kind}", "delta": {"message": {"content": said}}}
    return event if index is None else {**event, "index": index}


def call(kind: str, index: int = 0, **function: Json) -> Json:
    called = {"id": "a", "function": function} if kind == "start" else {"function": function}
    return {"type": f"tool-call-{kind}", "index": index, "delta": {"message": {"tool_calls": called}}}


def stream_of(*events: Json) -> StreamedReply:
    reply = StreamedReply(say=str)
    for event in events:
        reply.add(event.get("type", "message"), event)
    return reply


def test_blocks_and_calls_are_put_together_under_their_indices() -> None:
    reply = stream_of(
        START,
        content("start", 0, type="thinking", thinking=""),
        content("delta", 0, thinking="Hm."),
        content("end", 0),
        content("start", 1, type="text", text="He"),
        {**content("delta", 1, text="llo"), "logprobs": {"text": "llo", "token_ids": [1], "logprobs": [-0.5]}},
        content("end", 1),
        call("start", 0, name="look", arguments=""),
        call("delta", 0, arguments='{"a": '),
        call("delta", 0, arguments="1}"),
        call("end", 0),
        call("start", 1, name="now"),
        call("end", 1),
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {"tokens": {"input_tokens": 3}}}},
    )

    got = reply.reply()

    assert reply.is_complete
    assert (got.id, got.text, got.finish_reason, got.input_tokens) == ("reply-1", "Hello", "tool_calls", 3)
    assert [(one.name, one.arguments) for one in got.tool_calls] == [("look", '{"a": 1}'), ("now", "")]
    assert got.logprobs == [{"token": "llo", "logprob": -0.5, "top": []}]


def test_thinking_a_plan_and_calls_are_content_and_the_rest_is_not() -> None:
    events = [
        START,
        content("start", 0, type="thinking"),
        content("delta", 0, thinking="Hm."),
        content("end", 0),
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I"}}},
        call("start", 0, name="look", arguments=""),
        call("delta", 0, arguments="{}"),
        {"type": "citation-start", "index": 0, "delta": {"message": {"citations": {}}}},
        {"type": "something-new"},
        END,
    ]
    reply = StreamedReply(say=str)

    moved = [reply.add("message", event) for event in events]

    assert moved == [False, False, True, False, True, True, True, False, False, False]


@pytest.mark.parametrize(
    "events",
    [
        [START, START],
        [START, content("delta", 0, text="a")],
        [START, content("end", 0)],
        [START, content("start", 0), content("start", 0)],
        [START, content("start", 1), content("end", 1), content("start", 0)],
        [START, content("start", 0), content("delta", 1, text="a")],
        [START, content("start", 0), content("end", 0), content("delta", 0, text="a")],
        [START, call("delta", 0, arguments="a")],
        [START, call("start", 0, name="a"), call("start", 0, name="a")],
        [START, content("start", "first")],
        [["no"]],
        [{"delta": {}}],
    ],
)
def test_events_out_of_order_or_doubled_are_malformed(events) -> None:
    reply = StreamedReply(say=str)
    for event in events[:-1]:
        reply.add("message", event)

    with pytest.raises(ProviderError) as caught:
        reply.add("message", events[-1])

    assert caught.value.outcome is Outcome.MALFORMED


def test_blocks_are_counted_without_looking_at_all_of_them_each_time() -> None:
    class Counted(dict):
        def __iter__(self):
            pytest.fail("all blocks were looked at")

    reply = StreamedReply(say=str)
    reply._blocks, reply._calls = Counted({0: ""}), Counted()
    reply.add("message", content("start", 1))
    with pytest.raises(ProviderError, match="out of order or twice, with index 1"):
        reply.add("message", content("start", 1))


def test_the_only_block_needs_no_index() -> None:
    assert stream_of(START, content("start", None), content("delta", None, text="a"), END).reply().text == "a"


@pytest.mark.parametrize(("events", "expected"), [([], Outcome.EMPTY_BODY), ([START], Outcome.CUT_OFF)])
def test_a_stream_without_its_end_is_no_reply(events, expected) -> None:
    with pytest.raises(ProviderError) as caught:
        stream_of(*events).reply()

    assert caught.value.outcome is expected


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("word", "expected"), [("ERROR", Outcome.UNAVAILABLE), ("TIMEOUT", Outcome.TIMEOUT)])
async def test_a_generation_that_failed_is_no_reply_however_much_there_is_of_it(word, expected, stream, ask) -> None:
    end = {"finish_reason": word, "error": "it broke"}
    events = [START, content("start", 0, text="Hel"), {"type": "message-end", "delta": end}]
    frames = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    answer = (
        httpx.Response(200, headers={"content-type": "text/event-stream"}, content=frames.encode())
        if stream
        else httpx.Response(200, json={**FINE, **end})
    )

    with pytest.raises(ProviderError, match=f"{word}: it broke") as caught:
        await ask(answer, stream=stream)

    assert caught.value.outcome is expected


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (429, "You are using a Trial key, which is limited to 1000 API calls / month.", Outcome.QUOTA),
        (429, "You are using a Trial key, which is limited to 20 API calls / minute.", Outcome.RATE_LIMITED),
        (402, "please add or update your payment method", Outcome.QUOTA),
        (404, "model 'gpt-4o-mini' not found, make sure the correct model ID was used", Outcome.MODEL_GONE),
        (422, "invalid request", Outcome.REJECTED),
        (498, "blocked", Outcome.FILTERED),
        (499, "request cancelled", Outcome.UNAVAILABLE),
        (504, "gateway timeout", Outcome.UNAVAILABLE),
        (200, "something failed", Outcome.ERROR_BODY),
    ],
)
async def test_an_error_means_what_its_status_and_its_sentence_say(status, message, expected, ask) -> None:
    with pytest.raises(ProviderError, match=message) as caught:
        await ask(httpx.Response(status, json={"id": "e", "message": message}))

    assert caught.value.outcome is expected


def test_an_error_inside_a_stream_has_its_meaning() -> None:
    reply = CohereChat(Connection()).assembler(say=str)
    reply.add("message-start", START)

    with pytest.raises(ProviderError) as caught:
        reply.add("message", {"id": "e", "message": "You are limited to 1000 API calls / month."})

    assert caught.value.outcome is Outcome.QUOTA


async def test_headers_that_tell_of_call_limits_are_kept(ask) -> None:
    headers = {"x-trial-endpoint-call-limit": "40", "x-trial-endpoint-call-remaining": "39"}

    got, _ = await ask(httpx.Response(200, json=FINE, headers={**headers, "x-debug-trace-id": "trace-1"}))

    assert (got.headers, got.request_id) == (headers, "trace-1")
