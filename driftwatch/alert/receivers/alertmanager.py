"""Tells Prometheus' Alertmanager, which groups, routes and silences further: one alert for each incident.

Alertmanager keeps alerts in memory only and expects clients to repeat what stands. ``serve`` does, every minute or so:
after its own restart Alertmanager knows again. Repeated is what the receipt says that was told, with the same labels,
as far as it is open; never an end, which Alertmanager tells nobody whose beginning it has forgotten.

Alertmanager also ends an alert that is not sent again within its ``resolve_timeout`` (5 minutes by default). A watch
that is restarted, or runs from cron, must not look like the end of an incident, so every alert carries an explicit
``endsAt``: a year ahead while the incident is open, the time it ended afterwards.

Labels identify an alert, and ``severity`` is one of them, as every routing tree expects. So a graver incident is a new
alert, and the one with the old labels, remembered in the receipt, is ended with it.

Source: prometheus.io/docs/alerting/latest/alerts_api, prometheus.io/docs/alerting/clients and Alertmanager's
api/v2/openapi.yaml, 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from driftwatch.alert.message import Message, compose
from driftwatch.alert.policy import Facts
from driftwatch.alert.receiver import EVERY_EVENT, ReceiverConnection
from driftwatch.alert.receivers.posting import Answer, Post
from driftwatch.alert.text import line
from driftwatch.clock import WallClock
from driftwatch.domain import Announcement, Event, Incident, Json, Kind

AHEAD = timedelta(days=365)
"""How far ahead the end of an open incident's alert lies."""
_LABEL = 200
_DESCRIPTION = 4_000
"""Characters of one label or annotation."""

_NAMES: Mapping[Kind, str] = {
    Kind.BEHAVIOUR: "DriftwatchBehaviourChanged",
    Kind.PERFORMANCE: "DriftwatchPerformanceChanged",
    Kind.AVAILABILITY: "DriftwatchCannotMeasure",
    Kind.TRIPWIRE: "DriftwatchMetadataChanged",
    Kind.WATCH_ITSELF: "DriftwatchWatchImpaired",
}
"""Kind → ``alertname``."""

LABELS = ("alertname", "severity", "target", "kind", "owner", "feature", "trouble", "incident", "part", "incident_key")
"""Names of the alerts' own labels; the config's ``labels`` may not take them."""


class AlertmanagerNotifier:
    """Posts the present state of all incidents of a group as alerts."""

    events: ClassVar[frozenset[Event]] = EVERY_EVENT - {Event.ACKNOWLEDGED, Event.COMMENTED}
    """A reminder repeats the alerts, for a watch from cron; people remind through Alertmanager's own repeats."""
    shows_each: ClassVar[bool] = True
    repeats_every: ClassVar[timedelta] = timedelta(minutes=1)
    """"Usually on the order of 30 seconds to 3 minutes" (prometheus.io/docs/alerting/clients, 2025); Prometheus' own
    ``--rules.alert.resend-delay`` is 1 minute."""

    def __init__(self, connection: ReceiverConnection, now: Callable[[], datetime] | None = None) -> None:
        self._connection, self._now = connection, now or WallClock().now
        self._url = f"{connection.options.get('base_url', '')}/api/v2/alerts"
        self._post = Post(
            connection,
            "Alertmanager",
            is_taken=_is_taken,
            # A 400 answers with one JSON text; problems of a proxy in front of it are objects.
            reason=lambda said: said.get("message") if isinstance(said, Mapping) else said,
            advice={400: "driftwatch built alerts that Alertmanager refuses, please report this as a bug"},
        )

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Post the group's alerts.

        Raises:
            DeliveryError: retryable for 5xx and an unreachable Alertmanager; otherwise permanent.
        """
        await self._send(self._alerts(announcement))
        return self._receipt(announcement)

    async def send_digest(self, announcements: Sequence[Announcement]) -> Mapping[str, Mapping[str, Json]] | None:
        """Post the alerts of all groups in one request; returns a receipt of each group.

        Alertmanager tells nobody of an end whose beginning it never saw.

        Raises:
            DeliveryError: as for ``send``.
        """
        await self._send([alert for announcement in announcements for alert in self._alerts(announcement)])
        return {announcement.key: self._receipt(announcement) for announcement in announcements}

    async def repeat(self, announcements: Sequence[Announcement]) -> None:
        """Post again, in one request, the alerts of the receipts that are still open, under the labels they have there.

        Raises:
            DeliveryError: as for ``send``.
        """
        now = self._now()
        alerts = [alert for announcement in announcements for alert in self._standing(announcement, now)]
        if alerts:
            await self._send(alerts)

    async def _send(self, alerts: Sequence[Json]) -> None:
        headers = {}
        if "authorization" in self._connection.secrets:
            headers["Authorization"] = self._post.secret("authorization", "Authorization header")
        await self._post.send(self._url, list(alerts), headers=headers, secrets=tuple(headers.values()))

    def _alerts(self, announcement: Announcement) -> list[dict[str, Json]]:
        """An alert for each incident, and an end for alerts of the receipt whose labels no longer hold."""
        now, message = self._now(), compose(announcement)
        alerts = [self._alert(announcement, member, message, now) for member in announcement.members]
        labels = [alert["labels"] for alert in alerts]
        for before in (announcement.receipt or {}).get("labels") or ():
            if isinstance(before, Mapping) and before not in labels:
                began_at = announcement.lead.opened_at
                alerts.append({"labels": dict(before), "startsAt": _time(began_at), "endsAt": _time(now)})
        return alerts

    def _standing(self, announcement: Announcement, now: datetime) -> list[dict[str, Json]]:
        """The alerts that stand, with the labels that they were told with: a graver severity is for the next edge."""
        message = compose(announcement)
        members = {str(member.id): member for member in announcement.members if member.is_open}
        return [
            {**self._alert(announcement, member, message, now), "labels": dict(labels)}
            for labels in (announcement.receipt or {}).get("labels") or ()
            if isinstance(labels, Mapping) and (member := members.get(labels.get("part", ""))) is not None
        ]

    def _alert(self, announcement: Announcement, member: Incident, message: Message, now: datetime) -> dict[str, Json]:
        ends_at = now + AHEAD if member.is_open else member.resolved_at or announcement.transition.at
        return {
            "labels": self._labels(announcement, member),
            "annotations": _annotations(message),
            "startsAt": _time(member.opened_at),
            # Alertmanager refuses an alert that ends before it starts.
            "endsAt": _time(max(ends_at, member.opened_at)),
        }

    def _labels(self, announcement: Announcement, member: Incident) -> dict[str, Json]:
        facts = Facts.of_incident(member)
        is_same = member.id == announcement.incident.id
        owner = facts.owner or (announcement.owner if is_same else None)
        labels = {
            "alertname": _NAMES[member.kind],
            "severity": member.severity.value,
            "target": member.target,
            "kind": member.kind.value,
            "owner": owner or "",
            "feature": facts.feature or "",
            "trouble": member.trouble,
            "incident": str(announcement.lead.id),
            "part": str(member.id),
            "incident_key": announcement.key,
        }
        given = self._connection.options.get("labels") or {}
        # An empty label is the same to Alertmanager as none; it would come back without it.
        return {name: line(str(value), _LABEL) for name, value in {**given, **labels}.items() if value}

    def _receipt(self, announcement: Announcement) -> Mapping[str, Json]:
        """The labels of the alerts that stand."""
        return {"labels": [self._labels(announcement, member) for member in announcement.members if member.is_open]}


def _annotations(message: Message) -> dict[str, Json]:
    said = {
        "summary": message.title,
        "description": "\n".join([*message.summary, *message.changes]),
        "command": "\n".join(step.command for step in message.steps),
    }
    return {name: text[:_DESCRIPTION] for name, text in said.items() if text}


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_taken(answer: Answer) -> bool:
    return not answer.is_page
