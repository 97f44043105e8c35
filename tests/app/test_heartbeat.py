"""The heartbeat, against a real HTTP server: sent while all is well, missed when it is not, secret in any case."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from structlog.testing import capture_logs

from driftwatch.config import missing_secrets
from driftwatch.errors import ConfigError, DriftwatchError, StoreError
from driftwatch.upkeep import Heartbeat


class Listener:
    """Keeps what it is asked, and answers with a status."""

    def __init__(self) -> None:
        self.asked, self.status, self.location = [], 200, ""
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                listener.asked.append((self.command, self.path, dict(self.headers), body))
                self.send_response(listener.status)
                if listener.location:
                    self.send_header("Location", listener.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_HEAD = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ping/5ecre7-uu1d"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.close()


def problems(logs, level):
    return [line["problem"] for line in logs if line["event"] == "heartbeat.failed" and line["log_level"] == level]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_ping_says_that_driftwatch_is_alive_and_nothing_else(listener, method):
    asyncio.run(Heartbeat(lambda: listener.url, method=method).ping())
    [(asked, path, headers, body)] = listener.asked
    assert (asked, path, body) == (method, "/ping/5ecre7-uu1d", b"")
    assert headers["User-Agent"].startswith("driftwatch/")


def test_a_redirect_is_not_followed_since_it_would_carry_the_ping_elsewhere(listener):
    listener.status, listener.location = 302, f"{listener.url}/elsewhere"
    beat = Heartbeat(lambda: listener.url)
    with capture_logs() as logs:
        asyncio.run(beat.ping())
    assert len(listener.asked) == 1
    assert beat.n_sent == 0
    assert problems(logs, "warning") == ["it was answered with status 302"]


def test_it_pings_once_per_interval(listener):
    beat = Heartbeat(lambda: listener.url, interval_s=60.0)

    async def pings():
        for _ in range(3):
            await beat.ping()
        beat._since_ping = lambda: 59.5
        await beat.ping()

    asyncio.run(pings())
    assert len(listener.asked) == beat.n_sent == 2


def test_a_failure_is_a_warning_once_and_never_names_the_url(listener, logs):
    beat = Heartbeat(lambda: listener.url, interval_s=0.0)

    async def pings():
        listener.status = 500
        await beat.ping()
        await beat.ping()
        listener.status = 200
        await beat.ping()

    asyncio.run(pings())
    assert problems(logs, "warning") == ["it was answered with status 500"]
    assert problems(logs, "debug") == ["it was answered with status 500"]
    assert [line["event"] for line in logs][-1] == "heartbeat.resumed"
    assert "5ecre7" not in str(logs)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:9/5ecre7", "it could not be reached (ConnectError)"),
        ("nonsense 5ecre7", "it could not be reached (UnsupportedProtocol)"),
        ("http://5ecre7:port/", "it could not be reached (InvalidURL)"),
        (None, "its URL is not set; set the variable that heartbeat.url_env names"),
    ],
)
def test_whatever_is_wrong_with_the_url_is_said_without_it(url, problem, logs):
    asyncio.run(Heartbeat(lambda: url).ping())
    assert problems(logs, "warning") == [problem]
    assert "5ecre7" not in str(logs)


def test_a_secret_that_cannot_be_read_is_told_by_its_place(logs):
    def read():
        raise ConfigError(
            "the secret is empty", file="/run/secrets/heartbeat", instead="write the secret into the file"
        )

    asyncio.run(Heartbeat(read).ping())
    assert problems(logs, "warning") == ["/run/secrets/heartbeat: the secret is empty; write the secret into the file"]


# ---------------------------------------------------------------- in the running program

TOP = "heartbeat: {url_env: BEAT_URL, interval: 0s, method: POST}"


async def tick(app, place):
    await app._tick(place.clock.now())
    await asyncio.gather(*(task for _, task in app._in_flight.values()), return_exceptions=True)
    await asyncio.gather(*app._caretaker._under_way)


def test_every_tick_beats_while_the_store_can_be_written(place, local, endpoint, listener):
    place.env["BEAT_URL"] = listener.url
    app = place.app({"a": local}, TOP)

    async def work():
        await tick(app, place)
        await tick(app, place)
        n_well = len(listener.asked)
        check, app.store.check_writable = app.store.check_writable, fail
        app._caretaker.upkeep._since_proof = None
        await tick(app, place)
        n_ill = len(listener.asked)
        app.store.check_writable = check
        await tick(app, place)
        return n_well, n_ill, len(listener.asked)

    assert place.use(app, work) == (2, 2, 3), "a watch that cannot store says nothing, and is missed"


def fail():
    raise StoreError("the file was locked by another program for 10 s")


def test_a_check_from_cron_beats_once(place, local, endpoint, listener):
    place.env["BEAT_URL"] = listener.url
    app = place.app({"a": local}, TOP)
    place.use(app, lambda: app.run_due(["a"]))
    assert len(listener.asked) == 1


def test_a_check_whose_run_breaks_off_does_not_beat(place, local, endpoint, listener, monkeypatch):
    place.env["BEAT_URL"] = listener.url
    app = place.app({"a": local}, TOP)

    async def break_off(*_, **__):
        raise DriftwatchError("no")

    monkeypatch.setattr(app.pipeline, "run", break_off)
    with pytest.raises(DriftwatchError):
        place.use(app, lambda: app.run_due(["a"]))
    assert listener.asked == []


def test_simulated_time_has_no_heart(place, simulated, listener):
    place.env["BEAT_URL"] = listener.url
    top = f"{TOP}\nsimulation: {{start: 2026-03-02T00:00:00Z, end: 2026-03-02T03:00:00Z}}"
    app = place.app({"a": simulated}, top, clock=None)
    place.use(app, app.serve)
    assert listener.asked == []


def test_a_url_that_is_not_set_is_named_by_validate_and_doctor(place, local):
    settings = place.settings({"a": local}, TOP)
    [missing] = missing_secrets(settings, {})
    assert (missing.about, missing.key) == ("heartbeat", "heartbeat.url_env")
    assert missing.sentence == "environment variable BEAT_URL is not set; set it before driftwatch starts"
