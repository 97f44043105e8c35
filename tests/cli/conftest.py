"""The command line run in process, in directories that a user could have, beside endpoints on this machine."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog

from driftwatch.cli import main

SUITE = """\
suite: support
canaries:
  - id: capital
    reason: a fact
    prompt: What is the capital of France?
    checks: [{contains: Paris}]
  - id: triage
    reason: a format
    prompt: Answer with JSON.
    checks: [{json_valid: true}]
"""

SCRIPT = """\
seed: 11
start: before
personas:
  before:
    served_model: m-1
    answers:
      support/capital: ["Paris.", "It is Paris.", "Paris, France."]
      support/triage: ['{"label": "billing"}', '{"label":"billing"}', '{ "label": "billing" }']
  after:
    served_model: m-1
    answers:
      support/capital: ["To my knowledge the capital would be Lyon", "The French capital city is called Lyon"]
      support/triage: ["```json\\n{\\"label\\": \\"billing\\"}\\n```", "Sure! {label: billing}"]
changes: [{at: 2026-03-08T00:00:00Z, persona: after}]
"""

SIMULATED = """\
simulation: {start: 2026-03-02T00:00:00Z, end: 2026-03-07T12:00:00Z}
store: watch.db
embedder: "off"
canaries: [suite.yaml]
http: {host: 127.0.0.1, port: 0}
log: {level: warning, format: json}
baseline: {anchors: 4, calibration_runs: 20}
alerts: {minimum_reminder_interval: 0s}
receivers: {terminal: {type: console}}
targets:
  support:
    provider: simulated
    model: m
    script: script.yaml
    interval: 6h
    jitter: 0s
    repeats: 2
    burst: false
    receivers: [terminal]
"""
"""Twenty-one runs collect the baseline, one is watched: stable until the script's change."""

STABLE_END, DRIFTED_END = "2026-03-07T12:00:00Z", "2026-03-15T12:00:00Z"

OVER_HTTP = """\
store: watch.db
embedder: "off"
canaries: [suite.yaml]
http: {{host: 127.0.0.1, port: 0}}
baseline: {{calibration_runs: 20}}
targets:
  support:
    provider: openai_compatible
    base_url: {url}
    model: m-1
    attempts: 1
    concurrency: 1
{more}"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """Standard output with every line break a space: tables fold."""
        return " ".join(self.out.split())


@dataclass
class Place:
    """A directory that commands are run in."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "driftwatch.yaml"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert text.count(old) == 1, f"{old!r} is not in {name} exactly once"
        (self.root / name).write_text(text.replace(old, new))

    def rows(self, query: str) -> list[tuple]:
        """Read the database as a stranger with sqlite3 would."""
        with contextlib.closing(sqlite3.connect(f"file:{self.root / 'watch.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()


def call(*arguments: object) -> int:
    """Run the command line in this process; return its exit code."""
    before = sys.argv
    sys.argv = ["driftwatch", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
        structlog.reset_defaults()  # the command pointed it at a captured stream, which ends with the test
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def driftwatch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """``driftwatch("check", "--now")`` → how it ended."""
    monkeypatch.setenv("USER", "ann")
    monkeypatch.delenv("LOGNAME", raising=False)

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = call(*arguments)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished watches in simulated time, made once: ``stable``, and ``drifted`` with an open incident."""
    root = tmp_path_factory.mktemp("watched")
    places = {name: root / name for name in ("stable", "drifted")}
    place = Place(places["stable"])
    for name, content in (("driftwatch.yaml", SIMULATED), ("suite.yaml", SUITE), ("script.yaml", SCRIPT)):
        place.write(name, content)
    for name, path in places.items():
        if name == "drifted":
            shutil.copytree(places["stable"], path)
            Place(path).edit("driftwatch.yaml", STABLE_END, DRIFTED_END)
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
            assert call("serve", "--config", path / "driftwatch.yaml") == 0
        (path / "told.txt").write_text(out.getvalue())
    return places


@pytest.fixture
def enter(watched: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Place]:
    """Copy one of the finished watches and go there."""

    def go(name: str) -> Place:
        root = shutil.copytree(watched[name], tmp_path / name)
        monkeypatch.chdir(root)
        return Place(root)

    return go


@pytest.fixture
def stable(enter: Callable[[str], Place]) -> Place:
    return enter("stable")


@pytest.fixture
def drifted(enter: Callable[[str], Place]) -> Place:
    return enter("drifted")


@dataclass
class Endpoint:
    """A local chat-completions endpoint that counts what it is asked."""

    statuses: dict[int, tuple[int, str, str]] = field(default_factory=dict)
    """Request number, from 1 → status, content type and body, instead of a reply."""
    always: tuple[int, str, str] | None = None
    """The same for every request."""
    hold_at: int | None = None
    """The number of a request that is never answered."""
    prompts: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def n_requests(self) -> int:
        return len(self.prompts)

    def answer(self, prompt: str, key: str | None) -> tuple[int, str, str]:
        self.prompts.append(prompt)
        self.keys.append(key)
        number = len(self.prompts)
        if number == self.hold_at:
            self.held.set()
            self.released.wait(30)
        if number in self.statuses or self.always:
            return self.statuses.get(number) or self.always
        text = '{"label": "billing"}' if "JSON" in prompt else f"Paris{'.' * (number % 3)}"
        reply = {
            "id": f"r-{number}",
            "object": "chat.completion",
            "model": "m-1",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
        return 200, "application/json", json.dumps(reply)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: apart, the second waits 40 ms for the first one's receipt

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers.get("Authorization")
            status, content_type, body = served.answer(asked["messages"][-1]["content"], key)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield served
    served.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def over_http(tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    """Lay out a watch over the local endpoint and go there; ``more`` adds keys to the target."""

    def lay_out(*more: str, url: str | None = None) -> Place:
        place = Place(tmp_path / "over-http")
        lines = "".join(f"    {line}\n" for line in more)
        place.write("driftwatch.yaml", OVER_HTTP.format(url=url or endpoint.url, more=lines))
        place.write("suite.yaml", SUITE)
        monkeypatch.chdir(place.root)
        return place

    return lay_out


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]
