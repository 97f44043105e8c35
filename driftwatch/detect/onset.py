"""Onset: the run at which a change most likely began, seen from its alarm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def most_likely_start(e: NDArray[np.float64], weights: NDArray[np.float64]) -> int:
    """Find the start that carries the largest part of the evidence at the alarm.

    The alarm's evidence is a sum over starts, M = Σ_j W_j with W_j = Σ_s w_s · Π_{i=j..alarm} e_{s,i}; the onset
    is the j with the largest W_j, the latest of equals. The strategies that led the alarm decide by their own weight
    in it, none has to be named. Assumption: the change lasts until the alarm.

    Args:
        e: (L, S) e-values of the runs up to and including the alarm, each above 0; 1 at gaps. L ≥ 1.
        weights: (S,) positive.

    Returns:
        Position of the onset in ``e``, 0 … L − 1.

    Source: maximum of the Shiryaev–Roberts sum over its starting times, Shin, Ramdas & Rinaldo, arXiv 2203.03532,
    which makes it the likelihood estimate of the change point for the mixture's alternative.

    >>> most_likely_start(np.array([[0.5], [0.5], [9.0], [9.0]]), np.array([1.0]))
    2
    """
    backward = np.cumsum(np.log(e[::-1]), axis=0)
    return int(e.shape[0] - 1 - log_mixture(backward, weights).argmax())


def log_mixture(logs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of Σ_s w_s · exp(logs_s), without overflow.

    Args:
        logs: (L, S), finite.
        weights: (S,) positive.

    Returns:
        (L,) finite.

    >>> log_mixture(np.array([[2000.0, -2000.0]]), np.array([0.5, 0.5])).round(3).tolist()
    [1999.307]
    """
    highest = logs.max(axis=1)
    mixture: NDArray[np.float64] = np.log(np.exp(logs - highest[:, None]) @ weights) + highest
    return mixture
