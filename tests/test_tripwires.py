"""Tripwires as pure functions: what is news, what is not, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.domain import DEFAULT_LEVELS, Level, Outcome, Told, Wire
from driftwatch.tripwires import ENOUGH, ROTATES, UNTELLING, trip, without, words

AT = datetime(2026, 3, 16, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALL_PAGE = dict.fromkeys(Wire, Level.PAGE)


def told(n=8, canary="a", outcome=Outcome.OK, **values):
    return Told(canary_id=canary, outcome=outcome, n=n, **values)


BASELINE = [told(served_model="m-1", fingerprint="f-1", input_tokens=12)]


def look(*runs, baseline=BASELINE, levels=ALL_PAGE):
    """Runs an hour apart, each judged as the pipeline does; what each trips."""
    seen, standing, found = [], (), []
    for hour, run in enumerate(runs):
        standing = trip(baseline, run, levels=levels, standing=standing, seen=seen, at=AT + hour * HOUR)
        seen += standing
        found.append({tripped.wire.value: tripped.after for tripped in standing})
    return found


SAME = [told(1, served_model="m-1", fingerprint="f-1", input_tokens=12)]
OTHER = [told(1, served_model="m-2", fingerprint="f-1", input_tokens=12)]


def test_nothing_trips_while_nothing_changes():
    assert look(SAME, SAME) == [{}, {}]


@pytest.mark.parametrize(
    ("changes", "wire", "before", "after"),
    [
        ({"served_model": "m-2"}, Wire.SERVED_MODEL, "m-1", "m-2"),
        ({"fingerprint": "f-2"}, Wire.FINGERPRINT, "f-1", "f-2"),
        ({"input_tokens": 15}, Wire.INPUT_TOKENS, "a 12", "a 15"),
        ({"outcome": Outcome.MODEL_GONE}, Wire.ERRORS, None, "model gone"),
    ],
)
def test_each_wire_says_old_and_new_value_since_when_and_where(changes, wire, before, after):
    [tripped] = trip(BASELINE, [replace(SAME[0], **changes)], levels=DEFAULT_LEVELS, at=AT)
    assert (tripped.wire, tripped.level) == (wire, DEFAULT_LEVELS[wire])
    assert tripped.before == ((before,) if before else ())
    assert (tripped.after, tripped.canaries, tripped.since) == ((after,), ("a",), AT)
    assert f"{before or 'none'} → {after}" in words(tripped)


def test_a_wire_that_is_off_is_not_looked_at():
    assert look(OTHER, levels={Wire.SERVED_MODEL: Level.OFF}) == [{}]
    assert look(OTHER, levels={}) == [{}]


def test_a_value_stands_while_runs_tell_it_with_the_time_at_which_it_began():
    first = trip(BASELINE, OTHER, levels=ALL_PAGE, at=AT)
    [later] = trip(BASELINE, OTHER, levels=ALL_PAGE, standing=first, seen=first, at=AT + 5 * HOUR)
    assert later.since == AT


def test_an_endpoint_that_goes_back_and_forth_trips_once():
    assert look(OTHER, SAME, OTHER, SAME, OTHER) == [{"served_model": ("m-2",)}, {}, {}, {}, {}]


def test_an_old_value_among_new_ones_is_not_the_end():
    assert look(OTHER, SAME + OTHER)[1] == {"served_model": ("m-2",)}


def test_a_third_name_trips_though_a_second_has_been_and_gone():
    third = [replace(SAME[0], served_model="m-3")]
    assert look(OTHER, SAME, third) == [{"served_model": ("m-2",)}, {}, {"served_model": ("m-3",)}]


@pytest.mark.parametrize(
    "silent", [[], [told(3, outcome=Outcome.TIMEOUT)], [told(1)]], ids=["nothing", "failures", "no metadata"]
)
def test_a_run_that_tells_nothing_leaves_what_stands(silent):
    for run in (OTHER, [replace(SAME[0], fingerprint="f-2")], [replace(SAME[0], input_tokens=15)]):
        before, during, after = look(run, silent, run)
        assert before == during == after != {}


def test_refusals_are_over_with_the_first_good_reply_and_not_with_a_timeout():
    gone, timeout = [told(1, outcome=Outcome.MODEL_GONE)], [told(1, outcome=Outcome.TIMEOUT)]
    assert [bool(found) for found in look(gone, timeout, gone, SAME)] == [True, True, True, False]


@pytest.mark.parametrize("outcome", [o for o in Outcome if o.name in {"TIMEOUT", "RATE_LIMITED", "UNAVAILABLE"}])
def test_failures_that_pass_are_no_tripwire(outcome):
    assert look([told(4, outcome=outcome)]) == [{}]


def test_a_refusal_that_the_baseline_knows_is_no_news():
    assert look([told(1, outcome=Outcome.REJECTED)], baseline=[*BASELINE, told(1, outcome=Outcome.REJECTED)]) == [{}]


@pytest.mark.parametrize("wire", ["served_model", "fingerprint"])
def test_an_endpoint_that_rotates_gives_a_notice_and_one_that_never_repeats_nothing(wire):
    def level(n_known):
        known = [told(1, **{wire: f"v-{i}"}) for i in range(n_known)]
        found = trip(known, [told(1, **{wire: "new"})], levels=ALL_PAGE, at=AT)
        return found[0].level if found else None

    assert [level(n) for n in (0, 1, ROTATES - 1, ROTATES, UNTELLING, UNTELLING + 1)] == [
        None,  # it has never told any: nothing to compare to
        Level.PAGE,
        Level.PAGE,
        Level.NOTICE,
        Level.NOTICE,
        None,
    ]


def test_input_tokens_must_have_been_one_number_often_enough():
    run = [told(1, input_tokens=15)]
    for baseline, n in (
        ([told(ENOUGH, input_tokens=12)], 1),
        ([told(ENOUGH - 1, input_tokens=12)], 0),
        ([told(ENOUGH, input_tokens=12), told(1, input_tokens=13)], 0),
        ([told(ENOUGH, input_tokens=12, canary="another")], 0),
    ):
        assert len(trip(baseline, run, levels=ALL_PAGE, at=AT)) == n


def test_input_tokens_of_one_canary_may_come_back_while_anothers_stay():
    baseline = [told(input_tokens=12), told(input_tokens=20, canary="b")]
    both = [told(1, input_tokens=15), told(1, input_tokens=23, canary="b")]
    one = [told(1, input_tokens=12), told(1, input_tokens=23, canary="b")]
    assert look(both, one, baseline=baseline) == [{"input_tokens": ("a 15", "b 23")}, {"input_tokens": ("b 23",)}]


def test_a_run_is_taken_out_of_the_baseline_it_belongs_to():
    assert without([*BASELINE, *OTHER], OTHER) == BASELINE
    assert without([told(3, served_model="m-1")], [told(1, served_model="m-1")]) == [told(2, served_model="m-1")]
    assert without([], OTHER) == []


def test_many_values_are_named_by_a_few_and_a_number():
    run = [told(1, canary=c, input_tokens=15) for c in "abcde"]
    [tripped] = trip([told(canary=c, input_tokens=12) for c in "abcde"], run, levels=ALL_PAGE, at=AT)
    assert words(tripped).endswith("a 12, b 12, c 12 and 2 more → a 15, b 15, c 15 and 2 more")
