"""When incidents open, come back and end."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from driftwatch.alert import advancing, incidents
from driftwatch.alert.advancing import Streaks
from driftwatch.alert.incidents import DEFAULT_POLICY
from driftwatch.alert.policy import Policy
from driftwatch.domain import (
    Event,
    Incident,
    IncidentState,
    Kind,
    KindEvidence,
    Level,
    Severity,
    State,
    Step,
    Target,
    Tripwire,
    Verdict,
    Wire,
)

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
    of: Verdict,
    standing: list[Incident] | None = None,
    streak: int = 0,
    *,
    measured: int | None = None,
    quiet: dict[Kind, int] | None = None,
    outcomes: dict[str, int] | None = None,
    recent: list[Incident] | None = None,
    settled: tuple[Kind, ...] = (),
    policy: Policy = DEFAULT_POLICY,
    **evidence: dict[str, object],
) -> list[Step]:
    return advancing.advance(
        of,
        target=TARGET,
        open_incidents=standing or [],
        recent=recent or [],
        streaks=Streaks(
            failed=streak,
            measured=(0 if streak else 2) if measured is None else measured,
            quiet=quiet or {},
            outcomes=outcomes or {},
        ),
        evidence={Kind(kind.replace("_", "-")): stored for kind, stored in evidence.items()},
        settled=settled,
        policy=policy,
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
        event=Event.OPENED,
        severity=Severity.CRITICAL,
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
        event=Event.RESOLVED,
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


def tripped(level=Level.PAGE, wire=Wire.SERVED_MODEL, after=("m-2",)):
    return Tripwire(wire=wire, level=level, before=("m-1",), after=after, canaries=("a",), since=START)


def watch_itself(trouble="key"):
    return replace(incident(Kind.WATCH_ITSELF), trouble=trouble, baseline_id=None)


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


# ---------------------------------------------------------------- how grave


@pytest.mark.parametrize(
    ("kind", "outcomes", "expected"),
    [
        (AVAILABILITY, {"timeout": 12}, Severity.WARNING),
        (AVAILABILITY, {"model_gone": 12}, Severity.CRITICAL),
        (AVAILABILITY, {"model_gone": 6, "timeout": 6}, Severity.WARNING),
        (Kind.WATCH_ITSELF, {"auth": 12}, Severity.WARNING),
    ],
)
def test_what_will_not_pass_by_itself_is_graver(kind, outcomes, expected):
    (step,) = advance(verdict(State.INCONCLUSIVE), streak=3, outcomes=outcomes)
    assert (step.kind, step.severity) == (kind, expected)


def test_a_tripwire_that_tells_of_a_model_that_is_gone_is_critical_and_others_are_not():
    (gone,) = advance(verdict(State.INCONCLUSIVE, tripwires=(tripped(wire=Wire.ERRORS, after=("model gone",)),)))
    (renamed,) = advance(verdict(State.STABLE, tripwires=(tripped(),)))
    assert (gone.severity, renamed.severity) == (Severity.CRITICAL, Severity.WARNING)


def test_an_outage_that_will_not_pass_by_itself_any_more_escalates_once():
    stored = {"headline": "cannot be measured: the model is gone"}
    found = verdict(State.INCONCLUSIVE)
    (step,) = advance(found, [incident(AVAILABILITY)], 5, outcomes={"model_gone": 9}, availability=stored)
    assert (step.event, step.severity, step.incident_id) == (Event.ESCALATED, Severity.CRITICAL, 7)
    assert (step.reason, step.evidence, step.after) == (stored["headline"], stored, IncidentState.OPEN)
    grave = replace(incident(AVAILABILITY), severity=Severity.CRITICAL)
    assert advance(found, [grave], 6, outcomes={"model_gone": 9}) == []
    assert advance(found, [incident(AVAILABILITY)], 6, outcomes={"timeout": 9}) == []
    assert advance(found, [incident(AVAILABILITY)], 2, outcomes={"auth": 9}) == [], "that is our own trouble"


def test_an_outage_that_a_person_has_closed_does_not_open_again_as_either_kind():
    for outcome in ("timeout", "auth"):
        closed = (AVAILABILITY, Kind.WATCH_ITSELF)
        assert advance(verdict(State.INCONCLUSIVE), streak=9, outcomes={outcome: 9}, settled=closed) == []


def test_the_operators_grade_of_a_kind_stands_above_the_evidence():
    graded = Policy(severities={AVAILABILITY: Severity.INFO})
    (step,) = advance(verdict(State.INCONCLUSIVE), streak=3, outcomes={"model_gone": 12}, policy=graded)
    assert step.severity is Severity.INFO


# ---------------------------------------------------------------- our own key and account


@pytest.mark.parametrize(("outcome", "trouble"), [("auth", "key"), ("quota", "quota")])
def test_refusals_of_our_key_or_account_open_watch_itself_instead_of_availability(outcome, trouble):
    (step,) = advance(
        verdict(State.INCONCLUSIVE, hours=3),
        streak=3,
        outcomes={outcome: 9, "timeout": 3},
        watch_itself={"headline": "is not watched", "failing_since": "2026-03-16T10:00:00+00:00"},
    )
    assert (step.kind, step.trouble, step.event) == (Kind.WATCH_ITSELF, trouble, Event.OPENED)
    assert (step.baseline_id, step.run_id) == (None, 103)
    assert step.onset_at == START + timedelta(hours=1)


DOWN, REFUSED = {"timeout": 12}, {"auth": 12}
MIXED_UP = Streaks(failed=3, measured=0, outcomes={"auth": 24, "timeout": 12}, is_alike=False)


@pytest.mark.parametrize(
    ("trouble", "outcomes", "begins", "reason"),
    [
        (None, REFUSED, (Kind.WATCH_ITSELF, "key"), "the endpoint answers, but refuses our key now"),
        (None, {"quota": 12}, (Kind.WATCH_ITSELF, "quota"), "the endpoint answers, but refuses our account now"),
        ("key", {"quota": 12}, (Kind.WATCH_ITSELF, "quota"), "the endpoint answers, but refuses our account now"),
        ("key", DOWN, (AVAILABILITY, ""), "requests are no longer refused for our key or account"),
        ("quota", {"model_gone": 9}, (AVAILABILITY, ""), "requests are no longer refused for our key or account"),
    ],
)
def test_failures_that_come_to_tell_something_else_end_the_one_and_open_the_other(trouble, outcomes, begins, reason):
    standing = replace(watch_itself(), trouble=trouble) if trouble else incident(AVAILABILITY)
    ended, opened = advance(verdict(State.INCONCLUSIVE), [standing], streak=3, outcomes=outcomes)
    assert (ended.incident_id, ended.event, ended.author) == (7, Event.RESOLVED, "driftwatch")
    assert ended.reason.startswith(reason)
    assert (opened.incident_id, opened.event, (opened.kind, opened.trouble)) == (None, Event.OPENED, begins)


@pytest.mark.parametrize(
    ("standing", "streaks", "settled"),
    [
        (AVAILABILITY, Streaks(failed=2, measured=0, outcomes=REFUSED), ()),
        (Kind.WATCH_ITSELF, Streaks(failed=2, measured=0, outcomes=DOWN), ()),
        (AVAILABILITY, MIXED_UP, ()),
        (Kind.WATCH_ITSELF, replace(MIXED_UP, outcomes={"auth": 12, "timeout": 24}), ()),
        (AVAILABILITY, Streaks(failed=3, measured=0, outcomes=DOWN), ()),
        (Kind.WATCH_ITSELF, Streaks(failed=3, measured=0, outcomes=REFUSED), ()),
        (Kind.WATCH_ITSELF, Streaks(failed=3, measured=0), ()),
        (AVAILABILITY, Streaks(failed=3, measured=0, outcomes=REFUSED), (Kind.WATCH_ITSELF,)),
    ],
    ids=["too few", "too few down", "flickers", "flickers down", "goes on", "key goes on", "unknown", "settled"],
)
def test_a_mix_that_flickers_and_what_goes_on_page_no_second_time(standing, streaks, settled):
    found = watch_itself() if standing is Kind.WATCH_ITSELF else incident(AVAILABILITY)
    wire = tripped(wire=Wire.ERRORS, after=("auth",))
    of = verdict(State.INCONCLUSIVE, tripwires=(wire,))
    assert (
        advancing.advance(of, target=TARGET, open_incidents=[found], streaks=streaks, evidence={}, settled=settled)
        == []
    )


def test_a_refusal_that_still_stands_hides_no_outage_after_it():
    stale = verdict(State.INCONCLUSIVE, tripwires=(tripped(wire=Wire.ERRORS, after=("auth",)),))
    ended, opened = advance(stale, [watch_itself()], streak=3, outcomes=DOWN)
    assert (ended.kind, opened.kind) == (Kind.WATCH_ITSELF, AVAILABILITY)
    assert advance(stale, [incident(AVAILABILITY)], streak=3, outcomes=DOWN) == [], "nor is it told again"


def test_our_trouble_ends_where_a_tripwire_tells_what_it_has_become_and_an_outage_stays_beside_one():
    gone = verdict(State.INCONCLUSIVE, tripwires=(tripped(wire=Wire.ERRORS, after=("model gone",)),))
    steps = advance(gone, [watch_itself()], streak=3, outcomes={"model_gone": 12})
    assert [(s.kind, s.event) for s in steps] == [(Kind.WATCH_ITSELF, Event.RESOLVED), (TRIPWIRE, Event.OPENED)]
    refused = verdict(State.INCONCLUSIVE, tripwires=(tripped(wire=Wire.ERRORS, after=("auth",)),))
    told = replace(incident(TRIPWIRE, id_=8), evidence={"wires": {"errors": ["auth"]}})
    assert advance(refused, [incident(AVAILABILITY), told], streak=3, outcomes=REFUSED) == []


def test_a_tripwire_that_pages_for_our_key_is_watch_itself_at_once_and_no_tripwire():
    found = verdict(State.INCONCLUSIVE, tripwires=(tripped(wire=Wire.ERRORS, after=("auth",)),))
    refused = {"auth": 12}
    assert edges(advance(found, streak=1, outcomes=refused)) == [(Kind.WATCH_ITSELF, None, IncidentState.OPEN)]
    assert advance(found, [watch_itself()], streak=2, outcomes=refused) == []
    assert advance(found, [watch_itself()], measured=1) == [], "one canary is refused still: it has been told"


def test_another_wire_beside_our_trouble_pages_as_ever():
    found = verdict(State.INCONCLUSIVE, tripwires=(tripped(), tripped(wire=Wire.ERRORS, after=("auth",))))
    kinds = [step.kind for step in advance(found, streak=1, outcomes={"auth": 12})]
    assert kinds == [TRIPWIRE, Kind.WATCH_ITSELF]


def test_a_refusal_that_a_tripwire_has_told_is_not_told_as_our_trouble_too():
    found = verdict(State.INCONCLUSIVE, tripwires=(tripped(wire=Wire.ERRORS, after=("auth",)),))
    (partly,) = advance(verdict(State.STABLE, tripwires=found.tripwires))
    assert partly.kind is TRIPWIRE, "most canaries answer: the key is good"
    standing = replace(incident(TRIPWIRE), evidence={"wires": {"errors": ["auth"]}})
    assert advance(found, [standing], streak=3, outcomes={"auth": 12}) == []


def test_it_ends_with_measured_runs_and_other_troubles_of_the_watch_are_left_alone():
    disk = replace(watch_itself(), id=8, trouble="disk")
    (step,) = advance(verdict(State.STABLE), [watch_itself(), disk])
    assert (step.incident_id, step.after, step.reason) == (
        7,
        IncidentState.RESOLVED,
        "the target can be measured again",
    )


def test_an_outage_beside_an_open_change_of_behaviour_is_told_though_refusals_page():
    found = verdict(State.INCONCLUSIVE, tripwires=(tripped(wire=Wire.ERRORS, after=("model gone",)),))
    steps = advance(found, [incident(BEHAVIOUR)], streak=3, outcomes={"model_gone": 12})
    assert edges(steps) == [(AVAILABILITY, None, IncidentState.OPEN)], "no tripwire says so"


# ---------------------------------------------------------------- coming back


def over(kind, hours_ago=1.0, **changes):
    found = incident(kind, state=IncidentState.RESOLVED)
    return replace(found, resolved_at=START - timedelta(hours=hours_ago), **changes)


def test_what_comes_back_soon_is_the_same_incident_with_new_evidence():
    former = over(BEHAVIOUR, part_of=4, cause="served openai api.openai.com")
    stored = {"headline": "behaves differently again"}
    (step,) = advance(verdict(State.DRIFTED, BEHAVIOUR), recent=[former], behaviour=stored)
    assert (step.incident_id, step.before, step.after) == (7, IncidentState.RESOLVED, IncidentState.OPEN)
    assert (step.event, step.evidence, step.reason) == (Event.REOPENED, stored, "behaves differently again")
    assert step.onset_at == START - timedelta(hours=2)
    assert (step.part_of, step.cause, step.run_id) == (4, former.cause, 100)


@pytest.mark.parametrize(
    "former",
    [
        over(BEHAVIOUR, hours_ago=24.1),
        over(PERFORMANCE),
        over(BEHAVIOUR, baseline_id=2),
        over(BEHAVIOUR, target="search"),
        incident(BEHAVIOUR, target="search"),
        replace(over(BEHAVIOUR), resolved_at=None),
    ],
    ids=["long ago", "another kind", "another baseline", "another target", "open elsewhere", "no end known"],
)
def test_what_is_not_the_same_opens_an_incident_of_its_own(former):
    (step,) = advance(verdict(State.DRIFTED, BEHAVIOUR), recent=[former])
    assert (step.incident_id, step.event) == (None, Event.OPENED)


def test_the_window_includes_its_last_moment_and_the_latest_end_is_taken():
    older, newer = over(BEHAVIOUR, hours_ago=24, id=5), over(BEHAVIOUR, hours_ago=3, id=6)
    (step,) = advance(verdict(State.DRIFTED, BEHAVIOUR), recent=[newer, older])
    assert step.incident_id == 6
    (step,) = advance(verdict(State.DRIFTED, BEHAVIOUR), recent=[older])
    assert step.incident_id == 5


def test_an_outage_comes_back_whatever_the_baseline_and_our_key_only_as_our_key():
    (step,) = advance(verdict(State.INCONCLUSIVE), streak=3, recent=[over(AVAILABILITY, baseline_id=2)])
    assert step.event is Event.REOPENED
    key = replace(over(Kind.WATCH_ITSELF), trouble="key", baseline_id=None)
    for outcome, event in (("auth", Event.REOPENED), ("quota", Event.OPENED)):
        (step,) = advance(verdict(State.INCONCLUSIVE), streak=3, outcomes={outcome: 9}, recent=[key])
        assert step.event is event


def test_a_tripwire_comes_back_with_the_same_wire_only():
    former = over(TRIPWIRE, evidence={"wires": {"upstream": ["x"]}})
    for wire, event in ((Wire.UPSTREAM, Event.REOPENED), (Wire.SERVED_MODEL, Event.OPENED)):
        (step,) = advance(verdict(State.STABLE, tripwires=(tripped(wire=wire),)), recent=[former])
        assert step.event is event


@pytest.mark.parametrize(("n_reopened", "needed"), [(0, 2), (1, 4), (2, 8), (4, 32), (9, 32)])
def test_an_outage_that_keeps_coming_back_ends_after_twice_as_many_measured_runs_each_time(n_reopened, needed):
    standing = replace(incident(AVAILABILITY), n_reopened=n_reopened)
    assert advance(verdict(State.STABLE), [standing], measured=needed - 1) == []
    assert len(advance(verdict(State.STABLE), [standing], measured=needed)) == 1


def test_the_operator_says_how_many_measured_runs_are_an_end():
    patient = Policy(success_threshold=5)
    assert advance(verdict(State.STABLE), [incident(AVAILABILITY)], measured=4, policy=patient) == []
    assert len(advance(verdict(State.STABLE), [incident(AVAILABILITY)], measured=5, policy=patient)) == 1


@pytest.mark.parametrize(("n_reopened", "needed"), [(0, 1), (1, 2), (3, 8), (4, 16), (7, 16)])
def test_drift_that_keeps_coming_back_ends_after_twice_as_many_quiet_runs_each_time(n_reopened, needed):
    standing = replace(incident(BEHAVIOUR), n_reopened=n_reopened)
    assert needed == 1 or advance(verdict(State.STABLE), [standing], quiet={BEHAVIOUR: needed - 1}) == []
    assert len(advance(verdict(State.STABLE), [standing], quiet={BEHAVIOUR: needed})) == 1


# ---------------------------------------------------------------- another wire


def telling(**wires):
    return replace(incident(TRIPWIRE), evidence={"wires": wires})


def test_another_wire_escalates_the_open_incident_and_the_same_one_again_does_not():
    found = verdict(State.STABLE, tripwires=(tripped(), tripped(wire=Wire.UPSTREAM)), hours=2)
    stored = {"headline": "is served by another provider"}
    (step,) = advance(found, [telling(served_model=["m-2"])], tripwire=stored)
    assert (step.event, step.before, step.after) == (Event.ESCALATED, IncidentState.OPEN, IncidentState.OPEN)
    assert (step.incident_id, step.reason, step.evidence) == (7, "is served by another provider", stored)
    assert step.receivers == TARGET.receivers
    assert advance(found, [telling(served_model=["m-2", "m-9"], upstream=["m-2"])]) == []


def test_another_value_of_the_same_wire_is_news_too():
    found = verdict(State.STABLE, tripwires=(tripped(after=("m-3",)),))
    (step,) = advance(found, [telling(served_model=["m-2"])])
    assert (step.event, step.reason) == (Event.ESCALATED, "a sentence of the verdict")


def test_another_wire_leaves_an_acknowledged_incident_acknowledged_and_never_less_grave():
    standing = replace(telling(served_model=["m-2"]), state=IncidentState.ACKNOWLEDGED, severity=Severity.CRITICAL)
    (step,) = advance(verdict(State.STABLE, tripwires=(tripped(wire=Wire.UPSTREAM),)), [standing])
    assert (step.before, step.after) == (IncidentState.ACKNOWLEDGED, IncidentState.ACKNOWLEDGED)
    assert step.severity is Severity.CRITICAL
    (gone,) = advance(
        verdict(State.STABLE, tripwires=(tripped(wire=Wire.ERRORS, after=("model gone",)),)),
        [replace(standing, severity=Severity.WARNING)],
    )
    assert gone.severity is Severity.CRITICAL


def test_an_incident_of_an_earlier_release_is_told_of_the_wires_that_tripped_since():
    later = replace(tripped(wire=Wire.UPSTREAM), since=START + timedelta(hours=2))
    (step,) = advance(verdict(State.STABLE, tripwires=(tripped(), later), hours=2), [incident(TRIPWIRE)])
    assert step.event is Event.ESCALATED


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
            if step.event is Event.OPENED:
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
                    [step] = incidents.acknowledge([i], author="ana", reason="r", at=told.at)
                    apply(board, step)


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
