"""When the running program looks into its outbox, and when it repeats what receivers forget."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from driftwatch.clock import SimulatedClock
from driftwatch.delivering import Deliveries
from tests.alert.mailing import Post, Recorder


class Forgetful(Recorder):
    """A receiver that is told again every minute."""

    repeats_every = timedelta(minutes=1)
    n_repeats = 0

    async def repeat(self, _announcements) -> None:
        self.n_repeats += 1


@pytest.fixture
def post(tmp_path):
    post = Post(tmp_path / "watch.db", oncall=Forgetful())
    yield post
    post.store.close()


def test_the_running_program_repeats_what_stands_and_a_single_check_does_not(post):
    clock = SimulatedClock(post.at())
    deliveries = Deliveries(post.store, post.courier, post.policy, clock=clock)
    post.open()

    async def work():
        await deliveries.deliver()
        clock.jump(post.at(5))
        await deliveries.deliver()
        assert post.receivers["oncall"].n_repeats == 0
        deliveries.begin(reminds=True)
        await asyncio.gather(*deliveries.under_way)

    asyncio.run(work())
    assert (post.receivers["oncall"].n_repeats, post.receivers["oncall"].taken) == (1, ["opened 1"])
