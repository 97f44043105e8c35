"""Mails through real SMTP servers of this machine: plain, STARTTLS, TLS, with a log-in, refusing and silent ones."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import structlog

from driftwatch.alert.message import Message, Tone, compose
from driftwatch.alert.receivers.deadline import Deadline
from driftwatch.alert.receivers.email import EmailNotifier
from driftwatch.alert.receivers.email_html import render_html
from driftwatch.errors import DeliveryError

AT = datetime(2026, 3, 16, 20, 0, tzinfo=UTC)


def send(connection, announcement):
    return asyncio.run(EmailNotifier(connection, now=lambda: AT).send(announcement))


def refusal(connection, announcement):
    with pytest.raises(DeliveryError) as failed:
        send(connection, announcement)
    assert "this-is-the-secret" not in str(failed.value)
    return failed.value


@pytest.fixture
def server(start_smtp):
    return start_smtp(security="starttls", login=True)


def test_a_mail_over_starttls_with_a_log_in(server, connect_mail, announce):
    receipt = send(connect_mail(server), announce())
    (mail,) = server.box.mails
    (envelope,) = server.box.envelopes
    assert server.box.logins == [(b"driftwatch", b"this-is-the-secret-p4ssw0rd")]
    assert envelope.rcpt_tos == ["oncall@example.com", "ana@example.com"]
    assert (mail["From"], mail["To"]) == (
        "driftwatch <driftwatch@example.com>",
        "oncall@example.com, Ana <ana@example.com>",
    )
    assert mail["Subject"] == "[driftwatch 12] Drift: support-bot"
    assert mail["Date"] == "Mon, 16 Mar 2026 20:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == "<30-oncall.driftwatch-1f2e-12@example.com>"
    assert receipt == {"message_id": mail["Message-ID"], "subject": mail["Subject"]}
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    text, html = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
    for body in (text, html):
        assert "Drift: support-bot" in body
        assert "driftwatch report 12" in body
        assert "31 → 66 words" in body
    assert all(len(row) <= 998 for row in envelope.content.splitlines()), "RFC 5322, 2.1.1"
    assert envelope.content.isascii()


@pytest.mark.parametrize(("security", "login"), [("none", False), ("tls", False), ("tls", True)])
def test_every_other_way_to_connect(start_smtp, connect_mail, announce, security, login):
    server = start_smtp(security=security, login=login)
    options = {"security": security, "user": "driftwatch" if login else None}
    send(connect_mail(server, **options), announce())
    assert (len(server.box.mails), len(server.box.logins)) == (1, int(login))


def test_a_group_is_one_thread_under_one_subject(server, connect_mail, edges):
    receipt = send(connect_mail(server), edges["opened"])
    for key, edge in (("31:oncall", "reopened"), ("32:oncall", "resolved")):
        assert send(connect_mail(server), replace(edges[edge], receipt=receipt, dedup_key=key)) is None
    first, second, third = server.box.mails
    assert second["In-Reply-To"] == second["References"] == third["References"] == first["Message-ID"]
    assert len({mail["Message-ID"] for mail in server.box.mails}) == 3
    assert first["Subject"] == "[driftwatch 12] Drift: support-bot"
    assert second["Subject"] == third["Subject"] == "Re: [driftwatch 12] Drift: support-bot"
    assert "Recovered" in third.get_body(("plain",)).get_content()
    assert first["In-Reply-To"] is None


def test_a_digest_is_one_mail(server, connect_mail, edges):
    notifier = EmailNotifier(connect_mail(server), now=lambda: AT)
    asyncio.run(notifier.send_digest([edges["opened"], replace(edges["resolved"], dedup_key="31:oncall")]))
    (mail,) = server.box.mails
    assert mail["Subject"].startswith("[driftwatch] Not told until now")
    assert mail["In-Reply-To"] is None


def test_no_target_and_no_reply_can_add_a_header(server, connect_mail, announce):
    evil = "x\r\nBcc: evil@example.com\r\n\r\nhello\r\n.\r\nMAIL FROM:<evil@example.com>"
    told = {"dedup_key": evil, "key": evil, "owner": evil, "receipt": {"message_id": evil, "subject": evil}}
    send(connect_mail(server), announce(target=evil, evidence={"headline": evil}, told=told))
    (mail,), (envelope,) = server.box.mails, server.box.envelopes
    assert mail["Bcc"] is None
    assert len(mail.keys()) == len(set(mail.keys()))
    assert envelope.rcpt_tos == ["oncall@example.com", "ana@example.com"]
    assert envelope.mail_from == "driftwatch@example.com"


def test_markup_in_a_reply_is_shown_and_not_obeyed(server, connect_mail, announce):
    reply = '<script>alert(1)</script><img src="https://evil.test/x.png"><a href="https://evil.test">log in</a>'
    pair = {"canary_id": reply, "prompt": reply, "before": reply, "after": reply}
    send(connect_mail(server), announce(evidence={"pair": pair, "headline": reply, "changes": [reply]}))
    html = server.box.mails[0].get_body(("html",)).get_content()
    for tag in ("<script", "<img", "<a "):
        assert tag not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "http-equiv" not in html
    assert "url(" not in html


def test_an_empty_reply_is_said_to_be_empty(server, connect_mail, announce):
    pair = {"canary_id": "a/1", "prompt": "Say nothing.", "before": "", "after": "", "before_completion_id": 7}
    send(connect_mail(server), announce(evidence={"pair": pair}))
    html = server.box.mails[0].get_body(("html",)).get_content()
    assert html.count("(nothing)") == 2
    assert "Before (completion 7)" in html


def test_a_sender_without_a_domain_gets_an_id_all_the_same(start_smtp, connect_mail, announce):
    server = start_smtp()
    send(connect_mail(server, security="none", user=None, sender="driftwatch", ca_file=None), announce())
    assert server.box.mails[0]["Message-ID"].endswith("@driftwatch.invalid>")


# ---------------------------------------------------------------- not taken


@pytest.mark.parametrize(
    ("says", "retryable", "words"),
    [
        ("451 later this-is-the-secret", True, "refused the message (code 451): trying again later"),
        ("452 full", True, "refused the message (code 452): trying again later"),
        ("550 no this-is-the-secret", False, "refused the message (code 550): check 'from' and what the server allows"),
        ("552 too large", False, "refused the message (code 552)"),
        ("421 bye", True, "refused the message (code 421): trying again later"),
    ],
)
def test_a_code_of_the_server_says_whether_it_may_pass(server, connect_mail, announce, says, retryable, words):
    server.box.says = says
    error = refusal(connect_mail(server), announce())
    assert error.retryable is retryable
    assert f"receiver 'oncall' (e-mail) {words}" in str(error)


def test_refused_addresses(server, connect_mail, announce):
    server.box.says_to = {"oncall@example.com": "550 no such user", "ana@example.com": "550 no such user"}
    error = refusal(connect_mail(server), announce())
    assert str(error) == "receiver 'oncall' (e-mail) refused every address (code 550): check the addresses in 'to'"
    assert not error.retryable
    server.box.says_to = {"oncall@example.com": "550 no such user", "ana@example.com": "451 later"}
    error = refusal(connect_mail(server), announce())
    assert error.retryable
    assert "(code 451, 550): trying again later" in str(error)


def test_one_refused_address_of_two_is_logged_and_the_mail_is_told(server, connect_mail, announce):
    server.box.says_to = {"ana@example.com": "550 no such user"}
    with structlog.testing.capture_logs() as logged:
        send(connect_mail(server), announce())
    assert [(entry["event"], entry["refused"], entry["codes"]) for entry in logged] == [
        ("mail_address_refused", 1, [550])
    ]
    assert len(server.box.mails) == 1


def test_a_wrong_password(server, connect_mail, announce):
    connection = replace(connect_mail(server), secrets={"password": lambda: "this-is-the-secret-but-wrong"})
    error = refusal(connection, announce())
    assert "did not accept the log-in (code 535): check 'user' and the password" in str(error)
    assert not error.retryable


def test_a_server_without_starttls_is_not_sent_to_in_clear(start_smtp, connect_mail, announce):
    server = start_smtp()
    error = refusal(connect_mail(server, user=None), announce())
    assert "lacks what the receiver's section asks of it (STARTTLS" in str(error)
    assert not error.retryable
    assert server.box.mails == []


def test_a_certificate_that_is_not_trusted(server, connect_mail, announce):
    error = refusal(connect_mail(server, ca_file=None), announce())
    assert "cannot be reached over TLS (is its certificate trusted here?" in str(error)
    assert error.retryable


def test_a_name_that_is_not_the_certificates(server, connect_mail, announce):
    assert "over TLS" in str(refusal(connect_mail(server, host="localhost"), announce()))


def test_a_plain_server_where_tls_is_wanted(start_smtp, connect_mail, announce):
    error = refusal(connect_mail(start_smtp(), security="tls", user=None), announce())
    assert error.retryable


def test_a_ca_file_that_holds_no_certificates_is_not_taken_for_a_server_that_is_not_trusted(
    server, connect_mail, announce, tmp_path
):
    (tmp_path / "own.pem").write_text("this-is-the-secret, and no certificate")
    error = refusal(connect_mail(server, ca_file=tmp_path / "own.pem"), announce())
    assert "has a 'ca_file' that cannot be read (it holds no certificates in PEM); trying again later" in str(error)
    assert error.retryable
    assert "that cannot be read (Is a directory)" in str(refusal(connect_mail(server, ca_file=tmp_path), announce()))


def test_a_ca_file_that_is_not_there(server, connect_mail, announce, tmp_path):
    error = refusal(connect_mail(server, ca_file=tmp_path / "none.pem"), announce())
    assert "has a 'ca_file' that is not there" in str(error)


def test_a_name_that_does_not_resolve(server, connect_mail, announce, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = refusal(connect_mail(server, host="no-such-host.invalid"), announce())
    assert "has a host name that cannot be resolved; trying again later" in str(error)
    assert error.retryable


def test_a_network_that_is_away(server, connect_mail, announce, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", fail)
    error = refusal(connect_mail(server), announce())
    assert "could not be reached (Network is unreachable); trying again later" in str(error)
    assert error.retryable


def test_a_server_that_hangs_up(http_server, connect_mail, announce, start_smtp):
    """Something that speaks another language: its first line is no greeting."""
    server = start_smtp()
    http_port = int(http_server.url.rpartition(":")[2])
    error = refusal(connect_mail(server, port=http_port, security="none", user=None), announce())
    assert error.retryable


def test_a_server_that_drips_words_does_not_hold_the_outbox(connect_mail, announce, start_smtp):
    """Each piece comes within the limit of one read, and all of them together do not."""
    server = start_smtp()
    done = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def drip():
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                while not done.wait(0.05):
                    connection.sendall(b"2")

        thread = threading.Thread(target=drip)
        thread.start()
        options = {"port": listener.getsockname()[1], "security": "none", "user": None}
        connection = replace(connect_mail(server, **options), timeout_s=0.15)

        async def attempt():
            try:
                await EmailNotifier(connection).send(announce())
            finally:
                done.set()  # lets the abandoned thread end

        with pytest.raises(DeliveryError, match="did not finish answering in time; trying again later"):
            asyncio.run(attempt())
        thread.join()


@pytest.mark.parametrize("says", ["500 what?", "421 bye", None])
def test_a_mail_that_was_taken_is_told_whatever_the_server_says_at_the_end(
    server, connect_mail, announce, monkeypatch, says
):
    """Each attempt was another mail: its end was asked for once more, and the answer taken for a refusal."""

    async def part(_self, smtp, _session, _envelope):
        if says is None:
            smtp.transport.abort()
        return says or "221 bye"

    monkeypatch.setattr(type(server.box), "handle_QUIT", part, raising=False)
    send(connect_mail(server), announce())
    assert len(server.box.mails) == 1


def test_a_server_whose_reply_never_ends_is_left(talks, connect_mail, announce, start_smtp):
    options = {"port": talks(b"220-and another line\r\n" * 100), "security": "none", "user": None}
    error = refusal(connect_mail(start_smtp(), **options), announce())
    assert "hung up" in str(error)
    assert error.retryable


def test_a_server_that_drips_words_keeps_no_thread(talks, connect_mail, announce, start_smtp):
    """A thread for each attempt was kept for as long as it dripped, until none was left for anything else."""
    options = {"port": talks(b"2", pause_s=0.02), "security": "none", "user": None}
    connection = replace(connect_mail(start_smtp(), **options), timeout_s=0.1)
    with pytest.raises(DeliveryError, match="in time"):
        asyncio.run(EmailNotifier(connection).send(announce()))  # waits for the thread


def test_a_mail_is_not_finished_after_the_time_is_up(server, connect_mail, announce, monkeypatch):
    """Given up while the server thinks about the sender, it must not go out: it is sent again."""

    async def think(_self, _server, _session, envelope, address, _options):
        await asyncio.sleep(0.5)
        envelope.mail_from = address
        return "250 OK"

    monkeypatch.setattr(type(server.box), "handle_MAIL", think, raising=False)

    async def attempt():
        async with asyncio.timeout(0.3):  # as the outbox does
            await EmailNotifier(connect_mail(server)).send(announce())

    with pytest.raises(TimeoutError):
        asyncio.run(attempt())  # waits for the thread
    assert server.box.mails == []


def test_a_thread_that_gets_its_turn_too_late_says_so(server, connect_mail, announce):
    notifier = EmailNotifier(connect_mail(server))
    deadline = Deadline(60.0)
    deadline.end()
    with pytest.raises(DeliveryError, match="did not finish answering in time"):
        notifier._submit(notifier._mail("<1@example.com>", "s", compose(announce())), None, "", deadline)
    assert server.box.logins == []


def test_a_server_that_hangs_up_in_the_middle(server, connect_mail, announce, monkeypatch):
    async def hang_up(_self, server, _session, _envelope, _address, _options):
        server.transport.abort()
        return "250 OK"

    monkeypatch.setattr(type(server.box), "handle_MAIL", hang_up, raising=False)
    error = refusal(connect_mail(server), announce())
    assert error.retryable
    assert "trying again later" in str(error)


@pytest.mark.parametrize("security", ["none", "tls"])
def test_silence_of_the_server(start_smtp, connect_mail, announce, security):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        options = {"port": listener.getsockname()[1], "security": security, "user": None}
        connection = replace(connect_mail(start_smtp(), **options), timeout_s=0.2)
        error = refusal(connection, announce())
    assert "(e-mail) did not answer within 0.2 s; trying again later" in str(error)
    assert error.retryable


def test_a_message_without_steps_is_shown_without_them():
    html = render_html(Message(title="A", tone=Tone.GOOD, summary=("B.",), footer="c"))
    assert "Next" not in html
    assert "What changed" not in html


def test_a_refused_sender(server, connect_mail, announce, monkeypatch):
    async def refuse(_self, _server, _session, _envelope, _address, _options):
        return "553 not from you"

    monkeypatch.setattr(type(server.box), "handle_MAIL", refuse, raising=False)
    assert "refused the sender (code 553): check 'from'" in str(refusal(connect_mail(server), announce()))
