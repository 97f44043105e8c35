"""OpenAI's server of chat completions.

Source: OpenAI, "Create chat completion", https://developers.openai.com/api/reference/resources/chat, 2026-11: no
``top_k``; ``max_completion_tokens`` where ``max_tokens`` was, which reasoning models refuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.vendors.openai_compatible import ChatVendor


class OpenAIVendor(ChatVendor):
    """Refuses the deprecated name as its newer models do."""

    lacks = frozenset({"top_k"})
    native: Mapping[str, str] = {"max_completion_tokens": "max_tokens"}
    refused = frozenset({"max_tokens"})


VENDOR = OpenAIVendor()
