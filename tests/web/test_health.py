"""Liveness and readiness over real HTTP: exact status and exact body in every state of the daemon."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftwatch import __version__
from driftwatch.app import Health

WELL = Health(is_alive=True, is_ready=True, detail="ok", last_tick_age_s=1.26, targets=3, runs_in_flight=1)
NOT_STARTED = replace(
    WELL, is_alive=False, is_ready=False, detail="the scheduler has not started", last_tick_age_s=None, runs_in_flight=0
)
STALLED = replace(WELL, is_alive=False, is_ready=False, detail="the scheduler is stalled", last_tick_age_s=300.04)
NO_STORE = replace(WELL, is_ready=False, detail="the database watch.db does not answer")
PAUSED = replace(WELL, paused={"shop": "paused by its budget until Tue 3 Mar 00:00 UTC"})


@pytest.mark.parametrize("state", [WELL, PAUSED, NOT_STARTED, STALLED, NO_STORE], ids=lambda state: state.detail)
def test_each_state_is_told_exactly(daemon, state):
    daemon.state = state
    for path, is_fine in (("/healthz", state.is_alive), ("/readyz", state.is_ready)):
        answer = daemon.client.get(path)
        assert answer.status_code == (200 if is_fine else 503)
        assert answer.json() == {
            "status": "ok" if is_fine else "unavailable",
            "detail": state.detail,
            "version": __version__,
            "last_tick_age_s": {None: None, 1.26: 1.3, 300.04: 300.0}[state.last_tick_age_s],
            "targets": 3,
            "runs_in_flight": state.runs_in_flight,
            "paused": dict(state.paused),
        }
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"


def test_a_lost_store_asks_for_no_traffic_and_not_for_a_restart(daemon):
    daemon.state = NO_STORE
    assert daemon.client.get("/healthz").status_code == 200
    assert daemon.client.get("/readyz").status_code == 503


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/"])
def test_head_answers_as_get_without_a_body(daemon, path):
    daemon.state = NO_STORE
    got, head = daemon.client.get(path), daemon.client.head(path)
    assert head.status_code == got.status_code
    assert head.headers["content-length"] == got.headers["content-length"]
    assert head.content == b""


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(daemon, path, method):
    assert daemon.client.request(method, path).status_code == 405


@pytest.mark.parametrize("path", ["/nothing", "/healthz/x", "/metrics", "/..%2f..%2fetc/passwd", "/docs"])
def test_an_unknown_path_is_not_found(daemon, path):
    assert daemon.client.get(path).status_code == 404


def test_the_front_page_names_the_version_and_both_paths(daemon):
    answer = daemon.client.get("/")
    assert answer.status_code == 200
    assert answer.text.startswith(f"driftwatch {__version__}\n")
    assert "/healthz" in answer.text
    assert "/readyz" in answer.text


def test_the_state_is_asked_anew_for_every_request(daemon):
    assert daemon.client.get("/healthz").status_code == 200
    daemon.state = STALLED
    assert daemon.client.get("/healthz").status_code == 503
    daemon.state = WELL
    assert daemon.client.get("/healthz").status_code == 200


def test_a_fault_of_ours_is_a_500_without_details_and_the_server_lives_on(daemon):
    daemon.error = RuntimeError("secret-path-of-the-store")
    answer = daemon.client.get("/healthz", headers={"Connection": "close"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    daemon.error = None
    assert daemon.client.get("/healthz").status_code == 200
