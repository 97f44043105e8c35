from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from driftwatch.domain import Outcome, Purpose, RunState, Score
from driftwatch.errors import StoreError


def test_a_slot_is_claimed_once(world):
    baseline = world.baseline()
    run = world.claim(baseline, Purpose.CALIBRATION, 1)
    assert run.state is RunState.CLAIMED
    assert run.purpose is Purpose.CALIBRATION
    assert run.scheduled_at == world.at(1)
    assert run.started_at == world.at(1.01)
    again = world.store.claim_run(
        target="support", scheduled_at=world.at(1), purpose=Purpose.WATCH, baseline_id=baseline.id, at=world.at(2)
    )
    assert again is None
    assert world.store.runs() == [run]


def test_the_same_instant_in_another_zone_is_the_same_slot(world):
    baseline = world.baseline()
    run = world.claim(baseline, hour=1)
    abroad = run.scheduled_at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert abroad.isoformat() != run.scheduled_at.isoformat()
    assert (
        world.store.claim_run(
            target="support", scheduled_at=abroad, purpose=Purpose.WATCH, baseline_id=baseline.id, at=abroad
        )
        is None
    )


def test_a_datetime_comes_back_as_aware_utc_to_the_microsecond(world):
    baseline = world.baseline()
    at = datetime(2026, 10, 25, 2, 30, 0, 123457, tzinfo=timezone(timedelta(hours=-7)))
    run = world.store.claim_run(target="t", scheduled_at=at, purpose=Purpose.WATCH, baseline_id=baseline.id, at=at)
    assert run.scheduled_at == at
    assert run.scheduled_at.tzinfo is UTC
    assert world.store.runs("t")[0].started_at.tzinfo is UTC


@pytest.mark.parametrize("place", ["scheduled_at", "at"])
def test_a_naive_datetime_is_rejected(world, place):
    baseline = world.baseline()
    naive = world.at().replace(tzinfo=None)
    times = {"scheduled_at": world.at(), "at": world.at(), place: naive}
    with pytest.raises(ValueError, match="must have timezone information"):
        world.store.claim_run(target="support", purpose=Purpose.WATCH, baseline_id=baseline.id, **times)
    with pytest.raises(ValueError, match="must have timezone information"):
        world.store.runs(since=naive)
    assert world.store.runs() == []


def test_a_run_needs_a_baseline_that_exists(world):
    with pytest.raises(StoreError, match="refused a write that contradicts what it holds: FOREIGN KEY"):
        world.store.claim_run(
            target="support", scheduled_at=world.at(), purpose=Purpose.WATCH, baseline_id=42, at=world.at()
        )


def test_a_measurement_stores_evidence_and_counts(world, make_completion):
    baseline = world.baseline()
    run = world.claim(baseline)
    asked = [
        make_completion(),
        make_completion(repeat=1, text="Paris!"),
        make_completion(canary_id="core/sum", outcome=Outcome.RATE_LIMITED, text="", error="429"),
    ]
    stored = world.store.record_measurement(
        run.id,
        completions=asked,
        scores=(Score(channel="wording", value=0.25, by_canary={"core/capital": 0.25}),),
        finished_at=world.at(0.5),
        cost_usd=0.002,
    )
    assert [replace(c, id=None) for c in stored] == asked
    assert len({c.id for c in stored}) == 3
    assert world.store.completions([run.id]) == {run.id: list(stored)}
    expected = replace(
        run, state=RunState.MEASURED, finished_at=world.at(0.5), n_ok=2, n_failed=1, n_requests=3, cost_usd=0.002
    )
    assert world.store.runs() == [expected]
    assert [row.values for row in world.store.series(baseline.id)] == [{"wording": 0.25}]


def test_an_empty_measurement_is_a_run_without_completions(world):
    run = world.claim(world.baseline())
    assert (
        world.store.record_measurement(run.id, completions=(), scores=(), finished_at=world.at(), cost_usd=None) == ()
    )
    assert world.store.runs()[0].failure_share == 1.0


def test_a_run_is_measured_once(world):
    run, stored = world.measured(world.baseline())
    with pytest.raises(StoreError, match=f"^run {run.id} of support is measured, so it takes no measurement$"):
        world.store.record_measurement(run.id, completions=stored, scores=(), finished_at=world.at(), cost_usd=None)
    with pytest.raises(StoreError, match=r"^there is no run 77$"):
        world.store.record_measurement(77, completions=(), scores=(), finished_at=world.at(), cost_usd=None)
    assert world.store.completions([run.id])[run.id] == list(stored)


def test_a_measurement_that_fails_midway_leaves_nothing(world, make_completion):
    run = world.claim(world.baseline())
    bad = make_completion(at=world.at().replace(tzinfo=None))
    with pytest.raises(ValueError, match="timezone"):
        world.store.record_measurement(
            run.id,
            completions=[make_completion(), bad],
            scores=(Score(channel="wording", value=0.1),),
            finished_at=world.at(),
            cost_usd=None,
        )
    assert world.store.runs() == [run]
    assert world.store.series(run.baseline_id) == []
    assert world.store.completions([run.id]) == {run.id: []}


def test_a_token_count_too_large_for_the_database_loses_no_run(world, make_completion):
    run = world.claim(world.baseline())
    world.store.record_measurement(
        run.id,
        completions=[make_completion(output_tokens=10**30, input_tokens=-(10**30))],
        scores=(),
        finished_at=world.at(),
        cost_usd=None,
    )
    (stored,) = world.store.completions([run.id])[run.id]
    assert (stored.input_tokens, stored.output_tokens) == (-(2**63 - 1), 2**63 - 1)


def test_only_a_measured_run_can_be_judged(world):
    baseline = world.baseline()
    claimed = world.claim(baseline)
    with pytest.raises(StoreError, match=f"^run {claimed.id} of support is claimed, so it has no evidence"):
        world.store.mark_judged(claimed.id)
    measured, _ = world.measured(baseline)
    world.store.mark_judged(measured.id)
    world.store.mark_judged(measured.id)
    assert [r.state for r in world.store.runs()] == [RunState.CLAIMED, RunState.JUDGED]


def test_stale_claims_are_interrupted_and_nothing_else(world):
    baseline, other = world.baseline(), world.baseline("other")
    stale = world.claim(baseline, hour=0)
    abroad = world.claim(other, hour=0)
    fresh = world.claim(baseline, hour=5)
    world.measured(baseline, hour=1)
    assert world.store.interrupt_stale_runs("support", before=world.at(2)) == 1
    assert world.store.interrupt_stale_runs(before=world.at(2)) == 1
    assert world.store.interrupt_stale_runs(before=world.at(2)) == 0
    assert {r.id for r in world.store.runs(states=[RunState.INTERRUPTED])} == {stale.id, abroad.id}
    assert [r.id for r in world.store.runs(states=[RunState.CLAIMED])] == [fresh.id]


def test_runs_are_filtered_ordered_and_limited(world):
    first, other = world.baseline(), world.baseline("other")
    for hour in (3, 1, 2):
        world.claim(first, Purpose.ANCHOR if hour == 1 else Purpose.WATCH, hour)
    world.claim(other, hour=2.5)
    second = world.baseline()
    world.claim(second, hour=4)

    def hours(*args, **conditions):
        return [(r.scheduled_at - world.at()).total_seconds() / 3600 for r in world.store.runs(*args, **conditions)]

    assert hours() == [1, 2, 2.5, 3, 4]
    assert hours("support") == [1, 2, 3, 4]
    assert hours("support", newest_first=True, limit=2) == [4, 3]
    assert hours("support", limit=1) == [1]
    assert hours(baseline_id=second.id) == [4]
    assert hours(purposes=[Purpose.ANCHOR]) == [1]
    assert hours(purposes=[]) == []
    assert hours(since=world.at(2), until=world.at(3)) == [2, 2.5, 3]
    assert hours("nobody") == []


def test_the_last_slot_counts_whatever_became_of_it(world):
    baseline = world.baseline()
    world.measured(baseline, hour=1)
    world.claim(baseline, hour=9)
    world.store.interrupt_stale_runs(before=world.at(100))
    assert world.store.last_scheduled(["support", "never"]) == {"support": world.at(9)}
    assert world.store.last_scheduled([]) == {}


def test_completions_of_one_canary_and_of_more_runs_than_sqlite_takes_parameters(world):
    run, stored = world.measured(world.baseline())
    found = world.store.completions([run.id, *range(1000, 41_000)], canary_id="core/sum")
    assert found[run.id] == [stored[1]]
    assert found[40_999] == []
    assert world.store.completions([]) == {}
