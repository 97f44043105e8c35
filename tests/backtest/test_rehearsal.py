"""A backtest says what the daemon would have said: quiet, drift with its onset, or why it cannot say."""

from __future__ import annotations

import pytest

from driftwatch.backtest import Answer, Plan, group, rehearse
from driftwatch.domain import Kind

THRESHOLD = 2000.0
"""Low, so that forty calibration runs alarm within a few changed ones."""


def plan(**changes):
    return Plan(**({"anchors": 8, "calibration": 40, "may_shorten": False, "threshold": THRESHOLD} | changes))


@pytest.fixture
def rehearsed(recording):
    def run(rows, **changes):
        return rehearse(group([recording(rows)], by=None, every_s=None, repeats=1), plan(**changes), None)

    return run


def test_an_unchanged_recording_is_quiet(rehearsed, lines):
    found = rehearsed(lines(90))

    assert (found.answer, found.reason, found.alarms) == (Answer.QUIET, "no alarm in 42 watched runs", ())
    assert (found.n_anchor_runs, found.n_calibration, len(found.watched)) == (8, 40, 42)
    assert [run.name for run in found.watched][:2] == ["48", "49"]
    assert max(run.evidence[Kind.BEHAVIOUR] for run in found.watched) < THRESHOLD


def test_a_change_is_found_soon_dated_and_explained(rehearsed, lines):
    found = rehearsed(lines(80, change=(60, 80)))

    assert found.answer is Answer.DRIFT
    [alarm] = [alarm for alarm in found.alarms if alarm.kind is Kind.BEHAVIOUR]
    assert abs(alarm.onset - 12) <= 1
    assert alarm.alarm - 12 + 1 <= 5
    assert alarm.recovery is None
    assert alarm.delay == alarm.alarm - alarm.onset + 1
    assert alarm.evidence >= THRESHOLD
    assert alarm.channels[0].since_onset_mean > alarm.channels[0].calibration_mean
    assert sum(moved.share for moved in alarm.channels) <= 1 + 1e-9
    assert alarm.pair is not None
    assert alarm.pair.after.startswith("I'm sorry")
    assert not alarm.pair.before.startswith("I'm sorry")
    assert any("refuses more" in words for words in alarm.words)
    assert alarm.headline


def test_a_change_that_ends_recovers(rehearsed, lines):
    found = rehearsed(lines(110, change=(60, 68)))

    [alarm] = [alarm for alarm in found.alarms if alarm.kind is Kind.BEHAVIOUR]
    assert alarm.recovery is not None
    assert alarm.recovery >= 20
    assert "recovered since" in found.reason


def test_no_run_is_judged_by_anything_later(rehearsed, lines):
    rows = lines(80, change=(60, 80))
    whole, short = rehearsed(rows), rehearsed(rows[: 66 * 4])

    assert [run.evidence for run in short.watched] == [run.evidence for run in whole.watched[: len(short.watched)]]


def test_the_same_recording_has_the_same_outcome(rehearsed, lines):
    rows = lines(75, change=(60, 75))

    assert rehearsed(rows) == rehearsed(rows)


@pytest.mark.parametrize("n_runs", [1, 2, 8, 28, 48])
def test_too_few_runs_say_how_many_are_missing(rehearsed, lines, n_runs):
    found = rehearsed(lines(n_runs))

    assert (found.answer, found.alarms, found.watched) == (Answer.INCONCLUSIVE, (), ())
    assert (f"so {49 - max(8, n_runs)} more are needed" in found.reason) == (n_runs >= 8)
    assert n_runs >= 8 or "no prompt has the 4 replies that anchors take" in found.reason or n_runs in {4, 5, 6, 7}


def test_a_short_recording_is_calibrated_shorter_when_nobody_asked_for_a_number(rehearsed, lines):
    found = rehearsed(lines(60), calibration=168, may_shorten=True)

    assert (found.answer, found.n_calibration, len(found.watched)) == (Answer.QUIET, 26, 26)
    assert "calibrated on 26 runs, not the usual 168" in found.notes[0]
    assert rehearsed(lines(60), calibration=168).answer is Answer.INCONCLUSIVE


def test_a_file_of_failures_only_is_no_drift(rehearsed, lines):
    rows = [{"prompt_id": row["prompt_id"], "error": "down", "sample_idx": row["sample_idx"]} for row in lines(90)]

    found = rehearsed(rows)

    assert (found.answer, found.alarms) == (Answer.INCONCLUSIVE, ())
    assert "no prompt has the 4 replies that anchors take" in found.reason


def test_failing_runs_are_not_judged_and_hold_the_evidence(rehearsed, lines):
    rows = [
        {"prompt_id": row["prompt_id"], "error": "down", "sample_idx": row["sample_idx"]}
        if 60 <= row["sample_idx"] < 75
        else row
        for row in lines(90)
    ]

    found = rehearsed(rows)

    assert found.answer is Answer.QUIET
    assert [run.name for run in found.watched if not run.is_judged] == [str(number) for number in range(60, 75)]
    held = {run.evidence[Kind.BEHAVIOUR] for run in found.watched[11:27]}
    assert len(held) == 1
    assert "15 watched runs failed more than 20% of requests: not judged" in found.notes


def test_failing_runs_neither_calibrate_nor_anchor(rehearsed, lines):
    rows = [
        {"prompt_id": row["prompt_id"], "error": "down", "sample_idx": row["sample_idx"]}
        if row["sample_idx"] in {0, 1, 20, 21}
        else row
        for row in lines(90)
    ]

    found = rehearsed(rows)

    assert (found.answer, found.n_anchor_runs, found.n_calibration, len(found.watched)) == (Answer.QUIET, 10, 40, 38)


@pytest.mark.parametrize("reply", ["always the same", ""], ids=["constant", "empty"])
def test_a_constant_series_is_quiet_and_a_change_in_it_is_found(rehearsed, lines, reply):
    still = [row | {"output": reply} for row in lines(90)]
    moved = [row | {"output": reply if row["sample_idx"] < 60 else "something else entirely"} for row in still]

    quiet = rehearsed(still)

    assert quiet.alarms == ()
    assert quiet.answer in {Answer.QUIET, Answer.INCONCLUSIVE}
    assert rehearsed(moved).answer is Answer.DRIFT or quiet.answer is Answer.INCONCLUSIVE


def test_a_prompt_that_comes_late_is_left_out_and_named(rehearsed, lines):
    late = [{"prompt_id": "late", "output": "x", "sample_idx": run} for run in range(50, 90)]

    found = rehearsed([*lines(90), *late])

    assert found.answer is Answer.QUIET
    assert found.left_out == ("late",)
    assert "not judged, for too few early replies: late" in found.notes


def test_a_prompt_that_disappears_is_imputed_and_no_drift(rehearsed, lines):
    rows = [row for row in lines(90) if row["prompt_id"] != "p1" or row["sample_idx"] < 60]

    assert rehearsed(rows).alarms == ()


def test_a_recording_whose_calibration_was_itself_drifting_raises_no_false_page(rehearsed, lines):
    found = rehearsed(lines(100, change=(28, 100)))

    assert found.answer in {Answer.INCONCLUSIVE, Answer.QUIET}
    assert found.alarms == ()


def test_slower_replies_are_performance_never_behaviour(rehearsed, lines):
    def told(run):
        return {"sample_idx": run, "latency_s": (1.0 if run < 60 else 9.0) + run % 7 / 10}

    found = rehearsed(lines(80, more=told))

    assert [alarm.kind for alarm in found.alarms] == [Kind.PERFORMANCE]
    assert found.alarms[0].channels[0].channel == "latency"
    assert found.alarms[0].pair is None


def test_what_was_not_measured_is_no_kind_and_its_absence_needs_no_note(rehearsed, lines):
    def told(run):
        return {"sample_idx": run, "latency_s": 1.0 + run % 7 / 10}

    without, every = rehearsed(lines(80)), rehearsed(lines(80, more=told))
    some = rehearsed([*lines(80, more=told), {"prompt_id": "p1", "output": "x", "sample_idx": 80}])
    note = "latency is not judged: not every reply tells its latency_s"

    assert (without.kinds, every.kinds) == ((Kind.BEHAVIOUR,), (Kind.BEHAVIOUR, Kind.PERFORMANCE))
    assert [note in found.notes for found in (without, every, some)] == [False, False, True]


def test_outputs_that_never_vary_are_told_to_be_judged_by_drawn_ties(rehearsed, lines):
    note = "behaviour is measured the same in every run: its evidence comes from ties that are drawn at random"
    still = [row | {"output": "always the same"} for row in lines(90)]
    moved = [row | {"output": "another"} if row["sample_idx"] == 85 else row for row in still]

    assert [note in rehearsed(rows).notes for rows in (still, moved, lines(90))] == [True, False, False]


def test_the_way_to_more_runs_is_told_only_where_there_is_one(rehearsed, lines, hourly):
    hint = "; a shorter --every makes more runs"
    minutely = [row | {"ts": f"2026-03-02T00:{row['sample_idx']:02}:00Z"} for row in lines(50)]

    assert hint in rehearsed(minutely).reason
    assert hint not in rehearsed(lines(12, more=hourly)).reason
