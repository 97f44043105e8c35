"""What people, time and baselines do to groups of incidents."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.alert import incidents
from driftwatch.domain import Baseline, BaselineState, Event, Incident, IncidentState, Kind, Severity
from driftwatch.errors import UsageError

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
OPEN, ACKNOWLEDGED, RESOLVED = IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED


def incident(id_=7, state=OPEN, kind=Kind.BEHAVIOUR, **changes):
    found = Incident(
        id=id_,
        target="support-bot",
        kind=kind,
        state=state,
        opened_at=START,
        onset_at=START - timedelta(hours=3),
        baseline_id=3,
        run_id=90,
        evidence={},
        severity=Severity.CRITICAL,
        cause="served openai api.openai.com",
    )
    return replace(found, **changes)


GROUP = (incident(7, RESOLVED, resolved_at=START), incident(8, part_of=7), incident(9, ACKNOWLEDGED, part_of=7))
OVER = tuple(replace(member, state=RESOLVED, resolved_at=START + timedelta(hours=n)) for n, member in enumerate(GROUP))


def edges(steps):
    return [(step.incident_id, step.before, step.after, step.event) for step in steps]


def test_acknowledging_a_group_acknowledges_all_that_is_open_of_it():
    steps = incidents.acknowledge(GROUP, author="ana", reason="looking", at=START, receivers=["log"])
    assert edges(steps) == [(8, OPEN, ACKNOWLEDGED, Event.ACKNOWLEDGED)]
    (step,) = steps
    assert (step.author, step.reason, step.at, step.receivers) == ("ana", "looking", START, ("log",))
    assert (step.part_of, step.cause, step.severity) == (7, GROUP[1].cause, Severity.CRITICAL)


def test_resolving_a_group_ends_all_that_is_open_of_it():
    steps = incidents.resolve(GROUP, author="ana", reason="planned", at=START, receivers=["oncall"])
    assert edges(steps) == [
        (8, OPEN, RESOLVED, Event.RESOLVED),
        (9, ACKNOWLEDGED, RESOLVED, Event.RESOLVED),
    ]
    assert {step.receivers for step in steps} == {("oncall",)}


def test_a_comment_a_reminder_and_an_escalation_are_one_edge_that_keeps_the_state():
    comment = incidents.comment(GROUP, author="ana", reason="asked the vendor", at=START)
    remind = incidents.remind(GROUP, reason="still open", at=START)
    escalate = incidents.escalate(GROUP, reason="nobody acknowledged", at=START, receivers=["boss"])
    assert edges([*comment, *remind, *escalate]) == [
        (8, OPEN, OPEN, Event.COMMENTED),
        (8, OPEN, OPEN, Event.REMINDED),
        (8, OPEN, OPEN, Event.ESCALATED),
    ], "on the first that is open, where the leading one is over"
    assert [step.author for step in (*comment, *remind, *escalate)] == ["ana", "driftwatch", "driftwatch"]
    assert [step.receivers for step in (*comment, *remind, *escalate)] == [(), (), ("boss",)]


def test_the_leading_incident_speaks_for_its_group_while_it_is_open():
    group = (incident(7, ACKNOWLEDGED), incident(8, part_of=7))
    assert edges(incidents.remind(group, reason="r", at=START)) == [(7, ACKNOWLEDGED, ACKNOWLEDGED, Event.REMINDED)]


def test_an_escalation_may_say_that_it_is_graver():
    group = (incident(severity=Severity.WARNING),)
    for severity, expected in ((None, Severity.WARNING), (Severity.CRITICAL, Severity.CRITICAL)):
        (step,) = incidents.escalate(group, reason="r", at=START, receivers=(), severity=severity)
        assert step.severity is expected


@pytest.mark.parametrize(
    ("verb", "act"),
    [
        ("acknowledge", incidents.acknowledge),
        ("comment on", incidents.comment),
        ("resolve", incidents.resolve),
        ("escalate", lambda group, **said: incidents.escalate(group, receivers=(), **said)),
        ("remind of", incidents.remind),
    ],
)
def test_nothing_is_done_to_a_group_that_is_over(verb, act):
    with pytest.raises(UsageError) as refused:
        act(OVER, author="ana", reason="r", at=START)
    assert str(refused.value) == (
        f"incident 7 was already resolved on Mon 16 Mar 11:00 UTC; to {verb} one, "
        "list the open ones with: driftwatch incidents"
    )


def test_a_group_is_acknowledged_once():
    group = (incident(7, ACKNOWLEDGED, acknowledged_at=START), incident(8, RESOLVED, part_of=7))
    with pytest.raises(UsageError) as refused:
        incidents.acknowledge(group, author="ana", reason="r", at=START)
    assert str(refused.value) == (
        "incident 7 was already acknowledged on Mon 16 Mar 09:00 UTC; there is nothing left to do"
    )


def test_a_time_that_is_not_known_is_left_out_of_the_sentence():
    with pytest.raises(UsageError, match=r"^incident 7 was already acknowledged; there"):
        incidents.acknowledge([incident(state=ACKNOWLEDGED)], author="ana", reason="r", at=START)
    with pytest.raises(UsageError, match=r"^incident 7 was already resolved; to resolve one, list"):
        incidents.resolve([incident(state=RESOLVED)], author="ana", reason="r", at=START)


def test_people_know_a_group_by_the_number_of_its_lead():
    with pytest.raises(UsageError, match=r"^incident 7 "):
        incidents.resolve([replace(OVER[1])], author="ana", reason="r", at=START)


def test_a_new_baseline_ends_drift_and_leaves_what_could_not_be_measured_and_other_targets_alone():
    baseline = Baseline(
        id=4,
        target="support-bot",
        series_key="k",
        state=BaselineState.ACTIVE,
        author="ana",
        reason="r",
        created_at=START,
    )
    steps = incidents.superseded(
        [
            incident(1),
            incident(2, ACKNOWLEDGED, Kind.PERFORMANCE),
            incident(3, kind=Kind.AVAILABILITY),
            incident(4, RESOLVED),
            incident(5, target="search"),
            incident(6, baseline_id=4),  # found against the new one
            incident(7, kind=Kind.WATCH_ITSELF, baseline_id=None, trouble="key"),
        ],
        baseline,
        author="ana",
        reason="the new release is fine",
        at=START,
        receivers=["oncall"],
    )
    assert [step.incident_id for step in steps] == [1, 2]
    assert {step.reason for step in steps} == {"new baseline accepted by ana: the new release is fine"}
    assert {(s.author, s.receivers, s.after) for s in steps} == {("ana", ("oncall",), RESOLVED)}
