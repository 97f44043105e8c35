"""The e-detector: turns the bets of all channels of one kind into evidence, alarms, onsets and recoveries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect import backstop, rank
from driftwatch.detect.onset import log_mixture, most_likely_start

Floats = NDArray[np.float64]

FINE_STAKES = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""a of the bets that decide when an episode is over.

Finer than rank.STAKES because the rule needs the mixture to hold a bet near the best one: with those three stakes,
lasting drifts of .09 in total variation were called over 18 times in 80,000 runs instead of 3 (A = 17,532).
"""

BLOCK = 1024
"""Runs whose bets are laid out at once; bounds memory and the work thrown away at an alarm."""

SET_WEIGHTS = np.array(
    [
        [0.03, 0.06, 0.13],
        [0.08, 0.12, 0.04],
        [0.12, 0.10, 0.04],
        [0.07, 0.08, 0.01],
    ],
)
"""Weight of each rank strategy, rows as in rank.SHARES, columns as in rank.STAKES.

Chosen on simulated shifts of .06 … 1 in total variation for the shortest mean delay, then rounded; on series of
another seed they save 0–6 % of the delay that equal weights have (docs/detection.md). Fixed weights leave the
false-alarm guarantee untouched, whatever they are.
"""

BACKSTOP_WEIGHTS = np.array([0.03, 0.03, 0.03, 0.03])
"""Weight of each bounded-mean strategy, as in backstop.STAKES. All sixteen weights of a channel sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One stretch of drift, as positions in the monitored series, from 0."""

    onset: int
    """The run at which the change most likely began; fixed at the alarm."""
    alarm: int
    recovery: int | None
    """The first run at which behaviour counts as calibrated again; None while it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What an e-detector said over a series."""

    evidence: Floats
    """(T,) M after each run; 0 at a recovery, where the watch starts afresh."""
    episodes: tuple[Episode, ...]
    by_channel: Floats
    """(C,) each channel's part of M, summing to it: at the alarm while drifted, otherwise at the latest run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bets:
    """All that is staked on one kind of drift. Columns: every stake of every rank set, then the backstop's.

    T runs, G rank sets, B backstop columns, S = 3·G + B strategies, C channels.
    """

    hits: NDArray[np.bool_]
    """(T, G) whether the run fell into the set."""
    measured: NDArray[np.bool_]
    """(T, G) whether the set's channel has a value."""
    sizes: NDArray[np.int64]
    """(G,) gaps per set."""
    n_calibration: NDArray[np.int64]
    """(G,) K of the set's channel."""
    backstop: Floats
    """(T, B) e-values, 1 at gaps."""
    counted: Floats
    """(T, S) 1 where the strategy's channel has a value, else 0."""
    weights: Floats
    """(S,) fixed in advance, summing to 1."""
    fine_weights: Floats
    """(7·G + B,) the weights of the finer bets that decide when an episode is over, summing to 1."""
    channel: NDArray[np.int64]
    """(S,) position of the strategy's channel."""

    @property
    def n_runs(self) -> int:
        """T."""
        return int(self.hits.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the predictive ranks remember of the runs that count as calibrated."""

    hits: NDArray[np.int64]
    """(G,) Σ N_j of each set."""
    runs: NDArray[np.int64]
    """(G,) measured runs of the set's channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelScores:
    """One channel as the detector reads it."""

    name: str
    two_sided: bool
    calibration: Floats
    """(K₀,) in [0, 1], NaN = not measured."""
    monitored: Floats
    """(T,) in [0, 1], NaN = not measured."""


def lay_out(channels: list[ChannelScores], *, seed: int) -> Bets:
    """Arrange the strategies of all channels of one kind side by side, with their weights.

    Every channel has the same weight; a two-sided channel halves it between its sides.

    Args:
        channels: C ≥ 1 channels with T runs each, every one with a measured calibration run.
        seed: of the tie-breakers.

    Returns:
        S = Σ 16 (or 32 for a two-sided channel) strategies.
    """
    hit, fixed, sizes, known, owner, parts, measured = [], [], [], [], [], [], []
    for position, channel in enumerate(channels):
        n_known = int(np.isfinite(channel.calibration).sum())
        is_measured = np.isfinite(channel.monitored)
        place = rank.ranks(channel.calibration, channel.monitored, seed=seed, channel=channel.name)
        hit.append(rank.hits(place, n_known, two_sided=channel.two_sided))
        bounded = backstop.bets(channel.calibration, channel.monitored, two_sided=channel.two_sided)
        fixed.append(np.where(is_measured[:, None], bounded, 1.0))
        n_sides = 2 if channel.two_sided else 1
        for _ in range(n_sides):
            sizes.append(rank.set_sizes(n_known))
            known.append(n_known)
            owner.append(position)
            parts.append(1.0 / (len(channels) * n_sides))
            measured.append(is_measured)
    by_side = np.stack(measured, axis=1)
    n_sets, n_stakes, n_backstops = len(rank.SHARES), SET_WEIGHTS.size, BACKSTOP_WEIGHTS.size
    n_fine = n_sets * len(FINE_STAKES)
    fine = np.full(n_fine, SET_WEIGHTS.sum() / n_fine)
    of_backstop = np.outer(parts, BACKSTOP_WEIGHTS).ravel()
    return Bets(
        hits=np.hstack(hit),
        measured=np.repeat(by_side, n_sets, axis=1),
        sizes=np.concatenate(sizes),
        n_calibration=np.repeat(known, n_sets),
        backstop=np.hstack(fixed),
        counted=np.hstack(
            [np.repeat(by_side, n_stakes, axis=1), np.repeat(by_side, n_backstops, axis=1)],
        ).astype(np.float64),
        weights=np.concatenate([np.outer(parts, SET_WEIGHTS).ravel(), of_backstop]),
        fine_weights=np.concatenate([np.outer(parts, fine).ravel(), of_backstop]),
        channel=np.concatenate([np.repeat(owner, n_stakes), np.repeat(owner, n_backstops)]),
    )


def evidence_per_run(
    bets: Bets, start: int, stop: int, counts: Counts, *, learns: bool, stakes: Sequence[float] = rank.STAKES
) -> Floats:
    """The e-values of the runs start … stop − 1, every strategy.

    Args:
        bets: all strategies.
        start: first run.
        stop: after the last run.
        counts: what the predictive ranks know before ``start``.
        learns: whether each run adds to what is known for the next. While drifted it must not: the new
            behaviour would become the expected one and its evidence fade.
        stakes: of the rank bets.

    Returns:
        (stop − start, stakes · G + B), 1 at gaps.
    """
    hit, measured = bets.hits[start:stop], bets.measured[start:stop]
    n_hits, n_runs = counts.hits, counts.runs
    if learns:
        n_hits = n_hits + np.cumsum(hit, axis=0) - hit
        n_runs = n_runs + np.cumsum(measured, axis=0) - measured
    e = rank.bets(hit, rank.predictive(bets.sizes, bets.n_calibration, n_hits, n_runs), stakes)
    e = np.where(measured[:, :, None], e, 1.0)
    return np.hstack([e.reshape(stop - start, -1), bets.backstop[start:stop]])


def detect(bets: Bets, *, threshold: float) -> Trace:
    """Follow a series: R_t = e_t · (1 + R_{t−1}) for every strategy, M_t = Σ w·R_t, alarm when M_t ≥ A.

    A gap holds R and adds no start. At an alarm the onset is fixed; from there on the predictive ranks stop
    learning, and the product of evidence since the onset, W_t = Σ w·Π e, is followed: the episode is over when W
    has fallen to 1/A of its highest value. That is the alarm's mirror image. If the strategies' best mixture were
    matched to the drift, 1/W would be a fair bet against "still drifted": a lasting drift is called over about once
    in A runs (measured), and a drift that was found quickly is found over quickly. While drifted, R is capped at
    A/w, so that one strategy alone can hold M at A and none can carry it out of reach. After the recovery all R
    start from 0, and the predictive ranks know what they knew at the onset.

    Assumption: exchangeable runs per channel for the rank strategies, E[S_t | past] ≤ μ0 for the backstop.
    False alarms: E[M_t] ≤ t, so the average run length is at least A runs and P(alarm by run H) ≤ H/A. This
    holds averaged over calibrations; a given watch has drawn a lucky or unlucky one. With several channels the
    common stopping rule uses all of their pasts, with which the rank bets are fair up to terms of order 1/K.

    Args:
        bets: from ``lay_out``.
        threshold: A, in runs; above 1.

    Returns:
        Evidence, episodes and each channel's part.

    Source: Shin, Ramdas & Rinaldo, arXiv 2203.03532 (Shiryaev–Roberts e-detectors and their mixtures); the recovery
    rule is driftwatch's own, see docs/detection.md for what it was measured to do.
    """
    evidence = np.zeros(bets.n_runs)
    episodes: list[Episode] = []
    counts = Counts(hits=np.zeros_like(bets.sizes), runs=np.zeros_like(bets.sizes))
    start = 0
    while True:
        alarm, held = _watch(bets, start, counts, threshold, evidence)
        if alarm is None:
            break
        onset = start + most_likely_start(
            evidence_per_run(bets, start, alarm + 1, counts, learns=True),
            bets.weights,
        )
        counts = _advance(bets, start, onset, counts)
        at_alarm = held.copy()
        episode = Episode(onset=onset, alarm=alarm, recovery=None)
        recovery = _follow(bets, episode, counts, threshold, held=held, evidence=evidence)
        episodes.append(replace(episode, recovery=recovery))
        if recovery is None:
            held = at_alarm
            break
        start = recovery + 1
    n_channels = int(bets.channel.max()) + 1
    by_channel: Floats = np.zeros(n_channels)
    np.add.at(by_channel, bets.channel, bets.weights * held)
    return Trace(evidence=evidence, episodes=tuple(episodes), by_channel=by_channel)


# ---------------------------------------------------------------- the two states


def _watch(
    bets: Bets,
    start: int,
    counts: Counts,
    threshold: float,
    evidence: Floats,
) -> tuple[int | None, Floats]:
    """Run the detector from R = 0 until it alarms; fills ``evidence`` and returns the alarm and R."""
    held = np.zeros(bets.weights.size)
    for first in range(start, bets.n_runs, BLOCK):
        stop = min(first + BLOCK, bets.n_runs)
        e = evidence_per_run(bets, first, stop, counts, learns=True)
        for t in range(first, stop):
            held += bets.counted[t]
            held *= e[t - first]
            evidence[t] = total = float(bets.weights @ held)
            if total >= threshold:
                return t, held
        counts = _advance(bets, first, stop, counts)
    return None, held


def _follow(
    bets: Bets,
    episode: Episode,
    counts: Counts,
    threshold: float,
    *,
    held: Floats,
    evidence: Floats,
) -> int | None:
    """Run an episode until it is over; fills ``evidence`` after the alarm and returns the recovery."""
    fall = math.log(threshold)
    cap = threshold / bets.weights
    np.minimum(held, cap, out=held)
    products = np.zeros((1, bets.fine_weights.size))
    peak = -math.inf
    for first in range(episode.onset, bets.n_runs, BLOCK):
        stop = min(first + BLOCK, bets.n_runs)
        e = evidence_per_run(bets, first, stop, counts, learns=False)
        fine = evidence_per_run(bets, first, stop, counts, learns=False, stakes=FINE_STAKES)
        products = products[-1] + np.cumsum(np.log(fine), axis=0)
        since_onset = log_mixture(products, bets.fine_weights)
        peaks = np.maximum.accumulate(np.maximum(since_onset, peak))
        peak = float(peaks[-1])
        is_over = peaks - since_onset >= fall
        for t in range(max(first, episode.alarm + 1), stop):
            if is_over[t - first]:
                return t
            held += bets.counted[t]
            held *= e[t - first]
            np.minimum(held, cap, out=held)
            evidence[t] = float(bets.weights @ held)
    return None


def _advance(bets: Bets, start: int, stop: int, counts: Counts) -> Counts:
    """What the predictive ranks know after the runs start … stop − 1."""
    return Counts(
        hits=counts.hits + bets.hits[start:stop].sum(axis=0),
        runs=counts.runs + bets.measured[start:stop].sum(axis=0),
    )
