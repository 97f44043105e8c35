"""From the stored series to a Verdict: recomputable at any time, by the daemon and by a backtest alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect import ChannelSpec, Finding, canary_evidence, judge
from driftwatch.detect.finding import MINIMUM_CALIBRATION
from driftwatch.domain import (
    Baseline,
    BaselineState,
    Canary,
    CanaryEvidence,
    ChannelEvidence,
    Kind,
    KindEvidence,
    Purpose,
    Run,
    RunState,
    SeriesRow,
    State,
    Target,
    Verdict,
)
from driftwatch.score import CHANNELS
from driftwatch.store import Store

MAX_FAILURE_SHARE = 0.2
"""A run with a larger share of failed completions has no verdict. Source: docs/architecture.md, invariants."""

ANCHOR_RUNS = 3
"""Anchor runs after which a baseline goes on without the canaries that fail: a failure that passes has passed by then,
and each further run would cost as much as many watched ones."""

MAX_ANCHOR_FAILURE_SHARE = 0.5
"""An anchor run with a larger share of failures gives no anchors and is not one of the ANCHOR_RUNS: the endpoint is in
trouble, not a canary. It is the limit for single canaries that fail for good, so it is above MAX_FAILURE_SHARE."""

NAMED = 3
"""Canaries that a verdict names as left out; a number stands for the rest."""

EXPLAINED_CHANNELS = 3
"""Canaries are looked into for this many leading channels of a drifted kind: what a person reads at night."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchoring:
    """How far a baseline's anchors have come, and which canaries they allow to watch."""

    canaries: tuple[Canary, ...]
    """Those that are asked once the anchors are complete; at least one."""
    left_out: tuple[str, ...]
    """Ids of the others, which answered too seldom to be compared to anything."""
    n_missing: int
    """Completions that the canary with the fewest anchors still needs, 0 when no more are collected."""
    repeats: int
    """How often the next anchor run asks each canary, 0 when none is needed."""


def anchoring(store: Store, target: Target, baseline: Baseline) -> Anchoring:
    """Look at a baseline's anchors. They are complete when every canary has as many as are wanted.

    A canary that keeps failing must not keep the others waiting, nor be paid for without end: after ANCHOR_RUNS runs
    that counted the canaries with enough anchors go on without it. Once something has been measured against the
    anchors they stay as they are.
    """
    accepted = {canary_id: len(those) for canary_id, those in store.anchors(baseline.id).items()}
    n = {canary.id: accepted.get(canary.id, 0) for canary in target.canaries}
    answering = tuple(canary for canary in target.canaries if n[canary.id] >= baseline.least_anchors)
    wanted = baseline.anchors_wanted
    missing = {canary_id: wanted - has for canary_id, has in n.items() if has < wanted}
    if missing and baseline.state is BaselineState.COLLECTING and not store.series(baseline.id):
        made = store.runs(
            target.name,
            baseline_id=baseline.id,
            purposes=(Purpose.ANCHOR,),
            states=(RunState.MEASURED, RunState.JUDGED),
        )
        if sum(gives_anchors(run) for run in made) < ANCHOR_RUNS:
            # A canary that has never answered is asked once a run: it may cost as much as the others together.
            begun = [few for canary_id, few in missing.items() if n[canary_id]]
            return Anchoring(
                canaries=target.canaries,
                left_out=(),
                n_missing=max(missing.values()),
                repeats=max(begun, default=1) if made else max(missing.values()),
            )
    canaries = answering or target.canaries
    asked = {canary.id for canary in canaries}
    left_out = tuple(canary.id for canary in target.canaries if canary.id not in asked)
    return Anchoring(canaries=canaries, left_out=left_out, n_missing=0, repeats=0)


def gives_anchors(run: Run) -> bool:
    """Whether an anchor run's replies become anchors; while most requests fail, the rest is no normal to keep."""
    return run.failure_share <= MAX_ANCHOR_FAILURE_SHARE


def waiting(baseline: Baseline, target: Target, run: Run, *, anchors: Anchoring, n_calibration: int) -> Verdict:
    """The verdict of a run made for a baseline that is still being collected: always CALIBRATING."""
    if anchors.n_missing:
        wanted = baseline.anchors_wanted
        reason = f"collecting anchors: {wanted - anchors.n_missing} of {wanted} for every canary"
    elif n_calibration < baseline.calibration_wanted:
        reason = f"calibrating: {n_calibration} of {baseline.calibration_wanted} runs"
    else:
        reason = f"calibrated on {n_calibration} runs; the next run is judged"
    if run.purpose is Purpose.ANCHOR and gives_anchors(run) and run.n_failed:
        reason += f"; {_count(run)}"
    elif run.failure_share > MAX_FAILURE_SHARE:
        limit = MAX_ANCHOR_FAILURE_SHARE if run.purpose is Purpose.ANCHOR else MAX_FAILURE_SHARE
        reason += f"; this run does not count, {_count(run)}, more than {limit:.0%}"
    return Verdict(
        run_id=run.id,
        target=target.name,
        baseline_id=baseline.id,
        at=run.scheduled_at,
        state=State.CALIBRATING,
        reason=reason + _without(anchors.left_out),
        n_calibration=n_calibration,
        n_monitored=0,
    )


def conclude(store: Store, target: Target, baseline: Baseline, run: Run, *, left_out: Sequence[str] = ()) -> Verdict:
    """The verdict of a watched run in the light of its baseline's whole series.

    Args:
        store: read only.
        target: what is watched.
        baseline: what it is compared to.
        run: the run to judge, stored with its scores.
        left_out: ids of canaries that are not watched, which the reason names.

    Returns:
        INCONCLUSIVE when more than a fifth of the run's requests failed or no channel could be measured,
        DRIFTED while an alarm of any kind stands, else STABLE.
    """
    rows = store.series(baseline.id)
    # Calibration counts whenever it was: a clock that was ahead meanwhile must not take the watch its measure.
    calibration = [row for row in rows if row.purpose is Purpose.CALIBRATION]
    watched = [row for row in rows if row.purpose is Purpose.WATCH and row.scheduled_at <= run.scheduled_at]
    specs = [ChannelSpec(name=c.name, kind=c.kind, two_sided=c.two_sided) for c in CHANNELS.values()]
    findings = judge(
        _columns(calibration),
        _columns(watched),
        specs,
        threshold=target.threshold,
        seed=int(baseline.series_key, 16),
    )
    kinds = tuple(_kind_evidence(finding, watched) for finding in findings.values())
    channels = tuple(
        evidence
        for finding in findings.values()
        for evidence in _channel_evidence(store, baseline, finding, calibration, watched)
    )
    state, reason = _state(run, kinds, channels, n_watched=len(watched))
    return Verdict(
        run_id=run.id,
        target=target.name,
        baseline_id=baseline.id,
        at=run.scheduled_at,
        state=state,
        reason=reason + _without(left_out),
        n_calibration=len(calibration),
        n_monitored=len(watched),
        kinds=kinds,
        channels=channels,
    )


def _state(
    run: Run, kinds: Sequence[KindEvidence], channels: Sequence[ChannelEvidence], *, n_watched: int
) -> tuple[State, str]:
    if run.failure_share > MAX_FAILURE_SHARE:
        return State.INCONCLUSIVE, f"no verdict: {_count(run)}, more than {MAX_FAILURE_SHARE:.0%}"
    if not channels:
        return State.INCONCLUSIVE, "no verdict: no channel has enough calibration scores to compare with"
    drifted = [kind for kind in kinds if kind.is_drifted]
    if drifted:
        parts = []
        for kind in drifted:
            leading = sorted((c for c in channels if c.kind is kind.kind), key=lambda c: c.share, reverse=True)
            names = " and ".join(c.channel for c in leading[:2])
            since = f"{kind.onset_at:%Y-%m-%d %H:%M} UTC" if kind.onset_at else "the first watched run"
            parts.append(f"{kind.kind} has drifted since {since}, mostly in {names}")
        return State.DRIFTED, "; ".join(parts)
    most = max(kinds, key=lambda kind: kind.evidence / kind.threshold)
    return (
        State.STABLE,
        f"evidence {most.evidence:,.1f} of {most.threshold:,.0f} after {n_watched} run{'s' if n_watched != 1 else ''}",
    )


def _count(run: Run) -> str:
    return f"{run.n_failed} of {run.n_ok + run.n_failed} requests failed"


def _without(left_out: Sequence[str]) -> str:
    if not left_out:
        return ""
    rest = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    return f"; not watched, for they hardly answer: {', '.join(left_out[:NAMED])}{rest}"


def _columns(rows: Sequence[SeriesRow]) -> dict[str, Floats]:
    """Channel → scores in the order of the rows, NaN where a run has none."""
    return {
        name: np.array([row.values.get(name, np.nan) for row in rows], dtype=np.float64)
        for name in CHANNELS
        if any(name in row.values for row in rows)
    }


def _onset(finding: Finding, watched: Sequence[SeriesRow]) -> tuple[datetime | None, datetime | None, int]:
    """Onset and alarm of the standing episode as times, and the runs since the onset."""
    if not finding.is_drifted:
        return None, None, 0
    episode = finding.episodes[-1]
    return watched[episode.onset].scheduled_at, watched[episode.alarm].scheduled_at, len(watched) - episode.onset


def _kind_evidence(finding: Finding, watched: Sequence[SeriesRow]) -> KindEvidence:
    onset_at, alarm_at, runs = _onset(finding, watched)
    return KindEvidence(
        kind=finding.kind,
        evidence=float(finding.evidence[-1]) if len(finding.evidence) else 0.0,
        threshold=finding.threshold,
        is_drifted=finding.is_drifted,
        alarm_at=alarm_at,
        onset_at=onset_at,
        runs_since_onset=runs,
    )


def _channel_evidence(
    store: Store,
    baseline: Baseline,
    finding: Finding,
    calibration: Sequence[SeriesRow],
    watched: Sequence[SeriesRow],
) -> list[ChannelEvidence]:
    since = watched[finding.episodes[-1].onset :] if finding.is_drifted else watched[-1:]
    before, after = _columns(calibration), _columns(since)
    ranked = sorted(finding.shares.items(), key=lambda item: (-item[1], item[0]))
    result = []
    for position, (name, share) in enumerate(ranked):
        values = before.get(name, np.array([]))
        values = values[~np.isnan(values)]
        if len(values) < MINIMUM_CALIBRATION:
            continue
        recent = after.get(name, np.array([np.nan]))
        measured = recent[~np.isnan(recent)]
        explained = finding.is_drifted and position < EXPLAINED_CHANNELS
        result.append(
            ChannelEvidence(
                channel=name,
                kind=finding.kind,
                share=share,
                value=float(recent[-1]) if len(recent) else float("nan"),
                calibration_mean=float(values.mean()),
                calibration_low=float(np.quantile(values, 0.05)),
                calibration_high=float(np.quantile(values, 0.95)),
                since_onset_mean=float(measured.mean()) if len(measured) else float("nan"),
                canaries=_canaries(store, baseline, name, calibration, since) if explained else (),
            )
        )
    return result


def _canaries(
    store: Store, baseline: Baseline, channel: str, calibration: Sequence[SeriesRow], since: Sequence[SeriesRow]
) -> tuple[CanaryEvidence, ...]:
    before_ids, after_ids = [row.run_id for row in calibration], [row.run_id for row in since]
    values = store.canary_values(baseline.id, channel, [*before_ids, *after_ids])
    return canary_evidence(
        _by_canary(values, before_ids),
        _by_canary(values, after_ids),
        two_sided=CHANNELS[channel].two_sided,
        seed=int(baseline.series_key, 16),
    )


def _by_canary(values: Mapping[int, Mapping[str, float]], run_ids: Sequence[int]) -> dict[str, Floats]:
    names = sorted({canary for run_id in run_ids for canary in values.get(run_id, {})})
    return {
        name: np.array([values.get(run_id, {}).get(name, np.nan) for run_id in run_ids], dtype=np.float64)
        for name in names
    }


def kinds_watched() -> int:
    """How many separate detectors watch a target; their false alarms add up, so they share the alarm budget."""
    return len({channel.kind for channel in CHANNELS.values()} & {Kind.BEHAVIOUR, Kind.PERFORMANCE})
