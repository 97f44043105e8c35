"""A process killed between any two steps: what the next one finishes, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.alert import incidents
from driftwatch.domain import BaselineState, Purpose, RunState


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_at(watch, monkeypatch, step: str) -> None:
    """Make one run that dies where ``step`` of the store is called, then start anew."""

    def die(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(type(watch.store), step, die)
        with pytest.raises(Killed):
            watch.run_at(watch.now)
    watch.hour += 1
    watch.restart()


def recover(watch) -> int:
    return watch.pipeline.recover([watch.target], watch.now)


def states(watch) -> list[str]:
    return [run.state.value for run in watch.store.runs()]


def test_evidence_without_a_verdict_is_judged_at_the_next_start(armed, monkeypatch):
    killed_at(armed, monkeypatch, "commit_judgement")
    assert states(armed)[-1] == "measured"
    assert recover(armed) == 1
    assert states(armed)[-1] == "judged"
    assert armed.store.latest_verdict("shop-bot").state == "stable"


def test_the_alarm_of_a_killed_process_is_raised_by_the_next_one_and_told_once(armed, monkeypatch):
    armed.run(5)
    armed.serve("after")
    twin = []
    while armed.incidents() == []:
        killed_at(armed, monkeypatch, "commit_judgement")
        recover(armed)
        twin.append(armed.store.latest_verdict("shop-bot").state.value)
    assert 1 < len(twin) <= 12
    assert armed.incidents() == [("behaviour", "open")]
    recover(armed)
    assert len(armed.told()) == 1


def test_anchors_of_a_run_killed_before_they_were_accepted_are_not_paid_for_twice(watch, monkeypatch):
    killed_at(watch, monkeypatch, "accept_anchors")
    assert watch.store.anchors(watch.baseline().id) == {}
    assert recover(watch) == 1
    assert watch.pipeline.missing_anchors(watch.target, watch.baseline()) == {}
    assert watch.run().reason == "calibrating: 1 of 20 runs"


def test_accepting_anchors_again_changes_nothing(watch, monkeypatch):
    killed_at(watch, monkeypatch, "commit_judgement")
    before = watch.store.anchors(watch.baseline().id)
    recover(watch)
    assert watch.store.anchors(watch.baseline().id) == before


def test_a_baseline_completed_by_a_killed_process_is_armed_by_the_next_one(watch, monkeypatch):
    watch.run(20)
    killed_at(watch, monkeypatch, "activate_baseline")
    assert watch.baseline().state is BaselineState.COLLECTING
    assert recover(watch) == 0, "its verdict was written"
    assert watch.baseline().state is BaselineState.ACTIVE
    watch.run()
    assert watch.store.runs()[-1].purpose is Purpose.WATCH


def test_a_baseline_still_collecting_is_not_armed_by_a_restart(watch):
    recover(watch)
    watch.run(5)
    recover(watch)
    assert watch.baseline().state is BaselineState.COLLECTING


def test_a_run_never_measured_is_given_up_once_it_cannot_be_under_way_any_more(armed, monkeypatch):
    killed_at(armed, monkeypatch, "record_measurement")
    started = armed.store.runs()[-1].started_at
    deadline = timedelta(seconds=60)
    armed.pipeline.recover([armed.target], started + deadline + timedelta(minutes=5))
    assert states(armed)[-1] == "claimed", "it may be about to store what it was told"
    armed.pipeline.recover([armed.target], started + deadline + timedelta(minutes=11))
    assert states(armed)[-1] == "interrupted"
    assert armed.run().state == "stable"


def test_evidence_for_a_baseline_that_was_replaced_needs_no_verdict(armed, monkeypatch):
    killed_at(armed, monkeypatch, "commit_judgement")
    n = len(armed.store.verdicts())
    armed.edit(model="m-2")
    armed.run()
    armed.edit(model="m-2")
    assert recover(armed) == 0
    assert RunState.MEASURED not in {run.state for run in armed.store.runs()}
    assert len(armed.store.verdicts()) == n + 1, "the new baseline's own"


def test_evidence_found_after_the_target_was_edited_is_not_measured_by_the_new_yardstick(armed, monkeypatch):
    killed_at(armed, monkeypatch, "commit_judgement")
    armed.edit(model="m-2")
    assert recover(armed) == 0
    assert states(armed)[-1] == "judged"


def test_a_target_that_never_ran_has_nothing_to_recover(watch):
    assert recover(watch) == 0


def test_a_late_verdict_about_the_past_does_not_end_an_incident_of_today(armed, monkeypatch):
    killed_at(armed, monkeypatch, "commit_judgement")  # calm, and never judged by this process
    armed.change("after")
    assert armed.incidents() == [("behaviour", "open")]
    assert recover(armed) == 1
    assert armed.incidents() == [("behaviour", "open")]
    assert len(armed.told()) == 1
    [late] = [v for v in armed.store.verdicts() if v.run_id == 22]
    assert late.state == "stable"


def test_a_run_whose_baseline_a_person_replaced_meanwhile_opens_nothing(armed):
    armed.run(5)
    armed.serve("after")
    armed.run(2)
    assert armed.incidents() == []
    done = []

    def accept_meanwhile() -> None:
        if not done:
            done.append(armed.accept(since=armed.now - timedelta(hours=2)))

    armed.endpoint.while_asked = accept_meanwhile
    verdict = armed.run()
    assert (verdict.state, verdict.baseline_id) == ("drifted", 1)
    assert armed.incidents() == []
    assert armed.told() == []
    assert armed.baseline().id == 2
    assert armed.run().state == "calibrating"


def test_a_slow_anchor_run_that_ends_after_calibration_began_changes_no_anchors(watch):
    watch.endpoint.rejected = {"shop/triage"}
    watch.run(3)
    slow = watch.store.claim_run(
        target="shop-bot",
        scheduled_at=watch.now - timedelta(minutes=30),
        purpose=Purpose.ANCHOR,
        baseline_id=1,
        at=watch.now,
    )
    watch.run()
    before = watch.store.anchors(1)
    [model] = before["shop/capital"][:1]
    watch.store.record_measurement(
        slow.id,
        completions=[replace(model, canary_id="shop/triage", id=None)] * 4,
        scores=(),
        finished_at=watch.now,
        cost_usd=None,
    )
    assert recover(watch) == 1
    assert watch.store.anchors(1) == before


def test_the_author_of_every_automatic_edge_is_driftwatch(drifted):
    [opening] = drifted.store.transitions(drifted.open_incident().id)
    assert opening.author == incidents.DRIFTWATCH
