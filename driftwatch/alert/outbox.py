"""Delivers what the store says is due, at least once, and writes down how it went.

A notification is marked sent only after the receiver took it. A crash between the two repeats the message with the same
``dedup_key``: a page twice is a nuisance, a page lost is the failure driftwatch exists against. Before it is sent it is
leased, so that of two processes on one database, e.g. ``serve`` and ``check`` from cron, one sends it.

A receiver that forgets is told again and again what stands; that is no delivery and is not written down: see
``repeating``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

import structlog

from driftwatch.alert.attempting import LONGEST_WAIT_S, attempt, wait_s
from driftwatch.alert.correspondence import Correspondence
from driftwatch.alert.holding import Decision, Hold, Mute, Send, decide
from driftwatch.alert.letter import Letter, fields_of, unknown_receiver
from driftwatch.alert.outgoing import Outbox
from driftwatch.alert.policy import Policy
from driftwatch.alert.receiver import Notifier, is_repeating, shows_each
from driftwatch.alert.repeating import Repeater
from driftwatch.clock import stopwatch
from driftwatch.domain import Announcement, Json, Notification, Silence
from driftwatch.errors import DeliveryError

LEASE_S = 120.0
"""Seconds for which other processes leave alone what is being sent; after a kill it is sent again then."""
DIGEST_ABOVE = 3
"""Groups that wait for a receiver: more are told in one message, where one of them has waited for long."""
REVIVED_AFTER = timedelta(days=1)
"""How often what was refused for good is tried again where nothing says that the receiver is mended."""

_Mail: TypeAlias = Sequence[tuple[list[Notification], Announcement]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """How many notifications were sent, put off after a failed attempt, given up, and found not worth telling."""

    n_sent: int = 0
    n_failed: int = 0
    n_dead: int = 0
    n_muted: int = 0
    """Told with another, or not at all."""

    def __add__(self, other: DeliveryReport) -> DeliveryReport:
        """Both together."""
        mine, theirs = asdict(self), asdict(other)
        return DeliveryReport(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """One call to look into the outbox. Another one at the same time is another: who came later may know more."""

    at: datetime
    late_s: Callable[[], float] = field(default_factory=stopwatch)
    """Seconds since ``at``."""


class Courier:
    """Tells every receiver what waits for it: receivers beside each other, the messages of each one by one.

    There is no last attempt: as long as a receiver is down, what waits for it stays due. One that has just failed or
    asked for time is left alone until it is over, and what it takes after that wakes all that failed before.

    Args:
        outbox: the store.
        notifiers: receiver name → how to tell it.
        policy: what the operator decided.
        lease_s: seconds for which what is being sent is left alone by other processes; 0 where there is no other, and
            time stands still.
    """

    def __init__(
        self, outbox: Outbox, notifiers: Mapping[str, Notifier], *, policy: Policy, lease_s: float = LEASE_S
    ) -> None:
        self._outbox, self._notifiers, self._policy, self._lease_s = outbox, notifiers, policy, lease_s
        self._asked: dict[str, _Look] = {}
        """Receivers that are being told → the latest call to tell them."""
        self._repeaters = [
            Repeater(outbox, receiver, notifier, policy=policy)
            for receiver, notifier in notifiers.items()
            if is_repeating(notifier)
        ]
        self._resting: dict[str, datetime] = {}
        """Receivers that have just failed or asked for time → until when."""
        self._revived_at: datetime | None = None
        """When what was refused for good was last tried again for no reason but the time; None in a new process."""
        self._undigested: set[str] = set()
        """Receivers that have refused a digest for good: they are told one by one."""

    def is_telling(self, receiver: str) -> bool:
        """Whether a pass is telling a receiver right now."""
        return receiver in self._asked

    async def deliver(self, *, at: datetime, repeats: bool = False) -> DeliveryReport:
        """Tell all that may be told at a time; with ``repeats`` also, beside it, what receivers forget.

        A receiver that is being told already is left to that pass, which then looks again: one that hangs delays
        nobody else.
        """
        late_s = stopwatch()
        found, silences = await asyncio.to_thread(self._read, at)
        by_receiver: dict[str, list[tuple[list[Notification], Announcement]]] = {}
        for notifications, announcement in found:
            by_receiver.setdefault(notifications[0].receiver, []).append((notifications, announcement))
        idle = [receiver for receiver in sorted(by_receiver) if receiver not in self._asked]
        for receiver in by_receiver:
            before = self._asked.get(receiver)
            self._asked[receiver] = _Look(at=max(at, before.at) if before else at, late_s=late_s)
        passes = {
            receiver: asyncio.create_task(self._serve(receiver, self._asked[receiver], by_receiver[receiver], silences))
            for receiver in idle
        }
        again = [self._repeat(one, at, after=passes.get(one.receiver)) for one in self._repeaters if repeats]
        reports = await asyncio.gather(*passes.values(), *again, return_exceptions=True)
        total = DeliveryReport()
        for report in reports:
            if isinstance(report, BaseException):
                # The others have been told; what this one waits for is still pending.
                raise report
            total += report
        return total

    def _read(self, at: datetime) -> tuple[_Mail, list[Silence]]:
        """All that is due; what was refused for good is tried again by a new process, and then once a day."""
        if self._revived_at is None or not timedelta(0) <= at - self._revived_at < REVIVED_AFTER:
            self._revived_at = at
            for receiver in self._notifiers:
                self._outbox.revive(receiver, at=at)
        return self._outbox.waiting(at), self._outbox.silences()

    async def _serve(self, receiver: str, look: _Look, found: _Mail, silences: Sequence[Silence]) -> DeliveryReport:
        """Tell one receiver until nothing is left that may be told."""
        total, held = DeliveryReport(), set[int]()
        try:
            while True:
                report, is_moved = await self._round(receiver, look, found, silences, held)
                total += report
                # Whoever called since ``found`` was read has left to us what came into the outbox meanwhile.
                if look is not self._asked[receiver]:
                    held.clear()
                elif not (report.n_sent or report.n_dead or is_moved):
                    return total
                look = self._asked[receiver]
                # What waits for a time, and not for the receiver, waits at this time as it did a moment ago.
                found, silences = await asyncio.to_thread(self._read_again, receiver, look.at, sorted(held))
        finally:
            del self._asked[receiver]

    async def _repeat(
        self, repeater: Repeater, at: datetime, *, after: asyncio.Task[DeliveryReport] | None
    ) -> DeliveryReport:
        """Tell a receiver again what stands when its news are told, unless another pass tells it, or it rests."""
        if after is not None:
            await asyncio.wait([after])
        if repeater.receiver not in self._asked and not self._rests(repeater.receiver, at):
            await repeater.repeat(at=at)
        return DeliveryReport()

    def _rests(self, receiver: str, at: datetime) -> bool:
        # Longer than any wait is one that began while the clock was ahead.
        left = self._resting.get(receiver, at) - at
        return timedelta(0) < left <= timedelta(seconds=LONGEST_WAIT_S)

    def _read_again(self, receiver: str, at: datetime, held: Sequence[int]) -> tuple[_Mail, list[Silence]]:
        return self._outbox.waiting(at, receiver=receiver, apart_from=held), self._outbox.silences()

    async def _round(
        self, receiver: str, look: _Look, found: _Mail, silences: Sequence[Silence], held: set[int]
    ) -> tuple[DeliveryReport, bool]:
        """Tell what may be told of what was read; also, whether something has moved meanwhile and is to be read again.

        Adds the groups of which all waits for a time to ``held``.
        """
        at = look.at
        if self._rests(receiver, at):
            return DeliveryReport(), False
        letters, n_muted = await asyncio.to_thread(self._sort, found, silences, at, held)
        told, is_moved = DeliveryReport(n_muted=n_muted), False
        is_flood = len(letters) > DIGEST_ABOVE and any(letter.has_waited(at) for letter in letters)
        if is_flood and receiver in self._notifiers and receiver not in self._undigested:
            report, is_moved = await self._digest(receiver, letters, look)
            return told + report, is_moved
        # What failed goes last: one message that a receiver cannot take must not stand before the others for good.
        for letter in sorted(letters, key=lambda letter: (letter.notification.attempts, letter.notification.id)):
            report, has_moved = await self._send(letter, look)
            told, is_moved = told + report, is_moved or has_moved
            if report.n_failed:
                return told, False
        return told, is_moved

    def _decide(self, mail: Correspondence, silences: Sequence[Silence], at: datetime) -> Mapping[int, Decision]:
        notifier = self._notifiers.get(mail.receiver)
        if notifier is None:
            return {n.id: Send() for n in mail.pending[:1]}
        return decide(
            mail,
            policy=self._policy,
            silences=silences,
            events=notifier.events,
            at=at,
            shows_each=shows_each(notifier),
        )

    def _sort(
        self, found: _Mail, silences: Sequence[Silence], at: datetime, held: set[int]
    ) -> tuple[list[Letter], int]:
        """Mute and hold what is to be; returns what is to be sent, and how many were muted."""
        letters, n_muted = [], 0
        for notifications, announcement in found:
            mail = Correspondence(notifications=tuple(notifications), announcement=announcement)
            decisions = self._decide(mail, silences, at)
            if all(isinstance(decisions.get(n.id), Hold | Mute) for n in mail.pending):
                held.add(announcement.lead.id)
            for notification in mail.pending:
                decision = decisions.get(notification.id)
                if isinstance(decision, Send):
                    letters.append(Letter(mail=mail, notification=notification, along=decision.along))
                elif isinstance(decision, Mute):
                    n_muted += 1
                    self._outbox.mute(notification.id, reason=decision.why)
                    log.info("notification.muted", reason=decision.why, **fields_of(mail, notification))
                elif isinstance(decision, Hold) and notification.last_error != decision.why:
                    self._outbox.hold(notification.id, reason=decision.why)
        return letters, n_muted

    async def _send(self, letter: Letter, look: _Look) -> tuple[DeliveryReport, bool]:
        """Send one: one attempt. Also, whether something else is to be told by now."""
        receiver = letter.mail.receiver
        mine, is_moved = await asyncio.to_thread(self._take, [letter], look)
        if not mine:
            return DeliveryReport(), is_moved
        [letter] = mine
        notifier = self._notifiers.get(receiver)
        receipt, error = (
            (None, unknown_receiver(receiver))
            if notifier is None
            else await attempt(receiver, notifier.send, letter.announcement)
        )
        return await asyncio.to_thread(self._record, letter, receipt, error, look.at), False

    async def _digest(self, receiver: str, letters: Sequence[Letter], look: _Look) -> tuple[DeliveryReport, bool]:
        """Tell many in one message; one by one from now on where the receiver will never take that."""
        mine, is_moved = await asyncio.to_thread(self._take, letters, look)
        if not mine:
            return DeliveryReport(), is_moved
        notifier = self._notifiers[receiver]
        receipts, error = await attempt(receiver, notifier.send_digest, [letter.announcement for letter in mine])
        if error is not None and not error.retryable:
            log.warning("digest.refused", receiver=receiver, n=len(mine), error=str(error))
            self._undigested.add(receiver)
            await asyncio.to_thread(self._put_back, mine)
            return DeliveryReport(), True
        return await asyncio.to_thread(self._record_all, mine, receipts or {}, error, look.at), is_moved

    def _put_back(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            self._outbox.give_back(letter.leased)

    def _take(self, letters: Sequence[Letter], look: _Look) -> tuple[list[Letter], bool]:
        """Lease those that are still to be sent, as they are by now; also, whether another decision was found.

        What was decided when the round began may have been answered, silenced or over since. While it is leased nobody
        else tells this receiver of this group, so what is read then is still so when it is told.
        """
        # A pass may take longer than one lease.
        at, late_s = look.at, look.late_s() if self._lease_s else 0.0
        until = at + timedelta(seconds=self._lease_s + late_s)
        taken, is_moved = [], False
        for letter in letters:
            ids = {n.id for n in letter.leased}
            beside = [n for n in letter.mail.notifications if n.id not in ids]
            if self._outbox.lease(letter.leased, at=at, until=until, beside=beside):
                taken.append(letter)
        silences = self._outbox.silences() if taken else []
        mine = []
        for letter in taken:
            lead_id, before = letter.mail.announcement.lead.id, {n.id: n for n in letter.leased}
            notifications, announcement = self._outbox.told_of(letter.mail.receiver, lead_id)
            # Our own lease is no reason to wait.
            read = tuple(before.get(n.id, n) for n in notifications)
            mail = Correspondence(notifications=read, announcement=announcement)
            decision = self._decide(mail, silences, at).get(letter.notification.id)
            if decision == Send(along=letter.along):
                mine.append(replace(letter, mail=mail))
            else:
                is_moved = True
                self._outbox.give_back(letter.leased)
        return mine, is_moved

    def _record_all(
        self,
        letters: Sequence[Letter],
        receipts: Mapping[str, Mapping[str, Json]],
        error: DeliveryError | None,
        at: datetime,
    ) -> DeliveryReport:
        total = DeliveryReport()
        for letter in letters:
            total += self._record(letter, receipts.get(letter.mail.announcement.key), error, at)
        return total

    def _record(
        self, letter: Letter, receipt: Mapping[str, Json] | None, error: DeliveryError | None, at: datetime
    ) -> DeliveryReport:
        """Write an attempt down."""
        notification, receiver = letter.notification, letter.mail.receiver
        fields = {**fields_of(letter.mail, notification), "attempt": notification.attempts + 1}
        if error is None:
            self._outbox.mark_sent(notification.id, at=at, receipt=receipt, along=letter.along)
            self._resting.pop(receiver, None)
            self._outbox.wake(receiver, at=at)
            self._outbox.revive(receiver, at=at)
            log.info("notification.sent", along=len(letter.along), **fields)
            return DeliveryReport(n_sent=1, n_muted=len(letter.along))
        if not error.retryable:
            # It was not the digest that was refused, e.g. where a token was revoked.
            self._undigested.discard(receiver)
            others = [n for n in letter.leased if n.id != notification.id]
            self._outbox.mark_dead(notification.id, error=str(error), along=others)
            log.error("notification.dead", error=str(error), **fields)
            return DeliveryReport(n_dead=1)
        again = at + timedelta(seconds=wait_s(notification.attempts, error.retry_after_s))
        self._outbox.mark_failed(notification.id, error=str(error), next_attempt_at=again, along=letter.along)
        rests = at + timedelta(seconds=wait_s(0, error.retry_after_s))
        self._resting[receiver] = rests
        waits = f"waits with an earlier notification to '{receiver}', which failed"
        self._outbox.rest(receiver, until=rests, reason=waits, at=at)
        log.warning("notification.failed", error=str(error), next_attempt_at=again.isoformat(), **fields)
        return DeliveryReport(n_failed=1)
