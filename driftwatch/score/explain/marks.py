"""Kinds that single replies carry the mark of: refusal, language, cut, format, length."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from driftwatch.score.channel import mean
from driftwatch.score.explain import features, wording
from driftwatch.score.explain.case import Case, Change, KindOfChange, is_sure
from driftwatch.score.explain.effects import LEAST_RATIO, LEAST_SHARE, Difference, share
from driftwatch.score.explain.sides import Feature, Sides, values_of
from driftwatch.score.explain.statements import (
    LENGTH,
    STRUCTURES,
    USUAL,
    category_rises,
    figures,
    ratio,
    size_of,
    structure_moves,
)
from driftwatch.score.reading import Reading

_LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "nl": "Dutch",
    "pt": "Portuguese",
    "ru": "Russian",
    "zh": "Chinese",
    "ja": "Japanese",
}


def refuses(case: Case) -> list[Change]:
    """More or fewer replies decline."""
    found = share(values_of(case.sides, features.is_refusal))
    # fewer will do when the far replies are refusals: that is who answers from elsewhere
    far = case.minority.far
    are_far = found.is_rise and bool(far) and mean(map(features.is_refusal, far)) > 0.5  # noqa: PLR2004 - most of them
    if not (is_sure(found) or are_far):
        return []
    more = found.is_rise
    return [
        Change(
            kind=KindOfChange.REFUSES_MORE if more else KindOfChange.REFUSES_LESS,
            text=f"The model refuses {'more' if more else 'less'} ({_percents(found)})",
            why=f"refusals {figures(found)}",
            n_canaries=_moved(case.sides, features.is_refusal, up=found.is_rise),
            errors=abs(found.errors),
            explains=case.explains(lambda r: bool(features.is_refusal(r))),
        )
    ]


def language(case: Case) -> list[Change]:
    """Replies come in another script or language; the clearest one."""
    changes = []
    for label, categories_of in (("script", features.scripts), ("language", features.language)):
        for category, found in category_rises(case.sides, categories_of).items():
            if is_sure(found):
                name = _LANGUAGES.get(category, category)
                changes.append(
                    Change(
                        kind=KindOfChange.LANGUAGE,
                        text=f"Replies come in another {label} ({name} {_percents(found)})",
                        why=f"{name} {figures(found)}",
                        n_canaries=_moved(
                            case.sides,
                            lambda r, c=category, of=categories_of: float(c in of(r)),  # type: ignore[misc]
                            up=True,
                        ),
                        errors=abs(found.errors),
                        explains=case.explains(lambda r, c=category, of=categories_of: c in of(r)),  # type: ignore[misc]
                    )
                )
    return sorted(changes, key=lambda change: -change.errors)[:1]


def truncated(case: Case) -> list[Change]:
    """Replies are cut off."""
    for feature, what in (
        (features.is_cut_off, "Replies are cut off at the length limit"),
        (features.stops_midway, "Replies stop in mid-sentence"),
    ):
        found = share(values_of(case.sides, feature))
        if found.is_rise and is_sure(found):
            # a cut leaves the beginning as it was; whole replies that are cut now are left out as well
            gone = max(case.explains(lambda r, of=feature: of(r) == 1.0), case.explains_seen(*_alike(case.sides)))  # type: ignore[misc]
            if feature is features.stops_midway and not size_of(case.sides, LENGTH).is_fall:
                continue
            return [
                Change(
                    kind=KindOfChange.TRUNCATED,
                    text=f"{what} ({_percents(found)})",
                    why=f"share of replies {figures(found)}, their beginnings are as before",
                    errors=abs(found.errors),
                    explains=gone,
                    n_canaries=_moved(case.sides, feature, up=True),
                )
            ]
    return []


def structure(case: Case) -> list[Change]:
    """JSON, tool calls or an outward format came or went."""
    changes = []
    for structure in STRUCTURES:
        gone, come = structure_moves(case.sides, structure)
        for found, label in ((gone, structure.gone), (come, structure.come)):
            if not is_sure(found) or found.is_rise == (found is gone):
                continue
            if structure.name in {"json", "tool call"} and found is gone:
                usual = [c for c in case.sides if mean(map(structure.of, c.before)) >= USUAL]
                explained = case.explains(lambda r, of=structure.of: not of(r), only=usual)  # type: ignore[misc]
            else:
                explained = case.explains_seen(features.without_markdown)
            if structure.name == "json" and found is gone:
                kind, text = KindOfChange.JSON_BROKEN, f"JSON replies are broken ({_percents(found)} parse)"
            elif structure.name == "tool call":
                kind, text = KindOfChange.TOOLS, f"{label.capitalize()} ({_percents(found)})"
            else:
                kind, text = KindOfChange.FORMAT, f"The format changed: {label} ({_percents(found)})"
            why = f"{label} {figures(found)}"
            n = _moved(case.sides, structure.of, up=found.is_rise)
            errors = abs(found.errors)
            changes.append(Change(kind=kind, text=text, why=why, errors=errors, explains=explained, n_canaries=n))
    return changes


def length(case: Case) -> list[Change]:
    """Replies grew or shrank."""
    found = size_of(case.sides, LENGTH)
    if not is_sure(found):
        return []
    longer = found.is_rise
    amount, _, interval = ratio(found).partition(" [")
    word = "longer" if longer else "shorter"
    # from twice on a factor reads better
    amount = f"{found.change:.1f} times as long" if found.change >= 2 else f"{amount} {word}" if amount else ""  # noqa: PLR2004
    typical = f"median {found.before:.0f} → {found.after:.0f} words"
    return [
        Change(
            kind=KindOfChange.LONGER if longer else KindOfChange.SHORTER,
            text=f"Replies got {amount}" if amount else f"Replies got {word}",
            why=f"{typical}, 95 % interval of the change [{interval} %" if interval else typical,
            errors=abs(found.errors),
            explains=case.explains_seen(*_alike(case.sides)),
            n_canaries=_moved(
                case.sides, lambda r: math.log(max(1.0, features.n_words(r))), up=longer, least=LEAST_RATIO
            ),
        )
    ]


def _alike(sides: Sequence[Sides]) -> tuple[wording.View, wording.View]:
    """The beginning and the end of every reply, as long as the shorter side of its canary usually is."""
    lengths = {
        canary.canary_id: int(
            0.9
            * min(
                statistics.median(len(r.text) for r in canary.before),
                statistics.median(len(r.text) for r in canary.after),
            )
        )
        for canary in sides
    }

    def beginning(reading: Reading) -> str:
        return reading.text[: lengths[reading.completion.canary_id]]

    def end(reading: Reading) -> str:
        return reading.text[-lengths[reading.completion.canary_id] or len(reading.text) :]

    return beginning, end


def _moved(sides: Sequence[Sides], feature: Feature, *, up: bool, least: float = LEAST_SHARE) -> int:
    """Canaries whose mean moved this way by at least ``least``."""
    sign = 1 if up else -1
    return sum(sign * (mean(after) - mean(before)) >= least for before, after in values_of(sides, feature))


def _percents(found: Difference) -> str:
    return f"{100 * found.before:.0f} % → {100 * found.after:.0f} %"
