"""What has become of a group: title, colour and first sentences of one edge, and of how it stands now."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.alert.incidents import DRIFTWATCH, NEW_BASELINE
from driftwatch.alert.text import count, duration, line, ordinal, sentence, uncapped, when
from driftwatch.alert.titles import begun_for, called, called_of, counted, gravest, in_a_title, named, targets_of
from driftwatch.domain import Announcement, Event, IncidentState, Severity, Transition


class Tone(StrEnum):
    """How a message is coloured."""

    ALARM = "alarm"
    WARNING = "warning"
    NOTICE = "notice"
    GOOD = "good"


TONES = {Severity.CRITICAL: Tone.ALARM, Severity.WARNING: Tone.WARNING, Severity.INFO: Tone.NOTICE}

Told: TypeAlias = tuple[str, Tone, tuple[str, ...]]
"""Title, tone and first sentences."""


def edge(announcement: Announcement, evidence: IncidentEvidence) -> Told:
    """What one edge says."""
    incident, transition, number = announcement.incident, announcement.transition, announcement.lead.id
    name, tone = called(incident, evidence), TONES[incident.severity]
    reason, author = line(transition.reason), line(transition.author, 100)
    whole = in_a_title(targets_of(announcement.members))
    first: tuple[str, ...] = ()
    match transition.event:
        case Event.OPENED:
            title = name.of(in_a_title(targets_of(begun_for(announcement))))
        case Event.JOINED:
            title, first = _joined(announcement)
        case Event.ESCALATED if transition.before is None:
            title = f"Now {uncapped(name.of(whole))}"
            first = (f"Incident {number}, known since {when(announcement.lead.opened_at)}, got graver.",)
        case Event.ESCALATED:
            title, first = name.after("Escalated", whole), (sentence(f"Incident {number}: {reason}"),)
        case Event.REOPENED if transition.before is None:
            target = line(incident.target, 100)
            title = name.after("Back again", target)
            first = (f"{target} was over, and has it again; it belongs to incident {number}.",)
        case Event.REOPENED:
            times = ordinal(incident.n_reopened + 1)
            title = name.after("Back again", whole)
            first = (f"It is back: the {times} time since {when(incident.opened_at)}, all in incident {number}.",)
        case Event.REMINDED:
            open_s = (transition.at - announcement.lead.opened_at).total_seconds()
            title = name.after("Still open", whole)
            first = (f"Incident {number} is still open after {duration(open_s)}; {attended(announcement)}.",)
        case Event.ACKNOWLEDGED:
            title, tone = f"Acknowledged: {whole}", Tone.NOTICE
            first = (sentence(f"{author} is looking at incident {number}: {reason}"),)
        case Event.COMMENTED:
            title, tone = f"Comment: {whole}", Tone.NOTICE
            first = (sentence(f"{author} on incident {number}: {reason}"),)
        case _:
            title, tone, first = _ended(announcement)
    return title, tone, first


def standing(announcement: Announcement) -> Told:
    """A group as it stands: what a message that is kept up to date is titled, whatever the latest edge was."""
    incident = gravest(announcement)
    name, targets = called_of(announcement), in_a_title(targets_of(announcement.members))
    if announcement.is_over:
        found = last(announcement, Event.RESOLVED)
        over_at = found.at if found else announcement.transition.at
        by_itself = found is None or found.author == DRIFTWATCH
        became, tone = ("Recovered", Tone.GOOD) if by_itself else ("Closed", Tone.NOTICE)
        who = "" if found is None or by_itself else f" by {line(found.author, 100)}"
        how = f": {line(found.reason)}" if found else ""
        lasted = duration((over_at - announcement.lead.opened_at).total_seconds())
        return name.after(became, targets), tone, (sentence(f"{became} after {lasted}, {when(over_at)}{who}{how}"),)
    if found := taken(announcement):
        who = line(found.author, 100)
        said = sentence(f"{who} has been looking at it since {when(found.at)}: {line(found.reason)}")
        return name.after(f"Acknowledged by {who}", targets), Tone.NOTICE, (said,)
    return name.of(targets), TONES[incident.severity], _so_far(announcement)


def _ended(announcement: Announcement) -> Told:
    """How an incident ended, alone or as the last of its group or before others of it."""
    incident, transition, members = announcement.incident, announcement.transition, announcement.members
    target = line(incident.target, 100)
    by_itself = transition.author == DRIFTWATCH
    if by_itself:
        first = f"{target}: {line(transition.reason)}"
    elif transition.reason.startswith(NEW_BASELINE):
        # Calibration may still be under way: what is true in either case.
        first = f"{target}: {line(transition.reason)}. What comes next is held against it as soon as it is armed"
    else:
        author = line(transition.author, 100)
        first = f"{author} closed incident {announcement.lead.id} of {target}: {line(transition.reason)}"
    became, tone = ("Recovered", Tone.GOOD) if by_itself else ("Closed", Tone.NOTICE)
    standing = targets_of([member for member in members if member.is_open])
    if announcement.is_over:
        return f"{became}: {in_a_title(targets_of(members))}", tone, (sentence(first),)
    still = f"Still open: {named(standing)}."
    left = f"{len(standing)} of {count(len(targets_of(members)), 'target')} still open"
    return f"{became}: {target}, {left}", Tone.NOTICE, (sentence(first), still)


def _joined(announcement: Announcement) -> tuple[str, tuple[str, ...]]:
    """More targets of a group that is open already: all but the first, since these are told collected."""
    lead = announcement.lead
    others = [member for member in announcement.members if member.target != lead.target]
    if not others:  # the same target in another way, e.g. a slowdown beside a model that is gone
        name = called(announcement.incident, IncidentEvidence.from_json(announcement.incident.evidence))
        return name.after("Also", line(lead.target, 100)), (f"It belongs to incident {lead.id}, which is open.",)
    number = f"{counted(others)}"
    more = number.replace("target", "more target", 1)
    name = called(lead, IncidentEvidence.from_json(lead.evidence))
    return (
        f"{more}: {uncapped(name.what)}, like {line(lead.target, 100)}",
        (
            f"Incident {lead.id}, which began with {line(lead.target, 100)}, is seen on {more} too.",
            f"They are {named(targets_of(others))}.",
        ),
    )


def attended(announcement: Announcement) -> str:
    """Whether somebody looks at an open group, as a clause."""
    found = taken(announcement)
    return (
        f"{line(found.author, 100)} has been looking at it since {when(found.at)}"
        if found
        else "nobody has acknowledged it"
    )


def taken(announcement: Announcement) -> Transition | None:
    """The edge by which somebody said that they are on it; None when nobody is, or it has moved on since."""
    is_taken = any(member.state is IncidentState.ACKNOWLEDGED for member in announcement.members)
    return last(announcement, Event.ACKNOWLEDGED) if is_taken else None


def last(announcement: Announcement, event: Event) -> Transition | None:
    """The latest edge of the group that tells such an event; None without one."""
    edges = [*announcement.history, announcement.transition]
    return next((edge for edge in reversed(edges) if edge.event is event), None)


def _so_far(announcement: Announcement) -> tuple[str, ...]:
    """What has happened since a group that nobody attends to was opened; empty when nothing has."""
    times = max(member.n_reopened for member in announcement.members)
    resolved = [m for m in announcement.members if not m.is_open]
    parts = [
        f"came back for the {ordinal(times + 1)} time" if times else "",
        f"{named(targets_of(resolved))} recovered" if resolved else "",
    ]
    said = ", ".join(part for part in parts if part)
    return (f"Since {when(announcement.lead.opened_at)}: {said}.",) if said else ()
