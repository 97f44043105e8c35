"""OpenAI's server of Responses.

Source: OpenAI, "Create a model response", "The response object" and "Streaming events",
https://developers.openai.com/api/reference/resources/responses, 2026-11; errors as in chat completions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.vendors.openai_compatible import ERRORS, ChatVendor
from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json

PARAMETERS: Mapping[str, str] = {
    "max_output_tokens": "max_tokens",
    "parallel_tool_calls": "parallel_tool_calls",
    "temperature": "temperature",
    "top_logprobs": "top_logprobs",
    "top_p": "top_p",
}
"""Request field → common parameter."""
OBJECTS = {"model", "input", "instructions", "store", "stream", "tools", "tool_choice", "text", "reasoning", "include"}
ITEM_FIELDS = {
    "message": {"type", "role", "content"},
    "function_call": {"type", "call_id", "name", "arguments"},
    "function_call_output": {"type", "call_id", "output"},
}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant"}


class ResponsesVendor:
    """Keeps nothing, and so insists that nothing is to be stored."""

    base_path = "/v1"
    options: Mapping[str, Json] = {}
    tells = ChatVendor.tells - {"fingerprint"}
    lacks = frozenset({"frequency_penalty", "logit_bias", "presence_penalty", "seed", "stop", "top_k"})
    cannot: frozenset[str] = frozenset()
    finishes = ChatVendor.finishes
    outcomes = ChatVendor.outcomes

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        assert path == f"{self.base_path}/responses", path
        asked = json.loads(body)
        assert set(asked) <= OBJECTS | set(PARAMETERS), set(asked)
        assert asked["store"] is False
        parameters = {PARAMETERS[name]: value for name, value in asked.items() if name in PARAMETERS}
        if "reasoning" in asked:
            assert set(asked["reasoning"]) == {"effort"}
            parameters["reasoning_effort"] = asked["reasoning"]["effort"]
        if "include" in asked:
            assert asked["include"] == ["message.output_text.logprobs"]
            parameters["logprobs"] = True
        for item in asked["input"]:
            assert set(item) <= ITEM_FIELDS[item.get("type", "message")], item
        for tool in asked.get("tools", ()):
            assert tool["type"] == "function"
            assert isinstance(tool["strict"], bool)
            assert tool["parameters"]["type"] == "object"
        calls = [item for item in asked["input"] if item.get("type") == "function_call"]
        names = {call["call_id"]: call["name"] for call in calls}
        choice, form = asked.get("tool_choice"), asked.get("text", {}).get("format")
        return Heard(
            model=asked["model"],
            instructions="\n\n".join(m["content"] for m in asked["input"] if m.get("role") in {"system", "developer"}),
            messages=tuple(_message(m) for m in asked["input"] if m.get("role") not in {"system", "developer"}),
            called=tuple((call["name"], call["arguments"]) for call in calls),
            answered=tuple(names[i["call_id"]] for i in asked["input"] if i.get("type") == "function_call_output"),
            tools=tuple(tool["name"] for tool in asked.get("tools", ())),
            tool_choice=choice["name"] if isinstance(choice, dict) else choice,
            form=None if form is None else {"json_object": "json", "json_schema": "schema"}[form["type"]],
            stream=asked.get("stream", False),
            parameters=parameters,
            key=headers.get("authorization", "").removeprefix("Bearer ") or None,
        )

    def says(self, said: Said) -> Answer:
        return self.answer(self.document(said))

    def streams(self, said: Said) -> Answer:
        document = self.document(said)
        begun = {**document, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]
        for position, item in enumerate(document["output"]):
            place = {"output_index": position, "item_id": item["id"]}
            empty = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
            added = {**item, **empty, "status": "in_progress"}
            events.append({"type": "response.output_item.added", "output_index": position, "item": added})
            events += {"reasoning": _reasoning, "message": _content, "function_call": _arguments}[item["type"]](
                item, place
            )
            events.append({"type": "response.output_item.done", "output_index": position, "item": item})
        events.append({"type": f"response.{document['status']}", "response": document})
        numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
        pieces = tuple(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in numbered)
        headers = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "request-1"}
        return Answer(headers=headers, pieces=pieces)

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        status, kind, code, message = ERRORS[trouble]
        if trouble is Trouble.FILTERED:
            code = "invalid_prompt"
        error = {"message": message.format(model=model), "type": kind, "code": code, "param": None}
        return self.answer({"error": error}, status=status)

    def answer(self, document: Json, *, status: int = 200) -> Answer:
        headers = {"content-type": "application/json", "x-request-id": "request-1"}
        return Answer(status=status, headers=headers, pieces=(json.dumps(document).encode(),))

    def document(self, said: Said) -> dict[str, Any]:
        is_cut = said.finish in {Finish.LENGTH, Finish.CONTENT_FILTER}
        reason = "max_output_tokens" if said.finish is Finish.LENGTH else "content_filter"
        return {
            "id": said.id,
            "object": "response",
            "created_at": 1_780_000_000,
            "status": "incomplete" if is_cut else "completed",
            "incomplete_details": {"reason": reason} if is_cut else None,
            "error": None,
            "model": said.model,
            "output": list(self.output(said)),
            "usage": {
                "input_tokens": said.input_tokens,
                "input_tokens_details": {"cached_tokens": said.cached_tokens, "cache_write_tokens": 0},
                "output_tokens": said.output_tokens,
                "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
                "total_tokens": said.input_tokens + said.output_tokens,
            },
        }

    def output(self, said: Said) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if said.thinking:
            summary = [{"type": "summary_text", "text": said.thinking}]
            items.append({"type": "reasoning", "id": "rs_1", "summary": summary})
        if said.finish is Finish.REFUSAL:
            items.append({**MESSAGE, "status": "completed", "content": [{"type": "refusal", "refusal": said.text}]})
        elif said.text:
            part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": _logprobs(said)}
            items.append({**MESSAGE, "status": "completed", "content": [part]})
        for position, (name, arguments) in enumerate(said.tool_calls):
            call = {
                "type": "function_call",
                "id": f"fc_{position}",
                "call_id": f"call_{position}",
                "status": "completed",
            }
            items.append({**call, "name": name, "arguments": arguments})
        return items


def _message(item: Mapping[str, Any]) -> tuple[str, str]:
    if item.get("type") == "function_call":
        return "assistant", ""
    return ("tool", item["output"]) if item.get("type") == "function_call_output" else (item["role"], item["content"])


def _content(item: Mapping[str, Any], place: Mapping[str, Any]) -> list[dict[str, Any]]:
    (part,) = item["content"]
    field = "text" if part["type"] == "output_text" else "refusal"
    stem = "response.output_text" if field == "text" else "response.refusal"
    text, place = part[field], {**place, "content_index": 0}
    half = len(text) // 2
    pieces = [piece for piece in (text[:half], text[half:-1], text[-1:]) if piece]
    return [
        {"type": "response.content_part.added", **place, "part": {**part, field: ""}},
        *({"type": f"{stem}.delta", **place, "delta": piece} for piece in pieces),
        {"type": f"{stem}.done", **place, field: text},
        {"type": "response.content_part.done", **place, "part": part},
    ]


def _arguments(item: Mapping[str, Any], place: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = item["arguments"]
    return [
        *({"type": "response.function_call_arguments.delta", **place, "delta": p} for p in (text[:3], text[3:])),
        {"type": "response.function_call_arguments.done", **place, "arguments": text},
    ]


def _reasoning(item: Mapping[str, Any], place: Mapping[str, Any]) -> list[dict[str, Any]]:
    (part,), place = item["summary"], {**place, "summary_index": 0}
    return [
        {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": part["text"]},
        {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]},
        {"type": "response.reasoning_summary_part.done", **place, "part": part},
    ]


def _logprobs(said: Said) -> list[dict[str, Any]]:
    return [
        {
            "token": token,
            "logprob": value,
            "bytes": [],
            "top_logprobs": [{"token": token, "logprob": value, "bytes": []}],
        }
        for token, value in said.logprobs
    ]


VENDOR = ResponsesVendor()
