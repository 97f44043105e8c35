"""When incidents open and end."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, strategies as st

from driftwatch.alert import incidents
from driftwatch.domain import (
    Baseline,
    BaselineState,
    Incident,
    IncidentState,
    Kind,
    KindEvidence,
    Level,
    State,
    Step,
    Target,
    Tripwire,
    Verdict,
    Wire,
)
from driftwatch.errors import UsageError

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
TARGET = Target(name="support-bot", provider="openai", model="gpt-4o", canaries=(), receivers=("oncall", "log"))
BEHAVIOUR, PERFORMANCE, AVAILABILITY = Kind.BEHAVIOUR, Kind.PERFORMANCE, Kind.AVAILABILITY
TRIPWIRE = Kind.TRIPWIRE


def verdict(
    state: State,
    *drifted: Kind,
    hours: int = 0,
    watched: tuple[Kind, ...] = (BEHAVIOUR, PERFORMANCE),
    tripwires: tuple[Tripwire, ...] = (),
) -> Verdict:
    at = START + timedelta(hours=hours)
    return Verdict(
        run_id=100 + hours,
        target="support-bot",
        baseline_id=3,
        at=at,
        state=state,
        reason="a sentence of the verdict",
        n_calibration=168,
        n_monitored=hours,
        kinds=tuple(
            KindEvidence(
                kind=kind,
                evidence=20_000.0,
                threshold=8_766.0,
                is_drifted=kind in drifted,
                alarm_at=at if kind in drifted else None,
                onset_at=at - timedelta(hours=2) if kind in drifted else None,
            )
            for kind in watched
        ),
        tripwires=tripwires,
    )


def advance(
    of: Verdict, standing: list[Incident] | None = None, streak: int = 0, **evidence: dict[str, object]
) -> list[Step]:
    return incidents.advance(
        of,
        target=TARGET,
        open_incidents=standing or [],
        failure_streak=streak,
        evidence={Kind(kind): stored for kind, stored in evidence.items()},
    )


def incident(
    kind: Kind, id_: int = 7, state: IncidentState = IncidentState.OPEN, target: str = "support-bot"
) -> Incident:
    return Incident(
        id=id_,
        target=target,
        kind=kind,
        state=state,
        opened_at=START,
        onset_at=START - timedelta(hours=3),
        baseline_id=3,
        run_id=90,
        evidence={},
    )


def edges(steps: list[Step]) -> list[tuple[Kind, IncidentState | None, IncidentState]]:
    return [(step.kind, step.before, step.after) for step in steps]


def test_drift_opens_an_incident_and_tells_the_targets_receivers():
    stored = {"headline": "support-bot behaves differently", "model": "gpt-4o"}
    (step,) = advance(verdict(State.DRIFTED, BEHAVIOUR), behaviour=stored)
    assert step == Step(
        incident_id=None,
        target="support-bot",
        kind=BEHAVIOUR,
        before=None,
        after=IncidentState.OPEN,
        at=START,
        author="driftwatch",
        reason="support-bot behaves differently",
        onset_at=START - timedelta(hours=2),
        baseline_id=3,
        run_id=100,
        evidence=stored,
        receivers=("oncall", "log"),
    )


def test_an_incident_without_evidence_still_opens_with_the_verdicts_sentence():
    (step,) = advance(verdict(State.DRIFTED, BEHAVIOUR))
    assert (step.reason, step.evidence) == ("a sentence of the verdict", {})


def test_an_onset_that_is_not_known_is_the_alarm_or_the_run():
    found = verdict(State.DRIFTED, BEHAVIOUR, hours=4)
    alarm_at = START + timedelta(hours=1)
    for changes, expected in (
        ({"onset_at": None, "alarm_at": alarm_at}, alarm_at),
        ({"onset_at": None, "alarm_at": None}, found.at),
    ):
        (step,) = advance(replace(found, kinds=(replace(found.kinds[0], **changes),)))
        assert step.onset_at == expected


def test_drift_that_goes_on_opens_nothing_more():
    assert advance(verdict(State.DRIFTED, BEHAVIOUR), [incident(BEHAVIOUR)]) == []
    assert advance(verdict(State.DRIFTED, BEHAVIOUR), [incident(BEHAVIOUR, state=IncidentState.ACKNOWLEDGED)]) == []


@pytest.mark.parametrize("state", [IncidentState.OPEN, IncidentState.ACKNOWLEDGED])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (BEHAVIOUR, "behaviour is back within calibration"),
        (PERFORMANCE, "performance is back within calibration"),
    ],
)
def test_a_stable_verdict_resolves_and_tells_the_receivers(kind, reason, state):
    standing = incident(kind, state=state)
    (step,) = advance(verdict(State.STABLE, hours=9), [standing])
    assert step == Step(
        incident_id=7,
        target="support-bot",
        kind=kind,
        before=state,
        after=IncidentState.RESOLVED,
        at=START + timedelta(hours=9),
        author="driftwatch",
        reason=reason,
        onset_at=standing.onset_at,
        baseline_id=3,
        run_id=90,
        receivers=("oncall", "log"),
    )


def test_a_verdict_that_concludes_nothing_neither_opens_nor_resolves_drift():
    assert advance(verdict(State.INCONCLUSIVE, BEHAVIOUR, PERFORMANCE)) == []
    assert advance(verdict(State.INCONCLUSIVE), [incident(BEHAVIOUR), incident(PERFORMANCE, 8)]) == []


def test_calibration_opens_nothing_and_ends_what_its_provisional_evidence_says_is_over():
    assert advance(verdict(State.CALIBRATING, BEHAVIOUR, PERFORMANCE)) == []
    assert advance(verdict(State.CALIBRATING, watched=()), [incident(BEHAVIOUR)]) == [], "no evidence, no end"
    assert edges(advance(verdict(State.CALIBRATING), [incident(BEHAVIOUR)])) == [
        (BEHAVIOUR, IncidentState.OPEN, IncidentState.RESOLVED)
    ]


def test_a_kind_that_cannot_be_judged_neither_opens_nor_resolves():
    found = verdict(State.DRIFTED, PERFORMANCE)
    kinds = tuple(replace(kind, problem="the calibration drifted") for kind in found.kinds)
    assert advance(replace(found, kinds=kinds), [incident(BEHAVIOUR)]) == []


# ---------------------------------------------------------------- tripwires


def tripped(level=Level.PAGE, wire=Wire.SERVED_MODEL):
    return Tripwire(wire=wire, level=level, before=("m-1",), after=("m-2",), canaries=("a",), since=START)


@pytest.mark.parametrize("state", list(State))
def test_a_paged_tripwire_opens_one_incident_in_any_state_and_ends_with_its_wire(state):
    found = verdict(state, tripwires=(tripped(), tripped(wire=Wire.FINGERPRINT)))
    assert edges(advance(found)) == [(TRIPWIRE, None, IncidentState.OPEN)]
    assert advance(found, [incident(TRIPWIRE)]) == []
    (step,) = advance(verdict(state), [incident(TRIPWIRE)])
    assert (step.after, step.reason) == (
        IncidentState.RESOLVED,
        "the endpoint reports again what it reported before",
    )


def test_a_noticed_tripwire_opens_nothing():
    assert advance(verdict(State.STABLE, tripwires=(tripped(Level.NOTICE),))) == []


def test_a_tripwire_beside_a_change_of_behaviour_is_one_page():
    found = verdict(State.DRIFTED, BEHAVIOUR, tripwires=(tripped(),))
    assert edges(advance(found)) == [(BEHAVIOUR, None, IncidentState.OPEN)]
    assert advance(found, [incident(BEHAVIOUR)]) == []
    assert edges(advance(found, [incident(TRIPWIRE)])) == [(BEHAVIOUR, None, IncidentState.OPEN)], "the graver news"


def test_refusals_that_a_tripwire_has_told_are_not_told_as_an_outage_too():
    refused = (tripped(wire=Wire.ERRORS),)
    assert advance(verdict(State.INCONCLUSIVE, tripwires=refused), [incident(TRIPWIRE)], streak=3) == []
    quiet = (tripped(Level.NOTICE, Wire.ERRORS),)
    assert edges(advance(verdict(State.INCONCLUSIVE, tripwires=quiet), streak=3)) == [
        (AVAILABILITY, None, IncidentState.OPEN)
    ]


def test_a_kind_that_was_not_measured_stays_as_it_is():
    assert advance(verdict(State.STABLE, watched=(BEHAVIOUR,)), [incident(PERFORMANCE)]) == []


def test_a_slowdown_beside_a_change_of_behaviour_is_one_page():
    assert edges(advance(verdict(State.DRIFTED, BEHAVIOUR, PERFORMANCE))) == [(BEHAVIOUR, None, IncidentState.OPEN)]
    assert advance(verdict(State.DRIFTED, BEHAVIOUR, PERFORMANCE), [incident(BEHAVIOUR)]) == []


def test_a_slowdown_alone_pages():
    assert edges(advance(verdict(State.DRIFTED, PERFORMANCE))) == [(PERFORMANCE, None, IncidentState.OPEN)]


def test_a_change_of_behaviour_pages_though_a_slowdown_is_open():
    steps = advance(verdict(State.DRIFTED, BEHAVIOUR, PERFORMANCE), [incident(PERFORMANCE)])
    assert edges(steps) == [(BEHAVIOUR, None, IncidentState.OPEN)]


def test_a_slowdown_that_outlasts_the_change_of_behaviour_pages_after_its_end():
    steps = advance(verdict(State.DRIFTED, PERFORMANCE), [incident(BEHAVIOUR)])
    assert edges(steps) == [
        (BEHAVIOUR, IncidentState.OPEN, IncidentState.RESOLVED),
        (PERFORMANCE, None, IncidentState.OPEN),
    ]


def test_failing_runs_open_availability_at_the_threshold_and_never_drift():
    assert advance(verdict(State.INCONCLUSIVE), streak=2) == []
    (step,) = advance(
        verdict(State.INCONCLUSIVE, hours=3),
        streak=3,
        availability={"headline": "cannot be measured", "failing_since": "2026-03-16T10:00:00+00:00"},
    )
    assert (step.kind, step.reason) == (AVAILABILITY, "cannot be measured")
    assert step.onset_at == START + timedelta(hours=1)
    assert advance(verdict(State.INCONCLUSIVE), [incident(AVAILABILITY)], streak=4) == []


def test_an_unreadable_failing_since_does_not_stop_the_page():
    (step,) = advance(verdict(State.INCONCLUSIVE), streak=3, availability={"failing_since": "yesterday"})
    assert step.onset_at == START


@pytest.mark.parametrize("state", [State.STABLE, State.CALIBRATING])
def test_a_measured_run_ends_an_availability_incident(state):
    (step,) = advance(verdict(state), [incident(AVAILABILITY)])
    assert (step.after, step.reason) == (IncidentState.RESOLVED, "the target can be measured again")


@pytest.mark.parametrize("state", [State.INCONCLUSIVE, State.CALIBRATING])
def test_a_run_that_was_not_measured_leaves_availability_open(state):
    assert advance(verdict(state), [incident(AVAILABILITY)], streak=1) == []


def test_a_run_that_was_answered_ends_availability_though_it_cannot_be_judged():
    assert edges(advance(verdict(State.INCONCLUSIVE), [incident(AVAILABILITY)])) == [
        (AVAILABILITY, IncidentState.OPEN, IncidentState.RESOLVED)
    ]


def test_incidents_of_other_targets_and_resolved_ones_are_ignored():
    others = [incident(BEHAVIOUR, target="search"), incident(BEHAVIOUR, 8, state=IncidentState.RESOLVED)]
    assert advance(verdict(State.STABLE), others) == []
    assert edges(advance(verdict(State.DRIFTED, BEHAVIOUR), others)) == [(BEHAVIOUR, None, IncidentState.OPEN)]


# ---------------------------------------------------------------- people


def test_acknowledging_notifies_nobody():
    step = incidents.acknowledge(incident(BEHAVIOUR), author="ana", reason="looking", at=START)
    assert (step.incident_id, step.before, step.after) == (7, IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
    assert (step.author, step.reason, step.receivers) == ("ana", "looking", ())


@pytest.mark.parametrize("state", [IncidentState.OPEN, IncidentState.ACKNOWLEDGED])
def test_a_person_can_resolve_and_the_receivers_are_told(state):
    step = incidents.resolve(
        incident(BEHAVIOUR, state=state), author="ana", reason="planned", at=START, receivers=["oncall"]
    )
    assert (step.before, step.after, step.receivers) == (state, IncidentState.RESOLVED, ("oncall",))


@pytest.mark.parametrize(
    ("state", "times", "act", "expected"),
    [
        (
            IncidentState.ACKNOWLEDGED,
            {"acknowledged_at": START},
            "acknowledge",
            "incident 7 was already acknowledged on Mon 16 Mar 09:00 UTC; there is nothing left to do",
        ),
        (
            IncidentState.ACKNOWLEDGED,
            {},
            "acknowledge",
            "incident 7 was already acknowledged; there is nothing left to do",
        ),
        (
            IncidentState.RESOLVED,
            {"resolved_at": START},
            "acknowledge",
            (
                "incident 7 was already resolved on Mon 16 Mar 09:00 UTC; to acknowledge one, "
                "list the open ones with: driftwatch incidents"
            ),
        ),
        (
            IncidentState.RESOLVED,
            {},
            "resolve",
            "incident 7 was already resolved; to resolve one, list the open ones with: driftwatch incidents",
        ),
    ],
)
def test_an_edge_the_state_does_not_allow_is_refused_in_one_sentence(state, times, act, expected):
    standing = replace(incident(BEHAVIOUR, state=state), **times)
    edge = {
        "acknowledge": incidents.acknowledge,
        "resolve": partial(incidents.resolve, receivers=()),
    }[act]
    with pytest.raises(UsageError) as refused:
        edge(standing, author="ana", reason="r", at=START)
    assert str(refused.value) == expected


def test_a_new_baseline_ends_drift_and_leaves_availability_and_other_targets_alone():
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
            incident(BEHAVIOUR, 1),
            incident(PERFORMANCE, 2, state=IncidentState.ACKNOWLEDGED),
            incident(AVAILABILITY, 3),
            incident(BEHAVIOUR, 4, state=IncidentState.RESOLVED),
            incident(BEHAVIOUR, 5, target="search"),
            replace(incident(BEHAVIOUR, 6), baseline_id=4),  # found against the new one
        ],
        baseline,
        author="ana",
        reason="the new release is fine",
        at=START,
        receivers=["oncall"],
    )
    assert [step.incident_id for step in steps] == [1, 2]
    assert {step.reason for step in steps} == {"new baseline accepted by ana: the new release is fine"}
    assert {(s.author, s.receivers, s.after) for s in steps} == {("ana", ("oncall",), IncidentState.RESOLVED)}


# ---------------------------------------------------------------- any history

LEGAL = {
    (None, IncidentState.OPEN),
    (IncidentState.OPEN, IncidentState.ACKNOWLEDGED),
    (IncidentState.OPEN, IncidentState.RESOLVED),
    (IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED),
}
moments = st.tuples(
    st.sampled_from(State),
    st.sets(st.sampled_from([BEHAVIOUR, PERFORMANCE])),
    st.booleans(),  # whether a run without a conclusion failed
    st.booleans(),  # whether a person acknowledges what is open
)


@given(st.lists(moments, max_size=40))
def test_in_any_history_every_edge_is_legal_and_has_its_cause(history):
    board: dict[int, Incident] = {}
    streak = 0
    for hour, (state, drifted, failed, acknowledges) in enumerate(history):
        is_conclusive = state in {State.STABLE, State.DRIFTED}
        streak = 0 if is_conclusive or not failed else streak + 1
        told = verdict(state, *drifted, hours=hour)
        standing = [i for i in board.values() if i.is_open]
        steps = advance(told, standing, streak)
        for step in steps:
            assert (step.before, step.after) in LEGAL
            if step.after is IncidentState.OPEN:
                found = told.kind(step.kind)
                assert (found.is_drifted and is_conclusive) if found else streak >= 3
            else:
                assert step.before is board[step.incident_id].state
                found = told.kind(step.kind)
                is_said = state is not State.INCONCLUSIVE
                assert (is_said and not found.is_drifted) if found else streak == 0
        for step in steps:
            apply(board, step)
        now_open = [i for i in board.values() if i.is_open]
        assert len({i.kind for i in now_open}) == len(now_open)
        opened = {step.kind for step in steps if step.after is IncidentState.OPEN}
        assert not (PERFORMANCE in opened and BEHAVIOUR in {i.kind for i in now_open})
        assert advance(told, now_open, streak) == [], "the same verdict again must change nothing"
        if acknowledges:
            for i in now_open:
                if i.state is IncidentState.OPEN:
                    apply(board, incidents.acknowledge(i, author="ana", reason="r", at=told.at))


def apply(board: dict[int, Incident], step: Step) -> None:
    """What the store does with a step."""
    if step.incident_id is None:
        assert step.before is None
        board[len(board) + 1] = incident(step.kind, len(board) + 1)
    else:
        board[step.incident_id] = replace(board[step.incident_id], state=step.after)


def test_evidence_that_is_not_finite_opens_like_any_other():
    found = verdict(State.DRIFTED, BEHAVIOUR)
    infinite = replace(found, kinds=(replace(found.kinds[0], evidence=math.inf),))
    assert len(advance(infinite)) == 1
