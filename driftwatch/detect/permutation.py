"""The exact within-canary permutation test: are two sets of completions exchangeable, canary by canary?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CHUNK = 2_000_000
"""Labels drawn at once: 2 MB, and 16 MB for each matrix of weights made from them."""
_TIE = 1e-9
"""Two statistics this close, in permutation standard deviations, are equal: rounding must not break a tie in favour
of a difference."""
_STILL = 1e-9
"""A statistic whose permutations differ by less than this, as a share of their mean, does not depend on the labels."""
_ROUNDING = 1e-12
"""A difference smaller than this, as a share of the largest feature or distance, is 0: what rounding leaves of two
equal sums must not become evidence."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """How many completions each canary has on each side. Rows are ordered canary by canary, its left ones first."""

    n_left: NDArray[np.intp]
    """(C,) completions on the left, 1 or more each."""
    n_right: NDArray[np.intp]
    """(C,) completions on the right, 1 or more each."""

    def __post_init__(self) -> None:
        if self.n_left.size == 0 or self.n_left.shape != self.n_right.shape:
            raise ValueError("a permutation test needs the same canaries on both sides, one at least")
        if min(self.n_left.min(), self.n_right.min()) < 1:
            raise ValueError("every canary needs a completion on both sides")

    @property
    def sizes(self) -> NDArray[np.intp]:
        """(C,) completions on both sides."""
        return self.n_left + self.n_right

    @property
    def starts(self) -> NDArray[np.intp]:
        """(C,) first row of each canary."""
        return (np.cumsum(self.sizes) - self.sizes).astype(np.intp)

    @property
    def weights(self) -> Floats:
        """(C,) summing to 1: n_l·n_r / (n_l + n_r), the precision of a difference of two means.

        Source: Cochran (1954), Biometrics 10, 417–451, section 5, the weights of the stratified test.
        """
        raw = self.n_left * self.n_right / self.sizes
        return np.asarray(raw / raw.sum(), np.float64)

    @property
    def n_labellings(self) -> int:
        """In how many ways the labels can lie: Π binomial(n, n_right)."""
        return math.prod(math.comb(int(n), int(r)) for n, r in zip(self.sizes, self.n_right, strict=True))

    @property
    def smallest_p(self) -> float:
        """What p can be at the least. With equal sides, exchanging all of them changes no statistic: two tie."""
        ties = 2 if bool(np.all(self.n_left == self.n_right)) else 1
        return ties / self.n_labellings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shift:
    """Whether features move the same way in many canaries: ‖Σ_c w_c (mean of the right − mean of the left)‖².

    With one completion per canary and side, exchanging labels flips the sign of the pair's difference, so this is
    the sign-flip test. Source: Székely & Rizzo (2013), J. Stat. Plan. Inference 143, 1249–1272, section 2, for the
    squared norm as the energy of a linear kernel.
    """

    name: str
    rows: Floats
    """(N, d) finite features of all completions, in the layout's order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Energy:
    """Whether the distributions differ within canaries: Σ_c w_c (2·between − within left − within right).

    Means over all pairs, an item and itself included. It is 0 or more, and in the limit 0 only for equal
    distributions, for any distance of strong negative type, Euclidean ones for instance; it is constant where both
    sides have one completion. Source: Székely & Rizzo (2013), equation (6.1).
    """

    name: str
    distances: Sequence[Floats]
    """Per canary (n, n), symmetric, 0 or more, diagonal 0, in the layout's order."""
    spread: str | None = None
    """Also test, under this name, whether one side's completions lie closer together: the squared difference of the
    mean distances within the sides, over canaries with two completions or more on both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One statistic's part in the answer."""

    name: str
    z: float
    """The cube root of the statistic in permutation standard deviations above the permutation mean."""
    p_value: float
    """Of this statistic alone."""
    p_adjusted: float
    """Corrected for all statistics of the test by max-T; the smallest one is the test's p."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The test's result."""

    p_value: float
    """In (0, 1]."""
    n_permutations: int
    """Labellings compared to the one observed; in an exact test all of them, the observed one included."""
    is_exact: bool
    parts: tuple[Part, ...]
    """In the order asked."""
    constant: tuple[str, ...]
    """Statistics that no labelling changes; they were left out."""


def permutation_test(
    layout: Layout,
    statistics: Sequence[Shift | Energy],
    *,
    permutations: int,
    seed: int,
) -> Answer:
    """Test whether the sides' labels could be exchanged within every canary, on all statistics at once.

    The overall statistic is the largest of the standardised ones, permuted together, so that their dependence is
    kept and no correction is lost to it. The cube root makes sums of squares nearly normal, so that none of them
    dominates the maximum by its skew (Wilson & Hilferty 1931, PNAS 17, 684–688). All of it is a function of
    the labels alone, hence exact in finite samples, whatever the distribution of the texts.

    Assumptions:
        Under no change a canary's completions are exchangeable between the sides; canaries may differ at will.

    Args:
        layout: which completion belongs where.
        statistics: with names that differ.
        permutations: labellings to draw; all are enumerated when there are no more than this.
        seed: of the draws.

    Returns:
        p = (1 + b) / (1 + B), b the drawn labellings with a statistic at least as large (Phipson & Smyth 2010, Stat.
        Appl. Genet. Mol. Biol. 9, 39); b over all of them when they are enumerated. 1 when nothing can be tested.

    Raises:
        ValueError: a feature or distance is not finite or has another shape than the layout.

    >>> layout = Layout(n_left=np.array([4]), n_right=np.array([4]))
    >>> rows = np.array([[1.0], [2.0], [3.0], [4.0], [11.0], [12.0], [13.0], [14.0]])
    >>> round(permutation_test(layout, [Shift(name="size", rows=rows)], permutations=999, seed=0).p_value, 4)
    0.0286
    """
    groups = _groups(layout)
    prepared = _Prepared(layout, groups, statistics)
    observed = prepared.values([_identity(layout, group) for group in groups])
    is_exact = layout.n_labellings <= permutations
    draws = _all(layout, groups) if is_exact else _drawn(layout, groups, permutations, seed)
    values = np.concatenate([prepared.values(labels) for labels in draws])
    if not is_exact:
        values = np.concatenate([observed, values])
    return _answer(prepared.names, np.cbrt(observed[0]), np.cbrt(values), is_exact=is_exact)


def _answer(names: Sequence[str], observed: Floats, values: Floats, *, is_exact: bool) -> Answer:
    """Compare; ``values`` (B or B + 1, S) holds the observed labelling too, so (1 + b) / (1 + B) is a plain mean."""
    centre, deviation = values.mean(axis=0), values.std(axis=0)
    moves = deviation > _STILL * np.maximum(np.abs(centre), np.finfo(float).tiny)
    n = len(values) if is_exact else len(values) - 1
    constant = tuple(name for name, one in zip(names, moves, strict=True) if not one)
    if not moves.any():
        return Answer(p_value=1.0, n_permutations=n, is_exact=is_exact, parts=(), constant=constant)
    z = (observed - centre)[moves] / deviation[moves]
    standard = (values[:, moves] - centre[moves]) / deviation[moves]
    alone = (standard >= z - _TIE).mean(axis=0)
    together = (standard.max(axis=1)[:, None] >= z - _TIE).mean(axis=0)
    kept = [name for name, one in zip(names, moves, strict=True) if one]
    parts = tuple(
        Part(name=name, z=float(z[k]), p_value=float(alone[k]), p_adjusted=float(together[k]))
        for k, name in enumerate(kept)
    )
    p_value = min(one.p_adjusted for one in parts)
    return Answer(p_value=p_value, n_permutations=n, is_exact=is_exact, parts=parts, constant=constant)


# ---------------------------------------------------------------- labellings

Labels = NDArray[np.bool_]
"""(canaries of a group, b, n): whether a completion is labelled right."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Group:
    """The canaries with the same number of completions: what one array can hold."""

    canaries: NDArray[np.intp]
    n: int
    rows: NDArray[np.intp]
    """(canaries, n) rows in the layout's order."""
    n_right: NDArray[np.intp]


def _groups(layout: Layout) -> list[_Group]:
    found = []
    for n in np.unique(layout.sizes):
        canaries = np.flatnonzero(layout.sizes == n)
        rows = layout.starts[canaries, None] + np.arange(n)
        found.append(_Group(canaries=canaries, n=int(n), rows=rows, n_right=layout.n_right[canaries]))
    return found


def _identity(layout: Layout, group: _Group) -> Labels:
    return (np.arange(group.n) >= layout.n_left[group.canaries, None])[:, None, :]


def _chunks(layout: Layout, total: int) -> Iterator[int]:
    size = max(1, _CHUNK // int(layout.sizes.sum()))
    for begin in range(0, total, size):
        yield min(size, total - begin)


def _drawn(layout: Layout, groups: Sequence[_Group], permutations: int, seed: int) -> Iterator[list[Labels]]:
    rng = np.random.default_rng(seed)
    for size in _chunks(layout, permutations):
        yield [_draw(rng, group, size) for group in groups]


def _draw(rng: np.random.Generator, group: _Group, size: int) -> Labels:
    """Every labelling with the same chance: selection sampling (Knuth, TAOCP vol. 2, section 3.4.2, algorithm S)."""
    labels = np.empty((group.n, len(group.canaries), size), np.bool_)
    left = np.repeat(group.n_right[:, None], size, axis=1)
    for i in range(group.n):
        labels[i] = rng.integers(0, group.n - i, size=left.shape, dtype=np.uint32) < left
        left -= labels[i]
    return np.ascontiguousarray(np.moveaxis(labels, 0, 2))


def _all(layout: Layout, groups: Sequence[_Group]) -> Iterator[list[Labels]]:
    """Every labelling once: the Cartesian product over canaries, by mixed-radix counting."""
    tables: dict[tuple[int, int], Labels] = {}
    sizes = list(zip(layout.sizes.tolist(), layout.n_right.tolist(), strict=True))
    for n, n_right in sizes:
        if (n, n_right) not in tables:
            table = np.zeros((math.comb(n, n_right), n), np.bool_)
            for row, chosen in zip(table, combinations(range(n), n_right), strict=True):
                row[list(chosen)] = True
            tables[n, n_right] = table
    begin = 0
    for size in _chunks(layout, layout.n_labellings):
        rest, digits = np.arange(begin, begin + size), []
        for shape in sizes:
            rest, digit = np.divmod(rest, len(tables[shape]))
            digits.append(digit)
        yield [np.stack([tables[sizes[c]][digits[c]] for c in group.canaries]) for group in groups]
        begin += size


# ---------------------------------------------------------------- statistics


class _Prepared:
    """The statistics, arranged so that a chunk of labellings takes one product per group and kind."""

    def __init__(self, layout: Layout, groups: Sequence[_Group], statistics: Sequence[Shift | Energy]) -> None:
        self._layout, self._groups = layout, groups
        n_rows = int(layout.sizes.sum())
        shifts = [one for one in statistics if isinstance(one, Shift)]
        energies = [one for one in statistics if isinstance(one, Energy)]
        for one in shifts:
            if one.rows.shape[:1] != (n_rows,) or not one.rows.size or not np.isfinite(one.rows).all():
                raise ValueError(f"{one.name}: the features must be finite, one row for each of {n_rows} completions")
        for energy in energies:
            shapes = [matrix.shape for matrix in energy.distances]
            if shapes != [(n, n) for n in layout.sizes] or not all(np.isfinite(m).all() for m in energy.distances):
                raise ValueError(f"{energy.name}: the distances must be finite and square, one matrix per canary")
        self._rows = np.concatenate([one.rows for one in shifts], axis=1) if shifts else np.zeros((n_rows, 0))
        self._begins = np.cumsum([0, *(one.rows.shape[1] for one in shifts)])[:-1]
        self._stacks = [
            [np.stack([energy.distances[c] for c in group.canaries]) for energy in energies] for group in groups
        ]
        self._least_squares = [(_ROUNDING * _largest([one.rows])) ** 2 for one in shifts]
        self._least = [_ROUNDING * _largest(energy.distances) for energy in energies]
        self._is_spread = [energy.spread is not None for energy in energies]
        columns = [one.name for one in shifts]
        for energy in energies:
            columns += [energy.name, *([energy.spread] if energy.spread is not None else [])]
        asked = [name for one in statistics for name in _names(one)]
        if len(set(asked)) != len(asked):
            raise ValueError("two statistics have the same name")
        self.names: Sequence[str] = asked
        self._order = [columns.index(name) for name in asked]

    def values(self, labels: Sequence[Labels]) -> Floats:
        """(b, S) each statistic under each labelling, 0 or more."""
        b = labels[0].shape[1]
        columns = [*self._shifts(labels, b), *self._energies(labels, b)]
        if not columns:
            return np.zeros((b, 0))
        return np.stack([columns[k] for k in self._order], axis=1)

    def _shifts(self, labels: Sequence[Labels], b: int) -> list[Floats]:
        if not self._rows.shape[1]:
            return []
        layout = self._layout
        signed = np.empty((b, len(self._rows)))
        for group, is_right in zip(self._groups, labels, strict=True):
            weight = layout.weights[group.canaries, None, None]
            right = weight / layout.n_right[group.canaries, None, None]
            left = weight / layout.n_left[group.canaries, None, None]
            values = is_right * (right + left) - left
            signed[:, group.rows.ravel()] = np.moveaxis(values, 1, 0).reshape(b, -1)
        squares = (signed @ self._rows) ** 2
        sums = np.add.reduceat(squares, self._begins, axis=1)
        return list(np.where(sums > self._least_squares, sums, 0.0).T)

    def _energies(self, labels: Sequence[Labels], b: int) -> list[Floats]:
        layout, n_kinds = self._layout, len(self._is_spread)
        energy, spread = np.zeros((n_kinds, b)), np.zeros((n_kinds, b))
        for group, is_right, stacks in zip(self._groups, labels, self._stacks, strict=True):
            indicator = is_right.astype(np.float64) if stacks else np.empty(0)
            n_left, n_right = layout.n_left[group.canaries], layout.n_right[group.canaries]
            weight = layout.weights[group.canaries]
            has_spread = (n_left > 1) & (n_right > 1)
            for k, distances in enumerate(stacks):
                within_right = np.einsum("cbi,cbi->cb", indicator @ distances, indicator)
                to_right = np.einsum("cbi,ci->cb", indicator, distances.sum(axis=2))
                across = to_right - within_right
                within_left = distances.sum(axis=(1, 2))[:, None] - 2 * across - within_right
                energy[k] += (weight * 2 / (n_left * n_right)) @ across
                energy[k] -= (weight / n_right**2) @ within_right + (weight / n_left**2) @ within_left
                if self._is_spread[k] and has_spread.any():
                    w, r, l = weight[has_spread], n_right[has_spread], n_left[has_spread]  # noqa: E741 - left
                    spread[k] += (w / (r * (r - 1))) @ within_right[has_spread]
                    spread[k] -= (w / (l * (l - 1))) @ within_left[has_spread]
        columns = []
        for k, is_spread in enumerate(self._is_spread):
            columns.append(np.where(energy[k] > self._least[k], energy[k], 0.0))
            if is_spread:
                columns.append(np.where(np.abs(spread[k]) > self._least[k], spread[k] ** 2, 0.0))
        return columns


def _largest(arrays: Sequence[Floats]) -> float:
    return max((float(np.abs(array).max(initial=0.0)) for array in arrays), default=0.0)


def _names(statistic: Shift | Energy) -> list[str]:
    if isinstance(statistic, Energy) and statistic.spread is not None:
        return [statistic.name, statistic.spread]
    return [statistic.name]
