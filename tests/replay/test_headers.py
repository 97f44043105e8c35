"""What each vendor's rate limit headers say, from the example in its documentation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from driftwatch.replay.headers import Told, Unit, told_by

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
GRADUAL = {"is_gradual": True}


def told(headers):
    return {one.name: one for one in told_by(headers, at=AT)}


def one(name, unit, remaining, reset_s, limit=None, *, is_gradual=False):
    return Told(name=name, unit=unit, remaining=remaining, reset_s=reset_s, limit=limit, is_gradual=is_gradual)


def test_openai_tells_requests_and_tokens_with_durations():
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-reset-tokens": "6m0s",
        "x-ratelimit-limit-tokens_usage_based": "160000",
    }
    assert told(headers) == {
        "requests": one("requests", Unit.REQUESTS, 59, 1, 60, **GRADUAL),
        "tokens": one("tokens", Unit.TOKENS, 149_984, 360, 150_000, **GRADUAL),
    }


def test_groq_counts_requests_by_the_day_and_says_so_by_the_reset_alone():
    headers = {
        "retry-after": "2",
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-limit-tokens": "18000",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-remaining-tokens": "17997",
        "x-ratelimit-reset-requests": "2m59.56s",
        "x-ratelimit-reset-tokens": "7.66s",
    }
    found = told(headers)
    assert found["requests"] == one("requests", Unit.REQUESTS, 14_370, pytest.approx(179.56), 14_400, **GRADUAL)
    assert found["tokens"].reset_s == pytest.approx(7.66)


def test_azure_tells_seconds_of_a_window():
    headers = {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "19",
        "x-ratelimit-reset-requests": "10",
        "x-ratelimit-remaining-tokens": "19913",
    }
    assert told(headers) == {"requests": one("requests", Unit.REQUESTS, 19, 10, 120)}


def test_anthropic_tells_points_in_time_of_a_bucket_that_fills():
    reset = (AT + timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {}
    for unit, limit, remaining in [
        ("requests", 1000, 999), ("tokens", 96_000, 95_000),
        ("input-tokens", 80_000, 79_000), ("output-tokens", 16_000, 16_000),
    ]:  # fmt: skip
        headers |= {
            f"anthropic-ratelimit-{unit}-limit": str(limit),
            f"anthropic-ratelimit-{unit}-remaining": str(remaining),
            f"anthropic-ratelimit-{unit}-reset": reset,
        }
    headers["anthropic-ratelimit-unified-reset"] = "1795440000"
    found = told(headers)
    assert set(found) == {"requests", "tokens", "input-tokens", "output-tokens"}
    assert found["input-tokens"] == one("input-tokens", Unit.INPUT, 79_000, 30, 80_000, **GRADUAL)
    assert found["output-tokens"].unit is Unit.OUTPUT


def test_mistral_names_the_window_and_leaves_out_when_it_ends():
    headers = {
        "x-ratelimit-limit-tokens-minute": "5000000",
        "x-ratelimit-remaining-tokens-minute": "4999911",
        "x-ratelimit-tokens-query-cost": "52",
        "x-ratelimit-limit-req-minute": "720",
        "x-ratelimit-remaining-req-minute": "717",
        "x-ratelimit-limit-tokens-month": "1000000000",
        "x-ratelimit-remaining-tokens-month": "999999999",
    }
    assert told(headers) == {
        "tokens-minute": one("tokens-minute", Unit.TOKENS, 4_999_911, 60, 5_000_000),
        "req-minute": one("req-minute", Unit.REQUESTS, 717, 60, 720),
    }


def test_cerebras_tells_days_and_minutes_apart():
    headers = {
        "x-ratelimit-limit-requests-day": "1000000000",
        "x-ratelimit-limit-tokens-minute": "1000000000",
        "x-ratelimit-remaining-requests-day": "999997455",
        "x-ratelimit-remaining-tokens-minute": "999998298",
        "x-ratelimit-reset-requests-day": "33011.382867",
        "x-ratelimit-reset-tokens-minute": "11.382867",
    }
    found = told(headers)
    assert found["requests-day"].reset_s == pytest.approx(33_011.38, abs=0.01)
    assert (found["tokens-minute"].unit, found["tokens-minute"].remaining) == (Unit.TOKENS, 999_998_298)


def test_openrouter_tells_milliseconds_since_1970():
    reset = str(int((AT + timedelta(seconds=45)).timestamp() * 1000))
    headers = {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    assert told(headers) == {"requests": one("requests", Unit.REQUESTS, 0, 45, 20)}


def test_seconds_since_1970_are_told_from_seconds_to_wait():
    reset = str(int((AT + timedelta(seconds=45)).timestamp()))
    assert told({"x-ratelimit-remaining": "3", "x-ratelimit-reset": reset})["requests"].reset_s == 45
    assert told({"ratelimit-remaining": "3", "ratelimit-reset": "50"})["requests"].reset_s == 50


def test_the_ietf_draft_tells_policies_by_name():
    headers = {"ratelimit-policy": '"burst";q=100;w=60, "daily";q=1000;w=86400', "ratelimit": '"burst";r=50;t=30'}
    assert told(headers) == {"policy burst": one("policy burst", Unit.REQUESTS, 50, 30, 100)}

    both = told({**headers, "ratelimit": '"burst";r=45;t=30, "daily";r=850'})
    assert both["policy daily"] == one("policy daily", Unit.REQUESTS, 850, 86_400, 1000)


def test_the_ietf_draft_s_policies_that_count_something_else_are_passed_over():
    headers = {"ratelimit-policy": '"bytes";q=65535;qu="content-bytes";w=10', "ratelimit": '"bytes";r=5;t=3'}
    assert told(headers) == {}


def test_the_ietf_draft_s_older_forms_are_read():
    assert told({"ratelimit": "limit=100, remaining=50, reset=5"}) == {
        "policy": one("policy", Unit.REQUESTS, 50, 5, 100)
    }
    older = {"ratelimit-limit": "100, 100;w=10", "ratelimit-remaining": "50", "ratelimit-reset": "50"}
    assert told(older) == {"requests": one("requests", Unit.REQUESTS, 50, 50, 100)}


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("20ms", 0.02), ("1s", 1), ("6m0s", 360), ("1h2m3s", 3723), ("1d2h", 93_600), ("1m30.5s", 90.5), ("0s", 0)],
)
def test_durations_are_read_as_go_writes_them(duration, seconds):
    headers = {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": duration}
    assert told(headers)["requests"].reset_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "3"},
        {"x-ratelimit-remaining-requests": "59"},
        {"x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "soon"},
        {"x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": ""},
        {"ratelimit": "remaining=x, reset=y"},
        {"ratelimit": '"burst";r=;t=30'},
    ],
)
def test_what_cannot_be_read_tells_nothing(headers):
    assert told(headers) == {}


def test_a_point_in_time_that_has_passed_is_no_wait():
    headers = {
        "anthropic-ratelimit-requests-remaining": "5",
        "anthropic-ratelimit-requests-reset": "2026-11-23T11:59:59Z",
    }
    assert told(headers)["requests"].reset_s == 0


names = st.sampled_from(
    ["x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "x-ratelimit-limit-requests", "ratelimit",
     "ratelimit-policy", "anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"]
)  # fmt: skip


@given(st.dictionaries(names, st.text(st.characters(codec="ascii"), max_size=40)))
def test_no_header_whatever_it_says_breaks_the_reading(headers):
    for found in told_by(headers, at=AT):
        assert found.remaining >= 0
        assert found.reset_s >= 0
