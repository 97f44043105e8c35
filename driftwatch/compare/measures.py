"""What is compared between two sides: replies become features and distances that the permutation test takes."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]  # scipy has no types of its own

from driftwatch.canaries.checks import evaluate
from driftwatch.compare.comparison import Unit
from driftwatch.detect.permutation import Energy, Floats, Layout, Shift
from driftwatch.domain import Canary
from driftwatch.score.profile import distance_matrix
from driftwatch.score.reading import OPENING, Reading
from driftwatch.score.scripts import NO_LETTERS

DIRECTIONS = 128
"""The directions kept, those in which replies to the same canary differ most: enough for any change that 128 replies
could show, and few enough to permute at once."""
_PROBES = DIRECTIONS + 16
"""Random vectors that the directions are found with, and _PASSES over the data that sharpen them. Source: Halko,
Martinsson & Tropp (2011), SIAM Review 53, 217–288, algorithm 4.4."""
_PASSES = 1
_FLAT = 1e-10
"""A direction with less than this of the largest one's variance is rounding; so is all when that is less than this."""
_DENSE = 4_000_000
"""Numbers up to which a plain matrix (32 MB) is multiplied faster than a sparse one."""
_FIRST = 3
"""Tokens of a reply's opening that are compared as words: ``Sure , here``, ``The answer is``."""
_SEED = 20_240_229
"""Of the random vectors. Fixed: two comparisons of the same files must agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One number of a reply that every reader could count."""

    name: str
    unit: Unit
    """``ratio`` for a logarithm, ``points`` for a share."""
    of: Callable[[Reading, Canary], float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """The two sides' replies, in the layout's order, with all that is compared between them."""

    layout: Layout
    quantities: tuple[tuple[Quantity, Floats], ...]
    """Each with its (N,) values."""
    directions: tuple[tuple[str, Floats], ...]
    """Name and (N, d) rows, centred within each canary."""
    distances: tuple[tuple[str, tuple[Floats, ...]], ...]
    """Name and one (n, n) matrix in [0, 2] per canary; none where no canary has repeats."""

    def statistics(self) -> list[Shift | Energy]:
        """What the permutation test is asked."""
        found: list[Shift | Energy] = [Shift(name=q.name, rows=values[:, None]) for q, values in self.quantities]
        found += [Shift(name=name, rows=rows) for name, rows in self.directions]
        for name, matrices in self.distances:
            found.append(Energy(name=name, distances=matrices, spread=SPREAD if name == WORDING else None))
        return found


PHRASES, OPENINGS, MEANINGS = "phrases", "openings", "topics"
"""Moves that many canaries share."""
WORDING, MEANING, TEXT, FIRST_TOKEN, PREFIX, SIZE = "wording", "meaning", "exact text", "first token", "prefix", "size"
"""Differences within canaries, whatever their direction."""
SPREAD = "spread"


def measure(pairs: Sequence[tuple[Canary, Sequence[Reading], Sequence[Reading]]]) -> Measured:
    """Measure every canary's replies.

    Args:
        pairs: canary, left readings, right readings; both have one reading at least.
    """
    layout = Layout(
        n_left=np.array([len(left) for _, left, _ in pairs]),
        n_right=np.array([len(right) for _, _, right in pairs]),
    )
    groups = [(canary, (*left, *right)) for canary, left, right in pairs]
    everything = [(canary, reading) for canary, readings in groups for reading in readings]
    readings = [reading for _, reading in everything]
    asked = [q for q in QUANTITIES if q.name != CHECKS or any(canary.checks for canary, _ in groups)]
    values = np.array([[quantity.of(reading, canary) for quantity in asked] for canary, reading in everything])
    quantities = tuple(zip(asked, values.T, strict=True))
    directions = [
        (PHRASES, _principal(layout, _phrases(readings))),
        (OPENINGS, _principal(layout, _openings(readings))),
    ]
    embeddings = [reading.embedding for reading in readings]
    known = [row for row in embeddings if row is not None]
    has_embeddings = len(known) == len(readings)
    if has_embeddings:
        directions.append((MEANINGS, _principal(layout, np.stack(known).astype(np.float64))))
    distances: list[tuple[str, tuple[Floats, ...]]] = []
    if bool((layout.sizes > 2).any()):  # noqa: PLR2004 - one completion a side has no other labelling to tell
        for name, between in _DISTANCES:
            if name != MEANING or has_embeddings:
                distances.append((name, tuple(between(those) for _, those in groups)))
    return Measured(layout=layout, quantities=quantities, directions=tuple(directions), distances=tuple(distances))


# ---------------------------------------------------------------- quantities


def _share(reading: Reading, kind: str) -> float:
    return _kinds(reading.text)[kind] / len(reading.text) if reading.text else 0.0


@lru_cache(maxsize=1)
def _kinds(text: str) -> Mapping[str, int]:
    """How many characters of each kind; asked of one reply several times in a row."""
    counts = dict.fromkeys(("digit", "capital", "mark", "space"), 0)
    for character, n in Counter(text).items():
        counts["digit"] += n * character.isdigit()
        counts["capital"] += n * character.isupper()
        counts["space"] += n * character.isspace()
        counts["mark"] += n * (not character.isalnum() and not character.isspace())
    return counts


def _mean_length(words: Sequence[str]) -> float:
    """In characters; of a script without spaces it is the length of a clause."""
    return sum(map(len, words)) / len(words) if words else 0.0


def _foreign(reading: Reading) -> float:
    """The share of letters outside the Latin script; 0 without letters."""
    shares = reading.form.scripts
    return 0.0 if NO_LETTERS in shares else 1.0 - shares.get("Latin", 0.0)


def _failing(reading: Reading, canary: Canary) -> float:
    if not canary.checks:
        return 0.0
    return sum(not evaluate(check, reading.completion) for check in canary.checks) / len(canary.checks)


CHECKS = "failing checks"
QUANTITIES: tuple[Quantity, ...] = (
    Quantity(name="length", unit="ratio", of=lambda r, _: math.log1p(len(r.text))),
    Quantity(name="paragraphs", unit="ratio", of=lambda r, _: math.log1p(r.form.n_paragraphs)),
    Quantity(name="word length", unit="ratio", of=lambda r, _: math.log1p(_mean_length(r.text.split()))),
    Quantity(name="refusals", unit="points", of=lambda r, _: float(r.form.is_refusal)),
    Quantity(name="JSON", unit="points", of=lambda r, _: float(r.form.is_json)),
    Quantity(name="code fences", unit="points", of=lambda r, _: float(r.form.has_fence)),
    Quantity(name="lists", unit="points", of=lambda r, _: float(r.form.has_list)),
    Quantity(name="headings", unit="points", of=lambda r, _: float(r.form.has_heading)),
    Quantity(name="tool calls", unit="points", of=lambda r, _: float(bool(r.completion.tool_calls))),
    Quantity(name="cut off", unit="points", of=lambda r, _: float(r.completion.finish_reason == "length")),
    Quantity(name="digits", unit="points", of=lambda r, _: _share(r, "digit")),
    Quantity(name="capitals", unit="points", of=lambda r, _: _share(r, "capital")),
    Quantity(name="punctuation", unit="points", of=lambda r, _: _share(r, "mark")),
    Quantity(name="white space", unit="points", of=lambda r, _: _share(r, "space")),
    Quantity(name="other scripts", unit="points", of=lambda r, _: _foreign(r)),
    Quantity(name=CHECKS, unit="points", of=_failing),
)


# ---------------------------------------------------------------- directions


def _phrases(readings: Sequence[Reading]) -> csr_array | Floats:
    """(N, d) which 3-grams a reply has, however often, as a vector of length 1.

    Presence, because one list of numbers must not outweigh every phrase; measured on recorded pairs against counts,
    their square roots, and each of them standardised.
    """
    used = [reading.profile.buckets for reading in readings]
    values = np.repeat([1.0 / math.sqrt(one.size) for one in used], [one.size for one in used])
    return _rows(used, values)


def _openings(readings: Sequence[Reading]) -> csr_array | Floats:
    """(N, d) which tokens a reply begins with, each place on its own."""
    used = [np.array([_opening_column(reading, place) for place in range(_FIRST)]) for reading in readings]
    return _rows(used, np.ones(_FIRST * len(used)))


def _opening_column(reading: Reading, place: int) -> int:
    token = reading.opening[place] if place < len(reading.opening) else ""
    return zlib.crc32(f"{place} {token}".encode())


def _rows(used: Sequence[NDArray[np.intp]], values: Floats) -> csr_array | Floats:
    """One row per reply, one column per number in use, in ascending order whatever the order of the replies."""
    columns, inverse = np.unique(np.concatenate(used), return_inverse=True)
    ends = np.cumsum([0, *(one.size for one in used)])
    rows = csr_array((values, inverse, ends), shape=(len(used), len(columns)))
    return np.asarray(rows.toarray(), np.float64) if len(used) * len(columns) <= _DENSE else rows


def _principal(layout: Layout, rows: csr_array | Floats) -> Floats:
    """(N, ≤ DIRECTIONS) the centred rows, in the directions of most variance.

    Each canary's own mean is taken out: topics differ between canaries by design. What is left is the same set
    however the sides' labels lie, so directions chosen by it keep the permutation test exact.
    """
    rank = min(rows.shape[0] - len(layout.sizes), rows.shape[1])
    found = _centred(layout, np.asarray(rows @ _probes(rows.shape[1])[:, : min(_PROBES, rank)]))
    for _ in range(_PASSES):
        # the columns stay apart only when they are made orthogonal between passes
        found = _centred(layout, np.asarray(rows @ (rows.T @ _basis(layout, found))))
    across = np.asarray(rows.T @ _basis(layout, found))
    squares, turns = np.linalg.eigh(across.T @ across)
    kept = np.flatnonzero(squares > _FLAT * max(squares[-1], _FLAT))[::-1][:DIRECTIONS]
    if not kept.size:
        return np.zeros((rows.shape[0], 1))
    return _centred(layout, np.asarray(rows @ (across @ (turns[:, kept] / np.sqrt(squares[kept])))))


def _basis(layout: Layout, rows: Floats) -> Floats:
    """Orthogonal columns; where the rows have no more directions, what is made up for them is centred too."""
    return _centred(layout, np.asarray(np.linalg.qr(rows)[0], np.float64))


@lru_cache(maxsize=4)
def _probes(n_columns: int) -> Floats:
    """(n_columns, _PROBES) random vectors."""
    return np.asarray(np.random.default_rng(_SEED).standard_normal((n_columns, _PROBES)), np.float64)


def _centred(layout: Layout, rows: Floats) -> Floats:
    means = np.add.reduceat(rows, layout.starts, axis=0) / layout.sizes[:, None]
    return np.asarray(rows - np.repeat(means, layout.sizes, axis=0), np.float64)


# ---------------------------------------------------------------- distances


def _wording(readings: Sequence[Reading]) -> Floats:
    """√(2·d) of the profiles' cosine distance d: Euclidean, so that the energy sees more than means."""
    distances = distance_matrix([r.profile for r in readings])
    return np.asarray(np.sqrt(distances + distances.T), np.float64)


def _meaning(readings: Sequence[Reading]) -> Floats:
    rows = np.stack([r.embedding for r in readings if r.embedding is not None]).astype(np.float64)
    squares = np.clip(2.0 - 2.0 * (rows @ rows.T), 0.0, None)
    np.fill_diagonal(squares, 0.0)
    return np.asarray(np.sqrt((squares + squares.T) / 2), np.float64)


def _differ(codes: Sequence[object]) -> Floats:
    index: dict[object, int] = {}
    numbers = np.array([index.setdefault(code, len(index)) for code in codes])
    return np.asarray(numbers[:, None] != numbers[None, :], np.float64)


def _prefix(readings: Sequence[Reading]) -> Floats:
    """One less the tokens that two replies share from the beginning, as a share of the longer opening."""
    index: dict[str, int] = {"": 0}
    tokens = np.full((len(readings), OPENING), -1, np.intp)
    for row, reading in zip(tokens, readings, strict=True):
        row[: len(reading.opening)] = [index.setdefault(token, len(index)) for token in reading.opening]
    longest = np.maximum.outer((tokens >= 0).sum(axis=1), (tokens >= 0).sum(axis=1))
    shared = np.empty(longest.shape)
    for i, row in enumerate(tokens):
        same = row == tokens
        shared[i] = np.where(same.all(axis=1), OPENING, same.argmin(axis=1))
    return np.where(longest > 0, 1.0 - np.minimum(shared, longest) / np.maximum(longest, 1), 0.0)


def _size(readings: Sequence[Reading]) -> Floats:
    sizes = np.log1p(np.array([len(r.text) for r in readings], np.float64))
    return np.asarray(np.abs(sizes[:, None] - sizes[None, :]), np.float64)


_DISTANCES: tuple[tuple[str, Callable[[Sequence[Reading]], Floats]], ...] = (
    (TEXT, lambda readings: _differ([r.text for r in readings])),
    (FIRST_TOKEN, lambda readings: _differ([r.opening[:1] for r in readings])),
    (PREFIX, _prefix),
    (WORDING, _wording),
    (MEANING, _meaning),
    (SIZE, _size),
)
