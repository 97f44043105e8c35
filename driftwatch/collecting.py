"""Collecting a baseline: how far its anchors and calibration runs have come, and what a run made for them says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from driftwatch.alert.incidents import DRIFTWATCH
from driftwatch.domain import Baseline, BaselineState, Canary, Outcome, Purpose, Run, RunState, State, Target, Verdict
from driftwatch.judgement import MAX_FAILURE_SHARE, failures_of, unwatched
from driftwatch.rebaseline import expire
from driftwatch.store import Store
from driftwatch.usage import is_stopped

log = structlog.get_logger()

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
    that counted, in which it was asked as often as anchors are wanted, the canaries with enough anchors go on without
    it. Once something has been measured against the anchors they stay as they are.
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
        # A budget may cut a run short, or into several: without their chance no canaries are left out.
        waiting_for = _without_chance(store, made, missing, n)
        if sum(gives_anchors(store, run) for run in made) < ANCHOR_RUNS or waiting_for:
            # A canary that has never answered is asked once a run: it may cost as much as the others together.
            begun = [few for canary_id, few in missing.items() if n[canary_id] or canary_id in waiting_for]
            most = max(begun, default=1) if made else max(missing.values())
            return Anchoring(
                canaries=target.canaries,
                left_out=(),
                missing=missing,
                # The complete ones are asked too: a run of failing canaries alone would look like an outage.
                repeats={canary_id: min(most, enough) for canary_id, enough in wanted.items()},
            )
    canaries = answering or target.canaries
    kept = {canary.id for canary in canaries}
    left_out = tuple(canary.id for canary in target.canaries if canary.id not in kept)
    return Anchoring(canaries=canaries, left_out=left_out, missing={}, repeats={})


def _without_chance(
    store: Store, runs: Sequence[Run], missing: Mapping[str, int], accepted: Mapping[str, int]
) -> set[str]:
    """The canaries that these runs asked less often than would have been enough if all had answered."""
    asked: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for told in store.told(run_ids=[run.id for run in runs]):
        asked[told.canary_id] += told.n if told.outcome is not Outcome.NOT_ASKED else 0
        answered[told.canary_id] += told.n if told.outcome is Outcome.OK else 0
    return {
        canary_id
        for canary_id, few in missing.items()
        if asked[canary_id] < few + min(accepted[canary_id], answered[canary_id])
    }


def gives_anchors(store: Store, run: Run) -> bool:
    """Whether an anchor run's replies become anchors; while most requests fail, the rest is no normal to keep.

    What a budget kept from being asked has not failed.
    """
    if run.failure_share <= MAX_ANCHOR_FAILURE_SHARE:
        return True
    made = [completion for completion in store.completions([run.id])[run.id] if not is_stopped(completion)]
    return bool(made) and sum(not c.is_ok for c in made) <= MAX_ANCHOR_FAILURE_SHARE * len(made)


def waiting(
    baseline: Baseline,
    target: Target,
    run: Run,
    *,
    anchors: Anchoring,
    n_calibration: int,
    gives: bool,
    stop: str | None = None,
) -> Verdict:
    """The verdict of a run made for a baseline that is still being collected: always CALIBRATING.

    Args:
        baseline: being collected.
        target: what is collected for.
        run: stored.
        anchors: how far they have come.
        n_calibration: the calibration runs that count.
        gives: whether the run gives anchors.
        stop: why a budget ended it early, None when none did.
    """
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
    if stop is not None:
        reason += f"; {stop}" if run.purpose is Purpose.ANCHOR else f"; this run does not count, it was {stop}"
    elif run.purpose is Purpose.ANCHOR and gives and run.n_failed:
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


def baseline_for(store: Store, target: Target, key: str, at: datetime) -> Baseline:
    """The baseline that a target is compared to, begun anew when the question itself has changed.

    An acceptance that was made for a while and is over gives way to the baseline that it replaced. A question that
    has been asked before gets its own baseline back: a configuration that was edited and set right again, or that two
    processes know in different versions, costs no second calibration.

    Args:
        store: holds the baselines.
        target: whose.
        key: what makes two scores of the target comparable, see ``rebaseline.series_key``.
        at: when a new one begins.
    """
    return expire(store, target, _asked(store, target, key, at), at)


def _asked(store: Store, target: Target, key: str, at: datetime) -> Baseline:
    """The baseline of the question that is asked now."""
    current = store.current_baseline(target.name)
    if current is not None and current.series_key == key:
        return current
    reason = "the target, its canaries, the scoring or the embedder changed" if current else "first baseline"
    former = [b for b in store.baselines(target.name) if b.series_key == key and b.superseded_at is not None]
    if former:
        latest = max(former, key=lambda baseline: (baseline.superseded_at or at, baseline.id))
        return _restore(store, latest, "the target is again what it was", at)
    log.info("baseline.started", target=target.name, reason=reason)
    created = store.start_baseline(
        target=target.name,
        series_key=key,
        author=DRIFTWATCH,
        reason=reason,
        at=at,
        anchors_wanted=target.anchors_wanted,
        calibration_wanted=target.calibration_wanted,
    )
    if created.parent_id != (current.id if current else None):
        # Another process began one between our look and our write; of two, the first is the one to fill.
        rival = next(b for b in store.baselines(target.name) if b.id == created.parent_id)
        if rival.series_key == key:
            return _restore(store, rival, "begun by two processes at once; this one was first", at)
    return created


def _restore(store: Store, baseline: Baseline, reason: str, at: datetime) -> Baseline:
    log.info("baseline.restored", target=baseline.target, baseline=baseline.id, reason=reason)
    return store.restore_baseline(baseline.id, author=DRIFTWATCH, reason=reason, at=at)
