"""From the stored series to a Verdict: recomputable at any time, by the daemon and by a backtest alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from driftwatch.detect import ChannelSpec, Finding, canary_evidence, judge
from driftwatch.detect.finding import MINIMUM_CALIBRATION
from driftwatch.domain import (
    Baseline,
    CanaryEvidence,
    ChannelEvidence,
    Kind,
    KindEvidence,
    Purpose,
    Run,
    SeriesRow,
    State,
    Target,
    Verdict,
)
from driftwatch.score import CHANNELS
from driftwatch.store import Store
from driftwatch.usage import is_stopped

MAX_FAILURE_SHARE = 0.2
"""A run with a larger share of failed completions has no verdict. Source: docs/architecture.md, invariants."""

NAMED = 3
"""Canaries that a verdict names as left out; a number stands for the rest."""

EXPLAINED_CHANNELS = 3
"""Canaries are looked into for this many leading channels of a drifted kind: what a person reads at night."""

Floats = NDArray[np.float64]


def specs() -> list[ChannelSpec]:
    """All channels as detection knows them."""
    return [ChannelSpec(name=c.name, kind=c.kind, two_sided=c.two_sided) for c in CHANNELS.values()]


def examine(
    target: Target, baseline: Baseline, calibration: Sequence[SeriesRow], monitored: Sequence[SeriesRow]
) -> dict[Kind, Finding]:
    """What detection says of some runs in the light of others."""
    return judge(
        columns_of(calibration),
        columns_of(monitored),
        specs(),
        threshold=target.threshold,
        seed=int(baseline.series_key, 16),
        calibrated_at=times_of(calibration),
        monitored_at=times_of(monitored),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What one channel's calibration scores are."""

    mean: float
    low: float
    """5th percentile."""
    high: float
    """95th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a series after a run."""

    findings: Mapping[Kind, Finding]
    usual: Mapping[str, Usual]
    """Channel → its calibration; channels with too little are absent."""
    n_calibration: int
    n_watched: int
    latest: SeriesRow | None
    """The newest of the watched runs."""
    rows: Callable[[], tuple[Sequence[SeriesRow], Sequence[SeriesRow]]]
    """The calibration runs and the watched ones, in order; asked for only when an alarm has to be explained."""


def see(target: Target, baseline: Baseline, calibration: Sequence[SeriesRow], watched: Sequence[SeriesRow]) -> Seen:
    """Judge some runs in the light of others, all at once."""
    return Seen(
        findings=examine(target, baseline, calibration, watched),
        usual=usual_of(calibration),
        n_calibration=len(calibration),
        n_watched=len(watched),
        latest=watched[-1] if watched else None,
        rows=lambda: (calibration, watched),
    )


def usual_of(calibration: Sequence[SeriesRow]) -> dict[str, Usual]:
    """Channel → what its calibration scores are; channels with fewer than 20 are left out."""
    usual = {}
    for name, column in columns_of(calibration).items():
        values = column[~np.isnan(column)]
        if len(values) >= MINIMUM_CALIBRATION:
            low, high = np.quantile(values, [0.05, 0.95])
            usual[name] = Usual(mean=float(values.mean()), low=float(low), high=float(high))
    return usual


def parts(rows: Sequence[SeriesRow], run: Run) -> tuple[list[SeriesRow], list[SeriesRow]]:
    """The calibration runs of a series, and the watched ones up to a run.

    Calibration counts whenever it was: a clock that was ahead meanwhile must not take the watch its measure.
    """
    calibration = [row for row in rows if row.purpose is Purpose.CALIBRATION]
    watched = [row for row in rows if row.purpose is Purpose.WATCH and row.scheduled_at <= run.scheduled_at]
    return calibration, watched


def conclude(
    store: Store,
    target: Target,
    baseline: Baseline,
    run: Run,
    *,
    left_out: Sequence[str] = (),
    seen: Seen | None = None,
) -> Verdict:
    """The verdict of a watched run in the light of its baseline's whole series.

    Args:
        store: read only.
        target: what is watched.
        baseline: what it is compared to.
        run: the run to judge, stored with its scores.
        left_out: ids of canaries that are not watched, which the reason names.
        seen: what is known of the series after this run, for whoever has followed it; None: read and judged here.

    Returns:
        INCONCLUSIVE when more than a fifth of the run's requests failed, no channel could be measured or behaviour
        cannot be judged; DRIFTED while an alarm of any other kind stands, else STABLE.
    """
    if seen is None:
        seen = see(target, baseline, *parts(store.series(baseline.id), run))
    weighed = weigh(store, target, baseline, run, seen)
    return Verdict(
        run_id=run.id,
        target=target.name,
        baseline_id=baseline.id,
        at=run.scheduled_at,
        state=weighed.state,
        reason=weighed.reason + unwatched(left_out),
        n_calibration=seen.n_calibration,
        n_monitored=seen.n_watched,
        kinds=weighed.kinds,
        channels=weighed.channels,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What findings mean for a run."""

    state: State
    """INCONCLUSIVE, DRIFTED or STABLE."""
    reason: str
    kinds: tuple[KindEvidence, ...]
    channels: tuple[ChannelEvidence, ...]


def weigh(store: Store, target: Target, baseline: Baseline, run: Run, seen: Seen) -> Weighed:
    """Put findings into words and figures, with the canaries behind a standing alarm.

    Args:
        store: read only.
        target: what is watched.
        baseline: what it is compared to.
        run: the latest run.
        seen: what is known of the series after it.
    """
    # What was learned from calibration runs that are no measure alarms nobody.
    told = [
        finding if finding.problem is None else replace(finding, is_drifted=False, is_suspicious=False)
        for finding in seen.findings.values()
    ]
    calibration, watched = seen.rows() if any(finding.is_drifted for finding in told) else ((), ())
    kinds = tuple(_kind_evidence(finding, watched, seen.latest, run) for finding in told)
    channels = tuple(
        evidence
        for finding in told
        for evidence in _channel_evidence(store, baseline, finding, seen, rows=(calibration, watched))
    )
    stop = stopped(store, run) if run.failure_share > MAX_FAILURE_SHARE else None
    state, reason = _state(target, run, kinds, channels, n_watched=seen.n_watched, stop=stop)
    return Weighed(state=state, reason=reason, kinds=kinds, channels=channels)


def _state(
    target: Target,
    run: Run,
    kinds: Sequence[KindEvidence],
    channels: Sequence[ChannelEvidence],
    *,
    n_watched: int,
    stop: str | None,
) -> tuple[State, str]:
    if stop is not None:
        return State.INCONCLUSIVE, f"no verdict: {stop}"
    if run.failure_share > MAX_FAILURE_SHARE:
        return State.INCONCLUSIVE, f"no verdict: {failures_of(run)}, more than {MAX_FAILURE_SHARE:.0%}"
    if not channels:
        return State.INCONCLUSIVE, "no verdict: no channel has enough calibration scores to compare with"
    judged = [kind for kind in kinds if kind.problem is None]
    # Another kind without any channel is not watched, and that is all right.
    needed = {Kind.BEHAVIOUR, *(channel.kind for channel in channels)}
    problems = [
        f"{kind.kind} cannot be judged: {kind.problem}" for kind in kinds if kind.problem and kind.kind in needed
    ]
    amends = (
        "; ".join(problems)
        + "; begin anew from runs you trust: "
        + f"`driftwatch rebaseline {target.name} --since TIME --reason …`"
        if problems
        else ""
    )
    drifted = [kind for kind in judged if kind.is_drifted]
    if drifted:
        parts = []
        for kind in drifted:
            leading = sorted((c for c in channels if c.kind is kind.kind), key=lambda c: c.share, reverse=True)
            names = " and ".join(c.channel for c in leading[:2])
            since = f"{kind.onset_at:%Y-%m-%d %H:%M} UTC" if kind.onset_at else "the first watched run"
            parts.append(f"{kind.kind} has drifted since {since}, mostly in {names}")
        return State.DRIFTED, "; ".join([*parts, *([amends] if amends else [])])
    if not any(kind.kind is Kind.BEHAVIOUR for kind in judged):
        return State.INCONCLUSIVE, f"no verdict: {amends}"
    most = max(judged, key=lambda kind: kind.evidence / kind.threshold)
    reason = (
        f"evidence {most.evidence:,.1f} of {most.threshold:,.0f} after {n_watched} run{'s' if n_watched != 1 else ''}"
    )
    return State.STABLE, f"{reason}; {amends}" if amends else reason


def stopped(store: Store, run: Run) -> str | None:
    """Why a budget ended a run early, which says nothing of the endpoint.

    Args:
        store: read only.
        run: stored with its completions.

    Returns:
        One sentence; None when no budget did, and when too many of the requests that were made failed.
    """
    if not run.n_failed:
        return None
    completions = store.completions([run.id])[run.id]
    made = [completion for completion in completions if not is_stopped(completion)]
    if len(made) == len(completions) or sum(not c.is_ok for c in made) > MAX_FAILURE_SHARE * len(made):
        return None
    sentence = next(completion.error for completion in completions if is_stopped(completion))
    return f"{sentence}; {len(made)} of {len(completions)} requests were made"


def failures_of(run: Run) -> str:
    """Say how many of a run's requests failed."""
    return f"{run.n_failed} of {run.n_ok + run.n_failed} requests failed"


def unwatched(left_out: Sequence[str]) -> str:
    """Name canaries that are not watched, to end a reason with; empty for none."""
    if not left_out:
        return ""
    rest = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    return f"; not watched, for they hardly answer: {', '.join(left_out[:NAMED])}{rest}"


def columns_of(rows: Sequence[SeriesRow]) -> dict[str, Floats]:
    """Channel → scores in the order of the rows, NaN where a run has none."""
    return {
        name: np.array([row.values.get(name, np.nan) for row in rows], dtype=np.float64)
        for name in CHANNELS
        if any(name in row.values for row in rows)
    }


def times_of(rows: Sequence[SeriesRow]) -> Floats:
    """(T,) seconds since 1970."""
    return np.array([row.scheduled_at.timestamp() for row in rows], dtype=np.float64)


def _onset(finding: Finding, watched: Sequence[SeriesRow]) -> tuple[datetime | None, datetime | None, int]:
    """Onset and alarm of the standing episode as times, and the runs since the onset."""
    if not finding.is_drifted:
        return None, None, 0
    episode = finding.episodes[-1]
    return watched[episode.onset].scheduled_at, watched[episode.alarm].scheduled_at, len(watched) - episode.onset


def _kind_evidence(finding: Finding, watched: Sequence[SeriesRow], latest: SeriesRow | None, run: Run) -> KindEvidence:
    onset_at, alarm_at, runs = _onset(finding, watched)
    return KindEvidence(
        kind=finding.kind,
        evidence=float(finding.evidence[-1]) if len(finding.evidence) else 0.0,
        threshold=finding.threshold,
        is_drifted=finding.is_drifted,
        alarm_at=alarm_at,
        onset_at=onset_at,
        runs_since_onset=runs,
        # A run without scores is not in the series: the finding is then about the one before it.
        is_suspicious=finding.is_suspicious and latest is not None and latest.run_id == run.id,
        problem=finding.problem,
    )


def _channel_evidence(
    store: Store,
    baseline: Baseline,
    finding: Finding,
    seen: Seen,
    *,
    rows: tuple[Sequence[SeriesRow], Sequence[SeriesRow]],
) -> list[ChannelEvidence]:
    calibration, watched = rows
    latest = () if seen.latest is None else (seen.latest,)
    since = watched[finding.episodes[-1].onset :] if finding.is_drifted else latest
    after = columns_of(since)
    ranked = sorted(finding.shares.items(), key=lambda item: (-item[1], item[0]))
    result = []
    for position, (name, share) in enumerate(ranked):
        usual = seen.usual.get(name)
        if usual is None:
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
                calibration_mean=usual.mean,
                calibration_low=usual.low,
                calibration_high=usual.high,
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
