"""Collecting a baseline: how far its anchors and calibration runs have come, and what a run made for them says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftwatch.domain import Baseline, BaselineState, Canary, Purpose, Run, RunState, State, Target, Verdict
from driftwatch.judgement import MAX_FAILURE_SHARE, failures_of, unwatched
from driftwatch.store import Store

ANCHOR_RUNS = 3
"""Anchor runs after which a baseline goes on without the canaries that fail: a failure that passes has passed by then,
and each further run would cost as much as many watched ones."""

MAX_ANCHOR_FAILURE_SHARE = 0.5
"""An anchor run with a larger share of failures gives no anchors and is not one of the ANCHOR_RUNS: the endpoint is in
trouble, not a canary. It is the limit for single canaries that fail for good, so it is above MAX_FAILURE_SHARE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchoring:
    """How far a baseline's anchors have come, and which canaries they allow to watch."""

    canaries: tuple[Canary, ...]
    """Those that are asked once the anchors are complete; at least one."""
    left_out: tuple[str, ...]
    """Ids of the others, which answered too seldom to be compared to anything."""
    missing: Mapping[str, int]
    """Canary id → completions it still needs, 1 or more; empty when no more are collected."""
    repeats: Mapping[str, int]
    """Canary id → how often the next anchor run asks it; empty when no such run is needed."""


def anchoring(store: Store, target: Target, baseline: Baseline) -> Anchoring:
    """Look at a baseline's anchors. They are complete when every canary has as many as are wanted.

    A canary that keeps failing must not keep the others waiting, nor be paid for without end: after ANCHOR_RUNS runs
    that counted the canaries with enough anchors go on without it. Once something has been measured against the
    anchors they stay as they are.
    """
    accepted = {canary_id: len(those) for canary_id, those in store.anchors(baseline.id).items()}
    n = {canary.id: accepted.get(canary.id, 0) for canary in target.canaries}
    answering = tuple(canary for canary in target.canaries if n[canary.id] >= baseline.least_anchors(canary))
    wanted = {canary.id: baseline.anchors_for(canary) for canary in target.canaries}
    missing = {canary_id: wanted[canary_id] - has for canary_id, has in n.items() if has < wanted[canary_id]}
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
            most = max(begun, default=1) if made else max(missing.values())
            return Anchoring(
                canaries=target.canaries,
                left_out=(),
                missing=missing,
                # The complete ones are asked too: a run of failing canaries alone would look like an outage.
                repeats={canary_id: min(most, enough) for canary_id, enough in wanted.items()},
            )
    canaries = answering or target.canaries
    asked = {canary.id for canary in canaries}
    left_out = tuple(canary.id for canary in target.canaries if canary.id not in asked)
    return Anchoring(canaries=canaries, left_out=left_out, missing={}, repeats={})


def gives_anchors(run: Run) -> bool:
    """Whether an anchor run's replies become anchors; while most requests fail, the rest is no normal to keep."""
    return run.failure_share <= MAX_ANCHOR_FAILURE_SHARE


def waiting(baseline: Baseline, target: Target, run: Run, *, anchors: Anchoring, n_calibration: int) -> Verdict:
    """The verdict of a run made for a baseline that is still being collected: always CALIBRATING."""
    if anchors.missing:
        wanted = {canary.id: baseline.anchors_for(canary) for canary in target.canaries}
        behind = max(anchors.missing, key=lambda canary_id: anchors.missing[canary_id])
        whose = "every canary" if len(set(wanted.values())) == 1 else behind
        n_wanted = wanted[behind]
        reason = f"collecting anchors: {n_wanted - anchors.missing[behind]} of {n_wanted} for {whose}"
    elif n_calibration < baseline.calibration_wanted:
        reason = f"calibrating: {n_calibration} of {baseline.calibration_wanted} runs"
    else:
        reason = f"calibrated on {n_calibration} runs; the next run is judged"
    if run.purpose is Purpose.ANCHOR and gives_anchors(run) and run.n_failed:
        reason += f"; {failures_of(run)}"
    elif run.failure_share > MAX_FAILURE_SHARE:
        limit = MAX_ANCHOR_FAILURE_SHARE if run.purpose is Purpose.ANCHOR else MAX_FAILURE_SHARE
        reason += f"; this run does not count, {failures_of(run)}, more than {limit:.0%}"
    return Verdict(
        run_id=run.id,
        target=target.name,
        baseline_id=baseline.id,
        at=run.scheduled_at,
        state=State.CALIBRATING,
        reason=reason + unwatched(anchors.left_out),
        n_calibration=n_calibration,
        n_monitored=0,
    )
