"""When a request may be sent: places in flight that adapt to the endpoint, its rates, and its wish to be left alone."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from driftwatch.domain import Canary, Completion, Target
from driftwatch.errors import ProviderError, ProviderTimeout, RateLimited, ReplyUnreadable
from driftwatch.replay.headers import told_by
from driftwatch.replay.quotas import Cost
from driftwatch.replay.rates import Bucket, Limits, Rates
from driftwatch.replay.retries import PER_HOUR
from driftwatch.replay.timing import RealTime, Timing

START = 8
"""Requests in flight at first: one round trip's worth of refusals at most, should the configured number be too many."""
LONGEST_HOLD_S = 3600.0
"""The longest that one Retry-After keeps a gate shut, s: a request an hour harms nobody, a mistaken header would."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""How long the gate is shut after an overload, s: it doubles with each that follows without a reply between, up to the
longest. What counts by the second is whole again after the first, and a dead endpoint is asked twice a minute."""
GIVEN_UP_AFTER = 5
"""Overloads in a row, 15 s of pauses, after which those in line are sent away for as long as the pause lasts: an outage
is known by then, and `check` must not wait it out request by request."""
SHORTEST_WAIT_S = 0.001
"""The shortest wait for a limit, s: less is a rounding error, which would not move a clock on at all."""
RUNS_PER_PLACE = 2
"""Runs that ask at once for each request in flight. More would only hold half-finished runs in memory; fewer would let
places stand empty while a run measures its replies."""


class Held(Exception):
    """The request cannot be sent before its run's time is over; ``str()`` says what holds it back."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """A request that stands in line."""

    number: int
    target: Target
    canary: Canary
    cost: Cost
    left_s: Callable[[], float]
    admitted: asyncio.Future[Ticket]


@dataclass(slots=True, eq=False)
class Ticket:
    """One request that was let through."""

    number: int
    """How many were let through before it."""
    model: str
    canary_id: str
    cost: Cost


class Gate:
    """Lets requests through, for all targets of one endpoint and key together. Belongs to one event loop.

    Requests wait in line, first come first served, one line for each model: its own limits hold up no other. The first
    of a line is let through when no Retry-After holds the gate, the rates allow it, and a place is free.

    Places adapt: from ``START`` one more with every reply until the first overload, which halves them; from then on one
    more with every roundful of replies. Only replies that come while half of the places are taken count, and of the
    requests that are in flight at an overload only one halves. After it nobody is let through for a while, whether the
    endpoint says for how long or not: those in line would only be refused too.

    Source: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer
    Networks", 1989 (additive increase and multiplicative decrease are what converges to a fair share); RFC 5681,
    section 3.1 (slow start, and once per round trip); RFC 7661 (no growth while less than half is used).

    Args:
        concurrency: the most requests in flight, 1 or more.
        limits: requests and tokens a minute.
        timing: what waits are measured in; the machine's clock when None.
    """

    def __init__(self, concurrency: int, *, limits: Limits | None = None, timing: Timing | None = None) -> None:
        if concurrency < 1:
            raise ValueError(f"a gate lets at least one request through, not {concurrency}")
        self.most = concurrency
        """The most requests in flight that may ever be allowed."""
        self.allowed = min(concurrency, START)
        """Requests in flight that are allowed now, 1 … ``most``."""
        self.in_flight = 0
        self.timing = timing if timing is not None else RealTime()
        self.rates = Rates(limits or Limits(), self.timing.now_s)
        self.retries = Bucket(PER_HOUR / 3600, PER_HOUR, self.timing.now_s)
        """Retries of the last hour, over all runs."""
        self._slow_start_to = concurrency
        self._n_sent = self._n_good = 0
        self._halved_at = -1
        self._held_until = self._paused_until = 0.0
        self._n_overloads = 0
        self._n_waited = 0
        self._lines: dict[str, deque[_Waiter]] = {}
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0.0
        self._runs = asyncio.Semaphore(RUNS_PER_PLACE * concurrency)

    @property
    def is_held(self) -> bool:
        """Whether the endpoint is to be left alone for now."""
        return max(self._held_until, self._paused_until) > self.timing.now_s()

    @asynccontextmanager
    async def run(self, deadline_s: float) -> AsyncIterator[Callable[[], float]]:
        """Wait for a run's turn, so that a thousand runs of one minute are not all half finished at once.

        Args:
            deadline_s: the run's; a wait that lasts so long ends without a turn, as nothing is left to ask in.

        Yields:
            Seconds since the run was begun, the wait included.
        """
        since = self.timing.now_s()
        has_turn = False
        try:
            async with asyncio.timeout(deadline_s):
                has_turn = await self._runs.acquire()
        except TimeoutError:
            pass
        try:
            yield lambda: self.timing.now_s() - since
        finally:
            if has_turn:
                self._runs.release()

    async def admit(self, target: Target, canary: Canary, *, left_s: Callable[[], float]) -> Ticket:
        """Return when the request may be sent; whoever calls must end the ticket.

        Args:
            target: who is asked; its model names the line.
            canary: what is asked, for the tokens it will use.
            left_s: seconds that its run has left.

        Raises:
            Held: what holds it back lasts longer than that, or the endpoint is overloaded for good.
        """
        admitted: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._n_waited += 1
        cost = self.rates.expected(target, canary)
        waiter = _Waiter(self._n_waited, target, canary, cost, left_s, admitted)
        self._lines.setdefault(target.model, deque()).append(waiter)
        self._dispatch()
        try:
            return await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled() and admitted.exception() is None:
                self.give_back(admitted.result())  # let through and cancelled in the same moment
            else:
                self._dispatch()
            raise

    def give_back(self, ticket: Ticket) -> None:
        """End a ticket whose request was not sent."""
        self.rates.give_back(ticket.model, ticket.cost)
        self._leave()

    def answered(self, ticket: Ticket, completion: Completion, *, now: datetime) -> None:
        """End a ticket whose request was answered."""
        told = told_by(completion.headers, at=now) if completion.headers else ()
        if completion.input_tokens is None and completion.output_tokens is None:
            self.rates.settle(ticket.model, ticket.cost, ticket.cost, told)
        else:
            used = Cost(1, completion.input_tokens or 0, completion.output_tokens or 0)
            self.rates.settle(ticket.model, ticket.cost, used, told, canary_id=ticket.canary_id)
        if ticket.number > self._halved_at:
            self._n_overloads = 0
        if 2 * self.in_flight >= self.allowed and self.allowed < self.most:
            self._n_good += 1
            if self.allowed < self._slow_start_to or self._n_good >= self.allowed:
                self.allowed, self._n_good = self.allowed + 1, 0
        self._leave()

    def failed(self, ticket: Ticket, error: ProviderError | None, *, now: datetime) -> None:
        """End a ticket whose request failed; None when it was broken off on our side."""
        told = told_by(error.headers, at=now) if error is not None and error.headers else ()
        is_overload = error is not None and (isinstance(error, RateLimited) or error.is_overload)
        # Whoever says no has used no tokens; whoever says nothing, or says it in the middle of a reply, may have.
        said_no = (
            error is not None and not error.reply_began and not isinstance(error, ProviderTimeout | ReplyUnreadable)
        )
        used = Cost() if said_no else ticket.cost
        self.rates.settle(ticket.model, ticket.cost, used, told, is_refusal=is_overload)
        if error is not None:
            if is_overload:
                self._overloaded(ticket)
            if error.retryable and error.retry_after_s is not None:
                hold_s = min(error.retry_after_s, LONGEST_HOLD_S)
                self._held_until = max(self._held_until, self.timing.now_s() + hold_s)
        self._leave()

    def _dispatch(self) -> None:
        """Let through whom it may; a loop and no chain of wake-ups, so that a free place is never left standing."""
        waits: dict[str, float] = {}
        while self.in_flight < self.allowed and len(waits) < len(self._lines):
            line = min((line for model, line in self._lines.items() if model not in waits), key=_first)
            waiter = line[0]
            model = waiter.target.model
            wait_s, reason = (0.0, "") if waiter.admitted.done() else self._wait(model, waiter.cost)
            if 0 < wait_s < waiter.left_s():
                waits[model] = wait_s
                continue
            line.popleft()
            if not line:
                del self._lines[model]
            if waiter.admitted.done():
                continue  # it gave up
            if wait_s > 0:
                waiter.admitted.set_exception(Held(reason if wait_s == math.inf else f"{reason} leaves no time for it"))
                continue
            self.in_flight += 1
            self._n_sent += 1
            self.rates.take(model, waiter.cost)
            waiter.admitted.set_result(Ticket(self._n_sent, model, waiter.canary.id, waiter.cost))
        self._look_again_in(min(waits.values(), default=None))

    def _look_again_in(self, wait_s: float | None) -> None:
        wait_s = None if wait_s is None else max(wait_s, SHORTEST_WAIT_S)
        due = None if wait_s is None else self.timing.now_s() + wait_s
        if self._alarm is not None and (due is None or due < self._alarm_at):
            self._alarm.cancel()
            self._alarm = None
        if wait_s is not None and due is not None and self._alarm is None:
            self._alarm_at = due
            self._alarm = asyncio.create_task(self._ring(wait_s))

    async def _ring(self, wait_s: float) -> None:
        await self.timing.sleep(wait_s)
        self._alarm = None
        self._dispatch()

    def _wait(self, model: str, cost: Cost) -> tuple[float, str]:
        now = self.timing.now_s()
        held_s, paused_s = self._held_until - now, self._paused_until - now
        if paused_s > 0 and self._n_overloads >= GIVEN_UP_AFTER:
            return math.inf, f"the endpoint was overloaded {self._n_overloads} times in a row"
        return max(
            self.rates.wait_s(model, cost),
            (held_s, f"the endpoint's wish to be left alone for another {held_s:.0f} s"),
            (paused_s, f"a pause of another {paused_s:.0f} s for an overloaded endpoint"),
        )

    def _overloaded(self, ticket: Ticket) -> None:
        if ticket.number <= self._halved_at:
            return  # it was sent before the last halving could tell
        # The exponent is bounded: a float overflows at the thousandth overload.
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._n_overloads, 16))
        self._paused_until = self.timing.now_s() + pause_s
        self._n_overloads += 1
        self._halved_at, self._n_good = self._n_sent, 0
        self.allowed = self._slow_start_to = max(1, self.allowed // 2)

    def _leave(self) -> None:
        self.in_flight -= 1
        self._dispatch()


def _first(line: deque[_Waiter]) -> int:
    return line[0].number
