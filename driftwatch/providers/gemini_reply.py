"""Reads what generateContent and streamGenerateContent answer; see ``gemini.py`` for the sources.

Every frame of a stream is a whole reply that holds the next parts; the last one names the reason it ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from driftwatch.domain import Finish, Json, Outcome, ToolCall
from driftwatch.errors import ReplyUnreadable
from driftwatch.providers.dialect import Reply, malformed
from driftwatch.providers.failures import Say, from_error_object, named, quote
from driftwatch.providers.reading import count, mapping, objects, optional_text, text, total

ERROR_NAMES: Mapping[str, Outcome] = {
    "API_KEY_INVALID": Outcome.AUTH,  # a status 400 with INVALID_ARGUMENT
    "api key not valid": Outcome.AUTH,  # its message, where a gateway drops the details
    "API_KEY_SERVICE_BLOCKED": Outcome.AUTH,
    "BILLING_DISABLED": Outcome.QUOTA,
    "PerDay": Outcome.QUOTA,
    "PerMonth": Outcome.QUOTA,
    "UNAUTHENTICATED": Outcome.AUTH,
    "PERMISSION_DENIED": Outcome.AUTH,
    "UNAVAILABLE": Outcome.UNAVAILABLE,
    "INTERNAL": Outcome.UNAVAILABLE,
    "DEADLINE_EXCEEDED": Outcome.UNAVAILABLE,
    "CANCELLED": Outcome.UNAVAILABLE,
}
"""``details[].reason``, the message, spans of exhausted quotas, and ``status`` → what they mean.

RESOURCE_EXHAUSTED is not among them: status 429 says which limit per minute, 402 that the credit is used up.
Sources: "API errors", https://ai.google.dev/gemini-api/docs/generate-content/api-errors; google.api.ErrorReason,
https://cloud.google.com/apis/design/errors; 2026-11.
"""

FILTERS = frozenset({
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "ESCALATION",
    "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
})  # fmt: skip
"""``finishReason`` of a reply that the endpoint itself cut or withheld."""

FINISHES: Mapping[str, Finish] = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "CONTINUATION": Finish.PAUSE,
    **dict.fromkeys(FILTERS, Finish.CONTENT_FILTER),
}
"""``finishReason`` → ours. What the model did wrong (MALFORMED_FUNCTION_CALL …), OTHER and new words stay as served."""

ACCOUNT_DISABLED = "PUP_LIMITED_DISABLED"
"""The account is limited or disabled for what it asked before: no reply of the model, and only a person can help."""


def read_reply(document: Json, *, say: Say) -> Reply:
    """Read a GenerateContentResponse.

    Raises:
        ProviderError: an error object inside the document, a prompt that a filter blocked (FILTERED), an account that
            is disabled (AUTH), or a document of another shape.
    """
    _refuse_errors(document, say)
    candidates = objects(document.get("candidates"))
    if not candidates:
        _refuse_blocked(document, say)
        raise _malformed("the body is JSON without candidates")
    candidate = candidates[0]
    served = optional_text(candidate.get("finishReason"))
    if served == ACCOUNT_DISABLED:
        why = quote(text(candidate.get("finishMessage")), say)
        raise named(Outcome.AUTH, f"the endpoint ended the reply with {ACCOUNT_DISABLED}: {why}".rstrip(": "))
    parts = _parts(candidate)
    calls = tuple(_tool_call(part["functionCall"]) for part in parts if part.get("functionCall") is not None)
    # A turn that calls functions ends with STOP like any other.
    finish = Finish.TOOL_CALLS if calls and served == "STOP" else FINISHES.get(served or "", served)
    usage = mapping(document.get("usageMetadata"))
    thoughts = count(usage.get("thoughtsTokenCount"))
    return Reply(
        text="".join(text(part.get("text")) for part in parts if not part.get("thought")),
        finish_reason=finish,
        finish_detail=served if served in FILTERS else None,
        tool_calls=calls,
        # Tokens of the prompt include those read from the cache, not those of built-in tools' results.
        input_tokens=total(count(usage.get("promptTokenCount")), count(usage.get("toolUsePromptTokenCount"))),
        output_tokens=total(count(usage.get("candidatesTokenCount")), thoughts),
        cached_tokens=count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
        served_model=optional_text(document.get("modelVersion")),
        id=optional_text(document.get("responseId")),
        logprobs=_logprobs(candidate.get("logprobsResult")),
        announces=_announced(mapping(document.get("modelStatus"))),
    )


class StreamedReply:
    """Puts the frames of one stream together into the reply it would have been without streaming.

    The reply is complete when a finish reason came. Frames are not numbered and nothing marks the last one, so that the
    stream is read to its end.
    """

    def __init__(self, *, say: Say) -> None:
        self._say = say
        self._top: dict[str, Json] = {}
        self._parts: list[Mapping[str, Any]] = []
        self._ends: dict[str, Json] = {}
        self._chosen: list[Json] = []
        self._likely: list[Json] = []
        self._has_frames = False
        self.is_complete = False
        """Never true: see the class."""

    def add(self, event: str, data: Json) -> bool:
        """Take one frame; see ``Assembler``. The wire does not name its events."""
        del event
        _refuse_errors(data, self._say)
        self._has_frames = True
        # Counts grow from frame to frame; the last word counts.
        self._top |= {key: data[key] for key in _TOP if data.get(key) is not None}
        candidates = objects(data.get("candidates"))
        if not candidates:
            return False
        candidate = candidates[0]
        parts = _parts(candidate)
        self._parts += parts
        self._ends |= {key: candidate[key] for key in ("finishReason", "finishMessage") if candidate.get(key)}
        logprobs = mapping(candidate.get("logprobsResult"))
        self._chosen += objects(logprobs.get("chosenCandidates"))
        self._likely += objects(logprobs.get("topCandidates"))
        return any(part.get("text") or part.get("functionCall") for part in parts)

    def reply(self) -> Reply:
        """See ``Assembler``."""
        if not self._has_frames:
            raise ReplyUnreadable("the endpoint answered 200 with an empty stream", outcome=Outcome.EMPTY_BODY)
        if "finishReason" not in self._ends:
            _refuse_blocked(self._top, self._say)
            raise ReplyUnreadable("the stream ended before a finish reason came", outcome=Outcome.CUT_OFF)
        candidate = {
            **self._ends,
            "content": {"parts": self._parts},
            "logprobsResult": {"chosenCandidates": self._chosen, "topCandidates": self._likely}
            if self._chosen
            else None,
        }
        return read_reply({**self._top, "candidates": [candidate]}, say=self._say)


_TOP = ("usageMetadata", "modelVersion", "responseId", "promptFeedback", "modelStatus")


def _refuse_errors(document: Json, say: Say) -> None:
    if not isinstance(document, dict):
        raise _malformed("the body is JSON but not an object")
    if document.get("error"):
        raise from_error_object(document["error"], say=say, names=ERROR_NAMES)


def _refuse_blocked(document: Mapping[str, Json], say: Say) -> None:
    feedback = mapping(document.get("promptFeedback"))
    if feedback.get("blockReason"):
        why = " ".join(str(feedback[key]) for key in ("blockReason", "blockReasonMessage") if feedback.get(key))
        raise named(Outcome.FILTERED, f"the endpoint blocked the prompt: {quote(why, say)}")


def _parts(candidate: Mapping[str, Json]) -> Sequence[Mapping[str, Any]]:
    # A candidate that a filter withheld, or that spent all its tokens on thinking, has no content or no parts.
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else content
    if parts is not None and not (isinstance(parts, list) and all(isinstance(part, dict) for part in parts)):
        raise _malformed("the parts of the content are no list of objects")
    return parts or []


def _announced(status: Mapping[str, Json]) -> dict[str, str]:
    """What ``modelStatus`` says of the model's end. Source: google-genai 3.4, ModelStatus, 2026-11; not on Vertex."""
    stage = optional_text(status.get("modelStage"))
    told = {
        "retirement": optional_text(status.get("retirementTime")),
        "deprecation": f"stage {stage.lower()}" if stage in {"LEGACY", "DEPRECATED", "RETIRED"} else None,
    }
    return {name: said for name, said in told.items() if said}


def _tool_call(call: Json) -> ToolCall:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise _malformed("a function call has no name")
    arguments = call.get("args")
    return ToolCall(
        name=text(call["name"]),
        # The wire sends an object, and nothing for a call without arguments.
        arguments=json.dumps({} if arguments is None else arguments),
        id=optional_text(call.get("id")),
    )


def _logprobs(value: Json) -> Json:
    # A reply is worth keeping when only its logprobs are odd, hence None instead of an error.
    chosen = objects(mapping(value).get("chosenCandidates"))
    likely = objects(mapping(value).get("topCandidates"))
    steps: zip_longest[tuple[Mapping[str, Any], Mapping[str, Any]]]
    steps = zip_longest(chosen, likely[: len(chosen)], fillvalue={})
    try:
        entries = [
            {
                "token": text(one["token"]),
                "logprob": float(one["logProbability"]),
                "top": [[text(top["token"]), float(top["logProbability"])] for top in objects(tops.get("candidates"))],
            }
            for one, tops in steps
        ]
    except (TypeError, KeyError, ValueError, OverflowError, ReplyUnreadable):
        return None
    return entries or None


def _malformed(what: str) -> ReplyUnreadable:
    return malformed(what, "generateContent reply")
