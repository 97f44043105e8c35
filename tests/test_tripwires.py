"""Tripwires as pure functions: what is news, what is not, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from driftwatch.domain import DEFAULT_LEVELS, Level, Outcome, Told, Wire
from driftwatch.tripwires import ENOUGH, ROTATES, UNTELLING, trip, without, words

AT = datetime(2026, 3, 16, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALL_PAGE = dict.fromkeys(Wire, Level.PAGE)


def told(n=8, canary="a", outcome=Outcome.OK, **values):
    return Told(canary_id=canary, outcome=outcome, n=n, **values)


BASELINE = [told(served_model="m-1", fingerprint="f-1", upstream="u-1", input_tokens=12)]


def look(*runs, baseline=BASELINE, levels=ALL_PAGE):
    """Runs an hour apart, each judged as the pipeline does; what each trips."""
    seen, standing, found = [], (), []
    for hour, run in enumerate(runs):
        standing = trip(baseline, run, levels=levels, standing=standing, seen=seen, at=AT + hour * HOUR)
        seen += standing
        found.append({tripped.wire.value: tripped.after for tripped in standing})
    return found


SAME = [told(1, served_model="m-1", fingerprint="f-1", upstream="u-1", input_tokens=12)]
OTHER = [told(1, served_model="m-2", fingerprint="f-1", input_tokens=12)]


def test_nothing_trips_while_nothing_changes():
    assert look(SAME, SAME) == [{}, {}]


@pytest.mark.parametrize(
    ("changes", "wire", "before", "after"),
    [
        ({"served_model": "m-2"}, Wire.SERVED_MODEL, "m-1", "m-2"),
        ({"fingerprint": "f-2"}, Wire.FINGERPRINT, "f-1", "f-2"),
        ({"upstream": "u-2"}, Wire.UPSTREAM, "u-1", "u-2"),
        ({"input_tokens": 15}, Wire.INPUT_TOKENS, "a 12", "a 15"),
        ({"outcome": Outcome.MODEL_GONE}, Wire.ERRORS, None, "model gone"),
    ],
)
def test_each_wire_says_old_and_new_value_since_when_and_where(changes, wire, before, after):
    [tripped] = trip(BASELINE, [replace(SAME[0], **changes)], levels=DEFAULT_LEVELS, at=AT)
    assert (tripped.wire, tripped.level) == (wire, DEFAULT_LEVELS[wire])
    assert tripped.before == ((before,) if before else ())
    assert (tripped.after, tripped.canaries, tripped.since) == ((after,), ("a",), AT)
    assert words(tripped).endswith(f"{before} → {after}" if before else ": the model is gone")


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


@pytest.mark.parametrize("wire", ["served_model", "fingerprint", "upstream"])
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


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.MODEL_GONE, "the model is gone"),
        (Outcome.AUTH, "the key is not accepted"),
        (Outcome.QUOTA, "the account's quota is used up"),
        (Outcome.FILTERED, "a content filter refuses the requests"),
        (Outcome.REJECTED, "the requests are not accepted"),
    ],
)
def test_every_refusal_for_good_reads_well(outcome, reason):
    [tripped] = trip(BASELINE, [told(1, outcome=outcome)], levels=ALL_PAGE, at=AT)
    assert words(tripped) == f"fails in a way that asking again does not change: {reason}"


# ---------------------------------------------------------------- a pinned upstream

pinned_to = partial(trip, levels=ALL_PAGE, at=AT, pinned="google-vertex/eu")


def via(*upstreams):
    return [told(1, upstream=upstream) for upstream in upstreams]


def test_another_upstream_than_the_pinned_one_trips_even_when_the_baseline_knows_it():
    assert pinned_to(via("Google Vertex"), via("Google Vertex")) == ()
    [tripped] = pinned_to(via("Google Vertex", "Together"), via("Google Vertex", "Together"))
    assert (tripped.before, tripped.after, tripped.level) == (("Google Vertex",), ("Together",), Level.PAGE)
    assert words(tripped) == "is served by another provider: Google Vertex → Together"


def test_no_rotation_excuses_another_than_the_pinned_upstream():
    many = via("Google Vertex", *(f"u-{i}" for i in range(UNTELLING + 2)))
    [tripped] = pinned_to(many, via("u-3"))
    assert (tripped.level, tripped.after) == (Level.PAGE, ("u-3",))


def test_each_time_another_than_the_pinned_upstream_answers_is_news():
    baseline, away, back = via("Google Vertex"), via("Together"), via("Google Vertex")
    first = pinned_to(baseline, away)
    assert pinned_to(baseline, back, standing=first, seen=first) == ()
    assert pinned_to(baseline, away, seen=first) == first


def test_a_pinned_upstream_that_calls_itself_otherwise_is_compared_to_the_baseline_alone():
    assert pinned_to(via("GV (EU)"), via("GV (EU)")) == ()
    assert [t.after for t in pinned_to(via("GV (EU)"), via("Together"))] == [("Together",)]
    assert pinned_to([], via("GV (EU)")) == ()


# ---------------------------------------------------------------- announcements

SUNSET = [told(1, deprecation="sunset 31 Jan 2027")]


def test_a_first_announcement_is_news_to_a_baseline_without_any_and_over_when_it_is_gone():
    assert look(SAME, SUNSET, SUNSET, SAME, baseline=BASELINE) == [
        {},
        {"deprecation": ("sunset 31 Jan 2027",)},
        {"deprecation": ("sunset 31 Jan 2027",)},
        {},
    ]
    [tripped] = trip(BASELINE, SUNSET, levels=ALL_PAGE, at=AT)
    assert words(tripped) == "announces an end: sunset 31 Jan 2027"


def test_an_announcement_that_the_baseline_knows_is_no_news_and_another_day_is():
    later = [told(1, deprecation="sunset 1 Mar 2027")]
    assert look(SUNSET, later, baseline=SUNSET) == [{}, {"deprecation": ("sunset 1 Mar 2027",)}]
    [tripped] = trip(SUNSET, later, levels=ALL_PAGE, at=AT)
    assert words(tripped) == "announces an end: sunset 31 Jan 2027 → sunset 1 Mar 2027"


def test_failures_alone_do_not_end_an_announcement():
    assert look(SUNSET, [told(1, outcome=Outcome.TIMEOUT)])[1] == {"deprecation": ("sunset 31 Jan 2027",)}


def daily(n):
    return [[told(1, deprecation=f"deprecation {day} May 2026")] for day in range(1, n + 1)]


def test_an_announcement_of_another_day_every_day_is_told_a_bounded_number_of_times():
    found = look(*daily(4 * UNTELLING))
    assert len({value for run in found for values in run.values() for value in values}) <= UNTELLING + 1
    assert {run["deprecation"] for run in found[UNTELLING:]} == {("deprecation (another value each time)",)}


def test_an_announcement_that_never_repeats_is_one_from_the_start():
    every = [replace(reply, canary_id=f"c{i}") for i, [reply] in enumerate(daily(UNTELLING + 1))]
    assert look(every, every[:1])[0] == {"deprecation": ("deprecation (another value each time)",)}
    assert look([told(1, deprecation="deprecation 1 Jun 2026")], baseline=every) == [{}]


def test_the_end_that_a_list_announces_stands_until_it_says_something_else():
    one, other = "announces the end of its model for 31 Jan 2027", "no longer lists its model"
    announce = partial(trip, BASELINE, levels=ALL_PAGE)
    first = announce(SAME, at=AT, ending=one)
    assert [(t.wire, t.after, t.before, t.canaries, t.since) for t in first] == [
        (Wire.RETIREMENT, (one,), (), (), AT),
    ]
    assert words(first[0]) == one
    assert announce(SAME, at=AT + HOUR, ending=one, standing=first) == first
    down = [told(1, outcome=Outcome.TIMEOUT)]
    assert announce(down, at=AT + HOUR, ending=one, standing=first) == first, "it is not told by replies"
    assert [t.since for t in announce(SAME, at=AT + HOUR, ending=other, standing=first)] == [AT + HOUR]
    assert announce(SAME, at=AT + HOUR, ending=None, standing=first) == ()
    assert trip(BASELINE, SAME, levels={Wire.RETIREMENT: Level.OFF}, at=AT, ending=one) == ()
