"""Layout: all that is staked on one kind of drift, side by side, with weights fixed in advance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect import backstop, rank

Floats = NDArray[np.float64]

FINE_STAKES = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""a of the bets that decide when an episode is over.

Finer than rank.STAKES because the rule needs the mixture to hold a bet near the best one: with those three stakes,
lasting drifts of .09 in total variation were called over 18 times in 80,000 runs instead of 3 (A = 17,532).
"""

SET_WEIGHTS = np.array(
    [
        [0.02, 0.03, 0.23],
        [0.05, 0.09, 0.07],
        [0.09, 0.09, 0.03],
        [0.06, 0.07, 0.01],
    ],
)
"""Weight of each rank strategy, rows as in rank.SHARES, columns as in rank.STAKES.

Chosen on simulated shifts of .7 … 20 standard deviations (even seeds) for the shortest delay at A = 175,320, then
rounded. Fixed weights leave the false-alarm guarantee untouched, whatever they are.
"""

BACKSTOP_WEIGHTS = np.array([0.04, 0.04, 0.04, 0.04])
"""Weight of each bounded-mean strategy, as in backstop.STAKES. All sixteen weights of a channel sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One series of numbers that is ranked: a channel, or what is put together from all of them."""

    ruler: rank.Ruler
    two_sided: bool
    weight: float
    """Its part of the average, above 0."""
    allowed: backstop.Allowed | None
    """Means up to which a score counts as calibrated; None for a column that is no bounded score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Some runs as bets see them. T runs, G rank sets, B backstop bets."""

    hits: NDArray[np.bool_]
    """(T, G) whether the run fell into the set."""
    measured: NDArray[np.bool_]
    """(T, G) whether the set's column has a value."""
    backstop: Floats
    """(T, B) e-values, 1 at gaps."""
    counted: Floats
    """(T, S) 1 where the strategy's column has a value, else 0."""

    def __len__(self) -> int:
        return int(self.hits.shape[0])

    def part(self, start: int, stop: int | None = None) -> Rows:
        """The runs start … stop − 1."""
        rows = slice(start, stop)
        return Rows(
            hits=self.hits[rows],
            measured=self.measured[rows],
            backstop=self.backstop[rows],
            counted=self.counted[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the predictive ranks remember of the runs that count as calibrated."""

    hits: NDArray[np.int64]
    """(G,) Σ N_j of each set."""
    runs: NDArray[np.int64]
    """(G,) measured runs of the set's column."""

    def after(self, rows: Rows) -> Counts:
        """What they know after some more runs."""
        return Counts(hits=self.hits + rows.hits.sum(axis=0), runs=self.runs + rows.measured.sum(axis=0))

    def before(self, rows: Rows) -> Counts:
        """What they knew before these runs."""
        return Counts(hits=self.hits - rows.hits.sum(axis=0), runs=self.runs - rows.measured.sum(axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Strategies: every stake of every rank set, then the backstop's. S = 3·G + B."""

    columns: tuple[Column, ...]
    sizes: NDArray[np.int64]
    """(G,) gaps per set."""
    n_calibration: NDArray[np.int64]
    """(G,) K of the set's column."""
    weights: Floats
    """(S,) fixed in advance, summing to 1."""
    fine_weights: Floats
    """(7·G + B,) the weights of the finer bets that decide when an episode is over, summing to 1."""
    column: NDArray[np.int64]
    """(S,) position of the strategy's column."""

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Layout:
        """Arrange the strategies of one or more columns; a two-sided column halves its weight between its sides.

        A column without a backstop gives the backstop's weight to its ranks.
        """
        sizes, known, ranked, fine, bounded, of_ranked, of_bounded = [], [], [], [], [], [], []
        total = sum(column.weight for column in columns)
        n_fine = len(rank.SHARES) * len(FINE_STAKES)
        for position, column in enumerate(columns):
            n_sides = 2 if column.two_sided else 1
            part = column.weight / total / n_sides
            of_sets = SET_WEIGHTS if column.allowed is not None else SET_WEIGHTS / SET_WEIGHTS.sum()
            for _ in range(n_sides):
                sizes.append(rank.set_sizes(column.ruler.keys.size))
                known.append(column.ruler.keys.size)
                ranked.append(part * of_sets.ravel())
                fine.append(np.full(n_fine, part * of_sets.sum() / n_fine))
                of_ranked += [position] * SET_WEIGHTS.size
                if column.allowed is not None:
                    bounded.append(part * BACKSTOP_WEIGHTS)
                    of_bounded += [position] * BACKSTOP_WEIGHTS.size
        return cls(
            columns=tuple(columns),
            sizes=np.concatenate(sizes),
            n_calibration=np.repeat(known, len(rank.SHARES)),
            weights=np.concatenate(ranked + bounded),
            fine_weights=np.concatenate(fine + bounded),
            column=np.array(of_ranked + of_bounded, dtype=np.int64),
        )

    @property
    def nothing_seen(self) -> Counts:
        """The counts before the first monitored run."""
        return Counts(hits=np.zeros_like(self.sizes), runs=np.zeros_like(self.sizes))

    def places(self, ranked: Floats, *, start: int) -> NDArray[np.int64]:
        """Where runs rank among the calibration runs.

        Args:
            ranked: (T, columns) the numbers that are ranked; NaN = not measured.
            start: position of the first run in the monitored series.

        Returns:
            (T, columns) in {0 … K}, −1 where not measured.
        """
        places = [column.ruler.places(ranked[:, position], start=start) for position, column in enumerate(self.columns)]
        return np.stack(places, axis=1)

    def rows(self, places: NDArray[np.int64], scores: Floats) -> Rows:
        """Work out what each bet can see of runs.

        Args:
            places: (T, columns) from ``places``.
            scores: (T, columns) the scores in [0, 1] that the backstop bets on; unused where a column has none.
        """
        hits, measured, bounded = [], [], []
        is_measured = places >= 0
        for position, column in enumerate(self.columns):
            hit = rank.hits(places[:, position], column.ruler.keys.size, two_sided=column.two_sided)
            hits.append(hit)
            measured.append(np.repeat(is_measured[:, position, None], hit.shape[1], axis=1))
            if column.allowed is not None:
                bets = backstop.bets(column.allowed, scores[:, position])
                bounded.append(np.where(is_measured[:, position, None], bets, 1.0))
        return Rows(
            hits=np.hstack(hits),
            measured=np.hstack(measured),
            backstop=np.hstack(bounded) if bounded else np.ones((len(places), 0)),
            counted=is_measured[:, self.column].astype(np.float64),
        )

    def e_values(self, rows: Rows, counts: Counts, *, learns: bool, stakes: Sequence[float] = rank.STAKES) -> Floats:
        """The e-values of runs, every strategy.

        Args:
            rows: the runs.
            counts: what the predictive ranks know before the first of them.
            learns: whether each run adds to what is known for the next. While drifted it must not: the new
                behaviour would become the expected one and its evidence fade.
            stakes: of the rank bets.

        Returns:
            (T, stakes · G + B), 1 at gaps.
        """
        n_hits, n_runs = counts.hits, counts.runs
        if learns:
            n_hits = n_hits + np.cumsum(rows.hits, axis=0) - rows.hits
            n_runs = n_runs + np.cumsum(rows.measured, axis=0) - rows.measured
        e = rank.bets(rows.hits, rank.predictive(self.sizes, self.n_calibration, n_hits, n_runs), stakes)
        e = np.where(rows.measured[:, :, None], e, 1.0)
        return np.hstack([e.reshape(len(rows), -1), rows.backstop])
