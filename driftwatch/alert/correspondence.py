"""All that one receiver was or will be told of one group of incidents: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from driftwatch.domain import (
    Announcement,
    Event,
    Incident,
    IncidentState,
    Notification,
    NotificationState,
    Transition,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondence:
    """All that one receiver was or will be told of one group."""

    notifications: tuple[Notification, ...]
    """To this receiver, about this group, in every state, oldest first; one pending at least."""
    announcement: Announcement
    """Of any edge of the group."""

    @property
    def receiver(self) -> str:
        """Who is told."""
        return self.notifications[0].receiver

    @property
    def pending(self) -> list[Notification]:
        """What waits, oldest first."""
        return [n for n in self.notifications if n.state is NotificationState.PENDING]

    @property
    def sent(self) -> list[Notification]:
        """What the receiver was told, in that order."""
        told = [(n.sent_at, n.id, n) for n in self.notifications if n.sent_at is not None]
        return [notification for _, _, notification in sorted(told, key=lambda one: one[:2])]

    def edge(self, notification: Notification) -> Transition:
        """What a notification tells this receiver.

        The first word that it has of a group is that an incident opened, whatever others know of the group by then:
        "two more targets have it" says nothing to who is responsible for the second.
        """
        edge = next(t for t in self.announcement.history if t.id == notification.transition_id)
        is_first = all(n.id == notification.id for n in self.sent[:1])
        return replace(edge, event=Event.OPENED) if edge.before is None and is_first else edge

    def incident(self, notification: Notification) -> Incident:
        """The one that moved."""
        moved = self.edge(notification).incident_id
        return next(m for m in self.announcement.members if m.id == moved)

    def telling(self, notification: Notification) -> Announcement:
        """The announcement of one of its edges."""
        return replace(
            self.announcement,
            incident=self.incident(notification),
            transition=self.edge(notification),
            dedup_key=notification.dedup_key,
        )

    def is_known_open(self) -> bool:
        """Whether the receiver has been told of the group, and the last that it was told was not the group's end.

        What was muted tells nothing: "the incident goes on" is muted, and so is what nobody heard of.
        """
        sent = self.sent
        if not sent:
            return False
        last = sent[-1].transition_id
        states = {t.incident_id: t.after for t in self.announcement.history if t.id <= last}
        return any(state is not IncidentState.RESOLVED for state in states.values())
