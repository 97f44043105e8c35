"""What of all that waits for one receiver about one group is told now, waits, or is not worth telling: pure.

Decided late, each time the outbox looks: so a silence that is added later counts, one that ends early ends, and what a
later edge has made pointless is told with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from driftwatch.alert.correspondence import Correspondence
from driftwatch.alert.muting import Muted, is_covered, muted, quiet_end
from driftwatch.alert.policy import Facts, Policy, fits
from driftwatch.alert.text import when
from driftwatch.domain import Event, Incident, IncidentState, Notification, Severity, Silence

COLLECTING = timedelta(minutes=15)
"""How long who joins a group is collected before the first message that tells only that."""

COLLECTING_MORE = timedelta(hours=1)
"""How long before the second such message; doubled before each further one."""

COLLECTING_MOST = timedelta(hours=24)
"""Longest time that who joins is collected, unless somebody is on it and it is others' business."""

_BEGINNINGS = frozenset({Event.OPENED, Event.REOPENED, Event.ESCALATED, Event.JOINED})
"""What tells that an incident is open."""

_NOTES = frozenset({Event.ACKNOWLEDGED, Event.COMMENTED})
"""What people do; told to receivers that keep what they show up to date, also while a silence lasts."""

_LOUD = _BEGINNINGS - {Event.JOINED} | {Event.REMINDED}
"""What is told at once, and who has joined with it."""

_RANKS = {Event.OPENED: 4, Event.REOPENED: 4, Event.ESCALATED: 4, Event.REMINDED: 3, Event.JOINED: 2, Event.RESOLVED: 1}
"""Of several edges that wait, the one that is told; the others are told with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """It is told now."""

    along: tuple[int, ...] = ()
    """Numbers of the notifications that this one makes pointless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """It waits. Nothing depends on ``until``, which is for people: what is held is looked at again at every pass."""

    until: datetime | None
    """None: until something else of the group is told."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """It is not worth telling any more."""

    why: str


Decision: TypeAlias = Send | Hold | Mute


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The questions about one correspondence at one time."""

    mail: Correspondence
    policy: Policy
    silences: Sequence[Silence]
    events: Collection[Event]
    at: datetime
    shows_each: bool

    @property
    def members(self) -> Sequence[Incident]:
        return self.mail.announcement.members

    @property
    def severity(self) -> Severity:
        """Of the gravest that is open, of all when the group is over."""
        standing = [m for m in self.members if m.is_open] or self.members
        return min((m.severity for m in standing), key=lambda severity: severity.rank)

    def silenced(self, notification: Notification) -> Muted | None:
        """Why an edge must not be told now.

        One about the whole group only where all that is open of it is muted; its end only where all of it is, whichever
        part of it happened to end last.
        """
        edge = self.mail.edge(notification)
        about_one = edge.before is None or edge.event in {Event.OPENED, Event.JOINED, Event.REOPENED, Event.RESOLVED}
        if about_one and any(m.is_open for m in self.members):
            asked = [self.mail.incident(notification)]
        else:
            asked = [m for m in self.members if m.is_open] or list(self.members)
        found = [self._muted(incident) for incident in asked]
        mutes = [mute for mute in found if mute is not None]
        return min(mutes, key=lambda mute: mute.until) if mutes and len(mutes) == len(found) else None

    def quiet(self, notification: Notification) -> Hold | None:
        """Quiet hours, which those who are told because nobody answered do not have."""
        edge = self.mail.edge(notification)
        if edge.event is Event.ESCALATED and self._is_called_in():
            return None
        end = quiet_end(self.policy, self.mail.receiver, self.severity, self.at)
        return None if end is None else Hold(until=end, why=f"quiet hours until {when(end)}")

    def is_own(self, notification: Notification) -> bool:
        """Whether what moved, by itself, is for the receiver, and not told only since the group is."""
        return self.policy.is_for(self.mail.receiver, Facts.of_incident(self.mail.incident(notification)))

    def has_doubled(self, told_at: datetime) -> bool:
        """Whether twice as much of the group is open as the receiver was told then."""
        return sum(m.is_open for m in self.members) >= 2 * self.mail.n_open_as_told(told_at)

    def was_never_heard(self, pending: Sequence[Notification]) -> bool:
        """Whether all that is to be told of a group that is over happened while it was muted."""
        begun = [n for n in pending if self.mail.edge(n).event in _BEGINNINGS]
        return bool(begun) and all(
            is_covered(
                Facts.of_incident(incident := self.mail.incident(n)),
                policy=self.policy,
                silences=self.silences,
                since=self.mail.edge(n).at,
                until=incident.resolved_at or self.at,
            )
            for n in begun
        )

    def _muted(self, incident: Incident) -> Muted | None:
        return muted(Facts.of_incident(incident), policy=self.policy, silences=self.silences, at=self.at)

    def _is_called_in(self) -> bool:
        return any(
            self.mail.receiver in step.receivers and any(fits(step.match, Facts.of_incident(m)) for m in self.members)
            for step in self.policy.escalations
        )


def is_leased(notification: Notification, at: datetime) -> bool:
    """Whether a process is sending it right now: it is not due, and no attempt has failed."""
    return notification.next_attempt_at > at and notification.last_error is None


def is_answered(members: Sequence[Incident]) -> bool:
    """Whether somebody is on the gravest of a group that is open, or nothing of it is open.

    Who joins later and is no graver is part of what was acknowledged: nobody is called in for the fifth target of what
    somebody has looked at since the first.
    """
    standing = [m for m in members if m.is_open]
    gravest = min((m.severity.rank for m in standing), default=0)
    states = {m.state for m in standing if m.severity.rank == gravest}
    return not states or IncidentState.ACKNOWLEDGED in states


def decide(
    mail: Correspondence,
    *,
    policy: Policy,
    silences: Sequence[Silence],
    events: Collection[Event],
    at: datetime,
    shows_each: bool = False,
) -> dict[int, Decision]:
    """What becomes of each pending notification; of all together at most one is sent.

    Args:
        mail: what the receiver was told of the group, and what waits.
        policy: what the operator decided.
        silences: all, those that have ended too: what began and ended under one is not told afterwards.
        events: what this kind of receiver can use.
        at: the time of this pass.
        shows_each: whether this kind of receiver shows each incident of a group by itself.

    Returns:
        Notification's number → decision. Those that ``Send.along`` names are absent. Empty while a process is telling
        this receiver of this group.
    """
    pending = mail.pending
    if any(is_leased(notification, at) for notification in pending):
        return {}
    case = _Case(mail=mail, policy=policy, silences=silences, events=events, at=at, shows_each=shows_each)
    useless: dict[int, Decision] = {
        n.id: Mute(why=f"a receiver of this kind is not told what was {mail.edge(n).event}")
        for n in pending
        if mail.edge(n).event not in events
    }
    rest = [n for n in pending if n.id not in useless]
    if mail.announcement.is_over:
        return {**useless, **_of_the_end(case, rest)}
    return {**useless, **_of_what_stands(case, rest)}


def _of_the_end(case: _Case, pending: Sequence[Notification]) -> Mapping[int, Decision]:
    """The group is over: one message tells its end, and its beginning where that was not told."""
    ends = [n for n in pending if case.mail.edge(n).event is Event.RESOLVED]
    if not ends:
        return {n.id: Mute(why="it was over before it could be told") for n in pending}
    is_known = case.mail.is_known_open()
    if is_known and case.mail.receiver in case.policy.untold_ends:
        return {n.id: Mute(why="this receiver is not told of the end of incidents") for n in pending}
    if not is_known and case.was_never_heard(pending):
        return {n.id: Mute(why="it began and ended while it was muted") for n in pending}
    last = ends[-1]
    return _timed(case, last, pending, _held(case.silenced(last)) or case.quiet(last))


def _of_what_stands(case: _Case, pending: Sequence[Notification]) -> Mapping[int, Decision]:
    """The group is open: the gravest news that may be told now is, with all that it makes pointless."""
    mail, is_known = case.mail, case.mail.is_known_open()
    found: dict[int, Decision] = {}
    live, notes = [], []
    for notification in pending:
        pointless = _pointless(case, notification, is_known=is_known)
        if pointless is not None:
            found[notification.id] = Mute(why=pointless)
        elif mail.edge(notification).event in _NOTES:
            notes.append(notification)
        elif (mute := case.silenced(notification)) is not None:
            found[notification.id] = Hold(until=mute.until, why=mute.why)
        else:
            live.append(notification)
    collected = _collected(case, live)
    # Who is collected goes along with whatever else is told of the group: each message has all targets.
    ready = live if collected is None else [n for n in live if mail.edge(n).event is not Event.JOINED]
    if ready or (live and not notes):
        told = max(ready or live, key=lambda n: _weight(case, n))
        return {**found, **_timed(case, told, live, case.quiet(told) or (None if ready else collected))}
    if not notes:
        return found
    if not is_known:
        holds = [decision for decision in found.values() if isinstance(decision, Hold)]
        # A note is told after what it is about, or not at all.
        return {**found, **{n.id: holds[0] if holds else Mute(why="the incident was not told here") for n in notes}}
    return {**found, **_of_notes(case, notes, along=live)}


def _of_notes(case: _Case, notes: Sequence[Notification], *, along: Sequence[Notification]) -> Mapping[int, Decision]:
    """Notes are told one by one and in order; what is acknowledged for many targets at once is one of them."""
    is_taken = [case.mail.edge(n).event is Event.ACKNOWLEDGED for n in notes]
    n_first = (is_taken.index(False) if False in is_taken else len(notes)) or 1
    first = notes[:n_first]
    return _timed(case, first[-1], [*along, *first], case.quiet(first[-1]))


def _timed(
    case: _Case, told: Notification, together: Sequence[Notification], hold: Hold | None
) -> Mapping[int, Decision]:
    """One of several is told now, unless something holds it; an attempt that failed waits for its time, or for news."""
    if hold is not None:
        return {n.id: hold for n in together}
    if all(n.next_attempt_at > case.at for n in together):
        return {}
    return {told.id: Send(along=tuple(n.id for n in together if n.id != told.id))}


def _pointless(case: _Case, notification: Notification, *, is_known: bool) -> str | None:
    """Why an edge of a group that is open is not worth telling any more."""
    edge, incident = case.mail.edge(notification), case.mail.incident(notification)
    if edge.event in _BEGINNINGS and not incident.is_open:
        return "this part of it was over before it could be told"
    # Whoever takes every event keeps a state; people want to know when all is over.
    wants_parts = case.shows_each or Event.COMMENTED in case.events
    if edge.event is Event.RESOLVED and (incident.is_open or not is_known or not wants_parts):
        return "the incident goes on"
    if edge.event is Event.REMINDED and is_answered(case.members):
        return "somebody has acknowledged it meanwhile"
    if edge.event is Event.ACKNOWLEDGED and not any(m.state is IncidentState.ACKNOWLEDGED for m in case.members):
        return "it is not acknowledged any more"
    return None


def _weight(case: _Case, notification: Notification) -> tuple[int, int, int, int]:
    """Of several edges that may be told, the greatest is: of beginnings the gravest and first, else the latest."""
    edge, mail = case.mail.edge(notification), case.mail
    if edge.event is Event.OPENED:
        return _RANKS[edge.event], 0, -mail.incident(notification).severity.rank, -notification.id
    return _RANKS[edge.event], 1, 0, notification.id


def _collected(case: _Case, live: Sequence[Notification]) -> Hold | None:
    """Who joins is told at most once in a while, the more seldom the more of such messages there were.

    The first such message says how far it reaches, whosever the targets are. The next have to be about a target of the
    receiver's own, and about twice as many as they know of; or a day late. Others' targets are no message of their own
    at all while somebody is on it.

    Counted from the first that joined and is not told, so that runs an hour apart are collected too, and from the
    message before. Who hears of the group for the first time, or shows each incident by itself, is told at once.
    """
    mail = case.mail
    events = {mail.edge(n).event for n in live}
    if case.shows_each or Event.JOINED not in events or events & _LOUD or not mail.is_known_open():
        return None
    joined = [n for n in live if mail.edge(n).event is Event.JOINED]
    own = [n for n in joined if case.is_own(n)]
    n_told = sum(mail.edge(n).event is Event.JOINED for n in mail.sent)
    if n_told and not own and is_answered(case.members):
        return Hold(until=None, why="others' targets, and somebody is on it: told with the next message about it")
    last_at = max(n.sent_at for n in mail.sent if n.sent_at is not None)
    until = max(last_at, min(mail.edge(n).at for n in own or joined)) + collecting(n_told)
    if n_told and not (own and case.has_doubled(last_at)):
        until = max(until, last_at + COLLECTING_MOST)
    return Hold(until=until, why=f"collected with what else joins until {when(until)}") if case.at < until else None


def collecting(n_told: int) -> timedelta:
    """How long who joins a group is collected.

    >>> [str(collecting(n)) for n in (0, 1, 2, 3, 99)]
    ['0:15:00', '1:00:00', '2:00:00', '4:00:00', '1 day, 0:00:00']

    Args:
        n_told: messages that have told the receiver of nothing else of this group.
    """
    return min(COLLECTING_MORE * 2 ** min(n_told - 1, 10), COLLECTING_MOST) if n_told else COLLECTING


def _held(mute: Muted | None) -> Hold | None:
    return None if mute is None else Hold(until=mute.until, why=mute.why)
