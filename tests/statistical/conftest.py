"""Simulated endpoints for the statistical tests: the run is the unit, channels of one run move together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from driftwatch.detect import ChannelSpec
from driftwatch.domain import Kind

N_CHANNELS = 4


@pytest.fixture
def specs() -> list[ChannelSpec]:
    """Four channels of one kind, the last two-sided."""
    return [
        ChannelSpec(name=f"channel {i}", kind=Kind.BEHAVIOUR, two_sided=i == N_CHANNELS - 1) for i in range(N_CHANNELS)
    ]


@pytest.fixture
def simulate() -> Callable[..., dict[str, np.ndarray]]:
    """(rng, n, overdispersion) → scores of an unchanged endpoint: shares of 40 answers, with ties.

    Counts are binomial at overdispersion 1; above, each run has its own rate, which multiplies their variance.
    Half of the channels share the run's draw, as the channels of one endpoint do.
    """

    def draw(rng: np.random.Generator, n: int, overdispersion: float) -> dict[str, np.ndarray]:
        n_answers, rate = 40, 0.2
        quantiles = stats.norm.cdf(
            np.sqrt(0.5) * rng.standard_normal((n, 1)) + np.sqrt(0.5) * rng.standard_normal((n, N_CHANNELS)),
        )
        if overdispersion > 1:
            intra = (overdispersion - 1) / (n_answers - 1)
            total = (1 - intra) / intra
            counts = stats.betabinom(n_answers, rate * total, (1 - rate) * total)
        else:
            counts = stats.binom(n_answers, rate)
        # A lookup of the cumulative probabilities: scipy's quantile functions search one value at a time.
        steps = counts.cdf(np.arange(n_answers + 1))
        scores = np.searchsorted(steps, quantiles) / n_answers
        return {f"channel {i}": scores[:, i] for i in range(N_CHANNELS)}

    return draw


@pytest.fixture
def interval() -> Callable[[int, int], tuple[float, float]]:
    """(hits, n) → the 99 % Clopper–Pearson interval of a chance."""

    def bounds(hits: int, n: int) -> tuple[float, float]:
        low = float(stats.beta.ppf(0.005, hits, n - hits + 1)) if hits else 0.0
        high = float(stats.beta.ppf(0.995, hits + 1, n - hits)) if hits < n else 1.0
        return low, high

    return bounds
