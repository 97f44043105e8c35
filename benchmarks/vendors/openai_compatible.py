"""A server of the chat-completions wire.

Source: OpenAI, "Create chat completion" and its streaming, https://developers.openai.com/api/reference/resources/chat;
"Error codes", https://platform.openai.com/docs/guides/error-codes; 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json, Outcome
from driftwatch.providers.asked import COMMON_PARAMETERS

ERRORS: Mapping[Trouble, tuple[int, str, str | None, str]] = {
    Trouble.AUTH: (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    Trouble.FORBIDDEN: (403, "invalid_request_error", None, "You are not allowed to use this."),
    Trouble.MODEL_GONE: (404, "invalid_request_error", "model_not_found", "The model `{model}` does not exist."),
    Trouble.RATE_LIMITED: (429, "requests", "rate_limit_exceeded", "Rate limit reached, try again in 1s."),
    Trouble.QUOTA: (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    Trouble.FILTERED: (400, "invalid_request_error", "content_policy_violation", "Rejected by the safety system."),
    Trouble.PARAMETER: (400, "invalid_request_error", "unsupported_value", "Unsupported value: 'temperature'."),
    Trouble.TOO_LONG: (400, "invalid_request_error", "context_length_exceeded", "Maximum context length is 9."),
    Trouble.OVERLOADED: (503, "server_error", None, "The engine is currently overloaded."),
    Trouble.BROKEN: (500, "server_error", None, "The server had an error."),
}
"""Trouble → status, type, code, message."""


class ChatVendor:
    """The server side of chat completions; vendors' deviations are subclasses."""

    base_path = "/v1"
    options: Mapping[str, Json] = {}
    tells = frozenset(
        {"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "model", "fingerprint", "id", "logprobs"}
    )
    lacks: frozenset[str] = frozenset()
    cannot: frozenset[str] = frozenset()
    finishes = frozenset(Finish) - {Finish.PAUSE}
    native: Mapping[str, str] = {}
    """The vendor's own name → common name."""
    refused: frozenset[str] = frozenset()
    """Common names that the vendor's server no longer takes."""
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

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        assert path == f"{self.base_path}/chat/completions", path
        asked = json.loads(body)
        taken = {"model", "messages", "tools", "tool_choice", "response_format", "stream", "stream_options"}
        own = {name: value for name, value in asked.items() if name not in taken}
        assert not self.refused & set(own), own
        parameters = {self.native.get(name, name): value for name, value in own.items()}
        assert set(parameters) <= set(COMMON_PARAMETERS) - self.lacks, parameters
        assert not asked.get("stream") or asked["stream_options"] == {"include_usage": True}
        choice, form = asked.get("tool_choice"), asked.get("response_format")
        calls = [call for m in asked["messages"] for call in m.get("tool_calls", ())]
        names = {call["id"]: call["function"]["name"] for call in calls}
        return Heard(
            model=asked["model"],
            instructions="\n\n".join(m["content"] for m in asked["messages"] if m["role"] in {"system", "developer"}),
            messages=tuple((m["role"], m["content"] or "") for m in asked["messages"] if m["role"] not in _ABOVE),
            called=tuple((call["function"]["name"], call["function"]["arguments"]) for call in calls),
            answered=tuple(names[m["tool_call_id"]] for m in asked["messages"] if m["role"] == "tool"),
            tools=tuple(tool["function"]["name"] for tool in asked.get("tools", ())),
            tool_choice=choice["function"]["name"] if isinstance(choice, dict) else choice,
            form=None if form is None else {"text": None, "json_object": "json", "json_schema": "schema"}[form["type"]],
            stream=asked.get("stream", False),
            parameters=parameters,
            key=self.key(headers),
        )

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def says(self, said: Said) -> Answer:
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
        if said.finish is Finish.REFUSAL:
            message |= {"content": None, "refusal": said.text}
        if said.tool_calls:
            message["tool_calls"] = self.calls(said)
        choice = {"index": 0, "message": message, "finish_reason": _finish(said), "logprobs": self.logprobs(said)}
        document = {**self.top(said), "object": "chat.completion", "choices": [choice], "usage": self.usage(said)}
        return self.answer(document)

    def streams(self, said: Said) -> Answer:
        field = "refusal" if said.finish is Finish.REFUSAL else "content"
        half = len(said.text) // 2
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{field: piece} for piece in (said.text[:half], said.text[half:-1], said.text[-1:]) if piece]
        for call in self.calls(said):
            function = call["function"]
            deltas.append({"tool_calls": [{**call, "function": {**function, "arguments": ""}}]})
            for piece in (function["arguments"][:3], function["arguments"][3:]):
                deltas.append({"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]})
        choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        if said.logprobs:
            choices[1]["logprobs"] = self.logprobs(said)
        choices.append({"index": 0, "delta": {}, "finish_reason": _finish(said)})
        top = {**self.top(said), "object": "chat.completion.chunk"}
        chunks = [{**top, "choices": [choice], "usage": None} for choice in choices]
        chunks.append({**top, "choices": [], "usage": self.usage(said)})
        frames = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
        headers = {"content-type": "text/event-stream", "x-request-id": "request-1"}
        return Answer(headers=headers, pieces=(*frames, b"data: [DONE]\n\n"))

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        status, kind, code, message = ERRORS[trouble]
        error = {"message": message.format(model=model), "type": kind, "code": code, "param": None}
        return self.answer({"error": error}, status=status)

    def answer(self, document: Json, *, status: int = 200) -> Answer:
        headers = {"content-type": "application/json", "x-request-id": "request-1"}
        return Answer(status=status, headers=headers, pieces=(json.dumps(document).encode(),))

    def top(self, said: Said) -> dict[str, Json]:
        return {"id": said.id, "model": said.model, "system_fingerprint": said.fingerprint, "created": 1_780_000_000}

    def usage(self, said: Said) -> dict[str, Json]:
        return {
            "prompt_tokens": said.input_tokens,
            "completion_tokens": said.output_tokens,
            "total_tokens": said.input_tokens + said.output_tokens,
            "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
        }

    def calls(self, said: Said) -> list[dict[str, Any]]:
        return [
            {"index": i, "id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(said.tool_calls)
        ]

    def logprobs(self, said: Said) -> Json:
        entries = [
            {"token": token, "logprob": value, "bytes": None, "top_logprobs": [{"token": token, "logprob": value}]}
            for token, value in said.logprobs
        ]
        return {"content": entries} if entries else None


def _finish(said: Said) -> str:
    return "stop" if said.finish is Finish.REFUSAL else said.finish.value


_ABOVE = {"system", "developer"}

VENDOR = ChatVendor()
