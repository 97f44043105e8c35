"""Slow creep: how far newly accepted behaviour is from the first that was ever accepted for the same question.

Each acceptance is judged against the one before it, so that many small ones could add up to another model unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from driftwatch.domain import Baseline, Completion, Kind, Purpose, SeriesRow, Target
from driftwatch.score import CHANNELS, Embedder, Reference, score
from driftwatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCreep:
    """One channel of behaviour, measured against the first baseline's anchors; scores in [0, 1]."""

    channel: str
    first: float
    """Mean over the first baseline's own calibration runs."""
    usual: float
    """95th percentile of them."""
    now: float
    """Of the accepted anchors."""

    @property
    def is_far(self) -> bool:
        """Whether it lies beyond what was usual at first."""
        return self.now > self.usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Creep:
    """What has become of a target's behaviour over all acceptances."""

    first_id: int
    """The first baseline of the same question."""
    since: datetime
    """When it was begun."""
    n_between: int
    """Baselines of the same question that were begun after it, before this acceptance."""
    channels: tuple[ChannelCreep, ...]
    """Farthest first."""

    def in_words(self) -> str:
        """One sentence, e.g. ``0.12 → 0.45 in wording``; says so when nothing is far.

        The first number is the first baseline's own, the second that of the accepted replies.
        """
        far = [f"{c.first:.2f} → {c.now:.2f} in {c.channel}" for c in self.channels if c.is_far]
        said = ", ".join(far) if far else "no farther than it was itself while it was calibrated"
        return f"distance from the first baseline ({self.first_id}, of {self.since:%Y-%m-%d}): {said}"


def creep(
    store: Store,
    target: Target,
    embedder: Embedder | None,
    *,
    series_key: str,
    anchors: Mapping[str, Sequence[Completion]],
) -> Creep | None:
    """Measure accepted anchors against those of the target's first baseline with the same series key.

    Anchors are never deleted, whatever the retention, so the first epoch stays there to be measured against.

    Args:
        store: read only.
        target: as it is asked.
        embedder: the one its scores are made with.
        series_key: what makes the two comparable: same suite, scoring and embedder.
        anchors: canary id → the replies that are about to be accepted.

    Returns:
        None when there is no earlier baseline of the same question that was calibrated.
    """
    same = [baseline for baseline in store.baselines(target.name) if baseline.series_key == series_key]
    for n_after, (first, rows) in enumerate((b, _calibration(store, b)) for b in same):
        known = store.anchors(first.id)
        if rows and known:
            watched = tuple(c for c in target.canaries if len(known.get(c.id, ())) >= first.least_anchors(c))
            reference = Reference.from_anchors(replace(target, canaries=watched or target.canaries), known, embedder)
            channels = _channels(reference, rows, anchors)
            return Creep(
                first_id=first.id,
                since=first.created_at,
                n_between=len(same) - n_after - 1,
                channels=tuple(sorted(channels, key=lambda c: (c.usual - c.now, c.channel))),
            )
    return None


def _calibration(store: Store, baseline: Baseline) -> list[SeriesRow]:
    return [row for row in store.series(baseline.id) if row.purpose is Purpose.CALIBRATION]


def _channels(
    reference: Reference, rows: Sequence[SeriesRow], anchors: Mapping[str, Sequence[Completion]]
) -> list[ChannelCreep]:
    # All accepted replies as one run with many repeats: its distance is a mean over them.
    replies = [
        replace(completion, repeat=repeat) for those in anchors.values() for repeat, completion in enumerate(those)
    ]
    found = []
    for measured in score(reference, replies):
        values = [row.values[measured.channel] for row in rows if measured.channel in row.values]
        if CHANNELS[measured.channel].kind is Kind.BEHAVIOUR and values and not math.isnan(measured.value):
            found.append(
                ChannelCreep(
                    channel=measured.channel,
                    first=float(np.mean(values)),
                    usual=float(np.quantile(values, 0.95)),
                    now=measured.value,
                )
            )
    return found
