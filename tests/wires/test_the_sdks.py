"""The official SDKs beside our adapters, through one recording proxy: what is sent and what is read, field by field.

Behind the proxy stands the mock of the vendors' APIs, so that neither side of the comparison is ours alone.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from driftwatch.domain import Completion, Message, Target
from driftwatch.providers import PROVIDERS, Connection

pytestmark = pytest.mark.anyio

KEY = "a-key-of-the-mock"
MESSAGES = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Good morning."),
    Message(role="assistant", content="Good morning to you."),
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}


@pytest.fixture(params=["plain", "tools", "form", "parameters"])
def asked(request, greeting, weather):
    """A canary, and what an SDK's caller says for the same: messages, tools, form, parameters."""
    canary = weather if request.param == "tools" else greeting
    canary = replace(canary, messages=(*MESSAGES, canary.messages[0]))
    if request.param == "form":
        canary = replace(canary, response_format=FORMAT)
    if request.param == "parameters":
        canary = replace(canary, parameters={"max_tokens": 33, "temperature": 0.25, "top_p": 0.5, "stop": ["END"]})
    return canary


async def ours(provider: str, address: str, canary, at, *, stream: bool = False) -> Completion:
    target = Target(name="t", provider=provider, model="some-model", canaries=(canary,), stream=stream)
    opened = PROVIDERS[provider](Connection(base_url=address, read_key=lambda: KEY))
    try:
        return await opened.complete(target, canary, repeat=0, at=at)
    finally:
        await opened.aclose()


def said(canary) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in canary.messages]


def credentials(exchange) -> dict[str, str]:
    names = ("authorization", "x-api-key", "anthropic-version", "x-goog-api-key", "content-type")
    return {name: exchange.request.headers[name] for name in names if name in exchange.request.headers}


def same_request(recorded) -> None:
    theirs, our = recorded.exchanges
    assert our.request.method == theirs.request.method
    assert our.request.path == theirs.request.path
    assert credentials(our) == credentials(theirs)
    # google-genai writes one name in snake case and leaves an empty object; the API reads both spellings.
    spelled = json.loads(theirs.request.body.replace(b"parameters_json_schema", b"parametersJsonSchema"))
    wanted = {name: value for name, value in spelled.items() if value != {}}
    if "systemInstruction" in wanted:
        wanted["systemInstruction"].pop("role")  # google-genai gives it one, which the API ignores
    assert our.body == wanted


async def test_openai_chat_completions(mock, recording, asked, at) -> None:
    extra: dict[str, Any] = {}
    if asked.tools:
        extra |= {"tools": list(asked.tools), "tool_choice": asked.tool_choice}
    if asked.response_format:
        extra["response_format"] = asked.response_format
    if asked.parameters:
        extra |= {"max_completion_tokens": 33, "temperature": 0.25, "top_p": 0.5, "stop": ["END"]}
    async with recording(mock) as recorded, openai.AsyncOpenAI(base_url=f"{recorded.address}/v1", api_key=KEY) as sdk:
        theirs = await sdk.chat.completions.create(model="some-model", messages=said(asked), **extra)
        got = await ours("openai", f"{recorded.address}/v1", asked, at)

    same_request(recorded)
    choice = theirs.choices[0]
    assert got.text == (choice.message.content or "")
    assert got.finish_reason == choice.finish_reason
    assert [(c.name, c.arguments) for c in got.tool_calls] == [
        (c.function.name, c.function.arguments) for c in choice.message.tool_calls or ()
    ]
    assert (got.input_tokens, got.output_tokens) == (theirs.usage.prompt_tokens, theirs.usage.completion_tokens)
    assert (got.served_model, got.fingerprint) == (theirs.model, theirs.system_fingerprint)


async def test_a_stream_of_openai_chat_completions(mock, recording, asked, at) -> None:
    extra: dict[str, Any] = {"tools": list(asked.tools), "tool_choice": "auto"} if asked.tools else {}
    asked = replace(asked, parameters={}, response_format=None)
    async with recording(mock) as recorded, openai.AsyncOpenAI(base_url=f"{recorded.address}/v1", api_key=KEY) as sdk:
        opened = sdk.chat.completions.stream(
            model="some-model", messages=said(asked), stream_options={"include_usage": True}, **extra
        )
        async with opened as stream:
            theirs = await stream.get_final_completion()
        got = await ours("openai", f"{recorded.address}/v1", asked, at, stream=True)

    same_request(recorded)
    choice = theirs.choices[0]
    assert (got.text, got.finish_reason) == (choice.message.content or "", choice.finish_reason)
    assert [(c.name, c.arguments) for c in got.tool_calls] == [
        (c.function.name, c.function.arguments) for c in choice.message.tool_calls or ()
    ]
    assert (got.input_tokens, got.output_tokens) == (theirs.usage.prompt_tokens, theirs.usage.completion_tokens)


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_responses(mock, recording, asked, at, stream) -> None:
    extra: dict[str, Any] = {}
    if asked.tools:
        function = asked.tools[0]["function"]
        extra |= {"tools": [{"type": "function", "strict": False, **function}], "tool_choice": "auto"}
    if asked.response_format:
        extra["text"] = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}
    if asked.parameters:
        asked = replace(asked, parameters={"max_tokens": 33, "temperature": 0.25, "top_p": 0.5})
        extra |= {"max_output_tokens": 33, "temperature": 0.25, "top_p": 0.5}
    extra |= {"model": "some-model", "input": [{"type": "message", **m} for m in said(asked)], "store": False}
    async with recording(mock) as recorded, openai.AsyncOpenAI(base_url=f"{recorded.address}/v1", api_key=KEY) as sdk:
        if stream:
            async with sdk.responses.stream(**extra) as opened:
                theirs = await opened.get_final_response()
        else:
            theirs = await sdk.responses.create(**extra)
        got = await ours("openai_responses", f"{recorded.address}/v1", asked, at, stream=stream)

    same_request(recorded)
    assert got.text == theirs.output_text
    assert [(c.name, c.arguments) for c in got.tool_calls] == [
        (item.name, item.arguments) for item in theirs.output if item.type == "function_call"
    ]
    assert (got.input_tokens, got.output_tokens) == (theirs.usage.input_tokens, theirs.usage.output_tokens)
    assert got.served_model == theirs.model


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropic_messages(mock, recording, asked, at, stream) -> None:
    conversation = [
        {"role": m["role"], "content": [{"type": "text", "text": m["content"]}]}
        for m in said(asked)
        if m["role"] != "system"
    ]
    extra: dict[str, Any] = {"max_tokens": 1024}
    if asked.tools:
        function = asked.tools[0]["function"]
        tool = {
            "name": function["name"],
            "description": function["description"],
            "input_schema": function["parameters"],
        }
        extra |= {"tools": [tool], "tool_choice": {"type": "auto"}}
    if asked.response_format:
        extra["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    if asked.parameters:
        asked = replace(asked, parameters={"max_tokens": 33, "stop": ["END"]})
        extra |= {"max_tokens": 33, "stop_sequences": ["END"]}
    async with (
        recording(mock) as recorded,
        anthropic.AsyncAnthropic(base_url=recorded.address, api_key=KEY) as sdk,
    ):
        asking = {"model": "some-model", "system": "Be brief.", "messages": conversation, **extra}
        if stream:
            async with sdk.messages.stream(**asking) as opened:
                theirs = await opened.get_final_message()
        else:
            theirs = await sdk.messages.create(**asking)
        got = await ours("anthropic", recorded.address, asked, at, stream=stream)

    # The SDK sends the key as a bearer token; the vendor's own examples for curl, and we, as x-api-key.
    headers = recorded.exchanges[0].request.headers
    headers["x-api-key"] = headers.pop("authorization").removeprefix("Bearer ")
    same_request(recorded)
    assert got.text == "".join(block.text for block in theirs.content if block.type == "text")
    assert [(c.name, json.loads(c.arguments)) for c in got.tool_calls] == [
        (block.name, block.input) for block in theirs.content if block.type == "tool_use"
    ]
    assert got.finish_reason == {"end_turn": "stop", "tool_use": "tool_calls"}[theirs.stop_reason]
    assert (got.input_tokens, got.output_tokens) == (theirs.usage.input_tokens, theirs.usage.output_tokens)
    assert got.served_model == theirs.model


@pytest.mark.filterwarnings("ignore:FUNCTION_CALL is not a valid FinishReason")  # the mock's own word
@pytest.mark.parametrize("stream", [False, True])
async def test_google_gemini(mock, recording, asked, at, stream) -> None:
    contents = [
        types.Content(role={"assistant": "model"}.get(m.role, m.role), parts=[types.Part(text=m.content)])
        for m in asked.messages[1:]
    ]
    config: dict[str, Any] = {"system_instruction": "Be brief."}
    if asked.tools:
        function = asked.tools[0]["function"]
        declared = types.FunctionDeclaration(
            name=function["name"],
            description=function["description"],
            parameters_json_schema=function["parameters"],
        )
        config["tools"] = [types.Tool(function_declarations=[declared])]
        config["tool_config"] = types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.AUTO)
        )
    if asked.response_format:
        config |= {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
    if asked.parameters:
        config |= {"max_output_tokens": 33, "temperature": 0.25, "top_p": 0.5, "stop_sequences": ["END"]}
    async with recording(mock) as recorded:
        sdk = genai.Client(
            api_key=KEY, http_options=types.HttpOptions(base_url=recorded.address, api_version="v1beta")
        ).aio
        asking = {"model": "some-model", "contents": contents, "config": types.GenerateContentConfig(**config)}
        if stream:
            pieces = [piece async for piece in await sdk.models.generate_content_stream(**asking)]
        else:
            pieces = [await sdk.models.generate_content(**asking)]
        await sdk.aclose()
        got = await ours("gemini", f"{recorded.address}/v1beta", asked, at, stream=stream)

    same_request(recorded)
    parts = [part for piece in pieces for part in piece.candidates[0].content.parts or ()]
    assert got.text == "".join(part.text or "" for part in parts)
    assert [(c.name, json.loads(c.arguments)) for c in got.tool_calls] == [
        (part.function_call.name, part.function_call.args) for part in parts if part.function_call
    ]
    usage = pieces[-1].usage_metadata
    assert (got.input_tokens, got.output_tokens) == (usage.prompt_token_count, usage.candidates_token_count)
    assert got.served_model == pieces[-1].model_version
