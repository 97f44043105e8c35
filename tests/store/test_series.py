from __future__ import annotations

import math

import pytest

from driftwatch.domain import Purpose, Score
from driftwatch.errors import StoreError

WORDING = Score(channel="wording", value=0.2, by_canary={"core/capital": 0.1, "core/sum": 0.3})


def test_a_series_is_in_order_of_slots_and_gaps_stay_gaps(world):
    baseline = world.baseline()
    unmeasured = Score(channel="meaning", value=math.nan)
    late, _ = world.measured(baseline, Purpose.WATCH, 9, (WORDING, unmeasured), n_failed=2)
    early, _ = world.measured(baseline, Purpose.CALIBRATION, 1, (WORDING, Score(channel="meaning", value=0.0)))
    rows = world.store.series(baseline.id)
    assert [(r.run_id, r.purpose, r.failure_share, dict(r.values)) for r in rows] == [
        (early.id, Purpose.CALIBRATION, 0.0, {"wording": 0.2, "meaning": 0.0}),
        (late.id, Purpose.WATCH, 0.5, {"wording": 0.2}),
    ]
    assert rows[0].scheduled_at == world.at(1)


def test_a_run_without_any_value_is_a_gap_and_one_without_scores_is_no_row(world):
    baseline = world.baseline()
    gap, _ = world.measured(baseline, scores=(Score(channel="wording", value=math.nan),))
    world.measured(baseline, scores=())
    assert [(r.run_id, dict(r.values)) for r in world.store.series(baseline.id)] == [(gap.id, {})]


def test_rescoring_against_another_baseline_leaves_the_first_series_alone(world):
    old = world.baseline()
    run, _ = world.measured(old, scores=(WORDING,))
    new = world.baseline()
    before = world.store.series(old.id)
    world.store.record_scores(new.id, {run.id: [Score(channel="wording", value=0.05)]})
    assert world.store.series(new.id) == []
    world.store.set_members(new.id, [run.id], Purpose.CALIBRATION)
    (row,) = world.store.series(new.id)
    assert (row.run_id, row.purpose, dict(row.values)) == (run.id, Purpose.CALIBRATION, {"wording": 0.05})
    assert world.store.series(old.id) == before


def test_scores_and_roles_are_replaced_when_given_again(world):
    baseline = world.baseline()
    run, _ = world.measured(baseline, scores=(WORDING, Score(channel="shape", value=0.5)))
    world.store.record_scores(baseline.id, {run.id: [Score(channel="wording", value=0.9, by_canary={"core/sum": 0.9})]})
    world.store.record_scores(baseline.id, {})
    world.store.set_members(baseline.id, [run.id], Purpose.CALIBRATION)
    world.store.set_members(baseline.id, [], Purpose.WATCH)
    (row,) = world.store.series(baseline.id)
    assert (row.purpose, dict(row.values)) == (Purpose.CALIBRATION, {"wording": 0.9, "shape": 0.5})
    assert world.store.canary_values(baseline.id, "wording", [run.id]) == {run.id: {"core/sum": 0.9}}


def test_canary_values_leave_out_what_was_not_measured(world):
    baseline = world.baseline()
    score = Score(channel="wording", value=0.1, by_canary={"core/capital": 0.1, "core/sum": math.nan})
    run, _ = world.measured(baseline, scores=(score,))
    bare, _ = world.measured(baseline)
    found = world.store.canary_values(baseline.id, "wording", [run.id, bare.id])
    assert found == {run.id: {"core/capital": 0.1}}
    assert world.store.canary_values(baseline.id, "meaning", [run.id]) == {}


def test_an_infinite_or_missing_value_is_never_stored_as_json_nan(world):
    baseline = world.baseline()
    world.measured(baseline, scores=(Score(channel="wording", value=math.nan, by_canary={"core/sum": math.nan}),))
    with world.store._database.plain() as connection:
        assert connection.execute("SELECT value, by_canary FROM score").fetchall() == [(None, "{}")]


def test_scores_of_a_run_that_does_not_exist_are_refused(world):
    baseline = world.baseline()
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        world.store.record_scores(baseline.id, {99: [WORDING]})
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        world.store.set_members(baseline.id, [99], Purpose.WATCH)
