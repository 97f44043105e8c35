"""Series of simulated scores, shared by the tests of detection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from driftwatch.detect import ChannelSpec
from driftwatch.domain import Kind


@pytest.fixture
def steady() -> Callable[..., NDArray[np.float64]]:
    """(seed, n) → n scores around .24 with a standard deviation of about .05, as a stable endpoint gives."""

    def draw(seed: int, n: int) -> NDArray[np.float64]:
        return np.random.default_rng(seed).beta(18, 57, n)

    return draw


@pytest.fixture
def wording() -> ChannelSpec:
    return ChannelSpec(name="wording", kind=Kind.BEHAVIOUR, two_sided=False)


@pytest.fixture
def spread() -> ChannelSpec:
    return ChannelSpec(name="spread", kind=Kind.BEHAVIOUR, two_sided=True)


@pytest.fixture
def latency() -> ChannelSpec:
    return ChannelSpec(name="latency", kind=Kind.PERFORMANCE, two_sided=False)
