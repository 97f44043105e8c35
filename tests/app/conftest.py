"""The program over config files in a directory, a clock moved by hand, and an endpoint on this machine."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from driftwatch.app import App
from driftwatch.config import Settings, load
from driftwatch.providers import PROVIDERS

SUITE = """
suite: shop
canaries:
  - {id: capital, reason: a fact, prompt: What is the capital of France?}
  - {id: refund, reason: a policy, prompt: How long can I return an order?}
"""
SCRIPT = """
start: before
personas:
  before:
    answers:
      shop/capital: ["Paris.", "It is Paris.", "Paris, France."]
      shop/refund: ["Within 30 days.", "You have 30 days.", "30 days from delivery."]
  after:
    answers:
      shop/capital: ["To my knowledge the capital would be Paris", "The French capital is called Paris"]
      shop/refund: ["I cannot say, please consult the terms.", "Please look at the terms and conditions."]
"""
TOP = """\
store: watch.db
embedder: "off"
canaries: [suites]
log: {level: warning, format: json}
baseline: {anchors: 2, calibration_runs: 20}
"""


class HandClock:
    """A clock that meets the protocol and is moved by the test; far in the past, so that nothing is waited for."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep_until(self, _at: datetime) -> None:
        raise AssertionError("only simulated time is waited for by jumping")


class Endpoint:
    """A chat-completions endpoint on this machine that can be slow, broken, or hang until it is let go."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.delay_s = 0.0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint._begin(body, self.headers)
                time.sleep(endpoint.delay_s)
                status = endpoint.status
                choice = {"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
                reply = {"id": "c-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}
                payload = json.dumps(reply if status == 200 else {"error": {"message": "busy"}}).encode()
                endpoint._end()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(payload)))
                    self.end_headers()
                    self.wfile.write(payload)
                except OSError:
                    self.close_connection = True  # the other side has given up

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def _begin(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        with self._lock:
            self.asked.append({**body, "key": headers.get("Authorization")})
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def _end(self) -> None:
        with self._lock:
            self._at_once -= 1

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Place:
    """A directory with a config in it, and programs started from it."""

    def __init__(self, root: Path, at: datetime) -> None:
        self.root = root
        self.clock = HandClock(at)
        self.lines: list[str] = []
        self.env: dict[str, str] = {}
        (root / "suites").mkdir()
        (root / "suites" / "shop.yaml").write_text(SUITE)
        (root / "script.yaml").write_text(SCRIPT)

    def settings(self, targets: str | Mapping[str, Mapping[str, Any]], top: str = "") -> Settings:
        """Read the config that a user would have written."""
        written = targets if isinstance(targets, str) else f"targets: {json.dumps(targets)}"
        kept = "".join(f"{line}\n" for line in TOP.splitlines() if line.split(":")[0] not in top)
        (self.root / "driftwatch.yaml").write_text(f"{kept}{top}\n{written}\n")
        return load(self.root / "driftwatch.yaml", self.env, providers=PROVIDERS)

    def app(self, targets: str | Mapping[str, Mapping[str, Any]], top: str = "", **options: Any) -> App:
        given = {"env": self.env, "clock": self.clock, "write": self.lines.append, **options}
        return App(self.settings(targets, top), **given)

    def use(self, app: App, work: Callable[[], Awaitable[Any]], *, timeout_s: float = 20.0) -> Any:
        """Run ``work`` beside the program's own loop and release everything, as the command line does."""

        async def inside() -> Any:
            try:
                return await asyncio.wait_for(work(), timeout_s)
            finally:
                await app.close()

        return asyncio.run(inside())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    # Early: APScheduler compares with the machine's own clock, and what is past is not waited for.
    return Place(tmp_path, datetime(2021, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def logs() -> Iterator[Sequence[Mapping[str, Any]]]:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def simulated() -> dict[str, Any]:
    """A target whose endpoint is the script beside the config."""
    return {"provider": "simulated", "model": "m", "script": "script.yaml", "interval": "1h", "jitter": "0s"}


@pytest.fixture
def local(endpoint: Endpoint) -> dict[str, Any]:
    """A target whose endpoint is on this machine, run every minute."""
    return {
        "provider": "openai_compatible",
        "model": "m",
        "base_url": endpoint.url,
        "interval": "60s",
        "jitter": "0s",
        "attempts": 1,
    }
