"""The evidence of a backtest over its runs, as a picture that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from driftwatch.alert.text import line
from driftwatch.backtest import Rehearsal
from driftwatch.domain import Kind
from driftwatch.report.plot import TOP, WIDTH, height_of, path

HEIGHT = 240.0
LEFT, RIGHT, ABOVE, BELOW = 110.0, 20.0, 62.0, 40.0
"""Margins in SVG units: for labels, and above for the title too."""

TITLE_LENGTH = 100
"""Characters that fit the width."""

COLOURS = {Kind.BEHAVIOUR: "#b3261e", Kind.PERFORMANCE: "#0b57d0"}
OTHER = "#5f6368"


def draw(found: Rehearsal, names: Sequence[str], *, title: str) -> str:
    """Draw every kind's evidence on a logarithmic scale, the alarm's height, and each drifted stretch as a band.

    Args:
        found: with at least one watched run.
        names: of the watched runs, as people read them.
        title: what was watched; the answer follows it.

    Returns:
        A whole SVG document.
    """
    n = len(found.watched)
    alarm_y = _y(1.0)
    width, height = f"{LEFT + WIDTH + RIGHT:.0f}", f"{ABOVE + HEIGHT + BELOW:.0f}"
    headline = escape(line(f"{title}: {found.answer.upper()}, {found.reason}", TITLE_LENGTH))
    label = f'x="{LEFT - 8}" text-anchor="end" fill="{OTHER}"'
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{headline}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">{headline}</text>',
    ]
    for alarm in found.alarms:
        start, end = _x(alarm.onset, n), _x(alarm.recovery if alarm.recovery is not None else n - 1, n)
        parts.append(
            f'<rect x="{start:.1f}" y="{ABOVE}" width="{max(2.0, end - start):.1f}" height="{HEIGHT}" '
            f'fill="{COLOURS.get(alarm.kind, OTHER)}" opacity="0.12"><title>{escape(alarm.kind.value)}: onset '
            f"{escape(names[alarm.onset])}, alarm {escape(names[alarm.alarm])}</title></rect>"
        )
    parts += [
        f'<path d="M{LEFT} {alarm_y:.1f}h{WIDTH}" stroke="{OTHER}" stroke-dasharray="6 4"/>',
        f'<text {label} y="{alarm_y + 4:.1f}">alarm {found.threshold:,.0f}</text>',
        f'<path d="M{LEFT} {_y(0.0):.1f}h{WIDTH}" stroke="{OTHER}"/>',
        f'<text {label} y="{_y(0.0) + 4:.1f}">no evidence</text>',
    ]
    for position, kind in enumerate(found.kinds):
        colour = COLOURS.get(kind, OTHER)
        points = [(_x(i, n), _y(height_of(run.evidence[kind], found.threshold))) for i, run in enumerate(found.watched)]
        parts += [
            f'<path d="{path(points)}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{LEFT + 130 * position:.0f}" y="48" fill="{colour}">{escape(kind.value)}</text>',
        ]
    bottom = ABOVE + HEIGHT + 22
    parts.append(f'<text x="{LEFT}" y="{bottom}" fill="{OTHER}">{escape(names[0])}</text>')
    if n > 1:
        end_x = LEFT + WIDTH
        parts.append(f'<text x="{end_x}" y="{bottom}" text-anchor="end" fill="{OTHER}">{escape(names[-1])}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(position: int, n: int) -> float:
    return LEFT + (WIDTH * position / (n - 1) if n > 1 else 0.0)


def _y(share: float) -> float:
    return ABOVE + HEIGHT * (1 - share / TOP)
