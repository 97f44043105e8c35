"""Series of runs made of recordings, judged by the detector itself: how many runs until the alarm?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.lab.endpoints import Endpoint, Readings, canary, canary_id, completion
from benchmarks.lab.recordings import Row
from driftwatch.detect import ChannelSpec, judge
from driftwatch.domain import Canary, Kind, Target
from driftwatch.score import CHANNELS, Reference, combine

THRESHOLD = 175_320.0
"""A: at most a 10 % chance of any false alarm per target and year, hourly, two kinds. The default."""
CALIBRATION = 168
"""K: a week of hourly runs. The default."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What one run asks."""

    name: str
    task: str
    prefix: str = ""
    """Of the prompt ids."""
    repeats: int = 1
    anchors: int = 8
    with_logprobs: bool = False


SUITES = (
    Suite(name="texts, T = 0", task="greedy"),
    Suite(name="texts, T = .8", task="sampled"),
    Suite(name="border inputs", task="probe", prefix="border"),
    Suite(name="border inputs with logprobs", task="probe", prefix="border", with_logprobs=True),
    Suite(name="one word, T = 1", task="word", repeats=2, anchors=16),
)


@dataclass(kw_only=True)
class Watch:
    """A calibrated watch over a suite of one endpoint; runs of any endpoint can be scored against it."""

    suite: Suite
    reference: Reference
    keys: tuple[tuple[str, str], ...]
    pool: Endpoint
    """What calibration draws from: all but the anchors."""
    readings: Readings
    _values: dict[tuple[str, str, tuple[int, ...]], float] = field(default_factory=dict)
    _rows: dict[int, Row] = field(default_factory=dict)

    @property
    def channels(self) -> tuple[str, ...]:
        """Those of behaviour. Speed and cost are another kind of incident, and were recorded on a busy machine."""
        return tuple(name for name in self.reference.weighings if CHANNELS[name].kind is Kind.BEHAVIOUR)

    @classmethod
    def over(cls, suite: Suite, endpoint: Endpoint, readings: Readings, seed: int) -> Watch:
        """Set anchors aside, without calibrating yet."""
        rng = np.random.default_rng(seed)
        keys = tuple(sorted(k for k in endpoint.prompts if k[0] == suite.task and k[1].startswith(suite.prefix)))
        kept: list[dict[tuple[str, str], Sequence[Row]]] = [{} for _ in endpoint.shares]
        anchors: dict[str, list[Row]] = {}
        for key in keys:
            drawn = [_seen(row, suite) for row in endpoint.draw(*key, suite.anchors, rng)]
            anchors[canary_id(drawn[0])] = drawn
            used = {(row.sample_idx, row.output) for row in drawn} if suite.task in {"sampled", "word"} else set()
            for rest, (_, rows_of) in zip(kept, endpoint.shares, strict=True):
                rest[key] = [row for row in rows_of[key] if (row.sample_idx, row.output) not in used]
        canaries = tuple(canary(those[0], repeats=suite.repeats) for those in anchors.values())
        target = Target(name="lab", provider="openai_compatible", model="smollm2", canaries=canaries)
        reference = Reference.from_anchors(
            target, {name: [completion(row) for row in rows] for name, rows in anchors.items()}, readings.embedder
        )
        shares = tuple((share, rest) for (share, _), rest in zip(endpoint.shares, kept, strict=True))
        return cls(suite=suite, reference=reference, keys=keys, pool=Endpoint(endpoint.name, shares), readings=readings)

    def runs(self, endpoint: Endpoint, n: int, rng: np.random.Generator, *, reuse: bool) -> dict[str, Floats]:
        """Channel → (n,) scores of n runs.

        Args:
            endpoint: who answers.
            n: runs.
            rng: who of several answers a request, and with which recorded completion.
            reuse: draw every run afresh from all recorded completions. Else none is used twice over the runs, so that
                a pool of few completions does not pass for a change of its own.
        """
        repeats = self.suite.repeats
        drawn = {}
        for key in self.keys:
            if reuse:
                drawn[key] = [row for _ in range(n) for row in endpoint.draw(*key, repeats, rng)]
            else:
                drawn[key] = endpoint.draw(*key, n * repeats, rng)
        scores: dict[str, list[float]] = {name: [] for name in self.channels}
        for t in range(n):
            of_run = {key: rows[t * repeats : (t + 1) * repeats] for key, rows in drawn.items()}
            for name, value in self.score(of_run).items():
                scores[name].append(value)
        return {name: np.array(values) for name, values in scores.items()}

    def score(self, of_run: Mapping[tuple[str, str], Sequence[Row]]) -> dict[str, float]:
        """What ``driftwatch.score.score`` says of a run, with every set of replies measured once."""
        rows = {canary_id(those[0]): [_seen(row, self.suite) for row in those] for those in of_run.values()}
        found = {}
        for name in self.channels:
            weighing = self.reference.weighings[name]
            values = {one.id: self._value(name, one, rows[one.id]) for one in self.reference.target.canaries
                      if one.id in weighing.weights}  # fmt: skip
            known = {key: value for key, value in values.items() if not math.isnan(value)}
            found[name] = combine(self.reference, name, known)
        return found

    def _value(self, name: str, one: Canary, rows: Sequence[Row]) -> float:
        answered = [row for row in rows if row.outcome == "ok"]
        key = (name, one.id, tuple(id(row) for row in answered))
        if key not in self._values:
            self._rows |= {id(row): row for row in answered}  # kept: an id is its own only while the row lives
            anchors = self.reference.anchors[one.id]
            self._values[key] = CHANNELS[name].measure(self.readings.of(answered), anchors, one)
        return self._values[key]


_unlisted: dict[int, tuple[Row, Row]] = {}


def _seen(row: Row, suite: Suite) -> Row:
    """The row as the suite sees it: the same object every time, without log-probabilities where it asks for none."""
    if suite.with_logprobs or row.logprobs is None:
        return row
    if id(row) not in _unlisted:
        _unlisted[id(row)] = (row, replace(row, logprobs=None))
    return _unlisted[id(row)][1]


def specs() -> list[ChannelSpec]:
    """The behaviour channels as detection knows them."""
    return [
        ChannelSpec(name=name, kind=channel.kind, two_sided=channel.two_sided)
        for name, channel in CHANNELS.items()
        if channel.kind is Kind.BEHAVIOUR
    ]


def alarm_after(calibration: Mapping[str, Floats], monitored: Mapping[str, Floats], *, seed: int) -> int | None:
    """Runs until the first behaviour alarm, 1 for the first run; None for no alarm."""
    found = judge(calibration, monitored, specs(), threshold=THRESHOLD, seed=seed)[Kind.BEHAVIOUR]
    return found.episodes[0].alarm + 1 if found.episodes else None
