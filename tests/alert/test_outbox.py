"""At least once, in order, and never forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from driftwatch.alert.outbox import DeliveryReport, deliver, wait_s
from driftwatch.domain import (
    Announcement,
    Incident,
    IncidentState,
    Kind,
    Notification,
    NotificationState,
    Transition,
)
from driftwatch.errors import ConfigError, DeliveryError

AT = datetime(2026, 3, 16, 14, 0, tzinfo=UTC)


class MemoryOutbox:
    """The seam to the store, with nothing behind it."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[Notification, Announcement]] = {}
        self.dies_before_marking = False

    def add(self, receiver: str, incident_id: int, after: IncidentState = IncidentState.OPEN) -> int:
        id_ = len(self.rows) + 1
        incident = Incident(
            id=incident_id,
            target=f"target-{incident_id}",
            kind=Kind.BEHAVIOUR,
            state=after,
            opened_at=AT,
            onset_at=AT,
            baseline_id=1,
            run_id=1,
            evidence={},
        )
        transition = Transition(
            id=id_, incident_id=incident_id, before=None, after=after, at=AT, author="driftwatch", reason="r"
        )
        key = f"{id_}:{receiver}"
        notification = Notification(
            id=id_,
            transition_id=id_,
            receiver=receiver,
            state=NotificationState.PENDING,
            dedup_key=key,
            attempts=0,
            next_attempt_at=AT,
        )
        self.rows[id_] = (notification, Announcement(incident=incident, transition=transition, dedup_key=key))
        return id_

    def due_notifications(self, at: datetime) -> list[tuple[Notification, Announcement]]:
        pending = [row for row in self.rows.values() if row[0].state is NotificationState.PENDING]
        first = {(n.receiver, a.incident.id): n.id for n, a in reversed(pending)}
        due = [(n, a) for n, a in pending if n.next_attempt_at <= at and first[n.receiver, a.incident.id] == n.id]
        return due[::-1]  # the order is the outbox's business

    def mark_sent(self, notification_id: int, *, at: datetime) -> None:
        if self.dies_before_marking:
            raise KeyboardInterrupt
        self.change(notification_id, state=NotificationState.SENT, sent_at=at)

    def mark_failed(self, notification_id: int, *, error: str, next_attempt_at: datetime) -> None:
        attempts = self.rows[notification_id][0].attempts + 1
        self.change(notification_id, attempts=attempts, last_error=error, next_attempt_at=next_attempt_at)

    def mark_dead(self, notification_id: int, *, error: str) -> None:
        self.change(notification_id, state=NotificationState.DEAD, last_error=error)

    def change(self, notification_id: int, **changes: Any) -> None:
        notification, announcement = self.rows[notification_id]
        self.rows[notification_id] = (replace(notification, **changes), announcement)

    def row(self, notification_id: int) -> Notification:
        return self.rows[notification_id][0]


class Recorder:
    """A receiver that takes everything, or raises what it is told to."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.taken: list[str] = []
        self.asked = 0

    async def send(self, announcement: Announcement) -> None:
        self.asked += 1
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error
        self.taken.append(announcement.dedup_key)


def refusal(*, retryable: bool, retry_after_s: float | None = None) -> DeliveryError:
    return DeliveryError("it did not", receiver="oncall", retryable=retryable, retry_after_s=retry_after_s)


def run(outbox: MemoryOutbox, at: datetime = AT, **notifiers: Recorder) -> DeliveryReport:
    return asyncio.run(deliver(outbox, notifiers, at=at))


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox()


@pytest.fixture(autouse=True)
def plain_logging():
    """Whatever another test configured."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_what_is_due_is_sent_in_order_and_marked(outbox):
    for incident_id in (1, 2, 3):
        outbox.add("oncall", incident_id)
    oncall = Recorder()
    with capture_logs() as logs:
        assert run(outbox, oncall=oncall) == DeliveryReport(n_sent=3)
    assert oncall.taken == ["1:oncall", "2:oncall", "3:oncall"]
    assert (outbox.row(1).state, outbox.row(1).sent_at) == (NotificationState.SENT, AT)
    assert [entry["event"] for entry in logs] == ["notification.sent"] * 3
    assert {
        "receiver": "oncall",
        "target": "target-1",
        "incident": 1,
        "dedup_key": "1:oncall",
        "attempt": 1,
    }.items() <= (logs[0].items())
    assert run(outbox, oncall=oncall) == DeliveryReport()


def test_a_crash_between_acceptance_and_the_mark_repeats_the_same_key(outbox):
    outbox.add("oncall", 1)
    oncall = Recorder()
    outbox.dies_before_marking = True
    with pytest.raises(KeyboardInterrupt):
        run(outbox, oncall=oncall)
    outbox.dies_before_marking = False
    assert run(outbox, oncall=oncall) == DeliveryReport(n_sent=1)
    assert oncall.taken == ["1:oncall", "1:oncall"]


def test_a_failure_that_may_pass_waits_longer_each_time_and_never_ends(outbox):
    outbox.add("oncall", 1)
    oncall = Recorder(*[refusal(retryable=True)] * 500)
    at, waits = AT, []
    for _ in range(500):
        assert run(outbox, at, oncall=oncall) == DeliveryReport(n_failed=1)
        waits.append((outbox.row(1).next_attempt_at - at).total_seconds())
        assert run(outbox, outbox.row(1).next_attempt_at - timedelta(seconds=1), oncall=oncall) == DeliveryReport()
        at = outbox.row(1).next_attempt_at
    assert waits[:9] == [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]
    assert set(waits[9:]) == {3_600}
    assert run(outbox, at, oncall=oncall) == DeliveryReport(n_sent=1)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (7.0, 7.0),
        (90_000.0, 3_600.0),
        (0.0, 30.0),
        (-5.0, 30.0),
        (float("nan"), 30.0),
        (float("inf"), 30.0),
        (None, 30.0),
    ],
)
def test_the_wait_a_receiver_asks_for_is_kept_up_to_an_hour(outbox, asked, expected):
    outbox.add("oncall", 1)
    run(outbox, oncall=Recorder(refusal(retryable=True, retry_after_s=asked)))
    assert (outbox.row(1).next_attempt_at - AT).total_seconds() == wait_s(0, asked) == expected


def test_a_receiver_that_is_down_is_asked_once_per_pass_and_others_are_served(outbox):
    for incident_id in (1, 2, 3):
        outbox.add("oncall", incident_id)
        outbox.add("log", incident_id)
    oncall, log = Recorder(refusal(retryable=True)), Recorder()
    with capture_logs() as logs:
        assert run(outbox, oncall=oncall, log=log) == DeliveryReport(n_sent=3, n_failed=1, n_held=2)
    assert (oncall.asked, log.asked) == (1, 3)
    assert [e["event"] for e in logs if e["log_level"] == "warning"] == ["notification.failed"]
    later = AT + timedelta(seconds=30)
    assert {outbox.row(id_).next_attempt_at for id_ in (1, 3, 5)} == {later}
    assert outbox.row(3).last_error == "waits with an earlier notification to 'oncall', which failed"
    assert run(outbox, later, oncall=oncall, log=log) == DeliveryReport(n_sent=3)
    assert oncall.taken == ["1:oncall", "3:oncall", "5:oncall"]


def test_recovered_never_arrives_before_drift(outbox):
    outbox.add("oncall", 1)
    oncall = Recorder(refusal(retryable=True))
    run(outbox, oncall=oncall)
    outbox.add("oncall", 1, IncidentState.RESOLVED)
    outbox.add("log", 1, IncidentState.RESOLVED)
    soon = AT + timedelta(seconds=5)
    log = Recorder()
    assert run(outbox, soon, oncall=oncall, log=log) == DeliveryReport(n_sent=1)
    for _ in range(2):
        assert run(outbox, AT + timedelta(seconds=30), oncall=oncall, log=log) == DeliveryReport(n_sent=1)
    assert oncall.taken == ["1:oncall", "2:oncall"]


def test_a_permanent_failure_is_given_up_loudly_and_holds_nothing_back(outbox):
    outbox.add("oncall", 1)
    outbox.add("oncall", 1, IncidentState.RESOLVED)
    oncall = Recorder(refusal(retryable=False))
    with capture_logs() as logs:
        assert run(outbox, oncall=oncall) == DeliveryReport(n_dead=1)
        assert run(outbox, oncall=oncall) == DeliveryReport(n_sent=1)
    assert (outbox.row(1).state, outbox.row(1).last_error) == (NotificationState.DEAD, "it did not")
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("notification.dead", "error"),
        ("notification.sent", "info"),
    ]


def test_a_receiver_that_left_the_config_is_named(outbox):
    outbox.add("renamed", 1)
    assert run(outbox) == DeliveryReport(n_dead=1)
    assert outbox.row(1).last_error == (
        "receiver 'renamed' is not in the config any more: add it under 'receivers' again, "
        "or name another one in the target's 'receivers'"
    )


def test_an_unexpected_error_keeps_the_page_and_hides_its_text(outbox):
    outbox.add("oncall", 1)
    with capture_logs() as logs:
        assert run(outbox, oncall=Recorder(ZeroDivisionError("https://secret"))) == DeliveryReport(n_failed=1)
    assert outbox.row(1).last_error == "receiver 'oncall': an unexpected ZeroDivisionError while sending"
    assert "secret" not in str(logs)


def test_a_driftwatch_error_keeps_its_sentence_and_the_page(outbox):
    outbox.add("oncall", 1)
    run(outbox, oncall=Recorder(ConfigError("the file is empty", file="token.txt")))
    assert outbox.row(1).last_error == "receiver 'oncall': token.txt: the file is empty"
    assert outbox.row(1).state is NotificationState.PENDING
