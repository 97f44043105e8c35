"""A whole report: one incident with its group, a section for each target, or one target's present state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.alert.text import count, listing
from driftwatch.domain import WATCH, Incident, IncidentState, Kind, Severity, Target
from driftwatch.report import words
from driftwatch.report.record import Deed, record
from driftwatch.report.view import View, gather
from driftwatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a report tells, in no format yet."""

    title: str
    number: int | None
    """By which people know the incident; None for a target's present state."""
    severity: Severity | None
    """The gravest of the group's open incidents, or of all when none is."""
    state: str
    """Incident or target state, one word."""
    members: tuple[View, ...]
    """A section for each target, the leading one first."""
    record: tuple[Deed, ...]
    steps: tuple[tuple[str, str], ...]
    """What to do next: (command, what it means)."""
    at: datetime | None
    """When it was made; None where that does not matter."""

    @property
    def lead(self) -> View:
        """The section that leads."""
        return self.members[0]

    @property
    def is_group(self) -> bool:
        """Whether it is about several incidents of one cause."""
        return len(self.members) > 1

    @property
    def extent(self) -> str:
        """How far a group reaches, as a sentence."""
        names = dict.fromkeys(view.name for view in self.members)
        where = f"seen on {count(len(names), 'target')}" if len(names) > 1 else "told as one incident"
        return f"One cause for alarm, {where}: {listing([view.heading for view in self.members])}. The first leads."


def about_incident(
    store: Store, targets: Mapping[str, Target], incident: Incident, *, at: datetime | None = None
) -> Report:
    """Gather the report on an incident and all that belong to its group.

    Args:
        store: read only.
        targets: those configured, by name. Of one that has left the config the report has what the store knows.
        incident: any of the group.
        at: when the report is made.
    """
    group = store.group(incident.id) or [incident]
    # What a caller holds may be newer than what is stored, and the other way round only in tests.
    members = [incident if member.id == incident.id else member for member in group]
    views = _each_once([gather(store, targets.get(m.target) or _unconfigured(m), m) for m in members])
    lead = members[0]
    still_open = [member for member in members if member.is_open] or members
    return Report(
        title=_title(views),
        number=lead.id,
        severity=min((member.severity for member in still_open), key=lambda severity: severity.rank),
        state=_state(members),
        members=views,
        record=record(store, members),
        steps=tuple(words.steps(members, views[0].evidence)),
        at=at,
    )


def about_target(store: Store, target: Target, *, at: datetime | None = None) -> Report:
    """Gather the report on a target's present state."""
    view = gather(store, target, None)
    return Report(
        title=view.title, number=None, severity=None, state=view.state, members=(view,), record=(), steps=(), at=at
    )


def _each_once(views: Sequence[View]) -> tuple[View, ...]:
    """Where several incidents of a group are about one target, only the most telling shows its drawings and replies."""
    telling: dict[str, View] = {}
    for view in sorted(views, key=_rank):
        telling.setdefault(view.name, view)
    return tuple(
        view if telling[view.name] is view else replace(view, plot=None, marks=(), groups=(), affected=None, pairs=())
        for view in views
    )


def _rank(view: View) -> int:
    order = [Kind.BEHAVIOUR, Kind.PERFORMANCE]
    kind = view.incident.kind if view.incident else None
    return order.index(kind) if kind in order else len(order)


def _title(views: Sequence[View]) -> str:
    if len(views) == 1:
        return views[0].title
    names = dict.fromkeys(view.name for view in views)
    return f"{count(len(names), 'target')} at once: {views[0].title}" if len(names) > 1 else views[0].title


def _state(members: Sequence[Incident]) -> str:
    """Open while any is; acknowledged when all that are not over are."""
    states = {member.state for member in members}
    return next(state.value for state in IncidentState if state in states)


def _unconfigured(incident: Incident) -> Target:
    """Stands for a target that is configured no longer, or for the watch as a whole."""
    evidence = IncidentEvidence.from_json(incident.evidence)
    is_watch = incident.target == WATCH
    return Target(
        name=incident.target,
        provider=evidence.provider or ("" if is_watch else "not configured any more"),
        model=evidence.model or ("" if is_watch else "unknown"),
        canaries=(),
        owner=evidence.owner,
    )
