"""wording: how far the replies are worded from the anchors. Sees decoding, templates, fine-tunes and swaps."""

from __future__ import annotations

from collections.abc import Sequence

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, always, mean
from driftwatch.score.reading import Anchors, Reading


def measure_wording(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """Mean distance of the 3-gram profiles to the anchors' (``profile.distances``); NaN without either."""
    return mean(mean(anchors.distances("wording", reading)) for reading in readings)


def anchors_apart(anchors: Anchors, _canary: Canary) -> Sequence[float]:
    """Each anchor's mean wording distance to the others, read off the matrix that is there anyway."""
    return anchors.to_others("wording")


WORDING = Channel(
    name="wording",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="noise",
    applies=always,
    measure=measure_wording,
    leave_one_out=anchors_apart,
)
