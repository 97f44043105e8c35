"""What every provider promises, asked of every entry of PROVIDERS."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import structlog

from driftwatch.domain import Completion, Outcome
from driftwatch.errors import ConfigError, ProviderError
from driftwatch.providers import PROVIDERS, Connection

pytestmark = pytest.mark.anyio

BODY = b'{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}'
FINE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
ECHO = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: %d\r\n\r\n%b"
SCRIPT = {"start": "only", "personas": {"only": {}}}
FAILING = {**SCRIPT, "faults": [{"from": "2020-01-01", "outcome": "auth"}]}


def test_there_are_providers() -> None:
    assert set(PROVIDERS) == {"openai", "openai_compatible", "simulated"}


@pytest.fixture(params=sorted(PROVIDERS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def connection(server, key) -> Connection:
    server.answers(FINE)
    return Connection(base_url=server.base_url, read_key=lambda: key, script=SCRIPT, timeout_s=5.0)


async def test_a_reply_is_an_ok_completion_of_the_canary_asked(name, connection, target, canary, at) -> None:
    provider = PROVIDERS[name](connection)

    got = await provider.complete(target, canary, repeat=3, at=at)

    assert isinstance(got, Completion)
    assert got.outcome is Outcome.OK
    assert (got.canary_id, got.canary_hash, got.repeat, got.at) == (canary.id, canary.content_hash, 3, at)
    assert got.text
    assert got.latency_s > 0
    assert (got.attempts, got.error, got.id) == (1, None, None)
    await provider.aclose()


async def test_a_failure_is_a_provider_error_with_an_outcome_and_without_the_key(
    name, connection, server, key, target, canary, at
) -> None:
    echo = b"Incorrect API key provided: %b" % key.encode()
    server.answers(ECHO % (len(echo), echo))
    provider = PROVIDERS[name](replace(connection, script=FAILING))

    with structlog.testing.capture_logs() as logs, pytest.raises(ProviderError) as caught:
        await provider.complete(target, canary, repeat=0, at=at)

    assert caught.value.outcome is Outcome.AUTH
    assert key not in f"{caught.value!s} {caught.value!r} {logs}"
    await provider.aclose()


async def test_the_target_and_the_canary_are_not_changed(name, connection, target, canary, at) -> None:
    before = repr(target), repr(canary)
    provider = PROVIDERS[name](connection)

    await provider.complete(target, canary, repeat=0, at=at)

    assert (repr(target), repr(canary)) == before
    await provider.aclose()


async def test_closing_twice_is_no_mistake(name, connection) -> None:
    provider = PROVIDERS[name](connection)

    await provider.aclose()
    await provider.aclose()


@pytest.mark.parametrize("missing", ["openai_compatible", "simulated"])
def test_what_a_provider_needs_and_lacks_is_a_config_error(missing) -> None:
    with pytest.raises(ConfigError, match=r"(base_url|script): .*; write "):
        PROVIDERS[missing](Connection())


def test_a_connection_shows_no_secret(key) -> None:
    connection = Connection(read_key=lambda: key, read_headers=lambda: {"api-key": key})

    assert key not in repr(connection)


def test_naming_the_providers_loads_neither_httpx_nor_pydantic() -> None:
    code = "import sys, driftwatch.providers; print(sorted({'httpx', 'pydantic', 'ruamel.yaml'} & set(sys.modules)))"

    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert got.stdout.strip() == "[]"
