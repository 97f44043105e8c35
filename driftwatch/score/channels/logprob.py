"""logprob: how far the first token's log-probabilities have shifted. Sees the smallest changes of weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from driftwatch.domain import Canary, Kind
from driftwatch.score.channel import Channel, always, mean
from driftwatch.score.reading import Anchors, Reading

LEAST_LOGPROB = -25.0
"""Smaller log-probabilities count as this one, in nats. Endpoints write -9999.0 or worse for "very unlikely", which
would drown every other token; a probability of 1e-11 is no part of any answer.
Source: OpenAI, "Create chat completion", logprobs.content.logprob, 2026-11."""

_DECIMALS = 9
"""Of a shift in nats: above the rounding of a mean of equal numbers, so that equal replies are exactly 0 apart, and
far below what any endpoint tells."""


def measure_logprob(readings: Sequence[Reading], anchors: Anchors, canary: Canary) -> float:
    """1 − exp(−Δ), Δ the mean absolute difference in nats of the first token's mean log-probabilities.

    Means are over the run's repeats and over the anchors, the outer mean is over every token that either side lists.
    A reply that does not list a token lists k likelier ones, so the smallest of those bounds it from above and stands
    in for it: a token that enters the list moves the value by what it rose, not by an invented constant. The scale
    keeps differences near 0 (.1 nats is .10) and fits any shift into [0, 1].

    Only the first token counts: what follows depends on it. Replies without log-probabilities are passed over; NaN when
    none of the run's or none of the anchors' has any. Fewer replies would raise it by chance, as they would ``label``:
    where m of r repeats came, Δ counts times m/r.

    Source: Chauvin, Le Merrer, Taïani & Tredan (2025), Log Probability Tracking of LLM APIs, arXiv 2512.03816: the mean
    absolute difference of the average log-probability of each token, one token of output.
    """
    mine, theirs = _first_tokens(readings), _first_tokens(anchors)
    if not mine or not theirs:
        return math.nan
    tokens = sorted({token for listed in (*mine, *theirs) for token in listed})
    shift = mean(abs(_average(mine, token) - _average(theirs, token)) for token in tokens)
    came = min(1.0, len(readings) / (canary.repeats or 1))
    return -math.expm1(-round(came * shift, _DECIMALS)) + 0.0  # never -0.0


def first_token(logprobs: object) -> dict[str, float]:
    """Token → log-probability in nats of the first token's candidates, from a completion's ``logprobs``.

    Empty where there are none. Values that are no finite numbers, as stored NaNs are, are left out.
    """
    if not isinstance(logprobs, list) or not logprobs or not isinstance(logprobs[0], dict):
        return {}
    first = logprobs[0]
    # The sampled token only where nothing else is told: at a temperature it would come and go with the dice.
    pairs = first.get("top") or [[first.get("token"), first.get("logprob")]]
    listed: dict[str, float] = {}
    for token, logprob in pairs:
        if isinstance(token, str) and isinstance(logprob, int | float) and not math.isnan(logprob):
            # Two tokens of one text (bytes shown as �) cannot be told apart: the likelier one stands.
            listed[token] = max(min(logprob, 0.0), LEAST_LOGPROB, listed.get(token, LEAST_LOGPROB))
    return listed


def _first_tokens(readings: Iterable[Reading]) -> list[dict[str, float]]:
    listed = (first_token(reading.completion.logprobs) for reading in readings)
    return [those for those in listed if those]


def _average(replies: Sequence[Mapping[str, float]], token: str) -> float:
    return mean(those.get(token, min(those.values())) for those in replies)


LOGPROB = Channel(
    name="logprob",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="noise",
    applies=always,
    measure=measure_logprob,
)
