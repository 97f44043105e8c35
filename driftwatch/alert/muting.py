"""When an incident is not told: silences, planned work and quiet hours, as pure functions of the time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from driftwatch.alert.policy import Facts, Policy, QuietHours, Window, fits
from driftwatch.alert.text import when
from driftwatch.domain import Severity, Silence

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

MOST_STEPS = 1_000
"""Mutes that are followed one after the other, at most: years of a nightly one, and some ten milliseconds of work for
one that is on every minute."""

_MINUTE = timedelta(minutes=1)
"""The finest step of a cron."""

_TICK = timedelta(microseconds=1)
"""The smallest step of a datetime."""

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""In the order of crontab's numbers, where 7 is Sunday again. Source: man7.org, crontab(5). APScheduler 3 counts from
Monday. Source: apscheduler.readthedocs.io, CronTrigger.from_crontab, 3.11."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted:
    """Nothing is told for a while."""

    until: datetime
    """The first moment that it may be told again, as far as this cause goes."""
    why: str
    """One sentence for a person."""


def muted(facts: Facts, *, policy: Policy, silences: Sequence[Silence], at: datetime) -> Muted | None:
    """The silence or the planned work that an incident falls under at a time, of many the one that lasts longest.

    Args:
        facts: of the incident.
        policy: names the planned work.
        silences: any; those that are not active or do not fit are ignored.
        at: when.
    """
    found = [
        Muted(
            until=silence.ends_at,
            why=f"silenced by {silence.author} until {when(silence.ends_at)}: {silence.reason}",
        )
        for silence in silences
        if silence.is_active(at) and fits(silence.match, facts)
    ]
    found += [
        Muted(until=end, why=f"planned work of {window.author} until {when(end)}: {window.reason}")
        for window in policy.maintenance
        if fits(window.match, facts) and (end := window_end(window, at)) is not None
    ]
    return max(found, key=lambda mute: mute.until, default=None)


def is_covered(facts: Facts, *, policy: Policy, silences: Sequence[Silence], since: datetime, until: datetime) -> bool:
    """Whether an incident was muted all the time from ``since`` until, but not including, ``until``.

    What takes more than ``MOST_STEPS`` mutes one after the other counts as not muted: it is told.
    """
    mutes, moment = _Mutes.of(facts, policy, silences), since
    for _ in range(MOST_STEPS):
        end = mutes.end(moment)
        if end is None:
            return False
        if end >= until:
            return True
        moment = end
    return False


def has_waited(
    group: Sequence[Facts],
    wait: timedelta,
    *,
    policy: Policy,
    silences: Sequence[Silence],
    since: datetime,
    until: datetime,
) -> bool:
    """Whether so much time has passed from ``since`` to ``until``, without that in which all of a group was muted.

    Only the first ``MOST_STEPS`` mutes are taken off, so that the time is judged too long rather than too short.

    Args:
        group: of each of its incidents; one at least.
        wait: 0 or more.
        policy: names the planned work.
        silences: any, those that have ended too.
        since: when the time begins.
        until: now.
    """
    # Of a thousand targets under one silence, one is asked.
    mutes, moment, waited = {_Mutes.of(facts, policy, silences) for facts in group}, since, timedelta(0)
    for _ in range(MOST_STEPS):
        ends = {each: end for each in mutes if (end := each.end(moment)) is not None}
        if len(ends) == len(mutes):
            moment = min(ends.values())
        else:
            # Not before each of those that are not muted is.
            begins = [each.begin(moment) for each in mutes if each not in ends]
            begin = max((begin or until for begin in begins), default=until)
            waited, moment = waited + min(begin, until) - moment, begin
        if moment >= until or waited >= wait:
            return waited >= wait
    return waited + (until - moment) >= wait


def window_end(window: Window, at: datetime) -> datetime | None:
    """When the planned work that is under way at a time ends, aware UTC; None when none is.

    Of a window that comes back before it has ended, the end of the latest that has begun.
    """
    if window.cron is None or window.duration is None:
        is_open = window.start is not None and window.end is not None and window.start <= at < window.end
        return window.end if is_open else None
    # Whatever begins this long before may still be open. In UTC, so that an hour that comes twice or never cannot
    # stretch the window.
    latest = _next_start(window, at - window.duration + _TICK)
    if latest is None or latest > at:
        return None
    # Only the next start can be asked for, not the latest: halve until less than the finest step of a cron is left.
    last = at
    while last - latest >= _MINUTE:
        middle = latest + (last - latest) / 2
        found = _next_start(window, middle)
        if found is not None and middle <= found <= at:
            latest = found
        else:
            last = middle
    return latest + window.duration


def quiet_end(policy: Policy, receiver: str, severity: Severity, at: datetime) -> datetime | None:
    """When the quiet hours end in which a receiver is not told of such an incident, aware UTC; None outside of them.

    Hours are those of the wall clock in the hours' own time zone: a night in which clocks are put back is an hour
    longer.
    """
    ends = [
        end
        for quiet in policy.quiet_hours
        if (not quiet.receivers or receiver in quiet.receivers) and severity not in quiet.let_through
        for start, end in _nights(quiet, at)
        if start <= at < end
    ]
    return max(ends, default=None)


def _nights(quiet: QuietHours, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Begin and end of the quiet hours that may hold ``at``: those that began on its day or on the day before."""
    zone = ZoneInfo(quiet.timezone)
    today = at.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if quiet.days and day.weekday() not in quiet.days:
            continue
        last = day if quiet.end > quiet.begin else day + timedelta(days=1)
        start = datetime.combine(day, quiet.begin, zone)
        # An hour that comes twice is quiet both times.
        end = datetime.combine(last, quiet.end, zone).replace(fold=1)
        yield start.astimezone(UTC), end.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class _Mutes:
    """What may mute an incident, whenever; hashed by who they are, since what they match is a mapping."""

    silences: tuple[Silence, ...]
    windows: tuple[Window, ...]

    @classmethod
    def of(cls, facts: Facts, policy: Policy, silences: Sequence[Silence]) -> _Mutes:
        return cls(
            tuple(silence for silence in silences if fits(silence.match, facts)),
            tuple(window for window in policy.maintenance if fits(window.match, facts)),
        )

    def __hash__(self) -> int:
        return hash((tuple(s.id for s in self.silences), len(self.windows)))

    def end(self, at: datetime) -> datetime | None:
        """The latest end of what is on at a time; None when nothing is."""
        ends = [silence.ends_at for silence in self.silences if silence.is_active(at)]
        ends += [end for window in self.windows if (end := window_end(window, at)) is not None]
        return max(ends, default=None)

    def begin(self, after: datetime) -> datetime | None:
        """When the first that is not on yet begins; None when none will."""
        begins = [s.starts_at for s in self.silences if after < s.starts_at < s.ends_at]
        for window in self.windows:
            start = window.start if window.cron is None else _next_start(window, after + _TICK)
            if start is not None and start > after:
                begins.append(start)
        return min(begins, default=None)


def _next_start(window: Window, at: datetime) -> datetime | None:
    """The first time of a window's cron from a time on, aware UTC; None where there is none, e.g. on a 30 February."""
    trigger = _trigger(window.cron or "", window.timezone)
    found = None if trigger is None else trigger.get_next_fire_time(None, at.astimezone(UTC))
    return None if found is None else found.astimezone(UTC)


@functools.lru_cache(maxsize=256)
def _trigger(cron: str, timezone: str) -> CronTrigger | None:
    """A cron, built once; None for one that names no day there is: looking for its next takes a quarter of a second."""
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - only windows that come back need it

    *fields, weekday = cron.split()
    trigger = CronTrigger.from_crontab(" ".join([*fields, _named(weekday)]), timezone=timezone)
    return None if trigger.get_next_fire_time(None, datetime(2000, 1, 1, tzinfo=UTC)) is None else trigger


def _named(field: str) -> str:
    """A crontab's weekdays by name, which mean the same to everybody.

    >>> _named("0"), _named("1-5"), _named("6-7"), _named("*/3"), _named("sun,3"), _named("*")
    ('sun', 'mon,tue,wed,thu,fri', 'sat,sun', 'sun,wed,sat', 'sun,wed', '*')
    """
    if not any(character.isdigit() for character in field):
        return field
    found: list[str] = []
    for part in field.split(","):
        days, _, step = part.partition("/")
        first, _, last = ("0", "", "6") if days == "*" else days.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            found.append(part)
            continue
        stop = int(last or (6 if step else first))
        found += [_WEEKDAYS[day % 7] for day in range(int(first), stop + 1, int(step or 1))]
    return ",".join(dict.fromkeys(found))
