"""spread: how far a run's repeats differ from each other. Sees mode collapse, caching and temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence

from driftwatch.domain import Canary, Kind, Target
from driftwatch.score.channel import Channel, mean
from driftwatch.score.channels.wording import anchors_apart
from driftwatch.score.profile import distance_matrix
from driftwatch.score.reading import Anchors, Reading


def measure_spread(readings: Sequence[Reading], _anchors: Anchors, _canary: Canary) -> float:
    """Mean wording distance over the pairs of the run's repeats; NaN with fewer than two."""
    n = len(readings)
    if n < 2:  # noqa: PLR2004 - a pair takes two
        return math.nan
    matrix = distance_matrix([r.profile for r in readings])
    return mean(float(matrix[i, j]) for i in range(n) for j in range(i + 1, n))


def is_repeated(target: Target, canary: Canary) -> bool:
    """Whether a run asks more than once."""
    return target.repeats_for(canary) >= 2  # noqa: PLR2004 - a pair takes two


SPREAD = Channel(
    name="spread",
    kind=Kind.BEHAVIOUR,
    two_sided=True,
    weighting="noise",
    applies=is_repeated,
    measure=measure_spread,
    needs_anchors=False,
    leave_one_out=anchors_apart,  # a pair of anchors is what a pair of repeats is
)
