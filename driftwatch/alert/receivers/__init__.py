"""Whom people are told through: one notifier per file, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable

from driftwatch.alert.receiver import Notifier, ReceiverConnection
from driftwatch.alert.receivers.alertmanager import AlertmanagerNotifier
from driftwatch.alert.receivers.command import CommandNotifier
from driftwatch.alert.receivers.console import ConsoleNotifier
from driftwatch.alert.receivers.discord import DiscordNotifier
from driftwatch.alert.receivers.email import EmailNotifier
from driftwatch.alert.receivers.pagerduty import PagerDutyNotifier
from driftwatch.alert.receivers.slack import SlackNotifier
from driftwatch.alert.receivers.teams import TeamsNotifier
from driftwatch.alert.receivers.webhook import WebhookNotifier

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
