"""Whether a run can be paid and out of what: the caps of the config against what the store says was spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from driftwatch.alert.text import when
from driftwatch.collecting import anchoring
from driftwatch.domain import Baseline, BaselineState, Ceiling, Completion, RunState, Spending, Target
from driftwatch.errors import DriftwatchError
from driftwatch.store import Store
from driftwatch.usage import (
    STOPPED,
    Amount,
    Cap,
    Expectation,
    Period,
    Price,
    Purse,
    Tokens,
    bounds,
    measured_tokens,
    of,
)

log = structlog.get_logger()

RECENT_RUNS = 5
"""Runs whose replies say what the next one is expected to take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How one target is paid."""

    caps: tuple[Cap, ...] = ()
    """Its own, and those of all targets together."""
    price: Price | None = None
    attempts: int = 1
    """The most attempts at one question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """How far one cap of a day or month is used up."""

    cap: Cap
    spent: float
    """With what is set aside for runs under way."""
    since: datetime
    until: datetime

    @property
    def left(self) -> float:
        """Never below 0: a cap may be lowered under what was spent."""
        return max(0.0, self.cap.limit - self.spent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Why a target is not asked for the time being."""

    target: str
    cap: Cap
    spent: float
    needed: float
    """What the next run is expected to take."""
    since: datetime
    """When the cap's period began."""
    until: datetime | None
    """When it ends; None: a whole run is beyond the cap at any time, so the config has to change or the replies."""
    again_at: datetime
    """When to look again."""
    is_passing: bool = False
    """Whether there is room as soon as a run under way ends, which is no news unless it lasts."""

    def holds(self, at: datetime) -> bool:
        """Whether it need not be looked at again."""
        return not self.is_passing and self.since <= at < self.again_at

    def is_same(self, other: Pause | None) -> bool:
        """Whether somebody who was told of the other knows of this one."""
        if other is None or self.is_passing is not other.is_passing:
            return False
        return (self.cap, self.since, self.until) == (other.cap, other.since, other.until)

    @property
    def sentence(self) -> str:
        """For a person."""
        cap, needed = self.cap, self.cap.in_words(self.needed)
        whose = "of all targets " if cap.target is None else ""
        if self.until is None:
            said = f"paused by its budget: a run takes about {needed}, {cap.key} allows {cap.in_words(cap.limit)}"
            return said if cap.amount is Amount.REQUESTS else f"{said}; once a day it is tried how far that goes"
        spent = f"{cap.in_words(self.spent)} {whose}of {cap.in_words(cap.limit)} a {cap.period} are spent"
        if self.is_passing:
            return f"waits for runs under way: {spent} or set aside for them, a run takes about {needed} ({cap.key})"
        return (
            f"paused by its budget until {when(self.until)}: {spent}, a run takes about {needed} ({cap.key}); "
            "it goes on by itself"
        )


class OverBudget(DriftwatchError):
    """A run is not begun, because it could not be paid in full."""

    def __init__(self, pause: Pause) -> None:
        self.pause = pause
        super().__init__(f"{pause.target}: {pause.sentence}")


class Pauses:
    """Which targets this process knows to be paused; each pause is logged once.

    Args:
        longest: target name → how long one of its runs can take. A target that waits for longer than that for runs
            under way is told of like any other pause.
    """

    def __init__(self, longest: Callable[[str], timedelta]) -> None:
        self._longest = longest
        self._by_target: dict[str, Pause] = {}
        self._told: dict[str, Pause] = {}
        self._waiting_since: dict[str, datetime] = {}
        """Of those whose pause is passing."""

    def begin(self, pause: Pause, at: datetime) -> None:
        """A run was not begun."""
        self._by_target[pause.target] = pause
        if not pause.is_passing:
            self._waiting_since.pop(pause.target, None)
        elif at - self._waiting_since.setdefault(pause.target, at) < self._longest(pause.target):
            return
        if pause.is_same(self._told.get(pause.target)):
            return
        self._told[pause.target] = pause
        log.warning(
            "budget.paused",
            target=pause.target,
            cap=pause.cap.key,
            limit=pause.cap.limit,
            spent=round(pause.spent, 6),
            needed=round(pause.needed, 6),
            until=None if pause.until is None else pause.until.isoformat(),
            sentence=pause.sentence,
        )

    def end(self, target: str) -> None:
        """A run was made."""
        self._by_target.pop(target, None)
        self._waiting_since.pop(target, None)
        told = self._told.pop(target, None)
        if told is not None:
            log.info("budget.resumed", target=target, cap=told.cap.key)

    def standing(self, at: datetime) -> dict[str, Pause]:
        """Target name → its pause, of those that need not be looked at again; callable from any thread."""
        return {pause.target: pause for pause in list(self._by_target.values()) if pause.holds(at)}

    def worth_telling(self, at: datetime) -> dict[str, Pause]:
        """As ``standing``, with those that have waited too long for runs under way; callable from any thread."""
        pauses = list(self._by_target.values())
        waiting = {
            p.target: p for p in pauses if p.is_passing and p.is_same(self._told.get(p.target)) and at < p.again_at
        }
        return self.standing(at) | waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a run may ask and take."""

    asks: Mapping[str, int]
    """Canary id → how often."""
    reserved: Spending = field(default_factory=Spending)
    ceilings: tuple[Ceiling, ...] = ()
    purse: Purse | None = None
    """None: nothing is capped."""


def weigh(
    store: Store, account: Account, target: Target, asks: Mapping[str, int], *, at: datetime, may_split: bool
) -> Grant | Pause:
    """Decide whether a run can be paid in full, and set its limits.

    Args:
        store: read only.
        account: whose caps.
        target: with the canaries that are asked.
        asks: canary id → how often.
        at: when the run begins, aware UTC.
        may_split: whether fewer questions are of use: what is collected may be collected in several runs.

    Returns:
        A grant when every cap has room for what the questions are expected to take with one attempt each. What is set
        aside for the run is the most that it may take, where there is room for that. A run that is expected to be
        beyond a cap at any time is granted once a day all the same, and ends at the cap: what is expected may be a
        guess, or come from replies that were long for an hour.
    """
    if not account.caps:
        return Grant(asks=asks)
    counts_tokens = any(cap.amount is not Amount.REQUESTS for cap in account.caps)
    expectation = Expectation(
        target=target, price=account.price, measured=_measured(store, target) if counts_tokens else {}
    )
    states = [(cap, _used(store, cap, at)) for cap in account.caps]
    room = {cap: cap.limit if used is None else used.left for cap, used in states}
    if may_split:
        asks = _split(expectation, asks, room)
    needed = expectation.spending(asks)
    short = [(cap, used) for cap, used in states if not _fits(of(needed, cap.amount), room[cap])]
    if short and not _is_worth_a_try(store, target, short, needed, at):
        return _pause(store, target, short, needed, at)
    return _grant(account, expectation, asks, states, needed)


def next_pause(store: Store, account: Account, target: Target, at: datetime) -> Pause | None:
    """Why the target's next run would not be begun at this time; None when it would."""
    if not account.caps:
        return None
    baseline = store.current_baseline(target.name)
    if baseline is None or (baseline.state is BaselineState.COLLECTING and anchoring(store, target, baseline).repeats):
        # Anchors are collected as far as the budget allows, so one of each is what is needed.
        asks, may_split = {canary.id: 1 for canary in target.canaries}, True
    else:
        watched = anchoring(store, target, baseline).canaries
        asks, may_split = {canary.id: target.repeats_for(canary) for canary in watched}, False
    found = weigh(store, account, target, asks, at=at, may_split=may_split)
    return found if isinstance(found, Pause) else None


def used(store: Store, account: Account, at: datetime) -> list[Used]:
    """How far each cap of a day or month is used up."""
    return [found for cap in account.caps if (found := _used(store, cap, at)) is not None]


# ---------------------------------------------------------------- private


def _used(store: Store, cap: Cap, at: datetime) -> Used | None:
    if cap.period is Period.RUN:
        return None
    since, until = bounds(cap.period, at)
    spent = of(store.spent(since=since, until=until, target=cap.target), cap.amount)
    return Used(cap=cap, spent=spent, since=since, until=until)


def _measured(store: Store, target: Target) -> dict[str, Tokens]:
    baseline: Baseline | None = store.current_baseline(target.name)
    if baseline is None:
        return {}
    recent = store.runs(
        target.name,
        baseline_id=baseline.id,
        states=(RunState.MEASURED, RunState.JUDGED),
        limit=RECENT_RUNS,
        newest_first=True,
    )
    stored = store.completions([run.id for run in recent])
    late = _mean(target, stored.values())
    anchors = store.anchors(baseline.id)
    return late if set(late) >= set(anchors) else _mean(target, anchors.values()) | late


def _mean(target: Target, stored: Iterable[Sequence[Completion]]) -> dict[str, Tokens]:
    """Without the counts that nobody believes: one of them would make every run too dear for as long as it counts."""
    unmeasured = Expectation(target=target, price=None, measured={})
    return measured_tokens([c for those in stored for c in those if unmeasured.is_credible(c)])


def _fits(needed: float, room: float) -> bool:
    return needed <= room * (1 + 1e-9)


def _split(expectation: Expectation, asks: Mapping[str, int], room: Mapping[Cap, float]) -> Mapping[str, int]:
    """As many of the questions as can be paid, as often each as the others; once each at least."""

    def level(most: int) -> dict[str, int]:
        return {canary: min(n, most) for canary, n in asks.items()}

    low, high = 1, max(asks.values(), default=1)
    while low < high:
        middle = (low + high + 1) // 2
        needed = expectation.spending(level(middle))
        if all(_fits(of(needed, cap.amount), left) for cap, left in room.items()):
            low = middle
        else:
            high = middle - 1
    return level(low)


def _is_worth_a_try(
    store: Store, target: Target, short: Sequence[tuple[Cap, Used | None]], needed: Spending, at: datetime
) -> bool:
    """Whether nothing but an expectation of tokens stands against a run, and no run of this day has tested it."""
    for cap, state in short:
        left = cap.limit if state is None else state.left
        if cap.amount is Amount.REQUESTS or _fits(of(needed, cap.amount), cap.limit) or not left:
            return False
    today, _ = bounds(Period.DAY, at)
    latest = store.runs(target.name, limit=1, newest_first=True)
    return not latest or latest[0].started_at < today


def _pause(
    store: Store, target: Target, short: Sequence[tuple[Cap, Used | None]], needed: Spending, at: datetime
) -> Pause:
    """Of several caps the one that pauses for longest is told."""
    _, tomorrow = bounds(Period.DAY, at)
    pauses = []
    for cap, state in short:
        need = of(needed, cap.amount)
        is_hopeless = state is None or not _fits(need, cap.limit)
        today, _ = bounds(Period.DAY, at)
        passes = False
        if state is not None and not is_hopeless:
            settled = store.spent(since=state.since, until=state.until, target=cap.target, settled_only=True)
            passes = _fits(of(settled, cap.amount) + need, cap.limit)
        pauses.append(
            Pause(
                target=target.name,
                cap=cap,
                spent=0.0 if state is None else state.spent,
                needed=need,
                since=today if state is None or is_hopeless else state.since,
                until=None if state is None or is_hopeless else state.until,
                again_at=tomorrow if state is None or is_hopeless else state.until,
                is_passing=passes,
            )
        )
    return max(pauses, key=lambda pause: (not pause.is_passing, pause.until is None, pause.again_at))


def _grant(
    account: Account,
    expectation: Expectation,
    asks: Mapping[str, int],
    states: Sequence[tuple[Cap, Used | None]],
    needed: Spending,
) -> Grant:
    most = expectation.spending(asks, at_most=True)
    wanted = {Amount.REQUESTS: most.requests * account.attempts, Amount.TOKENS: most.tokens, Amount.USD: most.usd}
    limit: dict[Amount, float] = {}
    why: dict[Amount, str] = {}
    for cap, state in states:
        left = cap.limit if state is None else state.left
        if cap.amount not in limit:
            limit[cap.amount] = wanted[cap.amount]
            why[cap.amount] = f"the run takes more than the {cap.in_words(wanted[cap.amount])} set aside for it"
        if left < limit[cap.amount]:
            limit[cap.amount] = left
            what = "" if cap.period is Period.RUN else "what is left of "
            why[cap.amount] = f"the run has used up {what}{cap.in_words(cap.limit)} a {cap.period} ({cap.key})"
    kept = {amount: limit.get(amount, of(needed, amount)) for amount in Amount}
    ceilings = tuple(
        Ceiling(
            since=state.since,
            until=state.until,
            target=cap.target,
            **{cap.amount.value: cap.limit},
        )
        for cap, state in states
        if state is not None
    )
    return Grant(
        asks=asks,
        reserved=Spending(
            requests=math.floor(kept[Amount.REQUESTS]),
            tokens=math.floor(kept[Amount.TOKENS]),
            usd=kept[Amount.USD],
        ),
        ceilings=ceilings,
        purse=Purse(expectation, asks, limit=limit, why={amount: f"{STOPPED}: {each}" for amount, each in why.items()}),
    )
