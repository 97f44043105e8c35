"""Backstop evidence: betting on the mean of a bounded score, which needs no exchangeability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STAKES = (0.2, 0.5, 0.8, 0.95)
"""λ: the part of the capital bet on the mean having risen, 0 … 1. Source: detection design, "Backstop"."""

MARGIN = 3.0
"""Standard errors of the calibration mean that are granted before a rise counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The largest means that still count as calibrated."""

    rise: float
    """μ0 of S, above 0, at most 1."""
    fall: float | None
    """μ0 of 1 − S where a fall is drift too."""

    @classmethod
    def by(
        cls, calibration: NDArray[np.float64], *, two_sided: bool, slack: float = 0.0, widening: float = 1.0
    ) -> Allowed:
        """Learn them from calibration scores.

        Args:
            calibration: (K₀,) in [0, 1]; NaN = not measured, left out. At least one measured.
            two_sided: whether unusually low scores are drift too.
            slack: see ``allowed_mean``.
            widening: see ``allowed_mean``.
        """
        known = calibration[np.isfinite(calibration)]
        fall = allowed_mean(1.0 - known, slack=slack, widening=widening) if two_sided else None
        return cls(rise=allowed_mean(known, slack=slack, widening=widening), fall=fall)


def allowed_mean(calibration: NDArray[np.float64], *, slack: float = 0.0, widening: float = 1.0) -> float:
    """The largest mean that counts as calibrated: μ0 = max(mean + slack + 3·sd·widening/√K, (K·mean + 1)/(K + 1)) ≤ 1.

    The second term is the calibration mean as if one more run had scored 1 (Laplace's rule of succession):
    K runs of exactly 0 do not prove a mean of 0, and without it one later run above 0 would be worth any amount.
    It also keeps a constant channel from gathering evidence: at S = mean < 1, e < 1 (at 1, e = 1).

    Args:
        calibration: (K,) in [0, 1], no NaN, K ≥ 1.
        slack: how far the expected score may lie above the mean by rhythm and dependence, 0 or more.
        widening: factor by which dependence between runs widens the standard error, 1 or more.

    Returns:
        μ0 in [1/(K + 1), 1]; at 1 nothing can count as a rise.

    >>> allowed_mean(np.zeros(19))
    0.05
    """
    n = calibration.size
    mean = float(calibration.mean())
    margin = mean + slack
    if n > 1:
        margin += MARGIN * widening * float(calibration.std(ddof=1)) / np.sqrt(n)
    return float(min(1.0, max(margin, (n * mean + 1.0) / (n + 1.0))))


def bets(allowed: Allowed, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The e-value of every stake: e_t = 1 + (λ/μ0)(S_t − μ0), and the same on 1 − S where a fall is drift too.

    Assumption: E[S_t | the past] ≤ μ0, nothing else; runs may depend on each other and change their spread.
    Then E[e_t | the past] ≤ 1. μ0 is an estimate: with K independent runs it lies below the true mean in about
    one series of 700.

    Args:
        allowed: the means that count as calibrated.
        scores: (T,) in [0, 1]; NaN = not measured.

    Returns:
        (T, 4), or (T, 8) when two-sided, each in [1 − λ, 1 − λ + λ/μ0]; NaN where the score is NaN.

    Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", arXiv 2010.09686;
    Shin, Ramdas & Rinaldo, arXiv 2203.03532 (bounded means).

    >>> bets(Allowed.by(np.zeros(19), two_sided=False), np.array([0.0, 0.05, 1.0])).round(2)[:, 1].tolist()
    [0.5, 1.0, 10.5]
    """
    stakes = np.array(STAKES)
    up = 1.0 + stakes * ((scores[:, None] - allowed.rise) / allowed.rise)
    if allowed.fall is None:
        return up
    return np.hstack([up, 1.0 + stakes * ((1.0 - scores[:, None] - allowed.fall) / allowed.fall)])
