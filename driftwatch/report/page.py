"""The report as one HTML page: no script, nothing loaded from elsewhere, fit for print and for a phone."""

from __future__ import annotations

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from driftwatch import __version__
from driftwatch.alert.meanings import meaning
from driftwatch.alert.text import amount, count, day, quote
from driftwatch.domain import ChannelEvidence, Json
from driftwatch.report.dates import when
from driftwatch.report.dossier import Report

LONGEST = 20_000
"""Longest text shown in one place, UTF-16 units; a page has to stay a page."""


def page(report: Report) -> str:
    """The whole document."""
    # Completions are foreign text: everything is escaped unless a template asks otherwise, and none does.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"amount": amount, "count": count, "day": day, "when": when, "score": score, "like": like}
    return environment.get_template("page.html.j2").render(report=report, version=__version__, gloss=meaning)


def score(value: float) -> str:
    """A score with two digits, a dash for one that was not measured."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def like(value: float, evidence: ChannelEvidence) -> str:
    """A score of a channel, with as many digits as tell the ends of its calibration apart, three at most."""
    low, high = evidence.calibration_low, evidence.calibration_high
    is_narrow = low != high and score(low) == score(high)
    return f"{value:.3f}" if is_narrow and not math.isnan(value) else score(value)


def _visible(value: Json) -> Json:
    """Show control, bidirectional and invisible characters by their code point; nothing on a page obeys them."""
    if isinstance(value, str) and not (value.isascii() and value.isprintable()):
        return quote(value, LONGEST)
    return value
