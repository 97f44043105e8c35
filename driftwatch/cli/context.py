"""What the verbs share: finding the config, opening the program, logging, printing."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from driftwatch.app import App
    from driftwatch.config import Settings
    from driftwatch.domain import Incident
    from driftwatch.store import Store

Result = TypeVar("Result")

LARGEST_NUMBER = 2**63 - 1
"""The largest number of a row. Source: https://sqlite.org/datatype3.html, section 2."""

CONFIG = typer.Option(
    None,
    "--config",
    "-c",
    metavar="PATH",
    help="Config file or directory. Default: $DRIFTWATCH_CONFIG, driftwatch.yaml, config/driftwatch.yaml.",
    show_default=False,
)


def load_settings(config: Path | None, env: Mapping[str, str] = os.environ) -> Settings:
    """Read the config that the user means."""
    from driftwatch.config import load  # noqa: PLC0415 - pydantic is slow to import
    from driftwatch.providers import PROVIDERS  # noqa: PLC0415 - beside its use

    return load(config, env, providers=PROVIDERS)


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """The database of an existing watch, for verbs that only look.

    Raises:
        UsageError: nothing has been watched yet.
    """
    from driftwatch.store import Store  # noqa: PLC0415 - slow import

    start_logging("warning", settings.log.format)
    if not settings.store.exists():
        raise UsageError(
            f"{settings.store}: no database yet; run `driftwatch serve` or `driftwatch baseline` first, "
            "or name another config with --config"
        )
    store = Store.open(settings.store)
    try:
        yield store
    finally:
        store.close()


def with_app(settings: Settings, work: Callable[[App], Awaitable[Result]], **options: Any) -> Result:
    """Build the program, let ``work`` use it, and release everything whatever happens."""
    from driftwatch.app import App  # noqa: PLC0415 - slow import

    async def run() -> Result:
        application = App(settings, env=os.environ, **options)
        try:
            return await work(application)
        finally:
            await application.close()

    return asyncio.run(run())


def pick_targets(settings: Settings, names: Sequence[str]) -> list[str]:
    """The targets that the user named, all when none.

    Raises:
        UsageError: a name is not in the config.
    """
    for name in names:
        if name not in settings.targets:
            raise UsageError(unknown("target", name, settings.targets))
    return list(names) or list(settings.targets)


def unknown(noun: str, name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """One sentence for a name that does not exist, with the nearest one that does."""
    from rapidfuzz import process  # noqa: PLC0415 - only on the way to an error

    near = process.extractOne(name, list(known), score_cutoff=60)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known) or 'none'}"
    return f"unknown {noun} '{name}'; {hint}"


def find_incident(store: Store, number: int) -> Incident:
    """The incident that the user means.

    Raises:
        UsageError: there is none of this number.
    """
    incident = store.incident(number) if number <= LARGEST_NUMBER else None
    if incident is None:
        known = ", ".join(str(other.id) for other in store.incidents(limit=10)) or "none"
        raise UsageError(f"no incident {number}; there are: {known}")
    return incident


def author(given: str | None) -> str:
    """Who accepts or acknowledges: the name given, else the login name.

    Raises:
        UsageError: neither is known.
    """
    names = (given, os.environ.get("USER"), os.environ.get("LOGNAME"), _login_name())
    name = next((name.strip() for name in names if name and name.strip()), None)
    if name is None:
        raise UsageError("who are you? write --by NAME; the name is stored with the decision")
    return name


def _login_name() -> str | None:
    """The name behind the user id: cron and containers set no variable."""
    import pwd  # noqa: PLC0415 - one use

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None


def reason_for(decision: str, given: str) -> str:
    """The reason that a person gave.

    Args:
        decision: what it is the reason of, e.g. ``the incident is resolved``.
        given: what was written.

    Raises:
        UsageError: nothing was.
    """
    if not given.strip():
        raise UsageError(f"--reason is empty; write why {decision}")
    return given.strip()


def write_text(file: Path, text: str) -> None:
    """Write a file that the user named, with the folders above it.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        # Making the folders of a path that leads through a file says that the file exists.
        reason = "a file is in the way" if isinstance(error, FileExistsError) else error.strerror
        raise UsageError(f"cannot write {file}: {reason}; name another file") from None


def console(*, stderr: bool = False) -> Console:
    """A terminal to print to; no colour when the user or the pipe does not want it."""
    from rich.console import Console  # noqa: PLC0415 - slow import

    # A pipe has no width: 120 columns keep a table's rows whole.
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 120
    return Console(stderr=stderr, width=width, highlight=False)


def when(at: datetime | None) -> str:
    """A time as people read it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"


def start_logging(level: str, style: str) -> None:
    """Send log events to stderr: ``console`` for people, ``json`` for machines.

    Args:
        level: debug, info, warning or error.
        style: console or json.
    """
    import logging  # noqa: PLC0415 - beside its use

    import structlog  # noqa: PLC0415 - beside its use
    import structlog.tracebacks  # noqa: PLC0415 - beside its use

    threshold = logging.getLevelNamesMapping()[level.upper()]
    # Tracebacks without local variables: those hold replies, and may hold a key.
    plain = structlog.dev.plain_traceback
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    )
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            tracebacks if style == "json" else _leave,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(_Patient()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(threshold, logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")


class _Patient:
    """Standard error, which may be a file on a full disk: a log that cannot be written must not stop the watch."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _leave(_logger: Any, _method: str, event: Any) -> Any:
    return event
