"""Tells a receiver that forgets, again and again, what stands: what it was told already, and not a word more.

Alertmanager keeps alerts in memory. After its own restart it knows of what is open by the next repeat. A repeat is no
delivery: nothing is written, nothing waits for it, and one that fails is made up for by the next.

It runs beside the deliveries of this process and of others, so the end of a group may be told while a repeat of its
beginning is under way, and the receiver may read the two in the wrong order. Therefore what was repeated is in doubt
until it was seen afterwards that it still stands as it was repeated, with no message under way that says otherwise.
Where it does not, and the receiver has been told so, it is told so once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from driftwatch.alert.attempting import attempt, wait_s
from driftwatch.alert.correspondence import Correspondence
from driftwatch.alert.muting import muted, quiet_end
from driftwatch.alert.outgoing import Outbox
from driftwatch.alert.policy import Facts, Policy
from driftwatch.alert.receiver import Repeating
from driftwatch.domain import Announcement, Notification, Silence
from driftwatch.errors import DeliveryError

REPEAT_S = 10.0
"""Longest repeat, in seconds: below what a stop of the program waits for, and the next one comes soon."""

log = structlog.get_logger()


class Repeater:
    """What one receiver was told again.

    Args:
        outbox: the store.
        receiver: its name.
        notifier: how to tell it.
        policy: what the operator decided.
    """

    def __init__(self, outbox: Outbox, receiver: str, notifier: Repeating, *, policy: Policy) -> None:
        self.receiver = receiver
        self._outbox, self._notifier, self._policy = outbox, notifier, policy
        self._is_busy = False
        self._last_at: datetime | None = None
        self._pause = notifier.repeats_every
        """Least time between the last repeat and the next."""
        self._is_failing = False
        self._doubtful: dict[int, Announcement] = {}
        """Lead's number → the group as it was repeated."""

    async def repeat(self, *, at: datetime) -> None:
        """Tell again what stands, unless that was done a moment ago, or is being done.

        Raises:
            StoreError: the database cannot be read.
        """
        is_early = self._last_at is not None and timedelta(0) <= at - self._last_at < self._pause
        if self._is_busy or is_early:
            return
        self._is_busy, self._last_at = True, at
        try:
            standing, overtaken = await asyncio.to_thread(self._look, at)
            if await self._put_right(overtaken) and await self._say_again(standing):
                _, overtaken = await asyncio.to_thread(self._look, at)
                await self._put_right(overtaken)
        finally:
            self._is_busy = False

    def _look(self, at: datetime) -> tuple[list[Announcement], list[Correspondence]]:
        """What is to be told again, and what was repeated though the receiver had been told otherwise by then."""
        found = {told.lead.id: _mail(read, told) for read, told in self._outbox.standing(self.receiver)}
        overtaken = []
        for lead_id, before in list(self._doubtful.items()):
            mail = found.get(lead_id) or _mail(*self._outbox.told_of(self.receiver, lead_id))
            is_same = _is_same(mail.announcement, before)
            if _is_moving(mail) or (mail.pending and not is_same):
                continue  # what is told of it comes after the repeat, or it is seen the next time
            # Where the receiver is not told of ends, it shows what it was told for good.
            if is_same or (mail.announcement.is_over and mail.is_known_open()):
                del self._doubtful[lead_id]
            else:
                overtaken.append(mail)
        silences = self._outbox.silences() if found else []
        standing = [
            mail.telling(mail.sent[-1])
            for lead_id, mail in found.items()
            if lead_id not in self._doubtful and not _is_moving(mail) and self._may_be_told(mail, silences, at)
        ]
        return standing, overtaken

    def _may_be_told(self, mail: Correspondence, silences: Sequence[Silence], at: datetime) -> bool:
        """Whether the receiver takes it for open, and neither a silence nor quiet hours hold all that is open of it."""
        open_ = [member for member in mail.announcement.members if member.is_open]
        severity = min((member.severity for member in open_), key=lambda severity: severity.rank)
        if not mail.is_known_open() or quiet_end(self._policy, self.receiver, severity, at) is not None:
            return False
        facts = [Facts.of_incident(member) for member in open_]
        return any(muted(one, policy=self._policy, silences=silences, at=at) is None for one in facts)

    async def _say_again(self, standing: Sequence[Announcement]) -> bool:
        """Whether something was told again."""
        if not standing:
            return False
        self._doubtful |= {announcement.lead.id: announcement for announcement in standing}
        _, error = await attempt(self.receiver, self._notifier.repeat, standing, longest_s=REPEAT_S)
        return self._noted(error)

    async def _put_right(self, overtaken: Sequence[Correspondence]) -> bool:
        """Tell how it is of what was told otherwise; False where the receiver did not take it."""
        if not overtaken:
            return True
        now = {mail.announcement.lead.id: mail.announcement for mail in overtaken}
        said = [replace(found, receipt=self._doubtful[lead_id].receipt) for lead_id, found in now.items()]
        _, error = await attempt(self.receiver, self._notifier.send_digest, said, longest_s=REPEAT_S)
        if not self._noted(error):
            return False
        for lead_id, found in now.items():
            if found.is_over:
                del self._doubtful[lead_id]
            else:
                self._doubtful[lead_id] = found
        return True

    def _noted(self, error: DeliveryError | None) -> bool:
        """Log the first failure of an outage alone; whether there was none."""
        if error is not None and not self._is_failing:
            log.warning("repeat.failed", receiver=self.receiver, error=str(error))
        self._is_failing = error is not None
        asked = timedelta(seconds=wait_s(0, error.retry_after_s if error else None))
        self._pause = max(self._notifier.repeats_every, asked)
        return error is None


def _mail(notifications: Sequence[Notification], announcement: Announcement) -> Correspondence:
    return Correspondence(notifications=tuple(notifications), announcement=announcement)


def _is_moving(mail: Correspondence) -> bool:
    """Whether the receiver is being told of a group, is about to be, or may have been by an attempt that failed."""
    return any(n.last_error is None or n.attempts for n in mail.pending)


def _is_same(now: Announcement, before: Announcement) -> bool:
    """Whether all that was repeated still stands as it did."""
    is_open = {member.id for member in now.members if member.is_open}
    return now.receipt == before.receipt and all(m.id in is_open for m in before.members if m.is_open)
