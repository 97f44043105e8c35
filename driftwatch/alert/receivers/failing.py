"""What every notifier says in the same words: that a secret is not there, and that a message was not taken."""

from __future__ import annotations

from typing import NoReturn

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.errors import ConfigError, DeliveryError


def required(connection: ReceiverConnection, kind: str, name: str, meant: str) -> str:
    """Read a secret that a receiver cannot do without.

    Args:
        connection: of the receiver.
        kind: what it is, for people.
        name: of the secret.
        meant: what it is, e.g. ``routing key``.

    Raises:
        DeliveryError: nothing is there. Retryable: whoever mends the environment wants the pages that waited.
    """
    found = optional(connection, kind, name)
    if not found:
        fail(connection, kind, f"has no {meant}: set the variable or file that the config names", retryable=True)
    return found


def optional(connection: ReceiverConnection, kind: str, name: str) -> str:
    """Read a secret; empty when the config names no place for it, or the place is empty.

    Raises:
        DeliveryError: the place cannot be read. Retryable, for the same reason.
    """
    try:
        return (connection.secret(name) or "").strip()
    except ConfigError as error:  # its sentence names the place, never the secret
        fail(connection, kind, f"has a secret that cannot be read: {error}", retryable=True)


def fail(
    connection: ReceiverConnection, kind: str, what: str, *, retryable: bool, retry_after_s: float | None = None
) -> NoReturn:
    """Raise the DeliveryError of a receiver.

    Args:
        connection: names the receiver.
        kind: what it is, for people: ``PagerDuty``, ``e-mail``.
        what: the rest of the sentence, without secrets.
        retryable: whether trying again can help.
        retry_after_s: seconds that the other side asked for.

    Raises:
        DeliveryError: always.
    """
    name = connection.name
    # "from None": the library's error, and with it a traceback, would show the address.
    raise DeliveryError(
        f"receiver '{name}' ({kind}) {what}", receiver=name, retryable=retryable, retry_after_s=retry_after_s
    ) from None
