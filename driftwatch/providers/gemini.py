"""Google's generateContent, as the Gemini API serves it; ``vertex.py`` serves the same wire elsewhere.

Sources, all 2026-11: "Generating content", https://ai.google.dev/api/generate-content (POST
``{base_url}/models/{model}:generateContent``, ``:streamGenerateContent?alt=sse``, ``x-goog-api-key``); "Function
calling", https://ai.google.dev/gemini-api/docs/function-calling; "Thinking", https://ai.google.dev/gemini-api/docs/thinking;
field names: google-genai 3.4 ``types.py``. What differs from what one would expect:

* ``parametersJsonSchema`` and ``responseJsonSchema`` take JSON Schema; ``parameters`` and ``responseSchema`` take only
  a part of OpenAPI's.
* ``reasoning_effort`` is ``thinkingLevel`` for minimal … high, which models before Gemini 3 reject: configure
  ``thinkingConfig: {thinkingBudget: …}`` for them. ``none`` is a budget of 0, which models from Gemini 3 on reject.
* Function calls and their results have no ids here: results follow their calls, matched by name and order.
* Models from Gemini 3 on reject a function call in the history that lacks the signature of the thoughts behind it. A
  canary's history was not thought by the model, for which the documentation gives ``UNSIGNED``
  (https://ai.google.dev/gemini-api/docs/thought-signatures).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from urllib.parse import quote

import httpx

from driftwatch.domain import Canary, Json, Message, Outcome, Target, ToolCall
from driftwatch.providers import PROVIDERS
from driftwatch.providers.address import joined
from driftwatch.providers.asked import (
    COMMON_PARAMETERS,
    Function,
    ToolUse,
    arguments_of,
    choice_of,
    conversation_of,
    format_of,
    functions_of,
    instructions_of,
    stops_of,
)
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler, Reply, renamed, without_place
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import Say
from driftwatch.providers.gemini_reply import ERROR_NAMES, StreamedReply, read_reply

NAMES: Mapping[str, str | None] = {
    **{name: name for name in COMMON_PARAMETERS},
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "logit_bias": None,
    "parallel_tool_calls": None,
}
"""Common parameter → field of ``generationConfig``; ``reasoning_effort`` moves into its ``thinkingConfig``."""

BESIDE = frozenset({"cachedContent", "labels", "modelArmorConfig", "safetySettings", "serviceTier", "store"})
"""Native parameters that stand beside ``generationConfig``, not in it."""

MODES = {ToolUse.AUTO: "AUTO", ToolUse.NONE: "NONE", ToolUse.REQUIRED: "ANY", ToolUse.NAMED: "ANY"}

UNSIGNED = "skip_thought_signature_validator"
"""Stands for the signature of thoughts that the model did not think itself."""

_BEFORE_SIGNATURES = re.compile(r"gemini-[12](?!\d)")


class GenerateContent:
    """The wire as the Gemini API serves it.

    Args:
        connection: ``base_url`` defaults to the Gemini API's.

    Raises:
        ConfigError: ``base_url`` is no http(s) address.
    """

    def __init__(self, connection: Connection) -> None:
        self.unsent = without_place(NAMES)
        self.error_names: Mapping[str, Outcome] = ERROR_NAMES
        self._base_url = connection.base_url or PROVIDERS["gemini"].base_url
        joined(self._base_url, "")

    def url(self, target: Target) -> str:
        """The address names the model, and whether a stream is asked for."""
        address = joined(self._base_url, f"/{self.resource(target.model)}:{_verb(target)}")
        return str(httpx.URL(address).copy_merge_params({"alt": "sse"})) if target.stream else address

    def resource(self, model: str) -> str:
        """The model's place below the base address; a name that holds a slash is one already."""
        return quote(model if "/" in model else f"models/{model}")

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Dialect``."""
        parameters = renamed(target.parameters_for(canary), NAMES)
        body: dict[str, Json] = {
            **{name: value for name, value in parameters.items() if name in BESIDE},
            "contents": _contents(conversation_of(canary), signs=not _BEFORE_SIGNATURES.search(target.model)),
        }
        instructions = instructions_of(canary)
        if instructions:
            body["systemInstruction"] = {"parts": [{"text": instructions}]}
        functions = functions_of(canary)
        if functions:
            body["tools"] = [{"functionDeclarations": [_declaration(function) for function in functions]}]
        choice = choice_of(canary)
        if choice is not None:
            calling: dict[str, Json] = {"mode": MODES[choice.use]}
            if choice.name is not None:
                calling["allowedFunctionNames"] = [choice.name]
            body["toolConfig"] = {"functionCallingConfig": calling}
        generation = _generation({name: value for name, value in parameters.items() if name not in BESIDE})
        form = format_of(canary)
        if form is not None:
            generation["responseMimeType"] = "application/json"
            if form.schema is not None:
                generation["responseJsonSchema"] = dict(form.schema)
        if generation:
            body["generationConfig"] = generation
        return body

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """``x-goog-api-key``."""
        del url, body
        return {"x-goog-api-key": key} if key else {}

    def read(self, document: Json, *, say: Say) -> Reply:
        """See ``Dialect``."""
        return read_reply(document, say=say)

    def assembler(self, *, say: Say) -> Assembler:
        """See ``Dialect``."""
        return StreamedReply(say=say)


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    return Endpoint(connection, GenerateContent(connection), transport=transport)


def _verb(target: Target) -> str:
    return "streamGenerateContent" if target.stream else "generateContent"


def _generation(parameters: dict[str, Json]) -> dict[str, Json]:
    effort = parameters.pop("reasoning_effort", None)
    if effort is not None:
        depth = {"thinkingBudget": 0} if effort == "none" else {"thinkingLevel": str(effort).upper()}
        parameters["thinkingConfig"] = {**(parameters.get("thinkingConfig") or {}), **depth}
    if "stopSequences" in parameters:
        parameters["stopSequences"] = stops_of(parameters["stopSequences"])
    return parameters


def _declaration(function: Function) -> dict[str, Json]:
    declared: dict[str, Json] = {"name": function.name}
    if function.description is not None:
        declared["description"] = function.description
    if function.schema.get("properties"):  # a function without parameters has no schema here
        declared["parametersJsonSchema"] = dict(function.schema)
    return declared


def _contents(messages: Iterable[Message], *, signs: bool) -> list[Json]:
    names: dict[str | None, str] = {}
    contents: list[Json] = []
    # The results of calls made in parallel must come back in one turn.
    for role, turns in groupby(messages, key=lambda message: message.role):
        if role == "tool":
            contents.append({"role": "user", "parts": [_result(turn, names) for turn in turns]})
            continue
        for turn in turns:
            names |= {call.id: call.name for call in turn.tool_calls}
            parts: list[Json] = [{"text": turn.content}] if turn.content or not turn.tool_calls else []
            parts += [_call(call, signs=signs and place == 0) for place, call in enumerate(turn.tool_calls)]
            contents.append({"role": "model" if role == "assistant" else "user", "parts": parts})
    return contents


def _call(call: ToolCall, *, signs: bool) -> dict[str, Json]:
    part: dict[str, Json] = {"functionCall": {"name": call.name, "args": arguments_of(call)}}
    # Of calls made in parallel only the first one is signed.
    return {**part, "thoughtSignature": UNSIGNED} if signs else part


def _result(message: Message, names: Mapping[str | None, str]) -> dict[str, Json]:
    name = names.get(message.tool_call_id, message.tool_call_id or "")
    return {"functionResponse": {"name": name, "response": _response(message.content)}}


def _response(said: str) -> dict[str, Json]:
    # The place takes objects alone; "output" is the vendor's own name for a result that is none.
    try:
        value = json.loads(said)
    except ValueError:
        value = said
    return value if isinstance(value, dict) else {"output": said}
