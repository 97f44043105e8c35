"""From a verdict to the edges of the target's incidents, with what a person is told when one opens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from driftwatch import tripwires
from driftwatch.alert import incidents
from driftwatch.alert.evidence import BaselineRef, IncidentEvidence
from driftwatch.alert.text import listing, when
from driftwatch.briefing import brief
from driftwatch.domain import (
    Baseline,
    BaselineState,
    Incident,
    Json,
    Kind,
    Level,
    Purpose,
    Run,
    RunState,
    State,
    Step,
    Target,
    Tripwire,
    Verdict,
    Wire,
)
from driftwatch.judgement import MAX_FAILURE_SHARE, stopped
from driftwatch.provisional import PROVISIONAL
from driftwatch.store import Store

PASSED_OVER = 10
"""Runs that a budget ended early, among which the failing ones are still looked for."""

LEFT_OVER = 4
"""Runs after the end of a behaviour incident that decide whether performance, which was told with it, is still off."""

REPLACED = "a change of baseline"
"""The author of the edge that ends an incident whose baseline is no longer in use."""

JOINS_BEHAVIOUR = frozenset({Kind.PERFORMANCE, Kind.TRIPWIRE})
"""Kinds that are told in a standing incident of behaviour instead of one of their own, and are closed with it."""


def steps(
    store: Store, target: Target, baseline: Baseline, run: Run, verdict: Verdict, *, failure_threshold: int
) -> list[Step]:
    """The edges that a verdict causes in the target's incidents.

    Args:
        store: read only.
        target: whose receivers are told.
        baseline: what was compared to.
        run: the target's newest run.
        verdict: about it.
        failure_threshold: runs in a row without a verdict before an availability incident opens.
    """
    standing = store.incidents(target=target.name, open_only=True)
    outlived = [
        incident
        for incident in standing
        if incident.kind is not Kind.AVAILABILITY
        and incident.baseline_id != baseline.id
        and not _is_still_announced(incident, verdict)
    ]
    ended = [
        incidents.resolve(
            incident,
            author=REPLACED,
            reason=f"baseline {incident.baseline_id}, which it was found against, is no longer in use",
            at=run.scheduled_at,
            receivers=target.receivers,
        )
        for incident in outlived
    ]
    failing = _failing(store, target, run, limit=failure_threshold)
    advance = partial(
        incidents.advance,
        verdict,
        target=target,
        open_incidents=[incident for incident in standing if incident not in outlived],
        failure_streak=len(failing),
        failure_threshold=failure_threshold,
        settled=_settled(store, target, verdict, standing),
    )
    # Twice, since evidence is gathered from many completions and most verdicts open nothing.
    opening = [step.kind for step in advance(evidence={}) if step.incident_id is None]
    evidence = dict(brief(store, target=target, baseline=baseline, verdict=verdict, kinds=opening, failing=failing))
    if run.purpose is Purpose.CALIBRATION and verdict.state is State.DRIFTED:
        evidence = {
            kind: provisionally(found) if kind is not Kind.AVAILABILITY else found for kind, found in evidence.items()
        }
    if Kind.TRIPWIRE in opening:
        evidence[Kind.TRIPWIRE] = about_tripwires(target, baseline, verdict)
    return [*ended, *advance(evidence=evidence)]


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


def about_tripwires(target: Target, baseline: Baseline, verdict: Verdict) -> dict[str, Json]:
    """What an incident of changed metadata stores: old and new values, since when, and on which canaries."""
    paged = [tripped for tripped in verdict.tripwires if tripped.level is Level.PAGE]
    since = min(tripped.since for tripped in paged)
    return IncidentEvidence(
        headline=f"{target.name} {tripwires.words(paged[0])}, since {when(since)}",
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


def _sentence(tripped: Tripwire, *, n_canaries: int) -> str:
    if tripped.wire is Wire.RETIREMENT:
        return f"The endpoint {tripwires.words(tripped)}, since {when(tripped.since)}."
    where = "all canaries" if len(tripped.canaries) == n_canaries else listing(_few(tripped.canaries))
    return f"The endpoint {tripwires.words(tripped)}, since {when(tripped.since)}, on {where}."


def _few(canaries: Sequence[str]) -> list[str]:
    rest = len(canaries) - tripwires.NAMED
    return [*canaries[: tripwires.NAMED], *([f"{rest} more"] if rest > 0 else [])] or ["no canary in particular"]


def _settled(store: Store, target: Target, verdict: Verdict, standing: Collection[Incident]) -> set[Kind]:
    """Kinds whose standing drift has had its incident, which is over or was resolved by a person."""
    is_open = {incident.kind for incident in standing if incident.baseline_id == verdict.baseline_id}
    alarms = {kind.kind: kind.alarm_at for kind in verdict.kinds if kind.is_drifted and kind.kind not in is_open}
    paged = [tripped.since for tripped in verdict.tripwires if tripped.level is Level.PAGE]
    if paged and Kind.TRIPWIRE not in is_open:
        alarms[Kind.TRIPWIRE] = max(paged)
    if not alarms:
        return set()
    # What was closed before the baseline was put back was closed because it was replaced; now it stands again.
    restored = [
        change.at
        for change in store.baseline_changes(target.name)
        if change.baseline_id == verdict.baseline_id and change.before is BaselineState.SUPERSEDED
    ]
    behaviour = verdict.kind(Kind.BEHAVIOUR)
    is_ending = Kind.BEHAVIOUR in is_open and behaviour is not None and not behaviour.is_drifted
    settled: set[Kind] = {Kind.PERFORMANCE} if is_ending else set()
    for incident in store.incidents(target=target.name):
        if incident.resolved_at is None or not _counts(incident, verdict, alarms.get(Kind.TRIPWIRE)):
            continue
        if restored and incident.resolved_at <= restored[-1]:
            continue
        for kind, alarm_at in alarms.items():
            joined = kind in JOINS_BEHAVIOUR and incident.kind is Kind.BEHAVIOUR
            # A second wire that trips while the first stands is told in its incident too.
            is_whole = joined or kind is Kind.TRIPWIRE
            until = incident.resolved_at if is_whole else incident.opened_at
            if alarm_at is None or not (joined or kind is incident.kind) or alarm_at > until:
                continue
            if kind is Kind.PERFORMANCE and joined and _outlasts(store, verdict, incident):
                continue
            settled.add(kind)
    return settled


def _is_still_announced(incident: Incident, verdict: Verdict) -> bool:
    """Whether an incident is about an end to come, which stands whatever the baseline."""
    return incident.kind is Kind.TRIPWIRE and any(
        tripped.level is Level.PAGE and tripped.wire in tripwires.ANNOUNCED and tripped.since <= incident.opened_at
        for tripped in verdict.tripwires
    )


def _counts(incident: Incident, verdict: Verdict, tripped_at: datetime | None) -> bool:
    """Whether an incident that is over can have been about what stands against the verdict's baseline."""
    if incident.baseline_id == verdict.baseline_id:
        return True
    # An announced end stays announced through a change of baseline; all else that stands began after it.
    if incident.kind is not Kind.TRIPWIRE or tripped_at is None or incident.resolved_at is None:
        return False
    return tripped_at <= incident.resolved_at


def _outlasts(store: Store, verdict: Verdict, incident: Incident) -> bool:
    """Whether performance is still off after the behaviour that it was told with has come back by itself.

    Evidence falls more slowly than a change ends: an alarm that only has not recovered yet is no news. It is news when
    the runs since then lie outside calibration on average.
    """
    if incident.resolved_at is None or store.transitions(incident.id)[-1].author != incidents.DRIFTWATCH:
        return False
    leading = max((c for c in verdict.channels if c.kind is Kind.PERFORMANCE), key=lambda c: c.share, default=None)
    if leading is None:
        return False
    since = [
        row.values[leading.channel]
        for row in store.series(verdict.baseline_id)
        if incident.resolved_at <= row.scheduled_at <= verdict.at and leading.channel in row.values
    ]
    if len(since) < LEFT_OVER:
        return False
    mean = sum(since) / len(since)
    return not leading.calibration_low <= mean <= leading.calibration_high


def _failing(store: Store, target: Target, run: Run, *, limit: int) -> list[Run]:
    """The latest runs in a row, up to and with this one, that had too many failures to be judged; oldest first.

    A run that a budget ended early is passed over: it neither failed nor was it measured.
    """
    recent = store.runs(
        target.name,
        until=run.scheduled_at,
        states=(RunState.MEASURED, RunState.JUDGED),
        limit=limit + PASSED_OVER,
        newest_first=True,
    )
    failing: list[Run] = []
    for earlier in recent:
        if earlier.failure_share <= MAX_FAILURE_SHARE:
            break
        if stopped(store, earlier) is None:
            failing.insert(0, earlier)
        if len(failing) == limit:
            break
    return failing
