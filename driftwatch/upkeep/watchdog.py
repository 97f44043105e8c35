"""A thread that sees when the scheduler stands still: the event loop may be blocked, and no task of it would run."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()

LOOKS_PER_LIMIT = 4
"""How often it looks within the time that it allows: a stall is seen a quarter late at most."""

STOP_WAIT_S = 2.0
"""How long a stop waits for the thread, s; beyond it the thread is left to end with the process."""


class Watchdog:
    """Calls ``on_stall`` once per stall, from its own thread.

    Args:
        age_s: how long ago the scheduler last looked at the clock, s; None before it has.
        limit_s: above which age it stands still.
        on_stall: told the age in seconds; whatever it raises is logged.
    """

    def __init__(self, age_s: Callable[[], float | None], *, limit_s: float, on_stall: Callable[[float], None]) -> None:
        self._age_s, self._limit_s, self._on_stall = age_s, limit_s, on_stall
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; safe when it was never started."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WAIT_S)

    def _watch(self) -> None:
        is_told = False
        while not self._stop.wait(self._limit_s / LOOKS_PER_LIMIT):
            age_s = self._age_s()
            is_stalled = age_s is not None and age_s > self._limit_s
            if is_stalled and not is_told and age_s is not None:
                log.error("watch.stalled", last_look_s=round(age_s, 1))
                try:
                    self._on_stall(age_s)
                except Exception:
                    # The log line above is out; a watchdog that dies of what it found helps nobody the next time.
                    log.exception("watchdog.failed")
            is_told = is_stalled
