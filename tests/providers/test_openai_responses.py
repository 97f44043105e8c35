"""OpenAI's Responses: what is sent without being asked for, and streams whose events are numbered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from benchmarks.vendors.wire import Answer, Said, vendor
from driftwatch.domain import Json, Message, Outcome, ToolCall
from driftwatch.errors import ProviderError
from driftwatch.providers import Connection
from driftwatch.providers.openai_responses import open_provider

pytestmark = pytest.mark.anyio

VENDOR = vendor("openai_responses")
WEATHER = ("get_weather", '{"city": "Oslo"}')


class Asking:
    """One request to an endpoint in memory; ``sent`` is its body."""

    sent: Json

    def __init__(self, target, canary, at) -> None:
        self.target, self.canary, self.at = target, canary, at

    async def __call__(self, answer: Answer, *, parameters: Json = None, stream: bool = False, **asked: object):
        def handle(request: httpx.Request) -> httpx.Response:
            self.sent = json.loads(request.content)
            return httpx.Response(answer.status, headers=answer.headers, content=b"".join(answer.pieces))

        provider = open_provider(Connection(), transport=httpx.MockTransport(handle))
        target = replace(self.target, stream=stream, parameters=parameters or {})
        try:
            return await provider.complete(target, replace(self.canary, **asked), repeat=0, at=self.at)
        finally:
            await provider.aclose()

    async def failing(self, answer: Answer) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self(answer)
        return caught.value


@pytest.fixture
def asking(target, canary, at) -> Asking:
    return Asking(target, canary, at)


def document(**changes: Json) -> Answer:
    """The vendor's reply with some of its fields changed."""
    whole = VENDOR.says(Said())
    return replace(whole, pieces=(json.dumps({**json.loads(whole.pieces[0]), **changes}).encode(),))


def events(said: Said | None = None) -> list[Json]:
    """What the vendor streams, event by event."""
    return [json.loads(piece.partition(b"data: ")[2]) for piece in VENDOR.streams(said or Said()).pieces]


def streamed(told: list[Json]) -> Answer:
    pieces = tuple(f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n".encode() for event in told)
    return replace(VENDOR.streams(Said()), pieces=pieces)


# ---------------------------------------------------------------- the request


async def test_nothing_but_the_question_is_sent_and_nothing_is_to_be_stored(asking) -> None:
    await asking(document())

    assert asking.sent == {
        "model": "gpt-4o-mini",
        "input": [{"type": "message", "role": "user", "content": "Say hello."}],
        "store": False,
    }


async def test_what_is_configured_wins_over_what_is_not(asking) -> None:
    parameters = {
        "store": True,
        "text": {"verbosity": "low"},
        "reasoning": {"summary": "auto"},
        "reasoning_effort": "low",
        "include": ["reasoning.encrypted_content"],
        "logprobs": True,
        "max_tokens": 9,
    }

    await asking(document(), parameters=parameters, response_format={"type": "json_object"})

    assert asking.sent["store"] is True
    assert asking.sent["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    assert asking.sent["reasoning"] == {"summary": "auto", "effort": "low"}
    assert asking.sent["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert asking.sent["max_output_tokens"] == 9
    assert not {"reasoning_effort", "logprobs", "max_tokens"} & set(asking.sent)


async def test_logprobs_that_are_not_wanted_are_not_included(asking) -> None:
    await asking(document(), parameters={"logprobs": False})

    assert "include" not in asking.sent
    assert "logprobs" not in asking.sent


async def test_roles_and_tool_calls_are_items_in_their_order(asking) -> None:
    call = ToolCall(name="f", arguments="{}", id="call_1")
    messages = (
        Message(role="system", content="Be brief."),
        Message(role="developer", content="Be kind."),
        Message(role="assistant", content="Let me look.", tool_calls=(call,)),
        Message(role="tool", content="42", tool_call_id="call_1"),
    )

    await asking(document(), messages=messages)

    assert asking.sent["input"] == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {"type": "message", "role": "developer", "content": "Be kind."},
        {"type": "message", "role": "assistant", "content": "Let me look."},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    ]


@pytest.mark.parametrize(("said", "sent"), [({}, False), ({"strict": True}, True), ({"strict": False}, False)])
async def test_a_tool_is_as_strict_as_it_would_be_in_chat_completions(said, sent, asking) -> None:
    tool = {"type": "function", "function": {"name": "f", **said}}

    await asking(document(), tools=(tool,))

    schema = {"type": "object", "properties": {}}
    assert asking.sent["tools"] == [{"type": "function", "name": "f", "parameters": schema, "strict": sent}]


# ---------------------------------------------------------------- the reply


async def test_a_call_is_known_by_the_id_that_answers_it(asking) -> None:
    got = await asking(VENDOR.says(Said(text="", tool_calls=(WEATHER,))))

    assert got.tool_calls == (ToolCall(name="get_weather", arguments='{"city": "Oslo"}', id="call_0"),)


async def test_a_reason_that_no_page_names_is_kept_as_served(asking) -> None:
    got = await asking(document(status="incomplete", incomplete_details={"reason": "max_messages"}))

    assert got.finish_reason == "max_messages"


@pytest.mark.parametrize(
    ("changes", "outcome", "says"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "sorry"}}, Outcome.UNAVAILABLE, "sorry"),
        ({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "m"}}, Outcome.RATE_LIMITED, "m"),
        ({"status": "failed", "error": {"code": "bio_policy", "message": "m"}}, Outcome.FILTERED, "m"),
        ({"status": "failed", "error": None}, Outcome.ERROR_BODY, "the response failed"),
        ({"status": "queued"}, Outcome.MALFORMED, "has not ended, its status is 'queued'"),
        ({"status": None}, Outcome.MALFORMED, "has not ended"),
        ({"output": None}, Outcome.MALFORMED, "without output"),
        ({"output": [{"type": "function_call", "arguments": "{}"}]}, Outcome.MALFORMED, "no name"),
        ({"output": [{"type": "message", "content": [{"type": "output_text", "text": 5}]}]}, Outcome.MALFORMED, "text"),
    ],
)
async def test_a_response_that_is_no_reply_says_what_it_is(changes, outcome, says, asking) -> None:
    error = await asking.failing(document(**changes))

    assert error.outcome is outcome
    assert says in str(error)


async def test_items_that_are_no_answer_are_left_out(asking) -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hello."}, {"type": "later"}]}
    got = await asking(document(output=[{"type": "reasoning", "summary": []}, {"type": "web_search_call"}, message]))

    assert got.text == "Hello."
    assert got.finish_reason == "stop"


# ---------------------------------------------------------------- streams


def doubled(told: list[Json]) -> list[Json]:
    return [*told[:5], told[4], *told[5:]]


def swapped(told: list[Json]) -> list[Json]:
    return [*told[:4], told[5], told[4], *told[6:]]


def one_piece_left_out(told: list[Json]) -> list[Json]:
    lost = next(i for i, event in enumerate(told) if event["type"] == "response.output_text.delta")
    return [*told[:lost], *told[lost + 1 :]]


def a_piece_altered(told: list[Json]) -> list[Json]:
    return [{**event, "delta": "?"} if event["type"] == "response.output_text.delta" else event for event in told]


@pytest.mark.parametrize(
    ("spoil", "outcome", "says"),
    [
        (doubled, Outcome.MALFORMED, "stream event 4 came after event 4"),
        (swapped, Outcome.MALFORMED, "stream event 4 came after event 5"),
        (one_piece_left_out, Outcome.MALFORMED, "do not add up"),
        (a_piece_altered, Outcome.MALFORMED, "do not add up"),
        (lambda told: told[:-1], Outcome.CUT_OFF, "before the response did"),
        (lambda told: told[:5], Outcome.CUT_OFF, "before the response did"),
        (lambda _: [], Outcome.EMPTY_BODY, "empty stream"),
        (lambda told: [*told[:3], {"type": "error", "code": "server_error", "message": "m"}], Outcome.UNAVAILABLE, "m"),
        (lambda told: [*told[:3], {"type": "error", "error": {"code": "x", "message": "m"}}], Outcome.ERROR_BODY, "m"),
        (
            lambda told: [*told[:3], {"type": "response.failed", "response": {"status": "failed", "error": {}}}],
            Outcome.ERROR_BODY,
            "the response failed",
        ),
        (lambda told: [*told[:3], []], Outcome.MALFORMED, "not an object"),
        (lambda told: [*told[:3], {"type": "response.completed"}], Outcome.MALFORMED, "has not ended"),
    ],
)
async def test_a_stream_that_fails_says_how(
    spoil: Callable[[list[Json]], list[Json]], outcome: Outcome, says: str, asking: Asking
) -> None:
    told = spoil(events())
    pieces = tuple(f"data: {json.dumps(event)}\n\n".encode() for event in told)

    error = await asking.failing(replace(VENDOR.streams(Said()), pieces=pieces))

    assert error.outcome is outcome
    assert says in str(error)


async def test_events_that_nobody_knows_and_numbers_left_out_do_no_harm(asking) -> None:
    told = [{**event, "sequence_number": 3 * event["sequence_number"]} for event in events()]
    told.insert(4, {"type": "response.something.new", "sequence_number": 11})

    got = await asking(streamed(told), stream=True)

    assert got.text == Said().text
    assert got.ttft_s is not None


async def test_a_server_that_numbers_nothing_and_ends_without_its_output_is_read(asking) -> None:
    told = [{name: value for name, value in event.items() if name != "sequence_number"} for event in events()]
    told[-1]["response"]["output"] = []

    got = await asking(streamed(told))

    assert got.text == Said().text
    assert got.input_tokens == Said().input_tokens
