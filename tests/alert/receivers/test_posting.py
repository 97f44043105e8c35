"""The one HTTP request: what it sends, what it says of every way to fail, and what it never says."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given, strategies as st

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.posting import MOST_ANSWER_BYTES, Answer, Post, wait_of, without
from driftwatch.errors import DeliveryError

AT = datetime(2026, 10, 21, 7, 27, tzinfo=UTC)


def post(**more):
    connection = ReceiverConnection(name="desk", timeout_s=5.0)
    taken = more.pop("is_taken", lambda answer: answer.status == 200)
    return Post(connection, "Desk", is_taken=taken, now=lambda: AT, **more)


def send(url, document=None, sender=None, **more):
    return asyncio.run((sender or post()).send(url, document or {"a": "naïve"}, **more))


def refusal(url, sender=None, **more):
    with pytest.raises(DeliveryError) as failed:
        send(url, sender=sender, **more)
    return failed.value


def test_a_document_is_posted_as_json(http_server):
    http_server.says(200, '{"id": 7}')
    answer = send(http_server.url + "/in", headers={"X-Own": "1"})
    (request,) = http_server.requests
    assert (request.method, request.path, request.body) == ("POST", "/in", '{"a":"naïve"}'.encode())
    assert (request.headers["Content-Type"], request.headers["X-Own"]) == ("application/json", "1")
    assert answer.json() == {"id": 7}


def test_an_answer_is_read_no_further_than_is_of_use(http_server):
    http_server.says(200, b"x" * 5_000_000)
    assert len(send(http_server.url).body) == MOST_ANSWER_BYTES


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_an_answer_that_is_no_json_is_none(body):
    assert Answer(status=200, body=body).json() is None


@pytest.mark.parametrize(
    ("status", "retryable", "words"),
    [
        (301, False, "answered with a redirect (status 301), which is not followed: store the address it moved to"),
        (308, False, "which is not followed: store the address it moved to"),
        (302, True, "which is not followed: a log-in does so; trying again later"),
        (400, False, "refused the message (status 400): look the status up in its documentation"),
        (401, False, "check the secret where the receiver reads it"),
        (404, False, "check the address where the receiver reads it: nothing answers there"),
        (405, False, "it takes no messages"),
        (408, True, "has trouble on its side (status 408); trying again later"),
        (410, False, "the address is gone for good"),
        (413, False, "please report this as a bug"),
        (425, True, "has trouble on its side (status 425)"),
        (429, True, "is asked too often (status 429); trying again later"),
        (501, True, "has trouble on its side (status 501)"),
    ],
)
def test_every_status_is_told_in_words(http_server, status, retryable, words):
    http_server.says(status)
    error = refusal(http_server.url)
    assert error.retryable is retryable
    assert words in str(error)


def test_a_success_that_is_no_thanks(http_server):
    http_server.says(204)
    error = refusal(http_server.url)
    assert str(error) == "receiver 'desk' (Desk) answered, but not as Desk does: check the address"
    assert not error.retryable
    http_server.says(201, "  <html>")
    assert refusal(http_server.url).retryable


def test_the_vendors_words_are_shown_without_secrets(http_server):
    sender = post(reason=lambda said: said["why"])
    http_server.says(400, '{"why": "token tok-123456 of /hooks/T0-ABCDEF is\\nnot known\\u202e"}')
    error = refusal(f"{http_server.url}/hooks/T0-ABCDEF", sender=sender, secrets=("tok-123456", ""))
    assert "(status 400, token … of /hooks/… is not known⟨U+202E⟩)" in str(error)


def test_a_vendors_wait_in_the_body_counts_before_the_header(http_server):
    sender = post(retry_after_s=lambda said: said.get("retry_after"))
    http_server.says(429, '{"retry_after": 1.5}', headers={"Retry-After": "9"})
    assert refusal(http_server.url, sender=sender).retry_after_s == 1.5
    http_server.says(429, '{"retry_after": true}', headers={"Retry-After": "9"})
    assert refusal(http_server.url, sender=sender).retry_after_s == 9.0


@pytest.mark.parametrize(
    ("said", "expected"),
    [("1" + "0" * 400, 604_800.0), ("1e999", 604_800.0), ("Infinity", 604_800.0), ("NaN", None), ("-1", None)],
)
def test_no_number_of_a_vendor_breaks_the_waiting(http_server, said, expected):
    sender = post(retry_after_s=lambda found: found["retry_after"])
    http_server.says(429, f'{{"retry_after": {said}}}')
    assert refusal(http_server.url, sender=sender).retry_after_s == expected


@given(st.text(max_size=40) | st.from_regex(r"\A\w{3}, \d{1,2} \w{3} \d{1,6} [\d:]{1,12} [+-]\d{1,8}\Z"))
def test_no_retry_after_breaks_the_waiting(said):
    found = wait_of({"Retry-After": said}, at=AT)
    assert found is None or 0 <= found <= 604_800


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("7", 7.0),
        (" 30 ", 30.0),
        ("0.5", 0.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 -0000", 60.0),
        ("Wed, 21 Oct 2026 07:26:00 GMT", None),
        ("999999999", 604_800.0),
        ("-1", None),
        ("1e999", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(said, expected):
    assert wait_of({"retry-AFTER": said}, at=AT) == expected
    assert wait_of({}, at=AT) is None


def test_a_wait_is_passed_on_with_trouble_too(http_server):
    http_server.says(503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    assert refusal(http_server.url).retry_after_s == 60.0


@pytest.mark.parametrize("url", ["", "ftp://example.com/x", "no address", "http://", "http://[::1", "/path"])
def test_an_address_that_is_none(url):
    error = refusal(url)
    assert str(error) == (
        "receiver 'desk' (Desk) has an address that is no http(s) address: check what is stored where it is read"
    )
    assert not error.retryable


def test_a_host_that_does_not_resolve(monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = refusal("http://no-such-host.test/secret")
    assert "has a host name that cannot be resolved; trying again later" in str(error)


def test_a_host_with_two_addresses_that_refuses_at_both_has_refused(monkeypatch):
    resolve = socket.getaddrinfo

    def twice(host, *more, **named):
        return [*resolve("127.0.0.1", *more, **named), *resolve("127.0.0.2", *more, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", twice)
    assert "refused the connection; trying again later" in str(refusal("http://two-homes.test:1/secret"))


def test_a_server_that_hangs_up():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def hang_up():
            connection, _ = listener.accept()
            connection.recv(100_000)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        error = refusal(f"http://127.0.0.1:{listener.getsockname()[1]}/secret")
        thread.join()
    assert "hung up without an answer; trying again later" in str(error)


def test_a_proxy_of_the_environment_is_used(http_server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", http_server.url)
    http_server.says(200, "{}")
    send("http://alerts.test/in")
    assert http_server.requests[0].path == "http://alerts.test/in"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    send(f"{http_server.url}/straight")
    assert http_server.requests[1].path == "/straight"


def test_a_proxy_that_refuses(http_server, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", http_server.url.replace("127.0.0.1", "secret-user:secret-word@127.0.0.1"))
    http_server.server.RequestHandlerClass.do_CONNECT = lambda handler: handler.send_error(403)
    error = refusal("https://alerts.test/in")
    assert "cannot be reached through the proxy of the environment" in str(error)
    assert "secret" not in str(error)


def test_other_trouble_is_named_by_its_kind(monkeypatch):
    async def broken(*_, **__):
        raise httpx.ReadError("secret")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", broken)
    assert "could not be reached (ReadError); trying again later" in str(refusal("http://127.0.0.1:1/"))


def test_only_our_own_requests_are_kept_out_of_the_log(http_server, caplog):
    http_server.says(200, "{}")
    with caplog.at_level(logging.INFO):
        send(f"{http_server.url}/secret-path")
        send(f"{http_server.url}/secret-path")
        assert "secret-path" not in caplog.text
        httpx.post(f"{http_server.url}/open-path")
    assert "open-path" in caplog.text
    assert len([f for f in logging.getLogger("httpx").filters if getattr(f, "__name__", "") == "_is_public"]) == 1


def test_taking_secrets_out_leaves_the_words():
    url = "https://chat.test/api/webhooks/12345678/tok-en_123?sig=abcdefgh"
    said = f"{url} or tok-en_123 or abcdefgh or chat.test or api"
    assert without(said, (url,)) == "… or … or … or chat.test or api"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("Bearer eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl", "token eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl has expired"),
        ("https://ana:pass.word@chat.test/hook", "no user with pass.word at chat.test"),
        ("https://chat.test/in/first.second", "nothing at first.second of chat.test"),
        ("https://chat.test/in?sig=a%2Bb%3Dcdef", "signature a+b=cdef or a%2Bb%3Dcdef is wrong"),
    ],
)
def test_a_secret_is_taken_out_however_it_is_written(secret, said):
    shown = without(said, (secret,))
    assert not any(part in shown for part in ("eyJ", "pass.word", "second", "cdef"))
    assert "…" in shown
    assert ("chat.test" in shown) is ("chat.test" in said), "the host is no secret"
