"""Noise is taken from calibration runs where there are enough, and from nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from driftwatch.domain import Purpose, SeriesRow
from driftwatch.plan import Setting, assumed_noise
from driftwatch.plan.noise import SHARED_VARIANCE, measured_noise, sd_ratio

AT = datetime(2026, 3, 2, tzinfo=UTC)
HOURLY = Setting(interval_s=3600.0, repeats=1)


def rows(n: int, purpose: Purpose = Purpose.CALIBRATION, **values) -> list[SeriesRow]:
    return [
        SeriesRow(
            run_id=i,
            scheduled_at=AT + timedelta(hours=i),
            purpose=purpose,
            failure_share=0.0,
            values={name: series[i] for name, series in values.items()},
        )
        for i in range(n)
    ]


def test_a_channels_spread_is_that_of_its_calibration_runs():
    values = np.linspace(0.1, 0.3, 30)

    noise = measured_noise(rows(30, wording=values) + rows(30, Purpose.WATCH, wording=values + 0.5))

    assert noise.measured["wording"].mean == pytest.approx(0.2)
    assert noise.measured["wording"].sd == pytest.approx(values.std(ddof=1))
    assert (noise.n_calibration, noise.n_channels, noise.n_two_sided) == (30, 1, 0)


def test_nineteen_calibration_runs_are_too_few_to_measure_by():
    assert measured_noise(rows(19, wording=np.linspace(0, 1, 19))) is None
    assert measured_noise([]) is None


def test_performance_channels_are_no_behaviour():
    values = np.linspace(0.1, 0.3, 30)

    assert measured_noise(rows(30, latency=values)) is None
    assert list(measured_noise(rows(30, latency=values, wording=values)).measured) == ["wording"]


def test_a_two_sided_channel_is_counted_as_one():
    values = np.linspace(0.1, 0.3, 30)

    assert measured_noise(rows(30, spread=values, wording=values)).n_two_sided == 1


def test_without_an_embedder_there_is_one_channel_less(make):
    with_it, without = (assumed_noise(make(HOURLY), has_embedder=has) for has in (True, False))

    assert with_it.n_channels == without.n_channels + 1
    assert without.measured == {}


def test_spread_is_counted_once_canaries_are_repeated(make):
    once, twice = (assumed_noise(make(replace(HOURLY, repeats=r)), has_embedder=False) for r in (1, 2))

    assert (once.n_two_sided, twice.n_two_sided) == (0, 1)


def test_ten_answers_vary_as_much_as_was_measured():
    # 1.6 × overdispersed: the variance of the mean of 10 is 1.6 / 10 of one answer's.
    variance_of_mean = (1 - SHARED_VARIANCE) / 10 + SHARED_VARIANCE
    assert variance_of_mean == pytest.approx(1.6 / 10)


def test_more_repeats_lower_the_noise_but_never_below_what_answers_share(make):
    ratios = [sd_ratio(make(replace(HOURLY, repeats=r)), make(HOURLY)) for r in (1, 4, 20)]

    assert ratios == pytest.approx([1.0, 0.5477, 0.3367], abs=1e-3)
    assert ratios[-1] > SHARED_VARIANCE**0.5


def test_repeats_of_the_target_do_not_touch_a_canary_with_its_own(make):
    def own(repeats: int):
        built = make(replace(HOURLY, repeats=repeats))
        return replace(built, canaries=tuple(replace(canary, repeats=5) for canary in built.canaries))

    assert sd_ratio(own(20), own(1)) == 1.0
