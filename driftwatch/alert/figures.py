"""The figures behind an incident as lines of text: channels, canaries, reasons of attribution, fields."""

from __future__ import annotations

from driftwatch.alert.evidence import CanaryShift, ChannelShift, IncidentEvidence, lasting
from driftwatch.alert.meanings import MEANINGS
from driftwatch.alert.text import amount, day, line, listing, when
from driftwatch.alert.titles import counted, named, targets_of
from driftwatch.domain import Announcement, Incident, Kind

SHOWN = 5
"""Lines of one section; the report has all."""
_REASONS = 3
"""Reasons of an attribution that a message gives; the report has all."""


def sections(kind: Kind, evidence: IncidentEvidence) -> list[tuple[str, tuple[str, ...]]]:
    """Title and lines of each; one without lines is left out."""
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
    reasons = evidence.attribution.reasons[:_REASONS] if evidence.attribution else ()
    found = [
        ("Why this side", tuple(line(reason.text) for reason in reasons)),
        (f"Where it shows ({scale})", tuple(map(_channel_line, evidence.channels[:SHOWN]))),
        (f"Canaries that moved most{beyond}", tuple(map(_canary_line, affected[:SHOWN]))),
    ]
    return [(title, lines) for title, lines in found if lines]


def how_sure(incident: Incident, evidence: IncidentEvidence) -> str | None:
    """One sentence on what speaks for it; None where the failures or the trouble speak for themselves."""
    if incident.kind is Kind.TRIPWIRE:
        return "How sure: certain, the endpoint itself says so."
    if evidence.evidence is None or evidence.threshold is None:
        return None
    budget = (
        f", set so that {line(evidence.alarm_budget, 100)} is expected on this target" if evidence.alarm_budget else ""
    )
    return f"How sure: evidence {amount(evidence.evidence)} against a bar of {evidence.threshold:,.0f}{budget}."


def failures(evidence: IncidentEvidence) -> list[str]:
    """What availability has to say: how requests ended, and whether waiting helps."""
    said = []
    if evidence.outcomes:
        ended = [f"{n:,} × {line(outcome, 40).replace('_', ' ')}" for outcome, n in evidence.outcomes.items()]
        said.append(f"Failed requests: {listing(ended)}")
    if evidence.last_error:
        said.append(f"Last error: {line(evidence.last_error)}")
    if lasting(evidence.outcomes):
        said.append("Asking again does not change that: somebody has to see to it.")
    said.append("While this lasts, driftwatch cannot tell whether the behaviour changed; this is not drift.")
    return said


def fields(announcement: Announcement, incident: Incident, evidence: IncidentEvidence) -> list[tuple[str, str]]:
    """Label and value of what a person files an incident under."""
    owner = announcement.owner or evidence.owner
    endpoint = " at ".join(line(part, 100) for part in (evidence.model, evidence.provider) if part)
    baseline = "" if incident.baseline_id is None else f"{incident.baseline_id}"
    if evidence.baseline:
        accepted = f", accepted by {line(evidence.baseline.author, 100)}" if evidence.baseline.author else ""
        on = f" on {day(evidence.baseline.at)}" if evidence.baseline.at else ""
        baseline = f"{evidence.baseline.id}{accepted}{on}"
    targets = targets_of(announcement.members)
    number = announcement.lead.id or "without a number"
    found = (
        ("Incident", f"{number} ({incident.kind.value}, {incident.severity.value})"),
        ("Targets", f"{counted(announcement.members)}: {named(targets)}" if len(targets) > 1 else ""),
        ("Owner", line(owner, 100) if owner else ""),
        ("Feature", line(evidence.feature, 100) if evidence.feature else ""),
        ("Model", endpoint),
        ("Baseline", baseline),
        ("Began", when(incident.onset_at)),
        ("Alarm", when(evidence.alarm_at) if evidence.alarm_at else ""),
    )
    return [(label, value) for label, value in found if value]


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
