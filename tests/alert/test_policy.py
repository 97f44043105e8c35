"""Who is told of what: routes, grades, patterns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from driftwatch.alert.policy import SEVERITIES, Facts, Policy, Route, fits
from driftwatch.domain import Event, IncidentState, Kind, Severity, Step, Target

AT = datetime(2026, 3, 16, 14, tzinfo=UTC)
GRAVE = Facts(target="support-eu", kind=Kind.BEHAVIOUR, severity=Severity.CRITICAL, owner="team-a")
LESSER = Facts(target="faq", kind=Kind.PERFORMANCE, severity=Severity.WARNING)


def route(*receivers: str, goes_on: bool = False, **match: str) -> Route:
    return Route(match={k: (v,) for k, v in match.items()}, receivers=receivers, goes_on=goes_on)


@pytest.mark.parametrize(
    ("routes", "grave", "lesser"),
    [
        ((), ("own",), ("own",)),
        ((route("pager", severity="critical"),), ("pager",), ("own",)),
        ((route("pager", severity="critical"), route("mail")), ("pager",), ("mail",)),
        ((route("pager", severity="critical", goes_on=True), route("mail")), ("pager", "mail"), ("mail",)),
        ((route("mail", goes_on=True), route("mail", "log")), ("mail", "log"), ("mail", "log")),
        ((route(owner="team-*"),), (), ("own",)),
    ],
)
def test_the_first_route_that_fits_decides_unless_it_goes_on(routes, grave, lesser):
    policy = Policy(routes=routes)
    assert policy.receivers_of(GRAVE, otherwise=("own",)) == grave
    assert policy.receivers_of(LESSER, otherwise=("own",)) == lesser


def test_only_the_star_of_a_pattern_means_something():
    odd = Facts(target="a[1].b?", kind=Kind.BEHAVIOUR, severity=Severity.INFO)
    assert fits({"target": ["a[1].*"]}, odd)
    assert not fits({"target": ["a?1*"]}, odd)
    assert fits({"target": [], "kind": ["x", "behaviour"]}, odd)


def test_how_grave_a_kind_is_is_the_operators_then_the_callers_then_the_usual():
    policy = Policy(severities={Kind.PERFORMANCE: Severity.INFO})
    assert policy.severity(Kind.PERFORMANCE, Severity.CRITICAL) is Severity.INFO
    assert policy.severity(Kind.TRIPWIRE, Severity.CRITICAL) is Severity.CRITICAL
    assert {kind: policy.severity(kind) for kind in Kind if kind is not Kind.PERFORMANCE} == {
        kind: grade for kind, grade in SEVERITIES.items() if kind is not Kind.PERFORMANCE
    }


@pytest.mark.parametrize(
    "target", [None, Target(name="a", provider="p", model="m", canaries=(), owner="o", feature="f")]
)
def test_what_opens_is_asked_for_what_its_target_has(target):
    step = Step(
        incident_id=None,
        target="a",
        kind=Kind.BEHAVIOUR,
        before=None,
        after=IncidentState.OPEN,
        at=AT,
        author="driftwatch",
        reason="r",
        onset_at=AT,
        baseline_id=None,
        run_id=None,
        event=Event.OPENED,
    )
    found = Facts.of_step(step, target)
    expected = (None, None) if target is None else ("o", "f")
    assert (found.target, found.owner, found.feature, found.incident) == ("a", *expected, None)
