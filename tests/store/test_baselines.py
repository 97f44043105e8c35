from __future__ import annotations

from dataclasses import replace

import pytest

from driftwatch.domain import BaselineState, Purpose, Score
from driftwatch.errors import StoreError, UsageError
from driftwatch.store import BaselineChange


def test_a_new_baseline_collects(world):
    baseline = world.baseline()
    assert baseline.state is BaselineState.COLLECTING
    assert baseline.activated_at is None
    assert baseline.created_at == world.at()
    assert world.store.current_baseline("support") == baseline
    assert world.store.current_baseline("other") is None


def test_a_second_baseline_supersedes_the_first_in_one_step(world):
    first = world.baseline()
    second = world.baseline(at=world.at(5), author="ben", reason="accepted the new wording")
    stored = {b.id: b for b in world.store.baselines("support")}
    assert stored[first.id].state is BaselineState.SUPERSEDED
    assert stored[first.id].superseded_at == world.at(5)
    assert second.parent_id == first.id
    assert world.store.current_baseline("support") == second


def test_a_named_parent_is_kept(world):
    first = world.baseline()
    world.baseline()
    assert world.baseline(parent_id=first.id).parent_id == first.id


def test_baselines_of_other_targets_are_left_alone(world):
    one, other = world.baseline("one"), world.baseline("other")
    world.baseline("one")
    assert world.store.current_baseline("other") == other
    assert [b.target for b in world.store.baselines()] == ["one", "other", "one"]
    assert [b.id for b in world.store.baselines("one")] == [one.id, 3]


def test_activation_happens_once(world):
    baseline = world.baseline()
    first = world.store.activate_baseline(baseline.id, at=world.at(1))
    again = world.store.activate_baseline(baseline.id, at=world.at(2))
    assert first.state is BaselineState.ACTIVE
    assert again == first
    assert again.activated_at == world.at(1)


def test_a_superseded_or_unknown_baseline_cannot_become_active(world):
    first = world.baseline()
    world.baseline()
    for baseline_id in (first.id, 99):
        with pytest.raises(StoreError, match=f"^baseline {baseline_id} is not current, so it cannot become active$"):
            world.store.activate_baseline(baseline_id, at=world.at(1))


def test_undo_makes_the_former_baseline_active_again(world):
    first = world.baseline()
    world.store.activate_baseline(first.id, at=world.at(1))
    second = world.baseline(at=world.at(2))
    restored = world.store.restore_baseline(first.id, author="ana", reason="accepted too early", at=world.at(3))
    assert restored.state is BaselineState.ACTIVE
    assert restored.superseded_at is None
    assert restored.author == "ana"
    assert restored.reason == "first"
    states = {b.id: b.state for b in world.store.baselines("support")}
    assert states == {first.id: BaselineState.ACTIVE, second.id: BaselineState.SUPERSEDED}


def test_undo_of_one_that_never_was_active_goes_on_collecting(world):
    first = world.baseline()
    world.baseline()
    restored = world.store.restore_baseline(first.id, author="ana", reason="mistake", at=world.at(3))
    assert restored.state is BaselineState.COLLECTING


def test_undo_of_what_is_current_or_unknown_is_a_usage_error(world):
    baseline = world.baseline()
    with pytest.raises(UsageError, match=r"^baseline 1 of support is the current one already$"):
        world.store.restore_baseline(baseline.id, author="ana", reason="?", at=world.at())
    with pytest.raises(UsageError, match=r"^there is no baseline 7; `driftwatch baseline` lists them$"):
        world.store.restore_baseline(7, author="ana", reason="?", at=world.at())


def test_every_change_is_on_record_with_author_and_reason(world):
    first = world.baseline()
    world.store.activate_baseline(first.id, at=world.at(1))
    second = world.baseline(at=world.at(2), author="ben", reason="new prompt")
    world.baseline("other")
    world.store.restore_baseline(first.id, author="cho", reason="undo", at=world.at(3))
    collecting, active, superseded = BaselineState
    expected = [
        (first.id, None, collecting, world.at(0), "ana", "first"),
        (first.id, collecting, active, world.at(1), "driftwatch", "calibration is complete"),
        (first.id, active, superseded, world.at(2), "ben", "new prompt"),
        (second.id, None, collecting, world.at(2), "ben", "new prompt"),
        (second.id, collecting, superseded, world.at(3), "cho", "undo"),
        (first.id, superseded, active, world.at(3), "cho", "undo"),
    ]
    changes = world.store.baseline_changes("support")
    assert [
        BaselineChange(baseline_id=i, before=b, after=a, at=t, author=w, reason=r) for i, b, a, t, w, r in expected
    ] == (changes)


def test_anchors_come_back_by_canary_and_are_linked_once(world):
    baseline = world.baseline()
    _, stored = world.measured(baseline, Purpose.ANCHOR)
    ids = [c.id for c in stored]
    world.store.accept_anchors(baseline.id, ids)
    world.store.accept_anchors(baseline.id, [ids[0], ids[0]])
    world.store.accept_anchors(baseline.id, [])
    assert world.store.anchors(baseline.id) == {"core/capital": [stored[0]], "core/sum": [stored[1]]}
    assert world.store.anchors(99) == {}


def test_a_failure_or_an_unknown_completion_cannot_be_an_anchor(world):
    baseline = world.baseline()
    _, stored = world.measured(baseline, Purpose.ANCHOR, n_failed=1)
    failed = stored[-1].id
    with pytest.raises(StoreError, match=rf"^completion {failed} is a failure \(timeout\), so it cannot be an anchor$"):
        world.store.accept_anchors(baseline.id, [stored[0].id, failed])
    with pytest.raises(StoreError, match=r"^completion 999 is not stored, so it cannot be an anchor$"):
        world.store.accept_anchors(baseline.id, [999])
    assert world.store.anchors(baseline.id) == {}


def test_anchors_and_calibration_never_share_completions(world):
    old = world.baseline()
    run, stored = world.measured(old, scores=(Score(channel="wording", value=0.1),))
    new = world.baseline()
    world.store.accept_anchors(new.id, [stored[0].id])
    with pytest.raises(StoreError, match=f"^run {run.id} gave anchors to baseline {new.id}, so it cannot count as cal"):
        world.store.set_members(new.id, [run.id], Purpose.CALIBRATION)
    world.store.set_members(new.id, [run.id], Purpose.ANCHOR)
    with pytest.raises(StoreError, match=f"^completion 1 belongs to a watch run of baseline {old.id}, so it cannot be"):
        world.store.accept_anchors(old.id, [stored[0].id])


def test_an_anchor_of_a_baseline_that_does_not_exist_is_refused_by_name(world):
    _, stored = world.measured(world.baseline())
    with pytest.raises(StoreError) as raised:
        world.store.accept_anchors(99, [stored[0].id])
    assert str(raised.value) == (
        f"{world.path} refused a write that contradicts what it holds: FOREIGN KEY constraint failed"
    )
    assert raised.value.__suppress_context__


# ---------------------------------------------------------------- replaced whole, or not at all


def test_a_replacement_is_written_with_anchors_scores_and_state_at_once(world):
    first = world.baseline()
    _, stored = world.measured(first, hour=1)
    run, _ = world.measured(first, hour=2)
    created = world.store.replace_baseline(
        first,
        author="ana",
        reason="new prompt",
        at=world.at(3),
        calibration_wanted=1,
        parent_id=first.id,
        expires_at=world.at(9),
        scope=("core/sum",),
        anchor_ids=[stored[0].id],
        scores={run.id: (Score(channel="wording", value=0.5),)},
    )
    assert created == world.store.current_baseline("support")
    assert (created.state, created.parent_id, created.series_key) == (BaselineState.ACTIVE, first.id, first.series_key)
    assert (created.expires_at, created.scope) == (world.at(9), ("core/sum",))
    assert world.store.anchors(created.id) == {stored[0].canary_id: [stored[0]]}
    assert [(row.run_id, row.purpose) for row in world.store.series(created.id)] == [(run.id, Purpose.CALIBRATION)]


def test_a_replacement_without_enough_calibration_collects(world):
    first = world.baseline()
    created = world.store.replace_baseline(
        first, author="ana", reason="r", at=world.at(3), calibration_wanted=20, parent_id=first.id
    )
    assert created.state is BaselineState.COLLECTING
    assert (created.expires_at, created.scope) == (None, ())


def test_a_replacement_with_a_bad_anchor_has_changed_nothing(world):
    first = world.baseline()
    changes = world.store.baseline_changes("support")
    with pytest.raises(StoreError, match="completion 99 is not stored"):
        world.store.replace_baseline(
            first, author="a", reason="r", at=world.at(3), calibration_wanted=1, parent_id=first.id, anchor_ids=[99]
        )
    assert world.store.baseline_changes("support") == changes
    assert world.store.current_baseline("support") == first


TAKEN = (
    "^support: baseline 1 was current a moment ago, and baseline 2 has taken its place meanwhile; nothing was written: "
    "`driftwatch rebaseline support --history` says who changed what$"
)


@pytest.mark.parametrize(
    "decide",
    [
        lambda store, known, at: store.replace_baseline(
            known, author="a", reason="r", at=at, calibration_wanted=1, parent_id=known.id
        ),
        lambda store, known, at: store.set_expiry(known, None, author="a", reason="r", at=at),
        lambda store, known, at: store.restore_baseline(known.id, author="a", reason="r", at=at, replacing=known),
    ],
    ids=["replace", "expiry", "restore"],
)
def test_what_was_decided_about_a_baseline_that_is_current_no_more_is_not_written(world, decide):
    first = world.baseline()
    world.baseline(at=world.at(5))
    changes = world.store.baseline_changes("support")
    with pytest.raises(UsageError, match=TAKEN):
        decide(world.store, first, world.at(6))
    assert world.store.baseline_changes("support") == changes


def test_without_any_current_baseline_it_says_so(world):
    known = world.baseline("other")
    with pytest.raises(UsageError, match="and no baseline is current meanwhile; nothing was written"):
        world.store.set_expiry(replace(known, target="support"), None, author="a", reason="r", at=world.at())


def test_a_changed_expiry_is_on_record(world):
    baseline = world.baseline(expires_at=world.at(9))
    kept = world.store.set_expiry(baseline, None, author="cho", reason="it stays", at=world.at(4))
    assert kept.expires_at is None
    change = world.store.baseline_changes("support")[-1]
    assert (change.before, change.after) == (BaselineState.COLLECTING, BaselineState.COLLECTING)
    assert (change.author, change.reason, change.at) == ("cho", "it stays", world.at(4))


def test_one_that_comes_back_has_been_armed_since_it_was(world):
    first = world.baseline()
    world.store.activate_baseline(first.id, at=world.at(1))
    armed = world.store.current_baseline("support")
    world.baseline(at=world.at(2))
    assert world.store.restore_baseline(first.id, author="ana", reason="undo", at=world.at(3)) == armed
