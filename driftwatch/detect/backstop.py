"""Backstop evidence: betting on the mean of a bounded score, which needs no exchangeability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STAKES = (0.2, 0.5, 0.8, 0.95)
"""λ: the part of the capital bet on the mean having risen, 0 … 1. Source: detection design, "Backstop"."""

MARGIN = 3.0
"""Standard errors of the calibration mean that are granted before a rise counts."""


def allowed_mean(calibration: NDArray[np.float64]) -> float:
    """The largest mean that still counts as calibrated: μ0 = max(mean + 3·sd/√K, (K·mean + 1)/(K + 1)), at most 1.

    The second term is the calibration mean as if one more run had scored 1 (Laplace's rule of succession):
    K runs of exactly 0 do not prove a mean of 0, and without it one later run above 0 would be worth any amount.
    It also keeps a constant channel from gathering evidence: at S = mean < 1, e < 1 (at 1, e = 1).

    Args:
        calibration: (K,) in [0, 1], no NaN, K ≥ 1.

    Returns:
        μ0 in [1/(K + 1), 1]; at 1 nothing can count as a rise.

    >>> allowed_mean(np.zeros(19))
    0.05
    """
    n = calibration.size
    mean = float(calibration.mean())
    margin = mean + MARGIN * float(calibration.std(ddof=1)) / np.sqrt(n) if n > 1 else mean
    return float(min(1.0, max(margin, (n * mean + 1.0) / (n + 1.0))))


def bets(
    calibration: NDArray[np.float64],
    scores: NDArray[np.float64],
    *,
    two_sided: bool,
) -> NDArray[np.float64]:
    """The e-value of every stake: e_t = 1 + (λ/μ0)(S_t − μ0), and the same on 1 − S where a fall is drift too.

    Assumption: E[S_t | the past] ≤ μ0, nothing else; runs may depend on each other and change their spread.
    Then E[e_t | the past] ≤ 1. μ0 is an estimate: with K independent runs it lies below the true mean in about
    one series of 700, and dependent runs make that likelier.

    Args:
        calibration: (K₀,) in [0, 1]; NaN = not measured, left out. At least one measured.
        scores: (T,) in [0, 1]; NaN = not measured.
        two_sided: whether unusually low scores are drift too.

    Returns:
        (T, 4), or (T, 8) when two-sided, each in [1 − λ, 1 − λ + λ/μ0]; NaN where the score is NaN.

    Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", arXiv 2010.09686;
    Shin, Ramdas & Rinaldo, arXiv 2203.03532 (bounded means).

    >>> bets(np.zeros(19), np.array([0.0, 0.05, 1.0]), two_sided=False).round(2)[:, 1].tolist()
    [0.5, 1.0, 10.5]
    """
    known = calibration[np.isfinite(calibration)]
    stakes = np.array(STAKES)
    rise = allowed_mean(known)
    up = 1.0 + stakes * ((scores[:, None] - rise) / rise)
    if not two_sided:
        return up
    fall = allowed_mean(1.0 - known)
    return np.hstack([up, 1.0 + stakes * ((1.0 - scores[:, None] - fall) / fall)])
