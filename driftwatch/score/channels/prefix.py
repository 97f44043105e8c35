"""prefix: how early a greedy reply forks away from every anchor. Sees the smallest weight and stack changes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from driftwatch.domain import Canary, Kind, Target
from driftwatch.score.channel import Channel, mean
from driftwatch.score.reading import Anchors, Reading


def measure_prefix(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """1 − the longest common prefix with the best-matching anchor, as a share of the longer one, 64 tokens at most.

    Greedy text forks once and then differs altogether, so where it forks carries the evidence: if it forks with one
    chance per token before a change and another after it, the likelihood ratio is linear in the place. An extra tail
    counts; an identical text is 0; NaN without readings or anchors. An endpoint that forks by itself leaves several
    beginnings among its anchors, and the best match forgives each of them.
    """
    return mean(min((_fork(r.opening, a.opening) for a in anchors), default=math.nan) for r in readings)


def is_greedy(target: Target, canary: Canary) -> bool:
    """Whether the request says temperature 0. A provider's own default is not known to be 0, so silence is not."""
    temperature = target.parameters_for(canary).get("temperature")
    return isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0


def _fork(one: Sequence[str], other: Sequence[str]) -> float:
    longer = max(len(one), len(other))
    pairs = enumerate(zip(one, other, strict=False))
    shared = next((i for i, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))
    return 1.0 - shared / longer if longer else 0.0


PREFIX = Channel(
    name="prefix",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="noise",
    applies=is_greedy,
    measure=measure_prefix,
)
