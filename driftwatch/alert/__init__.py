"""Tell people: the incident state machine, the outbox, and one notifier per file."""

from __future__ import annotations

from collections.abc import Callable

from driftwatch.alert.alertmanager import AlertmanagerNotifier
from driftwatch.alert.command import CommandNotifier
from driftwatch.alert.console import ConsoleNotifier
from driftwatch.alert.discord import DiscordNotifier
from driftwatch.alert.email import EmailNotifier
from driftwatch.alert.pagerduty import PagerDutyNotifier
from driftwatch.alert.receiver import Notifier, ReceiverConnection
from driftwatch.alert.slack import SlackNotifier
from driftwatch.alert.teams import TeamsNotifier
from driftwatch.alert.webhook import WebhookNotifier

__all__ = ["NOTIFIERS", "Notifier", "ReceiverConnection"]

NOTIFIERS: dict[str, Callable[[ReceiverConnection], Notifier]] = {
    "alertmanager": AlertmanagerNotifier,
    "command": CommandNotifier,
    "console": ConsoleNotifier,
    "discord": DiscordNotifier,
    "email": EmailNotifier,
    "pagerduty": PagerDutyNotifier,
    "slack": SlackNotifier,
    "teams": TeamsNotifier,
    "webhook": WebhookNotifier,
}
"""Receiver ``type`` in the config → its notifier."""
