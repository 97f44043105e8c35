"""Entries that are another endpoint's wire at an address of their own."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import httpx
import pytest
from genai_prices.data import providers as priced

from benchmarks.vendors.llama_cpp import VENDOR
from benchmarks.vendors.serving import answering, serving
from benchmarks.vendors.wire import Said
from driftwatch.domain import Canary, Message, Target
from driftwatch.providers import PROVIDERS, Connection

pytestmark = pytest.mark.anyio

ADDRESSED = sorted(name for name, entry in PROVIDERS.items() if entry.base_url)
CHAT = {
    "cerebras": "https://api.cerebras.ai/v1/chat/completions",
    "deepseek": "https://api.deepseek.com/chat/completions",
    "fireworks": "https://api.fireworks.ai/inference/v1/chat/completions",
    "groq": "https://api.groq.com/openai/v1/chat/completions",
    "llama_cpp": "http://127.0.0.1:8080/v1/chat/completions",
    "ollama": "http://127.0.0.1:11434/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "together": "https://api.together.ai/v1/chat/completions",
    "vllm": "http://127.0.0.1:8000/v1/chat/completions",
    "xai": "https://api.x.ai/v1/chat/completions",
}
"""Address that each vendor's documentation shows."""


@pytest.mark.parametrize("name", ADDRESSED)
def test_an_address_that_is_not_this_machine_is_encrypted(name) -> None:
    url = httpx.URL(PROVIDERS[name].base_url)

    assert url.scheme == "https" or (url.scheme == "http" and ipaddress.ip_address(url.host).is_loopback)
    assert not url.path.endswith("/") or url.path == "/"


@pytest.mark.parametrize("name", CHAT)
async def test_a_preset_asks_at_the_vendors_address(name, monkeypatch, at) -> None:
    asked: list[httpx.Request] = []

    async def hear(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(500, json={"error": {"message": "no"}})

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", hear)
    canary = Canary(id="core/a", suite="core", messages=(Message(role="user", content="Hi."),))
    target = Target(name="a", provider=name, model="m", canaries=(canary,))
    provider = PROVIDERS[name](Connection(base_url=PROVIDERS[name].base_url))

    with pytest.raises(Exception, match="answered 500"):
        await provider.complete(target, canary, repeat=0, at=at)
    await provider.aclose()

    assert [str(request.url) for request in asked] == [CHAT[name]]


def test_prices_are_looked_up_under_a_name_that_the_price_list_knows() -> None:
    known = {provider.id for provider in priced}

    assert {entry.prices for entry in PROVIDERS.values() if entry.prices} <= known


def test_a_server_on_this_machine_needs_no_key_and_has_no_price() -> None:
    for name in ("ollama", "vllm", "llama_cpp"):
        entry = PROVIDERS[name]
        assert replace(entry, about="", base_url=None) == replace(
            PROVIDERS["openai_compatible"], about="", needs_base_url=False
        )


def test_every_hosted_preset_names_its_vendors_variable() -> None:
    hosted = {name: entry for name, entry in PROVIDERS.items() if (entry.base_url or "").startswith("https://")}

    assert all(entry.key_env for entry in hosted.values())
    assert len(hosted) >= 10


@pytest.mark.parametrize(("server", "n_connections"), [("uvicorn", 1), ("llama.cpp", 3)])
async def test_a_server_that_hangs_up_after_a_stream_is_not_asked_on_the_same_connection(
    server, n_connections, target, canary, at
) -> None:
    answer = VENDOR.streams(Said())
    answer = replace(answer, headers={**answer.headers, "server": server})
    async with serving(answering(lambda _: answer)) as listening:
        provider = PROVIDERS["llama_cpp"](Connection(base_url=f"{listening.address}/v1", requests_per_connection=0))
        for repeat in range(3):
            await provider.complete(replace(target, stream=True), canary, repeat=repeat, at=at)
        await provider.aclose()

        assert listening.n_connections == n_connections
