from __future__ import annotations

from datetime import timedelta

import pytest

from driftwatch.domain import IncidentState, Kind, NotificationState
from driftwatch.errors import StoreError

PENDING, SENT, DEAD = NotificationState


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


def due(world, hours):
    return [(n.id, n.receiver, a.transition.after) for n, a in world.store.due_notifications(world.at(hours))]


def test_what_is_not_due_yet_is_not_told(world, incident):
    assert due(world, 0.5) == []


def test_order_is_kept_per_incident_and_receiver(world, incident):
    opened, resolved = IncidentState.OPEN, IncidentState.RESOLVED
    assert due(world, 3) == [(1, "oncall", opened), (2, "team", opened)]
    world.store.mark_sent(1, at=world.at(3))
    assert due(world, 3) == [(2, "team", opened), (3, "oncall", resolved)]
    world.store.mark_failed(2, error="429", next_attempt_at=world.at(5))
    # "team" waits for its first message although the second one is due by its own time.
    assert due(world, 4) == [(3, "oncall", resolved)]
    assert due(world, 5) == [(2, "team", opened), (3, "oncall", resolved)]
    world.store.mark_dead(2, error="no such channel")
    assert due(world, 5) == [(3, "oncall", resolved), (4, "team", resolved)]


def test_another_incident_is_not_held_back(world, incident):
    run = world.store.runs()[0]
    world.store.mark_failed(1, error="timeout", next_attempt_at=world.at(9))
    world.store.commit_judgement(None, [world.opening(run, kind=Kind.PERFORMANCE)], at=world.at(3))
    assert (5, "oncall", IncidentState.OPEN) in due(world, 3)


def test_an_announcement_is_complete(world, incident):
    notification, announcement = world.store.due_notifications(world.at(3))[0]
    assert announcement.incident == incident
    assert announcement.history == tuple(world.store.transitions(incident.id))
    assert announcement.transition == announcement.history[0]
    assert announcement.dedup_key == notification.dedup_key == "driftwatch/1/1/oncall"


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
    world.store.mark_sent(1, at=world.at(8))
    notification = world.store.notifications()[0]
    assert (notification.state, notification.attempts, notification.sent_at) == (SENT, 1, world.at(3))
    world.store.mark_dead(2, error="gone")
    assert world.store.notifications()[1].state is DEAD


def test_an_unknown_notification_is_an_error(world):
    with pytest.raises(StoreError, match=r"^there is no notification 5$"):
        world.store.mark_sent(5, at=world.at())


def test_notifications_are_listed_per_incident(world, incident):
    assert [n.id for n in world.store.notifications(incident.id)] == [1, 2, 3, 4]
    assert world.store.notifications(99) == []
    assert world.store.due_notifications(world.at() - timedelta(days=1)) == []
