"""Runs the HTTP application beside the watch, in a thread of its own so that it answers while a run computes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from driftwatch.errors import ConfigError

log = structlog.get_logger()

HIGHEST_PORT = 65_535

GRACE_S = 2
"""How long a stop waits for requests in flight, s; whole seconds, as uvicorn wants them."""

STOP_WAIT_S = 5.0
"""How long a stop waits for the thread, s; beyond it the thread is left to end with the process."""


@contextmanager
def serving(application: ASGIApp, host: str, port: int) -> Iterator[int]:
    """Serve until the block ends.

    Args:
        application: what answers.
        host: address to listen on.
        port: port to listen on, 0 for any free one.

    Yields:
        The port that is listened on.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    is_v6 = ":" in host
    try:
        if not 0 <= port <= HIGHEST_PORT:
            # Not left to create_server, which forgets to close its socket then.
            raise OverflowError  # noqa: TRY301 - one place makes the sentence
        listener = socket.create_server((host, port), family=socket.AF_INET6 if is_v6 else socket.AF_INET)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen on {f'[{host}]' if is_v6 else host}:{port}: {_reason(error)}",
            key="http",
            instead="write another address under `http:`, or set DRIFTWATCH_HTTP=127.0.0.1:0 for any free port",
        ) from None
    chosen: int = listener.getsockname()[1]
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    # Outside the main thread uvicorn leaves the process's signal handlers alone: SIGTERM stays the daemon's.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    log.info("http.listening", host=host, port=chosen)
    try:
        yield chosen
    finally:
        server.should_exit = True
        thread.join(STOP_WAIT_S)
        listener.close()


def _reason(error: OSError | OverflowError | UnicodeError) -> str:
    if isinstance(error, OverflowError):
        return "the port is out of range"
    if not isinstance(error, OSError):
        return "not an address"
    # create_server passes a resolver's code on as errno; they are negative and strerror does not know them.
    if error.errno is None or error.errno < 0:
        return "the host is not known"
    # Not error.strerror: Python adds the address to it a second time.
    return os.strerror(error.errno).lower()
