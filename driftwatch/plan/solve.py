"""From a wish to a setting: about the fastest within so much money, or the cheapest that is fast enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from driftwatch.domain import Target
from driftwatch.plan.delays import N_SERIES as ALL_SERIES, delay, swap_delay
from driftwatch.plan.forecasts import CHANGES, Forecast, Known, Setting, cost_per_month, watch_of
from driftwatch.plan.noise import sd_ratio

SLACK = 1.25
"""How far above the wish a delay of the search may lie for the setting to be looked at thoroughly."""

INTERVALS_S = (
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    14_400.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
)
"""Intervals that are tried, beside the present one: 5 minutes to a week."""

MOST_REPEATS = 20
"""Repeats that are tried: as many as the config takes."""

SEARCH_SERIES = 24
"""Simulated series per size while searching; what is proposed is computed again with all of them."""

AS_FAST = 1.05
"""A delay up to so many times the shortest counts as equal, so that money decides: a simulation is no finer."""

Remake = Callable[[Setting], Target]
"""From a setting to the target as the config would make it: its threshold and calibration follow the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a wish comes to."""

    setting: Setting
    """The setting that meets it, or that comes closest."""
    is_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for, and what it comes to."""

    change: str
    """A key of CHANGES, or ``swap``."""
    usd_per_month: float | None = None
    seconds: float | None = None
    answer: Answer | None = None
    """None when nothing was asked for."""
    jitter_s: float = 0.0
    """Only intervals above it were tried: a jitter that is written down must be shorter. 0: none is."""
    unbound: Forecast | None = None
    """What the jitter kept from being proposed; None when the answer would be the same without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    setting: Setting
    target: Target
    cost: float
    """US dollars per month, requests per month when the price is unknown."""

    @property
    def least_s(self) -> float:
        """Seconds below which no median lies: the wait for the first run alone is half an interval."""
        return self.setting.interval_s / 2


def within_budget(known: Known, remake: Remake, *, usd_per_month: float, change: str, above_s: float = 0.0) -> Answer:
    """The cheapest of the settings that tell a change within AS_FAST of the soonest for so much money.

    Args:
        known: what is known of the target; its price must be.
        remake: makes the target of a setting.
        usd_per_month: above 0.
        change: a key of CHANGES, or ``swap``.
        above_s: only longer intervals are tried: the config would refuse the others.

    Returns:
        Not met when even the cheapest setting costs more; then it is the cheapest.

    Raises:
        ValueError: the price is unknown.
    """
    if known.price is None:
        raise ValueError("without a price there is no cost to compare with a budget")
    candidates = _candidates(known, remake, above_s)
    affordable = [candidate for candidate in candidates if candidate.cost <= usd_per_month]
    if affordable:
        return Answer(setting=_fastest(known, affordable, change), is_met=True)
    return Answer(setting=min(candidates, key=lambda c: c.cost).setting, is_met=False)


def within_delay(known: Known, remake: Remake, *, seconds: float, change: str, above_s: float = 0.0) -> Answer:
    """The cheapest setting that tells a change within a time in half of all cases; by requests without a price.

    Args:
        known: what is known of the target.
        remake: makes the target of a setting.
        seconds: from the change to the alarm, above 0.
        change: a key of CHANGES, or ``swap``.
        above_s: as for ``within_budget``.

    Returns:
        Not met when no setting is fast enough; then it is the cheapest of those within AS_FAST of the fastest.
    """
    candidates = _candidates(known, remake, above_s)
    for candidate in sorted(candidates, key=lambda c: c.cost):
        # The search's few series leave a little slack; the thorough simulation decides.
        if (
            candidate.least_s <= seconds
            and _delay(known, candidate.target, change, n_series=SEARCH_SERIES) <= SLACK * seconds
            and _delay(known, candidate.target, change) <= seconds
        ):
            return Answer(setting=candidate.setting, is_met=True)
    return Answer(setting=_fastest(known, candidates, change), is_met=False)


def _candidates(known: Known, remake: Remake, above_s: float) -> list[_Candidate]:
    """Shorter intervals first, then fewer repeats."""
    present = Setting(interval_s=known.present.interval_s, repeats=known.present.repeats)
    found = []
    for interval_s in sorted({present.interval_s, *(i for i in INTERVALS_S if i > above_s)}):
        for repeats in range(1, MOST_REPEATS + 1):
            setting = Setting(interval_s=interval_s, repeats=repeats)
            target = known.present if setting == present else remake(setting)
            cost = cost_per_month(known, target)
            found.append(
                _Candidate(setting=setting, target=target, cost=cost.requests if cost.usd is None else cost.usd)
            )
    return found


def _fastest(known: Known, candidates: Sequence[_Candidate], change: str) -> Setting:
    """The cheapest of those that are as fast as any; candidates in order of their intervals."""
    soonest, timed = math.inf, []
    for candidate in candidates:
        if candidate.least_s <= AS_FAST * soonest:
            seconds = _delay(known, candidate.target, change, n_series=SEARCH_SERIES)
            soonest = min(soonest, seconds)
            timed.append((candidate.cost, seconds, candidate.setting))
    as_fast = [(cost, seconds, setting) for cost, seconds, setting in timed if seconds <= AS_FAST * soonest]
    return min(as_fast, key=lambda made: made[:2])[2]


def _delay(known: Known, target: Target, change: str, *, n_series: int = ALL_SERIES) -> float:
    """Median seconds to the alarm; infinite for never."""
    watch = watch_of(known, target)
    if change not in CHANGES:
        return swap_delay(watch, n_series=n_series).seconds
    return delay(watch, CHANGES[change] / sd_ratio(target, known.present), n_series=n_series).seconds
