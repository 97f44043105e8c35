"""A counterpart of every receiver on this machine, that can be told to take messages, refuse them, hang or be away."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from driftwatch.alert.receivers import NOTIFIERS, ReceiverConnection
from driftwatch.domain import Announcement, Event, IncidentState

SECRET = "this-is-the-secret"  # noqa: S105 - made up, to be looked for in every error
PASSWORD = "this-is-the-secret-p4ssw0rd"  # noqa: S105 - likewise
SIGNING_KEY = "whsec_dGhpcy1pcy10aGUtc2VjcmV0LWtleS1vZi0zMi1ieXRlcw=="
TIMEOUT_S = 5.0
"""Long enough for a busy machine; where silence is the point, ``IMPATIENT_S``."""
IMPATIENT_S = 0.3
NOW = datetime(2026, 3, 16, 20, 0, tzinfo=UTC)


# ---------------------------------------------------------------- over HTTP


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    drips: bool = False


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HttpServer:
    """Records requests and answers with ``replies``, used up in order; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.replies = [Reply()]
        self.decide: Callable[[Request], tuple[int, Any]] | None = None
        """Answers instead of ``replies``."""
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                request = Request(self.command, self.path, dict(self.headers), body)
                outer.requests.append(request)
                reply = outer.replies.pop(0) if len(outer.replies) > 1 else outer.replies[0]
                if outer.decide:
                    status, said = outer.decide(request)
                    reply = Reply(status, json.dumps(said).encode())
                if reply.hangs:
                    outer.closing.wait(10)
                    return
                with suppress(OSError):  # the client may give up, which is what some of these want
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    for piece in [reply.body[n : n + 1] for n in range(60)] if reply.drips else [reply.body]:
                        self.wfile.write(piece)
                        if reply.drips and outer.closing.wait(0.05):
                            break

            do_PATCH = do_POST  # noqa: N815 - http.server's names
            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=lambda: self.server.serve_forever(poll_interval=0.01))
        self.thread.start()

    def says(self, status: int = 200, body: bytes | str = b"", **more: Any) -> None:
        self.replies = [Reply(status, body.encode() if isinstance(body, str) else body, **more)]

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A server on the loopback interface."""
    server = HttpServer()
    yield server
    server.close()


# ---------------------------------------------------------------- SMTP


class Mailbox:
    """What an SMTP server got, and what it says."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.envelopes: list[Any] = []
        self.says = "250 Message accepted for delivery"
        self.says_to: dict[str, str] = {}
        self.logins: list[tuple[bytes, bytes]] = []
        self.hang = threading.Event()
        self.hangs = False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.says_to:
            return self.says_to[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        if self.hangs:
            await asyncio.sleep(0.9)  # longer than anybody impatient waits
        if self.says.startswith("250"):
            self.envelopes.append(envelope)
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.says

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, auth_data: Any) -> AuthResult:
        self.logins.append((auth_data.login, auth_data.password))
        return AuthResult(success=auth_data.password == PASSWORD.encode(), handled=False)


@dataclass
class SmtpServer:
    """A running aiosmtpd."""

    box: Mailbox
    port: int
    ca_file: Path


StartSmtp = Callable[..., SmtpServer]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs certificates for 127.0.0.1 that nobody but these tests trusts."""
    return trustme.CA()


@pytest.fixture
def start_smtp(authority: trustme.CA, tmp_path: Path) -> Iterator[StartSmtp]:
    """Start real SMTP servers: plain, with STARTTLS, with TLS from the first byte, with a log-in."""
    running: list[Controller] = []
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))

    def start(*, security: str = "none", login: bool = False) -> SmtpServer:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        box = Mailbox()
        options: dict[str, Any] = {
            "hostname": "127.0.0.1",
            "authenticator": box.authenticate,
            "auth_required": login and security == "starttls",
            "auth_require_tls": security == "starttls",
        }
        if security == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        if security == "tls":
            options |= {"ssl_context": context}
        controller = Fixed(box, **options)
        controller.start()
        running.append(controller)
        return SmtpServer(box, controller.real_port, ca_file)

    yield start
    for controller in running:
        controller.stop(no_assert=True)


class Fixed(Controller):
    """aiosmtpd asks its own port whether it is up, which cannot be 0; so the port is taken first."""

    def __init__(self, handler: Any, **options: Any) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.real_port = taken.getsockname()[1]
        super().__init__(handler, port=self.real_port, **options)

    def _trigger_server(self) -> None:
        """Its own check that the server is up cannot speak TLS; a plain connection is enough."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.real_port), 0.2):
                return
            time.sleep(0.01)


# ---------------------------------------------------------------- every receiver


@pytest.fixture
def talks() -> Iterator[Callable[..., int]]:
    """A server that says the same for as long as anybody listens, whatever it hears; its port."""
    ended, threads = threading.Event(), list[threading.Thread]()

    def start(words: bytes, *, first: bytes = b"", pause_s: float = 0.0) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def talk() -> None:
            connection, _ = listener.accept()
            with listener, connection, suppress(OSError):
                connection.sendall(first)
                while not ended.wait(pause_s):
                    connection.sendall(words)

        threads.append(threading.Thread(target=talk))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield start
    ended.set()
    for thread in threads:
        thread.join()


@dataclass
class Counterpart:
    """One receiver with its other side."""

    connection: ReceiverConnection
    kind: str
    taken: Callable[[], list[str]]
    """Everything the other side took so far, as text."""
    refuse: Callable[[], None] | None = None
    """For good."""
    trouble: Callable[[], None] | None = None
    """For now."""
    hang: Callable[[], None] | None = None
    away: Callable[[], ReceiverConnection] | None = None
    """A connection on which nobody answers."""
    server: HttpServer | None = None
    is_http: bool = False

    @property
    def notifier(self) -> Any:
        return NOTIFIERS[self.kind](self.connection)

    def grow_impatient(self) -> None:
        self.connection = replace(self.connection, timeout_s=IMPATIENT_S)

    def send(self, announcement: Announcement) -> Any:
        return asyncio.run(self.notifier.send(announcement))

    def digest(self, announcements: list[Announcement]) -> None:
        asyncio.run(self.notifier.send_digest(announcements))


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
PATH = f"/hooks/T0/{SECRET}"
THANKS = {
    "alertmanager": Reply(200),
    "discord": Reply(200, b'{"id":"1234567890"}'),
    "pagerduty": Reply(202, b'{"status":"success","message":"Event processed","dedup_key":"k"}'),
    "slack-bot": Reply(200, b'{"ok":true,"ts":"1.2","channel":"C1"}'),
    "slack-webhook": Reply(200, b"ok"),
    "teams": Reply(202),
    "webhook": Reply(204),
}


def http_connection(way: str, url: str) -> ReceiverConnection:
    """How a receiver reaches a server of this machine's own."""
    secrets: dict[str, str] = {
        "alertmanager": {"authorization": f"Bearer {SECRET}"},
        "discord": {"webhook_url": url + PATH},
        "pagerduty": {"routing_key": SECRET},
        "slack-bot": {"bot_token": f"xoxb-{SECRET}"},
        "slack-webhook": {"webhook_url": url + PATH},
        "teams": {"webhook_url": f"{url}{PATH}?sig={SECRET}"},
        "webhook": {"url": url + PATH, "signing_key": SIGNING_KEY, "headers.X-Token": SECRET},
    }[way]
    options: dict[str, Any] = {
        "alertmanager": {"base_url": url, "labels": {"env": "test"}},
        "pagerduty": {"base_url": url},
        "slack-bot": {"channel": "C1", "base_url": f"{url}/api"},
        "webhook": {"headers": {"X-Token": "ALERT_TOKEN"}},
    }.get(way, {})
    return ReceiverConnection(
        name="oncall",
        secrets={name: lambda value=value: value for name, value in secrets.items()},
        options=options,
        timeout_s=TIMEOUT_S,
    )


COMMAND = """
import json, os, sys, time
mode = open({mode!r}).read()
if mode == "hangs":
    time.sleep(30)
said = sys.stdin.buffer.read()
if mode != "takes":
    print("first line", file=sys.stderr)
    print("the pager is " + mode, file=sys.stderr)
    sys.exit({{"busy": 75, "broken": 3}}[mode])
with open({taken!r}, "ab") as out:
    out.write(said + b"\\n")
with open({taken!r} + ".env", "a") as out:
    out.write(json.dumps(dict(os.environ)) + "\\n")
"""


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def counterpart(tmp_path: Path, start_smtp: StartSmtp) -> Iterator[Callable[[str], Counterpart]]:
    """The other side of a receiver, by its way."""
    closing: list[HttpServer] = []

    def over_http(way: str) -> Counterpart:
        server = HttpServer()
        closing.append(server)
        server.replies = [THANKS[way]]
        return Counterpart(
            http_connection(way, server.url),
            way.partition("-")[0],
            taken=lambda: [request.body.decode() for request in server.requests],
            refuse=lambda: server.says(404, json.dumps({"message": SECRET, "error": SECRET})),
            trouble=lambda: server.says(503, f"down {SECRET}", headers={"Retry-After": "7"}),
            hang=lambda: server.says(hangs=True),
            away=lambda: http_connection(way, f"http://127.0.0.1:{unused_port()}"),
            server=server,
            is_http=True,
        )

    def command() -> Counterpart:
        mode, taken, script = tmp_path / "mode", tmp_path / "taken", tmp_path / "page.py"
        mode.write_text("takes")
        script.write_text(COMMAND.format(mode=str(mode), taken=str(taken)))
        connection = ReceiverConnection(
            name="oncall", options={"command": (sys.executable, "-S", str(script))}, timeout_s=5.0
        )
        return Counterpart(
            connection,
            "command",
            taken=lambda: taken.read_text().splitlines() if taken.exists() else [],
            refuse=lambda: mode.write_text("broken") and None,
            trouble=lambda: mode.write_text("busy") and None,
            hang=lambda: mode.write_text("hangs") and None,
            away=lambda: replace(connection, options={"command": (str(tmp_path / "nobody"),)}),
        )

    def email() -> Counterpart:
        server = start_smtp(security="starttls", login=True)
        box = server.box
        connection = mail_connection(server)

        def away() -> ReceiverConnection:
            return replace(connection, options={**connection.options, "port": unused_port()})

        return Counterpart(
            connection,
            "email",
            taken=lambda: [mail.get_body(("plain",)).get_content() + str(mail["Subject"]) for mail in box.mails],
            refuse=lambda: setattr(box, "says", f"554 no {SECRET}"),
            trouble=lambda: setattr(box, "says", f"451 later {SECRET}"),
            hang=lambda: setattr(box, "hangs", True),
            away=away,
        )

    def console() -> Counterpart:
        written: list[str] = []
        connection = ReceiverConnection(name="oncall", write=written.append)

        def closed(_: str) -> None:
            raise ValueError("I/O operation on closed file")

        return Counterpart(connection, "console", taken=lambda: written, away=lambda: replace(connection, write=closed))

    def make(way: str) -> Counterpart:
        if way in OVER_HTTP:
            return over_http(way)
        return {"command": command, "email": email, "console": console}[way]()

    yield make
    for server in closing:
        server.close()


def mail_connection(server: SmtpServer, **changes: Any) -> ReceiverConnection:
    """The e-mail receiver of a server that asks for STARTTLS and a log-in; options override."""
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "starttls",
        "sender": "driftwatch <driftwatch@example.com>",
        "to": ("oncall@example.com", "Ana <ana@example.com>"),
        "user": "driftwatch",
        "ca_file": server.ca_file,
    }
    return ReceiverConnection(
        name="oncall", secrets={"password": lambda: PASSWORD}, options=options | changes, timeout_s=TIMEOUT_S
    )


@pytest.fixture
def connect_mail() -> Callable[..., ReceiverConnection]:
    return mail_connection


@pytest.fixture
def connect() -> Callable[[str, str], ReceiverConnection]:
    """The connection of a receiver to a server, by its way and the server's address."""
    return http_connection


# ---------------------------------------------------------------- what is told


@pytest.fixture
def edges(announce: Any, make_incident: Any) -> dict[str, Announcement]:
    """Every kind of edge, of one incident or of a group of three targets."""

    def member(number: int, **changes: Any) -> Any:
        part_of = None if number == 0 else 12
        return make_incident(id=12 + number, target=f"target-{number}", part_of=part_of, **changes)

    resolved = {"state": IncidentState.RESOLVED, "resolved_at": NOW - timedelta(hours=1)}
    three = tuple(map(member, range(3)))
    over = tuple(member(number, **resolved) for number in range(3))
    return {
        "opened": announce(),
        "joined": announce(event=Event.JOINED, told={"group": three, "incident": three[2]}),
        "escalated": announce(event=Event.ESCALATED, told={"group": three, "incident": three[0]}),
        "reopened": announce(event=Event.REOPENED, n_reopened=1),
        "reminded": announce(event=Event.REMINDED),
        "acknowledged": announce(after=IncidentState.ACKNOWLEDGED, author="ana", reason="on it", acknowledged_at=NOW),
        "commented": announce(event=Event.COMMENTED, author="ana", reason="asked the provider"),
        "member resolved": announce(
            event=Event.RESOLVED, told={"group": (three[0], over[1], three[2]), "incident": over[1]}
        ),
        "resolved": announce(after=IncidentState.RESOLVED, resolved_at=NOW - timedelta(hours=1)),
        "group resolved": announce(event=Event.RESOLVED, told={"group": over, "incident": over[2]}),
    }
