"""Which incidents are one cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.alert import grouping
from driftwatch.domain import Event, Incident, IncidentState, Kind, Severity, Step, Target

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
CAUSE = "served openai api.openai.com"
OPEN, RESOLVED = IncidentState.OPEN, IncidentState.RESOLVED
SIX = timedelta(hours=6)


def step(target="support", hours=0.0, **changes):
    at = START + timedelta(hours=hours)
    opening = Step(
        incident_id=None,
        target=target,
        kind=Kind.BEHAVIOUR,
        before=None,
        after=OPEN,
        at=at,
        author="driftwatch",
        reason="r",
        onset_at=at,
        baseline_id=3,
        run_id=1,
        event=Event.OPENED,
        severity=Severity.CRITICAL,
        cause=CAUSE,
    )
    return replace(opening, **changes)


def incident(id_=1, target="search", hours=0.0, **changes):
    at = START + timedelta(hours=hours)
    found = Incident(
        id=id_,
        target=target,
        kind=Kind.BEHAVIOUR,
        state=OPEN,
        opened_at=at,
        onset_at=at,
        baseline_id=3,
        run_id=1,
        evidence={},
        severity=Severity.CRITICAL,
        cause=CAUSE,
    )
    return replace(found, **changes)


def join(of, *standing):
    joined = grouping.join(of, standing, within=SIX)
    return joined.part_of, joined.event


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"provider": "openai"}, "served openai api.openai.com"),
        ({"provider": "openai_responses"}, "served openai api.openai.com"),
        (
            {"provider": "openai", "base_url": "https://me:secret@Gateway.example:8443/v1?k=1"},
            "served openai gateway.example:8443",
        ),
        ({"provider": "openai", "base_url": "https://api.openai.com:443/v1"}, "served openai api.openai.com"),
        ({"provider": "openai_compatible", "base_url": "http://host:80/v1"}, "served openai_compatible host"),
        ({"provider": "openai_compatible", "base_url": "http://host:443/v1"}, "served openai_compatible host:443"),
        ({"provider": "bedrock", "options": {"region": "eu-central-1"}}, "served aws eu-central-1"),
        ({"provider": "vertex", "options": {"project": "p", "location": "us"}}, "served google us"),
        ({"provider": "bedrock"}, "served aws"),
        ({"provider": "simulated"}, "served simulated"),
        ({"provider": "of-tomorrow", "base_url": "https://a.example"}, "served of-tomorrow a.example"),
        ({"provider": "openai_compatible", "base_url": "http://host:port/v1"}, "served openai_compatible"),
        ({"provider": "openai_compatible", "base_url": "no address"}, "served openai_compatible"),
    ],
)
def test_a_cause_names_whose_endpoint_and_where_and_holds_no_secret(target, expected):
    made = Target(name="t", model="m", canaries=(), **target)
    assert grouping.cause(Kind.BEHAVIOUR, made) == expected


def test_what_is_served_what_is_reached_and_our_own_troubles_are_different_causes():
    target = Target(name="t", provider="openai", model="m", canaries=())
    first = [grouping.cause(kind, target, "key").split()[0] for kind in Kind]
    assert first == ["served", "served", "reach", "served", "watch:key"]


def test_the_first_stands_alone():
    assert grouping.join(step(), [], within=SIX) == step()


def test_another_target_with_the_same_cause_joins_and_is_no_page():
    assert join(step(hours=6), incident()) == (1, Event.JOINED)
    assert join(step(hours=-6), incident()) == (1, Event.JOINED)


@pytest.mark.parametrize(
    "standing",
    [
        incident(cause="served anthropic api.anthropic.com"),
        incident(hours=-6.1),
        incident(state=RESOLVED),
    ],
    ids=["another provider", "too long ago", "over"],
)
def test_what_has_another_cause_stands_alone(standing):
    assert grouping.join(step(), [standing], within=SIX) == step()


def test_an_incident_of_unknown_cause_joins_nothing():
    unknown = step(cause="")
    assert grouping.join(unknown, [incident(cause="")], within=SIX) == unknown


def test_it_joins_by_the_nearest_onset_that_is_open_and_the_lead_is_named():
    early = incident(1, hours=0), incident(2, hours=4, part_of=1)
    late = incident(5, hours=12), incident(6, state=RESOLVED, hours=8, part_of=5)
    assert join(step(hours=8.5), *early, *late) == (5, Event.JOINED), "3.5 h from one, 4.5 h from the other"
    assert join(step(hours=7.9), *early, *late) == (1, Event.JOINED)
    assert join(step(hours=8), *early, *late) == (1, Event.JOINED), "of two that are as near, the first"


def test_a_graver_one_is_told_at_once():
    warning = incident(severity=Severity.WARNING)
    assert join(step(), warning) == (1, Event.ESCALATED)
    over = incident(2, state=RESOLVED, part_of=1)
    assert join(step(), warning, over) == (1, Event.ESCALATED), "what was as grave is over"
    assert join(step(severity=Severity.WARNING), warning) == (1, Event.JOINED)
    assert join(step(severity=Severity.INFO), warning) == (1, Event.JOINED)


def test_behaviour_joins_what_its_own_target_has_open_however_old_and_is_always_told_at_once():
    tripped = incident(target="support", kind=Kind.TRIPWIRE, hours=-72)
    assert join(step(), tripped) == (1, Event.ESCALATED), "no graver, but another matter than a model name"
    assert join(step(kind=Kind.PERFORMANCE), tripped) == (None, Event.OPENED)


def coming_back(part_of=None):
    return step(incident_id=7, before=RESOLVED, event=Event.REOPENED, part_of=part_of)


def test_what_comes_back_alone_is_told_as_that():
    assert grouping.join(coming_back(), [], within=SIX) == coming_back()


def test_what_comes_back_to_its_own_open_group_joins_it():
    lead = incident(7, state=RESOLVED), incident(8, part_of=7)
    for back, group in ((coming_back(), lead), (coming_back(part_of=8), (incident(8),))):
        joined = grouping.join(back, group, within=timedelta())
        assert (joined.event, joined.incident_id, joined.part_of) == (Event.JOINED, 7, back.part_of)


def test_what_comes_back_beside_another_group_of_the_cause_becomes_a_part_of_its_own_there():
    joined = grouping.join(coming_back(part_of=3), [incident(9)], within=SIX)
    assert (joined.incident_id, joined.before, joined.part_of, joined.event) == (None, None, 9, Event.JOINED)
