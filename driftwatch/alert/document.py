"""An announcement as a JSON document, for programs: what the webhook posts and a command reads.

The form is versioned and described by ``docs/alert.schema.json``, against which the tests check every document. Keys
are added without a new version; a key that goes or changes its meaning makes one. All text that driftwatch did not
write itself has its hidden characters shown (``text.quote``), so that a program may print it; markup in it stays.

Source: the outer keys ``type``, ``timestamp`` and ``data`` are those that Standard Webhooks 1.0.0 recommends.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from driftwatch.alert.message import Message, compose, compose_digest
from driftwatch.alert.policy import Facts
from driftwatch.alert.text import quote
from driftwatch.alert.titles import gravest
from driftwatch.domain import Announcement, Incident, Json, Transition

VERSION = 1
"""Of the documents' form."""

_TEXT = 2_000
"""Characters of one text of the evidence, so that a document stays far below a megabyte."""
_ENTRIES = 100
"""Of a list or mapping of the evidence."""
_DEPTH = 8
"""Mappings and lists within each other."""


def of_announcement(announcement: Announcement) -> dict[str, Json]:
    """The document of one edge: ``type`` is ``incident.`` and the event."""
    transition = announcement.transition
    return {
        "type": f"incident.{transition.event.value}",
        "version": VERSION,
        "timestamp": _time(transition.at),
        "data": {
            **_edge(announcement),
            "evidence": _bounded(announcement.incident.evidence),
            "history": [_transition(edge) for edge in announcement.history],
            "message": _message(compose(announcement)),
        },
    }


def of_digest(announcements: Sequence[Announcement]) -> dict[str, Json]:
    """The document of what could not be told in time: the latest edge of each group, one at least."""
    return {
        "type": "incident.digest",
        "version": VERSION,
        "timestamp": _time(max(announcement.transition.at for announcement in announcements)),
        "data": {
            "dedup_key": digest_key(announcements),
            "announcements": [_edge(announcement) for announcement in announcements],
            "message": _message(compose_digest(announcements)),
        },
    }


def digest_key(announcements: Sequence[Announcement]) -> str:
    """The key of a digest, the same over every attempt at the same announcements."""
    keys = "\n".join(announcement.dedup_key for announcement in announcements)
    return f"digest-{hashlib.sha256(keys.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _edge(announcement: Announcement) -> dict[str, Json]:
    main = gravest(announcement)
    return {
        "dedup_key": _safe(announcement.dedup_key),
        "group": {
            "key": _safe(announcement.key),
            "number": announcement.lead.id,
            "is_over": announcement.is_over,
            "severity": main.severity.value,
            "incidents": [_incident(member) for member in announcement.members],
        },
        "incident": _incident(announcement.incident),
        "transition": _transition(announcement.transition),
        "owner": None if announcement.owner is None else _safe(announcement.owner),
    }


def _incident(incident: Incident) -> dict[str, Json]:
    facts = Facts.of_incident(incident)
    return {
        "id": incident.id,
        "part_of": incident.part_of,
        "target": _safe(incident.target),
        "kind": incident.kind.value,
        "severity": incident.severity.value,
        "state": incident.state.value,
        "trouble": _safe(incident.trouble) or None,
        "owner": None if facts.owner is None else _safe(facts.owner),
        "feature": None if facts.feature is None else _safe(facts.feature),
        "onset_at": _time(incident.onset_at),
        "opened_at": _time(incident.opened_at),
        "acknowledged_at": _time(incident.acknowledged_at),
        "resolved_at": _time(incident.resolved_at),
        "n_reopened": incident.n_reopened,
    }


def _transition(transition: Transition) -> dict[str, Json]:
    return {
        "event": transition.event.value,
        "before": None if transition.before is None else transition.before.value,
        "after": transition.after.value,
        "at": _time(transition.at),
        "author": _safe(transition.author),
        "reason": _safe(transition.reason),
    }


def _message(message: Message) -> dict[str, Json]:
    """The words that people get, so that a program need not find its own."""
    return {
        "title": message.title,
        "tone": message.tone.value,
        "summary": list(message.summary),
        "changes": list(message.changes),
        "sections": [{"title": section.title, "lines": list(section.lines)} for section in message.sections],
        "fields": dict(message.fields),
        "steps": [{"command": step.command, "meaning": step.meaning} for step in message.steps],
    }


def _bounded(value: Json, depth: int = 0) -> Json:
    """Evidence as it is stored, with long texts and lists cut."""
    if isinstance(value, str):
        return quote(value, _TEXT)
    if isinstance(value, Mapping | list | tuple) and depth >= _DEPTH:
        return None
    if isinstance(value, Mapping):
        entries: Any = list(value.items())[:_ENTRIES]
        return {quote(str(key), _TEXT): _bounded(entry, depth + 1) for key, entry in entries}
    if isinstance(value, list | tuple):
        return [_bounded(entry, depth + 1) for entry in value[:_ENTRIES]]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _safe(text: str) -> str:
    return quote(text, _TEXT)


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
