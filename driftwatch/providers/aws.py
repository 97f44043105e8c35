"""Who we are towards AWS: the region and credentials that AWS's own settings say, and signatures made with them.

Source: AWS, "Signature Version 4 for API requests", https://docs.aws.amazon.com/IAM/latest/UserGuide/, 2026-11; the
work is botocore's: environment, profiles, single sign-on, assumed roles, containers, instances, and their renewal.
"""

from __future__ import annotations

import re

from driftwatch.domain import Outcome
from driftwatch.errors import ConfigError, ProviderRejected
from driftwatch.providers.failures import quote
from driftwatch.providers.masking import mask
from driftwatch.providers.own_thread import OwnThread

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session
except ImportError as missing:
    raise ConfigError(
        "this provider needs botocore, which is not installed", instead="run pip install 'driftwatch[bedrock]'"
    ) from missing

PROOF = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")
"""The headers that a signature consists of; the last one comes with credentials that expire."""
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")


class Signer:
    """Signs requests to one service of one region.

    Args:
        service: its signing name.
        region: None for what AWS's own settings say.
        profile: None for what AWS's own settings say.

    Raises:
        ConfigError: there is no such profile, no region, or the settings cannot be read.
    """

    def __init__(self, *, service: str, region: str | None, profile: str | None) -> None:
        self._service = service
        self._session = Session(profile=profile)
        try:
            self._session.get_scoped_config()
            found = region or self._session.get_config_variable("region")
        except BotoCoreError as error:
            raise ConfigError(
                f"AWS's settings cannot be used: {quote(str(error), mask)}",
                key="options.profile",
                instead="name one of their profiles",
            ) from error
        if not isinstance(found, str) or not _REGION.fullmatch(found):
            problem = "this is no AWS region" if found else "no AWS region is set"
            raise ConfigError(problem, key="options.region", instead="write one, e.g. region: eu-central-1")
        self.region = found
        self._thread = OwnThread("aws-credentials")

    async def headers(self, url: str, body: bytes) -> dict[str, str]:
        """The headers that sign a POST of JSON. May ask the network for credentials, one request at a time.

        Raises:
            ProviderRejected: there are no credentials, or they could not be renewed.
        """
        return await self._thread.run(self._signed, url, body)

    def _signed(self, url: str, body: bytes) -> dict[str, str]:
        try:
            credentials = self._session.get_credentials()
            if credentials is None:
                raise ProviderRejected(
                    "no AWS credentials were found; set a key, or see `aws configure`", outcome=Outcome.AUTH
                )
            signed = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
            SigV4Auth(credentials.get_frozen_credentials(), self._service, self.region).add_auth(signed)
        except (BotoCoreError, ClientError) as error:  # the latter: AWS's own refusal, e.g. to assume a role
            # The program of a profile's credential_process may have written anything.
            why = quote(str(error), mask)
            raise ProviderRejected(f"no AWS credentials could be had: {why}", outcome=Outcome.AUTH) from error
        return {name: signed.headers[name] for name in PROOF if name in signed.headers}
