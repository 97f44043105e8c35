"""The demo: the real daemon in simulated time against a provider that serves a known change midway."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from driftwatch.alert.message import compose
from driftwatch.alert.receivers.console import render_text
from driftwatch.app import App
from driftwatch.clock import stopwatch
from driftwatch.config import Settings, load
from driftwatch.domain import Announcement, Incident, Verdict
from driftwatch.errors import UsageError
from driftwatch.providers import PROVIDERS
from driftwatch.shipped import path as shipped
from driftwatch.store import Store
from driftwatch.web import health, server

DATABASE = "demo.db"
CONFIG = "config/demo.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a demo left behind."""

    incidents: tuple[Incident, ...]
    payloads: tuple[dict[str, object], ...]
    """What arrived at the stand-in for Slack, in order."""
    database: Path
    n_runs: int
    n_requests: int
    elapsed_s: float
    messages: tuple[str, ...] = field(default=())
    """The incidents' messages as text."""


def settings_for(directory: Path) -> Settings:
    """The demo's config with its database in ``directory``, which is emptied of an earlier demo's."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for suffix in ("", "-wal", "-shm"):
            (directory / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write in {directory}: {error.strerror}; name another with --dir") from None
    env = {**os.environ, "DRIFTWATCH_STORE": str(directory / DATABASE), "DRIFTWATCH_HTTP": "127.0.0.1:0"}
    return load(shipped(CONFIG), env, providers=PROVIDERS)


async def run(settings: Settings, on_verdict: Callable[[Verdict], None]) -> Outcome:
    """Watch through the simulated weeks.

    Args:
        settings: from ``settings_for``.
        on_verdict: told of every verdict as it is reached.
    """
    elapsed_s = stopwatch()
    with slack_stand_in() as (url, payloads):
        application = App(settings, env={"DEMO_SLACK_WEBHOOK_URL": url}, on_verdict=on_verdict)
        try:
            with server.serving(health.build(application.health), settings.http.host, settings.http.port):
                await application.serve()
            store = application.store
            runs = store.runs()
            incidents = store.incidents()
            messages = tuple(_message(store, incident) for incident in reversed(incidents))
        finally:
            await application.close()
        return Outcome(
            incidents=tuple(incidents),
            payloads=tuple(payloads),
            database=settings.store,
            n_runs=len(runs),
            n_requests=sum(run.n_ok + run.n_failed for run in runs),
            elapsed_s=elapsed_s(),
            messages=messages,
        )


def _message(store: Store, incident: Incident) -> str:
    """The incident's first message as it went out."""
    transitions = store.transitions(incident.id)
    key = store.notifications(incident.id)[0].dedup_key
    opening = Announcement(incident=incident, transition=transitions[0], dedup_key=key, history=transitions)
    return render_text(compose(opening))


@contextmanager
def slack_stand_in() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A local endpoint that takes what would go to Slack.

    Yields:
        Its webhook URL, and the list that payloads are added to.
    """
    payloads: list[dict[str, object]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            payloads.append(json.loads(body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Stay silent: the demo prints what matters."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}/services/demo", payloads
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
