"""label: how far a run's one-word answers are distributed otherwise. Sees swaps, temperature, small weight changes."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from driftwatch.domain import Canary, Kind, Target
from driftwatch.score.channel import Channel
from driftwatch.score.reading import Anchors, Reading

ONE_WORD_TOKENS = 8
"""A canary whose replies are bound to this many tokens is asked for a word. The bound is what is sent to the endpoint,
so it holds whatever the prompt says, and no key of the suite has to repeat it. Words of rare scripts take up to 6."""

BOUNDS = ("max_tokens", "max_completion_tokens", "max_new_tokens")
"""The names under which endpoints take the bound."""

_SEED = 20_260_302
"""Of the draw of blocks; any number, the same one for everybody so that weights can be recomputed."""


def label_of(text: str) -> str:
    """The answer that a reply gives: its first word, without case and the punctuation around it.

    Form is the business of other channels: ``**Heads**``, ``heads.`` and ``Heads, of course`` are one answer here. A
    reply of nothing but punctuation is kept as it is, an empty one is the empty answer.

    >>> label_of(" **Heads**, of course"), label_of("..."), label_of("")
    ('heads', '...', '')
    """
    words = unicodedata.normalize("NFKC", text).casefold().split()
    bare = map(_trimmed, words)
    return next((word for word in bare if word), words[0] if words else "")


def measure_label(readings: Sequence[Reading], anchors: Anchors, canary: Canary) -> float:
    """Total variation between the answers of the run and of the anchors: ½ Σ |p − q| over answers.

    It is the share of the run's answers that the anchors do not account for, in [0, 1]. An answer that no anchor gave
    counts in full, and several such answers count the same as one: what they are does not matter, so they need no
    category of their own. Nothing is smoothed: with r repeats the value is above 0 by chance, by about √(q(1−q)/r) for
    an answer of share q, which calibration learns. Fewer answers would raise it by chance: where m of r repeats came,
    the missing ones count as usual, which is the value times m/r. NaN without readings or anchors.
    """
    came = min(1.0, len(readings) / (canary.repeats or 1))
    return came * _total_variation(Counter(map(_label, readings)), Counter(map(_label, anchors)))


def blocks_apart(anchors: Anchors, canary: Canary) -> Sequence[float]:
    """Blocks of as many anchors as a run has repeats, each valued by the others: what runs of the same source would be.

    One anchor left out is no measure of it: for an answer given half the time every single anchor is valued .5 and the
    variance is 0, while the share among five answers swings by .22. The blocks are drawn disjoint, over and over, until
    there are as many as anchors; the draw is seeded and blind to the anchors' order.

    Args:
        anchors: of one canary.
        canary: its ``repeats`` say how large a block is; half of the anchors at most.
    """
    labels = sorted(map(_label, anchors))
    n = len(labels)
    size = min(canary.repeats or 1, n // 2)
    if size == 0:
        return ()
    total, rng = Counter(labels), np.random.default_rng(_SEED)
    values: list[float] = []
    for _ in range(size):
        order = rng.permutation(n)
        for block in order[: n - n % size].reshape(-1, size):
            held = Counter(labels[i] for i in block)
            values.append(_total_variation(held, total - held))
    return values


def is_one_word(target: Target, canary: Canary) -> bool:
    """Whether the request bounds the reply to a word."""
    parameters = target.parameters_for(canary)
    bounds = [parameters[name] for name in BOUNDS if name in parameters]
    return any(isinstance(bound, int) and bound <= ONE_WORD_TOKENS for bound in bounds)


def _label(reading: Reading) -> str:
    return label_of(reading.text)


def _trimmed(word: str) -> str:
    kept = [i for i, character in enumerate(word) if unicodedata.category(character)[0] in "LMNS"]
    return word[kept[0] : kept[-1] + 1] if kept else ""


def _total_variation(mine: Mapping[str, int], theirs: Mapping[str, int]) -> float:
    n_mine, n_theirs = sum(mine.values()), sum(theirs.values())
    if not n_mine or not n_theirs:
        return math.nan
    # Over a common denominator: whole numbers, so that equal distributions are exactly 0 apart.
    apart = sum(abs(mine.get(x, 0) * n_theirs - theirs.get(x, 0) * n_mine) for x in {*mine, *theirs})
    return apart / (2 * n_mine * n_theirs)


LABEL = Channel(
    name="label",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="noise",
    applies=is_one_word,
    measure=measure_label,
    leave_one_out=blocks_apart,
)
