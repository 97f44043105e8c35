"""A real store with incidents in it, and receivers that take, refuse or hang: what the tests of delivery share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from driftwatch.alert.outbox import LEASE_S, Courier, DeliveryReport
from driftwatch.alert.policy import Policy
from driftwatch.alert.receiver import FOR_PEOPLE
from driftwatch.domain import (
    Announcement,
    Event,
    Incident,
    IncidentState,
    Json,
    Kind,
    NotificationState,
    Severity,
    Silence,
    Step,
)
from driftwatch.store import Store

AT = datetime(2026, 3, 16, 14, 0, tzinfo=UTC)
"""A Monday afternoon."""


class Recorder:
    """A receiver that takes everything, or raises what it is told to."""

    def __init__(
        self, *errors: Exception | None, events: frozenset[Event] = FOR_PEOPLE, shows_each: bool = False
    ) -> None:
        self.events, self.shows_each = events, shows_each
        self.errors: list[Exception | None] = list(errors)
        self.told: list[Announcement] = []
        self.digests: list[list[Announcement]] = []
        self.asked = 0
        self.receipt: Mapping[str, Json] | None = None
        self.receipts: Mapping[str, Mapping[str, Json]] | None = None
        self.gate: asyncio.Event | None = None

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        await self._take()
        self.told.append(announcement)
        return self.receipt

    async def send_digest(self, announcements: Sequence[Announcement]) -> Mapping[str, Mapping[str, Json]] | None:
        await self._take()
        self.digests.append(list(announcements))
        return self.receipts

    async def _take(self) -> None:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error

    @property
    def taken(self) -> list[str]:
        """What was told one by one: ``opened 1`` is the group of incident 1."""
        return [f"{a.transition.event} {a.lead.id}" for a in self.told]


class Post:
    """A store, its receivers and a policy; times are minutes after ``AT``."""

    def __init__(self, path: Path, policy: Policy | None = None, **receivers: Recorder) -> None:
        self.store = Store.open(path)
        self.policy = policy or Policy()
        self.receivers = receivers or {"oncall": Recorder()}
        self.courier = self.another()

    def another(self, lease_s: float = LEASE_S) -> Courier:
        """As a process that starts now has it."""
        return Courier(self.store, self.receivers, policy=self.policy, lease_s=lease_s)

    def at(self, minutes: float = 0) -> datetime:
        return AT + timedelta(minutes=minutes)

    def open(self, target: str = "support", minutes: float = 0, **changes: Any) -> Incident:
        values: dict[str, Any] = {
            "incident_id": None,
            "target": target,
            "kind": Kind.BEHAVIOUR,
            "before": None,
            "after": IncidentState.OPEN,
            "at": self.at(minutes),
            "author": "driftwatch",
            "reason": "it has changed",
            "onset_at": self.at(minutes),
            "baseline_id": None,
            "run_id": None,
            "event": Event.OPENED if changes.get("part_of") is None else Event.JOINED,
            "severity": Severity.CRITICAL,
            "receivers": tuple(self.receivers),
        }
        (incident,) = self.store.commit_judgement(None, [Step(**values | changes)], at=self.at(minutes))
        return incident

    def move(self, incident: Incident, event: Event, minutes: float, **changes: Any) -> Incident:
        """A later edge of a stored incident."""
        found = self.store.incident(incident.id)
        assert found is not None
        after = {
            Event.RESOLVED: IncidentState.RESOLVED,
            Event.ACKNOWLEDGED: IncidentState.ACKNOWLEDGED,
            Event.REOPENED: IncidentState.OPEN,
        }.get(event, found.state)
        step = Step(
            incident_id=found.id,
            target=found.target,
            kind=found.kind,
            before=found.state,
            after=after,
            at=self.at(minutes),
            author="driftwatch",
            reason=f"it was {event}",
            onset_at=found.onset_at,
            baseline_id=None,
            run_id=None,
            event=event,
            severity=found.severity,
            part_of=found.part_of,
        )
        (moved,) = self.store.commit_judgement(None, [replace(step, **changes)], at=self.at(minutes))
        return moved

    def silence(self, minutes: float, until: float, **match: str) -> Silence:
        return self.store.add_silence(
            match={key: [value] for key, value in match.items()},
            starts_at=self.at(minutes),
            ends_at=self.at(until),
            author="ana",
            reason="we know",
            at=self.at(minutes),
        )

    def deliver(self, minutes: float, courier: Courier | None = None) -> DeliveryReport:
        return asyncio.run((courier or self.courier).deliver(at=self.at(minutes)))

    def pending(self) -> list[int]:
        return [n.id for n in self.store.notifications() if n.state is NotificationState.PENDING]

    def why(self, notification_id: int) -> tuple[str, str | None]:
        found = self.store.notifications()[notification_id - 1]
        return found.state.value, found.last_error
