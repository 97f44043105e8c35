"""Reminders and escalations: at their time, by one of many processes, and never of what somebody is on."""

from __future__ import annotations

from datetime import time, timedelta

import pytest

from driftwatch import reminding
from driftwatch.alert.policy import Escalation, Policy, QuietHours, Window
from driftwatch.domain import Event, Severity
from driftwatch.errors import DeliveryError
from driftwatch.store import Store
from tests.alert.mailing import AT, Post, Recorder

DAY = 24 * 60


@pytest.fixture
def make(tmp_path):
    made = []

    def build(policy=None, **receivers) -> Post:
        made.append(Post(tmp_path / f"{len(made)}.db", policy, **receivers))
        return made[-1]

    yield build
    for post in made:
        post.store.close()


def remind(post: Post, minutes: float) -> list[str]:
    """What is written at a time, after which it is delivered."""
    before = {t.id for i in post.store.incidents() for t in post.store.transitions(i.id)}
    reminding.remind(post.store, post.policy, at=post.at(minutes))
    post.deliver(minutes)
    after = [t for i in post.store.incidents() for t in post.store.transitions(i.id)]
    return [t.event.value for t in after if t.id not in before]


def escalating(*receivers: str, minutes: float = 30, **match: str) -> Escalation:
    return Escalation(
        after=timedelta(minutes=minutes),
        receivers=receivers,
        match={key: (value,) for key, value in match.items()} or {"severity": ("critical",)},
    )


def test_what_nobody_acknowledges_is_reminded_of_ever_more_slowly(make):
    post = make()
    post.open()
    post.deliver(0)
    days = [day for day in range(1, 31) if remind(post, day * DAY) == ["reminded"]]
    assert days == [1, 3, 7, 14, 21, 28]
    reason = post.store.transitions(1)[1].reason
    assert reason == "open since Mon 16 Mar 14:00 UTC, and nobody has acknowledged it"


def test_a_reminder_is_not_due_a_minute_early_and_not_while_somebody_is_on_it(make):
    post = make()
    incident = post.open()
    post.deliver(10)
    assert remind(post, DAY + 9) == [], "the time counts from the message"
    post.move(incident, Event.ACKNOWLEDGED, DAY + 9)
    assert remind(post, 30 * DAY) == []


def test_what_comes_back_begins_anew(make):
    post = make()
    incident = post.open()
    post.deliver(0)
    remind(post, DAY)
    post.move(incident, Event.RESOLVED, DAY + 1)
    assert remind(post, 3 * DAY) == []
    post.move(incident, Event.REOPENED, 3 * DAY)
    post.deliver(3 * DAY)
    assert remind(post, 4 * DAY - 1) == []
    assert remind(post, 4 * DAY) == ["reminded"]


def test_nobody_is_reminded_of_what_nobody_was_told(make):
    post = make(oncall=Recorder(*[RuntimeError()] * 99))
    post.open()
    post.deliver(0)
    assert remind(post, 2 * DAY) == []


def test_a_receiver_that_refused_for_good_is_tried_again_with_the_reminder(make):
    refused = DeliveryError("revoked", receiver="oncall", retryable=False)
    post = make(oncall=Recorder(refused, refused))
    post.open()
    post.deliver(0)
    assert remind(post, DAY - 1) == []
    assert remind(post, DAY) == ["reminded"]
    assert remind(post, 3 * DAY) == ["reminded"]
    assert post.receivers["oncall"].taken[-1] == "reminded 1", "mended by now"


def test_who_refused_does_not_hasten_what_waits_for_others(make):
    refused = DeliveryError("revoked", receiver="oncall", retryable=False)
    post = make(oncall=Recorder(refused), team=Recorder(*[RuntimeError()] * 99))
    post.open()
    post.deliver(0)
    assert remind(post, 2 * DAY) == []


def test_reminders_can_be_off(make):
    post = make(Policy(reminder_interval=timedelta(0)))
    post.open()
    post.deliver(0)
    assert remind(post, 9 * DAY) == []
    post = make(Policy(reminder_interval=timedelta(0), escalations=(escalating("oncall", kind="performance"),)))
    post.open()
    post.deliver(0)
    assert remind(post, 9 * DAY) == []


def test_what_is_silenced_is_reminded_of_when_that_ends(make):
    post = make()
    post.open()
    post.deliver(0)
    post.silence(60, 3 * DAY, target="support")
    assert remind(post, 2 * DAY) == []
    assert remind(post, 3 * DAY) == ["reminded"]


def test_a_group_is_reminded_of_as_one_through_who_is_still_open(make):
    post = make()
    lead = post.open("a")
    post.open("b", part_of=lead.id)
    post.deliver(0)
    post.move(lead, Event.RESOLVED, 5)
    assert remind(post, DAY) == ["reminded"]
    assert post.receivers["oncall"].taken == ["opened 1", "reminded 1"]
    assert post.store.transitions(2)[-1].event is Event.REMINDED


def test_nobody_answers_and_more_people_are_told_once_at_any_hour(make):
    policy = Policy(
        escalations=(escalating("pager"), escalating("boss", minutes=120)),
        quiet_hours=(QuietHours(begin=time(0), end=time(0), let_through=()),),
    )
    post = make(policy, oncall=Recorder(), pager=Recorder(), boss=Recorder())
    post.open(receivers=("oncall",))
    assert remind(post, 29) == []
    assert remind(post, 30) == ["escalated"]
    assert remind(post, 31) == []
    assert post.store.transitions(1)[1].reason == "nobody acknowledged it within 30 min; now told too: pager"
    assert remind(post, 120) == ["escalated"]
    assert remind(post, 600) == []
    assert {name: r.taken for name, r in post.receivers.items()} == {
        "oncall": [],
        "pager": ["escalated 1"] * 2,
        "boss": ["escalated 1"],
    }


def test_two_that_are_due_at_once_are_one_message(make):
    policy = Policy(escalations=(escalating("pager"), escalating("boss", minutes=60)))
    post = make(policy, oncall=Recorder(), pager=Recorder(), boss=Recorder())
    post.open(receivers=("oncall",))
    post.deliver(0)
    assert remind(post, 2 * DAY) == ["escalated", "escalated"]
    assert post.receivers["pager"].taken == ["escalated 1"]


def test_whoever_answers_in_time_is_left_in_peace_until_it_gets_graver(make):
    post = make(Policy(escalations=(escalating("pager"),)), oncall=Recorder(), pager=Recorder())
    lead = post.open("a", receivers=("oncall",), severity=Severity.CRITICAL)
    post.move(lead, Event.ACKNOWLEDGED, 10)
    assert remind(post, 60) == []
    post.move(lead, Event.RESOLVED, 70)
    post.move(lead, Event.REOPENED, 80)
    assert remind(post, 109) == []
    assert remind(post, 110) == ["escalated"]


def test_what_does_not_fit_is_not_escalated(make):
    post = make(Policy(escalations=(escalating("pager"),)), oncall=Recorder(), pager=Recorder())
    post.open(severity=Severity.WARNING, receivers=("oncall",))
    post.deliver(0)
    assert remind(post, 60) == []


@pytest.mark.parametrize("planned", [False, True])
def test_time_under_a_silence_or_planned_work_does_not_count_as_time_to_answer(make, planned):
    window = Window(author="ana", reason="x", start=AT + timedelta(minutes=10), end=AT + timedelta(minutes=60))
    policy = Policy(escalations=(escalating("pager"),), maintenance=(window,) if planned else ())
    post = make(policy, oncall=Recorder(), pager=Recorder())
    post.open(receivers=("oncall",))
    if not planned:
        post.silence(10, 60, target="support")
    assert remind(post, 40) == []
    assert remind(post, 60) == []
    assert remind(post, 79) == []
    assert remind(post, 80) == ["escalated"], "10 minutes before, 20 after"


def test_a_nightly_window_does_not_keep_anybody_from_being_called_in(make):
    nightly = Window(author="ana", reason="backup", cron="0 3 * * *", duration=timedelta(minutes=10))
    policy = Policy(escalations=(escalating("pager", minutes=DAY),), maintenance=(nightly,))
    post = make(policy, oncall=Recorder(), pager=Recorder())
    post.open(receivers=("oncall",))
    hours = [hour for hour in range(1, 72) if "escalated" in remind(post, hour * 60)]
    assert hours == [25], "a day, and the ten minutes of one night"


def test_of_many_processes_one_writes_the_edge(make, tmp_path, monkeypatch):
    post = make(Policy(escalations=(escalating("pager"),)), oncall=Recorder(), pager=Recorder())
    post.open(receivers=("oncall",))
    seen = post.store.unanswered()
    with Store.open(post.store._database.path) as other:
        assert len(reminding.remind(other, post.policy, at=post.at(30))) == 1
    monkeypatch.setattr(post.store, "unanswered", lambda: seen)
    assert reminding.remind(post.store, post.policy, at=post.at(30)) == []
    assert [t.event for t in post.store.transitions(1)] == ["opened", "escalated"]


def test_all_groups_are_read_together_and_those_that_are_acknowledged_not_at_all(make, monkeypatch):
    post = make()
    opened = [post.open(f"t{n}") for n in range(30)]
    for incident in opened[:20]:
        post.move(incident, Event.ACKNOWLEDGED, 1)
    post.deliver(1)
    n_sessions, reading = [], post.store._database.reading
    monkeypatch.setattr(post.store._database, "reading", lambda: n_sessions.append(1) or reading())
    found = post.store.unanswered()
    assert [one.standing[0].id for one in found] == [incident.id for incident in opened[20:]]
    n_sessions.clear()
    assert reminding.remind(post.store, post.policy, at=post.at(60)) == []
    assert len(n_sessions) <= 2
