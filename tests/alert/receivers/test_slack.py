"""The real slack_sdk clients against a server of this machine's own."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import urllib.error
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from driftwatch.alert.message import compose
from driftwatch.alert.receivers import NOTIFIERS, ReceiverConnection
from driftwatch.alert.receivers.slack_blocks import blocks, notification_text
from driftwatch.errors import ConfigError, DeliveryError

TOKEN = "xoxb-this-is-the-secret"  # noqa: S105 - made up, to be looked for in every error
SECRET_PATH = "/services/T0/B0/this-is-the-secret"  # noqa: S105 - likewise


def webhook(url: str) -> ReceiverConnection:
    return ReceiverConnection(name="oncall", secrets={"webhook_url": lambda: url}, timeout_s=0.3)


def bot(url: str, channel: str | None = "#alerts", **secrets: str) -> ReceiverConnection:
    options = {"base_url": f"{url}/api", **({"channel": channel} if channel else {})}
    held = {"bot_token": TOKEN} | secrets
    return ReceiverConnection(
        name="oncall",
        secrets={name: partial(str, value) for name, value in held.items()},
        options=options,
        timeout_s=0.3,
    )


def send(connection: ReceiverConnection, announcement: Any) -> Any:
    return asyncio.run(NOTIFIERS["slack"](connection).send(announcement))


def failure(connection: ReceiverConnection, announcement: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as failed:
        send(connection, announcement)
    error = failed.value
    shown = f"{error!s} {error!r} {error.__cause__!r}"
    assert "this-is-the-secret" not in shown
    assert error.__suppress_context__, "the library's error holds the address"
    assert (error.receiver, str(error).startswith("receiver 'oncall' (Slack) ")) == ("oncall", True)
    return error


# ---------------------------------------------------------------- taken


@pytest.mark.parametrize("body", ["ok", "OK\n", '{"ok":true}', '{"success":true}'])
def test_a_webhook_gets_the_blocks_and_a_text_for_the_lock_screen(announce, local_slack, body):
    local_slack.says(200, body)
    send(webhook(local_slack.url + SECRET_PATH + "\n"), announce())
    message = compose(announce())
    ((path, _, _),) = local_slack.requests
    assert path == SECRET_PATH
    assert local_slack.received == {
        "text": notification_text(message),
        "blocks": blocks(message),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def test_a_bot_posts_to_its_channel_and_marks_the_message(announce, local_slack):
    local_slack.says(200, '{"ok":true,"ts":"1.2"}')
    send(bot(local_slack.url), announce())
    ((path, headers, body),) = local_slack.requests
    assert (path, headers["Authorization"]) == ("/api/chat.postMessage", f"Bearer {TOKEN}")
    assert body["channel"] == "#alerts"
    assert body["metadata"] == {
        "event_type": "driftwatch_incident",
        "event_payload": {"incident": 12, "dedup_key": "30:oncall"},
    }
    assert body["blocks"] == blocks(compose(announce()))


def test_a_bot_is_preferred_to_a_webhook(announce, local_slack):
    local_slack.says(200, '{"ok":true}')
    send(bot(local_slack.url, webhook_url=local_slack.url + SECRET_PATH), announce())
    assert [path for path, _, _ in local_slack.requests] == ["/api/chat.postMessage"]


def test_a_hundred_kilobytes_of_reply_are_delivered(announce, local_slack):
    pair = {"canary_id": "a/1", "before": "א" * 100_000, "after": "😀\ud800" * 50_000}
    send(webhook(local_slack.url), announce(evidence={"pair": pair}))
    assert len(local_slack.requests) == 1


# ---------------------------------------------------------------- not taken


@pytest.mark.parametrize(
    ("status", "body", "retryable", "words"),
    [
        (429, "rate_limited", True, "is asked too often (status 429, rate_limited)"),
        (500, "rollup_error", True, "has trouble on its side (status 500, rollup_error)"),
        (503, "<html>this-is-the-secret", True, "has trouble on its side (status 503)"),
        (408, "", True, "has trouble on its side (status 408)"),
        (400, "invalid_payload", False, "refused the message (status 400, invalid_payload): driftwatch built"),
        (400, "this-is-the-secret is wrong", False, "refused the message (status 400): driftwatch built"),
        (403, "action_prohibited", False, "a workspace rule forbids it"),
        (403, "invalid_token", False, "create a new incoming webhook"),
        (404, "no_service", False, "create a new incoming webhook"),
        (404, "channel_not_found", False, "invite the app to it with /invite"),
        (410, "channel_is_archived", False, "the channel is archived: choose another one"),
        (418, "short_and_stout", False, "look the answer up in Slack's documentation"),
        (308, "", False, "answered with a redirect (status 308), which is not followed: store the address it moved to"),
        (302, "", True, "(status 302), which is not followed: a log-in does so; trying again later"),
        (200, "<html>log in", True, "answered with a web page"),
        (200, "", False, "answered, but not as Slack does"),
        (200, "[1]", False, "answered, but not as Slack does"),
        (200, '{"ok":false}', False, "answered, but not as Slack does"),
        (200, "no_service", False, "create a new incoming webhook"),
    ],
)
def test_a_webhooks_refusal_is_told_in_words(announce, local_slack, *, status, body, retryable, words):
    local_slack.says(status, body)
    error = failure(webhook(local_slack.url + SECRET_PATH), announce())
    assert error.retryable is retryable
    assert words in str(error)


@pytest.mark.parametrize(
    ("status", "body", "retryable", "words"),
    [
        (429, '{"ok":false,"error":"ratelimited"}', True, "is asked too often (status 429, ratelimited)"),
        (200, '{"ok":false,"error":"ratelimited"}', True, "is asked too often (status 200, ratelimited)"),
        (200, '{"ok":false,"error":"internal_error"}', True, "has trouble on its side (status 200, internal_error)"),
        (503, "<html>down", True, "has trouble on its side (status 503)"),
        (200, '{"ok":false,"error":"invalid_auth"}', False, "(status 200, invalid_auth): check the bot token"),
        (200, '{"ok":false,"error":"channel_not_found"}', False, "invite the app to it with /invite"),
        (200, '{"ok":false,"error":"not_in_channel"}', False, "invite the app to it with /invite"),
        (200, '{"ok":false,"error":"is_archived"}', False, "the channel is archived: choose another one"),
        (200, '{"ok":false,"error":"missing_scope"}', False, "give the app the scope chat:write"),
        (200, '{"ok":false,"error":"msg_blocks_too_long"}', False, "please report this as a bug"),
        (200, '{"ok":false}', False, "answered, but not as Slack does"),
        (200, "<html>log in", True, "answered with a web page"),
        (401, "who are you", False, "check the bot token"),
    ],
)
def test_a_bots_refusal_is_told_in_words(announce, local_slack, *, status, body, retryable, words):
    local_slack.says(status, body)
    error = failure(bot(local_slack.url), announce())
    assert error.retryable is retryable
    assert words in str(error)


def test_an_answer_without_a_body_or_of_bytes_is_no_acceptance(announce, local_slack):
    local_slack.says(200, "", headers={"Content-Type": "application/gzip"})
    assert not failure(bot(local_slack.url), announce()).retryable


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7.0),
        (" 30 ", 30.0),
        ("999999999", 604_800.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", None),
        ("-1", None),
        ("1e999", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("connect", [webhook, bot])
def test_the_wait_that_slack_asks_for_is_passed_on(announce, local_slack, connect, header, expected):
    local_slack.says(429, '{"ok":false,"error":"ratelimited"}', headers={"Retry-After": header})
    assert failure(connect(local_slack.url), announce()).retry_after_s == expected


@pytest.mark.parametrize("connect", [webhook, bot])
def test_one_call_is_one_attempt(announce, local_slack, connect):
    for status in (429, 503):
        local_slack.requests.clear()
        local_slack.says(status, headers={"Retry-After": "0"})
        failure(connect(local_slack.url), announce())
        assert len(local_slack.requests) == 1


@pytest.mark.parametrize("connect", [webhook, bot])
def test_a_silent_server_is_a_timeout(announce, local_slack, connect):
    local_slack.says(hangs=True)
    error = failure(connect(local_slack.url), announce())
    assert (
        str(error),
        error.retryable,
    ) == ("receiver 'oncall' (Slack) did not answer within 0.3 s; trying again later", True)


def test_a_server_that_drips_bytes_does_not_hold_the_outbox(announce, local_slack):
    local_slack.says(200, "o " * 400, drips=True)
    connection = webhook(local_slack.url)
    notifier = NOTIFIERS["slack"](connection)

    async def attempt() -> None:
        try:
            await notifier.send(announce())
        finally:
            local_slack.closing.set()  # lets the abandoned thread end

    with pytest.raises(DeliveryError, match="did not finish answering in time") as failed:
        asyncio.run(attempt())
    assert failed.value.retryable


@pytest.mark.parametrize("connect", [webhook, bot])
def test_a_refused_connection_may_pass(announce, free_port, connect):
    error = failure(connect(f"http://127.0.0.1:{free_port}{SECRET_PATH}"), announce())
    assert (
        str(error),
        error.retryable,
    ) == ("receiver 'oncall' (Slack) refused the connection; trying again later", True)


@pytest.mark.parametrize("connect", [webhook, bot])
def test_a_plain_server_behind_a_tls_address_may_be_mended(announce, local_slack, connect):
    error = failure(connect(local_slack.url.replace("http:", "https:") + SECRET_PATH), announce())
    assert "cannot be reached over TLS" in str(error)
    assert error.retryable


@pytest.mark.parametrize(
    "url",
    [
        "hooks.slack.example/this-is-the-secret",
        "ftp://hooks.slack.example/this-is-the-secret",
        "http://127.0.0.1:this-is-the-secret/",
        "http://127.0.0.1/this is-the-secret/this-is-the-secret",
    ],
)
def test_an_address_that_is_none_is_permanent(announce, url):
    error = failure(webhook(url), announce())
    assert "has an address that is no http(s) address" in str(error)
    assert not error.retryable


@pytest.mark.parametrize("url", ["this-is-the-secret", "ftp://127.0.0.1/this-is-the-secret"])
def test_a_bots_address_that_is_none_is_permanent(announce, url):
    assert not failure(bot(url), announce()).retryable


def test_a_host_name_that_is_unknown_may_be_known_later(announce, monkeypatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known: this-is-the-secret")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    error = failure(webhook("http://hooks.slack.example/x"), announce())
    assert "has a host name that cannot be resolved" in str(error)
    assert error.retryable


@pytest.mark.parametrize("host", ["http://" + "a" * 64 + ".example/", "http://127.0.0.1:1\u2100/"])
def test_a_host_name_that_cannot_be_one_says_so_without_naming_it(announce, host):
    assert "aaaa" not in str(failure(webhook(host), announce()))


def test_thanks_in_an_encoding_that_nobody_knows_are_thanks(announce, local_slack):
    """They were sent again every hour: the channel had the message each time."""
    local_slack.says(200, "ok", headers={"Content-Type": "text/plain; charset=klingon"})
    send(webhook(local_slack.url), announce())
    assert len(local_slack.requests) == 1


def test_missing_secrets_name_the_receiver_and_keep_the_page(announce):
    error = failure(ReceiverConnection(name="oncall"), announce())
    assert "has neither a webhook address nor a bot token" in str(error)
    assert error.retryable


def test_a_bot_token_that_cannot_be_read_leaves_the_page_to_the_webhook(announce, local_slack):
    def unreadable() -> str:
        raise ConfigError("the secret cannot be read (Permission denied)", file="/run/secrets/bot")

    local_slack.says(200, "ok")
    connection = bot(local_slack.url, webhook_url=local_slack.url + SECRET_PATH)
    send(replace(connection, secrets={**connection.secrets, "bot_token": unreadable}), announce())
    ((path, _, body),) = local_slack.requests
    assert path == SECRET_PATH
    assert "/run/secrets/bot: the secret cannot be read" in str(body["blocks"]), "and says why it came this way"


@pytest.mark.parametrize("connect", [webhook, bot])
def test_a_slack_that_drips_bytes_keeps_no_thread(talks, announce, connect):
    """A thread for each attempt was kept for as long as it dripped, until none was left for anything else."""
    port = talks(b"o", first=b"HTTP/1.1 200 OK\r\n\r\n", pause_s=0.02)
    with pytest.raises(DeliveryError, match="in time"):
        send(connect(f"http://127.0.0.1:{port}"), announce())  # waits for the thread


def test_a_bot_without_a_channel_is_told_which_key_is_missing(announce):
    error = failure(bot("http://127.0.0.1:1", channel=None), announce())
    assert "add 'channel' to it in the config" in str(error)
    assert not error.retryable


@pytest.mark.parametrize("connect", [webhook, bot])
def test_nothing_is_logged_on_the_wire_however_low_the_level(announce, local_slack, free_port, connect, caplog):
    caplog.set_level(logging.DEBUG)
    send(webhook(local_slack.url + SECRET_PATH), announce())
    failure(connect(f"http://127.0.0.1:{free_port}{SECRET_PATH}"), announce())
    assert [r.getMessage() for r in caplog.records if r.name.startswith(("slack", "driftwatch", "urllib"))] == []
    assert "this-is-the-secret" not in caplog.text


def test_a_certificate_error_inside_a_url_error_is_a_tls_failure(announce, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError(ssl.SSLCertVerificationError("this-is-the-secret"))

    monkeypatch.setattr("urllib.request.OpenerDirector.open", refuse)
    assert "is its certificate trusted here?" in str(failure(webhook("https://hooks.slack.example/"), announce()))
