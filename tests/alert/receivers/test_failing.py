"""One table of words for whatever keeps the other side from answering, whichever client noticed."""

from __future__ import annotations

import errno
import http.client
import smtplib
import socket
import ssl
import urllib.error

import httpx
import pytest

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.failing import fail_unreached, unreached
from driftwatch.errors import DeliveryError

SECRET = "this-is-the-secret"  # noqa: S105 - made up, to be looked for


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


ROWS = [
    (TimeoutError(SECRET), "did not answer within 2.5 s"),
    (urllib.error.URLError(TimeoutError(SECRET)), "did not answer within 2.5 s"),
    (httpx.ConnectTimeout(SECRET), "did not answer within 2.5 s"),
    (ssl.SSLError(SECRET), "cannot be reached over TLS (is its certificate trusted here?)"),
    (caused(httpx.ConnectError(SECRET), ssl.SSLCertVerificationError(SECRET)), "cannot be reached over TLS"),
    (socket.gaierror(-2, SECRET), "has a host name that cannot be resolved"),
    (UnicodeError(SECRET), "has a host name that cannot be resolved"),
    (urllib.error.URLError(ConnectionRefusedError(SECRET)), "refused the connection"),
    (httpx.ProxyError(SECRET), "cannot be reached through the proxy of the environment"),
    (
        urllib.error.URLError(OSError(f"Tunnel connection failed: 403 {SECRET}")),
        "cannot be reached through the proxy of the environment",
    ),
    (httpx.RemoteProtocolError(SECRET), "hung up without an answer"),
    (http.client.RemoteDisconnected(SECRET), "hung up without an answer"),
    (smtplib.SMTPServerDisconnected(SECRET), "hung up without an answer"),
    (ConnectionResetError(SECRET), "hung up without an answer"),
    (OSError(errno.EHOSTUNREACH, SECRET), "could not be reached (No route to host)"),
    (httpx.ReadError(SECRET), "could not be reached (ReadError)"),
    (ZeroDivisionError(SECRET), "could not be reached (ZeroDivisionError)"),
]


@pytest.mark.parametrize(("error", "words"), ROWS, ids=lambda value: type(value).__name__)
def test_every_kind_of_silence_has_its_words_whoever_noticed_it(error, words):
    said = unreached(error, timeout_s=2.5)
    assert said.startswith(words)
    assert SECRET not in said


def test_a_host_that_has_two_addresses_and_refuses_at_both_has_refused():
    both = ExceptionGroup("all attempts", [ConnectionRefusedError(SECRET), ConnectionRefusedError(SECRET)])
    assert unreached(caused(httpx.ConnectError(SECRET), both), timeout_s=1) == "refused the connection"


def test_errors_that_name_each_other_as_their_cause_end():
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert unreached(first, timeout_s=1) == "could not be reached (OSError)"


def test_it_is_told_with_the_receivers_name_and_may_pass():
    with pytest.raises(DeliveryError) as failed:
        fail_unreached(ReceiverConnection(name="desk", timeout_s=2.5), "Desk", TimeoutError(SECRET))
    assert str(failed.value) == "receiver 'desk' (Desk) did not answer within 2.5 s; trying again later"
    assert (failed.value.retryable, failed.value.__cause__) == (True, None)
