"""Incidents with their announcements, and a Slack of this machine's own that can be told how to answer."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from driftwatch.alert.policy import SEVERITIES
from driftwatch.domain import (
    WATCH,
    Announcement,
    Event,
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
        "wire": "served_model",
        "changes": ["The endpoint names another model: m-1 → m-2, since Mon 16 Mar 09:00 UTC, on all canaries."],
        "model": "gpt-4o",
        "provider": "openai",
    },
    Kind.WATCH_ITSELF: {
        "headline": "driftwatch cannot write: the disk of /var/lib/driftwatch is full, since Mon 16 Mar 09:00 UTC",
        "changes": ["12 MB are left of 20 GB."],
        "steps": [{"command": "df -h /var/lib/driftwatch", "meaning": "shows what is left"}],
    },
}
ATTRIBUTION = {
    "verdict": "provider",
    "summary": "The provider's: the same model at another host moved too, and the frozen control did not.",
    "reasons": [
        {"text": "control azure-support (the same model elsewhere) drifted 2 h later.", "points_to": "provider"},
        {"text": "control llama-local (frozen weights) did not move.", "points_to": "provider"},
        {"text": "nothing changed in driftwatch's settings since 2 Mar 2026.", "points_to": "provider"},
        {"text": "the network had no trouble.", "points_to": "provider"},
    ],
}

MakeIncident = Callable[..., Incident]
Announce = Callable[..., Announcement]


def an_incident(kind: Kind = Kind.BEHAVIOUR, **changes: Any) -> Incident:
    """One of support-bot, or of the watch itself; keywords override."""
    is_watch = kind is Kind.WATCH_ITSELF
    values: dict[str, Any] = {
        "id": 12,
        "target": WATCH if is_watch else "support-bot",
        "kind": kind,
        "state": IncidentState.OPEN,
        "opened_at": OPENED,
        "onset_at": OPENED - timedelta(hours=5),
        "baseline_id": None if is_watch else 3,
        "run_id": None if is_watch else 900,
        "evidence": EVIDENCE[kind],
        "severity": SEVERITIES[kind],
        "trouble": "disk" if is_watch else "",
    }
    return Incident(**values | changes)


def a_group(*, n: int = 6, is_open: int = 6, kind: Kind = Kind.BEHAVIOUR, **changes: Any) -> tuple[Incident, ...]:
    """``n`` targets of openai, ``target-0`` leading as incident 12; the last ``is_open`` of them are open."""
    members = []
    for place in range(n):
        is_over = place < n - is_open
        state = {"state": IncidentState.RESOLVED, "resolved_at": OPENED + timedelta(hours=3)} if is_over else {}
        part_of = None if place == 0 else 12
        members.append(an_incident(kind, id=12 + place, target=f"target-{place}", part_of=part_of, **state | changes))
    return tuple(members)


def an_edge(event: Event = Event.OPENED, **changes: Any) -> Transition:
    """One edge of incident 12."""
    after = {
        Event.ACKNOWLEDGED: IncidentState.ACKNOWLEDGED,
        Event.RESOLVED: IncidentState.RESOLVED,
    }.get(event, IncidentState.OPEN)
    values: dict[str, Any] = {
        "id": 30,
        "incident_id": 12,
        "before": None if event is Event.OPENED else IncidentState.OPEN,
        "after": after,
        "at": OPENED if event is Event.OPENED else OPENED + timedelta(hours=5, minutes=10),
        "author": "driftwatch",
        "reason": "behaviour is back within calibration",
        "event": event,
    }
    return Transition(**values | changes)


@pytest.fixture
def make_incident() -> MakeIncident:
    """An incident of support-bot; keywords override."""
    return an_incident


@pytest.fixture
def make_group() -> Callable[..., tuple[Incident, ...]]:
    """Incidents of one cause on several targets, see ``a_group``."""
    return a_group


@pytest.fixture
def attribution() -> dict[str, Any]:
    """Whose side a change is on, as an incident keeps it."""
    return ATTRIBUTION


@pytest.fixture
def tell(announce: Announce) -> Announce:
    """The announcement of an event by name, of a group or of an incident alone, with its history."""

    def make(event: Event, *, group: tuple[Incident, ...] = (), told: Any = None, **words: Any) -> Announcement:
        edge = {key: words.pop(key) for key in ("author", "reason", "before", "at") if key in words}
        state = words.pop("state", IncidentState.OPEN)
        announcement = announce(words.pop("kind", Kind.BEHAVIOUR), state, event=event, edge=edge, **words)
        transition = replace(announcement.transition, after=group[-1].state if group else state)
        history = (an_edge(), *(told or {}).pop("history", ()), transition)
        incident = group[-1] if group else announcement.incident
        more = {"group": group, "incident": incident, "history": history, "transition": transition}
        return replace(announcement, **more | (told or {}))

    return make


@pytest.fixture
def announce() -> Announce:
    """The announcement of one edge of such an incident."""

    def make(
        kind: Kind = Kind.BEHAVIOUR,
        after: IncidentState = IncidentState.OPEN,
        *,
        event: Event | None = None,
        edge: dict[str, Any] | None = None,
        author: str = "driftwatch",
        reason: str = "behaviour is back within calibration",
        told: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Announcement:
        told_as = (
            event
            or {
                IncidentState.OPEN: Event.OPENED,
                IncidentState.ACKNOWLEDGED: Event.ACKNOWLEDGED,
                IncidentState.RESOLVED: Event.RESOLVED,
            }[after]
        )
        transition = an_edge(told_as, **{"author": author, "reason": reason, "after": after} | (edge or {}))
        values: dict[str, Any] = {
            "incident": an_incident(kind, state=after, **changes),
            "transition": transition,
            "dedup_key": "30:oncall",
            "owner": "team-support",
            "key": "driftwatch-1f2e/12",
        }
        return Announcement(**values | (told or {}))

    return make


@dataclass
class Answer:
    """What the local Slack says next."""

    status: int = 200
    body: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    waits_s: float = 0.0
    drips: bool = False


@pytest.fixture
def answer_of() -> Callable[..., Answer]:
    """An answer of the local Slack with status 200 and such a body."""
    return lambda body, **more: Answer(200, body, **more)


@dataclass
class LocalSlack:
    """A server on the loopback interface; ``answers`` are used up in order, the last one stays."""

    url: str = ""
    routes: dict[str, Answer] = field(default_factory=dict)
    """Path → what is answered there instead."""
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [path for path, _, _ in self.requests]

    def says_in_turn(self, *bodies: str) -> None:
        """Answer so, one after the other, with the last for good."""
        self.answers = [Answer(200, body) for body in bodies]

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
            text = body.decode()
            said = json.loads(text) if text.startswith("{") else dict(urllib.parse.parse_qsl(text))
            slack.requests.append((self.path, dict(self.headers), said))
            answer = slack.routes.get(self.path)
            if answer is None:
                answer = slack.answers.pop(0) if len(slack.answers) > 1 else slack.answers[0]
            if answer.hangs:
                slack.closing.wait(10)
                return
            time.sleep(answer.waits_s)
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
