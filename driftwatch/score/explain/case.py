"""The kinds of change, one of them as told to a person, and the case that every rule looks at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from driftwatch.score.explain.effects import Difference
from driftwatch.score.explain.sides import Sides
from driftwatch.score.explain.wording import Minority, View, Wording, mean_excess
from driftwatch.score.reading import Reading

SURE = 3.0
"""Standard errors from which a feature bears a kind out: some 25 features are looked at, and on unchanged replies
four explanations in a hundred claimed a kind on the even prompts."""
LEAST_EXCESS = 0.03
"""Excess distance below which there is no change in wording to explain."""


class KindOfChange(StrEnum):
    """What a person on call is told happened, in one word."""

    HIDDEN_PROMPT = "hidden prompt"
    TOKENIZER = "other tokenizer"
    REFUSES_MORE = "refuses more"
    REFUSES_LESS = "refuses less"
    LANGUAGE = "other language"
    TRUNCATED = "truncated"
    JSON_BROKEN = "JSON broken"
    TOOLS = "tool calls changed"
    FORMAT = "format changed"
    LONGER = "longer"
    SHORTER = "shorter"
    INTERMITTENT = "intermittent"
    IDENTICAL = "repeats identical"
    COLDER = "colder"
    HOTTER = "hotter"
    DIFFERENT_MODEL = "different model likely"
    SLIGHT = "weights changed slightly"
    WORDING = "worded differently"
    SLOWER = "slower"
    FASTER = "faster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One kind that the replies bear out."""

    kind: KindOfChange
    text: str
    """The claim, without a full stop, to be continued by "on 3 of 4 canaries since …"."""
    why: str
    """The figures behind it, a sentence without a capital or a full stop."""
    errors: float
    """Size in standard errors, 0 or more; infinite where there was no noise at all."""
    explains: float = math.nan
    """Part of the change in wording that is gone once this is set aside, 0 … 1; NaN where that has no meaning."""
    n_canaries: int | None = None
    """On how many canaries it shows; None where that is not a matter of single canaries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What all rules look at, computed once."""

    sides: Sequence[Sides]
    wording: Wording | None
    minority: Minority
    base: float
    """Excess distance to explain; NaN where canaries have no two accepted replies."""
    has_marks: bool = False
    """Whether refusals, language, cuts, format or length are borne out: then it is more than a few other words."""

    @property
    def is_reworded(self) -> bool:
        """Whether the centre or the spread of the replies moved beyond chance."""
        found = self.wording
        return found is not None and (found.shift_errors >= SURE or abs(found.spread_errors) >= SURE)

    def explains(self, mark: Callable[[Reading], bool], *, only: Sequence[Sides] | None = None) -> float:
        """Part of the excess that is gone without the marked replies (of some canaries)."""
        marked = {canary.canary_id for canary in (self.sides if only is None else only)}
        parts = (canary.without(mark) if canary.canary_id in marked else canary for canary in self.sides)
        left = [kept for kept in parts if kept is not None]
        return self._gone(mean_excess(left) if left else 0.0)

    def explains_seen(self, *views: View) -> float:
        """Part of the excess that is gone when replies are seen in the best of these ways."""
        return max(self._gone(mean_excess(self.sides, view)) for view in views)

    def _gone(self, left: float) -> float:
        if not self.base >= LEAST_EXCESS or not self.is_reworded:
            return 1.0
        return 1.0 if math.isnan(left) else min(1.0, max(0.0, 1.0 - left / self.base))


def is_sure(found: Difference) -> bool:
    """Whether a difference is large and certain enough to bear a kind out."""
    return found.is_material and abs(found.errors) >= SURE
