"""Groq's server of chat completions.

Source: Groq, "OpenAI Compatibility", https://console.groq.com/docs/openai, and its SDK 1.7; 2026-11.
"""

from __future__ import annotations

from benchmarks.vendors.openai_compatible import ChatVendor
from benchmarks.vendors.wire import Said
from driftwatch.domain import Json


class GroqVendor(ChatVendor):
    """The compatible one without log probabilities."""

    base_path = "/openai/v1"
    lacks = frozenset({"logit_bias", "logprobs", "top_k", "top_logprobs"})
    tells = ChatVendor.tells - {"logprobs"}

    def logprobs(self, said: Said) -> Json:
        del said
        return None


VENDOR = GroqVendor()
