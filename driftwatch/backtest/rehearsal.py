"""What the daemon would have said: anchors, calibration and watch replayed over recorded runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from driftwatch.alert.text import count
from driftwatch.backtest.explanation import Alarm, Material, explain
from driftwatch.backtest.grouping import By, Grouping, RecordedRun
from driftwatch.collecting import MAX_ANCHOR_FAILURE_SHARE
from driftwatch.detect import ChannelSpec, Finding, judge
from driftwatch.detect.finding import MINIMUM_CALIBRATION
from driftwatch.domain import Canary, Completion, Kind, Score, Target
from driftwatch.judgement import MAX_FAILURE_SHARE
from driftwatch.score import CHANNELS, Embedder, Reference, score

Floats = NDArray[np.float64]

PATIENCE = 3
"""Further runs that a prompt without enough anchors is waited for, as the daemon waits; see collecting.ANCHOR_RUNS."""

NAMED = 3


class Answer(StrEnum):
    """What a backtest comes to."""

    QUIET = "quiet"
    DRIFT = "drift"
    INCONCLUSIVE = "inconclusive"
    """There are not enough runs, nothing in them can be measured, or the calibration runs were no steady normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the recorded runs are used."""

    anchors: int
    """Replies per prompt that later ones are compared to, 2 or more."""
    calibration: int
    """Runs that teach the natural noise, 20 or more."""
    may_shorten: bool
    """Whether fewer calibration runs will do where the recording is short: nobody asked for a number."""
    threshold: float
    """A, the evidence at which an alarm is raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRun:
    """One run after calibration."""

    name: str
    at: datetime
    evidence: Mapping[Kind, float]
    """Kind → M after this run."""
    is_judged: bool
    """False when too many of its requests failed: it says nothing, and evidence is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The outcome of a backtest."""

    answer: Answer
    reason: str
    """One sentence without a full stop."""
    n_anchor_runs: int
    n_calibration: int
    threshold: float
    watched: tuple[WatchedRun, ...]
    alarms: tuple[Alarm, ...]
    """In order of their alarm runs."""
    channels: tuple[str, ...]
    """Those that were judged."""
    kinds: tuple[Kind, ...]
    """Those of which at least one channel was judged; the evidence of any other says nothing."""
    left_out: tuple[str, ...]
    """Prompts with too few replies to be compared to."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """The runs by what they are used for."""

    anchors: Mapping[str, tuple[Completion, ...]]
    """Prompt id → its first replies; only prompts that have enough."""
    n_anchor_runs: int
    rest: tuple[RecordedRun, ...]
    left_out: tuple[str, ...]


def rehearse(grouping: Grouping, plan: Plan, embedder: Embedder | None) -> Rehearsal:
    """Replay a recording as if the daemon had watched it.

    The first runs become anchors until every prompt has enough, the next ones calibration, the rest is watched with
    the daemon's own scoring and detection, run after run: no run is judged by anything later than itself.

    Args:
        grouping: the runs, oldest first.
        plan: how many anchors and calibration runs, and the threshold.
        embedder: None leaves out the channels that need one.

    Returns:
        INCONCLUSIVE, with the reason, when fewer than 20 calibration runs and one watched run remain, no channel can
        be measured, or the calibration runs were themselves no steady normal; else DRIFT when any alarm was raised,
        recovered or not; else QUIET.

    Raises:
        EmbedderUnavailable: the weights cannot be loaded.
    """
    split = _split(grouping, plan.anchors)
    usable = [run for run in split.rest if run.failure_share <= MAX_FAILURE_SHARE]
    k = min(plan.calibration, max(MINIMUM_CALIBRATION, len(usable) // 2)) if plan.may_shorten else plan.calibration
    if not split.anchors:
        return _inconclusive(plan, split, f"no prompt has the {_least(plan.anchors)} replies that anchors take")
    if len(usable) < k + 1:
        return _inconclusive(plan, split, _missing(grouping, split, len(usable), k))
    last = usable[k - 1]
    calibration, watched = usable[:k], split.rest[split.rest.index(last) + 1 :]
    target = _target(grouping, split, plan)
    reference = Reference.from_anchors(target, split.anchors, embedder)
    before = [score(reference, run.completions) for run in calibration]
    since = [score(reference, run.completions) if _is_judged(run) else () for run in watched]
    specs = [
        ChannelSpec(name=channel.name, kind=channel.kind, two_sided=channel.two_sided)
        for channel in CHANNELS.values()
        if grouping.has_latency or channel.name != "latency"
    ]
    usual, monitored = _columns(before), _columns(since)
    judged = tuple(
        spec.name
        for spec in specs
        if spec.name in usual and int(np.isfinite(usual[spec.name]).sum()) >= MINIMUM_CALIBRATION
    )
    if not judged:
        return _inconclusive(plan, split, f"no channel could be measured in {MINIMUM_CALIBRATION} calibration runs")

    def found(n_runs: int) -> dict[Kind, Finding]:
        return judge(
            usual,
            {name: values[:n_runs] for name, values in monitored.items()},
            specs,
            threshold=plan.threshold,
            seed=int(target.suite_hash, 16),
            calibrated_at=_times(calibration),
            monitored_at=_times(watched[:n_runs]),
        )

    material = Material(
        canaries=target.canaries,
        before=[c for those in split.anchors.values() for c in those] + [c for r in calibration for c in r.completions],
        anchors=split.anchors,
        calibration=before,
        watched=since,
        runs=watched,
        seed=int(target.suite_hash, 16),
    )
    findings = found(len(watched))
    alarms = sorted(
        (
            explain(material, found(episode.alarm + 1)[kind], episode)
            for kind, finding in findings.items()
            if not finding.problem
            for episode in finding.episodes
        ),
        key=lambda alarm: (alarm.alarm, alarm.kind),
    )
    kinds = tuple(kind for kind in findings if any(CHANNELS[name].kind is kind for name in judged))
    problems = [
        f"{kind} cannot be judged: {finding.problem}"
        for kind, finding in findings.items()
        if finding.problem and kind in kinds
    ]
    behaviour = findings[Kind.BEHAVIOUR]
    if not alarms and behaviour.problem:
        said = problems or [f"behaviour cannot be judged: {behaviour.problem}"]
        return _inconclusive(
            plan, split, "; ".join([*said, "begin with runs you trust: leave the lines before them out"])
        )
    return Rehearsal(
        answer=Answer.DRIFT if alarms else Answer.QUIET,
        reason=_reason(alarms, len(watched)),
        n_anchor_runs=split.n_anchor_runs,
        n_calibration=k,
        threshold=plan.threshold,
        watched=tuple(
            WatchedRun(
                name=run.name,
                at=run.at,
                evidence={kind: float(finding.evidence[position]) for kind, finding in findings.items()},
                is_judged=_is_judged(run),
            )
            for position, run in enumerate(watched)
        ),
        alarms=tuple(alarms),
        channels=judged,
        kinds=kinds,
        left_out=split.left_out,
        notes=(*problems, *_notes(grouping, plan, split, k, watched), *_ties(usual, monitored, judged, kinds)),
    )


def _is_judged(run: RecordedRun) -> bool:
    return run.failure_share <= MAX_FAILURE_SHARE


def _least(wanted: int) -> int:
    """As domain.Baseline.least_anchors."""
    return max(2, (wanted + 1) // 2)


def _split(grouping: Grouping, wanted: int) -> _Split:
    """Take runs as anchors until every prompt has enough, or the slower ones have been waited for long enough."""
    anchors: dict[str, list[Completion]] = {canary.id: [] for canary in grouping.canaries}
    n_runs, patience = 0, PATIENCE
    for run in grouping.runs:
        if all(len(those) >= wanted for those in anchors.values()) or patience == 0:
            break
        n_runs += 1
        if run.failure_share > MAX_ANCHOR_FAILURE_SHARE:
            continue
        if any(len(those) >= wanted for those in anchors.values()):
            patience -= 1
        for completion in run.completions:
            if completion.is_ok and len(anchors[completion.canary_id]) < wanted:
                anchors[completion.canary_id].append(completion)
    enough = {canary_id: tuple(those) for canary_id, those in anchors.items() if len(those) >= _least(wanted)}
    return _Split(
        anchors=enough,
        n_anchor_runs=n_runs,
        rest=grouping.runs[n_runs:],
        left_out=tuple(canary_id for canary_id in anchors if canary_id not in enough),
    )


def _target(grouping: Grouping, split: _Split, plan: Plan) -> Target:
    canaries: list[Canary] = [canary for canary in grouping.canaries if canary.id in split.anchors]
    return Target(
        name="recording",
        provider="recorded",
        model=grouping.model,
        canaries=tuple(canaries),
        interval_s=grouping.interval_s,
        threshold=plan.threshold,
        anchors_wanted=plan.anchors,
        calibration_wanted=plan.calibration,
    )


def _times(runs: Sequence[RecordedRun]) -> Floats:
    """(runs,) seconds since 1970."""
    return np.array([run.at.timestamp() for run in runs], dtype=np.float64)


def _columns(scored: Sequence[Sequence[Score]]) -> dict[str, Floats]:
    """Channel → (runs,) scores, NaN where a run has none."""
    by_run = [{found.channel: found.value for found in scores} for scores in scored]
    names = dict.fromkeys(name for values in by_run for name in values)
    return {name: np.array([values.get(name, np.nan) for values in by_run], dtype=np.float64) for name in names}


def _inconclusive(plan: Plan, split: _Split, reason: str) -> Rehearsal:
    return Rehearsal(
        answer=Answer.INCONCLUSIVE,
        reason=reason,
        n_anchor_runs=split.n_anchor_runs,
        n_calibration=0,
        threshold=plan.threshold,
        watched=(),
        alarms=(),
        channels=(),
        kinds=(),
        left_out=split.left_out,
        notes=(),
    )


def _missing(grouping: Grouping, split: _Split, n_usable: int, k: int) -> str:
    failing = len(split.rest) - n_usable
    fewer = f", {failing} of them with too many failures to count" if failing else ""
    hints = {By.RUN: "", By.TIME: "; a shorter --every makes more runs", By.SAMPLE: "; fewer --repeats make more runs"}
    hint = hints[grouping.by] if grouping.can_split else ""
    return (
        f"the recording has {count(len(grouping.runs), 'run')}{fewer}: {split.n_anchor_runs} became anchors, {k} are "
        f"needed to calibrate and one to watch, so {k + 1 - n_usable} more are needed{hint}"
    )


def _reason(alarms: Sequence[Alarm], n_watched: int) -> str:
    if not alarms:
        return f"no alarm in {count(n_watched, 'watched run')}"
    standing = sum(alarm.recovery is None for alarm in alarms)
    ended = len(alarms) - standing
    said = f"{count(len(alarms), 'alarm')} in {count(n_watched, 'watched run')}"
    if not ended:
        return said
    return f"{said}, {ended} recovered since" if standing else f"{said}, recovered since"


def _ties(
    usual: Mapping[str, Floats], monitored: Mapping[str, Floats], judged: Sequence[str], kinds: Sequence[Kind]
) -> list[str]:
    """A note for every kind whose channels all stand still: ranks among equals are drawn, and so is its evidence."""
    both = {name: np.concatenate([usual[name], monitored.get(name, np.array([]))]) for name in judged}
    still = {name for name, values in both.items() if len(np.unique(values[np.isfinite(values)])) == 1}
    return [
        f"{kind} is measured the same in every run: its evidence comes from ties that are drawn at random"
        for kind in kinds
        if all(name in still for name in judged if CHANNELS[name].kind is kind)
    ]


def _notes(grouping: Grouping, plan: Plan, split: _Split, k: int, watched: Sequence[RecordedRun]) -> tuple[str, ...]:
    said = []
    if k < plan.calibration:
        said.append(
            f"calibrated on {k} runs, not the usual {plan.calibration}: the recording is short, and a longer "
            "calibration finds a change sooner"
        )
    if split.left_out:
        rest = f" and {len(split.left_out) - NAMED} more" if len(split.left_out) > NAMED else ""
        said.append(f"not judged, for too few early replies: {', '.join(split.left_out[:NAMED])}{rest}")
    failing = sum(not _is_judged(run) for run in watched)
    if failing:
        said.append(f"{count(failing, 'watched run')} failed more than {MAX_FAILURE_SHARE:.0%} of requests: not judged")
    if grouping.has_some_latency:
        said.append("latency is not judged: not every reply tells its latency_s")
    return tuple(said)
