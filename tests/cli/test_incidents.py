"""``driftwatch incidents``: list, show, acknowledge, resolve."""

from __future__ import annotations

import contextlib
import os
import pwd
import sqlite3

import pytest
from rich.console import Console


def test_the_list_shows_what_is_open(drifted, driftwatch):
    done = driftwatch("incidents")

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:2] == [
        " no.  targets  kind          severity  state         since (UTC)",
        "   1  support  behaviour     critical  open          2026-03-08 00:00",
    ]
    assert "support behaves differently since" in done.words


def test_a_quiet_watch_says_so(stable, driftwatch):
    assert driftwatch("incidents").out == "No open incidents; --all shows resolved ones.\n"
    assert driftwatch("incidents", "--all").out == "No incidents.\n"
    assert driftwatch("incidents", "--format", "json").json == []


def test_the_list_as_json_has_the_documented_keys(drifted, driftwatch):
    [row] = driftwatch("incidents", "--format", "json").json

    assert list(row) == [
        *("id", "target", "kind", "state", "severity", "onset_at", "opened_at", "resolved_at", "headline", "whose"),
        *("targets", "members"),
    ]
    assert (row["id"], row["kind"], row["state"], row["resolved_at"]) == (1, "behaviour", "open", None)
    assert (row["severity"], row["targets"]) == ("critical", ["support"])
    assert [(m["id"], m["target"], m["state"]) for m in row["members"]] == [(1, "support", "open")]


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
    assert "  acknowledged  bo: on it" in done.out
    assert "  terminal: opened: sent 2026-03-" in done.out
    assert "  terminal: acknowledged: pending\n" in done.out


def test_show_as_json_has_the_evidence_and_the_steps(drifted, driftwatch):
    shown = driftwatch("incidents", "show", "1", "--format", "json").json

    assert shown["evidence"]["headline"] == shown["headline"]
    step = shown["steps"][0]
    assert list(step) == ["at", "incident", "event", "before", "after", "author", "reason"]
    assert (step["event"], step["before"], step["after"], step["author"]) == ("opened", None, "open", "driftwatch")
    told = shown["told"][0]
    assert list(told) == ["receiver", "step", "state", "attempts", "sent_at", "why"]
    assert (told["receiver"], told["step"], told["state"], told["attempts"]) == ("terminal", 0, "sent", 1)


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
    assert drifted.rows("SELECT author, reason FROM transition ORDER BY id")[-2:] == [
        ("ann", "looking into it"),
        ("bo", "rolled back"),
    ]
    assert "  terminal: resolved: pending\n" in driftwatch("incidents", "show", "1").out


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


def test_ack_is_a_verb_of_its_own(drifted, driftwatch):
    done = driftwatch("ack", "1", "--reason", "on it", "--config", drifted.config)

    assert (done.code, done.out) == (0, "Incident 1 acknowledged by ann.\n")
    again = driftwatch("ack", "1", "--reason", "on it")
    assert again.code == 2
    assert "incident 1 was already acknowledged" in again.err


def test_a_comment_is_kept_with_its_author(drifted, driftwatch):
    done = driftwatch("incidents", "comment", "1", "--reason", "the vendor says sorry", "--by", "bo")

    assert (done.code, done.out) == (0, "Noted by bo on incident 1.\n")
    assert "  commented     bo: the vendor says sorry" in driftwatch("incidents", "show", "1").out


@pytest.mark.parametrize("verb", ["show", "ack", "comment", "resolve"])
@pytest.mark.parametrize("number", ["9", str(2**63)])
def test_an_unknown_number_is_told_with_those_there_are(drifted, driftwatch, verb, number):
    done = driftwatch("incidents", verb, number, *([] if verb == "show" else ["--reason", "x"]))

    assert (done.code, done.err) == (2, f"driftwatch: no incident {number}; there are: 1\n")


def grow(place):
    """Five more targets of the incident, two of them with names that fill a line."""
    names = ["billing", "search", "a-target-with-quite-a-long-name-in-the-config", "sales", "faq"]
    with contextlib.closing(sqlite3.connect(place.root / "watch.db")) as connection:
        columns = (
            "kind, state, opened_at, onset_at, baseline_id, run_id, evidence, severity, cause, trouble, n_reopened"
        )
        for name in names:
            connection.execute(
                f"INSERT INTO incident (target, part_of, {columns}) SELECT ?, 1, {columns} FROM incident WHERE id = 1",  # noqa: S608 - our own names
                (name,),
            )
        connection.execute(
            "INSERT INTO notification SELECT NULL, transition_id, 'pager', 'dead', 'x', 1, "
            "next_attempt_at, NULL, 'the key was revoked' FROM notification WHERE id = 1"
        )
        connection.execute(
            "INSERT INTO notification SELECT NULL, transition_id, 'mail', 'pending', 'y', 7, "
            "next_attempt_at, NULL, 'no route to host' FROM notification WHERE id = 1"
        )
        connection.commit()


def test_a_group_is_one_line_and_says_who_was_not_told(drifted, driftwatch):
    grow(drifted)

    done = driftwatch("incidents")

    assert done.out.splitlines()[1] == "   1  support +5  behaviour     critical  open          2026-03-08 00:00"
    assert "not told: pager: the key was revoked" in done.out
    assert "not told yet: mail after 7 attempts: no route to host" in done.out
    [row] = driftwatch("incidents", "--format", "json").json
    assert (len(row["members"]), row["targets"][:2]) == (6, ["support", "billing"])
    shown = driftwatch("incidents", "show", "4").out
    assert "Incidents\n  1     support  behaviour, critical, open\n  2     billing" in shown
    assert "  pager: opened: dead: the key was revoked" in shown


def test_the_list_fits_a_terminal_of_80_columns(drifted, driftwatch, monkeypatch):
    grow(drifted)
    with contextlib.closing(sqlite3.connect(drifted.root / "watch.db")) as connection:
        connection.execute("UPDATE incident SET target = 'a-target-with-a-name-that-fills-the-line' WHERE id = 1")
        connection.execute("UPDATE incident SET kind = 'watch-itself', state = 'acknowledged'")
        connection.commit()
    monkeypatch.setattr("driftwatch.cli.printing._is_terminal", lambda: True)
    for module in ("incidents", "printing"):
        monkeypatch.setattr(f"driftwatch.cli.{module}.console", lambda: Console(width=80, highlight=False))

    lines = driftwatch("incidents").out.splitlines()

    assert max(map(len, lines)) <= 80
    assert lines[1] == "   1  a-target-with-… +5  watch-itself  critical  acknowledged  2026-03-08 00:00"


def test_an_act_on_a_member_is_one_on_the_group(drifted, driftwatch):
    grow(drifted)

    assert driftwatch("ack", "5", "--reason", "on it").out == "Incident 1 acknowledged by ann.\n"
    assert drifted.rows("SELECT DISTINCT state FROM incident") == [("acknowledged",)]
    done = driftwatch("incidents", "resolve", "3", "--reason", "rolled back")
    assert "driftwatch rebaseline support --group --reason" in done.out
    assert drifted.rows("SELECT DISTINCT state FROM incident") == [("resolved",)]
