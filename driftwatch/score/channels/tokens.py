"""tokens: how many output tokens the replies cost against the anchors, either way. Performance, never behaviour."""

from __future__ import annotations

import math
from collections.abc import Sequence

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, always
from driftwatch.score.channels.latency import log_ratio
from driftwatch.score.reading import Anchors, Reading


def measure_tokens(readings: Sequence[Reading], anchors: Anchors, _canary: Canary) -> float:
    """½ + ln(x / geometric mean of the anchors) / (2 · ln 100), as for latency; NaN where no usage is reported."""
    return log_ratio((_tokens(r) for r in readings), (_tokens(a) for a in anchors))


def _tokens(reading: Reading) -> float:
    n = reading.completion.output_tokens
    return math.nan if n is None else float(max(1, n))  # an empty reply costs a stop token that some do not count


TOKENS = Channel(
    name="tokens",
    kind=Kind.PERFORMANCE,
    two_sided=True,
    weighting="noise",
    applies=always,
    measure=measure_tokens,
)
