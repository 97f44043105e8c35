"""A mistake in the configuration: where it is, what it is, and how all of them are told at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rapidfuzz import fuzz, process

from driftwatch.config.credentials import has_secret_shape, looks_random
from driftwatch.errors import ConfigError

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value sits: keys and list positions from the root, e.g. ``("targets", "support", "suites", 0)``."""

SIMILARITY = 60.0
"""Least rapidfuzz ratio, 0 … 100, at which a word counts as a misspelling of another: one or two letters in five.
A word below it is never repeated in an error, so that a secret pasted in the wrong place stays out of every log."""

LONGEST_KEY = 64
"""Characters of a key that an error repeats; what is longer is hidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a key was written."""

    file: str
    line: int | None = None
    """From 1; None where there are no lines, e.g. for a variable of the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake; the words never repeat a value that may be a secret."""

    path: KeyPath
    problem: str
    instead: str | None = None
    mark: Mark | None = None
    """Where it is written; None means where ``path`` is marked."""


def dotted(path: KeyPath) -> str:
    """Write a path the way people say it; a key that may itself be a secret is hidden.

    >>> dotted(("targets", "support", "suites", 0))
    'targets.support.suites[0]'
    """
    words = ""
    for part in path:
        words += f"[{part}]" if isinstance(part, int) else f".{_shown(part)}"
    return words.removeprefix(".")


def suggest(word: str, known: Collection[str], noun: str) -> str:
    """Say what to write instead of an unknown word.

    >>> suggest("modle", ["model", "suites"], "keys here")
    "did you mean 'model'?"
    >>> suggest("x", ["b", "a"], "keys here")
    'the keys here are a, b'
    """
    near = nearest(word, known)
    if near:
        return f"did you mean {near!r}?"
    return f"the {noun} are {', '.join(sorted(known))}"


def nearest(word: str, known: Collection[str]) -> str | None:
    """Find the known word that ``word`` most likely misspells, None when nothing is near."""
    found = process.extractOne(word, sorted(known), scorer=fuzz.ratio, processor=str.lower, score_cutoff=SIMILARITY)
    return found[0] if found else None


def as_error(problem: Problem, marks: Mapping[KeyPath, Mark]) -> ConfigError:
    """Turn a problem into an error that names file and line; a key without a mark is placed at its section."""
    mark, path = problem.mark, problem.path
    while mark is None and path not in marks and path:
        path = path[:-1]
    mark = mark or marks.get(path)
    return ConfigError(
        problem.problem,
        file=mark.file if mark else None,
        line=mark.line if mark else None,
        key=dotted(problem.path) or None,
        instead=problem.instead,
    )


def as_one(errors: Iterable[ConfigError]) -> ConfigError:
    """Return the only error as it is; several as one error whose text has a line for each, in order of the files."""
    ordered = sorted({str(e): e for e in errors}.values(), key=lambda e: (e.file or "", e.line or 0))
    return ordered[0] if len(ordered) == 1 else ConfigError("\n".join(str(e) for e in ordered))


def _shown(key: str) -> str:
    is_hidden = has_secret_shape(key) or looks_random(key) or len(key) > LONGEST_KEY or not key.isprintable()
    return "…" if is_hidden else key
