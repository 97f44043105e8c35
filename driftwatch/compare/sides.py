"""A side of a comparison, and the rule that both sides were asked the same: another prompt is no drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, field, replace

from driftwatch.domain import Canary, Completion, Message
from driftwatch.errors import UsageError

_SHOWN = 3
"""Prompt ids named in a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Completions of known prompts from one source."""

    name: str
    """As the user wrote it."""
    completions: tuple[Completion, ...]
    prompts: Mapping[str, tuple[Message, ...]]
    """Prompt id → what was asked; no messages where that is not known."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Canary id → content hash, where the completions come from the store."""
    canaries: tuple[Canary, ...] = ()
    """For their checks, where they are known."""

    def only(self, prompts: AbstractSet[str]) -> Side:
        """The same without all other prompts."""
        return replace(
            self,
            completions=tuple(one for one in self.completions if one.canary_id in prompts),
            prompts={one: asked for one, asked in self.prompts.items() if one in prompts},
        )


def in_common(left: Side, right: Side) -> tuple[Side, Side, tuple[int, int]]:
    """Both sides without the prompts that only one has, and how many those were on the left and on the right.

    Raises:
        UsageError: there is no prompt in common.
    """
    both = left.prompts.keys() & right.prompts.keys()
    if not both:
        raise UsageError(
            f"{left.name} and {right.name} have no prompt in common, so there is nothing to compare; a prompt is known "
            "by its id"
        )
    return left.only(both), right.only(both), (len(left.prompts) - len(both), len(right.prompts) - len(both))


def require_same_prompts(left: Side, right: Side) -> None:
    """Refuse two sides that were not asked the same.

    Raises:
        UsageError: a prompt is on one side only, or has another text; the sentence names it and both sides.
    """
    missing = [
        f"{_named(sorted(here.prompts.keys() - there.prompts.keys()))} only in {here.name}"
        for here, there in ((left, right), (right, left))
        if here.prompts.keys() - there.prompts.keys()
    ]
    if missing:
        raise UsageError(
            f"the prompt sets differ: {' and '.join(missing)}; record the same prompts, or write --common to "
            "compare those that both sides have"
        )
    changed = [prompt for prompt in sorted(left.prompts) if _is_changed(left, right, prompt)]
    if changed:
        were = "were" if len(changed) > 1 else "was"
        raise UsageError(
            f"{_named(changed)} {were} asked differently in {left.name} and {right.name}; a changed prompt changes the "
            "replies, so record both sides with the same one"
        )


def _is_changed(left: Side, right: Side, prompt: str) -> bool:
    hashes = left.hashes.get(prompt), right.hashes.get(prompt)
    if None not in hashes:
        return hashes[0] != hashes[1]
    asked = left.prompts[prompt], right.prompts[prompt]
    return bool(asked[0] and asked[1]) and asked[0] != asked[1]


def _named(prompts: Sequence[str]) -> str:
    shown = ", ".join(f"'{prompt}'" for prompt in prompts[:_SHOWN])
    more = f" and {len(prompts) - _SHOWN:,} more" if len(prompts) > _SHOWN else ""
    return f"prompt{'s' if len(prompts) > 1 else ''} {shown}{more}"
