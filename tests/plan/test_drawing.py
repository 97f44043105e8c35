"""The picture is valid SVG that says what it shows, whatever is planned."""

from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from driftwatch.plan import Delay, Setting, forecast, picture

SVG = "{http://www.w3.org/2000/svg}"


def texts(drawing: str) -> list[str]:
    return [element.text for element in ET.fromstring(drawing).iter(f"{SVG}text")]  # noqa: S314 - our own


@pytest.fixture
def present(known):
    return forecast(known)


@pytest.fixture
def proposed(known, make):
    return forecast(known, make(Setting(interval_s=1800.0, repeats=4)))


def test_both_settings_are_named_with_their_cost(known, present, proposed):
    said = texts(picture(known, present, proposed))

    assert "How soon a change of support is told" in said
    assert any(words.startswith("now: every 1h, repeats 1 · $") for words in said)
    assert any(words.startswith("proposed: every 30m, repeats 4 · $") for words in said)
    assert {"small", "medium", "large", "1 sd", "2 sd", "4 sd"} <= set(said)


def test_without_a_proposal_there_is_one_line(known, present):
    said = texts(picture(known, present))

    assert not any(words.startswith("proposed") for words in said)
    assert picture(known, present).count("<circle") == 1 + 3  # in the legend, and on small, medium and large


def test_without_a_price_requests_stand_in_its_place(known, make):
    free = replace(known, price=None)

    assert any("requests a month" in words for words in texts(picture(free, forecast(free))))


def test_nothing_is_filled_but_dots_so_that_two_settings_stay_apart(known, present, proposed):
    root = ET.fromstring(picture(known, present, proposed))  # noqa: S314 - our own
    lines = [path.attrib for path in root.iter(f"{SVG}path") if path.get("fill") == "none"]

    assert [line["stroke-width"] for line in lines] == ["1.4", "3.5"] * 2  # 9 in 10, then the median, of each
    assert all("fill-opacity" not in element.attrib for element in root.iter())
    assert all("Z" not in line["d"] for line in lines)


def test_labels_lie_on_top_of_every_line(known, present, proposed):
    drawn = list(ET.fromstring(picture(known, present, proposed)))  # noqa: S314 - our own
    last_line = max(i for i, element in enumerate(drawn) if element.get("fill") == "none")
    labels = [i for i, element in enumerate(drawn) if element.get("paint-order")]

    assert len(labels) == 6
    assert min(labels) > last_line


def test_everything_lies_within_the_drawing(known, present, proposed):
    root = ET.fromstring(picture(known, present, proposed))  # noqa: S314 - our own
    width, height = (float(root.get(name)) for name in ("width", "height"))

    for element in [*root.iter(f"{SVG}text"), *root.iter(f"{SVG}circle")]:
        x, y = (float(element.get("x") or element.get("cx")), float(element.get("y") or element.get("cy")))
        assert 0 <= x <= width, element.attrib
        assert 0 <= y <= height, element.attrib


def test_delays_of_never_leave_the_axes_standing(known, present, monkeypatch):
    never = Delay(runs=math.inf, runs_90=math.inf, seconds=math.inf, seconds_90=math.inf)
    monkeypatch.setattr("driftwatch.plan.drawing.delay", lambda *_: never)

    drawing = picture(known, replace(present, delays=dict.fromkeys(present.delays, never)))

    assert "inf" not in drawing
    assert "nan" not in drawing
    assert "1 day" in texts(drawing)


def test_a_name_cannot_break_out_of_the_drawing(known, present):
    hostile = replace(known, present=replace(known.present, name="<script>&", alarm_budget='"<b>'))

    drawing = picture(hostile, present)
    assert "<script>" not in drawing
    assert "How soon a change of <script>& is told" in texts(drawing)
