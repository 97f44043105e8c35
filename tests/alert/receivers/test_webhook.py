"""The webhook's signature, verified by the specification's own library, and its headers."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.webhook import WebhookNotifier, sign
from driftwatch.clock import WallClock
from driftwatch.errors import DeliveryError

KEY = "whsec_dGhpcy1pcy10aGUtc2VjcmV0LWtleS1vZi0zMi1ieXRlcw=="
AT = datetime(2026, 3, 16, 20, 0, 0, 987_654, tzinfo=UTC)


def connection(url, **secrets):
    found = {"url": url + "/hook", **secrets}
    options = {"headers": {"X-Token": "ALERT_TOKEN"}} if "headers.X-Token" in found else {}
    return ReceiverConnection(
        name="desk", secrets={k: lambda v=v: v for k, v in found.items()}, options=options, timeout_s=5.0
    )


def send(reached, announcement, now=lambda: AT):
    asyncio.run(WebhookNotifier(reached, now=now).send(announcement))


def test_the_specifications_own_library_accepts_the_signature(http_server, announce):
    http_server.says(204)
    send(connection(http_server.url, signing_key=KEY), announce(), now=WallClock().now)
    (request,) = http_server.requests
    assert Webhook(KEY).verify(request.body, request.headers)["type"] == "incident.opened"
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(request.body + b" ", request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"another key of 24 bytes!").decode()).verify(request.body, request.headers)


def test_the_signature_is_that_of_the_specifications_library():
    body = b'{"test": 2432232314}'
    expected = Webhook(KEY).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", AT, body.decode())
    key = base64.b64decode(KEY.removeprefix("whsec_"))
    assert sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", str(int(AT.timestamp())), body) == expected


def test_the_id_stays_over_attempts_and_the_timestamp_is_the_attempts(http_server, announce):
    http_server.says(200, "{}")
    reached = connection(http_server.url, signing_key=KEY)
    send(reached, announce())
    send(reached, announce(), now=lambda: datetime(2026, 3, 17, tzinfo=UTC))
    first, second = (request.headers for request in http_server.requests)
    assert first["webhook-id"] == second["webhook-id"] == "30:oncall"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1773691200", "1773705600")
    assert first["Content-Type"] == "application/json"
    assert first["User-Agent"].startswith("driftwatch/")


def test_an_id_never_holds_the_full_stop_that_ends_it_in_what_is_signed(http_server, announce):
    http_server.says(204)
    send(connection(http_server.url), replace(announce(), dedup_key="30:on.call\r\nX: y"))
    assert http_server.requests[0].headers["webhook-id"] == "30:on_call__X:_y"


def test_a_receiver_without_a_key_is_not_signed(http_server, announce):
    http_server.says(204)
    send(connection(http_server.url), announce())
    assert "webhook-signature" not in http_server.requests[0].headers


def test_a_key_without_its_prefix_serves_too(http_server, announce):
    http_server.says(204)
    send(connection(http_server.url, signing_key=KEY.removeprefix("whsec_")), announce(), now=WallClock().now)
    assert Webhook(KEY).verify(http_server.requests[0].body, http_server.requests[0].headers)


@pytest.mark.parametrize("key", ["whsec_!!!", "whsec_c2hvcnQ=", "whsec_" + "A" * 100, "whsec_näh"])
def test_a_key_of_another_form_is_said_before_anything_is_sent(http_server, announce, key):
    with pytest.raises(DeliveryError, match="has a signing key of another form: store whsec_") as failed:
        send(connection(http_server.url, signing_key=key), announce())
    assert not failed.value.retryable
    assert http_server.requests == []
    assert key not in str(failed.value)


def test_extra_headers_carry_their_secrets(http_server, announce):
    http_server.says(204)
    send(connection(http_server.url, **{"headers.X-Token": "s3cret"}), announce())
    assert http_server.requests[0].headers["X-Token"] == "s3cret"


def test_an_extra_header_without_its_value_waits(http_server, announce):
    with pytest.raises(DeliveryError, match="has no value for the header X-Token") as failed:
        send(connection(http_server.url, **{"headers.X-Token": None}), announce())
    assert failed.value.retryable


def test_a_header_that_cannot_be_sent_is_said(http_server, announce):
    with pytest.raises(DeliveryError, match="has a secret that no header can carry") as failed:
        send(connection(http_server.url, **{"headers.X-Token": "zwölf"}), announce())
    assert "zwölf" not in str(failed.value)
    with pytest.raises(DeliveryError, match="has a secret that no header can carry"):
        send(connection(http_server.url, **{"headers.X-Token": "two\nlines"}), announce())


def test_a_digest_has_an_id_of_its_own(http_server, announce):
    http_server.says(204)
    asyncio.run(WebhookNotifier(connection(http_server.url), now=lambda: AT).send_digest([announce()]))
    (request,) = http_server.requests
    assert request.headers["webhook-id"].startswith("digest-")
    assert request.json["type"] == "incident.digest"
