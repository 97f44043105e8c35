"""Work in a thread that is given up begins nothing more."""

from __future__ import annotations

import asyncio
import threading

import pytest

from driftwatch.alert.receivers.deadline import Deadline, TooLate, in_thread


def test_a_call_may_take_what_it_is_allowed_and_no_longer_than_what_is_left():
    deadline = Deadline(60.0)
    assert deadline.within(5.0) == 5.0
    assert 59.0 < deadline.within(100.0) <= 60.0
    deadline.end()
    with pytest.raises(TooLate):
        deadline.within(5.0)


@pytest.mark.parametrize(("limit_s", "outer_s"), [(0.05, 5.0), (5.0, 0.05)])
def test_whoever_gives_up_the_thread_begins_nothing_more(limit_s, outer_s):
    given_up, began = threading.Event(), []

    def work(deadline):
        given_up.wait(5)
        began.append(deadline.within(1.0))

    async def scene():
        try:
            async with asyncio.timeout(outer_s):
                await in_thread(work, limit_s=limit_s)
        finally:
            given_up.set()

    with pytest.raises(TimeoutError):
        asyncio.run(scene())  # waits for the thread
    assert began == []


def test_what_is_done_in_time_is_given_back():
    assert asyncio.run(in_thread(lambda deadline: deadline.within(1.0), limit_s=60.0)) == 1.0
