"""A server of Google's generateContent, as the Gemini API serves it.

Sources, all 2026-11: "Generating content", https://ai.google.dev/api/generate-content; "API errors",
https://ai.google.dev/gemini-api/docs/generate-content/api-errors; "Thought signatures",
https://ai.google.dev/gemini-api/docs/thought-signatures; field names: google-genai 3.4 ``types.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json, Outcome

REQUEST = {
    "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent",
    "serviceTier", "store",
}  # fmt: skip
SAMPLING = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}
FINISHES = {
    Finish.STOP: "STOP",
    Finish.TOOL_CALLS: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTENT_FILTER: "SAFETY",
    Finish.PAUSE: "CONTINUATION",
}
INFO, QUOTA = "type.googleapis.com/google.rpc.ErrorInfo", "type.googleapis.com/google.rpc.QuotaFailure"
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22s"}
EXCEEDED = "You exceeded your current quota, please check your plan and billing details."
ERRORS: Mapping[Trouble, tuple[int, str, str, tuple[Json, ...]]] = {
    Trouble.AUTH: (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        ({"@type": INFO, "reason": "API_KEY_INVALID", "domain": "googleapis.com"},),
    ),
    Trouble.FORBIDDEN: (403, "PERMISSION_DENIED", "Your API key doesn't have the required permissions.", ()),
    Trouble.MODEL_GONE: (
        404,
        "NOT_FOUND",
        "models/{model} is not found for API version v1beta, or is not supported for generateContent.",
        (),
    ),
    Trouble.RATE_LIMITED: (
        429,
        "RESOURCE_EXHAUSTED",
        EXCEEDED,
        ({"@type": QUOTA, "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}, RETRY),
    ),
    Trouble.QUOTA: (
        429,
        "RESOURCE_EXHAUSTED",
        EXCEEDED,
        ({"@type": QUOTA, "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}, RETRY),
    ),
    Trouble.PARAMETER: (400, "INVALID_ARGUMENT", "Unable to submit request: temperature is out of range.", ()),
    Trouble.TOO_LONG: (400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens.", ()),
    Trouble.OVERLOADED: (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", ()),
    Trouble.BROKEN: (500, "INTERNAL", "An internal error has occurred.", ()),
}
"""Trouble → HTTP status, status, message, details. A blocked prompt is none of them: it comes with status 200."""


class GeminiVendor:
    """The server side of generateContent."""

    base_path = "/v1beta"
    options: Mapping[str, Json] = {}
    tells = frozenset({"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "model", "id", "logprobs"})
    lacks = frozenset({"logit_bias", "parallel_tool_calls"})
    cannot: frozenset[str] = frozenset()
    finishes = frozenset(FINISHES)
    outcomes: Mapping[Trouble, Outcome] = {
        Trouble.AUTH: Outcome.AUTH,
        Trouble.FORBIDDEN: Outcome.AUTH,
        Trouble.MODEL_GONE: Outcome.MODEL_GONE,
        Trouble.RATE_LIMITED: Outcome.RATE_LIMITED,
        Trouble.QUOTA: Outcome.QUOTA,
        Trouble.FILTERED: Outcome.FILTERED,
        Trouble.PARAMETER: Outcome.REJECTED,
        Trouble.TOO_LONG: Outcome.REJECTED,
        Trouble.OVERLOADED: Outcome.UNAVAILABLE,
        Trouble.BROKEN: Outcome.UNAVAILABLE,
    }
    place = "/models/"
    errors = ERRORS

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        prefix = f"{self.base_path}{self.place}"
        assert path.startswith(prefix), path
        model, _, verb = path.removeprefix(prefix).partition(":")
        assert verb in {"generateContent", "streamGenerateContent?alt=sse"}, verb
        assert headers.get("content-type") == "application/json", headers
        asked = json.loads(body)
        assert set(asked) <= REQUEST, set(asked) - REQUEST
        generation = asked.get("generationConfig", {})
        form = self.form(generation)
        names = tuple(_declared(declaration) for tool in asked.get("tools", ()) for declaration in _declarations(tool))
        parts = _parts(asked["contents"])
        assert set(asked.get("systemInstruction", {})) <= {"parts", "role"}
        return Heard(
            model=unquote(model),
            instructions="".join(part["text"] for part in asked.get("systemInstruction", {}).get("parts", ())),
            messages=tuple((role, said) for role, said in map(_message, parts) if role),
            called=tuple(
                (part["functionCall"]["name"], json.dumps(part["functionCall"]["args"]))
                for _, part in parts
                if "functionCall" in part
            ),
            answered=tuple(part["functionResponse"]["name"] for _, part in parts if "functionResponse" in part),
            tools=names,
            tool_choice=_choice(asked.get("toolConfig"), names),
            form=form,
            stream=verb.startswith("stream"),
            parameters=_sampling(generation),
            key=self.key(headers),
        )

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-goog-api-key")

    def form(self, generation: Mapping[str, Json]) -> str | None:
        if "responseJsonSchema" in generation:
            assert generation["responseMimeType"] == "application/json"
            return "schema"
        return {None: None, "application/json": "json"}[generation.get("responseMimeType")]

    def says(self, said: Said) -> Answer:
        thought = [{"text": said.thinking, "thought": True}] if said.thinking else []
        text = [{"text": said.text}] if said.text else []
        document = self.document(said, [*thought, *text, *_calls(said)], ends=True)
        return self.answer(document)

    def streams(self, said: Said) -> Answer:
        half = len(said.text) // 2
        pieces = [piece for piece in (said.text[:half], said.text[half:-1], said.text[-1:]) if piece]
        parts: list[dict[str, Json]] = [{"text": said.thinking, "thought": True}] if said.thinking else []
        parts += [{"text": piece} for piece in pieces] + _calls(said)
        # The last frame carries a signature and no text.
        documents = [self.document(said, [part], ends=False, place=i) for i, part in enumerate(parts)]
        last = [] if said.finish is Finish.CONTENT_FILTER else [{"text": "", "thoughtSignature": "c2lnbmVk"}]
        documents.append(self.document(said, last, ends=True, place=len(parts)))
        frames = [f"data: {json.dumps(document)}\r\n\r\n".encode() for document in documents]
        return Answer(headers={"content-type": "text/event-stream"}, pieces=tuple(frames))

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        if trouble is Trouble.FILTERED:
            return self.answer(
                {
                    "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
                    "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
                    "modelVersion": model,
                }
            )
        status, word, message, details = self.errors[trouble]
        error = {"code": status, "message": message.format(model=model), "status": word}
        return self.answer({"error": {**error, "details": list(details)} if details else error}, status=status)

    def answer(self, document: Json, *, status: int = 200) -> Answer:
        headers = {"content-type": "application/json; charset=UTF-8"}
        return Answer(status=status, headers=headers, pieces=(json.dumps(document).encode(),))

    def document(self, said: Said, parts: list[Any], *, ends: bool, place: int | None = None) -> dict[str, Json]:
        candidate: dict[str, Json] = {"content": {"role": "model"}, "index": 0}
        if parts:
            candidate["content"]["parts"] = parts
        if ends:
            candidate["finishReason"] = FINISHES[said.finish]
        logprobs = said.logprobs if place is None else said.logprobs[place : place + 1]
        if logprobs:
            chosen = [{"token": token, "tokenId": 7, "logProbability": value} for token, value in logprobs]
            tops = [{"candidates": [one]} for one in chosen]
            candidate["logprobsResult"] = {"chosenCandidates": chosen, "topCandidates": tops}
        return {
            "candidates": [candidate],
            "usageMetadata": self.usage(said, ends=ends),
            "modelVersion": said.model,
            "responseId": said.id,
        }

    def usage(self, said: Said, *, ends: bool) -> dict[str, Json]:
        spoken = said.output_tokens - said.reasoning_tokens if ends else 1
        return {
            "promptTokenCount": said.input_tokens,
            "cachedContentTokenCount": said.cached_tokens,
            "candidatesTokenCount": spoken,
            "thoughtsTokenCount": said.reasoning_tokens,
            "totalTokenCount": said.input_tokens + said.reasoning_tokens + spoken,
        }


def _parts(contents: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    assert contents, "contents is not specified"
    for before, after in pairwise(contents):
        n_calls = sum("functionCall" in part for part in before["parts"])
        n_results = sum("functionResponse" in part for part in after["parts"])
        assert n_calls == n_results, "as many results as calls, in the next turn"
    for content in contents:
        assert set(content) == {"role", "parts"}, content
        assert content["role"] in {"user", "model"}, content
        assert content["parts"], content
        calls = [part for part in content["parts"] if "functionCall" in part]
        assert all("thoughtSignature" in call for call in calls[:1]), "Function call is missing a thought_signature"
    return [(content["role"], part) for content in contents for part in content["parts"]]


def _message(said: tuple[str, dict[str, Any]]) -> tuple[str, str]:
    role, part = said
    if "functionCall" in part:
        assert set(part["functionCall"]) <= {"name", "args"}
        return "", ""
    if "functionResponse" in part:
        result = part["functionResponse"]
        assert set(result) == {"name", "response"}
        assert isinstance(result["response"], dict)
        # "output" is the result when it is there, else the whole object is.
        output = result["response"].get("output", result["response"])
        return "tool", output if isinstance(output, str) else json.dumps(output)
    assert set(part) == {"text"}, part
    return "assistant" if role == "model" else "user", part["text"]


def _declarations(tool: dict[str, Any]) -> Iterator[dict[str, Any]]:
    assert set(tool) == {"functionDeclarations"}, tool
    yield from tool["functionDeclarations"]


def _declared(declaration: dict[str, Any]) -> str:
    assert set(declaration) <= {"name", "description", "parametersJsonSchema"}, declaration
    schema = declaration.get("parametersJsonSchema")
    assert schema is None or schema["type"] == "object", schema
    return str(declaration["name"])


def _choice(config: Json, names: tuple[str, ...]) -> str | None:
    if config is None:
        return None
    calling = config["functionCallingConfig"]
    assert set(calling) <= {"mode", "allowedFunctionNames"}
    allowed = calling.get("allowedFunctionNames", [])
    assert set(allowed) <= set(names)
    assert not allowed or calling["mode"] == "ANY", "allowed_function_names should only be set with mode ANY"
    return allowed[0] if allowed else {"AUTO": "auto", "NONE": "none", "ANY": "required"}[calling["mode"]]


def _sampling(generation: Mapping[str, Any]) -> dict[str, Json]:
    known = {*SAMPLING, "thinkingConfig", "responseMimeType", "responseJsonSchema"}
    assert set(generation) <= known, set(generation) - known
    assert isinstance(generation.get("stopSequences", []), list)
    told = {common: generation[name] for name, common in SAMPLING.items() if name in generation}
    thinking = generation.get("thinkingConfig", {})
    assert set(thinking) <= {"thinkingLevel", "thinkingBudget", "includeThoughts"}
    assert not {"thinkingLevel", "thinkingBudget"} <= set(thinking), "one of the two"
    if "thinkingLevel" in thinking:
        assert thinking["thinkingLevel"] in {"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"}
        told["reasoning_effort"] = thinking["thinkingLevel"].lower()
    if "thinkingBudget" in thinking:
        assert thinking["thinkingBudget"] == 0
        told["reasoning_effort"] = "none"
    return told


def _calls(said: Said) -> list[dict[str, Json]]:
    parts: list[dict[str, Json]] = [
        {"functionCall": {"name": name, "args": json.loads(arguments)}} for name, arguments in said.tool_calls
    ]
    if parts:
        parts[0]["thoughtSignature"] = "c2lnbmVk"
    return parts


VENDOR = GeminiVendor()
