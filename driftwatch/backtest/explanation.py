"""What an alarm in a recording was about: channels, prompts, words, and a reply before and after."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.backtest.grouping import RecordedRun
from driftwatch.detect import Episode, Finding, canary_evidence
from driftwatch.domain import Canary, CanaryEvidence, Completion, Kind, Score
from driftwatch.score import CHANNELS, explain as explain_change, medoid

LEADING = 3
"""Channels told of one alarm."""

LEAST_SHARE = 0.05
"""Part of the evidence below which a channel did not lead anything."""

MOST_COMPARED = 60
"""Replies a typical one is chosen among; the choice takes all pairs."""

MOST_TOLD, LEAST_TOLD = 2000, 40
"""Replies of each side that are put into words, over all prompts and per prompt: more would not change the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedChannel:
    """One channel's part in an alarm."""

    channel: str
    share: float
    """Part of the evidence at the alarm, 0 … 1."""
    calibration_mean: float
    since_onset_mean: float
    """Mean from the onset to the recovery, or to the end; NaN when never measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The typical reply to one prompt before and after."""

    canary_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One stretch of drift; positions count watched runs from 0."""

    kind: Kind
    onset: int
    """The run at which the change most likely began."""
    alarm: int
    recovery: int | None
    """The first run at which behaviour counts as calibrated again, None while it does not."""
    evidence: float
    """M at the alarm."""
    channels: tuple[MovedChannel, ...]
    """Strongest first, at least one."""
    headline: str | None
    """The kind of change in one sentence, None when no kind is beyond chance."""
    words: tuple[str, ...]
    """What a reader would notice; may be empty."""
    affected: tuple[str, ...]
    """Prompts that moved in the leading channel, at a false discovery rate of 5 %; strongest first."""
    n_prompts: int
    """Prompts that the leading channel measures."""
    pair: Pair | None
    """Of the prompt that moved most; None for performance, where the text is not the point."""

    @property
    def delay(self) -> int:
        """Runs from the onset to the alarm, both counted: 1 when the first changed run raised it."""
        return self.alarm - self.onset + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All that explanations are made of."""

    canaries: Sequence[Canary]
    before: Sequence[Completion]
    """Of anchors and calibration."""
    anchors: Mapping[str, Sequence[Completion]]
    calibration: Sequence[Sequence[Score]]
    watched: Sequence[Sequence[Score]]
    """Per watched run; empty where it was not judged."""
    runs: Sequence[RecordedRun]
    """The watched runs."""
    seed: int


def explain(material: Material, finding: Finding, episode: Episode) -> Alarm:
    """Explain one episode.

    Args:
        material: the whole replay.
        finding: of the episode's kind, over the series up to and including its alarm.
        episode: which one.
    """
    end = episode.recovery if episode.recovery is not None else len(material.runs)
    since = material.watched[episode.onset : end]
    ranked = sorted(finding.shares.items(), key=lambda item: (-item[1], item[0]))
    leading = [item for n, item in enumerate(ranked[:LEADING]) if n == 0 or item[1] >= LEAST_SHARE]
    canaries = _canaries(material, leading[0][0], since)
    after = [c for run in material.runs[episode.onset : end] for c in run.completions]
    change = explain_change(
        _first(material.before, len(material.canaries)),
        _first(after, len(material.canaries)),
        material.canaries,
        about=finding.kind,
        seed=material.seed,
    )
    return Alarm(
        kind=finding.kind,
        onset=episode.onset,
        alarm=episode.alarm,
        recovery=episode.recovery,
        evidence=float(finding.evidence[episode.alarm]),
        channels=tuple(
            MovedChannel(
                channel=name,
                share=share,
                calibration_mean=_mean(_values(material.calibration, name)),
                since_onset_mean=_mean(_values(since, name)),
            )
            for name, share in leading
        ),
        headline=change.headline.text if change.headline else None,
        words=tuple(effect.text for effect in change.effects),
        affected=tuple(canary.canary_id for canary in canaries if canary.is_affected),
        n_prompts=len(canaries),
        pair=_pair(material, canaries, after) if finding.kind is Kind.BEHAVIOUR else None,
    )


def _first(completions: Sequence[Completion], n_prompts: int) -> list[Completion]:
    """As many replies of every prompt as are told of, the earliest."""
    most = max(LEAST_TOLD, MOST_TOLD // max(1, n_prompts))
    so_far: Counter[str] = Counter()
    kept = []
    for completion in completions:
        if completion.is_ok and so_far[completion.canary_id] < most:
            so_far[completion.canary_id] += 1
            kept.append(completion)
    return kept


def _canaries(material: Material, channel: str, since: Sequence[Sequence[Score]]) -> tuple[CanaryEvidence, ...]:
    return canary_evidence(
        _by_canary(material.calibration, channel),
        _by_canary(since, channel),
        two_sided=CHANNELS[channel].two_sided,
        seed=material.seed,
    )


def _by_canary(scored: Sequence[Sequence[Score]], channel: str) -> dict[str, NDArray[np.float64]]:
    by_run = [found.by_canary for scores in scored for found in scores if found.channel == channel]
    names = sorted({name for values in by_run for name in values})
    return {name: np.array([values.get(name, np.nan) for values in by_run], dtype=np.float64) for name in names}


def _values(scored: Sequence[Sequence[Score]], channel: str) -> list[float]:
    return [found.value for scores in scored for found in scores if found.channel == channel and found.is_measured]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _pair(material: Material, canaries: Sequence[CanaryEvidence], after: Sequence[Completion]) -> Pair | None:
    """Of the prompt that carries most evidence and has replies on both sides."""
    for canary in canaries:
        new = [c for c in after if c.canary_id == canary.canary_id and c.is_ok][:MOST_COMPARED]
        old = material.anchors.get(canary.canary_id, ())
        if old and new:
            return Pair(canary_id=canary.canary_id, before=medoid(old).text, after=medoid(new).text)
    return None
