"""The composition root: builds everything from Settings, starts it, drains it, stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from driftwatch import provenance, telling, wiring
from driftwatch.alert.outbox import LEASE_S, Courier
from driftwatch.alert.receivers import Notifier, slack_socket
from driftwatch.burst import Bursts
from driftwatch.clock import Clock, SimulatedClock, WallClock, stopwatch
from driftwatch.config import Settings
from driftwatch.delivering import Deliveries
from driftwatch.desk import Desk
from driftwatch.domain import Target, Verdict
from driftwatch.errors import DriftwatchError
from driftwatch.lines import Lines
from driftwatch.pipeline import Pipeline
from driftwatch.schedule import Scheduler, Slot, due, next_start, slot_at
from driftwatch.score import open_embedder
from driftwatch.spending import OverBudget, Pause, Pauses
from driftwatch.store import Store
from driftwatch.upkeep import Caretaker, Health, LastWords, presence
from driftwatch.upkeep.caretaking import STALLED_S

log = structlog.get_logger()

DRAIN_S = 25.0
"""How long a stop waits for runs in flight, s: below the 30 s that orchestrators grant between SIGTERM and SIGKILL."""

HOUSEKEEPING = timedelta(hours=24)
"""How often old completions are deleted, and what runs of other processes left behind is finished."""


class App:
    """The running program.

    Args:
        settings: everything a person configured.
        env: where secrets are read from when they are used.
        clock: overrides the clock that the settings ask for.
        write: where console receivers print; standard output when None.
        on_verdict: told of every verdict the daemon reaches.
        stalled_s: since when the scheduler has not looked at the clock when it stands still, s.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        env: Mapping[str, str],
        clock: Clock | None = None,
        write: Callable[[str], None] | None = None,
        on_verdict: Callable[[Verdict], None] | None = None,
        stalled_s: float = STALLED_S,
    ) -> None:
        self.settings, self._env = settings, env
        self._on_verdict, self._stalled_s = on_verdict, stalled_s
        self.targets = wiring.build_targets(settings)
        self.clock = clock if clock is not None else _clock(settings)
        self._lines = Lines(settings, env, self.clock)
        self.lines = {target.name: self._lines.of(target) for target in self.targets}
        self.policy = wiring.policy(settings)
        self._notifiers = wiring.notifiers(settings, env, write)
        self.store = Store.open(settings.store, clock=self.clock)
        if isinstance(self.clock, SimulatedClock):
            # A restarted simulation goes on where the killed one was.
            for last in self.store.last_scheduled(list(settings.targets)).values():
                self.clock.jump(last)
        try:
            embedder = (
                None
                if settings.embedder.is_off
                else open_embedder(settings.embedder.model, settings.embedder.revision, self.store)
            )
        except DriftwatchError:
            self.store.close()
            raise
        self.pipeline = Pipeline(
            store=self.store,
            lines=self.lines,
            embedder=embedder,
            failure_threshold=settings.failure_threshold,
            accounts={target.name: wiring.account(target, settings) for target in self.targets},
            policy=self.policy,
            fleet=self.targets,
        )
        fresh = partial(wiring.notifiers, settings, env, write)
        self._caretaker = Caretaker(
            wiring.upkeep(self.store, self.targets, settings, self.policy, at=self.clock.now()),
            LastWords(fresh, policy=self.policy, path=settings.store),
            wiring.heartbeat(settings, env),
            clock=self.clock,
            age_s=self._tick_age_s,
            deliver=lambda: self._deliver_by(fresh()),
            is_real=settings.simulation is None,
            stalled_s=stalled_s,
        )
        self._pauses = Pauses(self.pipeline.longest)
        self._bursts = Bursts(self.store)
        self._in_flight: dict[str, tuple[Slot, asyncio.Task[None]]] = {}
        courier = self._courier_with(self._notifiers)
        self._deliveries = Deliveries(self.store, courier, self.policy, clock=self.clock)
        self._ticking = asyncio.Lock()
        self._since_tick: Callable[[], float] | None = None
        self._cleaned_at: datetime | None = None
        self._stop = asyncio.Event()

    # ------------------------------------------------------------ the daemon

    async def serve(self) -> None:
        """Watch until ``stop`` is called or a simulation ends; then drain and return.

        Raises:
            EmbedderUnavailable: the embedder cannot be loaded.
        """
        if self.settings.simulation is not None:
            await self._watch()
            return
        with presence.announced(self.settings.store, self.clock.now()) as others:
            if others:
                log.warning("watch.not_alone", others=[other.words for other in others], sentence=_not_alone(others))
            await self._watch()

    async def _watch(self) -> None:
        if self.pipeline.embedder is not None:
            # Missing or altered weights must end the start with a sentence, not every run with a traceback.
            await asyncio.to_thread(self.pipeline.embedder.embed, ["driftwatch"])
        at = self.clock.now()
        judged = await asyncio.to_thread(self.begin, self.targets, at)
        log.info("watch.started", targets=len(self.targets), recovered=judged, store=str(self.settings.store))
        await asyncio.to_thread(self._caretaker.upkeep.tell_unwatched)
        scheduler = Scheduler(self.clock, self._tick)
        scheduler.start()
        self._caretaker.start()
        desk = Desk(self.store, {target.name: target for target in self.targets}, self.pipeline.embedder)
        heard = self._notifiers.values() if self.settings.simulation is None else ()
        listening = slack_socket.listen(heard, desk, now=self.clock.now, deliver=self._deliveries.quietly)
        await listening.start()
        try:
            await self._stop.wait()
        finally:
            await listening.stop()
            scheduler.stop()
            await self._drain(scheduler)
            await self._caretaker.stop()
            log.info("watch.stopped")

    def stop(self) -> None:
        """Ask ``serve`` to drain and return. Safe to call from a signal handler of the event loop."""
        self._stop.set()

    async def close(self) -> None:
        """Release connections and the database."""
        try:
            await self._lines.close()
        finally:
            self.store.close()

    def health(self) -> Health:
        """How the daemon is doing; callable from any thread."""
        age_s = self._tick_age_s()
        is_alive = age_s is not None and age_s < self._stalled_s
        detail = "ok" if is_alive else "the scheduler has not started" if age_s is None else "the scheduler is stalled"
        problem = self._caretaker.upkeep.problem() if is_alive else None
        return Health(
            is_alive=is_alive,
            is_ready=is_alive and problem is None,
            is_writable=self._caretaker.upkeep.unwritable is None,
            detail=problem or detail,
            last_tick_age_s=age_s,
            targets=len(self.targets),
            runs_in_flight=len(self._in_flight),
            paused={name: pause.sentence for name, pause in self.paused().items()},
        )

    def paused(self) -> dict[str, Pause]:
        """Target name → why it is not asked for the time being, as far as this process has tried; from any thread."""
        return self._pauses.worth_telling(self.clock.now())

    # ------------------------------------------------------------ what is due, once

    async def run_due(self, names: Sequence[str], *, now: bool = False) -> dict[str, Verdict | None]:
        """Make the runs that are due among ``names``, then deliver what they caused.

        Args:
            names: targets to look at.
            now: run them even when they are not due, outside the schedule's grid.

        Returns:
            The verdict of every run made; a target that was not due, or is paused by its budget, is absent.

        Raises:
            DriftwatchError: a run broke off; the others were made and told all the same.
        """
        at = self.clock.now()
        wanted = [target for target in self.targets if target.name in names]
        await asyncio.to_thread(self.begin, wanted, at)
        last = await self._last_runs(wanted, at)
        if now:
            slots = [Slot(target=target.name, scheduled_at=at, start_at=at) for target in wanted]
        else:
            # One look, not a wait: jitter spreads a fleet's load over time, and a cron job has its own time.
            follow_ups = await asyncio.to_thread(self._bursts.follow_ups, wanted, last, at)
            slots = due([replace(target, jitter_s=0.0) for target in wanted], last, at, follow_ups)
        by_name = {target.name: target for target in wanted}
        made: dict[str, Verdict | None] = {}
        trouble: list[BaseException] = []
        while slots:
            verdicts = await asyncio.gather(
                *(self.pipeline.run(by_name[slot.target], scheduled_at=slot.scheduled_at, at=at) for slot in slots),
                return_exceptions=True,
            )
            waiting = []
            for slot, verdict in zip(slots, verdicts, strict=True):
                if isinstance(verdict, OverBudget):
                    self._pauses.begin(verdict.pause, at)
                    waiting += [slot] if verdict.pause.is_passing else []
                elif isinstance(verdict, BaseException):
                    trouble.append(verdict)
                else:
                    self._pauses.end(slot.target)
                    made[slot.target] = verdict
            # What waits for the money set aside for others gets its turn when they are done.
            slots = waiting if len(waiting) < len(slots) else []
        last = await asyncio.to_thread(self.store.last_scheduled, [target.name for target in wanted])
        is_well = await self._caretaker.look(at, last=last, paused=self.paused())
        await self.deliver()
        if trouble:
            raise trouble[0]
        if is_well:
            await self._caretaker.beat_now()
        return made

    async def deliver(self) -> None:
        """Send what is pending in the outbox, and what time alone makes worth telling."""
        await self._deliveries.deliver()

    async def _deliver_by(self, notifiers: Mapping[str, Notifier]) -> None:
        await self._courier_with(notifiers).deliver(at=self.clock.now())

    def _courier_with(self, notifiers: Mapping[str, Notifier]) -> Courier:
        # Simulated time may stand still after a kill: what was being sent must be due at once.
        lease_s = 0.0 if self.settings.simulation is not None else LEASE_S
        return Courier(self.store, notifiers, policy=self.policy, lease_s=lease_s)

    # ------------------------------------------------------------ private

    def begin(self, targets: Sequence[Target], at: datetime) -> int:
        """Note what is so on our side, then finish what a killed process left; how many runs were judged."""
        embedder = self.pipeline.embedder
        revision = embedder.revision if embedder else None
        provenance.note(self.store, self.settings, self.targets, self._env, embedder=revision, at=at)
        telling.name_causes(self.store, self.targets)
        return self.pipeline.recover(targets, at)

    def _tick_age_s(self) -> float | None:
        return self._since_tick() if self._since_tick else None

    async def _tick(self, at: datetime) -> datetime | None:
        """Start what is due; say when to look again."""
        async with self._ticking:
            self._since_tick = stopwatch()
            simulation = self.settings.simulation
            if simulation is not None and at >= simulation.end:
                await self.deliver()
                self.stop()
                return None
            is_well = await self._caretaker.prove(at)
            by_name = {target.name: target for target in self.targets}
            last = await self._last_runs(self.targets, at)
            slots = due(
                self.targets, last, at, await asyncio.to_thread(self._bursts.follow_ups, self.targets, last, at)
            )
            if self._stop.is_set():
                return None  # a run begun now would be missed by the drain
            paused = self._pauses.standing(at)
            for slot in (slot for slot in slots if slot.target not in paused):
                task = asyncio.create_task(self._run(by_name[slot.target], slot, at))
                self._in_flight[slot.target] = (slot, task)
            if simulation is not None:
                # Simulated time stands still while anything runs, so that weeks are the same weeks every time.
                await asyncio.gather(*(task for _, task in self._in_flight.values()))
            is_well = is_well and await self._caretaker.look(at, last=last, paused=self.paused())
            await self._tell(reminds=True)
            await self._keep_house(at)
            last = await self._last_runs(self.targets, at)
            follow_ups = await asyncio.to_thread(self._bursts.follow_ups, self.targets, last, at)
            paused = self._pauses.standing(at)
            asked = [target for target in self.targets if target.name not in paused]
            if is_well:
                self._caretaker.beat()
            starts = [next_start(asked, last, at, follow_ups), *(pause.again_at for pause in paused.values())]
            return min((start for start in starts if start is not None), default=None)

    async def _last_runs(self, targets: Sequence[Target], at: datetime) -> dict[str, datetime]:
        """Target name → the slot before which nothing is due any more."""
        last = await asyncio.to_thread(self.store.last_scheduled, [target.name for target in targets])
        for target in targets:
            interval = timedelta(seconds=target.interval_s)
            if target.name in last and last[target.name] - at > interval:
                # Written while the clock was ahead. Without the slots since it was set right, the present one would
                # look due for as long as the clock was wrong by.
                before = await asyncio.to_thread(
                    self.store.runs, target.name, until=at + interval, limit=1, newest_first=True
                )
                last[target.name] = before[0].scheduled_at if before else last[target.name]
            if target.name in self._in_flight:
                # The slots that a long run reaches into wait for it: a target has one run at a time.
                slot, _ = self._in_flight[target.name]
                last[target.name] = max(slot.scheduled_at, slot_at(target, at).scheduled_at)
        return last

    async def _run(self, target: Target, slot: Slot, at: datetime) -> None:
        try:
            verdict = await self.pipeline.run(target, scheduled_at=slot.scheduled_at, at=at)
            self._caretaker.upkeep.went_well(target.name, at, is_ours=verdict is not None)
            self._pauses.end(target.name)
            if verdict is not None and self._on_verdict is not None:
                self._on_verdict(verdict)
            await self._tell(reminds=False)
        except OverBudget as error:
            # The slot is not claimed: it is due as soon as it can be paid.
            self._pauses.begin(error.pause, at)
        except Exception as error:
            # One target's trouble must not end the watch over the others. A slot that was claimed stays a gap; one that
            # was not is still due at the next look.
            expected = isinstance(error, DriftwatchError)
            sentence = str(error) if expected else f"an unexpected {type(error).__name__}, see the log"
            self._caretaker.upkeep.broke_off(target.name, slot.scheduled_at, error, sentence)
            log.exception(
                "run.failed",
                target=target.name,
                scheduled_at=slot.scheduled_at.isoformat(),
                error=sentence,
                exc_info=not expected,
            )
        finally:
            del self._in_flight[target.name]

    async def _tell(self, *, reminds: bool) -> None:
        """See to it that what is pending is sent; in real time without waiting for it.

        A receiver that hangs must neither hold up runs nor make the watch look stalled.
        """
        if self.settings.simulation is not None:
            await self._deliveries.deliver(reminds=reminds)
        elif self._caretaker.upkeep.unwritable is None:  # else nothing can be leased, and last words are told instead
            self._deliveries.begin(reminds=reminds)

    async def _keep_house(self, at: datetime) -> None:
        if self._cleaned_at is not None and at - self._cleaned_at < HOUSEKEEPING:
            return
        self._cleaned_at = at
        before = at - timedelta(days=self.settings.retention_days)
        deleted = await asyncio.to_thread(self.store.prune, before=before)
        if deleted:
            log.info("store.pruned", completions=deleted, before=before.isoformat())
        await asyncio.to_thread(self.pipeline.recover, self.targets, at)

    async def _drain(self, scheduler: Scheduler) -> None:
        elapsed_s = stopwatch()
        await scheduler.drain(DRAIN_S)
        while tasks := self._unfinished():
            left_s = DRAIN_S - elapsed_s()
            log.info("watch.draining", runs=len(self._in_flight), grace_s=round(left_s, 1))
            _, unfinished = await asyncio.wait(tasks, timeout=max(0.0, left_s))
            if unfinished:
                log.warning("watch.cut_short", targets=sorted(self._in_flight))
                for task in unfinished:
                    task.cancel()
                await asyncio.wait(unfinished)
                return

    def _unfinished(self) -> list[asyncio.Task[None]]:
        """Runs and messages under way; a run that ends may leave a message to send."""
        return [*(task for _, task in self._in_flight.values()), *self._deliveries.under_way]


def upcoming(target: Target, last: datetime | None, at: datetime) -> datetime:
    """When the target's next run starts, aware UTC; ``at`` when it is due now."""
    start = next_start([target], {target.name: last} if last else {}, at)
    return start if start is not None else slot_at(target, at).start_at


def _not_alone(others: Sequence[presence.Presence]) -> str:
    return (
        f"another `driftwatch serve` watches with this database: {'; '.join(other.words for other in others)}. No run "
        "is made twice and nobody is told twice, but where their configs differ each starts baselines anew: stop one"
    )


def _clock(settings: Settings) -> Clock:
    return SimulatedClock(settings.simulation.start) if settings.simulation else WallClock()
