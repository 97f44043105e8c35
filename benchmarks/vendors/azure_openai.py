"""Azure OpenAI's server of chat completions, on its v1 API.

Source: Microsoft, "Azure OpenAI in Microsoft Foundry Models v1 REST API reference",
https://learn.microsoft.com/azure/ai-foundry/openai/latest; "Content filtering" and "Content streaming",
https://learn.microsoft.com/azure/foundry/openai/concepts/content-filter and …/content-streaming; 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from benchmarks.vendors.openai import OpenAIVendor
from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Json

HEADERS = {"apim-request-id": "request-2", "x-ms-region": "Sweden Central"}
SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
FILTERED = {**SAFE, "violence": {"filtered": True, "severity": "medium"}}
OWN_ERRORS: Mapping[Trouble, tuple[int, Json]] = {
    Trouble.AUTH: (401, {"code": "401", "message": "Access denied due to invalid subscription key."}),
    Trouble.FORBIDDEN: (
        403,
        {"code": "AuthenticationTypeDisabled", "message": "Key based authentication is disabled."},
    ),
    Trouble.MODEL_GONE: (
        404,
        {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."},
    ),
    Trouble.RATE_LIMITED: (
        429,
        {"code": "RateLimitReached", "message": "Exceeded call rate limit, retry after 1 second."},
    ),
    Trouble.FILTERED: (
        400,
        {
            "message": "The response was filtered due to the prompt triggering the content management policy.",
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTERED},
        },
    ),
}
"""Trouble → status and error, where they differ from OpenAI's."""


class AzureVendor(OpenAIVendor):
    """Knows a deployment by its name in the body, takes an ``api-key``, and lets a filter look at all."""

    base_path = "/openai/v1"

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        assert "authorization" not in headers
        return super().hears(path, headers, body)

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("api-key")

    def says(self, said: Said) -> Answer:
        answer = super().says(said)
        document = json.loads(answer.pieces[0])
        document["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": SAFE}]
        document["choices"][0]["content_filter_results"] = SAFE
        return replace(answer, headers={**answer.headers, **HEADERS}, pieces=(json.dumps(document).encode(),))

    def streams(self, said: Said) -> Answer:
        """As with the asynchronous filter: what was judged is told after it was said."""
        answer = super().streams(said)
        first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [SAFE]}
        offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
        choice = {"index": 0, "finish_reason": None, "content_filter_results": SAFE, "content_filter_offsets": offsets}
        note = {**first, "choices": [choice]}
        del note["prompt_filter_results"]
        frames = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in (first, note)]
        pieces = (frames[0], *answer.pieces[:2], frames[1], *answer.pieces[2:])
        return replace(answer, headers={**answer.headers, **HEADERS}, pieces=pieces)

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        if trouble not in OWN_ERRORS:
            answer = super().fails(trouble, model=model)
        else:
            status, error = OWN_ERRORS[trouble]
            answer = self.answer({"error": error}, status=status)
        return replace(answer, headers={**answer.headers, **HEADERS})


VENDOR = AzureVendor()
