"""What holds for every entry of NOTIFIERS, each against a counterpart on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from driftwatch.alert.receiver import EVERY_EVENT
from driftwatch.alert.receivers import NOTIFIERS
from driftwatch.config.receivers import RECEIVERS
from driftwatch.domain import Event, Kind
from driftwatch.errors import ConfigError, DeliveryError

WAYS = (
    "alertmanager",
    "command",
    "console",
    "discord",
    "email",
    "pagerduty",
    "slack-bot",
    "slack-webhook",
    "teams",
    "webhook",
)
OVER_HTTP = ("alertmanager", "discord", "pagerduty", "slack-bot", "slack-webhook", "teams", "webhook")
SECRET = "this-is-the-secret"  # noqa: S105 - the counterparts' own
EDGES = (
    "opened",
    "joined",
    "escalated",
    "reopened",
    "reminded",
    "acknowledged",
    "commented",
    "member resolved",
    "resolved",
    "group resolved",
)
HOSTILE = {
    "emoji": "😀👩‍👩‍👧‍👦🏳️‍🌈" * 500,
    "right to left": "safe\u202etxt.exe \u2066hidden\u2069 אבג",
    "100 kB": "word " * 20_000,
    "one long line": "x" * 100_000,
    "control characters": "\x00\x07\x1b[31mred\x1b[0m\r\n\u0085\u2028end",
    "half characters": "\ud800\udfff cut \udc00",
    "injection": (
        "</pre><script>alert(1)</script> <!channel> @everyone <@U1> [x](https://evil.test) ![i](https://evil.test/i) "
        "``` *b* _i_ {{DATE(2017-02-14T06:00:00Z, SHORT)}} <at>x</at> $(reboot) %0a\r\nBcc: evil@evil.test\r\n\r\nhi"
    ),
}


def failure(counterpart, announcement):
    with pytest.raises(DeliveryError) as failed:
        counterpart.send(announcement)
    error = failed.value
    assert (error.receiver, str(error).startswith("receiver 'oncall' ")) == ("oncall", True)
    assert "\n" not in str(error)
    shown = f"{error!s} {error!r} {error.__cause__!r}"
    assert SECRET not in shown
    assert "dGhpcy1pcy10aGUtc2VjcmV0" not in shown, "the signing key"
    return error


# ---------------------------------------------------------------- the entries


def test_every_notifier_has_a_counterpart_here_and_a_section_in_the_config():
    assert {way.partition("-")[0] for way in WAYS} == set(NOTIFIERS) == set(RECEIVERS)


def test_importing_the_notifiers_loads_no_client():
    heavy = ("slack_sdk", "httpx", "aiosmtpd")
    code = f"import sys, driftwatch.alert; print([m for m in sys.modules if m.startswith({heavy!r})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", list(NOTIFIERS))
def test_every_notifier_wants_at_least_the_beginning_and_the_end(name):
    assert {Event.OPENED, Event.ESCALATED, Event.REOPENED, Event.RESOLVED} <= NOTIFIERS[name].events <= EVERY_EVENT


# ---------------------------------------------------------------- taken


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_incident_is_told_by_its_target(way, kind, counterpart, announce):
    there = counterpart(way)
    there.send(announce(kind))
    (said,) = there.taken()
    assert announce(kind).incident.target in said.replace("\\", "")


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("way", WAYS)
def test_every_edge_is_taken_and_changes_nothing_here(way, edge, counterpart, edges):
    there, announcement = counterpart(way), edges[edge]
    before = copy.deepcopy(announcement)
    receipt = there.send(announcement)
    assert announcement == before
    assert receipt is None or dict(receipt)
    if announcement.transition.event in NOTIFIERS[there.kind].events - {Event.ACKNOWLEDGED}:
        assert there.taken()


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_life_is_told_with_the_receipts_of_the_edges_before(way, counterpart, edges):
    there = counterpart(way)
    receipt = None
    for edge in ("opened", "escalated", "acknowledged", "reopened", "resolved"):
        if edges[edge].transition.event in NOTIFIERS[there.kind].events:
            receipt = there.send(replace(edges[edge], receipt=receipt)) or receipt
    assert len(there.taken()) >= 4


@pytest.mark.parametrize("way", WAYS)
def test_a_repeat_is_recognisable(way, counterpart, announce):
    """The same announcement twice, as after a crash between sending and noting it, carries the same key."""
    there, keys = counterpart(way), {"alertmanager": "driftwatch-1f2e/12", "pagerduty": "driftwatch-1f2e/12"}
    there.send(announce())
    there.send(announce())
    first, second = there.taken()
    expected = keys.get(way, "30:oncall")
    assert expected in first
    assert expected in second


@pytest.mark.parametrize("way", WAYS)
def test_a_digest_tells_every_group(way, counterpart, edges):
    there = counterpart(way)
    opened = edges["opened"]
    other = replace(
        opened,
        incident=replace(opened.incident, id=77, target="translator"),
        dedup_key="31:oncall",
        key="driftwatch-1f2e/77",
    )
    there.digest([opened, other])
    said = "".join(there.taken()).replace("\\", "")
    assert "support-bot" in said
    assert "translator" in said
    states = way in {"alertmanager", "pagerduty"}
    assert states or len(there.taken()) == 1, "people get one message"


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize("way", WAYS)
def test_hostile_replies_are_delivered_as_data(way, content, counterpart, announce):
    there, text = counterpart(way), HOSTILE[content]
    evidence = {
        "headline": text,
        "changes": [text],
        "last_error": text,
        "owner": text,
        "model": text,
        "pair": {"canary_id": text, "prompt": text, "before": text, "after": text},
    }
    there.send(announce(evidence=evidence, reason=text, author=text, told={"owner": text}))
    (said,) = there.taken()
    assert len(said) < 300_000
    if way not in OVER_HTTP:
        assert "\x1b" not in said
    assert "\u202e" not in said, "a right-to-left override is shown by its code point"
    assert "\\u202e" not in said.lower()


# ---------------------------------------------------------------- not taken


@pytest.mark.parametrize("way", WAYS)
def test_nobody_there_may_pass(way, counterpart, announce):
    there = counterpart(way)
    there.connection = there.away()
    assert failure(there, announce()).retryable


@pytest.mark.parametrize("way", [way for way in WAYS if way != "console"])
def test_trouble_over_there_may_pass(way, counterpart, announce):
    there = counterpart(way)
    there.trouble()
    assert failure(there, announce()).retryable


@pytest.mark.parametrize("way", [way for way in WAYS if way != "console"])
def test_a_refusal_is_final(way, counterpart, announce):
    there = counterpart(way)
    there.refuse()
    assert not failure(there, announce()).retryable


@pytest.mark.parametrize("way", [way for way in WAYS if way != "console"])
def test_silence_ends_in_time_and_may_pass(way, counterpart, announce):
    there = counterpart(way)
    there.hang()
    there.grow_impatient()
    began = time.monotonic()
    assert failure(there, announce()).retryable
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("way", [way for way in WAYS if way not in {"command", "console"}])
@pytest.mark.parametrize("found", [None, ""])
def test_a_missing_secret_is_said_and_waits_for_whoever_sets_it(way, found, counterpart, announce):
    there = counterpart(way)
    there.connection = replace(there.connection, secrets=dict.fromkeys(there.connection.secrets, lambda: found))
    error = failure(there, announce())
    assert error.retryable
    assert " has n" in str(error), "has no …, or has neither …"
    assert there.taken() == []


@pytest.mark.parametrize("way", [way for way in WAYS if way not in {"command", "console"}])
def test_a_secret_file_that_cannot_be_read_is_said(way, counterpart, announce):
    def unreadable():
        raise ConfigError("the secret cannot be read (Permission denied)", file="/run/secrets/x")

    there = counterpart(way)
    there.connection = replace(there.connection, secrets=dict.fromkeys(there.connection.secrets, unreadable))
    error = failure(there, announce())
    assert error.retryable
    assert "/run/secrets/x: the secret cannot be read" in str(error)


@pytest.mark.parametrize("way", OVER_HTTP)
def test_a_rate_limit_passes_its_wait_on(way, counterpart, announce):
    there = counterpart(way)
    there.server.says(429, '{"ok":false,"error":"ratelimited"}', headers={"Retry-After": "7"})
    error = failure(there, announce())
    assert (error.retryable, error.retry_after_s) == (True, 7.0)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("way", OVER_HTTP)
def test_every_status_of_a_server_in_trouble_may_pass(way, status, counterpart, announce):
    there = counterpart(way)
    there.server.says(status, f"<html>{SECRET}")
    assert failure(there, announce()).retryable


@pytest.mark.parametrize("status", [400, 401, 403, 410])
@pytest.mark.parametrize("way", OVER_HTTP)
def test_every_status_of_a_refusal_is_final(way, status, counterpart, announce):
    there = counterpart(way)
    there.server.says(status, f'{{"message": "{SECRET}", "errors": ["{SECRET}"], "error": {{"message": "{SECRET}"}}}}')
    assert not failure(there, announce()).retryable


@pytest.mark.parametrize("way", OVER_HTTP)
def test_a_log_in_page_is_not_taken_for_thanks(way, counterpart, announce):
    there = counterpart(way)
    there.server.says(200, "<!doctype html><title>Log in</title>", headers={"Content-Type": "text/html"})
    assert failure(there, announce()).retryable


@pytest.mark.parametrize("way", OVER_HTTP)
def test_a_redirect_is_not_thanks(way, counterpart, announce):
    there = counterpart(way)
    there.server.says(302, "", headers={"Location": f"{there.server.url}/elsewhere"})
    failure(there, announce())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("way", OVER_HTTP)
def test_a_redirect_is_not_followed(way, status, counterpart, announce):
    """Neither the message nor a token may go where nobody sent it."""
    there = counterpart(way)
    there.server.says(status, "", headers={"Location": f"{there.server.url}/elsewhere"})
    error = failure(there, announce())
    assert "/elsewhere" not in [request.path for request in there.server.requests]
    assert f"answered with a redirect (status {status}), which is not followed" in str(error)
    assert error.retryable is (status in {302, 303, 307}), "a log-in, or gone for good"


@pytest.mark.parametrize("way", OVER_HTTP)
def test_a_huge_answer_holds_nobody_up(way, counterpart, announce):
    there = counterpart(way)
    there.server.says(there.server.replies[0].status, b"x" * 3_000_000)
    began = time.monotonic()
    with contextlib.suppress(DeliveryError):
        there.send(announce())
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("way", OVER_HTTP)
def test_a_server_that_drips_bytes_does_not_hold_the_outbox(way, counterpart, announce):
    there = counterpart(way)
    there.server.says(200, b" " * 100, drips=True)
    there.grow_impatient()
    began = time.monotonic()

    async def attempt():
        try:
            await there.notifier.send(announce())
        finally:
            there.server.closing.set()

    with pytest.raises(DeliveryError) as failed:
        asyncio.run(attempt())
    assert failed.value.retryable
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("way", OVER_HTTP)
def test_a_plain_server_behind_a_tls_address_may_be_mended(way, counterpart, announce, connect):
    there = counterpart(way)
    there.connection = connect(way, there.server.url.replace("http:", "https:"))
    error = failure(there, announce())
    assert error.retryable
    assert "TLS" in str(error)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "console"])
def test_no_log_holds_a_secret_whatever_happens(way, counterpart, announce, caplog, capfd):
    there = counterpart(way)
    with caplog.at_level(logging.DEBUG):
        there.send(announce())
        there.trouble()
        failure(there, announce())
        there.refuse()
        failure(there, announce())
    # The SMTP server of the tests logs what it says itself.
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("mail.")]
    said = "\n".join([*logged, *capfd.readouterr()])
    assert SECRET not in said
