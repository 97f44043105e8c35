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
    """Of the accepted anchors: mean over as many runs as they make."""
    usual_low: float = -math.inf
    """5th percentile of the first baseline's runs; −∞ where a fall is no drift."""

    @property
    def beyond(self) -> float:
        """How far it lies outside what was usual at first; 0 or less inside."""
        return max(self.now - self.usual, self.usual_low - self.now)

    @property
    def is_far(self) -> bool:
        """Whether it lies outside what was usual at first."""
        return self.beyond > 0


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
                channels=tuple(sorted(channels, key=lambda c: (-c.beyond, c.channel))),
            )
    return None


def _calibration(store: Store, baseline: Baseline) -> list[SeriesRow]:
    return [row for row in store.series(baseline.id) if row.purpose is Purpose.CALIBRATION]


def _channels(
    reference: Reference, rows: Sequence[SeriesRow], anchors: Mapping[str, Sequence[Completion]]
) -> list[ChannelCreep]:
    now: dict[str, list[float]] = {}
    for replies in _runs(reference.target, anchors):
        for measured in score(reference, replies):
            if CHANNELS[measured.channel].kind is Kind.BEHAVIOUR and not math.isnan(measured.value):
                now.setdefault(measured.channel, []).append(measured.value)
    found = []
    for channel, scores in now.items():
        values = [row.values[channel] for row in rows if channel in row.values]
        if values:
            found.append(
                ChannelCreep(
                    channel=channel,
                    first=float(np.mean(values)),
                    usual=float(np.quantile(values, 0.95)),
                    now=float(np.mean(scores)),
                    usual_low=float(np.quantile(values, 0.05)) if CHANNELS[channel].two_sided else -math.inf,
                )
            )
    return found


def _runs(target: Target, anchors: Mapping[str, Sequence[Completion]]) -> list[list[Completion]]:
    """Accepted replies as runs that ask each canary as often as the calibration runs did.

    The noise of some channels depends on the number of answers: all anchors as one run would look closer than any run
    was. Where one canary makes fewer runs than another, its replies stand in again, so that every run is whole; what
    does not fill a run is left out, unless there is no other.
    """
    blocks = {}
    for canary in target.canaries:
        those, n = anchors.get(canary.id, ()), target.repeats_for(canary)
        if those:
            blocks[canary.id] = [those[i * n : (i + 1) * n] for i in range(max(1, len(those) // n))]
    n_runs = max(map(len, blocks.values()), default=0)
    return [
        [
            replace(completion, repeat=repeat)
            for mine in blocks.values()
            for repeat, completion in enumerate(mine[run % len(mine)])
        ]
        for run in range(n_runs)
    ]
