"""A vendor's server in a process of its own, so that its work is not counted as ours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.vendors.serving import answering, serving
from benchmarks.vendors.wire import Said, vendor

REPLY = "A reply of the length that canaries usually get, which is a few lines of text. " * 5
"""400 characters."""


@contextmanager
def vendor_beside(name: str) -> Iterator[str]:
    """Serve until the block ends; yields the ``base_url``."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "benchmarks.speed.vendor", name], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def _serve(name: str) -> None:
    played = vendor(name)
    answer = played.says(Said(text=REPLY, output_tokens=100))
    async with serving(answering(lambda _: answer)) as server:
        server.keeps = False
        print(server.address + played.base_path, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
