"""How soon an alarm follows a change of a given size: the real detector, run on simulated scores."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftwatch.burst import LONGEST
from driftwatch.detect import ChannelSpec, Watcher, watchers
from driftwatch.detect.watcher import FLOOR, MINIMUM_CALIBRATION, SUSPICIOUS_SHARE
from driftwatch.domain import Kind
from driftwatch.judgement import kinds_watched
from driftwatch.schedule import FOLLOW_UP_GAP

Floats = NDArray[np.float64]

SIZES = tuple(0.5 * 2 ** (step / 2) for step in range(9))
"""Change sizes that are simulated, in sd: .5, .7, 1 … 8. What lies between is interpolated, above 8 is taken as 8."""

SWAP_SD = 10.0
"""How far a full swap moves every second channel, in sd: beyond all of calibration, whatever its length."""

N_SERIES = 48
"""Simulated series per size: a median delay that is a matter of luck then has a standard error of about 12 %."""

HORIZON = 1024
"""Runs after the change at which a series is given up: it counts as never alarmed."""

BEFORE = 24
"""Watched runs before the change."""

BURST_GAP_S = FOLLOW_UP_GAP.total_seconds()
"""Seconds between the runs of a confirmation burst."""

LEVEL, SD, CORRELATION = 0.2, 0.04, 0.5
"""Mean and sd of the simulated scores, and the correlation of a run's channels. The ranks decide nearly everything:
level and sd matter to the bounded-mean backstop only, which has an eighth of the weight."""

SEED = 20_261_123
"""Of the simulated series. The same noise is used for every size, so that a larger change is never found later."""

STAGES = (6, 12, 24, 48, 96, 192, 384, 640, HORIZON)
"""Runs after the change that are simulated first, second …: most series have alarmed long before the last."""

HOUR_S = 3600.0
"""Simulated runs are an hour apart. They have no rhythm and no dependence to learn, so it does not matter."""

_LEAST_CEILING = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the delay depends on."""

    n_calibration: int
    """K, 20 or more."""
    threshold: float
    """A, in runs, above 1."""
    interval_s: float
    """Seconds from run to run, above 0."""
    n_channels: int = 7
    """Behaviour channels that share the evidence, 1 or more."""
    n_two_sided: int = 1
    """Those of them whose fall is drift too, 0 … n_channels."""
    has_burst: bool = True
    """Whether a suspicious run is followed by a confirmation burst."""

    def __post_init__(self) -> None:
        """Refuse what no detector could be run with."""
        if self.n_calibration < MINIMUM_CALIBRATION:
            raise ValueError(f"K is {self.n_calibration}; a channel is judged from {MINIMUM_CALIBRATION} runs on")
        if not (self.threshold > 1 and math.isfinite(self.threshold)):
            raise ValueError(f"the threshold is {self.threshold}; it must be a number above 1")
        if not (self.interval_s > 0 and math.isfinite(self.interval_s)):
            raise ValueError(f"the interval is {self.interval_s} s; it must be above 0")
        if not 0 <= self.n_two_sided <= self.n_channels or self.n_channels < 1:
            raise ValueError(f"{self.n_two_sided} of {self.n_channels} channels are two-sided; that cannot be")

    @property
    def burst_runs(self) -> int:
        """The most further runs after a suspicious one: none where a whole burst does not fit between two slots."""
        return LONGEST if self.has_burst and self.interval_s >= (LONGEST + 1) * BURST_GAP_S else 0

    @property
    def burst_share(self) -> float:
        """Runs that bursts add while nothing changes, as a share of the scheduled ones.

        Each kind finds an unchanged run suspicious with chance g/(K + 1), g the gaps of ``suspicious_gaps``; a burst
        goes on for as long as its latest run is suspicious too.
        """
        alone = suspicious_gaps(self.n_calibration) / (self.n_calibration + 1)
        either = 1.0 - (1.0 - alone) ** kinds_watched()
        return math.fsum(either**n for n in range(1, self.burst_runs + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """From the change to the alarm; infinite when it is not raised within ``HORIZON`` runs."""

    runs: float
    """Median runs, those of confirmation bursts included; 1 = the first run after the change."""
    runs_90: float
    """90th percentile."""
    seconds: float
    """Median seconds, counted from the change itself, which falls anywhere between two runs."""
    seconds_90: float


def delay(watch: Watch, size: float, *, n_series: int = N_SERIES, seed: int = SEED) -> Delay:
    """How soon a change that moves one channel by ``size`` sd is told.

    Args:
        watch: the detector's setting.
        size: how far the channel's mean moves, in sd of the channel from run to run; above 0. Below the smallest of
            SIZES the answer is infinite, above the largest it is that of the largest.
        n_series: simulated series per size.
        seed: of the simulation.

    Returns:
        Quantiles over calibrations, noise, and where between two runs the change falls.

    Assumptions: independent runs, normal scores, channels correlated by .5, ``BEFORE`` unchanged runs before the
    change. What daily rhythm or dependent runs add to the delay is not in it.
    """
    if not size > 0:
        raise ValueError(f"the change is {size} sd; it must be above 0")
    if size < SIZES[0] - 1e-9:
        return Delay(runs=math.inf, runs_90=math.inf, seconds=math.inf, seconds_90=math.inf)
    position = min(2 * math.log2(size / SIZES[0]), len(SIZES) - 1.0)
    low = min(int(position + 1e-9), len(SIZES) - 1)
    share = position - low
    first = _at(watch, SIZES[low], 1, n_series, seed)
    if share < 1e-6:  # noqa: PLR2004 - a size of the grid, up to rounding
        return first
    second = _at(watch, SIZES[low + 1], 1, n_series, seed)
    return Delay(
        runs=_between(first.runs, second.runs, share),
        runs_90=_between(first.runs_90, second.runs_90, share),
        seconds=_between(first.seconds, second.seconds, share),
        seconds_90=_between(first.seconds_90, second.seconds_90, share),
    )


def swap_delay(watch: Watch, *, n_series: int = N_SERIES, seed: int = SEED) -> Delay:
    """How soon another model behind the name is told: every second channel moves by SWAP_SD."""
    return _at(watch, SWAP_SD, math.ceil(watch.n_channels / 2), n_series, seed)


def smallest_visible(watch: Watch, within_s: float, *, n_series: int = N_SERIES, seed: int = SEED) -> float | None:
    """The smallest change that is told within a time in half of all cases, in sd; None when none of SIZES is.

    Args:
        watch: the detector's setting.
        within_s: seconds from the change to the alarm.
        n_series: as for ``delay``.
        seed: as for ``delay``.
    """

    def seconds(position: int) -> float:
        return delay(watch, SIZES[position], n_series=n_series, seed=seed).seconds

    visible, hidden = len(SIZES), -1
    while visible - hidden > 1:
        middle = (visible + hidden) // 2
        if seconds(middle) <= within_s:
            visible = middle
        else:
            hidden = middle
    if visible == len(SIZES):
        return None
    if hidden < 0 or math.isinf(seconds(hidden)):
        return SIZES[visible]
    # Log-log, as in ``delay``: the size at which the line between the two crosses the wish.
    share = math.log(seconds(hidden) / within_s) / math.log(seconds(hidden) / seconds(visible))
    return float(SIZES[hidden] * (SIZES[visible] / SIZES[hidden]) ** share)


def suspicious_gaps(n_calibration: int) -> int:
    """How many of the K + 1 top ranks make a run suspicious: 1 % of them, at least one.

    >>> suspicious_gaps(168), suspicious_gaps(336)
    (2, 3)
    """
    return max(1, round(SUSPICIOUS_SHARE * (n_calibration + 1)))


# ---------------------------------------------------------------- one size


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    """What the detector said over the simulated series."""

    before: Floats
    """(n,) the highest evidence before the change."""
    evidence: Floats
    """(n, H) evidence after each run since the change; infinite from the alarm at the ceiling on."""
    is_suspicious: NDArray[np.bool_]
    """(n, H)."""


@lru_cache(maxsize=512)
def _at(watch: Watch, size: float, n_moved: int, n_series: int, seed: int) -> Delay:
    bench = _Bench(
        n_calibration=watch.n_calibration,
        n_channels=watch.n_channels,
        n_two_sided=watch.n_two_sided,
        n_series=n_series,
        seed=seed,
        ceiling=max(_LEAST_CEILING, 10.0 ** math.ceil(math.log10(watch.threshold))),
    )
    paths = _paths(bench, size, n_moved)
    calm = paths.before < watch.threshold
    if not calm.any():
        # A threshold that noise passes at once: every series had alarmed before there was anything to find.
        return Delay(runs=math.inf, runs_90=math.inf, seconds=math.inf, seconds_90=math.inf)
    over = paths.evidence[calm] >= watch.threshold
    n_runs = np.where(over.any(axis=1), over.argmax(axis=1) + 1, np.inf)
    clock = _clock(paths.is_suspicious[calm], watch, seed)
    last = np.minimum(n_runs, clock.shape[1]).astype(np.int64) - 1
    seconds = np.where(np.isinf(n_runs), np.inf, clock[np.arange(last.size), last])
    runs, runs_90 = (float(q) for q in np.quantile(n_runs, [0.5, 0.9], method="inverted_cdf"))
    middle, late = (float(q) for q in np.quantile(seconds, [0.5, 0.9], method="inverted_cdf"))
    return Delay(runs=runs, runs_90=runs_90, seconds=middle, seconds_90=late)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What a simulation is of; one serves every interval and every threshold up to its ceiling."""

    n_calibration: int
    n_channels: int
    n_two_sided: int
    n_series: int
    seed: int
    ceiling: float
    """A threshold that is not below the one asked for: until an alarm, evidence does not depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """One simulated series at the moment of the change."""

    calibration: Floats
    """(K, C)."""
    unchanged: Floats
    """(HORIZON, C) what would be scored if nothing changed."""
    before: float
    """The highest evidence so far; infinite when it has alarmed."""
    watcher: bytes
    """A pickled Watcher: a fresh one for every change costs a tenth of a deep copy."""


@lru_cache(maxsize=128)
def _paths(bench: _Bench, size: float, n_moved: int) -> _Paths:
    evidence = np.full((bench.n_series, HORIZON), np.inf)
    suspicious = np.zeros((bench.n_series, HORIZON), dtype=np.bool_)
    longest = 0
    everything = _series(bench)
    for number, series in enumerate(everything):
        watcher: Watcher = pickle.loads(series.watcher)  # noqa: S301 - written below
        start = 0
        for stop in STAGES:
            # Each stage begins where the last one ended: what a watcher said of earlier runs never changes.
            changed = _changed(series.unchanged[start:stop], size, n_moved)
            told = watcher.extend(_by_channel(changed), _hours(start + _n_before(bench), stop + _n_before(bench)))
            over = np.flatnonzero(told >= bench.ceiling)
            reached = int(over[0]) if over.size else stop - start
            evidence[number, start : start + reached] = told[:reached]
            if over.size:
                break
            start = stop
        changed = _changed(series.unchanged[:stop], size, n_moved)
        suspicious[number, :stop] = _suspicious(series.calibration, changed, bench.n_two_sided)
        longest = max(longest, stop)
    # Runs that no series was simulated for are after every alarm.
    return _Paths(
        before=np.array([series.before for series in everything]),
        evidence=evidence[:, :longest],
        is_suspicious=suspicious[:, :longest],
    )


@lru_cache(maxsize=16)
def _series(bench: _Bench) -> tuple[_Series, ...]:
    """Learning from calibration is the dear part: done once, whatever changes of whatever size follow."""
    made = []
    for number in range(bench.n_series):
        rng = np.random.default_rng([bench.seed, number])
        scores = _scores(rng, _n_before(bench) + HORIZON, bench.n_channels)
        calibration = scores[: bench.n_calibration]
        specs = _specs(bench.n_channels, bench.n_two_sided)
        [watcher] = watchers(_by_channel(calibration), specs, threshold=bench.ceiling, seed=number).values()
        calm = scores[bench.n_calibration : _n_before(bench)]
        told = watcher.extend(_by_channel(calm), _hours(bench.n_calibration, _n_before(bench)))
        made.append(
            _Series(
                calibration=calibration,
                unchanged=scores[_n_before(bench) :],
                before=math.inf if watcher.episodes else float(told.max()),
                watcher=pickle.dumps(watcher),
            )
        )
    return tuple(made)


def _hours(start: int, stop: int) -> Floats:
    """When the runs start … stop − 1 are, s: an hour apart, as ``judge`` takes them to be."""
    return np.arange(start, stop, dtype=np.float64) * HOUR_S


def _n_before(bench: _Bench) -> int:
    return bench.n_calibration + BEFORE


def _changed(unchanged: Floats, size: float, n_moved: int) -> Floats:
    scores = unchanged.copy()
    scores[:, :n_moved] += size * SD
    return np.clip(scores, 0.0, 1.0)


def _by_channel(scores: Floats) -> dict[str, Floats]:
    return {f"c{i:02d}": scores[:, i] for i in range(scores.shape[1])}


def _specs(n_channels: int, n_two_sided: int) -> list[ChannelSpec]:
    """One-sided channels first: the first ones move."""
    return [
        ChannelSpec(name=f"c{i:02d}", kind=Kind.BEHAVIOUR, two_sided=i >= n_channels - n_two_sided)
        for i in range(n_channels)
    ]


def _scores(rng: np.random.Generator, n_runs: int, n_channels: int) -> Floats:
    """(n_runs, C) unchanged scores in [0, 1]."""
    z = rng.standard_normal((n_runs, n_channels + 1))
    mixed = math.sqrt(CORRELATION) * z[:, :1] + math.sqrt(1.0 - CORRELATION) * z[:, 1:]
    return np.clip(LEVEL + SD * mixed, 0.0, 1.0)


def _suspicious(calibration: Floats, monitored: Floats, n_two_sided: int) -> NDArray[np.bool_]:
    """Whether each run's most unusual channel ranks among the top 1 % of the calibration runs' most unusual ones."""
    centre, spread = calibration.mean(axis=0), calibration.std(axis=0, ddof=1) + FLOOR
    usual, now = (calibration - centre) / spread, (monitored - centre) / spread
    if n_two_sided:
        usual[:, -n_two_sided:], now[:, -n_two_sided:] = abs(usual[:, -n_two_sided:]), abs(now[:, -n_two_sided:])
    bar: float = np.sort(usual.max(axis=1))[-suspicious_gaps(len(usual))]
    reached: NDArray[np.bool_] = now.max(axis=1) > bar
    return reached


def _clock(is_suspicious: NDArray[np.bool_], watch: Watch, seed: int) -> Floats:
    """(n, H) seconds from the change to each run: slots, and after one a burst for as long as runs are suspicious."""
    n_series, n_runs = is_suspicious.shape
    # The change falls anywhere between two slots; stratified, so that no simulation has more luck than another.
    wait = np.random.default_rng([seed, n_series]).permutation((np.arange(n_series) + 0.5) / n_series)
    slot = wait * watch.interval_s
    at, made = slot.copy(), np.zeros(n_series, dtype=np.int64)
    clock = np.empty((n_series, n_runs))
    for run in range(n_runs):
        clock[:, run] = at
        further = is_suspicious[:, run] & (made < watch.burst_runs)
        made = np.where(further, made + 1, 0)
        slot = np.where(further, slot, slot + watch.interval_s)
        at = np.where(further, at + BURST_GAP_S, slot)
    return clock


def _between(first: float, second: float, share: float) -> float:
    """Geometric interpolation; a part of the way from never to sometime is never."""
    return math.inf if math.isinf(first) or math.isinf(second) else first * (second / first) ** share
