"""When an incident opens and ends: a pure state machine from verdicts and people to Steps.

::

    (nothing) ──open──▶ OPEN ──acknowledge──▶ ACKNOWLEDGED
                          └──────resolve──────▶ RESOLVED ◀──resolve──┘

A target has at most one open incident of a kind. Behaviour and performance move on conclusive verdicts
only (STABLE, DRIFTED; CALIBRATING with provisional evidence ends them): a run that could not be judged neither opens
nor ends them. Tripwires move with every verdict, since metadata comes with refusals too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.alert.text import when
from driftwatch.domain import (
    Baseline,
    Incident,
    IncidentState,
    Json,
    Kind,
    KindEvidence,
    Level,
    State,
    Step,
    Target,
    Verdict,
    Wire,
)
from driftwatch.errors import UsageError

DRIFTWATCH = "driftwatch"
"""The author of every edge that no person asked for."""

NEW_BASELINE = "new baseline accepted by"
"""How the reason begins when an incident ended because its drift was accepted."""

_BACK = {
    Kind.BEHAVIOUR: "behaviour is back within calibration",
    Kind.PERFORMANCE: "performance is back within calibration",
    Kind.AVAILABILITY: "the target can be measured again",
    Kind.TRIPWIRE: "the endpoint reports again what it reported before",
}


def advance(
    verdict: Verdict,
    *,
    target: Target,
    open_incidents: Sequence[Incident],
    failure_streak: int,
    failure_threshold: int = 3,
    evidence: Mapping[Kind, Mapping[str, Json]],
    settled: Collection[Kind] = (),
) -> list[Step]:
    """The edges one verdict causes; empty when nothing changed.

    A slowdown beside a change of behaviour has one cause and is one page: performance does not open while
    behaviour is open or opens, and is told in the behaviour incident's evidence instead. The same holds for a
    tripwire. Behaviour opens beside an open incident of either, since it is the graver news. An endpoint that
    refuses requests for good is one page too: availability does not open while a tripwire says so.

    Args:
        verdict: of the run just judged.
        target: whose receivers are told.
        open_incidents: the target's incidents that are not resolved; others are ignored.
        failure_streak: consecutive runs, up to this one, that have no verdict because requests failed; 0 after
            a run that was measured.
        failure_threshold: the streak at which the target counts as unavailable, 1 or more.
        evidence: what an incident of each kind stores when it opens, from ``evidence.build``; its
            ``headline`` becomes the edge's reason.
        settled: kinds whose standing drift a person has resolved by hand: it does not open again until it has
            ended and another began.

    Returns:
        Resolving edges first, so that news of an end never follows news of a start.
    """
    standing = {i.kind: i for i in open_incidents if i.is_open and i.target == verdict.target}
    is_conclusive = verdict.state in {State.STABLE, State.DRIFTED}
    is_measured = is_conclusive or failure_streak == 0
    judged = {k.kind: k for k in verdict.kinds if k.problem is None} if verdict.state is not State.INCONCLUSIVE else {}
    tripped = [wire for wire in verdict.tripwires if wire.level is Level.PAGE]

    over = [kind for kind, found in judged.items() if kind in standing and not found.is_drifted]
    if is_measured and Kind.AVAILABILITY in standing:
        over.append(Kind.AVAILABILITY)
    if not tripped and Kind.TRIPWIRE in standing:
        over.append(Kind.TRIPWIRE)

    begins = [
        kind
        for kind, found in judged.items()
        if is_conclusive and found.is_drifted and kind not in {*standing, *settled}
    ]
    still_standing = (standing.keys() - set(over)) | set(begins)
    if Kind.BEHAVIOUR in still_standing and Kind.PERFORMANCE in begins:
        begins.remove(Kind.PERFORMANCE)
    if tripped and not {Kind.TRIPWIRE, Kind.BEHAVIOUR} & still_standing and Kind.TRIPWIRE not in settled:
        begins.append(Kind.TRIPWIRE)
    is_refused = any(wire.wire is Wire.ERRORS for wire in tripped)
    is_out = not is_measured and failure_streak >= failure_threshold
    if is_out and Kind.AVAILABILITY not in standing and not is_refused:
        begins.append(Kind.AVAILABILITY)

    return [
        *(
            _edge(
                standing[kind],
                IncidentState.RESOLVED,
                DRIFTWATCH,
                _BACK[kind],
                at=verdict.at,
                receivers=target.receivers,
            )
            for kind in over
        ),
        *(_opening(kind, verdict, target, judged.get(kind), evidence.get(kind, {})) for kind in begins),
    ]


def acknowledge(incident: Incident, *, author: str, reason: str, at: datetime) -> Step:
    """A person says that they are on it. Nobody is notified: the person who asks already knows.

    Raises:
        UsageError: the incident is acknowledged or resolved already.
    """
    if incident.state is IncidentState.ACKNOWLEDGED:
        since = f" on {when(incident.acknowledged_at)}" if incident.acknowledged_at else ""
        raise UsageError(f"incident {incident.id} was already acknowledged{since}; there is nothing left to do")
    _require_open(incident, "acknowledge")
    return _edge(incident, IncidentState.ACKNOWLEDGED, author, reason, at=at, receivers=())


def resolve(incident: Incident, *, author: str, reason: str, at: datetime, receivers: Sequence[str]) -> Step:
    """A person ends an incident; the receivers are told.

    Raises:
        UsageError: the incident is resolved already.
    """
    _require_open(incident, "resolve")
    return _edge(incident, IncidentState.RESOLVED, author, reason, at=at, receivers=receivers)


def superseded(
    incidents: Sequence[Incident],
    baseline: Baseline,
    *,
    author: str,
    reason: str,
    at: datetime,
    receivers: Sequence[str],
) -> list[Step]:
    """The edges a newly accepted baseline causes: what drifted from the old one is normal now.

    Availability stays as it is; a baseline says nothing about reaching the endpoint.

    Args:
        incidents: any incidents; resolved ones and those of other targets are left alone.
        baseline: the new one.
        author: who accepted it.
        reason: why.
        at: when.
        receivers: who is told.
    """
    sentence = f"{NEW_BASELINE} {author}: {reason}"
    return [
        _edge(incident, IncidentState.RESOLVED, author, sentence, at=at, receivers=receivers)
        for incident in incidents
        if incident.is_open
        and incident.target == baseline.target
        and incident.baseline_id != baseline.id
        and incident.kind is not Kind.AVAILABILITY
    ]


def _require_open(incident: Incident, verb: str) -> None:
    if not incident.is_open:
        since = f" on {when(incident.resolved_at)}" if incident.resolved_at else ""
        raise UsageError(
            f"incident {incident.id} was already resolved{since}; to {verb} one, "
            f"list the open ones with: driftwatch incidents",
        )


def _edge(
    incident: Incident,
    after: IncidentState,
    author: str,
    reason: str,
    *,
    at: datetime,
    receivers: Sequence[str],
) -> Step:
    return Step(
        incident_id=incident.id,
        target=incident.target,
        kind=incident.kind,
        before=incident.state,
        after=after,
        at=at,
        author=author,
        reason=reason,
        onset_at=incident.onset_at,
        baseline_id=incident.baseline_id,
        run_id=incident.run_id,
        receivers=tuple(receivers),
    )


def _opening(
    kind: Kind,
    verdict: Verdict,
    target: Target,
    found: KindEvidence | None,
    evidence: Mapping[str, Json],
) -> Step:
    stored = IncidentEvidence.from_json(evidence)
    onset_at = (found.onset_at or found.alarm_at) if found else stored.failing_since or stored.onset_at
    return Step(
        incident_id=None,
        target=verdict.target,
        kind=kind,
        before=None,
        after=IncidentState.OPEN,
        at=verdict.at,
        author=DRIFTWATCH,
        reason=stored.headline or verdict.reason,
        onset_at=onset_at or verdict.at,
        baseline_id=verdict.baseline_id,
        run_id=verdict.run_id,
        evidence=dict(evidence),
        receivers=target.receivers,
    )
