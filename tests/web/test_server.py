"""Starting and stopping the server beside the watch."""

from __future__ import annotations

import os
import signal
import socket
import threading

import httpx
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from driftwatch.clock import stopwatch
from driftwatch.errors import ConfigError
from driftwatch.web.server import STOP_WAIT_S, serving

INSTEAD = "write another address under `http:`, or set DRIFTWATCH_HTTP=127.0.0.1:0 for any free port"
APPLICATION = Starlette()


def http_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "http"]


def test_it_answers_from_the_first_moment_on_and_not_after_the_last():
    with serving(APPLICATION, "127.0.0.1", 0) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/x").status_code == 404
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/x")


def test_it_listens_on_the_port_it_is_given_and_says_so(free_port):
    with capture_logs() as logs, serving(APPLICATION, "127.0.0.1", free_port) as port:
        assert port == free_port
    assert logs == [{"event": "http.listening", "host": "127.0.0.1", "port": free_port, "log_level": "info"}]


def test_it_listens_on_ipv6_too():
    with serving(APPLICATION, "::1", 0) as port:
        assert httpx.get(f"http://[::1]:{port}/x").status_code == 404


def test_a_port_in_use_is_told_in_one_sentence():
    with (
        serving(APPLICATION, "127.0.0.1", 0) as port,
        pytest.raises(ConfigError) as told,
        serving(APPLICATION, "127.0.0.1", port),
    ):
        pytest.fail("two servers on one port")
    assert str(told.value) == f"http: cannot listen on 127.0.0.1:{port}: address already in use; {INSTEAD}"
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    ("host", "port", "sentence"),
    [
        ("a..b", 8077, "cannot listen on a..b:8077: the host is not known"),
        ("::zz", 8077, "cannot listen on [::zz]:8077: the host is not known"),
        ("192.0.2.1", 8077, "cannot listen on 192.0.2.1:8077: cannot assign requested address"),
        ("127.0.0.1", 70_000, "cannot listen on 127.0.0.1:70000: the port is out of range"),
        ("127.0.0.1", -1, "cannot listen on 127.0.0.1:-1: the port is out of range"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_told_in_one_sentence(host, port, sentence):
    with pytest.raises(ConfigError) as told, serving(APPLICATION, host, port):
        pytest.fail("it listens")
    assert str(told.value) == f"http: {sentence}; {INSTEAD}"
    assert http_threads() == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        # Whoever may listen on every port, as root does, cannot provoke the first for real.
        (
            PermissionError(13, "Permission denied (while attempting to bind on address ('127.0.0.1', 80))"),
            "permission denied",
        ),
        (UnicodeError("label empty or too long"), "not an address"),
        (OSError("no text"), "the host is not known"),
    ],
)
def test_what_the_system_refuses_is_told_once_and_in_plain_words(monkeypatch, error, reason):
    def refuse(*_args, **_options):
        raise error

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ConfigError) as told, serving(APPLICATION, "127.0.0.1", 80):
        pytest.fail("it listens")
    assert str(told.value) == f"http: cannot listen on 127.0.0.1:80: {reason}; {INSTEAD}"


def test_it_leaves_signals_to_the_daemon():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("term"))
    try:
        with serving(APPLICATION, "127.0.0.1", 0) as port:
            assert httpx.get(f"http://127.0.0.1:{port}/x").status_code == 404
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == ["term"]
            assert httpx.get(f"http://127.0.0.1:{port}/x").status_code == 404
    finally:
        signal.signal(signal.SIGTERM, before)
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_it_stops_within_seconds_though_a_client_hangs_on():
    elapsed_s = stopwatch()
    with serving(APPLICATION, "127.0.0.1", 0) as port:
        idle = socket.create_connection(("127.0.0.1", port))
        half_a_request = socket.create_connection(("127.0.0.1", port))
        half_a_request.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        keeping = httpx.Client(base_url=f"http://127.0.0.1:{port}")
        assert keeping.get("/x").status_code == 404
    stopped_s = elapsed_s()
    for client in (idle, half_a_request, keeping):
        client.close()
    assert stopped_s < STOP_WAIT_S
    assert http_threads() == []


def test_it_stops_when_the_watch_ends_in_an_error():
    with pytest.raises(RuntimeError, match="the watch ended"), serving(APPLICATION, "127.0.0.1", 0):
        raise RuntimeError("the watch ended")
    assert http_threads() == []


def test_the_same_port_can_be_listened_on_again_at_once(free_port):
    for _ in range(3):
        with serving(APPLICATION, "127.0.0.1", free_port):
            assert httpx.get(f"http://127.0.0.1:{free_port}/x").status_code == 404
