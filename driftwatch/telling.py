"""From a verdict to the edges of the target's incidents, with what a person is told when one opens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from driftwatch import attribution, lookback, tripwires
from driftwatch.alert import advancing, grouping, incidents
from driftwatch.alert.evidence import BaselineRef, IncidentEvidence, headline, lasting
from driftwatch.alert.policy import Facts, Policy
from driftwatch.alert.text import listing, when
from driftwatch.briefing import brief
from driftwatch.domain import (
    Baseline,
    Event,
    Incident,
    Json,
    Kind,
    Level,
    Purpose,
    Run,
    State,
    Step,
    Target,
    Tripwire,
    Verdict,
    Wire,
)
from driftwatch.provisional import PROVISIONAL
from driftwatch.store import Store

REPLACED = "a change of baseline"
"""The author of the edge that ends an incident whose baseline is no longer in use."""

_WITH_EVIDENCE = frozenset({Event.OPENED, Event.REOPENED, Event.ESCALATED})
"""Edges that a verdict causes and that bring evidence of their own."""


def steps(
    store: Store,
    target: Target,
    baseline: Baseline,
    run: Run,
    verdict: Verdict,
    *,
    failure_threshold: int,
    policy: Policy = incidents.DEFAULT_POLICY,
    fleet: Sequence[Target] = (),
) -> list[Step]:
    """The edges that a verdict causes in the target's incidents.

    Args:
        store: read only.
        target: whose receivers are told.
        baseline: what was compared to.
        run: the target's newest run.
        verdict: about it.
        failure_threshold: runs in a row without a verdict before an availability incident opens.
        policy: what the operator decided about alerts.
        fleet: all targets under watch, which tell whose side a change is on.
    """
    standing = store.incidents(target=target.name, open_only=True)
    outlived = [
        incident
        for incident in standing
        if incident.kind not in incidents.UNMEASURED
        and incident.baseline_id != baseline.id
        and not _is_still_announced(incident, verdict)
    ]
    ended = [
        step
        for incident in outlived
        for step in incidents.resolve(
            [incident],
            author=REPLACED,
            reason=f"baseline {incident.baseline_id}, which it was found against, is no longer in use",
            at=run.scheduled_at,
            receivers=target.receivers,
        )
    ]
    going_on = [incident for incident in standing if incident not in outlived]
    failing = lookback.failing_runs(store, target, run, limit=failure_threshold)
    advance = partial(
        advancing.advance,
        verdict,
        target=target,
        open_incidents=going_on,
        streaks=lookback.streaks(store, target, run, verdict, failing=failing, standing=going_on, policy=policy),
        failure_threshold=failure_threshold,
        settled={
            *lookback.settled(store, target, verdict, standing),
            *(lookback.closed_outage(store, target, run) if failing else ()),
        },
        policy=policy,
    )
    # Twice, since evidence is gathered from many completions and most verdicts open nothing.
    found = [step for step in advance(evidence={}) if step.event in _WITH_EVIDENCE]
    recent = lookback.recent(store, target, verdict, policy) if found else []
    evidence = _evidence(store, target, baseline, run, verdict, opening=found, failing=failing)
    if Kind.TRIPWIRE in {step.kind for step in found}:
        evidence[Kind.TRIPWIRE] = about_tripwires(target, baseline, verdict, standing=_of(Kind.TRIPWIRE, going_on))
    whose = partial(attribution.attribute, store, target, fleet, at=verdict.at, verdict=verdict)
    evidence = {kind: _attributed(kept, kind, verdict, whose) for kind, kept in evidence.items()}
    return [_addressed(step, target, policy) for step in [*ended, *advance(evidence=evidence, recent=recent)]]


def name_causes(store: Store, fleet: Sequence[Target]) -> None:
    """Give the open incidents of before revision 0004 the cause that they would open with today, so that others join.

    Args:
        store: what has a cause keeps it, and what is of no target of the fleet has none.
        fleet: all targets under watch.
    """
    targets = {target.name: target for target in fleet}
    causes = {
        found.id: grouping.cause(found.kind, targets[found.target], found.trouble)
        for found in store.incidents(open_only=True)
        if not found.cause and found.target in targets
    }
    if causes:
        store.name_causes(causes)


def _evidence(
    store: Store,
    target: Target,
    baseline: Baseline,
    run: Run,
    verdict: Verdict,
    *,
    opening: Sequence[Step],
    failing: Sequence[Run],
) -> dict[Kind, Mapping[str, Json]]:
    """What the incidents that open, or open again, store."""
    kinds = [Kind.AVAILABILITY if step.kind is Kind.WATCH_ITSELF else step.kind for step in opening]
    evidence = dict(brief(store, target=target, baseline=baseline, verdict=verdict, kinds=kinds, failing=failing))
    if run.purpose is Purpose.CALIBRATION and verdict.state is State.DRIFTED:
        evidence = {
            kind: found if kind is Kind.AVAILABILITY else provisionally(found) for kind, found in evidence.items()
        }
    if Kind.WATCH_ITSELF in {step.kind for step in opening}:
        evidence[Kind.WATCH_ITSELF] = _of_our_own(evidence.pop(Kind.AVAILABILITY), target, failing)
    return evidence


def _attributed(
    evidence: Mapping[str, Json], kind: Kind, verdict: Verdict, whose: Callable[..., attribution.Attribution]
) -> Mapping[str, Json]:
    """The evidence with whose side it is on; trouble of the watch itself says so already."""
    if kind is Kind.WATCH_ITSELF:
        return evidence
    stored, found = IncidentEvidence.from_json(evidence), verdict.kind(kind)
    began_at = stored.failing_since or stored.onset_at or verdict.at
    told = whose(kind=kind, onset_at=began_at, alarm_at=found.alarm_at if found else None)
    return {**evidence, "attribution": told.to_json()}


def _of_our_own(evidence: Mapping[str, Json], target: Target, failing: Sequence[Run]) -> dict[str, Json]:
    """The evidence of an outage that is none of the endpoint's."""
    said = headline(
        Kind.WATCH_ITSELF,
        target.name,
        onset_at=failing[0].scheduled_at,
        n_runs=None,
        reason=lasting(evidence.get("outcomes", {})),
    )
    return {**evidence, "headline": said}


def _addressed(step: Step, target: Target, policy: Policy) -> Step:
    """The step with its cause, the people who are told, and what routes and silences ask of a stored incident."""
    cause = step.cause or grouping.cause(step.kind, target, step.trouble)
    receivers = policy.receivers_of(Facts.of_step(step, target), otherwise=target.receivers)
    facts = {key: value for key, value in (("owner", target.owner), ("feature", target.feature)) if value}
    evidence = {**step.evidence, **facts} if step.event in _WITH_EVIDENCE else step.evidence
    return replace(step, cause=cause, receivers=receivers, evidence=evidence)


def provisionally(evidence: Mapping[str, Json]) -> dict[str, Json]:
    """Mark the evidence of an incident that was found before the baseline was complete."""
    said = (
        f"It changed while it was being calibrated: this is provisional, found against its first {PROVISIONAL} "
        "calibration runs. The watch is not armed before it is back or the new behaviour is accepted."
    )
    return {
        **evidence,
        "headline": f"{evidence.get('headline', '')}, while it was being calibrated",
        "changes": [said, *evidence.get("changes", ())],
        "is_provisional": True,
    }


def about_tripwires(
    target: Target, baseline: Baseline, verdict: Verdict, *, standing: Incident | None = None
) -> dict[str, Json]:
    """What an incident of changed metadata stores: old and new values, since when, and on which canaries.

    Args:
        target: whose metadata.
        baseline: what it was compared to.
        verdict: with the wires that are tripped, one that pages at least.
        standing: the open incident, when another wire has joined it: the title names the news first.
    """
    paged = [tripped for tripped in verdict.tripwires if tripped.level is Level.PAGE]
    fresh = advancing.news(standing, paged) if standing is not None else []
    said = [*fresh, *(tripped for tripped in paged if tripped not in fresh)]
    since = min(tripped.since for tripped in paged)
    told: dict[str, list[str]] = dict(standing.evidence.get("wires", {})) if standing is not None else {}
    for tripped in paged:
        told[tripped.wire.value] = sorted({*told.get(tripped.wire.value, ()), *tripped.after})
    stored = IncidentEvidence(
        headline=f"{target.name} " + "; it ".join(f"{tripwires.words(t)}, since {when(t.since)}" for t in said),
        changes=(
            *(_sentence(tripped, n_canaries=len(target.canaries)) for tripped in verdict.tripwires),
            "This is what the endpoint says of itself; whether its replies changed is judged as ever.",
        ),
        onset_at=since,
        owner=target.owner,
        baseline=BaselineRef(id=baseline.id, author=baseline.author, at=baseline.created_at),
        model=target.model,
        provider=target.provider,
    ).to_json()
    # What has been told, so that another value is news and the same one again is none.
    return {**stored, "wires": told}


def _sentence(tripped: Tripwire, *, n_canaries: int) -> str:
    if tripped.wire is Wire.RETIREMENT:
        return f"The endpoint {tripwires.words(tripped)}, since {when(tripped.since)}."
    where = "all canaries" if len(tripped.canaries) == n_canaries else listing(_few(tripped.canaries))
    return f"The endpoint {tripwires.words(tripped)}, since {when(tripped.since)}, on {where}."


def _few(canaries: Sequence[str]) -> list[str]:
    rest = len(canaries) - tripwires.NAMED
    return [*canaries[: tripwires.NAMED], *([f"{rest} more"] if rest > 0 else [])] or ["no canary in particular"]


def _of(kind: Kind, standing: Sequence[Incident]) -> Incident | None:
    return next((incident for incident in standing if incident.kind is kind), None)


def _is_still_announced(incident: Incident, verdict: Verdict) -> bool:
    """Whether an incident is about an end to come, which stands whatever the baseline."""
    return incident.kind is Kind.TRIPWIRE and any(
        tripped.level is Level.PAGE and tripped.wire in tripwires.ANNOUNCED and tripped.since <= incident.opened_at
        for tripped in verdict.tripwires
    )
