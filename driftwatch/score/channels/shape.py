"""shape: how far the outward form is from the anchors'. Sees formatting, verbosity, truncation and stray scripts."""

from __future__ import annotations

from collections.abc import Sequence

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, always, mean
from driftwatch.score.reading import Anchors, Reading
from driftwatch.score.scripts import total_variation

N_PARTS = 9
"""Length, paragraphs, JSON, fence, list, heading, refusal, script, finish reason: each counts the same."""


def measure_shape(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """Mean over nine parts of the form, each in [0, 1], and over the anchors; NaN without readings or anchors.

    A yes-or-no part is 1 against every anchor that says otherwise, the script part the total variation of the
    letters' scripts, and a size 1 − smaller/larger, which is 1 − exp(−|Δ ln|): twice as long counts as much as
    half as long, and no length outweighs all else.
    """
    return mean(mean(_difference(reading, anchor) for anchor in anchors) for reading in readings)


def _difference(one: Reading, other: Reading) -> float:
    mine, theirs = one.form, other.form
    total = (
        _ratio(mine.n_characters, theirs.n_characters)
        + _ratio(mine.n_paragraphs, theirs.n_paragraphs)
        + (mine.is_json != theirs.is_json)
        + (mine.has_fence != theirs.has_fence)
        + (mine.has_list != theirs.has_list)
        + (mine.has_heading != theirs.has_heading)
        + (mine.is_refusal != theirs.is_refusal)
        + (one.completion.finish_reason != other.completion.finish_reason)
        + (0.0 if mine.scripts == theirs.scripts else total_variation(mine.scripts, theirs.scripts))
    )
    return total / N_PARTS


def _ratio(one: int, other: int) -> float:
    """1 − smaller/larger of two counts, each one up so that an empty reply has a size: 0 for equal, towards 1."""
    return 1.0 - (1 + min(one, other)) / (1 + max(one, other))


SHAPE = Channel(
    name="shape",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="noise",
    applies=always,
    measure=measure_shape,
)
