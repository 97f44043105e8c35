"""Asks an endpoint a target's canaries and turns every reply, and every failure, into a Completion."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType

import stamina
import structlog

from driftwatch.clock import stopwatch
from driftwatch.domain import Canary, Completion, Outcome, Target, content_hash
from driftwatch.errors import ProviderError
from driftwatch.providers.connection import Provider
from driftwatch.providers.masking import mask

log = structlog.get_logger()


class Gate:
    """How many requests may be in flight at once, shared by all targets of one endpoint. Belongs to one event loop.

    Args:
        concurrency: 1 or more.
    """

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"a gate lets at least one request through, not {concurrency}")
        self._places = asyncio.Semaphore(concurrency)

    async def __aenter__(self) -> None:
        await self._places.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to ask again after a failure of the transport.

    Only errors that say so are retried (connection, 429, 5xx): they tell nothing about behaviour. A reply is never
    asked for twice; a canary that retries until it looks good is none.
    """

    attempts: int = 3
    """In all, 1 or more."""
    max_wait_s: float = 60.0
    """The longest pause between two attempts in seconds, also when the endpoint asks for more."""


async def replay(
    target: Target,
    provider: Provider,
    *,
    at: datetime,
    gate: Gate,
    retry: RetryPolicy,
    deadline_s: float,
    repeats: int | Mapping[str, int] | None = None,
    on_completion: Callable[[Completion], None] | None = None,
) -> tuple[Completion, ...]:
    """Ask every canary as often as a run does, or as told.

    Args:
        target: whose canaries are asked.
        provider: who is asked; it limits each request's time by itself.
        at: the run's time, aware UTC.
        gate: bounds the requests in flight; a request that waits to be retried leaves its place to others.
        retry: when to ask again.
        deadline_s: seconds for the whole run; requests unfinished by then become TIMEOUT completions.
        repeats: how often each canary is asked, 1 or more; a mapping says it by canary id, where what is absent is
            not asked; None takes the canary's own number, else the target's.
        on_completion: called with each completion as it comes, in the order they come.

    Returns:
        One completion per canary and repeat, in the suite's order whatever the order of asking.
    """
    asked = [(canary, repeat) for canary in target.canaries for repeat in range(_times(target, canary, repeats))]
    elapsed_s = stopwatch()
    request = _Requests(target, provider, at, gate, retry, deadline_s, elapsed_s, on_completion)
    # A fixed order would let a canary's place in the queue (warm caches, a rate limit reached) look like its answer.
    order = sorted(range(len(asked)), key=lambda i: content_hash([target.name, at.isoformat(), i]))
    tasks = {i: asyncio.create_task(request.ask(*asked[i])) for i in order}
    try:
        await asyncio.gather(*tasks.values())
    finally:
        # Reached early when the run is cancelled or on_completion raises: no request may outlive its run.
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    completions = tuple(tasks[i].result() for i in range(len(asked)))
    outcomes = Counter(completion.outcome.value for completion in completions)
    failures = [completion.error for completion in completions if not completion.is_ok]
    log.log(
        logging.WARNING if failures else logging.INFO,
        "replay.finished",
        target=target.name,
        **outcomes,
        duration_s=round(elapsed_s(), 3),
        **({"last_error": failures[-1]} if failures else {}),
    )
    return completions


def _times(target: Target, canary: Canary, repeats: int | Mapping[str, int] | None) -> int:
    if repeats is None:
        return target.repeats_for(canary)
    return repeats if isinstance(repeats, int) else repeats.get(canary.id, 0)


@dataclass(frozen=True, slots=True)
class _Requests:
    """What all requests of one run have in common."""

    target: Target
    provider: Provider
    at: datetime
    gate: Gate
    retry: RetryPolicy
    deadline_s: float
    elapsed_s: Callable[[], float]
    on_completion: Callable[[Completion], None] | None

    async def ask(self, canary: Canary, repeat: int) -> Completion:
        """One canary, once, with retries; whatever happens is a completion."""
        request = _Request(self, canary, repeat)
        completion = await request.run()
        if not completion.is_ok:
            # One line a request would bury an outage of an hour under its own noise: the run's line has the counts.
            log.debug(
                "replay.failed",
                target=self.target.name,
                canary=canary.id,
                repeat=repeat,
                outcome=completion.outcome.value,
                attempts=completion.attempts,
                error=completion.error,
            )
        if self.on_completion is not None:
            self.on_completion(completion)
        return completion


class _Request:
    """One canary asked once: its attempts, and the failure that stands when they are used up."""

    def __init__(self, run: _Requests, canary: Canary, repeat: int) -> None:
        self._run, self._canary, self._repeat = run, canary, repeat
        self._attempts = 0
        self._latency_s: Callable[[], float] = lambda: 0.0
        self._pending: ProviderError | None = None
        """The failure after which we are waiting to ask again; None while a request is under way."""

    async def run(self) -> Completion:
        remaining_s = self._run.deadline_s - self._run.elapsed_s()
        try:
            async with asyncio.timeout(remaining_s) as deadline:
                return await self._with_retries()
        except ProviderError as error:
            return self._failure(error.outcome, str(error))
        except TimeoutError as error:
            if not deadline.expired():
                return self._unexpected(error)
            return self._out_of_time()
        except Exception as error:  # noqa: BLE001 - a bug in one provider must not take the run of a whole suite with it
            return self._unexpected(error)

    async def _with_retries(self) -> Completion:
        policy = self._run.retry
        async for attempt in stamina.retry_context(
            on=self._wait_before_retry, attempts=policy.attempts, timeout=None, wait_max=policy.max_wait_s
        ):
            with attempt:
                # The gate is taken for each attempt: a request that waits must not hold up those that need not.
                async with self._run.gate:
                    self._attempts, self._pending, self._latency_s = attempt.num, None, stopwatch()
                    completion = await self._run.provider.complete(
                        self._run.target, self._canary, repeat=self._repeat, at=self._run.at
                    )
                    return replace(completion, attempts=self._attempts)
        raise AssertionError("stamina returns or raises")  # pragma: no cover

    def _wait_before_retry(self, error: Exception) -> bool | float:
        if not isinstance(error, ProviderError) or not error.retryable:
            return False
        self._freeze_latency()
        if error.retry_after_s is None:
            self._pending = error
            return True  # exponential back-off with jitter
        wait_s = min(error.retry_after_s, self._run.retry.max_wait_s)
        if self._run.elapsed_s() + wait_s >= self._run.deadline_s:
            return False  # the answer would come too late: keep the true outcome
        self._pending = error
        return wait_s

    def _freeze_latency(self) -> None:
        # The wait that follows is ours, not the endpoint's.
        latency_s = self._latency_s()
        self._latency_s = lambda: latency_s

    def _out_of_time(self) -> Completion:
        limit = f"the run's limit of {self._run.deadline_s:g} s"
        if self._pending is not None:
            return self._failure(self._pending.outcome, f"{self._pending}; {limit} left no time to ask again")
        if self._attempts == 0:
            return self._failure(Outcome.TIMEOUT, f"not asked: {limit} was over first")
        return self._failure(Outcome.TIMEOUT, f"no reply before {limit} was over")

    def _unexpected(self, error: Exception) -> Completion:
        log.error(
            "replay.unexpected",
            target=self._run.target.name,
            canary=self._canary.id,
            repeat=self._repeat,
            # Not exc_info: renderers may print local variables, and a provider's hold its key.
            error=mask(f"{type(error).__name__}: {error}"),
            frames="".join(traceback.format_tb(error.__traceback__)),
        )
        return self._failure(
            Outcome.MALFORMED,
            f"driftwatch could not handle the reply ({type(error).__name__}); this is a bug, see the log",
        )

    def _failure(self, outcome: Outcome, sentence: str) -> Completion:
        return Completion(
            canary_id=self._canary.id,
            canary_hash=self._canary.content_hash,
            repeat=self._repeat,
            outcome=outcome,
            at=self._run.at,
            latency_s=self._latency_s(),
            attempts=self._attempts,
            error=sentence,
        )
