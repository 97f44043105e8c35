"""What a target's setting costs and finds: requests, dollars, false alarms, delays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from driftwatch.detect.budget import shortest_delay
from driftwatch.domain import Target
from driftwatch.judgement import kinds_watched
from driftwatch.plan.delays import BURST_GAP_S, Delay, Watch, delay, smallest_visible, swap_delay
from driftwatch.plan.noise import Noise, sd_ratio
from driftwatch.usage import Cost, Price, Tokens, cost_of, cost_per_run

CHANGES = {"small": 1.0, "medium": 2.0, "large": 4.0}
"""Name → size in sd of a channel from run to run, at the target's present setting."""

SWAP = "swap"
"""Another model behind the name: not a size but a change of every second channel."""

DAY_S, MONTH_DAYS = 86_400.0, 30.44
"""Days in a month: 365.25 / 12, rounded."""

STRANGER_GAP = 5.0
"""How much farther from the anchors another model's answer lies, in sd of one answer of the usual model.

Measured: 5.3 in wording between GPT-4 and Gemma 2 9B on ten abstracts at temperature .3; 3.7 … 6.0 at .7.
Source: recordings of the genai-reproducibility-protocol (Lucas Rover et al., CC BY 4.0).
"""

ONE_WORD_SHIFTS = {"small": 0.07, "medium": 0.13, "large": 0.21}
"""What the same sizes are as a mean shift in total variation of one-word answers.

Simulated: 26 prompts × 10 answers a run, counts 1.6 × overdispersed; tests/plan recomputes them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a plan may change."""

    interval_s: float
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a setting costs and finds."""

    target: Target
    noise: Noise
    price: Price | None
    watch: Watch
    has_measured_tokens: bool
    """Whether replies in the store say how many tokens every canary takes."""
    per_run: Cost
    """A scheduled run, without bursts."""
    per_month: Cost
    """30.44 days, bursts included."""
    per_year: Cost
    """365.25 days, bursts included."""
    baseline: Cost
    """Anchors and calibration runs, once."""
    calibration_s: float
    """Seconds that the calibration runs take."""
    false_alarms_per_year: float
    """At most so many on average: runs per year × kinds / A, bursts included."""
    delays: Mapping[str, Delay]
    """Name of the change → how soon it is told; the keys of CHANGES, then SWAP."""
    visible_in_a_day_sd: float | None
    """The smallest change whose median delay is a day or less, in sd of the present setting; None: none is."""
    visible_in_a_week_sd: float | None
    shortest_runs: int
    """No rank detector needs fewer runs."""
    shortest_s: float
    """Seconds from the first run after a change to the last of them."""

    @property
    def setting(self) -> Setting:
        """Interval and repeats."""
        return Setting(interval_s=self.target.interval_s, repeats=self.target.repeats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a target before any setting is tried."""

    present: Target
    """The target as it is configured: sizes are in its sd."""
    noise: Noise
    price: Price | None
    tokens: Mapping[str, Tokens]


def forecast(known: Known, target: Target | None = None) -> Forecast:
    """Work out what a setting costs and finds; takes seconds, of which a second call with the same K is spared most.

    Args:
        known: what is known of the target.
        target: the target with another interval or other repeats; as it is configured when None.
    """
    target = known.present if target is None else target
    watch, ratio = watch_of(known, target), sd_ratio(target, known.present)
    per_run = cost_per_run(target, known.price, known.tokens)
    runs_per_year = target.runs_per_year * (1.0 + watch.burst_share)
    day, week = (smallest_visible(watch, days * DAY_S) for days in (1, 7))
    shortest = shortest_delay(watch.n_calibration, watch.threshold)
    return Forecast(
        target=target,
        noise=known.noise,
        price=known.price,
        watch=watch,
        has_measured_tokens=all(canary.id in known.tokens for canary in target.canaries),
        per_run=per_run,
        per_month=cost_per_month(known, target),
        per_year=per_run.times(runs_per_year),
        baseline=_baseline_cost(known, target),
        calibration_s=target.calibration_wanted * target.interval_s,
        false_alarms_per_year=runs_per_year * kinds_watched() / target.threshold,
        delays={name: delay(watch, size / ratio) for name, size in CHANGES.items()} | {SWAP: swap_delay(watch)},
        visible_in_a_day_sd=None if day is None else day * ratio,
        visible_in_a_week_sd=None if week is None else week * ratio,
        shortest_runs=shortest,
        shortest_s=_time_of_runs(watch, shortest),
    )


def cost_per_month(known: Known, target: Target) -> Cost:
    """Requests, tokens and dollars of 30.44 days, confirmation bursts included."""
    runs = MONTH_DAYS * DAY_S / target.interval_s * (1.0 + watch_of(known, target).burst_share)
    return cost_per_run(target, known.price, known.tokens).times(runs)


def watch_of(known: Known, target: Target) -> Watch:
    """What the detector would be run with: other repeats begin a new baseline, another interval keeps the present one.

    Raises:
        ValueError: fewer calibration runs than can be judged with.
    """
    kept = known.noise.n_calibration if target.definition_hash == known.present.definition_hash else None
    return Watch(
        n_calibration=kept or target.calibration_wanted,
        threshold=target.threshold,
        interval_s=target.interval_s,
        n_channels=known.noise.n_channels,
        n_two_sided=known.noise.n_two_sided,
        has_burst=target.burst,
    )


def rerouted_share(target: Target, size: float) -> float:
    """The share of a run's answers, 0 … 1, that must come from another model to move a channel by ``size`` sd.

    A run's mean of n answers has 1/√n of one answer's sd, so a share p moves it by p · STRANGER_GAP · √n sd.
    """
    n_answers = sum(target.repeats_for(canary) for canary in target.canaries)
    return min(1.0, size / (STRANGER_GAP * math.sqrt(n_answers)))


def _baseline_cost(known: Known, target: Target) -> Cost:
    asks = {
        canary.id: (target.anchors_wanted if canary.anchors is None else canary.anchors)
        + target.calibration_wanted * target.repeats_for(canary)
        for canary in target.canaries
    }
    return cost_of(target, known.price, asks, known.tokens)


def _time_of_runs(watch: Watch, n_runs: int) -> float:
    """Seconds from the first of n suspicious runs to the last: bursts, then the next slot."""
    slots, further = divmod(n_runs - 1, watch.burst_runs + 1)
    return slots * watch.interval_s + further * BURST_GAP_S
