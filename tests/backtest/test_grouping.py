"""Completions become runs: by name, by time, by sample; in order whatever the order of the lines."""

from __future__ import annotations

import random

import pytest

from driftwatch.backtest import By, group
from driftwatch.errors import UsageError


def grouped(*recordings, by=None, every_s=None, repeats=1):
    return group(recordings, by=by, every_s=every_s, repeats=repeats)


def names(grouping):
    return [run.name for run in grouping.runs]


def test_a_run_key_is_taken_first_then_time_then_sample(lines, recording, hourly):
    named = recording(lines(3, more=lambda run: {"run": run, "sample_idx": 0} | hourly(run)))
    timed = recording(lines(3, more=lambda run: {"sample_idx": run} | hourly(run)))
    sampled = recording(lines(3))

    assert [grouped(one).by for one in (named, timed, sampled)] == [By.RUN, By.TIME, By.SAMPLE]
    assert grouped(named, every_s=7200.0).by is By.TIME
    assert grouped(timed, by=By.SAMPLE).by is By.SAMPLE


def test_numbered_runs_are_in_the_order_of_their_numbers_and_others_as_they_come(lines, recording):
    rows = lines(12, more=lambda run: {"run": run})
    random.Random(1).shuffle(rows)

    assert names(grouped(recording(rows))) == [str(number) for number in range(12)]
    assert names(grouped(recording([{"prompt_id": "a", "output": "x", "run": run} for run in ("b", "a", "b")]))) == [
        "b",
        "a",
    ]


def test_a_clock_that_goes_backwards_is_sorted_and_said(lines, recording, hourly):
    rows = lines(6, more=hourly)
    grouping = grouped(recording(rows[12:] + rows[:12]))

    assert [run.at.hour for run in grouping.runs] == list(range(6))
    assert grouping.notes == ("time goes backwards 1 times from line to line; the lines are sorted by their times",)


def test_named_runs_with_times_are_in_the_order_of_their_times(lines, recording, hourly):
    grouping = grouped(recording(lines(3, more=lambda run: {"run": "cab"[run]} | hourly(2 - run))))

    assert names(grouping) == ["b", "a", "c"]
    assert "sorted by their times" in grouping.notes[0]


@pytest.mark.parametrize(("every_s", "n_runs"), [(None, 24), (3600.0, 24), (7200.0, 12), (86_400.0, 1)])
def test_slots_of_time_make_runs(lines, recording, hourly, every_s, n_runs):
    grouping = grouped(recording(lines(24, more=hourly)), every_s=every_s)

    assert len(grouping.runs) == n_runs
    assert grouping.runs[0].name == "2026-03-02 00:00:00"
    assert {len(run.completions) for run in grouping.runs} == {96 // n_runs}


def test_gaps_in_time_are_no_runs(lines, recording, hourly):
    rows = lines(10, more=hourly)

    grouping = grouped(recording(rows[:8] + rows[28:]))

    assert [run.at.hour for run in grouping.runs] == [0, 1, 7, 8, 9]
    assert grouping.interval_s == 3600.0


def test_repeats_count_within_the_run(lines, recording):
    grouping = grouped(recording(lines(10)), repeats=5)

    assert len(grouping.runs) == 2
    assert sorted({c.repeat for c in grouping.runs[1].completions}) == [0, 1, 2, 3, 4]


def test_without_any_numbers_the_first_line_of_a_prompt_is_its_first_run(lines, recording):
    grouping = grouped(recording(lines(4, more=lambda _: {})))

    assert [len(run.completions) for run in grouping.runs] == [4, 4, 4, 4]
    assert "a prompt's first line is its first run" in grouping.notes[0]


def test_files_without_times_follow_each_other_and_never_share_a_run(lines, recording):
    before, after = recording(lines(3), "a.jsonl"), recording(lines(2), "b.jsonl")

    assert names(grouped(before, after)) == ["1/0", "1/1", "1/2", "2/0", "2/1"]


def test_runs_recorded_in_one_go_are_counted_as_hourly(lines, recording):
    grouping = grouped(recording(lines(30, more=lambda run: {"run": run, "ts": 1_770_000_000 + run})))

    assert grouping.interval_s == 3600.0
    assert "less than a minute apart" in grouping.notes[0]


def test_latency_is_judged_only_when_every_reply_tells_it(lines, recording):
    every = lines(2, more=lambda run: {"sample_idx": run, "latency_s": 1.0})
    failed = {"prompt_id": "p1", "error": "timeout", "sample_idx": 9}

    assert grouped(recording([*every, failed])).has_latency
    assert not grouped(recording([*every, {"prompt_id": "p1", "output": "x", "sample_idx": 9}])).has_latency
    assert not grouped(recording([failed])).has_latency


def test_some_latency_is_neither_all_nor_none(lines, recording):
    every, none = lines(2, more=lambda run: {"sample_idx": run, "latency_s": 1.0}), lines(2)

    assert grouped(recording([*every, {"prompt_id": "p1", "output": "x", "sample_idx": 9}])).has_some_latency
    assert not grouped(recording(every)).has_some_latency
    assert not grouped(recording(none)).has_some_latency


def test_times_that_cannot_be_used_matter_only_where_runs_are_told_by_time(lines, recording, hourly):
    bad = recording(lines(3, more=lambda run: {"sample_idx": run, "ts": f"day {run}"}), "bad.jsonl")
    named = recording(lines(3, more=lambda run: {"run": run, "ts": f"day {run}"}), "named.jsonl")
    good = recording(lines(3, more=lambda run: {"sample_idx": run} | hourly(run)), "good.jsonl")

    for asked in (lambda: grouped(bad), lambda: grouped(bad, by=By.TIME), lambda: grouped(good, bad)):
        with pytest.raises(UsageError, match=r'bad.jsonl:1: ts is "day 0", which is no time; .* or write --by sample'):
            asked()
    for grouping in (grouped(bad, by=By.SAMPLE), grouped(named), grouped(good, bad, by=By.SAMPLE)):
        assert len(grouping.runs) in {3, 6}
        assert not grouping.has_times
        assert "the times are not used: " in grouping.notes[0]


def test_more_runs_can_be_made_only_where_one_holds_a_prompt_at_two_times_or_twice(lines, recording, hourly):
    timed, sampled = recording(lines(6, more=hourly)), recording(lines(6))

    assert [grouped(timed, every_s=every_s).can_split for every_s in (3600.0, 7200.0)] == [False, True]
    assert [grouped(sampled, repeats=repeats).can_split for repeats in (1, 2)] == [False, True]
    assert not grouped(recording(lines(6, more=lambda run: {"run": 0} | hourly(run)))).can_split


def test_only_greedy_recordings_have_greedy_canaries(lines, recording):
    cold, hot = (recording([row | {"temperature": t} for row in lines(1)], f"{t}.jsonl") for t in (0, 1))

    assert {canary.parameters.get("temperature") for canary in grouped(cold).canaries} == {0}
    assert {canary.parameters.get("temperature") for canary in grouped(cold, hot).canaries} == {None}


def test_what_cannot_be_grouped_as_asked_is_told(lines, recording, hourly):
    plain, timed = recording(lines(2), "plain.jsonl"), recording(lines(2, more=hourly), "timed.jsonl")
    other = recording([{"prompt_id": "p1", "prompt": "B", "output": "x"}], "other.jsonl")
    told = recording([{"prompt_id": "p1", "prompt": "A", "output": "x"}], "told.jsonl")

    for asked, said in (
        (lambda: grouped(plain, by=By.TIME), "plain.jsonl: the lines have no ts; add one, or write --by sample"),
        (lambda: grouped(plain, every_s=60.0), "plain.jsonl: the lines have no ts"),
        (lambda: grouped(plain, by=By.RUN), "plain.jsonl: the lines name no run; add one, or write --by time or"),
        (lambda: grouped(timed, by=By.SAMPLE, every_s=60.0), "--every needs times, and the runs are told by sample"),
        (lambda: grouped(timed, plain), "only one of them has times; give both files their ts"),
        (lambda: grouped(told, other), "other.jsonl: prompt_id 'p1' has another prompt than in the files before"),
    ):
        with pytest.raises(UsageError) as refused:
            asked()
        assert said in str(refused.value)
