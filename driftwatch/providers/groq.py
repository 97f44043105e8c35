"""Groq's chat completions.

Source: Groq, "OpenAI Compatibility", https://console.groq.com/docs/openai, 2026-11: ``logprobs``, ``top_logprobs`` and
``logit_bias`` are answered with 400; its SDK 1.7 knows no ``top_k``. A retired model is 400 ``model_decommissioned``.
"""

from __future__ import annotations

from dataclasses import replace

import httpx

from driftwatch.providers import PROVIDERS
from driftwatch.providers.chat import Chat
from driftwatch.providers.connection import Connection
from driftwatch.providers.endpoint import Endpoint

NAMES = dict.fromkeys(("logit_bias", "logprobs", "top_k", "top_logprobs"))


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    reached = replace(connection, base_url=connection.base_url or PROVIDERS["groq"].base_url)
    return Endpoint(connection, Chat(reached, names=NAMES), transport=transport)
