"""One self-contained HTML page about a target or one of its incidents: evidence a person can check and forward."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from driftwatch import __version__
from driftwatch.alert.meanings import meaning
from driftwatch.alert.text import amount, count, day, quote, when
from driftwatch.domain import Incident, Json, Target
from driftwatch.report.view import View, gather
from driftwatch.store import Store

__all__ = ["View", "gather", "render"]

LONGEST = 20_000
"""Longest text shown in one place, UTF-16 units; a page has to stay a page."""


def render(store: Store, target: Target, incident: Incident | None, *, at: datetime) -> str:
    """The page as HTML: no script, nothing loaded from elsewhere, fit for print.

    Args:
        store: read only.
        target: what the page is about.
        incident: the incident it explains; the target's present state when None.
        at: when the page is made.
    """
    # Completions are foreign text: everything is escaped unless a template asks otherwise, and none does.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"amount": amount, "count": count, "day": day, "when": when, "score": _score}
    view = gather(store, target, incident)
    page = environment.get_template("page.html.j2")
    return page.render(view=view, at=at, version=__version__, gloss=meaning)


def _visible(value: Json) -> Json:
    """Show control, bidirectional and invisible characters by their code point; nothing on a page obeys them."""
    if isinstance(value, str) and not (value.isascii() and value.isprintable()):
        return quote(value, LONGEST)
    return value


def _score(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"
