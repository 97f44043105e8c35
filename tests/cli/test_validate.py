"""``driftwatch validate``: who is really told of what, as routes decide it."""

from __future__ import annotations

import pytest

from driftwatch.alert.policy import Policy, Route
from driftwatch.cli.addressees import addressees
from driftwatch.domain import Kind, Severity

FIRST = "support: simulated m, 2 canaries × 2 every 6h"
MORE = "receivers: {terminal: {type: console}, pager: {type: console}, mail: {type: console}}"
NO_REMINDERS = "alerts: {minimum_reminder_interval: 0s}"


@pytest.fixture
def routed(stable):
    """Lay out three receivers and an ``alerts`` section."""

    def lay_out(alerts: str) -> None:
        stable.edit("driftwatch.yaml", "receivers: {terminal: {type: console}}", MORE)
        stable.edit("driftwatch.yaml", NO_REMINDERS, f"alerts: {alerts}")

    return lay_out


def test_without_routes_the_targets_own_receivers_are_told_of_everything(stable, driftwatch):
    done = driftwatch("validate")

    assert done.out.splitlines()[:2] == [f"{FIRST}, terminal", "the watch itself: terminal"]


def test_a_target_that_nobody_is_told_of_says_so(stable, driftwatch):
    stable.edit("driftwatch.yaml", "    receivers: [terminal]\n", "    receivers: []\n")

    assert f"{FIRST}, nobody is told\n" in driftwatch("validate").out


def test_routes_are_told_by_kind_and_severity_and_replace_what_the_target_names(routed, driftwatch):
    routed("{routes: [{match: {severity: critical}, receivers: [pager], continue: true}, {receivers: [mail]}]}")

    done = driftwatch("validate")

    assert done.out.splitlines()[:-1] == [
        FIRST,
        "  behaviour (critical), availability (critical), tripwire (critical), watch-itself (critical): pager, mail",
        "  performance (warning), availability (warning), tripwire (warning), watch-itself (warning): mail",
        "  its own receivers are replaced by alerts.routes: terminal",
        "the watch itself: watch-itself (warning): mail",
        "the watch itself: watch-itself (critical): pager, mail",
        "receiver terminal: told of nothing; no target and no route that is reached names it",
    ]
    assert done.code == 0


def test_who_is_called_in_later_is_told_with_the_time(routed, driftwatch):
    routed(
        "{escalation: [{after: 2h, receivers: [mail], match: {kind: behaviour}}, "
        "{after: 90s, receivers: [pager], match: {severity: critical, kind: behaviour}}]}"
    )

    assert (
        "  behaviour (critical): terminal; after 90s without an answer: pager; after 2h without an answer: mail\n"
        in driftwatch("validate").out
    )


def test_a_kind_that_the_config_grades_has_that_grade_alone(routed, driftwatch):
    routed("{severities: {availability: info}, routes: [{match: {severity: info}, receivers: [mail]}]}")

    out = driftwatch("validate").out
    assert "  availability (info): mail\n" in out
    assert "availability (warning" not in out


def test_the_watch_as_a_whole_has_its_own_kind_only():
    policy = Policy(routes=(Route(match={"target": ["driftwatch"]}, receivers=("ops",)),), receivers=("ops", "mail"))

    assert [(one.kind, one.severity, one.receivers) for one in addressees(None, policy)] == [
        (Kind.WATCH_ITSELF, Severity.WARNING, ("ops",)),
        (Kind.WATCH_ITSELF, Severity.CRITICAL, ("ops",)),
    ]
