"""What each channel looks at, in the words that messages and reports use."""

from __future__ import annotations

MEANINGS = {
    "prefix": "where replies part from the accepted ones",
    "label": "which one-word answers are given, and how often",
    "surprise": "how unlikely the one-word answers were before",
    "logprob": "how likely the model finds its first words",
    "wording": "choice of words",
    "meaning": "what is said, whatever the words",
    "shape": "length, structure, language, refusals",
    "checks": "your own checks that fail",
    "tools": "which tools are called, with what arguments",
    "spread": "how far repeated replies differ among themselves",
    "novelty": "replies unlike every accepted one",
    "latency": "time to answer",
    "ttft": "time to the first token",
    "tokens": "length in tokens",
}
"""Channel → what it looks at. A channel that is not listed is shown by its name alone."""

HALF_IS_USUAL = frozenset({"latency", "ttft", "tokens"})
"""Channels on a logarithmic scale around ½, which is as in the accepted replies."""


def meaning(channel: str) -> str:
    """A channel in words, with its scale where that is not a distance; empty for one nobody has described.

    >>> meaning("latency")
    'time to answer; 0.5 is as accepted'
    """
    told = MEANINGS.get(channel, "")
    return f"{told}; 0.5 is as accepted" if channel in HALF_IS_USUAL else told
