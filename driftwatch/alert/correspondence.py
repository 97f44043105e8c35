"""All that one receiver was or will be told of one group of incidents: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from driftwatch.domain import (
    Announcement,
    Event,
    Incident,
    IncidentState,
    Notification,
    NotificationState,
    Transition,
)


@dataclass(frozen=True, kw_only=True)
class Correspondence:
    """All that one receiver was or will be told of one group.

    Without slots, since of a thousand targets that joined each is asked for many times: what is found is kept.
    """

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

    @cached_property
    def sent(self) -> list[Notification]:
        """What the receiver was told, in that order."""
        told = [(n.sent_at, n.id, n) for n in self.notifications if n.sent_at is not None]
        return [notification for _, _, notification in sorted(told, key=lambda one: one[:2])]

    def edge(self, notification: Notification) -> Transition:
        """What a notification tells this receiver.

        The first word that it has of a group is that an incident opened, whatever others know of the group by then:
        "two more targets have it" says nothing to who is responsible for the second. A target that was
        told as over and has it again, e.g. since an acceptance was taken back, is no further target either: it is back.
        """
        edge = self._edges[notification.transition_id]
        if edge.before is not None:
            return edge
        if all(n.id == notification.id for n in self.sent[:1]):
            return replace(edge, event=Event.OPENED)
        is_back = edge.event is Event.JOINED and self._was_over(edge)
        return replace(edge, event=Event.REOPENED) if is_back else edge

    def incident(self, notification: Notification) -> Incident:
        """The one that moved."""
        return self._members[self.edge(notification).incident_id]

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

    def n_open_as_told(self, told_at: datetime) -> int:
        """How many incidents of the group were open when the receiver was told; what still waits for it is not known.

        Args:
            told_at: when that was.
        """
        waiting = {n.transition_id for n in self.pending}
        known = (t for t in self.announcement.history if t.at <= told_at and t.id not in waiting)
        states = {t.incident_id: t.after for t in known}
        return sum(state is not IncidentState.RESOLVED for state in states.values())

    def _was_over(self, begun: Transition) -> bool:
        """Whether the receiver was told that the target of an incident that begins was over."""
        target = self._members[begun.incident_id].target
        told = (self._edges[n.transition_id] for n in self.sent)
        ended = (self._members[t.incident_id].target for t in told if t.event is Event.RESOLVED and t.id < begun.id)
        return target in ended

    @cached_property
    def _edges(self) -> Mapping[int, Transition]:
        return {t.id: t for t in self.announcement.history}

    @cached_property
    def _members(self) -> Mapping[int, Incident]:
        return {m.id: m for m in self.announcement.members}
