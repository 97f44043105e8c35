from __future__ import annotations

import math
from dataclasses import replace

import pytest

from driftwatch.domain import Incident, IncidentState, Kind, NotificationState, RunState, State
from driftwatch.errors import StoreError


@pytest.fixture
def run(world):
    return world.measured(world.baseline())[0]


def open_incident(world, run, **changes):
    (incident,) = world.store.commit_judgement(None, [world.opening(run, **changes)], at=run.scheduled_at)
    return incident


def edge(world, incident, before, after, hours=1, **changes):
    values = {"incident_id": incident.id, "before": before, "after": after, "at": world.at(hours), "author": "ana"}
    (run,) = [r for r in world.store.runs() if r.id == incident.run_id]
    return world.opening(run, kind=incident.kind, **{**values, **changes})


def test_a_judgement_is_written_whole(world, run):
    verdict = world.verdict(run, State.DRIFTED)
    (incident,) = world.store.commit_judgement(verdict, [world.opening(run)], at=world.at(1))
    assert incident == Incident(
        id=1,
        target="support",
        kind=Kind.BEHAVIOUR,
        state=IncidentState.OPEN,
        opened_at=run.scheduled_at,
        onset_at=world.at(-2),
        baseline_id=run.baseline_id,
        run_id=run.id,
        evidence={"channels": ["wording"]},
    )
    assert world.store.incident(incident.id) == incident
    assert world.store.runs()[0].state is RunState.JUDGED
    assert world.store.latest_verdict("support") == verdict
    (transition,) = world.store.transitions(incident.id)
    assert (transition.before, transition.after, transition.author) == (None, IncidentState.OPEN, "driftwatch")
    notifications = world.store.notifications(incident.id)
    assert [n.dedup_key for n in notifications] == ["driftwatch/1/1/oncall", "driftwatch/1/1/team"]
    assert {(n.state, n.attempts, n.next_attempt_at) for n in notifications} == {
        (NotificationState.PENDING, 0, world.at(1))
    }


def test_judging_a_run_again_changes_nothing(world, run):
    verdict = world.verdict(run, State.DRIFTED)
    world.store.commit_judgement(verdict, [world.opening(run)], at=world.at(1))
    again = replace(verdict, reason="otherwise")
    assert world.store.commit_judgement(again, [world.opening(run, kind=Kind.PERFORMANCE)], at=world.at(2)) == []
    assert world.store.verdicts() == [verdict]
    assert len(world.store.incidents()) == 1
    assert len(world.store.notifications()) == 2


def test_a_second_cause_of_the_same_kind_opens_no_second_incident(world, run):
    incident = open_incident(world, run)
    assert world.store.commit_judgement(None, [world.opening(run)], at=world.at(1)) == []
    acknowledged = edge(world, incident, IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
    world.store.commit_judgement(None, [acknowledged], at=world.at(1))
    assert world.store.commit_judgement(None, [world.opening(run)], at=world.at(1)) == []
    assert len(world.store.transitions(incident.id)) == 2


def test_other_kinds_and_targets_open_their_own_and_a_resolved_one_makes_room(world, run):
    incident = open_incident(world, run)
    assert open_incident(world, run, kind=Kind.PERFORMANCE).id != incident.id
    abroad, _ = world.measured(world.baseline("other"))
    assert open_incident(world, abroad).target == "other"
    resolved = edge(world, incident, IncidentState.OPEN, IncidentState.RESOLVED)
    world.store.commit_judgement(None, [resolved], at=world.at(1))
    again = open_incident(world, run)
    assert [i.id for i in world.store.incidents(target="support")] == [again.id, 2, incident.id]
    assert [i.id for i in world.store.incidents(target="support", open_only=True)] == [again.id, 2]
    assert [i.id for i in world.store.incidents(limit=1)] == [again.id]


def test_an_incident_is_acknowledged_and_resolved(world, run):
    incident = open_incident(world, run)
    steps = [
        edge(world, incident, IncidentState.OPEN, IncidentState.ACKNOWLEDGED, 1, receivers=()),
        edge(
            world, incident, IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED, 2, receivers=("team",), reason="fixed"
        ),
    ]
    (acknowledged,) = world.store.commit_judgement(None, steps[:1], at=world.at(1))
    (resolved,) = world.store.commit_judgement(None, steps[1:], at=world.at(2))
    assert acknowledged.acknowledged_at == world.at(1)
    assert acknowledged.is_open
    assert resolved.resolved_at == world.at(2)
    assert resolved.acknowledged_at == world.at(1)
    assert not resolved.is_open
    assert resolved.evidence == incident.evidence
    assert [t.reason for t in world.store.transitions(incident.id)][-1] == "fixed"
    assert [n.receiver for n in world.store.notifications()] == ["oncall", "team", "team"]


def test_an_edge_from_a_state_the_incident_has_left_is_skipped(world, run):
    incident = open_incident(world, run)
    step = edge(world, incident, IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
    assert len(world.store.commit_judgement(None, [step], at=world.at(1))) == 1
    assert world.store.commit_judgement(None, [step], at=world.at(1)) == []
    assert world.store.commit_judgement(None, [replace(step, before=None)], at=world.at(1)) == []
    assert len(world.store.transitions(incident.id)) == 2


def test_a_receiver_named_twice_is_told_once(world, run):
    incident = open_incident(world, run, receivers=("oncall", "oncall"))
    assert [n.receiver for n in world.store.notifications(incident.id)] == ["oncall"]


def test_nothing_of_a_judgement_is_kept_when_a_step_of_it_is_wrong(world, run):
    wrong = replace(world.opening(run), incident_id=99, before=IncidentState.OPEN)
    with pytest.raises(StoreError, match=r"^there is no incident 99$"):
        world.store.commit_judgement(world.verdict(run), [world.opening(run), wrong], at=world.at(1))
    assert world.store.latest_verdict("support") is None
    assert world.store.incidents() == []
    assert world.store.notifications() == []
    assert world.store.runs()[0].state is RunState.MEASURED


def test_evidence_precedes_judgement(world):
    claimed = world.claim(world.baseline())
    with pytest.raises(StoreError, match="is claimed, so it has no evidence to be judged by"):
        world.store.commit_judgement(world.verdict(claimed), [], at=world.at())
    assert world.store.verdicts() == []


def test_verdicts_are_filtered_ordered_and_limited(world):
    baseline, other = world.baseline(), world.baseline("other")
    for hour in (2, 1, 3):
        run, _ = world.measured(baseline, hour=hour)
        world.store.commit_judgement(world.verdict(run), [], at=world.at(hour))
    abroad, _ = world.measured(other, hour=9)
    world.store.commit_judgement(world.verdict(abroad), [], at=world.at(9))

    def hours(*args, **conditions):
        return [(v.at - world.at()).total_seconds() / 3600 for v in world.store.verdicts(*args, **conditions)]

    assert hours() == [9, 3, 2, 1]
    assert hours("support") == [3, 2, 1]
    assert hours("support", newest_first=False) == [1, 2, 3]
    assert hours("support", since=world.at(2)) == [3, 2]
    assert hours("support", limit=1) == [3]
    assert world.store.latest_verdict("support").at == world.at(3)
    assert world.store.latest_verdict("nobody") is None


def test_an_incidents_evidence_holds_no_nan(world, run):
    incident = open_incident(
        world, run, evidence={"mean": math.nan, "high": math.inf, "pair": (1, 0.5), "text": "\ud800"}
    )
    assert incident.evidence == {"mean": None, "high": None, "pair": [1, 0.5], "text": "\ufffd"}
    assert world.store.incident(incident.id) == incident
    assert world.store.incident(99) is None
