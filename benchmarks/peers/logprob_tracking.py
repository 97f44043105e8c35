"""Logprob tracking (LT): has the first token's average log-probability moved? For comparison only.

Source: Chauvin, Le Merrer, Taïani & Tredan (2025), Log Probability Tracking of LLM APIs, arXiv 2512.03816: one prompt
of one letter, one token of output; the mean over tokens of |mean logprob before − mean logprob after|, a token that
a reply does not list taken at the smallest logprob it lists; a two-sample permutation test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Listed = Mapping[str, float]
"""One reply's first token: candidate → logprob in nats, 0 or less."""


def mean_shift(before: Sequence[Listed], after: Sequence[Listed]) -> float:
    """The statistic in nats, 0 or more.

    >>> mean_shift([{"a": -1.0, "b": -2.0}], [{"a": -1.5, "b": -2.0}])
    0.25
    """
    rows = _rows([*before, *after])
    return float(np.abs(rows[: len(before)].mean(axis=0) - rows[len(before) :].mean(axis=0)).mean())


def p_value(before: Sequence[Listed], after: Sequence[Listed], *, permutations: int, seed: int) -> float:
    """(1 + b) / (1 + B), so that p is never 0; the paper's own leaves out the ones.

    >>> one, other = [{"a": -1.0}] * 5, [{"a": -1.2}] * 5
    >>> p_value(one, other, permutations=999, seed=0) < 0.02
    True
    """
    rows = _rows([*before, *after])
    n, n_before = len(rows), len(before)
    rng = np.random.default_rng(seed)
    signs = np.where(np.arange(n) < n_before, 1.0 / n_before, -1.0 / (n - n_before))
    drawn = rng.permuted(np.tile(signs, (permutations, 1)), axis=1)
    observed = np.abs(signs @ rows).mean()
    return float((1 + (np.abs(drawn @ rows).mean(axis=1) >= observed - 1e-12).sum()) / (1 + permutations))


def _rows(replies: Sequence[Listed]) -> NDArray[np.float64]:
    tokens = sorted({token for reply in replies for token in reply})
    return np.array([[reply.get(token, min(reply.values())) for token in tokens] for reply in replies])
