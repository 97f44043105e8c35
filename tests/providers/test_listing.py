"""Lists of models: the documents that vendors send, and the one request that asks for them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from benchmarks.vendors.serving import answering, serving
from benchmarks.vendors.wire import Answer
from driftwatch.domain import Canary, Listing, Message, Target
from driftwatch.errors import ProviderError
from driftwatch.lifecycle import announced
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.listing import WITHOUT, Lists, address, is_absent, read
from driftwatch.providers.simulated import Simulated

pytestmark = pytest.mark.anyio

DAY = date(2027, 1, 31)
KEY = "sk-0123456789abcdef"


def watched(provider="openai_compatible", model="m-1", **fields):
    return Target(name="t", provider=provider, model=model, canaries=(), **fields)


@pytest.mark.parametrize(
    ("document", "model", "expected"),
    [
        ({"object": "list", "data": [{"id": "m-1", "shutdown_date": None}]}, "m-1", Listing(is_listed=True)),
        ({"data": [{"id": "m-1", "shutdown_date": "2027-01-31"}]}, "m-1", Listing(is_listed=True, retires_on=DAY)),
        (
            {
                "data": [
                    {"id": "m-0", "deprecation": "2026-12-31T12:00:00Z"},
                    {
                        "id": "m-2501",
                        "aliases": ["m-1", "m-latest"],
                        "deprecation": "2027-01-31T12:00:00Z",
                        "deprecation_replacement_model": "m-2512",
                    },
                ]
            },
            "m-1",
            Listing(is_listed=True, retires_on=DAY, replacement="m-2512"),
        ),
        (
            {"data": [{"id": "v/m-1", "canonical_slug": "v/m-1-0101", "expiration_date": "2027-01-31"}]},
            "v/m-1-0101",
            Listing(is_listed=True, retires_on=DAY),
        ),
        (
            {"type": "model", "id": "m-1-0101", "lifecycle": "deprecated", "retires_at": "2027-01-31T00:00:00Z"},
            "m-1",
            Listing(is_listed=True, is_deprecated=True, retires_on=DAY),
        ),
        (
            {"type": "model", "id": "m-1", "lifecycle": "retired", "retires_at": "2027-01-31T00:00:00Z"},
            "m-1",
            Listing(is_listed=False, retires_on=DAY),
        ),
        ({"models": [{"name": "models/m-1", "version": "001"}]}, "m-1", Listing(is_listed=True)),
        ({"models": [{"name": "models/m-1"}]}, "models/m-1", Listing(is_listed=True)),
        (
            {"models": [{"name": "m-1", "is_deprecated": True}], "next_page_token": "p2"},
            "m-1",
            Listing(is_listed=True, is_deprecated=True),
        ),
        ({"data": [{"id": "llama3.2:latest"}]}, "llama3.2", Listing(is_listed=True)),
        ({"data": [{"id": "m-2"}]}, "m-1", Listing(is_listed=False)),
        ({"models": [{"name": "m-2"}], "next_page_token": ""}, "m-1", Listing(is_listed=False)),
        ({"data": [{"id": "m-1", "deprecation": {"inference": 1_709_284_527}}]}, "m-1", Listing(is_listed=True)),
        ({"data": [{"id": "m-1", "aliases": "m", "shutdown_date": "soon"}]}, "m-1", Listing(is_listed=True)),
        ([{"id": "m-1", "object": "model"}], "m-1", Listing(is_listed=True)),
    ],
    ids=[
        *("openai", "openai with a day", "mistral", "openrouter", "anthropic", "anthropic, retired", "gemini"),
        *("gemini, whole name", "cohere", "ollama", "missing", "missing, last page", "azure's field", "odd fields"),
        "together",
    ],
)
def test_each_vendors_document_is_understood(document, model, expected):
    assert read(document, model, say=str) == expected


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "no",
        {},
        {"data": []},
        {"data": ["m-1"]},
        {"data": [{"id": "m-2"}], "has_more": True},
        {"models": [{"name": "m-2"}], "nextPageToken": "p2"},
        {"models": [{"name": "m-2"}], "next_page_token": "p2"},
        {"data": [{"id": "m-2"}], "links": {"next": "/models?offset=500"}},
    ],
    ids=str,
)
def test_a_list_that_is_empty_broken_or_goes_on_does_not_say_that_a_model_is_missing(document):
    assert read(document, "m-1", say=str) is None


@pytest.mark.parametrize(
    ("provider", "model", "url"),
    [
        ("openai", "m", "https://api.openai.com/v1/models"),
        ("openai_responses", "m", "https://api.openai.com/v1/models"),
        ("mistral", "m", "https://api.mistral.ai/v1/models"),
        ("openrouter", "v/m", "https://openrouter.ai/api/v1/models"),
        ("anthropic", "m", "https://api.anthropic.com/v1/models/m"),
        ("gemini", "m", "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000"),
        ("cohere", "m", "https://api.cohere.com/v1/models?page_size=1000"),
        ("ollama", "m", "http://127.0.0.1:11434/v1/models"),
    ],
)
def test_each_vendors_list_has_its_address(provider, model, url):
    assert address(watched(provider, model), PROVIDERS[provider].base_url) == url


def test_a_key_in_the_query_stays_and_a_model_is_quoted():
    assert address(watched(), "https://x.example.org/v1?key=k") == "https://x.example.org/v1/models?key=k"
    assert address(watched("anthropic", "a/b"), "https://x.example.org/") == "https://x.example.org/v1/models/a%2Fb"


@pytest.mark.parametrize("provider", sorted(WITHOUT))
def test_providers_without_a_list_for_every_key_are_not_asked(provider):
    assert provider in PROVIDERS
    assert address(watched(provider), "https://x.example.org") is None


def test_a_simulated_endpoint_has_no_list():
    assert not isinstance(Simulated(Connection(script={"personas": {"a": {}}, "start": "a"})), Lists)


def opened(base_url, provider="openai_compatible"):
    endpoint = PROVIDERS[provider](Connection(base_url=base_url, read_key=lambda: KEY))
    assert isinstance(endpoint, Endpoint)
    assert isinstance(endpoint, Lists)
    return endpoint


def says(document, status=200):
    headers = {"content-type": "application/json"}
    return answering(lambda _: Answer(status=status, headers=headers, pieces=(json.dumps(document).encode(),)))


async def test_one_get_with_the_key_asks_for_the_list():
    async with serving(says({"data": [{"id": "m-1", "shutdown_date": "2027-01-31"}]})) as server:
        endpoint = opened(f"{server.address}/v1")
        assert await endpoint.listed(watched()) == Listing(is_listed=True, retires_on=DAY)
        await endpoint.aclose()
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("GET", "/v1/models", b"")
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_a_key_that_is_sent_back_is_not_told():
    document = {"data": [{"id": "m-1", "deprecation_replacement_model": f"use {KEY}"}]}
    async with serving(says(document)) as server:
        endpoint = opened(f"{server.address}/v1")
        assert KEY not in (await endpoint.listed(watched())).replacement
        await endpoint.aclose()


@pytest.mark.parametrize(("status", "document"), [(404, {"detail": "Not Found"}), (401, {}), (500, {})])
async def test_a_list_that_cannot_be_read_is_an_error_and_no_statement(status, document):
    async with serving(says(document, status)) as server:
        endpoint = opened(f"{server.address}/v1")
        with pytest.raises(ProviderError, match=f"the list of models answered {status}"):
            await endpoint.listed(watched())
        await endpoint.aclose()


async def test_a_server_that_is_away_is_an_error():
    async with serving(says({})) as server:
        address = server.address
    endpoint = opened(f"{address}/v1")
    with pytest.raises(ProviderError, match="the list of models could not be read"):
        await endpoint.listed(watched())
    await endpoint.aclose()


def test_a_page_that_is_no_json_does_not_say_that_a_model_is_missing():
    for body in (b"<html>", b"[" * 100_000, b"\xff"):
        assert not is_absent(watched("anthropic"), 404, body)


async def test_where_one_model_is_asked_for_its_absence_is_an_error_of_its_own():
    gone = {"type": "error", "error": {"type": "not_found_error", "message": "model: m-1"}}
    for document, expected in ((gone, Listing(is_listed=False)), ({"detail": "Not Found"}, None), ([], None)):
        async with serving(says(document, 404)) as server:
            endpoint = opened(server.address, "anthropic")
            if expected is None:
                with pytest.raises(ProviderError, match="answered 404"):
                    await endpoint.listed(watched("anthropic"))
            else:
                assert await endpoint.listed(watched("anthropic")) == expected
            await endpoint.aclose()
        assert server.requests[0].path == "/v1/models/m-1"
        assert "anthropic-version" in server.requests[0].headers


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"modelStage": "LEGACY", "retirementTime": "2027-01-31T00:00:00Z"},
            "deprecation: stage legacy; retirement 31 Jan 2027",
        ),
        ({"modelStage": "STABLE", "message": "fine"}, None),
        ("odd", None),
    ],
)
async def test_what_a_gemini_reply_says_of_its_models_end_is_kept_like_a_header(status, words):
    document = {
        "candidates": [{"content": {"parts": [{"text": "Paris."}]}, "finishReason": "STOP"}],
        "modelStatus": status,
    }
    canary = Canary(id="s/a", suite="s", messages=(Message(role="user", content="?"),))
    async with serving(says(document)) as server:
        endpoint = opened(f"{server.address}/v1beta", "gemini")
        at = datetime(2026, 3, 16, tzinfo=UTC)
        completion = await endpoint.complete(watched("gemini"), canary, repeat=0, at=at)
        await endpoint.aclose()
    assert announced(completion.headers) == words
