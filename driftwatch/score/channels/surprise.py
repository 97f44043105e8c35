"""surprise: how unlikely a run's one-word answers were among the anchors. Sees rare answers that become less rare."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, mean
from driftwatch.score.channels.label import is_one_word, label_of
from driftwatch.score.reading import Anchors, Reading

PRIOR = 0.5
"""Added to the count of every answer, and of one answer never given. Source: Krichevsky & Trofimov (1981), IEEE Trans.
Inf. Theory 27, 199–207."""


def measure_surprise(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """How much rarer the run's answers were than the commonest: mean of ln((m + ½)/(n + ½)) / ln(2m + 1).

    n is how many anchors gave the answer and m how many gave the commonest one: 0 for that, 1 for an answer never
    given. Up to scale it is −ln of the anchors' share. The total variation of ``label`` treats all answers alike, and
    its own noise grows with their number; a small change shows first where the anchors have next to nothing.
    Simulated, 26 prompts of six words, 10 answers each, 50 anchors: a shift of .04 in total variation moves the label
    channel by .6 standard deviations of a run and this one by 1.8. A fall is drift too: a colder or collapsed
    endpoint gives fewer rare answers. NaN without readings or anchors.
    """
    counts = Counter(label_of(anchor.text) for anchor in anchors)
    most = max(counts.values(), default=0)
    if not most:
        return math.nan
    rarest = math.log((most + PRIOR) / PRIOR)
    return mean(math.log((most + PRIOR) / (counts.get(label_of(r.text), 0) + PRIOR)) / rarest for r in readings)


SURPRISE = Channel(
    name="surprise",
    kind=Kind.BEHAVIOUR,
    two_sided=True,
    weighting="noise",
    applies=is_one_word,
    measure=measure_surprise,
)
