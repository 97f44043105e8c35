"""Find out by asking which kinds of probes an endpoint allows: a bound of one word, temperature, log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftwatch.domain import Completion, Json, Outcome
from driftwatch.errors import DriftwatchError
from driftwatch.probes.asking import Asker
from driftwatch.score.channels.label import ONE_WORD_TOKENS, label_of
from driftwatch.score.channels.logprob import first_token

QUESTION = "Reply with one word only: heads or tails?"

MOST_REQUESTS = 14
"""What asking takes at most; a budget below it could be used up before the search."""

PATIENCE = 2
"""Failures in a row of a kind that passes (timeouts, 429, 5xx) before the endpoint counts as away."""

FLAT_NATS = 15.0
"""A runner-up this far behind the first token is none: the endpoint tells log-probabilities after its temperature of 0,
which makes one token certain."""

_HOPELESS = (Outcome.AUTH, Outcome.MODEL_GONE, Outcome.CONNECTION, Outcome.NOT_JSON)


class CannotProbe(DriftwatchError):
    """The endpoint does not answer, or nothing on it can be probed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What an endpoint takes."""

    bound: Mapping[str, Json] = field(default_factory=dict)
    """The parameter that bounds a reply to a word; empty when none works."""
    greedy: Mapping[str, Json] | None = None
    """The parameters that make replies repeatable; None when the endpoint takes none."""
    sampling: Mapping[str, Json] = field(default_factory=dict)
    """The parameters under which answers are drawn at random: temperature 1, or the endpoint's own."""
    logprobs: Mapping[str, Json] | None = None
    """The parameters that get log-probabilities; None when it gives none."""
    notes: tuple[str, ...] = ()
    """What the endpoint takes and what it does not, one sentence each, for a person."""

    @property
    def logprobs_when_greedy(self) -> bool:
        """Whether a greedy request brings log-probabilities along."""
        return self.logprobs is not None and self.logprobs.get("temperature") == 0


async def find_abilities(asker: Asker) -> Abilities:
    """Ask until it is known; MOST_REQUESTS at most.

    Raises:
        CannotProbe: the endpoint does not answer at all.
    """
    notes: list[str] = []
    bound, greedy = await _bound_and_greedy(asker, notes)
    if bound is None:
        return Abilities(notes=tuple(notes))
    sampling: dict[str, Json] = {}
    if greedy is not None:
        reply = await _settled(asker, {**bound, "temperature": 1})
        if reply is not None and reply.is_ok:
            sampling = {"temperature": 1}
        else:
            notes.append("temperature 1: not taken; one-word probes are drawn at the endpoint's own temperature")
    logprobs = await _logprobs(asker, bound, greedy, sampling, notes)
    return Abilities(bound=bound, greedy=greedy, sampling=sampling, logprobs=logprobs, notes=tuple(notes))


async def _bound_and_greedy(asker: Asker, notes: list[str]) -> tuple[dict[str, Json] | None, Mapping[str, Json] | None]:
    """Go down from the best request until one is answered with a word."""
    fixed = asker.target.parameters
    names = [name for name in ("max_tokens", "max_completion_tokens") if fixed.get(name, 0) is not None]
    names.sort(key=lambda name: name not in fixed)  # the one that the target uses already goes first
    bounds: list[dict[str, Json]] = [{name: size} for size in (1, ONE_WORD_TOKENS) for name in names]
    greedy: Mapping[str, Json] | None = {"temperature": 0}
    if fixed.get("temperature", 0) is None:
        greedy = None
        notes.append("temperature: the config says never to send it, so border inputs cannot be asked")
    silent, doubted = False, ""
    while bounds:
        reply = await _settled(asker, {**bounds[0], **(greedy or {})})
        if reply is None:
            break
        if reply.is_ok and label_of(reply.text):
            [(name, size)] = bounds[0].items()
            notes.append(f"{name}: {size} is taken")
            if doubted:
                greedy = await _greedy_after_all(asker, bounds[0])
                if greedy is None:
                    notes.append(f"temperature 0: not taken ({doubted}), so border inputs cannot be asked")
            if greedy is not None:
                notes.append("temperature: 0 is taken")
            return bounds[0], greedy
        if reply.is_ok:
            silent = True
            bounds = [bound for bound in bounds if set(bound.values()) != set(bounds[0].values())]
        elif greedy is not None and not _names(reply, *names):
            # Unless the bound is named, the temperature is what newer models reject.
            greedy, doubted = None, _short(reply)
        else:
            bounds = bounds[1:]
    reason = "its replies are empty, as those of a model that thinks first" if silent else "no such bound is taken"
    notes.append(
        f"replies bound to {ONE_WORD_TOKENS} tokens: none; {reason}, so no micro probe fits; "
        "ordinary canaries with room to answer still do"
    )
    return None, greedy


async def _greedy_after_all(asker: Asker, bound: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """The refusal may have been about the bound that was tried then."""
    greedy = {"temperature": 0}
    reply = await _settled(asker, {**bound, **greedy})
    return greedy if reply is not None and reply.is_ok else None


async def _logprobs(
    asker: Asker,
    bound: Mapping[str, Json],
    greedy: Mapping[str, Json] | None,
    sampling: Mapping[str, Json],
    notes: list[str],
) -> Mapping[str, Json] | None:
    """Ask for as many candidates as the wire allows, then for fewer."""
    # OpenAI's wire allows 20; some gateways stop at 5. Source: OpenAI, "Create chat completion", 2026-11.
    for top in (20, 5):
        for at in [sampling] if greedy is None else [greedy, sampling]:
            asked = {**bound, **at, "logprobs": True, "top_logprobs": top}
            reply = await _settled(asker, asked)
            if reply is None or not reply.is_ok:
                break
            listed = sorted(first_token(reply.logprobs).values(), reverse=True)
            if len(listed) < 2:  # noqa: PLR2004 - a gap takes two
                notes.append("logprobs: asked for and not given")
                return None
            if listed[0] - listed[1] < FLAT_NATS:
                notes.append(f"logprobs: the {len(listed)} likeliest first tokens are told")
                return asked
        else:
            notes.append("logprobs: given, but the first token is always certain, so they show nothing")
            return None
    notes.append("logprobs: not taken")
    return None


async def _settled(asker: Asker, parameters: Mapping[str, Json]) -> Completion | None:
    """The reply or the refusal, once it is no passing failure; None when the budget is used up.

    Raises:
        CannotProbe: the endpoint does not answer.
    """
    failures = 0
    while True:
        completion = await asker.one(QUESTION, parameters)
        if completion is None or completion.is_ok or completion.outcome is Outcome.REJECTED:
            return completion
        failures += 1
        if completion.outcome in _HOPELESS or failures >= PATIENCE:
            name = asker.target.name
            raise CannotProbe(f"{name}: {completion.error}; `driftwatch doctor {name}` says what to correct")


def _names(reply: Completion, *words: str) -> bool:
    return any(word in (reply.error or "") for word in words)


def _short(reply: Completion) -> str:
    sentence = reply.error or reply.outcome.value
    return sentence if len(sentence) <= 120 else sentence[:119] + "…"  # noqa: PLR2004 - a line
