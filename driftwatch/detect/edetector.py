"""The e-detector: follows a series run by run and turns bets into evidence, alarms, onsets and recoveries."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect.layout import FINE_STAKES, Layout, Rows
from driftwatch.detect.onset import log_mixture, most_likely_start

Floats = NDArray[np.float64]

BLOCK = 1024
"""Runs whose bets are laid out at once; bounds memory and the work thrown away at an alarm."""

LOOK_BACK = 512
"""Runs before an alarm among which its onset is sought. A change that took longer to find began before them, and
its onset is told as their first: what an operator does next is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One stretch of drift, as positions in the monitored series, from 0."""

    onset: int
    """The run at which the change most likely began; fixed at the alarm."""
    alarm: int
    recovery: int | None
    """The first run at which behaviour counts as calibrated again; None while it does not."""


class EDetector:
    """Follows a series: R_t = e_t · (1 + R_{t−1}) for every strategy, M_t = Σ w·R_t, alarm when M_t ≥ A.

    A gap holds R and adds no start. At an alarm the onset is fixed; from there on the predictive ranks stop
    learning, and the product of evidence since the onset, W_t = Σ w·Π e, is followed: the episode is over when W
    has fallen to 1/A of its highest value. That is the alarm's mirror image. If the strategies' best mixture were
    matched to the drift, 1/W would be a fair bet against "still drifted": a lasting drift is called over about once
    in A runs (measured), and a drift that was found quickly is found over quickly. While drifted, R is capped at
    A/w, so that one strategy alone can hold M at A and none can carry it out of reach. After the recovery all R
    start from 0, and the predictive ranks know what they knew at the onset.

    Assumption: exchangeable numbers per column for the rank strategies, E[S_t | past] ≤ μ0 for the backstop.
    False alarms: E[M_t] ≤ t, so the average run length is at least A runs and P(alarm by run H) ≤ H/A. This
    holds averaged over calibrations; a given watch has drawn a lucky or unlucky one. With several columns the
    common stopping rule uses all of their pasts, with which the rank bets are fair up to terms of order 1/K.

    Args:
        layout: all strategies.
        threshold: A, in runs; above 1.

    Source: Shin, Ramdas & Rinaldo, arXiv 2203.03532 (Shiryaev–Roberts e-detectors and their mixtures); the recovery
    rule is driftwatch's own, see docs/detection.md for what it was measured to do.
    """

    def __init__(self, layout: Layout, *, threshold: float) -> None:
        self.layout, self._threshold = layout, threshold
        self.n_runs = 0
        self.episodes: list[Episode] = []
        self.held = np.zeros(layout.weights.size)
        """(S,) R of every strategy after the latest run."""
        self.at_alarm = self.held
        """(S,) R at the latest alarm."""
        self._counts = layout.nothing_seen
        """While drifted: as at the onset."""
        self._places = np.zeros((0, len(layout.columns)), dtype=np.int16)
        self._scores = np.zeros((0, len(layout.columns)))
        """The runs since the watch began or began afresh, LOOK_BACK of them at most."""
        self._products = np.zeros(layout.fine_weights.size)
        self._peak = -math.inf

    @property
    def is_drifted(self) -> bool:
        """Whether an episode stands."""
        return bool(self.episodes) and self.episodes[-1].recovery is None

    def extend(self, places: NDArray[np.int64], scores: Floats) -> Floats:
        """Follow some more runs; in one call or in many, the result is the same.

        Args:
            places: (T, columns) from ``Layout.places``.
            scores: (T, columns), see ``Layout.rows``.

        Returns:
            (T,) M after each run; 0 at a recovery, where the watch starts afresh.
        """
        evidence = np.zeros(len(places))
        first = 0
        while first < len(places):
            block = slice(first, first + BLOCK)
            rows = self.layout.rows(places[block], scores[block])
            if self.is_drifted:
                used = self._follow(rows, evidence[block])
            else:
                used = self._watch(rows, places[block], scores[block], evidence[block])
            first += used
            self.n_runs += used
        return evidence

    # ---------------------------------------------------------------- the two states, each until it ends

    def _watch(self, rows: Rows, places: NDArray[np.int64], scores: Floats, evidence: Floats) -> int:
        """Run from R until an alarm or the end of the rows; fills ``evidence`` and returns how many were used."""
        e = self.layout.e_values(rows, self._counts, learns=True)
        held, weights, used, alarmed = self.held, self.layout.weights, len(rows), False
        for t in range(len(rows)):
            held = (held + rows.counted[t]) * e[t]
            evidence[t] = total = float(weights @ held)
            if total >= self._threshold:
                used, alarmed = t + 1, True
                break
        self.held = held
        self._counts = self._counts.after(rows.part(0, used))
        self._places = np.concatenate([self._places, places[:used].astype(np.int16)])[-LOOK_BACK:]
        self._scores = np.concatenate([self._scores, scores[:used]])[-LOOK_BACK:]
        if alarmed:
            self._alarm(self.n_runs + used - 1)
        return used

    def _alarm(self, alarm: int) -> None:
        recent = self.layout.rows(self._places.astype(np.int64), self._scores)
        known = self._counts.before(recent)
        start = most_likely_start(self.layout.e_values(recent, known, learns=True), self.layout.weights)
        self._counts = known.after(recent.part(0, start))
        self.episodes.append(Episode(onset=alarm + 1 - len(recent) + start, alarm=alarm, recovery=None))
        self.at_alarm = self.held
        self.held = np.minimum(self.held, self._threshold / self.layout.weights)
        self._products, self._peak = np.zeros(self.layout.fine_weights.size), -math.inf
        self._weigh(recent.part(start))

    def _follow(self, rows: Rows, evidence: Floats) -> int:
        """Run an episode until it is over or the rows end; fills ``evidence`` and returns how many were used."""
        since_onset, peaks = self._weigh(rows)
        fallen = np.flatnonzero(peaks - since_onset >= math.log(self._threshold))
        is_over = fallen.size > 0
        used = int(fallen[0]) + 1 if is_over else len(rows)
        e = self.layout.e_values(rows, self._counts, learns=False)
        cap, held = self._threshold / self.layout.weights, self.held
        for t in range(used - is_over):
            held = np.minimum((held + rows.counted[t]) * e[t], cap)
            evidence[t] = float(self.layout.weights @ held)
        self.held = held
        if is_over:
            self.episodes[-1] = replace(self.episodes[-1], recovery=self.n_runs + used - 1)
            self.held = np.zeros_like(held)
            self._places, self._scores = self._places[:0], self._scores[:0]
        return used

    def _weigh(self, rows: Rows) -> tuple[Floats, Floats]:
        """Multiply the evidence since the onset: (T,) the logarithm of the mixture, and (T,) its peak so far."""
        fine = self.layout.e_values(rows, self._counts, learns=False, stakes=FINE_STAKES)
        products = np.cumsum(np.vstack([self._products, np.log(fine)]), axis=0)[1:]
        since_onset = log_mixture(products, self.layout.fine_weights)
        peaks = np.maximum.accumulate(np.maximum(since_onset, self._peak))
        self._products, self._peak = products[-1], float(peaks[-1])
        return since_onset, peaks
