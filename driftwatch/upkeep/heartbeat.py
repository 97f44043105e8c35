"""The ping to a service outside that pages when it stops: the one alarm that works when driftwatch does not."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from driftwatch import __version__
from driftwatch.clock import stopwatch
from driftwatch.errors import DriftwatchError

log = structlog.get_logger()

TIMEOUT_S = 10.0
"""Longest silence of the other side, s; a tick comes every 30 s."""

TOLERANCE_S = 1.0
"""How much early a ping may be, s: ticks half an interval apart would otherwise miss every second one by a hair."""


class Heartbeat:
    """Pings a URL, at most once per interval.

    Args:
        read_url: reads the secret URL when it is used; None when it is not set.
        method: ``GET``, ``POST`` or ``HEAD``.
        interval_s: shortest time between two pings, s.
    """

    def __init__(self, read_url: Callable[[], str | None], *, method: str = "GET", interval_s: float = 60.0) -> None:
        self._read_url, self._method, self._interval_s = read_url, method, interval_s
        self._since_ping: Callable[[], float] | None = None
        self._is_failing = False
        self.n_sent = 0
        """Pings that were answered with success."""

    @property
    def is_due(self) -> bool:
        """Whether the interval has passed since the last attempt."""
        return self._since_ping is None or self._since_ping() >= self._interval_s - TOLERANCE_S

    async def ping(self) -> None:
        """Ping once if it is due. Raises nothing: a heartbeat that fails is noticed where it is missed.

        The first failure in a row is a warning in the log, the others are debug; neither names the URL.
        """
        if not self.is_due:
            return
        self._since_ping = stopwatch()
        problem = await self._send()
        if problem is None:
            self.n_sent += 1
            if self._is_failing:
                log.info("heartbeat.resumed")
        else:
            tell = log.debug if self._is_failing else log.warning
            tell("heartbeat.failed", problem=problem)
        self._is_failing = problem is not None

    async def _send(self) -> str | None:
        """What went wrong, in words without the URL; None when it was taken."""
        import httpx  # noqa: PLC0415 - slow import

        try:
            url = self._read_url()
        except DriftwatchError as error:
            return str(error)
        if not url:
            return "its URL is not set; set the variable that heartbeat.url_env names"
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                # No body and nothing about the watch: whoever runs the service learns that it is alive, and no more.
                response = await client.request(self._method, url, headers={"User-Agent": f"driftwatch/{__version__}"})
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # The type alone: httpx puts the URL, which is the secret, into some of its messages.
            return f"it could not be reached ({type(error).__name__})"
        return None if response.is_success else f"it was answered with status {response.status_code}"
