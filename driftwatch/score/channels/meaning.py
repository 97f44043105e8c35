"""meaning: how far the replies mean something else than the anchors. Sees system prompt, tone, safety and topic."""

from __future__ import annotations

from collections.abc import Sequence

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, always, mean
from driftwatch.score.reading import Anchors, Reading


def measure_meaning(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """Mean Euclidean distance of unit embeddings to the anchors', halved to fit [0, 1]; NaN without embeddings.

    Not 1 − cos: that is the *squared* distance of unit vectors, whose mean sees only a moved centre and not a
    changed spread. Source: Székely & Rizzo (2013), Energy statistics, J. Stat. Plan. Inference 143, 1249–1272.
    """
    return mean(mean(anchors.distances("meaning", r)) for r in readings)


def anchors_apart(anchors: Anchors, _canary: Canary) -> Sequence[float]:
    """Each anchor's mean distance to the others, read off the matrix that is there anyway."""
    return anchors.to_others("meaning")


MEANING = Channel(
    name="meaning",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="noise",
    applies=always,
    measure=measure_meaning,
    needs_embedder=True,
    leave_one_out=anchors_apart,
)
