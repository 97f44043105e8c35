"""Profiles of character 3-grams and of words: how alike two texts are worded, fast and without a vocabulary."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_BUCKETS = 2**14
"""Hash buckets. A reply of 1,000 characters has about 600 distinct 3-grams, so about 4 % of them share a bucket."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2⁶⁴ divided by the golden ratio, odd. Source: Knuth, TAOCP vol. 3, section 6.4, multiplicative hashing."""
_SHIFT = np.uint64(64 - 14)
"""Keeps the 14 highest bits of a product, the well-mixed ones."""
_DECIMALS = 9
"""Distances are rounded here, so that equal texts are exactly 0 apart and ties in the series stay ties."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """The square roots of a text's 3-gram or word counts, scaled to length 1 and kept sparse.

    A dense row of ``N_BUCKETS`` would cost 64 KB per anchor; the buckets in use cost 1 to 10.
    """

    buckets: NDArray[np.intp]
    """(k,) buckets in use, ascending."""
    values: NDArray[np.float64]
    """(k,) above 0, squares sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProfileStack:
    """Several profiles end to end, so that one pass measures a text against all of them."""

    buckets: NDArray[np.intp]
    values: NDArray[np.float64]
    starts: NDArray[np.intp]
    """(n,) where each profile begins in the two arrays above."""


def profile(text: str) -> Profile:
    """Profile a text that has no lone surrogates.

    Texts shorter than three characters are padded with NUL, so that ``A`` and ``B`` differ and ``""`` has a profile.

    >>> profile("abcabc").buckets.size
    3
    """
    points = np.frombuffer(text.ljust(3, "\0").encode("utf-32-le"), np.uint32).astype(np.uint64)
    # a code point has 21 bits, so three fit one key without collision
    keys = (points[:-2] << np.uint64(42)) | (points[1:-1] << np.uint64(21)) | points[2:]
    return _count(((keys * _GOLDEN) >> _SHIFT).astype(np.intp))


def word_profile(words: Iterable[str]) -> Profile:
    """Profile words that have no lone surrogates, without case; no words at all count as one empty word.

    >>> word_profile(["It", "is", "it"]).buckets.size
    2
    """
    # CRC-32 and not hash(), which differs from process to process; its highest 14 bits are as many as N_BUCKETS
    keys = [zlib.crc32(word.encode()) >> 18 for word in "\0".join(words).casefold().split("\0")]
    return _count(np.array(keys, np.intp))


def stack(profiles: Sequence[Profile]) -> ProfileStack:
    """Join one or more profiles for ``distances``."""
    return ProfileStack(
        buckets=np.concatenate([p.buckets for p in profiles]),
        values=np.concatenate([p.values for p in profiles]),
        starts=np.concatenate([[0], np.cumsum([p.buckets.size for p in profiles[:-1]])]).astype(np.intp),
    )


def distances(one: Profile, others: ProfileStack) -> NDArray[np.float64]:
    """Measure one text against n others: 0 for the same 3-grams (or words) in the same shares, 1 for none in common.

    1 − Σ √(p·q) over the shares p and q: the cosine distance of the square roots of the counts. The roots
    keep one frequent 3-gram (three spaces, ``===``) from outweighing all others.

    Source: Bhattacharyya (1943), Bull. Calcutta Math. Soc. 35, 99–109, the coefficient Σ √(p·q).

    Returns:
        (n,) in [0, 1], never NaN.
    """
    dense = np.zeros(N_BUCKETS)
    dense[one.buckets] = one.values
    alike = np.add.reduceat(dense[others.buckets] * others.values, others.starts)
    return np.abs(np.clip(np.round(1.0 - alike, _DECIMALS), 0.0, 1.0))


def distance_matrix(profiles: Sequence[Profile]) -> NDArray[np.float64]:
    """Measure n ≥ 1 texts against each other: (n, n), symmetric, diagonal 0."""
    together = stack(profiles)
    return np.stack([distances(one, together) for one in profiles])


def _count(hit: NDArray[np.intp]) -> Profile:
    # sorting a reply's few hundred hits is several times faster than counting them over all the buckets
    ordered = np.sort(hit)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(starts, append=ordered.size)
    # the squared roots are the counts, whose sum is the number of 3-grams or words
    return Profile(buckets=ordered[starts], values=np.sqrt(counts / ordered.size))
