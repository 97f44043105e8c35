"""Together's server of chat completions.

Source: Together, "OpenAI compatibility", https://docs.together.ai/docs/inference/openai-compatibility, and the request
types of its SDK 3.1; 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchmarks.vendors.openai_compatible import ChatVendor
from benchmarks.vendors.wire import Heard, Said
from driftwatch.domain import Json


class TogetherVendor(ChatVendor):
    """The compatible one with a list of stop sequences, and log probabilities of another shape."""

    lacks = frozenset({"logprobs", "parallel_tool_calls", "top_logprobs"})
    tells = ChatVendor.tells - {"logprobs"}

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        assert isinstance(json.loads(body).get("stop", []), list), "stop is no list"
        return super().hears(path, headers, body)

    def logprobs(self, said: Said) -> Json:
        del said
        return None


VENDOR = TogetherVendor()
