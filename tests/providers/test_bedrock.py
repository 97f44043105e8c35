"""What is special to Bedrock's wire: addresses, signatures, binary frames; the rest is in test_contract.py."""

from __future__ import annotations

import asyncio
import importlib
import json
import struct
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import httpx
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.session import Session
from botocore.validate import ParamValidator

from benchmarks.vendors.bedrock import ACCESS_KEY, REGION, SECRET_KEY, TOKEN, VENDOR, event_frame, raw_frame, verify
from benchmarks.vendors.serving import answering, serving
from benchmarks.vendors.wire import Said
from driftwatch.domain import Finish, Message, Outcome, ToolCall
from driftwatch.errors import ConfigError, ProviderError
from driftwatch.providers import Connection, aws, event_stream
from driftwatch.providers.bedrock import Converse, open_provider
from driftwatch.providers.failures import MESSAGE_CHARS

pytestmark = pytest.mark.anyio

MODEL = "eu.anthropic.claude-x-20260101-v1:0"
ARN = f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/{MODEL}"
STREAM = "application/vnd.amazon.eventstream"
TOOL = {"type": "function", "function": {"name": "look", "description": "", "strict": True}}
CALL = ToolCall(name="look", arguments='{"at": "sky"}', id="tooluse_1")
USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
OPTIONS = {"region": REGION}


@pytest.fixture(autouse=True)
def amazon(monkeypatch, tmp_path):
    """An environment in which AWS's own settings say nothing, and an instance is not asked."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


@pytest.fixture
def credentials(monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


@pytest.fixture
def body(target, canary):
    """The request for a changed canary: ``body({"seed": 1}, tools=…)``."""

    def made(parameters=None, **asked):
        return wire().body(replace(target, parameters=parameters or {}), replace(canary, **asked))

    return made


@pytest.fixture
def ask(target, canary, at):
    """Ask once, of an endpoint in memory: ``await ask(httpx.Response(…))``."""

    async def asked(answer, *, model=MODEL, stream=False, **connection):
        def handle(request):
            asked.request = request
            return answer

        settings = {"options": OPTIONS, "read_key": lambda: "bedrock-api-key-1", **connection}
        provider = open_provider(Connection(**settings), transport=httpx.MockTransport(handle))
        try:
            return await provider.complete(replace(target, model=model, stream=stream), canary, repeat=0, at=at)
        finally:
            await provider.aclose()

    return asked


@pytest.fixture
def serve(target, canary, at):
    """Ask once, of the vendor's server at a real socket, which hears whether it would accept the request."""

    async def served(*, model=MODEL, stream=False, query="", **connection):
        heard = []

        def answer(request):
            heard.append(VENDOR.hears(request.path, request.headers, request.body))
            return VENDOR.streams(Said()) if stream else VENDOR.says(Said())

        async with serving(answering(answer)) as server:
            provider = open_provider(
                Connection(base_url=f"{server.address}/{query}", options=OPTIONS, timeout_s=10.0, **connection)
            )
            try:
                await provider.complete(replace(target, model=model, stream=stream), canary, repeat=0, at=at)
            finally:
                await provider.aclose()
        return heard[0], server.requests[0]

    return served


@cache
def wire() -> Converse:
    return Converse(Connection(options=OPTIONS))


def fine(**changed) -> httpx.Response:
    return httpx.Response(200, json=document(**changed))


def document(content=({"text": "Hi"},), **changed):
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": "end_turn", "usage": USAGE, **changed}


def read(*args, **changed):
    return wire().read(document(*args, **changed), say=str)


def assembled(*events):
    stream = wire().assembler(say=str)
    for name, data in events:
        stream.add(name, data)
    return stream


def outcome_of(act):
    with pytest.raises(ProviderError) as caught:
        act()
    return caught.value.outcome


# ---------------------------------------------------------------- the address


async def test_the_address_is_of_the_region_and_names_the_model_encoded(ask) -> None:
    await ask(fine())

    assert str(ask.request.url) == (
        "https://bedrock-runtime.eu-central-1.amazonaws.com"
        "/model/eu.anthropic.claude-x-20260101-v1%3A0/converse"
    )  # fmt: skip


async def test_an_address_of_ones_own_keeps_its_path_and_query(ask) -> None:
    await ask(fine(), base_url="https://vpce-1.example.org/aws/?via=a%20b", model=ARN)

    encoded = ARN.replace(":", "%3A").replace("/", "%2F")
    assert str(ask.request.url) == f"https://vpce-1.example.org/aws/model/{encoded}/converse?via=a%20b"


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1"])
def test_the_region_is_what_awss_own_settings_say_when_the_target_does_not(region, amazon, target) -> None:
    (amazon / "config").write_text(f"[default]\nregion = {region}\n")

    assert f"//bedrock-runtime.{region}.amazonaws.com/" in Converse(Connection()).url(target)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "options.region: no AWS region is set; write one, e.g. region: eu-central-1"),
        ({"region": "evil.example.org/"}, "options.region: this is no AWS region; write one, e.g. region: eu-cen"),
        ({"region": 1}, "options.region: this is no AWS region; write one"),
        ({"region": REGION, "profile": "gone"}, "options.profile: AWS's settings cannot be used: .*gone.*; name one"),
    ],
)
def test_settings_that_lead_nowhere_are_told_when_it_is_opened(options, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        open_provider(Connection(options=options))


def test_a_wrong_address_is_told_when_it_is_opened() -> None:
    with pytest.raises(ConfigError, match="base_url is no http address"):
        open_provider(Connection(base_url="bedrock", options=OPTIONS))


def test_without_botocore_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    monkeypatch.delitem(sys.modules, aws.__name__)

    with pytest.raises(ConfigError, match=r"needs botocore, .*; run pip install 'driftwatch\[bedrock\]'"):
        importlib.import_module(aws.__name__)


# ---------------------------------------------------------------- who asks


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("query", ["", "?", "?via=a%20b&b=1&a=%2F", "vpc/?x"])
@pytest.mark.parametrize("model", [MODEL, ARN, "amazon.nova-lite-v1:0", "a b/ü~%3A"])
async def test_the_server_accepts_the_signature(model, query, stream, serve, credentials, monkeypatch) -> None:
    monkeypatch.setattr(VENDOR, "base_path", "/vpc" if query.startswith("vpc") else "", raising=False)

    heard, request = await serve(model=model, query=query, stream=stream)

    assert (heard.model, heard.key, heard.stream) == (model, None, stream)
    assert "x-amz-security-token" not in request.headers


async def test_temporary_credentials_bring_their_token(serve, credentials, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)

    _, request = await serve()

    assert request.headers["x-amz-security-token"] == TOKEN


async def test_a_profile_brings_its_credentials(amazon) -> None:
    (amazon / "credentials").write_text(
        f"[watch]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )
    wire = Converse(Connection(options={**OPTIONS, "profile": "watch"}))

    headers = await wire.authorise(None, url="https://example.org/model/x/converse?b=1&a=2", body=b"{}")

    sent = {**{name.lower(): value for name, value in headers.items()}, "host": "example.org"}
    verify("/model/x/converse?b=1&a=2", {**sent, "content-type": "application/json"}, b"{}")


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/model/y/converse", {}, b"{}"),
        ("/model/x/converse", {"host": "elsewhere.example.org"}, b"{}"),
        ("/model/x/converse", {"content-type": "text/plain"}, b"{}"),
        ("/model/x/converse", {"x-amz-date": "20200101T000000Z"}, b"{}"),
        ("/model/x/converse", {"x-amz-target": "unsigned"}, b"{}"),
        ("/model/x/converse", {}, b"{ }"),
    ],
)
async def test_a_signature_fits_one_request_only(path, headers, body, credentials) -> None:
    made = await Converse(Connection(options=OPTIONS)).authorise(
        None, url="https://example.org/model/x/converse", body=b"{}"
    )
    sent = {**{name.lower(): value for name, value in made.items()}, "host": "example.org"}

    verify("/model/x/converse", {**sent, "content-type": "application/json"}, b"{}")
    with pytest.raises(AssertionError):
        verify(path, {**sent, "content-type": "application/json", **headers}, body)


async def test_a_key_goes_before_awss_own_settings(serve, credentials, monkeypatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of the environment")

    heard, _ = await serve(read_key=lambda: "bedrock-api-key-1")

    assert heard.key == "bedrock-api-key-1"


async def test_awss_own_variable_for_a_key_goes_before_credentials(serve, credentials, monkeypatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-2\n")

    heard, _ = await serve()

    assert heard.key == "bedrock-api-key-2"


async def test_no_credentials_is_told_and_nothing_is_sent(ask) -> None:
    with pytest.raises(ProviderError, match="no AWS credentials were found; set a key, or see") as caught:
        await ask(fine(), read_key=lambda: None)

    assert caught.value.outcome is Outcome.AUTH
    assert not hasattr(ask, "request")


async def test_credentials_that_cannot_be_renewed_are_told(ask, amazon) -> None:
    (amazon / "config").write_text("[profile watch]\ncredential_process = false\n")

    with pytest.raises(ProviderError, match="no AWS credentials could be had: ") as caught:
        await ask(fine(), read_key=lambda: None, options={**OPTIONS, "profile": "watch"})

    assert caught.value.outcome is Outcome.AUTH


async def test_what_a_program_for_credentials_writes_is_masked_and_cut(ask, amazon) -> None:
    printed = f'{{"Version":1,"SecretAccessKey":"{SECRET_KEY}"' + " and on" * 100
    program = amazon / "program"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{printed}\nEND\nexit 1\n")
    program.chmod(0o755)
    (amazon / "config").write_text(f"[profile watch]\ncredential_process = {program}\n")

    with pytest.raises(ProviderError, match=r"no AWS credentials could be had: .*SecretAccessKey") as caught:
        await ask(fine(), read_key=lambda: None, options={**OPTIONS, "profile": "watch"})

    assert SECRET_KEY not in str(caught.value)
    assert len(str(caught.value)) <= len("no AWS credentials could be had: ") + MESSAGE_CHARS


class Found:
    """Stands where botocore's own would ask AWS for the credentials of a role."""

    def __init__(self, found) -> None:
        self.found, self.n_asked = found, 0

    def get_credentials(self):
        self.n_asked += 1
        return self.found()


async def test_a_role_that_may_not_be_assumed_is_an_auth_failure_and_no_bug(monkeypatch) -> None:
    def refused():
        told = {"Error": {"Code": "AccessDenied", "Message": "not authorized to perform sts:AssumeRole"}}
        raise ClientError(told, "AssumeRole")

    signer = aws.Signer(service="bedrock", region=REGION, profile=None)
    monkeypatch.setattr(signer, "_session", Found(refused))

    with pytest.raises(ProviderError, match=r"no AWS credentials could be had: .*sts:AssumeRole") as caught:
        await signer.headers("https://example.org/", b"{}")

    assert caught.value.outcome is Outcome.AUTH


async def test_credentials_that_never_come_take_no_thread_but_the_signer_s(ask, monkeypatch) -> None:
    hanging, session = threading.Event(), Found(lambda: hanging.wait(10) and None)
    signer = aws.Signer(service="bedrock", region=REGION, profile=None)
    monkeypatch.setattr(signer, "_session", session)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))

    requests = [asyncio.create_task(signer.headers("https://example.org/", b"{}")) for _ in range(8)]
    await asyncio.sleep(0)

    assert await asyncio.to_thread(lambda: "a read of the store") == "a read of the store"
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
    hanging.set()
    assert session.n_asked <= 1


async def test_the_token_of_a_session_is_in_no_error(ask, credentials, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)

    with pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(403, json={"message": f"{TOKEN} is expired"}), read_key=lambda: None)

    assert ask.request.headers["x-amz-security-token"] == TOKEN
    assert "*** is expired" in str(caught.value)


# ---------------------------------------------------------------- what is asked


def test_turns_alternate_and_carry_tools_and_their_results(body) -> None:
    messages = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="One."),
        Message(role="user", content="Two."),
        Message(role="assistant", content="", tool_calls=(CALL,)),
        Message(role="tool", content="blue", tool_call_id="tooluse_1"),
        Message(role="user", content="So?"),
    ]

    got = body(messages=tuple(messages))

    assert got["system"] == [{"text": "Be brief."}]
    assert got["messages"] == [
        {"role": "user", "content": [{"text": "One."}, {"text": "Two."}]},
        {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {"at": "sky"}}}],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "blue"}]}}, {"text": "So?"}],
        },
    ]


def test_a_tool_says_what_the_canary_says_and_no_more(body) -> None:
    bare = {"type": "function", "function": {"name": "wait"}}
    empty = {"json": {"type": "object", "properties": {}}}

    assert body(tools=(TOOL, bare))["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "look", "strict": True, "inputSchema": empty}},  # a blank description is refused
            {"toolSpec": {"name": "wait", "inputSchema": empty}},
        ]
    }


def test_parameters_go_where_converse_has_a_place_for_them(body) -> None:
    got = body(
        {
            "max_tokens": 5,
            "stop": "END",
            "top_k": 20,
            "reasoning_effort": "high",
            "thinking": {"type": "adaptive"},
            "additionalModelRequestFields": {"anthropic_beta": ["x"]},
            "guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"},
            "outputConfig": {"new": 1},
            "seed": 7,
            "temperature": None,
        }
    )

    del got["messages"]
    assert got == {
        "inferenceConfig": {"maxTokens": 5, "stopSequences": ["END"]},
        "outputConfig": {"new": 1, "effort": "high"},
        "guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"},
        "additionalModelRequestFields": {"anthropic_beta": ["x"], "top_k": 20, "thinking": {"type": "adaptive"}},
    }


def test_nothing_but_the_messages_is_required(body) -> None:
    assert set(body()) == {"messages"}


def test_a_schema_is_sent_as_json_inside_a_string(body) -> None:
    schema = {"type": "object", "properties": {}}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}

    described = body(response_format=form)["outputConfig"]["textFormat"]["structure"]["jsonSchema"]

    assert (described["name"], json.loads(described["schema"])) == ("place", schema)


ASKED = {
    "messages": (
        Message(role="system", content="Be brief."),
        Message(role="user", content="What is it like?"),
        Message(role="assistant", content="Let me look.", tool_calls=(CALL,)),
        Message(role="tool", content="blue", tool_call_id="tooluse_1"),
    ),
    "tools": (TOOL,),
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": {"type": "object"}}},
}


@pytest.mark.parametrize("operation", ["Converse", "ConverseStream"])
@pytest.mark.parametrize("choice", ["auto", "required", ASKED["tool_choice"]], ids=["auto", "required", "named"])
def test_a_request_fits_the_model_of_the_service_that_aws_publishes(choice, operation, body) -> None:
    parameters = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 20, "stop": ["END"]}
    shape = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model(operation)

    made = body({**parameters, "reasoning_effort": "low"}, **{**ASKED, "tool_choice": choice})

    assert ParamValidator().validate({"modelId": MODEL, **made}, shape.input_shape).generate_report() == ""


async def test_awss_own_client_and_the_vendor_understand_each_other(credentials, body) -> None:
    heard = []

    def answer(request):
        heard.append(VENDOR.hears(request.path, request.headers, request.body))
        said = Said(thinking="Hm.", tool_calls=(("look", '{"at": "sky"}'),), finish=Finish.TOOL_CALLS)
        return VENDOR.streams(said) if heard[-1].stream else VENDOR.says(said)

    def ask(address):
        client = Session().create_client("bedrock-runtime", region_name=REGION, endpoint_url=address)
        made = body({"max_tokens": 5}, **ASKED)
        whole = client.converse(modelId=ARN, **made)
        streamed = list(client.converse_stream(modelId=ARN, **made)["stream"])
        client.close()
        return whole, streamed

    async with serving(answering(answer)) as server:
        whole, streamed = await asyncio.to_thread(ask, server.address)

    assert [h.model for h in heard] == [ARN, ARN]
    assert replace(heard[1], stream=False) == heard[0]
    assert heard[0].called == (("look", '{"at": "sky"}'),)
    assert wire().read(whole, say=str) == assembled(*((n, d) for e in streamed for n, d in e.items())).reply()


# ---------------------------------------------------------------- what comes back


@pytest.mark.parametrize(
    ("served", "finish", "detail"),
    [
        ("end_turn", "stop", None),
        ("stop_sequence", "stop", "stop_sequence"),
        ("max_tokens", "length", None),
        ("model_context_window_exceeded", "length", "model_context_window_exceeded"),
        ("tool_use", "tool_calls", None),
        ("guardrail_intervened", "content_filter", "guardrail_intervened"),
        ("content_filtered", "content_filter", None),
        ("malformed_tool_use", "malformed_tool_use", None),
        ("malformed_model_output", "malformed_model_output", None),
        ("novel", "novel", None),
    ],
)
def test_every_stop_reason_has_its_word(served, finish, detail) -> None:
    got = read(stopReason=served)

    assert (got.finish_reason, got.finish_detail) == (finish, detail)


def test_a_guardrail_that_blocked_the_prompt_is_no_reply() -> None:
    blocked = {"stopReason": "guardrail_intervened", "usage": {**USAGE, "inputTokens": 0, "outputTokens": 0}}

    with pytest.raises(ProviderError, match="a guardrail blocked the prompt: Hi") as caught:
        read(**blocked)

    assert caught.value.outcome is Outcome.FILTERED


def test_text_and_cited_text_are_text_and_reasoning_is_none() -> None:
    got = read(
        [
            {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
            {"text": "Hi"},
            {"citationsContent": {"content": [{"text": " there"}], "citations": []}},
        ]
    )

    assert got.text == "Hi there"


def test_the_input_is_counted_whole_although_the_cached_parts_come_apart() -> None:
    usage = {**USAGE, "inputTokens": 10, "cacheReadInputTokens": 3000, "cacheWriteInputTokens": 200}

    got = read(usage=usage)

    assert (got.input_tokens, got.cached_tokens, got.output_tokens) == (3210, 3000, 2)


def test_a_prompt_router_says_which_model_answered() -> None:
    assert read().served_model is None
    assert read(trace={"promptRouter": {"invokedModelId": ARN}}).served_model == ARN


@pytest.mark.parametrize(
    "found",
    [
        [],
        "Hi",
        None,
        {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"},
        {"output": {"message": {"content": None}}},
        {"output": {"message": {"content": ["Hi"]}}},
        {"output": {"message": {"content": [{"text": 5}]}}},
        {"output": {"message": {"content": [{"toolUse": {"input": {}}}]}}},
        {"output": {"message": {"content": [{"toolUse": "look"}]}}},
    ],
)
def test_a_document_of_another_shape_is_malformed(found) -> None:
    assert outcome_of(lambda: wire().read(found, say=str)) is Outcome.MALFORMED


# ---------------------------------------------------------------- errors

LEGACY = "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model."
ERRORS = [
    (400, "ValidationException", "The provided model identifier is invalid.", Outcome.MODEL_GONE),
    (400, "ValidationException", "messages.0: text is blank", Outcome.REJECTED),
    (404, "ResourceNotFoundException", "This model version has reached the end of its life.", Outcome.MODEL_GONE),
    (404, "ResourceNotFoundException", LEGACY, Outcome.MODEL_GONE),
    (404, "UnknownOperationException", "", Outcome.REJECTED),
    (403, "AccessDeniedException", "You don't have access to the model.", Outcome.AUTH),
    (403, "ExpiredTokenException", "The security token included in the request is expired", Outcome.AUTH),
    (403, "InvalidSignatureException", "The request signature we calculated does not match", Outcome.AUTH),
    (400, "IncompleteSignatureException", "Authorization header requires 'Signature'", Outcome.AUTH),
    (429, "ThrottlingException", "Too many requests, please wait before trying again.", Outcome.RATE_LIMITED),
    (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", Outcome.QUOTA),
    (400, "ServiceQuotaExceededException", "Your request exceeds the service quota.", Outcome.QUOTA),
    (429, "ModelNotReadyException", "The model is not ready.", Outcome.UNAVAILABLE),
    (408, "ModelTimeoutException", "The model took too long.", Outcome.TIMEOUT),
    (424, "ModelErrorException", "The model failed.", Outcome.UNAVAILABLE),
    (500, "InternalServerException", "", Outcome.UNAVAILABLE),
    (503, "ServiceUnavailableException", "Try again later.", Outcome.UNAVAILABLE),
]


@pytest.mark.parametrize("namespace", ["", ":http://internal.amazon.com/coral/com.amazon.bedrock/"])
@pytest.mark.parametrize(("status", "name", "message", "outcome"), ERRORS)
async def test_an_error_is_named_by_its_header(status, name, message, outcome, namespace, ask) -> None:
    headers = {"x-amzn-errortype": f"{name}{namespace}", "x-amzn-requestid": "request-1"}

    with pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(status, headers=headers, json={"message": message}))

    assert (caught.value.outcome, caught.value.request_id) == (outcome, "request-1")
    assert message in str(caught.value)


async def test_an_error_without_the_header_is_named_by_its_status(ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(httpx.Response(403, json={"Message": "Authentication failed: your API Key is not valid."}))

    assert caught.value.outcome is Outcome.AUTH


# ---------------------------------------------------------------- streams

BEGIN = ("messageStart", {"role": "assistant"})
STOP = ("messageStop", {"stopReason": "end_turn"})
COUNTS = ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}})


def delta(index, **said):
    return ("contentBlockDelta", {"contentBlockIndex": index, "delta": said or {"text": "Hi"}})


def start(index, name="look"):
    return ("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": "t", "name": name}}})


def stop(index):
    return ("contentBlockStop", {"contentBlockIndex": index})


@pytest.mark.parametrize(
    "events",
    [
        [delta(0)],
        [STOP],
        [BEGIN, BEGIN],
        [BEGIN, start(0), start(0)],
        [BEGIN, delta(0), start(0)],
        [BEGIN, delta(0), stop(0), delta(0)],
        [BEGIN, delta(0), stop(0), stop(0)],
        [BEGIN, delta(1), delta(0)],
        [BEGIN, delta(0), stop(0), STOP, delta(1)],
        [BEGIN, STOP, STOP],
        [BEGIN, delta(None)],
        [BEGIN, delta("0")],
        [BEGIN, delta(0, toolUse={"input": "{"})],
        [BEGIN, delta(0, text=7)],
        [("messageStart", ["assistant"])],
    ],
    ids=repr,
)
def test_events_that_are_out_of_order_doubled_or_odd_are_malformed(events) -> None:
    assert outcome_of(lambda: assembled(*events)) is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([], Outcome.EMPTY_BODY),
        ([BEGIN], Outcome.CUT_OFF),
        ([BEGIN, delta(0), stop(0)], Outcome.CUT_OFF),
        ([BEGIN, delta(0), stop(0), COUNTS], Outcome.CUT_OFF),
    ],
)
def test_a_stream_without_its_end_is_no_reply(events, outcome) -> None:
    stream = assembled(*events)

    assert not stream.is_complete
    assert outcome_of(stream.reply) is outcome


def test_a_stream_is_complete_with_its_counts_and_readable_without_them() -> None:
    stream = assembled(BEGIN, delta(0), stop(0), STOP)
    assert not stream.is_complete
    assert (stream.reply().text, stream.reply().input_tokens) == ("Hi", None)

    stream.add(*COUNTS)

    assert stream.is_complete
    assert stream.reply().input_tokens == 3


def test_reasoning_and_arguments_are_content() -> None:
    stream = assembled(BEGIN)

    assert stream.add(*delta(0, reasoningContent={"text": "Hm"}))
    assert not stream.add(*delta(0, reasoningContent={"signature": "c2ln"}))
    assert not stream.add(*stop(0))
    assert not stream.add(*start(1))
    assert stream.add(*delta(1, toolUse={"input": "{"}))
    assert not stream.add("novelEvent", {"contentBlockIndex": 7})
    assert not stream.add(*delta(2, citation={"title": "x"}))


@pytest.mark.parametrize(
    ("pieces", "arguments"), [(['{"a":', "1}"], '{"a": 1}'), ([], "{}"), (['{"a": "b'], '{"a": "b'), (["[1]"], "[1]")]
)
def test_a_streamed_call_is_read_like_a_whole_one_or_kept_as_it_broke_off(pieces, arguments) -> None:
    parts = [delta(0, toolUse={"input": piece}) for piece in pieces]

    got = assembled(BEGIN, start(0), *parts, stop(0), STOP, COUNTS).reply()

    assert got.tool_calls == (ToolCall(name="look", arguments=arguments, id="t"),)


# ---------------------------------------------------------------- frames


class InPieces(httpx.AsyncByteStream):
    """Bytes in pieces that respect no frame."""

    def __init__(self, content, size):
        self._content, self._size = content, size

    async def __aiter__(self):
        for begin in range(0, len(self._content), self._size):
            yield self._content[begin : begin + self._size]


def streamed(*frames, size=7) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": STREAM}, stream=InPieces(b"".join(frames), size))


def whole() -> tuple[bytes, ...]:
    return VENDOR.streams(Said()).pieces


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_frames_are_read_however_they_arrive(size, ask) -> None:
    got = await ask(streamed(*whole(), size=size), stream=True)

    assert (got.text, got.finish_reason) == (Said().text, "stop")


async def test_what_follows_the_last_event_is_not_read(ask) -> None:
    got = await ask(streamed(*whole(), b"\xff" * 40, size=100_000), stream=True)

    assert got.text == Said().text


@pytest.mark.parametrize("place", [0, 5, 9, 13, 40, -6, -1])
async def test_a_byte_changed_on_the_way_is_malformed(place, ask) -> None:
    first, second, *rest = whole()
    changed = bytearray(second)
    changed[place] ^= 0x01

    with pytest.raises(ProviderError, match="a frame of the stream is broken: ") as caught:
        await ask(streamed(first, bytes(changed), *rest), stream=True)

    assert caught.value.outcome is Outcome.MALFORMED


def prelude(total, headers) -> bytes:
    lengths = struct.pack("!II", total, headers)
    return lengths + struct.pack("!I", zlib.crc32(lengths))


def framed(headers: bytes) -> bytes:
    begun = prelude(16 + len(headers), len(headers)) + headers
    return begun + struct.pack("!I", zlib.crc32(begun))


@pytest.mark.parametrize(
    "frame",
    [
        b"<html>Sign in, please</html>",
        prelude(0, 0) + bytes(8),
        prelude(2**31, 0) + bytes(8),
        prelude(64, 2**31) + bytes(52),
        framed(b"\x05:name\x63"),  # a type of header that does not exist
        framed(b"\x01x\x07\x00\x02\xff\xfe"),  # a text that is no UTF-8
        framed(b"\x20x"),
    ],
    ids=["html", "no length", "a long payload", "long headers", "novel type", "no utf-8", "short"],
)
async def test_bytes_that_are_no_frame_are_malformed(frame, ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(streamed(frame), stream=True)

    assert caught.value.outcome is Outcome.MALFORMED


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
async def test_a_stream_that_ends_inside_a_frame_is_cut_off(keep, ask) -> None:
    content = b"".join(whole()[:-2])

    with pytest.raises(ProviderError) as caught:
        await ask(streamed(content[: int(len(content) * keep)]), stream=True)

    assert caught.value.outcome is Outcome.CUT_OFF


def test_blocks_are_counted_without_looking_at_all_of_them_each_time() -> None:
    class Counted(dict):
        def __iter__(self):
            pytest.fail("all blocks were looked at")

    stream = assembled(BEGIN, delta(1))
    stream._blocks = Counted(stream._blocks.items())
    stream.add(*delta(2))
    with pytest.raises(ProviderError, match="content block 0 begins after block 2"):
        stream.add(*delta(0))


async def test_a_stream_of_no_frames_is_empty(ask) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(streamed(b""), stream=True)

    assert caught.value.outcome is Outcome.EMPTY_BODY


async def test_a_frame_that_is_no_json_is_named(ask) -> None:
    headers = {":message-type": "event", ":event-type": "messageStart"}

    with pytest.raises(ProviderError) as caught:
        await ask(streamed(raw_frame(headers, b"<html>")), stream=True)

    assert caught.value.outcome is Outcome.NOT_JSON


async def test_an_endless_stream_is_cut_at_the_limit(ask, monkeypatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_BODY_BYTES", 1000)
    frames = [event_frame(*BEGIN), *[event_frame(*delta(0))] * 20]

    with pytest.raises(ProviderError) as caught:
        await ask(streamed(*frames, event_frame(*STOP)), stream=True)

    assert caught.value.outcome is Outcome.TOO_LARGE


@pytest.mark.parametrize(
    ("name", "message", "outcome"),
    [
        ("throttlingException", "Slow down.", Outcome.RATE_LIMITED),
        ("modelStreamErrorException", "The model failed.", Outcome.UNAVAILABLE),
        ("internalServerException", "Ours.", Outcome.UNAVAILABLE),
        ("serviceUnavailableException", "Later.", Outcome.UNAVAILABLE),
        ("validationException", "No.", Outcome.REJECTED),
        ("modelTimeoutException", "Too slow.", Outcome.TIMEOUT),
        ("novelException", "Something else.", Outcome.ERROR_BODY),
    ],
)
async def test_an_exception_inside_a_stream_is_named(name, message, outcome, ask) -> None:
    frames = [event_frame(*BEGIN), event_frame(*delta(0)), event_frame(name, {"message": message}, kind="exception")]

    with pytest.raises(ProviderError, match=message) as caught:
        await ask(streamed(*frames), stream=True)

    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    ("headers", "payload", "outcome", "sentence"),
    [
        (
            {":message-type": "error", ":error-code": "InternalServerException", ":error-message": "Broken."},
            b"",
            Outcome.UNAVAILABLE,
            "Broken.",
        ),
        ({":message-type": "error"}, b"", Outcome.ERROR_BODY, "without a message"),
        (
            {":message-type": "exception", ":exception-type": "throttlingException"},
            b"",
            Outcome.RATE_LIMITED,
            "without a message",
        ),
        ({":message-type": "exception", ":exception-type": "x"}, b"\xff plain", Outcome.ERROR_BODY, "plain"),
        ({":message-type": "exception", ":exception-type": "x"}, b'["listed"]', Outcome.ERROR_BODY, "listed"),
    ],
)
async def test_a_failure_of_any_shape_inside_a_stream_is_told(headers, payload, outcome, sentence, ask) -> None:
    with pytest.raises(ProviderError, match=sentence) as caught:
        await ask(streamed(event_frame(*BEGIN), raw_frame(headers, payload)), stream=True)

    assert caught.value.outcome is outcome


async def test_a_stream_of_awss_cannot_be_read_without_botocore(ask, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.eventstream", None)

    with pytest.raises(ProviderError, match="botocore, which reads those, is not installed") as caught:
        await ask(streamed(*whole()), stream=True)

    assert caught.value.outcome is Outcome.MALFORMED


async def test_a_stream_where_none_was_asked_for_is_read_all_the_same(ask) -> None:
    assert (await ask(streamed(*whole()))).text == Said().text
