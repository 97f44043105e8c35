"""Dependence: what one run says about the next, learned from calibration runs once and taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect.rhythm import LEAST_RUNS, TINY, mean, median_interval_s

Floats = NDArray[np.float64]

PERSISTENCES = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""φ: how much of the run effect is left one run later."""
GAINS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""g: how much of a surprise is taken to last. 1 is a plain AR(1); less allows for sampling noise on top of it."""

OWN_RATIO, COMMON_RATIO = 7.0, 0.8
"""Twice the log likelihood ratio from which dependence counts: in one column, and in the mean of all, which shows run
effects that each column's own noise hides. Missing weak dependence breaks the budget, filtering where there is none
costs less: at .8 a fifth of independent calibrations are filtered, and over all nine tenths of a lasting shift stay."""

COMMON_WEIGHT = 2.0
"""How much the mean's likelihood of a persistence counts beside a column's own: run effects are the endpoint's."""

CAUTION = 2.5
"""Log likelihood by which a more persistent filter may be worse than the best, and no more than half of what the best
one gains. Too weak a filter breaks the alarm budget for good, too strong a one costs runs. These four were tuned on
seeds 11 to 16 of six noise models, 120 series of 1,000 runs each at A = 20,000: with 1 … 2 … 3 the series with an alarm
fell from 9 … 7 … 4 % where half of each channel is AR(.7), and a change of four deviations took 5 … 7 … 8 runs."""


BURST = 0.5
"""How much of a run a run of a confirmation burst is expected to repeat. Effects of minutes, a busy pool or a route,
show in no hourly calibration, and a burst looks just inside them, having selected an extreme. A swapped model is as far
out at half its distance; what is not need not be confirmed within minutes."""

SOON = 0.5
"""Part of the interval within which a run belongs to a burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a filter carries from run to run."""

    expected: Floats
    """(C,) what the next value is expected to be."""
    latest: Floats
    """(C,) the latest value, 0 where it was not measured."""
    at: float | None = None
    """When the latest run was, s since 1970; None before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependence:
    """How the runs of C columns depend on each other: x_t = μ_t + e_t, where μ' = φ(μ + g·e).

    e is the surprise of a run, whose order detection ranks; independent runs have φ = 0 and are left as they are.
    Source: the innovations form of an AR(1) level under noise, Durbin & Koopman, Time Series Analysis by State Space
    Methods, with fixed gain; equal to an ARMA(1,1) with θ = φ(1 − g).
    """

    persistence: Floats
    """(C,) φ in [0, 1); 0 where no dependence was found."""
    gain: Floats
    """(C,) g in [0, 1]."""
    interval_s: float
    """Median time between calibration runs, s."""
    wander: Floats
    """(C,) standard deviation of μ."""

    @property
    def widening(self) -> Floats:
        """(C,) factor ≥ 1 by which dependence widens the standard error of the calibration mean."""
        wider: Floats = (1.0 - self.persistence * (1.0 - self.gain)) / (1.0 - self.persistence)
        return wider

    def start(self) -> Memory:
        """The memory before the first calibration run."""
        nothing = np.zeros(self.persistence.size)
        return Memory(expected=nothing, latest=nothing)

    def surprises(self, values: Floats, at: Floats, memory: Memory) -> tuple[Floats, Memory]:
        """Take what was to be expected out of runs that follow each other.

        A run of a confirmation burst, within half an interval of the one before, is expected to repeat BURST of it
        where that is more than the filter says; after a gap of n intervals the expectation has faded by φⁿ.

        Args:
            values: (T, C) around 0; NaN = not measured: no surprise, and the expectation fades.
            at: (T,) s since 1970; a clock that goes backwards counts as one interval.
            memory: after the run before; ``start()`` at the beginning.

        Returns:
            (T, C) surprises, NaN where the value is; and the memory after the last run.
        """
        if not len(values):
            return values, memory
        steps = np.diff(at, prepend=at[0] - self.interval_s if memory.at is None else memory.at) / self.interval_s
        soon = (steps > 0) & (steps < SOON)
        if not self.persistence.any() and not soon.any():
            return values, Memory(expected=memory.expected, latest=np.nan_to_num(values[-1]), at=float(at[-1]))
        missed = np.maximum(np.round(steps) - 1.0, 0.0)
        expected, latest = memory.expected, memory.latest
        surprise = np.empty_like(values)
        for t, row in enumerate(values):
            if missed[t]:
                expected = expected * self.persistence ** missed[t]
            repeated = BURST * latest
            more = soon[t] & (np.abs(repeated) > np.abs(expected))
            surprise[t] = row - np.where(more, repeated, expected)
            latest = np.nan_to_num(row)
            expected = self.persistence * (expected + self.gain * np.nan_to_num(row - expected))
        return surprise, Memory(expected=expected, latest=latest, at=float(at[-1]))


def learn(rest: Floats, at: Floats) -> Dependence:
    """Learn how calibration runs depend on each other.

    The likeliest filter per column, drawn towards the one that fits all columns best, since run effects are the
    endpoint's; of nearly as likely ones the most persistent. Columns that are constant or short have none.

    Args:
        rest: (K, C) calibration runs without level and rhythm, NaN = not measured.
        at: (K,) s since 1970, in the order of the runs.
    """
    n_channels = rest.shape[1]
    phi, gain = np.zeros(n_channels), np.zeros(n_channels)
    known = np.isfinite(rest)
    n = known.sum(axis=0)
    centred = np.where(known, rest - np.nan_to_num(np.array([mean(column) for column in rest.T])), 0.0)
    total = (centred**2).sum(axis=0)
    usable = (n >= LEAST_RUNS) & (total > TINY)
    if not usable.any():
        return Dependence(persistence=phi, gain=gain, interval_s=median_interval_s(at), wander=np.zeros(n_channels))
    grid = np.array([(p, g) for p in PERSISTENCES for g in GAINS])
    columns, is_known = _with_mean(centred[:, usable] / np.sqrt(total[usable] / n[usable]), known[:, usable])
    n_known = is_known.sum(axis=0)
    likelihood = 0.5 * n_known * np.log((columns**2).sum(axis=0) / _squares(columns, is_known, grid))
    own, common = likelihood[:, :-1], likelihood[:, -1]
    found = (2 * own.max(axis=0) > OWN_RATIO) | (2 * common.max() > COMMON_RATIO)
    # The persistence is the endpoint's, the gain each column's: it has its own sampling noise.
    by_persistence = np.repeat(common.reshape(len(PERSISTENCES), -1).max(axis=1), len(GAINS))
    together = own + COMMON_WEIGHT * by_persistence[:, None]
    caution = np.minimum(CAUTION, np.maximum(own.max(axis=0), common.max()) / 2)
    near_best = together >= together.max(axis=0) - caution * (1.0 + COMMON_WEIGHT)
    lasting = np.log((1.0 - grid[:, 0] * (1.0 - grid[:, 1])) / (1.0 - grid[:, 0]))
    chosen = np.where(near_best, lasting[:, None], -1.0).argmax(axis=0)
    phi[usable] = np.where(found, grid[chosen, 0], 0.0)
    gain[usable] = np.where(found, grid[chosen, 1], 0.0)
    spread = np.sqrt(total / np.maximum(n - 1, 1))
    # x = μ + e with μ' = φ(μ + g·e): var μ = (φg)²·var e / (1 − φ²), hence its part of var x
    ratio = (phi * gain) ** 2 / (1.0 - phi**2)
    wander = spread * np.sqrt(ratio / (1.0 + ratio))
    return Dependence(persistence=phi, gain=gain, interval_s=median_interval_s(at), wander=wander)


def _with_mean(columns: Floats, known: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """The columns and, last, their mean: it shows run effects that each column's own noise hides."""
    counted = known.sum(axis=1)
    mean_of = np.where(counted > 0, columns.sum(axis=1) / np.maximum(counted, 1), 0.0)
    mean_of = np.where(counted > 0, mean_of - mean_of[counted > 0].mean(), 0.0)
    if float(mean_of @ mean_of) < TINY:
        mean_of = columns[:, 0]
    return np.hstack([columns, mean_of[:, None]]), np.hstack([known, (counted > 0)[:, None]])


def _squares(centred: Floats, known: NDArray[np.bool_], grid: Floats) -> Floats:
    """(grid, C) sums of squared surprises of every filter."""
    phi, gain = grid[:, 0][:, None], grid[:, 1][:, None]
    expected = np.zeros((len(grid), centred.shape[1]))
    squares = np.zeros_like(expected)
    for row, is_known in zip(centred, known, strict=True):
        surprise = np.where(is_known, row - expected, 0.0)
        squares += surprise**2
        expected = phi * (expected + gain * surprise)
    floored: Floats = np.maximum(squares, TINY)
    return floored
