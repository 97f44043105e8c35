"""What happened when: the moments that are marked in the evidence plot and listed beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftwatch.alert.text import count, listing
from driftwatch.domain import Baseline, Event, HarnessChange, Incident, Kind, Transition
from driftwatch.report.plot import Axis

MARK_WIDTH = 17.0
"""Room that one numbered mark needs, in SVG units; marks closer than that are stacked."""

NAMED = 4
"""Settings that one change on our side names."""


class Tone(StrEnum):
    """How a moment is coloured."""

    CHANGE = "since"
    ALARM = "alarm"
    PEOPLE = "before"
    GOOD = "ok"
    OURS = "soft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened, in a few words."""

    at: datetime
    text: str
    tone: Tone
    until: datetime | None = None
    """The end of an outage; None for what has no length, and for an outage that lasts."""
    is_outage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment with its number, and where the drawing shows it."""

    number: int
    moment: Moment
    x: float | None
    """None: outside the drawing's time."""
    width: float
    """Of an outage's band, in SVG units; 0 for what has no length."""
    row: int
    """0 is the row nearest the plot; marks that would overlap are stacked."""


_EVENTS = {
    Event.OPENED: ("alarm", Tone.ALARM),
    Event.JOINED: ("alarm", Tone.ALARM),
    Event.ESCALATED: ("escalated", Tone.ALARM),
    Event.REOPENED: ("back again", Tone.ALARM),
    Event.ACKNOWLEDGED: ("acknowledged", Tone.PEOPLE),
    Event.RESOLVED: ("ended", Tone.GOOD),
}
"""Edges that are marked; reminders and comments are told in the record alone."""


def moments(
    incident: Incident,
    transitions: Sequence[Transition],
    *,
    baselines: Iterable[Baseline],
    others: Iterable[Incident],
    harness: Iterable[HarnessChange],
) -> list[Moment]:
    """What to mark about an incident, in order of time.

    Args:
        incident: what the report is about.
        transitions: its edges.
        baselines: of its target; those begun since the one it was found against are marked.
        others: other incidents of the same target: its outages, and what else was told about it.
        harness: changes on our side.
    """
    found = [Moment(at=incident.onset_at, text=_began(incident.kind), tone=Tone.CHANGE)]
    for edge in transitions:
        if edge.event in _EVENTS:
            text, tone = _EVENTS[edge.event]
            found.append(Moment(at=edge.at, text=text, tone=tone))
    found += [
        Moment(at=baseline.created_at, text=f"new baseline {baseline.id}", tone=Tone.PEOPLE)
        for baseline in baselines
        if incident.baseline_id is not None and baseline.id > incident.baseline_id
    ]
    found += [_other(other) for other in others if other.id != incident.id]
    found += [
        Moment(at=change.at, text=f"our side changed: {_named(change.changed)}", tone=Tone.OURS)
        for change in harness
        if change.changed
    ]
    return sorted(found, key=lambda moment: moment.at)


def marks(found: Sequence[Moment], axis: Axis) -> tuple[Mark, ...]:
    """Number the moments, and find a place for those that lie within the drawing's time."""
    placed: list[Mark] = []
    for number, moment in enumerate(found, 1):
        until = min(moment.until or axis.end, axis.end) if moment.is_outage else moment.at
        is_within = moment.at <= axis.end and until >= axis.start
        x = axis.x(max(moment.at, axis.start)) if is_within else None
        taken = {mark.row for mark in placed if x is not None and mark.x is not None and x - mark.x < MARK_WIDTH}
        row = next(row for row in range(len(taken) + 1) if row not in taken)
        width = round(axis.x(until) - x, 1) if x is not None and moment.is_outage else 0.0
        placed.append(Mark(number=number, moment=moment, x=x, width=width, row=row))
    return tuple(placed)


def _began(kind: Kind) -> str:
    return "first failing run" if kind is Kind.AVAILABILITY else "onset"


def _other(incident: Incident) -> Moment:
    is_outage = incident.kind is Kind.AVAILABILITY
    what = "outage" if is_outage else f"incident {incident.id} ({incident.kind.value})"
    return Moment(
        at=incident.onset_at if is_outage else incident.opened_at,
        text=what,
        tone=Tone.OURS if is_outage else Tone.ALARM,
        until=incident.resolved_at if is_outage else None,
        is_outage=is_outage,
    )


def _named(keys: Sequence[str]) -> str:
    left = len(keys) - NAMED
    return listing([*keys[:NAMED], *([count(left, "more setting")] if left > 0 else [])])
