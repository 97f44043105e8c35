"""Any endpoint that speaks the chat-completions wire: vLLM, llama.cpp, Ollama, gateways, hosts of open models.

Source: see ``driftwatch.providers.chat``.
"""

from __future__ import annotations

import httpx

from driftwatch.providers.chat import Chat
from driftwatch.providers.connection import Connection
from driftwatch.providers.endpoint import Endpoint


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests.

    Raises:
        ConfigError: ``base_url`` is missing or is no http(s) address.
    """
    return Endpoint(connection, Chat(connection), transport=transport)
