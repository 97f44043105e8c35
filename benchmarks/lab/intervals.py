"""Shares and areas with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import beta

SEED = 20
"""Of the bootstrap."""


def roc_area(changed: Sequence[float], unchanged: Sequence[float]) -> float:
    """P(a changed pair's p is smaller than an unchanged pair's) + ½ P(equal)."""
    these, those = np.asarray(changed)[:, None], np.asarray(unchanged)[None, :]
    return float((these < those).mean() + 0.5 * (these == those).mean())


def roc_interval(changed: Sequence[float], unchanged: Sequence[float], *, n: int = 400) -> tuple[float, float]:
    """95 % percentile bootstrap over the draws of both."""
    rng = np.random.default_rng(SEED)
    these, those = np.asarray(changed), np.asarray(unchanged)
    areas = [roc_area(rng.choice(these, these.size), rng.choice(those, those.size)) for _ in range(n)]
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


def clopper_pearson(k: int, n: int) -> tuple[float, float]:
    """95 % interval of a share."""
    low = 0.0 if k == 0 else float(beta.ppf(0.025, k, n - k + 1))
    return low, 1.0 if k == n else float(beta.ppf(0.975, k + 1, n - k))
