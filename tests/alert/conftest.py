"""Incidents with their announcements, and a Slack of this machine's own that can be told how to answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from driftwatch.domain import (
    Announcement,
    Incident,
    IncidentState,
    Kind,
    Transition,
)

OPENED = datetime(2026, 3, 16, 14, 0, tzinfo=UTC)
PAIR = {
    "canary_id": "support/refund",
    "prompt": "A customer asks for a refund after 40 days. Reply as JSON with the keys decision and reason.",
    "before": '{"decision": "refuse", "reason": "The 30-day window has passed."}',
    "after": (
        "Sure! Here is the JSON you asked for:\n```json\n"
        '{"decision": "refuse", "reason": "Unfortunately the refund window of 30 days has already passed, '
        'so we cannot grant it."}\n```\nLet me know if I can help with anything else! 😊'
    ),
    "before_completion_id": 4711,
    "after_completion_id": 8210,
}
EVIDENCE: dict[Kind, dict[str, Any]] = {
    Kind.BEHAVIOUR: {
        "headline": "support-bot behaves differently since Mon 16 Mar 09:00 UTC (6 runs until the alarm)",
        "kind_of_change": [
            {"kind": "longer", "text": "Replies got 2.1 times as long", "why": "median 31 → 66 words"},
            {"kind": "JSON broken", "text": "JSON replies are broken (98 % → 61 % parse)", "why": "98 % → 61 %"},
            {"kind": "refuses more", "text": "The model refuses more (8 % → 21 %)", "why": "refusals 8 % → 21 %"},
        ],
        "changes": [
            "replies that parse as JSON: 98 % → 61 % (−37 points [−45, −29])",
            "replies are 113 % longer [94, 131] (median 31 → 66 words)",
        ],
        "affected": {"n": 12, "of": 14, "names": ["support/refund"]},
        "onset_at": "2026-03-16T09:00:00+00:00",
        "alarm_at": "2026-03-16T14:00:00+00:00",
        "runs_since_onset": 6,
        "evidence": 41_327.2,
        "threshold": 17_532.0,
        "alarm_budget": "at most one false alarm per year",
        "channels": [
            {
                "name": "wording",
                "share": 0.62,
                "calibration_mean": 0.21,
                "since_onset_mean": 0.48,
                "calibration_high": 0.26,
            },
            {
                "name": "checks",
                "share": 0.3,
                "calibration_mean": 0.01,
                "since_onset_mean": 0.33,
                "calibration_high": 0.04,
            },
            {"name": "shape", "share": 0.08},
        ],
        "canaries": [
            {
                "id": "support/refund",
                "channel": "wording",
                "before_mean": 0.2,
                "after_mean": 0.61,
                "is_affected": True,
            },
            {"id": "support/tone", "channel": "wording", "before_mean": 0.2, "after_mean": 0.22},
        ],
        "pair": PAIR,
        "served_model": {"before": "gpt-4o-2024-08-06", "after": "gpt-4o-2024-11-20"},
        "performance_also": True,
        "owner": "team-support",
        "baseline": {"id": 3, "author": "ana", "at": "2026-03-02T10:00:00+00:00"},
        "model": "gpt-4o",
        "provider": "openai",
    },
    Kind.PERFORMANCE: {
        "headline": "support-bot answers more slowly since Mon 16 Mar 09:00 UTC (6 runs until the alarm)",
        "evidence": 1e12,
        "threshold": 17_532.0,
        "channels": [{"name": "latency", "share": 1.0, "calibration_mean": 0.51, "since_onset_mean": 0.62}],
        "model": "gpt-4o",
        "provider": "openai",
    },
    Kind.AVAILABILITY: {
        "headline": "support-bot cannot be measured since Mon 16 Mar 09:00 UTC",
        "outcomes": {"timeout": 30, "rate_limited": 12},
        "last_error": "the endpoint did not answer within 60 s",
        "failing_since": "2026-03-16T09:00:00+00:00",
        "model": "gpt-4o",
        "provider": "openai",
    },
    Kind.TRIPWIRE: {
        "headline": "support-bot names another model: m-1 → m-2, since Mon 16 Mar 09:00 UTC",
        "changes": ["The endpoint names another model: m-1 → m-2, since Mon 16 Mar 09:00 UTC, on all canaries."],
        "model": "gpt-4o",
        "provider": "openai",
    },
}

MakeIncident = Callable[..., Incident]
Announce = Callable[..., Announcement]


@pytest.fixture
def make_incident() -> MakeIncident:
    """An incident of support-bot; keywords override."""

    def make(kind: Kind = Kind.BEHAVIOUR, **changes: Any) -> Incident:
        values: dict[str, Any] = {
            "id": 12,
            "target": "support-bot",
            "kind": kind,
            "state": IncidentState.OPEN,
            "opened_at": OPENED,
            "onset_at": OPENED - timedelta(hours=5),
            "baseline_id": 3,
            "run_id": 900,
            "evidence": EVIDENCE[kind],
        }
        return Incident(**values | changes)

    return make


@pytest.fixture
def announce(make_incident: MakeIncident) -> Announce:
    """The announcement of one edge of such an incident."""

    def make(
        kind: Kind = Kind.BEHAVIOUR,
        after: IncidentState = IncidentState.OPEN,
        *,
        author: str = "driftwatch",
        reason: str = "behaviour is back within calibration",
        **changes: Any,
    ) -> Announcement:
        is_opening = after is IncidentState.OPEN
        transition = Transition(
            id=30,
            incident_id=12,
            before=None if is_opening else IncidentState.OPEN,
            after=after,
            at=OPENED if is_opening else OPENED + timedelta(hours=5, minutes=10),
            author=author,
            reason=reason,
        )
        return Announcement(
            incident=make_incident(kind, state=after, **changes),
            transition=transition,
            dedup_key="30:oncall",
            owner="team-support",
        )

    return make


@dataclass
class Answer:
    """What the local Slack says next."""

    status: int = 200
    body: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    drips: bool = False


@dataclass
class LocalSlack:
    """A server on the loopback interface; ``answers`` are used up in order, the last one stays."""

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def says(self, status: int = 200, body: str = "ok", **more: Any) -> None:
        """Answer so from now on."""
        self.answers = [Answer(status, body, **more)]

    @property
    def received(self) -> dict[str, Any]:
        """The JSON body of the only request."""
        ((_, _, body),) = self.requests
        return body


def handler_of(slack: LocalSlack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            slack.requests.append((self.path, dict(self.headers), json.loads(body)))
            answer = slack.answers.pop(0) if len(slack.answers) > 1 else slack.answers[0]
            if answer.hangs:
                slack.closing.wait(10)
                return
            payload = answer.body.encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            try:
                for piece in payload.split(b" ") if answer.drips else [payload]:
                    self.wfile.write(piece)
                    if answer.drips:
                        slack.closing.wait(0.05)
            except OSError:  # the client has given up, which is what some of these want
                pass

        def do_GET(self) -> None:
            """Where a redirect leads."""
            self.send_response(200)
            self.send_header("Content-Length", "12")
            self.end_headers()
            self.wfile.write(b"<html>log in")

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def local_slack() -> Iterator[LocalSlack]:
    """A running server and what it was sent."""
    slack = LocalSlack()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(slack))
    slack.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    yield slack
    slack.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()
