"""What a channel is: one way of measuring a canary's replies against its anchors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from driftwatch.domain import Canary, Kind, Target
from driftwatch.score.reading import Anchors, Reading

Measure: TypeAlias = Callable[[Sequence[Reading], Anchors, Canary], float]
"""(the run's readings of one canary, the canary's anchors, the canary) → value in [0, 1], NaN when unmeasurable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One way of measuring. Adding one is a file in ``score/channels`` and an entry in ``CHANNELS``."""

    name: str
    kind: Kind
    """The kind of incident that its drift belongs to."""
    two_sided: bool
    """Whether a fall is drift too, not only a rise."""
    weighting: Literal["noise", "equal"]
    """``noise``: a canary counts the less, the more its own anchors differ. ``equal``: a share of something that is
    reported as such ("31 % of checks fail") and has to stay one."""
    combining: Literal["mean", "odds"] = "mean"
    """How canaries make the run's value. ``mean``: Σ w·v. ``odds``: Σ v/(1 − v), as a chance o/(1 + o): one canary far
    out makes the run far out, whatever the others say."""
    applies: Callable[[Target, Canary], bool]
    measure: Measure
    """Mean over the run's repeats of the distance to the anchors; never looks at a failed completion."""
    needs_anchors: bool = True
    needs_embedder: bool = False
    leave_one_out: Callable[[Anchors, Canary], Sequence[float]] | None = None
    """The channel's own way to value each anchor by the others, where measuring it alone against them is not one."""

    def anchor_values(
        self,
        anchors: Anchors,
        left_out: Sequence[tuple[Reading, Anchors]],
        canary: Canary,
    ) -> list[float]:
        """What each anchor would have been valued by the others: the canary's noise, known from anchors only.

        Args:
            anchors: the canary's anchors.
            left_out: ``anchors.left_out()``, computed once for all channels.
            canary: whose they are.

        Returns:
            At most one value in [0, 1] per anchor, without NaN; empty when nothing can be said.
        """
        if self.leave_one_out is not None:
            values = self.leave_one_out(anchors, canary)
        else:
            values = [self.measure((reading,), others, canary) for reading, others in left_out]
        return [value for value in values if not math.isnan(value)]


def always(_target: Target, _canary: Canary) -> bool:
    """For channels that apply to every canary."""
    return True


def mean(values: Iterable[float]) -> float:
    """The mean of what is measured, NaN of nothing; exactly the same in any order, so that ties stay ties.

    >>> mean([0.1, math.nan, 0.3]), mean([])
    (0.2, nan)
    """
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def variance(values: Sequence[float]) -> float:
    """Unbiased variance, the same in any order; NaN with fewer than two values."""
    if len(values) < 2:  # noqa: PLR2004 - a variance takes two
        return math.nan
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


def clip(value: float) -> float:
    """Hold a value in [0, 1]; NaN stays NaN."""
    return value if math.isnan(value) else min(1.0, max(0.0, value))
