"""ROC areas with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
