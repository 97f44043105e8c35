"""Who is told of the incidents of a target: its own receivers, or those of the routes, which replace them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from driftwatch.alert.policy import Facts, Policy, fits
from driftwatch.domain import WATCH, Kind, Severity, Target

_CAN_BE_GRAVE = (Kind.AVAILABILITY, Kind.TRIPWIRE, Kind.WATCH_ITSELF)
"""Kinds with an incident that is critical without the config saying so: a model that is gone, a full disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """Who is told of one kind of incident."""

    kind: Kind
    severity: Severity
    receivers: tuple[str, ...]
    """At once; empty: nobody."""
    escalations: tuple[tuple[timedelta, tuple[str, ...]], ...]
    """How long nobody has answered → who is told then."""

    @property
    def everybody(self) -> set[str]:
        """At once or later."""
        return {*self.receivers, *(name for _, names in self.escalations for name in names)}

    @property
    def words(self) -> str:
        """E.g. ``mail; after 30m without an answer: pager``."""
        later = [f"after {_span(after)} without an answer: {', '.join(names)}" for after, names in self.escalations]
        return "; ".join([", ".join(self.receivers) or "nobody is told", *later])


def addressees(target: Target | None, policy: Policy) -> list[Addressed]:
    """Who is told of what, for every kind and grade that a target's incidents can have.

    Args:
        target: None for the watch as a whole, which has trouble of its own only.
        policy: what the config says of alerts.
    """
    kinds = Kind if target else (Kind.WATCH_ITSELF,)
    return [_addressed(target, kind, severity, policy) for kind in kinds for severity in _grades(kind, policy)]


def in_words(found: Sequence[Addressed]) -> list[str]:
    """One line for all who are told the same, e.g. ``behaviour (critical), tripwire (warning): pager``."""
    by_words: dict[str, list[Addressed]] = {}
    for one in found:
        by_words.setdefault(one.words, []).append(one)
    if len(by_words) == 1:
        return list(by_words)
    return [f"{_titles(ones)}: {words}" for words, ones in by_words.items()]


def never_told(receivers: Iterable[str], found: Sequence[Addressed]) -> list[str]:
    """Receivers that no incident reaches."""
    told = {name for one in found for name in one.everybody}
    return [name for name in receivers if name not in told]


def _grades(kind: Kind, policy: Policy) -> Sequence[Severity]:
    """Some kinds are graver where they will not pass by themselves, unless the config grades them."""
    if kind in _CAN_BE_GRAVE and kind not in policy.severities:
        return (policy.severity(kind), Severity.CRITICAL)
    return (policy.severity(kind),)


def _addressed(target: Target | None, kind: Kind, severity: Severity, policy: Policy) -> Addressed:
    facts = Facts(
        target=target.name if target else WATCH,
        kind=kind,
        severity=severity,
        owner=target.owner if target else None,
        feature=target.feature if target else None,
    )
    steps = sorted((step for step in policy.escalations if fits(step.match, facts)), key=lambda step: step.after)
    return Addressed(
        kind=kind,
        severity=severity,
        receivers=policy.receivers_of(facts, target.receivers if target else policy.receivers),
        escalations=tuple((step.after, step.receivers) for step in steps),
    )


def _titles(ones: Sequence[Addressed]) -> str:
    """E.g. ``behaviour (critical), availability (warning, critical)``."""
    grades: dict[str, list[str]] = {}
    for one in ones:
        grades.setdefault(one.kind.value, []).append(one.severity.value)
    return ", ".join(f"{kind} ({', '.join(named)})" for kind, named in grades.items())


def _span(length: timedelta) -> str:
    seconds = length.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
