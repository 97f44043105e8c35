"""latency: how much slower than the anchors the replies come. Performance, never called behaviour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, always, clip, mean
from driftwatch.score.reading import Anchors, Reading

FULL_SCALE = 100.0
"""The factor against the anchors at which the scale ends: 100 times slower is 1, 100 times faster 0."""
LEAST_S = 1e-3
"""Latencies below a millisecond, a stub's or a cache's, count as one: the logarithm of 0 is no measurement."""


IMMATERIAL_S = 0.05
"""A difference below this counts as none, s: nobody notices it, and a cold connection or a busy watcher makes it.

Ranks see any shift that lasts, however small; only equal values say nothing.
"""


def measure_latency(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """½ + ln(x / geometric mean of the anchors) / (2 · ln 100), mean over repeats; ½ is as ever, NaN without either."""
    usual = [_latency(a) for a in anchors]
    centre = math.exp(mean(math.log(x) for x in usual))
    seen = (_latency(r) for r in readings)
    return log_ratio((centre if abs(x - centre) < IMMATERIAL_S else x for x in seen), usual)


def log_ratio(values: Iterable[float], anchors: Iterable[float]) -> float:
    """Place positive values on the logarithmic scale around the anchors' geometric mean; NaN among them is skipped."""
    centre = mean(math.log(x) for x in anchors)
    return mean(clip(0.5 + (math.log(x) - centre) / (2 * math.log(FULL_SCALE))) for x in values)


def _latency(reading: Reading) -> float:
    return max(LEAST_S, reading.completion.latency_s)


LATENCY = Channel(
    name="latency",
    kind=Kind.PERFORMANCE,
    two_sided=False,
    weighting="noise",
    applies=always,
    measure=measure_latency,
)
