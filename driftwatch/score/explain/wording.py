"""How far replies lie from the accepted ones and from each other, by their 3-grams: centre, spread and far minority."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from driftwatch.score.channel import mean
from driftwatch.score.explain.effects import clopper_pearson
from driftwatch.score.explain.sides import Sides
from driftwatch.score.profile import N_BUCKETS, distance_matrix, distances, profile, stack
from driftwatch.score.reading import Reading

MOST = 24
"""Replies per canary and side that are compared pair by pair, evenly spaced in time: 48² distances take 3 ms."""
LEAST_PAIRS = 8
"""Canaries with one accepted reply each from which a common direction can be told from chance: 2⁷ ways to swap."""
MOST_PAIRS = 256
"""And the most that are compared, evenly spaced: their profiles are held at full length, 128 KB each."""
SHUFFLES = 400
"""Relabellings behind a standardised effect: its own error is then about 4 %."""
FAR = 3.5
"""A reply is far when it lies more standard deviations beyond its canary's accepted ones."""
LEAST_ANCHORS = 4
"""Accepted replies from which a canary says how far its own replies lie apart."""
LEAST_GAP = 0.12
"""And by at least this wording distance: a canary that never varied has no standard deviation to speak of."""

View: TypeAlias = Callable[[Reading], str]
"""The text of a reading that is compared."""
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryWording:
    """One canary's wording distances, all in [0, 1]."""

    canary_id: str
    before: float
    """Mean distance between two accepted replies; NaN with fewer than two."""
    after: float
    """Mean distance between two replies since; NaN with fewer than two."""
    across: float
    """Mean distance between a reply since and an accepted one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Distances averaged over canaries, and what they are worth under relabelling within canaries."""

    before: float
    after: float
    across: float
    shift_errors: float
    """2·across − before − after, the squared distance of the centres, in relabelled standard deviations."""
    spread_errors: float
    """after − before in standard deviations of its relabelled values, signed."""
    by_canary: tuple[CanaryWording, ...]

    @property
    def excess(self) -> float:
        """How much farther replies since are from accepted ones than these from each other, 1 nothing alike."""
        return excess(self.across, self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minority:
    """The replies since that lie far out, if the rest does not."""

    far: tuple[Reading, ...]
    n: int
    """Replies since that could be placed."""
    n_canaries: int
    """Canaries with at least one."""
    usual: float
    """Share of accepted replies that lie as far from the others, half a reply added because few were looked at."""
    rest: float
    """Mean shift of the rest as a part of that of the far ones; 0 when the rest is as calibrated."""
    low: float
    """Of the exact 95 % interval of the share."""
    high: float

    @property
    def share(self) -> float:
        """Of the replies since, 0 … 1."""
        return len(self.far) / self.n if self.n else 0.0


def as_served(reading: Reading) -> str:
    """The view that leaves nothing out."""
    return reading.text


def excess(across: float, before: float) -> float:
    """(across − before) / (1 − before); NaN where ``before`` is unknown."""
    return (across - before) / (1 - before) if before < 1 else math.nan


def distances_of(sides: Sequence[Sides], view: View = as_served) -> tuple[CanaryWording, ...]:
    """Every canary's distances, without any test of them."""
    return tuple(_of(canary, *_matrix(canary, view)) for canary in sides)


def mean_excess(sides: Sequence[Sides], view: View = as_served) -> float:
    """``Wording.excess`` of these replies seen this way; NaN where nothing has two accepted replies."""
    found = distances_of(sides, view)
    known = [c for c in found if not math.isnan(c.before)]
    if not known:  # one accepted reply each: nothing is known of their spread, so all distance counts
        return mean(c.across for c in found)
    return excess(mean(c.across for c in known), mean(c.before for c in known))


def compare(sides: Sequence[Sides], *, seed: int) -> Wording | None:
    """Compare the two sides; None where no canary has two replies on each.

    The standardised effects come from relabelling replies within canaries, under which "nothing changed" makes every
    relabelling equally likely.

    Args:
        sides: the canaries.
        seed: 0 or more; the relabellings depend on nothing else.

    Source: Székely & Rizzo (2013), J. Stat. Plan. Inference 143, 1249–1272, for the energy distance, which on these
        distances is the squared distance between the mean profiles.
    """
    known = [c for c in sides if len(c.before) > 1]
    rng = np.random.default_rng(seed)
    if not known:
        return _paired(sides, rng) if len(sides) >= LEAST_PAIRS else None
    found: list[CanaryWording] = []
    shift, spread, moved = np.zeros(SHUFFLES), np.zeros(SHUFFLES), 0.0
    for canary in known:
        matrix, n = _matrix(canary, as_served)
        own = _of(canary, matrix, n)
        found.append(own)
        size = len(matrix)
        labels = rng.permuted(np.tile(np.arange(size) < n, (SHUFFLES, 1)), axis=1).astype(np.float64)
        before, after, across = _blocks(matrix, labels)
        if size - n > 1:
            shift += 2 * across - before - after
            spread += after - before
            moved += 2 * own.across - own.before - own.after
        else:  # one reply since: how far it lies from the others, and nothing of its side's spread
            shift += across - before
            moved += own.across - own.before
    spreads = [c for c in found if not math.isnan(c.after)]
    return Wording(
        before=mean(c.before for c in found),
        after=mean(c.after for c in found),
        across=mean(c.across for c in found),
        shift_errors=_standardised(moved, shift),
        spread_errors=_standardised(math.fsum(c.after - c.before for c in spreads), spread),
        by_canary=tuple(found),
    )


def _paired(sides: Sequence[Sides], rng: np.random.Generator) -> Wording:
    """One accepted reply each: whether the profiles moved the same way on many canaries, by swapping sides at random.

    Nothing is known of how far replies of one canary lie apart, so ``before`` counts as 0.
    """
    thinned = [
        sides[i] for i in np.linspace(0, len(sides) - 1, min(MOST_PAIRS, len(sides))).round().astype(int).tolist()
    ]
    moves = np.zeros((len(thinned), N_BUCKETS))
    for row, canary in zip(moves, thinned, strict=True):
        for reading, sign in ((canary.after[0], 1.0), (canary.before[0], -1.0)):
            row[reading.profile.buckets] += sign * reading.profile.values
    gram = moves @ moves.T
    signs = rng.choice((-1.0, 1.0), size=(SHUFFLES, len(thinned)))
    found = [_of(canary, *_matrix(canary, as_served)) for canary in thinned]
    return Wording(
        before=0.0,
        after=math.nan,
        across=mean(c.across for c in found),
        shift_errors=_standardised(float(gram.sum()), ((signs @ gram) * signs).sum(axis=1)),
        spread_errors=0.0,
        by_canary=tuple(replace(c, before=0.0) for c in found),
    )


def minority(sides: Sequence[Sides]) -> Minority:
    """Find the replies far beyond the accepted ones, and how the rest compares.

    A reply's place is its mean distance to its canary's accepted replies; an accepted one's, to the others. The
    standard deviation is pooled over canaries, for eight anchors do not fix their own.
    """
    places = [(c, *_places(c)) for c in sides if len(c.before) >= LEAST_ANCHORS]
    squares = math.fsum(float(((own - own.mean()) ** 2).sum()) for _, own, _, _ in places)
    freedom = sum(len(own) - 1 for _, own, _, _ in places)
    reach = max(LEAST_GAP, FAR * math.sqrt(squares / freedom)) if freedom else LEAST_GAP
    far: list[Reading] = []
    far_shifts: list[float] = []
    rest_shifts: list[float] = []
    n = n_usual = n_anchors = n_canaries = 0
    for canary, own, others, new in places:
        beyond = new - own.mean()
        is_far = beyond > reach
        far += [r for r, yes in zip(canary.after, is_far.tolist(), strict=True) if yes]
        far_shifts += beyond[is_far].tolist()
        rest_shifts += beyond[~is_far].tolist()
        n_canaries += bool(is_far.any())
        n_usual += int((own - others > reach).sum())
        n, n_anchors = n + len(new), n_anchors + len(own)
    low, high = clopper_pearson(len(far), n)
    return Minority(
        far=tuple(far),
        n=n,
        n_canaries=n_canaries,
        usual=(n_usual + 0.5) / (n_anchors + 1),
        rest=mean(rest_shifts) / mean(far_shifts) if far_shifts and rest_shifts else 0.0 if far_shifts else math.nan,
        low=low,
        high=high,
    )


def _places(canary: Sides) -> tuple[Floats, Floats, Floats]:
    """Where replies lie, by mean distance to the accepted ones.

    Returns:
        (n,) of each accepted reply to the others; (n,) of these others among themselves; (m,) of each reply since.
    """
    n = len(canary.before)
    accepted = stack([r.profile for r in canary.before])
    rows = np.array([distances(r.profile, accepted).sum() for r in canary.before])
    new = np.array([distances(r.profile, accepted).mean() for r in canary.after])
    return rows / (n - 1), (rows.sum() - 2 * rows) / ((n - 1) * (n - 2)), new


def _matrix(canary: Sides, view: View) -> tuple[Floats, int]:
    before, after = _thinned(canary.before), _thinned(canary.after)
    views = [r.profile if view is as_served else profile(view(r)) for r in (*before, *after)]
    return distance_matrix(views), len(before)


def _of(canary: Sides, matrix: Floats, n: int) -> CanaryWording:
    return CanaryWording(
        canary_id=canary.canary_id,
        before=_pairs_mean(matrix[:n, :n]),
        after=_pairs_mean(matrix[n:, n:]),
        across=float(matrix[:n, n:].mean()),
    )


def _blocks(matrix: Floats, labels: Floats) -> tuple[Floats, Floats, Floats]:
    """(SHUFFLES, N) zeros and ones → mean distance within the ones, within the zeros, across; (SHUFFLES,) each."""
    n = labels[0].sum()
    m = labels.shape[1] - n
    rows = labels @ matrix
    within, total = (rows * labels).sum(axis=1), float(matrix.sum())
    across = rows.sum(axis=1) - within
    return within / (n * (n - 1)), (total - within - 2 * across) / (m * max(1, m - 1)), across / (n * m)


def _standardised(value: float, null: Floats) -> float:
    deviation = float(null.std())
    if deviation < 1e-12:  # noqa: PLR2004 - every reply is the same
        return 0.0
    return (value - float(null.mean())) / deviation


def _pairs_mean(matrix: Floats) -> float:
    n = len(matrix)
    return float(matrix.sum()) / (n * (n - 1)) if n > 1 else math.nan


def _thinned(readings: Sequence[Reading]) -> Sequence[Reading]:
    if len(readings) <= MOST:
        return readings
    return [readings[i] for i in np.linspace(0, len(readings) - 1, MOST).round().astype(int).tolist()]
