"""What every provider promises, asked of every entry of PROVIDERS through its vendor's own wire over a real socket."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

import httpx
import pytest
import structlog

from benchmarks.vendors.serving import Request, Server, answering, serving
from benchmarks.vendors.wire import Answer, Heard, Said, Trouble, Vendor, vendor
from driftwatch.domain import Canary, Completion, Finish, Json, Message, Outcome, Target, ToolCall
from driftwatch.errors import ConfigError, ProviderError
from driftwatch.providers import PROVIDERS, Connection, Provider
from driftwatch.providers.asked import COMMON_PARAMETERS
from driftwatch.providers.dialect import Reply
from driftwatch.providers.streaming import STREAMS
from driftwatch.providers.telling import REQUEST_IDS

pytestmark = pytest.mark.anyio

SERVED = sorted(set(PROVIDERS) - {"simulated"})
VENDORS = {name: vendor(name) for name in SERVED}
NOTICES = {
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-tokens": "6m0s",
    "retry-after": "7",
    "deprecation": "@1767225600",
    "sunset": "Thu, 31 Dec 2026 23:59:59 GMT",
}
SAID = Said(text="Voilà – ½ 🎉,\nand a second line.")
WEATHER = ("get_weather", '{"city": "Oslo"}')
TIME = ("get_time", '{"zone": "CET", "long": true}')
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "description": "Looks it up.", "parameters": SCHEMA}}
    for name in ("get_weather", "get_time")
)
CHOICES: dict[str, Json] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "named": {"type": "function", "function": {"name": "get_time"}},
}
FORMS: dict[str, Json] = {
    "json": {"type": "json_object"},
    "schema": {
        "type": "json_schema",
        "json_schema": {"name": "place", "strict": True, "schema": {**SCHEMA, "additionalProperties": False}},
    },
}
PARAMETERS: dict[str, Json] = {
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_tokens": 40,
    "parallel_tool_calls": False,
    "presence_penalty": 0.25,
    "reasoning_effort": "low",
    "seed": 7,
    "stop": ["END"],
    "temperature": 0.5,
    "top_k": 20,
    "top_logprobs": 2,
    "top_p": 0.9,
}
ASKED: dict[str, dict[str, Json]] = {
    "tools": {"tools": TOOLS},
    **{word: {"tools": TOOLS, "tool_choice": choice} for word, choice in CHOICES.items()},
    **{word: {"response_format": form} for word, form in FORMS.items()},
}
"""Words of ``Vendor.cannot`` → what asks for it."""
REQUIRED = {"anthropic": {"max_tokens": 1024}}
"""What a wire cannot do without, and so is sent although nobody configured it."""


class Pieces(httpx.AsyncByteStream):
    """A body as a socket would deliver it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


@dataclass
class Talk:
    """One provider, and its vendor's server at the other end of a socket."""

    name: str
    vendor: Vendor
    target: Target
    canary: Canary
    at: datetime
    said: Said = SAID
    answer: Callable[[Answer], Answer] = lambda answer: answer
    """Alters what the server sends."""
    fails: Trouble | None = None
    heard: list[Heard] = field(default_factory=list)
    refused: list[AssertionError] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    server: Server = field(init=False)
    provider: Provider = field(init=False)

    def serve(self, request: Request) -> Answer:
        """Hear one request and answer it."""
        try:
            self.heard.append(self.vendor.hears(request.path, request.headers, request.body))
        except AssertionError as error:
            self.refused.append(error)
            return Answer(status=400, pieces=(b"refused",))
        said = self.vendor.streams if self.heard[-1].stream else self.vendor.says
        model = self.heard[-1].model or self.target.model
        answer = said(self.said) if self.fails is None else self.vendor.fails(self.fails, model=model)
        self.answers.append(self.answer(answer))
        return self.answers[-1]

    async def __call__(
        self, *, stream: bool = False, parameters: Json = None, canary_parameters: Json = None, **asked: object
    ) -> Completion:
        """Ask the canary, changed as told, once."""
        target = replace(self.target, stream=stream, parameters=parameters or {})
        canary = replace(self.canary, parameters=canary_parameters or {}, **asked)
        try:
            return await self.provider.complete(target, canary, repeat=3, at=self.at)
        finally:
            assert not self.refused, f"the vendor would refuse the request: {self.refused[0]!r}"

    async def failing(self, **asked: object) -> ProviderError:
        """Ask once and expect it to fail."""
        with pytest.raises(ProviderError) as caught:
            await self(**asked)
        return caught.value

    def must_speak(self, *words: str) -> None:
        """Skip what this wire has no place for; a test of its own asks for the refusal."""
        missing = self.vendor.cannot & set(words)
        if missing:
            pytest.skip(f"{self.name} has no {', '.join(sorted(missing))}")


def cases(words: Callable[[Vendor], Iterable[str]]) -> pytest.MarkDecorator:
    """A test for every provider and each of the words that its vendor's wire has a place for."""
    found = [(name, word) for name, spoken in VENDORS.items() for word in sorted(words(spoken))]
    return pytest.mark.parametrize(("name", "word"), found, indirect=["name"])


@pytest.fixture(params=SERVED)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def talk(name: str, key: str, target: Target, canary: Canary, at: datetime) -> AsyncIterator[Talk]:
    spoken = VENDORS[name]
    talking = Talk(name, spoken, replace(target, provider=name, options=spoken.options), canary, at)
    async with serving(answering(talking.serve)) as talking.server:
        talking.provider = PROVIDERS[name](
            Connection(
                base_url=talking.server.address + spoken.base_path,
                read_key=lambda: key,
                options=spoken.options,
                requests_per_connection=0,
                timeout_s=10.0,
            )
        )
        yield talking
        await talking.provider.aclose()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request: pytest.FixtureRequest, talk: Talk) -> bool:
    if request.param:
        talk.must_speak("stream")
    return request.param


def ids_of(answer: Answer) -> str | None:
    return next((answer.headers[name] for name in REQUEST_IDS if name in answer.headers), None)


# ---------------------------------------------------------------- every entry is here


def test_every_provider_has_a_vendor() -> None:
    assert {"openai", "openai_compatible", "openai_responses", "azure_openai", "anthropic", "bedrock"} <= set(VENDORS)
    assert set(VENDORS) == set(PROVIDERS) - {"simulated"}


def test_every_common_parameter_is_asked_for() -> None:
    assert set(PARAMETERS) == set(COMMON_PARAMETERS)


def test_naming_the_providers_loads_neither_httpx_nor_pydantic() -> None:
    code = "import sys, driftwatch.providers; print(sorted({'httpx', 'pydantic', 'ruamel.yaml'} & set(sys.modules)))"

    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert got.stdout.strip() == "[]"


@pytest.mark.parametrize("missing", [name for name in SERVED if PROVIDERS[name].needs_base_url])
def test_a_base_url_that_only_the_config_can_say_is_asked_for(missing) -> None:
    with pytest.raises(ConfigError, match=r"base_url: .*; write "):
        PROVIDERS[missing](Connection(options=VENDORS[missing].options))


def test_a_simulated_provider_asks_for_its_script() -> None:
    with pytest.raises(ConfigError, match=r"script: .*; write "):
        PROVIDERS["simulated"](Connection())


# ---------------------------------------------------------------- what is asked


async def test_the_model_the_prompt_and_the_key_arrive(talk, stream, key) -> None:
    await talk(stream=stream)

    (heard,) = talk.heard
    assert heard.model in {talk.target.model, None}
    assert (heard.instructions, heard.messages) == ("", (("user", "Say hello."),))
    assert (heard.stream, heard.key) == (stream, key)


async def test_a_model_of_any_name_arrives(talk, stream) -> None:
    talk.target = replace(talk.target, model="odd model:7b@1?x=%20&y#z")

    await talk(stream=stream)

    assert talk.heard[0].model in {talk.target.model, None}


async def test_nothing_is_sent_that_was_not_configured(talk, stream) -> None:
    await talk(stream=stream)

    (heard,) = talk.heard
    assert heard.parameters == REQUIRED.get(talk.name, {})
    assert (heard.called, heard.answered, heard.tools) == ((), (), ())
    assert (heard.tool_choice, heard.form) == (None, None)


async def test_a_conversation_arrives_in_order(talk, stream) -> None:
    messages = [("user", "Hi."), ("assistant", "Hello – ½ 🎉"), ("user", "And now?")]
    system = (Message(role="system", content="Be brief."), Message(role="developer", content="Be kind."))

    await talk(stream=stream, messages=(*system, *(Message(role=role, content=text) for role, text in messages)))

    (heard,) = talk.heard
    assert heard.instructions == "Be brief.\n\nBe kind."
    assert heard.messages == tuple(messages)


async def test_tool_calls_and_their_results_arrive(talk, stream) -> None:
    talk.must_speak("tools", "called")
    calls = tuple(ToolCall(name=n, arguments=a, id=f"call_{i:05}") for i, (n, a) in enumerate((WEATHER, TIME)))

    await talk(
        stream=stream,
        tools=TOOLS,
        messages=(
            Message(role="user", content="What is it like there?"),
            Message(role="assistant", content="", tool_calls=calls),
            Message(role="tool", content='{"sky": "blue"}', tool_call_id=calls[0].id),
            Message(role="tool", content="noon", tool_call_id=calls[1].id),
        ),
    )

    (heard,) = talk.heard
    assert [(name, json.loads(text)) for name, text in heard.called] == [
        ("get_weather", {"city": "Oslo"}),
        ("get_time", {"zone": "CET", "long": True}),
    ]
    assert heard.answered == ("get_weather", "get_time")
    assert [text for role, text in heard.messages if role == "tool"] == ['{"sky": "blue"}', "noon"]


@cases(lambda spoken: set(CHOICES) - spoken.cannot if "tools" not in spoken.cannot else ())
async def test_tools_and_every_choice_of_them_arrive(word, talk, stream) -> None:
    await talk(stream=stream, tools=TOOLS, tool_choice=CHOICES[word])

    (heard,) = talk.heard
    assert heard.tools == ("get_weather", "get_time")
    assert heard.tool_choice == ("get_time" if word == "named" else word)


@cases(lambda spoken: set(FORMS) - spoken.cannot)
async def test_every_form_of_reply_arrives(word, talk, stream) -> None:
    await talk(stream=stream, response_format=FORMS[word])

    assert talk.heard[0].form == word


async def test_text_as_a_form_asks_for_nothing(talk) -> None:
    await talk(response_format={"type": "text"})

    assert talk.heard[0].form is None


@cases(lambda spoken: spoken.cannot & set(ASKED))
async def test_what_a_wire_cannot_ask_is_refused_before_it_is_sent(word, talk) -> None:
    error = await talk.failing(**ASKED[word])

    assert error.outcome is Outcome.REJECTED
    assert not talk.heard


@pytest.mark.parametrize("parameter", COMMON_PARAMETERS)
async def test_a_parameter_is_sent_exactly_when_it_is_configured_and_has_a_place(parameter, talk) -> None:
    asked = {"tools": TOOLS} if parameter == "parallel_tool_calls" and "tools" not in talk.vendor.cannot else {}

    await talk(parameters={parameter: PARAMETERS[parameter]}, **asked)

    (heard,) = talk.heard
    configured = {} if parameter in talk.vendor.lacks else {parameter: PARAMETERS[parameter]}
    assert heard.parameters == {**REQUIRED.get(talk.name, {}), **configured}


async def test_what_has_no_place_is_told(talk) -> None:
    assert talk.provider.unsent == talk.vendor.lacks


async def test_a_parameter_set_to_null_is_never_sent(talk) -> None:
    free = {name: value for name, value in PARAMETERS.items() if name not in REQUIRED.get(talk.name, {})}

    await talk(parameters=dict.fromkeys(free))
    await talk(parameters=dict.fromkeys(free), canary_parameters=free)
    await talk(parameters=free, canary_parameters=dict.fromkeys(free))

    for heard in talk.heard:
        assert heard.parameters == REQUIRED.get(talk.name, {})


# ---------------------------------------------------------------- what comes back


async def test_a_reply_is_an_ok_completion_of_the_canary_asked(talk, stream) -> None:
    got = await talk(stream=stream)

    assert (got.outcome, got.text, got.finish_reason) == (Outcome.OK, SAID.text, "stop")
    assert (got.canary_id, got.canary_hash, got.repeat, got.at) == (
        talk.canary.id, talk.canary.content_hash, 3, talk.at,
    )  # fmt: skip
    assert got.latency_s > 0
    assert (got.attempts, got.error, got.id, got.tool_calls) == (1, None, None, ())


async def test_what_the_wire_tells_beside_the_text_is_kept(talk, stream) -> None:
    talk.said = replace(SAID, logprobs=(("Vo", -0.25), ("ilà", -1.5)))

    got = await talk(stream=stream)

    told = {
        "input_tokens": got.input_tokens,
        "output_tokens": got.output_tokens,
        "cached_tokens": got.cached_tokens,
        "reasoning_tokens": got.reasoning_tokens,
        "model": got.served_model,
        "fingerprint": got.fingerprint,
        "upstream": got.upstream,
        "logprobs": got.logprobs,
    }
    expected = {name: getattr(SAID, name) for name in told}
    expected["logprobs"] = [
        {"token": token, "logprob": value, "top": [[token, value]]} for token, value in talk.said.logprobs
    ]
    assert told == {name: value if name in talk.vendor.tells else None for name, value in expected.items()}
    assert got.request_id == (ids_of(talk.answers[0]) or (SAID.id if "id" in talk.vendor.tells else None))


SPOKEN = {
    "text": SAID,
    "one tool call": Said(text="", tool_calls=(WEATHER,), finish=Finish.TOOL_CALLS),
    "two tool calls": Said(text="", tool_calls=(WEATHER, TIME), finish=Finish.TOOL_CALLS),
    "text and a tool call": Said(text="Let me look.", tool_calls=(TIME,), finish=Finish.TOOL_CALLS),
    "thinking": replace(SAID, thinking="They want French, I think."),
    "cut at the limit": Said(text="Hel", finish=Finish.LENGTH),
    "nothing at all": Said(text="", finish=Finish.LENGTH),
}


@pytest.mark.parametrize("case", SPOKEN)
async def test_a_stream_ends_in_the_completion_it_would_have_been_without_streaming(case, talk) -> None:
    talk.must_speak("stream", *(["tools"] if SPOKEN[case].tool_calls else []))
    talk.said = SPOKEN[case]

    whole = await talk()
    streamed = await talk(stream=True)

    untimed = {"latency_s": 0.0, "ttft_s": None, "gap_median_s": None, "gap_max_s": None}
    assert replace(streamed, **untimed) == replace(whole, **untimed)
    assert [heard.stream for heard in talk.heard] == [False, True]


@pytest.mark.parametrize("calls", [(WEATHER,), (WEATHER, TIME)], ids=["one", "two"])
async def test_tool_calls_are_read(calls, talk, stream) -> None:
    talk.must_speak("tools")
    talk.said = Said(text="", tool_calls=calls, finish=Finish.TOOL_CALLS)

    got = await talk(stream=stream, tools=TOOLS)

    assert [(call.name, json.loads(call.arguments)) for call in got.tool_calls] == [
        (name, json.loads(arguments)) for name, arguments in calls
    ]
    assert (got.text, got.finish_reason) == ("", "tool_calls")


@cases(lambda spoken: spoken.finishes - {Finish.TOOL_CALLS})  # which has tests of its own
async def test_every_reason_to_finish_has_our_word(word, talk, stream) -> None:
    finish = Finish(word)
    talk.said = Said(text="I had rather not.", finish=finish)

    got = await talk(stream=stream)

    assert (got.outcome, got.finish_reason) == (Outcome.OK, finish.value)
    # A refusal's text is what the wire gives of it; a filter may leave the beginning or nothing.
    assert got.text in {"I had rather not.", ""}
    assert got.text or finish in {Finish.REFUSAL, Finish.CONTENT_FILTER}


async def test_thinking_is_no_part_of_the_text(talk, stream) -> None:
    talk.said = replace(SAID, thinking="They want French, I think.")

    got = await talk(stream=stream)

    assert got.text == SAID.text


async def test_streamed_content_is_timed(talk) -> None:
    talk.must_speak("stream")

    got = await talk(stream=True)
    whole = await talk()

    assert 0 < got.ttft_s <= got.latency_s
    assert 0 <= got.gap_median_s <= got.gap_max_s <= got.latency_s
    assert (whole.ttft_s, whole.gap_median_s, whole.gap_max_s) == (None, None, None)


async def test_a_reply_leaves_its_connection_for_the_next(talk, stream) -> None:
    for _ in range(4):
        await talk(stream=stream)

    assert talk.server.n_connections == 1


async def test_headers_that_tell_of_limits_and_of_an_end_are_kept(talk, stream) -> None:
    talk.answer = lambda answer: replace(answer, headers={**answer.headers, **NOTICES, "x-other": "no"})

    got = await talk(stream=stream)

    assert {**got.headers, **NOTICES} == got.headers
    assert "x-other" not in got.headers


# ---------------------------------------------------------------- what goes wrong


@cases(lambda spoken: spoken.outcomes)
async def test_every_trouble_the_vendor_documents_has_its_outcome(word, talk, stream) -> None:
    trouble = Trouble(word)
    talk.fails = trouble
    talk.answer = lambda answer: replace(answer, headers={**answer.headers, **NOTICES})

    error = await talk.failing(stream=stream)

    assert error.outcome is talk.vendor.outcomes[trouble]
    assert {**error.headers, **NOTICES} == error.headers
    assert error.request_id == ids_of(talk.answers[0])
    assert re.search("temperature", str(error)) or trouble is not Trouble.PARAMETER


async def test_a_vendor_documents_its_common_troubles(talk) -> None:
    common = {Trouble.AUTH, Trouble.MODEL_GONE, Trouble.RATE_LIMITED, Trouble.PARAMETER, Trouble.BROKEN}

    assert common <= set(talk.vendor.outcomes)


async def test_a_stream_that_breaks_off_is_cut_off(talk) -> None:
    talk.must_speak("stream")
    talk.answer = lambda answer: replace(answer, pieces=answer.pieces[: len(answer.pieces) // 2])

    error = await talk.failing(stream=True)

    assert error.outcome is Outcome.CUT_OFF


async def test_a_document_that_breaks_off_is_cut_off(talk) -> None:
    talk.answer = lambda answer: replace(answer, pieces=(b"".join(answer.pieces)[:-9],))

    error = await talk.failing()

    assert error.outcome is Outcome.CUT_OFF


async def test_a_page_in_place_of_a_reply_is_named(talk, stream) -> None:
    talk.answer = lambda _: Answer(headers={"content-type": "text/html"}, pieces=(b"<html>Sign in</html>",))

    error = await talk.failing(stream=stream)

    assert error.outcome is Outcome.NOT_JSON


RICH = Said(
    text="Hello.", tool_calls=(WEATHER, TIME), finish=Finish.TOOL_CALLS, thinking="Hm.", logprobs=(("Hello", -1.0),)
)
ODD = (None, True, 5, -1.5, 10**400, "", "odd", "\ud83d", [], [None], ["odd"], [[]], {}, {"odd": {}})


def spoilt(value: Json) -> Iterator[Json]:
    """The value with each of its parts in turn replaced by everything odd, or left out."""
    yield from ODD
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for part in spoilt(value[key]):
            whole = deepcopy(value)
            whole[key] = part
            yield whole
        without = deepcopy(value)
        del without[key]
        yield without


def read_or_refused(read: Callable[[], Reply]) -> bool:
    """Whether it is a reply that can be stored; anything else must be an error of ours."""
    try:
        reply = read()
    except ProviderError:
        return False
    stored = asdict(reply)
    json.dumps(stored).encode()
    calls = [(call.name, call.arguments) for call in reply.tool_calls]
    texts = (stored[key] for key in ("finish_reason", "finish_detail", "served_model", "fingerprint", "upstream", "id"))
    counts = (stored[key] for key in stored if key.endswith("_tokens"))
    assert isinstance(reply.text, str)
    assert all(isinstance(text, str) for call in calls for text in call)
    assert all(text is None or isinstance(text, str) for text in texts)
    assert all(count is None or type(count) is int for count in counts)
    return True


async def test_no_document_however_odd_is_a_mistake_of_ours(talk) -> None:
    document = json.loads(b"".join(talk.vendor.says(RICH).pieces))
    dialect = talk.provider._dialect

    read = [read_or_refused(lambda odd=odd: dialect.read(odd, say=str)) for odd in spoilt(document)]

    assert {True, False} == set(read)


async def test_no_stream_however_odd_is_a_mistake_of_ours(talk) -> None:
    talk.must_speak("stream")
    answer = talk.vendor.streams(RICH)
    stream = STREAMS[answer.headers["content-type"].partition(";")[0]]
    response = httpx.Response(200, headers=answer.headers, stream=Pieces(b"".join(answer.pieces)))
    events = [(event, json.loads(data)) async for event, data in stream(response) if data.startswith(b"{")]
    dialect = talk.provider._dialect

    def read(place: int, odd: Json) -> Reply:
        assembler = dialect.assembler(say=str)
        for event, data in [*events[:place], (events[place][0], odd), *events[place + 1 :]]:
            assembler.add(event, data)
        return assembler.reply()

    assert read(0, events[0][1]).text == "Hello."
    kinds = {json.dumps(skeleton(data)): place for place, (_, data) in enumerate(events)}
    for place in kinds.values():
        for odd in spoilt(events[place][1]):
            read_or_refused(lambda place=place, odd=odd: read(place, odd))


def skeleton(value: Json) -> Json:
    """The value without its texts and numbers: events that differ in nothing else need not all be spoilt."""
    if isinstance(value, dict):
        return {key: skeleton(part) for key, part in value.items()}
    return [skeleton(part) for part in value] if isinstance(value, list) else None


@pytest.mark.parametrize("status", [200, 401])
async def test_the_key_is_in_no_completion_error_or_log(status, talk, key) -> None:
    if status == 200:
        talk.said = replace(SAID, text=f"Your key is {key}.")
    else:
        pieces = (f"Incorrect API key provided: {key}".encode(),)
        talk.answer = lambda answer: replace(answer, status=status, pieces=pieces)

    with structlog.testing.capture_logs() as logs:
        got = await talk() if status == 200 else await talk.failing()

    assert talk.heard[0].key == key
    assert key not in f"{got!s} {got!r} {logs} {talk.provider!r} {vars(got) if status == 401 else ''}"


def test_a_connection_shows_no_secret(key) -> None:
    connection = Connection(read_key=lambda: key, read_headers=lambda: {"api-key": key})

    assert key not in repr(connection)


async def test_the_target_and_the_canary_are_not_changed(talk, stream) -> None:
    before = repr(talk.target), repr(talk.canary)

    await talk(stream=stream)

    assert (repr(talk.target), repr(talk.canary)) == before


async def test_closing_twice_is_no_mistake(talk) -> None:
    await talk()

    await talk.provider.aclose()
    await talk.provider.aclose()
