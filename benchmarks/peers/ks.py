"""The Kolmogorov–Smirnov rule on reply lengths, all prompts pooled: what a dashboard can do without any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scipy.stats import ks_2samp


def ks_p_value(left: Mapping[str, Sequence[str]], right: Mapping[str, Sequence[str]]) -> float:
    """The two-sample p-value over lengths in characters.

    Args:
        left: prompt → completions.
        right: likewise.
    """
    lengths = [[len(text) for prompt in sorted(side) for text in side[prompt]] for side in (left, right)]
    return float(ks_2samp(*lengths).pvalue)
