"""Effect sizes: a share or a size before and after, the difference, its 95 % interval, and whether it is worth telling.

Everything here is analytic, so the same replies always give the same figures. Replies are taken as independent
within a canary: an interval says how well the stored replies fix the difference between two behaviours. Whether there
is a difference at all was decided by the alarm, on runs, before any of this is computed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betaincinv, stdtrit  # type: ignore[import-untyped]

from driftwatch.score.channel import mean
from driftwatch.score.explain.sides import Values

LEAST_SHARE = 0.05
"""A share has to move by five points to be told: less would not change what the reader does next."""
LEAST_RATIO = 0.15
"""A size has to move by 15 % to be told: less is not seen when two replies lie side by side."""
STANDARD_ERRORS = 2.0
"""And by two standard errors. The alarm was raised on other grounds; this keeps chance out of its
explanation, at about one false statement in twenty that could be made."""
_Z95 = 1.959964
"""Standard normal quantile of .975."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A share or size before and after."""

    before: float
    """Share: 0 … 1, each canary counting the same. Size: the median over canaries of their medians."""
    after: float
    change: float
    """Share: after − before. Size: the ratio after / before of geometric means, above 0; NaN from or to nothing."""
    low: float
    """Of the 95 % interval of ``change``; NaN when there is too little to tell."""
    high: float
    errors: float
    """``change`` in standard errors under "nothing changed", signed; infinite when there is no noise at all."""
    is_material: bool

    @property
    def is_rise(self) -> bool:
        """Worth telling, and upwards."""
        return self.is_material and self.errors > 0

    @property
    def is_fall(self) -> bool:
        """Worth telling, and downwards."""
        return self.is_material and self.errors < 0


NOTHING = Difference(
    before=math.nan, after=math.nan, change=math.nan, low=math.nan, high=math.nan, errors=0.0, is_material=False
)
"""The difference where nothing could be measured."""


def share(groups: Sequence[Values]) -> Difference:
    """Compare shares, each canary counting the same.

    ``errors`` uses the exact variance of the difference when labels are exchanged within a canary, s²(1/n + 1/m) with
    s² = N·p(1 − p)/(N − 1) over the N = n + m values; it also bounds values between 0 and 1 (Bhatia & Davis 2000,
    Amer. Math. Monthly 107, 353–357). The interval is Newcombe's hybrid of two Wilson intervals (1998, Statist. Med.
    17, 873–890, method 10) on effective sizes n_e = p(1 − p) / Σ w²·p_c(1 − p_c)/n_c with p_c = (x_c + ½)/(n_c + 1),
    never below 1 / Σ w²/n_c: strata that always or never show something are no noise.

    Args:
        groups: per canary, values in [0, 1] before and after; no side empty.
    """
    if not groups:
        return NOTHING
    before, after = mean(mean(b) for b, _ in groups), mean(mean(a) for _, a in groups)
    variance = 0.0
    for b, a in groups:
        n, pooled = len(b) + len(a), mean((*b, *a))
        variance += n / (n - 1) * pooled * (1 - pooled) * (1 / len(b) + 1 / len(a))
    error = math.sqrt(variance) / len(groups)
    moved = after - before
    errors = 0.0 if moved == 0 else moved / error if error else math.copysign(math.inf, moved)
    low_b, high_b = _wilson(before, [b for b, _ in groups])
    low_a, high_a = _wilson(after, [a for _, a in groups])
    return Difference(
        before=before,
        after=after,
        change=moved,
        low=max(-1.0, moved - math.hypot(after - low_a, high_b - before)),
        high=min(1.0, moved + math.hypot(high_a - after, before - low_b)),
        errors=errors,
        is_material=abs(moved) >= LEAST_SHARE and abs(errors) >= STANDARD_ERRORS,
    )


def size(groups: Sequence[Values], *, floor: float, least: float) -> Difference:
    """Compare sizes by the mean over canaries of the difference of mean logarithms.

    Logarithms because canaries differ in size by design; the noise is their variance pooled within canaries and
    sides, or, without repeats, the variance of the differences between canaries. The interval is Student's.

    Args:
        groups: per canary, sizes of 0 or more before and after; no side empty.
        floor: smaller sizes count as this, in the size's unit: where it begins to mean something.
        least: the change below which nobody cares, in the size's unit, however large its ratio.
    """
    if not groups:
        return NOTHING
    before = statistics.median(statistics.median(b) for b, _ in groups)
    after = statistics.median(statistics.median(a) for _, a in groups)
    moves, squares, freedom, weight = [], 0.0, 0, 0.0
    for group in groups:
        b, a = ([math.log(max(floor, x)) for x in side] for side in group)
        moves.append(mean(a) - mean(b))
        squares += math.fsum((x - mean(side)) ** 2 for side in (b, a) for x in side)
        freedom += len(b) + len(a) - 2
        weight += 1 / len(b) + 1 / len(a)
    moved = mean(moves)
    if freedom:
        error = math.sqrt(squares / freedom * weight) / len(groups)
    else:
        freedom = len(moves) - 1
        error = statistics.stdev(moves) / math.sqrt(len(moves)) if freedom else math.nan
    reach = float(stdtrit(freedom, 0.975)) * error if freedom else math.nan
    errors = 0.0 if moved == 0 or math.isnan(error) else moved / error if error else math.copysign(math.inf, moved)
    is_whole = bool(before and after)
    is_large = abs(after - before) >= max(LEAST_RATIO * before, least)
    return Difference(
        before=before,
        after=after,
        change=math.exp(moved) if is_whole else math.nan,
        low=math.exp(moved - reach) if is_whole else math.nan,
        high=math.exp(moved + reach) if is_whole else math.nan,
        errors=errors,
        # the medians and the mean of logarithms have to agree: one canary ten times as long is not "replies are longer"
        is_material=is_large and abs(errors) >= STANDARD_ERRORS and (moved > 0) == (after > before),
    )


def clopper_pearson(hits: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a share, both in [0, 1]; (0, 1) of nothing.

    Source: Clopper & Pearson (1934), Biometrika 26, 404–413.

    >>> [round(x, 3) for x in clopper_pearson(0, 10)]
    [0.0, 0.308]
    """
    low = float(betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0
    return low, high


def _wilson(p: float, groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    plain = spread = 0.0
    for values in groups:
        shrunk = (math.fsum(values) + 0.5) / (len(values) + 1)
        plain += 1 / len(values)
        spread += shrunk * (1 - shrunk) / len(values)
    n = len(groups) ** 2 * max(1 / plain, p * (1 - p) / spread)
    centre = (p + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    reach = _Z95 / (1 + _Z95**2 / n) * math.sqrt(p * (1 - p) / n + _Z95**2 / (4 * n * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)
