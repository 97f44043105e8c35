"""slack_sdk's clients, which follow no redirect and read an answer no further, and no longer, than is of use.

By themselves both send a bot's token on to wherever an answer of 302 names, and read as much as comes for as long as it
comes. Each overrides the one method of slack_sdk 3 that opens the connection; the contract tests of redirects and huge
answers fail if a later release calls another.

Loaded when first needed: slack_sdk takes a tenth of a second.
"""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackRequestError
from slack_sdk.webhook import WebhookClient, WebhookResponse

MOST_BYTES = 1_048_576
"""Read of an answer at most: Slack repeats a message in its answer, six bytes for each unit of an escaped text."""
_PIECE_BYTES = 65_536

# slack_sdk writes whole requests to its logger, the webhook's address included. Errors reach people as
# DeliveryError instead, so this one stays silent whatever the program's log level is.
WIRE_LOG = logging.getLogger("driftwatch.alert.receivers.slack.wire")
WIRE_LOG.setLevel(logging.CRITICAL + 1)


class Web(WebClient):
    """The Web API; slack_sdk's own retry handlers are off: the outbox is the one retry policy.

    Args:
        token: of the bot; None where each call brings its own.
        base_url: where the API begins; None for Slack's.
        limit_s: asked before each read: the seconds it may take; raises when nothing more may be begun.
    """

    def __init__(self, token: str | None, *, base_url: str | None, limit_s: Callable[[], float]) -> None:
        super().__init__(token, base_url=base_url or WebClient.BASE_URL, logger=WIRE_LOG, retry_handlers=[])
        self._limit_s = limit_s

    def _perform_urllib_http_request_internal(self, url: str, req: urllib.request.Request) -> dict[str, Any]:
        status, headers, body = _exchange(url, req, self._limit_s)
        return {"status": status, "headers": dict(headers.items()), "body": body}


class Hook(WebhookClient):
    """An incoming webhook, likewise."""

    def __init__(self, url: str, *, limit_s: Callable[[], float]) -> None:
        super().__init__(url, logger=WIRE_LOG, retry_handlers=[])
        self._limit_s = limit_s

    def _perform_http_request_internal(self, url: str, req: urllib.request.Request) -> WebhookResponse:
        status, headers, body = _exchange(url, req, self._limit_s)
        return WebhookResponse(url=url, status_code=status, body=body, headers=dict(headers.items()))


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: the redirect itself is the answer."""


def _exchange(
    url: str, request: urllib.request.Request, limit_s: Callable[[], float]
) -> tuple[int, Message | Mapping[str, str], str]:
    """One request, and its answer whatever the status."""
    if not url.lower().startswith(("http://", "https://")):  # urllib opens files, too
        sentence = "not an http(s) address"
        raise SlackRequestError(sentence)
    answer: Any
    try:
        answer = urllib.request.build_opener(_StayHere).open(request, timeout=limit_s())
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, _text(answer, limit_s)


def _text(answer: http.client.HTTPResponse, limit_s: Callable[[], float]) -> str:
    body = b""
    while len(body) < MOST_BYTES and (piece := answer.read1(_PIECE_BYTES)):
        body += piece
        limit_s()
    # Slack says UTF-8; whatever is none is no answer of Slack's, and shown to nobody.
    return body.decode("utf-8", "replace")
