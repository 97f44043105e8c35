"""A watcher: one kind of drift of one series, followed run by run from its calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect import backstop, dependence, rank, rhythm
from driftwatch.detect.edetector import EDetector, Episode
from driftwatch.detect.layout import Column, Layout
from driftwatch.detect.steady import unsteady
from driftwatch.domain import Kind

Floats = NDArray[np.float64]

MINIMUM_CALIBRATION = 20
"""Measured calibration runs below which a channel is left out. Source: detection design, "Evidence per run"."""

OVERALL = "overall"
"""Name of the column that is put together from all channels of a kind."""

OVERALL_WEIGHT = 0.35
"""Weight of the overall column in the average; the channels share the rest equally.

It is the largest of the channels in standard deviations, so that a change pays for the search over channels once
and not with ln(channels) nats. Measured at A = 175,320: a change of four deviations in three of eight channels is
found after 3 runs instead of 4, one of .7 deviations in one of eight after 9 % more runs."""

SUSPICIOUS_SHARE = 0.01
"""The outermost share of calibration places that makes a run suspicious, one place at least: 1.2 % at K = 168, 4.8 % at
K = 20. Source: detection design, "Probe tiers"."""

FLOOR = 0.005
"""Added to the standard deviation of a channel before it divides: below half a point of a score nothing is far out."""

COVERAGE = 0.9
"""Part of the calibration runs in which a channel has to be measured to count in the overall column. One that begins to
be measured later would make later maxima larger than those of the calibration."""

TIED = 0.2
"""Share of a channel's commonest calibration value from which it counts as tied."""

DITHER = 0.3
"""Width, in standard deviations, of the noise that replaces the ties of a tied channel where dependence is taken out.

A filter would order equal values by the time since the last unequal one, so that a long quiet stretch ranked high:
77 % of unchanged series alarmed with one channel of rare forks beside seven of AR(.7), 2 % with this; .1 was not
enough."""

WANDER = 2.0
"""Standard deviations of a dependent channel's expected value that the backstop grants."""

ROUNDING = 1e-9
"""How far outside [0, 1] a score may lie by floating-point rounding; it is clipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """What detection must know of a channel."""

    name: str
    kind: Kind
    two_sided: bool
    """Whether unusually low scores are drift too."""


class Watcher:
    """Follows one kind of drift; what it said of earlier runs never changes.

    Scores lose their level and ``rhythm``; of each channel, and of the largest of them in standard deviations
    (``overall``), the ``dependence`` between runs is taken out, and what is left is ranked. The backstop bets on the
    scores themselves.

    Args:
        kind: of the channels.
        channels: of this kind; those without 20 measured calibration runs are left out.
        calibration: channel → (K₀,) scores in [0, 1]; NaN = not measured.
        calibrated_at: (K₀,) s since 1970.
        threshold: A, in runs, above 1.
        seed: 0 or more, fixed for the series.

    Raises:
        ValueError: scores outside [0, 1], or a threshold of 1 or less.
    """

    def __init__(
        self,
        kind: Kind,
        channels: Sequence[ChannelSpec],
        calibration: Mapping[str, Floats],
        calibrated_at: Floats,
        *,
        threshold: float,
        seed: int,
    ) -> None:
        if not threshold > 1 or not np.isfinite(threshold):
            raise ValueError(f"the threshold is {threshold}; it must be a number above 1")
        self.kind, self.threshold = kind, threshold
        self._names = sorted(spec.name for spec in channels)
        before = {name: checked(values, name) for name, values in calibration.items() if name in self._names}
        self._used = sorted(
            (spec for spec in channels if np.isfinite(before.get(spec.name, np.empty(0))).sum() >= MINIMUM_CALIBRATION),
            key=lambda spec: spec.name,
        )
        self.problem: str | None = None
        self._is_suspicious = False
        if not self._used:
            self.problem = f"no channel has {MINIMUM_CALIBRATION} calibration scores to compare with"
            return
        scores = np.stack([before[spec.name] for spec in self._used], axis=1)
        self.rhythm, rest = rhythm.learn(scores, calibrated_at)
        self.problem = unsteady(rest, [spec.name for spec in self._used])
        self._scale = np.nanstd(rest, axis=0, ddof=1) + FLOOR
        self._usual: float | None = None
        known = np.isfinite(rest)
        self._is_common = known.sum(axis=0) >= COVERAGE * known.any(axis=1).sum()
        columns = self._columns(rest)
        self.dependence = dependence.learn(columns, calibrated_at)
        self._seed, self._dither = seed, np.zeros(len(self._used))
        if self.dependence.persistence.any():
            self._dither = DITHER * np.array([_deviation_if_tied(column) for column in rest.T])
            self._usual = None
            columns = self._columns(self._dithered(rest, role="dither calibration", start=0))
        surprises, self._memory = self.dependence.surprises(columns, calibrated_at, self.dependence.start())
        self._detector = EDetector(self._layout(scores, surprises, seed=seed), threshold=threshold)

    def extend(self, monitored: Mapping[str, Floats], at: Floats) -> Floats:
        """Follow some more runs; in one call or in many, the result is the same.

        Args:
            monitored: channel → (T,) scores; NaN or an absent channel = gap: its evidence is held.
            at: (T,) s since 1970, in the order of the runs.

        Returns:
            (T,) M after each run.

        Raises:
            ValueError: scores outside [0, 1].
        """
        n_runs = len(at)
        if not self._used or not n_runs:
            return np.zeros(n_runs)
        gaps = np.full(n_runs, np.nan)
        scores = np.stack([checked(monitored.get(spec.name, gaps), spec.name) for spec in self._used], axis=1)
        rest = self._dithered(self.rhythm.rest(scores, at), role="dither monitored", start=self._detector.n_runs)
        columns = self._columns(rest)
        surprises, self._memory = self.dependence.surprises(columns, at, self._memory)
        places = self._detector.layout.places(surprises, start=self._detector.n_runs)
        evidence = self._detector.extend(
            places, np.hstack([scores, np.full((n_runs, 1), np.nan)])[:, : places.shape[1]]
        )
        self._is_suspicious = self._suspects(places[-1])
        return evidence

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """In order; only the last may be without recovery."""
        return tuple(self._detector.episodes) if self._used else ()

    @property
    def is_drifted(self) -> bool:
        """Whether the last episode is not over."""
        return bool(self._used) and self._detector.is_drifted

    @property
    def is_suspicious(self) -> bool:
        """Whether the latest run was among the outermost 1 % of the calibration runs."""
        return self._is_suspicious

    def shares(self) -> dict[str, float]:
        """Channel → its part of the evidence, 0 … 1: at the alarm while drifted, otherwise at the latest run.

        The overall column's part counts for the channels as they lead it. They sum to 1, or are all 0.
        """
        shares = dict.fromkeys(self._names, 0.0)
        if not self._used:
            return shares
        layout = self._detector.layout
        held = self._detector.at_alarm if self.is_drifted else self._detector.held
        parts = np.bincount(layout.column, weights=layout.weights * held, minlength=len(layout.columns))
        own = parts[: len(self._used)]
        if own.sum() > 0:
            shares |= {spec.name: float(part) for spec, part in zip(self._used, own / own.sum(), strict=True)}
        return shares

    # ---------------------------------------------------------------- private

    def _layout(self, scores: Floats, surprises: Floats, *, seed: int) -> Layout:
        single = len(self._used) == 1
        columns = [
            Column(
                ruler=rank.Ruler.of(surprises[:, c], seed=seed, channel=spec.name),
                two_sided=spec.two_sided,
                weight=1.0 if single else (1.0 - OVERALL_WEIGHT) / len(self._used),
                allowed=backstop.Allowed.by(
                    scores[:, c],
                    two_sided=spec.two_sided,
                    slack=float(self.rhythm.amplitude[c] + WANDER * self.dependence.wander[c]),
                    widening=float(self.dependence.widening[c]),
                ),
            )
            for c, spec in enumerate(self._used)
        ]
        if not single:
            together = rank.Ruler.of(surprises[:, -1], seed=seed, channel=OVERALL)
            columns.append(Column(ruler=together, two_sided=False, weight=OVERALL_WEIGHT, allowed=None))
        return Layout.of(columns)

    def _columns(self, rest: Floats) -> Floats:
        """(T, columns): every channel, and around 0 the largest of them in standard deviations."""
        if len(self._used) == 1:
            return rest
        two_sided = np.array([spec.two_sided for spec in self._used])
        far = rest / self._scale
        far = np.where(two_sided, np.abs(far), far)
        largest = np.where(np.isnan(far) | ~self._is_common, -np.inf, far).max(axis=1)
        largest = np.where(np.isfinite(largest), largest, np.nan)
        if self._usual is None:
            self._usual = float(np.nanmean(largest))
        return np.hstack([rest, (largest - self._usual)[:, None]])

    def _dithered(self, rest: Floats, *, role: str, start: int) -> Floats:
        """(T, C) with seeded noise in place of ties; the channels that are not tied stay as they are."""
        if not self._dither.any():
            return rest
        noise = [
            rank.tie_breakers(len(rest), seed=self._seed, channel=spec.name, role=role, start=start)
            for spec in self._used
        ]
        return rest + self._dither * np.stack(noise, axis=1)

    def _suspects(self, places: NDArray[np.int64]) -> bool:
        column = self._detector.layout.columns[-1]
        n = column.ruler.keys.size
        outermost = max(1, round(SUSPICIOUS_SHARE * (n + 1)))
        place = int(places[-1])
        return place > n - outermost or (column.two_sided and 0 <= place < outermost)


def _deviation_if_tied(column: Floats) -> float:
    """The standard deviation of a channel whose commonest value holds TIED of its calibration runs, else 0."""
    known = column[np.isfinite(column)]
    _, counts = np.unique(known, return_counts=True)
    return float(known.std(ddof=1)) if counts.max() > TIED * known.size else 0.0


def checked(values: Floats, name: str) -> Floats:
    """Clip rounding, refuse the rest; never touches the caller's array.

    Raises:
        ValueError: not one-dimensional, or a score outside [0, 1].
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1:
        raise ValueError(f"the scores of channel {name} have {scores.ndim} dimensions; they must have one, the runs")
    outside = (scores < -ROUNDING) | (scores > 1 + ROUNDING)
    if outside.any():
        raise ValueError(f"channel {name} has the score {scores[outside][0]}; scores must lie between 0 and 1")
    return np.clip(scores, 0.0, 1.0)
