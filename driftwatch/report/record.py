"""What was told to whom and when, and what people did about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftwatch.alert.incidents import DRIFTWATCH
from driftwatch.alert.policy import Facts, fits
from driftwatch.domain import Event, Incident, Notification, NotificationState, Silence, Transition
from driftwatch.report.dates import dated, when
from driftwatch.store import Store

WORDS = {
    Event.OPENED: "opened",
    Event.JOINED: "joined the incident",
    Event.ESCALATED: "escalated",
    Event.REOPENED: "opened again",
    Event.REMINDED: "reminded",
    Event.ACKNOWLEDGED: "acknowledged",
    Event.COMMENTED: "comment",
    Event.RESOLVED: "resolved",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How one receiver was told."""

    receiver: str
    state: str
    at: datetime | None
    """When it took the message; None while it has not."""
    trouble: str
    """Why it was not told, or not yet; empty when it was."""

    @property
    def text(self) -> str:
        """In words, e.g. ``slack at Mon 16 Mar 2026 10:31 UTC``."""
        if self.at is not None:
            return f"{self.receiver} at {when(self.at)}"
        return f"{self.receiver}: {self.state}" + (f" ({self.trouble})" if self.trouble else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One line of the record."""

    at: datetime
    what: str
    author: str
    reason: str
    target: str
    """Of which target and kind; of a silence, which targets it names."""
    told: tuple[Delivery, ...] = ()


def record(store: Store, members: Sequence[Incident]) -> tuple[Deed, ...]:
    """Every edge of a group's incidents with its deliveries, and the silences that held it, oldest first."""
    deeds = []
    for member in members:
        told: dict[int, list[Delivery]] = {}
        for notification in store.notifications(member.id):
            told.setdefault(notification.transition_id, []).append(_delivery(notification, near=member.opened_at))
        deeds += [_deed(edge, member, told.get(edge.id, [])) for edge in store.transitions(member.id)]
    deeds += [_silenced(silence) for silence in store.silences() if any(_holds(silence, member) for member in members)]
    return tuple(sorted(deeds, key=lambda deed: deed.at))


def _deed(edge: Transition, member: Incident, told: Sequence[Delivery]) -> Deed:
    return Deed(
        at=edge.at,
        what=WORDS[edge.event],
        author=edge.author,
        reason=dated(edge.reason, edge.at) if edge.author == DRIFTWATCH else edge.reason,
        target=f"{member.target} ({member.kind.value})",
        told=tuple(told),
    )


def _delivery(notification: Notification, *, near: datetime) -> Delivery:
    words = {
        NotificationState.PENDING: "not told yet",
        NotificationState.SENT: "told",
        NotificationState.DEAD: "could not be told",
        NotificationState.MUTED: "not told",
    }
    is_sent = notification.state is NotificationState.SENT
    return Delivery(
        receiver=notification.receiver,
        state=words[notification.state],
        at=notification.sent_at if is_sent else None,
        trouble="" if is_sent else dated(notification.last_error or "", near),
    )


def _holds(silence: Silence, member: Incident) -> bool:
    """Whether a silence fits the incident and was in force at any time of its life."""
    is_over_before = silence.ends_at <= member.opened_at
    begins_after = member.resolved_at is not None and silence.starts_at >= member.resolved_at
    return fits(silence.match, Facts.of_incident(member)) and not is_over_before and not begins_after


def _silenced(silence: Silence) -> Deed:
    ended = f", ended early by {silence.ended_by}" if silence.ended_by else ""
    return Deed(
        at=silence.starts_at,
        what=f"silence {silence.id} until {when(silence.ends_at)}{ended}",
        author=silence.author,
        reason=silence.reason,
        target=", ".join(silence.match.get("target", ())),
    )
