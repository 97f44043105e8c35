"""The plan as a picture: delay against change size, for the present setting and a proposed one, as one SVG file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from driftwatch.plan.delays import HORIZON, SIZES, Delay, delay
from driftwatch.plan.forecasts import CHANGES, Forecast, Known, rerouted_share
from driftwatch.plan.noise import sd_ratio
from driftwatch.plan.words import DAY_S, HOUR_S, MINUTE_S, dollars, duration, span

WIDTH, HEIGHT = 960.0, 600.0
LEFT, RIGHT, TOP, BOTTOM = 96.0, 924.0, 156.0, 484.0
"""The plotting area, SVG units."""

MARKS = (
    (MINUTE_S, "1 min"),
    (10 * MINUTE_S, "10 min"),
    (HOUR_S, "1 hour"),
    (6 * HOUR_S, "6 hours"),
    (DAY_S, "1 day"),
    (7 * DAY_S, "1 week"),
    (30.44 * DAY_S, "1 month"),
    (365.25 * DAY_S, "1 year"),
    (10 * 365.25 * DAY_S, "10 years"),
)
"""Delays that are marked, s."""

PRESENT, PROPOSED = "#64748b", "#0f766e"
INK, FAINT, GRID = "#0f172a", "#64748b", "#e2e8f0"

_FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_CAPTION = (
    "thick line: half of all alarms have come (median) · thin line: 9 in 10 have; "
    f"where it is missing, more than 1 in 10 take over {HORIZON:,} runs"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """One setting's delays over SIZES."""

    word: str
    title: str
    colour: str
    delays: tuple[Delay, ...]
    marked: tuple[Delay, ...]
    """At the sizes of CHANGES."""


def picture(known: Known, present: Forecast, proposed: Forecast | None = None) -> str:
    """Draw the plan.

    Args:
        known: what both were made from.
        present: the setting of the config.
        proposed: another one; None draws the present one alone.

    Returns:
        A complete SVG document. Thick lines are medians, thin ones 90th percentiles; both axes are logarithmic.
    """
    curves = [_curve(known, present, "now", PRESENT if proposed else PROPOSED)]
    if proposed is not None:
        curves.append(_curve(known, proposed, "proposed", PROPOSED))
    finite = [s for c in curves for d in (*c.delays, *c.marked) for s in (d.seconds, d.seconds_90) if math.isfinite(s)]
    scale = _Scale.around(finite or [HOUR_S, DAY_S])
    name = escape(known.present.name)
    budget = escape(known.present.alarm_budget or f"an alarm takes evidence {known.present.threshold:,.0f}")
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" width="{WIDTH:.0f}" '
            f'height="{HEIGHT:.0f}" font-family="{_FONT}" role="img" aria-labelledby="title">'
        ),
        f'<title id="title">How soon a change of {name} is told</title>',
        f'<rect width="{WIDTH:.0f}" height="{HEIGHT:.0f}" fill="#ffffff"/>',
        _text(LEFT, 44, f"How soon a change of {name} is told", size=24, weight=650),
        _text(LEFT, 70, f"Alarm budget: {budget}.", size=14, fill=FAINT),
        *_legend(curves),
        *_grid(scale, present),
        *(line for curve in curves for line in _lines(curve, scale)),
        *_marks(curves, scale),
        _text(
            (LEFT + RIGHT) / 2,
            BOTTOM + 78,
            "size of the change, in standard deviations of a channel from run to run (sd)",
            size=13,
            fill=FAINT,
            anchor="middle",
        ),
        _text(LEFT, HEIGHT - 14, _CAPTION, size=12, fill=FAINT),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Delays to heights, logarithmic."""

    low_s: float
    high_s: float

    @classmethod
    def around(cls, seconds: Sequence[float]) -> _Scale:
        """From the mark below the shortest delay to the mark above the longest."""
        marks = [mark for mark, _ in MARKS]
        low = max((mark for mark in marks if mark <= min(seconds)), default=marks[0])
        high = min((mark for mark in marks if mark >= max(seconds)), default=max(*seconds, marks[-1]))
        return cls(low_s=low, high_s=high if high > low else 10 * low)

    def y(self, seconds: float) -> float:
        """SVG units from the top; shorter delays lie lower and are held at the edge."""
        share = math.log(max(seconds, self.low_s) / self.low_s) / math.log(self.high_s / self.low_s)
        return BOTTOM - share * (BOTTOM - TOP)


def _curve(known: Known, made: Forecast, word: str, colour: str) -> _Curve:
    ratio = sd_ratio(made.target, known.present)
    cost = f"{made.per_month.requests:,.0f} requests a month"
    if made.per_month.usd is not None:
        cost = f"{dollars(made.per_month.usd)} a month"
    return _Curve(
        word=word,
        title=f"{word}: every {duration(made.target.interval_s)}, repeats {made.target.repeats} · {cost}",
        colour=colour,
        delays=tuple(delay(made.watch, size / ratio) for size in SIZES),
        marked=tuple(made.delays[change] for change in CHANGES),
    )


def _x(size: float) -> float:
    return LEFT + math.log(size / SIZES[0]) / math.log(SIZES[-1] / SIZES[0]) * (RIGHT - LEFT)


def _legend(curves: Sequence[_Curve]) -> list[str]:
    drawn = []
    for position, curve in enumerate(curves):
        y = 100.0 + 24 * position
        drawn += [
            (
                f'<path d="M{LEFT:.0f} {y - 5:.0f}h26" stroke="{curve.colour}" stroke-width="3.5" '
                f'stroke-linecap="round"/><circle cx="{LEFT + 13:.0f}" cy="{y - 5:.0f}" r="4.5" fill="{curve.colour}"/>'
            ),
            _text(LEFT + 38, y, escape(curve.title), size=15, weight=600, fill=curve.colour),
        ]
    return drawn


def _grid(scale: _Scale, present: Forecast) -> list[str]:
    drawn = []
    for mark, label in MARKS:
        if scale.low_s <= mark <= scale.high_s:
            y = scale.y(mark)
            drawn += [
                f'<path d="M{LEFT:.0f} {y:.1f}H{RIGHT:.0f}" stroke="{GRID}"/>',
                _text(LEFT - 12, y + 4.5, label, size=13, fill=FAINT, anchor="end"),
            ]
    for size in (0.5, 1.0, 2.0, 4.0, 8.0):
        drawn.append(_text(_x(size), BOTTOM + 20, f"{size:g} sd", size=13, fill=FAINT, anchor="middle"))
    for name, size in CHANGES.items():
        share = rerouted_share(present.target, size)
        words = f"≈ {share:.0%} of answers rerouted" if share < 1 else "all answers rerouted"
        drawn += [
            f'<path d="M{_x(size):.1f} {TOP:.0f}V{BOTTOM:.0f}" stroke="{GRID}" stroke-dasharray="3 4"/>',
            _text(_x(size), BOTTOM + 38, name, size=13, weight=600, anchor="middle"),
            _text(_x(size), BOTTOM + 54, words, size=11, fill=FAINT, anchor="middle"),
        ]
    drawn.append(f'<path d="M{LEFT:.0f} {BOTTOM:.0f}H{RIGHT:.0f}" stroke="{FAINT}"/>')
    return drawn


def _lines(curve: _Curve, scale: _Scale) -> list[str]:
    """The 90th percentile, then the median. Areas between them would overlap to mud."""
    sizes = list(zip(SIZES, curve.delays, strict=True))
    late = [(_x(size), scale.y(d.seconds_90)) for size, d in sizes if math.isfinite(d.seconds_90)]
    middle = [(_x(size), scale.y(d.seconds)) for size, d in sizes if math.isfinite(d.seconds)]
    thin, thick = 'stroke-width="1.4" stroke-dasharray="5 4"', 'stroke-width="3.5" stroke-linecap="round"'
    return [
        f'<path d="{_path(points)}" fill="none" stroke="{curve.colour}" {style} stroke-linejoin="round"/>'
        for points, style in ((late, thin), (middle, thick))
        if points
    ]


def _marks(curves: Sequence[_Curve], scale: _Scale) -> list[str]:
    """Medians of the named changes, on top of all lines; of two, the slower one is labelled above, off both lines."""
    dots, labels = [], []
    for position, size in enumerate(CHANGES.values()):
        medians = [curve.marked[position].seconds for curve in curves]
        slowest = medians.index(max(medians))
        for number, (curve, seconds) in enumerate(zip(curves, medians, strict=True)):
            if math.isinf(seconds):
                continue
            x, y = _x(size), scale.y(seconds)
            is_below = (len(curves) == 1 or number != slowest) and y < BOTTOM - 30
            at, anchor = ((x - 8, y + 19), "end") if is_below else ((x + 10, y - 10), "start")
            dots.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{curve.colour}" stroke="#ffffff" stroke-width="2"/>'
            )
            labels.append(_text(*at, span(seconds), size=13, weight=650, fill=curve.colour, anchor=anchor, halo=True))
    return dots + labels


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: int,
    fill: str = INK,
    weight: int = 400,
    anchor: str = "start",
    halo: bool = False,
) -> str:
    """One line of text, escaped by the caller; a halo keeps it readable on lines."""
    around = ' paint-order="stroke" stroke="#ffffff" stroke-width="4" stroke-linejoin="round"' if halo else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}"{around}>{words}</text>'
    )
