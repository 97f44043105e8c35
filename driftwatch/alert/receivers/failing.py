"""What every notifier says in the same words: that a secret is not there, nobody answered, a message was not taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.errors import ConfigError, DeliveryError

NOT_IN_TIME = "did not finish answering in time; trying again later"
"""Something came, and not all of it."""
NO_ADDRESS = "has an address that is no http(s) address: check what is stored where it is read"

_UNREACHED: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"TimeoutError", "TimeoutException"}), "did not answer within {timeout_s:g} s"),
    (frozenset({"SSLError"}), "cannot be reached over TLS (is its certificate trusted here?)"),
    (frozenset({"gaierror", "UnicodeError"}), "has a host name that cannot be resolved"),
    (frozenset({"ConnectionRefusedError"}), "refused the connection"),
    (frozenset({"ProxyError"}), "cannot be reached through the proxy of the environment"),
    (
        frozenset(
            {
                "BadStatusLine",
                "BrokenPipeError",
                "ConnectionAbortedError",
                "ConnectionResetError",
                "IncompleteRead",
                "RemoteProtocolError",
                "SMTPServerDisconnected",
            }
        ),
        "hung up without an answer",
    ),
)
"""Kinds of errors of the standard library, httpx and smtplib → what they mean for people; the first that fits. By name:
whoever failed through one client need not load the others."""
_TUNNEL = "Tunnel connection failed"
"""How http.client begins an OSError that a proxy caused."""


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


def fail_unreached(connection: ReceiverConnection, kind: str, error: BaseException) -> NoReturn:
    """Raise the DeliveryError of a receiver that gave no answer; see ``unreached``.

    Raises:
        DeliveryError: always, retryable.
    """
    words = unreached(error, timeout_s=connection.timeout_s)
    fail(connection, kind, f"{words}; trying again later", retryable=True)


def unreached(error: BaseException, *, timeout_s: float) -> str:
    """What kept the other side from answering, as the rest of a sentence about it.

    The errors' own texts are dropped: they may hold the address.

    Args:
        error: what a client raised; what caused it is looked at too.
        timeout_s: longest silence that was allowed, seconds.

    >>> unreached(ConnectionRefusedError("http://127.0.0.1/s3cret"), timeout_s=10)
    'refused the connection'
    >>> unreached(OSError(101, "s3cret"), timeout_s=10)
    'could not be reached (Network is unreachable)'
    """
    causes = list(_causes(error))
    found = {each.__name__ for cause in causes for each in type(cause).__mro__}
    if any(str(cause).startswith(_TUNNEL) for cause in causes):
        found.add("ProxyError")
    words = next((words for names, words in _UNREACHED if names & found), None)
    if words is not None:
        return words.format(timeout_s=timeout_s)
    number = next((cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno), None)
    return f"could not be reached ({os.strerror(number) if number else type(causes[0]).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what lies behind it: its reason, its cause, or all of several attempts."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        behind = [getattr(each, "reason", None), each.__cause__ or each.__context__, *getattr(each, "exceptions", ())]
        waiting += [cause for cause in behind if isinstance(cause, BaseException)]
