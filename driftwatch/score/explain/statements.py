"""The material effects as sentences: what a reader would notice when the replies lay side by side."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from driftwatch.score.channel import mean
from driftwatch.score.explain import features
from driftwatch.score.explain.effects import Difference, share, size
from driftwatch.score.explain.features import NAME_LENGTH, Category
from driftwatch.score.explain.sides import Feature, Sides, Values, measured, values_of
from driftwatch.score.reading import Reading

USUAL = 0.5
"""A canary usually shows a structure when at least half of its earlier replies did."""
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One material difference."""

    name: str
    """What was compared: ``length``, ``json gone``, ``script Cyrillic`` …"""
    text: str
    """A sentence with figures and the 95 % interval, without a full stop."""
    unit: str
    """``share`` (differences in 0 … 1), ``ratio`` (after / before) or ``name`` (no figures)."""
    before: float = math.nan
    after: float = math.nan
    change: float = math.nan
    low: float = math.nan
    """Of the 95 % interval of ``change``."""
    high: float = math.nan
    errors: float = math.inf
    """The change in standard errors under "nothing changed", signed; infinite for names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """An outward form of replies that can come and go."""

    name: str
    of: Feature
    gone: str
    come: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A size of a reply and how a change of it is told."""

    name: str
    of: Feature
    floor: float
    """Smaller sizes count as this, in the size's unit."""
    least: float
    """The change below which nobody cares, in the size's unit, however large its ratio: 5 words for 4."""
    subject: str
    more: str
    less: str
    unit: str
    places: int
    """Decimals shown."""


STRUCTURES = (
    Structure(name="json", of=features.is_json, gone="replies that parse as JSON", come="JSON appears"),
    Structure(
        name="fence", of=features.has_fence, gone="fenced code blocks disappear", come="fenced code blocks appear"
    ),
    Structure(name="list", of=features.has_list, gone="lists disappear", come="lists appear"),
    Structure(name="heading", of=features.has_heading, gone="headings disappear", come="headings appear"),
    Structure(name="tool call", of=features.has_tool_call, gone="tool calls disappear", come="tool calls appear"),
)
LENGTH = Size(
    name="length",
    of=features.n_words,
    floor=1.0,
    least=3.0,
    subject="replies are",
    more="longer",
    less="shorter",
    unit="words",
    places=0,
)
TOKENS = Size(
    name="output tokens",
    of=features.output_tokens,
    floor=1.0,
    least=3.0,
    subject="output tokens are",
    more="more",
    less="fewer",
    unit="tokens",
    places=0,
)
LATENCY = Size(
    name="latency",
    of=features.latency_s,
    floor=1e-3,
    least=0.05,
    subject="latency is",
    more="higher",
    less="lower",
    unit="s",
    places=2,
)


def statements(sides: Sequence[Sides]) -> tuple[Effect, ...]:
    """Every material effect, metadata first."""
    return (
        *_new_names(sides, "served model", lambda r: r.completion.served_model),
        *_new_names(sides, "fingerprint", lambda r: r.completion.fingerprint),
        *_prompt_tokens(sides),
        *_of_share("checks failing", "checks failing", share(_check_groups(sides))),
        *_refusals(sides),
        *_structures(sides),
        *_categories(sides, "script", "other script:", features.scripts),
        *_categories(sides, "language", "other language:", features.language),
        *_categories(sides, "finish_reason", "finish_reason", features.finish_reason),
        *_endings(sides),
        *_sizes(sides),
    )


def structure_moves(sides: Sequence[Sides], structure: Structure) -> tuple[Difference, Difference]:
    """How a structure left the canaries that usually had it, and came to the others: overall both are diluted."""
    usual: list[Sides] = []
    unusual: list[Sides] = []
    for canary in sides:
        (usual if mean(map(structure.of, canary.before)) >= USUAL else unusual).append(canary)
    return share(values_of(usual, structure.of)), share(values_of(unusual, structure.of))


def category_rises(sides: Sequence[Sides], categories_of: Category) -> dict[str, Difference]:
    """Category → its rise, where material; what it displaced follows from it.

    A reply without a category (no letters, too few to tell a language) is unknown, not of another one.
    """
    known = [
        (before, after)
        for canary in sides
        if (before := [c for r in canary.before if (c := categories_of(r))])
        and (after := [c for r in canary.after if (c := categories_of(r))])
    ]
    rises = {}
    for category in sorted({c for group in known for side in group for categories in side for c in categories}):
        groups = [([float(category in c) for c in b], [float(category in c) for c in a]) for b, a in known]
        found = share(groups)
        if found.is_rise:
            rises[category] = found
    return rises


def size_of(sides: Sequence[Sides], what: Size) -> Difference:
    """Compare a size."""
    return size(values_of(sides, what.of), floor=what.floor, least=what.least)


def prompt_token_medians(sides: Sequence[Sides]) -> list[tuple[float, float]]:
    """Per canary, the median input tokens before and after, where told."""

    def told(reading: Reading) -> float:
        n = reading.completion.input_tokens
        return math.nan if n is None else float(n)

    return [(statistics.median(b), statistics.median(a)) for _, b, a in measured(sides, told)]


def new_names(sides: Sequence[Sides], name: Callable[[Reading], str | None]) -> tuple[Counter[str], Counter[str]]:
    """How often each name was told before and after."""
    earlier = Counter(n for canary in sides for r in canary.before if (n := name(r)) is not None)
    later = Counter(n for canary in sides for r in canary.after if (n := name(r)) is not None)
    return earlier, later


def figures(found: Difference) -> str:
    """A share in words, e.g. ``98 % → 61 % (−37 points [−45, −29])``."""
    told = f"{100 * found.before:.0f} % → {100 * found.after:.0f} %"
    interval = _interval(100 * found.low, 100 * found.high)
    return f"{told} ({_signed(100 * found.change)} points{interval})"


def ratio(found: Difference) -> str:
    """The size of a ratio in words, e.g. ``41 % [28, 55]``; empty from or to nothing, where there is no percentage."""
    if math.isnan(found.change):
        return ""
    sign = 1 if found.change >= 1 else -1
    low, high = sorted(sign * 100 * (edge - 1) for edge in (found.low, found.high))
    is_exact = math.isnan(low) or round(low) == round(high)
    return f"{abs(100 * (found.change - 1)):.0f} %" + ("" if is_exact else _interval(low, high))


# ---------------------------------------------------------------- one kind of statement each


def _new_names(sides: Sequence[Sides], label: str, name: Callable[[Reading], str | None]) -> Iterator[Effect]:
    """A name never seen before needs no statistics; a provider that alternates between known ones is no news."""
    earlier, later = new_names(sides, name)
    if later.keys() - earlier.keys():
        yield Effect(name=label, text=f"{label} {_names(earlier)} → {_names(later)}", unit="name")


def _names(counts: Counter[str]) -> str:
    total = sum(counts.values())
    shown = [
        " ".join(name.split())[:NAME_LENGTH] + (f" ({100 * n / total:.0f} %)" if len(counts) > 1 else "")
        for name, n in counts.most_common(_NAMES_SHOWN)
    ]
    if len(counts) > _NAMES_SHOWN:
        shown.append(f"{len(counts) - _NAMES_SHOWN} more")
    return ", ".join(shown) or "none"


def _prompt_tokens(sides: Sequence[Sides]) -> Iterator[Effect]:
    """A fixed prompt has a fixed count: another one means another tokenizer, template or hidden system prompt."""
    medians = prompt_token_medians(sides)
    if 2 * sum(b != a for b, a in medians) > len(medians):
        before, after = (statistics.median(column) for column in zip(*medians, strict=True))
        yield Effect(
            name="input tokens",
            text=f"input tokens of the same prompts changed (median {before:g} → {after:g})",
            unit="name",
            before=before,
            after=after,
        )


def _check_groups(sides: Sequence[Sides]) -> list[Values]:
    return [
        ([feature(r) for r in canary.before], [feature(r) for r in canary.after])
        for canary in sides
        if canary.canary is not None and canary.canary.checks
        for feature in [features.failing(canary.canary)]
    ]


def _refusals(sides: Sequence[Sides]) -> Iterator[Effect]:
    found = share(values_of(sides, features.is_refusal))
    yield from _of_share("refusals", f"refuses {'more' if found.change > 0 else 'less'}", found)


def _structures(sides: Sequence[Sides]) -> Iterator[Effect]:
    for structure in STRUCTURES:
        gone, come = structure_moves(sides, structure)
        if gone.is_fall:
            yield from _of_share(f"{structure.name} gone", structure.gone, gone)
        if come.is_rise:
            yield from _of_share(f"{structure.name} come", structure.come, come)


def _categories(sides: Sequence[Sides], name: str, label: str, categories_of: Category) -> Iterator[Effect]:
    for category, found in category_rises(sides, categories_of).items():
        yield from _of_share(f"{name} {category}", f"{label} {category}", found, colon="")


def _endings(sides: Sequence[Sides]) -> Iterator[Effect]:
    """Only when the provider does not say itself that it cut replies off."""
    if not share(values_of(sides, features.is_cut_off)).is_rise:
        found = share(values_of(sides, features.stops_midway))
        if found.is_rise:
            yield from _of_share("stops midway", "replies that stop in mid-sentence", found)


def _sizes(sides: Sequence[Sides]) -> Iterator[Effect]:
    for what in (LENGTH, TOKENS, LATENCY):
        found = size_of(sides, what)
        if found.is_material:
            percent = f"{told} " if (told := ratio(found)) else ""
            # "41 % longer [28, 55]" reads better than "41 % [28, 55] longer"
            amount, _, interval = percent.strip().partition(" [")
            word = what.more if found.is_rise else what.less
            words = " ".join(part for part in (what.subject, amount, word, f"[{interval}" if interval else "") if part)
            typical = f"{found.before:.{what.places}f} → {found.after:.{what.places}f} {what.unit}"
            yield _effect(what.name, f"{words} (median {typical})", "ratio", found)


def _of_share(name: str, label: str, found: Difference, *, colon: str = ":") -> Iterator[Effect]:
    if found.is_material:
        yield _effect(name, f"{label}{colon} {figures(found)}", "share", found)


def _effect(name: str, text: str, unit: str, found: Difference) -> Effect:
    return Effect(
        name=name,
        text=text,
        unit=unit,
        before=found.before,
        after=found.after,
        change=found.change,
        low=found.low,
        high=found.high,
        errors=found.errors,
    )


def _interval(low: float, high: float) -> str:
    return f" [{_signed(low, plus=False)}, {_signed(high, plus=False)}]"


def _signed(value: float, *, plus: bool = True) -> str:
    whole = round(value)
    return f"−{-whole}" if whole < 0 else f"{'+' if plus and whole else ''}{whole}"
