"""The simulated year runs, in its smallest form, and tells what happened and nothing else."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest

from benchmarks.alerts import year
from benchmarks.alerts.fleet import BEGIN, plan, watch
from driftwatch.domain import Kind


@pytest.fixture(scope="module")
def printed():
    """What ``--quick`` prints."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["year", "--quick"])
        patch.setattr("builtins.print", lines.append)
        year.main()
    return "\n".join(lines)


def rows(printed, about):
    """The messages about one trouble, as their cells."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines()]
    return [row for row in cells if len(row) == 6 and about in row[4]]


def test_every_trouble_that_lasts_is_told_and_its_end_too(printed):
    for trouble in ("smaller model", "key of three", "three hours", "another model for good"):
        told = rows(printed, trouble)
        opened = [row[1] for row in told if row[2] == "opened"]
        assert opened, trouble
        assert len(opened) == len(set(opened)), f"{trouble}: each person hears of it as new once"
        assert told[-1][2] == "resolved"


def test_what_passes_by_itself_is_told_to_nobody(printed):
    assert rows(printed, "twenty minutes") == []


def test_each_person_hears_of_the_weekend_of_the_dead_slack_once(printed):
    told = rows(printed, "dead Slack")
    assert told
    assert len({row[1] for row in told}) == len(told)


def test_nothing_that_did_not_happen_is_told_in_these_weeks(printed):
    assert "0 of them false alarms" in printed
    assert rows(printed, "**false alarm**") == []


def test_a_week_without_trouble_alarms_nobody_and_a_change_does():
    small = plan(15, 49)
    changed = next(trouble for trouble in small.troubles if trouble.kind is Kind.BEHAVIOUR)
    number = next(n for n, target in enumerate(small.targets) if target.name == changed.targets[0])
    found = watch(small, number, seed=1)
    (episode,) = found.episodes[Kind.BEHAVIOUR]
    assert abs(found.at[episode.onset] - changed.since) <= timedelta(hours=4)
    assert not found.drifted[Kind.BEHAVIOUR][: int((changed.since - BEGIN) / timedelta(hours=1))].any()


def test_working_hours_begin_on_monday_morning():
    friday = BEGIN + timedelta(days=4, hours=17)
    assert year.at_work(friday) == BEGIN + timedelta(days=7, hours=9)
    assert year.at_work(friday - timedelta(hours=3)) == friday - timedelta(hours=3)
    assert year.at_work(BEGIN + timedelta(hours=3)) == BEGIN + timedelta(hours=9)
