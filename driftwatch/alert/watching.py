"""From troubles of the watch itself to the edges of its incidents: a pure state machine beside ``incidents``.

A trouble opens when it is found, escalates when it is found graver, and ends when it is known to be over. Found again
soon after, it is the same incident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from driftwatch.alert import grouping
from driftwatch.alert.policy import Facts, Policy
from driftwatch.alert.troubles import Finding, Trouble
from driftwatch.domain import WATCH, Event, Incident, IncidentState, Kind, Step, Target

SETTLED = timedelta(hours=24)
"""A trouble that a person has closed by hand while it stood does not page again for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """What one look found. What is in neither stays as it is: nothing is known of it."""

    found: Sequence[Finding] = ()
    over: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(target, name of the trouble) → one sentence on how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A trouble that was an incident before."""

    incident: Incident
    by_hand: bool
    """Whether a person closed it."""


def advance(
    noticed: Noticed,
    *,
    standing: Sequence[Incident],
    ended: Sequence[Ended] = (),
    targets: Mapping[str, Target],
    policy: Policy,
    at: datetime,
) -> list[Step]:
    """The edges that a look causes; empty when nothing changed.

    Of several targets that begin to have one trouble in one look, only the first opens: the others join it when this is
    called again with it standing. So forty targets without a key are one page.

    Args:
        noticed: what was found and what is known to be over.
        standing: open incidents; those of other kinds are ignored.
        ended: resolved ones of the troubles found, the latest of each at least.
        targets: what is watched, by name.
        policy: what the operator decided.
        at: when.

    Returns:
        Ends first.
    """
    open_ = {(i.target, i.trouble): i for i in standing if i.is_open and i.kind is Kind.WATCH_ITSELF}
    found = {(finding.target, finding.name): finding for finding in noticed.found}
    steps = []
    for key, sentence in noticed.over.items():
        if key in open_ and key not in found:
            incident = open_[key]
            steps.append(_edge(incident, Event.RESOLVED, sentence, at=at, receivers=_told(incident, targets, policy)))
    opening: set[str] = set()
    for key, finding in found.items():
        severity = policy.severity(Kind.WATCH_ITSELF, finding.severity)
        graded, target = replace(finding, severity=severity), targets.get(finding.target)
        incident_ = open_.get(key)
        if incident_ is not None:
            if severity.rank < incident_.severity.rank:
                worse = _edge(incident_, Event.ESCALATED, graded.headline, at=at, receivers=())
                worse = replace(worse, severity=severity, evidence=graded.evidence(target))
                steps.append(replace(worse, receivers=_receivers(worse, target, policy)))
            continue
        step = _begin(graded, target, tuple(open_.values()), ended, policy=policy, at=at)
        if step is None or (step.event is Event.OPENED and step.cause in opening):
            continue
        if step.event is Event.OPENED and step.cause:
            opening.add(step.cause)
        steps.append(step)
    return steps


def _begin(
    finding: Finding,
    target: Target | None,
    open_: Sequence[Incident],
    ended: Sequence[Ended],
    *,
    policy: Policy,
    at: datetime,
) -> Step | None:
    """Open, join a group or open again; None when a person has settled it."""
    step = Step(
        incident_id=None,
        target=finding.target,
        kind=Kind.WATCH_ITSELF,
        before=None,
        after=IncidentState.OPEN,
        at=at,
        author=WATCH,
        reason=finding.headline,
        onset_at=finding.since,
        baseline_id=None,
        run_id=None,
        event=Event.OPENED,
        severity=finding.severity,
        evidence=finding.evidence(target),
        # What is about the watch as a whole has one incident anyway.
        cause=grouping.cause(Kind.WATCH_ITSELF, target, finding.name) if target else "",
        trouble=finding.name,
    )
    step = replace(step, receivers=_receivers(step, target, policy))
    before = [e for e in ended if (e.incident.target, e.incident.trouble) == (finding.target, finding.name)]
    last = max(before, key=lambda e: e.incident.id, default=None)
    resolved_at = last.incident.resolved_at if last else None
    if last is not None and resolved_at is not None:
        if last.by_hand and at - resolved_at < SETTLED:
            return None
        if at - resolved_at <= policy.reopen_within:
            step = replace(
                step,
                incident_id=last.incident.id,
                before=IncidentState.RESOLVED,
                event=Event.REOPENED,
                part_of=last.incident.part_of,
            )
    return grouping.join(step, open_, within=policy.group_within)


def _edge(incident: Incident, event: Event, reason: str, *, at: datetime, receivers: Sequence[str]) -> Step:
    return Step(
        incident_id=incident.id,
        target=incident.target,
        kind=incident.kind,
        before=incident.state,
        after=IncidentState.RESOLVED if event is Event.RESOLVED else incident.state,
        at=at,
        author=WATCH,
        reason=reason,
        onset_at=incident.onset_at,
        baseline_id=None,
        run_id=None,
        event=event,
        severity=incident.severity,
        receivers=tuple(receivers),
        part_of=incident.part_of,
        cause=incident.cause,
        trouble=incident.trouble,
    )


def _told(incident: Incident, targets: Mapping[str, Target], policy: Policy) -> tuple[str, ...]:
    step = _edge(incident, Event.RESOLVED, "", at=incident.opened_at, receivers=())
    return _receivers(step, targets.get(incident.target), policy)


def _receivers(step: Step, target: Target | None, policy: Policy) -> tuple[str, ...]:
    """By the routes, else the target's own, else all; never the receiver that the trouble is about."""
    told = policy.receivers_of(Facts.of_step(step, target), otherwise=target.receivers if target else policy.receivers)
    trouble, _, itself = step.trouble.partition(":")
    if trouble != Trouble.RECEIVER:
        return told
    others = tuple(name for name in told if name != itself)
    return others or tuple(name for name in policy.receivers if name != itself)
