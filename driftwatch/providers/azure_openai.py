"""Azure OpenAI's chat completions, on the v1 API or on a deployment's own path.

Source: Microsoft, "Azure OpenAI in Microsoft Foundry Models v1 REST API reference",
https://learn.microsoft.com/azure/ai-foundry/openai/latest, "API version lifecycle",
https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle, "Azure OpenAI REST API reference",
https://learn.microsoft.com/azure/ai-services/openai/reference, "Content streaming",
https://learn.microsoft.com/azure/foundry/openai/concepts/content-streaming, 2026-11:

* v1: POST ``https://RESOURCE.openai.azure.com/openai/v1/chat/completions``, the body's ``model`` names the deployment.
* With ``options.api_version``: POST ``{base_url}/openai/deployments/{model}/chat/completions?api-version=…``.
* ``api-key: KEY``, or ``Authorization: Bearer`` with a token of Microsoft Entra ID for the scope below.
* A prompt that the filter blocks is status 400 with code ``content_filter`` and inner code
  ``ResponsibleAIPolicyViolation``. A stream begins with a chunk of ``prompt_filter_results`` and no choices; under the
  asynchronous filter, chunks of annotations without content come in between, and a ``content_filter`` finish may
  follow a ``stop``: the last word counts.
* A deployment that is gone is 404 ``DeploymentNotFound``; one whose model is retired, 410 ``ModelDeprecated``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote as quoted_for_path

import httpx

from driftwatch.domain import Outcome, Target
from driftwatch.errors import ConfigError, ProviderConnection, ProviderRejected
from driftwatch.providers.address import joined
from driftwatch.providers.chat import Chat
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import bearer
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import quote
from driftwatch.providers.masking import mask
from driftwatch.providers.openai import ERROR_NAMES, NAMES
from driftwatch.providers.own_thread import OwnThread

SCOPE = "https://cognitiveservices.azure.com/.default"
"""What a token must be issued for. Source: the v1 reference above."""
FIRST_WITH_COMPLETION_TOKENS = "2024-09-01"
"""Versions of the API before this day know only ``max_tokens``."""
AZURE_ERROR_NAMES: Mapping[str, Outcome] = {
    **ERROR_NAMES,
    "DeploymentNotFound": Outcome.MODEL_GONE,
    "ModelDeprecated": Outcome.MODEL_GONE,
    "ResponsibleAIPolicyViolation": Outcome.FILTERED,
}

_NO_ANSWER = re.compile(
    r"failed to (?:resolve|establish a new connection)|connection (?:refused|reset|aborted)|timed out|max retries",
    re.IGNORECASE,
)
"""How azure-core's transport words its failures."""


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests.

    Raises:
        ConfigError: ``base_url`` or an option is missing or unusable, or the extra ``azure`` is not installed.
    """
    return Endpoint(connection, AzureChat(connection), transport=transport)


class AzureChat(Chat):
    """Chat completions as Azure serves them; ``base_url`` and ``options`` are those of the module's docstring.

    Raises:
        ConfigError: as ``open_provider``.
    """

    def __init__(self, connection: Connection) -> None:
        version = connection.options.get("api_version")
        names = dict(NAMES)
        if version is not None and str(version) < FIRST_WITH_COMPLETION_TOKENS:
            names["max_tokens"] = "max_tokens"
        super().__init__(connection, names=names, error_names=AZURE_ERROR_NAMES)
        self._base_url, self._version = connection.base_url, None if version is None else str(version)
        path = httpx.URL(self._url).path.removesuffix("/chat/completions")
        if self._version is None and path in {"", "/openai"}:
            raise ConfigError(
                "base_url names a resource without its API",
                key="base_url",
                instead="write base_url: https://RESOURCE.openai.azure.com/openai/v1, or give options.api_version",
            )
        # On the v1 API a version is a query and nothing more; a gateway may have put the resource under its own path.
        self._is_v1 = self._version is None or path.endswith("/v1")
        self._deployments = "/deployments/" if path.endswith("/openai") else "/openai/deployments/"
        self._read_token = _token_reader(connection)
        self._thread = OwnThread("entra-credentials")

    def url(self, target: Target) -> str:
        """The v1 API's one address, or the deployment's own."""
        if self._version is None:
            return self._url
        if self._is_v1:
            address = self._url
        else:
            name = quoted_for_path(target.model, safe="")
            address = joined(self._base_url, f"{self._deployments}{name}/chat/completions")
        return str(httpx.URL(address).copy_set_param("api-version", self._version))

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """``api-key``, or a token of this machine's identity, fetched in a thread and kept by the library.

        Raises:
            ProviderError: AUTH when no token was issued, CONNECTION when nobody answered.
        """
        del url, body
        if self._read_token is None:
            return {"api-key": key} if key else {}
        return bearer(await self._thread.run(self._read_token))


def _token_reader(connection: Connection) -> Callable[[], str] | None:
    auth = connection.options.get("auth", "api_key")
    if auth == "api_key":
        return None
    if auth != "entra":
        raise ConfigError(f"{auth!r} is no way to sign in", key="options.auth", instead="write api_key or entra")
    try:
        from azure.core.exceptions import AzureError, ClientAuthenticationError  # noqa: PLC0415 - of the extra
        from azure.identity import DefaultAzureCredential, get_bearer_token_provider  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "azure-identity is not installed", key="options.auth", instead="run: pip install 'driftwatch[azure]'"
        ) from error
    read = get_bearer_token_provider(DefaultAzureCredential(), SCOPE)

    def read_token() -> str:
        try:
            return read()
        except AzureError as error:
            why = quote(str(error), mask)
            if isinstance(error, ClientAuthenticationError) and not _broke_off(str(error)):
                raise ProviderRejected(f"Microsoft Entra ID issued no token: {why}", outcome=Outcome.AUTH) from error
            sentence = f"Microsoft Entra ID could not be asked for a token: {why}"
            raise ProviderConnection(sentence, outcome=Outcome.CONNECTION) from error

    return read_token


def _broke_off(sentence: str) -> bool:
    # The chain of credentials reports every failure as a refusal, and keeps of the cause its words alone. It ends with
    # the first credential that was tried in earnest; those before it are not set up here, which is no fault.
    return _NO_ANSWER.search(sentence.rpartition("\n\t")[2]) is not None
