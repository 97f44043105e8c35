"""Every channel has its words, in one place."""

from __future__ import annotations

import pytest

from driftwatch.alert.meanings import HALF_IS_USUAL, MEANINGS, meaning
from driftwatch.domain import Kind
from driftwatch.score import CHANNELS


@pytest.mark.parametrize("name", CHANNELS)
def test_every_channel_is_described(name):
    assert meaning(name).startswith(MEANINGS[name])


def test_a_channel_nobody_has_described_is_shown_by_its_name_alone():
    assert meaning("made-up") == ""


def test_the_scale_of_speed_and_length_is_told():
    assert meaning("latency") == "time to answer; 0.5 is as accepted"
    assert {c.name for c in CHANNELS.values() if c.kind is Kind.PERFORMANCE} <= HALF_IS_USUAL
