"""Edges that time alone causes: reminders of what nobody has acknowledged, and calling in more people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from driftwatch.alert import incidents
from driftwatch.alert.holding import is_answered
from driftwatch.alert.muting import has_waited, muted
from driftwatch.alert.policy import Escalation, Facts, Policy, fits
from driftwatch.alert.text import duration, when
from driftwatch.domain import Event, Incident, Silence, Step
from driftwatch.store import Store
from driftwatch.store.unanswered import Unanswered

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
    for found in store.unanswered():
        steps = due(found, policy=policy, silences=silences, at=at)
        if steps:
            moved += store.commit_unless_moved(steps, since=found.history[-1].id, at=at)
    return moved


def due(found: Unanswered, *, policy: Policy, silences: Sequence[Silence], at: datetime) -> list[Step]:
    """The edges that a group is due at a time: pure.

    Nothing is due while somebody has acknowledged the gravest of it, or while all that is open of it is muted.

    Args:
        found: the group, with its history and what people were told of it.
        policy: what the operator decided.
        silences: all, those that have ended too.
        at: when.
    """
    # What asks least comes first: of thousands of groups most have been told of and have had no time to be due again.
    is_late = _is_late(found, policy, at)
    called = [step for step in policy.escalations if _is_time(found, step, at)]
    if not (is_late or called) or is_answered(found.standing):
        return []
    facts = [Facts.of_incident(member) for member in found.standing]
    called = [step for step in called if any(fits(step.match, one) for one in facts)]
    if not (is_late or called):
        return []
    if all(muted(one, policy=policy, silences=silences, at=at) is not None for one in facts):
        return []
    # While it was muted nobody could be expected to answer: that time does not count.
    since = _waits_since(found)
    steps = [
        edge
        for step in called
        if has_waited(facts, step.after, policy=policy, silences=silences, since=since, until=at)
        for edge in incidents.escalate(found.standing, reason=_reason(step), at=at, receivers=step.receivers)
    ]
    if steps or not is_late:
        return steps
    reason = f"open since {when(min(m.onset_at for m in found.standing))}, and nobody has acknowledged it"
    return incidents.remind(found.standing, reason=reason, at=at)


def _is_late(found: Unanswered, policy: Policy, at: datetime) -> bool:
    """Whether it is so long since people were told that they are reminded."""
    told_at = _told_at(found)
    if not policy.reminder_interval or told_at is None:
        return False
    latest = max((told_at, *(edge.at for edge in found.history if edge.event in _NEWS)))
    return at - latest >= _pause(found, policy)


def _told_at(found: Unanswered) -> datetime | None:
    """When people were last told; where every receiver has refused it for good, when they would have been.

    Whoever refused may have been mended since, and a reminder is how it is found out.
    """
    return found.sent_at if found.sent_at is not None or found.is_waiting else found.refused_at


def _pause(found: Unanswered, policy: Policy) -> timedelta:
    """Twice as long after every reminder that nobody answered: what is left open on purpose becomes no daily noise."""
    begun = max(edge.at for edge in found.history if edge.event in _BEGINNINGS)
    n = sum(edge.event is Event.REMINDED and edge.at >= begun for edge in found.history)
    return policy.reminder_interval * min(1 << n, SLOWEST)


def _is_time(found: Unanswered, escalation: Escalation, at: datetime) -> bool:
    """Whether so much time has passed, muted or not, and nobody was called in for that yet."""
    since = _waits_since(found)
    if at - since < escalation.after:
        return False
    reason = _reason(escalation)
    return not any(edge.reason == reason and edge.at >= since for edge in found.history)


def _waits_since(found: Unanswered) -> datetime:
    """When people were last told of something that whoever is responsible has to answer."""
    return max(e.at for e in found.history if e.event in _BEGINNINGS and not e.reason.startswith(UNANSWERED))


def _reason(escalation: Escalation) -> str:
    called = ", ".join(escalation.receivers)
    return f"{UNANSWERED} {duration(escalation.after.total_seconds())}; now told too: {called}"
