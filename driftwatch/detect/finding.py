"""Judgement: from the scores of a series to one finding per kind of drift, recomputable from the stored scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect.edetector import Episode
from driftwatch.detect.watcher import MINIMUM_CALIBRATION, ChannelSpec, Watcher
from driftwatch.domain import Kind

__all__ = ["MINIMUM_CALIBRATION", "ChannelSpec", "Finding", "finding_of", "judge", "watchers"]

Floats = NDArray[np.float64]

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a series says about one kind of drift."""

    kind: Kind
    evidence: Floats
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
    is_suspicious: bool = False
    """Whether the latest run lies among the outermost 1 % of the calibration runs."""
    problem: str | None = None
    """Why this kind cannot be judged, a sentence for people; None when it can."""


def judge(
    calibration: Mapping[str, Floats],
    monitored: Mapping[str, Floats],
    channels: Sequence[ChannelSpec],
    *,
    threshold: float,
    seed: int,
    calibrated_at: Floats | None = None,
    monitored_at: Floats | None = None,
) -> dict[Kind, Finding]:
    """Judge a whole series at once; judging a longer one leaves every earlier value as it was.

    Per kind: an e-detector over all channels with at least 20 measured calibration runs, and over what they say
    together, after rhythm and dependence that the calibration runs show were taken out.

    Assumptions and the false alarms it keeps to: see ``edetector.EDetector``; per kind and target the average run
    length is at least ``threshold`` runs. Nothing may alarm before calibration is complete: that is the caller's
    to say.

    Args:
        calibration: channel → (K₀,) scores in [0, 1], all equally long; NaN = not measured. A channel may be absent.
        monitored: channel → (T,) scores of the runs since, all equally long; NaN = gap: the run says nothing about
            the channel and its evidence is held. A channel may be absent, T may be 0.
        channels: what to judge; their order does not matter.
        threshold: A, in runs, above 1; from ``budget.threshold``.
        seed: 0 or more, fixed for the series.
        calibrated_at: (K₀,) when the calibration runs were, s since 1970; None: an hour apart.
        monitored_at: (T,) when the others were; None: an hour apart, following the calibration.

    Returns:
        A finding for every kind among ``channels``. Without any calibrated channel it has no evidence and no episodes.

    Raises:
        ValueError: scores outside [0, 1], unequal lengths, a channel named twice, or a threshold of 1 or less.

    >>> spec = ChannelSpec(name="wording", kind=Kind.BEHAVIOUR, two_sided=False)
    >>> usual = {"wording": np.random.default_rng(1).uniform(0.10, 0.20, 168)}
    >>> found = judge(usual, {"wording": np.array([0.15, 0.7, 0.7, 0.7])}, [spec], threshold=17532.0, seed=1)
    >>> found[Kind.BEHAVIOUR].episodes
    (Episode(onset=1, alarm=3, recovery=None),)
    """
    since = {spec.name: monitored[spec.name] for spec in channels if spec.name in monitored}
    n_runs = _length(since, "monitored", monitored_at)
    n_before = _length(
        {spec.name: calibration[spec.name] for spec in channels if spec.name in calibration}, "calibration"
    )
    at = monitored_at if monitored_at is not None else HOUR_S * np.arange(n_before, n_before + n_runs)
    findings = {}
    for kind, watcher in watchers(
        calibration, channels, threshold=threshold, seed=seed, calibrated_at=calibrated_at
    ).items():
        evidence = watcher.extend(since, np.asarray(at, dtype=np.float64))
        findings[kind] = finding_of(watcher, evidence)
    return findings


def watchers(
    calibration: Mapping[str, Floats],
    channels: Sequence[ChannelSpec],
    *,
    threshold: float,
    seed: int,
    calibrated_at: Floats | None = None,
) -> dict[Kind, Watcher]:
    """One watcher for every kind among the channels, before its first monitored run; arguments as for ``judge``."""
    names = [spec.name for spec in channels]
    if len(set(names)) < len(names):
        raise ValueError(f"a channel is named twice among {', '.join(sorted(names))}")
    before = {name: calibration[name] for name in names if name in calibration}
    n_before = _length(before, "calibration", calibrated_at)
    at = calibrated_at if calibrated_at is not None else HOUR_S * np.arange(n_before)
    return {
        kind: Watcher(
            kind,
            [spec for spec in channels if spec.kind is kind],
            before,
            np.asarray(at, dtype=np.float64),
            threshold=threshold,
            seed=seed,
        )
        for kind in sorted({spec.kind for spec in channels})
    }


def finding_of(watcher: Watcher, evidence: Floats) -> Finding:
    """What a watcher has found so far.

    Args:
        watcher: as it is after the latest run.
        evidence: (T,) M after the runs of interest, the latest last.
    """
    return Finding(
        kind=watcher.kind,
        evidence=evidence,
        threshold=watcher.threshold,
        episodes=watcher.episodes,
        is_drifted=watcher.is_drifted,
        shares=watcher.shares(),
        is_suspicious=watcher.is_suspicious,
        problem=watcher.problem,
    )


def _length(scores: Mapping[str, Floats], what: str, at: Floats | None = None) -> int:
    lengths = {len(values) for values in scores.values()} | ({len(at)} if at is not None else set())
    if len(lengths) > 1:
        raise ValueError(f"the {what} channels have unequal numbers of runs: {sorted(lengths)}")
    return max(lengths, default=0)
