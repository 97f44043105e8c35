"""What people do with incidents: on the whole group, signed, and told to whoever was told before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from driftwatch import desk as module
from driftwatch.desk import Desk
from driftwatch.domain import Event, IncidentState, Kind, Target
from driftwatch.errors import StoreError, UsageError
from tests.alert.mailing import Post, Recorder

HOUR = timedelta(hours=1)


@pytest.fixture
def post(tmp_path):
    post = Post(tmp_path / "watch.db", oncall=Recorder())
    post.lead = post.open("a")
    post.member = post.open("b", part_of=post.lead.id)
    post.desk = Desk(post.store, targets={})
    yield post
    post.store.close()


def edges(post: Post) -> list[tuple[int, str, str, str]]:
    found = [t for i in post.store.incidents() for t in post.store.transitions(i.id)]
    return [(t.incident_id, t.event.value, t.author, t.reason) for t in sorted(found, key=lambda t: t.id)][2:]


@pytest.mark.parametrize("number", [1, 2])
def test_acknowledging_any_member_is_acknowledging_the_group(post, number):
    moved = post.desk.acknowledge(number, author=" ana ", reason=" on it ", at=post.at(1))
    assert [incident.state for incident in moved] == [IncidentState.ACKNOWLEDGED] * 2
    assert edges(post) == [(1, "acknowledged", "ana", "on it"), (2, "acknowledged", "ana", "on it")]
    with pytest.raises(UsageError, match="incident 1 was already acknowledged"):
        post.desk.acknowledge(number, author="bo", reason="me too", at=post.at(2))


def test_a_comment_is_one_edge_and_moves_nothing(post):
    post.desk.comment(2, author="ana", reason="the vendor knows", at=post.at(1))
    assert edges(post) == [(1, "commented", "ana", "the vendor knows")]
    assert {incident.state for incident in post.store.group(1)} == {IncidentState.OPEN}


def test_resolving_ends_all_that_is_open_and_tells_who_was_told(post):
    post.deliver(0)
    post.move(post.member, Event.RESOLVED, 1)
    post.desk.resolve(1, author="ana", reason="rolled back", at=post.at(2))
    assert edges(post)[-1] == (1, "resolved", "ana", "rolled back")
    post.deliver(2)
    assert post.receivers["oncall"].taken == ["opened 1", "resolved 1"]
    with pytest.raises(UsageError, match="incident 1 was already resolved"):
        post.desk.resolve(1, author="ana", reason="again", at=post.at(3))


def test_a_silence_of_one_incident_is_noted_with_it(post):
    made = post.desk.silence(2, length=HOUR, author="ana", reason="we know", at=post.at(1))
    assert (made.match, made.starts_at, made.ends_at) == ({"incident": ("1",)}, post.at(1), post.at(61))
    assert edges(post) == [(1, "commented", "ana", "silenced until Mon 16 Mar 15:01 UTC: we know")]
    assert post.deliver(2).n_sent == 0
    ended = post.desk.end_silence(made.id, author="bo", reason="it is worse", at=post.at(5))
    assert ended.ended_by == "bo"
    assert post.deliver(5).n_sent == 1


def silence(post: Post, match, *, until: float = 60, start: float = 0):
    return post.desk.silence_where(
        match, starts_at=post.at(start), ends_at=post.at(until), author="ana", reason="x", at=post.at(1)
    )


def test_a_silence_by_what_fits_leaves_out_what_asks_nothing(post):
    assert silence(post, {"target": ["a"], "kind": []}).match == {"target": ("a",)}


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda post: silence(post, {}), "a silence of everything hides every page"),
        (lambda post: silence(post, {"kind": []}), "a silence of everything hides every page"),
        (lambda post: silence(post, {"mood": ["bad"]}), "a silence knows no mood; write one of: target, kind"),
        (lambda post: silence(post, {"target": ["a"]}, until=1), "would be over already; write a later end"),
        (lambda post: silence(post, {"target": ["a"]}, start=90, until=80), "would be over already"),
        (lambda post: post.desk.silence(1, length=-HOUR, author="a", reason="x", at=post.at(1)), "over already"),
        (lambda post: post.desk.silence(9, length=HOUR, author="a", reason="x", at=post.at(1)), "no incident 9"),
        (lambda post: post.desk.end_silence(2**63, author="a", reason="x", at=post.at(1)), "there is no silence"),
        (lambda post: post.desk.comment(2**63, author="a", reason="x", at=post.at(1)), "there are: 1"),
        (lambda post: post.desk.evidence(7), "no incident 7; there are: 1"),
        (lambda post: post.desk.evidence(2**63), "no incident 9223372036854775808; there are: 1"),
        (lambda post: post.desk.acknowledge(1, author=" ", reason="x", at=post.at(1)), "nobody is named who decides"),
        (lambda post: post.desk.resolve(1, author="a", reason=" ", at=post.at(1)), "the reason is empty; write why"),
        (lambda post: post.desk.accept(1, author="a", reason="", at=post.at(1)), "write why the new behaviour is"),
        (lambda post: post.desk.accept(1, author="a", reason="x", at=post.at(1)), "target 'a' is not in the config"),
    ],
)
def test_a_wrong_wish_is_one_sentence_and_writes_nothing(post, act, told):
    with pytest.raises(UsageError) as raised:
        act(post)
    assert told in str(raised.value)
    assert edges(post) == []
    assert [s for s in post.store.silences() if s.ends_at > post.at(2)] == []


def test_the_evidence_is_the_group_as_it_stands(post):
    post.move(post.member, Event.RESOLVED, 3)
    found = post.desk.evidence(2)
    assert [m.state for m in found.members] == [IncidentState.OPEN, IncidentState.RESOLVED]
    assert (found.transition.event, found.lead.id) == (Event.RESOLVED, 1)


# ---------------------------------------------------------------- acceptance


@pytest.fixture
def accepted(monkeypatch):
    """What was asked of ``rebaseline``, which has tests of its own."""
    asked = []
    monkeypatch.setattr(module.rebaseline, "propose", lambda _s, target, _e: asked.append(("propose", target.name)))
    monkeypatch.setattr(
        module.rebaseline,
        "accept",
        lambda _s, target, _e, **how: asked.append(("accept", target.name, how["author"], how["reason"])),
    )
    return asked


def target(name: str) -> Target:
    return Target(name=name, provider="openai", model="m", canaries=())


def test_all_targets_of_the_group_that_are_open_are_accepted_after_all_were_worked_out(post, accepted):
    post.open("c", part_of=post.lead.id, kind=Kind.PERFORMANCE)
    post.open("a", kind=Kind.TRIPWIRE, part_of=post.lead.id)
    post.open("a", kind=Kind.AVAILABILITY, part_of=post.lead.id)
    post.move(post.member, Event.RESOLVED, 1)
    desk = Desk(post.store, targets={name: target(name) for name in "abc"})
    desk.accept(2, author="ana", reason="agreed", at=post.at(2))
    assert accepted == [
        ("propose", "a"),
        ("propose", "c"),
        ("accept", "a", "ana", "agreed"),
        ("accept", "c", "ana", "agreed"),
    ]


def test_where_the_second_acceptance_fails_the_error_names_what_is_accepted_and_what_is_not(
    post, accepted, monkeypatch
):
    def accept(_store, target, *_, **__):
        if target.name == failing:
            raise StoreError("the disk is full")

    post.open("c", part_of=post.lead.id)
    monkeypatch.setattr(module.rebaseline, "accept", accept)
    desk = Desk(post.store, targets={name: target(name) for name in "abc"})
    failing = "b"
    with pytest.raises(UsageError) as caught:
        desk.accept(1, author="ana", reason="agreed", at=post.at(2))
    assert str(caught.value) == (
        "the new behaviour of a is accepted, that of b and c is not: the disk is full; what is accepted stands. "
        "Look at the rest with: driftwatch rebaseline b --preview"
    )
    failing = "a"
    with pytest.raises(StoreError, match=r"^the disk is full$"):
        desk.accept(1, author="ana", reason="agreed", at=post.at(2))


def test_a_silence_that_cannot_be_noted_is_in_force_and_says_how_to_take_it_back(post, monkeypatch):
    def full(*_, **__):
        raise StoreError("the disk is full")

    monkeypatch.setattr(post.store, "commit_judgement", full)
    with pytest.raises(UsageError, match=r"silence 1 of incident 1 is in force.* full; .*driftwatch silence end 1"):
        post.desk.silence(2, length=HOUR, author="ana", reason="we know", at=post.at(1))
    assert [made.match for made in post.store.silences()] == [{"incident": ("1",)}]


def test_what_no_baseline_makes_normal_is_not_accepted(post, accepted):
    outage = post.open("d", kind=Kind.AVAILABILITY)
    with pytest.raises(UsageError, match="incident 3 is about availability, which no baseline makes normal"):
        post.desk.accept(outage.id, author="ana", reason="x", at=post.at(1))
    post.move(outage, Event.RESOLVED, 2)
    with pytest.raises(UsageError, match="incident 3 is over; there is nothing left to accept"):
        post.desk.accept(outage.id, author="ana", reason="x", at=post.at(3))
    assert accepted == []
