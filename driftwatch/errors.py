"""Every error driftwatch raises on purpose.

::

    DriftwatchError                 exit code
    ├─ ConfigError                  2   file, key, what to write instead
    ├─ UsageError                   2   a command's arguments do not fit the stored state
    ├─ ProviderError                3   target, retryable, retry_after_s
    │  ├─ ProviderTimeout
    │  ├─ ProviderConnection
    │  ├─ RateLimited
    │  ├─ ProviderUnavailable
    │  ├─ ProviderRejected             auth and other 4xx
    │  ├─ ModelGone
    │  └─ ReplyUnreadable              empty, not JSON, malformed, cut off, an error inside a 200
    ├─ EmbedderUnavailable          3
    ├─ BaselineMissing              3
    ├─ StoreError                   3
    └─ DeliveryError                3   receiver, retryable, retry_after_s

Provider errors are caught in ``replay`` and become Completions; delivery errors are caught in ``alert``;
the command line maps the rest to the exit codes above.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from driftwatch.domain import Outcome


class DriftwatchError(Exception):
    """Root of the tree. ``str()`` is one clear sentence without secrets, ready to be shown to a person."""

    exit_code: ClassVar[int] = 3


class ConfigError(DriftwatchError):
    """Something a person wrote is wrong.

    Args:
        problem: what is wrong, e.g. ``unknown key 'modle'``.
        file: the file, as the user named it.
        line: line in the file, from 1.
        key: dotted path of the key, e.g. ``targets.support.model``.
        instead: what to write instead, e.g. ``did you mean 'model'?``.
    """

    exit_code: ClassVar[int] = 2

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        instead: str | None = None,
    ) -> None:
        self.problem, self.file, self.line, self.key, self.instead = problem, file, line, key, instead
        place = f"{file}:{line}" if file and line else file
        parts = [part for part in (place, key, problem) if part]
        sentence = ": ".join(parts)
        super().__init__(f"{sentence}; {instead}" if instead else sentence)


class UsageError(DriftwatchError):
    """A command was asked for something the stored state does not have."""

    exit_code: ClassVar[int] = 2


class ProviderError(DriftwatchError):
    """A request did not end in a usable reply.

    Args:
        sentence: what happened, without secrets.
        outcome: the named outcome the Completion gets.
        retry_after_s: what the provider asked for, in seconds, None when it said nothing.
        is_overload: whether the endpoint asks for fewer requests; 429, 529 and the like.

    Attributes:
        request_id: of the response; None when there was none. Set by the provider.
        headers: of the response, those that tell of rate limits and deprecation. Set by the provider.
        reply_began: whether the model had begun to answer before it failed, so that the request is billed and asking
            again costs as much once more. Set by the provider.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self, sentence: str, *, outcome: Outcome, retry_after_s: float | None = None, is_overload: bool = False
    ) -> None:
        self.outcome, self.retry_after_s, self.is_overload = outcome, retry_after_s, is_overload
        self.request_id: str | None = None
        self.headers: Mapping[str, str] = {}
        self.reply_began = False
        super().__init__(sentence)


class ProviderTimeout(ProviderError):
    """No reply in time. Not retried: a slow canary is evidence, and a second attempt doubles the cost."""


class ProviderConnection(ProviderError):
    """The endpoint could not be reached or hung up before the reply began."""

    retryable: ClassVar[bool] = True


class RateLimited(ProviderError):
    """429, or a body that says so."""

    retryable: ClassVar[bool] = True


class ProviderUnavailable(ProviderError):
    """5xx or an overloaded notice."""

    retryable: ClassVar[bool] = True


class ProviderRejected(ProviderError):
    """The endpoint does not accept the request as it is; asking again will not help."""


class ModelGone(ProviderError):
    """The endpoint no longer knows the model."""


class ReplyUnreadable(ProviderError):
    """A reply came and is not one of this wire."""


class EmbedderUnavailable(DriftwatchError):
    """The embedding model is missing, altered or cannot be loaded."""


class BaselineMissing(DriftwatchError):
    """A target has no baseline to compare to."""


class StoreError(DriftwatchError):
    """The database cannot be opened, is from a newer driftwatch, or refused a write."""


class DeliveryError(DriftwatchError):
    """A receiver did not take a notification.

    Args:
        sentence: what happened, without secrets.
        receiver: the receiver's name in the config.
        retryable: whether trying again can help.
        retry_after_s: what the receiver asked for, None when it said nothing.
    """

    def __init__(self, sentence: str, *, receiver: str, retryable: bool, retry_after_s: float | None = None) -> None:
        self.receiver, self.retryable, self.retry_after_s = receiver, retryable, retry_after_s
        super().__init__(sentence)
