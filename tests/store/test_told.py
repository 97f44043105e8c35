"""What replies tell beside the reply, counted, and the verdicts that note a tripwire."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date

import pytest

from driftwatch.domain import Level, Listing, Lookup, Outcome, Purpose, Score, Told, Tripwire, Wire


def record(world, baseline, purpose, make_completion, *, hour, replies):
    run = world.claim(baseline, purpose, hour)
    completions = [make_completion(**reply) for reply in replies]
    return run, world.store.record_measurement(
        run.id, completions=completions, scores=(), finished_at=run.started_at, cost_usd=None
    )


OLD, NEW = {"served_model": "m-1", "input_tokens": 9}, {"served_model": "m-2", "input_tokens": 9}


def test_equal_replies_are_counted_and_different_ones_are_kept_apart(world, make_completion):
    failed = {"outcome": Outcome.MODEL_GONE, "text": "", "error": "gone"}
    run, _ = record(world, world.baseline(), Purpose.WATCH, make_completion, hour=0, replies=[OLD, OLD, NEW, failed])
    assert sorted(world.store.told(run_ids=[run.id]), key=str) == sorted(
        [
            Told(canary_id="core/capital", outcome=Outcome.OK, served_model="m-1", input_tokens=9, n=2),
            Told(canary_id="core/capital", outcome=Outcome.OK, served_model="m-2", input_tokens=9, n=1),
            Told(canary_id="core/capital", outcome=Outcome.MODEL_GONE, n=1),
        ],
        key=str,
    )
    assert world.store.told(run_ids=[]) == []


def test_a_baseline_tells_what_its_anchors_and_calibration_tell_and_not_what_was_watched(world, make_completion):
    first = world.baseline()
    _, elsewhere = record(world, first, Purpose.WATCH, make_completion, hour=0, replies=[{"served_model": "m-0"}])
    baseline = world.baseline()
    record(world, baseline, Purpose.ANCHOR, make_completion, hour=1, replies=[OLD])
    record(world, baseline, Purpose.CALIBRATION, make_completion, hour=2, replies=[OLD])
    record(world, baseline, Purpose.WATCH, make_completion, hour=3, replies=[NEW])
    assert {told.served_model: told.n for told in world.store.told(baseline_id=baseline.id)} == {"m-1": 2}
    world.store.accept_anchors(baseline.id, [elsewhere[0].id])
    assert {told.served_model for told in world.store.told(baseline_id=baseline.id)} == {"m-0", "m-1"}


def tripwire(world, **changes) -> Tripwire:
    values = {
        "wire": Wire.SERVED_MODEL,
        "level": Level.PAGE,
        "before": ("m-1",),
        "after": ("m-2", "m-3"),
        "canaries": ("core/capital",),
        "since": world.at().astimezone(UTC),
    }
    return Tripwire(**{**values, **changes})


def test_a_tripwire_comes_back_as_it_was_noted_in_the_order_of_the_runs(world):
    baseline = world.baseline()
    notes = [(tripwire(world),), (), (tripwire(world, wire=Wire.ERRORS, before=()), tripwire(world))]
    for hour, noted in reversed(list(enumerate(notes))):
        run, _ = world.measured(baseline, hour=hour)
        world.store.commit_judgement(replace(world.verdict(run), tripwires=noted), [], at=world.at(hour))
    assert [verdict.tripwires for verdict in world.store.verdicts(newest_first=False)] == notes
    assert world.store.tripped("support", baseline.id) == [tripped for noted in notes for tripped in noted]
    assert world.store.tripped("support", baseline.id + 1) == []
    assert world.store.tripped("another", baseline.id) == []


def test_a_naive_time_in_a_tripwire_is_rejected(world):
    run, _ = world.measured(world.baseline())
    naive = tripwire(world, since=world.at().replace(tzinfo=None))
    with pytest.raises(ValueError, match="has no time zone"):
        world.store.commit_judgement(replace(world.verdict(run), tripwires=(naive,)), [], at=world.at())


def test_runs_that_count_as_nothing_leave_the_series_and_keep_their_evidence(world):
    baseline = world.baseline()
    score = Score(channel="wording", value=0.2)
    kept, _ = world.measured(baseline, Purpose.CALIBRATION, 0, (score,))
    dropped, replies = world.measured(baseline, Purpose.CALIBRATION, 1, (score,))
    world.store.set_members(baseline.id, [dropped.id], None)
    world.store.set_members(baseline.id, [], None)
    assert [row.run_id for row in world.store.series(baseline.id)] == [kept.id]
    assert len(world.store.completions([dropped.id])[dropped.id]) == len(replies)
    world.store.set_members(baseline.id, [dropped.id], Purpose.CALIBRATION)
    assert len(world.store.series(baseline.id)) == 2


def test_the_reason_of_an_activation_is_kept(world):
    baseline = world.baseline()
    world.store.activate_baseline(baseline.id, at=world.at(), reason="complete, without 3 runs")
    assert world.store.baseline_changes("support")[-1].reason == "complete, without 3 runs"


def test_what_headers_announce_is_counted_in_words(world, make_completion):
    headers = [{"sunset": day, "x-request-id": "r"} for day in ("2027-01-31", "Sun, 31 Jan 2027 00:00:00 GMT")]
    replies = [{**OLD, "headers": kept} for kept in (*headers, {"x-request-id": "r"})]
    run, _ = record(world, world.baseline(), Purpose.WATCH, make_completion, hour=0, replies=replies)
    assert {told.deprecation: told.n for told in world.store.told(run_ids=[run.id])} == {
        "sunset 31 Jan 2027": 2,
        None: 1,
    }


LISTED = Listing(is_listed=True, retires_on=date(2027, 1, 31), is_deprecated=True, replacement="m-2")


def looked(world, hour, listing, *, model="m-1", source="https://x.example.org/v1"):
    at = world.at(hour).astimezone(UTC)
    world.store.looked("support", model=model, source=source, listing=listing, at=at)
    return at


def test_what_a_list_of_models_said_is_remembered(world):
    assert world.store.lookup("support") is None
    at = looked(world, 0, LISTED)
    expected = Lookup(model="m-1", source="https://x.example.org/v1", looked_at=at, listing=LISTED, was_listed=True)
    assert world.store.lookup("support") == expected
    assert world.store.lookup("another") is None


def test_a_look_that_told_nothing_is_noted_and_leaves_what_is_known(world):
    at = looked(world, 0, None)
    assert world.store.lookup("support").listing is None
    looked(world, 1, LISTED)
    at = looked(world, 2, None)
    known = world.store.lookup("support")
    assert (known.looked_at, known.listing, known.was_listed) == (at, LISTED, True)


def test_a_model_that_left_the_list_was_there_once(world):
    looked(world, 0, LISTED)
    looked(world, 1, Listing(is_listed=False))
    known = world.store.lookup("support")
    assert (known.listing, known.was_listed) == (Listing(is_listed=False), True)


@pytest.mark.parametrize("other", [{"model": "m-2"}, {"source": "https://y.example.org/v1"}])
def test_of_another_model_or_list_nothing_is_known(world, other):
    looked(world, 0, LISTED)
    looked(world, 1, Listing(is_listed=False), **other)
    known = world.store.lookup("support")
    assert (known.listing, known.was_listed) == (Listing(is_listed=False), False)
