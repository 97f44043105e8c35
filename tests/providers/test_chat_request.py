"""What is sent: the configured request and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import httpx
import pytest

from driftwatch.domain import Canary, Message, Outcome, Target, ToolCall
from driftwatch.errors import ConfigError, ProviderError
from driftwatch.providers import PROVIDERS, Connection

pytestmark = pytest.mark.anyio


@pytest.fixture
def fine(wire: Callable[[str], bytes]) -> httpx.Response:
    return httpx.Response(200, content=wire("chat.json"), headers={"content-type": "application/json"})


async def test_nothing_is_sent_that_was_not_configured(ask, fine) -> None:
    await ask(fine)

    (request,) = ask.requests
    assert json.loads(request.content) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Say hello."}],
    }


async def test_everything_configured_is_sent(ask, target, canary, fine) -> None:
    tools = ({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},)
    target = replace(target, parameters={"temperature": 0, "max_tokens": 9, "logprobs": True, "top_logprobs": 5})
    canary = replace(
        canary,
        tools=tools,
        tool_choice="required",
        response_format={"type": "json_object"},
        parameters={"max_tokens": 40},
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="assistant", content="", tool_calls=(ToolCall(name="f", arguments="{}", id="call_1"),)),
            Message(role="tool", content="42 – ½", tool_call_id="call_1"),
        ),
    )

    await ask(fine, target=target, canary=canary)

    assert json.loads(ask.requests[0].content) == {
        "model": "gpt-4o-mini",
        "temperature": 0,
        "max_tokens": 40,
        "logprobs": True,
        "top_logprobs": 5,
        "tools": list(tools),
        "tool_choice": "required",
        "response_format": {"type": "json_object"},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "42 – ½", "tool_call_id": "call_1"},
        ],
    }


async def test_a_stream_asks_for_its_token_counts_and_keeps_configured_options(ask, target, fine) -> None:
    target = replace(target, stream=True, parameters={"stream_options": {"include_obfuscation": False}})

    await ask(fine, target=target)

    sent = json.loads(ask.requests[0].content)
    assert sent["stream_options"] == {"include_usage": True, "include_obfuscation": False}


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://llm.example.org/v1", "https://llm.example.org/v1/chat/completions"),
        ("https://llm.example.org/v1/", "https://llm.example.org/v1/chat/completions"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/chat/completions"),
        (
            "https://az.example.org/openai/deployments/d?api-version=2026-01",
            "https://az.example.org/openai/deployments/d/chat/completions?api-version=2026-01",
        ),
    ],
)
async def test_the_base_url_joins_with_or_without_a_trailing_slash(base_url, expected, ask, fine) -> None:
    await ask(fine, base_url=base_url)

    assert expected == str(ask.requests[0].url)


async def test_the_key_and_the_extra_headers_are_read_for_every_request(ask, fine) -> None:
    keys = iter(["sk-first\n", "sk-second"])
    headers = iter([{}, {"OpenAI-Project": "proj_7"}])
    connection = {"read_key": lambda: next(keys), "read_headers": lambda: next(headers)}

    await ask(fine, **connection)
    await ask(fine, **connection)

    first, second = ask.requests
    assert first.headers["authorization"] == "Bearer sk-first"
    assert second.headers["authorization"] == "Bearer sk-second"
    assert second.headers["openai-project"] == "proj_7"
    assert second.headers["user-agent"].startswith("driftwatch/")


async def test_no_key_sends_no_authorization(ask, fine) -> None:
    await ask(fine, read_key=lambda: None)

    assert "authorization" not in ask.requests[0].headers


async def test_an_extra_header_may_replace_the_authorization(ask, fine) -> None:
    await ask(fine, read_headers=lambda: {"authorization": "Token abc", "content-type": "application/vnd.x+json"})

    headers = ask.requests[0].headers
    assert headers.get_list("authorization") == ["Token abc"]
    assert headers.get_list("content-type") == ["application/vnd.x+json"]


async def test_cookies_are_never_kept(target: Target, canary: Canary, at: datetime, server) -> None:
    body = b'{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}'
    server.answers(b"HTTP/1.1 200 OK\r\nset-cookie: backend=7\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    provider = PROVIDERS["openai_compatible"](Connection(base_url=server.base_url))

    await provider.complete(target, canary, repeat=0, at=at)

    assert list(provider._client.cookies.jar) == []
    await provider.aclose()


@pytest.mark.parametrize("key", ["sk-two\nlines", "sk-schlüssel", "sk-\x00nul"])
async def test_a_key_that_cannot_be_sent_is_an_auth_failure_that_does_not_show_it(key, ask, fine) -> None:
    with pytest.raises(ProviderError, match="printable ASCII on one line") as caught:
        await ask(fine, read_key=lambda: key)

    assert Outcome.AUTH is caught.value.outcome
    assert key not in str(caught.value)
    assert not ask.requests


async def test_a_key_file_that_is_missing_is_an_auth_failure(ask, fine) -> None:
    def read() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(ProviderError, match="the API key could not be read") as caught:
        await ask(fine, read_key=read)

    assert Outcome.AUTH is caught.value.outcome


@pytest.mark.parametrize(
    "base_url", [None, "", "llm.example.org/v1", "ftp://llm.example.org", "http://", "http://[::1"]
)
def test_a_bad_base_url_is_one_sentence_with_what_to_write(base_url) -> None:
    with pytest.raises(ConfigError, match=r"base_url .*; write base_url: https://your-endpoint/v1"):
        PROVIDERS["openai_compatible"](Connection(base_url=base_url))


async def test_openai_has_a_base_url_of_its_own() -> None:
    provider = PROVIDERS["openai"](Connection())
    try:
        assert provider._dialect._url == "https://api.openai.com/v1/chat/completions"
    finally:
        await provider.aclose()
