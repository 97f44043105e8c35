from __future__ import annotations

from datetime import timedelta

import pytest

from driftwatch.domain import Event, IncidentState, Kind, NotificationState
from driftwatch.errors import StoreError
from driftwatch.store import outbox

PENDING, SENT, DEAD, MUTED = (
    NotificationState.PENDING,
    NotificationState.SENT,
    NotificationState.DEAD,
    NotificationState.MUTED,
)


@pytest.fixture
def incident(world):
    """Opened for two receivers at hour 1, resolved for the same two at hour 2."""
    run, _ = world.measured(world.baseline())
    (opened,) = world.store.commit_judgement(None, [world.opening(run)], at=world.at(1))
    resolving = world.opening(
        run, incident_id=opened.id, before=IncidentState.OPEN, after=IncidentState.RESOLVED, at=world.at(2)
    )
    (resolved,) = world.store.commit_judgement(None, [resolving], at=world.at(2))
    return resolved


def pending(world, hours):
    """(receiver, ids of what is pending, id of the first one's announcement) of everything that waits."""
    return [
        (found[0].receiver, [n.id for n in found if n.state is PENDING], announcement.transition.after.value)
        for found, announcement in world.store.waiting(world.at(hours))
    ]


def test_what_is_not_due_yet_is_not_told(world, incident):
    assert pending(world, 0.5) == []


def test_all_that_waits_for_a_receiver_comes_together_group_by_group(world, incident):
    assert pending(world, 3) == [("oncall", [1, 3], "open"), ("team", [2, 4], "open")]
    world.store.mark_sent(1, at=world.at(3))
    assert pending(world, 3) == [("team", [2, 4], "open"), ("oncall", [3], "resolved")]
    world.store.mark_failed(2, error="429", next_attempt_at=world.at(5))
    assert pending(world, 4)[-1] == ("oncall", [3], "resolved")
    world.store.mark_sent(3, at=world.at(4))
    world.store.mark_dead(2, error="no such channel")
    assert pending(world, 5) == [("team", [4], "resolved")]
    assert [n.state for found, _ in world.store.waiting(world.at(5)) for n in found] == [DEAD, PENDING]


def test_members_of_a_group_are_told_as_one_and_another_group_apart(world, incident):
    run = world.store.runs()[0]
    joining = world.opening(run, target="sales", part_of=incident.id, event=Event.JOINED, receivers=())
    world.store.commit_judgement(None, [joining], at=world.at(3))
    world.store.commit_judgement(None, [world.opening(run, kind=Kind.PERFORMANCE)], at=world.at(3))
    found = world.store.waiting(world.at(3))
    assert [(n[0].receiver, len(n), [m.target for m in a.group]) for n, a in found] == [
        ("oncall", 3, ["support", "sales"]),
        ("team", 3, ["support", "sales"]),
        ("oncall", 1, ["support"]),
        ("team", 1, ["support"]),
    ]
    assert len({a.key for _, a in found}) == 2
    assert [n.id for n in world.store.group_notifications(2)] == [1, 2, 3, 4, 5, 6]
    assert world.store.group_notifications(99) == []


def test_an_announcement_is_complete(world, incident):
    (notification, *_), announcement = world.store.waiting(world.at(3))[0]
    assert announcement.incident == announcement.lead == incident
    assert announcement.history == tuple(world.store.transitions(incident.id))
    assert announcement.transition == announcement.history[0]
    assert announcement.dedup_key == notification.dedup_key == "driftwatch/1/1/oncall"
    assert announcement.receipt is None
    latest = world.store.announcement(incident.id)
    assert (latest.transition, latest.group, latest.key) == (
        announcement.history[-1],
        announcement.group,
        announcement.key,
    )
    assert world.store.announcement(99) is None


def test_a_receipt_belongs_to_one_receiver_and_group_and_the_last_one_counts(world, incident):
    world.store.mark_sent(1, at=world.at(3), receipt={"ts": "1"})
    receipts = {found[0].receiver: a.receipt for found, a in world.store.waiting(world.at(3))}
    assert receipts == {"oncall": {"ts": "1"}, "team": None}
    run = world.store.runs()[0]
    world.store.mark_sent(3, at=world.at(3), receipt={"ts": "2", "é": [1]})
    joining = world.opening(run, target="sales", part_of=incident.id, event=Event.JOINED, receivers=())
    world.store.commit_judgement(None, [joining], at=world.at(3))
    receipts = {found[0].receiver: a.receipt for found, a in world.store.waiting(world.at(3))}
    assert receipts == {"oncall": {"ts": "2", "é": [1]}, "team": None}


def test_attempts_are_counted_and_the_dedup_key_stays(world, incident):
    world.store.mark_failed(1, error="bad \udcff byte", next_attempt_at=world.at(4))
    world.store.mark_failed(1, error="still down", next_attempt_at=world.at(5))
    failed = world.store.notifications()[0]
    assert (failed.state, failed.attempts, failed.last_error) == (PENDING, 2, "still down")
    assert failed.next_attempt_at == world.at(5)
    world.store.mark_sent(1, at=world.at(6))
    sent = world.store.notifications()[0]
    assert (sent.state, sent.attempts, sent.last_error, sent.sent_at) == (SENT, 3, None, world.at(6))
    assert sent.dedup_key == failed.dedup_key


def test_what_is_settled_stays_settled(world, incident):
    world.store.mark_sent(1, at=world.at(3))
    world.store.mark_failed(1, error="late news", next_attempt_at=world.at(9))
    world.store.mark_dead(1, error="late news")
    world.store.mute(1, reason="late news")
    world.store.hold(1, reason="late news")
    world.store.mark_sent(1, at=world.at(8))
    notification = world.store.notifications()[0]
    assert (notification.state, notification.attempts, notification.sent_at) == (SENT, 1, world.at(3))
    assert notification.last_error is None
    world.store.mark_dead(2, error="gone")
    world.store.mute(3, reason="told with notification 1")
    assert [(n.state, n.attempts, n.last_error) for n in world.store.notifications()[1:3]] == [
        (DEAD, 1, "gone"),
        (MUTED, 0, "told with notification 1"),
    ]


def test_an_unknown_notification_is_an_error(world):
    with pytest.raises(StoreError, match=r"^there is no notification 5$"):
        world.store.mark_sent(5, at=world.at())


def test_notifications_are_listed_per_incident(world, incident):
    assert [n.id for n in world.store.notifications(incident.id)] == [1, 2, 3, 4]
    assert world.store.notifications(99) == []
    assert world.store.waiting(world.at() - timedelta(days=1)) == []


def test_of_two_processes_that_saw_the_same_one_leases_it(world, incident):
    seen = world.store.notifications()[::2]
    assert world.store.lease(seen, at=world.at(3), until=world.at(4)) == [1, 3]
    assert world.store.lease(seen, at=world.at(3), until=world.at(4)) == []
    # Nor one that looks later, but before the lease ends.
    seen = world.store.notifications()[::2]
    assert world.store.lease(seen, at=world.at(3.5), until=world.at(5)) == []
    # Whoever held it was killed: it is sent again, under the same key.
    assert world.store.lease(seen, at=world.at(4), until=world.at(5)) == [1, 3]
    assert [n.attempts for n in seen] == [0, 0]


def test_all_are_leased_or_none(world, incident):
    """One to another receiver about the same group is nobody's business."""
    one, _, two, _ = world.store.notifications()
    world.store.mute(3, reason="told with notification 1")
    assert world.store.lease([one, two], at=world.at(3), until=world.at(4)) == []
    world.store.lease([world.store.notifications()[1]], at=world.at(3), until=world.at(4))
    assert world.store.lease([one], at=world.at(3), until=world.at(4), beside=[two]) == [1]


def test_while_the_end_of_a_group_is_told_its_beginning_is_not_leased(world, incident):
    opened, _, resolved, _ = world.store.notifications()
    assert world.store.lease([resolved], at=world.at(3), until=world.at(4)) == [3]
    assert world.store.lease([opened], at=world.at(3), until=world.at(4), beside=[resolved]) == []
    world.store.mark_sent(3, at=world.at(3))
    assert world.store.lease([opened], at=world.at(3), until=world.at(4), beside=[resolved]) == []
    assert world.store.notifications()[0] == opened


def test_what_is_given_back_is_as_it_was(world, incident):
    world.store.hold(1, reason="quiet hours")
    seen = world.store.notifications()[::2]
    world.store.lease(seen, at=world.at(3), until=world.at(4))
    assert world.store.notifications()[::2] != seen
    world.store.give_back(seen)
    assert world.store.notifications()[::2] == seen


def test_what_failed_or_is_settled_meanwhile_is_not_leased(world, incident):
    seen = world.store.notifications()
    world.store.mark_failed(1, error="503", next_attempt_at=world.at(9))
    world.store.mark_sent(2, at=world.at(3))
    world.store.mute(3, reason="told with notification 1")
    world.store.hold(4, reason="quiet hours")
    for one in seen:
        assert world.store.lease([one], at=world.at(3), until=world.at(4)) == []
    seen = world.store.notifications()
    # A failed one may be taken before its time by a process that has news of the same group.
    leased = [world.store.lease([one], at=world.at(3), until=world.at(4)) for one in seen]
    assert leased == [[1], [], [], [4]]
    assert [n.last_error for n in world.store.notifications()][::3] == [None, None]


def test_what_was_refused_for_good_is_due_again_while_its_group_is_open(world, incident):
    run = world.store.runs()[0]
    (opened,) = world.store.commit_judgement(None, [world.opening(run, target="sales")], at=world.at(3))
    for notification in world.store.notifications():
        world.store.mark_dead(notification.id, error="revoked")
    assert world.store.revive("oncall", at=world.at(4)) == 1, "the other group is over"
    [first, other] = world.store.notifications(opened.id)
    assert (first.state, first.next_attempt_at, first.last_error) == (PENDING, world.at(4), "revoked")
    assert other.state is DEAD, "another receiver is another matter"
    assert world.store.revive("oncall", at=world.at(4)) == 0
    assert world.store.revive("nobody", at=world.at(4)) == 0


def test_what_is_older_than_what_was_told_of_the_group_stays_dead(world, incident):
    run = world.store.runs()[0]
    (opened,) = world.store.commit_judgement(None, [world.opening(run, target="sales")], at=world.at(3))
    reminding = world.opening(
        run, incident_id=opened.id, before=IncidentState.OPEN, event=Event.REMINDED, receivers=(), at=world.at(30)
    )
    world.store.commit_judgement(None, [reminding], at=world.at(30))
    first, _, second, _ = world.store.notifications(opened.id)
    world.store.mark_dead(first.id, error="revoked")
    world.store.mark_sent(second.id, at=world.at(31))
    assert world.store.revive("oncall", at=world.at(32)) == 0


def test_one_receiver_is_read_alone_and_without_some_groups(world, incident):
    assert [n[0].receiver for n, _ in world.store.waiting(world.at(3), receiver="team")] == ["team"]
    assert world.store.waiting(world.at(3), apart_from=[incident.id]) == []
    world.store.mark_sent(1, at=world.at(3), receipt={"ts": "1"})
    world.store.mark_sent(3, at=world.at(3))
    told, announcement = world.store.told_of("oncall", incident.id)
    assert ([n.id for n in told], announcement.receipt, announcement.is_over) == ([1, 3], {"ts": "1"}, True)
    with pytest.raises(StoreError, match=r"^there is no incident 99$"):
        world.store.told_of("oncall", 99)


def test_what_rests_waits_and_what_is_woken_does_not(world, incident):
    one, two = world.store.notifications()[:2]
    world.store.lease([one], at=world.at(3), until=world.at(4))
    world.store.rest("oncall", until=world.at(5), reason="waits with an earlier one", at=world.at(3))
    told = {n.id: (n.next_attempt_at, n.last_error, n.attempts) for n in world.store.notifications()}
    assert told[1] == (world.at(4), None, 0), "what is being sent is nobody else's business"
    assert told[3] == (world.at(5), "waits with an earlier one", 0)
    assert told[2] == (two.next_attempt_at, None, 0)
    world.store.wake("oncall", at=world.at(3.5))
    told = {n.id: n.next_attempt_at for n in world.store.notifications()}
    assert (told[1], told[3]) == (world.at(4), world.at(3.5))


def test_edges_that_time_causes_are_written_by_one_of_many(world, incident):
    run = world.store.runs()[0]
    (opened,) = world.store.commit_judgement(None, [world.opening(run)], at=world.at(5))
    seen = world.store.announcement(opened.id).transition.id
    reminding = world.opening(
        run, incident_id=opened.id, before=IncidentState.OPEN, event=Event.REMINDED, receivers=(), at=world.at(30)
    )
    assert len(world.store.commit_unless_moved([reminding], since=seen, at=world.at(30))) == 1
    assert world.store.commit_unless_moved([reminding], since=seen, at=world.at(30)) == []
    assert [t.event for t in world.store.transitions(opened.id)] == ["opened", "reminded"]


@pytest.mark.parametrize("how", ["leased", "failed"])
def test_what_was_put_off_while_the_clock_was_ahead_is_due_again(world, incident, how):
    """It would keep the receiver from all that is told of the group later, until that day comes."""
    ahead = world.at(24 * 365)
    first, _, second, _ = world.store.notifications()
    if how == "leased":
        world.store.lease([first, second], at=ahead, until=ahead + timedelta(minutes=2))
    else:
        world.store.mark_failed(first.id, error="503", next_attempt_at=ahead, along=[second.id])
    assert [receiver for receiver, *_ in pending(world, 3)] == ["team"]
    assert world.store.revive("team", at=world.at(3)) == 0
    assert world.store.revive("oncall", at=world.at(3)) == 2
    assert pending(world, 3) == [("oncall", [1, 3], "open"), ("team", [2, 4], "open")]
    assert world.store.lease(world.store.notifications()[::2], at=world.at(3), until=world.at(4)) == [1, 3]
    assert world.store.revive("oncall", at=world.at(3)) == 0, "what is being sent stays leased"


def test_what_was_refused_of_groups_that_are_over_is_not_read_again(world, incident, monkeypatch):
    """It is looked for after every message, and piles up for as long as a receiver refuses."""
    for notification in world.store.notifications():
        world.store.mark_dead(notification.id, error="revoked")
    read, told = [], outbox._told
    monkeypatch.setattr(outbox, "_told", lambda session, leads, *of: read.append(leads) or told(session, leads, *of))
    assert world.store.revive("oncall", at=world.at(4)) == 0
    assert read == []
    run = world.store.runs()[0]
    (opened,) = world.store.commit_judgement(None, [world.opening(run, target="sales")], at=world.at(3))
    world.store.mark_dead(world.store.notifications(opened.id)[0].id, error="revoked")
    assert world.store.revive("oncall", at=world.at(4)) == 1
    assert read == [[opened.id]]
