"""checks: the share of the canary's own assertions that fail. Sees what the canary's author cares about."""

from __future__ import annotations

from collections.abc import Sequence

from driftwatch.canaries.checks import evaluate
from driftwatch.domain import Canary, Kind, Target
from driftwatch.score.channel import Channel, mean
from driftwatch.score.reading import Anchors, Reading


def measure_checks(readings: Sequence[Reading], _anchors: Anchors, canary: Canary) -> float:
    """Failing assertions as a share of the canary's, mean over the repeats; NaN without readings or assertions."""
    return mean(float(not evaluate(check, reading.completion)) for reading in readings for check in canary.checks)


def has_checks(_target: Target, canary: Canary) -> bool:
    """Whether the canary's author asserts anything."""
    return bool(canary.checks)


def each_anchor(anchors: Anchors, canary: Canary) -> list[float]:
    """Each anchor's failing share: an assertion needs no other anchors, so a single one has a value too."""
    return [measure_checks((reading,), anchors, canary) for reading in anchors]


CHECKS_CHANNEL = Channel(
    name="checks",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="equal",
    applies=has_checks,
    measure=measure_checks,
    needs_anchors=False,
    leave_one_out=each_anchor,
)
