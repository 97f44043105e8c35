"""Judgement: from the scores of a series to one finding per kind of drift, recomputable from the stored scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect.edetector import ChannelScores, Episode, detect, lay_out
from driftwatch.domain import Kind

MINIMUM_CALIBRATION = 20
"""Measured calibration runs below which a channel is left out. Source: detection design, "Evidence per run"."""

ROUNDING = 1e-9
"""How far outside [0, 1] a score may lie by floating-point rounding; it is clipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """What detection must know of a channel."""

    name: str
    kind: Kind
    two_sided: bool
    """Whether unusually low scores are drift too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a series says about one kind of drift."""

    kind: Kind
    evidence: NDArray[np.float64]
    """(T,) M after each monitored run; an alarm is raised when it reaches ``threshold``."""
    threshold: float
    """A, in runs."""
    episodes: tuple[Episode, ...]
    """In order; only the last may be without recovery."""
    is_drifted: bool
    """Whether the last episode is not over."""
    shares: Mapping[str, float]
    """channel → its part of the evidence, 0 … 1: at the alarm while drifted, otherwise at the latest run.

    They sum to 1, or are all 0 when there is no evidence yet. A channel without enough calibration has 0.
    """


def judge(
    calibration: Mapping[str, NDArray[np.float64]],
    monitored: Mapping[str, NDArray[np.float64]],
    channels: Sequence[ChannelSpec],
    *,
    threshold: float,
    seed: int,
) -> dict[Kind, Finding]:
    """Judge a whole series at once; judging a longer one leaves every earlier value as it was.

    Per kind: an e-detector over all channels with at least 20 measured calibration runs, equally weighted.

    Assumptions and the false alarms it keeps to: see ``edetector.detect``; per kind and target the average run
    length is at least ``threshold`` runs. Nothing may alarm before calibration is complete: that is the caller's
    to say.

    Args:
        calibration: channel → (K₀,) scores in [0, 1]; NaN = not measured. A channel may be absent.
        monitored: channel → (T,) scores of the runs since, all equally long; NaN = gap: the run says nothing about
            the channel and its evidence is held. A channel may be absent, T may be 0.
        channels: what to judge; their order does not matter.
        threshold: A, in runs, above 1; from ``budget.threshold``.
        seed: 0 or more, fixed for the series.

    Returns:
        A finding for every kind among ``channels``. Without any calibrated channel it has no evidence and no episodes.

    Raises:
        ValueError: scores outside [0, 1], unequal lengths, a channel named twice, or a threshold of 1 or less.

    >>> spec = ChannelSpec(name="wording", kind=Kind.BEHAVIOUR, two_sided=False)
    >>> usual = {"wording": np.linspace(0.10, 0.20, 168)}
    >>> found = judge(usual, {"wording": np.array([0.15, 0.7, 0.7, 0.7])}, [spec], threshold=17532.0, seed=1)
    >>> found[Kind.BEHAVIOUR].episodes
    (Episode(onset=1, alarm=3, recovery=None),)
    """
    if not threshold > 1 or not np.isfinite(threshold):
        raise ValueError(f"the threshold is {threshold}; it must be a number above 1")
    names = [spec.name for spec in channels]
    if len(set(names)) < len(names):
        raise ValueError(f"a channel is named twice among {', '.join(sorted(names))}")
    before = {name: _scores(calibration[name], name) for name in names if name in calibration}
    since = {name: _scores(monitored[name], name) for name in names if name in monitored}
    lengths = {scores.size for scores in since.values()}
    if len(lengths) > 1:
        raise ValueError(f"the monitored channels have unequal numbers of runs: {sorted(lengths)}")
    n_runs = max(lengths, default=0)
    gaps = np.full(n_runs, np.nan)
    findings = {}
    for kind in sorted({spec.kind for spec in channels}):
        of_kind = sorted((spec for spec in channels if spec.kind is kind), key=lambda spec: spec.name)
        usable = [
            ChannelScores(
                name=spec.name,
                two_sided=spec.two_sided,
                calibration=before[spec.name],
                monitored=since.get(spec.name, gaps),
            )
            for spec in of_kind
            if spec.name in before and np.isfinite(before[spec.name]).sum() >= MINIMUM_CALIBRATION
        ]
        findings[kind] = _find(kind, of_kind, usable, n_runs=n_runs, threshold=threshold, seed=seed)
    return findings


def _find(
    kind: Kind,
    of_kind: Sequence[ChannelSpec],
    usable: list[ChannelScores],
    *,
    n_runs: int,
    threshold: float,
    seed: int,
) -> Finding:
    shares = {spec.name: 0.0 for spec in of_kind}
    if not usable:
        return Finding(
            kind=kind,
            evidence=np.zeros(n_runs),
            threshold=threshold,
            episodes=(),
            is_drifted=False,
            shares=shares,
        )
    trace = detect(lay_out(usable, seed=seed), threshold=threshold)
    total = float(trace.by_channel.sum())
    if total > 0:
        shares |= {channel.name: float(part) / total for channel, part in zip(usable, trace.by_channel, strict=True)}
    return Finding(
        kind=kind,
        evidence=trace.evidence,
        threshold=threshold,
        episodes=trace.episodes,
        is_drifted=bool(trace.episodes) and trace.episodes[-1].recovery is None,
        shares=shares,
    )


def _scores(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Clip rounding, refuse the rest; never touches the caller's array."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1:
        raise ValueError(f"the scores of channel {name} have {scores.ndim} dimensions; they must have one, the runs")
    outside = (scores < -ROUNDING) | (scores > 1 + ROUNDING)
    if outside.any():
        raise ValueError(f"channel {name} has the score {scores[outside][0]}; scores must lie between 0 and 1")
    return np.clip(scores, 0.0, 1.0)
