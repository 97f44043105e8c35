"""Tell people: the incident state machine, the outbox, and one notifier per file."""

from __future__ import annotations

from collections.abc import Callable

from driftwatch.alert.console import ConsoleNotifier
from driftwatch.alert.receiver import Notifier, ReceiverConnection
from driftwatch.alert.slack import SlackNotifier

__all__ = ["NOTIFIERS", "Notifier", "ReceiverConnection"]

NOTIFIERS: dict[str, Callable[[ReceiverConnection], Notifier]] = {
    "console": ConsoleNotifier,
    "slack": SlackNotifier,
}
"""Receiver ``type`` in the config → its notifier."""
