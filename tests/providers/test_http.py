"""A team's own endpoint: places in the request, paths into the reply."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import httpx
import pytest

from driftwatch.domain import Completion, Finish, Json, Message, Outcome, ToolCall
from driftwatch.errors import ConfigError, ProviderError, ProviderRejected
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.providers.http import open_provider
from driftwatch.providers.http_template import PLACES, Template, values_of

pytestmark = pytest.mark.anyio

OPTIONS = {"request": {"question": "{{prompt}}"}, "text": "$.answer"}
ADDRESS = "https://shop.example.org/api/ask/?tenant=7"
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.fixture
def ask(target, canary, at, key):
    """Ask an endpoint in memory: the completion, and the request it was sent."""

    async def ask(answer: httpx.Response, options: Json = None, **changed: Json) -> tuple[Completion, httpx.Request]:
        requests: list[httpx.Request] = []

        def hear(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            return answer

        asked = replace(canary, **changed.pop("canary", {}))
        headers = changed.pop("headers", {})
        connection = Connection(
            base_url=ADDRESS, read_key=lambda: key, read_headers=lambda: headers, options={**OPTIONS, **(options or {})}
        )
        provider = open_provider(connection, transport=httpx.MockTransport(hear))
        try:
            got = await provider.complete(replace(target, **changed), asked, repeat=0, at=at)
        finally:
            await provider.aclose()
        return got, requests[0]

    return ask


class Frames(httpx.AsyncByteStream):
    """A stream of events, one at a time."""

    def __init__(self, events: Iterable[Json]) -> None:
        self._frames = [f"data: {json.dumps(event)}\n\n".encode() for event in events]

    async def __aiter__(self):
        for frame in self._frames:
            yield frame


def document(value: Json) -> httpx.Response:
    return httpx.Response(200, json=value)


def stream(*events: Json) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Frames(events))


def plain(content: str, kind: str = "text/plain; charset=utf-8") -> httpx.Response:
    return httpx.Response(200, headers={"content-type": kind}, content=content.encode())


# ---------------------------------------------------------------- the request


async def test_the_address_is_used_as_it_is_written(ask, key) -> None:
    _, request = await ask(document({"answer": "yes"}))

    assert str(request.url) == ADDRESS
    assert request.headers["authorization"] == f"Bearer {key}"
    assert json.loads(request.content) == {"question": "Say hello."}


async def test_the_targets_headers_can_say_otherwise_who_asks(ask, key) -> None:
    _, request = await ask(document({"answer": "yes"}), headers={"Authorization": "Basic dXNlcjpwYXNz", "X-Shop": "7"})

    assert request.headers["authorization"] == "Basic dXNlcjpwYXNz"
    assert request.headers["x-shop"] == "7"
    assert key not in str(request.headers)


async def test_a_place_alone_keeps_its_type_and_one_in_a_text_is_written_out(ask) -> None:
    request = {
        "limit": "{{ parameters.max_tokens }}",
        "said": "at most {{parameters.max_tokens}} tokens by {{model}}: {{parameters.stop}}",
        "fixed": [1, None, True, {"deep": "{{prompt}}"}],
        "live": "{{stream}}",
    }
    _, sent = await ask(
        document({"answer": ""}), {"request": request}, parameters={"max_tokens": 9, "stop": ["½"]}, model="m-1"
    )

    assert json.loads(sent.content) == {
        "limit": 9,
        "said": 'at most 9 tokens by m-1: ["½"]',
        "fixed": [1, None, True, {"deep": "Say hello."}],
        "live": False,
    }


async def test_what_is_not_configured_disappears_with_its_key(ask) -> None:
    request = {
        "q": "{{prompt}}",
        "limit": "{{parameters.max_tokens}}",
        "list": ["{{parameters.seed}}", 1],
        "tools": "{{tools}}",
        "form": "{{response_format}}",
        "said": "<{{parameters.seed}}>",
        "rules": "{{system}}",
    }
    _, sent = await ask(document({"answer": ""}), {"request": request}, canary={"response_format": {"type": "text"}})

    assert json.loads(sent.content) == {"q": "Say hello.", "list": [1], "said": "<>", "rules": ""}


async def test_what_is_filled_in_is_not_searched_for_places(ask) -> None:
    messages = (Message(role="user", content="What is {{model}}?"),)
    _, sent = await ask(document({"answer": ""}), {"request": "{{prompt}} {{model}}"}, canary={"messages": messages})

    assert json.loads(sent.content) == "What is {{model}}? gpt-4o-mini"


async def test_a_whole_conversation_has_a_place(ask) -> None:
    call = ToolCall(name="f", arguments="{}", id="call_1")
    messages = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="First?"),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="42", tool_call_id="call_1"),
        Message(role="user", content="Second?"),
    )
    request = {"all": "{{messages}}", "last": "{{prompt}}", "rules": "{{system}}", "tools": "{{tools}}"}
    _, sent = await ask(document({"answer": ""}), {"request": request}, canary={"messages": messages, "tools": (TOOL,)})

    body = json.loads(sent.content)
    assert (body["last"], body["rules"], body["tools"]) == ("Second?", "Be brief.", [TOOL])
    assert [message["role"] for message in body["all"]] == ["system", "user", "assistant", "tool", "user"]
    function = {"name": "f", "arguments": "{}"}
    assert body["all"][2]["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]
    assert body["all"][3] == {"role": "tool", "content": "42", "tool_call_id": "call_1"}


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"tools": (TOOL,)}, "{{tools}}"),
        ({"tool_choice": "none"}, "{{tool_choice}}"),
        ({"response_format": {"type": "json_object"}}, "{{response_format}}"),
        ({"messages": (Message(role="system", content="A"), Message(role="user", content="B"))}, "{{messages}} or {{s"),
        ({"messages": (Message(role="user", content="A"), Message(role="user", content="B"))}, "{{messages}}"),
        ({"messages": (Message(role="user", content="A"), Message(role="assistant", content="B"))}, "{{messages}}"),
    ],
    ids=["tools", "choice", "form", "system", "two questions", "an answer begun"],
)
async def test_a_canary_with_a_part_that_has_no_place_is_not_asked_something_else(ask, changed, place) -> None:
    with pytest.raises(ProviderRejected) as caught:
        await ask(document({"answer": ""}), canary=changed)

    assert caught.value.outcome is Outcome.REJECTED
    assert f"no place for it; write {place}" in str(caught.value)


async def test_parameters_without_a_place_are_told() -> None:
    request = {"q": "{{prompt}}", "t": "{{parameters.temperature}}", "s": "up to {{parameters.max_tokens}}"}
    provider = open_provider(Connection(base_url=ADDRESS, options={**OPTIONS, "request": request}))
    await provider.aclose()

    assert "seed" in provider.unsent
    assert not {"temperature", "max_tokens"} & provider.unsent


def test_every_place_can_be_filled(target, canary) -> None:
    parameters = {place.removeprefix("parameters."): 1 for place in PLACES if place.startswith("parameters.")}
    asked = replace(canary, tools=(TOOL,), tool_choice="auto", response_format={"type": "json_object"})

    values = values_of(replace(target, parameters=parameters), asked)

    assert set(values) == set(PLACES)
    for place in PLACES:
        template = Template({"a": f"{{{{{place}}}}}", "q": "{{prompt}}"})
        assert template.filled(values)["a"] == values[place]


# ---------------------------------------------------------------- the config


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"request": {"q": "{{promt}}"}}, "options.request: unknown place {{promt}}; did you mean {{prompt}}?"),
        ({"request": {"q": "{{prompt}}", "n": "{{max_tokens}}"}}, "did you mean {{parameters.max_tokens}}?"),
        ({"request": {"q": "{{prompt}}", "n": "{{parameters.max_token}}"}}, "did you mean {{parameters.max_tokens}}?"),
        ({"request": ["{{prompt}}", "{{}}"]}, "unknown place {{}}; the places are model, system, prompt,"),
        ({"request": {"{{model}}": "{{prompt}}"}}, "the key '{{model}}' holds a place; places belong into values"),
        ({"request": {"q": "hello"}}, "the question has no place in it; write {{prompt}} or {{messages}}"),
        ({"request": {}}, 'options.request: request is missing; write request: {"question": "{{prompt}}"}'),
        ({"text": ""}, "options.text: text is missing; write text: $.answer"),
        ({"text": "$.answer["}, "options.text: '$.answer[' is no JSONPath; write one as in RFC 9535, e.g. $.answer"),
        ({"text": "answer"}, "options.text: 'answer' is no JSONPath"),
        ({"text": 7}, "options.text: 7 is no JSONPath"),
        ({"error": "/error"}, "options.error: '/error' is no JSONPath"),
        ({"stream_text": ""}, "options.stream_text: '' is no JSONPath"),
        ({"input_tokens": "$.a b"}, "options.input_tokens: '$.a b' is no JSONPath"),
    ],
)
def test_what_is_wrong_with_the_options_is_said_before_anything_is_asked(options, sentence) -> None:
    with pytest.raises(ConfigError) as caught:
        open_provider(Connection(base_url=ADDRESS, options={**OPTIONS, **options}))

    assert sentence in str(caught.value)


@pytest.mark.parametrize("base_url", [None, "", "shop.example.org/ask", "ftp://shop.example.org/ask"])
def test_an_address_is_needed(base_url) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        open_provider(Connection(base_url=base_url, options=OPTIONS))


def test_the_entry_names_every_option_that_is_read() -> None:
    entry = PROVIDERS["http"]

    assert set(entry.options) == {
        "request", "text", "stream_text", "model", "input_tokens", "output_tokens", "finish_reason", "error",
    }  # fmt: skip
    assert {name for name, option in entry.options.items() if option.is_required} == {"request", "text"}
    examples = {name: option.example for name, option in entry.options.items()}
    open_provider(Connection(base_url=ADDRESS, options=examples))


# ---------------------------------------------------------------- the reply


async def test_everything_that_a_path_leads_to_is_read(ask) -> None:
    paths = {
        "model": "$.meta.model",
        "input_tokens": "$.meta.tokens[0]",
        "output_tokens": "$.meta.tokens[1]",
        "finish_reason": "$.meta['why']",
    }
    got, _ = await ask(
        document({"answer": "Yes – ½", "meta": {"model": "m-2", "tokens": [5, 2], "why": "LENGTH"}}), paths
    )

    assert (got.text, got.served_model, got.input_tokens, got.output_tokens) == ("Yes – ½", "m-2", 5, 2)
    assert got.finish_reason == Finish.LENGTH


async def test_paths_that_match_nothing_or_something_odd_leave_their_field_empty(ask) -> None:
    paths = {"model": "$.m", "input_tokens": "$.a", "output_tokens": "$.b", "finish_reason": "$.c", "error": "$.d"}
    got, _ = await ask(document({"answer": "x", "a": "many", "b": -1, "c": 3, "d": None}), paths)

    assert (got.outcome, got.text) == (Outcome.OK, "x")
    assert (got.served_model, got.input_tokens, got.output_tokens, got.finish_reason) == (None, None, None, None)


@pytest.mark.parametrize(
    ("path", "reply", "text"),
    [
        ("$.parts[*].text", {"parts": [{"text": "Hel"}, {"kind": "thought"}, {"text": "lo"}]}, "Hello"),
        (
            "$.parts[?@.kind == 'say'].text",
            {"parts": [{"kind": "think", "text": "a"}, {"kind": "say", "text": "b"}]},
            "b",
        ),
        ("$.label", {"label": {"b": 1, "a": "½"}}, '{"b": 1, "a": "½"}'),
        ("$.label", {"label": 3}, "3"),
        ("$.label", {"label": True}, "true"),
        ("$.label", {"label": None}, ""),
        ("$.label", {"label": "\ud83d"}, "\N{REPLACEMENT CHARACTER}"),
        ("$", {"a": 1}, '{"a": 1}'),
        ("$", "just a string", "just a string"),
        ("$[1]", ["a", "b"], "b"),
    ],
)
async def test_the_text_is_all_that_the_path_matches(ask, path, reply, text) -> None:
    body = httpx.Response(200, headers={"content-type": "application/json"}, content=json.dumps(reply).encode())
    got, _ = await ask(body, {"text": path})

    assert got.text == text


@pytest.mark.parametrize("reply", [{"message": "hi"}, [], "plain", 7, None])
async def test_a_reply_without_the_text_names_the_path(ask, reply) -> None:
    body = httpx.Response(200, headers={"content-type": "application/json"}, content=json.dumps(reply).encode())
    with pytest.raises(ProviderError, match=r"matches options\.text, \$\.answer") as caught:
        await ask(body)

    assert caught.value.outcome is Outcome.MALFORMED


async def test_a_reply_too_deep_to_be_searched_is_malformed(ask) -> None:
    body = httpx.Response(200, content=b'{"a":' * 400 + b"1" + b"}" * 400)
    with pytest.raises(ProviderError, match=r"cannot be searched for \$\.\.answer") as caught:
        await ask(body, {"text": "$..answer"})

    assert caught.value.outcome is Outcome.MALFORMED


async def test_plain_text_is_the_whole_body_where_the_path_says_so(ask) -> None:
    got, _ = await ask(plain('{"no": "JSON"} is meant – ½'), {"text": "$"})

    assert got.text == '{"no": "JSON"} is meant – ½'


@pytest.mark.parametrize(
    ("answer", "text", "outcome"),
    [
        (plain("hello"), "$.answer", Outcome.NOT_JSON),
        (plain("<html>Sign in</html>", "text/html"), "$", Outcome.NOT_JSON),
        (plain("hello", "application/json"), "$", Outcome.NOT_JSON),
        (plain(" \n"), "$", Outcome.EMPTY_BODY),
        (httpx.Response(200, headers={"content-type": "text/plain"}, content=b"\xff"), "$", Outcome.NOT_JSON),
        (httpx.Response(503, headers={"content-type": "text/plain"}, content=b"busy"), "$", Outcome.UNAVAILABLE),
    ],
    ids=["no path to it", "a page", "another type", "nothing", "no text", "an error"],
)
async def test_what_is_not_plain_text_does_not_pass_for_it(ask, answer, text, outcome) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(answer, {"text": text})

    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("out of cheese", Outcome.ERROR_BODY),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, Outcome.RATE_LIMITED),
        (True, Outcome.ERROR_BODY),
    ],
)
async def test_an_error_inside_a_200_is_an_error(ask, error, outcome) -> None:
    with pytest.raises(ProviderError, match="answered 200 around an error") as caught:
        await ask(document({"answer": "sorry", "error": error}), {"error": "$.error"})

    assert caught.value.outcome is outcome


@pytest.mark.parametrize("error", [None, "", False, {}, 0])
async def test_an_error_that_says_there_is_none_is_none(ask, error) -> None:
    got, _ = await ask(document({"answer": "fine", "error": error}), {"error": "$.error"})

    assert got.text == "fine"


# ---------------------------------------------------------------- streams

STREAMED = {"stream_text": "$.piece", "finish_reason": "$.end", "model": "$.model", "error": "$.error"}


async def test_a_stream_is_put_together_from_its_events(ask) -> None:
    events = ({"model": "m"}, {"piece": "Hel"}, {"piece": "lo"}, {"tick": 1}, {"piece": "!"}, {"end": "stop"})
    got, _ = await ask(stream(*events), STREAMED, stream=True)

    assert (got.text, got.finish_reason, got.served_model) == ("Hello!", "stop", "m")
    assert got.ttft_s is not None
    assert got.gap_max_s is not None


@pytest.mark.parametrize(
    ("events", "outcome", "sentence"),
    [
        ([], Outcome.EMPTY_BODY, "empty stream"),
        ([{"text": "Hello"}, {"end": "stop"}], Outcome.MALFORMED, r"matches options\.stream_text, \$\.piece"),
        ([{"piece": "Hel"}], Outcome.CUT_OFF, "before a finish reason"),
        ([{"piece": "Hel"}, {"error": {"code": "rate_limit_exceeded"}}], Outcome.RATE_LIMITED, "around an error"),
    ],
)
async def test_a_stream_that_is_no_reply_is_named(ask, events, outcome, sentence) -> None:
    with pytest.raises(ProviderError, match=sentence) as caught:
        await ask(stream(*events), STREAMED, stream=True)

    assert caught.value.outcome is outcome


async def test_without_a_path_to_a_finish_reason_the_end_of_the_stream_ends_the_reply(ask) -> None:
    got, _ = await ask(stream({"piece": "Hel"}, {"piece": "lo"}), {"stream_text": "$.piece"})

    assert (got.text, got.finish_reason) == ("Hello", None)


async def test_a_stream_nobody_can_read_says_which_option_is_missing(ask) -> None:
    with pytest.raises(ProviderError, match=r"write options\.stream_text") as caught:
        await ask(stream({"piece": "Hel"}))

    assert caught.value.outcome is Outcome.MALFORMED
