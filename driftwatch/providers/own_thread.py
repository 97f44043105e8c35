"""Runs what blocks for an unknown time, such as the fetching of credentials, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Got = TypeVar("_Got")


class OwnThread:
    """One thread, which takes one call after the other and ends with this object.

    The threads of ``asyncio.to_thread`` are few and everybody's: a server of credentials that hangs would take one of
    them with every request, until neither the store nor scoring had any left. Here requests wait for each other, and
    one that gives up before its turn has asked for nothing.

    Args:
        name: what the thread is called.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, call: Callable[_Given, _Got], *args: _Given.args, **kwargs: _Given.kwargs) -> _Got:
        """Call it there, and wait for what it returns or raises."""
        return await asyncio.wrap_future(self._pool.submit(call, *args, **kwargs))
