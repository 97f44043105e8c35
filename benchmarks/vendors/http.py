"""A team's own endpoint, as teams write them: FastAPI's words for what is wrong, a wire of its own for all else."""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json, Outcome

SETTINGS = {
    "max_tokens": "limit",
    "reasoning_effort": "effort",
    "seed": "seed",
    "stop": "stop",
    "temperature": "temperature",
    "top_p": "top_p",
}
"""Common name → its name under ``settings``."""
FIELDS = {"model", "rules", "question", "history", "form", "live", "settings", "note"}
ERRORS: Mapping[Trouble, tuple[int, Json]] = {
    Trouble.AUTH: (401, {"detail": "Not authenticated"}),
    Trouble.FORBIDDEN: (403, {"detail": "Not allowed"}),
    Trouble.MODEL_GONE: (404, {"detail": "no such model: {model}"}),
    Trouble.RATE_LIMITED: (429, {"detail": "Too many requests"}),
    Trouble.PARAMETER: (422, {"detail": [{"loc": ["body", "settings", "temperature"], "msg": "extra forbidden"}]}),
    Trouble.TOO_LONG: (413, {"detail": "Too long"}),
    Trouble.OVERLOADED: (503, {"detail": "Busy"}),
    Trouble.BROKEN: (500, {"detail": "Internal Server Error"}),
}


class FeatureVendor:
    """Answers questions under ``/ask/``."""

    base_path = "/ask/"
    options: Mapping[str, Json] = {
        "request": {
            "model": "{{model}}",
            "rules": "{{system}}",
            "question": "{{prompt}}",
            "history": "{{messages}}",
            "form": "{{response_format}}",
            "live": "{{stream}}",
            "note": "for {{model}}",
            "settings": {own: f"{{{{parameters.{name}}}}}" for name, own in SETTINGS.items()},
        },
        "text": "$.answer.parts[*].text",
        "stream_text": "$.piece",
        "model": "$.meta.model",
        "input_tokens": "$.meta.tokens.read",
        "output_tokens": "$.meta.tokens.written",
        "finish_reason": "$.meta.ended",
        "error": "$.problem",
    }
    tells = frozenset({"model", "input_tokens", "output_tokens"})
    lacks = frozenset(
        {
            "frequency_penalty", "logit_bias", "logprobs", "parallel_tool_calls", "presence_penalty", "top_k",
            "top_logprobs",
        }
    )  # fmt: skip
    cannot = frozenset({"tools", "called", "auto", "none", "required", "named"})
    finishes = frozenset(Finish) - {Finish.TOOL_CALLS}
    outcomes: Mapping[Trouble, Outcome] = {
        Trouble.AUTH: Outcome.AUTH,
        Trouble.FORBIDDEN: Outcome.AUTH,
        Trouble.MODEL_GONE: Outcome.MODEL_GONE,
        Trouble.RATE_LIMITED: Outcome.RATE_LIMITED,
        Trouble.PARAMETER: Outcome.REJECTED,
        Trouble.TOO_LONG: Outcome.REJECTED,
        Trouble.OVERLOADED: Outcome.UNAVAILABLE,
        Trouble.BROKEN: Outcome.UNAVAILABLE,
    }

    def hears(self, path: str, headers: Mapping[str, str], body: bytes) -> Heard:
        assert path == self.base_path, path
        asked = json.loads(body)
        assert set(asked) <= FIELDS, asked
        assert isinstance(asked["live"], bool), "live is no boolean"
        common = {own: name for name, own in SETTINGS.items()}
        history = [(m["role"], m["content"]) for m in asked["history"] if m["role"] in {"user", "assistant"}]
        assert asked["question"] == [text for role, text in history if role == "user"][-1]
        assert asked["note"] == f"for {asked['model']}"
        form = asked.get("form")
        return Heard(
            model=asked["model"],
            instructions=asked["rules"],
            messages=tuple(history),
            form=None if form is None else {"json_object": "json", "json_schema": "schema"}[form["type"]],
            stream=asked["live"],
            parameters={common[own]: value for own, value in asked["settings"].items()},
            key=headers.get("authorization", "").removeprefix("Bearer ") or None,
        )

    def says(self, said: Said) -> Answer:
        half = len(said.text) // 2
        parts = [{"kind": "text", "text": text} for text in (said.text[:half], said.text[half:])]
        thought = [{"kind": "thought", "thought": said.thinking}] if said.thinking else []
        document = {"answer": {"parts": thought + parts}, "meta": _meta(said), "problem": None}
        return Answer(headers={"content-type": "application/json"}, pieces=(json.dumps(document).encode(),))

    def streams(self, said: Said) -> Answer:
        half = len(said.text) // 2
        pieces = ["", said.text[:half], said.text[half:-1], said.text[-1:]]
        thought: list[Json] = [{"thought": said.thinking}] if said.thinking else []
        events = [*thought, *({"piece": piece} for piece in pieces), {"meta": _meta(said)}]
        frames = tuple(f"event: piece\ndata: {json.dumps(event)}\n\n".encode() for event in events)
        return Answer(headers={"content-type": "text/event-stream; charset=utf-8"}, pieces=frames)

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        status, body = ERRORS[trouble]
        content = json.dumps(body).replace("{model}", model)
        return Answer(status=status, headers={"content-type": "application/json"}, pieces=(content.encode(),))


def _meta(said: Said) -> Json:
    tokens = {"read": said.input_tokens, "written": said.output_tokens}
    return {"model": said.model, "tokens": tokens, "ended": said.finish.value}


VENDOR = FeatureVendor()
