"""What a wire format is: pure values in, pure values out. ``endpoint.py`` does the talking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from driftwatch.domain import Canary, Json, Outcome, Target, ToolCall
from driftwatch.errors import ProviderRejected, ReplyUnreadable
from driftwatch.providers.failures import Say


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the wire carries of one reply; the fields are those of ``domain.Completion``."""

    text: str
    finish_reason: str | None
    finish_detail: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    served_model: str | None = None
    fingerprint: str | None = None
    upstream: str | None = None
    id: str | None = None
    logprobs: Json = None
    announces: Mapping[str, str] = field(default_factory=dict)
    """What the document says of the model's end where other wires have a header for it, under names like headers'."""


class Assembler(Protocol):
    """Puts the events of one stream together into the reply it would have been without streaming."""

    is_complete: bool
    """Whether the wire says that nothing more will come; False for as long as it may."""

    def add(self, event: str, data: Json) -> bool:
        """Take one event.

        Args:
            event: its name, ``message`` where the stream names none.
            data: its parsed data.

        Returns:
            Whether it carried content: text, a refusal, thinking or part of a tool call.

        Raises:
            ProviderError: the event is an error, out of order, doubled, or of another shape.
        """
        ...

    def reply(self) -> Reply:
        """The whole reply, once the stream has ended.

        Raises:
            ProviderError: EMPTY_BODY when nothing came, CUT_OFF when the end is missing.
        """
        ...


class Dialect(Protocol):
    """One wire format. Holds what the connection's options say, and no secret.

    Everything that depends on the request's own bytes or on time (signatures, tokens that expire) is ``authorise``'s.
    """

    unsent: frozenset[str]
    """Parameters of the common vocabulary (``asked.COMMON_PARAMETERS``) that this wire has no place for."""
    error_names: Mapping[str, Outcome]
    """A vendor's error code, type or status word → what it means, where HTTP's status does not say it rightly.

    A name with spaces is a part of the vendor's message, in lower case, for errors that no word tells apart; it wins.
    """

    def url(self, target: Target) -> str:
        """The address of one request, absolute.

        Raises:
            ConfigError: ``base_url`` or an option is missing or unusable. Raised by the constructor where it can be.
        """
        ...

    def body(self, target: Target, canary: Canary) -> Json:
        """The request, with the configured parameters, what the canary asks, and nothing else.

        Nothing is sent that was not configured, because newer models reject even a default ``temperature``; only what
        the wire requires has a default, which the dialect's docstring names.
        """
        ...

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """The headers that prove who asks; their values are secrets. Without a key: none, or the surroundings' own."""
        ...

    def read(self, document: Json, *, say: Say) -> Reply:
        """Read a reply document.

        Raises:
            ProviderError: an error object inside the document, or a document of another shape.
        """
        ...

    def assembler(self, *, say: Say) -> Assembler:
        """Begin to read a stream."""
        ...


def bearer(key: str | None) -> dict[str, str]:
    """``Authorization: Bearer`` (RFC 6750), nothing without a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def renamed(parameters: Mapping[str, Json], names: Mapping[str, str | None]) -> dict[str, Json]:
    """Translate sampling parameters from the common vocabulary.

    Args:
        parameters: as configured.
        names: common name → the wire's name, None when the wire has no place for it. Any other name is passed on as it
            is: what the vendor alone knows can be configured under the vendor's name.

    A parameter whose value is null is left out: null is how a canary takes back what its target sets.

    >>> renamed({"max_tokens": 5, "seed": 1, "safe_prompt": True}, {"max_tokens": "maxOutputTokens", "seed": None})
    {'maxOutputTokens': 5, 'safe_prompt': True}
    """
    told = ((names.get(name, name), value) for name, value in parameters.items() if value is not None)
    return {name: value for name, value in told if name is not None}


def without_place(names: Mapping[str, str | None]) -> frozenset[str]:
    """The common names for which ``renamed`` has no place.

    >>> sorted(without_place({"max_tokens": "maxOutputTokens", "seed": None}))
    ['seed']
    """
    return frozenset(name for name, wire in names.items() if wire is None)


def malformed(what: str, kind: str) -> ReplyUnreadable:
    """A reply that is none of this wire: ``malformed("choices is empty", "chat completion")``."""
    return ReplyUnreadable(f"{what}; this is no {kind}", outcome=Outcome.MALFORMED)


def unaskable(what: str) -> ProviderRejected:
    """A canary asks for what this wire cannot say; raised by ``body``, so that nothing is sent."""
    return ProviderRejected(
        f"this provider's wire has no place for {what}; take it out of the canary or leave the canary to other targets",
        outcome=Outcome.REJECTED,
    )
