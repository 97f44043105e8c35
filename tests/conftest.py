"""What holds for every test: no network but this machine's own, an environment of known content, one fixed instant.

Fixtures only; nothing is imported from here. The directories below add their own conftest.py.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import freezegun
import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts

# freezegun looks into every loaded module at each freeze: 20 s with a model library among them, and nothing in these
# asks what time it is.
freezegun.configure(
    extend_ignore_list=[
        "huggingface_hub",
        "numpy",
        "scipy",
        "sentence_transformers",
        "sklearn",
        "sympy",
        "tokenizers",
        "torch",
        "transformers",
    ],
)

# The same examples every time, and no failure because a busy machine was slow.
settings.register_profile("driftwatch", derandomize=True, deadline=None)
settings.load_profile("driftwatch")

REMOVED_VARIABLES = (
    "ALL_PROXY",
    "ANTHROPIC_",
    "AWS_",
    "DRIFTWATCH_",
    "FORCE_COLOR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "OPENAI_",
    "OTEL_",
    "SLACK_",
    "TERM_PROGRAM",
)
SET_VARIABLES = {
    "COLUMNS": "120",  # as wide as the expected output
    "HF_HUB_OFFLINE": "1",  # the embedder's weights are on this machine or nowhere
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",  # with two workers on two cores, two threads each are slower than one
    "TOKENIZERS_PARALLELISM": "false",
    "TZ": "Asia/Kathmandu",  # +05:45: a local time taken for UTC cannot hide
}


def set_environment() -> None:
    """Leave in the environment nothing that changes what driftwatch does but what is set here."""
    for name in list(os.environ):
        if name.upper().startswith(REMOVED_VARIABLES):
            del os.environ[name]
    os.environ.update(SET_VARIABLES)


set_environment()  # for session fixtures and for what is read at import
time.tzset()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every test from the same environment, whatever an earlier one left; a test that needs a key sets it."""
    for name in list(os.environ):
        if name.upper().startswith(REMOVED_VARIABLES):
            monkeypatch.delenv(name)
    for name, value in SET_VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def loopback_only() -> None:
    """Refuse every connection that would leave this machine; pytest-socket lifts the ban at the test's end."""
    socket_allow_hosts(["127.0.0.0/8", "::1"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """Leave no test the levels and the stream that another one configured, in this process, by calling the program."""
    yield
    if structlog := sys.modules.get("structlog"):
        structlog.reset_defaults()


@pytest.fixture
def at() -> datetime:
    """One fixed instant: a Monday, noon, UTC."""
    return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def debian_program() -> Callable[[str], Path]:
    """Where a program of the Debian packages is, e.g. ``promtool``: ``.venv/debian/usr/bin/promtool``.

    ``scripts/install.py dev`` unpacks them there. Without one the test is skipped; in CI it fails.
    """

    def find(name: str) -> Path:
        unpacked = Path(sys.prefix) / "debian" / "usr" / "bin" / name
        if unpacked.exists():
            return unpacked
        if found := shutil.which(name):
            return Path(found)
        if os.environ.get("CI"):
            pytest.fail(f"{unpacked} is missing: scripts/install.py dev unpacks it")
        pytest.skip(f"no {name} here: scripts/install.py dev unpacks it where there is apt")

    return find


class StandIn:
    """A local HTTP endpoint that takes what Slack would."""

    def __init__(self) -> None:
        self.payloads: list[dict[str, object]] = []
        self.statuses: list[int] = []
        """Statuses to answer with, first to last; then 200."""
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status = stand_in.statuses.pop(0) if stand_in.statuses else 200
                if status == 200:
                    stand_in.payloads.append(json.loads(body))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def slack() -> Iterator[StandIn]:
    """Somewhere on this machine for the real Slack client to post to."""
    stand_in = StandIn()
    yield stand_in
    stand_in.close()
