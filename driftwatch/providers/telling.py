"""Which response headers are kept with a completion: those that tell of limits and of an end to come."""

from __future__ import annotations

from collections.abc import Mapping

from driftwatch.providers.failures import Say

REQUEST_IDS = (
    "x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-amzn-requestid", "x-goog-request-id",
    "x-cloud-trace-context", "mistral-correlation-id", "x-debug-trace-id", "cf-ray",
)  # fmt: skip
"""Names of the header that a vendor's support desk asks for, the most telling first.

Sources, all 2026-11: OpenAI, "Debugging requests" (x-request-id); Anthropic, "API overview" (request-id); Azure OpenAI
(apim-request-id, x-ms-request-id); AWS (x-amzn-RequestId); Mistral (mistral-correlation-id); Cohere
(x-debug-trace-id); Cloudflare in front of many (cf-ray).
"""

KEPT = (
    "ratelimit", "rate-limit", "call-limit", "call-remaining", "retry-after", "deprecat", "sunset", "retire", "warning",
    "x-ms-region",
)  # fmt: skip
"""Parts of the names of headers that are kept. RFC 9745 Deprecation, RFC 8594 Sunset, RFC 9111 Warning,
draft-ietf-httpapi-ratelimit-headers, and the vendors' own x-ratelimit-* and anthropic-ratelimit-*."""

MOST_KEPT, LONGEST_KEPT = 32, 200
"""So many headers, names and values of so many characters at most: a broken gateway must not fill the database."""


def telling(headers: Mapping[str, str], *, say: Say) -> dict[str, str]:
    """The headers worth keeping, by lower-case name, masked and shortened.

    >>> telling({"X-RateLimit-Remaining-Requests": "59", "Server": "x"}, say=str)
    {'x-ratelimit-remaining-requests': '59'}
    """
    kept = sorted(name for name in headers if any(part in name.lower() for part in KEPT))
    return {name.lower()[:LONGEST_KEPT]: say(headers[name])[:LONGEST_KEPT] for name in kept[:MOST_KEPT]}
