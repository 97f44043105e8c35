"""Accepting new behaviour and taking that back: what becomes of the watch, the incidents and the evidence."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from driftwatch.alert import incidents
from driftwatch.domain import BaselineState, Kind, Purpose
from driftwatch.errors import BaselineMissing, UsageError
from driftwatch.rebaseline import MINIMUM_RUNS, Act, accept, audit, expire, keep, propose
from driftwatch.score import CHANNELS, score
from driftwatch.store import Store
from tests.pipeline.conftest import BEFORE, T0, Watch


def drifting(verdict) -> bool:
    return verdict.state == "drifted"


class Killed(BaseException):
    """Stands for the end of the process."""


def members(watch, purpose: Purpose) -> list[int]:
    return [row.run_id for row in watch.store.series(watch.baseline().id) if row.purpose is purpose]


# ---------------------------------------------------------------- everything accepted


def test_accepting_with_enough_runs_arms_the_watch_at_once_and_resolves_the_incident(long_drifted):
    accepted = long_drifted.accept()
    assert accepted.baseline.state is BaselineState.ACTIVE
    assert (accepted.baseline.author, accepted.baseline.reason) == ("ana", "the vendor announced it")
    assert accepted.n_anchor_runs == 4
    assert accepted.n_calibration >= MINIMUM_RUNS
    assert accepted.missing_runs == 0
    assert long_drifted.incidents() == [("behaviour", "resolved")]
    assert long_drifted.told()[-1] == "new baseline accepted by ana: the vendor announced it"
    assert [long_drifted.run().state for _ in range(5)] == 5 * ["stable"]


def test_what_was_normal_before_is_drift_from_the_accepted_behaviour(long_drifted):
    long_drifted.accept()
    long_drifted.serve("before")
    long_drifted.until(drifting, at_most=12)
    assert long_drifted.incidents() == [("behaviour", "resolved"), ("behaviour", "open")]


def test_accepted_anchors_and_calibration_share_no_completion(long_drifted):
    long_drifted.accept()
    anchors = {c.id for those in long_drifted.store.anchors(2).values() for c in those}
    calibration = long_drifted.store.completions(members(long_drifted, Purpose.CALIBRATION))
    assert anchors.isdisjoint(c.id for those in calibration.values() for c in those)
    assert len(anchors) == 16


def test_stored_runs_are_scored_as_the_pipeline_would_score_them(long_drifted):
    """The cache of the old reference must not be used, nor another way of measuring."""
    long_drifted.accept()
    by_rebaseline = {row.run_id: row.values for row in long_drifted.store.series(2)}
    run_id = max(by_rebaseline)
    reference = long_drifted.pipeline.reference_for(long_drifted.target, long_drifted.baseline())
    again = {s.channel: s.value for s in score(reference, long_drifted.store.completions([run_id])[run_id])}
    assert by_rebaseline[run_id] == {name: value for name, value in again.items() if not np.isnan(value)}


def test_accepting_with_few_runs_collects_the_rest_and_says_how_many(drifted):
    drifted.run(5)
    accepted = drifted.accept()
    assert accepted.baseline.state is BaselineState.COLLECTING
    assert 0 < accepted.n_calibration < MINIMUM_RUNS
    assert accepted.missing_runs == MINIMUM_RUNS - accepted.n_calibration
    n = len(drifted.endpoint.asked)
    assert drifted.run(accepted.missing_runs).state == "calibrating"
    assert len(drifted.endpoint.asked) - n == 4 * accepted.missing_runs, "no anchors are asked for again"
    assert drifted.run().state == "stable"
    assert drifted.incidents() == [("behaviour", "resolved")]


def test_an_accepted_baseline_that_has_runs_already_takes_no_more_anchors(armed_with_five):
    armed_with_five.endpoint.rejected = {"shop/extra"}
    armed_with_five.change("after")
    armed_with_five.run(8)
    assert armed_with_five.accept().baseline.state is BaselineState.COLLECTING
    armed_with_five.endpoint.rejected = set()
    n_calibration = len(members(armed_with_five, Purpose.CALIBRATION))
    verdict = armed_with_five.run()
    assert verdict.reason.startswith(f"calibrating: {n_calibration + 1} of 20 runs; not watched")
    assert armed_with_five.endpoint.asked[-4:].count("shop/extra") == 0


def test_accepting_with_fewer_runs_than_anchors_collects_the_missing_anchors(armed):
    armed.run()
    armed.serve("after")
    armed.run(2)
    accepted = armed.accept(since=armed.now - timedelta(hours=2))
    assert (accepted.n_anchor_runs, accepted.n_calibration) == (2, 0)
    n = len(armed.endpoint.asked)
    assert armed.run().reason == "calibrating: 0 of 20 runs"
    assert len(armed.endpoint.asked) - n == 2 * 4, "two of four were there"


def test_runs_that_could_not_be_judged_become_neither_anchors_nor_calibration(drifted):
    drifted.run(3)
    drifted.endpoint.is_down = True
    drifted.run(4)
    drifted.endpoint.is_down = False
    drifted.run(20)
    failed = {run.id for run in drifted.store.runs() if run.n_failed}
    drifted.accept()
    assert len(failed) == 4
    assert failed.isdisjoint(members(drifted, Purpose.CALIBRATION))


def test_a_canary_that_stopped_answering_does_not_use_up_the_runs_for_calibration(armed_with_five):
    watch = armed_with_five
    watch.endpoint.rejected = {"shop/extra"}
    watch.change("after")
    watch.run(25)
    accepted = watch.accept()
    assert accepted.n_anchor_runs == 4
    assert accepted.baseline.state is BaselineState.ACTIVE
    verdict = watch.run()
    assert verdict.state == "stable"
    assert verdict.reason.endswith("; not watched, for they hardly answer: shop/extra")


def test_runs_whose_replies_were_deleted_are_not_accepted_unseen(armed):
    armed.run(30)
    since = armed.now - timedelta(hours=30)
    armed.store.prune(before=armed.now - timedelta(hours=6))
    accepted = armed.accept(since=since)
    assert (accepted.n_anchor_runs, accepted.n_calibration) == (4, 2)


def test_when_all_replies_were_deleted_nothing_is_accepted(armed):
    armed.run(3)
    armed.store.prune(before=armed.now)
    with pytest.raises(UsageError, match="has been measured and kept; wait for one"):
        armed.accept(since=armed.now - timedelta(hours=3))


def test_before_anything_was_measured_nothing_can_be_accepted(watch):
    watch.run()
    with pytest.raises(UsageError, match="no run since 2026-03-02 00:00 UTC"):
        watch.accept(since=watch.now - timedelta(hours=1))


def test_a_canary_that_failed_once_takes_its_last_anchor_from_the_next_run(armed_with_five):
    since = armed_with_five.now
    armed_with_five.endpoint.rejected = {"shop/extra"}
    armed_with_five.run()
    armed_with_five.endpoint.rejected = set()
    armed_with_five.run(6)
    accepted = armed_with_five.accept(since=since)
    assert accepted.n_anchor_runs == 5
    assert {len(those) for those in armed_with_five.store.anchors(accepted.baseline.id).values()} == {4}


def test_only_what_was_served_since_the_given_time_is_accepted(drifted):
    since = drifted.now + timedelta(hours=1)
    drifted.run(10)
    drifted.accept(since=since)
    [first, *_] = [run for run in drifted.store.runs() if run.id in members(drifted, Purpose.CALIBRATION)]
    assert first.scheduled_at == since + timedelta(hours=4), "four runs became anchors"


def test_calibration_since_the_given_time_can_be_accepted_before_the_watch_was_ever_armed(watch):
    watch.run(10)
    watch.serve("after")
    watch.run(8)
    accepted = watch.accept(since=watch.now - timedelta(hours=8))
    assert (accepted.n_anchor_runs, accepted.n_calibration) == (4, 4)


def test_a_performance_incident_is_resolved_and_an_outage_is_not(slowed):
    slowed.endpoint.is_down = True
    slowed.run(3)
    slowed.endpoint.is_down = False
    slowed.accept()
    assert slowed.incidents() == [("performance", "resolved"), ("availability", "open")]


# ---------------------------------------------------------------- refused


def test_without_a_baseline_there_is_nothing_to_replace(watch):
    with pytest.raises(BaselineMissing, match="run `driftwatch baseline shop-bot` first"):
        watch.accept()


def test_without_an_incident_the_time_must_be_given(armed):
    armed.run(3)
    with pytest.raises(UsageError, match="write --since"):
        armed.accept()


def test_an_outage_does_not_say_since_when_behaviour_has_changed(armed):
    armed.endpoint.is_down = True
    armed.run(3)
    with pytest.raises(UsageError, match="write --since"):
        armed.accept()


def test_a_time_after_the_last_run_accepts_nothing_and_keeps_the_watch_armed(drifted):
    with pytest.raises(UsageError, match="no run since"):
        drifted.accept(since=drifted.now + timedelta(days=1))
    assert drifted.baseline().id == 1
    assert drifted.baseline().state is BaselineState.ACTIVE


def test_after_an_edit_of_the_suite_there_is_no_behaviour_to_accept(drifted):
    drifted.edit(canaries=drifted.target.canaries[:3])
    with pytest.raises(UsageError, match="the next run begins a new baseline by itself"):
        drifted.accept()
    assert drifted.baseline().id == 1


# ---------------------------------------------------------------- single canaries


def test_accepting_one_of_two_long_drifted_canaries_keeps_the_other_ones_drift_visible(two_long_drifted):
    accepted = two_long_drifted.accept("shop/capital")
    assert accepted.baseline.state is BaselineState.ACTIVE
    assert accepted.n_calibration == 20
    verdict = two_long_drifted.until(drifting, at_most=20)
    found = {
        canary.canary_id
        for channel in verdict.channels
        if channel.kind is Kind.BEHAVIOUR
        for canary in channel.canaries
        if canary.is_affected
    }
    two_long_drifted.run(8)
    assert "shop/capital" not in found
    assert found <= {"shop/refund"}
    pair = two_long_drifted.open_incident().evidence["pair"]
    assert pair["canary_id"] == "shop/refund"


def test_accepting_both_drifted_canaries_ends_the_drift(two_long_drifted):
    two_long_drifted.accept("shop/capital", "shop/refund")
    assert {two_long_drifted.run().state for _ in range(15)} == {"stable"}


def test_a_canary_that_was_not_accepted_keeps_its_anchors_and_its_calibration(two_long_drifted):
    two_long_drifted.accept("shop/capital")
    before, after = two_long_drifted.store.anchors(1), two_long_drifted.store.anchors(2)
    assert after["shop/refund"] == before["shop/refund"]
    assert {c.id for c in after["shop/capital"]}.isdisjoint({c.id for c in before["shop/capital"]})
    runs = members(two_long_drifted, Purpose.CALIBRATION)
    old, new = (two_long_drifted.store.canary_values(b, "wording", runs) for b in (1, 2))
    assert [old[r]["shop/refund"] for r in runs] == [new[r]["shop/refund"] for r in runs]
    assert [old[r]["shop/capital"] for r in runs] != [new[r]["shop/capital"] for r in runs]


def test_single_canaries_need_ten_runs_beside_those_of_the_anchors(two_drifted):
    two_drifted.run(2)
    with pytest.raises(UsageError, match="too few to accept single canaries; wait for them"):
        two_drifted.accept("shop/capital")


def test_a_canary_that_does_not_answer_cannot_be_accepted(armed_with_five):
    armed_with_five.endpoint.rejected = {"shop/extra"}
    armed_with_five.change("after")
    armed_with_five.run(16)
    with pytest.raises(UsageError, match="shop/extra has 0 replies since the change, and 4 make a baseline"):
        armed_with_five.accept("shop/extra")
    assert armed_with_five.accept("shop/capital").baseline.state is BaselineState.ACTIVE


def test_what_was_normal_before_is_nowhere_in_the_calibration_of_an_accepted_canary(armed_with_five):
    armed_with_five.change("two")
    armed_with_five.run(10)
    armed_with_five.endpoint.rejected = {"shop/capital"}
    armed_with_five.run(8)  # a fifth of the requests: measured all the same
    replaced = armed_with_five.baseline().id
    accepted = armed_with_five.accept("shop/capital").baseline.id
    runs = members(armed_with_five, Purpose.CALIBRATION)
    old, new = (armed_with_five.store.canary_values(b, "wording", runs) for b in (replaced, accepted))
    drawn = [new[run_id].get("shop/capital") for run_id in runs]
    assert None in drawn, "a run without a reply gives none"
    assert set(drawn).isdisjoint(old[run_id]["shop/capital"] for run_id in runs)


def test_a_canary_that_was_left_out_stays_left_out_when_another_is_accepted(watch):
    watch.endpoint.rejected = {"shop/triage"}
    watch.run(23)
    watch.change("two")
    watch.run(16)
    assert watch.accept("shop/capital").baseline.state is BaselineState.ACTIVE
    assert "hardly answer: shop/triage" in watch.run().reason


# ---------------------------------------------------------------- killed between two steps


STEPS = ["replace_baseline", "commit_judgement"]


def cut_short(watch, monkeypatch, step):
    """The process ends while it accepts, and another one begins."""

    def die(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(type(watch.store), step, die)
        with pytest.raises(Killed):
            watch.accept()
    watch.restart()


@pytest.mark.parametrize("step", STEPS)
def test_an_acceptance_cut_short_can_be_made_again_and_undone(long_drifted, monkeypatch, step):
    cut_short(long_drifted, monkeypatch, step)
    since = long_drifted.open_incident().onset_at
    again = long_drifted.accept(since=since)
    assert again.n_calibration >= MINIMUM_RUNS
    assert again.baseline.state is BaselineState.ACTIVE
    assert long_drifted.incidents() == [("behaviour", "resolved")]
    assert long_drifted.run().state == "stable"
    assert long_drifted.undo().id == (1 if step == "replace_baseline" else 2), "nothing is half written"


def test_a_watch_goes_on_after_an_acceptance_cut_short_before_its_incidents_ended(long_drifted, monkeypatch):
    cut_short(long_drifted, monkeypatch, "commit_judgement")
    long_drifted.pipeline.recover([long_drifted.target], long_drifted.now)
    long_drifted.run(2)
    assert long_drifted.store.latest_verdict("shop-bot").state == "stable"
    assert long_drifted.incidents() == [("behaviour", "resolved")]


def test_an_acceptance_cut_short_before_it_was_written_has_changed_nothing(long_drifted, monkeypatch):
    before = long_drifted.store.baseline_changes("shop-bot")
    cut_short(long_drifted, monkeypatch, "replace_baseline")
    assert long_drifted.store.baseline_changes("shop-bot") == before
    assert long_drifted.run().state == "drifted"
    assert long_drifted.incidents() == [("behaviour", "open")]


# ---------------------------------------------------------------- undo


def test_undo_puts_the_old_baseline_back_and_its_standing_drift_pages_again(long_drifted):
    long_drifted.accept()
    long_drifted.run(2)
    restored = long_drifted.undo()
    assert (restored.id, restored.state) == (1, BaselineState.ACTIVE)
    assert long_drifted.run().state == "drifted"
    assert long_drifted.incidents() == [("behaviour", "resolved"), ("behaviour", "open")]


def test_undo_measures_against_the_old_anchors_again(long_drifted):
    old = long_drifted.run().channels
    long_drifted.accept()
    new = long_drifted.run().channels
    long_drifted.undo()
    back = long_drifted.run().channels
    values = [{c.channel: c.value for c in channels}["wording"] for channels in (old, new, back)]
    assert values[1] < values[0] / 2
    assert values[2] > values[1] * 2


def test_undo_closes_what_was_found_against_the_baseline_that_goes(long_drifted):
    long_drifted.accept()
    long_drifted.serve("before")
    long_drifted.until(drifting, at_most=12)
    long_drifted.undo()
    assert long_drifted.incidents() == [("behaviour", "resolved"), ("behaviour", "resolved")]
    assert long_drifted.told()[-1] == "baseline 2, which it was found against, was taken back: too early"
    long_drifted.until(lambda verdict: verdict.state == "stable", at_most=30)


def test_undo_leaves_an_outage_open(long_drifted):
    long_drifted.accept()
    long_drifted.endpoint.is_down = True
    long_drifted.run(3)
    long_drifted.undo()
    assert long_drifted.incidents()[-1] == ("availability", "open")


def test_a_drift_closed_by_hand_after_an_undo_stays_closed(long_drifted):
    long_drifted.accept()
    long_drifted.run()
    long_drifted.undo()
    long_drifted.run()
    steps = incidents.resolve([long_drifted.open_incident()], author="ana", reason="known", at=long_drifted.now)
    long_drifted.store.commit_judgement(None, steps, at=long_drifted.now)
    long_drifted.run(4)
    assert len(long_drifted.incidents()) == 2


def test_undo_twice_has_nothing_left_to_undo(long_drifted):
    long_drifted.accept()
    long_drifted.undo()
    with pytest.raises(UsageError, match="replaced none"):
        long_drifted.undo()
    assert long_drifted.baseline().id == 1


def test_undo_without_a_baseline_says_so(watch):
    with pytest.raises(UsageError, match="nothing to undo"):
        watch.undo()


def test_undo_does_not_bring_back_the_baseline_of_another_question(drifted):
    drifted.edit(model="m-2")
    drifted.run()
    with pytest.raises(UsageError, match="configure them as they were, and it comes back by itself"):
        drifted.undo()
    assert drifted.baseline().id == 2


def test_an_undone_baseline_that_was_still_collecting_is_not_missed(drifted):
    drifted.run(3)
    assert drifted.accept().baseline.state is BaselineState.COLLECTING
    drifted.run(2)
    assert drifted.undo().state is BaselineState.ACTIVE
    assert drifted.run().state == "drifted"


# ---------------------------------------------------------------- slow creep


def by_channel(found):
    return {channel.channel: channel for channel in found.channels}


def test_an_acceptance_says_how_far_it_is_from_the_first_baseline(long_drifted):
    found = long_drifted.accept().creep
    assert (found.first_id, found.n_between) == (1, 0)
    wording = by_channel(found)["wording"]
    rows = [row for row in long_drifted.store.series(1) if row.purpose is Purpose.CALIBRATION]
    assert wording.first == pytest.approx(sum(row.values["wording"] for row in rows) / len(rows))
    assert wording.first <= wording.usual < wording.now
    assert wording.is_far
    assert set(by_channel(found)).isdisjoint({"latency", "tokens"}), "behaviour only"
    assert f"{wording.first:.2f} → {wording.now:.2f} in wording" in found.in_words()


def test_accepting_what_was_there_before_is_not_far(armed):
    begun = armed.now
    armed.run(26)
    found = armed.accept(since=begun).creep
    assert by_channel(found)["wording"].now <= by_channel(found)["wording"].usual + 0.05
    assert not by_channel(found)["checks"].is_far


def test_two_acceptances_that_lead_back_are_nowhere_and_two_that_lead_on_are_told(long_drifted):
    long_drifted.accept()
    begun = long_drifted.now
    long_drifted.run(26)
    second = long_drifted.accept(since=begun)
    assert (second.creep.first_id, second.creep.n_between) == (1, 1)
    assert by_channel(second.creep)["wording"].is_far, "measured against the first, not against the one before"
    long_drifted.serve("before")
    begun = long_drifted.now
    long_drifted.run(26)
    back = long_drifted.accept(since=begun)
    assert (back.creep.first_id, back.creep.n_between) == (1, 2)
    assert not by_channel(back.creep)["checks"].is_far
    told = long_drifted.told()[-1]
    assert told.startswith("new baseline accepted by ana: the vendor announced it")


def test_receivers_hear_when_acceptances_have_added_up(long_drifted):
    long_drifted.accept()
    assert "first baseline" not in long_drifted.told()[-1], "a single acceptance has been told by its incident"
    long_drifted.until(lambda verdict: verdict.state == "stable", at_most=30)
    long_drifted.serve("two")
    long_drifted.until(drifting, at_most=20)
    long_drifted.run(26)
    long_drifted.accept()
    assert "; distance from the first baseline (1, of 2026-03-02): " in long_drifted.told()[-1]


def test_another_suite_has_a_first_baseline_of_its_own(long_drifted):
    long_drifted.edit(canaries=long_drifted.target.canaries[:3])
    long_drifted.run(21)
    begun = long_drifted.now
    long_drifted.run(26)
    assert long_drifted.accept(since=begun).creep.first_id == 2


def test_the_first_epochs_anchors_outlive_every_retention(long_drifted):
    long_drifted.accept()
    long_drifted.run(2)
    long_drifted.store.prune(before=long_drifted.now + timedelta(days=3650))
    assert {len(those) for those in long_drifted.store.anchors(1).values()} == {4}
    begun = long_drifted.now
    long_drifted.run(26)
    assert long_drifted.accept(since=begun).creep.first_id == 1


# ---------------------------------------------------------------- for a while


def accepted_for(watch, length, **more):
    return accept(
        watch.store,
        watch.target,
        None,
        canary_ids=(),
        since=None,
        author="ana",
        reason="until the vendor answers",
        at=watch.now,
        expires_at=watch.now + length,
        **more,
    )


def state_of(watch):
    """All that a later verdict can depend on: the current baseline, its anchors, its series."""
    current = watch.baseline()
    values = {
        name: watch.store.canary_values(current.id, name, members(watch, Purpose.CALIBRATION)) for name in CHANNELS
    }
    return current, watch.store.anchors(current.id), watch.store.series(current.id), values


def test_the_replaced_baseline_comes_back_with_the_first_run_at_the_moment_of_expiry(long_drifted):
    accepted = accepted_for(long_drifted, timedelta(hours=3))
    assert [long_drifted.run().baseline_id for _ in range(3)] == [2, 2, 2], "one minute before is within"
    assert long_drifted.baseline().id == 2
    verdict = long_drifted.run()
    assert verdict.at == accepted.baseline.expires_at
    assert (verdict.baseline_id, verdict.state) == (1, "drifted")
    assert long_drifted.baseline().state is BaselineState.ACTIVE
    change = long_drifted.store.baseline_changes("shop-bot")[-1]
    assert (change.author, change.reason) == ("driftwatch", "the acceptance by ana of 2026-03-04 11:00 UTC expired")


def test_drift_that_stands_when_an_acceptance_expires_pages_again(long_drifted):
    accepted_for(long_drifted, timedelta(hours=2))
    n_told = len(long_drifted.told())
    long_drifted.run(3)
    assert [state for _, state in long_drifted.incidents()][-1] == "open"
    assert len(long_drifted.told()) == n_told + 1


def test_what_was_found_against_an_acceptance_ends_when_it_expires(long_drifted):
    accepted_for(long_drifted, timedelta(hours=30))
    long_drifted.serve("other")
    long_drifted.until(drifting, at_most=12)
    found = [incident for incident in long_drifted.store.incidents(open_only=True) if incident.baseline_id == 2]
    assert found
    long_drifted.run(30)
    ended = long_drifted.store.transitions(found[0].id)
    assert "baseline 2, which it was found against, expired, which was accepted by ana for a while" in {
        edge.reason for edge in ended
    }


def test_expiry_is_harmless_when_repeated_and_when_the_clock_goes_back(long_drifted):
    accepted_for(long_drifted, timedelta(hours=1))
    for at in (long_drifted.now + timedelta(hours=2), long_drifted.now + timedelta(hours=2), long_drifted.now):
        assert long_drifted.pipeline.baseline_for(long_drifted.target, at).id == 1
    restored = [c for c in long_drifted.store.baseline_changes("shop-bot") if c.before is BaselineState.SUPERSEDED]
    assert len(restored) == 1


def test_of_two_processes_that_see_an_expiry_one_writes_it(long_drifted):
    accepted_for(long_drifted, timedelta(hours=1))
    current, later = long_drifted.baseline(), long_drifted.now + timedelta(hours=1)
    first = expire(long_drifted.store, long_drifted.target, current, later)
    second = expire(long_drifted.store, long_drifted.target, current, later)
    assert (first.id, second.id) == (1, 1)
    assert sum(c.reason.endswith("expired") for c in long_drifted.store.baseline_changes("shop-bot")) == 2


def test_a_person_who_accepts_while_another_process_lets_it_expire_is_not_overruled(long_drifted):
    accepted_for(long_drifted, timedelta(hours=1))
    stale, later = long_drifted.baseline(), long_drifted.now + timedelta(hours=1)
    long_drifted.run(1)
    long_drifted.accept(since=long_drifted.now - timedelta(hours=30))
    assert expire(long_drifted.store, long_drifted.target, stale, later).id == 3


def test_two_provisional_acceptances_that_are_over_lead_back_to_the_first_baseline(long_drifted):
    accepted_for(long_drifted, timedelta(hours=2))
    since = long_drifted.now
    long_drifted.run()
    accept(
        long_drifted.store,
        long_drifted.target,
        None,
        canary_ids=(),
        since=since,
        author="ben",
        reason="a little longer",
        at=long_drifted.now,
        expires_at=long_drifted.now + timedelta(hours=3),
    )
    long_drifted.hour += 5
    assert long_drifted.run().baseline_id == 1
    entries = audit(long_drifted.store, "shop-bot")
    assert [(e.act, e.baseline.id, e.replaced) for e in entries][-2:] == [
        (Act.RESTORED, 2, 3),
        (Act.RESTORED, 1, 2),
    ]


def test_an_acceptance_that_is_kept_does_not_expire(long_drifted):
    accepted_for(long_drifted, timedelta(hours=2))
    kept = keep(long_drifted.store, long_drifted.target, author="ana", reason="it is fine", at=long_drifted.now)
    assert kept.expires_at is None
    long_drifted.hour += 5
    assert long_drifted.run().baseline_id == 2
    with pytest.raises(UsageError, match="does not expire, so there is nothing to keep"):
        keep(long_drifted.store, long_drifted.target, author="ana", reason="again", at=long_drifted.now)


def test_what_has_expired_cannot_be_kept(long_drifted):
    accepted_for(long_drifted, timedelta(hours=2))
    with pytest.raises(UsageError, match="expired on 2026-03-04 13:00 UTC, and the next run brings the replaced"):
        keep(long_drifted.store, long_drifted.target, author="a", reason="r", at=long_drifted.now + timedelta(hours=2))


def test_an_acceptance_that_would_be_over_at_once_is_refused(long_drifted):
    with pytest.raises(UsageError, match="is over already; write a later time"):
        accepted_for(long_drifted, timedelta(0))
    assert long_drifted.baseline().id == 1


# ---------------------------------------------------------------- from the next runs


def test_collecting_begins_anew_with_the_next_runs_and_ends_the_incident_at_once(drifted):
    accepted = accept(
        drifted.store,
        drifted.target,
        None,
        canary_ids=(),
        since=None,
        author="ana",
        reason="fine",
        at=drifted.now,
        collect=True,
    )
    assert (accepted.baseline.state, accepted.n_anchor_runs, accepted.n_calibration) == ("collecting", 0, 0)
    assert drifted.incidents() == [("behaviour", "resolved")]
    assert drifted.told()[-1] == "new baseline accepted by ana: fine"
    n = len(drifted.endpoint.asked)
    assert drifted.run().reason == "calibrating: 0 of 20 runs"
    assert len(drifted.endpoint.asked) - n == 16, "all four anchors of all four canaries are asked for"
    drifted.run(20)
    assert drifted.run().state == "stable"


@pytest.mark.parametrize("more", [{"canary_ids": ("shop/capital",)}, {"since": T0}])
def test_collecting_single_canaries_or_stored_runs_is_refused(drifted, more):
    wish = {"canary_ids": (), "since": None, **more}
    with pytest.raises(UsageError, match="leave out canaries and --since"):
        accept(drifted.store, drifted.target, None, author="a", reason="r", at=drifted.now, collect=True, **wish)


def test_who_regrets_collecting_can_accept_the_stored_runs_after_all(long_drifted):
    since = long_drifted.open_incident().onset_at
    accept(
        long_drifted.store,
        long_drifted.target,
        None,
        canary_ids=(),
        since=None,
        author="ana",
        reason="fine",
        at=long_drifted.now,
        collect=True,
    )
    again = long_drifted.accept(since=since)
    assert again.baseline.state is BaselineState.ACTIVE
    assert long_drifted.undo().id == 1


# ---------------------------------------------------------------- the scope, and back again


def test_the_scope_is_stored_and_naming_all_canaries_is_the_whole_target(two_long_drifted):
    assert two_long_drifted.accept("shop/capital").baseline.scope == ("shop/capital",)
    two_long_drifted.undo()
    since = two_long_drifted.now - timedelta(hours=16)
    assert two_long_drifted.accept(*BEFORE, since=since).baseline.scope == ()


def test_undo_goes_back_step_by_step(long_drifted):
    long_drifted.accept()
    begun = long_drifted.now
    long_drifted.run(26)
    long_drifted.accept(since=begun)
    assert [long_drifted.undo().id, long_drifted.undo().id] == [2, 1]
    with pytest.raises(UsageError, match="nothing to undo"):
        long_drifted.undo()


def twin(prepared, folder, name):
    """A further copy of a prepared watch."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "twin.db"
    shutil.copy(prepared[name].path, path)
    return Watch(path, hour=prepared[name].hour, changes=prepared[name].changes)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    canaries=st.sets(st.sampled_from(sorted(BEFORE)), max_size=4),
    collect=st.booleans(),
    hours=st.none() | st.integers(1, 50),
    further=st.integers(0, 2),
)
def test_accepting_and_undoing_restores_baseline_and_verdict_exactly(
    prepared, tmp_path, canaries, collect, hours, further
):
    watch, untouched = (twin(prepared, tmp_path, "after-long") for _ in range(2))
    with contextlib.closing(watch), contextlib.closing(untouched):
        before = state_of(watch)
        expires = None if hours is None else watch.now + timedelta(hours=hours)
        accept(
            watch.store,
            watch.target,
            None,
            canary_ids=() if collect else tuple(canaries),
            since=None,
            author="ana",
            reason="fine",
            at=watch.now,
            expires_at=expires,
            collect=collect,
        )
        stops = 1
        for _ in range(0 if collect else further):
            watch.accept(since=T0)
            stops += 1
        for _ in range(stops):
            watch.undo()
        assert state_of(watch) == before
        ours, theirs = watch.run(), untouched.run()
        assert ours.state == theirs.state == "drifted"
        assert (ours.kinds, ours.channels, ours.tripwires) == (theirs.kinds, theirs.channels, theirs.tripwires)


# ---------------------------------------------------------------- two at once


def test_of_two_who_accept_at_once_one_wins_and_the_other_is_told(long_drifted):
    mine = propose(long_drifted.store, long_drifted.target, None)
    winner = long_drifted.accept()
    with pytest.raises(UsageError) as raised:
        accept(
            long_drifted.store,
            long_drifted.target,
            None,
            canary_ids=(),
            since=None,
            author="ben",
            reason="me too",
            at=long_drifted.now,
            proposal=mine,
        )
    assert str(raised.value) == (
        "shop-bot: baseline 1 was current a moment ago, and baseline 2 has taken its place meanwhile; nothing was "
        "written: `driftwatch rebaseline shop-bot --history` says who changed what"
    )
    assert long_drifted.baseline() == winner.baseline
    assert len(long_drifted.store.baselines("shop-bot")) == 2


def test_of_two_threads_that_accept_at_once_exactly_one_wins(long_drifted):
    proposal, barrier = propose(long_drifted.store, long_drifted.target, None), threading.Barrier(2)

    def decide(name):
        with Store.open(long_drifted.path) as own:
            barrier.wait(5)
            try:
                accept(
                    own,
                    long_drifted.target,
                    None,
                    canary_ids=(),
                    since=None,
                    author=name,
                    reason="fine",
                    at=long_drifted.now,
                    proposal=proposal,
                )
            except UsageError as error:
                return str(error)
        return name

    with ThreadPoolExecutor(2) as both:
        said = list(both.map(decide, ["ana", "ben"]))
    won = [name for name in said if name in {"ana", "ben"}]
    assert [long_drifted.baseline().author] == won
    assert sum("has taken its place meanwhile" in sentence for sentence in said) == 1


def test_an_undo_that_came_too_late_takes_nothing_back(long_drifted):
    long_drifted.accept()
    stale = long_drifted.baseline()
    long_drifted.undo()
    with pytest.raises(UsageError, match="baseline 1 has taken its place meanwhile; nothing was written"):
        long_drifted.store.restore_baseline(2, author="a", reason="r", at=long_drifted.now, replacing=stale)


# ---------------------------------------------------------------- the audit log


def test_the_audit_log_tells_every_act_with_scope_expiry_and_the_incidents_it_ended(two_long_drifted):
    watch = two_long_drifted
    standing = {incident.lead_id for incident in watch.store.incidents(open_only=True)}
    accept(
        watch.store,
        watch.target,
        None,
        canary_ids=("shop/refund",),
        since=None,
        author="ana",
        reason="new terms",
        at=watch.now,
        expires_at=watch.now + timedelta(days=7),
    )
    keep(watch.store, watch.target, author="cho", reason="they stay", at=watch.now)
    watch.undo()
    told = [(e.author, e.act, e.baseline.id, e.replaced, e.resolved) for e in audit(watch.store, "shop-bot")]
    assert told == [
        ("driftwatch", Act.BEGUN, 1, None, ()),
        ("driftwatch", Act.ARMED, 1, None, ()),
        ("ana", Act.BEGUN, 2, 1, tuple(standing)),
        ("driftwatch", Act.ARMED, 2, None, ()),
        ("cho", Act.KEPT, 2, None, ()),
        ("ben", Act.RESTORED, 1, 2, ()),
    ]
    assert standing == {1}
    entry = audit(watch.store, "shop-bot")[4]
    assert entry.reason == "for good, no longer until 2026-03-10 21:00 UTC: they stay"
    assert entry.baseline.scope == ("shop/refund",)
