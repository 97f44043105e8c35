"""Words, figures and what may be shown on a screen."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from driftwatch.alert.text import amount, duration, line, listing, ordinal, quote, units, when


def test_times_are_told_in_utc_whatever_they_were_given_in():
    assert when(datetime(2026, 3, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))) == "Sun 1 Mar 23:30 UTC"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "less than a minute"),
        (59.9, "less than a minute"),
        (60, "1 min"),
        (3_600, "1 h"),
        (90_000, "1 d 1 h"),
        (86_400 + 120, "1 d 2 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0.0"),
        (9.94, "9.9"),
        (999.6, "1,000"),
        (1_234, "1,200"),
        (17_532, "18,000"),
        (5.7e8, "570,000,000"),
        (float("inf"), "over a billion"),
    ],
)
def test_evidence_is_told_to_two_digits(value, expected):
    assert amount(value) == expected


def test_what_came_often_is_counted_as_people_count():
    said = [ordinal(n) for n in (1, 10, 11, 12, 13, 21, 22, 23, 24, 111, 1002)]
    assert said == ["first", "tenth", "11th", "12th", "13th", "21st", "22nd", "23rd", "24th", "111th", "1,002nd"]


def test_one_word_is_a_list_too():
    assert listing(["wording"]) == "wording"


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two\nlines\tand a tab",
        "café naïve Ångström",
        "שלום עולם",
        "مرحبا بالعالم",
        "می‌خواهم",  # a Persian non-joiner is spelling
        "👩‍👩‍👧 🇩🇪 👍🏽 ❤️",
        "日本語の返事",
    ],
)
def test_honest_text_is_shown_as_it_is(text):
    assert quote(text, 500) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2Jgone", "⟨U+001B⟩[2Jgone"),
        ("a\x00b\x7f\x9b", "a⟨U+0000⟩b⟨U+007F⟩⟨U+009B⟩"),
        ("exe\u202etxt", "exe⟨U+202E⟩txt"),
        ("\u2066x\u2069", "⟨U+2066⟩x⟨U+2069⟩"),
        ("pay\u200bpal", "pay⟨U+200B⟩pal"),
        ("in\u200dvisible", "in⟨U+200D⟩visible"),
        ("\u200d", "⟨U+200D⟩"),
        ("é\u200d", "é⟨U+200D⟩"),
        ("\ufeffbom", "⟨U+FEFF⟩bom"),
        ("a\u00adb", "a⟨U+00AD⟩b"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("smuggled\U000e0101\ufe01", "smuggled⟨U+E0101⟩⟨U+FE01⟩"),
        ("lone\ud800", "lone⟨U+D800⟩"),
        ("line\u2028sep", "line⟨U+2028⟩sep"),
        ("windows\r\nold\rmac", "windows\nold⟨U+000D⟩mac"),
    ],
)
def test_what_steers_or_hides_is_shown_by_its_code_point(text, expected):
    assert quote(text, 500) == expected


def test_a_long_text_says_how_much_is_missing():
    shown = quote("x" * 100_000, 1_000)
    assert shown == "x" * 960 + "… (99,040 more characters)"


def test_a_text_that_just_fits_is_whole():
    assert quote("x" * 100, 100) == "x" * 100
    assert quote("x" * 101, 100) == "x" * 60 + "… (41 more characters)"


@pytest.mark.parametrize(
    "cluster",
    ["e\u0301", "👩‍👩‍👧", "👍🏽", "🇩🇪", "❤\ufe0f"],
    ids=["accent", "family", "skin tone", "flag", "variation"],
)
def test_a_cut_never_splits_what_is_seen_as_one_character(cluster):
    for padding in range(12):
        shown = quote("x" * padding + cluster * 200, 100)
        kept = shown[padding : shown.index("…")]
        assert kept.replace(cluster, "") == ""


def test_endless_accents_are_cut_all_the_same():
    assert units(quote("a" + "\u0301" * 100_000, 200)) <= 200


@given(st.text(max_size=400), st.integers(64, 200))
def test_a_quote_is_never_longer_than_its_limit_and_never_steers(text, limit):
    shown = quote(text, limit)
    assert units(shown) <= limit
    assert not {unicodedata.category(c) for c in shown if c not in "\n\t\u200c\u200d"} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_a_line_is_one_line():
    assert line("a\r\n\n b\t\u2028c") == "a b c"
    assert line(" \n ") == ""
