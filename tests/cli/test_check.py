"""``driftwatch check``: what is due once, and the exit code that cron and CI read."""

from __future__ import annotations

import re

import pytest


def test_a_stable_target_leaves_with_0(stable, driftwatch):
    done = driftwatch("check")

    assert (done.code, done.err) == (0, "")
    assert done.out.split()[:6] == ["target", "state", "this", "time", "why", "support"]
    assert "support stable ran evidence" in done.words


def test_a_drifted_target_leaves_with_1_and_says_what_moved(drifted, driftwatch):
    done = driftwatch("check")

    assert (done.code, done.err) == (1, "")
    kind, _, rest = done.words.partition("support drifted ran ")[2].partition("; ")
    assert re.search(r"on \d of 2 canaries since \w{3} \d+ Mar", kind)
    assert rest.startswith("behaviour has drifted since 2026-03-0")


def test_the_json_says_the_same_with_the_documented_keys(drifted, driftwatch):
    [row] = driftwatch("check", "support", "--format", "json").json

    assert list(row) == [
        *("target", "ran", "state", "measured", "reason", "at", "paused"),
        *("grade", "evidence", "notable", "findings"),
    ]
    behaviour = row["evidence"]["behaviour"]
    assert (behaviour["threshold"], behaviour["way"]) == (29_220.0, 1.0)
    assert behaviour["m"] > behaviour["threshold"]
    assert (row["target"], row["ran"], row["state"], row["measured"]) == ("support", True, "drifted", True)
    assert row["at"] == "2026-03-15T12:00:00+00:00"


def test_what_a_console_receiver_is_told_stays_out_of_the_json(drifted, driftwatch):
    driftwatch("rebaseline", "support", "support/capital", "--reason", "only this one")
    told = ""
    while "Drift: support" not in told:
        done = driftwatch("check", "--format", "json")
        told += done.err

    assert (done.code, done.json[0]["state"]) == (1, "drifted")


def test_what_is_not_due_is_not_asked_and_now_asks_all_the_same(over_http, endpoint, driftwatch):
    over_http()

    first = driftwatch("check", "--format", "json")
    second = driftwatch("check", "--format", "json")
    third = driftwatch("check", "--now", "--format", "json")

    assert [first.json[0]["ran"], second.json[0]["ran"], third.json[0]["ran"]] == [True, False, True]
    assert [first.code, second.code, third.code] == [0, 0, 0]
    assert endpoint.n_requests == 8 * 2 + 2, "eight anchors for each canary, then one calibration run"
    assert third.json[0]["reason"] == "calibrating: 1 of 20 runs"


def test_simulated_time_goes_to_the_next_slot_as_cron_would_have_waited(stable, driftwatch):
    first, second = driftwatch("check", "--format", "json"), driftwatch("check", "--now", "--format", "json")

    assert first.json[0]["at"] == "2026-03-07T12:00:00+00:00"
    assert second.json[0]["at"] == "2026-03-07T18:00:00+00:00"


def test_a_wrong_config_leaves_with_2(stable, driftwatch):
    stable.edit("driftwatch.yaml", "provider: simulated", "provider: simulate")

    assert driftwatch("check").code == 2


def test_an_unreachable_endpoint_leaves_with_3_and_says_why(over_http, free_port, driftwatch):
    over_http(url=f"http://127.0.0.1:{free_port}/v1")

    done = driftwatch("check")

    assert done.code == 3
    assert "this run does not count, 16 of 16 requests failed, more than 50%; the first failure: " in done.words
    assert "the endpoint could not be reached: All connection attempts failed" in done.words


def test_an_outage_of_an_armed_watch_leaves_with_3_and_never_with_1(stable, driftwatch):
    stable.write(
        "script.yaml",
        (stable.root / "script.yaml").read_text() + "faults: [{from: 2026-03-07T12:00:00Z, outcome: unavailable}]\n",
    )

    done = driftwatch("check", "--format", "json")

    assert done.code == 3
    [row] = done.json
    assert (row["state"], row["measured"]) == ("inconclusive", False)
    assert row["reason"].startswith("no verdict: 4 of 4 requests failed, more than 20%; the first failure: ")


def test_drift_anywhere_outweighs_what_could_not_be_measured(drifted, driftwatch):
    drifted.config.write_text(
        drifted.config.read_text()
        + "  second: {provider: simulated, model: m, script: down.yaml, interval: 6h, receivers: []}\n"
    )
    drifted.write(
        "down.yaml",
        "start: a\npersonas: {a: {}}\nfaults: [{from: 2026-01-01T00:00:00Z, outcome: unavailable}]\n",
    )

    both, second = driftwatch("check"), driftwatch("check", "second")

    assert (both.code, second.code) == (1, 3)


@pytest.mark.parametrize("arguments", [[], ["--now"]], ids=["due", "now"])
def test_a_second_look_tells_the_outcome_of_the_last_run_again(over_http, endpoint, driftwatch, arguments):
    over_http()
    endpoint.always = (503, "text/plain", "overloaded")
    driftwatch("check")

    assert driftwatch("check", *arguments).code == 3


def test_a_target_that_its_budget_pauses_leaves_with_3_and_says_until_when(over_http, endpoint, driftwatch):
    over_http("budget: {requests_per_month: 17}")
    assert driftwatch("check").code == 0

    done = driftwatch("check", "--now")
    [row] = driftwatch("check", "--now", "--format", "json").json

    assert done.code == 3
    assert endpoint.n_requests == 16
    assert (row["ran"], row["measured"]) == (False, True)
    assert row["paused"].startswith("paused by its budget until ")
    assert "paused by its budget until" in done.words


def test_a_paused_target_that_has_drifted_still_leaves_with_1(drifted, driftwatch):
    drifted.edit("driftwatch.yaml", "    burst: false\n", "    burst: false\n    budget: {requests_per_month: 1}\n")

    done = driftwatch("check", "--format", "json")

    assert done.code == 1
    assert done.json[0]["ran"] is False


def test_collecting_a_baseline_ends_where_the_budget_does_and_keeps_what_it_has(over_http, endpoint, driftwatch):
    place = over_http("budget: {requests_per_month: 20}")

    done = driftwatch("baseline", "--yes")

    assert done.code == 3
    assert "support: paused by its budget until " in done.err
    assert endpoint.n_requests == 20
    place.edit("driftwatch.yaml", "requests_per_month: 20", "requests_per_month: 100")
    assert driftwatch("baseline", "--yes").code == 0
    assert endpoint.n_requests == 16 + 20 * 2
