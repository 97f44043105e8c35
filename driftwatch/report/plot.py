"""Where things go in a plot: scores, evidence and times to SVG coordinates. The template only draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from driftwatch.alert.text import day

WIDTH = 860.0
"""Drawing width in SVG units; the page scales it."""

MAX_POINTS = 430
"""Points per line, two units apart: more would overlap."""

TOP = 1.1
"""Where evidence is cut off, as a share of the alarm's height: how far above it is no news."""

DASH = 4.0
"""Length of the dash that a single point is drawn as, in SVG units."""

_STEPS_H = (1, 2, 3, 6, 12)
"""Hours between marks where days are too far apart; each divides a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A linear map of time onto the drawing's width."""

    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        """Units from the left edge; a span of no length lies at the edge."""
        span_s = (self.end - self.start).total_seconds()
        return round((at - self.start).total_seconds() / span_s * WIDTH, 1) if span_s else 0.0

    def marks(self, most: int = 8) -> list[tuple[float, str]]:
        """At most ``most`` labelled times, whole days where there are enough of them: (x, label).

        The first label, and the first of a new year, names the year.
        """
        span = self.end - self.start
        steps = [timedelta(hours=hours) for hours in _STEPS_H if span / timedelta(hours=hours) < most - 1]
        step = (
            steps[0] if steps and span < timedelta(days=2) else timedelta(days=math.ceil(span.days / (most - 1)) or 1)
        )
        first = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        unit = min(step, timedelta(days=1))
        first += math.ceil((self.start - first) / unit) * unit
        times = [first + n * step for n in range(most) if first + n * step <= self.end]
        return [(self.x(at), _label(at, before)) for before, at in zip([None, *times], times, strict=False)]


def _label(at: datetime, before: datetime | None) -> str:
    """A mark's date, without its year where the mark before it is of the same one; within a day its hour."""
    if before is None or before.year != at.year:
        return f"{day(at)}{at:, %H:%M}" if at.hour else day(at)
    return f"{at:%H:%M}" if at.hour else day(at).rsplit(" ", 1)[0]


def height_of(evidence: float, threshold: float) -> float:
    """Evidence on a logarithmic scale: 0 at none, 1 at the alarm, cut off at ``TOP``.

    >>> height_of(0.0, 100.0), height_of(100.0, 100.0), height_of(1e9, 100.0)
    (0.0, 1.0, 1.1)
    """
    return min(TOP, math.log1p(evidence) / math.log1p(threshold))


def path(points: Sequence[tuple[float, float]]) -> str:
    """An SVG path through (x, y), broken where y is NaN; a point on its own becomes a dash, or it would not be seen.

    Stretches are thinned to about ``MAX_POINTS`` together, each keeping its highest and lowest places.

    >>> path([(0.0, 1.0), (2.0, 2.0), (4.0, math.nan), (6.0, 3.0)])
    'M0.0 1.0L2.0 2.0M4.0 3.0h4'
    """
    stride = math.ceil(2 * len(points) / MAX_POINTS) if len(points) > MAX_POINTS else 1
    parts = []
    for is_gap, stretch in groupby(points, key=lambda point: math.isnan(point[1])):
        if is_gap:
            continue
        drawn = list(_thin(list(stretch), stride))
        if len(drawn) == 1:
            ((x, y),) = drawn
            parts.append(f"M{x - DASH / 2:.1f} {y:.1f}h{DASH:.0f}")
        else:
            parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn))
    return "".join(parts)


def _thin(points: Sequence[tuple[float, float]], stride: int) -> Iterator[tuple[float, float]]:
    """Of every ``stride`` points the first extreme and the last, so that neither a peak nor a dip is thinned away."""
    for start in range(0, len(points), stride):
        block = points[start : start + stride]
        extremes = {min(block, key=lambda p: p[1]), max(block, key=lambda p: p[1])}
        yield from sorted(extremes)
