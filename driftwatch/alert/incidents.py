"""What people, time and baselines do to a group of incidents: pure functions from incidents to Steps.

::

    (nothing) ──open──▶ OPEN ──acknowledge──▶ ACKNOWLEDGED
                        ▲ └─────resolve─────▶ RESOLVED ◀──resolve──┘
                        └───────reopen───────────┘

Edges that keep the state (a comment, a reminder, an escalation) have the same state before and after. What a run's
verdict does is in ``driftwatch.alert.advancing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from driftwatch.alert.policy import Policy
from driftwatch.alert.text import when
from driftwatch.domain import Baseline, Event, Incident, IncidentState, Kind, Severity, Step
from driftwatch.errors import UsageError

DRIFTWATCH = "driftwatch"
"""The author of every edge that no person asked for."""

DEFAULT_POLICY = Policy()

NEW_BASELINE = "new baseline accepted by"
"""How the reason begins when an incident ended because its drift was accepted."""

UNMEASURED = frozenset({Kind.AVAILABILITY, Kind.WATCH_ITSELF})
"""Kinds that say that nothing could be measured: no baseline makes them normal, and none is needed to find them."""


def acknowledge(
    group: Sequence[Incident], *, author: str, reason: str, at: datetime, receivers: Sequence[str] = ()
) -> list[Step]:
    """A person says that they are on it: all open incidents of the group are acknowledged.

    Args:
        group: the incidents that people know by one number, the leading one first; one at least.
        author: who.
        reason: what they say.
        at: when.
        receivers: who is told beside those that were told of the group before.

    Raises:
        UsageError: every incident of the group is acknowledged or resolved already.
    """
    _require_open(group, "acknowledge")
    found = [incident for incident in group if incident.state is IncidentState.OPEN]
    if not found:
        at_last = max((i.acknowledged_at for i in group if i.acknowledged_at is not None), default=None)
        raise UsageError(
            f"incident {_number(group)} was already acknowledged{_on(at_last)}; there is nothing left to do"
        )
    return [
        edge(incident, Event.ACKNOWLEDGED, author, reason, at=at, after=IncidentState.ACKNOWLEDGED, receivers=receivers)
        for incident in found
    ]


def comment(
    group: Sequence[Incident], *, author: str, reason: str, at: datetime, receivers: Sequence[str] = ()
) -> list[Step]:
    """A person notes something for whoever reads of the group: one edge, which keeps the state.

    Raises:
        UsageError: the group is resolved already.
    """
    _require_open(group, "comment on")
    return [edge(spokesman(group), Event.COMMENTED, author, reason, at=at, receivers=receivers)]


def resolve(
    group: Sequence[Incident], *, author: str, reason: str, at: datetime, receivers: Sequence[str] = ()
) -> list[Step]:
    """A person ends the group: all its open incidents.

    Raises:
        UsageError: the group is resolved already.
    """
    _require_open(group, "resolve")
    return [
        edge(incident, Event.RESOLVED, author, reason, at=at, after=IncidentState.RESOLVED, receivers=receivers)
        for incident in group
        if incident.is_open
    ]


def escalate(
    group: Sequence[Incident],
    *,
    reason: str,
    at: datetime,
    receivers: Sequence[str],
    severity: Severity | None = None,
    author: str = DRIFTWATCH,
) -> list[Step]:
    """Tell more people, or tell that it is graver: one edge, which keeps the state.

    Args:
        group: the incidents that people know by one number, the leading one first; one at least.
        reason: why.
        at: when.
        receivers: who is told beside those that were told before.
        severity: how grave it is from now on; None: as before.
        author: who asks for it.

    Raises:
        UsageError: the group is resolved already.
    """
    _require_open(group, "escalate")
    return [edge(spokesman(group), Event.ESCALATED, author, reason, at=at, receivers=receivers, severity=severity)]


def remind(
    group: Sequence[Incident], *, reason: str, at: datetime, receivers: Sequence[str] = (), author: str = DRIFTWATCH
) -> list[Step]:
    """Tell again what is still open: one edge, which keeps the state.

    Raises:
        UsageError: the group is resolved already.
    """
    _require_open(group, "remind of")
    return [edge(spokesman(group), Event.REMINDED, author, reason, at=at, receivers=receivers)]


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

    What could not be measured stays as it is; a baseline says nothing about reaching the endpoint.

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
        edge(incident, Event.RESOLVED, author, sentence, at=at, after=IncidentState.RESOLVED, receivers=receivers)
        for incident in incidents
        if incident.is_open
        and incident.target == baseline.target
        and incident.baseline_id != baseline.id
        and incident.kind not in UNMEASURED
    ]


def spokesman(group: Sequence[Incident]) -> Incident:
    """The incident on which an edge about the whole group is written: the leading one, else the first that is open."""
    return next(incident for incident in group if incident.is_open)


def edge(
    incident: Incident,
    event: Event,
    author: str,
    reason: str,
    *,
    at: datetime,
    after: IncidentState | None = None,
    receivers: Sequence[str] = (),
    severity: Severity | None = None,
) -> Step:
    """A later edge of a stored incident; None leaves state or severity as they are."""
    return Step(
        incident_id=incident.id,
        target=incident.target,
        kind=incident.kind,
        before=incident.state,
        after=after or incident.state,
        at=at,
        author=author,
        reason=reason,
        onset_at=incident.onset_at,
        baseline_id=incident.baseline_id,
        run_id=incident.run_id,
        event=event,
        severity=severity or incident.severity,
        receivers=tuple(receivers),
        part_of=incident.part_of,
        cause=incident.cause,
        trouble=incident.trouble,
    )


def _require_open(group: Sequence[Incident], verb: str) -> None:
    if any(incident.is_open for incident in group):
        return
    at_last = max((incident.resolved_at for incident in group if incident.resolved_at is not None), default=None)
    raise UsageError(
        f"incident {_number(group)} was already resolved{_on(at_last)}; to {verb} one, "
        f"list the open ones with: driftwatch incidents",
    )


def _number(group: Sequence[Incident]) -> int:
    return group[0].lead_id


def _on(moment: datetime | None) -> str:
    return f" on {when(moment)}" if moment else ""
