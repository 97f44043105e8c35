"""A completion prepared for measuring: every view of it is computed at most once, when first asked for."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from driftwatch.domain import Completion, ToolCall
from driftwatch.score.embedder import Embedder
from driftwatch.score.form import Form, form_of
from driftwatch.score.profile import Profile, ProfileStack, distance_matrix, distances, profile, stack

OPENING = 64
"""Tokens of a reply that are compared one by one. Hosted endpoints fork by themselves, but late: Qwen3-235B first
diverged after about 102 tokens in 1,000 greedy runs. Source: docs/detection.md, "Why prefix agreement"."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
"""Thai, Lao, Myanmar, Khmer, kana, Han, Hangul: a whole sentence would otherwise be one token."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """One OK completion and the views of it that channels measure. Not slotted: the views are cached on it."""

    completion: Completion
    embedding: NDArray[np.float32] | None = None
    """(dim,) of length 1, None where no embedder is in use."""

    @cached_property
    def body(self) -> str:
        """The reply's words in Unicode NFC; a lone surrogate, which no encoder takes, becomes ``?``."""
        return unicodedata.normalize("NFC", self.completion.text.encode("utf-8", "replace").decode())

    @cached_property
    def text(self) -> str:
        """The words followed by one line per tool call: what a caller of the endpoint gets to act on."""
        calls = "\n".join(render_tool_call(call) for call in self.completion.tool_calls)
        return "\n".join(part for part in (self.body, calls) if part)

    @cached_property
    def opening(self) -> tuple[str, ...]:
        """The first 64 tokens: words, punctuation marks, single characters of scripts written without spaces."""
        return tuple(match.group() for match in islice(_TOKEN.finditer(self.text), OPENING))

    @cached_property
    def n_words(self) -> int:
        """Words as a reader counts them: what white space separates, and characters of unspaced scripts."""
        return sum(1 for _ in _WORD.finditer(self.text))

    @cached_property
    def profile(self) -> Profile:
        """The 3-gram profile of ``text``."""
        return profile(self.text)

    @cached_property
    def form(self) -> Form:
        """Length, structure, script and refusal."""
        return form_of(self.body, self.text)


class Anchors:
    """The anchors of one canary, with what is measured between them computed once.

    Args:
        readings: the anchors, any number.
        matrix: (n, n) wording distances between them, where the caller has them already.
    """

    def __init__(self, readings: Sequence[Reading], *, matrix: NDArray[np.float64] | None = None) -> None:
        self._readings = tuple(readings)
        self._matrix = matrix

    def __len__(self) -> int:
        return len(self._readings)

    def __iter__(self) -> Iterator[Reading]:
        return iter(self._readings)

    def wording_distances(self, reading: Reading) -> list[float]:
        """The wording distance of a reading to each anchor, (n,) in [0, 1]."""
        return distances(reading.profile, self._stack).tolist() if self._readings else []

    @cached_property
    def wording_matrix(self) -> NDArray[np.float64]:
        """(n, n) wording distances between the anchors, n ≥ 1."""
        return distance_matrix([r.profile for r in self._readings]) if self._matrix is None else self._matrix

    @cached_property
    def wording_to_others(self) -> tuple[float, ...]:
        """Each anchor's mean wording distance to the others, (n,) in [0, 1]; empty with fewer than two anchors."""
        n = len(self._readings)
        return tuple(math.fsum(row) / (n - 1) for row in self.wording_matrix.tolist()) if n > 1 else ()

    @cached_property
    def embeddings(self) -> NDArray[np.float32] | None:
        """(n, dim) rows of length 1; None without anchors or where one has no embedding."""
        rows = [r.embedding for r in self._readings]
        known = [row for row in rows if row is not None]
        return np.stack(known) if known and len(known) == len(rows) else None

    def left_out(self) -> list[tuple[Reading, Anchors]]:
        """Each anchor with the others: n pairs, none with fewer than two anchors.

        Computed for all channels at once and not kept: the pairs take n times the memory of the anchors.
        """
        n = len(self._readings)
        pairs = []
        for i in range(n if n > 1 else 0):
            rest = [j for j in range(n) if j != i]
            others = Anchors([self._readings[j] for j in rest], matrix=self.wording_matrix[np.ix_(rest, rest)])
            pairs.append((self._readings[i], others))
        return pairs

    @cached_property
    def _stack(self) -> ProfileStack:
        return stack([r.profile for r in self._readings])


def read(completions: Sequence[Completion], embedder: Embedder | None = None) -> tuple[Reading, ...]:
    """Prepare the OK completions; failures are left out. All texts are embedded in one call."""
    readings = tuple(Reading(completion=c) for c in completions if c.is_ok)
    if embedder is None or not readings:
        return readings
    rows = embedder.embed([r.text for r in readings])
    return tuple(Reading(completion=r.completion, embedding=row) for r, row in zip(readings, rows, strict=True))


def render_tool_call(call: ToolCall) -> str:
    """One line for a tool call; key order and spacing of its arguments do not matter, its id is left out.

    >>> render_tool_call(ToolCall(name="find", arguments='{ "b": 1, "a": 2 }'))
    'find({"a":2,"b":1})'
    """
    try:
        arguments = json.dumps(json.loads(call.arguments), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):  # served as it was served, valid or not
        arguments = call.arguments
    line = f"{call.name}({arguments})"
    return unicodedata.normalize("NFC", line.encode("utf-8", "replace").decode())
