"""Which incidents have one cause, so that people are told of them as one: pure functions on Steps and Incidents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

from driftwatch.domain import Event, Incident, Kind, Step, Target
from driftwatch.providers import PROVIDERS

_REACHED_BY = ("region", "location")
"""Options that say where an endpoint is when it has no address of its own: Bedrock's and Vertex AI's."""

_PORTS = {"http": 80, "https": 443}
"""Where an address without a port leads."""


def cause(kind: Kind, target: Target, trouble: str = "") -> str:
    """What incidents of one group have in common: what happened, whose endpoint it happened at, and where that is.

    Behaviour, performance and tripwires are what an endpoint serves; availability is whether it is reached at all. A
    trouble of our own is told apart from both, e.g. the key that six targets share.

    >>> target = Target(name="support", provider="openai", model="m", canaries=())
    >>> cause(Kind.BEHAVIOUR, target), cause(Kind.WATCH_ITSELF, target, "key")
    ('served openai api.openai.com', 'watch:key openai api.openai.com')

    Args:
        kind: of the incident.
        target: whose.
        trouble: watch-itself: which.
    """
    what = {Kind.AVAILABILITY: "reach", Kind.WATCH_ITSELF: f"watch:{trouble}"}.get(kind, "served")
    entry = PROVIDERS.get(target.provider)
    # Two wires of one vendor, e.g. chat completions and Responses, are one endpoint; the price list has its one name.
    vendor = entry.prices if entry is not None and entry.prices else target.provider
    place = _place(target.base_url or (entry.base_url if entry is not None else None))
    where = [place] if place else [str(target.options[key]) for key in _REACHED_BY if target.options.get(key)]
    return " ".join([what, vendor, *where])


def join(step: Step, standing: Sequence[Incident], *, within: timedelta) -> Step:
    """Make an incident that opens, or opens again, a part of the open group that has the same cause.

    It joins when its onset lies near that of an open incident of the group. Behaviour joins what its own target has
    open whenever that began: a person who reads of the model name reads of what it did. What comes back belongs to its
    own group; where that is over and another of the same cause is open, it becomes a part of its own of that one.

    Args:
        step: an edge to OPEN, from nothing or from RESOLVED.
        standing: all incidents, resolved ones too, of the open groups with the step's cause; others are ignored.
        within: how near two onsets are one cause.

    Returns:
        The step as it is where no group fits; otherwise with ``part_of`` and event JOINED, or ESCALATED when it is
        graver than all that is open in the group, or is behaviour and nothing of the target's behaviour was told.
    """
    groups: dict[int, list[Incident]] = defaultdict(list)
    for incident in standing:
        if step.cause and incident.cause == step.cause and incident.is_open:
            groups[incident.lead_id].append(incident)
    own = step.part_of or step.incident_id
    if own is not None and own in groups:
        return replace(step, event=_event(step, groups[own]))
    fitting = [(min(abs(m.onset_at - step.onset_at) for m in group), lead_id) for lead_id, group in groups.items()]
    fitting = [(off, lead_id) for off, lead_id in fitting if off <= within or _is_same_target(step, groups[lead_id])]
    if not fitting:
        return step
    _, lead_id = min(fitting)
    joined = replace(step, part_of=lead_id, event=_event(step, groups[lead_id]))
    return joined if step.incident_id is None else replace(joined, incident_id=None, before=None)


def _place(address: str | None) -> str:
    """Host and port of an address, without what it may hold beside them, nor a port that says nothing."""
    try:
        parts = urlsplit(address or "")
        port = f":{parts.port}" if parts.port and parts.port != _PORTS.get(parts.scheme) else ""
    except ValueError:  # no address that could be asked; the provider says so
        return ""
    return f"{parts.hostname}{port}" if parts.hostname else ""


def _is_same_target(step: Step, group: Sequence[Incident]) -> bool:
    return step.kind is Kind.BEHAVIOUR and any(incident.target == step.target for incident in group)


def _event(step: Step, group: Sequence[Incident]) -> Event:
    """Worth telling at once only when it is graver than what people know of the group."""
    is_graver = step.severity.rank < min(incident.severity.rank for incident in group)
    return Event.ESCALATED if is_graver or _is_same_target(step, group) else Event.JOINED
