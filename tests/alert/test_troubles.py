"""The troubles of the watch itself: when each is one, when it is not any more, and what is said about it."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta

import pytest
from typer.main import get_command

from driftwatch.alert import troubles
from driftwatch.alert.kept import IncidentEvidence
from driftwatch.alert.troubles import MB, Finding, Reach, Space, Trouble
from driftwatch.cli import app as program
from driftwatch.domain import WATCH, Severity, Target

AT = datetime(2026, 3, 16, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
GB = 1000 * MB


def target(name="shop", interval_s=3600.0, **more):
    return Target(name=name, provider="openai", model="m-1", canaries=(), interval_s=interval_s, **more)


def space(free, total=8 * GB):
    return Space(directory="/var/lib/drift watch", free_bytes=free, total_bytes=total)


# ---------------------------------------------------------------- the disk


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [
        (200 * MB, 8 * GB, None),
        (199 * MB, 8 * GB, Severity.WARNING),
        (50 * MB, 8 * GB, Severity.WARNING),
        (49 * MB, 8 * GB, Severity.CRITICAL),
        (0, 8 * GB, Severity.CRITICAL),
        (1999 * MB, 100 * GB, Severity.WARNING),
        (2000 * MB, 100 * GB, None),
    ],
)
def test_a_disk_is_low_below_200_mb_or_2_percent_and_grave_below_50_mb(free, total, severity):
    found = troubles.disk(space(free, total), is_standing=False, at=AT)
    assert (found.severity if found else None) == severity


def test_a_small_volume_that_is_half_empty_is_not_low():
    assert troubles.disk(space(60 * MB, 120 * MB), is_standing=False, at=AT) is None
    found = troubles.disk(space(20 * MB, 120 * MB), is_standing=False, at=AT)
    assert found is not None
    assert found.severity is Severity.WARNING
    assert troubles.disk(space(5 * MB, 120 * MB), is_standing=False, at=AT).severity is Severity.CRITICAL


def test_a_disk_around_its_threshold_does_not_flap():
    assert troubles.disk(space(240 * MB), is_standing=False, at=AT) is None
    assert troubles.disk(space(240 * MB), is_standing=True, at=AT) is not None
    assert troubles.disk(space(250 * MB), is_standing=True, at=AT) is None


def test_what_to_do_about_a_full_disk_can_be_pasted_into_a_shell():
    found = troubles.disk_full("/var/lib/drift watch", since=AT)
    assert found.headline == (
        "The disk of /var/lib/drift watch is full since Mon 16 Mar 09:00 UTC: "
        "nothing can be stored, so nothing is watched"
    )
    assert shlex.split(found.steps[0].command) == ["df", "-h", "/var/lib/drift watch"]


# ---------------------------------------------------------------- the clock, the scheduler, the database


@pytest.mark.parametrize(("jump", "way"), [(2 * HOUR, "forward by 2 h"), (-3 * HOUR, "back by 3 h")])
def test_a_jump_of_the_clock_says_which_way(jump, way):
    assert f"jumped {way}, to Mon 16 Mar 09:00 UTC" in troubles.clock(jump, at=AT).headline


def test_a_watch_that_stands_still_says_since_when():
    found = troubles.stalled(180.0, since=AT)
    assert found.severity is Severity.CRITICAL
    assert "last looked at the clock at Mon 16 Mar 09:00 UTC, 3 min ago" in found.headline


# ---------------------------------------------------------------- targets


def test_a_target_is_overdue_after_three_intervals_and_two_hours_at_least():
    hourly, fast = target(), target(interval_s=600.0)
    assert troubles.overdue(hourly, since=AT, at=AT + 3 * HOUR) is None
    assert troubles.overdue(hourly, since=AT, at=AT + 3 * HOUR + timedelta(seconds=1)) is not None
    assert troubles.overdue(fast, since=AT, at=AT + 2 * HOUR) is None
    found = troubles.overdue(fast, since=AT, at=AT + timedelta(hours=2, minutes=5))
    assert found.headline == (
        "shop is not watched: nothing was measured for 2 h 5 min, though a run is due every 10 min"
    )


def test_the_budget_of_all_targets_names_those_that_wait_for_it():
    found = troubles.fleet_budget(["b", "a"], "paused by its budget", key="budget.usd_per_day", since=AT)
    assert found.headline == "2 targets (a, b) are not watched since Mon 16 Mar 09:00 UTC: paused by its budget"
    assert found.notes[0].startswith("Raise budget.usd_per_day in the config")


def test_the_evidence_of_a_targets_trouble_names_whom_routes_ask_for():
    found = troubles.broken("shop", "an unexpected KeyError, see the log", 3, since=AT)
    kept = found.evidence(target(owner="ana", feature="checkout"))
    assert (kept["owner"], kept["feature"], kept["model"]) == ("ana", "checkout", "m-1")
    assert "its last 3 runs broke off, an unexpected KeyError" in IncidentEvidence.from_json(kept).headline
    assert "feature" not in found.evidence(target())
    assert "owner" not in found.evidence()


# ---------------------------------------------------------------- receivers


def reach(**facts):
    return Reach(receiver="pager", last_error="status 500", **facts)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, None),
        ({"n_waiting": 2, "waiting_since": AT - HOUR, "attempts": 3}, None),
        ({"n_waiting": 2, "waiting_since": AT, "failing_since": AT - HOUR}, None),
        (
            {"n_waiting": 2, "waiting_since": AT - HOUR, "failing_since": AT - HOUR - timedelta(seconds=1)},
            "Receiver pager is out of reach, and 2 messages wait since Mon 16 Mar 08:00 UTC: status 500",
        ),
        (
            {"n_waiting": 1, "waiting_since": AT - 2 * HOUR, "attempts": 7},
            "Receiver pager is out of reach, and 1 message waits since Mon 16 Mar 07:00 UTC: status 500",
        ),
        ({"n_waiting": 1, "waiting_since": AT - 2 * HOUR, "attempts": 6}, None),
        ({"n_waiting": 1, "attempts": 9}, None),
        ({"refused_at": AT}, "Receiver pager refuses messages: status 500"),
        ({"refused_at": AT - HOUR, "sent_at": AT}, None),
        ({"refused_at": AT, "sent_at": AT - HOUR}, "Receiver pager refuses messages: status 500"),
    ],
)
def test_a_receiver_is_in_trouble_when_it_refuses_or_was_out_of_reach_for_an_hour(facts, expected):
    found = troubles.receiver(reach(**facts), at=AT)
    assert (found.headline if found else None) == expected


def test_a_receiver_that_did_not_take_what_is_critical_is_critical_trouble():
    lesser, grave = (troubles.receiver(reach(refused_at=AT, is_grave=grave), at=AT) for grave in (False, True))
    assert (lesser.severity, grave.severity) == (Severity.WARNING, Severity.CRITICAL)
    assert grave.notes == (*lesser.notes, "What it did not take is critical, and still open.")


def test_each_receiver_is_an_incident_of_its_own():
    assert troubles.receiver(reach(refused_at=AT), at=AT).name == "receiver:pager"
    assert troubles.disk_full("/data", since=AT).name == "disk"


# ---------------------------------------------------------------- all of them


def every_finding():
    hour_ago = AT - HOUR
    return [
        troubles.disk(space(1), is_standing=False, at=AT),
        troubles.disk_full("/data", since=AT),
        troubles.store("/data/a.db is read-only; change its permissions", since=AT),
        troubles.stalled(180.0, since=AT),
        troubles.clock(2 * HOUR, at=AT),
        troubles.budget("shop", "paused by its budget", key="targets.shop.budget.usd_per_day", since=hour_ago),
        troubles.fleet_budget(["b", "a"], "paused by its budget", key="budget.usd_per_day", since=hour_ago),
        troubles.secret_missing("shop", "environment variable KEY is not set", since=hour_ago),
        troubles.broken("shop", "an unexpected KeyError, see the log", 3, since=hour_ago),
        troubles.overdue(target(), since=AT, at=AT + 9 * HOUR),
        troubles.receiver(reach(refused_at=AT), at=AT),
    ]


def test_every_trouble_is_among_them():
    assert {found.trouble for found in every_finding()} == set(Trouble)


@pytest.mark.parametrize("found", every_finding(), ids=lambda found: f"{found.name}-{found.severity}")
def test_every_trouble_says_in_one_line_what_it_is_and_names_a_command_that_exists(found: Finding):
    assert "\n" not in found.headline
    assert 20 < len(found.headline) < 300
    assert found.target in {"shop", WATCH}
    evidence = IncidentEvidence.from_json(found.evidence())
    assert evidence.headline == found.headline
    assert evidence.onset_at == found.since
    assert evidence.steps == found.steps
    commands = get_command(program).commands
    for step in found.steps:
        assert step.meaning
        name, verb, *_ = [*shlex.split(step.command), ""]
        assert name in {"driftwatch", "df", "timedatectl"}
        assert name != "driftwatch" or verb in commands
