"""Makes up answers for simulated canaries that have no script: plausible, harmless, and always the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from driftwatch.domain import Canary, Json

Draw = Callable[[str], float]
"""label → a number in [0, 1) that depends on the label alone; see ``driftwatch.providers.simulated``."""

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I can't assist with that request.",
    "I'm unable to help with this. Please consult a professional.",
)

_SUBJECTS = (
    "the order", "your account", "the team", "a refund", "the delivery", "this plan", "the report", "our policy",
    "the invoice", "the customer", "a reply", "the schedule", "the device", "an update", "the contract", "the price",
)  # fmt: skip
_VERBS = (
    "covers", "needs", "includes", "follows", "changes", "explains", "delays", "confirms", "replaces", "requires",
    "improves", "describes", "supports", "limits",
)  # fmt: skip
_OBJECTS = (
    "the first month", "a short review", "two working days", "every region", "the original receipt", "a new label",
    "the billing address", "our support desk", "the monthly limit", "a signed form", "the second step",
    "an available slot", "the current version", "a small fee", "the usual process", "a written notice",
)  # fmt: skip
_ENDINGS = (
    "in most cases", "as agreed", "without further cost", "when asked", "from today", "within a week",
    "for all members", "after approval", "on request", "before the end of the quarter",
)  # fmt: skip
_OPENINGS = ("", "In short, ", "Usually, ", "Please note: ", "As a rule, ", "Certainly: ")


def n_variants(draw: Draw) -> int:
    """How many answers there are: 4 … 8."""
    return 4 + int(draw("variants") * 5)


def made_up(canary: Canary, variant: int, draw: Draw) -> Json:
    """One variant of an answer.

    Args:
        canary: a canary with tools gets a call of the first, one with a response format gets JSON, others get prose.
        variant: 0 … ``n_variants(draw)`` − 1.
        draw: seeded by canary and persona, so that every persona has answers of its own.

    Returns:
        A text, or ``{"tool": name, "arguments": {...}}``.
    """

    def drawn(label: str) -> float:
        return draw(f"{variant}/{label}")

    function = next((tool["function"] for tool in canary.tools if _is_function(tool)), None)
    if function is not None:
        return {"tool": function["name"], "arguments": _fill(function.get("parameters"), "arguments", drawn)}
    if canary.response_format is not None:
        wanted = canary.response_format if isinstance(canary.response_format, dict) else {}
        schema = (wanted.get("json_schema") or {}).get("schema")
        schema = schema or {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
        return json.dumps(_fill(schema, "reply", drawn))
    return _prose(draw, drawn)


def _prose(draw: Draw, drawn: Draw) -> str:
    # The length is the persona's, the words are the variant's: real variants of one answer are about equally long.
    n_sentences = 1 + int(draw("sentences") * 4)
    sentences = [_sentence(drawn, index) for index in range(n_sentences)]
    text = str(_pick(_OPENINGS, draw("opening"))) + " ".join(sentences)
    return text[:1].upper() + text[1:]


def _sentence(drawn: Draw, index: int) -> str:
    subject, verb = _pick(_SUBJECTS, drawn(f"{index}/subject")), _pick(_VERBS, drawn(f"{index}/verb"))
    what, ending = _pick(_OBJECTS, drawn(f"{index}/object")), _pick(_ENDINGS, drawn(f"{index}/ending"))
    sentence = f"{subject} {verb} {what} {ending}."
    return sentence if index == 0 else sentence.capitalize()


def _fill(schema: Json, place: str, drawn: Draw) -> Any:  # noqa: PLR0911 - one return per kind of value
    # A value that fits the common part of JSON Schema: types, enum, const, properties, items.
    schema = schema if isinstance(schema, dict) else {}
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return _pick(tuple(schema["enum"]), drawn(place))
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        wanted = schema.get("required") or list(properties)
        return {name: _fill(properties.get(name), f"{place}/{name}", drawn) for name in wanted}
    if kind == "array":
        return [_fill(schema.get("items"), f"{place}/0", drawn)]
    if kind in {"integer", "number"}:
        low = schema.get("minimum", 1)
        return int(low + drawn(place) * max(0, schema.get("maximum", low + 9) - low))
    if kind == "boolean":
        return drawn(place) < 0.5  # noqa: PLR2004 - a coin
    return _pick(_OBJECTS, drawn(place))


def _is_function(tool: Json) -> bool:
    return isinstance(tool, dict) and isinstance(tool.get("function"), dict) and "name" in tool["function"]


def _pick(options: tuple[Any, ...], drawn: float) -> Any:
    return options[int(drawn * len(options))]
