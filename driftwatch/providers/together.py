"""Together's chat completions.

Source: Together, "OpenAI compatibility", https://docs.together.ai/docs/inference/openai-compatibility, and the request
types of its SDK 3.1, 2026-11: ``logprobs`` is a number there, with replies of another shape, so log probabilities are
not asked for; no ``parallel_tool_calls``; ``stop`` is a list.
"""

from __future__ import annotations

from dataclasses import replace

import httpx

from driftwatch.domain import Canary, Json, Target
from driftwatch.providers import PROVIDERS
from driftwatch.providers.asked import stops_of
from driftwatch.providers.chat import Chat
from driftwatch.providers.connection import Connection
from driftwatch.providers.endpoint import Endpoint

NAMES = dict.fromkeys(("logprobs", "parallel_tool_calls", "top_logprobs"))


class Together(Chat):
    """Chat completions with a list of stop sequences."""

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Chat``."""
        body = super().body(target, canary)
        if "stop" in body:
            body["stop"] = stops_of(body["stop"])
        return body


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    reached = replace(connection, base_url=connection.base_url or PROVIDERS["together"].base_url)
    return Endpoint(connection, Together(reached, names=NAMES), transport=transport)
