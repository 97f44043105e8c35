"""The two sides of an explanation: each canary's replies before and after, and the features asked of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from driftwatch.domain import Canary, Completion
from driftwatch.score.reading import Reading, read

Feature: TypeAlias = Callable[[Reading], float]
"""A reading → 0 or 1 (or a share between), or a size of 0 or more; NaN where the reply does not say."""
Values: TypeAlias = tuple[list[float], list[float]]
"""One canary's values before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """One canary's replies before and after; neither is empty."""

    canary_id: str
    canary: Canary | None
    """None when the caller did not give it: it has no checks then."""
    before: tuple[Reading, ...]
    after: tuple[Reading, ...]

    def without(self, mark: Callable[[Reading], bool]) -> Sides | None:
        """The same without the marked replies; None when a side would be empty."""
        before = tuple(r for r in self.before if not mark(r))
        after = tuple(r for r in self.after if not mark(r))
        return replace(self, before=before, after=after) if before and after else None


def pair_up(before: Sequence[Completion], after: Sequence[Completion], canaries: Sequence[Canary]) -> tuple[Sides, ...]:
    """Group by canary; only canaries with replies on both sides are compared, failures are left out."""
    known = {canary.id: canary for canary in canaries}
    earlier, later = _grouped(before), _grouped(after)
    return tuple(
        Sides(
            canary_id=canary_id,
            canary=known.get(canary_id),
            before=tuple(readings),
            after=tuple(later[canary_id]),
        )
        for canary_id, readings in earlier.items()
        if canary_id in later
    )


def values_of(sides: Sequence[Sides], feature: Feature) -> list[Values]:
    """A feature's values, canary by canary; NaN is left out, and so is a canary with nothing on one side."""
    return [(before, after) for _, before, after in measured(sides, feature)]


def measured(sides: Sequence[Sides], feature: Feature) -> Iterator[tuple[Sides, list[float], list[float]]]:
    """The same beside the canary they are of."""
    for canary in sides:
        before = [value for reading in canary.before if not math.isnan(value := feature(reading))]
        after = [value for reading in canary.after if not math.isnan(value := feature(reading))]
        if before and after:
            yield canary, before, after


def _grouped(completions: Sequence[Completion]) -> Mapping[str, list[Reading]]:
    grouped: dict[str, list[Reading]] = {}
    for reading in read(completions):
        grouped.setdefault(reading.completion.canary_id, []).append(reading)
    return grouped
