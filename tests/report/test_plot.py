"""Where things go in a drawing."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from driftwatch.report.plot import MAX_POINTS, TOP, WIDTH, Axis, height_of, path

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAN = math.nan


def points_of(drawn: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) ([\d.]+)", drawn)]


def test_a_gap_breaks_the_line():
    assert path([(0, 1), (1, 2), (2, NAN), (3, 4), (4, 5)]) == "M0.0 1.0L1.0 2.0M3.0 4.0L4.0 5.0"


def test_a_point_on_its_own_is_still_drawn():
    assert path([(5, 7)]) == "M3.0 7.0h4"
    assert path([(0, 1), (1, NAN), (2, 3), (3, NAN), (4, 5), (5, 6)]) == "M-2.0 1.0h4M0.0 3.0h4M4.0 5.0L5.0 6.0"


@pytest.mark.parametrize("points", [[], [(0.0, NAN)], [(0.0, NAN), (1.0, NAN)]])
def test_nothing_measured_draws_nothing(points):
    assert path(points) == ""


@given(st.lists(st.one_of(st.just(NAN), st.floats(0, 180)), max_size=MAX_POINTS))
def test_few_points_are_all_drawn(values):
    drawn = path([(float(x), y) for x, y in enumerate(values)])
    assert [y for _, y in points_of(drawn)] == [round(y, 1) for y in values if not math.isnan(y)]


@given(st.integers(MAX_POINTS + 1, 20_000), st.data())
def test_thinning_keeps_the_peak_the_dip_the_order_and_the_budget(n, data):
    peak, dip = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n - 1))
    values = [50.0] * n
    values[peak], values[dip] = 0.0, 99.0
    drawn = points_of(path(list(enumerate(values))))
    assert (float(dip), 99.0) in drawn
    assert peak == dip or (float(peak), 0.0) in drawn
    assert [x for x, _ in drawn] == sorted({x for x, _ in drawn})
    assert len(drawn) <= MAX_POINTS + 2


def test_thinning_never_bridges_a_gap():
    values = [1.0] * 3000
    values[1500] = NAN
    assert path(list(enumerate(values))).count("M") == 2


@given(st.floats(0, 1e300), st.floats(0, 1e300), st.floats(2, 1e9))
def test_more_evidence_is_never_drawn_lower(one, other, threshold):
    low, high = sorted([one, other])
    assert 0 <= height_of(low, threshold) <= height_of(high, threshold) <= TOP
    assert height_of(threshold, threshold) == 1.0
    assert height_of(math.inf, threshold) == TOP


def test_an_axis_spans_the_width():
    axis = Axis(start=START, end=START + timedelta(days=20))
    assert (axis.x(START), axis.x(START + timedelta(days=10)), axis.x(axis.end)) == (0.0, WIDTH / 2, WIDTH)


def test_an_axis_of_one_moment_divides_by_nothing():
    axis = Axis(start=START, end=START)
    assert axis.x(START) == 0.0
    assert axis.marks() == [(0.0, "2 Mar 2026, 12:00")]


@given(st.integers(60, 3 * 366 * 86_400), st.integers(0, 86_399))
def test_marks_are_few_in_order_inside_and_told_apart(span_s, offset_s):
    start = START + timedelta(seconds=offset_s)
    marks = Axis(start=start, end=start + timedelta(seconds=span_s)).marks()
    assert len(marks) <= 8
    assert [x for x, _ in marks] == sorted({x for x, _ in marks})
    assert all(0 <= x <= WIDTH for x, _ in marks)
    assert len(marks) >= (2 if span_s > 3 * 86_400 else 0)


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (timedelta(days=5), ["3 Mar 2026", "4 Mar", "5 Mar", "6 Mar", "7 Mar"]),
        (timedelta(days=20), ["3 Mar 2026", "6 Mar", "9 Mar", "12 Mar", "15 Mar", "18 Mar", "21 Mar"]),
        (timedelta(hours=13), ["2 Mar 2026, 12:00", "14:00", "16:00", "18:00", "20:00", "22:00", "3 Mar"]),
        (timedelta(hours=2), ["2 Mar 2026, 12:00", "13:00", "14:00"]),
        (timedelta(days=400), ["3 Mar 2026", "30 Apr", "27 Jun", "24 Aug", "21 Oct", "18 Dec", "14 Feb 2027"]),
        (timedelta(minutes=30), ["2 Mar 2026, 12:00"]),
    ],
)
def test_marks_are_days_or_hours_as_the_span_asks(span, labels):
    assert [label for _, label in Axis(start=START, end=START + span).marks()] == labels
