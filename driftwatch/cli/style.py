"""How tables, states and evidence look in a terminal."""

from __future__ import annotations

import math

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from driftwatch.domain import IncidentState, State, Verdict

COLOURS = {
    State.CALIBRATING: "cyan",
    State.STABLE: "green",
    State.DRIFTED: "bold red",
    State.INCONCLUSIVE: "yellow",
    IncidentState.OPEN: "bold red",
    IncidentState.ACKNOWLEDGED: "yellow",
    IncidentState.RESOLVED: "green",
}

BAR_CELLS = 10


def table(*columns: str) -> Table:
    """A plain table with headings and no frame, that copies well into a message."""
    result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        result.add_column(column, overflow="fold")
    return result


def badge(state: State | IncidentState | None) -> Text:
    """A state in its colour; its word alone says the same."""
    return Text(state.value, style=COLOURS[state]) if state else Text("never run", style="dim")


def gauge(verdict: Verdict | None) -> Text:
    """How far the evidence has come on its way to an alarm.

    The bar is logarithmic, because evidence multiplies: every cell is the same factor.
    """
    if verdict is None or not verdict.kinds:
        return Text("-", style="dim")
    most = max(verdict.kinds, key=lambda kind: kind.evidence / kind.threshold)
    share = min(1.0, math.log1p(most.evidence) / math.log1p(most.threshold))
    cells = round(share * BAR_CELLS)
    colour = "red" if most.is_drifted else "green"
    bar = Text("█" * cells, style=colour) + Text("░" * (BAR_CELLS - cells), style="dim")
    # Below ten a tenth still tells; a drift that has lasted needs no decimals.
    figure = f"{most.evidence:,.1f}" if most.evidence < 10 else f"{most.evidence:,.0f}"  # noqa: PLR2004 - as said
    return bar + Text(f" {figure} of {most.threshold:,.0f}")


def plain(text: str) -> str:
    """Text from outside, such as a completion, that must not act as markup or move the cursor."""
    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in text))
