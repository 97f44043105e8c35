"""What the lab asks: text canaries, one-word questions, and candidates for border inputs."""

from __future__ import annotations

TEXTS = (
    "Write one sentence about the sea.",
    "List three fruits.",
    "Explain in two sentences why the sky is blue.",
    "Translate 'good morning' into French.",
    "What is the capital of France?",
    "Describe a rainy afternoon in a small town.",
    "Give two reasons to learn a second language.",
    "Write a short greeting for a new colleague.",
    "How do I boil an egg?",
    "Summarise the story of Cinderella in two sentences.",
    "Name a planet and say one thing about it.",
    "Write a haiku about autumn.",
    "What should I pack for a day in the mountains?",
    "Explain what a database index is.",
    "Answer with JSON holding a name and an age for a made-up person.",
    "Is it safe to drink sea water?",
    "Write the first line of a mystery novel.",
    "What is 17 plus 26?",
    "Recommend a hobby for a quiet evening and say why.",
    "Rewrite politely: send me the report now.",
)
"""Canaries in the manner of the shipped suites: prose, lists, facts, arithmetic, structure, tone, safety."""

_THINGS = (
    "colour", "fruit", "animal", "city", "country", "river", "sport", "tree", "bird", "month",
    "metal", "drink", "season", "job", "tool", "flower", "vegetable", "planet", "game", "feeling",
)  # fmt: skip

ONE_WORD = tuple(f"Name a {thing}. Answer with one word." for thing in _THINGS)
"""Asked for one token at T = 1."""

BARE = "x"
"""The prompt of logprob tracking. Source: Chauvin et al., arXiv 2512.03816 (one letter, one token)."""

CANDIDATES = (
    *(f"{first} {second}" for first in ("A", "The", "My", "One", "No") for second in _THINGS),
    *(f"Say {thing} or not." for thing in _THINGS),
)
"""Short inputs among which the nearly tied ones are looked for; 120."""
