"""``driftwatch baseline``: the cost said first, progress on stderr, and nothing paid for twice."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

INTERRUPTED = (
    "driftwatch: interrupted; the run under way is lost, earlier ones are kept, and the same command goes on from there"
    "\n"
)

PRICE = "price: {input: 1, output: 2}"
N_ANCHORS, N_RUNS, N_CANARIES = 8, 20, 2
PLANNED = N_CANARIES * (N_ANCHORS + N_RUNS)
ESTIMATE = (
    "support: 8 anchors for each of 2 canaries, then 20 calibration runs: 56 requests, about 532 tokens in and at most "
    "16,800 out, at most $0.03 (price from config)\n"
)


class Terminal(io.StringIO):
    """Somebody at a keyboard."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def type_in(monkeypatch):
    def answer(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal(text))

    return answer


def start(place, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "driftwatch", *arguments],
        cwd=place.root,
        env=os.environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_it_arms_the_watch_with_as_many_requests_as_it_said(over_http, endpoint, driftwatch):
    over_http(PRICE)

    done = driftwatch("baseline", "--yes")

    assert done.code == 0
    assert done.out == ESTIMATE + "support: armed with 20 calibration runs. Next: driftwatch serve\n"
    assert endpoint.n_requests == PLANNED
    assert "56/56" in done.err, "progress goes to stderr"
    assert driftwatch("check", "--now", "--format", "json").json[0]["state"] == "stable"


def test_a_watch_that_is_armed_is_left_alone(stable, driftwatch):
    done = driftwatch("baseline")

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "support: the baseline is complete and armed (since 2026-03-07 00:00 UTC); to replace it, "
        "`driftwatch rebaseline support --preview`\n"
    )


def test_a_free_endpoint_is_not_asked_about(over_http, endpoint, driftwatch):
    over_http("price: {input: 0, output: 0}")

    assert driftwatch("baseline").code == 0
    assert endpoint.n_requests == PLANNED


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("n\n", "driftwatch: nothing was sent; the same command asks again\n"),
        (
            "",
            INTERRUPTED,
        ),
    ],
    ids=["no", "end of input"],
)
def test_the_cost_is_said_and_agreed_to_before_the_first_request(over_http, endpoint, driftwatch, type_in, typed, said):
    over_http(PRICE)
    type_in(typed)

    done = driftwatch("baseline")

    assert done.code == 130
    assert done.out.startswith(f"{ESTIMATE}Spend 56 requests, at most $0.03 (price from config)? [y/N]: ")
    assert done.err.endswith(said)
    assert endpoint.n_requests == 0


def test_yes_at_the_question_spends(over_http, endpoint, driftwatch, type_in):
    over_http(PRICE)
    type_in("y\n")

    assert driftwatch("baseline").code == 0
    assert endpoint.n_requests == PLANNED


@pytest.mark.parametrize(
    ("more", "cost"),
    [
        ((PRICE,), "at most $0.03 (price from config)"),
        ((), "price unknown (set `price:` on the target to see dollars)"),
    ],
    ids=["known", "unknown"],
)
def test_where_nobody_can_be_asked_nothing_is_spent_without_yes(
    over_http, endpoint, driftwatch, monkeypatch, more, cost
):
    place = over_http(*more)
    if not more:  # a host that is not this machine, and in no price list
        place.edit("driftwatch.yaml", endpoint.url, "http://llm.example.org/v1")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    done = driftwatch("baseline")

    assert done.code == 2
    assert done.err == f"driftwatch: 56 requests, {cost}: nobody is here to be asked; write --yes to spend it\n"
    assert endpoint.n_requests == 0


def test_after_kill_minus_nine_only_the_run_that_was_cut_off_is_asked_again(over_http, endpoint, driftwatch):
    place = over_http()
    endpoint.hold_at = N_CANARIES * (N_ANCHORS + 5) + 1  # the first request of the sixth calibration run
    first = start(place, "baseline", "--yes")
    assert endpoint.held.wait(30)
    first.send_signal(signal.SIGKILL)
    first.communicate()

    second = driftwatch("baseline", "--yes")

    assert second.code == 0
    assert second.out.startswith("support: 15 calibration runs: 30 requests, about ")
    assert endpoint.n_requests == PLANNED + 1
    assert place.rows("SELECT count(*) FROM completion") == [(PLANNED,)]
    states = Counter(place.rows("SELECT purpose, state FROM run"))
    assert states[("anchor", "judged")] == 1
    assert states[("calibration", "judged")] == N_RUNS


def test_only_the_anchors_that_are_missing_are_told(over_http, endpoint, driftwatch, monkeypatch):
    over_http()
    answer, refused = endpoint.answer, (503, "text/plain", "overloaded")

    def fail(prompt, key):
        return refused if "JSON" in prompt or endpoint.n_requests >= N_ANCHORS else answer(prompt, key)

    monkeypatch.setattr(endpoint, "answer", fail)
    assert driftwatch("baseline", "--yes").code == 3
    assert endpoint.n_requests == N_ANCHORS, "all of one canary's, none of the other's"
    monkeypatch.setattr(endpoint, "answer", answer)

    done = driftwatch("baseline", "--yes")

    assert done.out.startswith("support: 8 anchors for each of 1 canary, then 20 calibration runs: 48 requests, about ")


def test_ctrl_c_leaves_with_130_and_the_next_call_goes_on(over_http, endpoint, driftwatch):
    place = over_http()
    endpoint.hold_at = N_CANARIES * (N_ANCHORS + 2) + 1
    first = start(place, "baseline", "--yes")
    assert endpoint.held.wait(30)
    first.send_signal(signal.SIGINT)
    _, err = first.communicate()

    assert first.returncode == 130
    assert "Traceback" not in err
    assert err.endswith(INTERRUPTED)
    assert driftwatch("baseline", "--yes").out.startswith("support: 18 calibration runs: 36 requests, about ")
    assert endpoint.n_requests == PLANNED + 1


def test_an_endpoint_that_fails_midway_stops_it_and_nothing_good_is_asked_again(over_http, endpoint, driftwatch):
    place = over_http()
    begins = N_CANARIES * (N_ANCHORS + 5)
    endpoint.statuses = dict.fromkeys(range(begins + 1, begins + 100), (503, "text/plain", "overloaded"))

    failed = driftwatch("baseline", "--yes")

    assert failed.code == 3
    assert failed.err.endswith(
        "driftwatch: support: 2 of 2 requests failed, the first: the endpoint answered 503 Service Unavailable: "
        "overloaded; what was stored is kept: `driftwatch doctor support` says what to correct, then this command goes "
        "on where it stopped\n"
    )
    n_failed = endpoint.n_requests - begins
    assert 3 <= n_failed <= 3 * N_CANARIES, "three runs in a row; an outage is not asked in full each time"
    endpoint.statuses = {}
    assert driftwatch("baseline", "--yes").code == 0
    assert endpoint.n_requests == PLANNED + n_failed
    assert place.rows("SELECT count(*) FROM completion WHERE outcome = 'ok'") == [(PLANNED,)]


@pytest.mark.parametrize("status", [401, 404])
def test_what_asking_again_cannot_change_stops_it_after_one_run(over_http, endpoint, driftwatch, status):
    over_http()
    endpoint.always = (status, "application/json", '{"error": {"message": "no m-1 for you"}}')

    assert driftwatch("baseline", "--yes").code == 3
    assert endpoint.n_requests == N_CANARIES * N_ANCHORS


def test_a_few_failures_are_made_up_for(over_http, endpoint, driftwatch):
    over_http()
    endpoint.statuses = {3: (503, "text/plain", "overloaded")}

    assert driftwatch("baseline", "--yes").code == 0
    assert endpoint.n_requests <= PLANNED + N_CANARIES


def test_in_simulated_time_it_ends(stable, driftwatch):
    stable.edit("suite.yaml", "What is the capital of France?", "Which city is the capital of France?")

    done = driftwatch("baseline")

    assert done.code == 0
    assert done.out.endswith("support: armed with 20 calibration runs. Next: driftwatch serve\n")


def test_an_endpoint_that_changes_meanwhile_is_not_armed_on_a_mixture(stable, driftwatch):
    stable.edit("suite.yaml", "What is the capital of France?", "Which city is the capital of France?")
    stable.edit("driftwatch.yaml", "calibration_runs: 20", "calibration_runs: 60")
    # Simulated time goes on by a second a run: the change comes after some thirty.
    stable.edit("script.yaml", "2026-03-08T00:00:00Z", "2026-03-07T06:00:31Z")

    done = driftwatch("baseline", "--runs", "60")

    assert done.code == 3
    assert done.err.endswith(
        "driftwatch: support: it changed while it was being calibrated, so the watch is not armed; `driftwatch status` "
        "says since when, and `driftwatch rebaseline support --reason …` accepts what it serves now\n"
    )
    assert stable.rows("SELECT state FROM baseline ORDER BY id DESC LIMIT 1") == [("collecting",)]
    [standing] = driftwatch("status", "--format", "json").json
    assert standing["state"] == "drifted"
    assert "changed while it was being calibrated" in standing["reason"]
    accepted = driftwatch("rebaseline", "support", "--reason", "the new release")
    assert accepted.code == 0


def test_an_export_asks_nothing_and_says_why_there_is_no_baseline_yet(over_http, endpoint, driftwatch):
    over_http()

    done = driftwatch("baseline", "--export", "files")

    assert (done.code, done.out) == (3, "")
    assert done.err == "driftwatch: support has no baseline yet; run `driftwatch baseline support` first\n"
    assert endpoint.n_requests == 0


def test_an_export_to_a_place_that_cannot_be_written_is_said(stable, driftwatch):
    stable.write("files", "not a folder")

    done = driftwatch("baseline", "--export", "files/b")

    assert done.code == 2
    assert done.err == "driftwatch: files/b/support.json: cannot be written: not a directory; name another place\n"


def test_private_belongs_to_an_export(stable, driftwatch):
    done = driftwatch("baseline", "--with-private")
    assert (done.code, done.err) == (2, "driftwatch: --with-private is for --export; leave it out\n")


def test_private_replies_leave_the_store_only_when_asked_for(stable, driftwatch):
    stable.edit("suite.yaml", "suite: support\n", "suite: support\nprivate: true\n")

    refused = driftwatch("baseline", "--export", "b.json")

    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "driftwatch: support: the suite marks support/capital private, and 1 more; a baseline holds replies in full: "
        "write --with-private to put them into the file all the same\n"
    )
    assert not (stable.root / "b.json").exists()

    done = driftwatch("baseline", "--export", "b.json", "--with-private")

    assert done.out.endswith("support: it holds replies of 2 private canaries: b.json\n")
    assert (stable.root / "b.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((stable.root / "b.json").read_text())["private"] == ["support/capital", "support/triage"]


def test_the_targets_that_can_be_exported_are_and_the_others_are_named(stable, driftwatch):
    config = (stable.root / "driftwatch.yaml").read_text()
    stable.write("driftwatch.yaml", config + "  billing:\n" + config.partition("  support:\n")[2])

    done = driftwatch("baseline", "--export", "files")

    assert done.code == 3
    assert "written: files/support.json" in done.out
    assert done.err == "driftwatch: billing has no baseline yet; run `driftwatch baseline billing` first\n"
    one = driftwatch("baseline", "--export", "all.json")
    assert (one.code, one.err) == (
        2,
        "driftwatch: all.json is one file, and 2 targets have a baseline each; name a folder or a target\n",
    )


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_an_exported_file_is_as_readable_as_any_other(stable, driftwatch, umask):
    before = os.umask(umask)
    try:
        driftwatch("baseline", "--export", "b.json")
    finally:
        os.umask(before)
    assert (stable.root / "b.json").stat().st_mode & 0o777 == 0o666 & ~umask
    assert [path.name for path in stable.root.iterdir() if path.name.startswith(".b")] == []


def test_what_is_so_on_our_side_is_noted_from_the_first_reply_on(over_http, driftwatch):
    place = over_http()

    driftwatch("baseline", "--yes")

    [(facts,)] = place.rows("SELECT facts FROM harness")
    assert '"driftwatch":' in facts
