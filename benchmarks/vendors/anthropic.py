"""Anthropic's server of Messages.

Source: Anthropic, "Messages", "Versions", "Streaming messages", "Errors", "Tool use" and "Structured outputs",
https://platform.claude.com/docs, and the types of its Python SDK 2.12, 2026-11. Version 2026-10-21 of the API refuses
temperature, top_p and top_k, 2023-06-01 does not. No seed, penalties or logprobs; a
content filter that withholds the output answers 400; a used-up balance 400, a spend limit 429 with its own error code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json, Outcome

KNOWN = frozenset(
    {
        "max_tokens", "messages", "model", "cache_control", "container", "inference_geo", "metadata", "output_config",
        "service_tier", "speed", "stop_sequences", "stream", "system", "thinking", "tool_choice", "tools",
    }
)  # fmt: skip
"""Fields of a request; the server refuses any other."""
VERSIONS: Mapping[str, frozenset[str]] = {
    "2026-10-21": frozenset(),
    "2023-06-01": frozenset({"temperature", "top_p", "top_k"}),
}
"""Version of the API → the fields it has beyond ``KNOWN``."""
ERRORS: Mapping[Trouble, tuple[int, str, str]] = {
    Trouble.AUTH: (401, "authentication_error", "invalid x-api-key"),
    Trouble.FORBIDDEN: (403, "permission_error", "Your API key does not have permission to use this resource."),
    Trouble.MODEL_GONE: (404, "not_found_error", "model: {model}"),
    Trouble.RATE_LIMITED: (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    Trouble.QUOTA: (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    Trouble.FILTERED: (400, "invalid_request_error", "Output blocked by content filtering policy"),
    Trouble.PARAMETER: (400, "invalid_request_error", "`temperature` is deprecated for this model."),
    Trouble.TOO_LONG: (400, "invalid_request_error", "prompt is too long: 201000 tokens > 200000 maximum"),
    Trouble.OVERLOADED: (529, "overloaded_error", "Overloaded"),
    Trouble.BROKEN: (500, "api_error", "Internal server error"),
}
"""Trouble → status, type, message."""
STOP_REASONS: Mapping[Finish, str] = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.REFUSAL: "refusal",
    Finish.PAUSE: "pause_turn",
}
"""There is no stop reason for a filter of the output: that is an error."""


class AnthropicVendor:
    """The server side of Messages."""

    base_path = ""
    options: Mapping[str, Json] = {}
    tells = frozenset({"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "model", "id"})
    lacks = frozenset(
        {
            "frequency_penalty", "logit_bias", "logprobs", "presence_penalty", "seed", "temperature", "top_k",
            "top_logprobs", "top_p",
        }
    )  # fmt: skip
    finishes = frozenset(STOP_REASONS)
    cannot = frozenset({"json"})
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
        assert path == f"{self.base_path}/v1/messages", path
        assert headers.get("content-type") == "application/json", headers
        known = KNOWN | VERSIONS[headers.get("anthropic-version", "none")]
        asked = json.loads(body)
        assert set(asked) <= known, set(asked) - known
        assert isinstance(asked["max_tokens"], int)
        assert asked["max_tokens"] > 0
        names = [_tool(tool) for tool in asked.get("tools", ())]
        assert "system" not in asked or asked["system"]
        calls = _of(asked, "tool_use")
        names_by_id = {call["id"]: call["name"] for call in calls}
        form = asked.get("output_config", {}).get("format")
        if form is not None:
            assert set(form) == {"type", "schema"}
            assert form["type"] == "json_schema"
        return Heard(
            model=asked["model"],
            instructions=asked.get("system", ""),
            messages=_conversation(asked["messages"]),
            called=tuple((call["name"], json.dumps(call["input"])) for call in calls),
            answered=tuple(names_by_id[result["tool_use_id"]] for result in _of(asked, "tool_result")),
            tools=tuple(names),
            tool_choice=_choice(asked.get("tool_choice"), names),
            form="schema" if form else None,
            stream=asked.get("stream", False),
            parameters=self.parameters(asked),
            key=headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ") or None,
        )

    def parameters(self, asked: Mapping[str, Any]) -> dict[str, Json]:
        same = ("temperature", "top_p", "top_k", "max_tokens")
        heard = {name: asked[name] for name in same if name in asked}
        if "stop_sequences" in asked:
            assert all(isinstance(one, str) and one.strip() for one in asked["stop_sequences"])
            heard["stop"] = asked["stop_sequences"]
        output = asked.get("output_config", {})
        assert set(output) <= {"effort", "format"}
        if "effort" in output:
            assert output["effort"] in {"low", "medium", "high", "xhigh", "max"}
            heard["reasoning_effort"] = output["effort"]
        if asked.get("thinking") == {"type": "disabled"}:
            heard["reasoning_effort"] = "none"
        if "disable_parallel_tool_use" in asked.get("tool_choice", {}):
            heard["parallel_tool_calls"] = not asked["tool_choice"]["disable_parallel_tool_use"]
        return heard

    def says(self, said: Said) -> Answer:
        message = {
            **self.top(said),
            "content": self.blocks(said),
            "stop_reason": STOP_REASONS[said.finish],
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": "bio"} if said.finish is Finish.REFUSAL else None,
            "usage": self.usage(said),
        }
        return self.answer(message)

    def streams(self, said: Said) -> Answer:
        usage = self.usage(said)
        begun = {**usage, "output_tokens": 1}
        del begun["output_tokens_details"]
        top = {**self.top(said), "content": [], "stop_reason": None, "stop_sequence": None, "usage": begun}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": top}]
        for index, block in enumerate(self.blocks(said)):
            start, deltas = _in_pieces(block)
            events.append({"type": "content_block_start", "index": index, "content_block": start})
            events.append({"type": "ping"})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        details = {"type": "refusal", "category": "bio"} if said.finish is Finish.REFUSAL else None
        delta = {"stop_reason": STOP_REASONS[said.finish], "stop_sequence": None, "stop_details": details}
        events.append({"type": "message_delta", "delta": delta, "usage": usage})
        events.append({"type": "message_stop"})
        frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
        headers = {"content-type": "text/event-stream; charset=utf-8", "request-id": "req_1"}
        return Answer(headers=headers, pieces=tuple(frames))

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        status, kind, message = ERRORS[trouble]
        error = {"type": kind, "message": message.format(model=model), "details": None}
        document = {"type": "error", "error": error, "request_id": "req_1"}
        return self.answer(document, status=status)

    def answer(self, document: Json, *, status: int = 200) -> Answer:
        headers = {"content-type": "application/json", "request-id": "req_1"}
        return Answer(status=status, headers=headers, pieces=(json.dumps(document).encode(),))

    def top(self, said: Said) -> dict[str, Json]:
        return {"id": said.id, "type": "message", "role": "assistant", "model": said.model}

    def usage(self, said: Said) -> dict[str, Json]:
        # Three disjoint parts: read from the cache, written to it, and the rest.
        written = 1 if said.input_tokens > said.cached_tokens else 0
        return {
            "input_tokens": said.input_tokens - said.cached_tokens - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": said.cached_tokens,
            "output_tokens": said.output_tokens,
            "output_tokens_details": {"thinking_tokens": said.reasoning_tokens},
            "service_tier": "standard",
        }

    def blocks(self, said: Said) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if said.thinking:
            blocks.append({"type": "thinking", "thinking": said.thinking, "signature": "c2lnbmVk"})
            blocks.append({"type": "redacted_thinking", "data": "aGlkZGVu"})
        if said.text:
            blocks.append({"type": "text", "text": said.text, "citations": None})
        for i, (name, arguments) in enumerate(said.tool_calls):
            blocks.append({"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": json.loads(arguments)})
        return blocks


def _tool(tool: Mapping[str, Any]) -> str:
    assert set(tool) <= {"name", "description", "input_schema", "strict", "type", "cache_control"}, tool
    assert tool["input_schema"]["type"] == "object"
    return str(tool["name"])


def _choice(choice: Mapping[str, Any] | None, names: list[str]) -> str | None:
    if choice is None:
        return None
    assert names, "tool_choice may only be specified while providing tools"
    fields = {"auto": set(), "any": set(), "none": set(), "tool": {"name"}}[choice["type"]]
    flag = set() if choice["type"] == "none" else {"disable_parallel_tool_use"}
    assert fields <= set(choice) - {"type"} <= fields | flag, choice
    if choice["type"] == "tool":
        assert choice["name"] in names
        return str(choice["name"])
    return {"auto": "auto", "any": "required", "none": "none"}[choice["type"]]


def _conversation(messages: list[Any]) -> tuple[tuple[str, str], ...]:
    assert messages, "messages: at least one message is required"
    assert messages[0]["role"] == "user"
    heard: list[tuple[str, str]] = []
    wanted: set[str] = set()  # ids of calls that the next turn must answer
    last = None
    for message in messages:
        assert set(message) == {"role", "content"}, message
        assert message["role"] in {"user", "assistant"}, message
        assert message["role"] != last, "turns alternate"
        last = message["role"]
        blocks = message["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        assert blocks, "content must not be empty"
        results = [block for block in blocks if block["type"] == "tool_result"]
        assert results == blocks[: len(results)], "tool results come first"
        assert {block["tool_use_id"] for block in results} == wanted, "each tool_use has its tool_result"
        wanted = {block["id"] for block in blocks if block["type"] == "tool_use"}
        heard += _said(message["role"], blocks)
    assert not wanted, "each tool_use has its tool_result"
    return tuple(heard)


def _of(asked: Mapping[str, Any], kind: str) -> list[Any]:
    turns = (message["content"] for message in asked["messages"] if not isinstance(message["content"], str))
    return [block for blocks in turns for block in blocks if block["type"] == kind]


def _said(role: str, blocks: list[Any]) -> list[tuple[str, str]]:
    heard = []
    for block in blocks:
        if block["type"] == "text":
            assert set(block) == {"type", "text"}
            assert block["text"], "text content blocks must be non-empty"
            heard.append((role, block["text"]))
        elif block["type"] == "tool_result":
            assert role == "user"
            assert set(block) <= {"type", "tool_use_id", "content", "is_error"}
            heard.append(("tool", block["content"]))
        else:
            assert block["type"] == "tool_use", block
            assert role == "assistant"
            assert set(block) == {"type", "id", "name", "input"}
            assert isinstance(block["input"], dict)
    return heard or [(role, "")]


def _in_pieces(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "text":
        text, half = block["text"], len(block["text"]) // 2
        pieces = [piece for piece in (text[:half], text[half:-1], text[-1:]) if piece]
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if block["type"] == "tool_use":
        raw = json.dumps(block["input"], separators=(",", ":")) if block["input"] else ""
        pieces = ["", raw[:3], raw[3:]]
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return dict(block), []


VENDOR = AnthropicVendor()
