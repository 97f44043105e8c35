from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from driftwatch.clock import SimulatedClock
from driftwatch.domain import IncidentState, Purpose, Score
from driftwatch.store import Store

WORDING = (Score(channel="wording", value=0.2, by_canary={"core/sum": 0.2}),)


def kept(world):
    hours = {r.id: (r.scheduled_at - world.at()).total_seconds() / 3600 for r in world.store.runs()}
    return [hours[i] for i, found in world.store.completions(list(hours)).items() if found]


def test_old_watch_completions_go_and_their_scores_and_verdicts_stay(world):
    baseline = world.baseline()
    for hour in range(4):
        run, _ = world.measured(baseline, hour=hour, scores=WORDING)
        world.store.commit_judgement(world.verdict(run), [], at=world.at(hour))
    series, verdicts, runs = world.store.series(baseline.id), world.store.verdicts(), world.store.runs()
    assert world.store.prune(before=world.at(2)) == 4
    assert kept(world) == [2, 3]
    assert world.store.prune(before=world.at(2)) == 0
    assert (world.store.series(baseline.id), world.store.verdicts(), world.store.runs()) == (series, verdicts, runs)


def test_anchor_and_calibration_completions_are_kept(world):
    baseline = world.baseline()
    world.measured(baseline, Purpose.ANCHOR, 0)
    world.measured(baseline, Purpose.CALIBRATION, 1)
    accepted, stored = world.measured(baseline, hour=2)
    rescored, _ = world.measured(baseline, hour=3)
    world.measured(baseline, hour=4)
    new = world.baseline()
    world.store.accept_anchors(new.id, [stored[0].id])
    world.store.set_members(new.id, [rescored.id], Purpose.CALIBRATION)
    assert world.store.prune(before=world.at(100)) == 3
    assert kept(world) == [0, 1, 2, 3]
    assert world.store.completions([accepted.id])[accepted.id] == [stored[0]]


@pytest.mark.parametrize(("resolved_at", "expected"), [(None, [3, 4, 5, 6, 7]), (5, [3, 4, 5])])
def test_the_evidence_of_an_incident_is_kept(world, resolved_at, expected):
    baseline, other = world.baseline(), world.baseline("other")
    runs = [world.measured(baseline, hour=hour)[0] for hour in range(8)]
    world.measured(other, hour=4)
    opening = world.opening(runs[4], onset_at=world.at(3))
    (incident,) = world.store.commit_judgement(None, [opening], at=world.at(4))
    if resolved_at is not None:
        resolving = world.opening(
            runs[4],
            incident_id=incident.id,
            before=IncidentState.OPEN,
            after=IncidentState.RESOLVED,
            at=world.at(resolved_at),
        )
        world.store.commit_judgement(None, [resolving], at=world.at(resolved_at))
    world.store.prune(before=world.at(100))
    assert kept(world) == expected


def vector(seed):
    return np.random.default_rng(seed).standard_normal(384).astype(np.float32)


def test_embeddings_are_cached_bit_for_bit_per_revision(world):
    vectors = {f"hash{n}": vector(n) for n in range(3)}
    world.store.put_embeddings("rev-a", vectors)
    world.store.put_embeddings("rev-a", {})
    world.store.put_embeddings("rev-b", {"hash0": vector(9)})
    found = world.store.get_embeddings("rev-a", ["hash0", "hash2", "unknown"])
    assert sorted(found) == ["hash0", "hash2"]
    assert found["hash2"].dtype == np.float32
    np.testing.assert_array_equal(found["hash2"], vectors["hash2"])
    np.testing.assert_array_equal(world.store.get_embeddings("rev-b", ["hash0"])["hash0"], vector(9))
    assert world.store.get_embeddings("rev-c", ["hash0"]) == {}
    found["hash0"][:] = 0.0  # a caller may write to what it got
    np.testing.assert_array_equal(world.store.get_embeddings("rev-a", ["hash0"])["hash0"], vectors["hash0"])


def test_a_vector_put_again_is_replaced(world):
    world.store.put_embeddings("rev", {"hash": vector(1)})
    world.store.put_embeddings("rev", {"hash": vector(2)})
    np.testing.assert_array_equal(world.store.get_embeddings("rev", ["hash"])["hash"], vector(2))


async def _days_later(clock, days):
    await clock.sleep_until(clock.now() + timedelta(days=days))


def test_embeddings_of_no_more_use_are_forgotten(world):
    import asyncio  # noqa: PLC0415 - only to move the simulated clock

    clock = SimulatedClock(world.at())
    with Store.open(world.path, clock=clock) as store:
        store.put_embeddings("rev", {"used": vector(1), "unused": vector(2)})
        asyncio.run(_days_later(clock, 10))
        store.get_embeddings("rev", ["used"])
        store.get_embeddings("rev", ["used"])
        assert store.prune(before=world.at() + timedelta(days=5)) == 0
        assert sorted(store.get_embeddings("rev", ["used", "unused"])) == ["used"]


def test_reading_ten_thousand_runs_is_reported(world, capsys):
    """Printed, not asserted: a figure to look at when the schema changes."""
    from driftwatch.clock import stopwatch  # noqa: PLC0415 - only here

    baseline = world.baseline()
    n_runs, channels = 10_000, [f"channel{n}" for n in range(9)]
    by_canary = "{" + ",".join(f'"core/canary-{n}":0.123456789' for n in range(40)) + "}"
    with world.store._database.plain() as connection:
        connection.execute("BEGIN")
        slots = [(n, f"{world.at(n):%Y-%m-%d %H:%M:%S.%f}") for n in range(1, n_runs + 1)]
        connection.executemany(
            "INSERT INTO run VALUES (?1, 'support', ?2, 'watch', 'judged', 1, ?2, ?2, 40, 0, 40, 900, NULL)", slots
        )
        connection.executemany("INSERT INTO membership VALUES (1, ?1, 'watch')", [(n,) for n, _ in slots])
        connection.executemany(
            "INSERT INTO score VALUES (1, ?, ?, 0.25, ?)", [(n, c, by_canary) for n, _ in slots for c in channels]
        )
        connection.execute("COMMIT")
    elapsed_s = stopwatch()
    rows = world.store.series(baseline.id)
    series_s = elapsed_s()
    assert len(rows) == n_runs
    assert rows[-1].values == dict.fromkeys(channels, 0.25)
    with capsys.disabled():
        print(f"\nseries of {n_runs:,} runs × {len(channels)} channels: {series_s:.2f} s", end="")  # noqa: T201 - the report is the point
