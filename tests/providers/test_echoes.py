"""What is secret of a request, and that nothing an endpoint sends back can carry it into the database."""

from __future__ import annotations

import json
from dataclasses import fields

import httpx
import pytest

from driftwatch.domain import ToolCall
from driftwatch.errors import ProviderError, ReplyUnreadable
from driftwatch.providers.body import parse
from driftwatch.providers.dialect import Reply
from driftwatch.providers.echoes import cleansed, secrets_of
from driftwatch.providers.masking import mask

pytestmark = pytest.mark.anyio

SECRET = "tok-abcdefghijklmnop-Zq"  # noqa: S105 - no real one


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Authorization", f"Bearer {SECRET}", (f"Bearer {SECRET}", SECRET)),
        ("X-Gateway-Token", f"Token {SECRET}", (f"Token {SECRET}", SECRET)),
        ("x-api-key", "abcd", ("abcd",)),
        ("X-Api-Key", "abc", ()),
        ("X-Tenant", "tenant-7", ("tenant-7",)),
        ("X-Tenant", "tenant7", ()),
        ("X-Feature", "true", ()),
        ("X-Stage", "production", ()),
        ("X-Stage", "a" * 21, ("a" * 21,)),
        ("anthropic-version", "2023-06-01", ()),
        ("X-Amz-Date", "20261123T120000Z", ()),
        ("HTTP-Referer", "https://shop.example.org", ()),
    ],
)
def test_what_proves_who_asks_is_secret_and_plain_words_and_versions_are_not(name, value, expected) -> None:
    assert secrets_of({name: value}) == expected


async def test_a_flag_and_a_version_leave_sentences_readable(ask) -> None:
    told = {"error": {"message": "stream must be true or false; anthropic-version 2023-06-01 is too old"}}
    headers = {"X-Feature": "true", "anthropic-version": "2023-06-01"}

    with pytest.raises(ProviderError, match="must be true or false; anthropic-version 2023-06-01 is too old"):
        await ask(httpx.Response(400, json=told), read_headers=lambda: headers)


async def test_an_echoed_key_reaches_no_field_of_a_completion(ask) -> None:
    call = {"id": SECRET, "function": {"name": SECRET, "arguments": json.dumps({"key": SECRET})}}
    top = [{"token": SECRET, "logprob": -2.0}]
    choice = {
        "message": {"content": f"Your key: {SECRET}", "tool_calls": [call]},
        "finish_reason": f"stopped {SECRET}",
        "stop_reason": SECRET,
        "logprobs": {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": top}]},
    }
    document = {"id": SECRET, "model": SECRET, "system_fingerprint": SECRET, "provider": SECRET, "choices": [choice]}
    answer = httpx.Response(200, json=document, headers={"x-request-id": f"r {SECRET}", "x-ratelimit-of": SECRET})

    got = await ask(answer, read_key=lambda: SECRET)

    assert SECRET not in repr(got)
    assert got.text == "Your key: ***"
    assert got.tool_calls == (ToolCall(name="***", arguments='{"key": "***"}', id="***"),)
    assert (got.request_id, got.served_model, got.logprobs[0]["top"]) == ("r ***", "***", [["***", -2.0]])


async def test_without_a_header_the_reply_s_own_id_is_cleansed(ask) -> None:
    document = {"id": SECRET, "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}

    assert (await ask(httpx.Response(200, json=document), read_key=lambda: SECRET)).request_id == "***"


@pytest.mark.parametrize("status", [200, 500])
async def test_the_request_id_of_a_failure_holds_no_key(status, ask) -> None:
    # The header is longer than what is kept of it: cut first, half a key would be left.
    answer = httpx.Response(status, content=b"oops", headers={"x-request-id": "r" * 190 + SECRET})

    with pytest.raises(ProviderError) as caught:
        await ask(answer, read_key=lambda: SECRET)

    assert caught.value.request_id == "r" * 190 + "***"


def test_logprobs_whose_tokens_spell_a_secret_are_dropped() -> None:
    tokens = [{"token": SECRET[i : i + 3], "logprob": -0.1, "top": []} for i in range(0, len(SECRET), 3)]

    assert cleansed(Reply(text="", finish_reason=None, logprobs=tokens), [SECRET]).logprobs is None
    assert cleansed(Reply(text="", finish_reason=None, logprobs=tokens[1:]), [SECRET]).logprobs == tokens[1:]


def test_every_text_of_a_reply_is_cleansed_and_nothing_else_changes() -> None:
    texts = {field.name: SECRET for field in fields(Reply) if "str" in str(field.type) and "Mapping" not in field.type}
    reply = Reply(**texts, input_tokens=3, announces={"x-end": SECRET})

    got = cleansed(reply, [SECRET, "short"])

    assert {getattr(got, name) for name in texts} == {"***"}
    assert {"text", "finish_detail", "fingerprint", "id"} <= set(texts)
    assert (got.input_tokens, got.announces, got.tool_calls) == (3, {"x-end": "***"}, ())


@pytest.mark.parametrize("n_before", range(0, 90, 7))
def test_a_body_that_is_no_json_is_masked_before_it_is_cut(n_before) -> None:
    def say(text: str) -> str:
        return mask(text, [SECRET])

    with pytest.raises(ReplyUnreadable) as caught:
        parse(b"x" * n_before + b" " + SECRET.encode() + b" bye", say)

    assert SECRET[:5] not in str(caught.value)
    assert len(str(caught.value)) < 130


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("access key id ASIA1234567890ABCDEF is invalid", "access key id *** is invalid"),
        ("ya29.a0AfH6SMBx-abc_def has expired", "*** has expired"),
        ('{"SecretAccessKey": "wJalrXUtnFEMI/K7M"}', '{"SecretAccessKey": "***"}'),
        (r"{\"SecretAccessKey\":\"wJalrXUtnFEMI/K7M\"}", r'{\"SecretAccessKey\":\"***"}'),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7M", "aws_secret_access_key = ***"),
        ('"SessionToken":"FwoGZXIvYXdz9"', '"SessionToken":"***"'),
        ("client_secret=hunter2x", "client_secret=***"),
    ],
)
def test_what_clouds_issue_is_masked(text, masked) -> None:
    assert mask(text) == masked
