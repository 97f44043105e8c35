"""The way to Slack: one call of its Web API or one post to a webhook, and in words why Slack did not take it.

No sentence here holds the webhook's address or a token: the address alone lets anybody post.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.deadline import Deadline, TooLate
from driftwatch.alert.receivers.failing import NO_ADDRESS, NOT_IN_TIME, fail, fail_unreached
from driftwatch.alert.receivers.posting import wait_of
from driftwatch.clock import WallClock
from driftwatch.domain import Json

if TYPE_CHECKING:
    from driftwatch.alert.receivers.slack_client import Web

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
_FALLBACK_ADVICE = "look the answer up in Slack's documentation and correct the receiver"

_OK, _MULTIPLE, _MOVED, _PERMANENT_REDIRECT = 200, 300, 301, 308
_BAD_REQUEST, _REQUEST_TIMEOUT, _TOO_MANY, _SERVER_ERROR = 400, 408, 429, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Slack's Web API answered."""

    status: int
    data: Mapping[str, Json] = field(default_factory=dict)
    """The JSON object; empty when the body was none."""
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    """The error's code, or the body where it is no JSON."""

    @property
    def is_ok(self) -> bool:
        """Whether Slack did what was asked."""
        return self.status == _OK and self.data.get("ok") is True


class Wire:
    """One receiver's way to Slack.

    slack_sdk's own retry handlers are off: the outbox is the one retry policy.

    Args:
        connection: of the receiver.
        deadline: after which nothing is sent any more; None where nobody waits.
    """

    def __init__(self, connection: ReceiverConnection, deadline: Deadline | None = None) -> None:
        self._connection, self._deadline = connection, deadline

    def call(self, token: str, method: str, arguments: Mapping[str, Json]) -> Answer:
        """Call a method of the Web API, e.g. ``chat.postMessage``.

        Raises:
            DeliveryError: Slack could not be reached, or answered with nothing that can be read, or it is too late.
        """
        from slack_sdk.errors import SlackApiError, SlackRequestError  # noqa: PLC0415 - loaded when first needed

        client = self.client(token)
        try:
            said = client.api_call(method, json=dict(arguments))
        except SlackApiError as error:
            answered = error.response
            data = answered.data if isinstance(answered.data, Mapping) else {}
            text = str(data.get("error") or "") if data else str(answered.data or "")
            return Answer(status=answered.status_code, data=data, headers=dict(answered.headers), text=text)
        except SlackRequestError:
            self.fail(NO_ADDRESS, retryable=False)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._fail_unreached(error)
        data = said.data if isinstance(said.data, Mapping) else {}
        return Answer(status=said.status_code, data=data, headers=dict(said.headers))

    def check(self, answer: Answer) -> Mapping[str, Json]:
        """The answer's data.

        Raises:
            DeliveryError: Slack refused.
        """
        if not answer.is_ok:
            self._fail_answered(answer.status, answer.text, answer.headers)
        return answer.data

    def post_to_webhook(self, url: str, text: str, blocks: Sequence[Mapping[str, Json]]) -> None:
        """Post one message through an incoming webhook.

        Raises:
            DeliveryError: Slack did not take it, or it is too late.
        """
        from slack_sdk.errors import SlackRequestError  # noqa: PLC0415 - loaded when first needed

        from driftwatch.alert.receivers.slack_client import Hook  # noqa: PLC0415 - likewise

        try:
            answer = Hook(url, limit_s=self._limit_s).send(
                text=text,
                blocks=[dict(block) for block in blocks],
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackRequestError:
            self.fail(NO_ADDRESS, retryable=False)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._fail_unreached(error)
        body = answer.body or ""
        if answer.status_code != _OK or not _is_acceptance(body):
            self._fail_answered(answer.status_code, body, answer.headers)

    def client(self, token: str | None = None) -> Web:
        """slack_sdk's client, silent and without retries of its own."""
        from driftwatch.alert.receivers.slack_client import Web  # noqa: PLC0415 - loaded when first needed

        return Web(token, base_url=self._connection.options.get("base_url"), limit_s=self._limit_s)

    def _limit_s(self) -> float:
        """Seconds that the next call may be silent."""
        limit_s = self._connection.timeout_s
        try:
            return self._deadline.within(limit_s) if self._deadline else limit_s
        except TooLate:
            self.fail(NOT_IN_TIME, retryable=True)

    def fail(self, what: str, *, retryable: bool, retry_after_s: float | None = None) -> NoReturn:
        """Raise the DeliveryError that says so of this receiver."""
        fail(self._connection, "Slack", what, retryable=retryable, retry_after_s=retry_after_s)

    def _fail_answered(self, status: int, body: str, headers: Mapping[str, str]) -> NoReturn:
        """Slack, or something in front of it, answered with anything but its thanks."""
        code = body.strip() if re.fullmatch(r"[a-z][a-z0-9_]{1,60}", body.strip()) else ""
        said = f"status {status}" + (f", {code}" if code else "")
        if status == _TOO_MANY or code in {"rate_limited", "ratelimited"}:
            self.fail(
                f"is asked too often ({said}); trying again later",
                retryable=True,
                retry_after_s=wait_of(headers, at=WallClock().now()),
            )
        if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT or code in _PASSING:
            self.fail(
                f"has trouble on its side ({said}); trying again later",
                retryable=True,
                retry_after_s=wait_of(headers, at=WallClock().now()),
            )
        if _MULTIPLE <= status < _BAD_REQUEST:
            is_final = status in {_MOVED, _PERMANENT_REDIRECT}
            rest = "store the address it moved to" if is_final else "a log-in does so; trying again later"
            self.fail(
                f"answered with a redirect (status {status}), which is not followed: {rest}", retryable=not is_final
            )
        if status == _OK and not code and "<" in body:
            self.fail("answered with a web page, as a proxy or login page does; trying again later", retryable=True)
        if status == _OK and not code:
            # Not repeated: something took the message, and would take it again every hour.
            self.fail("answered, but not as Slack does: check that the address is one of Slack's", retryable=False)
        self.fail(f"refused the message ({said}): {_ADVICE.get(code, _advice_for(status))}", retryable=False)

    def _fail_unreached(self, error: Exception) -> NoReturn:
        """No answer, or none that could be read. The error's text is dropped: it may hold the address."""
        if isinstance(error, (ValueError, http.client.InvalidURL)) and not isinstance(error, UnicodeError):
            self.fail(NO_ADDRESS, retryable=False)
        fail_unreached(self._connection, "Slack", error)


def _is_acceptance(body: str) -> bool:
    """``ok`` from an incoming webhook; a JSON object with ``ok`` from a workflow's or a look-alike's."""
    if body.strip().lower() == "ok":
        return True
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and (said.get("ok") is True or said.get("success") is True)


def _advice_for(status: int) -> str:
    return {_BAD_REQUEST: _OTHER_FORM, 401: _NEW_TOKEN, 403: _ASK_ADMIN, 404: _NEW_WEBHOOK, 410: _NEW_WEBHOOK}.get(
        status,
        _FALLBACK_ADVICE,
    )
