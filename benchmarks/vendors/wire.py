"""The other side of each wire: what a vendor's server hears and says, for tests and benchmarks.

One file per provider, named like it, with a ``VENDOR``. It is written from the vendor's documentation, never from our
adapter: the two must be able to disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Protocol, cast

from driftwatch.domain import Finish, Json, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the server answers, free of any wire."""

    text: str = "Hello there, how can I help?"
    tool_calls: tuple[tuple[str, str], ...] = ()
    """(name, arguments as JSON text)."""
    finish: Finish = Finish.STOP
    """REFUSAL: ``text`` is the refusal where the wire has a field for it."""
    thinking: str = ""
    """What the model thinks aloud; no part of the answer."""
    input_tokens: int = 12
    output_tokens: int = 7
    cached_tokens: int = 4
    reasoning_tokens: int = 3
    model: str = "model-2026-01-01"
    fingerprint: str = "fp_1"
    upstream: str = "upstream-1"
    id: str = "reply-1"
    logprobs: tuple[tuple[str, float], ...] = ()
    """(token, logprob); each token's only alternative is itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the server understood of a request, free of any wire."""

    model: str | None
    instructions: str
    """System and developer messages, joined by an empty line where the wire has one place for them."""
    messages: tuple[tuple[str, str], ...]
    """(``user`` | ``assistant`` | ``tool``, text)."""
    called: tuple[tuple[str, str], ...] = ()
    """(function, arguments as JSON text) of the calls that assistant messages carry."""
    answered: tuple[str, ...] = ()
    """The functions whose calls the tool messages answer, found through the calls' ids where the wire has ids."""
    tools: tuple[str, ...] = ()
    tool_choice: str | None = None
    """auto, none, required, or a function's name."""
    form: str | None = None
    """``json`` for any object, ``schema`` for one that a schema describes."""
    stream: bool = False
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """Sampling parameters in the common vocabulary; what the wire's server would not know is an AssertionError."""
    key: str | None = None


class Trouble(StrEnum):
    """Errors that a vendor documents, free of any wire."""

    AUTH = "auth"
    FORBIDDEN = "forbidden"
    MODEL_GONE = "model_gone"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    FILTERED = "filtered"
    PARAMETER = "parameter"
    """The request holds a parameter that this model does not take, and the message names ``temperature``."""
    TOO_LONG = "too_long"
    OVERLOADED = "overloaded"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP response."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """content-type included."""
    pieces: tuple[bytes, ...] = ()
    """The body; a stream's frames one by one."""


class Vendor(Protocol):
    """One vendor's server."""

    base_path: str
    """Where the API begins on the server: ``base_url`` is the server's address and this."""
    options: Mapping[str, Json]
    """What a target's ``options`` must say."""
    tells: frozenset[str]
    """The fields of ``Said`` beyond text, tool_calls and finish that this wire carries."""
    lacks: frozenset[str]
    """Common parameters that this wire has no place for, by the vendor's documentation."""
    cannot: frozenset[str]
    """What else this wire has no place for: ``stream``, ``tools``, ``called``, a tool choice (``auto``, ``none``,
    ``required``, ``named``), a form (``json``, ``schema``). A canary that asks for it is REJECTED before it is sent."""
    finishes: frozenset[Finish]
    """The reasons to finish that this wire has a word or a field for."""
    outcomes: Mapping[Trouble, Outcome]
    """Troubles that the vendor documents → the outcome driftwatch owes; others are absent."""

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        """Read a request as the vendor's server would; headers by lower-case name.

        Raises:
            AssertionError: the vendor would refuse it.
        """
        ...

    def says(self, said: Said) -> Answer:
        """The reply as one document."""
        ...

    def streams(self, said: Said) -> Answer:
        """The reply as a stream, several frames of content; empty pieces when the wire has no stream."""
        ...

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        """An error, in the vendor's own words."""
        ...


def vendor(name: str) -> Vendor:
    """The other side of a provider: ``vendor("anthropic")``."""
    return cast("Vendor", import_module(f"benchmarks.vendors.{name}").VENDOR)
