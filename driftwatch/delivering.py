"""When the running program looks into its outbox: at every tick, after every run, and beside a receiver that hangs."""

from __future__ import annotations

import asyncio

import structlog

from driftwatch import reminding
from driftwatch.alert.outbox import Courier
from driftwatch.alert.policy import Policy
from driftwatch.clock import Clock
from driftwatch.errors import DriftwatchError
from driftwatch.store import Store

log = structlog.get_logger()


class Deliveries:
    """Passes over the outbox. Any number may wait for receivers; one at a time prepares to look.

    Args:
        store: whose outbox.
        courier: who sends.
        policy: what the operator decided.
        clock: dates the passes.
    """

    def __init__(self, store: Store, courier: Courier, policy: Policy, *, clock: Clock) -> None:
        self._store, self._courier, self._policy, self._clock = store, courier, policy, clock
        self.under_way: set[asyncio.Task[None]] = set()
        self._is_about_to_look = self._wants_reminders = False

    async def deliver(self, *, reminds: bool = True, repeats: bool = False) -> None:
        """Send what is pending, and what time alone makes worth telling.

        Args:
            reminds: write the reminders that are due first.
            repeats: tell receivers that forget what stands again.

        Raises:
            StoreError: the database cannot be read or written.
        """
        self._wants_reminders |= reminds
        try:
            # What is sent and cannot be written down would be sent again and again.
            await asyncio.to_thread(self._store.check_writable)
            if self._wants_reminders:
                self._wants_reminders = False
                await asyncio.to_thread(reminding.remind, self._store, self._policy, at=self._clock.now())
        finally:
            self._is_about_to_look = False
        await self._courier.deliver(at=self._clock.now(), repeats=repeats)

    def begin(self, *, reminds: bool) -> None:
        """Start a pass, unless one is about to look and so will find what there is by then.

        Beside one that waits for a receiver that hangs: what others are to be told does not wait for it.
        """
        self._wants_reminders |= reminds
        if self._is_about_to_look:
            return
        self._is_about_to_look = True
        task = asyncio.create_task(self.quietly())
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def quietly(self) -> None:
        """A pass without reminders of which trouble is logged: what is pending is tried again at the next.

        Receivers that forget are told again what stands: the program runs, and will say so when it no longer stands.
        """
        try:
            await self.deliver(reminds=False, repeats=True)
        except Exception as error:
            expected = isinstance(error, DriftwatchError)
            log.exception("delivery.failed", error=str(error) if expected else None, exc_info=not expected)
