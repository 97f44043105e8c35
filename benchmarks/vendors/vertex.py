"""A server of Google's generateContent, as Vertex AI serves it.

Sources, all 2026-11: "Generate content with the Gemini API in Vertex AI",
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference; "API errors",
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.vendors.gemini import ERRORS, INFO, GeminiVendor
from benchmarks.vendors.wire import Trouble
from driftwatch.domain import Json, Outcome


class VertexVendor(GeminiVendor):
    """The same wire below a project and a location, for bearers of access tokens."""

    base_path = "/v1"
    options: Mapping[str, Json] = {"project": "watch-1", "location": "europe-west4"}
    place = "/projects/watch-1/locations/europe-west4/publishers/google/models/"
    errors: Mapping[Trouble, tuple[int, str, str, tuple[Json, ...]]] = {
        **ERRORS,
        Trouble.AUTH: (
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token.",
            ({"@type": INFO, "reason": "ACCESS_TOKEN_TYPE_UNSUPPORTED", "domain": "googleapis.com"},),
        ),
        Trouble.FORBIDDEN: (
            403,
            "PERMISSION_DENIED",
            "Permission 'aiplatform.endpoints.predict' denied on resource (or it may not exist).",
            ({"@type": INFO, "reason": "IAM_PERMISSION_DENIED", "domain": "aiplatform.googleapis.com"},),
        ),
        Trouble.MODEL_GONE: (
            404,
            "NOT_FOUND",
            "Publisher Model `projects/watch-1/locations/europe-west4/publishers/google/models/{model}` was not found.",
            (),
        ),
        Trouble.RATE_LIMITED: (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", ()),
        Trouble.QUOTA: (
            403,
            "PERMISSION_DENIED",
            "This API method requires billing to be enabled.",
            ({"@type": INFO, "reason": "BILLING_DISABLED", "domain": "googleapis.com"},),
        ),
    }
    outcomes: Mapping[Trouble, Outcome] = GeminiVendor.outcomes

    def key(self, headers: Mapping[str, str]) -> str | None:
        assert "x-goog-api-key" not in headers
        return headers.get("authorization", "").removeprefix("Bearer ") or None


VENDOR = VertexVendor()
