"""Plan: what watching a target costs and how soon it tells, before it is done; and which setting meets a wish.

``forecasts`` works out one setting, ``solve`` looks for another one, ``drawing`` plots both. Delays come from running
the real detector on simulated scores (``delays``); how much a target varies is measured or assumed (``noise``).
"""

from __future__ import annotations

from driftwatch.plan.delays import Delay, Watch, delay, smallest_visible, swap_delay
from driftwatch.plan.drawing import picture
from driftwatch.plan.forecasts import (
    CHANGES,
    ONE_WORD_SHIFTS,
    SWAP,
    Forecast,
    Known,
    Setting,
    forecast,
    rerouted_share,
)
from driftwatch.plan.noise import Noise, Spread, assumed_noise, observe
from driftwatch.plan.solve import AS_FAST, INTERVALS_S, Answer, Remake, Wish, within_budget, within_delay

__all__ = [
    "AS_FAST",
    "CHANGES",
    "INTERVALS_S",
    "ONE_WORD_SHIFTS",
    "SWAP",
    "Answer",
    "Delay",
    "Forecast",
    "Known",
    "Noise",
    "Remake",
    "Setting",
    "Spread",
    "Watch",
    "Wish",
    "assumed_noise",
    "delay",
    "forecast",
    "observe",
    "picture",
    "rerouted_share",
    "smallest_visible",
    "swap_delay",
    "within_budget",
    "within_delay",
]
