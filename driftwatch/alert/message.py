"""What an announcement says, in words for a person woken by it; how it looks is each notifier's business.

Every text decision lives here. Strings that driftwatch did not write itself are made safe (``text.line``);
the quoted prompt and replies of ``Message.pair`` stay as they are, and whoever shows them quotes them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from driftwatch.alert import edges, figures
from driftwatch.alert.edges import Tone
from driftwatch.alert.evidence import Attribution, Change, IncidentEvidence, NextStep, Pair, also, headline, told
from driftwatch.alert.incidents import DRIFTWATCH
from driftwatch.alert.text import count, duration, line, sentence, uncapped, when
from driftwatch.alert.titles import begun_for, called_of, counted, gravest, in_a_title, named, targets_of
from driftwatch.domain import WATCH, Announcement, Event, Incident, Kind

__all__ = ["Message", "NextStep", "Section", "Tone", "compose", "compose_digest", "details", "present"]

_ALSO = 3
"""Further kinds of change named beside the headline."""
_LISTED = 12
"""Groups that each half of a digest lists; a number stands for the rest."""
_SHORT = 64
"""Characters of a notification's key at each end of a digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and its lines."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One announcement in words, for any receiver."""

    title: str
    tone: Tone
    summary: tuple[str, ...]
    """Sentences, the most important first; the first alone must be enough to act on."""
    steps: tuple[NextStep, ...] = ()
    """What to do next; belongs right below the summary."""
    changes: tuple[str, ...] = ()
    """Sentences on what is different about the replies."""
    pair: Pair | None = None
    """Untrusted text, exactly as stored: pass it through ``text.quote``."""
    sections: tuple[Section, ...] = ()
    """The figures behind it."""
    fields: tuple[tuple[str, str], ...] = ()
    """Label and value."""
    footer: str = ""
    """Names the incident and this notification; the same on every attempt, so that a repeat is recognised."""


_IN_FULL = frozenset({Event.OPENED, Event.ESCALATED, Event.REOPENED})
"""Edges whose message shows the evidence; the others remind of it."""


def compose(announcement: Announcement) -> Message:
    """Put one edge of a group into words."""
    transition, incident = announcement.transition, announcement.incident
    evidence = IncidentEvidence.from_json(incident.evidence)
    title, tone, first = edges.edge(announcement, evidence)
    footer = f"{_signature(announcement)} · notification {line(announcement.dedup_key, 100)}"
    if transition.event in _IN_FULL:
        return _in_full(announcement, incident, evidence, title=title, tone=tone, first=first, footer=footer)
    since = (transition.at - announcement.lead.opened_at).total_seconds()
    is_said = transition.event is Event.REMINDED
    opened = () if is_said else (f"Opened {when(announcement.lead.opened_at)}, {duration(since)} before this message.",)
    return Message(
        title=title,
        tone=tone,
        summary=(*first, sentence(f"What it {_is(announcement)} about: {_about(announcement, evidence)}"), *opened),
        steps=_steps(announcement, incident, evidence),
        fields=tuple(figures.fields(announcement, incident, evidence)),
        footer=footer,
    )


def present(announcement: Announcement) -> Message:
    """A group as it stands: what a message that is kept up to date shows, whatever the latest edge was."""
    incident = gravest(announcement)
    evidence = IncidentEvidence.from_json(incident.evidence)
    title, tone, first = edges.standing(announcement)
    shown = _in_full(
        announcement,
        incident,
        evidence,
        title=title,
        tone=tone,
        first=first,
        footer=f"{_signature(announcement)} · as of {when(announcement.transition.at)}",
    )
    # What is over is looked up, not looked at: what it was and how it ended is enough.
    return replace(shown, pair=None, sections=()) if announcement.is_over else shown


def details(announcement: Announcement) -> Message:
    """A group as it stands, with what has become of each of its incidents: the answer to "show me the evidence"."""
    shown = present(announcement)
    members = announcement.members[: figures.SHOWN * 2]
    rows = [f"{line(m.target, 100)}: {m.kind.value}, {m.state.value}, since {when(m.onset_at)}" for m in members]
    rest = len(announcement.members) - len(members)
    rows += [f"and {rest:,} more"] if rest > 0 else []
    return replace(shown, sections=(*shown.sections, Section(title="Each of them", lines=tuple(rows))))


def compose_digest(announcements: Sequence[Announcement]) -> Message:
    """Put what could not be told in time into one message, a line for each group, what is open first.

    Args:
        announcements: the latest edge of each group, one at least.
    """
    latest = list({announcement.lead.id: announcement for announcement in announcements}.values())
    standing = sorted((a for a in latest if not a.is_over), key=lambda a: (gravest(a).severity.rank, a.lead.id))
    over = [a for a in latest if a.is_over]
    began, ended = min(a.lead.opened_at for a in latest), max(a.transition.at for a in latest)
    still = f"{len(standing)} still open" if standing else "none still open"
    told_now = count(len(latest), "incident")
    keys = list(dict.fromkeys(line(a.dedup_key, _SHORT) for a in (announcements[0], announcements[-1])))
    tone = edges.TONES[gravest(standing[0]).severity] if standing else Tone.GOOD
    found = (("Still open", standing), ("Over", over))
    return Message(
        title=f"Not told until now: {told_now}, {still}",
        tone=tone,
        summary=(f"{told_now} could not be told here in time, between {when(began)} and {when(ended)}; {still}.",),
        steps=tuple(
            NextStep(command=f"driftwatch report {a.lead.id}", meaning=f"all about incident {a.lead.id}, still open")
            for a in standing[:2]
        )
        or (NextStep(command="driftwatch incidents --all", meaning="lists them"),),
        sections=tuple(
            Section(title=f"{title} ({len(groups)})", lines=_digested(groups)) for title, groups in found if groups
        ),
        footer=f"driftwatch digest · notifications {' to '.join(keys)}",
    )


def _digested(groups: Sequence[Announcement]) -> tuple[str, ...]:
    lines = []
    for group in groups[:_LISTED]:
        title = called_of(group).of(in_a_title(targets_of(group.members)))
        began, at = group.lead.opened_at, group.transition.at
        if not group.is_over:
            attended = edges.attended(group)
            lines.append(f"{group.lead.id} · {title}, since {when(began)}; {attended}")
            continue
        edge = edges.last(group, Event.RESOLVED)
        ended_at = edge.at if edge else at
        how = "recovered" if edge is None or edge.author == DRIFTWATCH else f"closed by {line(edge.author, 60)}"
        lines.append(
            f"{group.lead.id} · {title}, {when(began)}; {how} after {duration((ended_at - began).total_seconds())}"
        )
    rest = len(groups) - _LISTED
    return (*lines, *([f"and {rest:,} more: driftwatch incidents --all"] if rest > 0 else []))


# ---------------------------------------------------------------- what it is about


def _in_full(
    announcement: Announcement,
    incident: Incident,
    evidence: IncidentEvidence,
    *,
    title: str,
    tone: Tone,
    first: tuple[str, ...],
    footer: str,
) -> Message:
    """A message with all the evidence that fits; its first lines say what, since when, how sure and whose side."""
    judged_for, attribution = _judged_last(announcement, incident, evidence)
    evidence = replace(evidence, attribution=attribution)
    said = [*first, sentence(_what(announcement, incident, evidence))]
    targets = targets_of(announcement.members)
    if announcement.transition.event is Event.OPENED and announcement.lead not in begun_for(announcement):
        said.append(_beside(announcement))
    if len(targets) > 1:
        said.append(f"Seen on {counted(announcement.members)}: {named(targets)}.")
    said.extend(filter(None, [figures.how_sure(incident, evidence)]))
    if attribution:
        asked = "" if judged_for == incident.target else f", judged for {line(judged_for, 100)}"
        said.append(sentence(f"Whose side{asked}: {uncapped(line(attribution.summary))}"))
    if incident.kind is Kind.AVAILABILITY:
        said.extend(map(sentence, figures.failures(evidence)))
    known = tuple(filter(None, map(line, evidence.changes)))[: figures.SHOWN]
    # A full disk changes nothing about replies.
    changes = () if incident.kind is Kind.WATCH_ITSELF else known
    rows = figures.sections(incident.kind, evidence)
    rows += [("What is known", known)] if known and not changes else []
    said.extend(_reasons(evidence, changes))
    said.extend(_reported("model name", evidence.served_model))
    said.extend(_reported("system fingerprint", evidence.fingerprint))
    if evidence.performance_also:
        said.append("Speed or length of its replies changed as well; that is part of this incident, not another page.")
    return Message(
        title=title,
        tone=tone,
        summary=tuple(said),
        steps=_steps(announcement, incident, evidence),
        changes=changes,
        pair=evidence.pair,
        sections=tuple(Section(title=title, lines=lines) for title, lines in rows),
        fields=tuple(figures.fields(announcement, incident, evidence)),
        footer=footer,
    )


def _judged_last(
    announcement: Announcement, incident: Incident, evidence: IncidentEvidence
) -> tuple[str, Attribution | None]:
    """Whose side the latest is on of which it is known, of the incident and those of its kind that joined since.

    It was judged knowing which others had moved by then; what was judged when the first alone had moved would
    contradict the list of those that have it by now.

    Returns:
        The target that it was judged for, and the judgement.
    """
    later = [m for m in announcement.members if m.kind is incident.kind and m.opened_at > incident.opened_at]
    for member in sorted(later, key=lambda member: (member.opened_at, member.id), reverse=True):
        if attribution := IncidentEvidence.from_json(member.evidence).attribution:
            return member.target, attribution
    return incident.target, evidence.attribution


def _beside(announcement: Announcement) -> str:
    """The group that an incident opened in, for somebody who hears of it for the first time."""
    lead = announcement.lead
    return f"It belongs to incident {lead.id}, which began with {line(lead.target, 100)} on {when(lead.opened_at)}."


def _what(announcement: Announcement, incident: Incident, evidence: IncidentEvidence) -> str:
    """The kind of change when one is borne out, else that something changed."""
    found = told(evidence)
    if found is None:
        return _headline(incident, evidence)
    is_one = len(targets_of(announcement.members)) == 1
    return line(found) if is_one else f"{line(incident.target, 100)}: {uncapped(line(found))}"


def _headline(incident: Incident, evidence: IncidentEvidence) -> str:
    computed = headline(
        incident.kind,
        incident.target,
        onset_at=incident.onset_at,
        n_runs=evidence.runs_since_onset,
        channels=evidence.channels,
    )
    return line(evidence.headline or computed)


def _about(announcement: Announcement, evidence: IncidentEvidence) -> str:
    found = told(evidence)
    return line(uncapped(found)) if found else _headline(announcement.incident, evidence)


def _signature(announcement: Announcement) -> str:
    """Without a number when it is told from memory, while the database cannot be written."""
    return f"driftwatch incident {announcement.lead.id}" if announcement.lead.id else "driftwatch"


def _is(announcement: Announcement) -> str:
    return "was" if announcement.is_over else "is"


def _reasons(evidence: IncidentEvidence, changes: Sequence[str]) -> list[str]:
    """The figures behind the kind, and what else is borne out, where ``changes`` do not tell it."""
    if not evidence.kind_of_change:
        return []
    why = line(evidence.kind_of_change[0].why)
    said = [sentence(f"Figures: {why}")] if why and not any(why in change for change in changes) else []
    if others := also(evidence, changes):
        said.append(sentence(f"Also: {'; '.join(map(line, others[:_ALSO]))}"))
    return said


def _reported(what: str, change: Change | None) -> list[str]:
    if change is None:
        return []
    before, after = (line(value, 100) if value else "none" for value in (change.before, change.after))
    return [f"The endpoint reports another {what}: {before} → {after}."]


def _steps(announcement: Announcement, incident: Incident, evidence: IncidentEvidence) -> tuple[NextStep, ...]:
    number = announcement.lead.id
    steps = [
        NextStep(command=line(step.command), meaning=line(step.meaning)) for step in evidence.steps[: figures.SHOWN]
    ]
    if not number:  # told from memory while the database cannot be written: there is nothing to look up
        return () if announcement.is_over else tuple(steps)
    if announcement.is_over:
        return (NextStep(command=f"driftwatch report {number}", meaning="all the evidence"),)
    steps.append(NextStep(command=f"driftwatch report {number}", meaning="all the evidence"))
    if edges.taken(announcement) is None:
        steps.append(
            NextStep(
                command=f'driftwatch ack {number} --reason "…"',
                meaning="says that you are on it; no more reminders",
            )
        )
    if announcement.transition.event in {*_IN_FULL, Event.REMINDED}:
        steps.append(
            NextStep(
                command=f'driftwatch silence add {number} --for 24h --reason "…"',
                meaning="no message about it for a day",
            )
        )
    if incident.kind not in {Kind.AVAILABILITY, Kind.WATCH_ITSELF} and incident.target != WATCH:
        # Quoted for a shell: the commands are there to be copied.
        steps.append(
            NextStep(
                command=f"driftwatch rebaseline {shlex.quote(line(incident.target, 100))} --preview",
                meaning="what accepting the new behaviour would mean",
            )
        )
    return tuple(steps)
