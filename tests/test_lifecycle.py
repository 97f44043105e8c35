"""Announcements of an end in words: what says one, what does not, and that the same one always reads the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from driftwatch.domain import Listing, Lookup
from driftwatch.lifecycle import ANY_DAYS, LONGEST, announced, day_of, ending, unchanging
from driftwatch.providers.telling import telling

AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
LAST_DAY = date(2027, 1, 31)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Sunset": "Sun, 31 Jan 2027 23:59:59 GMT"}, "sunset 31 Jan 2027"),
        ({"Deprecation": "@1788220800"}, "deprecation 1 Sep 2026"),
        ({"Deprecation": "true"}, "deprecation"),
        ({"X-Model-Deprecation-Timestamp": "2027-01-31T12:00:00Z"}, "x-model-deprecation-timestamp 31 Jan 2027"),
        ({"azure-deprecating": "v1 will retire; use v2"}, "azure-deprecating: v1 will retire, use v2"),
        ({"Warning": '299 - "m-1 is deprecated"'}, 'warning: 299 - "m-1 is deprecated"'),
        ({"X-API-Warning": "m-1 will be removed in May"}, "x-api-warning: m-1 will be removed in May"),
        (
            {"Sunset": "Sun, 31 Jan 2027 00:00:00 GMT", "Deprecation": "?1", "Server": "x"},
            "deprecation; sunset 31 Jan 2027",
        ),
    ],
)
def test_what_is_kept_of_a_response_and_announces_an_end_is_told_in_words(headers, words):
    assert announced(telling(headers, say=str)) == words


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Deprecation": "false"},
        {"Deprecation": "?0"},
        {"Sunset": ""},
        {"Warning": '110 - "Response is Stale"'},
        {"X-API-Warning": "max_tokens was cut to 4096"},
        {"Retry-After": "30", "X-RateLimit-Reset": "2027-01-31T12:00:00Z"},
    ],
    ids=str,
)
def test_headers_that_announce_nothing_are_silent(headers):
    assert announced(telling(headers, say=str)) is None


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (
            {"warning": '299 - "deprecated" "Mon, 23 Nov 2026 09:00:00 GMT"'},
            {"warning": '299 - "deprecated" "Tue, 24 Nov 2026 10:01:07 GMT"'},
        ),
        ({"x-deprecation-notice": "seen 09:00:01Z"}, {"x-deprecation-notice": "seen 21:15:59Z"}),
        (
            {"x-sunset-info": "id 0f8fad5b-d9cb-469f-a165-70867728950e: ends in May"},
            {"x-sunset-info": "id 7c9e6679-7425-40de-944b-e07fc1f90ae7: ends in May"},
        ),
        ({"sunset": "Sun, 31 Jan 2027 00:00:00 GMT"}, {"sunset": "2027-01-31"}),
    ],
    ids=["the warning's own date", "time of day", "an id", "another spelling"],
)
def test_what_differs_with_every_response_and_means_nothing_is_left_out(one, another):
    assert announced(one) == announced(another) is not None


def test_an_endless_announcement_is_cut():
    assert len(announced({"azure-deprecating": "end " * 1000})) <= LONGEST + len("azure-deprecating: ")


def test_an_announcement_without_its_values_names_the_headers_and_stays_as_it_is():
    bare = unchanging("deprecation 1 Sep 2026; x-end-of-sunset: soon, perhaps")
    assert bare == "deprecation and x-end-of-sunset (another value each time)"
    assert unchanging(bare) == bare


@pytest.mark.parametrize(
    "value", [None, True, "", "soon", "@9", "99999999999", "31.01.2027", {"inference": 1_709_284_527}, [], "0001-01-01"]
)
def test_what_is_no_day_is_none(value):
    assert day_of(value) in {None, date(1, 1, 1)}


def lookup(was_listed=True, **listing):
    return Lookup(
        model="m-1",
        source="here",
        looked_at=AT,
        was_listed=was_listed,
        listing=Listing(**{"is_listed": True, **listing}) if listing else None,
    )


def end(known, model="m-1", notice_days=30, at=AT):
    return ending(known, model=model, at=at, notice_days=notice_days)


def test_a_day_is_told_from_so_many_days_before_it_on_and_in_the_same_words_after_it():
    known = lookup(retires_on=LAST_DAY)
    days_ahead = (LAST_DAY - AT.date()).days
    assert end(known, notice_days=days_ahead - 1) is None
    words = "announces the end of its model for 31 Jan 2027"
    assert end(known, notice_days=days_ahead) == words
    assert end(known, at=AT + timedelta(days=days_ahead)) == words
    assert end(known, at=AT + timedelta(days=400)) == words
    assert end(known, notice_days=ANY_DAYS) == words


def test_the_model_that_takes_its_place_is_named():
    assert end(lookup(retires_on=LAST_DAY, replacement="m-2"), notice_days=99).endswith(", with m-2 in its place")
    assert end(lookup(is_listed=False, replacement="m-2")) == "no longer lists its model, with m-2 in its place"


def test_only_a_model_that_was_in_the_list_can_leave_it():
    assert end(lookup(is_listed=False)) == "no longer lists its model"
    assert end(lookup(is_listed=False, was_listed=False)) is None


def test_deprecated_without_a_day_is_told_as_that_and_a_far_day_is_waited_for():
    assert end(lookup(is_deprecated=True)) == "calls its model deprecated, without a day"
    assert end(lookup(is_deprecated=True, retires_on=LAST_DAY)) is None


def test_nothing_is_told_of_another_model_nor_before_anything_was_told():
    assert end(None) is None
    assert end(lookup()) is None
    assert end(lookup(is_listed=False), model="m-2") is None
