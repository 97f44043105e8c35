"""Amazon Bedrock's server of Converse and ConverseStream.

Source: AWS, "Converse", "ConverseStream" and "Troubleshooting Amazon Bedrock API error codes",
https://docs.aws.amazon.com/bedrock/latest/; "Signature Version 4"; "Event stream encoding",
https://smithy.io/2.0/aws/amazon-eventstream.html; the service model in botocore 1.44; 2026-11. A signature is
recomputed by botocore from what arrived; frames are encoded here, by the description.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.vendors.wire import Answer, Heard, Said, Trouble
from driftwatch.domain import Finish, Json, Outcome

REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token+of=no/one"
"""The one account that is known here; its credentials are those of AWS's documentation."""
FIELDS = frozenset(
    {
        "messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig", "additionalModelRequestFields",
        "promptVariables", "additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig", "serviceTier",
        "outputConfig",
    }
)  # fmt: skip
INFERENCE: Mapping[str, str] = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
}
ERRORS: Mapping[Trouble, tuple[int, str, str]] = {
    Trouble.AUTH: (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    Trouble.FORBIDDEN: (403, "AccessDeniedException", "You don't have access to the model with that ID."),
    Trouble.MODEL_GONE: (400, "ValidationException", "The provided model identifier is invalid."),
    Trouble.RATE_LIMITED: (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    Trouble.QUOTA: (400, "ServiceQuotaExceededException", "Your request exceeds the service quota of your account."),
    Trouble.PARAMETER: (400, "ValidationException", "`temperature` is deprecated for this model."),
    Trouble.TOO_LONG: (400, "ValidationException", "Input is too long for requested model."),
    Trouble.OVERLOADED: (503, "ServiceUnavailableException", "The service isn't currently available."),
    Trouble.BROKEN: (500, "InternalServerException", "An internal server error occurred."),
}
"""Trouble → status, name, message."""
STOP_REASONS: Mapping[Finish, str] = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.CONTENT_FILTER: "guardrail_intervened",
}


class BedrockVendor:
    """The server side of Converse."""

    base_path = ""
    options: Mapping[str, Json] = {"region": REGION}
    tells = frozenset({"input_tokens", "output_tokens", "cached_tokens"})
    lacks = frozenset(
        {
            "frequency_penalty", "logit_bias", "logprobs", "parallel_tool_calls", "presence_penalty", "seed",
            "top_logprobs",
        }
    )  # fmt: skip
    cannot = frozenset({"json", "none"})
    finishes = frozenset(STOP_REASONS)
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
        form = r"/model/(?P<model>[^/:?]+)/(?P<verb>converse|converse-stream)(?:\?.*)?"
        named = re.fullmatch(re.escape(self.base_path) + form, path)
        assert named, path
        assert headers.get("content-type") == "application/json", headers
        proof = headers.get("authorization", "")
        if not proof.startswith("Bearer "):
            verify(path, headers, body)
        asked = json.loads(body)
        assert set(asked) <= FIELDS, set(asked) - FIELDS
        system = asked.get("system", [])
        assert all(set(block) == {"text"} and block["text"] for block in system)
        tools = asked.get("toolConfig", {})
        names = [_tool(tool) for tool in tools.get("tools", ())]
        uses, results = _of(asked, "toolUse"), _of(asked, "toolResult")
        assert tools or not uses, "toolConfig must be defined when using toolUse and toolResult content blocks"
        by_id = {use["toolUseId"]: use["name"] for use in uses}
        return Heard(
            model=unquote(named["model"]),
            instructions="\n\n".join(block["text"] for block in system),
            messages=_conversation(asked["messages"]),
            called=tuple((use["name"], json.dumps(use["input"])) for use in uses),
            answered=tuple(by_id[result["toolUseId"]] for result in results),
            tools=tuple(names),
            tool_choice=_choice(tools.get("toolChoice"), names),
            form=_form(asked.get("outputConfig", {}).get("textFormat")),
            stream=named["verb"] == "converse-stream",
            parameters=self.parameters(asked),
            key=proof.removeprefix("Bearer ") if proof.startswith("Bearer ") else None,
        )

    def parameters(self, asked: Mapping[str, Any]) -> dict[str, Json]:
        inference = asked.get("inferenceConfig", {})
        assert set(inference) <= set(INFERENCE), inference
        heard: dict[str, Json] = {INFERENCE[name]: value for name, value in inference.items()}
        assert isinstance(heard.get("stop", []), list)
        output = asked.get("outputConfig", {})
        assert set(output) <= {"textFormat", "effort"}
        if "effort" in output:
            assert output["effort"] in {"low", "medium", "high", "xhigh", "max"}
            heard["reasoning_effort"] = output["effort"]
        extra = asked.get("additionalModelRequestFields", {})
        assert set(extra) <= {"top_k"}, "the model knows no other field"
        return {**heard, **extra}

    def says(self, said: Said) -> Answer:
        document = {
            "output": {"message": {"role": "assistant", "content": self.blocks(said)}},
            "stopReason": STOP_REASONS[said.finish],
            "usage": self.usage(said),
            "metrics": {"latencyMs": 551},
        }
        return self.answer(document)

    def streams(self, said: Said) -> Answer:
        events: list[tuple[str, Json]] = [("messageStart", {"role": "assistant"})]
        for index, block in enumerate(self.blocks(said)):
            at = {"contentBlockIndex": index}
            start, deltas = _in_pieces(block)
            if start:
                events.append(("contentBlockStart", {**at, "start": start}))
            events += [("contentBlockDelta", {**at, "delta": delta, "p": "abcdef"}) for delta in deltas]
            events.append(("contentBlockStop", at))
        events.append(("messageStop", {"stopReason": STOP_REASONS[said.finish]}))
        events.append(("metadata", {"usage": self.usage(said), "metrics": {"latencyMs": 551}}))
        headers = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "request-1"}
        return Answer(headers=headers, pieces=tuple(event_frame(name, data) for name, data in events))

    def fails(self, trouble: Trouble, *, model: str) -> Answer:
        del model  # no message names it
        if trouble is Trouble.FILTERED:
            # The guardrail answers in the model's place, with a status of 200 and no token generated.
            said = Said(text="Sorry, I cannot answer that.", finish=Finish.CONTENT_FILTER, output_tokens=0)
            return self.says(said)
        status, name, message = ERRORS[trouble]
        answer = self.answer({"message": message}, status=status)
        kind = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
        return Answer(status=status, headers={**answer.headers, **kind}, pieces=answer.pieces)

    def answer(self, document: Json, *, status: int = 200) -> Answer:
        headers = {"content-type": "application/json", "x-amzn-requestid": "request-1"}
        return Answer(status=status, headers=headers, pieces=(json.dumps(document).encode(),))

    def usage(self, said: Said) -> dict[str, Json]:
        # Three disjoint parts: read from the cache, written to it, and the rest.
        written = 1 if said.input_tokens > said.cached_tokens else 0
        return {
            "inputTokens": said.input_tokens - said.cached_tokens - written,
            "cacheReadInputTokens": said.cached_tokens,
            "cacheWriteInputTokens": written,
            "outputTokens": said.output_tokens,
            "totalTokens": said.input_tokens + said.output_tokens,
        }

    def blocks(self, said: Said) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if said.thinking:
            reasoning = {"text": said.thinking, "signature": "c2lnbmVk"}
            blocks.append({"reasoningContent": {"reasoningText": reasoning}})
            blocks.append({"reasoningContent": {"redactedContent": "aGlkZGVu"}})
        if said.text:
            blocks.append({"text": said.text})
        for i, (name, arguments) in enumerate(said.tool_calls):
            use = {"toolUseId": f"tooluse_{i}", "name": name, "input": json.loads(arguments)}
            blocks.append({"toolUse": use})
        return blocks


def verify(path: str, headers: Mapping[str, str], body: bytes) -> None:
    """Check the signature of a request as AWS does.

    Raises:
        AssertionError: AWS would refuse it.
    """
    form = (
        r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
        r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
    )
    said = re.fullmatch(form, headers.get("authorization", ""))
    assert said, headers
    assert (said["key"], said["region"], said["service"]) == (ACCESS_KEY, REGION, "bedrock")
    names = said["names"].split(";")
    due = {"host", "content-type"} | {name for name in headers if name.startswith("x-amz-")}
    assert due <= set(names), f"{due - set(names)} must be signed"
    token = headers.get("x-amz-security-token")
    assert token in {None, TOKEN}
    signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, token), "bedrock", REGION)
    signed = {name: headers[name] for name in names}
    request = AWSRequest("POST", f"http://{headers['host']}{path}", headers=signed, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    assert said["day"] == headers["x-amz-date"][:8]
    wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert said["signature"] == wanted, "SignatureDoesNotMatch"


def event_frame(name: str, data: Json, *, kind: str = "event") -> bytes:
    """One frame: lengths, their checksum, headers, payload, checksum of all."""
    said = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return raw_frame(said, json.dumps(data).encode())


def raw_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Any frame; headers are texts, which is type 7."""
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    begun = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return begun + struct.pack("!I", zlib.crc32(begun))


def _tool(tool: Mapping[str, Any]) -> str:
    assert set(tool) == {"toolSpec"}, tool
    spec = tool["toolSpec"]
    assert {"name", "inputSchema"} <= set(spec) <= {"name", "description", "inputSchema", "strict"}, spec
    assert spec["inputSchema"]["json"]["type"] == "object"
    assert spec.get("description", "something")
    return str(spec["name"])


def _choice(choice: Mapping[str, Any] | None, names: list[str]) -> str | None:
    if choice is None:
        return None
    assert names, "toolConfig needs tools"
    ((kind, value),) = choice.items()
    if kind == "tool":
        assert value["name"] in names
        return str(value["name"])
    assert value == {}
    return {"auto": "auto", "any": "required"}[kind]


def _form(form: Mapping[str, Any] | None) -> str | None:
    if form is None:
        return None
    assert set(form) == {"type", "structure"}
    assert form["type"] == "json_schema"
    described = form["structure"]["jsonSchema"]
    assert {"schema"} <= set(described) <= {"schema", "name", "description"}
    assert isinstance(json.loads(described["schema"]), dict), "the schema is JSON inside a string"
    return "schema"


def _of(asked: Mapping[str, Any], kind: str) -> list[Any]:
    return [block[kind] for message in asked["messages"] for block in message["content"] if kind in block]


def _conversation(messages: list[Any]) -> tuple[tuple[str, str], ...]:
    assert messages
    assert messages[0]["role"] == "user", "A conversation must start with a user message."
    heard: list[tuple[str, str]] = []
    wanted: set[str] = set()  # ids of calls that the next turn must answer
    last = None
    for message in messages:
        assert set(message) == {"role", "content"}
        assert message["role"] in {"user", "assistant"}
        assert message["role"] != last, "A conversation must alternate between user and assistant roles."
        last = message["role"]
        blocks = message["content"]
        assert blocks, "The content field in the Message object is empty."
        assert {block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block} == wanted
        wanted = {block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block}
        heard += _said(last, blocks)
    assert not wanted
    return tuple(heard)


def _said(role: str, blocks: list[Any]) -> list[tuple[str, str]]:
    heard = []
    for block in blocks:
        ((kind, value),) = block.items()  # a union: one member
        if kind == "text":
            assert value.strip(), "The text field in the ContentBlock object is blank."
            heard.append((role, value))
        elif kind == "toolResult":
            assert role == "user"
            assert {"toolUseId", "content"} <= set(value) <= {"toolUseId", "content", "status"}
            heard.append(("tool", "".join(part["text"] for part in value["content"])))
        else:
            assert (kind, role) == ("toolUse", "assistant")
            assert set(value) == {"toolUseId", "name", "input"}
            assert re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", value["toolUseId"])
            assert isinstance(value["input"], dict)
    return heard or [(role, "")]


def _in_pieces(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    ((kind, value),) = block.items()
    if kind == "text":
        half = len(value) // 2
        return {}, [{"text": piece} for piece in (value[:half], value[half:-1], value[-1:]) if piece]
    if kind == "toolUse":
        raw = json.dumps(value["input"], separators=(",", ":")) if value["input"] else ""
        start = {"toolUse": {"toolUseId": value["toolUseId"], "name": value["name"]}}
        return start, [{"toolUse": {"input": piece}} for piece in (raw[:3], raw[3:]) if piece]
    if "reasoningText" in value:
        reasoning = value["reasoningText"]
        return {}, [{"reasoningContent": {name: reasoning[name]}} for name in ("text", "signature")]
    return {}, [{"reasoningContent": value}]


VENDOR = BedrockVendor()
