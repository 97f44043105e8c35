"""Every provider against a mock of the vendors' APIs that no one here wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from driftwatch.domain import Completion, Finish, Outcome, Target
from driftwatch.errors import ProviderError
from driftwatch.providers import PROVIDERS, Connection

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Way:
    """How a provider reaches the mock, and what the mock leaves out of that vendor's wire."""

    provider: str
    path: str
    options: dict[str, Any] = field(default_factory=dict)
    counts: bool = True
    """Whether the mock tells usage on this wire when it does not stream."""
    streamed_counts: bool = True
    called: str = "tool_calls"
    cut: str = "length"
    """What the mock's own words become where it does not say the vendor's."""


WAYS = [
    Way("openai", "/v1"),
    Way("openai_compatible", "/v1"),
    Way("openai_responses", "/v1", cut="incomplete"),  # without the reason that the vendor gives
    Way("azure_openai", "", {"api_version": "2024-10-21"}),
    Way("anthropic", ""),
    Way("gemini", "/v1beta", called="FUNCTION_CALL"),  # the vendor says STOP
    Way("vertex", "/v1", {"project": "p", "location": "europe-west4"}, called="FUNCTION_CALL"),
    Way("bedrock", "", {"region": "eu-central-1"}),
    Way("mistral", "/v1", streamed_counts=False),  # the vendor counts without being asked to
    Way("cohere", "/v2"),
    Way("openrouter", "/v1"),
]


@pytest.fixture(params=WAYS, ids=lambda way: way.provider)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.fixture(params=[False, True], ids=["document", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def asking(mock, way, stream, at):
    async def ask(canary) -> Completion:
        target = Target(
            name="t", provider=way.provider, model="some-model", canaries=(canary,), options=way.options, stream=stream
        )
        provider = PROVIDERS[way.provider](
            Connection(base_url=mock + way.path, read_key=lambda: "a-key-of-the-mock", options=way.options)
        )
        try:
            return await provider.complete(target, canary, repeat=0, at=at)
        finally:
            await provider.aclose()

    return ask


async def test_a_greeting_is_read_as_the_mock_says_it(asking, greeting, way, stream) -> None:
    got = await asking(greeting)

    assert (got.text, got.finish_reason, got.tool_calls) == ("Hello there, how can I help you today?", Finish.STOP, ())
    if way.streamed_counts if stream else way.counts:
        assert (got.input_tokens, got.output_tokens) == (11, 9)
    assert (got.ttft_s is not None) == stream
    assert got.request_id


async def test_a_tool_call_is_read_as_the_mock_says_it(asking, weather, way) -> None:
    got = await asking(weather)

    [call] = got.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Oslo"})
    assert (got.text, got.finish_reason) == ("", way.called)


async def test_a_reply_cut_at_its_limit_says_so(asking, ask_of, way) -> None:
    got = await asking(ask_of("cut it"))

    assert (got.text, got.finish_reason) == ("It goes on and", way.cut)


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        ("no key", Outcome.AUTH),
        ("too often", Outcome.RATE_LIMITED),
        ("it breaks", Outcome.UNAVAILABLE),
    ],
)
async def test_an_error_of_the_mock_has_its_outcome(asking, ask_of, asked, outcome) -> None:
    with pytest.raises(ProviderError) as caught:
        await asking(ask_of(asked))

    assert caught.value.outcome is outcome


async def test_the_mock_understands_a_conversation_with_tools(asking, mock, way, weather) -> None:
    """The mock's journal holds each request in its own words, whatever the wire: what it read is what was asked."""
    whole = replace(
        weather,
        messages=(
            replace(weather.messages[0], role="system", content="Be brief."),
            replace(weather.messages[0], content="Good morning."),
            replace(weather.messages[0], role="assistant", content="Good morning to you."),
            weather.messages[0],
        ),
        parameters={"max_tokens": 33, "temperature": 0.25},
    )

    await asking(whole)

    async with httpx.AsyncClient() as client:
        heard = (await client.get(f"{mock}/__aimock/journal?limit=1000")).json()[-1]["body"]
    said = [(m["role"], m["content"]) for m in heard["messages"]]
    assert said == [
        ("system", "Be brief."),
        ("user", "Good morning."),
        ("assistant", "Good morning to you."),
        ("user", "weather"),
    ]
    assert [tool["function"]["name"] for tool in heard["tools"]] == ["get_weather"]
    assert heard.get("temperature") == (None if way.provider == "anthropic" else 0.25)  # removed from its API
