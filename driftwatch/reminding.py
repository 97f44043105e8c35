"""Edges that time alone causes: reminders of what nobody has acknowledged, and calling in more people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from driftwatch.alert import incidents
from driftwatch.alert.holding import is_answered
from driftwatch.alert.muting import has_waited, muted
from driftwatch.alert.policy import Escalation, Facts, Policy, fits
from driftwatch.alert.text import duration, when
from driftwatch.domain import Announcement, Event, Incident, Notification, NotificationState, Silence, Step
from driftwatch.store import Store

UNANSWERED = "nobody acknowledged it within"
"""How the reason begins when more people are told because those who were told do not answer."""

SLOWEST = 7
"""Reminder intervals between two reminders at most: with the default of a day, one a week."""

_BEGINNINGS = frozenset({Event.OPENED, Event.REOPENED, Event.ESCALATED})
"""After these, whoever is responsible has to answer, again."""

_NEWS = _BEGINNINGS | {Event.JOINED, Event.REMINDED}
"""What people are told of a group that stands."""


def remind(store: Store, policy: Policy, *, at: datetime) -> list[Incident]:
    """Write the reminders and escalations that are due, with a pending notification for everybody who is told.

    Harmless when repeated, also by many processes at once: an edge is written only where the group is as it was read.

    Returns:
        The incidents on which an edge was written.
    """
    moved: list[Incident] = []
    if not policy.reminder_interval and not policy.escalations:
        return moved
    silences = store.silences()
    for found, notifications in store.unanswered():
        steps = due(found, notifications, policy=policy, silences=silences, at=at)
        if steps:
            moved += store.commit_unless_moved(steps, since=found.transition.id, at=at)
    return moved


def due(
    announcement: Announcement,
    notifications: Sequence[Notification],
    *,
    policy: Policy,
    silences: Sequence[Silence],
    at: datetime,
) -> list[Step]:
    """The edges that a group is due at a time: pure.

    Nothing is due while somebody has acknowledged the gravest of it, or while all that is open of it is muted.

    Args:
        announcement: the group, with its history.
        notifications: to everybody, about the group.
        policy: what the operator decided.
        silences: all, those that have ended too.
        at: when.
    """
    standing = [member for member in announcement.members if member.is_open]
    facts = [Facts.of_incident(member) for member in standing]
    if is_answered(announcement.members):
        return []
    if all(muted(one, policy=policy, silences=silences, at=at) is not None for one in facts):
        return []
    steps = [
        step
        for escalation in policy.escalations
        if any(fits(escalation.match, one) for one in facts)
        and _is_unanswered(announcement, escalation, facts, policy=policy, silences=silences, at=at)
        for step in incidents.escalate(
            announcement.members, reason=_reason(escalation), at=at, receivers=escalation.receivers
        )
    ]
    if steps or not policy.reminder_interval:
        return steps
    told = _told(announcement, notifications)
    latest = max((*told, *(edge.at for edge in announcement.history if edge.event in _NEWS)))
    if not told or at - latest < _pause(announcement, policy):
        return []
    reason = f"open since {when(min(m.onset_at for m in standing))}, and nobody has acknowledged it"
    return incidents.remind(announcement.members, reason=reason, at=at)


def _told(announcement: Announcement, notifications: Sequence[Notification]) -> list[datetime]:
    """When people were told; where every receiver has refused it for good, when they would have been.

    Whoever refused may have been mended since, and a reminder is how it is found out.
    """
    sent = [n.sent_at for n in notifications if n.sent_at is not None]
    if sent or any(n.state is NotificationState.PENDING for n in notifications):
        return sent
    refused = {n.transition_id for n in notifications if n.state is NotificationState.DEAD}
    return [edge.at for edge in announcement.history if edge.id in refused]


def _pause(announcement: Announcement, policy: Policy) -> timedelta:
    """Twice as long after every reminder that nobody answered: what is left open on purpose becomes no daily noise."""
    begun = max(edge.at for edge in announcement.history if edge.event in _BEGINNINGS)
    n = sum(edge.event is Event.REMINDED and edge.at >= begun for edge in announcement.history)
    return policy.reminder_interval * min(1 << n, SLOWEST)


def _is_unanswered(
    announcement: Announcement,
    escalation: Escalation,
    facts: Sequence[Facts],
    *,
    policy: Policy,
    silences: Sequence[Silence],
    at: datetime,
) -> bool:
    """Whether people have had the time to answer, have not, and nobody was called in for that yet."""
    waits_since = max(
        edge.at for edge in announcement.history if edge.event in _BEGINNINGS and not edge.reason.startswith(UNANSWERED)
    )
    if at - waits_since < escalation.after:
        return False
    reason = _reason(escalation)
    if any(edge.reason == reason and edge.at >= waits_since for edge in announcement.history):
        return False
    # While it was muted nobody could be expected to answer: that time does not count.
    return has_waited(facts, escalation.after, policy=policy, silences=silences, since=waits_since, until=at)


def _reason(escalation: Escalation) -> str:
    called = ", ".join(escalation.receivers)
    return f"{UNANSWERED} {duration(escalation.after.total_seconds())}; now told too: {called}"
