"""The speed benchmark of replay asks what it says it asks, on every side, and its figures are shares of the same."""

from __future__ import annotations

import pytest

from benchmarks.speed import replay as speed


def test_a_quick_run_asks_a_real_server_and_makes_every_run_once(capsys):
    speed.main(["--quick"])

    text = capsys.readouterr().out
    assert "80 completions a side in 1 rounds" in text
    assert "| bare httpx | " in text
    assert "| 100% (100% … 100%) |" in text
    assert "| runs made, of those claimed | 5 of 5 |" in text
    assert "| requests, of which asked twice | 30, 0 |" in text


def test_a_share_is_of_the_sums_and_its_range_of_the_rounds():
    assert speed._share([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 2.0, 4.0]).startswith("50% (")


@pytest.mark.parametrize("sizes", [speed.FULL, speed.QUICK])
def test_a_run_asks_every_canary_equally_often(sizes):
    assert sizes.per_target % speed.N_CANARIES == 0
