"""An endpoint that changes while it is being calibrated: somebody is told, and the mixture never becomes normal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.domain import BaselineState, Kind, Purpose, State
from driftwatch.provisional import PROVISIONAL, calibration

WANTED = 45


@pytest.fixture
def collecting(watch):
    """One run for the anchors, twenty-five of forty-five calibration runs."""
    watch.edit(calibration_wanted=WANTED)
    assert watch.run(1 + 25).state is State.CALIBRATING
    return watch


@pytest.fixture
def changed(collecting):
    """Another persona answers, and the provisional alarm has just been raised."""
    collecting.serve("after")
    collecting.until(lambda verdict: verdict.state is State.DRIFTED, at_most=15)
    return collecting


def is_calm(verdict) -> bool:
    return verdict.state is State.CALIBRATING


def test_evidence_is_shown_from_the_twenty_first_calibration_run_on(watch):
    watch.edit(calibration_wanted=WANTED)
    assert watch.run(1 + PROVISIONAL).kinds == ()
    verdict = watch.run()
    assert verdict.state is State.CALIBRATING
    assert verdict.reason == "calibrating: 21 of 45 runs"
    assert verdict.kind(Kind.BEHAVIOUR).threshold == watch.target.threshold
    assert not verdict.kind(Kind.BEHAVIOUR).is_drifted


def test_a_change_while_calibrating_is_told_as_provisional_with_what_to_do(changed):
    assert changed.incidents() == [("behaviour", "open")]
    verdict = changed.store.latest_verdict("shop-bot")
    assert "provisional, against its first 20 calibration runs" in verdict.reason
    assert "`driftwatch rebaseline shop-bot --reason …`" in verdict.reason
    incident = changed.open_incident()
    evidence = IncidentEvidence.from_json(incident.evidence)
    assert evidence.headline.endswith(", while it was being calibrated")
    assert evidence.changes[0].startswith("It changed while it was being calibrated: this is provisional")
    assert incident.evidence["is_provisional"] is True
    assert [evidence.headline] == changed.told()


def test_the_watch_is_never_armed_while_the_endpoint_is_another(changed):
    verdict = changed.run(WANTED)
    assert verdict.state is State.DRIFTED
    assert changed.baseline().state is BaselineState.COLLECTING
    assert not changed.pipeline.arm(changed.target, changed.baseline(), changed.now, wanted=1)
    assert len(changed.told()) == 1, "one page, however long it lasts"


def test_when_it_is_back_the_incident_ends_and_the_runs_between_count_as_nothing(changed):
    changed.serve("before")
    changed.until(is_calm, at_most=120)
    assert ("behaviour", "resolved") in changed.incidents()
    assert {state for _, state in changed.incidents()} == {"resolved"}
    found = calibration(changed.store, changed.target, changed.baseline())
    assert found.left_out
    while changed.baseline().state is BaselineState.COLLECTING:
        changed.run()
    runs = {row.run_id for row in changed.store.series(1) if row.purpose is Purpose.CALIBRATION}
    assert runs.isdisjoint(row.run_id for row in found.left_out)
    assert len(runs) >= WANTED
    [reason] = [c.reason for c in changed.store.baseline_changes("shop-bot") if c.after is BaselineState.ACTIVE]
    assert reason == f"calibration is complete, without {len(found.left_out)} runs at which the endpoint was another"
    assert changed.run().state is State.STABLE


def test_accepting_what_it_serves_now_begins_a_baseline_from_the_change(changed):
    changed.run(10)
    onset = changed.open_incident().onset_at
    accepted = changed.accept()
    assert changed.incidents() == [("behaviour", "resolved")]
    rows = changed.store.series(accepted.baseline.id)
    assert min(row.scheduled_at for row in rows) > onset
    changed.until(lambda _: changed.baseline().state is BaselineState.ACTIVE, at_most=60)
    assert changed.run().state is State.STABLE


def test_a_run_that_failed_says_nothing_about_a_standing_change(changed):
    changed.endpoint.is_down = True
    assert changed.run().kinds == ()
    assert changed.incidents() == [("behaviour", "open")]
    changed.endpoint.is_down = False
    assert changed.run().state is State.DRIFTED


def test_a_page_shows_replies_from_before_and_since(changed):
    pair = IncidentEvidence.from_json(changed.open_incident().evidence).pair
    assert pair is not None
    assert pair.before != pair.after


def test_a_restart_changes_nothing_about_what_is_found(changed):
    before = changed.store.latest_verdict("shop-bot")
    changed.restart()
    after = changed.run()
    assert (after.state, after.kind(Kind.BEHAVIOUR).onset_at) == (before.state, before.kind(Kind.BEHAVIOUR).onset_at)


def test_a_short_calibration_has_no_first_runs_to_compare_to(watch):
    watch.run(1 + PROVISIONAL)
    assert watch.baseline().state is BaselineState.ACTIVE


def test_slower_answers_while_calibrating_are_told_as_performance(collecting):
    collecting.serve("slow")
    collecting.until(lambda verdict: verdict.state is State.DRIFTED, at_most=20)
    assert collecting.incidents() == [("performance", "open")]
    assert collecting.baseline().state is BaselineState.COLLECTING


def test_a_command_that_asks_for_fewer_runs_arms_a_calm_baseline(collecting):
    assert not collecting.pipeline.arm(collecting.target, collecting.baseline(), collecting.now)
    assert collecting.pipeline.arm(collecting.target, collecting.baseline(), collecting.now, wanted=25)
    assert collecting.run().state is State.STABLE


def test_the_wanted_number_counts_calm_runs_only(changed):
    found = calibration(changed.store, changed.target, changed.baseline())
    assert found.is_away
    assert len(found.counted) + len(found.left_out) == len(found.later) + PROVISIONAL
    assert min(row.scheduled_at for row in found.left_out) >= changed.open_incident().onset_at - timedelta(hours=1)
    assert replace(found, findings={}).is_away is False
