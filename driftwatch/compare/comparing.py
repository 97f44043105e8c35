"""Compare two sets of completions of the same canaries: the one-shot question, answered exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from driftwatch.compare.comparison import Comparison, Difference
from driftwatch.compare.effects import effects, farthest
from driftwatch.compare.measures import Measured, measure
from driftwatch.compare.words import words_for
from driftwatch.detect.permutation import Answer, permutation_test
from driftwatch.domain import Canary, Completion
from driftwatch.errors import DriftwatchError, UsageError
from driftwatch.score import Embedder
from driftwatch.score.explain.sides import Sides
from driftwatch.score.reading import Reading, read

ALPHA = 0.01
"""At most one comparison of a hundred without a difference finds one."""
PERMUTATIONS = 9_999
"""p is then resolved to 1/10,000, and at α = .01 its own error is .001."""
LOOK = 999
"""Labellings after which the test ends when nothing points to a difference, a tenth of the usual work."""
CALM = 0.2
"""The p above which it ends then: p ≤ .01 of 9,999 and p > .2 of 999 do not happen to one recording."""
MOST_UNMEASURED = 0.5
"""Beyond this share of canaries without a usable reply, the rest would not speak for the whole."""


class CannotCompare(DriftwatchError):
    """The completions cannot carry the question: too few, or too many failures."""


def compare(
    left: Sequence[Completion],
    right: Sequence[Completion],
    *,
    canaries: Sequence[Canary] = (),
    embedder: Embedder | None = None,
    alpha: float = ALPHA,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    is_explained: bool = True,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Ask whether two sets of completions come from an endpoint that behaves the same.

    The unit that is exchanged is the completion, within its canary. Completions of one side should therefore be
    independent of each other: a side recorded in one sitting also carries that sitting's load and routing.

    Args:
        left: the earlier or accepted ones, in any order.
        right: the others; of the same canaries.
        canaries: for their checks; a canary that is missing here has none.
        embedder: compare embeddings too; None leaves them out.
        alpha: chance of a false "different" that is accepted, above 0 and below 1.
        permutations: labellings drawn, fewer when the first ``LOOK`` show nothing; see ``two_looks``.
        seed: of the draws and the bootstrap.
        is_explained: put a difference into words, which takes longer than finding it.
        on_stage: told what is being done, whenever that changes.

    Raises:
        UsageError: the canaries of the two sides differ, or ``permutations`` cannot reach ``alpha``.
        CannotCompare: so few completions, or so many failures, that no p can be as small as ``alpha``.
    """
    if 1 / (1 + permutations) > alpha:
        raise UsageError(f"{permutations} permutations cannot show p ≤ {alpha:g}; draw {needed(alpha):,} or more")
    sides = _by_canary(left), _by_canary(right)
    _same_canaries(*sides)
    known = {canary.id: canary for canary in canaries}
    on_stage(f"measuring {len(left) + len(right):,} replies")
    readings = _read(sides, embedder)
    ids = sorted(sides[0])
    usable = [one for one in ids if readings[0].get(one) and readings[1].get(one)]
    unmeasured = tuple(one for one in ids if one not in set(usable))
    if not usable or len(unmeasured) > MOST_UNMEASURED * len(ids):
        raise CannotCompare(
            f"{len(unmeasured)} of {len(ids)} prompts have no usable reply on one side or both; record them again"
        )
    measured = measure(
        [(known.get(one, Canary(id=one, suite="", messages=())), readings[0][one], readings[1][one]) for one in usable]
    )
    layout = measured.layout
    if layout.smallest_p > alpha:
        raise CannotCompare(
            f"{int(layout.n_left.sum())} and {int(layout.n_right.sum())} replies to {len(usable)} prompts cannot show "
            f"p below {layout.smallest_p:.2g}; record more replies, or accept a larger --alpha"
        )
    answer = two_looks(measured, permutations=permutations, alpha=alpha, seed=seed, on_stage=on_stage)
    on_stage("sizing the differences")
    sizes = effects(measured, seed=seed)
    differences = [
        Difference(
            measure=part.name,
            unit=sizes[part.name].unit,
            effect=sizes[part.name].value,
            low=sizes[part.name].low,
            high=sizes[part.name].high,
            p_adjusted=part.p_adjusted,
            is_different=part.p_adjusted <= alpha,
        )
        for part in sorted(answer.parts, key=lambda part: (part.p_adjusted, -part.z))
    ]
    is_different = answer.p_value <= alpha
    pairs = tuple(
        Sides(canary_id=one, canary=known.get(one), before=tuple(readings[0][one]), after=tuple(readings[1][one]))
        for one in usable
    )
    return Comparison(
        is_different=is_different,
        p_value=answer.p_value,
        alpha=alpha,
        n_permutations=answer.n_permutations,
        n_asked=permutations,
        is_exact=answer.is_exact,
        seed=seed,
        n_canaries=len(usable),
        n_left=int(layout.n_left.sum()),
        n_right=int(layout.n_right.sum()),
        n_failed=(sum(not c.is_ok for c in left), sum(not c.is_ok for c in right)),
        unmeasured=unmeasured,
        differences=tuple(differences),
        constant=answer.constant,
        changes=words_for(pairs) if is_different and is_explained else (),
        is_same=all(_said(pair.before) == _said(pair.after) for pair in pairs),
        farthest=tuple(usable[c] for c in farthest(measured)) if is_different else (),
    )


def two_looks(
    measured: Measured,
    *,
    permutations: int,
    alpha: float,
    seed: int,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Answer:
    """Test, and end after ``LOOK`` labellings when p of those alone is above ``CALM``.

    The rule is fixed beforehand, so p stays valid. Let P₁ be the p of the first look, P₂ the one of a test of its own
    with all labellings, and c = ``CALM``; told is P₁ if P₁ > c, else P₂. For a ≤ c, P(told ≤ a) ≤ P(P₂ ≤ a) ≤ a; for
    a > c, told ≤ a only if P₁ ≤ a. Both hold however P₁ and P₂ depend on each other, and as no adjusted p is below
    P₁, also measure by measure at any α ≤ c. Besag & Clifford (1991), Biometrika 78, 301–304, end after a count of
    exceedances instead; their statistic must not change with the labellings drawn, but ours is standardised by them.

    Args:
        measured: both sides.
        permutations: of the second look; there is none before it when they are few, or all labellings are.
        alpha: above ``CALM`` nothing ends early.
        seed: of the draws of both.
        on_stage: told which look it is.
    """
    layout, statistics = measured.layout, measured.statistics()
    if layout.n_labellings > permutations > 2 * LOOK and alpha <= CALM:
        on_stage(f"comparing, the first {LOOK:,} of {permutations:,} exchanges")
        first = permutation_test(layout, statistics, permutations=LOOK, seed=seed)
        if first.p_value > CALM:
            return first
    on_stage(f"comparing, {min(layout.n_labellings, permutations):,} exchanges")
    return permutation_test(layout, statistics, permutations=permutations, seed=seed)


def needed(alpha: float) -> int:
    """The permutations below which p cannot be as small as ``alpha``.

    >>> needed(0.01)
    99
    """
    n = max(1, int(1 / alpha) - 2)
    while 1 / (1 + n) > alpha:
        n += 1
    return n


def _said(readings: Sequence[Reading]) -> list[str]:
    """What was said, whatever the order: the same for the same replies."""
    return sorted(f"{reading.text}\0{reading.completion.tool_calls}" for reading in readings)


def _by_canary(completions: Sequence[Completion]) -> dict[str, list[Completion]]:
    grouped: dict[str, list[Completion]] = {}
    for completion in completions:
        grouped.setdefault(completion.canary_id, []).append(completion)
    return grouped


def _same_canaries(left: Mapping[str, object], right: Mapping[str, object]) -> None:
    for here, there, name in ((left, right, "right"), (right, left, "left")):
        missing = sorted(here.keys() - there.keys())
        if missing:
            raise UsageError(f"{missing[0]!r} has no completion on the {name} side; compare the same canaries")
    if not left:
        raise UsageError("there is nothing to compare: neither side has a completion")


def _read(
    sides: tuple[Mapping[str, Sequence[Completion]], Mapping[str, Sequence[Completion]]], embedder: Embedder | None
) -> tuple[dict[str, list[Reading]], dict[str, list[Reading]]]:
    """Both sides' OK completions by canary, embedded in one call."""
    found: list[dict[str, list[Reading]]] = []
    for side in sides:
        grouped: dict[str, list[Reading]] = {}
        for reading in read([c for those in side.values() for c in those], embedder):
            grouped.setdefault(reading.completion.canary_id, []).append(reading)
        found.append(grouped)
    return found[0], found[1]
