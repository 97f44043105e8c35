"""Access tokens of this machine's Google identity, fetched when there is none and again when it expires.

Source: "How Application Default Credentials works",
https://cloud.google.com/docs/authentication/application-default-credentials, 2026-11: the file that
GOOGLE_APPLICATION_CREDENTIALS names, then gcloud's login, then the metadata server of the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from driftwatch.domain import Outcome
from driftwatch.errors import ConfigError, ProviderConnection, ProviderError, ProviderRejected
from driftwatch.providers.connection import Connection
from driftwatch.providers.failures import quote
from driftwatch.providers.masking import mask
from driftwatch.providers.own_thread import OwnThread

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.auth.exceptions import GoogleAuthError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
INSTALL = "install it with: pip install 'driftwatch[vertex]'"
LOG_IN = (
    "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service "
    "account, or configure api_key_env with an access token"
)


class Tokens:
    """The token of one identity. Belongs to one event loop.

    google-auth blocks, so that it works in a thread of its own. Its requests go through the connection's proxy and
    trust its certificates.

    Args:
        connection: for ``timeout_s``, ``ca_file`` and the proxy.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._credentials: Credentials | None = None
        self._lock = asyncio.Lock()
        self._thread = OwnThread("google-credentials")

    async def headers(self) -> Mapping[str, str]:
        """``Authorization``, and the project that is billed where the credentials name one.

        Raises:
            ProviderError: there are no credentials (AUTH), they are refused (AUTH), or nobody answers (CONNECTION).
        """
        async with self._lock:  # of many requests at once only the first fetches
            if self._credentials is None or not self._credentials.valid:
                self._credentials = await self._thread.run(self._fetched, self._credentials)
            credentials = self._credentials
        billed = {"x-goog-user-project": credentials.quota_project_id} if credentials.quota_project_id else {}
        return {"Authorization": f"Bearer {credentials.token}", **billed}

    def _fetched(self, known: Credentials | None) -> Credentials:
        import google.auth  # noqa: PLC0415 - an extra, and slow to import
        from google.auth import exceptions  # noqa: PLC0415 - see above
        from google.auth.transport.requests import Request  # noqa: PLC0415 - see above

        request = Request()
        request.session.verify = str(self._connection.ca_file) if self._connection.ca_file else True
        proxy = self._connection.read_proxy()
        # The metadata server speaks http and is never behind a proxy.
        request.session.proxies = {"https": proxy} if proxy else {}
        try:
            credentials = known or google.auth.default(scopes=[SCOPE], request=request)[0]
            credentials.refresh(partial(request, timeout=self._connection.timeout_s))  # type: ignore[no-untyped-call]
        except exceptions.GoogleAuthError as error:
            raise _named(error) from error
        finally:
            request.session.close()
        return credentials


def require_library() -> None:
    """Fail early, with a sentence that helps.

    Raises:
        ConfigError: google-auth is not installed.
    """
    try:
        import_module("google.auth.transport.requests")
    except ImportError as error:
        raise ConfigError("the provider vertex needs google-auth", key="provider", instead=INSTALL) from error


def _named(error: GoogleAuthError) -> ProviderError:
    from google.auth import exceptions  # noqa: PLC0415 - an extra, and slow to import

    why = quote(str(error), mask)
    if isinstance(error, exceptions.DefaultCredentialsError):
        return ProviderRejected(f"no usable Google credentials; {LOG_IN}: {why}", outcome=Outcome.AUTH)
    if isinstance(error, exceptions.TransportError) or error.retryable:
        return ProviderConnection(f"no access token from Google: {why}", outcome=Outcome.CONNECTION)
    return ProviderRejected(f"Google refuses the credentials; {LOG_IN}: {why}", outcome=Outcome.AUTH)
