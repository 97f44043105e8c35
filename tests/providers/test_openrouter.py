"""A pinned upstream, and what the router tells of it."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from benchmarks.vendors.openrouter import VENDOR
from benchmarks.vendors.serving import answering, serving
from benchmarks.vendors.wire import Answer, Said, Trouble
from driftwatch.domain import Completion, Finish, Json, Outcome
from driftwatch.errors import ModelGone, ProviderError, ProviderRejected, ProviderUnavailable, RateLimited
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.providers.openrouter import open_provider

pytestmark = pytest.mark.anyio

PINNED = {"upstream": "upstream-1"}


@pytest.fixture
def ask(target, canary, at, key):
    """Ask a server on a socket: the completion, and the body it was sent."""

    async def ask(answer: Answer, options: Json = None, **changed: Json) -> tuple[Completion, Json]:
        async with serving(answering(lambda _: answer)) as server:
            connection = Connection(
                base_url=server.address + VENDOR.base_path, read_key=lambda: key, options=options or {}
            )
            provider = open_provider(connection)
            try:
                got = await provider.complete(replace(target, **changed), canary, repeat=0, at=at)
            finally:
                await provider.aclose()
            return got, json.loads(server.requests[0].body)

    return ask


def document(answer: Json, status: int = 200) -> Answer:
    return Answer(status=status, headers={"content-type": "application/json"}, pieces=(json.dumps(answer).encode(),))


def stream(*chunks: Json) -> Answer:
    frames = (f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)
    return Answer(headers={"content-type": "text/event-stream"}, pieces=(b": OPENROUTER PROCESSING\n\n", *frames))


# ---------------------------------------------------------------- what is sent


async def test_without_an_upstream_the_router_is_left_alone(ask) -> None:
    _, sent = await ask(VENDOR.says(Said()))

    assert set(sent) == {"model", "messages"}


async def test_an_upstream_is_pinned_so_that_no_other_can_answer(ask) -> None:
    _, sent = await ask(VENDOR.says(Said()), PINNED)

    assert sent["provider"] == {"order": ["upstream-1"], "only": ["upstream-1"], "allow_fallbacks": False}


async def test_a_quantization_alone_pins_no_upstream(ask) -> None:
    _, sent = await ask(VENDOR.says(Said()), {"quantization": "fp8"})

    assert sent["provider"] == {"quantizations": ["fp8"]}


async def test_what_the_router_alone_knows_is_kept_but_cannot_lift_the_pin(ask) -> None:
    own = {"provider": {"require_parameters": True, "allow_fallbacks": True}, "reasoning": {"exclude": True}}
    _, sent = await ask(VENDOR.says(Said()), PINNED, parameters={**own, "reasoning_effort": "low"})

    assert sent["provider"]["require_parameters"] is True
    assert sent["provider"]["allow_fallbacks"] is False
    assert sent["reasoning"] == {"exclude": True, "effort": "low"}
    assert "reasoning_effort" not in sent


async def test_the_server_understands_what_the_adapter_sends(target, canary, at, key) -> None:
    asked = replace(target, parameters={"reasoning_effort": "low", "max_tokens": 20, "top_k": 3}, stream=True)
    requests: list[httpx.Request] = []

    def hear(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, content=VENDOR.says(Said()).pieces[0], headers={"content-type": "application/json"})

    provider = open_provider(
        Connection(read_key=lambda: key, options=VENDOR.options), transport=httpx.MockTransport(hear)
    )
    await provider.complete(asked, canary, repeat=0, at=at)
    await provider.aclose()

    (request,) = requests
    assert str(request.url) == "https://openrouter.ai/api/v1/chat/completions"
    assert not {"x-title", "http-referer"} & set(request.headers)
    heard = VENDOR.hears(request.url.path, request.headers, request.content)
    assert heard.parameters == {"reasoning_effort": "low", "max_tokens": 20, "top_k": 3}
    assert heard.key == key
    assert heard.stream


# ---------------------------------------------------------------- what comes back


@pytest.mark.parametrize("form", ["says", "streams"])
async def test_the_upstream_that_answered_and_its_own_reason_are_kept(ask, form) -> None:
    said = Said(text="Hello, you", finish=Finish.LENGTH, upstream="DeepInfra")
    got, _ = await ask(getattr(VENDOR, form)(said), PINNED, stream=form == "streams")

    assert (got.text, got.upstream) == ("Hello, you", "DeepInfra")
    assert (got.finish_reason, got.finish_detail) == (Finish.LENGTH, "max_tokens")
    assert (got.input_tokens, got.output_tokens, got.cached_tokens, got.reasoning_tokens) == (12, 7, 4, 3)


async def test_a_reason_that_is_the_same_word_is_told_once(ask) -> None:
    reply = json.loads(VENDOR.says(Said()).pieces[0])
    reply["choices"][0]["native_finish_reason"] = "STOP"
    got, _ = await ask(document(reply))

    assert (got.finish_reason, got.finish_detail) == (Finish.STOP, None)


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("trouble", list(Trouble))
async def test_every_documented_error_is_named(ask, trouble) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(VENDOR.fails(trouble, model="gpt-4o-mini"), PINNED)

    assert caught.value.outcome is VENDOR.outcomes[trouble]


@pytest.mark.parametrize("trouble", list(Trouble))
@pytest.mark.parametrize("form", ["document", "stream"])
async def test_an_error_inside_a_200_is_named_as_its_status_would_be(ask, trouble, form) -> None:
    error = json.loads(VENDOR.fails(trouble, model="m").pieces[0])
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    answers = {
        "document": document(error),
        "stream": stream({"id": "1", "choices": [{"delta": {"content": "Hel"}}]}, {**error, "choices": [choice]}),
    }
    with pytest.raises(ProviderError) as caught:
        await ask(answers[form], PINNED)

    assert caught.value.outcome is VENDOR.outcomes[trouble]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (400, Outcome.REJECTED),
        (402, Outcome.QUOTA),
        (408, Outcome.TIMEOUT),
        (413, Outcome.REJECTED),
        (502, Outcome.UNAVAILABLE),
        (504, Outcome.UNAVAILABLE),
        (529, Outcome.UNAVAILABLE),
        (418, Outcome.ERROR_BODY),
    ],
)
async def test_a_code_inside_a_200_is_read_as_a_status(ask, code, outcome) -> None:
    with pytest.raises(ProviderError, match="it broke") as caught:
        await ask(document({"error": {"code": code, "message": "it broke"}}))

    assert caught.value.outcome is outcome


async def test_an_upstream_that_fails_without_a_word_is_an_error_and_no_reply(ask) -> None:
    chunk = {"id": "1", "choices": [{"delta": {"content": "Hel"}, "finish_reason": "error"}]}
    with pytest.raises(ProviderError, match="upstream provider failed") as caught:
        await ask(stream(chunk))

    assert caught.value.outcome is Outcome.ERROR_BODY


async def test_a_pinned_upstream_that_no_longer_serves_the_model_is_not_asked_again(ask) -> None:
    with pytest.raises(ModelGone, match="No allowed providers"):
        await ask(VENDOR.fails(Trouble.MODEL_GONE, model="m"), PINNED)


async def test_a_404_that_names_nobody_is_a_wrong_address(ask) -> None:
    with pytest.raises(ProviderRejected) as caught:
        await ask(document({"error": {"code": 404, "message": "Not Found"}}, status=404))

    assert caught.value.outcome is Outcome.REJECTED


async def test_nobody_to_ask_at_the_moment_is_worth_another_attempt_when_the_router_says(ask) -> None:
    answer = VENDOR.fails(Trouble.OVERLOADED, model="m")
    with pytest.raises(ProviderUnavailable) as caught:
        await ask(replace(answer, headers={**answer.headers, "retry-after": "7"}), PINNED)

    assert caught.value.retryable
    assert caught.value.retry_after_s == 7.0


async def test_a_rate_limit_of_the_upstream_asks_for_fewer_requests(ask) -> None:
    with pytest.raises(RateLimited) as caught:
        await ask(document({"error": {"code": 429, "message": "Provider returned error"}}))

    assert caught.value.is_overload


def test_the_entry_names_what_the_config_may_say() -> None:
    entry = PROVIDERS["openrouter"]

    assert entry.base_url == "https://openrouter.ai/api/v1"
    assert set(entry.options) == {"upstream", "quantization"}
    assert (entry.key_env, entry.prices) == ("OPENROUTER_API_KEY", "openrouter")


async def test_every_common_parameter_has_a_place() -> None:
    provider = open_provider(Connection())
    await provider.aclose()

    assert provider.unsent == frozenset()
