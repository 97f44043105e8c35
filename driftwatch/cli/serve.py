"""``driftwatch serve``: the daemon."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch.cli.context import CONFIG, load_settings, start_logging, with_app

if TYPE_CHECKING:
    from driftwatch.app import App


def serve(config: Path | None = CONFIG) -> None:
    """Watch until stopped. SIGTERM or Ctrl-C finishes the runs in flight first."""
    import structlog  # noqa: PLC0415 - slow import

    from driftwatch.config import missing_secrets  # noqa: PLC0415 - pydantic is slow to import

    settings = load_settings(config)
    start_logging(settings.log.level, settings.log.format)

    for missing in missing_secrets(settings, os.environ):
        # At the start, not at the first page: that may be weeks away.
        structlog.get_logger().warning("secret.missing", about=missing.about, sentence=missing.sentence)

    async def work(application: App) -> None:
        from driftwatch.web import health, server  # noqa: PLC0415 - slow import
        from driftwatch.web.metrics import Metrics  # noqa: PLC0415 - slow import

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, application.stop)
        # What is loaded by now stays, and need not be looked at again in every full collection.
        gc.collect()
        gc.freeze()
        pages = health.build(application.health, Metrics(application).endpoint)
        with server.serving(pages, settings.http.host, settings.http.port):
            await application.serve()

    with_app(settings, work)
