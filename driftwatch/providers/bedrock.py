"""Amazon Bedrock's Converse: domain → request body, reply document → Reply. Streams are in ``bedrock_stream.py``.

Source: AWS, "Converse", "ConverseStream", "TokenUsage", "Prompt caching" and "Use an Amazon Bedrock API key",
https://docs.aws.amazon.com/bedrock/latest/, and the service model in botocore 1.44, 2026-11: POST
``https://bedrock-runtime.{region}.amazonaws.com/model/{model}/converse`` or ``…/converse-stream``, the request id in
``x-amzn-requestid``, the error's name in ``x-amzn-errortype``. What is special:

* A key is a Bedrock API key and goes into ``Authorization: Bearer``; the variable AWS_BEARER_TOKEN_BEDROCK stands for
  one. Without a key, requests are signed with the credentials that AWS's own settings say.
* ``max_tokens``, ``temperature``, ``top_p`` and ``stop`` go to ``inferenceConfig``, ``reasoning_effort`` to
  ``outputConfig.effort``, ``top_k`` and whatever only the model knows to ``additionalModelRequestFields``; Converse's
  own fields (``guardrailConfig``, ``serviceTier`` …) can be configured as parameters.
* ``json_schema`` goes to ``outputConfig.textFormat``; ``json_object`` and the tool choice ``none`` cannot be asked for.
* The reply does not name the model that answered, unless a prompt router chose it.
* ``inputTokens`` leaves out what was read from the cache and written to it.
* A guardrail answers in the model's place: where the model generated nothing, it was the prompt that was blocked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote as encoded

import httpx

from driftwatch.domain import Canary, Finish, Json, Message, Outcome, Target, ToolCall
from driftwatch.errors import ReplyUnreadable
from driftwatch.providers.address import joined
from driftwatch.providers.asked import (
    COMMON_PARAMETERS,
    Choice,
    Function,
    ToolUse,
    arguments_of,
    choice_of,
    format_of,
    functions_of,
    instructions_of,
    stops_of,
    turns_of,
)
from driftwatch.providers.aws import Signer
from driftwatch.providers.bedrock_stream import StreamedConverse
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler, Reply, bearer, malformed, renamed, unaskable, without_place
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import Say, from_error_object, named, quote
from driftwatch.providers.reading import count, mapping, objects, optional_text, text, total

KEY_ENV = "AWS_BEARER_TOKEN_BEDROCK"
INFERENCE: Mapping[str, str] = {
    "max_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
}
NAMES: Mapping[str, str | None] = {
    **dict.fromkeys(COMMON_PARAMETERS),
    **INFERENCE,
    "top_k": "top_k",
    "reasoning_effort": "effort",
}
"""Common parameter → its name on this wire; None where there is none."""
FIELDS = frozenset(
    {
        "additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig", "outputConfig",
        "performanceConfig", "promptVariables", "requestMetadata", "serviceTier",
    }
)  # fmt: skip
"""Converse's own fields that can be configured as parameters."""
FINISHES: Mapping[str, Finish] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "guardrail_intervened": Finish.CONTENT_FILTER,
    "content_filtered": Finish.CONTENT_FILTER,
}
"""``stopReason`` → ours; any other word (``malformed_tool_use`` …) is kept as served."""
TELLING = frozenset({"stop_sequence", "model_context_window_exceeded", "guardrail_intervened"})
"""Stop reasons that say more than ours."""
ERROR_NAMES: Mapping[str, Outcome] = {
    "model identifier is invalid": Outcome.MODEL_GONE,
    "reached the end of its life": Outcome.MODEL_GONE,
    "too many tokens per day": Outcome.QUOTA,
    "ResourceNotFoundException": Outcome.MODEL_GONE,
    "ServiceQuotaExceededException": Outcome.QUOTA,
    "AccessDeniedException": Outcome.AUTH,
    "ExpiredTokenException": Outcome.AUTH,
    "IncompleteSignatureException": Outcome.AUTH,
    "InvalidSignatureException": Outcome.AUTH,
    "MissingAuthenticationTokenException": Outcome.AUTH,
    "UnrecognizedClientException": Outcome.AUTH,
    "ValidationException": Outcome.REJECTED,
    "ThrottlingException": Outcome.RATE_LIMITED,
    "ModelTimeoutException": Outcome.TIMEOUT,
    "ModelNotReadyException": Outcome.UNAVAILABLE,  # 429, and it is not we who ask too often
    "ModelErrorException": Outcome.UNAVAILABLE,
    "ModelStreamErrorException": Outcome.UNAVAILABLE,
    "InternalServerException": Outcome.UNAVAILABLE,
    "ServiceUnavailableException": Outcome.UNAVAILABLE,
}
"""Names of the errors, and parts of messages; AWS, "Troubleshooting Amazon Bedrock API error codes", 2026-11."""


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests."""
    return Endpoint(connection, Converse(connection), transport=transport)


class Converse:
    """The wire.

    Args:
        connection: ``base_url`` for an address of your own, e.g. a VPC endpoint; options ``region`` and ``profile``.

    Raises:
        ConfigError: there is no such region or profile, or ``base_url`` is no http(s) address.
    """

    unsent = without_place(NAMES)
    error_names = ERROR_NAMES

    def __init__(self, connection: Connection) -> None:
        options = connection.options
        self._signer = Signer(service="bedrock", region=options.get("region"), profile=options.get("profile"))
        self._base_url = connection.base_url or f"https://bedrock-runtime.{self._signer.region}.amazonaws.com"
        joined(self._base_url, "/model")  # a wrong address is told at once

    def url(self, target: Target) -> str:
        """The address names the model, whose colons and slashes are encoded, and whether a stream is wanted."""
        verb = "converse-stream" if target.stream else "converse"
        return joined(self._base_url, f"/model/{encoded(target.model, safe='-._~')}/{verb}")

    def body(self, target: Target, canary: Canary) -> dict[str, Json]:
        """See ``Dialect``.

        Raises:
            ProviderRejected: the canary asks for what the wire cannot say.
        """
        own = renamed(target.parameters_for(canary), NAMES)
        body: dict[str, Json] = {
            "messages": [
                {"role": role, "content": [block for message in turn for block in _blocks(message)]}
                for role, turn in turns_of(canary)
            ],
            **{name: own.pop(name) for name in FIELDS & set(own)},
        }
        if instructions := instructions_of(canary):
            body["system"] = [{"text": instructions}]
        if inference := {name: own.pop(name) for name in INFERENCE.values() if name in own}:
            if "stopSequences" in inference:
                inference["stopSequences"] = stops_of(inference["stopSequences"])
            body["inferenceConfig"] = inference
        if canary.tools:
            body["toolConfig"] = {"tools": [_tool(f) for f in functions_of(canary)], **_choice(choice_of(canary))}
        output = {**(body.get("outputConfig") or {}), **_text_format(canary)}
        if "effort" in own:
            output["effort"] = own.pop("effort")
        if output:
            body["outputConfig"] = output
        if own:
            body["additionalModelRequestFields"] = {**(body.get("additionalModelRequestFields") or {}), **own}
        return body

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """``Authorization: Bearer`` with a Bedrock API key, else a signature.

        Raises:
            ProviderRejected: there is no key, and AWS's own settings lead to no credentials.
        """
        if key := key or os.environ.get(KEY_ENV, "").strip():
            return bearer(key)
        return await self._signer.headers(url, body)

    def read(self, document: Json, *, say: Say) -> Reply:
        """See ``Dialect``."""
        return read_converse(document, say=say)

    def assembler(self, *, say: Say) -> Assembler:
        """See ``Dialect``."""
        return StreamedConverse(
            failed=lambda error: from_error_object(error, say=say, names=ERROR_NAMES),
            read=lambda document: read_converse(document, say=say),
        )


def read_converse(document: Json, *, say: Say) -> Reply:
    """Read a reply document.

    Args:
        document: the parsed body; a ``toolUse`` whose input is a text holds it as served.
        say: masks key material in quotations.

    Raises:
        ProviderError: FILTERED when a guardrail blocked the prompt; MALFORMED for a document of another shape.
    """
    if not isinstance(document, dict):
        raise _malformed("the body is JSON but not an object")
    blocks = mapping(mapping(document.get("output")).get("message")).get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise _malformed("the body is JSON without output.message.content")
    usage = mapping(document.get("usage"))
    served = optional_text(document.get("stopReason"))
    said = "".join(_text(block) for block in blocks)
    n_output, cached = count(usage.get("outputTokens")), count(usage.get("cacheReadInputTokens"))
    if served == "guardrail_intervened" and n_output == 0:
        raise named(Outcome.FILTERED, f"a guardrail blocked the prompt: {quote(said, say)}")
    written = count(usage.get("cacheWriteInputTokens"))
    return Reply(
        text=said,
        finish_reason=FINISHES.get(served or "", served),
        finish_detail=served if served in TELLING else None,
        tool_calls=tuple(_tool_call(use) for use in (block.get("toolUse") for block in blocks) if use is not None),
        input_tokens=total(count(usage.get("inputTokens")), cached, written),
        output_tokens=n_output,
        cached_tokens=cached,
        served_model=optional_text(mapping(mapping(document.get("trace")).get("promptRouter")).get("invokedModelId")),
    )


def _blocks(message: Message) -> list[dict[str, Json]]:
    if message.role == "tool":
        return [{"toolResult": {"toolUseId": message.tool_call_id, "content": [{"text": message.content}]}}]
    # A blank text is refused.
    said: list[dict[str, Json]] = [{"text": message.content}] if message.content else []
    calls = ({"toolUseId": c.id, "name": c.name, "input": arguments_of(c)} for c in message.tool_calls)
    return said + [{"toolUse": call} for call in calls]


def _tool(function: Function) -> dict[str, Json]:
    spec: dict[str, Json] = {"name": function.name, "inputSchema": {"json": function.schema}}
    if function.description:
        spec["description"] = function.description
    if function.strict is not None:
        spec["strict"] = function.strict
    return {"toolSpec": spec}


def _choice(choice: Choice | None) -> dict[str, Json]:
    if choice is None:
        return {}
    match choice.use:
        case ToolUse.NAMED:
            return {"toolChoice": {"tool": {"name": choice.name}}}
        case ToolUse.NONE:
            raise unaskable("the tool choice none")
        case _:
            return {"toolChoice": {"auto" if choice.use is ToolUse.AUTO else "any": {}}}


def _text_format(canary: Canary) -> dict[str, Json]:
    form = format_of(canary)
    if form is None:
        return {}
    if form.schema is None:
        raise unaskable("json_object")
    schema = {"name": form.name, "schema": json.dumps(form.schema)}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _text(block: Mapping[str, Any]) -> str:
    cited = objects(mapping(block.get("citationsContent")).get("content"))
    return text(block.get("text")) + "".join(text(part.get("text")) for part in cited)


def _tool_call(use: Json) -> ToolCall:
    if not isinstance(use, dict) or not isinstance(use.get("name"), str):
        raise _malformed("a toolUse block has no name")
    given = use.get("input")
    return ToolCall(
        name=text(use["name"]),
        arguments=text(given) if isinstance(given, str) else json.dumps(given or {}),
        id=optional_text(use.get("toolUseId")),
    )


def _malformed(what: str) -> ReplyUnreadable:
    return malformed(what, "reply of Converse's")
