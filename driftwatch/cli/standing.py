"""Where one target stands, in the same words for every verb that tells it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from driftwatch.alert.evidence import IncidentEvidence, told
from driftwatch.collecting import gives_anchors
from driftwatch.domain import Baseline, BaselineState, KindEvidence, Purpose, Run, State, Verdict
from driftwatch.judgement import MAX_FAILURE_SHARE
from driftwatch.store import Store

NOTABLE = 0.5
"""From which share of the way to an alarm on evidence is worth a look. While nothing changes, evidence comes to the
square root of the threshold in about one of as many runs: at hourly runs and the default alarm budget once in 17 days.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of one target now."""

    state: State | None
    """None: never run."""
    reason: str
    """One sentence for a person."""
    verdict: Verdict | None
    """The latest verdict against the current baseline; None when there is none yet."""
    is_measured: bool
    """False when the latest run could not be measured, and when there has been none."""


def standing(store: Store, target: str) -> Standing:
    """Read a target's standing.

    A verdict speaks of the baseline it was reached against: once a person has accepted another one, an old verdict
    must not go on saying drift.
    """
    baseline, verdict = store.current_baseline(target), store.latest_verdict(target)
    if baseline is None or verdict is None:
        return Standing(state=None, reason="never run", verdict=None, is_measured=False)
    if verdict.baseline_id != baseline.id:
        reason = f"baseline {baseline.id}, accepted by {baseline.author}, {_progress(store, baseline)}"
        return Standing(state=State.CALIBRATING, reason=reason, verdict=None, is_measured=True)
    failure = _failure(store, verdict)
    reason = verdict.reason
    if failure is not None:
        # What a budget kept from being asked is said already.
        reason = reason if failure in reason else f"{reason}; the first failure: {failure}"
    elif verdict.state is State.CALIBRATING and baseline.state is BaselineState.ACTIVE:
        reason = f"the baseline {_progress(store, baseline)}"
    elif verdict.state is State.DRIFTED and (kinds := _kinds(store, target)):
        reason = f"{kinds}; {reason}"
    is_measured = failure is None and verdict.state is not State.INCONCLUSIVE
    return Standing(state=verdict.state, reason=reason, verdict=verdict, is_measured=is_measured)


def way(evidence: KindEvidence) -> float:
    """How much of the way to an alarm is behind us, 0 … 1: logarithmic, because evidence multiplies from run to run."""
    return min(1.0, math.log1p(max(0.0, evidence.evidence)) / math.log1p(evidence.threshold))


def notable(verdict: Verdict | None) -> str | None:
    """One sentence on evidence that has come far without an alarm; None where there is none.

    Args:
        verdict: the latest; None when there is none.
    """
    said = [
        f"{kind.kind.value} {kind.evidence:,.0f} of {kind.threshold:,.0f}, {way(kind):.2f} of the way to an alarm"
        for kind in (verdict.kinds if verdict else ())
        if not kind.is_drifted and kind.problem is None and way(kind) >= NOTABLE
    ]
    return f"notable evidence, no alarm: {'; '.join(said)}" if said else None


def counts(store: Store, run: Run) -> bool:
    """Whether enough of a run's requests were answered for it to be used."""
    return gives_anchors(store, run) if run.purpose is Purpose.ANCHOR else run.failure_share <= MAX_FAILURE_SHARE


def _progress(store: Store, baseline: Baseline) -> str:
    n = sum(row.purpose is Purpose.CALIBRATION for row in store.series(baseline.id))
    if baseline.state is BaselineState.ACTIVE:
        return f"is armed with {n} calibration runs; the next run is judged"
    return f"is being collected: {n} of {baseline.calibration_wanted} calibration runs"


def _kinds(store: Store, target: str) -> str:
    """What kinds of change the open incidents found; empty when none was borne out."""
    found = [told(IncidentEvidence.from_json(i.evidence)) for i in store.incidents(target=target, open_only=True)]
    return "; ".join(sentence for sentence in found if sentence)


def _failure(store: Store, verdict: Verdict) -> str | None:
    """What went wrong first in the verdict's run, None when the run could be measured."""
    runs = store.runs(verdict.target, since=verdict.at, until=verdict.at)
    if not any(run.id == verdict.run_id and not counts(store, run) for run in runs):
        return None
    failed = [c for c in store.completions([verdict.run_id]).get(verdict.run_id, ()) if not c.is_ok]
    return failed[0].error or failed[0].outcome.value if failed else "not kept any longer"
