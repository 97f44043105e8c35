"""The border-input rule (B3IT): do one-token answers to nearly tied prompts come out otherwise? For comparison only.

Source: Chauvin, Lalanne, Le Merrer, Loubes, Taïani & Tredan (2026), Token-Efficient Change Detection in LLM APIs,
arXiv 2602.11083: the mean over border inputs of the total variation between the answers of the reference and those
of today, asked at temperature 0. The paper's monitor compares the mean to a trailing baseline; for the one-shot
question the level is kept by a permutation test within each input, which is the most favourable rule for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Answers = Mapping[str, Sequence[str]]
"""Border input → its one-token answers, one or more."""


def mean_total_variation(reference: Answers, today: Answers) -> float:
    """The statistic, in [0, 1].

    >>> mean_total_variation({"x": ["a", "b"]}, {"x": ["a", "a"]})
    0.5
    """
    return float(_statistics(_tables(reference, today), None, 0)[0])


def p_value(reference: Answers, today: Answers, *, permutations: int, seed: int) -> float:
    """(1 + b) / (1 + B) by exchanging answers within each input.

    >>> p_value({"x": ["a"] * 6}, {"x": ["b"] * 6}, permutations=999, seed=0) < 0.01
    True
    """
    tables = _tables(reference, today)
    observed = _statistics(tables, None, 0)[0]
    drawn = _statistics(tables, np.random.default_rng(seed), permutations)
    return float((1 + (drawn >= observed - 1e-12).sum()) / (1 + permutations))


def _tables(reference: Answers, today: Answers) -> list[tuple[NDArray[np.float64], int]]:
    """Per input the answers as indicator rows (n, categories), the reference's first, and how many are the first's."""
    if set(reference) != set(today) or not reference:
        raise ValueError("both sides need answers to the same inputs, one at least")
    tables = []
    for name in reference:
        both = [*reference[name], *today[name]]
        index = {answer: i for i, answer in enumerate(dict.fromkeys(both))}
        tables.append((np.eye(len(index))[[index[answer] for answer in both]], len(reference[name])))
    return tables


def _statistics(
    tables: Sequence[tuple[NDArray[np.float64], int]], rng: np.random.Generator | None, draws: int
) -> NDArray[np.float64]:
    """The statistic of each of ``draws`` relabellings; without ``rng`` of the sides as they are."""
    total = np.zeros(draws if rng is not None else 1)
    for rows, n_first in tables:
        n = len(rows)
        places = np.tile(np.arange(n), (total.size, 1))
        if rng is not None:
            places = rng.permuted(places, axis=1)
        counts = rows[places]
        first = counts[:, :n_first].mean(axis=1)
        second = counts[:, n_first:].mean(axis=1)
        total += 0.5 * np.abs(first - second).sum(axis=1)
    return total / len(tables)
