"""Say in words and figures what is different between two sets of completions, and which one is typical."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from driftwatch.canaries.checks import evaluate
from driftwatch.canaries.language import language_of
from driftwatch.domain import Canary, Completion
from driftwatch.score.channel import mean
from driftwatch.score.profile import distances, stack
from driftwatch.score.reading import Reading, read
from driftwatch.score.scripts import NO_LETTERS

LEAST_SHARE = 0.05
"""A share has to move by five points to be told: less would not change what the reader does next."""
LEAST_RATIO = 0.15
"""A size has to move by 15 % to be told: less is not seen when two replies lie side by side."""
STANDARD_ERRORS = 2.0
"""And by two standard errors. The alarm was raised on other grounds; this keeps chance out of its explanation, at
about one false statement in twenty that could be made."""
_USUAL = 0.5
"""A canary usually shows a structure when at least half of its earlier replies did."""
_SCRIPT_SHARE = 0.05
"""A reply is in a script when a twentieth of its letters are: a π or a quoted name is no script."""
_LEAST_LETTERS = 40
"""Below this the language of a reply is a guess; see ``language_of``."""
_NAMES_SHOWN = 3
_NAME_LENGTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One canary's replies before and after; neither is empty."""

    canary: Canary | None
    before: tuple[Reading, ...]
    after: tuple[Reading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A share or size before and after."""

    before: float
    after: float
    is_material: bool

    @property
    def is_rise(self) -> bool:
        return self.is_material and self.after > self.before

    @property
    def is_fall(self) -> bool:
        return self.is_material and self.after < self.before

    @property
    def percents(self) -> str:
        return f"{100 * self.before:.0f} % → {100 * self.after:.0f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """A size of a reply and how a change of it is told."""

    of: Callable[[Reading], float]
    """0 or more; NaN where the reply does not say."""
    floor: float
    """Added before the logarithm, in the size's unit: where the size begins to mean something."""
    least: float
    """The change below which nobody cares, in the size's unit, however large its ratio: 5 words for 4."""
    words: tuple[str, str, str]
    """Subject and verb, and the comparatives of more and of less."""
    unit: str
    places: int
    """Decimals shown."""


def medoid(completions: Sequence[Completion]) -> Completion:
    """Pick the most typical completion: the one with the least summed wording distance to the others.

    Failures are passed over unless there is nothing else; of equals the first is taken.

    Raises:
        ValueError: there are no completions.
    """
    readings = read(completions)
    if not readings:
        if not completions:
            raise ValueError("no completions to choose the medoid from")
        return completions[0]
    together = stack([r.profile for r in readings])
    sums = [math.fsum(distances(r.profile, together).tolist()) for r in readings]
    return readings[sums.index(min(sums))].completion


def describe_change(
    before: Sequence[Completion],
    after: Sequence[Completion],
    canaries: Sequence[Canary],
) -> tuple[str, ...]:
    """Describe what a reader would notice, e.g. ``replies are 41 % longer (median 34 → 48 words)``.

    Only canaries with replies on both sides are compared, and each counts the same, so that another mix of canaries
    is no change. Failures are left out. What is not material (the constants above) is not said.

    Args:
        before: accepted completions, e.g. the anchors.
        after: completions since the onset.
        canaries: for their checks; a canary that is missing here has none.

    Returns:
        Sentences without a full stop, metadata first; empty when nothing is material.
    """
    pairs = _pairs(before, after, {canary.id: canary for canary in canaries})
    if not pairs:
        return ()
    return (
        *_new_names(pairs, "served model", lambda r: r.completion.served_model),
        *_new_names(pairs, "fingerprint", lambda r: r.completion.fingerprint),
        *_prompt_tokens(pairs),
        *_checks(pairs),
        *_refusals(pairs),
        *_structures(pairs),
        *_categories(pairs, "other script:", _scripts),
        *_categories(pairs, "other language:", _language),
        *_categories(pairs, "finish_reason", _finish_reason),
        *_sizes(pairs),
    )


def _pairs(
    before: Sequence[Completion],
    after: Sequence[Completion],
    canaries: dict[str, Canary],
) -> list[_Pair]:
    earlier, later = _grouped(before), _grouped(after)
    return [
        _Pair(canary=canaries.get(canary_id), before=tuple(readings), after=tuple(later[canary_id]))
        for canary_id, readings in earlier.items()
        if canary_id in later
    ]


def _grouped(completions: Sequence[Completion]) -> dict[str, list[Reading]]:
    grouped: dict[str, list[Reading]] = {}
    for reading in read(completions):
        grouped.setdefault(reading.completion.canary_id, []).append(reading)
    return grouped


# ---------------------------------------------------------------- the statements


def _new_names(pairs: Sequence[_Pair], label: str, name: Callable[[Reading], str | None]) -> Iterator[str]:
    """A name never seen before needs no statistics; a provider that alternates between known ones is no news."""
    earlier = Counter(n for pair in pairs for r in pair.before if (n := name(r)) is not None)
    later = Counter(n for pair in pairs for r in pair.after if (n := name(r)) is not None)
    if not later.keys() - earlier.keys():
        return
    yield f"{label} {_names(earlier)} → {_names(later)}"


def _names(counts: Counter[str]) -> str:
    total = sum(counts.values())
    shown = [
        " ".join(name.split())[:_NAME_LENGTH] + (f" ({100 * n / total:.0f} %)" if len(counts) > 1 else "")
        for name, n in counts.most_common(_NAMES_SHOWN)
    ]
    if len(counts) > _NAMES_SHOWN:
        shown.append(f"{len(counts) - _NAMES_SHOWN} more")
    return ", ".join(shown) or "none"


def _prompt_tokens(pairs: Sequence[_Pair]) -> Iterator[str]:
    """A fixed prompt has a fixed count: another one means another tokenizer, template or hidden system prompt."""
    medians = [
        (statistics.median(earlier), statistics.median(later))
        for pair in pairs
        if (earlier := [n for r in pair.before if (n := r.completion.input_tokens) is not None])
        and (later := [n for r in pair.after if (n := r.completion.input_tokens) is not None])
    ]
    if 2 * sum(b != a for b, a in medians) > len(medians):
        b, a = (statistics.median(column) for column in zip(*medians, strict=True))
        yield f"input tokens of the same prompts changed (median {b:g} → {a:g})"


def _checks(pairs: Sequence[_Pair]) -> Iterator[str]:
    shares = [
        ([_failing(canary, r) for r in pair.before], [_failing(canary, r) for r in pair.after])
        for pair in pairs
        if (canary := pair.canary) is not None and canary.checks
    ]
    change = _share(shares)
    if change.is_material:
        yield f"checks failing: {change.percents}"


def _failing(canary: Canary, reading: Reading) -> float:
    return mean(float(not evaluate(check, reading.completion)) for check in canary.checks)


def _refusals(pairs: Sequence[_Pair]) -> Iterator[str]:
    change = _share_of(pairs, lambda r: r.form.is_refusal)
    if change.is_material:
        yield f"refuses {'more' if change.is_rise else 'less'}: {change.percents}"


def _structures(pairs: Sequence[_Pair]) -> Iterator[str]:
    """What goes is told of the canaries that usually had it, what comes of the others: both are diluted overall."""
    for feature, gone, come in _STRUCTURES:
        usual: list[_Pair] = []
        unusual: list[_Pair] = []
        for pair in pairs:
            (usual if mean(map(feature, pair.before)) >= _USUAL else unusual).append(pair)
        fall = _share_of(usual, feature)
        if fall.is_fall:
            yield f"{gone}: {fall.percents}"
        rise = _share_of(unusual, feature)
        if rise.is_rise:
            yield f"{come}: {rise.percents}"


def _categories(
    pairs: Sequence[_Pair],
    label: str,
    categories_of: Callable[[Reading], frozenset[str]],
) -> Iterator[str]:
    """Name the categories that became more frequent; what they displaced follows from it.

    A reply without a category (no letters, too few to tell a language) is unknown, not of another one.
    """
    known = [
        (before, after)
        for pair in pairs
        if (before := [c for r in pair.before if (c := categories_of(r))])
        and (after := [c for r in pair.after if (c := categories_of(r))])
    ]
    for category in sorted({c for group in known for side in group for categories in side for c in categories}):
        change = _share([([category in c for c in before], [category in c for c in after]) for before, after in known])
        if change.is_rise:
            yield f"{label} {category} {change.percents}"


def _scripts(reading: Reading) -> frozenset[str]:
    shares = reading.form.scripts
    return frozenset(name for name, share in shares.items() if share >= _SCRIPT_SHARE and name != NO_LETTERS)


def _language(reading: Reading) -> frozenset[str]:
    if sum(character.isalpha() for character in reading.body) < _LEAST_LETTERS:
        return frozenset()
    language = language_of(reading.body)
    return frozenset() if language is None else frozenset({language})


def _finish_reason(reading: Reading) -> frozenset[str]:
    reason = reading.completion.finish_reason
    return frozenset() if reason is None else frozenset({" ".join(reason.split())[:_NAME_LENGTH]})


def _sizes(pairs: Sequence[_Pair]) -> Iterator[str]:
    for size in _SIZES:
        change = _size_of(pairs, size)
        if change.is_material:
            subject, more, less = size.words
            # from nothing there is no percentage
            percent = f"{abs(100 * (change.after / change.before - 1)):.0f} % " if change.before else ""
            figures = f"{change.before:.{size.places}f} → {change.after:.{size.places}f} {size.unit}"
            yield f"{subject} {percent}{more if change.is_rise else less} (median {figures})"


_STRUCTURES: tuple[tuple[Callable[[Reading], bool], str, str], ...] = (
    (lambda r: r.form.is_json, "replies that parse as JSON", "JSON appears"),
    (lambda r: r.form.has_fence, "fenced code blocks disappear", "fenced code blocks appear"),
    (lambda r: r.form.has_list, "lists disappear", "lists appear"),
    (lambda r: r.form.has_heading, "headings disappear", "headings appear"),
    (lambda r: bool(r.completion.tool_calls), "tool calls disappear", "tool calls appear"),
)
_SIZES = (
    _Size(
        of=lambda r: float(r.n_words),
        floor=1.0,
        least=3.0,
        words=("replies are", "longer", "shorter"),
        unit="words",
        places=0,
    ),
    _Size(
        of=lambda r: math.nan if (n := r.completion.output_tokens) is None else float(n),
        floor=1.0,
        least=3.0,
        words=("output tokens are", "more", "fewer"),
        unit="tokens",
        places=0,
    ),
    _Size(
        of=lambda r: r.completion.latency_s,
        floor=1e-3,
        least=0.05,
        words=("latency is", "higher", "lower"),
        unit="s",
        places=2,
    ),
)


# ---------------------------------------------------------------- what is material


def _share_of(pairs: Sequence[_Pair], feature: Callable[[Reading], bool]) -> _Change:
    return _share([([feature(r) for r in pair.before], [feature(r) for r in pair.after]) for pair in pairs])


def _share(groups: Sequence[tuple[Sequence[float], Sequence[float]]]) -> _Change:
    """Compare shares, each canary counting the same.

    The standard error is the stratified one under no change, with p(1 − p) of the canary's pooled share p, which
    also bounds the variance of values between 0 and 1 (Bhatia & Davis 2000, Amer. Math. Monthly 107, 353–357).
    """
    if not groups:
        return _Change(before=math.nan, after=math.nan, is_material=False)
    before, after = mean(mean(b) for b, _ in groups), mean(mean(a) for _, a in groups)
    variance = 0.0
    for b, a in groups:
        pooled = mean((*b, *a))
        variance += pooled * (1 - pooled) * (1 / len(b) + 1 / len(a))
    moved = abs(after - before)
    is_material = moved >= max(LEAST_SHARE, STANDARD_ERRORS * math.sqrt(variance) / len(groups))
    return _Change(before=before, after=after, is_material=is_material)


def _size_of(pairs: Sequence[_Pair], size: _Size) -> _Change:
    """Compare the medians over canaries of each canary's median; NaN values are left out.

    The noise is judged on the logarithm of ``floor`` more (so that 0 has one), with the variance pooled within
    canaries and sides, because canaries differ in size by design. Without repeats there is no noise to judge.
    """
    groups = [
        (earlier, later)
        for pair in pairs
        if (earlier := [x for r in pair.before if not math.isnan(x := size.of(r))])
        and (later := [x for r in pair.after if not math.isnan(x := size.of(r))])
    ]
    if not groups:
        return _Change(before=math.nan, after=math.nan, is_material=False)
    before = statistics.median(statistics.median(b) for b, _ in groups)
    after = statistics.median(statistics.median(a) for _, a in groups)
    moved, squares, freedom, weight = 0.0, 0.0, 0, 0.0
    for group in groups:
        b, a = ([math.log(size.floor + x) for x in side] for side in group)
        moved += (mean(a) - mean(b)) / len(groups)
        squares += math.fsum((x - mean(side)) ** 2 for side in (b, a) for x in side)
        freedom += len(b) + len(a) - 2
        weight += 1 / len(b) + 1 / len(a)
    error = math.sqrt(squares / max(1, freedom) * weight) / len(groups)
    is_large = abs(after - before) >= max(LEAST_RATIO * before, size.least)
    # the medians and the mean of logarithms have to agree: one canary ten times as long is not "replies are longer"
    is_sure = abs(moved) >= STANDARD_ERRORS * error and (moved > 0) == (after > before)
    return _Change(before=before, after=after, is_material=is_large and is_sure)
