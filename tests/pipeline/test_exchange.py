"""A baseline as a file: the same bytes again, the same verdicts elsewhere, and nothing written of a bad one."""

from __future__ import annotations

import contextlib
import json
import math
import os
from dataclasses import replace

import pytest

from driftwatch.domain import BaselineState, Finish, Purpose, ToolCall
from driftwatch.errors import BaselineMissing, UsageError
from driftwatch.exchange import dump, export, fit, read
from driftwatch.rebaseline import audit, bring_in
from driftwatch.store import Store
from tests.pipeline.conftest import TARGET, Watch


def exported(watch, **more):
    return dump(export(watch.store, watch.target, None, **more))


def brought(watch, path, **more):
    return bring_in(
        watch.store,
        watch.target,
        fit(
            read(path), watch.target, None, source=path.name, replacing=watch.store.current_baseline("shop-bot"), **more
        ),
        author="bo",
        reason="reviewed in #12",
        at=watch.now,
    )


@pytest.fixture
def elsewhere(tmp_path):
    """Another machine: an empty store."""
    watch = Watch(tmp_path / "elsewhere.db")
    yield watch
    watch.close()


@pytest.fixture
def file(armed, tmp_path):
    path = tmp_path / "shop-bot.json"
    path.write_text(exported(armed))
    return path


def move(watch, other):
    """Let another watch go on from here, with the same endpoint."""
    other.hour, other.changes = watch.hour, watch.changes
    other.restart()


def without_ids(verdict):
    return replace(verdict, run_id=0, baseline_id=0)


# ---------------------------------------------------------------- there and back


def test_exported_and_brought_in_it_is_exported_as_the_same_bytes(armed, elsewhere, file):
    brought(elsewhere, file)
    assert exported(elsewhere) == file.read_text()
    assert dump(read(file)) == file.read_text()


@pytest.mark.parametrize("persona", ["before", "after", "slow", "other"])
def test_a_watch_that_brought_it_in_judges_every_run_alike(armed, elsewhere, file, persona):
    move(armed, elsewhere)
    brought(elsewhere, file)
    for watch in (armed, elsewhere):
        watch.run(2)
        watch.serve(persona)
    pairs = [(armed.run(), elsewhere.run()) for _ in range(8)]
    assert [without_ids(ours) for ours, _ in pairs] == [without_ids(theirs) for _, theirs in pairs]
    assert {ours.state.value for ours, _ in pairs} == ({"stable"} if persona == "before" else {"stable", "drifted"})


def test_it_can_replace_the_baseline_of_a_watch_that_has_its_own_runs_of_the_same_slots(armed, long_drifted, file):
    accepted = brought(long_drifted, file)
    assert accepted.baseline.state is BaselineState.ACTIVE
    assert accepted.baseline.parent_id == 1
    assert long_drifted.incidents() == [("behaviour", "resolved")]
    assert exported(long_drifted) == file.read_text()
    assert long_drifted.undo().id == 1


def test_its_runs_take_no_slot_no_budget_and_no_line_of_the_history(elsewhere, file):
    brought(elsewhere, file)
    assert elsewhere.store.runs("shop-bot") == []
    assert elsewhere.store.last_scheduled(["shop-bot"]) == {}
    assert sum(run.n_requests for run in elsewhere.store.runs()) == 0


def test_who_accepted_it_and_who_brought_it_in_are_both_on_record(elsewhere, file):
    baseline = brought(elsewhere, file).baseline
    assert (baseline.author, baseline.reason) == ("driftwatch", "first baseline")
    [entry, armed] = audit(elsewhere.store, "shop-bot")
    assert (entry.act, entry.author, entry.reason) == ("brought in", "bo", "reviewed in #12")
    assert armed.reason == "it was complete where it was measured"


def test_what_expires_gives_way_to_the_baseline_before_it(drifted, armed, file):
    accepted = brought(drifted, file, expires_at=drifted.now.replace(hour=23))
    assert accepted.baseline.expires_at is not None
    drifted.hour += 48
    assert drifted.run().baseline_id == 1


def test_an_acceptance_of_single_canaries_keeps_its_scope(two_long_drifted, elsewhere, tmp_path):
    two_long_drifted.accept("shop/refund")
    path = tmp_path / "scope.json"
    path.write_text(exported(two_long_drifted))
    assert brought(elsewhere, path).baseline.scope == ("shop/refund",)
    assert exported(elsewhere) == path.read_text()


def test_every_part_of_a_reply_that_is_measured_comes_along(watch, elsewhere, tmp_path):
    watch.endpoint.change_reply = lambda reply: replace(
        reply,
        text=f"two\nlines\r\n\u202e\x07 \U0001f600 {reply.text}\n",
        tool_calls=(ToolCall(name="look", arguments='{"a": 1}', id="c1"), ToolCall(name="go", arguments="", id=None)),
        finish_reason=Finish.TOOL_CALLS,
        finish_detail="tool",
        cached_tokens=1,
        reasoning_tokens=2,
        ttft_s=0.1 + 0.2,
        gap_median_s=1e-9,
        gap_max_s=0.5,
        fingerprint="fp",
        upstream="up",
        headers={"sunset": "Sun, 31 Jan 2027 00:00:00 GMT", "x-ratelimit-remaining": "7"},
        logprobs=[{"token": "a", "logprob": -0.25, "top": [["a", -0.25], ["b", math.nan]]}],
    )
    watch.run(21)
    path = tmp_path / "whole.json"
    path.write_text(exported(watch))
    move(watch, elsewhere)
    brought(elsewhere, path)
    ours, theirs = watch.store.anchors(1), elsewhere.store.anchors(1)
    kept = {name: value for name, value in next(iter(ours.values()))[0].headers.items() if name == "sunset"}
    left_behind = {"id": None, "request_id": None, "attempts": 1, "headers": kept}
    assert {c: [replace(r, **left_behind) for r in those] for c, those in ours.items()} == {
        c: [replace(r, id=None) for r in those] for c, those in theirs.items()
    }
    assert watch.store.told(baseline_id=1) == elsewhere.store.told(baseline_id=1)
    assert exported(elsewhere) == path.read_text()
    assert "\u202e" not in path.read_text(), "a reviewer sees what hides"
    assert path.read_text().isascii() or "\x07" not in path.read_text()


def test_the_file_is_read_by_people_line_by_line(file):
    lines = file.read_text().splitlines()
    assert max(map(len, lines)) < 400
    assert '   "text": [' in lines
    assert '    "Paris."' in lines
    assert json.loads(file.read_text())["accepted"] == {
        "author": "driftwatch",
        "at": "2026-03-02T00:00:00+00:00",
        "reason": "first baseline",
        "scope": [],
    }


# ---------------------------------------------------------------- refused on the way out


def test_what_is_not_there_or_not_complete_is_not_exported(watch):
    with pytest.raises(BaselineMissing, match="no baseline yet"):
        exported(watch)
    watch.run(5)
    with pytest.raises(UsageError, match="baseline 1 is still being collected; run `driftwatch baseline shop-bot`"):
        exported(watch)


def test_the_baseline_of_another_question_is_not_exported_as_this_ones(armed):
    armed.edit(model="m-2")
    with pytest.raises(UsageError, match="were changed since baseline 1 was made"):
        exported(armed)


# ---------------------------------------------------------------- refused on the way in

NOTHING = "; nothing was written"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "m-2"}, "it was made with model m, and m-2 is asked here"),
        ({"provider": "other"}, "it was made with provider simulated, and other is asked here"),
        ({"parameters": {"temperature": 1}}, "the target's address, parameters, options or repeats are others here"),
        ({"canaries": TARGET.canaries[:3]}, "its canaries are others (only in the file shop/triage)"),
        (
            {"canaries": (replace(TARGET.canaries[0], repeats=2), *TARGET.canaries[1:])},
            "its canaries are others (edited since shop/capital)",
        ),
        (
            {"canaries": (*TARGET.canaries, replace(TARGET.canaries[0], id="shop/new"))},
            "its canaries are others (not in the file shop/new)",
        ),
    ],
)
def test_a_baseline_of_another_question_is_refused_by_what_differs(elsewhere, file, changes, said):
    elsewhere.edit(**changes)
    with pytest.raises(UsageError) as raised:
        brought(elsewhere, file)
    assert str(raised.value) == f"shop-bot.json: not for shop-bot as it is configured here: {said}{NOTHING}"
    assert elsewhere.store.baselines() == []


def edited(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))
    return file


def put(value, *path):
    def edit(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (put(1, "scoring", "version"), "it was measured by scoring version 1, and this driftwatch has"),
        (put(["wording"], "scoring", "channels"), "which is not among its own"),
        (put("bge@1", "scoring", "embedder"), "it was measured with the embedder bge@1, and off is used here"),
        (put("0" * 16, "suite", "hash"), "its suite's hash does not follow from its canaries"),
        (put("0" * 16, "series_key"), "its series_key does not follow from what else it says, so it was edited"),
        (put(2, "driftwatch_baseline"), "its format is not 1, the only one that this driftwatch reads"),
        (put([], "anchors"), "it has no anchors"),
        (lambda c: c["calibration"].pop(), "it has 19 calibration runs, and 20 are needed to arm a watch"),
        (lambda c: c["calibration"].reverse(), "its calibration runs are not in order of their times"),
        (lambda c: c["calibration"].append(c["calibration"][-1]), "the same calibration run is in it 2 times"),
        (lambda c: c["anchors"].append(c["anchors"][-1]), "the same reply is in it 2 times: shop/triage"),
        (lambda c: c["told"].append(c["told"][-1]), "the same line of told is in it 2 times"),
        (put("shop/none", "anchors", 0, "canary"), "anchors names shop/none, which is not among its suite's canaries"),
        (put({"shop/none": 0.5}, "calibration", 3, "scores", "wording", "canaries"), "calibration.3 names shop/none"),
        (put(["shop/none"], "accepted", "scope"), "accepted.scope names shop/none"),
        (put("long ago", "anchors", 2, "at"), "anchors.2.at: it must be a valid datetime"),
        (put("2026-03-02T00:00:00", "anchors", 2, "at"), "anchors.2.at: it must have timezone info"),
        (put("0001-01-01T00:00:00+00:00", "anchors", 0, "at"), "anchors.0.at: it must be a time of this century"),
        (put("fast", "anchors", 0, "latency_s"), "anchors.0.latency_s: it must be a valid number"),
        (put(-1.0, "anchors", 0, "latency_s"), "anchors.0.latency_s: it must be greater than or equal to 0"),
        (put(True, "anchors", 0, "repeat"), "anchors.0.repeat: it must be a valid integer"),
        (put("Paris.", "anchors", 0, "text"), "anchors.0.text: it must be a valid array"),
        (put(1.5, "calibration", 0, "scores", "wording", "value"), "it must be less than or equal to 1"),
        (put("x", "anchors", 0, "colour"), "anchors.0.colour: it is unknown"),
        (lambda c: c.pop("told"), "told: it is missing"),
        (put("\x1b[31mana", "accepted", "author"), "accepted.author: it must not hold control or invisible characters"),
        (put("a\u202eb", "accepted", "reason"), "accepted.reason: it must not hold control or invisible characters"),
        (put(10**9, "told", 0, "n"), "told.0.n: it must be less than or equal to 100"),
        (put("\ud83d", "anchors", 0, "text", 0), "it holds half a character (a lone surrogate)"),
        (put([{"token": 5}], "anchors", 0, "logprobs"), "anchors.0.logprobs.0.token: it must be a valid string"),
    ],
)
def test_a_file_that_was_edited_is_refused_by_its_place_and_nothing_is_written(elsewhere, file, edit, said):
    with pytest.raises(UsageError) as raised:
        brought(elsewhere, edited(file, edit))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(raised.value).isprintable()
    assert elsewhere.store.baselines() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON, or was cut short: line 1, column 1"),
        (b"a: &a [x]\nb: [*a, *a]\n", "it is not JSON, or was cut short: line 1, column 1"),
        (b"[" * 200_000, "it is nested too deeply"),
        (b'{"driftwatch_baseline": 1' + b"0" * 5000 + b"}", "it holds a number of too many digits"),
        (b'{"driftwatch_baseline": NaN}', "it holds NaN, which is no number"),
        (b'{"driftwatch_baseline": 1, "driftwatch_baseline": 1}', "it says driftwatch_baseline twice in one place"),
        (b'{"a\\u001b[2J": 1, "a\\u001b[2J": 1}', "it says a�[2J twice in one place"),
        (b"\xff\xfe{}", "it is not UTF-8 text (byte 0)"),
        (b"[1]", "it does not begin as one does, with driftwatch_baseline"),
        (b'{"driftwatch_baseline": 1}', "series_key: it is missing (9 more)"),
    ],
)
def test_what_is_no_baseline_file_is_refused_in_one_sentence(tmp_path, content, said):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read(path)
    assert said in str(raised.value)
    assert str(raised.value).endswith("; write one with `driftwatch baseline --export`")
    assert str(raised.value).isprintable()


def test_a_file_cut_short_anywhere_is_refused(elsewhere, file):
    whole = file.read_bytes()
    for n in range(1, len(whole) - 1, len(whole) // 12):
        file.write_bytes(whole[:n])
        with pytest.raises(UsageError, match="cut short"):
            brought(elsewhere, file)
    assert elsewhere.store.baselines() == []


def test_a_huge_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 10 * 1024**4)
    with pytest.raises(UsageError, match="it is larger than 64 MB"):
        read(path)


def test_a_file_that_is_not_there_or_a_folder_is_said(tmp_path):
    for path, said in ((tmp_path / "none.json", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(UsageError, match=said):
            read(path)


def test_who_brings_one_in_while_another_accepts_is_told(long_drifted, armed, file):
    found = fit(read(file), TARGET, None, source="f", replacing=long_drifted.baseline())
    long_drifted.accept()
    with (
        contextlib.closing(Store.open(long_drifted.path)) as other,
        pytest.raises(UsageError, match="nothing was written"),
    ):
        bring_in(other, TARGET, found, author="bo", reason="r", at=long_drifted.now)
    assert [baseline.id for baseline in long_drifted.store.baselines()] == [1, 2]


def test_calibration_that_was_brought_in_is_never_accepted_as_replies(armed, elsewhere, file):
    """Its runs have no replies here: an acceptance since before it takes what was asked here alone."""
    move(armed, elsewhere)
    brought(elsewhere, file)
    elsewhere.run(6)
    accepted = elsewhere.accept(since=elsewhere.now.replace(year=2025))
    assert (accepted.n_anchor_runs, accepted.n_calibration) == (4, 2)
    own = {run.id for run in elsewhere.store.runs("shop-bot")}
    rows = elsewhere.store.series(accepted.baseline.id)
    assert {row.run_id for row in rows if row.purpose is Purpose.CALIBRATION} <= own
