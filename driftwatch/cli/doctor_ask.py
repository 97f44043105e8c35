"""What ``driftwatch doctor`` asks an endpoint: one canary, and when it is refused, which parameter is to blame."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from driftwatch.domain import Canary, Completion, Outcome, Target

if TYPE_CHECKING:
    from driftwatch.app import App

MOST_MORE = 4
"""Requests beyond the first at most, to find out which parameter an endpoint refuses."""

ALIASES: Mapping[str, frozenset[str]] = {
    "logprobs": frozenset({"logprobs", "responselogprobs"}),
    "max_tokens": frozenset({"maxtokens", "maxoutputtokens", "maxcompletiontokens", "maxnewtokens"}),
    "reasoning_effort": frozenset({"reasoningeffort", "reasoning", "effort", "thinking", "thinkinglevel"}),
    "seed": frozenset({"seed", "randomseed"}),
    "stop": frozenset({"stop", "stopsequences"}),
}
"""Common parameter → what vendors call it in their messages, in small letters without ``_`` and ``-``."""

Ask = Callable[[frozenset[str]], Awaitable[Completion]]
"""Asks the canary again without these parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Which parameters an endpoint refuses."""

    parameters: tuple[str, ...] = ()
    """In the order of the request; empty when they are not to blame."""
    is_certain: bool = True
    """Whether each of them is known to be refused; otherwise at least one is, or the endpoint names it."""
    answer: Completion | None = None
    """A reply to the request without them; None when there was none."""


def most_demanding(target: Target, except_for: Container[str] = ()) -> Canary:
    """The canary that asks for the most kinds of thing: what it passes, the others will hardly fail on.

    Args:
        target: whose canaries.
        except_for: ids of canaries that cannot be asked; without any other they are taken all the same.
    """

    def kinds(canary: Canary) -> int:
        return len(target.parameters_for(canary)) + 2 * bool(canary.tools) + 2 * (canary.response_format is not None)

    askable = [canary for canary in target.canaries if canary.id not in except_for]
    return max(askable or target.canaries, key=kinds)  # the first of equals


async def ask(application: App, target: Target, canary: Canary, without: frozenset[str] = frozenset()) -> Completion:
    """Send one canary once, without these parameters, whoever configured them."""
    from driftwatch.replay import RetryPolicy, replay  # noqa: PLC0415 - beside its use

    line = application.lines[target.name]
    parameters = {**target.parameters, **dict.fromkeys(without)}
    [completion] = await replay(
        replace(target, canaries=(canary,), parameters=parameters),
        line.provider,
        at=application.clock.now(),
        gate=line.gate,
        retry=RetryPolicy(attempts=1),
        deadline_s=line.deadline_s,
        repeats=1,
    )
    return completion


async def find_refused(again: Ask, names: Iterable[str], sentence: str) -> Blame:
    """Find the parameters because of which a request was refused, with ``MOST_MORE`` more requests at most.

    What the endpoint's own message names is left out first. Where it names nothing, all are left out and then halves.

    Args:
        again: asks without some parameters.
        names: parameters of the request that was refused.
        sentence: why, in the endpoint's words.
    """
    sent = list(names)
    search = _Search(again, sent)
    said = named_in(sentence, sent)
    while said and search.left:
        search.without.append(said[0])
        answer = await search.ask(search.without)
        if answer.is_ok:
            return Blame(parameters=tuple(search.without), answer=answer)
        if answer.outcome is not Outcome.REJECTED:
            return Blame(parameters=tuple(search.without), is_certain=False)
        said = [name for name in named_in(answer.error or "", sent) if name not in search.without]
    if not search.left:
        return Blame(parameters=tuple(search.without), is_certain=False)
    return await search.by_halves() if sent else Blame()


def named_in(sentence: str, names: Iterable[str]) -> list[str]:
    """Those of the parameters that a message names in any vendor's spelling, in the order of the message.

    >>> named_in("`generationConfig.topP` is too large, use temperature", ["temperature", "seed", "top_p"])
    ['top_p', 'temperature']
    """
    words = [re.sub(r"[_-]", "", word).lower() for word in re.findall(r"[A-Za-z][A-Za-z0-9_-]*", sentence)]
    found = {}
    for name in names:
        known = ALIASES.get(name, frozenset({re.sub(r"[_-]", "", name).lower()}))
        place = next((place for place, word in enumerate(words) if word in known), None)
        if place is not None:
            found[name] = place
    return sorted(found, key=lambda name: found[name])


class _Search:
    def __init__(self, again: Ask, sent: list[str]) -> None:
        self._again, self._sent = again, sent
        self.without: list[str] = []
        self.left = MOST_MORE

    async def ask(self, without: Iterable[str]) -> Completion:
        self.left -= 1
        return await self._again(frozenset(without))

    async def by_halves(self) -> Blame:
        """Leave everything out, then ever smaller halves, as if one parameter were to blame."""
        answer = await self.ask(self._sent)
        if not answer.is_ok:
            return Blame()
        works, suspects = self._sent, self._sent
        while self.left and (len(suspects) > 1 or suspects != works):
            half = suspects[: (len(suspects) + 1) // 2]
            tried = await self.ask(half)
            if tried.is_ok:
                works, suspects, answer = half, half, tried
            elif tried.outcome is not Outcome.REJECTED or half == suspects:
                break  # the endpoint broke down, or more than one is to blame
            else:
                suspects = suspects[len(half) :]
        return Blame(parameters=tuple(works), is_certain=len(works) == 1, answer=answer)
