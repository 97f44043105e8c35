"""The alarm budget: from the false alarms an operator accepts to the evidence an alarm needs, and what it costs."""

from __future__ import annotations

import math

import numpy as np

from driftwatch.detect import layout, rank
from driftwatch.detect.watcher import MINIMUM_CALIBRATION, OVERALL_WEIGHT


def threshold(
    *,
    runs_per_year: float,
    false_alarms_per_year: float | None = None,
    chance_of_any_per_year: float | None = None,
    n_targets: int = 1,
    n_kinds: int = 2,
) -> float:
    """Say how much evidence an alarm needs: A = runs_per_year · n_kinds · n_targets / budget.

    A watch with threshold A has an average run length of at least A runs and P(alarm by run H) ≤ H/A. Behaviour and
    performance are watched by a detector each, whose false alarms add up: hence n_kinds. The same holds for
    the targets of a fleet whose budget is one for all: hence n_targets, 1 when each target has its own.

    Args:
        runs_per_year: above 0; 8,766 for hourly runs.
        false_alarms_per_year: accepted on average, above 0.
        chance_of_any_per_year: accepted chance of one or more in a year, above 0 and below 1. Exactly one of
            the two budgets must be given.
        n_targets: targets that share the budget, 1 or more.
        n_kinds: detectors per target, 1 or more.

    Returns:
        A, in runs; at least 2.

    Raises:
        ValueError: both budgets or none given, or a number outside its range.

    Source: Shin, Ramdas & Rinaldo, arXiv 2203.03532 (an e-detector's ARL ≥ A); P(alarm by H) ≤ H/A is Markov's
    inequality for the stopped detector, whose mean is at most H.

    >>> threshold(runs_per_year=8766, false_alarms_per_year=1)
    17532.0
    >>> threshold(runs_per_year=8766, chance_of_any_per_year=0.1, n_kinds=1)
    87660.0
    """
    if (false_alarms_per_year is None) == (chance_of_any_per_year is None):
        raise ValueError("give either false_alarms_per_year or chance_of_any_per_year, not both and not neither")
    if not (math.isfinite(runs_per_year) and runs_per_year > 0):
        raise ValueError(f"runs_per_year is {runs_per_year}; it must be above 0")
    if n_targets < 1 or n_kinds < 1:
        raise ValueError(f"n_targets is {n_targets} and n_kinds {n_kinds}; both must be 1 or more")
    if chance_of_any_per_year is not None:
        if not 0 < chance_of_any_per_year < 1:
            raise ValueError(f"chance_of_any_per_year is {chance_of_any_per_year}; it must lie between 0 and 1")
        accepted = chance_of_any_per_year
    else:
        accepted = false_alarms_per_year or 0.0
        if not (math.isfinite(accepted) and accepted > 0):
            raise ValueError(f"false_alarms_per_year is {false_alarms_per_year}; it must be above 0")
    # Below 2 the first run of all would alarm: a budget of more alarms than runs is no budget.
    return max(2.0, runs_per_year * n_kinds * n_targets / accepted)


def shortest_delay(n_calibration: int, threshold: float) -> int:
    """The fewest runs any rank detector needs for an alarm: ⌈ln A / ln(K + 1)⌉.

    One run is worth at most ln(K + 1) nats: no rank is rarer than one in K + 1. ``full_swap_delay`` says what
    this detector really needs.

    Args:
        n_calibration: K, 1 or more.
        threshold: A, above 1.

    Returns:
        Runs, 1 or more.

    Raises:
        ValueError: K or A outside its range.

    >>> shortest_delay(168, 8766.0)
    2
    """
    if n_calibration < 1 or not threshold > 1:
        raise ValueError(f"K is {n_calibration} and A {threshold}; K must be 1 or more and A above 1")
    return math.ceil(math.log(threshold) / math.log(n_calibration + 1) - 1e-12)


def full_swap_delay(
    n_calibration: int,
    threshold: float,
    *,
    n_channels: int,
    n_moved: int = 1,
    two_sided: bool = False,
) -> int:
    """How many runs pass until the alarm when every run scores above all calibration runs, found by running it.

    Counts the cost that ``shortest_delay`` leaves out: the weights of the average, the channels that did not move,
    and that each extreme run makes the next less surprising. It leaves out the evidence that the backstop
    adds and what had gathered before the change; both can only shorten the delay.

    Args:
        n_calibration: K, 20 or more: with fewer runs a channel is not judged.
        threshold: A, above 1.
        n_channels: channels of the kind that share the average, 1 or more.
        n_moved: channels that moved, 1 … n_channels.
        two_sided: whether the moved channels are two-sided, which halves the weight of their moved side.

    Returns:
        Runs, 1 or more.

    Raises:
        ValueError: a number outside its range.

    >>> full_swap_delay(168, 17532.0, n_channels=1), full_swap_delay(168, 175320.0, n_channels=8)
    (3, 4)
    """
    if n_calibration < MINIMUM_CALIBRATION or not (threshold > 1 and math.isfinite(threshold)):
        raise ValueError(
            f"K is {n_calibration} and A {threshold}; K must be {MINIMUM_CALIBRATION} or more and A a number above 1",
        )
    if not 1 <= n_moved <= n_channels:
        raise ValueError(f"n_moved is {n_moved} of {n_channels} channels; it must lie between 1 and their number")
    of_channels = 1.0 if n_channels == 1 else 1.0 - OVERALL_WEIGHT
    side = 0.5 if two_sided else 1.0
    weights = layout.SET_WEIGHTS * of_channels * side * (n_moved / n_channels)
    weights = weights + (1.0 - of_channels) * layout.SET_WEIGHTS / layout.SET_WEIGHTS.sum()
    sizes, k = rank.set_sizes(n_calibration), np.array(n_calibration)
    everywhere = np.ones(sizes.size, dtype=bool)
    held = np.zeros_like(weights)
    n_runs = 0
    while float((weights * held).sum()) < threshold:
        so_far = np.array(n_runs)
        held = rank.bets(everywhere, rank.predictive(sizes, k, so_far, so_far)) * (1.0 + held)
        n_runs += 1
    return n_runs
