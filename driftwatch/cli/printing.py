"""Where tables and sentences are printed: folded to fit a terminal, whole lines for everything that reads a pipe.

As ``kubectl get`` and ``ps`` do: what is not read by eyes is searched line by line, so that a row is one line, however
long, without cells cut or folded and without blanks at its end.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.context import console

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

NO_END = 1_000_000
"""Columns of a page on which nothing is folded."""


def show(rows: Table) -> None:
    """Print a table on standard output."""
    _print(rows, indent=0)


def say(sentence: RenderableType, *, indent: int = 0) -> None:
    """Print a sentence on standard output; where it is folded, each of its lines is indented.

    Args:
        sentence: escaped with ``style.plain`` where it is not driftwatch's own.
        indent: in columns.
    """
    _print(sentence, indent=indent)


def _print(what: RenderableType, *, indent: int) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow import
    from rich.padding import Padding  # noqa: PLC0415 - slow import

    if indent:
        what = Padding(what, (0, 0, 0, indent), expand=False)
    if _is_terminal():
        console().print(what)
        return
    page = io.StringIO()
    Console(file=page, width=NO_END, highlight=False).print(what)
    for line in page.getvalue().splitlines():
        typer.echo(line.rstrip())


def _is_terminal() -> bool:
    return sys.stdout.isatty()
