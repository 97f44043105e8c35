"""What the operator decided about alerts, as plain values, and who is told of an incident by it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import TypeAlias

from driftwatch.domain import Incident, Json, Kind, Severity, Step, Target

Matching: TypeAlias = Mapping[str, Sequence[str]]
"""As ``Silence.match``: key → accepted values, of which ``*`` stands for any characters; all keys must fit."""

SEVERITIES: Mapping[Kind, Severity] = {
    Kind.BEHAVIOUR: Severity.CRITICAL,
    Kind.PERFORMANCE: Severity.WARNING,
    Kind.AVAILABILITY: Severity.WARNING,
    Kind.TRIPWIRE: Severity.WARNING,
    Kind.WATCH_ITSELF: Severity.WARNING,
}
"""How grave an incident of a kind is, where the operator says nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who is told of which incidents."""

    match: Matching = field(default_factory=dict)
    receivers: tuple[str, ...]
    goes_on: bool = False
    """Whether later routes may add receivers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """Hours of the week in which only grave things are told."""

    begin: time
    end: time
    """At or before ``begin``: of the next day."""
    days: tuple[int, ...] = ()
    """Weekdays on which they begin, Monday 0; empty: every day."""
    timezone: str = "UTC"
    receivers: tuple[str, ...] = ()
    """Whose they are; empty: everybody's."""
    let_through: tuple[Severity, ...] = (Severity.CRITICAL,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Who is told when nobody acknowledges in time."""

    after: timedelta
    receivers: tuple[str, ...]
    match: Matching = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Planned work during which nothing is told: once from ``start`` to ``end``, or at every time of ``cron``."""

    match: Matching = field(default_factory=dict)
    author: str
    reason: str
    start: datetime | None = None
    end: datetime | None = None
    cron: str | None = None
    """Five fields: minute hour day month weekday, in ``timezone``."""
    duration: timedelta | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that the operator decided about alerts; the defaults are those of the config."""

    routes: tuple[Route, ...] = ()
    severities: Mapping[Kind, Severity] = field(default_factory=dict)
    """Kinds that are graded otherwise than ``SEVERITIES`` says."""
    group_within: timedelta = timedelta(hours=6)
    """Incidents of one cause whose onsets lie this close together are one group."""
    reopen_within: timedelta = timedelta(hours=24)
    reminder_interval: timedelta = timedelta(hours=24)
    """Zero: no reminders."""
    success_threshold: int = 2
    """Measured runs in a row that end an availability incident."""
    quiet_hours: tuple[QuietHours, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    maintenance: tuple[Window, ...] = ()
    receivers: tuple[str, ...] = ()
    """All that are configured: who is told of what no target stands for, where no route says otherwise."""
    target_receivers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Target → who is told of it where no route fits."""
    untold_ends: frozenset[str] = frozenset()
    """Receivers that are not told of the end of incidents (``send_on_resolved: false``)."""

    def severity(self, kind: Kind, default: Severity | None = None) -> Severity:
        """How grave an incident of a kind is; ``default`` where the operator has not graded the kind."""
        return self.severities.get(kind, default or SEVERITIES[kind])

    def receivers_of(self, facts: Facts, otherwise: Sequence[str]) -> tuple[str, ...]:
        """Who is told of an incident with these facts; ``otherwise`` where no route fits."""
        found: list[str] = []
        is_routed = False
        for route in self.routes:
            if not fits(route.match, facts):
                continue
            is_routed = True
            found.extend(route.receivers)
            if not route.goes_on:
                break
        return tuple(dict.fromkeys(found if is_routed else otherwise))

    def is_for(self, receiver: str, facts: Facts) -> bool:
        """Whether an incident with these facts, by itself, is told to a receiver.

        True where that cannot be known, e.g. of a target that the config does not name any more: rather once too often.
        """
        return receiver in self.receivers_of(facts, otherwise=self.target_receivers.get(facts.target, (receiver,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What routes, silences and windows can ask of an incident."""

    target: str
    kind: Kind
    severity: Severity
    owner: str | None = None
    feature: str | None = None
    incident: int | None = None
    """The number of its group; None before it has one."""

    @classmethod
    def of_step(cls, step: Step, target: Target | None) -> Facts:
        """Of an incident that is about to open."""
        return cls(
            target=step.target,
            kind=step.kind,
            severity=step.severity,
            owner=target.owner if target else None,
            feature=target.feature if target else None,
        )

    @classmethod
    def of_incident(cls, incident: Incident) -> Facts:
        """Of a stored one; owner and feature are those that its evidence keeps."""
        return cls(
            target=incident.target,
            kind=incident.kind,
            severity=incident.severity,
            owner=_text(incident.evidence.get("owner")),
            feature=_text(incident.evidence.get("feature")),
            incident=incident.lead_id,
        )

    def values(self) -> Mapping[str, str | None]:
        """Key of a matching → what the incident has there."""
        return {
            "target": self.target,
            "kind": self.kind.value,
            "severity": self.severity.value,
            "owner": self.owner,
            "feature": self.feature,
            "incident": None if self.incident is None else str(self.incident),
        }


def fits(match: Matching, facts: Facts) -> bool:
    """Whether all keys fit, each by one of its values; what an incident does not have fits none.

    >>> facts = Facts(target="support-eu", kind=Kind.BEHAVIOUR, severity=Severity.CRITICAL)
    >>> fits({"target": ["support-*"], "kind": ["behaviour"]}, facts), fits({"owner": ["*"]}, facts), fits({}, facts)
    (True, False, True)
    """
    values = facts.values()
    return all(
        (value := values.get(key)) is not None and any(_pattern(wanted).fullmatch(value) for wanted in accepted)
        for key, accepted in match.items()
        if accepted
    )


@functools.lru_cache(maxsize=1024)
def _pattern(wanted: str) -> re.Pattern[str]:
    """Only ``*`` means something: names may hold every other character of a shell's patterns.

    Each part stands where it is found first, and no other place is tried: ten stars would try for hours.
    """
    first, *rest = map(re.escape, wanted.split("*"))
    between, last = rest[:-1], rest[-1:]
    pattern = "".join([first, *(f"(?>.*?{part})" for part in between), *(f".*{part}" for part in last)])
    return re.compile(pattern, re.DOTALL)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
