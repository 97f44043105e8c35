"""``driftwatch silence``: list, add, end."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from driftwatch.clock import WallClock


def test_without_any_the_list_says_so(stable, driftwatch):
    assert driftwatch("silence").out == "No silences; --all shows those that have ended.\n"
    assert driftwatch("silence", "--all").out == "No silences.\n"
    assert driftwatch("silence", "--format", "json").json == []


def test_an_incident_is_silenced_for_a_while_and_that_is_noted_with_it(drifted, driftwatch):
    done = driftwatch("silence", "add", "1", "--for", "24h", "--reason", "the vendor knows")

    assert done.code == 0
    assert done.out.startswith("Silence 1 of incident 1 until ")
    assert "driftwatch silence end 1 --reason …" in done.out
    [row] = driftwatch("silence", "--format", "json").json
    length = datetime.fromisoformat(row["ends_at"]) - datetime.fromisoformat(row["starts_at"])
    assert (row["match"], length, row["author"], row["reason"], row["is_active"]) == (
        {"incident": ["1"]},
        timedelta(hours=24),
        "ann",
        "the vendor knows",
        True,
    )
    assert "silenced until" in driftwatch("incidents", "show", "1").out
    assert "1    incident 1" in driftwatch("silence").out


def test_what_is_to_come_is_silenced_by_what_it_is(stable, driftwatch):
    later = (WallClock().now() + timedelta(days=2)).isoformat(timespec="seconds")
    words = ["--target", "support-*", "--target", "faq", "--kind", "performance", "--owner", "team-a"]
    more = ["--feature", "checkout", "--severity", "info", "--until", later, "--by", "bo", "--reason", "load test"]

    assert driftwatch("silence", "add", *words, *more).code == 0

    [row] = driftwatch("silence", "--format", "json").json
    assert row["match"] == {
        "target": ["support-*", "faq"],
        "kind": ["performance"],
        "owner": ["team-a"],
        "feature": ["checkout"],
        "severity": ["info"],
    }
    assert (row["author"], datetime.fromisoformat(row["ends_at"])) == ("bo", datetime.fromisoformat(later))
    assert "target support-* or faq, kind performance, owner team-a" in driftwatch("silence").words


def test_a_silence_is_ended_and_stays_in_the_list_of_all(stable, driftwatch):
    driftwatch("silence", "add", "--target", "faq", "--for", "7d", "--reason", "x")

    done = driftwatch("silence", "end", "1", "--reason", "done early", "--by", "bo")

    assert done.out == "Silence 1 ended by bo. A running `driftwatch serve` tells what still stands.\n"
    assert driftwatch("silence", "--format", "json").json == []
    assert "ended by bo" in driftwatch("silence", "--all").words
    again = driftwatch("silence", "end", "1", "--reason", "x")
    assert (again.code, again.err) == (2, "driftwatch: silence 1 has ended already\n")


FOR = ["--for", "1h"]
WHY = ["--reason", "x"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", *FOR, *WHY], "a silence of everything hides every page; name what it is about, e.g. --target"),
        (["add", "1", "--target", "a", *FOR, *WHY], "an incident's number says what is silenced; leave out"),
        (["add", "7", *FOR, *WHY], "no incident 7; there are: 1"),
        (["add", "1", *WHY], "say once how long: --for 24h, or --until 2026-03-16T09:00Z"),
        (["add", "1", "--for", "1h", "--until", "2036-01-01T00:00Z", *WHY], "say once how long"),
        (["add", "1", "--for", "soon", *WHY], "--for 'soon' is no length of time; write one like 30m, 24h or 7d"),
        (["add", "1", "--for", "0h", *WHY], "--for '0h' is no length of time"),
        (["add", "1", "--until", "soon", *WHY], "--until 'soon' is no time; write one like 2026-03-16T09:00Z"),
        (["add", "1", "--until", "2036-01-01T00:00", *WHY], "has no time zone; write 2036-01-01T00:00Z for UTC"),
        (["add", "1", "--until", "2020-01-01T00:00Z", *WHY], "is over already; write a later time"),
        (["add", "1", *FOR, "--reason", " "], "--reason is empty; write why it is silenced"),
        (["add", "1", *FOR], "missing option '--reason'"),
        (["add", "--kind", "mood", *FOR, *WHY], "there is no kind 'mood'; write behaviour, performance"),
        (["add", "--severity", "dire", *FOR, *WHY], "there is no severity 'dire'; write critical, warning, info"),
        (["end", "9", *WHY], "there is no silence 9; list them with: driftwatch silence"),
        (["end", str(2**63), *WHY], "there is no silence"),
    ],
)
def test_a_wrong_wish_is_one_sentence_and_changes_nothing(drifted, driftwatch, words, told):
    done = driftwatch("silence", *words)

    assert done.code == 2
    assert told in done.err
    assert "Traceback" not in done.err
    assert drifted.rows("SELECT count(*) FROM silence") == [(0,)]


def test_what_nothing_fits_yet_is_silenced_and_said(drifted, driftwatch):
    def said(*what):
        return driftwatch("silence", "add", *what, *FOR, *WHY).out

    assert "Nothing fits yet: unknown target 'suport'; did you mean 'support'?\n" in said("--target", "suport")
    assert "Nothing fits yet: unknown owner 'team-*'; there are: none\n" in said("--owner", "team-*")
    assert "Nothing fits" not in said("--target", "supp*") + said("--target", "driftwatch")


def test_list_is_a_subcommand_too(drifted, driftwatch):
    driftwatch("silence", "add", "1", *FOR, *WHY)

    assert driftwatch("silence", "list").out == driftwatch("silence").out
    assert "incident 1" in driftwatch("silence", "list", "--all").out
