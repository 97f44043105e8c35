"""What of a request is secret, and how it is taken out of whatever an endpoint sends back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from driftwatch.providers.dialect import Reply
from driftwatch.providers.masking import without
from driftwatch.providers.reading import mapping, objects

LEAST_ECHOED_CHARS = 12
"""Secrets from this length on are taken out of replies. No key in use is shorter; most words are."""
LEAST_KEY_CHARS = 4
"""What proves who asks is a secret from this length on; masked, anything shorter would make a sentence unreadable."""
LEAST_VALUE_CHARS = 8
"""Any other header's value is one from this length on, unless it is a plain word."""
LONGEST_WORD = 20
"""Letters alone are a plain word (``production``, ``true``) up to this length."""
PUBLIC = frozenset(
    {
        "accept", "anthropic-beta", "anthropic-version", "content-type", "http-referer", "referer", "user-agent",
        "x-amz-date", "x-goog-user-project", "x-title",
    }
)  # fmt: skip
"""Headers whose values are no secrets: versions, dates, names of projects and applications."""
_PROOF = re.compile(r"auth|key|token|secret|passw|cookie|credential", re.IGNORECASE)
"""Parts of the names of headers that prove who asks."""


def secrets_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The values of a request's headers that must not be seen again.

    >>> secrets_of({"Authorization": "Bearer k-1234", "X-Feature": "true", "anthropic-version": "2023-06-01"})
    ('Bearer k-1234', 'k-1234')
    """
    return tuple(secret for name, value in headers.items() for secret in _secrets(name.lower(), value))


def cleansed(reply: Reply, secrets: Iterable[str]) -> Reply:
    """A reply without the request's secrets, as a debugging gateway may send them back in any of its texts.

    Args:
        reply: as read.
        secrets: of the request; those that may be an ordinary word are left alone.
    """
    echoed = [secret for secret in secrets if len(secret) >= LEAST_ECHOED_CHARS]
    # Tokens are pieces: only together do they show what they repeat.
    tokens = "".join(str(mapping(entry).get("token", "")) for entry in objects(reply.logprobs))
    if any(secret in tokens for secret in echoed):
        reply = replace(reply, logprobs=None)
    cleaned: Reply = _without(reply, echoed)
    return cleaned


def without_echo(text: str, secrets: Iterable[str]) -> str:
    """One text of a response, such as its id, without the request's secrets."""
    return without(text, [secret for secret in secrets if len(secret) >= LEAST_ECHOED_CHARS])


def _secrets(name: str, value: str) -> Iterable[str]:
    if name in PUBLIC:
        return ()
    if _PROOF.search(name):
        # The word after the scheme is a secret of its own: an endpoint quotes the key, not the header.
        proofs = dict.fromkeys((value, value.rpartition(" ")[2]))
        return (proof for proof in proofs if len(proof) >= LEAST_KEY_CHARS)
    is_word = value.isalpha() and len(value) <= LONGEST_WORD
    return () if is_word or len(value) < LEAST_VALUE_CHARS else (value,)


def _without(told: Any, secrets: Sequence[str]) -> Any:
    if isinstance(told, str):
        return without(told, secrets)
    if isinstance(told, Mapping):
        return {key: _without(value, secrets) for key, value in told.items()}
    if isinstance(told, (list, tuple)):
        return type(told)(_without(value, secrets) for value in told)
    if is_dataclass(told) and not isinstance(told, type):
        return replace(told, **{field.name: _without(getattr(told, field.name), secrets) for field in fields(told)})
    return told
