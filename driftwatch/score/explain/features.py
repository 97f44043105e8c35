"""What can be asked of one reply: the features whose shares and sizes are compared before and after."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeAlias

from driftwatch.canaries.checks import evaluate
from driftwatch.canaries.language import language_of
from driftwatch.domain import Canary
from driftwatch.score.channel import mean
from driftwatch.score.reading import Reading
from driftwatch.score.scripts import NO_LETTERS

SCRIPT_SHARE = 0.05
"""A reply is in a script when a twentieth of its letters are: a π or a quoted name is no script."""
LEAST_LETTERS = 40
"""Below this the language of a reply is a guess; see ``language_of``."""
NAME_LENGTH = 80
_LEAST_SENTENCES = 2
"""White-space separated words from which a reply is prose that has an end: labels and numbers have no full stop."""
_ENDED = re.compile(r"""[.!?…。！？:;)\]}>`*_"'”’»|~]\s*$|\n\s*[-*]{3,}\s*$""")
_CUT_REASONS = frozenset({"length", "max_tokens", "MAX_TOKENS", "max_output_tokens"})
"""Source: OpenAI chat completions ``length`` and responses ``max_output_tokens``, Anthropic ``max_tokens``, Gemini
``MAX_TOKENS``; API references, 2025."""
_MARKDOWN = re.compile(r"^\s*(?:```.*|~~~.*|#{1,6}\s+|[-*+•]\s+|\d{1,3}[.)]\s+|>\s?)|[*_`]{1,3}", re.MULTILINE)

Category: TypeAlias = Callable[[Reading], frozenset[str]]
"""A reading → the categories it is in; empty when unknown."""


def is_refusal(reading: Reading) -> float:
    """Whether the reply declines."""
    return float(reading.form.is_refusal)


def is_json(reading: Reading) -> float:
    """Whether the whole reply is a JSON object or array."""
    return float(reading.form.is_json)


def has_fence(reading: Reading) -> float:
    """Whether there is a fenced block."""
    return float(reading.form.has_fence)


def has_list(reading: Reading) -> float:
    """Whether there is a list."""
    return float(reading.form.has_list)


def has_heading(reading: Reading) -> float:
    """Whether there is a heading."""
    return float(reading.form.has_heading)


def has_tool_call(reading: Reading) -> float:
    """Whether a tool was called."""
    return float(bool(reading.completion.tool_calls))


def is_cut_off(reading: Reading) -> float:
    """Whether the provider says that the reply ran into its length limit; NaN when it says nothing."""
    reason = reading.completion.finish_reason
    return math.nan if reason is None else float(reason in _CUT_REASONS)


def stops_midway(reading: Reading) -> float:
    """Whether prose ends without anything that ends a sentence, a bracket or a block; NaN for a word or two."""
    if reading.n_words <= _LEAST_SENTENCES:
        return math.nan
    return float(_ENDED.search(reading.body[-200:]) is None)


def n_words(reading: Reading) -> float:
    """Words."""
    return float(reading.n_words)


def output_tokens(reading: Reading) -> float:
    """Tokens of the reply as billed; NaN when the provider does not say."""
    n = reading.completion.output_tokens
    return math.nan if n is None else float(n)


def latency_s(reading: Reading) -> float:
    """Seconds until the reply was there."""
    return reading.completion.latency_s


def failing(canary: Canary) -> Callable[[Reading], float]:
    """Share of the canary's own checks that a reply fails, 0 … 1."""
    return lambda reading: mean(float(not evaluate(check, reading.completion)) for check in canary.checks)


def scripts(reading: Reading) -> frozenset[str]:
    """The scripts a reply is written in."""
    shares = reading.form.scripts
    return frozenset(name for name, share in shares.items() if share >= SCRIPT_SHARE and name != NO_LETTERS)


def language(reading: Reading) -> frozenset[str]:
    """The language a reply is written in, where it is long enough to tell."""
    if sum(character.isalpha() for character in reading.body) < LEAST_LETTERS:
        return frozenset()
    found = language_of(reading.body)
    return frozenset() if found is None else frozenset({found})


def finish_reason(reading: Reading) -> frozenset[str]:
    """Why the reply ended, as served."""
    reason = reading.completion.finish_reason
    return frozenset() if reason is None else frozenset({" ".join(reason.split())[:NAME_LENGTH]})


def without_markdown(reading: Reading) -> str:
    """The reply's words without fences, headings, list marks, quotes and emphasis, white space folded."""
    return " ".join(_MARKDOWN.sub(" ", reading.text).split())
