"""Rhythm: the daily and weekly waves that calibration runs show, learned once and taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_S = 86_400.0

WAVES: tuple[tuple[float, float], ...] = ((DAY_S, 2.5 * DAY_S), (DAY_S / 2, 2.5 * DAY_S), (7 * DAY_S, 20.5 * DAY_S))
"""(period, shortest calibration that can tell it from chance), s. Hosted models show daily and weekly rhythm worth
about a fifth of the variance. Source: arXiv 2602.15889 (periodicity)."""

LEAST_PER_PERIOD = 4
"""Runs per period below which a wave is not looked for: fewer cannot be told from noise of another frequency."""

LEAST_RUNS = 20
"""Measured calibration runs below which nothing is learned."""

OWN_F, SHARED_F = 7.2, 4.0
"""F statistics from which a wave counts: in one channel, and on average over all. 7.2 is the .999 quantile of
F(2, 160); an average of 4 over eight channels is as rare on unchanged series."""

LEAST_SHARING = 4
"""Channels from which their average counts: of one or two it is as noisy as a channel's own."""

TINY = 1e-12
"""Sum of squares below which a channel counts as constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Level and waves of C channels: x_t = level + waves(t) · coefficients + rest."""

    level: Floats
    """(C,) mean of the calibration runs."""
    periods_s: tuple[float, ...]
    """(P,) waves that at least one channel has."""
    coefficients: Floats
    """(2·P, C) of cosine and sine; 0 where a channel does not have the wave."""

    @property
    def amplitude(self) -> Floats:
        """(C,) how far the waves can lift a channel above its level at most."""
        most: Floats = np.abs(self.coefficients).sum(axis=0)
        return most

    def rest(self, values: Floats, at: Floats) -> Floats:
        """Take level and waves out: (T, C) values at (T,) s since 1970 → (T, C), NaN where the value is."""
        rest = values - self.level
        return rest - waves(at, self.periods_s) @ self.coefficients if self.periods_s else rest


def waves(at: Floats, periods_s: tuple[float, ...]) -> Floats:
    """Cosine and sine of every period at the given times: (T, 2·P)."""
    phases = 2.0 * np.pi * (at[:, None] % np.array(periods_s)) / np.array(periods_s)
    both: Floats = np.stack([np.cos(phases), np.sin(phases)], axis=2).reshape(len(at), -1)
    return both


def learn(calibration: Floats, at: Floats) -> tuple[Rhythm, Floats]:
    """Learn the rhythm of K calibration runs, and take it out of them.

    Args:
        calibration: (K, C) in [0, 1], NaN = not measured.
        at: (K,) s since 1970, in the order of the runs.

    Returns:
        The rhythm, and the (K, C) rest of the calibration runs, as if each run had been left out of the fit
        (e/(1 − h)), so that later runs are exchangeable with them up to terms of order 1/K².
    """
    n_runs, n_channels = calibration.shape
    level = np.array([mean(column) for column in calibration.T])
    interval_s = median_interval_s(at)
    # What was really seen: one run of a clock that was ahead, or an outage, makes a span and no coverage.
    span_s = min(float(at.max() - at.min()) + interval_s, n_runs * interval_s) if n_runs else 0.0
    kept: list[float] = []
    coefficients: list[Floats] = []
    left = calibration - level
    for period_s, least_s in WAVES:
        if span_s < least_s or interval_s * LEAST_PER_PERIOD > period_s:
            continue
        design = waves(at, (period_s,))
        fits = [_fit_wave(design, left[:, c]) for c in range(n_channels)]
        shared = n_channels >= LEAST_SHARING and np.mean([fit[0] for fit in fits]) >= SHARED_F
        takes = [fit[0] >= OWN_F or (shared and fit[0] > 1.0) for fit in fits]
        if not any(takes):
            continue
        kept.append(period_s)
        coefficients.append(
            np.stack([fit[1] if take else np.zeros(2) for fit, take in zip(fits, takes, strict=True)], 1)
        )
        left = np.stack(
            [fit[2] if take else left[:, c] for c, (fit, take) in enumerate(zip(fits, takes, strict=True))], 1
        )
    rhythm = np.vstack(coefficients) if coefficients else np.zeros((0, n_channels))
    return Rhythm(level=level, periods_s=tuple(kept), coefficients=rhythm), left


def median_interval_s(at: Floats) -> float:
    """Median time between runs, s; an hour where there is none."""
    gaps = np.diff(at)
    gaps = gaps[gaps > 0]
    return float(np.median(gaps)) if gaps.size else 3600.0


def mean(column: Floats) -> float:
    """The mean of what was measured, NaN of nothing."""
    known = column[np.isfinite(column)]
    return float(known.mean()) if known.size else float("nan")


def _fit_wave(design: Floats, column: Floats) -> tuple[float, Floats, Floats]:
    """(F of the wave, its two coefficients, the column without it as if each run had been left out)."""
    known = np.isfinite(column)
    n = int(known.sum())
    if n < LEAST_RUNS or float(np.sum((column[known] - column[known].mean()) ** 2)) < TINY:
        return 0.0, np.zeros(2), column
    centred = design[known] - design[known].mean(axis=0)
    inverse = np.linalg.pinv(centred.T @ centred)
    coefficients = inverse @ (centred.T @ column[known])
    fitted = centred @ coefficients
    mean = column[known].mean()
    residual = column[known] - mean - fitted
    freedom = n - 3
    f = (float(fitted @ fitted) / 2) / max(float(residual @ residual) / freedom, TINY)
    leverage = np.einsum("kp,pq,kq->k", centred, inverse, centred) + 1.0 / n
    without = np.full_like(column, np.nan)
    # centred on the wave at the runs' own times, so that level and rhythm add up for later runs
    without[known] = mean + residual / (1.0 - np.minimum(leverage, 0.5)) - design[known].mean(axis=0) @ coefficients
    return f, coefficients, without
