"""meaning: how far the replies mean something else than the anchors. Sees system prompt, tone, safety and topic."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, always, mean
from driftwatch.score.reading import Anchors, Reading

_DECIMALS = 5
"""The batch a text is embedded in moves its vector by up to 1e-7 per coordinate, hence a distance over 384 of them
by up to 2e-6 (measured); rounding above that keeps equal texts at 0 and ties in the series ties."""


def measure_meaning(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """Mean Euclidean distance of unit embeddings to the anchors', halved to fit [0, 1]; NaN without embeddings.

    Not 1 − cos: that is the *squared* distance of unit vectors, whose mean sees only a moved centre and not a
    changed spread. Source: Székely & Rizzo (2013), Energy statistics, J. Stat. Plan. Inference 143, 1249–1272.
    """
    rows = anchors.embeddings
    if rows is None:
        return math.nan
    return mean(
        # from the difference, not from the product: √(2 − 2·cos) turns a rounding error of 1e-7 into 4e-4
        mean(np.round(np.linalg.norm(rows - r.embedding, axis=1).astype(np.float64) / 2, _DECIMALS).tolist())
        for r in readings
        if r.embedding is not None
    )


MEANING = Channel(
    name="meaning",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="noise",
    applies=always,
    measure=measure_meaning,
    needs_embedder=True,
)
