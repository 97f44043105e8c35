"""What of groups that nobody has acknowledged is read at every tick."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftwatch.domain import Event, IncidentState, Kind


@pytest.fixture
def opened(world):
    run, _ = world.measured(world.baseline())
    evidence = {"headline": "it has changed", "owner": "team-support", "feature": None, "pairs": [{"owner": "bo"}]}
    (opened,) = world.store.commit_judgement(None, [world.opening(run, evidence=evidence)], at=world.at(1))
    return opened


def test_of_the_evidence_only_what_routes_and_silences_ask_is_read(world, opened):
    [found] = world.store.unanswered()
    assert found.standing == (replace(opened, evidence={"owner": "team-support", "feature": None}),)
    assert found.history == tuple(world.store.transitions(opened.id))


def test_it_is_known_what_became_of_the_messages(world, opened):
    def mail():
        [found] = world.store.unanswered()
        return found.sent_at, found.is_waiting, found.refused_at

    assert mail() == (None, True, None)
    world.store.mark_dead(1, error="revoked")
    assert mail() == (None, True, opened.opened_at)
    world.store.mark_sent(2, at=world.at(3))
    assert mail() == (world.at(3), False, opened.opened_at)


def test_only_what_is_open_of_a_group_counts_and_the_leading_one_comes_first(world, opened):
    run = world.store.runs()[0]
    parts = [
        world.opening(run, target=target, part_of=opened.id, event=Event.JOINED, receivers=()) for target in ("a", "b")
    ]
    _, second = world.store.commit_judgement(None, parts, at=world.at(2))
    world.store.commit_judgement(None, [world.opening(run, kind=Kind.PERFORMANCE, receivers=())], at=world.at(2))
    ending = replace(parts[1], incident_id=second.id, before=IncidentState.OPEN, after=IncidentState.RESOLVED)
    world.store.commit_judgement(None, [replace(ending, event=Event.RESOLVED)], at=world.at(3))
    group, alone = world.store.unanswered()
    assert [incident.target for incident in group.standing] == ["support", "a"]
    assert [edge.event for edge in group.history] == ["opened", "joined", "joined", "resolved"]
    assert [incident.kind for incident in alone.standing] == [Kind.PERFORMANCE]
    assert (alone.sent_at, alone.is_waiting, alone.refused_at) == (None, False, None), "nobody was to be told"


def test_a_group_that_somebody_has_acknowledged_or_that_is_over_is_absent(world, opened):
    run = world.store.runs()[0]
    for before, after in (
        (IncidentState.OPEN, IncidentState.ACKNOWLEDGED),
        (IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED),
    ):
        step = world.opening(run, incident_id=opened.id, before=before, after=after)
        world.store.commit_judgement(None, [step], at=world.at(2))
        assert world.store.unanswered() == []
