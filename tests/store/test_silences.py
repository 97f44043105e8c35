from __future__ import annotations

import pytest

from driftwatch.errors import UsageError


@pytest.fixture
def silence(world):
    return world.store.add_silence(
        match={"target": ["support-*"], "kind": ["behaviour", "performance"]},
        starts_at=world.at(1),
        ends_at=world.at(25),
        author="ana",
        reason="the gateway is being moved",
        at=world.at(),
    )


def test_a_silence_reads_back_as_it_was_made(world, silence):
    [found] = world.store.silences()
    assert found == silence
    assert found.match == {"target": ("support-*",), "kind": ("behaviour", "performance")}
    assert (found.starts_at, found.ends_at, found.created_at) == (world.at(1), world.at(25), world.at())
    assert [found.is_active(world.at(h)) for h in (0.9, 1, 24.9, 25)] == [False, True, True, False]


def test_what_has_ended_is_still_listed_unless_only_the_others_are_asked_for(world, silence):
    assert world.store.silences(ending_after=world.at(24)) == [silence]
    assert world.store.silences(ending_after=world.at(25)) == []
    assert world.store.silences() == [silence]


def test_a_silence_is_ended_once_and_by_somebody(world, silence):
    ended = world.store.end_silence(silence.id, author="bo", at=world.at(3))
    assert (ended.ends_at, ended.ended_by, ended.starts_at) == (world.at(3), "bo", world.at(1))
    assert world.store.silences() == [ended]
    with pytest.raises(UsageError, match="silence 1 has ended already"):
        world.store.end_silence(silence.id, author="bo", at=world.at(4))
    with pytest.raises(UsageError, match="there is no silence 9; list them with: driftwatch silence"):
        world.store.end_silence(9, author="bo", at=world.at(4))


def test_a_silence_that_is_ended_before_it_began_never_mutes(world, silence):
    ended = world.store.end_silence(silence.id, author="bo", at=world.at(0.5))
    assert not any(ended.is_active(world.at(h)) for h in (0, 0.5, 1, 24))
