"""Who is told of what: routes, grades, patterns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

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


@given(wanted=st.text(alphabet="ab*", max_size=8), name=st.text(alphabet="ab", max_size=8))
def test_a_pattern_fits_what_can_be_cut_at_its_stars(wanted, name):
    def is_cut(wanted: str, name: str) -> bool:
        if not wanted or wanted[0] != "*":
            return wanted == name or (bool(wanted) and wanted[:1] == name[:1] and is_cut(wanted[1:], name[1:]))
        return any(is_cut(wanted[1:], name[n:]) for n in range(len(name) + 1))

    facts = Facts(target=name, kind=Kind.BEHAVIOUR, severity=Severity.INFO)
    assert fits({"target": [wanted]}, facts) is is_cut(wanted, name)


def test_a_pattern_of_many_stars_is_answered_at_once():
    """Trying every place for each of fifty stars would outlast the universe: this hangs where it is tried."""
    facts = Facts(target="a" * 300, kind=Kind.BEHAVIOUR, severity=Severity.INFO)
    assert not fits({"target": ["*a" * 50 + "*b"]}, facts)
    assert fits({"target": ["*a" * 50 + "*a"]}, facts)


@pytest.mark.parametrize(
    ("routes", "grave", "lesser"),
    [
        ((), True, False),
        ((route("pager", severity="critical"),), False, False),
        ((route("own", kind="performance"),), True, True),
        ((route("pager", severity="critical", goes_on=True), route("own")), True, True),
        ((route(),), False, False),
    ],
)
def test_an_incident_is_for_whom_the_routes_or_else_its_target_say(routes, grave, lesser):
    policy = Policy(routes=routes, target_receivers={"support-eu": ("own",), "faq": ("mail",)})
    assert policy.is_for("own", GRAVE) is grave
    assert policy.is_for("own", LESSER) is lesser


def test_what_no_target_stands_for_is_for_everybody():
    assert Policy().is_for("own", GRAVE), "rather told once too often than never"
    assert not Policy(target_receivers={"support-eu": ()}).is_for("own", GRAVE)


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
