"""Simulated endpoints: noise models of unchanged ones, and one-word probes whose answers shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.signal import lfilter

from driftwatch.detect import ChannelSpec
from driftwatch.domain import Kind
from driftwatch.score.explain.effects import clopper_pearson

Floats = NDArray[np.float64]

K = 168
"""Calibration runs: one week of hourly ones."""
HOURLY = 8766
"""Runs in a year."""
HOUR_S = 3600.0
N_BEHAVIOUR, N_PERFORMANCE = 8, 2
SPECS = [
    *(ChannelSpec(name=f"b{i}", kind=Kind.BEHAVIOUR, two_sided=i == N_BEHAVIOUR - 1) for i in range(N_BEHAVIOUR)),
    *(ChannelSpec(name=f"p{i}", kind=Kind.PERFORMANCE, two_sided=i > 0) for i in range(N_PERFORMANCE)),
]
"""The channels of one target, as the product has them: eight of behaviour, two of performance."""

MODELS = ("iid", "1.6 × overdispersed", "AR(.7) run effects", "20 % diurnal")
"""The four noise models of the goal."""
HARDER = ("weak AR(.7), a fifth of variance", "pure AR(.7)", "AR(.7) and diurnal", "rare forks beside AR(.7)")
"""Others that a filter tuned on the four could fail on."""


def noise(rng: np.random.Generator, n: int, model: str, *, n_channels: int = len(SPECS)) -> Floats:
    """(n, channels) unchanged scores, shares of 40 answers; the channels of a run correlate by one half.

    ``AR(.7)``: the half that all channels share is an AR(1) with φ = .7. ``weak``: an AR(.7) effect of a quarter of the
    other variance on top. ``pure``: nothing but the AR(1). ``diurnal``: a wave of 24 runs has 20 % of the variance.
    ``rare forks``: one channel is 0 in four runs of five.
    """
    common = rng.standard_normal(n)
    lasting = lfilter([np.sqrt(1 - 0.49)], [1, -0.7], rng.standard_normal(n + 200))[200:]
    own = rng.standard_normal((n, n_channels))
    if model.startswith("weak"):
        z = np.sqrt(0.8) * (np.sqrt(0.5) * common[:, None] + np.sqrt(0.5) * own) + np.sqrt(0.2) * lasting[:, None]
    elif model.startswith("pure"):
        z = lasting[:, None] + 0.02 * own
    else:
        shared = lasting if "AR" in model else common
        z = np.sqrt(0.5) * shared[:, None] + np.sqrt(0.5) * own
    if "diurnal" in model:
        wave = np.sqrt(2) * np.sin(2 * np.pi * np.arange(n) / 24 + rng.uniform(0, 2 * np.pi))
        z = np.sqrt(0.8) * z + np.sqrt(0.2) * wave[:, None]
    rate, n_answers = 0.2, 40
    counts = stats.binom(n_answers, rate)
    if "overdispersed" in model:
        intra = 0.6 / (n_answers - 1)
        total = (1 - intra) / intra
        counts = stats.betabinom(n_answers, rate * total, (1 - rate) * total)
    # A lookup: scipy's own quantile functions search value by value.
    scores: Floats = np.searchsorted(counts.cdf(np.arange(n_answers + 1)), stats.norm.cdf(z)) / n_answers
    if "rare forks" in model:
        # As prefix on an endpoint that hardly ever varies: 20 canaries, each apart from its anchors once in a hundred.
        scores[:, 0] = ((rng.random((n, 20)) < 0.01) * rng.uniform(0.3, 1.0, (n, 20))).mean(axis=1)  # noqa: PLR2004
    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One-word prompts; answers are compared with anchors as the channels ``label`` and ``surprise`` do."""

    n_answers: int
    """Answers per prompt and run."""
    overdispersion: float
    """Variance of a prompt's counts as a multiple of multinomial."""
    n_prompts: int = 26
    n_words: int = 6
    n_anchors: int = 50

    def scores(self, rng: np.random.Generator, shift: float, moved: NDArray[np.float64]) -> tuple[Floats, Floats]:
        """(n,) label and (n,) surprise of runs whose answers have moved.

        Args:
            rng: source of chance.
            shift: mean total variation between the usual answers and those that have moved all the way.
            moved: (n,) how far each run has moved, 0 … 1.

        Each prompt's answers follow a Dirichlet(.6) draw over the words; the changed ones mix it with another draw.
        """
        usual = rng.dirichlet(np.full(self.n_words, 0.6), self.n_prompts)
        other = rng.dirichlet(np.full(self.n_words, 0.6), self.n_prompts)
        whole = 0.5 * np.abs(usual - other).sum(axis=1).mean()
        mixed = min(1.0, shift / whole) * moved[:, None, None]
        words = (1 - mixed) * usual + mixed * other
        counts = rng.multinomial(self.n_anchors, usual)
        if self.overdispersion > 1:
            intra = (self.overdispersion - 1) / (self.n_answers - 1)
            gamma = rng.standard_gamma(np.maximum(words, 1e-9) * (1 - intra) / intra) + 1e-12
            words = gamma / gamma.sum(axis=2, keepdims=True)
        answers = rng.multinomial(self.n_answers, words) / self.n_answers
        label = 0.5 * np.abs(answers - counts / self.n_anchors).sum(axis=2)
        most = counts.max(axis=1, keepdims=True)
        rarity = np.log((most + 0.5) / (counts + 0.5)) / np.log(2 * most + 1)
        surprise = (answers * rarity).sum(axis=2)
        return label.mean(axis=1), surprise.mean(axis=1)


def share(hits: int, n: int) -> str:
    """A share with its 95 % Clopper–Pearson interval."""
    low, high = clopper_pearson(hits, n)
    return f"{100 * hits / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def median_of(delays: list[int], censored: int) -> str:
    """Median (90th percentile), ``>`` where not even that many were found."""
    ordered = np.sort(delays)
    middle, late = (int(np.quantile(ordered, q, method="higher")) for q in (0.5, 0.9))
    return f"{_told(middle, censored)} ({_told(late, censored)})"


def _told(runs: int, censored: int) -> str:
    return f"> {censored - 1}" if runs >= censored else str(runs)
