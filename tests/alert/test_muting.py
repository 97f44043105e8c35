"""Silences, planned work and quiet hours, with the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger

from driftwatch.alert.muting import MOST_STEPS, has_waited, is_covered, muted, quiet_end, window_end
from driftwatch.alert.policy import Facts, Policy, QuietHours, Window
from driftwatch.domain import Kind, Severity, Silence

FACTS = Facts(target="support-eu", kind=Kind.BEHAVIOUR, severity=Severity.WARNING, owner="ana", incident=7)
DAY = datetime(2026, 3, 16, tzinfo=UTC)


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


def silence(start: float, end: float, **match: str) -> Silence:
    return Silence(
        id=1,
        match={key: (value,) for key, value in match.items()},
        starts_at=at(start),
        ends_at=at(end),
        author="ana",
        reason="load test",
        created_at=at(start),
    )


def cron(expression: str, hours: float, timezone: str = "UTC", **match: str) -> Window:
    return Window(
        match={key: (value,) for key, value in match.items()},
        author="bo",
        reason="deployment",
        cron=expression,
        duration=timedelta(hours=hours),
        timezone=timezone,
    )


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"target": "support-*"}, True),
        ({"target": "support"}, False),
        ({"incident": "7"}, True),
        ({"incident": "8"}, False),
        ({"target": "support-eu", "kind": "performance"}, False),
        ({"owner": "ana", "severity": "warning"}, True),
        ({"feature": "*"}, False),
        ({}, True),
    ],
)
def test_a_silence_mutes_what_fits_all_it_asks(match, fits):
    found = muted(FACTS, policy=Policy(), silences=[silence(1, 3, **match)], at=at(2))
    assert (found is not None) is fits


def test_what_mutes_says_who_why_and_until_when():
    planned = cron("0 2 * * *", 1)
    found = muted(FACTS, policy=Policy(maintenance=(planned,)), silences=[], at=at(2.5))
    assert (found.until, found.why) == (at(3), "planned work of bo until Mon 16 Mar 03:00 UTC: deployment")
    both = [silence(1, 4), silence(1, 3)]
    found = muted(FACTS, policy=Policy(maintenance=(planned,)), silences=both, at=at(2.5))
    assert (found.until, found.why) == (at(4), "silenced by ana until Mon 16 Mar 04:00 UTC: load test")


@pytest.mark.parametrize(("hours", "is_muted"), [(0.99, False), (1, True), (2.99, True), (3, False)])
def test_an_end_is_the_first_moment_that_is_told_again(hours, is_muted):
    assert (muted(FACTS, policy=Policy(), silences=[silence(1, 3)], at=at(hours)) is not None) is is_muted
    once = Window(author="bo", reason="x", start=at(1), end=at(3))
    assert (window_end(once, at(hours)) is not None) is is_muted
    assert (window_end(cron("0 1 * * *", 2), at(hours)) is not None) is is_muted


@pytest.mark.parametrize(
    ("expression", "day", "is_open"),
    [
        ("0 2 * * sun", 15, True),
        ("0 2 * * 0", 15, True),
        ("0 2 * * 7", 15, True),
        ("0 2 * * 0", 16, False),
        ("0 2 * * 1", 16, True),
        ("0 2 * * 1-5", 20, True),
        ("0 2 * * 1-5", 21, False),
        ("0 2 * * 6-7", 21, True),
        ("0 2 * * */2", 17, True),
        ("0 2 * * */2", 16, False),
        ("0 2 * * 1/2", 18, True),
        ("0 2 * * 1/2", 17, False),
        ("0 2 * * sat,0", 15, True),
        ("0 2 * * mon-fri", 16, True),
    ],
)
def test_weekdays_of_a_cron_count_as_crontab_counts_them(expression, day, is_open):
    """The 15th of March 2026 is a Sunday."""
    found = window_end(cron(expression, 1), datetime(2026, 3, day, 2, 30, tzinfo=UTC))
    assert (found is not None) is is_open


def test_a_window_that_comes_back_is_one_of_its_own_time_zone():
    window = cron("0 2 * * *", 1, "America/New_York")
    assert window_end(window, datetime(2026, 3, 16, 6, 30, tzinfo=UTC)) == datetime(2026, 3, 16, 7, tzinfo=UTC)
    assert window_end(window, datetime(2026, 1, 16, 6, 30, tzinfo=UTC)) is None
    # On the night in which clocks are put forward there is no two o'clock; the window has its length all the same.
    gap = datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    found = window_end(window, gap)
    assert found is None or found - gap <= timedelta(hours=1)


def test_a_window_longer_than_its_interval_never_ends():
    window = cron("0 * * * *", 2)
    ends = [window_end(window, at(n / 4)) for n in range(96)]
    assert ends == [at(n // 4 + 2) for n in range(96)], "of the latest that has begun"
    assert window_end(cron("0 0 * * *", 24 * 40), at(5.5)) == at(24 * 40)


def waits(hours: float, *silences: Silence, policy: Policy | None = None, until: float = 99, since: float = 0) -> bool:
    """Whether two of whom only one may be muted have had so many hours."""
    return waited([FACTS], hours, silences, policy or Policy(), since, until)


def waited(facts, hours, silences, policy, since, until) -> bool:
    wait, span = timedelta(hours=hours), {"since": at(since), "until": at(until)}
    return has_waited(facts, wait, policy=policy, silences=silences, **span)


def longest(*silences: Silence, policy: Policy | None = None, until: float = 99, since: float = 0) -> float:
    """The longest wait, in whole hours, that is over."""
    return max(h for h in range(100) if waits(h, *silences, policy=policy, until=until, since=since))


def test_muted_time_is_taken_off_the_time_to_answer_and_no_more():
    nightly = Policy(maintenance=(cron("0 2 * * *", 1, target="support-*"),))
    assert longest(until=48) == 48
    assert longest(policy=nightly, until=48) == 46
    assert longest(policy=nightly, since=2.5, until=4.5) == 1, "begun while muted"
    assert longest(policy=nightly, until=2.5) == 2, "ends while muted"
    assert longest(silence(1, 3), silence(2, 5), policy=nightly, until=8) == 4, "what overlaps counts once"
    assert longest(silence(4, 4), silence(9, 12), until=8) == 8, "neither what was taken back nor what is to come"
    once = Policy(maintenance=(Window(author="bo", reason="x", start=at(1), end=at(3)),))
    assert longest(policy=once, until=8) == 6
    never = Policy(maintenance=(cron("0 0 30 2 *", 1),))
    assert longest(policy=never, until=8) == 8


def test_time_counts_while_any_of_a_group_is_not_muted():
    other = Facts(target="faq", kind=Kind.BEHAVIOUR, severity=Severity.WARNING)
    mine, its = silence(1, 5, target="support-*"), silence(3, 8, target="faq")
    for hours, silences, is_over in [(10, [mine], True), (8, [mine, its], True), (9, [mine, its], False)]:
        assert waited([FACTS, other], hours, silences, Policy(), 0, 10) is is_over


@pytest.mark.parametrize("hours", [1 / 60, 24])
def test_a_window_that_is_on_every_minute_of_a_year_is_little_work(monkeypatch, hours):
    asked = []
    original = CronTrigger.get_next_fire_time
    monkeypatch.setattr(CronTrigger, "get_next_fire_time", lambda *given: asked.append(1) or original(*given))
    policy = Policy(maintenance=(cron("* * * * *", hours),))
    # The longer ones are followed for a year; where that is too much, it is told.
    assert is_covered(FACTS, policy=policy, silences=[], since=at(0), until=at(8760)) is (hours == 24)
    assert waits(8760, policy=policy, until=8760) is False
    assert len(asked) < 20 * MOST_STEPS


def test_time_that_is_too_much_work_to_look_through_counts_as_time_to_answer():
    policy = Policy(maintenance=(cron("*/2 * * * *", 1 / 60),))
    assert waits(24, policy=policy, until=47)
    assert not waits(5, policy=policy, until=9)


def test_the_trigger_of_a_window_is_built_once(monkeypatch):
    built = []
    original = CronTrigger.from_crontab
    monkeypatch.setattr(CronTrigger, "from_crontab", lambda *a, **k: built.append(a) or original(*a, **k))
    for n in range(5):
        window_end(cron("17 2 * * *", 1), at(n))
    assert len(built) == 1


def test_what_is_muted_by_one_after_the_other_is_covered():
    policy = Policy(maintenance=(Window(author="bo", reason="x", start=at(3), end=at(5)),))
    silences = [silence(1, 3), silence(4, 6)]
    spans = [(1, 6), (1, 6.1), (0.9, 6), (2, 2), (7, 7)]
    found = [is_covered(FACTS, policy=policy, silences=silences, since=at(a), until=at(b)) for a, b in spans]
    assert found == [True, False, False, True, False]


# ---------------------------------------------------------------- quiet hours

NIGHT = QuietHours(begin=time(22), end=time(7), timezone="Europe/Berlin")


def quiet(moment: datetime, *hours: QuietHours, receiver: str = "mail", severity: Severity = Severity.WARNING):
    return quiet_end(Policy(quiet_hours=hours or (NIGHT,)), receiver, severity, moment)


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        (datetime(2026, 3, 16, 20, 59, tzinfo=UTC), None),
        (datetime(2026, 3, 16, 21, 0, tzinfo=UTC), datetime(2026, 3, 17, 6, tzinfo=UTC)),
        (datetime(2026, 3, 17, 5, 59, tzinfo=UTC), datetime(2026, 3, 17, 6, tzinfo=UTC)),
        (datetime(2026, 3, 17, 6, 0, tzinfo=UTC), None),
        # Clocks are put forward on the 29th at 01:00 UTC: the night is an hour shorter …
        (datetime(2026, 3, 28, 21, 0, tzinfo=UTC), datetime(2026, 3, 29, 5, tzinfo=UTC)),
        # … and put back on the 25th of October at 01:00 UTC: an hour longer.
        (datetime(2026, 10, 24, 20, 0, tzinfo=UTC), datetime(2026, 10, 25, 6, tzinfo=UTC)),
    ],
)
def test_a_night_is_one_of_the_wall_clock(moment, until):
    assert quiet(moment) == until


def test_an_hour_that_comes_twice_is_quiet_both_times():
    late = QuietHours(begin=time(1), end=time(2, 30), timezone="Europe/Berlin")
    asked = [datetime(2026, 10, 25, 0, 15, tzinfo=UTC), datetime(2026, 10, 25, 1, 15, tzinfo=UTC)]
    assert [quiet(moment, late) for moment in asked] == [datetime(2026, 10, 25, 1, 30, tzinfo=UTC)] * 2


def test_days_are_those_on_which_the_hours_begin():
    weekend = QuietHours(begin=time(20), end=time(8), days=(5, 6))
    saturday = datetime(2026, 3, 21, tzinfo=UTC)
    asked = {hours: quiet(saturday + timedelta(hours=hours), weekend) is not None for hours in (4, 19, 21, 31, 55, 56)}
    assert asked == {4: False, 19: False, 21: True, 31: True, 55: True, 56: False}


def test_hours_that_end_when_they_begin_last_a_day():
    whole = QuietHours(begin=time(0), end=time(0), days=(0,))
    assert quiet(at(12), whole) == at(24)
    assert quiet(at(36), whole) is None


def test_whose_they_are_and_what_is_let_through():
    night = at(23)
    mine = QuietHours(
        begin=time(22), end=time(7), receivers=("mail",), let_through=(Severity.CRITICAL, Severity.WARNING)
    )
    assert quiet(night, mine, severity=Severity.INFO) is not None
    assert quiet(night, mine, severity=Severity.WARNING) is None
    assert quiet(night, mine, severity=Severity.INFO, receiver="pager") is None
    assert quiet(night, severity=Severity.CRITICAL) is None
    longer = QuietHours(begin=time(22), end=time(9))
    assert quiet(night, NIGHT, longer) == at(33)
