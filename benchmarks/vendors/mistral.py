"""A server of Mistral's chat completions.

Sources, all 2026-11: "Chat Completion", https://docs.mistral.ai/api/endpoint/chat; "Error glossary",
https://docs.mistral.ai/resources/error-glossary; "Prompt caching",
https://docs.mistral.ai/studio-api/conversations/advanced/prompt-caching; field names: mistralai 3.7. It takes no field
it does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from benchmarks.vendors.openai_compatible import ChatVendor
from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json, Outcome

SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "stop": "stop",
    "random_seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
    "reasoning_effort": "reasoning_effort",
}
"""Mistral's name → common name."""
REQUEST = {
    *SAMPLING, "model", "messages", "stream", "metadata", "response_format", "tools", "tool_choice", "min_tokens", "n",
    "repetition_penalty", "prediction", "prompt_mode", "guardrails", "prompt_cache_key", "service_tier", "safe_prompt",
}  # fmt: skip
ERRORS: Mapping[Trouble, tuple[int, Json]] = {
    Trouble.AUTH: (401, {"detail": "Unauthorized"}),
    Trouble.FORBIDDEN: (403, {"message": "Your account may not use this model.", "type": "invalid_request_error"}),
    Trouble.MODEL_GONE: (400, {"message": "Invalid model: {model}", "type": "invalid_model", "code": "1500"}),
    Trouble.RATE_LIMITED: (429, {"message": "Rate limit exceeded", "type": "rate_limited", "code": "1300"}),
    Trouble.QUOTA: (402, {"message": "Payment required", "type": "invalid_request_error", "code": None}),
    Trouble.PARAMETER: (
        422,
        {"detail": [{"type": "less_than_equal", "loc": ["body", "temperature"], "msg": "Input should be at most 1.5"}]},
    ),
    Trouble.TOO_LONG: (
        400,
        {"message": "Prompt contains 40000 tokens, too large for 32768.", "type": "invalid_request_error"},
    ),
    Trouble.OVERLOADED: (
        503,
        {"message": "Service tier capacity exceeded for this model.", "type": "service_tier_capacity_exceeded"},
    ),
    Trouble.BROKEN: (500, {"message": "Service unavailable.", "type": "server_error", "code": "1000"}),
}
"""Trouble → status, body; all but ``detail`` say ``object: error`` and ``param`` too."""


class MistralVendor(ChatVendor):
    """The server side of chat completions, with Mistral's deviations."""

    tells = frozenset({"input_tokens", "output_tokens", "cached_tokens", "model", "id", "logprobs"})
    lacks = frozenset({"logit_bias"})
    finishes = frozenset({Finish.STOP, Finish.LENGTH, Finish.TOOL_CALLS})
    outcomes: Mapping[Trouble, Outcome] = {
        trouble: outcome for trouble, outcome in ChatVendor.outcomes.items() if trouble in ERRORS
    }

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        assert path == "/v1/chat/completions", path
        assert headers.get("content-type") == "application/json", headers
        asked = json.loads(body)
        assert set(asked) <= REQUEST, f"extra_forbidden: {set(asked) - REQUEST}"
        messages = asked["messages"]
        calls = [_call(call) for message in messages for call in message.get("tool_calls", ())]
        names = {call["id"]: call["function"]["name"] for call in calls}
        assert {message["role"] for message in messages} <= {"system", "user", "assistant", "tool"}
        choice, form = asked.get("tool_choice"), asked.get("response_format")
        return Heard(
            model=asked["model"],
            instructions="\n\n".join(m["content"] for m in messages if m["role"] == "system"),
            messages=tuple((m["role"], m["content"] or "") for m in messages if m["role"] != "system"),
            called=tuple((call["function"]["name"], call["function"]["arguments"]) for call in calls),
            answered=tuple(names[_nine(m["tool_call_id"])] for m in messages if m["role"] == "tool"),
            tools=tuple(_tool(tool) for tool in asked.get("tools", ())),
            tool_choice=choice["function"]["name"] if isinstance(choice, dict) else _CHOICES[choice],
            form=None if form is None else {"text": None, "json_object": "json", "json_schema": "schema"}[form["type"]],
            stream=asked.get("stream", False),
            parameters={SAMPLING[name]: value for name, value in asked.items() if name in SAMPLING},
            key=self.key(headers),
        )

    def says(self, said: Said) -> Answer:
        content: Json = said.text
        if said.thinking:
            content = [_thought(said.thinking), {"type": "text", "text": said.text}]
        message = {"role": "assistant", "content": content, "tool_calls": self.calls(said) or None}
        choice = {"index": 0, "message": message, "finish_reason": said.finish.value, "logprobs": self.logprobs(said)}
        return self.answer({**self.top(said), "object": "chat.completion", "choices": [choice], **self.counts(said)})

    def streams(self, said: Said) -> Answer:
        half = len(said.text) // 2
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": [_thought(piece)]} for piece in (said.thinking[:3], said.thinking[3:]) if piece]
        deltas += [{"content": piece} for piece in (said.text[:half], said.text[half:-1], said.text[-1:]) if piece]
        if said.tool_calls:
            deltas.append({"content": "", "tool_calls": self.calls(said)})  # whole, in one chunk
        choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        if said.logprobs:
            choices[1]["logprobs"] = self.logprobs(said)
        choices.append({"index": 0, "delta": {"content": ""}, "finish_reason": said.finish.value})
        top = {**self.top(said), "object": "chat.completion.chunk"}
        chunks = [{**top, "choices": [choice]} for choice in choices]
        chunks[-1] |= self.counts(said)
        frames = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
        headers = {"content-type": "text/event-stream; charset=utf-8", "mistral-correlation-id": "request-1"}
        return Answer(headers=headers, pieces=(*frames, b"data: [DONE]\n\n"))

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        status, body = ERRORS[trouble]
        if "detail" not in body:
            body = {"object": "error", **body, "message": body["message"].format(model=model), "param": None}
        return self.answer(body, status=status)

    def answer(self, document: Json, *, status: int = 200) -> Answer:
        headers = {"content-type": "application/json", "mistral-correlation-id": "request-1", "cf-ray": "9ba40a32-IAD"}
        return Answer(status=status, headers=headers, pieces=(json.dumps(document).encode(),))

    def top(self, said: Said) -> dict[str, Json]:
        return {"id": said.id, "model": said.model, "created": 1_780_000_000}

    def counts(self, said: Said) -> dict[str, Json]:
        total = said.input_tokens + said.output_tokens
        cached = {"cached_tokens": said.cached_tokens}
        counts = {"prompt_tokens": said.input_tokens, "completion_tokens": said.output_tokens, "total_tokens": total}
        return {"usage": {**counts, "prompt_tokens_details": cached}}

    def calls(self, said: Said) -> list[dict[str, Any]]:
        return [
            {"index": i, "id": f"D681Pevk{i}", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(said.tool_calls)
        ]


_CHOICES = {None: None, "auto": "auto", "none": "none", "any": "required"}


def _nine(given: str) -> str:
    assert re.fullmatch("[a-zA-Z0-9]{9}", given), f"Tool call id was {given} but must be a-z, A-Z, 0-9, length 9"
    return given


def _call(call: dict[str, Any]) -> dict[str, Any]:
    assert set(call) <= {"id", "type", "function", "index"}
    _nine(call["id"])
    return call


def _tool(tool: dict[str, Any]) -> str:
    assert set(tool["function"]) <= {"name", "description", "parameters", "strict"}
    assert isinstance(tool["function"]["parameters"], dict)
    return str(tool["function"]["name"])


def _thought(text: str) -> dict[str, Json]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


VENDOR = MistralVendor()
