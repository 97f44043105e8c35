"""The one-shot question: do two sets of completions of the same canaries differ, in what, and how sure is it?"""

from __future__ import annotations

from driftwatch.compare.comparing import ALPHA, CALM, PERMUTATIONS, CannotCompare, compare
from driftwatch.compare.comparison import Comparison, Difference

__all__ = [
    "ALPHA",
    "CALM",
    "PERMUTATIONS",
    "CannotCompare",
    "Comparison",
    "Difference",
    "compare",
]
