"""A target to plan for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from driftwatch.domain import Canary, Message, Target
from driftwatch.plan import Known, Noise, Setting
from driftwatch.usage import Price, Tokens

YEAR_S = 365.25 * 86_400
PRICE = Price(input_usd=1.0, output_usd=10.0, source="config")


def target(setting: Setting, *, n_canaries: int = 4, **fields) -> Target:
    canaries = tuple(
        Canary(id=f"s/{n}", suite="s", messages=(Message(role="user", content="x" * 40),)) for n in range(n_canaries)
    )
    return Target(
        name="support",
        provider="openai",
        model="m",
        canaries=canaries,
        interval_s=setting.interval_s,
        repeats=setting.repeats,
        threshold=YEAR_S / setting.interval_s * 2 / 0.1,
        alarm_budget="at most a 10% chance of any false alarm in a year",
        calibration_wanted=min(168, max(20, int(7 * 86_400 // setting.interval_s))),
        **fields,
    )


@pytest.fixture
def make() -> Callable[..., Target]:
    return target


@pytest.fixture
def known() -> Known:
    """An hourly target whose run costs a thousandth of a dollar: 4 requests of 50 tokens in and 20 out."""
    present = target(Setting(interval_s=3600.0, repeats=1))
    tokens = {canary.id: Tokens(input=50.0, output=20.0) for canary in present.canaries}
    noise = Noise(n_channels=3, n_two_sided=1, measured={}, n_calibration=None)
    return Known(present=present, noise=noise, price=PRICE, tokens=tokens)
