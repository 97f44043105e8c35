"""The rule of thumb "alert when the cosine similarity of embeddings falls below 0.85"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from driftwatch.score import Embedder

THRESHOLD = 0.85
"""What monitoring guides commonly advise."""


def mean_cosine(embedder: Embedder, left: Mapping[str, Sequence[str]], right: Mapping[str, Sequence[str]]) -> float:
    """The mean over prompts of the cosine similarity between one reply of each side; −1 … 1.

    Args:
        embedder: where the vectors come from.
        left: prompt → completions; the first one is taken.
        right: likewise, of the same prompts.
    """
    prompts = sorted(left)
    rows = embedder.embed([left[p][0] for p in prompts] + [right[p][0] for p in prompts])
    n = len(prompts)
    return float(np.mean(np.sum(rows[:n] * rows[n:], axis=1)))
