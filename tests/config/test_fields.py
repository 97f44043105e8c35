"""The kinds of value: durations, URLs, names."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from pydantic import TypeAdapter, ValidationError

from driftwatch.config.fields import LONGEST_S, UNITS_S, Interval, Jitter, Name, Timeout, Url, duration_s


@given(number=st.integers(1, 10**9 - 1), unit=st.sampled_from(sorted(UNITS_S)))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert duration_s(f"{number}{unit}") == number * UNITS_S[unit]


@given(seconds=st.floats(allow_nan=True) | st.integers())
def test_an_interval_is_positive_and_at_most_a_year_or_refused(seconds: float) -> None:
    try:
        got = TypeAdapter(Interval).validate_python(seconds)
    except ValidationError:
        assert not 0 < seconds <= LONGEST_S
    else:
        assert got == seconds
        assert 0 < got <= LONGEST_S


@given(text=st.text(max_size=12))
def test_any_text_is_a_duration_or_none_and_never_an_error(text: str) -> None:
    got = duration_s(text)
    assert got is None or (text[-1] in UNITS_S and text[:-1].isascii() and got >= 0)


@pytest.mark.parametrize(
    "written", ["", "h", "1", "1 h", "1H", "-1h", "+1h", "1h30m", "1e3s", "١h", "1h\n", "1w", ".5h"]
)
def test_what_is_no_duration_is_refused(written: str) -> None:
    assert duration_s(written) is None


@pytest.mark.parametrize("written", [True, False, None, [], {}, "15"])
def test_only_numbers_and_text_with_a_unit_are_durations(written: object) -> None:
    assert duration_s(written) is None


def test_only_a_jitter_may_be_zero() -> None:
    assert TypeAdapter(Jitter).validate_python("0s") == 0
    for kind in (Interval, Timeout):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python("0s")


@pytest.mark.parametrize(
    ("written", "kept"), [("http://[::1]:80/v1/", "http://[::1]:80/v1"), ("https://a", "https://a")]
)
def test_a_url_keeps_all_but_its_last_slash(written: str, kept: str) -> None:
    assert TypeAdapter(Url).validate_python(written) == kept


@pytest.mark.parametrize(
    "written",
    ["", "a", "//a", "http://", "http://:80", "http://[::1", "http://a\n", "http://a\tb", "http://ä", "http://u@a",
     "http://a#b", "https://a?b", "file:///etc/passwd", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_plain_http_url_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Url).validate_python(written)


@pytest.mark.parametrize("name", ["", ".", "-a", "a/b", "a b", "a\n", "ä", "a" * 65])
def test_a_name_fits_into_a_url(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)
