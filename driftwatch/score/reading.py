"""A completion prepared for measuring: every view of it is computed at most once, when first asked for."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from driftwatch.domain import Completion, ToolCall
from driftwatch.score.embedder import Embedder
from driftwatch.score.form import Form, form_of
from driftwatch.score.profile import Profile, ProfileStack, distance_matrix, distances, profile, stack, word_profile

View: TypeAlias = Literal["wording", "words", "meaning"]
"""A way to lay two replies side by side: by character 3-grams, by words, by embeddings."""

OPENING = 64
"""Tokens of a reply that are compared one by one. Of GPT-4's greedy answers against its answers at T = .3, 64 tokens
found more than 32 and 128 found no more; pieces of words and characters did no better. Source: docs/detection.md.
Hosted endpoints fork by themselves, some late (Qwen3-235B after about 102 tokens), some early (GPT-4o: 58 % of its
repeats before token 64), which calibration learns."""

_MEANING_DECIMALS = 5
"""The batch a text is embedded in moves its vector by up to 1e-7 per coordinate, hence a distance over 384 of them
by up to 2e-6 (measured); rounding above that keeps equal texts at 0 and ties in the series ties."""

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
    def tokens(self) -> list[str]:
        """Words, punctuation marks, single characters of scripts written without spaces."""
        return _TOKEN.findall(self.text)

    @cached_property
    def opening(self) -> tuple[str, ...]:
        """The first 64 tokens."""
        return tuple(self.tokens[:OPENING])

    @cached_property
    def n_words(self) -> int:
        """Words as a reader counts them: what white space separates, and characters of unspaced scripts."""
        return sum(1 for _ in _WORD.finditer(self.text))

    @cached_property
    def profile(self) -> Profile:
        """The 3-gram profile of ``text``."""
        return profile(self.text)

    @cached_property
    def word_profile(self) -> Profile:
        """The profile of ``tokens``."""
        return word_profile(self.tokens)

    @cached_property
    def seen(self) -> WeakKeyDictionary[Anchors, dict[View, list[float]]]:
        """Distances to anchors that more than one channel asks for; forgotten with either of the two."""
        return WeakKeyDictionary()

    @cached_property
    def form(self) -> Form:
        """Length, structure, script and refusal."""
        return form_of(self.body, self.text)


class Anchors:
    """The anchors of one canary, with what is measured between them computed once.

    Args:
        readings: the anchors, any number.
        matrices: view → (n, n) distances between them, where the caller has them already.
        typical: view → the variance usual among the target's canaries; empty where only this canary is known.
    """

    def __init__(
        self,
        readings: Sequence[Reading],
        *,
        matrices: Mapping[View, NDArray[np.float64]] | None = None,
        typical: Mapping[View, float] | None = None,
    ) -> None:
        self._readings = tuple(readings)
        self._matrices = dict(matrices or {})
        self._to_others: dict[View, tuple[float, ...]] = {}
        self.typical: Mapping[View, float] = typical or {}

    def __len__(self) -> int:
        return len(self._readings)

    def __iter__(self) -> Iterator[Reading]:
        return iter(self._readings)

    def among(self, typical: Mapping[View, float]) -> Anchors:
        """The same anchors, with what is usual among the target's canaries beside them."""
        return Anchors(self._readings, matrices=self._matrices, typical=typical)

    def has(self, view: View) -> bool:
        """Whether the view is there: ``meaning`` needs an embedding of every anchor."""
        return len(self) > 0 and (view != "meaning" or self.embeddings is not None)

    def distances(self, view: View, reading: Reading) -> list[float]:
        """The distance of a reading to each anchor, (n,) in [0, 1]; empty where the view is not there."""
        known = reading.seen.setdefault(self, {})
        if view not in known:
            known[view] = self._measure(view, reading) if self.has(view) else []
        return known[view]

    def matrix(self, view: View) -> NDArray[np.float64]:
        """(n, n) distances between the anchors; the view must be there."""
        if view not in self._matrices:
            if view == "meaning":
                rows = [self._measure(view, reading) for reading in self._readings]
                self._matrices[view] = np.array(rows)
            else:
                self._matrices[view] = distance_matrix([_profile(view, r) for r in self._readings])
        return self._matrices[view]

    def to_others(self, view: View) -> tuple[float, ...]:
        """Each anchor's mean distance to the others, (n,) in [0, 1]; empty with fewer than two or without the view."""
        n = len(self._readings)
        if n < 2 or not self.has(view):  # noqa: PLR2004 - another takes two
            return ()
        if view not in self._to_others:
            self._to_others[view] = tuple(math.fsum(row) / (n - 1) for row in self.matrix(view).tolist())
        return self._to_others[view]

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
            matrices = {view: matrix[np.ix_(rest, rest)] for view, matrix in self._matrices.items()}
            others = Anchors([self._readings[j] for j in rest], matrices=matrices, typical=self.typical)
            pairs.append((self._readings[i], others))
        return pairs

    def _measure(self, view: View, reading: Reading) -> list[float]:
        if view != "meaning":
            to_profiles: list[float] = distances(_profile(view, reading), self._stacks(view)).tolist()
            return to_profiles
        if self.embeddings is None or reading.embedding is None:
            return []
        # from the difference, not from the product: √(2 − 2·cos) turns a rounding error of 1e-7 into 4e-4
        apart = np.linalg.norm(self.embeddings - reading.embedding, axis=1).astype(np.float64) / 2
        to_rows: list[float] = np.round(apart, _MEANING_DECIMALS).tolist()
        return to_rows

    def _stacks(self, view: View) -> ProfileStack:
        return self._wording_stack if view == "wording" else self._words_stack

    @cached_property
    def _wording_stack(self) -> ProfileStack:
        return stack([r.profile for r in self._readings])

    @cached_property
    def _words_stack(self) -> ProfileStack:
        return stack([r.word_profile for r in self._readings])


def _profile(view: View, reading: Reading) -> Profile:
    return reading.profile if view == "wording" else reading.word_profile


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
