"""``driftwatch serve``: the daemon from start to a clean stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest


def test_a_simulation_runs_to_its_end_and_tells_its_receivers(watched):
    told = (watched["drifted"] / "told.txt").read_text()

    assert (watched["stable"] / "told.txt").read_text() == ""
    assert told.count("Drift: support") == 1
    assert "driftwatch rebaseline support --preview" in told


def test_it_goes_on_where_it_was_and_asks_nothing_again(drifted, driftwatch):
    before = drifted.rows("SELECT count(*) FROM run")

    done = driftwatch("serve")

    assert (done.code, done.out, done.err) == (0, "", "")
    assert drifted.rows("SELECT count(*) FROM run") == before


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_stop_finishes_the_run_in_flight_and_leaves_with_0(over_http, endpoint, stop):
    place = over_http("jitter: 0s")
    endpoint.hold_at = 16  # the last request of the anchor run
    daemon = subprocess.Popen(
        [sys.executable, "-m", "driftwatch", "serve"],
        cwd=place.root,
        env={**os.environ, "DRIFTWATCH_LOG_LEVEL": "info"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    heard = next(line for line in daemon.stderr if "http.listening" in line)
    port = heard.split("port=")[1].split()[0]
    assert endpoint.held.wait(30)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
        ready = json.load(answer)
    daemon.send_signal(stop)
    assert any("watch.draining" in line for line in daemon.stderr)
    endpoint.released.set()
    out, err = daemon.communicate(timeout=30)

    assert (ready["status"], ready["runs_in_flight"]) == ("ok", 1)
    assert (daemon.returncode, out) == (0, "")
    assert "watch.stopped" in err
    assert "Traceback" not in err
    assert place.rows("SELECT purpose, state FROM run") == [("anchor", "judged")]
