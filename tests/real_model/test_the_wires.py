"""Our providers against llama.cpp's own server, which nobody here wrote: three wires to one real model.

The model is small and knows no tools. Where the server deviates from the vendor whose wire it speaks, the test says so:
its Responses number neither events nor items, and call a reply that was cut ``completed``.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from driftwatch.domain import Canary, Completion, Finish, Json, Listing, Message, Outcome, Target
from driftwatch.errors import ProviderError
from driftwatch.providers import PROVIDERS, Connection, Provider

pytestmark = [pytest.mark.real_model, pytest.mark.slow]

AT = datetime(2026, 3, 2, tzinfo=UTC)
WIRES = {"llama_cpp": "/v1", "openai_responses": "/v1", "anthropic": ""}
"""Provider → where its API begins on the server."""
OPTIONS = {"anthropic": {"api_version": "2023-06-01"}}
"""Newer versions of Anthropic's API have no temperature, and greedy replies need one."""
MAX_TOKENS = 12
QUESTION = (Message(role="user", content="Write one sentence about the sea."),)
FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "weather",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"sunny": {"type": "boolean"}},
            "required": ["sunny"],
            "additionalProperties": False,
        },
    },
}

Ask = Callable[..., Completion]


@pytest.fixture
def ask(served: str, model_name: str) -> Ask:
    """Ask the real server once, over one of its wires."""

    def ask(
        wire: str,
        *,
        stream: bool = False,
        parameters: Json = None,
        messages: tuple[Message, ...] = QUESTION,
        **more: Json,
    ) -> Completion:
        greedy = {"temperature": 0, "max_tokens": MAX_TOKENS, **(parameters or {})}
        canary = Canary(id="core/sea", suite="core", messages=messages, response_format=more.pop("form", None))
        target = Target(name="a", provider=wire, model=model_name, canaries=(canary,), parameters=greedy, stream=stream)
        connection = Connection(
            base_url=served.removesuffix("/v1") + WIRES[wire], options=OPTIONS.get(wire, {}), timeout_s=120.0
        )

        async def complete() -> Completion:
            provider = PROVIDERS[wire](connection)
            try:
                return await provider.complete(replace(target, **more), canary, repeat=0, at=AT)
            finally:
                await provider.aclose()

        return asyncio.run(complete())

    return ask


async def in_a_row(provider: Provider, target: Target, count: int) -> list[Completion]:
    """Ask the target's first canary several times over one provider."""
    try:
        return [await provider.complete(target, target.canaries[0], repeat=i, at=AT) for i in range(count)]
    finally:
        await provider.aclose()


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_reply_says_the_same_streamed_or_not_and_a_stream_is_timed(ask, wire, model_name) -> None:
    whole, streamed = ask(wire), ask(wire, stream=True)

    assert whole.text
    assert whole.served_model == model_name
    assert whole.output_tokens == MAX_TOKENS
    assert whole.input_tokens > 10
    assert (whole.ttft_s, whole.gap_median_s) == (None, None)
    assert 0 < streamed.ttft_s < streamed.latency_s
    assert 0 <= streamed.gap_median_s <= streamed.gap_max_s
    unlike = {"latency_s": 0.0, "ttft_s": None, "gap_median_s": None, "gap_max_s": None, "request_id": None}
    assert replace(streamed, **unlike) == replace(whole, **unlike)


def test_one_stream_after_another_is_no_lost_connection(served, wire, model_name) -> None:
    # This server hangs up after a stream although it has promised to keep the connection.
    canary = Canary(id="core/sea", suite="core", messages=QUESTION)
    parameters = {"temperature": 0, "max_tokens": 2}
    target = Target(name="a", provider=wire, model=model_name, canaries=(canary,), parameters=parameters, stream=True)
    address = served.removesuffix("/v1") + WIRES[wire]
    connection = Connection(base_url=address, options=OPTIONS.get(wire, {}), requests_per_connection=0)

    replies = asyncio.run(in_a_row(PROVIDERS[wire](connection), target, 4))

    assert len({reply.text for reply in replies}) == 1


def test_a_wire_that_only_the_options_describe_is_read_whole_and_streamed(served, model_name) -> None:
    # The server's own endpoint for plain completions stands for a team's own.
    options = {
        "request": {
            "prompt": "{{prompt}}",
            "n_predict": "{{parameters.max_tokens}}",
            "temperature": "{{parameters.temperature}}",
            "stream": "{{stream}}",
        },
        "text": "$.content",
        "stream_text": "$.content",
        "model": "$.model",
        "input_tokens": "$.tokens_evaluated",
        "output_tokens": "$.tokens_predicted",
        "finish_reason": "$.stop_type",
        "error": "$.error",
    }
    canary = Canary(id="core/sea", suite="core", messages=(Message(role="user", content="The sea is"),))
    parameters = {"temperature": 0, "max_tokens": 6}
    target = Target(name="a", provider="http", model=model_name, canaries=(canary,), parameters=parameters)
    connection = Connection(base_url=served.removesuffix("/v1") + "/completion", options=options)

    whole, streamed = (
        asyncio.run(in_a_row(PROVIDERS["http"](connection), replace(target, stream=stream), 1))[0]
        for stream in (False, True)
    )

    assert (whole.served_model, whole.output_tokens, whole.finish_reason) == (model_name, 6, "limit")
    assert whole.text
    assert whole.input_tokens >= 3
    assert streamed.ttft_s is not None
    unlike = {"latency_s": 0.0, "ttft_s": None, "gap_median_s": None, "gap_max_s": None}
    assert replace(streamed, **unlike) == replace(whole, **unlike)


def test_a_reply_that_ends_at_the_limit_says_so(ask, wire) -> None:
    # llama.cpp's Responses say "completed" where OpenAI's say "incomplete" with a reason.
    expected = Finish.STOP if wire == "openai_responses" else Finish.LENGTH

    assert ask(wire, parameters={"max_tokens": 3}).finish_reason == expected


def test_the_three_wires_carry_the_same_reply_and_the_same_counts(ask) -> None:
    told = {(got.text, got.input_tokens, got.output_tokens, got.cached_tokens) for got in map(ask, WIRES)}

    assert len(told) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_instructions_and_earlier_turns_reach_the_model(ask, wire, stream) -> None:
    conversation = (
        Message(role="system", content="Answer in French."),
        *QUESTION,
        Message(role="assistant", content="La mer est bleue."),
        Message(role="user", content="And the sky?"),
    )

    alone, told = ask(wire, stream=stream), ask(wire, stream=stream, messages=conversation)
    chat = ask("llama_cpp", messages=conversation)

    assert told.input_tokens != alone.input_tokens
    assert (told.text, told.input_tokens) == (chat.text, chat.input_tokens)


def test_a_stop_sequence_ends_the_reply(ask) -> None:
    whole = ask("llama_cpp")
    word = whole.text.split()[3]

    for wire in ("llama_cpp", "anthropic"):  # Responses has no place for it
        got = ask(wire, parameters={"stop": [word]})
        assert got.text == whole.text[: whole.text.index(word)]
        assert got.finish_reason == Finish.STOP


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_log_probabilities_are_those_of_the_tokens_said(ask, stream) -> None:
    got = ask("llama_cpp", stream=stream, parameters={"logprobs": True, "top_logprobs": 3})

    assert "".join(entry["token"] for entry in got.logprobs) == got.text
    for entry in got.logprobs:
        assert len(entry["top"]) == 3
        assert entry["top"][0] == [entry["token"], entry["logprob"]], "greedy decoding says the likeliest token"
        assert 0 >= entry["logprob"] >= entry["top"][1][1] >= entry["top"][2][1]


def test_a_seed_repeats_a_reply_and_another_changes_it(ask) -> None:
    hot = {"temperature": 1.5, "max_tokens": 16}
    first, again, other = (ask("llama_cpp", parameters={**hot, "seed": seed}).text for seed in (1, 1, 2))

    assert first == again
    assert first != other


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_form_makes_the_reply_follow_its_schema(ask, stream) -> None:
    got = ask("llama_cpp", stream=stream, form=FORM, parameters={"max_tokens": 24})

    assert got.finish_reason == Finish.STOP
    assert set(json.loads(got.text)) == {"sunny"}


def test_the_server_that_answers_another_name_tells_its_own(ask, model_name) -> None:
    assert ask("llama_cpp", model="gpt-4o-mini", parameters={"max_tokens": 1}).served_model == model_name


def test_its_list_of_models_knows_the_model_and_no_other(served, model_name) -> None:
    async def listed(model: str) -> Listing | None:
        provider = PROVIDERS["llama_cpp"](Connection(base_url=served))
        try:
            return await provider.listed(Target(name="a", provider="llama_cpp", model=model, canaries=()))
        finally:
            await provider.aclose()

    assert asyncio.run(listed(model_name)).is_listed
    assert not asyncio.run(listed("gpt-4o-mini")).is_listed


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_parameter_it_cannot_read_is_rejected_by_name(ask, wire, stream) -> None:
    with pytest.raises(ProviderError, match="temperature") as caught:
        ask(wire, stream=stream, parameters={"temperature": "hot"})

    assert caught.value.outcome is Outcome.REJECTED


def test_a_prompt_beyond_its_context_is_rejected(ask, wire) -> None:
    with pytest.raises(ProviderError, match="context size") as caught:
        ask(wire, messages=(Message(role="user", content="a b " * 5000),))

    assert caught.value.outcome is Outcome.REJECTED


SUITE = """\
suite: sea
canaries:
  - id: one-sentence
    reason: short and sure
    prompt: Write one sentence about the sea.
    parameters: {temperature: 0, max_tokens: 8}
    checks: [{max_length: {chars: 200}}]
"""


def test_doctor_says_of_each_wire_what_works_and_what_a_run_costs(served, model_name, tmp_path) -> None:
    host = served.removesuffix("/v1")
    targets = "".join(
        f"  {wire.replace('_', '-')}: {{provider: {wire}, model: {model_name}, base_url: '{host}{path}'}}\n"
        for wire, path in WIRES.items()
    )
    (tmp_path / "sea.yaml").write_text(SUITE)
    (tmp_path / "driftwatch.yaml").write_text(
        f"canaries: [sea.yaml]\nstore: watch.db\nembedder: 'off'\nreceivers: {{me: {{type: console}}}}\n"
        f"defaults: {{api_key_env: ANY_KEY, stream: true, price: {{input: 0, output: 0}}}}\ntargets:\n{targets}"
    )
    environment = {**os.environ, "ANY_KEY": "a-key-nobody-looks-at", "COLUMNS": "120"}

    done = subprocess.run(
        [sys.executable, "-m", "driftwatch", "doctor"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    words = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout + done.stderr
    for wire in WIRES:
        assert f"ok target {wire.replace('_', '-')} answers in" in words, done.stdout
    assert words.count("the first token after") == len(WIRES)
    assert words.count(f"tells served model {model_name}") == len(WIRES)
