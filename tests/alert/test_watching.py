"""From troubles of the watch to edges: opened once, told to the right people, ended when it is known to be over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from driftwatch.alert import troubles, watching
from driftwatch.alert.policy import Policy, Route
from driftwatch.alert.troubles import MB, Reach, Space
from driftwatch.alert.watching import Ended, Noticed
from driftwatch.domain import WATCH, Event, Incident, IncidentState, Kind, Severity, Target

AT = datetime(2026, 3, 16, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = Policy(receivers=("pager", "mail"))
LOW = troubles.disk(Space(directory="/data", free_bytes=100 * MB, total_bytes=8000 * MB), is_standing=False, at=AT)
FULL = troubles.disk_full("/data", since=AT)


def target(name, **more):
    given = {"provider": "openai", "model": "m", "canaries": (), "receivers": ("team",), **more}
    return Target(name=name, **given)


def advance(noticed, *, standing=(), ended=(), targets=(), policy=POLICY, at=AT):
    by_name = {one.name: one for one in targets}
    return watching.advance(noticed, standing=standing, ended=ended, targets=by_name, policy=policy, at=at)


def incident(step, id_=1, **more):
    """What the store makes of a step."""
    given = {
        "id": id_,
        "target": step.target,
        "kind": step.kind,
        "state": step.after,
        "opened_at": step.at,
        "onset_at": step.onset_at,
        "baseline_id": None,
        "run_id": None,
        "evidence": step.evidence,
        "severity": step.severity,
        "part_of": step.part_of,
        "cause": step.cause,
        "trouble": step.trouble,
    }
    return Incident(**{**given, **more})


def opened(*found, **more):
    return advance(Noticed(found=found), **more)


def test_a_trouble_opens_once_and_is_about_the_watch():
    [step] = opened(LOW)
    assert (step.event, step.kind, step.target, step.trouble) == (Event.OPENED, Kind.WATCH_ITSELF, WATCH, "disk")
    assert (step.baseline_id, step.run_id, step.cause) == (None, None, "")
    assert step.receivers == ("pager", "mail"), "all, since no target says who"
    assert step.reason == LOW.headline
    assert opened(LOW, standing=[incident(step)]) == []


def test_an_incident_of_another_kind_does_not_stand_for_a_trouble():
    [step] = opened(LOW)
    other = incident(step, kind=Kind.BEHAVIOUR)
    assert len(opened(LOW, standing=[other])) == 1


def test_routes_say_who_is_told_and_a_targets_own_receivers_otherwise():
    found = troubles.broken("shop", "see the log", 3, since=AT)
    [step] = opened(found, targets=[target("shop")])
    assert step.receivers == ("team",)
    routed = Policy(routes=(Route(match={"kind": ("watch-itself",)}, receivers=("ops",)),))
    [step] = opened(found, targets=[target("shop")], policy=routed)
    assert step.receivers == ("ops",)


def test_what_gets_graver_escalates_once_and_never_back():
    [step] = opened(LOW)
    standing = incident(step)
    [worse] = opened(FULL, standing=[standing])
    assert (worse.event, worse.severity, worse.incident_id) == (Event.ESCALATED, Severity.CRITICAL, 1)
    assert worse.before is worse.after is IncidentState.OPEN
    assert worse.evidence["headline"] == FULL.headline
    grave = replace(standing, severity=Severity.CRITICAL)
    assert opened(FULL, standing=[grave]) == []
    assert opened(LOW, standing=[grave]) == []


def test_an_operator_who_grades_the_kind_grades_all_troubles():
    info = Policy(severities={Kind.WATCH_ITSELF: Severity.INFO}, receivers=("mail",))
    [step] = opened(FULL, policy=info)
    assert step.severity is Severity.INFO


def test_it_ends_only_when_it_is_known_to_be_over():
    [step] = opened(LOW)
    standing = replace(incident(step), state=IncidentState.ACKNOWLEDGED)
    assert advance(Noticed(), standing=[standing]) == []
    over = Noticed(over={(WATCH, "disk"): "there is room again", (WATCH, "clock"): "steady"})
    [end] = advance(over, standing=[standing])
    assert (end.event, end.before, end.after) == (
        Event.RESOLVED,
        IncidentState.ACKNOWLEDGED,
        IncidentState.RESOLVED,
    )
    assert (end.author, end.reason, end.receivers) == (WATCH, "there is room again", ("pager", "mail"))
    assert advance(replace(over, found=[LOW]), standing=[standing]) == [], "what is found is not over"


# ---------------------------------------------------------------- again


def ended(at=AT, *, by_hand=False, **more):
    [step] = opened(LOW)
    return Ended(incident=incident(step, state=IncidentState.RESOLVED, resolved_at=at, **more), by_hand=by_hand)


def test_what_comes_back_soon_is_the_same_incident():
    [step] = opened(LOW, ended=[ended(id_=7)], at=AT + 23 * HOUR)
    assert (step.event, step.incident_id, step.before) == (Event.REOPENED, 7, IncidentState.RESOLVED)
    [step] = opened(LOW, ended=[ended(id_=7)], at=AT + 25 * HOUR)
    assert (step.event, step.incident_id) == (Event.OPENED, None)


def test_the_latest_end_counts():
    [step] = opened(LOW, ended=[ended(id_=3), ended(AT + HOUR, id_=9)], at=AT + 2 * HOUR)
    assert step.incident_id == 9


def test_another_troubles_end_is_no_reason_to_reopen():
    [step] = opened(LOW, ended=[ended(id_=7, trouble="clock")], at=AT + HOUR)
    assert step.event is Event.OPENED


def test_what_a_person_has_closed_is_quiet_for_a_day():
    assert opened(LOW, ended=[ended(by_hand=True)], at=AT + 23 * HOUR) == []
    [step] = opened(LOW, ended=[ended(by_hand=True)], at=AT + 25 * HOUR)
    assert step.event is Event.OPENED


# ---------------------------------------------------------------- receivers and groups


def test_a_receiver_in_trouble_is_told_of_to_the_others():
    found = troubles.receiver(Reach(receiver="pager", refused_at=AT, last_error="gone"), at=AT)
    [step] = opened(found)
    assert step.receivers == ("mail",)
    routed = Policy(routes=(Route(receivers=("pager",)),), receivers=("pager", "mail", "chat"))
    [step] = opened(found, policy=routed)
    assert step.receivers == ("mail", "chat"), "a route that names it alone would tell nobody"
    [step] = opened(found, policy=Policy(receivers=("pager",)))
    assert step.receivers == ()


def test_many_targets_with_one_trouble_are_one_page():
    targets = [target(name) for name in ("a", "b", "c")]
    found = [troubles.secret_missing(one.name, "KEY is not set", since=AT) for one in targets]
    [first] = opened(*found, targets=targets)
    assert (first.event, first.target) == (Event.OPENED, "a")
    lead = incident(first, id_=5)
    rest = opened(*found, standing=[lead], targets=targets)
    assert [(s.event, s.target, s.part_of) for s in rest] == [(Event.JOINED, "b", 5), (Event.JOINED, "c", 5)]


def test_targets_of_other_endpoints_are_another_page():
    ours, theirs = target("a"), target("b", provider="anthropic")
    found = [troubles.secret_missing(name, "KEY is not set", since=AT) for name in ("a", "b")]
    assert [step.event for step in opened(*found, targets=[ours, theirs])] == [Event.OPENED, Event.OPENED]


def test_a_target_that_left_the_config_still_ends():
    [step] = opened(troubles.broken("gone", "see the log", 3, since=AT), targets=[target("gone")])
    [end] = advance(Noticed(over={("gone", "broken"): "runs are made"}), standing=[incident(step)])
    assert end.event is Event.RESOLVED
