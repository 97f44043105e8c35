"""What delivery needs of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from driftwatch.domain import Announcement, Json, Notification, Silence


class Outbox(Protocol):
    """What delivery needs of the store; see there."""

    def waiting(
        self, at: datetime, *, receiver: str | None = None, apart_from: Sequence[int] = ()
    ) -> list[tuple[list[Notification], Announcement]]:
        """Per receiver and group of which something is due: the receiver's notifications, and the group."""
        ...

    def told_of(self, receiver: str, incident_id: int) -> tuple[list[Notification], Announcement]:
        """All that one receiver was or will be told of the group of an incident."""
        ...

    def standing(self, receiver: str) -> list[tuple[list[Notification], Announcement]]:
        """For each group of which something is open and the receiver was told: all that it was or will be told."""
        ...

    def silences(self) -> list[Silence]:
        """All that were ever made."""
        ...

    def lease(
        self,
        notifications: Sequence[Notification],
        *,
        at: datetime,
        until: datetime,
        beside: Sequence[Notification] = (),
    ) -> list[int]:
        """Take all of them, which are to one receiver about one group, to send them; none when anything has moved."""
        ...

    def give_back(self, notifications: Sequence[Notification]) -> None:
        """Leave them as they were before they were leased."""
        ...

    def mark_sent(
        self,
        notification_id: int,
        *,
        at: datetime,
        receipt: Mapping[str, Json] | None = None,
        along: Sequence[int] = (),
    ) -> None:
        """The receiver took it, gave this receipt for the group, and knows with it what those along would tell."""
        ...

    def mute(self, notification_id: int, *, reason: str) -> None:
        """It is not worth telling any more."""
        ...

    def hold(self, notification_id: int, *, reason: str) -> None:
        """It waits, without an attempt."""
        ...

    def mark_failed(
        self, notification_id: int, *, error: str, next_attempt_at: datetime, along: Sequence[int] = ()
    ) -> None:
        """It did not; try again then, and those along not before."""
        ...

    def mark_dead(self, notification_id: int, *, error: str, along: Sequence[Notification] = ()) -> None:
        """It never will; those along are as they were before they were leased."""
        ...

    def rest(self, receiver: str, *, until: datetime, reason: str, at: datetime) -> None:
        """Nothing is sent to it before then."""
        ...

    def wake(self, receiver: str, *, at: datetime) -> None:
        """It is back: what failed before is due."""
        ...

    def revive(self, receiver: str, *, at: datetime) -> int:
        """What it refused for good of groups that are open is due again; returns how many."""
        ...
