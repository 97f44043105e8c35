"""How large a difference is, in units a person can read, with a bootstrap interval over canaries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from driftwatch.compare.comparison import Unit
from driftwatch.compare.measures import SPREAD, WORDING, Measured
from driftwatch.detect.permutation import Floats, Layout

RESAMPLES = 999
"""Bootstrap samples: the 2.5th percentile is the 25th smallest."""
LEAST_CANARIES = 5
"""With fewer, resampling canaries cannot say how much they differ."""
FARTHEST = 3
"""Canaries named for reading: as many as are read at one sitting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A difference's size."""

    unit: Unit
    value: float
    """NaN where it cannot be estimated: without repeats nothing is known of the distances within a side."""
    low: float
    high: float


def effects(measured: Measured, *, seed: int) -> dict[str, Effect]:
    """Estimate every measure's effect.

    The interval is the percentile bootstrap over canaries (Efron & Tibshirani 1993, section 13.3): it speaks of
    canaries like these, and is NaN with fewer than five.

    Args:
        measured: both sides.
        seed: of the resampling.
    """
    layout = measured.layout
    n = len(layout.sizes)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)
    found = {}
    for quantity, values in measured.quantities:
        effect = _weighted(layout, _differences(layout, values[:, None])[:, 0], counts, unit=quantity.unit)
        found[quantity.name] = _as_ratio(effect) if quantity.unit == "ratio" else effect
    for name, rows in measured.directions:
        found[name] = _common(layout, _differences(layout, rows), counts)
    for name, matrices in measured.distances:
        parts = np.array(list(_parts(layout, matrices)))
        found[name] = _weighted(layout, parts[:, 0], counts, unit="distance")
        if name == WORDING:
            found[SPREAD] = _weighted(layout, parts[:, 1], counts, unit="distance")
    return found


def farthest(measured: Measured) -> list[int]:
    """Positions of the canaries whose wording moved most beyond its noise, that one first; none without repeats."""
    for name, matrices in measured.distances:
        if name == WORDING:
            moved = np.array([between for between, _ in _parts(measured.layout, matrices)])
            return [int(c) for c in np.argsort(-moved, kind="stable")[:FARTHEST] if moved[c] > 0]
    return []


def _differences(layout: Layout, rows: Floats) -> Floats:
    """(C, d) mean of the right less mean of the left."""
    edges = np.stack([layout.starts, layout.starts + layout.n_left], axis=1).ravel()
    sums = np.add.reduceat(rows, edges, axis=0)
    return np.asarray(sums[1::2] / layout.n_right[:, None] - sums[::2] / layout.n_left[:, None], np.float64)


def _weighted(layout: Layout, values: Floats, counts: Floats, *, unit: Unit) -> Effect:
    known = ~np.isnan(values)
    if not known.any():
        return Effect(unit=unit, value=math.nan, low=math.nan, high=math.nan)
    weights, values = layout.weights[known], values[known]
    totals = counts[:, known] @ weights
    has_any = totals > 0
    samples = (counts[:, known] @ (weights * values))[has_any] / totals[has_any]
    return _interval(unit, float(weights @ values / weights.sum()), samples, n=int(known.sum()))


def _common(layout: Layout, rows: Floats, counts: Floats) -> Effect:
    """The squared mean difference, without what chance adds to it, as a share of the mean squared difference."""
    weights = layout.weights
    together = rows @ rows.T
    own = np.diag(together)

    def share(times: Floats) -> Floats:
        w = times * weights
        squares = w**2
        # a canary drawn twice agrees with itself perfectly, which says nothing of the others
        across = np.einsum("bi,bi->b", w @ together, w) - squares @ own
        pairs = w.sum(axis=1) ** 2 - squares.sum(axis=1)
        typical = (w @ own) / w.sum(axis=1)
        known = (pairs > 0) & (typical > 0)
        return np.asarray(np.clip(across[known] / pairs[known] / typical[known], 0.0, 1.0), np.float64)

    value = share(np.ones((1, len(weights))))
    if not value.size:
        return Effect(unit="common", value=math.nan, low=math.nan, high=math.nan)
    return _interval("common", float(value[0]), share(counts), n=len(weights))


def _parts(layout: Layout, matrices: tuple[Floats, ...]) -> Iterator[tuple[float, float]]:
    """Per canary: distance between the sides less the distance within them, and right less left within."""
    for distances, n_left in zip(matrices, layout.n_left.tolist(), strict=True):
        within = [_within(distances[:n_left, :n_left]), _within(distances[n_left:, n_left:])]
        known = [value for value in within if not math.isnan(value)]
        between = float(distances[:n_left, n_left:].mean())
        yield between - math.fsum(known) / len(known) if known else math.nan, within[1] - within[0]


def _within(distances: Floats) -> float:
    n = len(distances)
    return float(distances.sum()) / (n * (n - 1)) if n > 1 else math.nan


def _interval(unit: Unit, value: float, samples: Floats, *, n: int) -> Effect:
    if n < LEAST_CANARIES or not samples.size:
        return Effect(unit=unit, value=value, low=math.nan, high=math.nan)
    low, high = np.quantile(samples, [0.025, 0.975])
    return Effect(unit=unit, value=value, low=float(low), high=float(high))


def _as_ratio(effect: Effect) -> Effect:
    return Effect(unit="ratio", value=math.exp(effect.value), low=math.exp(effect.low), high=math.exp(effect.high))
