"""A comparison in sentences: what a reader would notice, and what is counted where the table counts otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from driftwatch.score.explain.sides import Sides
from driftwatch.score.explain.statements import LATENCY, LENGTH, STRUCTURES, TOKENS, Effect, statements

_LEFT_OUT = frozenset({LATENCY.name, TOKENS.name})
"""Not compared: two sides recorded at different hours or over different lines differ in speed by that alone, and the
tokens billed say nothing that the length does not."""
_COUNTED = {f"{one.name} gone": "counting only prompts that mostly showed it before" for one in STRUCTURES} | {
    f"{one.name} come": "counting only prompts that mostly did not show it before" for one in STRUCTURES
}
"""``statements`` tells a structure's leaving and coming apart; the table counts all prompts."""


def words_for(sides: Sequence[Sides]) -> tuple[str, ...]:
    """Say what a reader would notice: the sentences of ``score.describe_change``, less speed and billing.

    Returns:
        Sentences without a full stop, metadata first; empty when nothing is material.
    """
    return tuple(_sentence(effect) for effect in statements(sides) if effect.name not in _LEFT_OUT)


def _sentence(effect: Effect) -> str:
    if effect.name == LENGTH.name:
        word = LENGTH.more if f" {LENGTH.more}" in effect.text else LENGTH.less
        return effect.text.replace(f" {word}", f" {word} in words", 1)
    if counted := _COUNTED.get(effect.name):
        return f"{effect.text}, {counted}"
    return effect.text
