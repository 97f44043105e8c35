"""The thread of one's own: one call after the other, and nobody else's thread is taken."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from driftwatch.providers.own_thread import OwnThread

pytestmark = pytest.mark.anyio


async def test_calls_run_off_the_event_loop_and_return_or_raise() -> None:
    thread = OwnThread("credentials")

    assert await thread.run(threading.current_thread) is not threading.current_thread()
    assert await thread.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await thread.run(divmod, 7, 0)


async def test_calls_that_hang_leave_everybody_else_s_threads_alone() -> None:
    thread, hanging, n_calls = OwnThread("credentials"), threading.Event(), 0

    def hang() -> None:
        nonlocal n_calls
        n_calls += 1
        hanging.wait(10)

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
    asked = [asyncio.create_task(thread.run(hang)) for _ in range(8)]
    await asyncio.sleep(0)

    assert await asyncio.to_thread(lambda: "a read of the store") == "a read of the store"

    for request in asked[1:]:  # they give up before their turn
        request.cancel()
    await asyncio.gather(*asked[1:], return_exceptions=True)
    hanging.set()
    await asked[0]
    await thread.run(int)
    assert n_calls == 1


async def test_the_thread_ends_with_its_object() -> None:
    thread = OwnThread("credentials")
    it = await thread.run(threading.current_thread)

    del thread
    gc.collect()
    it.join(10)

    assert not it.is_alive()
