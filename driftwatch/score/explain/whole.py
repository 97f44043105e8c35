"""Kinds that only the replies of a canary together show: what the endpoint counts, spread, minority, another model."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from driftwatch.score.channel import mean
from driftwatch.score.explain import wording
from driftwatch.score.explain.case import SURE, Case, Change, KindOfChange, is_sure
from driftwatch.score.explain.sides import Sides
from driftwatch.score.explain.statements import LATENCY, new_names, prompt_token_medians, ratio, size_of
from driftwatch.score.reading import Reading

AROUND = 0.6
"""Part of the growing distance that the wider spread has to account for, for the centre to have stayed."""
FAR = 0.08
"""Excess distance, over the wider side's own spread, from which a canary's replies are not the accepted ones' kind."""
NEARLY_ALL = 0.75
"""Share of canaries that have to be far for a different model."""
GREEDY = 0.5
"""Agreement of accepted openings from which replies are greedy enough for the place of a fork to mean something."""
SAME_STEM = 0.05
"""Agreement of openings since from which it is the same model still: another one forks in its first words."""
LEAST_FORK = 0.05
"""Fall of that agreement that is worth telling."""
LEAST_FAR = 3
"""Far replies that make a minority."""
MOST_FAR = 0.5
"""Above this share of far replies they are no minority."""
LIKE_BEFORE = 0.15
"""Shift of the rest, as a part of the far replies', up to which the rest is as calibrated."""


def prompt(case: Case) -> list[Change]:
    """The same prompts count another number of tokens."""
    medians = prompt_token_medians(case.sides)
    moved = [a - b for b, a in medians if a != b]
    if 2 * len(moved) <= len(medians) or not moved:
        return []
    offset = statistics.median(a - b for b, a in medians)
    factor = statistics.median(a / b for b, a in medians if b)
    off_offset = mean(abs(a - b - offset) for b, a in medians)
    off_factor = mean(abs(a - factor * b) for b, a in medians)
    is_telling = max(off_offset, off_factor) > 1  # otherwise both readings fit
    sizes = [b for b, _ in medians]
    before, after = statistics.median(sizes), statistics.median(a for _, a in medians)
    counts = f"median {before:g} → {after:g} tokens"
    if off_offset <= max(1.0, off_factor):
        more = f"{abs(offset):g} {'more' if offset > 0 else 'fewer'} tokens"
        doubt = "" if is_telling else "; the prompts are too alike to rule out another tokenizer"
        what = "was added to" if offset > 0 else "is gone from"
        text = f"A hidden prompt or template {what} every request"
        why = f"the same prompts count {more}, each the same number ({counts}){doubt}"
        return [Change(kind=KindOfChange.HIDDEN_PROMPT, text=text, why=why, errors=math.inf)]
    text = "Another tokenizer counts the requests"
    why = f"the same prompts count {factor:.2f} times as many tokens, in proportion to their length ({counts})"
    return [Change(kind=KindOfChange.TOKENIZER, text=text, why=why, errors=math.inf)]


def intermittent(case: Case) -> list[Change]:
    """A minority of replies is far outside, the rest as before."""
    far = case.minority
    is_minority = len(far.far) >= LEAST_FAR and far.share <= MOST_FAR and far.low > far.usual
    # replies that grew hotter have far ones too, but the rest moved with them; colder ones leave only old far ones
    is_colder = case.wording is not None and case.wording.spread_errors <= -SURE
    if not is_minority or far.rest > LIKE_BEFORE or is_colder:
        return []
    # 0.5 % rounds to nothing, and rare is what this kind is about
    text = f"Part of the traffic, about {max(1, round(100 * far.share))} % of replies, is answered by something else"
    why = (
        f"{len(far.far)} of {far.n} replies ({100 * far.share:.0f} % [{100 * far.low:.0f}, {100 * far.high:.0f}]) are "
        "unlike every accepted one; the rest is as before"
    )
    errors = _errors(far.share, far.usual, far.n)
    return [
        Change(
            kind=KindOfChange.INTERMITTENT,
            text=text,
            why=why,
            errors=errors,
            explains=1.0,
            n_canaries=far.n_canaries,
        )
    ]


def spread(case: Case) -> list[Change]:
    """Replies lie farther apart or nearer together around the same centre."""
    found = case.wording
    if found is None or abs(found.spread_errors) < SURE:
        return []
    narrow, wide = sorted((found.before, found.after))
    # around the same centre, no reply since lies farther from the accepted ones than the wider side's from each other
    beyond = max(0.0, found.across - wide) / (found.across - narrow) if found.across > narrow else 0.0
    if 1 - beyond < AROUND:
        return []
    why = (
        f"replies to the same prompt lie {found.before:.2f} → {found.after:.2f} apart (0 alike, 1 nothing in common), "
        "around the same centre"
    )
    if found.after > found.before:
        kind, text = KindOfChange.HOTTER, "Replies vary more, as at a higher temperature"
    elif _identical(case, before=False) >= 0.9 and _identical(case, before=True) <= 0.5:  # noqa: PLR2004 - see the text
        kind = KindOfChange.IDENTICAL
        text = "Repeats became word for word the same, as from a cache or at temperature 0"
        was, has_become = (100 * _identical(case, before=before) for before in (True, False))
        why = f"pairs of identical replies to the same prompt {was:.0f} % → {has_become:.0f} %"
    else:
        kind, text = KindOfChange.COLDER, "Replies vary less, as at a lower temperature"
    return [Change(kind=kind, text=text, why=why, errors=abs(found.spread_errors), explains=1 - beyond)]


def different(case: Case) -> list[Change]:
    """Replies are another model's, or follow other instructions."""
    found = case.wording
    names = renamed(case)
    if found is None or found.shift_errors < SURE:
        return []
    far = [
        c
        for c in found.by_canary
        if wording.excess(c.across, max(c.before, 0.0 if math.isnan(c.after) else c.after)) >= FAR
    ]
    is_far = len(far) >= NEARLY_ALL * len(found.by_canary)
    before, after = (mean(_agreements(case.sides, since=since)) for since in (False, True))
    is_same_stem = before >= GREEDY and after >= SAME_STEM and not case.has_marks
    if names is None and (not is_far or is_same_stem):
        return []
    known = [b == a for b, a in prompt_token_medians(case.sides)]
    if names is not None:
        text = f"Another model answers ({names})"
    elif known and all(known):
        text = "A different model likely answers"
    else:
        text = "A different model or a new system prompt likely answers"
    why = (
        f"on {len(far)} of {len(found.by_canary)} canaries replies lie farther from the accepted ones than those ever "
        "did from each other"
    )
    if known and all(known):
        why += "; the same prompts count as many tokens as before, so no hidden prompt was added"
    return [
        Change(
            kind=KindOfChange.DIFFERENT_MODEL,
            text=text,
            why=why,
            errors=found.shift_errors,
            n_canaries=len(far) or None,
        )
    ]


def renamed(case: Case) -> str | None:
    """Old and new model name, when most replies since carry one never seen before."""
    earlier, later = new_names(case.sides, lambda r: r.completion.served_model)
    new = {name: n for name, n in later.items() if name not in earlier}
    if not earlier or 2 * sum(new.values()) <= sum(later.values()):
        return None
    was, is_now = earlier.most_common(1)[0][0], max(new, key=lambda name: new[name])
    return f"{' '.join(was.split())[:80]} → {' '.join(is_now.split())[:80]}"


def slight(case: Case) -> list[Change]:
    """Greedy replies fork earlier and are alike otherwise."""
    if case.has_marks or spread(case):  # hotter replies fork earlier as well
        return []
    before, after = (_agreements(case.sides, since=since) for since in (False, True))
    falls = [b - a for b, a in zip(before, after, strict=True)]
    if len(falls) < 4 or mean(before) < GREEDY or mean(falls) < LEAST_FORK:  # noqa: PLR2004 - to have an error at all
        return []
    deviation = statistics.stdev(falls)
    errors = mean(falls) / deviation * math.sqrt(len(falls)) if deviation else math.inf
    if errors < SURE or mean(after) < SAME_STEM:
        return []
    why = (
        f"replies part from the accepted ones after {100 * mean(after):.0f} % of the opening instead of "
        f"{100 * mean(before):.0f} %, and are alike otherwise"
    )
    return [
        Change(
            kind=KindOfChange.SLIGHT,
            text="The weights or the serving stack changed slightly",
            why=why,
            errors=errors,
        )
    ]


def speed(case: Case) -> list[Change]:
    """Replies take longer or less long."""
    found = size_of(case.sides, LATENCY)
    if not is_sure(found):
        return []
    slower = found.is_rise
    if slower and found.change >= 2:  # noqa: PLR2004 - from twice on a factor reads better
        text = f"Replies take {found.change:.1f} times as long"
    else:
        text = f"Replies take {ratio(found).partition(' [')[0]} {'longer' if slower else 'less time'}"
    why = f"median {found.before:.2f} → {found.after:.2f} s"
    kind = KindOfChange.SLOWER if slower else KindOfChange.FASTER
    return [Change(kind=kind, text=text, why=why, errors=abs(found.errors))]


def reworded(case: Case) -> list[Change]:
    """The centre of the replies moved, and nothing else says how."""
    found = case.wording
    if found is None or found.shift_errors < SURE:
        return []
    why = f"distance to the accepted replies {found.before:.2f} → {found.across:.2f} (0 alike, 1 nothing in common)"
    text = "Replies are worded differently, in the same form"
    return [Change(kind=KindOfChange.WORDING, text=text, why=why, errors=found.shift_errors)]


def _errors(seen: float, usual: float, n: int) -> float:
    """A share in standard errors beyond the usual one, of which at least one more case is allowed for."""
    expected = max(usual, 1 / (n + 1))
    return max(0.0, seen - expected) / math.sqrt(expected * (1 - expected) / n) if expected < 1 else 0.0


def _identical(case: Case, *, before: bool) -> float:
    """Share of pairs of the same canary's replies that are the same text."""
    shares = []
    for canary in case.sides:
        texts = [r.text for r in (canary.before if before else canary.after)]
        n = len(texts)
        if n > 1:
            counts = {text: texts.count(text) for text in set(texts)}
            shares.append(sum(k * (k - 1) for k in counts.values()) / (n * (n - 1)))
    return mean(shares)


def _agreements(sides: Sequence[Sides], *, since: bool) -> list[float]:
    """Per canary, the median share of the opening in common with the best-matching (other) accepted reply."""

    def common(one: Reading, others: Sequence[Reading]) -> float:
        return max((_common(one.opening, other.opening) for other in others if other is not one), default=math.nan)

    return [
        statistics.median(common(reading, canary.before) for reading in (canary.after if since else canary.before))
        for canary in sides
        if len(canary.before) > 1
    ]


def _common(one: Sequence[str], other: Sequence[str]) -> float:
    longer = max(len(one), len(other))
    shared = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return shared / longer if longer else 1.0
