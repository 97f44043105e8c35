"""The composition root: builds everything from Settings, starts it, drains it, stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from driftwatch import wiring
from driftwatch.alert import outbox
from driftwatch.burst import Bursts
from driftwatch.canaries import load_suites
from driftwatch.clock import Clock, SimulatedClock, WallClock, stopwatch
from driftwatch.config import Settings
from driftwatch.domain import Target, Verdict
from driftwatch.errors import DriftwatchError
from driftwatch.lines import Lines
from driftwatch.pipeline import Pipeline
from driftwatch.schedule import MAX_NAP_S, Scheduler, Slot, due, next_start, slot_at
from driftwatch.score import open_embedder
from driftwatch.spending import OverBudget, Pause, Pauses
from driftwatch.store import Store

log = structlog.get_logger()

DRAIN_S = 25.0
"""How long a stop waits for runs in flight, s: below the 30 s that orchestrators grant between SIGTERM and SIGKILL."""

HOUSEKEEPING = timedelta(hours=24)
"""How often old completions are deleted, and what runs of other processes left behind is finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What /healthz and /readyz are answered from."""

    is_alive: bool
    """The scheduler has looked at the clock lately."""
    is_ready: bool
    """The store answers as well, and no target's latest run broke off."""
    detail: str
    """One sentence; ``ok`` when there is nothing to say."""
    last_tick_age_s: float | None
    targets: int
    runs_in_flight: int
    paused: Mapping[str, str] = field(default_factory=dict)
    """Target name → the sentence of the budget that it waits for; a watch that keeps to its budget is well."""


def build_targets(settings: Settings) -> tuple[Target, ...]:
    """Join the configured targets with their canaries.

    Raises:
        ConfigError: a suite that a target names does not exist, or a canary file is wrong.
    """
    suites = load_suites(settings.canaries)
    targets = []
    for name, wanted in settings.targets.items():
        canaries = [c for suite in wiring.chosen_suites(name, settings, suites) for c in suites[suite].canaries]
        targets.append(wiring.target(name, wanted, settings, tuple(canaries)))
    return tuple(targets)


class App:
    """The running program.

    Args:
        settings: everything a person configured.
        env: where secrets are read from when they are used.
        clock: overrides the clock that the settings ask for.
        write: where console receivers print; standard output when None.
        on_verdict: told of every verdict the daemon reaches.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        env: Mapping[str, str],
        clock: Clock | None = None,
        write: Callable[[str], None] | None = None,
        on_verdict: Callable[[Verdict], None] | None = None,
    ) -> None:
        self.settings = settings
        self._on_verdict = on_verdict
        self.targets = build_targets(settings)
        self.clock = clock if clock is not None else _clock(settings)
        self._lines = Lines(settings, env, self.clock)
        self.lines = {target.name: self._lines.of(target) for target in self.targets}
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
        )
        self._pauses = Pauses(self.pipeline.longest)
        self._bursts = Bursts(self.store)
        self._in_flight: dict[str, tuple[Slot, asyncio.Task[None]]] = {}
        self._broken_off: dict[str, tuple[Slot, str]] = {}
        """Target → the slot whose run raised, and one sentence why; forgotten when a later run is made."""
        self._delivery: asyncio.Task[None] | None = None
        self._delivering = asyncio.Lock()
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
        if self.pipeline.embedder is not None:
            # Missing or altered weights must end the start with a sentence, not every run with a traceback.
            await asyncio.to_thread(self.pipeline.embedder.embed, ["driftwatch"])
        at = self.clock.now()
        judged = await asyncio.to_thread(self.pipeline.recover, self.targets, at)
        log.info("watch.started", targets=len(self.targets), recovered=judged, store=str(self.settings.store))
        await asyncio.to_thread(self._tell_unwatched)
        scheduler = Scheduler(self.clock, self._tick)
        scheduler.start()
        try:
            await self._stop.wait()
        finally:
            scheduler.stop()
            await self._drain(scheduler)
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
        age_s = self._since_tick() if self._since_tick else None
        is_alive = age_s is not None and age_s < 4 * MAX_NAP_S
        detail = "ok" if is_alive else "the scheduler has not started" if age_s is None else "the scheduler is stalled"
        is_ready = is_alive
        if is_alive:
            for slot, sentence in list(self._broken_off.values()):
                is_ready = False
                detail = f"the run of {slot.target} of {slot.scheduled_at:%Y-%m-%d %H:%M} UTC broke off: {sentence}"
            try:
                self.store.ping()
            except DriftwatchError as error:
                is_ready, detail = False, str(error)
        return Health(
            is_alive=is_alive,
            is_ready=is_ready,
            detail=detail,
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
        await asyncio.to_thread(self.pipeline.recover, wanted, at)
        last = await self._last_runs(wanted, at)
        if now:
            slots = [Slot(target=target.name, scheduled_at=at, start_at=at) for target in wanted]
        else:
            # One look, not a wait: jitter spreads a fleet's load over time, and a cron job has its own time.
            follow_ups = await asyncio.to_thread(self._bursts.follow_ups, wanted, last, at)
            slots = due([_without_jitter(target) for target in wanted], last, at, follow_ups)
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
        await self.deliver()
        if trouble:
            raise trouble[0]
        return made

    async def deliver(self) -> None:
        """Send what is pending in the outbox."""
        async with self._delivering:
            # The store releases one notification per incident and receiver at a time, to keep their order.
            while (await outbox.deliver(self.store, self._notifiers, at=self.clock.now())).n_sent:
                pass

    # ------------------------------------------------------------ private

    async def _tick(self, at: datetime) -> datetime | None:
        """Start what is due; say when to look again."""
        async with self._ticking:
            self._since_tick = stopwatch()
            simulation = self.settings.simulation
            if simulation is not None and at >= simulation.end:
                await self.deliver()
                self.stop()
                return None
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
            await self._tell()
            await self._keep_house(at)
            last = await self._last_runs(self.targets, at)
            follow_ups = await asyncio.to_thread(self._bursts.follow_ups, self.targets, last, at)
            paused = self._pauses.standing(at)
            asked = [target for target in self.targets if target.name not in paused]
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
            self._broken_off.pop(target.name, None)
            self._pauses.end(target.name)
            if verdict is not None and self._on_verdict is not None:
                self._on_verdict(verdict)
            await self._tell()
        except OverBudget as error:
            # The slot is not claimed: it is due as soon as it can be paid.
            self._pauses.begin(error.pause, at)
        except Exception as error:
            # One target's trouble must not end the watch over the others. A slot that was claimed stays a gap; one that
            # was not is still due at the next look.
            expected = isinstance(error, DriftwatchError)
            sentence = str(error) if expected else f"an unexpected {type(error).__name__}, see the log"
            self._broken_off[target.name] = (slot, sentence)
            log.exception(
                "run.failed",
                target=target.name,
                scheduled_at=slot.scheduled_at.isoformat(),
                error=sentence,
                exc_info=not expected,
            )
        finally:
            del self._in_flight[target.name]

    async def _tell(self) -> None:
        """See to it that what is pending is sent; in real time without waiting for it.

        A receiver that hangs must neither hold up runs nor make the watch look stalled.
        """
        if self.settings.simulation is not None:
            await self.deliver()
        elif self._delivery is None or self._delivery.done():
            self._delivery = asyncio.create_task(self._deliver_quietly())

    async def _deliver_quietly(self) -> None:
        try:
            await self.deliver()
        except Exception:
            # What is pending stays pending; the next look at the schedule tries again.
            log.exception("delivery.failed")

    def _tell_unwatched(self) -> None:
        """Incidents of targets that have left the config stay open: nobody can say that they are over but a person."""
        for incident in self.store.incidents(open_only=True):
            if incident.target not in self.settings.targets:
                log.warning(
                    "incident.unwatched",
                    target=incident.target,
                    incident=incident.id,
                    instead=f"the target is not in the config; close it: driftwatch incidents resolve {incident.id}",
                )

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
        telling = [self._delivery] if self._delivery is not None and not self._delivery.done() else []
        return [*(task for _, task in self._in_flight.values()), *telling]


def upcoming(target: Target, last: datetime | None, at: datetime) -> datetime:
    """When the target's next run starts, aware UTC; ``at`` when it is due now."""
    start = next_start([target], {target.name: last} if last else {}, at)
    return start if start is not None else slot_at(target, at).start_at


def _without_jitter(target: Target) -> Target:
    return replace(target, jitter_s=0.0)


def _clock(settings: Settings) -> Clock:
    return SimulatedClock(settings.simulation.start) if settings.simulation else WallClock()
