"""novelty: whether any reply of the run is foreign to the anchors. Sees 1–16 % of answers from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from driftwatch.domain import Canary, Kind, Target
from driftwatch.score.channel import Channel, mean, variance
from driftwatch.score.channels.label import is_one_word
from driftwatch.score.reading import Anchors, Reading, View

VIEWS: tuple[View, ...] = ("wording", "words", "meaning")
"""What a reply may be foreign in; meaning only where there is an embedder. Of two views each is blind where the other
is not: on one pair of models the 3-grams, on another the words or the embeddings found 5 % in half the runs."""

EVENS = 5.0
"""Standard deviations beyond its own anchors at which a reply is as likely foreign as not, by our count of odds.
Natural replies keep below 3, so their odds are small, which is what lets the bounded-mean backstop see one foreign
reply in a hundred. Tuned on the even prompts named in docs/detection.md; ranks alone do not depend on it."""

POWER = 4
"""Odds grow with the fourth power: one reply 8 deviations out counts as much as sixteen that are 4 out. With 2 the
natural noise of twenty replies drowns the foreign one; with 8 several foreign ones count no more than one."""

FLOOR = 0.02
"""Distance that counts as one deviation at least: a comma in a text that never varied is not foreign."""


def measure_novelty(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """The odds that a reply is foreign, mean over the replies, as a chance o/(1 + o) in [0, 1).

    A reply's odds are (z/5)⁴, where z is how many standard deviations farther from the anchors it is than they are
    from each other, mean over the views, and 0 where it is nearer. The odds order replies, they are no calibrated
    probability; calibration learns how high those of the endpoint's own replies are. NaN without readings or with
    fewer than two anchors, which have no distance to exceed.
    """
    return _chance(mean(_odds(_outlyingness(reading, anchors)) for reading in readings))


def each_anchor(anchors: Anchors, _canary: Canary) -> list[float]:
    """What each anchor would be by the others, read off the matrices; empty with fewer than three anchors."""
    n = len(anchors)
    if n < 3:  # noqa: PLR2004 - two others have a distance, one has none
        return []
    zs: list[list[float]] = [[] for _ in range(n)]
    for view in VIEWS:
        if not anchors.has(view):
            continue
        rows = anchors.matrix(view).tolist()
        totals = [math.fsum(row) for row in rows]
        for i, row in enumerate(rows):
            others = [(totals[j] - row[j]) / (n - 2) for j in range(n) if j != i]
            zs[i].append((totals[i] / (n - 1) - mean(others)) / _scale(others, anchors.typical.get(view, math.nan)))
    return [_chance(_odds(mean(of_one))) for of_one in zs]


def typical_variances(canaries: Iterable[Anchors]) -> Mapping[View, float]:
    """The mean over canaries of the variance of their anchors' distances to each other; NaN where none has two."""
    of_all = list(canaries)
    return {view: mean(variance(anchors.to_others(view)) for anchors in of_all) for view in VIEWS}


def is_prose(target: Target, canary: Canary) -> bool:
    """Whether a reply has words to be foreign in: of one word, every other model gives the same few."""
    return not is_one_word(target, canary)


def _outlyingness(reading: Reading, anchors: Anchors) -> float:
    zs = []
    for view in VIEWS:
        others = anchors.to_others(view)
        if others:
            scale = _scale(others, anchors.typical.get(view, math.nan))
            zs.append((mean(anchors.distances(view, reading)) - mean(others)) / scale)
    return mean(zs)


def _scale(to_others: Sequence[float], typical: float) -> float:
    """One deviation: √(½·v + ½·v̄ + 0.02² + (m/n²)²), v̄ the canaries' usual variance and m the mean distance.

    The halves are those of the weights (``reference.from_anchors``): a variance of eight anchors is a guess. The last
    term speaks for two or three anchors, whose distances to each other can hardly differ; it is gone at eight.
    """
    own, n = variance(to_others), len(to_others)
    usual = own if math.isnan(typical) else typical
    return math.sqrt(0.5 * own + 0.5 * usual + FLOOR**2 + (mean(to_others) / n**2) ** 2)


def _odds(z: float) -> float:
    return z if math.isnan(z) else (max(0.0, z) / EVENS) ** POWER


def _chance(odds: float) -> float:
    return odds / (1.0 + odds)


NOVELTY = Channel(
    name="novelty",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="equal",
    combining="odds",
    applies=is_prose,
    measure=measure_novelty,
    leave_one_out=each_anchor,
)
