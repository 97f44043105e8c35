"""A server of Cohere's Chat API, version 2.

Sources, all 2026-11: "Chat", https://docs.cohere.com/reference/chat; "Chat with streaming",
https://docs.cohere.com/reference/chat-stream; "Streaming for tool use",
https://docs.cohere.com/docs/tool-use-streaming; "Errors", https://docs.cohere.com/reference/errors; field names:
cohere 7.3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json, Outcome

SAMPLING = {
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "temperature": "temperature",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "k": "top_k",
    "p": "top_p",
    "logprobs": "logprobs",
}
REQUEST = {
    *SAMPLING, "model", "messages", "tools", "strict_tools", "documents", "citation_options", "response_format",
    "safety_mode", "tool_choice", "thinking", "priority", "stream",
}  # fmt: skip
FINISHES = {Finish.STOP: "COMPLETE", Finish.LENGTH: "MAX_TOKENS", Finish.TOOL_CALLS: "TOOL_CALL"}
ERRORS: Mapping[Trouble, tuple[int, str]] = {
    Trouble.AUTH: (401, "invalid api token"),
    Trouble.FORBIDDEN: (403, "your organization may not use this model"),
    Trouble.MODEL_GONE: (
        404,
        "model '{model}' was removed on September 15, 2025. See https://docs.cohere.com/docs/models#command.",
    ),
    Trouble.RATE_LIMITED: (
        429,
        "You are using a Trial key, which is limited to 20 API calls / minute.",
    ),
    Trouble.QUOTA: (
        429,
        "You are using a Trial key, which is limited to 1000 API calls / month.",
    ),
    Trouble.FILTERED: (498, "the request contains a deny-listed token"),
    Trouble.PARAMETER: (400, "invalid request: temperature must be between 0 and 1.0"),
    Trouble.TOO_LONG: (400, "too many tokens: total number of tokens cannot exceed 4081 - received 4292."),
    Trouble.OVERLOADED: (503, "service unavailable"),
    Trouble.BROKEN: (500, "internal server error"),
}
INSTRUCTIONS_TOKENS = 5
"""Part of the input that Cohere adds and does not bill."""


class CohereVendor:
    """The server side of Chat, version 2."""

    base_path = "/v2"
    options: Mapping[str, Json] = {}
    tells = frozenset({"input_tokens", "output_tokens", "cached_tokens", "id"})
    lacks = frozenset({"logit_bias", "parallel_tool_calls", "reasoning_effort", "top_logprobs"})
    cannot = frozenset({"named"})
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

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        assert path == "/v2/chat", path
        assert headers.get("content-type") == "application/json", headers
        asked = json.loads(body)
        assert set(asked) <= REQUEST, set(asked) - REQUEST
        assert isinstance(asked.get("stop_sequences", []), list)
        messages = asked["messages"]
        for message in messages:
            assert message["role"] in {"system", "user", "assistant", "tool"}, message
            assert set(message) <= {"role", "content", "tool_calls", "tool_call_id"}, message
            assert message.get("content") or message.get("tool_calls"), "a message has content or calls"
        calls = [call for message in messages for call in message.get("tool_calls", ())]
        assert all(set(call) == {"id", "type", "function"} for call in calls)
        names = {call["id"]: call["function"]["name"] for call in calls}
        tools = tuple(_tool(tool) for tool in asked.get("tools", ()))
        choice, form = asked.get("tool_choice"), asked.get("response_format", {"type": "text"})
        assert choice is None or tools, "tool_choice needs tools"
        assert set(form) <= {"type", "json_schema"}
        return Heard(
            model=asked["model"],
            instructions="\n\n".join(m["content"] for m in messages if m["role"] == "system"),
            messages=tuple((m["role"], m.get("content", "")) for m in messages if m["role"] != "system"),
            called=tuple((call["function"]["name"], call["function"]["arguments"]) for call in calls),
            answered=tuple(names[m["tool_call_id"]] for m in messages if m["role"] == "tool"),
            tools=tools,
            # Left out, the model is free to choose.
            tool_choice={None: "auto" if tools else None, "NONE": "none", "REQUIRED": "required"}[choice],
            form="schema" if "json_schema" in form else {"text": None, "json_object": "json"}[form["type"]],
            stream=asked.get("stream", False),
            parameters={SAMPLING[name]: value for name, value in asked.items() if name in SAMPLING},
            key=headers.get("authorization", "").removeprefix("Bearer ") or None,
        )

    def says(self, said: Said) -> Answer:
        content = [{"type": "thinking", "thinking": said.thinking}] if said.thinking else []
        content += [{"type": "text", "text": said.text}] if said.text else []
        message: dict[str, Json] = {"role": "assistant"}
        if content:
            message["content"] = content
        if said.tool_calls:
            message |= {"tool_plan": "I will look it up.", "tool_calls": _calls(said)}
        document = {"id": said.id, "message": message, "finish_reason": FINISHES[said.finish], "usage": _usage(said)}
        return self.answer(document)

    def streams(self, said: Said) -> Answer:
        end = {"finish_reason": FINISHES[said.finish], "usage": _usage(said)}
        start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        events = [
            {"type": "message-start", "id": said.id, "delta": {"message": start}},
            *_content(said),
            *_tool_calls(said),
            {"type": "message-end", "id": said.id, "delta": end},
        ]
        frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
        headers = {"content-type": "text/event-stream", "x-debug-trace-id": "request-1"}
        return Answer(headers=headers, pieces=tuple(frames))

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        status, message = ERRORS[trouble]
        return self.answer({"id": "error-1", "message": message.format(model=model)}, status=status)

    def answer(self, document: Json, *, status: int = 200) -> Answer:
        headers = {"content-type": "application/json", "x-debug-trace-id": "request-1"}
        return Answer(status=status, headers=headers, pieces=(json.dumps(document).encode(),))


def _tool(tool: dict[str, Any]) -> str:
    assert set(tool) == {"type", "function"}
    assert set(tool["function"]) <= {"name", "description", "parameters"}
    assert isinstance(tool["function"]["parameters"], dict)
    return str(tool["function"]["name"])


def _content(said: Said) -> Iterator[dict[str, Json]]:
    blocks = [("thinking", said.thinking), ("text", said.text)]
    for index, (kind, text) in enumerate((kind, text) for kind, text in blocks if text):
        start = {"message": {"content": {"type": kind, kind: ""}}}
        yield {"type": "content-start", "index": index, "delta": start}
        half = len(text) // 2
        for piece in (text[:half], text[half:-1], text[-1:]):
            yield {"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: piece}}}}
        yield {"type": "content-end", "index": index}


def _tool_calls(said: Said) -> Iterator[dict[str, Json]]:
    if said.tool_calls:
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will look it up."}}}
    for index, call in enumerate(_calls(said)):
        arguments = call["function"]["arguments"]
        begun = {**call, "function": {**call["function"], "arguments": ""}}
        yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": begun}}}
        for piece in (arguments[:3], arguments[3:]):
            more = {"function": {"arguments": piece}}
            yield {"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": more}}}
        yield {"type": "tool-call-end", "index": index}


def _calls(said: Said) -> list[dict[str, Any]]:
    return [
        {"id": f"{name}_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(said.tool_calls)
    ]


def _usage(said: Said) -> dict[str, Json]:
    billed = {"input_tokens": said.input_tokens - INSTRUCTIONS_TOKENS, "output_tokens": said.output_tokens}
    tokens = {"input_tokens": said.input_tokens, "output_tokens": said.output_tokens + 2}
    return {"billed_units": billed, "tokens": tokens, "cached_tokens": said.cached_tokens}


VENDOR = CohereVendor()
