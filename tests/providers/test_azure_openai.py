"""Azure OpenAI: where a deployment is, who asks for it, and what a filter says of it."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace

import azure.identity
import httpx
import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError

from benchmarks.vendors.wire import Said, Trouble, vendor
from driftwatch.domain import Finish, Outcome
from driftwatch.errors import ConfigError, ProviderConnection, ProviderError
from driftwatch.providers import Connection
from driftwatch.providers.azure_openai import open_provider

pytestmark = pytest.mark.anyio

RESOURCE = "https://res.openai.azure.com"
V1 = f"{RESOURCE}/openai/v1/"
KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "eyJ0eXAiOiJKV1QifQ.a-token.of-this-machine"  # noqa: S105 - no real one


class Asking:
    """One request to an Azure in memory; ``requests`` are those it was sent."""

    def __init__(self, target, canary, at) -> None:
        self.target, self.canary, self.at = target, canary, at
        self.requests: list[httpx.Request] = []
        self.answer = vendor("azure_openai").says(Said())

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        content = b"".join(self.answer.pieces)
        return httpx.Response(self.answer.status, headers=self.answer.headers, content=content)

    async def __call__(self, base_url=V1, *, times=1, model="my gpt/4", parameters=None, timeout_s=9.0, **options):
        connection = Connection(base_url=base_url, read_key=lambda: KEY, options=options, timeout_s=timeout_s)
        provider = open_provider(connection, transport=httpx.MockTransport(self.handle))
        target = replace(self.target, model=model, parameters=parameters or {})
        try:
            return [await provider.complete(target, self.canary, repeat=i, at=self.at) for i in range(times)]
        finally:
            await provider.aclose()


@pytest.fixture
def asking(target, canary, at) -> Asking:
    return Asking(target, canary, at)


@pytest.mark.parametrize(
    ("base_url", "options", "expected"),
    [
        (V1, {}, f"{V1}chat/completions"),
        (V1.rstrip("/"), {}, f"{V1}chat/completions"),
        (V1, {"api_version": "preview"}, f"{V1}chat/completions?api-version=preview"),
        (
            RESOURCE,
            {"api_version": "2024-10-21"},
            f"{RESOURCE}/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21",
        ),
        (
            f"{RESOURCE}/openai/",
            {"api_version": "2024-10-21"},
            f"{RESOURCE}/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21",
        ),
        ("https://gateway.example.org/llm", {}, "https://gateway.example.org/llm/chat/completions"),
    ],
)
async def test_a_deployment_is_found_by_the_body_or_by_the_path(base_url, options, expected, asking) -> None:
    await asking(base_url, **options)

    (request,) = asking.requests
    assert str(request.url) == expected
    assert json.loads(request.content)["model"] == "my gpt/4"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "max_completion_tokens"),
        ({"api_version": "2024-10-21"}, "max_completion_tokens"),
        ({"api_version": "2024-06-01"}, "max_tokens"),
    ],
)
async def test_versions_before_the_new_name_are_told_the_old_one(options, name, asking) -> None:
    await asking(RESOURCE if options else V1, parameters={"max_tokens": 9}, **options)

    sent = json.loads(asking.requests[0].content)
    assert {key: value for key, value in sent.items() if "tokens" in key} == {name: 9}


@pytest.mark.parametrize("base_url", [RESOURCE, f"{RESOURCE}/", f"{RESOURCE}/openai/"])
def test_a_resource_alone_is_no_api(base_url) -> None:
    with pytest.raises(ConfigError, match=r"base_url: .* write base_url: https://RESOURCE.*, or give options"):
        open_provider(Connection(base_url=base_url))


def test_an_unknown_way_to_sign_in_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"options.auth: 'aad' is no way to sign in; write api_key or entra"):
        open_provider(Connection(base_url=V1, options={"auth": "aad"}))


def test_an_extra_that_is_missing_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    with pytest.raises(ConfigError, match=r"azure-identity is not installed; run: pip install 'driftwatch\[azure\]'"):
        open_provider(Connection(base_url=V1, options={"auth": "entra"}))


# ---------------------------------------------------------------- Entra


class Credential:
    """Stands where DefaultAzureCredential would ask this machine, its environment and its network."""

    asked: list[tuple[str, ...]]
    threads: set[str]
    error: Exception | None = None
    answers: threading.Event | None = None

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        told = self.get_token_info(*scopes)
        return AccessToken(told.token, told.expires_on)

    def get_token_info(self, *scopes: str, **_: object) -> AccessTokenInfo:
        self.asked.append(scopes)
        self.threads.add(threading.current_thread().name)
        if self.answers is not None:
            self.answers.wait(10)
        if self.error is not None:
            raise self.error
        return AccessTokenInfo(TOKEN, 2**33)


@pytest.fixture
def credential(monkeypatch) -> type[Credential]:
    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", Credential)
    Credential.asked, Credential.threads, Credential.error, Credential.answers = [], set(), None, None
    return Credential


async def test_a_token_of_this_machine_is_asked_for_once_and_off_the_event_loop(credential, asking) -> None:
    await asking(auth="entra", times=3)

    assert [request.headers["authorization"] for request in asking.requests] == [f"Bearer {TOKEN}"] * 3
    assert "api-key" not in asking.requests[0].headers
    assert credential.asked == [("https://cognitiveservices.azure.com/.default",)]
    assert threading.main_thread().name not in credential.threads


async def test_no_token_is_an_auth_failure_without_secrets(credential, asking) -> None:
    credential.error = ClientAuthenticationError(f"no identity\nendpoint found, client_secret={KEY}")

    with pytest.raises(ProviderError, match="Microsoft Entra ID issued no token: no identity endpoint found") as caught:
        await asking(auth="entra")

    assert caught.value.outcome is Outcome.AUTH
    assert KEY not in str(caught.value)
    assert not asking.requests


CHAIN = "DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted credentials:"
HINT = "\nTo mitigate this issue, please refer to the troubleshooting guidelines"


@pytest.mark.parametrize(
    "error",
    [
        ServiceRequestError("Failed to resolve 'login.microsoftonline.com'"),
        ServiceResponseError("Read timed out."),
        # What the chain makes of the first of these, as seen in azure-identity 1.27.
        ClientAuthenticationError(
            f"{CHAIN}\n\tEnvironmentCredential: not configured"
            f"\n\tWorkloadIdentityCredential: Failed to resolve 'login.microsoftonline.com'{HINT}"
        ),
    ],
)
async def test_an_identity_out_of_reach_is_a_connection_failure_worth_another_attempt(
    error, credential, asking
) -> None:
    credential.error = error

    with pytest.raises(ProviderConnection, match="Microsoft Entra ID could not be asked for a token: ") as caught:
        await asking(auth="entra")

    assert (caught.value.outcome, caught.value.retryable) == (Outcome.CONNECTION, True)
    assert not asking.requests


async def test_a_chain_in_which_nothing_is_set_up_is_an_auth_failure(credential, asking) -> None:
    credential.error = ClientAuthenticationError(
        f"{CHAIN}\n\tManagedIdentityCredential: no response from the IMDS endpoint, timed out"
        f"\n\tAzureCliCredential: Azure CLI not found on path{HINT}"
    )

    with pytest.raises(ProviderError, match="issued no token") as caught:
        await asking(auth="entra")

    assert caught.value.outcome is Outcome.AUTH


async def test_an_identity_that_never_answers_is_a_connection_failure(credential, asking) -> None:
    credential.answers = threading.Event()

    with pytest.raises(ProviderConnection, match=r"no credentials were issued within 0\.1 s \(timeout\)"):
        await asking(auth="entra", timeout_s=0.1)

    credential.answers.set()
    assert not asking.requests


# ---------------------------------------------------------------- replies


async def test_a_region_is_kept_and_the_filter_s_notes_are_no_content(asking) -> None:
    (whole,) = await asking()
    asking.answer = vendor("azure_openai").streams(Said())
    (streamed,) = await asking()

    assert streamed.text == whole.text == Said().text
    assert streamed.headers["x-ms-region"] == whole.headers["x-ms-region"] == "Sweden Central"
    assert streamed.served_model == whole.served_model == Said().model


async def test_a_reply_that_the_asynchronous_filter_takes_back_is_filtered(asking) -> None:
    answer = vendor("azure_openai").streams(Said())
    verdict = {"choices": [{"index": 0, "finish_reason": "content_filter", "content_filter_results": {}}]}
    pieces = (*answer.pieces[:-1], f"data: {json.dumps(verdict)}\n\n".encode(), answer.pieces[-1])
    asking.answer = replace(answer, pieces=pieces)

    (got,) = await asking()

    assert (got.finish_reason, got.text) == (Finish.CONTENT_FILTER, Said().text)


async def test_a_blocked_prompt_is_filtered_and_no_rejection(asking) -> None:
    asking.answer = vendor("azure_openai").fails(Trouble.FILTERED, model="m")

    with pytest.raises(ProviderError) as caught:
        await asking()

    assert caught.value.outcome is Outcome.FILTERED


async def test_a_retired_model_is_gone_although_the_message_does_not_name_it(asking) -> None:
    error = {"code": "ModelDeprecated", "message": "The model associated with the deployment is no longer available."}
    asking.answer = replace(asking.answer, status=410, pieces=(json.dumps({"error": error}).encode(),))

    with pytest.raises(ProviderError) as caught:
        await asking()

    assert caught.value.outcome is Outcome.MODEL_GONE
