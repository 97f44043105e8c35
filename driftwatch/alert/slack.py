"""Tells Slack, through an incoming webhook or as a bot, and says in words why Slack did not take a message.

No sentence here holds the webhook's address or the token: the address alone lets anybody post.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import re
import socket
import ssl
import urllib.error
from collections.abc import Mapping
from typing import NoReturn

from driftwatch.alert.message import Message, compose
from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.slack_blocks import blocks, notification_text
from driftwatch.domain import Announcement
from driftwatch.errors import DeliveryError

# slack_sdk writes whole requests to its logger, the webhook's address included. Errors reach people as
# DeliveryError instead, so this one stays silent whatever the program's log level is.
_WIRE_LOG = logging.getLogger("driftwatch.alert.slack.wire")
_WIRE_LOG.setLevel(logging.CRITICAL + 1)

_PASSING = {
    "fatal_error",
    "internal_error",
    "rate_limited",
    "ratelimited",
    "request_timeout",
    "rollup_error",
    "service_unavailable",
    "team_added_to_org",  # the workspace is being moved; Slack asks to come back
}
"""Answers of Slack that another attempt can turn. Source: docs.slack.dev/reference/methods/chat.postMessage, 2025,
and api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks."""

_NEW_WEBHOOK = "create a new incoming webhook in Slack and store its address where the receiver reads it"
_NEW_TOKEN = "check the bot token where the receiver reads it"  # noqa: S105 - advice, no token
_OTHER_CHANNEL = "name an existing channel and invite the app to it with /invite"
_OTHER_FORM = "driftwatch built a message that Slack refuses, please report this as a bug"
_ASK_ADMIN = "a workspace rule forbids it: ask a workspace admin or choose another channel"
_ADVICE = {
    "account_inactive": _NEW_TOKEN,
    "action_prohibited": _ASK_ADMIN,
    "channel_is_archived": "the channel is archived: choose another one",
    "channel_not_found": _OTHER_CHANNEL,
    "invalid_auth": _NEW_TOKEN,
    "invalid_blocks": _OTHER_FORM,
    "invalid_payload": _OTHER_FORM,
    "invalid_token": _NEW_WEBHOOK,
    "is_archived": "the channel is archived: choose another one",
    "missing_scope": "give the app the scope chat:write and install it again",
    "msg_blocks_too_long": _OTHER_FORM,
    "no_active_hooks": _NEW_WEBHOOK,
    "no_service": _NEW_WEBHOOK,
    "no_team": _NEW_WEBHOOK,
    "not_authed": _NEW_TOKEN,
    "not_in_channel": _OTHER_CHANNEL,
    "posting_to_general_channel_denied": _ASK_ADMIN,
    "restricted_action": _ASK_ADMIN,
    "token_expired": _NEW_TOKEN,
    "token_revoked": _NEW_TOKEN,
}
_NO_ADDRESS = "has an address that is no http(s) address: check what is stored where it is read"
_FALLBACK_ADVICE = "look the answer up in Slack's documentation and correct the receiver"

_OK, _BAD_REQUEST, _REQUEST_TIMEOUT, _TOO_MANY, _SERVER_ERROR = 200, 400, 408, 429, 500


class SlackNotifier:
    """Posts each transition as one message: as a bot when a token is there, otherwise through the webhook.

    slack_sdk's own retry handlers are off: the outbox is the one retry policy.
    """

    def __init__(self, connection: ReceiverConnection) -> None:
        self._connection = connection

    async def send(self, announcement: Announcement) -> None:
        """Post it.

        Raises:
            DeliveryError: retryable for rate limits, 5xx, time-outs and an unreachable Slack; otherwise permanent.
        """
        message = compose(announcement)
        token, url = self._connection.read_bot_token(), self._connection.read_webhook_url()
        if token:
            post = asyncio.to_thread(self._post_as_bot, token, message, announcement)
        elif url:
            post = asyncio.to_thread(self._post_to_webhook, url, message)
        else:
            # Retryable: whoever mends the environment wants the pages that waited.
            self._fail("has neither a webhook address nor a bot token: set the variable or file it names", True)
        try:
            # The client's own limit is per read; a server that sends a byte now and then would hold the outbox.
            async with asyncio.timeout(3 * self._connection.timeout_s):
                await post
        except TimeoutError:
            self._fail("did not finish answering in time", True)

    def _post_to_webhook(self, url: str, message: Message) -> None:
        from slack_sdk.errors import SlackRequestError  # noqa: PLC0415 - loaded when first needed
        from slack_sdk.webhook import WebhookClient  # noqa: PLC0415

        client = WebhookClient(
            url.strip(),
            timeout=self._connection.timeout_s,  # type: ignore[arg-type]  # urllib takes fractions
            logger=_WIRE_LOG,
            retry_handlers=[],
        )
        try:
            answer = client.send(
                text=notification_text(message),
                blocks=blocks(message),
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackRequestError:
            self._fail(_NO_ADDRESS, False)
        except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
            self._fail_unreached(error)
        body = answer.body or ""
        if answer.status_code == _OK and _is_acceptance(body):
            return
        self._fail_answered(answer.status_code, body, answer.headers)

    def _post_as_bot(self, token: str, message: Message, announcement: Announcement) -> None:
        from slack_sdk import WebClient  # noqa: PLC0415 - loaded when first needed
        from slack_sdk.errors import SlackApiError, SlackRequestError  # noqa: PLC0415

        channel = self._connection.channel
        if not channel:
            self._fail("has a bot token but no channel: add 'channel' to it in the config", False)
        client = WebClient(
            token,
            base_url=self._connection.base_url or WebClient.BASE_URL,
            timeout=self._connection.timeout_s,  # type: ignore[arg-type]  # urllib takes fractions
            logger=_WIRE_LOG,
            retry_handlers=[],
        )
        try:
            client.chat_postMessage(
                channel=channel,
                text=notification_text(message),
                blocks=blocks(message),
                # Lets an operator's tooling join the messages of one incident and drop a repeated delivery.
                metadata={
                    "event_type": "driftwatch_incident",
                    "event_payload": {"incident": announcement.incident.id, "dedup_key": announcement.dedup_key},
                },
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackApiError as error:
            answer = error.response
            said = answer.data.get("error") if isinstance(answer.data, Mapping) else None
            self._fail_answered(answer.status_code, str(said or ""), answer.headers)
        except SlackRequestError:
            self._fail(_NO_ADDRESS, False)
        except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
            self._fail_unreached(error)

    def _fail_answered(self, status: int, body: str, headers: Mapping[str, str]) -> NoReturn:
        """Slack, or something in front of it, answered with anything but its thanks."""
        code = body.strip() if re.fullmatch(r"[a-z][a-z0-9_]{1,60}", body.strip()) else ""
        said = f"status {status}" + (f", {code}" if code else "")
        if status == _TOO_MANY or code in {"rate_limited", "ratelimited"}:
            self._fail(f"is asked too often ({said}); trying again later", True, _retry_after_s(headers))
        if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT or code in _PASSING:
            self._fail(f"has trouble on its side ({said}); trying again later", True, _retry_after_s(headers))
        if status == _OK and not code and "<" in body:
            self._fail("answered with a web page, as a proxy or login page does; trying again later", True)
        if status == _OK and not code:
            # Not repeated: something took the message, and would take it again every hour.
            self._fail("answered, but not as Slack does: check that the address is one of Slack's", False)
        self._fail(f"refused the message ({said}): {_ADVICE.get(code, _advice_for(status))}", False)

    def _fail_unreached(self, error: Exception) -> NoReturn:
        """No answer, or none that could be read. The error's text is dropped: it may hold the address."""
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        is_address = isinstance(error, (ValueError, http.client.InvalidURL)) and not isinstance(error, UnicodeError)
        if is_address:
            self._fail(_NO_ADDRESS, False)
        if isinstance(reason, TimeoutError):
            self._fail(f"did not answer within {self._connection.timeout_s:g} s; trying again later", True)
        if isinstance(reason, ConnectionRefusedError):
            self._fail("refused the connection; trying again later", True)
        if isinstance(reason, socket.gaierror):
            self._fail("has a host name that cannot be resolved; trying again later", True)
        if isinstance(reason, ssl.SSLError):
            self._fail("cannot be reached over TLS (is its certificate trusted here?); trying again later", True)
        self._fail(f"could not be reached ({type(reason).__name__}); trying again later", True)

    def _fail(self, what: str, retryable: bool, retry_after_s: float | None = None) -> NoReturn:
        name = self._connection.name
        # "from None": the library's error, and with it a traceback, would show the address.
        raise DeliveryError(
            f"receiver '{name}' (Slack) {what}",
            receiver=name,
            retryable=retryable,
            retry_after_s=retry_after_s,
        ) from None


def _is_acceptance(body: str) -> bool:
    """``ok`` from an incoming webhook; a JSON object with ``ok`` from a workflow's or a look-alike's."""
    if body.strip().lower() == "ok":
        return True
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and (said.get("ok") is True or said.get("success") is True)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``Retry-After`` in seconds; None when absent or a date. Source: docs.slack.dev/apis/web-api/rate-limits, 2025."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(said) if re.fullmatch(r"\d{1,9}", said.strip()) else None


def _advice_for(status: int) -> str:
    return {_BAD_REQUEST: _OTHER_FORM, 401: _NEW_TOKEN, 403: _ASK_ADMIN, 404: _NEW_WEBHOOK, 410: _NEW_WEBHOOK}.get(
        status,
        _FALLBACK_ADVICE,
    )
