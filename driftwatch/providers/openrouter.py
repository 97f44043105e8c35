"""OpenRouter's chat completions, with the upstream pinned.

Source: OpenRouter, https://openrouter.ai/docs, 2026-11, and the types of its SDK 1.3: "Provider Routing" (``provider``
with ``order``, ``only``, ``allow_fallbacks``, ``quantizations``), "Reasoning Tokens" (``reasoning.effort``), "Usage
Accounting" (token counts come unasked with every reply and at the end of every stream), "Errors and Debugging"
(numeric ``error.code``; ``error.metadata`` with the reasons of a moderation or ``error_type``; errors inside status 200
and inside streams). The upstream that answered is the reply's ``provider``.

What driftwatch makes of it: 402 is the account's credit. 403 is the key, unless moderation gives reasons: then the
prompt was filtered. 404 that lists whom it could have asked means that the pinned upstream no longer serves the model,
so for this watch the model is gone. 502 and 503, nobody to ask at the moment, are worth another attempt.

An upstream is sent only those parameters that it knows, and says nothing of the others. To have a request refused
instead, configure ``parameters: {provider: {require_parameters: true}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import httpx

from driftwatch.domain import Canary, Json, Outcome, Target
from driftwatch.providers import PROVIDERS
from driftwatch.providers.chat import Chat, StreamedReply
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler, Reply
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import Say
from driftwatch.providers.reading import mapping

ERROR_NAMES: Mapping[str, Outcome] = {
    "no_allowed_provider": Outcome.MODEL_GONE,
    "refusal": Outcome.FILTERED,
    "authentication": Outcome.AUTH,
    "permission_denied": Outcome.AUTH,
    "payment_required": Outcome.QUOTA,
    "provider_overloaded": Outcome.UNAVAILABLE,
    "provider_unavailable": Outcome.UNAVAILABLE,
    "server": Outcome.UNAVAILABLE,
    "timeout": Outcome.TIMEOUT,
    "400": Outcome.REJECTED,
    "401": Outcome.AUTH,
    "402": Outcome.QUOTA,
    "403": Outcome.AUTH,
    "408": Outcome.TIMEOUT,
    "413": Outcome.REJECTED,
    "422": Outcome.REJECTED,
    "429": Outcome.RATE_LIMITED,
    "500": Outcome.UNAVAILABLE,
    "502": Outcome.UNAVAILABLE,
    "503": Outcome.UNAVAILABLE,
    "504": Outcome.UNAVAILABLE,
    "529": Outcome.UNAVAILABLE,
}
"""Words of ``metadata.error_type``, and codes, which stand where no status does inside a status 200."""


class OpenRouter(Chat):
    """Chat completions through a router."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, error_names=ERROR_NAMES)
        self._routing = _routing(connection.options)

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Chat``; what is configured under the router's own names ``provider`` and ``reasoning`` is kept."""
        body = super().body(target, canary)
        if "reasoning_effort" in body:
            body["reasoning"] = {**mapping(body.get("reasoning")), "effort": body.pop("reasoning_effort")}
        if self._routing:
            body["provider"] = {**mapping(body.get("provider")), **self._routing}
        return body

    def read(self, document: Json, *, say: Say) -> Reply:
        """See ``Chat``."""
        return _without_echo(super().read(document, say=say))

    def assembler(self, *, say: Say) -> Assembler:
        """See ``Chat``."""
        return _Streamed(say=say, names=self.error_names)


class _Streamed(StreamedReply):
    def reply(self) -> Reply:
        return _without_echo(super().reply())


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    reached = replace(connection, base_url=connection.base_url or PROVIDERS["openrouter"].base_url)
    return Endpoint(connection, OpenRouter(reached), transport=transport)


def _without_echo(reply: Reply) -> Reply:
    """The upstream's own reason is kept where it is another word than the router's."""
    served, finish = reply.finish_detail, reply.finish_reason
    return replace(reply, finish_detail=None) if served and served.lower() == finish else reply


def _routing(options: Mapping[str, Json]) -> dict[str, Json]:
    routing: dict[str, Json] = {}
    if options.get("upstream"):
        # ``only`` is merged with what the account allows anyway; ``order`` without fallbacks is what pins.
        pinned = [options["upstream"]]
        routing |= {"order": pinned, "only": pinned, "allow_fallbacks": False}
    if options.get("quantization"):
        routing["quantizations"] = [options["quantization"]]
    return routing
