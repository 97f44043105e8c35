"""novelty: the share of completions farther out than every anchor. Sees 1–16 % of answers from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, always, mean
from driftwatch.score.reading import Anchors, Reading

GUARD = 1e-9
"""The wording distance by which a completion has to exceed the outermost anchor: their rounding, so that a text
equal to the anchors is never new."""


def measure_novelty(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """Share of completions whose mean wording distance to the anchors exceeds every anchor's to the others.

    Under n exchangeable anchors a completion of the same source is new with probability about 1/(n + 1), which
    calibration learns. NaN without readings or with fewer than two anchors, which have no distance to exceed.
    """
    outermost = max(anchors.wording_to_others, default=math.nan)
    if math.isnan(outermost):
        return math.nan
    return mean(float(mean(anchors.wording_distances(reading)) > outermost + GUARD) for reading in readings)


NOVELTY = Channel(
    name="novelty",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="equal",
    applies=always,
    measure=measure_novelty,
)
