"""One run's requests: each canary as often as a run asks it, each failure named, each limit kept."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from driftwatch.clock import stopwatch
from driftwatch.domain import Canary, Completion, Outcome, Target
from driftwatch.errors import ProviderError
from driftwatch.providers.connection import Provider
from driftwatch.providers.masking import loggable
from driftwatch.replay.gate import Gate, Held, Ticket
from driftwatch.replay.retries import Retries, RetryPolicy, back_off_s

log = structlog.get_logger()


class Allowance(Protocol):
    """What a run may spend, decided attempt by attempt."""

    def take(self, canary: Canary) -> str | None:
        """Called right before an attempt is sent.

        Returns:
            None when it may be sent, and is counted; else one sentence why not.
        """
        ...

    def settle(self, completion: Completion) -> None:
        """Called with each completion as it comes, failures and what was not asked included."""
        ...


async def replay(
    target: Target,
    provider: Provider,
    *,
    at: datetime,
    gate: Gate,
    retry: RetryPolicy,
    deadline_s: float,
    waited_s: float = 0.0,
    repeats: int | Mapping[str, int] | None = None,
    allowance: Allowance | None = None,
    on_completion: Callable[[Completion], None] | None = None,
) -> tuple[Completion, ...]:
    """Ask every canary as often as a run does, or as told.

    The order of asking is drawn anew for each run, from target and time. Requests go out as soon as the gate lets them:
    a run stands for one moment, and a change inside a run that was spread over its interval would blur both sides of
    it. Times within the interval are sampled by the jitter of its start; see ``driftwatch.schedule.slot_at``.

    Args:
        target: whose canaries are asked.
        provider: who is asked; it limits each request's time by itself.
        at: the run's time, aware UTC.
        gate: says when each request may be sent; a request that waits to be retried leaves its place to others.
        retry: when to ask again.
        deadline_s: seconds for the whole run, every wait included; requests unfinished by then become TIMEOUT
            completions.
        waited_s: how much of that has gone by.
        repeats: how often each canary is asked, 1 or more; a mapping says it by canary id, where what is absent is
            not asked; None takes the canary's own number, else the target's.
        allowance: asked before every attempt; what it refuses becomes a NOT_ASKED completion.
        on_completion: called with each completion as it comes, in the order they come.

    Returns:
        One completion per canary and repeat, in the suite's order whatever the order of asking.
    """
    asked = [(canary, repeat) for canary in target.canaries for repeat in range(_times(target, canary, repeats))]
    since = gate.timing.now_s()
    run = _Run(
        target=target,
        provider=provider,
        at=at,
        gate=gate,
        policy=retry,
        retries=Retries(retry, len(asked), gate.retries),
        deadline_s=deadline_s,
        elapsed_s=lambda: waited_s + gate.timing.now_s() - since,
        allowance=allowance,
        on_completion=on_completion,
    )
    completions: dict[int, Completion] = {}
    order = iter(_order(target, at, len(asked)))

    async def work() -> None:
        for i in order:
            request = _Request(run, *asked[i])
            completions[i] = await run.ask(request)
            if request.has_backed_off:
                return  # another took over

    # As many workers as the gate has places: a task for each of thousands of requests would be memory for nothing, and
    # whoever goes on with the next request at once finds its connection free.
    run.workers = {asyncio.create_task(work()) for _ in range(min(gate.most, len(asked)))}
    run.hire = lambda: run.workers.add(asyncio.create_task(work()))
    try:
        while run.workers:
            done, _ = await asyncio.wait(run.workers, return_when=asyncio.FIRST_COMPLETED)
            run.workers -= done
            for worker in done:
                worker.result()
    finally:
        # Reached early when the run is cancelled or on_completion raises: no request may outlive its run.
        for worker in run.workers:
            worker.cancel()
        await asyncio.gather(*run.workers, return_exceptions=True)
    in_order = tuple(completions[i] for i in range(len(asked)))
    outcomes = Counter(completion.outcome.value for completion in in_order)
    failures = [completion.error for completion in in_order if not completion.is_ok]
    log.log(
        logging.WARNING if failures else logging.INFO,
        "replay.finished",
        target=target.name,
        **outcomes,
        duration_s=round(run.elapsed_s(), 3),
        **({"last_error": failures[-1]} if failures else {}),
    )
    return in_order


def _times(target: Target, canary: Canary, repeats: int | Mapping[str, int] | None) -> int:
    if repeats is None:
        return target.repeats_for(canary)
    return repeats if isinstance(repeats, int) else repeats.get(canary.id, 0)


def _order(target: Target, at: datetime, n: int) -> list[int]:
    """The numbers below n in the order of asking, seeded by target and time.

    A fixed order would let a canary's place in the queue (warm caches, a rate limit reached) look like its answer.
    """
    seed = f"{target.name}\0{at.isoformat()}\0"
    return sorted(range(n), key=lambda i: hashlib.sha256(f"{seed}{i}".encode()).digest())


@dataclass(slots=True, kw_only=True)
class _Run:
    """What all requests of one run have in common."""

    target: Target
    provider: Provider
    at: datetime
    gate: Gate
    policy: RetryPolicy
    retries: Retries
    deadline_s: float
    elapsed_s: Callable[[], float]
    allowance: Allowance | None
    on_completion: Callable[[Completion], None] | None
    workers: set[asyncio.Task[None]] = field(default_factory=set)
    hire: Callable[[], None] = lambda: None
    """Begin one more worker."""

    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self.deadline_s - self.elapsed_s()

    def now(self) -> datetime:
        """The time by which response headers are read, aware UTC."""
        return self.at + timedelta(seconds=self.elapsed_s())

    async def ask(self, request: _Request) -> Completion:
        """One canary, once, with retries; whatever happens is a completion."""
        completion = await request.run()
        if not completion.is_ok:
            # One line a request would bury an outage of an hour under its own noise: the run's line has the counts.
            log.debug(
                "replay.failed",
                target=self.target.name,
                canary=completion.canary_id,
                repeat=completion.repeat,
                outcome=completion.outcome.value,
                attempts=completion.attempts,
                error=completion.error,
            )
        if self.allowance is not None:
            self.allowance.settle(completion)
        if self.on_completion is not None:
            self.on_completion(completion)
        return completion


class _Request:
    """One canary asked once: its attempts, and the failure that stands when they are used up."""

    def __init__(self, run: _Run, canary: Canary, repeat: int) -> None:
        self._run, self._canary, self._repeat = run, canary, repeat
        self._attempts = 0
        self._latency_s: Callable[[], float] = lambda: 0.0
        self._pending: ProviderError | None = None
        """The failure after which we are waiting to ask again; None while a request is under way."""
        self.has_backed_off = False

    async def run(self) -> Completion:
        remaining_s = self._run.left_s()
        return await self._within(remaining_s) if remaining_s > 0 else self._out_of_time()

    async def _within(self, remaining_s: float) -> Completion:
        try:
            async with asyncio.timeout(remaining_s) as deadline:
                return await self._with_retries()
        except ProviderError as error:
            return self._failure(error.outcome, str(error), error)
        except Held as held:
            return self._stands(str(held)) or self._failure(Outcome.NOT_ASKED, f"not asked: {held}")
        except TimeoutError as error:
            if not deadline.expired():
                return self._unexpected(error)
            return self._out_of_time()
        except Exception as error:  # noqa: BLE001 - a bug in one provider must not take the run of a whole suite with it
            return self._unexpected(error)

    async def _with_retries(self) -> Completion:
        run = self._run
        while True:
            # For each attempt anew: a request that waits takes no place.
            ticket = await run.gate.admit(run.target, self._canary, left_s=run.left_s)
            refusal = self._refusal(ticket)
            if refusal is not None:
                return self._stands(refusal) or self._failure(Outcome.NOT_ASKED, refusal)
            try:
                return await self._attempt(ticket)
            except ProviderError as error:
                self._freeze_latency()
                wait_s = self._wait_s(error)
                self._pending = error
            if not self.has_backed_off:
                self.has_backed_off = True
                run.hire()  # whoever waits must not hold up those that need not
            await run.gate.timing.sleep(wait_s)

    def _refusal(self, ticket: Ticket) -> str | None:
        """Why the allowance has nothing for this attempt, whose place is given back then; None when it has."""
        run = self._run
        is_taken = False
        try:
            refusal = run.allowance.take(self._canary) if run.allowance is not None else None
            is_taken = refusal is None
            return refusal
        finally:
            if not is_taken:
                run.gate.give_back(ticket)

    async def _attempt(self, ticket: Ticket) -> Completion:
        run = self._run
        self._attempts += 1
        self._pending, self._latency_s = None, stopwatch()
        try:
            completion = await run.provider.complete(run.target, self._canary, repeat=self._repeat, at=run.at)
        except BaseException as error:
            run.gate.failed(ticket, error if isinstance(error, ProviderError) else None, now=run.now())
            raise
        run.gate.answered(ticket, completion, now=run.now())
        return completion if self._attempts == 1 else replace(completion, attempts=self._attempts)

    def _wait_s(self, error: ProviderError) -> float:
        """Seconds until the next attempt.

        Raises:
            ProviderError: there is none: the error itself, or one that adds why.
        """
        run = self._run
        # What had begun to come may be billed, and tells of the model: asked again it would be paid for twice.
        if not error.retryable or error.reply_began or self._attempts >= run.policy.attempts:
            raise error
        seed = f"{run.target.name}\0{run.at.isoformat()}\0{self._canary.id}\0{self._repeat}"
        # Some say "Retry-After: 0" and mean that they do not know.
        wait_s = max(error.retry_after_s or 0.0, back_off_s(self._attempts, run.policy.max_wait_s, seed=seed))
        if wait_s >= run.left_s():
            raise _also(error, f"the run's limit of {run.deadline_s:g} s leaves no time to ask again")
        used_up = run.retries.take()
        if used_up is not None:
            raise _also(error, f"not asked again: {used_up}")
        return wait_s

    def _freeze_latency(self) -> None:
        # The wait that follows is ours, not the endpoint's.
        latency_s = self._latency_s()
        self._latency_s = lambda: latency_s

    def _out_of_time(self) -> Completion:
        limit = f"the run's limit of {self._run.deadline_s:g} s"
        failed_before = self._stands(f"{limit} left no time to ask again")
        if failed_before is not None:
            return failed_before
        if self._attempts == 0:
            return self._failure(Outcome.TIMEOUT, f"not asked: {limit} was over first")
        return self._failure(Outcome.TIMEOUT, f"no reply before {limit} was over")

    def _stands(self, why: str) -> Completion | None:
        """The failure that we were waiting to ask again after, and why we did not; None when there was none."""
        error = self._pending
        return None if error is None else self._failure(error.outcome, f"{error}; {why}", error)

    def _unexpected(self, error: Exception) -> Completion:
        log.error(
            "replay.unexpected",
            target=self._run.target.name,
            canary=self._canary.id,
            repeat=self._repeat,
            **loggable(error),
        )
        return self._failure(
            Outcome.MALFORMED,
            f"driftwatch could not handle the reply ({type(error).__name__}); this is a bug, see the log",
        )

    def _failure(self, outcome: Outcome, sentence: str, error: ProviderError | None = None) -> Completion:
        return Completion(
            canary_id=self._canary.id,
            canary_hash=self._canary.content_hash,
            repeat=self._repeat,
            outcome=outcome,
            at=self._run.at,
            latency_s=self._latency_s(),
            request_id=error.request_id if error is not None else None,
            headers=error.headers if error is not None else {},
            attempts=self._attempts,
            error=sentence,
            reply_began=error is not None and error.reply_began,
        )


def _also(error: ProviderError, why: str) -> ProviderError:
    """The same failure with one more reason in its sentence."""
    fuller = ProviderError(f"{error}; {why}", outcome=error.outcome)
    fuller.request_id, fuller.headers = error.request_id, error.headers
    fuller.reply_began = error.reply_began
    return fuller
