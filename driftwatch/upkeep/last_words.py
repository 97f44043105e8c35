"""Tells what cannot be stored, straight from memory: a watch that cannot write must not fall silent because of it."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from driftwatch.alert.attempting import wait_s
from driftwatch.alert.policy import Facts, Policy
from driftwatch.alert.receiver import Notifier
from driftwatch.alert.troubles import Finding
from driftwatch.domain import WATCH, Announcement, Event, Incident, IncidentState, Kind, Transition
from driftwatch.errors import DeliveryError, DriftwatchError

log = structlog.get_logger()

AGAIN_AFTER = timedelta(hours=24)
"""How long a receiver that was told of a trouble is not told again while it stands."""

PATIENCE_S = 30.0
"""Longest that one receiver may take, s."""

UNSTORED = 0
"""The number of an incident that is in no database."""


@dataclass(slots=True, kw_only=True)
class _Ear:
    """What one receiver knows of one trouble."""

    finding: Finding
    """As it was when the receiver was first to be told of it."""
    due_at: datetime
    """Nothing is sent before."""
    is_told: bool = False
    """Whether it took the beginning."""
    n_failed: int = 0
    """Attempts in a row."""
    is_busy: bool = False
    """Something is on its way to it."""


class LastWords:
    """Sends to the receivers without the outbox: once per trouble and day to each, and again where that failed.

    Both methods are called at every tick for as long as they may have something to tell, from any thread: what is on
    its way is not sent beside itself, and what failed is tried again after the outbox's waiting times.

    Args:
        notifiers: makes fresh ones, which belong to the event loop that uses them.
        policy: says who is told.
        path: of the database, so that the watches of one machine are told apart.
    """

    def __init__(self, notifiers: Callable[[], Mapping[str, Notifier]], *, policy: Policy, path: Path) -> None:
        self._notifiers, self._policy = notifiers, policy
        # The database has a name of its own, which cannot be read now.
        place = f"{socket.gethostname()}\0{path.absolute()}"
        self._name = hashlib.sha256(place.encode()).hexdigest()[:16]
        self._lock = threading.Lock()
        self._ears: dict[str, dict[str, _Ear]] = {}
        """Trouble → receiver → what it knows."""
        self._logged: dict[str, datetime] = {}
        """Trouble → when the log last said so."""

    def is_told(self, trouble: str) -> bool:
        """Whether somebody was told and not yet told of the end."""
        return any(ear.is_told for ear in self._ears.get(trouble, {}).values())

    async def say(self, finding: Finding, at: datetime) -> int:
        """Tell everybody whom the routes name and who has not taken it within a day.

        Returns:
            How many receivers took it now; those that did not are in the log.
        """
        severity = self._policy.severity(Kind.WATCH_ITSELF, finding.severity)
        facts = Facts(target=WATCH, kind=Kind.WATCH_ITSELF, severity=severity)
        receivers = self._policy.receivers_of(facts, otherwise=self._policy.receivers)
        notifiers = self._notifiers()
        due: dict[str, tuple[_Ear, Event]] = {}
        with self._lock:
            logged_at = self._logged.get(finding.name)
            if logged_at is None or at - logged_at >= AGAIN_AFTER:
                self._logged[finding.name] = at
                log.error("watch.last_words", trouble=finding.name, headline=finding.headline)
            ears = self._ears.setdefault(finding.name, {})
            for name in receivers:
                ear = ears.setdefault(name, _Ear(finding=finding, due_at=at))
                event = Event.REMINDED if ear.is_told else Event.OPENED
                if _can_use(notifiers, name, event) and _claim(ear, at):
                    due[name] = (ear, event)
        taken = await self._send(notifiers, due, finding.headline, at)
        for name in taken:
            ear, _ = due[name]
            ear.is_told, ear.due_at = True, at + AGAIN_AFTER
        return len(taken)

    async def take_back(self, trouble: str, sentence: str, at: datetime) -> int:
        """Tell those who were told that it is over, until they have taken it; nothing when nobody was.

        Returns:
            How many receivers took it now.
        """
        if not self._ears.get(trouble):
            self._logged.pop(trouble, None)
            return 0
        notifiers = self._notifiers()
        due: dict[str, tuple[_Ear, Event]] = {}
        with self._lock:
            self._logged.pop(trouble, None)
            ears = self._ears[trouble]
            for name, ear in list(ears.items()):
                is_untold = name in self._policy.untold_ends or not _can_use(notifiers, name, Event.RESOLVED)
                if not ear.is_busy and (is_untold or not ear.is_told):
                    del ears[name]
                elif _claim(ear, at if ear.n_failed else max(at, ear.due_at)):
                    due[name] = (ear, Event.RESOLVED)
        taken = await self._send(notifiers, due, sentence, at)
        for name in taken:
            del ears[name]
        return len(taken)

    def _announcement(self, finding: Finding, event: Event, reason: str, at: datetime) -> Announcement:
        is_over = event is Event.RESOLVED
        incident = Incident(
            id=UNSTORED,
            target=finding.target,
            kind=Kind.WATCH_ITSELF,
            state=IncidentState.RESOLVED if is_over else IncidentState.OPEN,
            opened_at=finding.since,
            onset_at=finding.since,
            baseline_id=None,
            run_id=None,
            evidence=finding.evidence(),
            resolved_at=at if is_over else None,
            severity=self._policy.severity(Kind.WATCH_ITSELF, finding.severity),
            trouble=finding.name,
        )
        before = IncidentState.OPEN if event is not Event.OPENED else None
        edge = Transition(
            id=0,
            incident_id=UNSTORED,
            before=before,
            after=incident.state,
            at=at,
            author=WATCH,
            reason=reason,
            event=event,
        )
        key = f"driftwatch/{self._name}/{finding.name}/{int(finding.since.timestamp())}"
        return Announcement(
            incident=incident, transition=edge, dedup_key=f"{key}/{event}", history=(edge,), group=(incident,), key=key
        )

    async def _send(
        self, notifiers: Mapping[str, Notifier], due: Mapping[str, tuple[_Ear, Event]], reason: str, at: datetime
    ) -> list[str]:
        """One attempt each, beside each other; returns who took it."""
        try:
            taken = await asyncio.gather(
                *(
                    _send_one(name, notifiers[name], ear, self._announcement(ear.finding, event, reason, at))
                    for name, (ear, event) in due.items()
                )
            )
        finally:
            for ear, _ in due.values():
                ear.is_busy = False
        return [name for name, is_taken in zip(due, taken, strict=True) if is_taken]


def _can_use(notifiers: Mapping[str, Notifier], name: str, event: Event) -> bool:
    return name in notifiers and event in notifiers[name].events


def _claim(ear: _Ear, at: datetime) -> bool:
    """Whether something may be sent to it now; nobody else sends then."""
    if ear.is_busy or at < ear.due_at:
        return False
    ear.is_busy = True
    return True


async def _send_one(name: str, notifier: Notifier, ear: _Ear, announcement: Announcement) -> bool:
    try:
        await asyncio.wait_for(notifier.send(announcement), PATIENCE_S)
    except Exception as error:  # noqa: BLE001 - the other receivers must be told whatever a library raises
        # The type alone: a library's message may hold the address, which for a webhook is the secret.
        said = str(error) if isinstance(error, DriftwatchError) else f"an unexpected {type(error).__name__}"
        log.error("last_words.failed", receiver=name, error=said)  # noqa: TRY400 - a sentence, no traceback
        refused = error if isinstance(error, DeliveryError) else None
        wait = timedelta(seconds=wait_s(ear.n_failed, refused.retry_after_s if refused else None))
        # Who refuses for good is asked again all the same, once a day: there is no other record that it was not told.
        ear.due_at = announcement.transition.at + (AGAIN_AFTER if refused and not refused.retryable else wait)
        ear.n_failed += 1
        return False
    ear.n_failed = 0
    return True
