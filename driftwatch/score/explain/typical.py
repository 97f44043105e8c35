"""Which completion is typical of many."""

from __future__ import annotations

import math
from collections.abc import Sequence

from driftwatch.domain import Completion
from driftwatch.score.profile import distances, stack
from driftwatch.score.reading import read


def medoid(completions: Sequence[Completion]) -> Completion:
    """Pick the most typical completion: the one with the least summed wording distance to the others.

    Failures are passed over unless there is nothing else; of equals the first is taken.

    Raises:
        ValueError: there are no completions.
    """
    readings = read(completions)
    if not readings:
        if not completions:
            raise ValueError("no completions to choose the medoid from")
        return completions[0]
    together = stack([r.profile for r in readings])
    sums = [math.fsum(distances(r.profile, together).tolist()) for r in readings]
    return readings[sums.index(min(sums))].completion
