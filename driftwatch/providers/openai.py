"""OpenAI's chat completions.

Source: OpenAI, "Create chat completion", https://developers.openai.com/api/reference/resources/chat, 2026-11. What is
OpenAI's own: ``max_completion_tokens`` bounds the output (``max_tokens`` is deprecated; reasoning models reject it),
and there is no ``top_k``. Error words: "Error codes",
https://developers.openai.com/api/docs/guides/error-codes, and the codes of a failed response in openai-python 3.54.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import httpx

from driftwatch.domain import Outcome
from driftwatch.providers import PROVIDERS
from driftwatch.providers.chat import Chat
from driftwatch.providers.connection import Connection
from driftwatch.providers.endpoint import Endpoint

NAMES: Mapping[str, str | None] = {"max_tokens": "max_completion_tokens", "top_k": None}
"""Common parameter → OpenAI's name, where it differs."""
ERROR_NAMES: Mapping[str, Outcome] = {
    "server_error": Outcome.UNAVAILABLE,
    "invalid_prompt": Outcome.FILTERED,
    "bio_policy": Outcome.FILTERED,
    "misalignment_policy_violation": Outcome.FILTERED,
    "credit_balance_exhausted": Outcome.QUOTA,
    "organization_spend_limit_exceeded": Outcome.QUOTA,
    "organization_usage_limit_exceeded": Outcome.QUOTA,
    "project_spend_limit_exceeded": Outcome.QUOTA,
}
"""OpenAI's error words that say more than the status: prompts held to break its usage policies never reach a model, and
limits that no waiting lifts are 429 as well."""


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    reached = replace(connection, base_url=connection.base_url or PROVIDERS["openai"].base_url)
    return Endpoint(connection, Chat(reached, names=NAMES, error_names=ERROR_NAMES), transport=transport)
