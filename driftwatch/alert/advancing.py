"""When an incident opens, comes back and ends: a pure state machine from verdicts to Steps.

A target has at most one open incident of a kind. Behaviour and performance move on conclusive verdicts
only (STABLE, DRIFTED; CALIBRATING with provisional evidence ends them): a run that could not be judged neither opens
nor ends them. Tripwires move with every verdict, since metadata comes with refusals too.

What comes back soon after an end that driftwatch itself found is the same incident, opened again. Each time it does,
its next end takes twice as many quiet runs: an endpoint that comes and goes is told a few times, not all day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from driftwatch.alert.evidence import IncidentEvidence, lasting
from driftwatch.alert.incidents import DEFAULT_POLICY, DRIFTWATCH, UNMEASURED, edge
from driftwatch.alert.policy import Policy
from driftwatch.domain import (
    Event,
    Incident,
    IncidentState,
    Json,
    Kind,
    KindEvidence,
    Level,
    Outcome,
    Severity,
    State,
    Step,
    Target,
    Tripwire,
    Verdict,
    Wire,
)

TROUBLES: Mapping[Outcome, str] = {Outcome.AUTH: "key", Outcome.QUOTA: "quota"}
"""Failures that are the watch's own trouble: the endpoint answers, but not us."""

MOST_DOUBLINGS = 4
"""How often the end of an incident that keeps coming back is put off twice as long: 16 quiet runs at most."""

_OWN = frozenset(outcome.value.replace("_", " ") for outcome in TROUBLES)
_GONE = Outcome.MODEL_GONE.value.replace("_", " ")
"""As a tripwire keeps an outcome."""

_BACK = {
    Kind.BEHAVIOUR: "behaviour is back within calibration",
    Kind.PERFORMANCE: "performance is back within calibration",
    Kind.AVAILABILITY: "the target can be measured again",
    Kind.TRIPWIRE: "the endpoint reports again what it reported before",
    Kind.WATCH_ITSELF: "the target can be measured again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaks:
    """What the runs just before say, each count up to and with the run just judged."""

    failed: int = 0
    """Runs in a row without a verdict because requests failed; 0 after a run that was measured."""
    measured: int = 1
    """Runs in a row that were measured; 0 after one that failed."""
    quiet: Mapping[Kind, int] = field(default_factory=dict)
    """Verdicts in a row that judged a kind and found no drift; absent counts as 1."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Outcome → failed requests that ended so, in the failing runs."""
    is_alike: bool = True
    """Whether each of the failing runs by itself tells the same ``trouble_of`` as all of them together."""


def advance(
    verdict: Verdict,
    *,
    target: Target,
    open_incidents: Sequence[Incident],
    recent: Sequence[Incident] = (),
    streaks: Streaks,
    failure_threshold: int = 3,
    evidence: Mapping[Kind, Mapping[str, Json]],
    settled: Collection[Kind] = (),
    policy: Policy = DEFAULT_POLICY,
) -> list[Step]:
    """The edges one verdict causes; empty when nothing changed.

    A slowdown beside a change of behaviour has one cause and is one page: performance does not open while
    behaviour is open or opens, and is told in the behaviour incident's evidence instead. The same holds for a
    tripwire. Behaviour opens beside an open incident of either, since it is the graver news. An endpoint that
    refuses requests for good is one page too: availability does not open while a tripwire says so.

    An endpoint that refuses us because of our key or our account is in no trouble; the watch is. Watch-itself opens
    then instead of availability, and at once instead of a tripwire that pages for it. Where the one is open and the
    failures come to tell the other, the one ends and the other opens; only once every run of a whole threshold tells
    so, or a mix that flickers would page with every run.

    Another wire that trips while a tripwire is open escalates it: the operator wants to be paged for each of them. So
    does an outage that will not pass by itself any more.

    Args:
        verdict: of the run just judged.
        target: whose receivers are told.
        open_incidents: the target's incidents that are not resolved; others are ignored.
        recent: incidents of the target whose end driftwatch itself found, latest end first.
        streaks: what the runs up to this one say.
        failure_threshold: failing runs in a row at which the target counts as unavailable, 1 or more.
        evidence: what an incident of each kind stores when it opens; its ``headline`` becomes the edge's reason.
        settled: kinds whose standing drift or outage a person has resolved by hand: it does not open again until it
            has ended and another began.
        policy: how grave each kind is, how soon what comes back is the same, how many measured runs are an end.

    Returns:
        Resolving edges first, so that news of an end never follows news of a start.
    """
    standing = {i.kind: i for i in open_incidents if i.is_open and is_ours(i, verdict.target)}
    is_conclusive = verdict.state in {State.STABLE, State.DRIFTED}
    judged = {k.kind: k for k in verdict.kinds if k.problem is None} if verdict.state is not State.INCONCLUSIVE else {}
    tripped = [wire for wire in verdict.tripwires if wire.level is Level.PAGE]
    trouble = trouble_of(streaks.outcomes) if streaks.failed else ""
    if trouble and not _tells_errors(standing.get(Kind.TRIPWIRE)):
        own = [wire for wire in tripped if _is_own(wire)]
    else:
        own = []
    # A refusal stands while runs that are not answered cannot end it: what our own trouble has told is no news then.
    is_stale = bool(streaks.outcomes) and not any(outcome.value in streaks.outcomes for outcome in TROUBLES)
    if streaks.failed and is_stale and not _tells_errors(standing.get(Kind.TRIPWIRE)):
        own = [wire for wire in tripped if _is_own(wire)]
    told = [wire for wire in tripped if wire not in own]

    over = [
        kind
        for kind, found in judged.items()
        if kind in standing and not found.is_drifted and streaks.quiet.get(kind, 1) >= quiet_runs(standing[kind])
    ]
    over += [
        k
        for k in (Kind.AVAILABILITY, Kind.WATCH_ITSELF)
        if k in standing and streaks.measured >= measured_runs(standing[k], policy)
    ]
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
    is_known = Kind.WATCH_ITSELF in still_standing and all(map(_is_own, told))
    if told and not is_known and not {Kind.TRIPWIRE, Kind.BEHAVIOUR} & still_standing and Kind.TRIPWIRE not in settled:
        begins.append(Kind.TRIPWIRE)
    is_refused = any(wire.wire is Wire.ERRORS for wire in told) and Kind.TRIPWIRE in {
        *still_standing,
        *begins,
        *settled,
    }
    is_out = bool(streaks.failed) and (streaks.failed >= failure_threshold or bool(trouble and own))
    is_sure = streaks.failed >= failure_threshold and streaks.is_alike and bool(streaks.outcomes)
    moved: Mapping[Kind, str] = {}
    if is_sure and not UNMEASURED & {*over, *settled} and not (is_refused and trouble):
        moved = {kind: _moved(trouble) for kind in UNMEASURED & standing.keys() if _was(standing[kind]) != trouble}
    if is_out and not UNMEASURED & ({*standing, *settled} - moved.keys()) and not is_refused:
        begins.append(Kind.WATCH_ITSELF if trouble else Kind.AVAILABILITY)

    case = _Case(
        verdict=verdict,
        target=target,
        trouble=trouble,
        tripped=told,
        outcomes=streaks.outcomes,
        recent=recent,
        policy=policy,
    )
    ends = [
        edge(
            standing[kind],
            Event.RESOLVED,
            DRIFTWATCH,
            moved.get(kind, _BACK[kind]),
            at=verdict.at,
            after=IncidentState.RESOLVED,
            receivers=target.receivers,
        )
        for kind in [*over, *moved]
    ]
    grows = standing.get(Kind.TRIPWIRE) if Kind.TRIPWIRE not in over else None
    return [
        *ends,
        *(_opening(kind, case, judged.get(kind), evidence.get(kind, {})) for kind in begins),
        *_growing(grows, case, evidence.get(Kind.TRIPWIRE, {})),
        *_worsening(standing.get(Kind.AVAILABILITY), case, evidence.get(Kind.AVAILABILITY, {})),
    ]


def quiet_runs(incident: Incident) -> int:
    """Quiet runs in a row that end an incident: one, and twice as many for each time that it came back; 16 at most."""
    return int(2 ** min(incident.n_reopened, MOST_DOUBLINGS))


def measured_runs(incident: Incident, policy: Policy) -> int:
    """Measured runs in a row that end an incident of a target that could not be asked."""
    return policy.success_threshold * quiet_runs(incident)


def trouble_of(outcomes: Mapping[str, int]) -> str:
    """Which trouble of our own most of the failed requests tell; empty for none.

    >>> trouble_of({"auth": 40, "timeout": 2}), trouble_of({"timeout": 2})
    ('key', '')
    """
    n = sum(outcomes.values())
    return next((name for outcome, name in TROUBLES.items() if 2 * outcomes.get(outcome.value, 0) > n), "")


def _was(incident: Incident) -> str:
    """Which trouble of our own an open incident of what could not be measured tells; empty for an outage."""
    return incident.trouble if incident.kind is Kind.WATCH_ITSELF else ""


def _moved(trouble: str) -> str:
    """Why an incident ends though nothing can be measured yet."""
    if not trouble:
        return "requests are no longer refused for our key or account; they fail for another reason now"
    what = "key" if trouble == TROUBLES[Outcome.AUTH] else "account"
    return f"the endpoint answers, but refuses our {what} now, which is an incident of its own"


def news(incident: Incident, tripped: Sequence[Tripwire]) -> list[Tripwire]:
    """The wires that tell what an open incident of tripwires has not told yet."""
    told = _wires(incident)
    if not told:  # one of an earlier release, which kept no list
        return [wire for wire in tripped if wire.since > incident.opened_at]
    return [wire for wire in tripped if not set(wire.after) <= told.get(wire.wire.value, set())]


def is_ours(incident: Incident, target: str) -> bool:
    """Whether runs open and end it; other troubles of the watch are looked after elsewhere."""
    return incident.target == target and (incident.kind is not Kind.WATCH_ITSELF or incident.trouble in _TROUBLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What every opening edge of one verdict is made from."""

    verdict: Verdict
    target: Target
    trouble: str
    tripped: Sequence[Tripwire]
    outcomes: Mapping[str, int]
    recent: Sequence[Incident]
    policy: Policy

    def severity(self, kind: Kind) -> Severity:
        """As the operator grades the kind; else graver where the evidence says that it will not pass by itself."""
        is_lasting = kind is Kind.AVAILABILITY and lasting(self.outcomes) is not None
        is_gone = kind is Kind.TRIPWIRE and any(w.wire is Wire.ERRORS and _GONE in w.after for w in self.tripped)
        return self.policy.severity(kind, Severity.CRITICAL if is_lasting or is_gone else None)

    def former(self, kind: Kind, trouble: str) -> Incident | None:
        """The incident that has come back, if it is one."""
        names = {wire.wire.value for wire in self.tripped}
        for incident in self.recent:
            ended_at = incident.resolved_at
            if incident.is_open or ended_at is None or not is_ours(incident, self.verdict.target):
                continue
            is_same = (incident.kind, incident.trouble) == (kind, trouble)
            if kind not in UNMEASURED:
                is_same = is_same and incident.baseline_id == self.verdict.baseline_id
            if kind is Kind.TRIPWIRE:
                # Another wire is another matter; what one has told is known from then on and trips no more.
                is_same = is_same and not names.isdisjoint(_wires(incident))
            if is_same and self.verdict.at - ended_at <= self.policy.reopen_within:
                return incident
        return None


def _opening(kind: Kind, case: _Case, found: KindEvidence | None, evidence: Mapping[str, Json]) -> Step:
    verdict = case.verdict
    stored = IncidentEvidence.from_json(evidence)
    onset_at = (found.onset_at or found.alarm_at) if found else stored.failing_since or stored.onset_at
    trouble = case.trouble if kind is Kind.WATCH_ITSELF else ""
    step = Step(
        incident_id=None,
        target=verdict.target,
        kind=kind,
        before=None,
        after=IncidentState.OPEN,
        at=verdict.at,
        author=DRIFTWATCH,
        reason=stored.headline or verdict.reason,
        onset_at=onset_at or verdict.at,
        # A trouble of our own was found against no baseline, and goes on over a change of it.
        baseline_id=None if kind is Kind.WATCH_ITSELF else verdict.baseline_id,
        run_id=verdict.run_id,
        event=Event.OPENED,
        severity=case.severity(kind),
        evidence=dict(evidence),
        receivers=case.target.receivers,
        trouble=trouble,
    )
    former = case.former(kind, trouble)
    if former is None:
        return step
    return replace(
        step,
        incident_id=former.id,
        before=former.state,
        event=Event.REOPENED,
        part_of=former.part_of,
        cause=former.cause,
    )


def _growing(incident: Incident | None, case: _Case, evidence: Mapping[str, Json]) -> list[Step]:
    """The edge that another wire causes in an open incident of tripwires."""
    if incident is None or not news(incident, case.tripped):
        return []
    severity = min(incident.severity, case.severity(Kind.TRIPWIRE), key=lambda grade: grade.rank)
    return [_escalated(incident, severity, case, evidence)]


def _worsening(incident: Incident | None, case: _Case, evidence: Mapping[str, Json]) -> list[Step]:
    """The edge of an outage that will not pass by itself any more, e.g. because the model is gone by now."""
    if incident is None or case.trouble or not case.outcomes:
        return []
    severity = case.severity(Kind.AVAILABILITY)
    return [_escalated(incident, severity, case, evidence)] if severity.rank < incident.severity.rank else []


def _escalated(incident: Incident, severity: Severity, case: _Case, evidence: Mapping[str, Json]) -> Step:
    reason = IncidentEvidence.from_json(evidence).headline or case.verdict.reason
    grown = edge(
        incident,
        Event.ESCALATED,
        DRIFTWATCH,
        reason,
        at=case.verdict.at,
        receivers=case.target.receivers,
        severity=severity,
    )
    return replace(grown, evidence=dict(evidence))


def _is_own(wire: Tripwire) -> bool:
    return wire.wire is Wire.ERRORS and set(wire.after) <= _OWN


def _tells_errors(incident: Incident | None) -> bool:
    return incident is not None and Wire.ERRORS.value in _wires(incident)


def _wires(incident: Incident) -> dict[str, set[str]]:
    """Wire → values that an incident of tripwires has told."""
    stored = incident.evidence.get("wires")
    return {wire: set(values) for wire, values in stored.items()} if isinstance(stored, Mapping) else {}


_TROUBLES = frozenset(TROUBLES.values())
