"""What a report says in sentences: for a person who was woken by a message and wants to know whether it is true."""

from __future__ import annotations

from collections.abc import Sequence

from driftwatch.alert.evidence import IncidentEvidence, also, headline, told
from driftwatch.alert.incidents import DRIFTWATCH
from driftwatch.alert.text import amount, count, duration, listing
from driftwatch.domain import (
    Baseline,
    ChannelEvidence,
    Event,
    Incident,
    IncidentState,
    Kind,
    KindEvidence,
    State,
    Target,
    Transition,
    Verdict,
)
from driftwatch.judgement import MAX_FAILURE_SHARE
from driftwatch.report.dates import dated, when

CARRIES = 0.15
"""Share of the evidence from which a channel is named in a sentence."""

QUIET = 0.1
"""Part of the alarm's evidence below which a kind is called as before."""

KINDS = {
    Kind.BEHAVIOUR: "Behaviour",
    Kind.PERFORMANCE: "Performance",
    Kind.AVAILABILITY: "Availability",
    Kind.TRIPWIRE: "Tripwire",
    Kind.WATCH_ITSELF: "The watch itself",
}


def title(target: Target, incident: Incident | None, evidence: IncidentEvidence) -> str:
    """The page's heading: the kind of change where one was borne out, else that something changed."""
    if incident is None:
        return target.name
    if incident.kind is Kind.WATCH_ITSELF and evidence.headline:
        return evidence.headline.rstrip(".")
    said = told(evidence)
    return dated(said, incident.opened_at) if said else subtitle(target, incident, evidence)


def subtitle(target: Target, incident: Incident | None, evidence: IncidentEvidence) -> str:
    """Which target, what about it, since when; empty without an incident."""
    if incident is None or incident.kind is Kind.WATCH_ITSELF:
        return ""
    said = headline(incident.kind, target.name, onset_at=incident.onset_at, n_runs=None, channels=evidence.channels)
    return dated(said, incident.opened_at)


def kinds(evidence: IncidentEvidence) -> list[str]:
    """Why the headline says what it says, and what else is borne out; sentences."""
    if not evidence.kind_of_change:
        return []
    first = evidence.kind_of_change[0]
    said = [f"Figures: {first.why}."] if first.why else []
    return said + ([f"Also: {others}."] if (others := "; ".join(also(evidence, evidence.changes))) else [])


def about_incident(
    incident: Incident, evidence: IncidentEvidence, verdict: Verdict | None, transitions: Sequence[Transition]
) -> list[str]:
    """What happened, where it shows, how it stands."""
    said = [_what(incident, verdict)]
    found = verdict.kind(incident.kind) if verdict else None
    if verdict is not None and found is not None:
        said += _where(verdict, incident.kind)
    if incident.kind is Kind.TRIPWIRE:
        said += evidence.changes
    if incident.kind is Kind.AVAILABILITY and evidence.last_error:
        said.append(f"The last error: {evidence.last_error.rstrip('.')}.")
    last = transitions[-1] if transitions else None
    if last is not None and last.after is IncidentState.ACKNOWLEDGED:
        # A comment or a silence afterwards is no second acknowledgement.
        taken = next((edge for edge in reversed(transitions) if edge.event is Event.ACKNOWLEDGED), last)
        said.append(f"{taken.author} has been on it since {when(taken.at)}: {taken.reason.rstrip('.')}.")
    if last is not None and last.after is IncidentState.RESOLVED:
        reason = dated(last.reason, last.at) if last.author == DRIFTWATCH else last.reason
        said.append(f"It ended on {when(last.at)}: {reason.rstrip('.')}.")
    return said


def about_target(
    target: Target, baseline: Baseline | None, latest: Verdict | None, open_incidents: Sequence[Incident]
) -> list[str]:
    """How a target stands at present."""
    if latest is None:
        return ["It has no verdict yet; driftwatch serve runs it on schedule, driftwatch check runs it once."]
    said = [dated(_standing(latest), latest.at)]
    if latest.state is State.CALIBRATING and baseline is not None:
        left = baseline.calibration_wanted - latest.n_calibration
        if left > 0:
            said.append(
                f"The watch is armed after {count(baseline.calibration_wanted, 'calibration run')}, "
                f"which takes at least another {duration(left * target.interval_s)}."
            )
    said += [
        f"Incident {incident.id} ({incident.kind}) is {incident.state}; driftwatch report {incident.id} explains it."
        for incident in open_incidents
    ]
    return said


def verdict_on(found: KindEvidence) -> str:
    """How one kind stands, e.g. ``within calibration, evidence 220 of 8,766``."""
    figures = f"evidence {amount(found.evidence)} of {found.threshold:,.0f}"
    if found.is_drifted:
        return f"drifted, {figures}" + (
            f" over {count(found.runs_since_onset, 'run')}" if found.runs_since_onset else ""
        )
    return f"{'within calibration' if _is_quiet(found) else 'no alarm yet'}, {figures}"


def steps(members: Sequence[Incident], evidence: IncidentEvidence) -> list[tuple[str, str]]:
    """What a person can do now about an incident and its group: (command, what it means).

    Args:
        members: the group, the leading incident first.
        evidence: of the leading incident.
    """
    lead, still_open = members[0], [member for member in members if member.is_open]
    if not still_open:
        return []
    found = [(step.command, step.meaning) for step in evidence.steps]
    if any(member.state is IncidentState.OPEN for member in still_open):
        found.append((f"driftwatch ack {lead.id} --reason …", "you are on it; it stays open"))
    for member in still_open:
        if member.kind is Kind.AVAILABILITY:
            found.append((f"driftwatch doctor {member.target}", "ask the endpoint once and hear what is wrong"))
        elif member.kind is not Kind.WATCH_ITSELF:
            command = f"driftwatch rebaseline {member.target} --reason …"
            found.append((command, "accept the new behaviour; can be undone"))
    if lead.kind is not Kind.WATCH_ITSELF:
        command = f"driftwatch report {lead.id} --bundle incident-{lead.id}.zip"
        found.append((command, "the evidence for the provider's support desk, without what is private"))
    return [*found, (f"driftwatch incidents resolve {lead.id} --reason …", "close it by hand")]


def _standing(latest: Verdict) -> str:
    if latest.state is State.STABLE and latest.kinds:
        most = max(latest.kinds, key=lambda found: found.evidence / found.threshold)
        return (
            f"It behaves as accepted: after {count(latest.n_monitored, 'watched run')}, evidence against that is "
            f"{amount(most.evidence)} of the {most.threshold:,.0f} that raise an alarm."
        )
    return f"{latest.reason[0].upper()}{latest.reason[1:].rstrip('.')}."


def _what(incident: Incident, verdict: Verdict | None) -> str:
    if incident.kind is Kind.AVAILABILITY:
        return (
            f"More than {100 * MAX_FAILURE_SHARE:.0f} % of the requests failed in one run after another, so none of "
            "them could be judged. This is not drift: while it lasts, driftwatch cannot tell whether behaviour has "
            "changed."
        )
    if incident.kind is Kind.WATCH_ITSELF:
        return (
            "This is about driftwatch itself, not about what an endpoint answers: until it is mended, a change may be "
            "missed."
        )
    if incident.kind is Kind.TRIPWIRE:
        return "The endpoint reports something of itself that it had never reported since the baseline was begun."
    tense = ("get", "is") if incident.is_open else ("got", "was")
    if incident.kind is Kind.BEHAVIOUR:
        return f"The same requests to the same model name {tense[0]} replies unlike the accepted ones."
    behaviour = verdict.kind(Kind.BEHAVIOUR) if verdict else None
    if behaviour is not None and behaviour.is_drifted:
        return (
            f"How fast replies came or how long they were {tense[1]} no longer as accepted; what they said changed too."
        )
    return f"What the replies say {tense[1]} as accepted; how fast they come or how long they are {tense[1]} not."


def _where(verdict: Verdict, kind: Kind) -> list[str]:
    channels = leading(verdict.channels, kind)
    if not channels:
        return []
    shares = [f"{c.channel} ({100 * c.share:.0f} %)" for c in channels]
    shares[0] = shares[0].replace(" %)", " % of the evidence)")
    other = verdict.kind(Kind.PERFORMANCE) if kind is Kind.BEHAVIOUR else None
    beside = ""
    if other is not None and other.is_drifted:
        beside = "; speed or length changed as well"
    elif other is not None:
        beside = "; speed and length are as before" if _is_quiet(other) else "; speed and length raise no alarm yet"
    return [f"It shows most in {listing(shares)}{beside}."]


def _is_quiet(found: KindEvidence) -> bool:
    return found.evidence < QUIET * found.threshold


def leading(channels: Sequence[ChannelEvidence], kind: Kind) -> list[ChannelEvidence]:
    """The channels of a kind that carry its evidence, at least one if there is any."""
    ranked = sorted((c for c in channels if c.kind is kind), key=lambda c: -c.share)
    return [c for i, c in enumerate(ranked) if i == 0 or c.share >= CARRIES]
