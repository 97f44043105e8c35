"""``/healthz`` and ``/readyz``, answered from the daemon's own Health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from driftwatch import __version__
from driftwatch.upkeep import Health

OK, UNAVAILABLE = 200, 503


def build(health: Callable[[], Health], metrics: Callable[[Request], Awaitable[Response]] | None = None) -> Starlette:
    """The HTTP application.

    Args:
        health: asked anew for every request; must be quick and callable from any thread.
        metrics: answers ``/metrics``; None where there are none.
    """

    async def healthz(_: Request) -> Response:
        """200 while the scheduler is running: an orchestrator restarts the container on anything else."""
        state = health()
        return _answer(state, ok=state.is_alive)

    async def readyz(_: Request) -> Response:
        """200 while runs can be made and stored."""
        state = health()
        return _answer(state, ok=state.is_ready)

    async def front(_: Request) -> Response:
        told = "/metrics  for Prometheus\n" if metrics is not None else ""
        return PlainTextResponse(f"driftwatch {__version__}\n/healthz  alive?\n/readyz   able to work?\n{told}")

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/", front)]
    if metrics is not None:
        routes.append(Route("/metrics", metrics))
    return Starlette(routes=routes)


def _answer(state: Health, *, ok: bool) -> JSONResponse:
    age_s = None if state.last_tick_age_s is None else round(state.last_tick_age_s, 1)
    return JSONResponse(
        {
            "status": "ok" if ok else "unavailable",
            "detail": state.detail,
            "version": __version__,
            "last_tick_age_s": age_s,
            "targets": state.targets,
            "runs_in_flight": state.runs_in_flight,
            "paused": dict(state.paused),
        },
        status_code=OK if ok else UNAVAILABLE,
        headers={"Cache-Control": "no-store"},
    )
