"""Where Vertex AI serves generateContent, and whose token it is asked with."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.vendors.serving import Request, Server, answering, serving
from benchmarks.vendors.vertex import VENDOR
from benchmarks.vendors.wire import Answer, Heard, Said
from driftwatch.domain import Completion, Json, Outcome
from driftwatch.errors import ConfigError, ProviderError
from driftwatch.providers import Connection
from driftwatch.providers.vertex import Vertex, host, open_provider

pytestmark = pytest.mark.anyio

OPTIONS = {"project": "watch-1"}


def address(target, options=OPTIONS, base_url=None, **changed) -> str:
    return Vertex(Connection(options=options, base_url=base_url)).url(replace(target, **changed))


# ---------------------------------------------------------------- where


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
    ],
)
def test_a_location_has_its_host(location, expected) -> None:
    assert host(location) == expected


def test_without_a_location_the_world_is_asked(target) -> None:
    assert address(target, model="gemini-3-pro") == (
        "https://aiplatform.googleapis.com/v1/projects/watch-1/locations/global"
        "/publishers/google/models/gemini-3-pro:generateContent"
    )


def test_a_stream_in_a_region(target) -> None:
    got = address(target, {**OPTIONS, "location": "europe-west4"}, model="gemini-3-pro", stream=True)

    assert got == (
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/watch-1/locations/europe-west4"
        "/publishers/google/models/gemini-3-pro:streamGenerateContent?alt=sse"
    )


def test_a_name_with_a_slash_says_itself_whose_model_it_is(target) -> None:
    got = address(target, model="endpoints/4711", base_url="https://gate.example.org/v1")

    assert got == "https://gate.example.org/v1/projects/watch-1/locations/global/endpoints/4711:generateContent"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "options.project: project is missing; write project: the id of your Google Cloud project"),
        (
            {"project": "a/b"},
            "options.project: 'a/b' is no project; write project: the id of your Google Cloud project",
        ),
        (
            {"project": "a", "location": "x.org#"},
            "options.location: 'x.org#' is no location; write location: a region such as europe-west4, or global",
        ),
    ],
)
def test_an_option_that_is_missing_or_would_lead_elsewhere_is_told(options, sentence) -> None:
    with pytest.raises(ConfigError) as caught:
        open_provider(Connection(options=options))

    assert str(caught.value) == sentence


# ---------------------------------------------------------------- with what


async def test_a_configured_key_is_the_token(key) -> None:
    got = await Vertex(Connection(options=OPTIONS)).authorise(key, url="", body=b"")

    assert got == {"Authorization": f"Bearer {key}"}


def test_a_missing_library_is_told_with_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth.transport.requests", None)

    with pytest.raises(ConfigError, match=r"needs google-auth; install it with: pip install 'driftwatch\[vertex\]'"):
        open_provider(Connection(options=OPTIONS))


async def test_with_a_configured_key_no_library_is_needed(monkeypatch, key) -> None:
    monkeypatch.setitem(sys.modules, "google.auth.transport.requests", None)

    await open_provider(Connection(options=OPTIONS, read_key=lambda: key)).aclose()


@dataclass
class Identity:
    """A service account, the server that gives it tokens, and Vertex AI itself."""

    ask: Callable[[], object]
    lives_s: int = 3600
    refused: Json = None
    keys: list[str | None] = field(default_factory=list)
    n_tokens: int = 0
    grants: list[str] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)

    def give(self, request: Request) -> Answer:
        """One token."""
        self.grants.append(parse_qs(request.body.decode())["grant_type"][0])
        headers = {"content-type": "application/json"}
        if self.refused is not None:
            return Answer(status=400, headers=headers, pieces=(json.dumps(self.refused).encode(),))
        self.n_tokens += 1
        told = {"access_token": f"ya29.token-{self.n_tokens}", "expires_in": self.lives_s, "token_type": "Bearer"}
        return Answer(headers=headers, pieces=(json.dumps(told).encode(),))

    def serve(self, request: Request) -> Answer:
        """One reply."""
        heard: Heard = VENDOR.hears(request.path, request.headers, request.body)
        self.keys.append(heard.key)
        return VENDOR.says(Said())


@pytest.fixture(scope="module")
def private_key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


@pytest.fixture
async def identity(private_key, target, canary, at, tmp_path, monkeypatch) -> AsyncIterator[Identity]:
    async def ask() -> Completion:
        return await provider.complete(target, canary, repeat=0, at=at)

    acting = Identity(ask)
    async with serving(answering(acting.give)) as tokens, serving(answering(acting.serve)) as vertex:
        acting.servers = [tokens, vertex]
        account = {
            "type": "service_account",
            "client_email": "watch@watch-1.iam.gserviceaccount.com",
            "private_key": private_key,
            "private_key_id": "1",
            "token_uri": f"{tokens.address}/token",
            "project_id": "watch-1",
        }
        file = tmp_path / "account.json"
        file.write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        connection = Connection(base_url=vertex.address + VENDOR.base_path, options=VENDOR.options, timeout_s=10.0)
        provider = open_provider(connection)
        yield acting
        await provider.aclose()


async def test_many_requests_at_once_fetch_one_token_and_share_it(identity) -> None:
    await asyncio.gather(*(identity.ask() for _ in range(5)))
    await identity.ask()

    assert identity.keys == ["ya29.token-1"] * 6
    assert identity.grants == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]


async def test_a_token_that_expires_is_replaced(identity) -> None:
    identity.lives_s = 1  # google-auth counts the last minutes of a token as expired

    await identity.ask()
    await identity.ask()

    assert identity.keys == ["ya29.token-1", "ya29.token-2"]


async def test_the_project_that_pays_is_named(identity, monkeypatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "payer-1")

    await identity.ask()

    (request,) = identity.servers[1].requests
    assert request.headers["x-goog-user-project"] == "payer-1"


async def test_refused_credentials_are_told_with_what_to_do(identity) -> None:
    identity.refused = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}

    with pytest.raises(ProviderError, match=r"refuses the credentials; run gcloud auth .*invalid_grant") as caught:
        await identity.ask()

    assert caught.value.outcome is Outcome.AUTH
    assert identity.keys == []


async def test_a_token_server_that_is_away_is_a_connection_that_failed(identity, unused_address, tmp_path) -> None:
    file = tmp_path / "account.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "token_uri": f"{unused_address}/token"}))

    with pytest.raises(ProviderError, match="no access token from Google") as caught:
        await identity.ask()

    assert caught.value.outcome is Outcome.CONNECTION


@pytest.fixture
async def unused_address() -> str:
    async with serving(answering(lambda _: Answer())) as server:
        return server.address


async def test_missing_credentials_are_told_with_what_to_do(target, canary, at, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    provider = open_provider(Connection(options=OPTIONS))

    with pytest.raises(ProviderError, match="no usable Google credentials; run gcloud auth application-default login"):
        await provider.complete(target, canary, repeat=0, at=at)
    await provider.aclose()


@pytest.mark.parametrize("content", ["no json", "{}", '{"type": "service_account"}'])
async def test_a_broken_key_file_is_an_answer_and_no_crash(
    content, target, canary, at, tmp_path: Path, monkeypatch
) -> None:
    file = tmp_path / "account.json"
    file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    provider = open_provider(Connection(options=OPTIONS))

    with pytest.raises(ProviderError, match="no usable Google credentials") as caught:
        await provider.complete(target, canary, repeat=0, at=at)

    assert caught.value.outcome is Outcome.AUTH
    await provider.aclose()
