"""What an announcement says, in words for a person woken by it; how it looks is each notifier's business.

Every text decision lives here. Strings that driftwatch did not write itself are made safe (``text.line``);
the quoted prompt and replies of ``Message.pair`` stay as they are, and whoever shows them quotes them.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum

from driftwatch.alert.evidence import (
    CanaryShift,
    Change,
    ChannelShift,
    IncidentEvidence,
    Pair,
    also,
    headline,
    lasting,
    told,
    trend,
)
from driftwatch.alert.incidents import DRIFTWATCH, NEW_BASELINE
from driftwatch.alert.meanings import MEANINGS
from driftwatch.alert.text import amount, day, duration, line, listing, uncapped, when
from driftwatch.domain import LASTING, Announcement, IncidentState, Kind, Outcome

_CARRIES = 0.2
"""Share of the evidence from which a channel is named as carrying it."""
_SHOWN = 5
"""Lines of one section; the report has all."""
_ALSO = 3
"""Further kinds of change named beside the headline."""

_TREND_TITLES = {
    "slower": "Slower",
    "faster": "Faster",
    "longer": "Longer replies",
    "shorter": "Shorter replies",
    "different": "Performance",
}


class Severity(StrEnum):
    """How loudly a message is shown."""

    ALARM = "alarm"
    WARNING = "warning"
    NOTICE = "notice"
    GOOD = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and its lines."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """A command to copy and what it does."""

    command: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One announcement in words, for any receiver."""

    title: str
    severity: Severity
    summary: tuple[str, ...]
    """Sentences, the most important first; the first alone must be enough to act on."""
    changes: tuple[str, ...] = ()
    """Sentences on what is different about the replies."""
    sections: tuple[Section, ...] = ()
    """The figures behind it."""
    pair: Pair | None = None
    """Untrusted text, exactly as stored: pass it through ``text.quote``."""
    fields: tuple[tuple[str, str], ...] = ()
    """Label and value."""
    steps: tuple[NextStep, ...] = ()
    footer: str = ""
    """Names the incident and this notification; the same on every attempt, so that a repeat is recognised."""


def compose(announcement: Announcement) -> Message:
    """Put an announcement into words."""
    incident, transition = announcement.incident, announcement.transition
    evidence = IncidentEvidence.from_json(incident.evidence)
    target = line(incident.target, 100)
    footer = f"driftwatch incident {incident.id} · notification {line(announcement.dedup_key, 100)}"
    fields = _fields(announcement, evidence)
    is_gone = lasting(evidence.outcomes) == LASTING[Outcome.MODEL_GONE]
    if transition.after is IncidentState.OPEN:
        title, severity = {
            Kind.BEHAVIOUR: ("Drift", Severity.ALARM),
            Kind.PERFORMANCE: (_TREND_TITLES[trend(evidence.channels)], Severity.WARNING),
            Kind.AVAILABILITY: ("Model gone" if is_gone else "Cannot measure", Severity.WARNING),
            Kind.TRIPWIRE: ("Other metadata", Severity.WARNING),
        }[incident.kind]
        return Message(
            title=f"{title}: {target}",
            severity=severity,
            summary=_opening(announcement, evidence),
            changes=_changes(evidence),
            sections=_sections(incident.kind, evidence),
            pair=evidence.pair,
            fields=fields,
            steps=_steps(announcement),
            footer=footer,
        )
    if transition.after is IncidentState.ACKNOWLEDGED:
        title, severity = "Acknowledged", Severity.NOTICE
        first = f"{line(transition.author, 100)} is looking at incident {incident.id}: {line(transition.reason)}"
    elif transition.author == DRIFTWATCH:
        title, severity = "Recovered", Severity.GOOD
        first = f"{target}: {line(transition.reason)}"
    elif transition.reason.startswith(NEW_BASELINE):
        title, severity = "Closed", Severity.NOTICE
        first = f"{target}: {line(transition.reason)}. It is watched against the new baseline from now on"
    else:
        title, severity = "Closed", Severity.NOTICE
        first = f"{line(transition.author, 100)} closed incident {incident.id} of {target}: {line(transition.reason)}"
    open_s = (transition.at - incident.opened_at).total_seconds()
    return Message(
        title=f"{title}: {target}",
        severity=severity,
        summary=(
            _sentence(first),
            _sentence(f"What it was about: {_about(announcement, evidence)}"),
            f"Opened {when(incident.opened_at)}, {duration(open_s)} before this message.",
        ),
        fields=fields,
        steps=_steps(announcement),
        footer=footer,
    )


def _headline(announcement: Announcement, evidence: IncidentEvidence) -> str:
    incident = announcement.incident
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
    return line(uncapped(found)) if found else _headline(announcement, evidence)


def _opening(announcement: Announcement, evidence: IncidentEvidence) -> tuple[str, ...]:
    """Why somebody is being told, in falling order of use at three in the morning."""
    said = [_sentence(_what(announcement, evidence))]
    if announcement.incident.kind is Kind.AVAILABILITY:
        if evidence.outcomes:
            ended = [f"{n:,} × {line(outcome, 40).replace('_', ' ')}" for outcome, n in evidence.outcomes.items()]
            said.append(_sentence(f"Failed requests: {listing(ended)}"))
        if evidence.last_error:
            said.append(_sentence(f"Last error: {line(evidence.last_error)}"))
        if lasting(evidence.outcomes):
            said.append("Asking again does not change that: somebody has to see to it.")
        said.append("While this lasts, driftwatch cannot tell whether the behaviour changed; this is not drift.")
        return tuple(said)
    said.extend(_reasons(evidence))
    carrying = [c for c in evidence.channels if c.share >= _CARRIES]
    if carrying:
        names = listing([f"{line(c.name, 40)} ({c.share:.0%})" for c in carrying])
        said.append(f"{names[0].upper()}{names[1:]} {'carries' if len(carrying) == 1 else 'carry'} the evidence.")
    if evidence.evidence is not None and evidence.threshold is not None:
        said.append(
            f"How sure: evidence {amount(evidence.evidence)} against a bar of {evidence.threshold:,.0f}"
            + (
                f", set so that {line(evidence.alarm_budget, 100)} is expected on this target."
                if evidence.alarm_budget
                else "."
            ),
        )
    said.extend(_reported("model name", evidence.served_model))
    said.extend(_reported("system fingerprint", evidence.fingerprint))
    if evidence.performance_also:
        said.append("Speed or length of its replies changed as well; that is part of this incident, not another page.")
    return tuple(said)


def _what(announcement: Announcement, evidence: IncidentEvidence) -> str:
    """The kind of change when one is borne out, else that something changed."""
    found = told(evidence)
    return line(found) if found else _headline(announcement, evidence)


def _reasons(evidence: IncidentEvidence) -> list[str]:
    """The figures behind the kind, and what else is borne out."""
    if not evidence.kind_of_change:
        return []
    first = evidence.kind_of_change[0]
    said = [_sentence(f"Figures: {line(first.why)}")] if first.why else []
    if others := also(evidence, _changes(evidence)):
        said.append(_sentence(f"Also: {'; '.join(map(line, others[:_ALSO]))}"))
    return said


def _changes(evidence: IncidentEvidence) -> tuple[str, ...]:
    return tuple(filter(None, map(line, evidence.changes)))[:_SHOWN]


def _reported(what: str, change: Change | None) -> list[str]:
    if change is None:
        return []
    before, after = (line(value, 100) if value else "none" for value in (change.before, change.after))
    return [f"The endpoint reports another {what}: {before} → {after}."]


def _sections(kind: Kind, evidence: IncidentEvidence) -> tuple[Section, ...]:
    scale = (
        # The scale of score's latency and tokens channels: ½ + ln(factor) / (2 · ln 100).
        "0.5 is as in the accepted replies, each 0.075 more is twice as much"
        if kind is Kind.PERFORMANCE
        else "distance from the accepted replies: 0 none, 1 nothing in common"
    )
    affected = [c for c in evidence.canaries if c.is_affected] or evidence.canaries
    # A kind of change says on how many canaries it shows; the number that moved at all may be another.
    beyond = (
        f" ({evidence.affected.n} of {evidence.affected.of} beyond chance)"
        if evidence.affected and evidence.affected.n and not evidence.kind_of_change
        else ""
    )
    sections = (
        Section(title=f"Where it shows ({scale})", lines=tuple(map(_channel_line, evidence.channels[:_SHOWN]))),
        Section(title=f"Canaries that moved most{beyond}", lines=tuple(map(_canary_line, affected[:_SHOWN]))),
    )
    return tuple(section for section in sections if section.lines)


def _channel_line(channel: ChannelShift) -> str:
    moved = _moved(channel.calibration_mean, channel.since_onset_mean)
    usual = (
        f" (95% of calibration runs were below {channel.calibration_high:.2f})"
        if channel.calibration_high is not None
        else ""
    )
    what = f", {MEANINGS[channel.name]}" if channel.name in MEANINGS else ""
    return f"{line(channel.name, 40)}{moved}{usual}: {channel.share:.0%} of the evidence{what}"


def _canary_line(canary: CanaryShift) -> str:
    return f"{line(canary.id, 100)}: {line(canary.channel, 40)}{_moved(canary.before_mean, canary.after_mean)}"


def _moved(before: float | None, after: float | None) -> str:
    return "" if before is None or after is None else f" {before:.2f} → {after:.2f}"


def _fields(announcement: Announcement, evidence: IncidentEvidence) -> tuple[tuple[str, str], ...]:
    incident = announcement.incident
    owner = announcement.owner or evidence.owner
    endpoint = " at ".join(line(part, 100) for part in (evidence.model, evidence.provider) if part)
    baseline = f"{incident.baseline_id}"
    if evidence.baseline:
        accepted = f", accepted by {line(evidence.baseline.author, 100)}" if evidence.baseline.author else ""
        on = f" on {day(evidence.baseline.at)}" if evidence.baseline.at else ""
        baseline = f"{evidence.baseline.id}{accepted}{on}"
    fields = (
        ("Incident", f"{incident.id} ({incident.kind.value})"),
        ("Owner", line(owner, 100) if owner else ""),
        ("Model", endpoint),
        ("Baseline", baseline),
        ("Began", when(incident.onset_at)),
        ("Alarm", when(evidence.alarm_at) if evidence.alarm_at else ""),
    )
    return tuple((label, value) for label, value in fields if value)


def _steps(announcement: Announcement) -> tuple[NextStep, ...]:
    incident, after = announcement.incident, announcement.transition.after
    # Quoted for a shell: the commands are there to be copied.
    target = shlex.quote(line(incident.target, 100))
    steps = [
        NextStep(command=f"driftwatch report {incident.id}", meaning="all the evidence, with the stored replies"),
        NextStep(command=f"driftwatch history {target}", meaning="the runs before and since, one line each"),
    ]
    if after is IncidentState.OPEN:
        steps.append(
            NextStep(
                command=f'driftwatch incidents ack {incident.id} --by you --reason "…"',
                meaning="says that you are on it; the incident stays open and ends by itself when the target is back",
            ),
        )
    if after is not IncidentState.RESOLVED and incident.kind is not Kind.AVAILABILITY:
        steps.append(
            NextStep(
                command=f'driftwatch rebaseline {target} --reason "…"',
                meaning="accepts the new behaviour as normal, ends the incident and watches from there; can be undone",
            ),
        )
    return tuple(steps)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
