"""``driftwatch rebaseline``: a person accepts the new behaviour, or takes that back."""

from __future__ import annotations

UNDO = "To take it back: driftwatch rebaseline support --undo --reason …\n"


def baselines(place):
    return place.rows("SELECT id, state, author, reason FROM baseline ORDER BY id")


def test_the_whole_target_is_accepted_and_armed_again(drifted, driftwatch):
    done = driftwatch("rebaseline", "support", "--reason", "the new checkpoint is fine")

    assert (done.code, done.err) == (0, "")
    said, _, told = done.out.partition(UNDO)
    assert said.splitlines()[:2] == ["support: baseline 2 accepted by ann.", "Resolved: incident 1."]
    assert said.splitlines()[2].startswith("Armed again with 2")
    assert said.splitlines()[3].startswith("Distance from the first baseline (1, of 2026-03-02): 0.")
    assert "Closed: support" in told, "the receivers are told at once"
    assert baselines(drifted)[1] == (2, "active", "ann", "the new checkpoint is fine")


def test_what_was_accepted_is_drift_no_longer(drifted, driftwatch):
    driftwatch("rebaseline", "support", "--reason", "fine")

    [standing] = driftwatch("status", "--format", "json").json
    assert (standing["state"], standing["open_incidents"]) == ("calibrating", [])
    assert standing["reason"].startswith("baseline 2, accepted by ann, is armed with ")
    done = driftwatch("check", "--format", "json")
    assert (done.code, done.json[0]["state"]) == (0, "stable")


def test_undo_puts_the_replaced_baseline_back(drifted, driftwatch):
    driftwatch("rebaseline", "support", "--reason", "fine")

    done = driftwatch("rebaseline", "support", "--undo", "--reason", "it was not fine", "--by", "bo")

    assert (done.code, done.out) == (
        0,
        (
            "support: baseline 1 of 2026-03-02 00:00 UTC is back.\n"
            "The next run is judged against it; if what is served still differs, it pages again as a new incident.\n"
        ),
    )
    assert [row[:2] for row in baselines(drifted)] == [(1, "active"), (2, "superseded")]
    assert driftwatch("check").code == 1, "the drift stands again"
    assert [row["id"] for row in driftwatch("incidents", "--format", "json").json] == [2]


def test_since_accepts_later_runs_only_and_says_what_is_missing(drifted, driftwatch):
    done = driftwatch("rebaseline", "support", "--since", "2026-03-12T00:00Z", "--reason", "second rollout")

    assert done.code == 0
    assert (
        "12 of 20 calibration runs are there; the watch is armed after 8 more. At once: driftwatch baseline support\n"
    ) in done.out
    assert driftwatch("baseline").code == 0
    assert driftwatch("check", "--format", "json").json[0]["state"] == "stable"


def test_a_time_without_a_zone_is_utc(drifted, driftwatch):
    assert (
        "12 of 20 calibration"
        in driftwatch("rebaseline", "support", "--since", "2026-03-12", "--reason", "second rollout").out
    )


def test_a_single_canary_is_accepted_and_the_other_stays_drifted(drifted, driftwatch):
    done = driftwatch("rebaseline", "support", "support/capital", "--reason", "Lyon it is")

    assert done.code == 0
    assert "Armed again with 20 calibration runs." in done.out
    codes = [driftwatch("check").code for _ in range(7)]
    assert codes[:4] == [0, 0, 0, 0], "a new alarm needs its own evidence"
    assert codes == sorted(codes)
    assert codes[-1] == 1
    [incident] = driftwatch("incidents", "--format", "json").json
    shown = driftwatch("incidents", "show", incident["id"], "--format", "json").json
    moved = {canary["id"] for canary in shown["evidence"]["canaries"] if canary["is_affected"]}
    assert moved == {"support/triage"}
