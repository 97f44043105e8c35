"""The prompts that are tried: an endless, deterministic list of short questions with no one right first token."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from driftwatch.domain import content_hash

PAIRS = (
    ("heads", "tails"), ("red", "blue"), ("cat", "dog"), ("tea", "coffee"), ("yes", "no"), ("left", "right"),
    ("sun", "moon"), ("north", "south"), ("summer", "winter"), ("odd", "even"), ("true", "false"), ("gold", "silver"),
    ("rose", "tulip"), ("oak", "pine"), ("lion", "tiger"), ("bread", "rice"), ("river", "lake"), ("salt", "pepper"),
    ("king", "queen"), ("east", "west"), ("apple", "pear"), ("piano", "violin"), ("chess", "poker"), ("day", "night"),
    ("black", "white"), ("ship", "train"), ("iron", "copper"), ("wolf", "fox"), ("circle", "square"), ("one", "two"),
    ("Paris", "Rome"), ("Monday", "Friday"), ("big", "large"), ("quick", "fast"), ("begin", "start"), ("sea", "ocean"),
    ("happy", "glad"), ("stone", "rock"), ("road", "street"), ("small", "little"), ("A", "B"), ("x", "y"),
)  # fmt: skip
"""Two words of about the same weight each."""

THINGS = (
    "colour", "animal", "city", "fruit", "tree", "river", "metal", "planet", "flower", "bird", "country", "instrument",
    "month", "language", "gemstone", "vegetable", "profession", "fabric", "spice", "mountain", "dance", "tool", "fish",
    "vehicle", "letter of the alphabet", "shape", "season", "sport", "drink", "element",
)  # fmt: skip

OPENINGS = (
    "The old house was", "She opened the door and", "In the end, it is", "Yesterday the weather was", "My friend is",
    "The best thing about it is", "They walked along the", "Nobody knew that the", "It began with a", "The answer was",
    "On the table lay a", "Every morning he", "The children were", "At night the city", "The music was", "We found a",
)  # fmt: skip

CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxz", "aeiou"


def candidate(index: int, seed: int) -> str:
    """The prompt number ``index`` (0, 1, 2 …); neighbours are of different kinds, so that any beginning is a mixture.

    The kinds: a choice of two words, a free choice, a number, the next word, and short made-up words, whose first
    token nothing in the prompt decides.
    Source: for random short prompts, Chauvin, Lalanne, Le Merrer, Loubes, Taïani & Tredan (2026), Token-Efficient
    Change Detection in LLM APIs, arXiv 2602.11083.

    >>> candidate(0, 1) == candidate(0, 1), candidate(0, 1) == candidate(5, 1)
    (True, False)
    """
    kinds = list(_KINDS.values())
    return kinds[index % len(kinds)](_Draw(seed, index))


class _Draw:
    """Numbers that depend on seed and index alone: the same in every version of every library."""

    def __init__(self, seed: int, index: int) -> None:
        self._key = [seed, index]

    def below(self, n: int, label: str) -> int:
        """A whole number from 0 to n − 1."""
        return int(content_hash([*self._key, label]), 16) % n


def _choice(draw: _Draw) -> str:
    pair = PAIRS[draw.below(len(PAIRS), "pair")]
    first, second = pair if draw.below(2, "order") else pair[::-1]
    ask = ("Reply with one word only: {} or {}?", "Choose one word, {} or {}.", "{} or {}? One word.")
    return ask[draw.below(len(ask), "ask")].format(first, second)


def _free(draw: _Draw) -> str:
    thing = THINGS[draw.below(len(THINGS), "thing")]
    ask = ("Name one {}. One word only.", "Reply with one {} and nothing else.", "Think of a {}. Which one? One word.")
    return ask[draw.below(len(ask), "ask")].format(thing)


def _number(draw: _Draw) -> str:
    low = draw.below(90, "low")
    high = low + 2 + draw.below(60, "width")
    return f"Pick a number from {low} to {high}. Reply with the number only."


def _next_word(draw: _Draw) -> str:
    opening = OPENINGS[draw.below(len(OPENINGS), "opening")]
    word = "".join(_syllable(draw, i) for i in range(2))
    return f"Continue with one word, after {word.title()} said: {opening}"


def _made_up(draw: _Draw) -> str:
    words = ["".join(_syllable(draw, 4 * i + j) for j in range(1 + draw.below(2, f"n{i}"))) for i in range(3)]
    return " ".join(words[: 1 + draw.below(3, "words")])


def _syllable(draw: _Draw, i: int) -> str:
    return CONSONANTS[draw.below(len(CONSONANTS), f"c{i}")] + VOWELS[draw.below(len(VOWELS), f"v{i}")]


_KINDS: Mapping[str, Callable[[_Draw], str]] = {
    "choice": _choice,
    "made up": _made_up,
    "free": _free,
    "number": _number,
    "next word": _next_word,
}
