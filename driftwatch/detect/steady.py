"""Steadiness: whether calibration runs themselves changed half-way, so that they are no measure of anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect.dependence import GAINS, PERSISTENCES
from driftwatch.detect.rhythm import LEAST_RUNS, TINY

Floats = NDArray[np.float64]

SPLITS = np.linspace(0.1, 0.9, 17)
"""Where a step is looked for, as shares of the calibration."""

RATIO = 12.0
"""Log likelihood by which "a step or a ramp, and dependence" must beat "dependence alone".

Tuned on even seeds of the four noise models, K = 20 … 168, 8 channels: unchanged calibrations exceed it in under 1 %.
"""


def unsteady(values: Floats, names: Sequence[str]) -> str | None:
    """Say which channel changed during calibration, None when none clearly did.

    Per channel, the best filter of ``dependence`` with a step at any of 17 places or a ramp is compared with the best
    filter alone. Run effects that fade explain most wandering; a level that was left for good they do not.

    Args:
        values: (K, C) calibration runs without level and rhythm, unfiltered; NaN = not measured.
        names: of the C channels.

    Returns:
        A sentence for people, without a full stop.

    Source: the likelihood ratio for a level shift in an innovations model, Durbin & Koopman, Time Series Analysis by
    State Space Methods, section 7; the threshold is simulated, not asymptotic.
    """
    ratio = step_ratio(values)
    worst = int(np.argmax(ratio)) if ratio.size else 0
    if not ratio.size or ratio[worst] < RATIO:
        return None
    return f"the calibration runs themselves drifted, most clearly in {names[worst]}"


def step_ratio(values: Floats) -> Floats:
    """(C,) log likelihood ratios of a step or ramp, 0 for channels that are constant or too short."""
    n_runs, n_channels = values.shape
    known = np.isfinite(values)
    n = known.sum(axis=0)
    centre = np.where(known, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    centred = np.where(known, values - centre, 0.0)
    total = (centred**2).sum(axis=0)
    usable = (n >= LEAST_RUNS) & (total > TINY)
    ratio = np.zeros(n_channels)
    if not usable.any():
        return ratio
    place = np.arange(n_runs)[:, None]
    shapes = np.hstack([place >= np.round(SPLITS * n_runs), place / n_runs]).astype(np.float64)
    shapes -= shapes.mean(axis=0)
    phi, gain = (a.ravel()[:, None] for a in np.meshgrid((0.0, *PERSISTENCES), GAINS, indexing="ij"))
    both = np.hstack([centred[:, usable], shapes])
    is_known = np.hstack([known[:, usable], np.ones_like(shapes, dtype=bool)])
    expected = np.zeros((len(phi), both.shape[1]))
    surprises = np.empty((n_runs, *expected.shape))
    for t in range(n_runs):
        surprise = np.where(is_known[t], both[t] - expected, 0.0)
        surprises[t] = surprise
        expected = phi * (expected + gain * surprise)
    n_used = int(usable.sum())
    of_values, of_shapes = surprises[:, :, :n_used], surprises[:, :, n_used:]
    alone = np.maximum((of_values**2).sum(axis=0), TINY)
    together = np.einsum("tpc,tpj->pcj", of_values, of_shapes)
    explained = together**2 / np.maximum((of_shapes**2).sum(axis=0), TINY)[:, None, :]
    left = np.maximum(alone[:, :, None] - explained, TINY)
    half = 0.5 * n[usable]
    ratio[usable] = half * (np.log(alone.min(axis=0)) - np.log(left.min(axis=(0, 2))))
    return ratio
