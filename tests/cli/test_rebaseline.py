"""``driftwatch rebaseline``: a person looks at new behaviour, accepts it, or takes that back."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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
            "support: baseline 1 of 2026-03-02 00:00 UTC is back (accepted by driftwatch: first baseline).\n"
            "The next run is judged against it; if what is served still differs, it pages again.\n"
        ),
    )
    assert [row[:2] for row in baselines(drifted)] == [(1, "active"), (2, "superseded")]
    assert driftwatch("check").code == 1, "the drift stands again"
    assert len(driftwatch("incidents", "--format", "json").json) == 1


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


# ---------------------------------------------------------------- looking first


def test_a_preview_writes_nothing_and_names_the_command_that_accepts_it(drifted, driftwatch):
    before = (drifted.root / "watch.db").read_bytes()

    done = driftwatch("rebaseline", "support", "--preview")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("support: what would replace baseline 1 (of 2026-03-02, accepted by driftwatch)\n")
    assert done.out.endswith('Nothing was written. To accept it:\n  driftwatch rebaseline support --reason "…"\n')
    assert "armed at once" in done.out
    assert (drifted.root / "watch.db").read_bytes() == before
    assert len(baselines(drifted)) == 1


def test_a_preview_as_json_says_of_one_canary_what_stays_unusual(drifted, driftwatch):
    [told] = driftwatch("rebaseline", "support", "support/capital", "--preview", "--format", "json").json

    assert told["scope"] == ["support/capital"]
    assert told["unusual"][0]["what"] == "support/triage"
    assert told["backtest"]["new_baseline"]["alarms"], "what is not accepted would page again"
    assert told["command"] == 'driftwatch rebaseline support support/capital --reason "…"'


def test_a_preview_as_markdown_is_a_comment_for_a_pull_request(drifted, driftwatch):
    out = driftwatch("rebaseline", "support", "--preview", "--format", "markdown").out

    assert out.startswith("### support: what would replace baseline 1")
    assert "| **Accepted** | what was served since Sun 8 Mar 00:00 UTC: " in out
    assert out.endswith('```sh\ndriftwatch rebaseline support --reason "…"\n```\n')


def test_without_a_reason_it_is_not_accepted_and_told_to_look_first(drifted, driftwatch):
    done = driftwatch("rebaseline", "support")

    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "driftwatch: --reason is missing; write why the new behaviour is accepted, and look first with "
        "`driftwatch rebaseline support --preview`\n"
    )
    assert len(baselines(drifted)) == 1


# ---------------------------------------------------------------- for a while, by suite, anew


def test_what_is_accepted_for_a_while_says_until_when_everywhere(drifted, driftwatch):
    done = driftwatch("rebaseline", "support", "--reason", "asked the vendor", "--expires", "2d")

    assert done.code == 0
    assert done.out.startswith("support: baseline 2 accepted by ann until 2026-03-17 06:00 UTC.\n")
    assert "Then baseline 1 comes back by itself. To keep this one: driftwatch rebaseline support --keep" in done.out
    [standing] = driftwatch("status", "--format", "json").json
    assert standing["baseline"]["expires_at"] == "2026-03-17T06:00:00+00:00"
    assert "until 2026-03-17 06:00 UTC: then baseline 1 comes back" in driftwatch("status").words
    assert "Baseline 2 is accepted until 2026-03-17 06:00 UTC" in driftwatch("history", "support").out

    kept = driftwatch("rebaseline", "support", "--keep", "--reason", "two quiet days")

    assert kept.out == "support: baseline 2 is accepted for good, and expires no more.\n"
    assert driftwatch("status", "--format", "json").json[0]["baseline"]["expires_at"] is None
    assert driftwatch("rebaseline", "support", "--keep", "--reason", "again").code == 2


def test_an_acceptance_that_has_expired_gives_way_with_the_next_run(drifted, driftwatch):
    driftwatch("rebaseline", "support", "--reason", "asked the vendor", "--expires", "2026-03-15T12:00Z")

    assert driftwatch("check", "--now").code in {0, 1}
    codes = [driftwatch("check", "--now").code for _ in range(2)]

    assert codes[-1] == 1, "the drift stands again"
    told = driftwatch("rebaseline", "support", "--history", "--format", "json").json
    assert (told[-1]["act"], told[-1]["baseline"], told[-1]["author"]) == ("restored", 1, "driftwatch")
    assert told[-1]["reason"] == "the acceptance by ann of 2026-03-15 06:00 UTC expired"


def test_a_suite_stands_for_its_canaries(drifted, driftwatch):
    assert driftwatch("rebaseline", "support", "--suite", "support", "--reason", "all of it").code == 0
    assert drifted.rows("SELECT scope FROM baseline ORDER BY id") == [(None,), (None,)]


def test_collecting_anew_says_how_to_be_armed_within_the_hour(drifted, driftwatch):
    done = driftwatch("rebaseline", "support", "--collect", "--reason", "from now on")

    assert done.code == 0
    assert (
        "0 of 20 calibration runs are there; the watch is armed after 20 more. At once: driftwatch baseline" in done.out
    )
    assert driftwatch("baseline").code == 0
    assert driftwatch("check", "--format", "json").json[0]["state"] == "stable"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--suite", "suport"], "unknown suite 'suport'; did you mean 'support'?"),
        (["support/capitol"], "unknown canary 'support/capitol'; did you mean 'support/capital'?"),
        (["support/capital", "--suite", "support"], "--suite names canaries already; leave out one of the two"),
        (["--expires", "soon"], "--expires 'soon' is neither a length nor a time; write 7d, 12h or 2026-03-16T09:00Z"),
        (["--expires", "0s"], "--expires 0s is over already; write a later time, or 7d"),
        (["--expires", "999999999d"], "--expires '999999999d' is neither a length nor a time"),
        (["--expires", "2026-03-01"], "--expires 2026-03-01 is over already"),
        (["--since", "yesterday"], "--since 'yesterday' is not a time; write it like 2026-03-16T09:00Z"),
        (["--since", "2027-01-01"], "--since 2027-01-01 is in the future"),
        (["--collect", "support/capital"], "--collect is about whole targets; leave out canaries, --suite and --since"),
        (["--collect", "--since", "2026-03-12"], "--collect is about whole targets"),
        (["--group", "support/capital"], "--group is about whole targets; leave out canaries, --suite"),
        (["--from", "x.json", "--collect"], "--from is about whole targets; leave out canaries, --suite, --since"),
        (["--from", "x.json"], "x.json: no such file or directory"),
        (["--undo", "--since", "2026-03-12"], "--undo is about the whole baseline; leave out canaries and all other"),
        (["--undo", "--keep"], "--keep and --undo are different wishes; write one of them"),
        (["--undo", "--preview"], "--undo has no preview"),
        (["--format", "json"], "--format is for --preview and --history"),
        (["--keep"], "the current baseline does not expire, so there is nothing to keep"),
    ],
)
def test_a_wish_that_makes_no_sense_is_told_in_one_sentence(drifted, driftwatch, words, said):
    done = driftwatch("rebaseline", "support", *words, *([] if "--preview" in words else ["--reason", "why not"]))

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert len(baselines(drifted)) == 1


# ---------------------------------------------------------------- the audit log


def test_history_tells_who_did_what_and_why_in_all_formats(drifted, driftwatch):
    driftwatch("rebaseline", "support", "support/capital", "--reason", "Lyon | @it is", "--by", "ana")
    driftwatch("rebaseline", "support", "--undo", "--reason", "it is not", "--by", "bo")

    told = driftwatch("rebaseline", "support", "--history", "--format", "json").json

    assert [(entry["author"], entry["act"], entry["baseline"]) for entry in told] == [
        ("driftwatch", "begun", 1),
        ("driftwatch", "armed", 1),
        ("ana", "begun", 2),
        ("driftwatch", "armed", 2),
        ("bo", "restored", 1),
    ]
    assert (told[2]["scope"], told[2]["resolved"]) == (["support/capital"], [1])
    assert "baseline 1 is back, in the place of 2" in driftwatch("rebaseline", "support", "--history").words
    markdown = driftwatch("rebaseline", "support", "--history", "--format", "markdown").out
    assert "@it" not in markdown
    assert {row.count("|") for row in markdown.splitlines()} == {5}


def test_history_before_anything_was_asked_says_what_to_do(stable, driftwatch):
    stable.edit("driftwatch.yaml", "  support:\n    provider", "  other:\n    provider")
    done = driftwatch("rebaseline", "other", "--history")
    assert done.out == "other: no baseline yet; run `driftwatch baseline other`\n"


# ---------------------------------------------------------------- files


def test_a_baseline_goes_through_a_file_to_another_store_and_back(drifted, driftwatch, tmp_path):
    driftwatch("rebaseline", "support", "--reason", "the vendor announced it", "--by", "ana")
    done = driftwatch("baseline", "--export", "reviewed")
    assert done.out == (
        "support: 8 anchors and 28 calibration runs, accepted by ana on 2026-03-15; written: reviewed/support.json\n"
    )
    assert "unchanged" in driftwatch("baseline", "--export", "reviewed", "support").out
    first = (drifted.root / "reviewed/support.json").read_bytes()
    drifted.edit("driftwatch.yaml", "store: watch.db", "store: other.db")

    looked = driftwatch("rebaseline", "support", "--from", "reviewed/support.json", "--preview")
    assert "It is for support as it is configured here, and would arm the watch at once." in looked.out
    assert 'To take it: driftwatch rebaseline support --from reviewed/support.json --reason "…"' in looked.out
    taken = driftwatch(
        "rebaseline", "support", "--from", "reviewed/support.json", "--reason", "reviewed", "--by", "cho"
    )
    assert taken.out == "support: baseline 1 brought in by cho.\nArmed again with 28 calibration runs.\n"
    assert driftwatch("baseline", "--export", "again.json").code == 0
    assert (drifted.root / "again.json").read_bytes() == first

    twice = driftwatch("rebaseline", "support", "--from", "again.json", "--reason", "again")
    assert (twice.code, twice.err) == (
        2,
        "driftwatch: again.json: it is the current baseline of support already; nothing was written\n",
    )
    assert (
        "It is the current baseline already."
        in driftwatch("rebaseline", "support", "--from", "again.json", "--preview").out
    )


def test_a_file_cannot_expire_where_nothing_could_come_back(stable, driftwatch):
    driftwatch("baseline", "--export", "b.json")
    stable.edit("driftwatch.yaml", "store: watch.db", "store: other.db")
    done = driftwatch("rebaseline", "support", "--from", "b.json", "--reason", "r", "--expires", "7d")
    assert (done.code, "no baseline of the same question that could come back" in done.err) == (2, True)


def test_a_file_for_another_model_is_refused_by_what_differs(stable, driftwatch):
    driftwatch("baseline", "--export", "b.json")
    stable.edit("driftwatch.yaml", "model: m\n", "model: m-2\n")
    done = driftwatch("rebaseline", "support", "--from", "b.json", "--reason", "r")
    assert done.code == 2
    assert done.err == (
        "driftwatch: b.json: not for support as it is configured here: it was made with model m, and m-2 is asked "
        "here; nothing was written\n"
    )


# ---------------------------------------------------------------- several targets, several people


@pytest.fixture
def two_drifted(stable, driftwatch):
    """Two targets of one provider that changed at the same time."""
    config = (stable.root / "driftwatch.yaml").read_text().replace("2026-03-07T12:00:00Z", "2026-03-15T12:00:00Z")
    _, _, target = config.partition("  support:\n")
    stable.write("driftwatch.yaml", config + "  billing:\n" + target)
    (stable.root / "watch.db").unlink()
    assert driftwatch("serve").code == 0
    return stable


def test_a_group_is_previewed_and_accepted_on_all_its_targets(two_drifted, driftwatch):
    told = driftwatch("rebaseline", "support", "--preview", "--group", "--format", "json").json
    assert {found["target"] for found in told} == {"support", "billing"}
    assert told[0]["resolves"][0]["other_targets"]

    done = driftwatch("rebaseline", "support", "--group", "--reason", "the vendor announced it")

    assert done.code == 0
    assert driftwatch("incidents", "--format", "json").json == []
    assert sorted(two_drifted.rows("SELECT target, state FROM baseline WHERE author = 'ann'")) == [
        ("billing", "active"),
        ("support", "active"),
    ]


def test_one_target_of_a_group_ends_its_own_part_alone(two_drifted, driftwatch):
    assert driftwatch("rebaseline", "support", "--reason", "fine here").code == 0

    open_ones = two_drifted.rows("SELECT DISTINCT target FROM incident WHERE state != 'resolved'")
    assert open_ones == [("billing",)]


def test_without_an_incident_there_is_no_group(stable, driftwatch):
    done = driftwatch("rebaseline", "support", "--group", "--reason", "r")
    assert (done.code, "has no open incident, so there is no group; leave out --group" in done.err) == (2, True)


def test_of_two_processes_that_accept_at_once_one_wins_and_the_other_is_told(drifted):
    words = [sys.executable, "-m", "driftwatch", "rebaseline", "support", "--reason", "fine", "--by"]
    both = [
        subprocess.Popen([*words, name], cwd=drifted.root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for name in ("ana", "bo")
    ]
    ended = [(process.communicate(timeout=60), process.returncode) for process in both]

    # The slower one finds nothing left to accept, or that it came too late: either way one sentence, and one baseline.
    assert sorted(code for _, code in ended) == [0, 2], ended
    [said] = [err for (_, err), code in ended if code]
    assert said.count("\n") == 1
    assert "has taken its place meanwhile" in said or "no open incident that says since when" in said
    assert len(baselines(drifted)) == 2
    assert json.dumps(ended).count("Traceback") == 0
