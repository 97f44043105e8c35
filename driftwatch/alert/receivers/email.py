"""Tells by e-mail through an SMTP server: text and HTML, one thread for each group.

Every message of a group has the subject of the first, and names the first in ``In-Reply-To`` and ``References``: that
is what mail programs build threads from. The text's first line says what is new, which a list of messages shows.

Source: RFC 5322, 3.6.4 (Message-ID, In-Reply-To, References); RFC 3834, 5 (Auto-Submitted); RFC 5321, 4.2.1 (4yz may
pass, 5yz will not); RFC 3207 (STARTTLS).
"""

from __future__ import annotations

import io
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, ClassVar, NoReturn

import structlog

from driftwatch.alert import document
from driftwatch.alert.message import Message, compose, compose_digest
from driftwatch.alert.receiver import FOR_PEOPLE, ReceiverConnection
from driftwatch.alert.receivers.console import render_text
from driftwatch.alert.receivers.deadline import Deadline, TooLate, in_thread
from driftwatch.alert.receivers.email_html import render_html
from driftwatch.alert.receivers.failing import NOT_IN_TIME, fail, fail_unreached, required
from driftwatch.alert.text import line
from driftwatch.clock import WallClock
from driftwatch.domain import Announcement, Event, Json

_SUBJECT = 150
"""Characters; longer ones are cut by mail programs."""
_PERMANENT = 500
_QUIT_S = 2.0
"""Seconds for the answer to the last word, which changes nothing any more."""
_MOST_SAID_BYTES = 262_144
"""Heard of a server in one session at most."""
_IGNORED_ID = re.compile(r"[^A-Za-z0-9-]+")


class _Hearing(io.RawIOBase):
    """What a server says, until it is too late or too much: smtplib waits for each byte anew, and for any number."""

    def __init__(self, sock: socket.socket, limit_s: Callable[[], float]) -> None:
        self._sock, self._limit_s, self._left = sock, limit_s, _MOST_SAID_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._limit_s())
        n_bytes = self._sock.recv_into(buffer)
        self._left -= n_bytes
        if self._left < 0:
            sentence = "the server does not end"
            raise OSError(sentence)
        return n_bytes


class _Smtp(smtplib.SMTP):
    """Says nothing more to the server when it is too late: a mail whose end is not sent is no mail to it."""

    def __init__(self, host: str, port: int, *, timeout_s: float, deadline: Deadline, **more: Any) -> None:
        self._limit_s, self._deadline = timeout_s, deadline
        super().__init__(host, port, timeout=deadline.within(timeout_s), **more)

    def send(self, s: Any) -> None:
        """Everything that is said goes through here."""
        try:
            limit_s = self._deadline.within(self._limit_s)
        except TooLate:
            self.close()
            sentence = "it is too late"
            raise smtplib.SMTPServerDisconnected(sentence)  # noqa: B904 - the context is read when it is told
        if self.sock is not None:
            self.sock.settimeout(limit_s)
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Everything that is heard goes through here."""
        if self.file is None and self.sock is not None:  # None again after STARTTLS
            self.file = io.BufferedReader(_Hearing(self.sock, lambda: self._deadline.within(self._limit_s)))
        return super().getreply()

    def leave(self) -> None:
        """End the session, whatever the server says to that: a mail that it has taken must not be sent again."""
        self._limit_s = min(self._limit_s, _QUIT_S)
        with suppress(smtplib.SMTPException, OSError):
            self.quit()
        self.close()


class _SmtpOverTls(_Smtp, smtplib.SMTP_SSL):
    """Over TLS from the start."""


class EmailNotifier:
    """Sends each edge as one message."""

    events: ClassVar[frozenset[Event]] = FOR_PEOPLE

    def __init__(self, connection: ReceiverConnection, now: Callable[[], datetime] | None = None) -> None:
        self._connection, self._now = connection, now or WallClock().now

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Send it.

        Raises:
            DeliveryError: retryable for 4yz answers and an unreachable server; 5yz answers are permanent.
        """
        message, id_ = compose(announcement), self._id(announcement.dedup_key, announcement.key)
        first, subject = (str((announcement.receipt or {}).get(key) or "") for key in ("message_id", "subject"))
        if first and subject:
            await self._deliver(self._mail(id_, f"Re: {_subject(subject)}", message, answers=line(first, 250)))
            return None
        subject = _subject(f"[driftwatch {announcement.lead.id}] {message.title}")
        await self._deliver(self._mail(id_, subject, message))
        return {"message_id": id_, "subject": subject}

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        """Send one message for all.

        Raises:
            DeliveryError: as for ``send``.
        """
        message = compose_digest(announcements)
        id_ = self._id(document.digest_key(announcements), "")
        await self._deliver(self._mail(id_, _subject(f"[driftwatch] {message.title}"), message))

    def _mail(self, id_: str, subject: str, message: Message, answers: str | None = None) -> EmailMessage:
        options = self._connection.options
        mail = EmailMessage(policy=SMTP)
        # A line break in a header would let a target's name add recipients: `line` folds it, the policy refuses it.
        mail["From"] = line(str(options["sender"]), 250)
        mail["To"] = ", ".join(line(str(address), 250) for address in options["to"])
        mail["Subject"] = subject
        mail["Date"] = format_datetime(self._now())
        mail["Message-ID"] = id_
        if answers:
            mail["In-Reply-To"] = mail["References"] = answers
        # So that no vacation notice answers, and no ticket system opens a loop.
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        mail.set_content(render_text(message, width=76), cte="quoted-printable")
        mail.add_alternative(render_html(message), subtype="html", cte="quoted-printable")
        return mail

    def _id(self, dedup_key: str, group_key: str) -> str:
        """The same over every attempt, so that mail programs drop a repeat."""
        found = re.search(r"@([A-Za-z0-9.-]+)", str(self._connection.options["sender"]))
        return f"<{_word(dedup_key)}.{_word(group_key)}@{found[1] if found else 'driftwatch.invalid'}>"

    async def _deliver(self, mail: EmailMessage) -> None:
        options = self._connection.options
        user = options.get("user")
        password = required(self._connection, "e-mail", "password", "password") if user else ""
        try:
            await in_thread(
                lambda deadline: self._submit(mail, user, password, deadline), limit_s=3 * self._connection.timeout_s
            )
        except TimeoutError:
            self._fail(NOT_IN_TIME, True)

    def _submit(self, mail: EmailMessage, user: str | None, password: str, deadline: Deadline) -> None:
        """One SMTP session."""
        try:
            server = self._connected(deadline)
            try:
                if user:
                    server.login(str(user), password)
                refused = server.send_message(mail)
            finally:
                server.leave()
        except smtplib.SMTPException as error:
            self._refused(error)
        except (OSError, ValueError) as error:
            self._unreached(error)
        if refused:  # the others have it: another attempt would send it to them twice
            codes = sorted({code for code, _ in refused.values()})
            structlog.get_logger().warning(
                "mail_address_refused", receiver=self._connection.name, refused=len(refused), codes=codes
            )

    def _connected(self, deadline: Deadline) -> _Smtp:
        options, timeout_s = self._connection.options, self._connection.timeout_s
        host, port, security = str(options["host"]), int(options.get("port", 587)), options.get("security", "starttls")
        if security == "none":
            return _Smtp(host, port, timeout_s=timeout_s, deadline=deadline)
        context = self._trust(options.get("ca_file"))
        if security == "tls":
            return _SmtpOverTls(host, port, timeout_s=timeout_s, deadline=deadline, context=context)
        server = _Smtp(host, port, timeout_s=timeout_s, deadline=deadline)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server

    def _trust(self, ca_file: Json) -> ssl.SSLContext:
        """Whom TLS trusts. Retryable when it cannot be read: whoever mends the file wants the pages that waited."""
        try:
            return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except FileNotFoundError:
            self._fail("has a 'ca_file' that is not there; trying again later", True)
        except OSError as error:  # ssl.SSLError is one
            why = "it holds no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            self._fail(f"has a 'ca_file' that cannot be read ({why}); trying again later", True)

    def _refused(self, error: smtplib.SMTPException) -> NoReturn:
        """The server's codes are told, not its words: they may repeat what was sent."""
        if isinstance(error, smtplib.SMTPNotSupportedError):
            self._fail(
                "lacks what the receiver's section asks of it (STARTTLS, a log-in or other letters than ASCII in "
                "addresses): check 'security', 'user' and the addresses",
                False,
            )
        if isinstance(error, smtplib.SMTPAuthenticationError):
            is_final = error.smtp_code >= _PERMANENT
            rest = "check 'user' and the password" if is_final else "trying again later"
            self._fail(f"did not accept the log-in (code {error.smtp_code}): {rest}", not is_final)
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            codes = sorted({code for code, _ in error.recipients.values()})
            is_final = all(code >= _PERMANENT for code in codes)
            rest = "check the addresses in 'to'" if is_final else "trying again later"
            self._fail(f"refused every address (code {', '.join(map(str, codes))}): {rest}", not is_final)
        if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0:
            is_final = error.smtp_code >= _PERMANENT
            what = "the sender" if isinstance(error, smtplib.SMTPSenderRefused) else "the message"
            rest = "check 'from' and what the server allows" if is_final else "trying again later"
            self._fail(f"refused {what} (code {error.smtp_code}): {rest}", not is_final)
        if isinstance(error.__context__, TimeoutError):  # the client takes silence for the end of the connection
            self._unreached(error.__context__)
        self._fail(f"hung up ({type(error).__name__}); trying again later", True)

    def _unreached(self, error: Exception) -> NoReturn:
        if isinstance(error, TooLate):
            self._fail(NOT_IN_TIME, True)
        fail_unreached(self._connection, "e-mail", error)

    def _fail(self, what: str, retryable: bool) -> NoReturn:
        fail(self._connection, "e-mail", what, retryable=retryable)


def _subject(text: str) -> str:
    return line(text, _SUBJECT)


def _word(text: str) -> str:
    """A part of a Message-ID."""
    return _IGNORED_ID.sub("-", text).strip("-") or "0"
