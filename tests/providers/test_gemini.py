"""What is special to Google's generateContent."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from driftwatch.domain import Canary, Finish, Json, Message, Outcome, ToolCall
from driftwatch.errors import ProviderError
from driftwatch.providers import Connection
from driftwatch.providers.gemini import UNSIGNED, GenerateContent, open_provider
from driftwatch.providers.gemini_reply import FILTERS, StreamedReply, read_reply

pytestmark = pytest.mark.anyio

FINE: Json = {"candidates": [{"content": {"parts": [{"text": "Hello."}]}, "finishReason": "STOP"}]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.fixture
def ask(target, canary, at, key):
    """Ask an endpoint in memory: the completion, and the request it was sent."""

    async def ask(answer=None, *, base_url=None, canary=canary, **changed):
        requests = []

        def handle(request):
            requests.append(request)
            return answer or httpx.Response(200, json=FINE)

        connection = Connection(base_url=base_url, read_key=lambda: key)
        provider = open_provider(connection, transport=httpx.MockTransport(handle))
        try:
            got = await provider.complete(replace(target, **changed), canary, repeat=0, at=at)
        finally:
            await provider.aclose()
        return got, requests[0]

    return ask


@pytest.fixture
def body(target, canary):
    """The body for a canary and parameters, changed as told."""

    def body(model="gemini-3-pro", parameters=None, **asked) -> Json:
        changed = replace(target, model=model, parameters=parameters or {})
        return GenerateContent(Connection()).body(changed, replace(canary, **asked))

    return body


def streamed(*frames: Json) -> httpx.Response:
    content = "".join(f"data: {json.dumps(frame)}\r\n\r\n" for frame in frames)
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=content.encode())


def read(**candidate: Json):
    return read_reply({"candidates": [candidate]}, say=str)


def said(*parts: Json) -> Json:
    return {"parts": list(parts)}


# ---------------------------------------------------------------- what is asked


@pytest.mark.parametrize(
    ("model", "stream", "base_url", "expected"),
    [
        (
            "gemini-3-pro", False, None,
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro:generateContent",
        ),
        (
            "gemini-3-pro", True, None,
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse",
        ),
        (
            "tunedModels/mine", True, "https://gate.example.org/g?team=a",
            "https://gate.example.org/g/tunedModels/mine:streamGenerateContent?team=a&alt=sse",
        ),
    ],
)  # fmt: skip
async def test_the_address_names_model_and_verb_and_the_key_is_no_part_of_it(
    model, stream, base_url, expected, ask, key
) -> None:
    answer = streamed(FINE) if stream else None

    _, request = await ask(answer, model=model, stream=stream, base_url=base_url)

    assert str(request.url) == expected
    assert request.headers["x-goog-api-key"] == key


def test_a_request_holds_what_was_asked_and_nothing_else(body) -> None:
    tool = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
    bare = {"type": "function", "function": {"name": "now"}}

    got = body(
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="user", content="Hi."),
            Message(role="assistant", content="Hello."),
            Message(role="user", content="And?"),
        ),
        tools=(tool, bare),
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
        parameters={
            "max_tokens": 9,
            "stop": "END",
            "logprobs": True,
            "top_logprobs": 2,
            "logit_bias": {"1": 2},
            "candidateCount": 1,
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        },
    )

    assert got == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi."}]},
            {"role": "model", "parts": [{"text": "Hello."}]},
            {"role": "user", "parts": [{"text": "And?"}]},
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "look", "description": "Looks.", "parametersJsonSchema": SCHEMA},
                    {"name": "now"},
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "generationConfig": {
            "maxOutputTokens": 9,
            "stopSequences": ["END"],
            "responseLogprobs": True,
            "logprobs": 2,
            "candidateCount": 1,
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        },
    }


CALLS = (
    Message(role="user", content="What is it like there?"),
    Message(
        role="assistant",
        content="Let me look.",
        tool_calls=(
            ToolCall(name="look", arguments='{"city": "Oslo"}', id="a"),
            ToolCall(name="now", arguments="", id="b"),
        ),
    ),
    Message(role="tool", content='{"sky": "blue"}', tool_call_id="a"),
    Message(role="tool", content="noon", tool_call_id="b"),
)


def test_results_of_parallel_calls_come_back_in_one_turn_under_their_functions_names(body) -> None:
    _, called, answered = body(messages=CALLS)["contents"]

    assert called == {
        "role": "model",
        "parts": [
            {"text": "Let me look."},
            {"functionCall": {"name": "look", "args": {"city": "Oslo"}}, "thoughtSignature": UNSIGNED},
            {"functionCall": {"name": "now", "args": {}}},
        ],
    }
    assert answered == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "look", "response": {"sky": "blue"}}},
            {"functionResponse": {"name": "now", "response": {"output": "noon"}}},
        ],
    }


@pytest.mark.parametrize("said", ["[12]", "12", "", "{"])
def test_a_result_that_is_no_object_is_the_output(said, body) -> None:
    *_, answered = body(messages=(*CALLS[:2], Message(role="tool", content=said, tool_call_id="a")))["contents"]

    assert answered["parts"] == [{"functionResponse": {"name": "look", "response": {"output": said}}}]


@pytest.mark.parametrize(
    ("model", "signs"),
    [("gemini-2.5-flash", False), ("gemini-1.5-pro", False), ("gemini-3-pro", True), ("gemini-20", True)],
)
def test_models_that_know_no_signatures_are_sent_none(model, signs, body) -> None:
    assert (UNSIGNED in json.dumps(body(model=model, messages=CALLS))) is signs


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"reasoning_effort": "low"}, {"thinkingLevel": "LOW"}),
        ({"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ({"thinkingConfig": {"thinkingBudget": 512}}, {"thinkingBudget": 512}),
        (
            {"reasoning_effort": "high", "thinkingConfig": {"includeThoughts": True}},
            {"includeThoughts": True, "thinkingLevel": "HIGH"},
        ),
    ],
)
def test_reasoning_effort_is_a_level_and_none_a_budget_of_zero(parameters, expected, body) -> None:
    assert body(parameters=parameters)["generationConfig"] == {"thinkingConfig": expected}


def test_a_call_whose_arguments_are_no_object_is_refused_before_it_is_sent(body) -> None:
    broken = Message(role="assistant", content="", tool_calls=(ToolCall(name="look", arguments="{oops"),))

    with pytest.raises(ProviderError) as caught:
        body(messages=(broken,))

    assert caught.value.outcome is Outcome.REJECTED


# ---------------------------------------------------------------- what comes back


def test_a_thought_is_no_text_and_parts_of_other_kinds_are_passed_over() -> None:
    parts = [{"text": "Hm.", "thought": True}, {"text": "He"}, {"executableCode": {"code": "1"}}, {"text": "llo"}]

    assert read(content=said(*parts), finishReason="STOP").text == "Hello"


def test_calls_end_with_stop_on_this_wire_and_with_tool_calls_on_ours() -> None:
    calls = [{"functionCall": {"name": "look", "args": {"city": "Oslo"}, "id": "x"}}, {"functionCall": {"name": "now"}}]

    got = read(content=said(*calls), finishReason="STOP")

    assert got.finish_reason is Finish.TOOL_CALLS
    assert got.tool_calls == (
        ToolCall(name="look", arguments='{"city": "Oslo"}', id="x"),
        ToolCall(name="now", arguments="{}"),
    )


@pytest.mark.parametrize("word", sorted(FILTERS))
def test_a_reply_that_a_filter_cut_is_a_reply_and_the_filter_is_told(word) -> None:
    got = read(finishReason=word)  # withheld as a whole: no content

    assert (got.text, got.finish_reason, got.finish_detail) == ("", Finish.CONTENT_FILTER, word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "pause"),
        ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        ("OTHER", "OTHER"),
        (None, None),
    ],
)
def test_what_no_filter_did_keeps_its_word_where_we_have_none(word, expected) -> None:
    got = read(content={"role": "model"}, finishReason=word)

    assert (got.finish_reason, got.finish_detail) == (expected, None)


def test_a_disabled_account_is_no_reply_of_the_model() -> None:
    with pytest.raises(ProviderError, match="PUP_LIMITED_DISABLED: see the policy") as caught:
        read(finishReason="PUP_LIMITED_DISABLED", finishMessage="see the policy")

    assert caught.value.outcome is Outcome.AUTH


def test_results_of_built_in_tools_are_input_and_thoughts_are_output() -> None:
    usage = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 5,
        "cachedContentTokenCount": 8,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 30,
    }

    got = read_reply({**FINE, "usageMetadata": usage}, say=str)

    assert (got.input_tokens, got.cached_tokens, got.output_tokens, got.reasoning_tokens) == (15, 8, 32, 30)


@pytest.mark.parametrize(
    "odd",
    [
        {"chosenCandidates": [{"token": "a"}]},
        {"chosenCandidates": [{"token": 1, "logProbability": 0}]},
        {"chosenCandidates": []},
        [],
    ],
)
def test_odd_logprobs_do_not_cost_the_reply(odd) -> None:
    got = read(content=said({"text": "a"}), finishReason="STOP", logprobsResult=odd)

    assert (got.text, got.logprobs) == ("a", None)


def test_a_token_without_alternatives_has_none() -> None:
    told = {"chosenCandidates": [{"token": "a", "logProbability": -1}], "topCandidates": []}

    got = read(content=said({"text": "a"}), finishReason="STOP", logprobsResult=told)

    assert got.logprobs == [{"token": "a", "logprob": -1.0, "top": []}]


@pytest.mark.parametrize(
    "document",
    [
        [], "no", {}, {"candidates": []}, {"candidates": [{"content": {"parts": "no"}}]},
        {"candidates": [{"content": "no"}]}, {"candidates": [{"content": {"parts": [{"text": 1}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]},
        {"candidates": [{"content": {"parts": ["no"]}}]},
    ],
)  # fmt: skip
def test_a_document_of_another_shape_is_malformed(document) -> None:
    with pytest.raises(ProviderError) as caught:
        read_reply(document, say=str)

    assert caught.value.outcome is Outcome.MALFORMED


# ---------------------------------------------------------------- streams


def stream_of(*frames: Json):
    reply = StreamedReply(say=str)
    return [reply.add("message", frame) for frame in frames], reply


def frame(*parts: Json, **more: Json) -> Json:
    ends = {"finishReason": more.pop("ends")} if "ends" in more else {}
    return {"candidates": [{"content": said(*parts), **ends}], **more}


def test_counts_of_the_last_frame_hold() -> None:
    _, reply = stream_of(
        frame({"text": "He"}, usageMetadata={"candidatesTokenCount": 1}),
        frame({"text": "llo"}, usageMetadata={"candidatesTokenCount": 2}, ends="STOP"),
    )

    got = reply.reply()

    assert (got.text, got.output_tokens, got.finish_reason) == ("Hello", 2, "stop")


def test_text_thoughts_and_calls_are_content_and_the_rest_is_not() -> None:
    moved, _ = stream_of(
        frame({"text": "Hm", "thought": True}),
        frame({"text": "Hello"}),
        frame({"functionCall": {"name": "now"}}),
        frame({"text": "", "thoughtSignature": "c2ln"}),
        {"usageMetadata": {"promptTokenCount": 1}},
    )

    assert moved == [True, True, True, False, False]


async def test_a_stream_without_a_frame_is_empty(ask) -> None:
    empty = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=b": ping\r\n\r\n")

    with pytest.raises(ProviderError) as caught:
        await ask(empty, stream=True)

    assert caught.value.outcome is Outcome.EMPTY_BODY


async def test_a_stream_without_a_finish_reason_was_cut_off(ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(streamed(frame({"text": "Hel"})), stream=True)

    assert caught.value.outcome is Outcome.CUT_OFF


async def test_an_error_inside_a_stream_has_its_meaning(ask) -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}

    with pytest.raises(ProviderError, match="overloaded") as caught:
        await ask(streamed(frame({"text": "Hel"}), error), stream=True)

    assert caught.value.outcome is Outcome.UNAVAILABLE


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("stream", [False, True])
async def test_a_blocked_prompt_is_filtered_and_the_reason_told(stream, ask) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "Not that."}}

    with pytest.raises(ProviderError, match=r"blocked the prompt: SAFETY Not that\.") as caught:
        await ask(streamed(blocked) if stream else httpx.Response(200, json=blocked), stream=stream)

    assert caught.value.outcome is Outcome.FILTERED


def error(status: int, word: str, *details: Json, message: str = "No.", **headers: str) -> httpx.Response:
    told = {"code": status, "message": message, "status": word, "details": list(details)}
    return httpx.Response(status, json={"error": told}, headers=headers)


def quota(*ids: str) -> Json:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": one} for one in ids]}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22.5s"}
A_DAY, A_MINUTE = "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "GenerateContentInputTokensPerModelPerMinute"
LISTED = [{"error": {"code": 429, "message": "No.", "status": "RESOURCE_EXHAUSTED"}}]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(429, "RESOURCE_EXHAUSTED"), Outcome.RATE_LIMITED),
        (error(429, "RESOURCE_EXHAUSTED", quota(A_MINUTE), RETRY), Outcome.RATE_LIMITED),
        (error(429, "RESOURCE_EXHAUSTED", quota(A_MINUTE, A_DAY), RETRY), Outcome.QUOTA),
        (error(402, "RESOURCE_EXHAUSTED"), Outcome.QUOTA),
        (error(400, "INVALID_ARGUMENT", message="API key not valid. Please pass a valid API key."), Outcome.AUTH),
        (error(400, "INVALID_ARGUMENT", message="Unknown name."), Outcome.REJECTED),
        (error(400, "FAILED_PRECONDITION", message="User location is not supported."), Outcome.REJECTED),
        (error(403, "PERMISSION_DENIED", {"reason": "BILLING_DISABLED"}), Outcome.QUOTA),
        (error(403, "PERMISSION_DENIED", {"reason": "SERVICE_DISABLED"}), Outcome.AUTH),
        (error(404, "NOT_FOUND", message="models/gpt-4o-mini is not found for v1beta."), Outcome.MODEL_GONE),
        (error(404, "NOT_FOUND", message="Requested entity was not found."), Outcome.REJECTED),
        (error(504, "DEADLINE_EXCEEDED"), Outcome.UNAVAILABLE),
        (httpx.Response(429, json=LISTED), Outcome.RATE_LIMITED),
        (error(429, "RESOURCE_EXHAUSTED", "odd", {"violations": "odd"}, {"retryDelay": 7, "reason": 1}),
         Outcome.RATE_LIMITED),
    ],
)  # fmt: skip
async def test_an_error_means_what_its_details_say(answer, expected, ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(answer)

    assert caught.value.outcome is expected


@pytest.mark.parametrize(
    ("answer", "expected_s"),
    [
        (error(429, "RESOURCE_EXHAUSTED", RETRY), 22.5),
        (error(429, "RESOURCE_EXHAUSTED", RETRY, **{"retry-after": "3"}), 3.0),
        (error(429, "RESOURCE_EXHAUSTED", {"retryDelay": "soon"}), None),
    ],
)
async def test_the_wait_that_the_details_ask_for_is_heeded(answer, expected_s, ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(answer)

    assert caught.value.retry_after_s == expected_s


def test_a_canary_without_instructions_sends_none(body) -> None:
    assert set(body()) == {"contents"}


def test_a_canary_is_not_changed(body) -> None:
    asked = Canary(id="a/b", suite="a", messages=CALLS, parameters={"stop": "END"})
    before = repr(asked)

    body(messages=asked.messages, parameters=asked.parameters)

    assert repr(asked) == before
