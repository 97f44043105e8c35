"""``driftwatch incidents``: list, show, acknowledge, resolve."""

from __future__ import annotations

import os
import pwd

import pytest


def test_the_list_shows_what_is_open(drifted, driftwatch):
    done = driftwatch("incidents")

    assert (done.code, done.err) == (0, "")
    assert "number target kind state since (UTC) opened (UTC) what" in done.words
    assert "1 support behaviour open 2026-03-0" in done.words
    assert "support behaves differently since" in done.words


def test_a_quiet_watch_says_so(stable, driftwatch):
    assert driftwatch("incidents").out == "No open incidents; --all shows resolved ones.\n"
    assert driftwatch("incidents", "--all").out == "No incidents.\n"
    assert driftwatch("incidents", "--format", "json").json == []


def test_the_list_as_json_has_the_documented_keys(drifted, driftwatch):
    [row] = driftwatch("incidents", "--format", "json").json

    keys = ["id", "target", "kind", "state", "onset_at", "opened_at", "resolved_at", "headline"]
    assert list(row) == keys
    assert (row["id"], row["kind"], row["state"], row["resolved_at"]) == (1, "behaviour", "open", None)


def test_list_is_a_subcommand_too(drifted, driftwatch):
    assert driftwatch("incidents", "list").out == driftwatch("incidents").out
    driftwatch("incidents", "resolve", "1", "--reason", "over")
    assert driftwatch("incidents", "list").out == "No open incidents; --all shows resolved ones.\n"
    assert [row["id"] for row in driftwatch("incidents", "list", "--all", "--format", "json").json] == [1]


def test_a_count_of_runs_is_told_as_that_of_the_alarm(drifted, driftwatch):
    assert "runs until the alarm)" in driftwatch("incidents").words
    assert "runs until the alarm)" in driftwatch("status").words


def test_show_tells_what_was_told_and_every_step_since(drifted, driftwatch):
    driftwatch("incidents", "ack", "1", "--reason", "on it", "--by", "bo")

    done = driftwatch("incidents", "show", "1")

    assert (done.code, done.err) == (0, "")
    assert "Drift: support" in done.out
    assert "acknowledged  bo: on it" in done.out
    assert "  to terminal: sent 2026-03-" in done.out


def test_show_as_json_has_the_evidence_and_the_steps(drifted, driftwatch):
    shown = driftwatch("incidents", "show", "1", "--format", "json").json

    assert shown["evidence"]["headline"] == shown["headline"]
    [step] = shown["steps"]
    assert list(step) == ["at", "before", "after", "author", "reason"]
    assert (step["before"], step["after"], step["author"]) == (None, "open", "driftwatch")


def test_an_incident_goes_from_open_over_acknowledged_to_resolved(drifted, driftwatch):
    acknowledged = driftwatch("incidents", "ack", "1", "--reason", "looking into it")
    listed = driftwatch("incidents", "--format", "json").json
    resolved = driftwatch("incidents", "resolve", "1", "--reason", "rolled back", "--by", "bo")

    assert (acknowledged.code, acknowledged.out) == (0, "Incident 1 acknowledged by ann.\n")
    assert listed[0]["state"] == "acknowledged"
    assert resolved.code == 0
    assert resolved.out == (
        "Incident 1 resolved by bo. A running `driftwatch serve` tells the receivers.\n"
        "While this drift lasts, no other of its kind pages; `driftwatch status` tells when it is over. "
        "To accept it and be watched from here: driftwatch rebaseline support --reason …\n"
    )
    assert driftwatch("incidents", "--format", "json").json == []
    [row] = driftwatch("incidents", "--all", "--format", "json").json
    assert row["state"] == "resolved"
    assert row["resolved_at"] is not None
    assert drifted.rows("SELECT author, reason FROM transition ORDER BY id")[1:] == [
        ("ann", "looking into it"),
        ("bo", "rolled back"),
    ]
    assert "  to terminal: pending\n" in driftwatch("incidents", "show", "1").out


def test_the_config_may_stand_before_or_after_the_subcommand(drifted, driftwatch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    before = driftwatch("incidents", "--config", drifted.config, "show", "1")
    after = driftwatch("incidents", "show", "1", "--config", drifted.config)

    assert before.code == after.code == 0
    assert before.out == after.out


def nobody(_uid):
    """A container's user without an entry."""
    raise KeyError


def test_without_variables_the_user_id_names_who_decides(drifted, driftwatch, monkeypatch):
    monkeypatch.delenv("USER")

    done = driftwatch("incidents", "ack", "1", "--reason", "on it")

    assert done.code == 0
    assert f"acknowledged by {pwd.getpwuid(os.getuid()).pw_name}" in done.out


@pytest.mark.parametrize("name", ["  ", None])
def test_somebody_must_decide(drifted, driftwatch, monkeypatch, name):
    monkeypatch.delenv("USER")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    by = [] if name is None else ["--by", name]

    done = driftwatch("incidents", "ack", "1", "--reason", "on it", *by)

    assert done.code == 2
    assert done.err == "driftwatch: who are you? write --by NAME; the name is stored with the decision\n"
    assert len(drifted.rows("SELECT * FROM transition")) == 1
