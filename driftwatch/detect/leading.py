"""Leading canaries: which canaries moved since the onset, with a bound on how many are named wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect import rank
from driftwatch.detect.layout import SET_WEIGHTS
from driftwatch.detect.onset import log_mixture
from driftwatch.domain import CanaryEvidence

MINIMUM_CALIBRATION = 5
"""Calibration values below which a canary gives no evidence."""

FALSE_DISCOVERY_RATE = 0.05
"""Share of the listed canaries that may be unaffected, on average. Source: detection design, "After an alarm"."""

LARGEST_LOG = 700.0
"""Natural logarithm at which an e-value is cut off, so that it stays a finite number."""


def canary_evidence(
    calibration: Mapping[str, NDArray[np.float64]],
    since_onset: Mapping[str, NDArray[np.float64]],
    *,
    two_sided: bool,
    seed: int,
) -> tuple[CanaryEvidence, ...]:
    """Weigh every canary of one channel by the rank bets of the e-detector, multiplied since the onset.

    E = Σ_s w_s · Π_{t ≥ onset} e_{s,t}. Assumption: the canary's values are exchangeable; then E[E] = 1 and e-BH
    keeps the false discovery rate at 5 % however the canaries depend on each other. The onset was chosen from
    the same runs, which makes the e-values of an alarm's first few runs somewhat too large: read the list as a ranking
    with a floor, not as an exact rate.

    Args:
        calibration: canary id → (K₀,) values in [0, 1]; NaN = not measured. At least 5 measured, or the canary's
            evidence is 1.
        since_onset: canary id → (n,) values since the onset; NaN = not measured.
        two_sided: whether unusually low values are drift too.
        seed: 0 or more, fixed for the series.

    Returns:
        One entry for each canary in either mapping, strongest first, equals by id. A mean over nothing is NaN.

    Source: Wang & Ramdas, "False discovery rate control with e-values", JRSS-B 2022, arXiv 2009.02824 (e-BH).

    >>> usual, now = np.linspace(0.1, 0.2, 40), np.full(5, 0.9)
    >>> found = canary_evidence({"a": usual, "b": usual}, {"a": now, "b": usual[:5]}, two_sided=False, seed=1)
    >>> [(canary.canary_id, canary.is_affected) for canary in found]
    [('a', True), ('b', False)]
    """
    nothing = np.empty(0)
    weighed = []
    for canary_id in sorted({*calibration, *since_onset}):
        before = _measured(calibration.get(canary_id, nothing))
        since = _measured(since_onset.get(canary_id, nothing))
        weighed.append((canary_id, before, since, _e_value(before, since, canary_id, two_sided=two_sided, seed=seed)))
    weighed.sort(key=lambda entry: -entry[3])
    n_affected = e_benjamini_hochberg([entry[3] for entry in weighed], level=FALSE_DISCOVERY_RATE)
    return tuple(
        CanaryEvidence(
            canary_id=canary_id,
            calibration_mean=_mean(before),
            since_onset_mean=_mean(since),
            evidence=e_value,
            is_affected=place < n_affected,
        )
        for place, (canary_id, before, since, e_value) in enumerate(weighed)
    )


def e_benjamini_hochberg(e_values: Sequence[float], *, level: float) -> int:
    """How many of the e-values, largest first, are discoveries: the largest k with k · e_(k) ≥ n/level.

    Args:
        e_values: in falling order, each 0 or more.
        level: the false discovery rate, above 0.

    Returns:
        k in 0 … n.

    Source: Wang & Ramdas, arXiv 2009.02824 (the base e-BH procedure).

    >>> e_benjamini_hochberg([50.0, 45.0, 1.0], level=0.05)
    2
    """
    n = len(e_values)
    return max((k for k, e in enumerate(e_values, start=1) if k * e >= n / level), default=0)


def _e_value(
    before: NDArray[np.float64],
    since: NDArray[np.float64],
    canary_id: str,
    *,
    two_sided: bool,
    seed: int,
) -> float:
    if before.size < MINIMUM_CALIBRATION or since.size == 0:
        return 1.0
    place = rank.ranks(before, since, seed=seed, channel=f"canary {canary_id}")
    hit = rank.hits(place, before.size, two_sided=two_sided)
    n_sides = 2 if two_sided else 1
    chance = rank.predictive(
        np.tile(rank.set_sizes(before.size), n_sides),
        np.array(before.size),
        np.cumsum(hit, axis=0) - hit,
        np.arange(since.size)[:, None],
    )
    weights = np.tile(SET_WEIGHTS.ravel(), n_sides)
    logs = np.log(rank.bets(hit, chance)).sum(axis=0).reshape(1, -1)
    return float(np.exp(min(LARGEST_LOG, log_mixture(logs, weights / weights.sum())[0])))


def _measured(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.asarray(values, dtype=np.float64)
    return known[np.isfinite(known)]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
