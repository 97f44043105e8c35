"""Say in words and figures what is different between two sets of completions, and what kind of change that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftwatch.domain import Canary, Completion, Kind
from driftwatch.score.explain.case import Change, KindOfChange
from driftwatch.score.explain.kinds import kinds_of
from driftwatch.score.explain.sides import pair_up
from driftwatch.score.explain.statements import Effect, statements
from driftwatch.score.explain.typical import medoid
from driftwatch.score.explain.wording import minority

__all__ = ["Change", "Effect", "Explanation", "KindOfChange", "describe_change", "explain", "far_replies", "medoid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is different, for a person."""

    changes: tuple[Change, ...]
    """The kinds of change borne out, the headline first, then the largest; empty when none is beyond chance."""
    effects: tuple[Effect, ...]
    """Every material difference, metadata first."""
    far: tuple[Completion, ...] = ()
    """With the headline ``intermittent``: the replies since that are unlike every accepted one."""

    @property
    def headline(self) -> Change | None:
        """The one kind that is named first."""
        return self.changes[0] if self.changes else None


def explain(
    before: Sequence[Completion],
    after: Sequence[Completion],
    canaries: Sequence[Canary],
    *,
    about: Kind = Kind.BEHAVIOUR,
    seed: int = 0,
) -> Explanation:
    """Explain a change: its kind, and every effect with an interval.

    Only canaries with replies on both sides are compared, and each counts the same, so that another mix of canaries
    is no change. Failures are left out.

    Args:
        before: accepted completions, e.g. the anchors.
        after: completions since the onset.
        canaries: for their checks; a canary that is missing here has none.
        about: what the alarm was about; PERFORMANCE puts speed and length first.
        seed: 0 or more, of the relabellings behind the standardised effects of wording.
    """
    sides = pair_up(before, after, canaries)
    if not sides:
        return Explanation(changes=(), effects=())
    changes, those = kinds_of(sides, about=about, seed=seed)
    is_intermittent = bool(changes) and changes[0].kind is KindOfChange.INTERMITTENT
    return Explanation(
        changes=changes,
        effects=statements(sides),
        far=tuple(r.completion for r in those.far) if is_intermittent else (),
    )


def far_replies(before: Sequence[Completion], after: Sequence[Completion]) -> tuple[Completion, ...]:
    """The replies since that lie far beyond every accepted one of their canary, in no particular order."""
    return tuple(r.completion for r in minority(pair_up(before, after, ())).far)


def describe_change(
    before: Sequence[Completion],
    after: Sequence[Completion],
    canaries: Sequence[Canary],
) -> tuple[str, ...]:
    """Describe what a reader would notice, e.g. ``replies are 41 % longer [28, 55] (median 34 → 48 words)``.

    In brackets the 95 % interval of the difference. What is not material (``effects``) is not said.

    Args:
        before: accepted completions, e.g. the anchors.
        after: completions since the onset.
        canaries: for their checks; a canary that is missing here has none.

    Returns:
        Sentences without a full stop, metadata first; empty when nothing is material.
    """
    return tuple(effect.text for effect in statements(pair_up(before, after, canaries)))
