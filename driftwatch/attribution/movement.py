"""Does another series show the same change? One figure with an interval that heeds rhythm and dependence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.attribution.facts import Movement

Floats = NDArray[np.float64]

LEADING = 3
"""Channels of the target's change that are looked for elsewhere: those that moved farthest beyond their noise."""

MOST_AFTER = 24
"""Runs since the onset that are looked at, at most: later ones may belong to something else."""

LEAST_AFTER = 2
"""With one run, a difference in the hour at which the two targets were asked could decide."""

LEAST_BEFORE = 16
"""Runs before the onset below which nothing is known of a series' own noise."""

WINDOWS = 4
"""Stretches as long as the one since the onset that must fit into the time before it, or fewer runs are compared."""

SAME = 0.5
"""Share of the target's change: what shows at least this much and is no chance moved too, what certainly shows less did
not. Hosts of one model differ in noise and settings, so that a change is not as large everywhere."""

SMALL = 0.25
"""Share that is too little for the same change even where it is no chance."""

CONFIDENCE = 0.95
"""Of the interval on the share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One channel of a series around the onset."""

    before: Floats
    """(N,) scores in [0, 1] before the onset, in order; NaN where not measured."""
    after: Floats
    """(n,) scores since the onset, the first ``MOST_AFTER``."""

    @property
    def shift(self) -> float:
        """Mean since less mean before; NaN without both."""
        before, after = self.before[~np.isnan(self.before)], self.after[~np.isnan(self.after)]
        return float(after.mean() - before.mean()) if len(before) and len(after) else math.nan

    @property
    def noise(self) -> float:
        """Standard deviation before the onset; NaN without two runs."""
        before = self.before[~np.isnan(self.before)]
        return float(before.std(ddof=1)) if len(before) > 1 else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How much of the target's change another series shows: 1 all of it, 0 nothing."""

    share: float
    low: float
    high: float
    """Of the 95 % interval of ``share``."""
    n_runs: int
    """Since the onset."""

    @property
    def movement(self) -> Movement:
        """What that means."""
        if self.low > 0 and self.share >= SAME:
            return Movement.MOVED
        if self.high < SMALL or (self.high < SAME and self.low <= 0):
            return Movement.STILL
        return Movement.UNKNOWN

    def __str__(self) -> str:
        """``3 % of the change here (95 % interval −9 to 15 %) in 6 runs since then``."""
        share, low, high = (f"{round(100 * x)}".replace("-", "−") for x in (self.share, self.low, self.high))
        return f"{share} % of the change here (95 % interval {low} to {high} %) in {self.n_runs} runs since then"


def leading(target: Mapping[str, Part]) -> dict[str, float]:
    """The channels that moved farthest beyond their noise → by how much the score moved.

    Args:
        target: channel → its scores, of the kind that moved.

    >>> parts = {"wording": Part(before=np.array([0.1, 0.3, 0.2]), after=np.array([0.8])),
    ...          "shape": Part(before=np.array([0.1, 0.3, 0.2]), after=np.array([0.2]))}
    >>> {name: round(shift, 2) for name, shift in leading(parts).items()}
    {'wording': 0.6}
    """
    beyond = {name: abs(part.shift) / max(part.noise, _FLOOR) for name, part in target.items()}
    known = sorted((name for name in beyond if beyond[name] > 1), key=lambda name: (-beyond[name], name))
    return {name: target[name].shift for name in known[:LEADING]}


def shown(change: Mapping[str, float], other: Mapping[str, Part], *, dilution: float = 1.0) -> Shown | str:
    """How much of a change another series shows over the same time.

    The channels are added up, each weighted by the size of the change over the other series' own variance, which makes
    the sum most telling of that change. Its mean since the onset is compared to means of as many runs in a row before
    it, wrapped around: they vary as much as rhythm and dependence between runs make them, where the standard error of
    independent runs would be too small. The interval is Student's, with one degree of freedom less than the stretches
    that do not overlap.

    Assumptions:
        Before the onset the series is stationary over the time that is looked at, a rhythm included.

    Args:
        change: channel → by how much it moved at the target; not 0.
        other: channel → the other series' scores.
        dilution: share of the other's canaries that are the target's as well, in (0, 1]: the most that its score can
            show of a change that is on these alone.

    Returns:
        The share with its interval, or why there is none, to go on after "says nothing: ".

    Source: the moving-block estimate of the variance of a mean, Künsch (1989), Annals of Statistics 17, 1217–1241,
    in its circular form, Politis & Romano (1992), in LePage & Billard, Exploring the Limits of Bootstrap, 263–270.
    """
    common = {name: other[name] for name in change if name in other}
    if not common:
        return "it does not measure what changed here"
    weights = {name: change[name] / max(part.noise, _FLOOR) ** 2 for name, part in common.items()}
    known = {name: weight for name, weight in weights.items() if math.isfinite(weight)}
    if not known:
        return "hardly anything is known of it before the onset"
    before, after = (
        _sum([(weight, getattr(common[name], side)) for name, weight in known.items()]) for side in ("before", "after")
    )
    if len(after) < LEAST_AFTER:
        runs = "no run" if not len(after) else "1 run"
        return f"{runs} since the onset, {LEAST_AFTER} are needed"
    n = min(len(after), MOST_AFTER, len(before) // WINDOWS)
    if len(before) < LEAST_BEFORE or n < LEAST_AFTER:
        return f"{len(before)} runs before the onset, {LEAST_BEFORE} are needed"
    whole = sum(weight * change[name] for name, weight in known.items()) * dilution
    wrapped = np.concatenate([before, before[: n - 1]])
    means = np.convolve(wrapped, np.full(n, 1 / n), mode="valid")
    # Both the stretch since the onset and the mean before it are estimates.
    error = float(means.std()) * math.sqrt((1 + n / len(before)) / (1 - n / len(before)))
    share = float(after[:n].mean() - before.mean()) / whole
    margin = _student(len(before) / n - 1) * error / abs(whole)
    return Shown(share=share, low=share - margin, high=share + margin, n_runs=n)


def _sum(weighted: list[tuple[float, Floats]]) -> Floats:
    """The weighted sum over channels, run by run; runs that lack a channel are left out."""
    total = np.sum([weight * values for weight, values in weighted], axis=0)
    return np.asarray(total[~np.isnan(total)], np.float64)


def _student(degrees: float) -> float:
    """The two-sided quantile of Student's distribution, at 1 degree of freedom or more.

    Source: the expansion of Abramowitz & Stegun, 26.7.5; within 2 % from 3 degrees on, where it is used.
    """
    z, v = _NORMAL, max(1.0, degrees)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


_NORMAL = 1.959964
"""97.5 % quantile of the normal distribution, which ``CONFIDENCE`` asks for."""
_FLOOR = 1e-3
"""Scores that never varied by this much did not vary: a change of a channel without noise is finite all the same."""
