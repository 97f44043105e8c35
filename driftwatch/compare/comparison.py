"""The answer of a comparison, as values: is there a difference, in what, how large and how sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["ratio", "points", "distance", "common"]
"""How an effect is read.

``ratio``: right ÷ left, 1 when equal. ``points``: share on the right less share on the left, −1 … 1. ``distance``: how
much farther apart two replies are from different sides than from the same side, 0 when equal (for ``spread``: how
much farther apart the right's replies are than the left's). ``common``: the part of the canaries' differences that
they all share, 0 unrelated … 1 the same.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One measure's part in the answer."""

    measure: str
    """A name from ``driftwatch.compare.measures``."""
    unit: Unit
    effect: float
    """In its unit, canaries weighted as in the test; NaN where it cannot be estimated."""
    low: float
    high: float
    """95 % bootstrap interval over canaries; NaN with fewer than five of them."""
    p_adjusted: float
    """Corrected for all measures by max-T."""
    is_different: bool
    """Whether ``p_adjusted`` ≤ α."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two sets of completions of the same canaries say about each other."""

    is_different: bool
    """Whether p ≤ α."""
    p_value: float
    """In (0, 1]; the chance of a difference as large as this, in any measure, when nothing differs."""
    alpha: float
    n_permutations: int
    """Labellings compared."""
    n_asked: int
    """Labellings that were to be drawn: fewer are compared when the first show nothing, or when there are no more."""
    is_exact: bool
    """Whether all labellings were compared instead of a drawn part of them."""
    seed: int
    n_canaries: int
    n_left: int
    """Completions compared."""
    n_right: int
    n_failed: tuple[int, int]
    """Failed completions, left and right; they were left out."""
    unmeasured: tuple[str, ...]
    """Canaries left out because one side has only failures."""
    differences: tuple[Difference, ...]
    """Smallest adjusted p first."""
    constant: tuple[str, ...]
    """Measures that are left out because they are the same however the replies are exchanged."""
    changes: tuple[str, ...]
    """What a reader would notice, see ``words_for``; empty when none was found, or words were not wanted."""
    is_same: bool
    """Whether every canary has the same replies on both sides, in whatever order."""
    farthest: tuple[str, ...]
    """The canaries whose wording moved most beyond its noise, that one first; empty without a difference or repeats."""

    @property
    def is_cut_short(self) -> bool:
        """Whether the first labellings showed so little that the others were not drawn."""
        return not self.is_exact and self.n_permutations < self.n_asked
