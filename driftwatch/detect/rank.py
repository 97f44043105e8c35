"""Rank evidence: how much a run's place among the calibration runs says against "nothing has changed"."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STAKES = (0.3, 0.7, 0.95)
"""a: the part of the bet's capital put on the extreme gaps, 0 … 1. Source: detection design, "Rank evidence"."""

SHARES = (0.0, 0.05, 0.15, 0.30)
"""How many of the K + 1 gaps count as extreme, as a share; 0 stands for the single outermost gap."""


def tie_breakers(n: int, *, seed: int, channel: str, role: str, start: int = 0) -> NDArray[np.float64]:
    """Draw the numbers that decide ties between equal scores.

    They depend on (seed, channel, role) and on the position only, so a series may grow without any
    earlier draw changing: ``tie_breakers(5, …)`` begins with ``tie_breakers(3, …)``.

    Args:
        n: how many, 0 or more.
        seed: 0 or more; the series' own, so that two targets do not share their ties.
        channel: the channel's name.
        role: ``calibration`` or ``monitored``.
        start: position of the first.

    Returns:
        (n,) in [0, 1).

    >>> longer = tie_breakers(5, seed=1, channel="wording", role="monitored")
    >>> bool((longer[2:] == tie_breakers(3, seed=1, channel="wording", role="monitored", start=2)).all())
    True
    """
    digest = hashlib.sha256(f"{role}\0{channel}".encode()).digest()
    key = tuple(int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4))
    source = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))
    # One step of the generator per number, so that a late position costs as little as an early one.
    return np.random.Generator(source.advance(start)).random(n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """The calibration values of one channel, sorted once, ties in the order of their tie-breakers."""

    values: NDArray[np.float64]
    """(V,) distinct values, ascending."""
    keys: NDArray[np.float64]
    """(K,) ascending: 2·(position of the value) + tie-breaker."""
    seed: int
    channel: str

    @classmethod
    def of(cls, calibration: NDArray[np.float64], *, seed: int, channel: str) -> Ruler:
        """Sort calibration values; NaN = not measured, left out, which leaves K.

        Args:
            calibration: (K₀,) finite or NaN.
            seed: see ``tie_breakers``.
            channel: the channel's name.
        """
        known = np.isfinite(calibration)
        ties = tie_breakers(calibration.size, seed=seed, channel=channel, role="calibration")[known]
        values, position = np.unique(calibration[known], return_inverse=True)
        return cls(values=values, keys=np.sort(2.0 * position + ties), seed=seed, channel=channel)

    def places(self, scores: NDArray[np.float64], *, start: int = 0) -> NDArray[np.int64]:
        """Count, for every run, the calibration values below it: r_t = #{i: (S_i, U_i) < (S_t, U_t)}.

        The U are fixed tie-breakers, one per calibration run and one per run. Assumption: none; under
        exchangeability of all K + T scores, r_t is uniform on {0 … K}.

        Args:
            scores: (T,) finite, NaN = not measured.
            start: position of the first in the monitored series.

        Returns:
            (T,) integers in {0 … K}; −1 where the score is NaN.
        """
        ties = tie_breakers(scores.size, seed=self.seed, channel=self.channel, role="monitored", start=start)
        position = np.searchsorted(self.values, scores)
        is_tied = np.append(self.values, np.nan)[np.minimum(position, self.values.size)] == scores
        # Between the keys of two values lies a gap of 1: a score that equals none falls into it.
        key = 2.0 * position + np.where(is_tied, ties, -0.5)
        return np.where(np.isnan(scores), -1, np.searchsorted(self.keys, key))


def ranks(
    calibration: NDArray[np.float64],
    scores: NDArray[np.float64],
    *,
    seed: int,
    channel: str,
) -> NDArray[np.int64]:
    """The places of scores among calibration values, see ``Ruler``.

    Args:
        calibration: (K₀,) finite; NaN = not measured.
        scores: (T,) finite; NaN = not measured.
        seed: see ``tie_breakers``.
        channel: the channel's name.

    Returns:
        (T,) integers in {0 … K}; −1 where the score is NaN.

    >>> ranks(np.array([0.1, 0.2, 0.3]), np.array([0.05, 0.25, np.nan, 0.9]), seed=0, channel="wording").tolist()
    [0, 2, -1, 3]
    """
    return Ruler.of(calibration, seed=seed, channel=channel).places(scores)


def set_sizes(n_calibration: int) -> NDArray[np.int64]:
    """How many gaps each of SHARES covers: max(1, share · (K + 1), rounded).

    Args:
        n_calibration: K, 0 or more.

    Returns:
        (4,) integers in {1 … K + 1}.

    >>> set_sizes(168).tolist()
    [1, 8, 25, 51]
    """
    return np.array([max(1, round(share * (n_calibration + 1))) for share in SHARES], dtype=np.int64)


def hits(rank: NDArray[np.int64], n_calibration: int, *, two_sided: bool) -> NDArray[np.bool_]:
    """Whether each run fell into each set of extreme gaps.

    Args:
        rank: (T,) from ``ranks``; −1 = not measured, which is never a hit.
        n_calibration: K.
        two_sided: whether unusually low scores are drift too.

    Returns:
        (T, 4) for the top g gaps, r_t ≥ K + 1 − g; with ``two_sided`` (T, 8), the bottom gaps r_t < g after them.

    >>> hits(np.array([0, 168, -1]), 168, two_sided=True).any(axis=1).tolist()
    [True, True, False]
    """
    sizes = set_sizes(n_calibration)
    top = rank[:, None] >= n_calibration + 1 - sizes
    if not two_sided:
        return top
    return np.hstack([top, (rank[:, None] >= 0) & (rank[:, None] < sizes)])


def predictive(
    sizes: NDArray[np.int64],
    n_calibration: NDArray[np.int64],
    n_hits: NDArray[np.int64],
    n_runs: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The exact chance that the next run falls into a set of g gaps, given how many did before.

    π_t(j) = (1 + N_j)/(K + t), t = 1 for the first monitored run, summed over the g gaps of the set:
    (g + Σ N_j)/(K + 1 + n) after n runs. Over all K + 1 gaps it is 1.

    Args:
        sizes: g.
        n_calibration: K.
        n_hits: Σ N_j, the earlier runs inside the set.
        n_runs: n, the earlier runs of the channel that were measured. All four broadcast.

    Returns:
        Probabilities in (0, 1].

    Source: Kuang & Xia 2026, arXiv 2609.00536 (predictive ranks); it is the Pólya urn of K + 1 gaps that one
    obtains from exchangeability alone.

    >>> predictive(np.array([1, 169]), np.array(168), np.array([0, 0]), np.array(0)).round(4).tolist()
    [0.0059, 1.0]
    """
    return (sizes + n_hits) / (n_calibration + 1 + n_runs)


def bets(
    hit: NDArray[np.bool_],
    chance: NDArray[np.float64],
    stakes: Sequence[float] = STAKES,
) -> NDArray[np.float64]:
    """The e-value of every stake on every set: e_t = (1 − a) + a · 1{r_t in the set}/π_t(set).

    Assumption: exchangeability of calibration and monitored scores. Then E[e_t | earlier ranks] = 1 exactly,
    whatever the scores' distribution.

    Args:
        hit: (…, G) from ``hits``.
        chance: (…, G) from ``predictive``, of the same runs.
        stakes: the a, each in [0, 1].

    Returns:
        (…, G, stakes), each in [1 − a, 1 − a + a/π].

    >>> bets(np.array([True, False]), np.array([0.5, 0.5])).round(2).tolist()
    [[1.3, 1.7, 1.95], [0.7, 0.3, 0.05]]
    """
    a = np.array(stakes)
    return (1.0 - a) + a * (hit / chance)[..., None]
