"""What is special to Anthropic's wire; what it shares with the others is in test_contract.py."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import httpx
import pytest

from benchmarks.vendors.anthropic import VENDOR
from benchmarks.vendors.wire import Said
from driftwatch.domain import Message, Outcome, ToolCall
from driftwatch.errors import ConfigError, ProviderError
from driftwatch.providers import Connection
from driftwatch.providers.anthropic import Messages, open_provider

pytestmark = pytest.mark.anyio

WIRE = Messages(Connection())
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "strict": True}}
CALL = ToolCall(name="look", arguments='{"at": "sky"}', id="toolu_1")
TEXT = {"type": "text", "text": "Hi"}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-1",
    "content": [TEXT],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


@pytest.fixture
def body(target, canary):
    """The request for a changed canary: ``body({"seed": 1}, tools=…)``."""

    def made(parameters=None, **asked):
        return WIRE.body(replace(target, parameters=parameters or {}), replace(canary, **asked))

    return made


@pytest.fixture
def ask(target, canary, at):
    """Ask once, of an endpoint in memory: ``await ask(httpx.Response(…))``."""

    async def asked(answer, **connection):
        def handle(request):
            asked.request = request
            return answer

        provider = open_provider(Connection(**connection), transport=httpx.MockTransport(handle))
        try:
            return await provider.complete(replace(target, model="claude-x-1"), canary, repeat=0, at=at)
        finally:
            await provider.aclose()

    return asked


def read(**changed):
    return WIRE.read({**MESSAGE, **changed}, say=str)


def assembled(*events):
    stream = WIRE.assembler(say=str)
    for event in events:
        stream.add(event["type"] if isinstance(event, dict) else "message", event)
    return stream


def outcome_of(act):
    with pytest.raises(ProviderError) as caught:
        act()
    return caught.value.outcome


# ---------------------------------------------------------------- what is asked


async def test_the_request_goes_to_anthropic_when_no_address_is_configured(ask, key) -> None:
    await ask(httpx.Response(200, json=MESSAGE), read_key=lambda: key)

    assert str(ask.request.url) == "https://api.anthropic.com/v1/messages"
    assert ask.request.headers["x-api-key"] == key
    assert ask.request.headers["anthropic-version"] == "2026-10-21"
    assert "authorization" not in ask.request.headers


async def test_without_a_key_the_version_is_still_named(ask) -> None:
    await ask(httpx.Response(200, json=MESSAGE), base_url="https://gateway.example.org/anthropic")

    assert str(ask.request.url) == "https://gateway.example.org/anthropic/v1/messages"
    assert ask.request.headers["anthropic-version"] == "2026-10-21"
    assert "x-api-key" not in ask.request.headers


def test_an_address_that_is_none_is_refused_when_it_is_opened() -> None:
    with pytest.raises(ConfigError, match=r"base_url is no http address; write "):
        open_provider(Connection(base_url="ftp://example.org"))


@pytest.mark.parametrize("version", ["newest", "2023-06", "2023-06-01 ", 2026])
def test_a_version_that_is_none_is_refused_when_it_is_opened(version) -> None:
    with pytest.raises(ConfigError, match=r"options.api_version: .* no version .*; write a day: 2026-10-21"):
        open_provider(Connection(options={"api_version": version}))


@pytest.mark.parametrize("version", ["2023-06-01", date(2023, 6, 1)])  # YAML takes it for a day unless it is quoted
async def test_an_older_version_has_sampling_parameters(version, target, canary) -> None:
    wire = Messages(Connection(options={"api_version": version}))
    sampling = {"temperature": 0.0, "top_p": 0.9, "top_k": 20}

    body = wire.body(replace(target, parameters=sampling), canary)

    headers = {**await wire.authorise("key-1", url="", body=b""), "content-type": "application/json"}
    heard = VENDOR.hears("/v1/messages", headers, json.dumps(body).encode())
    assert heard.parameters == {**sampling, "max_tokens": 1024}
    assert not set(sampling) & wire.unsent


def test_the_newest_version_has_none(body) -> None:
    got = body({"temperature": 0.0, "top_p": 0.9, "top_k": 20})

    assert not {"temperature", "top_p", "top_k"} & set(got)
    assert {"temperature", "top_p", "top_k"} <= WIRE.unsent


def test_max_tokens_is_sent_because_the_wire_requires_it(body) -> None:
    assert body()["max_tokens"] == 1024
    assert body({"max_tokens": 5})["max_tokens"] == 5
    assert body({"max_tokens": None})["max_tokens"] == 1024


def test_neighbours_on_one_side_are_one_turn_with_the_tools_results_first(body) -> None:
    messages = [
        Message(role="user", content="One."),
        Message(role="user", content="Two."),
        Message(role="assistant", content="Let me look.", tool_calls=(CALL, replace(CALL, id="toolu_2"))),
        Message(role="tool", content="blue", tool_call_id="toolu_1"),
        Message(role="tool", content="", tool_call_id="toolu_2"),
        Message(role="user", content="So?"),
    ]

    got = body(messages=tuple(messages))["messages"]

    assert [turn["role"] for turn in got] == ["user", "assistant", "user"]
    assert [block["text"] for block in got[0]["content"]] == ["One.", "Two."]
    assert got[1]["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sky"}},
        {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {"at": "sky"}},
    ]
    assert got[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "blue"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": ""},
        {"type": "text", "text": "So?"},
    ]


def test_a_call_without_arguments_is_a_call_with_an_empty_object(body) -> None:
    said = Message(role="assistant", content="", tool_calls=(replace(CALL, arguments=""),))

    assert body(messages=(said,))["messages"][0]["content"][0]["input"] == {}


@pytest.mark.parametrize("arguments", ["{", "[1]", '"sky"', "null"])
def test_a_call_whose_arguments_are_no_object_is_refused_before_it_is_sent(arguments, body) -> None:
    said = Message(role="assistant", content="", tool_calls=(replace(CALL, arguments=arguments),))

    with pytest.raises(ProviderError, match="call of 'look' has arguments that are no JSON object") as caught:
        body(messages=(said,))

    assert caught.value.outcome is Outcome.REJECTED


def test_a_tool_says_what_the_canary_says_and_no_more(body) -> None:
    bare = {"type": "function", "function": {"name": "wait"}}
    empty = {"type": "object", "properties": {}}

    assert body(tools=(TOOL, bare))["tools"] == [
        {"name": "look", "description": "Looks.", "strict": True, "input_schema": empty},
        {"name": "wait", "input_schema": empty},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", True, {"type": "auto", "disable_parallel_tool_use": False}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),  # has no such flag
    ],
)
def test_one_call_at_a_time_is_part_of_the_tool_choice(choice, parallel, expected, body) -> None:
    got = body({"parallel_tool_calls": parallel}, tools=(TOOL,), tool_choice=choice)

    assert got.get("tool_choice") == expected
    assert "parallel_tool_calls" not in got


def test_without_tools_nothing_is_said_of_them(body) -> None:
    got = body({"parallel_tool_calls": False})

    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(got)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"reasoning_effort": "max"}, {"output_config": {"effort": "max"}}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        (
            {"reasoning_effort": "none", "thinking": {"type": "between_tools"}},
            {"thinking": {"type": "between_tools"}},
        ),
        ({"reasoning_effort": "low", "output_config": {"new": 1}}, {"output_config": {"new": 1, "effort": "low"}}),
        ({"reasoning_effort": None}, {}),
    ],
)
def test_effort_and_thinking_have_their_own_fields(parameters, expected, body) -> None:
    got = body(parameters)

    assert {name: got[name] for name in ("output_config", "thinking") if name in got} == expected
    assert "reasoning_effort" not in got


def test_a_schema_and_an_effort_share_a_field(body) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}

    got = body({"reasoning_effort": "high"}, response_format=form)

    assert got["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": schema}}


def test_what_only_this_vendor_knows_is_passed_on(body) -> None:
    native = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "service_tier": "standard_only"}

    assert native.items() <= body({**native, "stop": "END"}).items()
    assert body({"stop": "END"})["stop_sequences"] == ["END"]


# ---------------------------------------------------------------- what comes back


@pytest.mark.parametrize(
    ("served", "finish", "detail"),
    [
        ("end_turn", "stop", None),
        ("stop_sequence", "stop", "stop_sequence"),
        ("max_tokens", "length", None),
        ("model_context_window_exceeded", "length", "model_context_window_exceeded"),
        ("tool_use", "tool_calls", None),
        ("pause_turn", "pause", None),
        ("refusal", "refusal", None),
        ("compaction", "compaction", None),  # a word of tomorrow
        (None, None, None),
    ],
)
def test_every_stop_reason_has_its_word(served, finish, detail) -> None:
    got = read(stop_reason=served)

    assert (got.finish_reason, got.finish_detail) == (finish, detail)


def test_a_refusal_names_its_policy_and_keeps_what_was_written_before_it() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Worded anew every week."}

    got = read(stop_reason="refusal", stop_details=details)

    assert (got.text, got.finish_reason, got.finish_detail) == ("Hi", "refusal", "cyber")


def test_only_text_blocks_are_text() -> None:
    got = read(
        content=[
            {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "aGlkZGVu"},
            TEXT,
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            {"type": "novel", "text": "not said"},
            {"type": "text", "text": " there"},
        ]
    )

    assert (got.text, got.tool_calls) == ("Hi there", ())


def test_all_three_parts_of_the_input_are_counted() -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 3000,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
    }

    got = read(usage=usage)

    assert (got.input_tokens, got.cached_tokens, got.output_tokens, got.reasoning_tokens) == (3210, 3000, 50, 40)


@pytest.mark.parametrize("usage", [None, [], {}, {"input_tokens": "3", "cache_read_input_tokens": None}])
def test_counts_that_are_none_are_unknown(usage) -> None:
    got = read(usage=usage)

    assert (got.input_tokens, got.output_tokens, got.cached_tokens, got.reasoning_tokens) == (None, None, None, None)


@pytest.mark.parametrize(
    "document",
    [
        [],
        "Hi",
        None,
        {},
        {"content": None},
        {"content": ["Hi"]},
        {"content": [{"type": "text", "text": 5}]},
        {"content": [{"type": "tool_use", "id": "x", "input": {}}]},
        {"choices": [{"message": {"content": "Hi"}}]},
    ],
)
def test_a_document_of_another_shape_is_malformed(document) -> None:
    assert outcome_of(lambda: WIRE.read(document, say=str)) is Outcome.MALFORMED


def test_an_error_inside_a_200_is_named() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    assert outcome_of(lambda: WIRE.read(error, say=str)) is Outcome.UNAVAILABLE


# ---------------------------------------------------------------- errors

LIMIT = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."


@pytest.mark.parametrize(
    ("status", "kind", "message", "code", "outcome"),
    [
        (400, "invalid_request_error", "messages: at least one message is required", None, Outcome.REJECTED),
        (400, "invalid_request_error", LIMIT, None, Outcome.QUOTA),
        (400, "invalid_request_error", LIMIT.replace("API", "workspace API"), None, Outcome.QUOTA),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", None, Outcome.QUOTA),
        (400, "invalid_request_error", "Output blocked by content filtering policy", None, Outcome.FILTERED),
        (402, "billing_error", "There is an issue with your billing.", None, Outcome.QUOTA),
        (404, "not_found_error", "model: claude-x-1", None, Outcome.MODEL_GONE),
        (404, "not_found_error", "model: claude-x-10", None, Outcome.REJECTED),
        (404, "not_found_error", "Not found", None, Outcome.REJECTED),
        (413, "request_too_large", "Request exceeds the maximum size", None, Outcome.REJECTED),
        (429, "rate_limit_error", "Slow down.", None, Outcome.RATE_LIMITED),
        (429, "rate_limit_error", "Slow down.", "ramp_limit_exceeded", Outcome.RATE_LIMITED),
        (429, "rate_limit_error", "Limit reached.", "enforced_spend_limit_reached", Outcome.QUOTA),
        (429, "rate_limit_error", "Limit reached.", "contract_spend_limit_reached", Outcome.QUOTA),
        (504, "timeout_error", "The request timed out.", None, Outcome.TIMEOUT),
        (529, "overloaded_error", "Overloaded", None, Outcome.UNAVAILABLE),
    ],
)
async def test_errors_that_the_status_alone_does_not_tell_apart(status, kind, message, code, outcome, ask) -> None:
    error = {"type": kind, "message": message, "details": code and {"error_code": code}}
    answer = httpx.Response(status, headers={"request-id": "req_1"}, json={"type": "error", "error": error})

    with pytest.raises(ProviderError) as caught:
        await ask(answer)

    assert caught.value.outcome is outcome
    assert caught.value.is_overload == (outcome is Outcome.RATE_LIMITED or status == 529)
    assert caught.value.request_id == "req_1"
    assert message in str(caught.value)


# ---------------------------------------------------------------- streams

BEGIN = {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}
END = [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}]
STOP = {"type": "message_stop"}


def start(index, block=None):
    return {"type": "content_block_start", "index": index, "content_block": block or {"type": "text", "text": ""}}


def delta(index, text="Hi", kind="text_delta", field="text"):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: text}}


def stop(index):
    return {"type": "content_block_stop", "index": index}


@pytest.mark.parametrize(
    "events",
    [
        [start(0)],
        [delta(0)],
        END,
        [STOP],
        [BEGIN, BEGIN],
        [{"type": "message_start"}],
        [BEGIN, start(1)],
        [BEGIN, start(0), start(0)],
        [BEGIN, start(0), stop(0), start(0)],
        [BEGIN, start(0), stop(0), start(2)],
        [BEGIN, delta(0)],
        [BEGIN, start(0), delta(1)],
        [BEGIN, start(0), stop(0), delta(0)],
        [BEGIN, start(0), stop(0), stop(0)],
        [BEGIN, stop(0)],
        [BEGIN, start(None)],
        [BEGIN, start([0])],
        [BEGIN, start(0), delta([0])],
        [BEGIN, start(0), stop({})],
        [BEGIN, {"type": "content_block_start", "index": 0, "content_block": "text"}],
        [BEGIN, start(0), delta(0, text=7)],
        [BEGIN, start(0), delta(0), *END, STOP],
        ["message_start"],
        [[BEGIN]],
    ],
    ids=repr,
)
def test_events_that_are_out_of_order_doubled_or_odd_are_malformed(events) -> None:
    assert outcome_of(lambda: assembled(*events)) is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([], Outcome.EMPTY_BODY),
        ([{"type": "ping"}], Outcome.CUT_OFF),
        ([BEGIN], Outcome.CUT_OFF),
        ([BEGIN, start(0), delta(0)], Outcome.CUT_OFF),
        ([BEGIN, start(0), delta(0), stop(0), *END], Outcome.CUT_OFF),
    ],
)
def test_a_stream_without_its_end_is_no_reply(events, outcome) -> None:
    stream = assembled(*events)

    assert not stream.is_complete
    assert outcome_of(stream.reply) is outcome


def test_a_stream_is_complete_at_its_last_event_and_not_before() -> None:
    stream = assembled(BEGIN, start(0), delta(0), stop(0), *END)
    assert not stream.is_complete

    stream.add("message_stop", STOP)

    assert stream.is_complete
    assert stream.reply().text == "Hi"


def test_the_counts_of_the_end_replace_those_of_the_start() -> None:
    usage = {"input_tokens": 7, "cache_read_input_tokens": None, "output_tokens": 9}
    end = {"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None}, "usage": usage}
    begin = {"type": "message_start", "message": {**BEGIN["message"], "usage": {**usage, "cache_read_input_tokens": 5}}}

    got = assembled(begin, end, STOP).reply()

    assert (got.input_tokens, got.cached_tokens, got.output_tokens, got.finish_reason) == (12, 5, 9, "length")


def test_events_and_deltas_of_tomorrow_are_passed_over() -> None:
    got = assembled(
        BEGIN,
        {"type": "ping"},
        start(0),
        delta(0, "c2ln", "signature_delta", "signature"),
        delta(0, {"cited": "x"}, "citations_delta", "citation"),
        {"type": "content_block_delta", "index": 0, "delta": {"type": "novel_delta", "novel": "?"}},
        {"type": "content_block_delta", "index": 0, "delta": None},
        {"type": "novel_event", "index": 9},
        delta(0),
        stop(0),
        *END,
        STOP,
    ).reply()

    assert got.text == "Hi"


def test_thinking_and_arguments_are_content_and_pings_are_none() -> None:
    stream = assembled(BEGIN, start(0, {"type": "thinking", "thinking": ""}))

    assert stream.add("x", delta(0, "Hm", "thinking_delta", "thinking"))
    assert not stream.add("x", delta(0, "", "thinking_delta", "thinking"))
    assert not stream.add("x", delta(0, "c2ln", "signature_delta", "signature"))
    assert not stream.add("x", stop(0))
    assert not stream.add("x", start(1, {"type": "tool_use", "id": "t", "name": "look", "input": {}}))
    assert stream.add("x", delta(1, "{", "input_json_delta", "partial_json"))
    assert not stream.add("x", {"type": "ping"})


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [(["", '{"a":', "1}"], '{"a": 1}'), ([], "{}"), ([""], "{}"), (['{"a": "b'], '{"a": "b'), (["[1]"], "[1]")],
)
def test_a_streamed_call_is_read_like_a_whole_one_or_kept_as_it_broke_off(pieces, arguments) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    parts = [delta(0, piece, "input_json_delta", "partial_json") for piece in pieces]

    got = assembled(BEGIN, start(0, call), *parts, stop(0), *END, STOP).reply()

    assert got.tool_calls == (ToolCall(name="look", arguments=arguments, id="toolu_1"),)


@pytest.mark.parametrize(
    ("kind", "message", "outcome"),
    [
        ("overloaded_error", "Overloaded", Outcome.UNAVAILABLE),
        ("api_error", "Internal server error", Outcome.UNAVAILABLE),
        ("rate_limit_error", "Slow down.", Outcome.RATE_LIMITED),
        ("permission_error", "Not yours.", Outcome.AUTH),
        ("invalid_request_error", "Output blocked by content filtering policy", Outcome.FILTERED),
        ("invalid_request_error", "No.", Outcome.REJECTED),
        ("novel_error", "Something else.", Outcome.ERROR_BODY),
    ],
)
async def test_an_error_inside_a_stream_is_named(kind, message, outcome, ask) -> None:
    begun = VENDOR.streams(Said()).pieces[:4]
    event = {"type": "error", "error": {"type": kind, "message": message}}
    frames = [*begun, f"event: error\ndata: {json.dumps(event)}\n\n".encode()]
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(frames))

    with pytest.raises(ProviderError, match=message) as caught:
        await ask(answer)

    assert caught.value.outcome is outcome
    assert caught.value.is_overload == (kind in {"overloaded_error", "rate_limit_error"})
