"""All that looks after a running watch, in the order of a tick: prove, look, tell, beat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import structlog

from driftwatch.alert import troubles
from driftwatch.alert.troubles import Finding, Trouble
from driftwatch.clock import Clock
from driftwatch.errors import StoreError
from driftwatch.schedule import MAX_NAP_S
from driftwatch.spending import Pause
from driftwatch.upkeep.heartbeat import Heartbeat
from driftwatch.upkeep.keeping import Upkeep
from driftwatch.upkeep.last_words import LastWords
from driftwatch.upkeep.watchdog import Watchdog

log = structlog.get_logger()

STALLED_S = 4 * MAX_NAP_S
"""Since when the scheduler has not looked at the clock when it stands still, s: it looks once per nap."""

SHUT_S = 5.0
"""How long a stop waits for a ping or last words under way, s."""


class Caretaker:
    """Looks after one watch. All methods belong to the event loop's thread, but for what the watchdog does.

    Args:
        upkeep: finds troubles, and has their incidents.
        last_words: for what cannot be stored.
        heartbeat: None where the config has none.
        clock: of the watch.
        age_s: how long ago the scheduler last looked at the clock, s; None before it has.
        deliver: sends what is pending by connections of its own, in whatever event loop calls it.
        is_real: whether time is; simulated time has neither a heart nor a clock that stands still.
        stalled_s: overrides ``STALLED_S``.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        last_words: LastWords,
        heartbeat: Heartbeat | None,
        *,
        clock: Clock,
        age_s: Callable[[], float | None],
        deliver: Callable[[], Awaitable[None]],
        is_real: bool = True,
        stalled_s: float = STALLED_S,
    ) -> None:
        self.upkeep = upkeep
        self._last_words, self._heartbeat = last_words, heartbeat if is_real else None
        self._clock, self._deliver, self._is_real = clock, deliver, is_real
        self._watchdog = Watchdog(age_s, limit_s=stalled_s, on_stall=self._on_stall)
        self._under_way: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Let the watchdog loose."""
        if self._is_real:
            self._watchdog.start()

    async def stop(self) -> None:
        """Call the watchdog back, and wait a little for what is being sent."""
        await asyncio.to_thread(self._watchdog.stop)
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=SHUT_S)
            for task in late:
                task.cancel()

    async def prove(self, at: datetime) -> bool:
        """Whether the database can be written. If not, people are told without it, and this does not wait for them."""
        if not self._is_real:
            return True
        finding = await asyncio.to_thread(self.upkeep.prove, at)
        if finding is not None:
            self._start(self._say(finding, at))
        is_well = self.upkeep.unwritable is None
        if is_well:
            self._start(self._take_back(at))
        return is_well

    async def look(
        self, at: datetime, *, last: Mapping[str, datetime], paused: Mapping[str, Pause] | None = None
    ) -> bool:
        """Find out what is wrong with the watch and store it; whether that was possible."""
        try:
            await asyncio.to_thread(self.upkeep.look, at, last=last, paused=paused)
        except StoreError as error:
            log.error("upkeep.failed", sentence=str(error))  # noqa: TRY400 - a sentence, no traceback
            return False
        return True

    def beat(self) -> None:
        """Ping, without waiting for it."""
        if self._heartbeat is not None and self._heartbeat.is_due:
            self._start(self._heartbeat.ping())

    async def beat_now(self) -> None:
        """Ping and wait for it: the process ends next."""
        if self._heartbeat is not None:
            await self._heartbeat.ping()

    def _start(self, work: Awaitable[object]) -> None:
        async def quietly() -> None:
            await work

        task = asyncio.create_task(quietly())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _say(self, finding: Finding, at: datetime) -> None:
        await self._last_words.say(finding, at)

    async def _take_back(self, at: datetime) -> None:
        for trouble in (Trouble.DISK, Trouble.STORE):
            await self._last_words.take_back(trouble, "the database can be written again", at)
        await self._last_words.take_back(Trouble.STALLED, "the scheduler is at work again", at)

    def _on_stall(self, age_s: float) -> None:
        """In the watchdog's thread, with an event loop of its own: the program's may be what stands still."""
        at = self._clock.now()
        try:
            self.upkeep.stalled(age_s, at)
        except StoreError as error:
            log.error("upkeep.failed", sentence=str(error))  # noqa: TRY400 - a sentence, no traceback
            finding = troubles.stalled(age_s, since=at)
            asyncio.run(self._say(finding, at))
        else:
            asyncio.run(_once(self._deliver))


async def _once(work: Callable[[], Awaitable[None]]) -> None:
    await work()
