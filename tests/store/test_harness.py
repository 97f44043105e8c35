from __future__ import annotations


def test_only_what_changes_on_our_side_is_remembered(world):
    first = world.store.note_harness({"driftwatch": "1", "suite.core": "a"}, at=world.at(1))
    assert (first.changed, first.facts) == ((), {"driftwatch": "1", "suite.core": "a"})
    assert world.store.note_harness({"suite.core": "a", "driftwatch": "1"}, at=world.at(2)) is None
    second = world.store.note_harness({"driftwatch": "2", "suite.new": "b"}, at=world.at(3))
    assert second.changed == ("driftwatch", "suite.core", "suite.new")
    assert world.store.harness_changes() == [first, second]
    assert world.store.harness_changes(since=world.at(3)) == [second]
    assert world.store.harness_changes(until=world.at(2)) == [first]
    assert world.store.harness_changes(since=world.at(1.5), until=world.at(2)) == []
