"""What a plan knows of a target's noise: measured on its calibration runs, or assumed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftwatch.detect.watcher import MINIMUM_CALIBRATION
from driftwatch.domain import Completion, Kind, Purpose, RunState, SeriesRow, Target
from driftwatch.score import CHANNELS
from driftwatch.store import Store
from driftwatch.usage import Tokens, measured_tokens

SHARED_VARIANCE = (1.6 - 1.0) / (10 - 1)
"""ρ, the part of one answer's variance that a run's answers share, .067: more repeats cannot average it out.

Derived: n answers with intra-run correlation ρ vary 1 + (n − 1)·ρ times as much as independent ones. Daily counts of
one-token answers, 10 per prompt and day, were measured to vary 1.6 times as much as binomial ones: 1 + 9·ρ = 1.6.
Source: detection design, "Why the obvious ways fail" (1.6–1.8, of which the lower figure is taken).
"""

USAGE_RUNS = 20
"""Latest runs whose replies say how many tokens a canary takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One channel's scores over the calibration runs."""

    mean: float
    sd: float
    """From run to run; 0 for a channel that never moved, in which any change stands out."""
    n: int
    """Measured calibration runs, 20 or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A target's behaviour channels."""

    n_channels: int
    """1 or more."""
    n_two_sided: int
    measured: Mapping[str, Spread]
    """Channel → spread; empty before the target has 20 calibration runs."""
    n_calibration: int | None
    """Calibration runs of the current baseline; None before there are 20."""


def assumed_noise(target: Target, *, has_embedder: bool) -> Noise:
    """The channels that the target's canaries can be measured by; how much they vary is not known.

    Args:
        target: with its canaries.
        has_embedder: whether meaning is measured.
    """
    names = [
        name
        for name, channel in CHANNELS.items()
        if channel.kind is Kind.BEHAVIOUR
        and (has_embedder or not channel.needs_embedder)
        and any(channel.applies(target, canary) for canary in target.canaries)
    ]
    return Noise(n_channels=max(1, len(names)), n_two_sided=_two_sided(names), measured={}, n_calibration=None)


def measured_noise(rows: Sequence[SeriesRow]) -> Noise | None:
    """The noise that a baseline's calibration runs show.

    Args:
        rows: of ``Store.series``; runs that are not calibration runs are left out.

    Returns:
        None while no behaviour channel has 20 measured calibration runs.
    """
    calibration = [row for row in rows if row.purpose is Purpose.CALIBRATION]
    found = {}
    for name, channel in CHANNELS.items():
        values = np.array([row.values[name] for row in calibration if name in row.values])
        if channel.kind is Kind.BEHAVIOUR and values.size >= MINIMUM_CALIBRATION:
            found[name] = Spread(mean=float(values.mean()), sd=float(values.std(ddof=1)), n=int(values.size))
    if not found:
        return None
    return Noise(
        n_channels=len(found),
        n_two_sided=_two_sided(list(found)),
        measured=found,
        n_calibration=max(spread.n for spread in found.values()),
    )


def observe(store: Store, target: Target, key: str) -> tuple[Noise | None, dict[str, Tokens]]:
    """What the store knows: the noise of the current baseline, and the tokens of the latest replies by canary.

    Args:
        store: read only.
        target: what is planned for.
        key: its series key as it is configured now; scores of another key say nothing of this target's noise.
    """
    tokens = measured_tokens(_latest_replies(store, target))
    baseline = store.current_baseline(target.name)
    if baseline is None or baseline.series_key != key:
        return None, tokens
    return measured_noise(store.series(baseline.id)), tokens


def sd_ratio(target: Target, instead_of: Target) -> float:
    """How much a run's sd changes when canaries are asked another number of times: √(v̄/v̄₀).

    v(r) = (1 − ρ)/r + ρ with ρ = SHARED_VARIANCE, the mean of r answers that share a part ρ of their variance; v̄ is
    its mean over the canaries.
    """
    return math.sqrt(_variance(target) / _variance(instead_of))


def _variance(target: Target) -> float:
    repeats = [target.repeats_for(canary) for canary in target.canaries]
    return sum((1.0 - SHARED_VARIANCE) / r + SHARED_VARIANCE for r in repeats) / len(repeats)


def _two_sided(names: Sequence[str]) -> int:
    return sum(CHANNELS[name].two_sided for name in names)


def _latest_replies(store: Store, target: Target) -> list[Completion]:
    """Replies to the canaries as they are now: an edited one may be answered at another length."""
    runs = store.runs(target.name, states=(RunState.MEASURED, RunState.JUDGED), limit=USAGE_RUNS, newest_first=True)
    hashes = {canary.id: canary.content_hash for canary in target.canaries}
    replies = [c for those in store.completions([run.id for run in runs]).values() for c in those]
    return [c for c in replies if hashes.get(c.canary_id) == c.canary_hash]
