"""OpenRouter's server of chat completions.

Source: OpenRouter, "Provider Routing", "Reasoning Tokens", "Usage Accounting", "Streaming", "Errors and Debugging",
https://openrouter.ai/docs, and the request and error types of its Python SDK 1.3; 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.vendors.openai_compatible import ChatVendor
from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json

ROUTING = {
    "allow_fallbacks", "data_collection", "enforce_distillable_text", "ignore", "max_price", "only", "options", "order",
    "preferred_max_latency", "preferred_min_throughput", "quantizations", "require_parameters", "sort", "zdr",
}  # fmt: skip
QUANTIZATIONS = {
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown",
}  # fmt: skip
WAITING = b": OPENROUTER PROCESSING\n\n"
"""A comment that keeps the connection open."""
NATIVE_FINISHES = {Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens", Finish.TOOL_CALLS: "tool_use"}
"""What an upstream of another wire calls it."""

ERRORS: Mapping[Trouble, tuple[int, str, Json]] = {
    Trouble.AUTH: (401, "User not found.", None),
    Trouble.FORBIDDEN: (403, "Key limit exceeded.", None),
    Trouble.MODEL_GONE: (
        404,
        "No allowed providers are available for the selected model.",
        {"available_providers": ["deepinfra"], "requested_providers": ["upstream-1"]},
    ),
    Trouble.RATE_LIMITED: (429, "Provider returned error", {"error_type": "rate_limit_exceeded"}),
    Trouble.QUOTA: (402, "Insufficient credits. Add more credits and retry the request.", None),
    Trouble.FILTERED: (
        403,
        "The input was flagged.",
        {"reasons": ["violence"], "flagged_input": "how …", "provider_name": "OpenAI", "model_slug": "openai/gpt-4"},
    ),
    Trouble.PARAMETER: (400, "Unsupported value: 'temperature'.", {"error_type": "invalid_request"}),
    Trouble.TOO_LONG: (400, "The endpoint's maximum context length is 9.", {"error_type": "context_length_exceeded"}),
    Trouble.OVERLOADED: (503, "No available model provider meets your routing requirements.", None),
    Trouble.BROKEN: (502, "Provider returned error", {"error_type": "provider_unavailable"}),
}
"""Trouble → code, message, metadata."""


class OpenRouterVendor(ChatVendor):
    """The server side of the router, asked for one upstream."""

    base_path = "/api/v1"
    options: Mapping[str, Json] = {"upstream": "upstream-1", "quantization": "bf16"}
    tells = ChatVendor.tells | {"upstream"}

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        asked = json.loads(body)
        provider = asked.pop("provider", {})
        assert set(provider) <= ROUTING, provider
        assert set(provider.get("quantizations", ())) <= QUANTIZATIONS
        # The whole point of naming an upstream: none but it may answer, whatever the account allows.
        assert provider.get("order") == ["upstream-1"], "nothing pins the upstream"
        assert provider["allow_fallbacks"] is False
        if "reasoning" in asked:
            assert set(asked["reasoning"]) <= {"effort", "summary", "max_tokens", "exclude", "enabled"}
            asked["reasoning_effort"] = asked.pop("reasoning")["effort"]
        return super().hears(path, headers, json.dumps(asked).encode())

    def says(self, said: Said) -> Answer:
        answer = super().says(said)
        document = json.loads(answer.pieces[0])
        document["choices"][0]["native_finish_reason"] = _native(said)
        return self.answer(document)

    def streams(self, said: Said) -> Answer:
        answer = super().streams(said)
        frames = [
            frame for piece in answer.pieces for frame in (_finishing(piece, said), b": OPENROUTER PROCESSING\n\n")
        ]
        return Answer(headers=answer.headers, pieces=(b": OPENROUTER PROCESSING\n\n", *frames))

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        del model
        code, message, metadata = ERRORS[trouble]
        error = {"code": code, "message": message} | ({"metadata": metadata} if metadata else {})
        return self.answer({"error": error, "user_id": "user_1"}, status=code)

    def top(self, said: Said) -> dict[str, Json]:
        return {**super().top(said), "provider": said.upstream}


def _native(said: Said) -> str:
    return NATIVE_FINISHES.get(said.finish, said.finish.value)


def _finishing(frame: bytes, said: Said) -> bytes:
    """The chunk that ends the reply names the upstream's own reason too."""
    data = frame.removeprefix(b"data: ")
    if data.startswith(b"[DONE]"):
        return frame
    chunk: dict[str, Any] = json.loads(data)
    for choice in chunk["choices"]:
        choice["native_finish_reason"] = _native(said) if choice["finish_reason"] else None
    return f"data: {json.dumps(chunk)}\n\n".encode()


VENDOR = OpenRouterVendor()
