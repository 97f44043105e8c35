"""Which kind of change it is: every kind that the replies bear out, the one that explains most first.

A change shows in many ways at once: replies cut in half are shorter, worded differently, end in mid-sentence and are
no JSON any more. So kinds compete. A kind is *borne out* when its own feature moved materially, by ``SURE`` standard
errors. A borne-out kind with a mark (refusals, another script, a cut, a fence, another length …) then has to *explain*
the change in wording: set the mark aside (leave those replies out, strip the format, compare the part that both lengths
have) and see how much of the excess distance to the accepted replies is gone. The headline is, in this order,

1. what the endpoint says of itself: the same prompts count more tokens, another model name answers otherwise;
2. a marked kind that explains ``EXPLAINS`` of the change in wording, in the order of ``_MARKED``, specific ones first;
3. greedy replies that fork earlier in the same form: the weights changed slightly;
4. a minority far outside while the rest is as calibrated: intermittent;
5. replies farther from or nearer to each other around the same centre: hotter, colder, repeats alike;
6. replies far from the accepted ones on nearly all canaries: a different model, or new instructions;
7. whatever is borne out, most standard errors first; wording as such last.

Kinds 3 to 6 exclude each other, and a headline that explains the change leaves nothing for them.

The thresholds were tuned on the even prompts of the recordings in ``benchmarks/detection/kinds.py``, which reports on
the odd ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from driftwatch.domain import Kind
from driftwatch.score.explain import marks, whole, wording
from driftwatch.score.explain.case import Case, Change, KindOfChange
from driftwatch.score.explain.sides import Sides

EXPLAINS = 0.6
"""Part of the change in wording that has to be gone once a mark is set aside."""

_Rule = Callable[[Case], list[Change]]
_MARKS: tuple[_Rule, ...] = (marks.refuses, marks.language, marks.truncated, marks.structure, marks.length)
_WHOLES: tuple[_Rule, ...] = (
    whole.prompt,
    whole.intermittent,
    whole.spread,
    whole.different,
    whole.slight,
    whole.speed,
)
_MARKED = (
    KindOfChange.REFUSES_MORE,
    KindOfChange.REFUSES_LESS,
    KindOfChange.LANGUAGE,
    KindOfChange.TRUNCATED,
    KindOfChange.TOOLS,
    KindOfChange.JSON_BROKEN,
    KindOfChange.FORMAT,
    KindOfChange.SHORTER,
    KindOfChange.LONGER,
)
_WHOLE = (
    KindOfChange.SLIGHT,
    KindOfChange.INTERMITTENT,
    KindOfChange.IDENTICAL,
    KindOfChange.COLDER,
    KindOfChange.HOTTER,
    KindOfChange.DIFFERENT_MODEL,
)
_PERFORMANCE = (KindOfChange.SLOWER, KindOfChange.FASTER, KindOfChange.LONGER, KindOfChange.SHORTER)


def kinds_of(sides: Sequence[Sides], *, about: Kind, seed: int) -> tuple[tuple[Change, ...], wording.Minority]:
    """Every kind borne out, the headline first; and the far minority, which the intermittent kind is about.

    Args:
        sides: canaries with replies before and after.
        about: PERFORMANCE puts speed and length before everything else.
        seed: 0 or more, of the relabellings.
    """
    far = wording.minority(sides)
    case = Case(
        sides=sides,
        wording=wording.compare(sides, seed=seed),
        minority=far,
        base=wording.mean_excess(sides),
    )
    found = [change for rule in _MARKS for change in rule(case)]
    case = replace(case, has_marks=bool(found))
    found += [change for rule in _WHOLES for change in rule(case)]
    if not found and case.is_reworded:
        found = list(whole.reworded(case))
    found.sort(key=lambda change: -change.errors)
    first = _headline(case, found, about)
    # kinds of the whole exclude each other, and a headline that explains the change leaves nothing for them
    others = (c for c in found if c is not first and c.kind not in _WHOLE)
    return ((first, *others) if first else ()), far


def _headline(case: Case, found: Sequence[Change], about: Kind) -> Change | None:
    by_kind: dict[KindOfChange, Change] = {}
    for change in found:
        by_kind.setdefault(change.kind, change)
    if about is Kind.PERFORMANCE:
        order: Sequence[KindOfChange] = _PERFORMANCE
        fast = [by_kind[kind] for kind in order if kind in by_kind]
        return fast[0] if fast else next(iter(found), None)
    different = by_kind.get(KindOfChange.DIFFERENT_MODEL)
    is_renamed = different is not None and whole.renamed(case) is not None
    told = [KindOfChange.HIDDEN_PROMPT] if different is None or not is_renamed else []
    told += [KindOfChange.TOKENIZER] if different is None else []
    for kind in told:
        if kind in by_kind:
            return by_kind[kind]
    if is_renamed:
        return different
    for kind in _MARKED:
        if kind in by_kind and by_kind[kind].explains >= EXPLAINS:
            return by_kind[kind]
    for kind in _WHOLE:
        if kind in by_kind:
            return by_kind[kind]
    return next((c for c in found if c.kind not in {KindOfChange.SLOWER, KindOfChange.FASTER}), None)
