"""What runs have taken: set aside when they are claimed, replaced when they are measured, kept when they are killed."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from driftwatch.domain import Ceiling, Outcome, Purpose, Spending
from driftwatch.store import Store

ASIDE = Spending(requests=6, tokens=600, usd=0.5)


def claim(world, baseline, hour, *, reserved=ASIDE, store=None, **limits):
    day = {"since": world.at(-12), "until": world.at(12)}
    return (store or world.store).claim_run(
        target=baseline.target,
        scheduled_at=world.at(hour),
        purpose=Purpose.WATCH,
        baseline_id=baseline.id,
        at=world.at(hour),
        reserved=reserved,
        ceilings=[Ceiling(**day, **limits)] if limits else [],
    )


def spent(world, target=None, **options):
    return world.store.spent(since=world.at(-12), until=world.at(12), target=target, **options)


def test_what_is_set_aside_is_spent_until_the_run_is_measured(world, make_completion):
    baseline = world.baseline()
    run = claim(world, baseline, 0)
    assert spent(world) == ASIDE
    assert spent(world, settled_only=True) == Spending()
    world.store.record_measurement(
        run.id,
        completions=[
            make_completion(attempts=2, input_tokens=30, output_tokens=4),
            make_completion(outcome=Outcome.NOT_ASKED, attempts=0, text="", error="stopped by the budget: enough"),
        ],
        scores=(),
        finished_at=world.at(0.1),
        cost_usd=0.01,
    )
    assert spent(world) == spent(world, settled_only=True) == Spending(requests=2, tokens=34, usd=0.01)


def test_tokens_that_nobody_told_can_be_put_down(world, make_completion):
    run = claim(world, world.baseline(), 0)
    world.store.record_measurement(
        run.id, completions=[make_completion()], scores=(), finished_at=world.at(), cost_usd=None, n_tokens=200
    )
    assert spent(world) == Spending(requests=1, tokens=200)


def test_a_killed_run_keeps_what_was_set_aside_and_one_that_broke_off_what_it_took(world):
    baseline = world.baseline()
    claim(world, baseline, 0)
    broken = claim(world, baseline, 1)
    world.store.record_spending(broken.id, Spending(requests=1, tokens=10, usd=0.25))
    world.store.interrupt_stale_runs(before=world.at(2))
    world.store.record_spending(broken.id, Spending())  # too late: it is settled
    assert spent(world, settled_only=True) == ASIDE + Spending(requests=1, tokens=10, usd=0.25)


def test_a_claim_of_a_time_to_come_is_given_up_too_and_keeps_what_was_set_aside(world):
    baseline = world.baseline()
    for hour in (-3, 0, 3):
        claim(world, baseline, hour)
    assert world.store.interrupt_stale_runs(before=world.at(-1)) == 1
    assert world.store.interrupt_stale_runs(before=world.at(-1), after=world.at(3)) == 0
    assert world.store.interrupt_stale_runs(before=world.at(-1), after=world.at(1)) == 1
    assert [run.state for run in world.store.runs()] == ["interrupted", "claimed", "interrupted"]
    assert spent(world) == ASIDE + ASIDE + ASIDE


def test_a_run_counts_where_it_began_and_for_its_own_target(world):
    ours, theirs = world.baseline(), world.baseline("other")
    claim(world, ours, 0)
    claim(world, theirs, 1)
    begins_at_the_end = claim(world, ours, 12)
    assert begins_at_the_end is not None
    assert spent(world) == ASIDE + ASIDE
    assert spent(world, "support") == spent(world, "other") == ASIDE
    assert spent(world, "gone") == Spending()
    tomorrow = world.store.spent(since=world.at(12), until=world.at(12) + timedelta(days=1))
    assert tomorrow == ASIDE


@pytest.mark.parametrize(
    "limits", [{"requests": 11}, {"tokens": 1_199}, {"usd": 0.99}], ids=lambda limit: next(iter(limit))
)
def test_under_a_ceiling_without_room_nothing_is_claimed(world, limits):
    baseline = world.baseline()
    assert claim(world, baseline, 0, **limits) is not None
    assert claim(world, baseline, 1, **limits) is None
    assert claim(world, baseline, 1) is not None, "the slot is still free"


def test_what_floating_point_adds_to_a_sum_of_dollars_is_not_over_the_ceiling(world):
    baseline = world.baseline()
    a_dime = Spending(requests=1, usd=0.1)
    assert all(claim(world, baseline, i, reserved=a_dime, usd=0.3) for i in range(3))
    assert claim(world, baseline, 3, reserved=a_dime, usd=0.3) is None


def test_of_many_that_claim_at_once_only_as_many_get_a_run_as_can_be_paid(world):
    baselines = [world.baseline(f"t{i}") for i in range(8)]
    stores = [Store.open(world.path) for _ in baselines]
    made = []

    def work(baseline, store):
        made.append(claim(world, baseline, 0, store=store, requests=20))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(baselines, stores, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert sum(run is not None for run in made) == 3
    assert spent(world).requests == 18


def test_absurd_counts_of_an_endpoint_neither_break_a_run_nor_the_sum(world, make_completion):
    baseline = world.baseline()
    for hour in range(2):
        run = claim(world, baseline, hour)
        absurd = make_completion(input_tokens=2**63 - 1, output_tokens=2**63 - 1)
        world.store.record_measurement(run.id, completions=[absurd], scores=(), finished_at=world.at(), cost_usd=None)
    assert spent(world).tokens >= 2**63
