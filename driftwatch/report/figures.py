"""The drawings of a report: the evidence over time, and every channel's scores over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftwatch.domain import ChannelEvidence, Kind, KindEvidence, Purpose, SeriesRow, State, Verdict
from driftwatch.report.plot import TOP, Axis, height_of, path

EVIDENCE_HEIGHT = 180.0
CHANNEL_HEIGHT = 56.0
CHANNEL_MARGIN = 4.0

LEAST_SPAN = 0.02
"""Scores that differ by less than this are drawn flat: noise in the third digit must not look like a mountain."""

GAP_MARK = 8.0
"""Length of the mark below a run without a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What the page is about in time: from the onset until the incident ended; None is open."""

    onset_at: datetime | None
    end_at: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether a run belongs to the change."""
        return self.onset_at is not None and at >= self.onset_at and (self.end_at is None or at <= self.end_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePlot:
    """The evidence of one kind over time; coordinates in SVG units."""

    axis: Axis
    kind: Kind
    height: float
    line: str
    scale: tuple[tuple[float, str], ...]
    """Labelled heights below the alarm: (y, label)."""
    alarm_y: float
    threshold: float
    calibration_x: float
    """Where the calibration ends."""
    onset_x: float | None
    alarm: tuple[float, float] | None
    """Where the line reached the alarm that the page is about."""
    gaps: str
    """A mark below every run without a verdict."""
    is_cut_off: bool
    """Whether the evidence went higher than the drawing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPlot:
    """One channel's scores over time, scaled to their own range."""

    evidence: ChannelEvidence
    height: float
    high: float
    """The score at the drawing's upper edge."""
    low: float
    """The score at its lower edge."""
    calibration: str
    watched: str
    since_onset: str
    band_top: float
    band_height: float


def evidence_plot(
    axis: Axis,
    verdicts: Sequence[Verdict],
    rows: Sequence[SeriesRow],
    kind: Kind,
    *,
    onset_at: datetime | None,
    alarm_at: datetime | None,
) -> EvidencePlot | None:
    """Draw one kind's evidence; None when there is none.

    Args:
        axis: time.
        verdicts: of one baseline, oldest first.
        rows: the baseline's series.
        kind: whose evidence.
        onset_at: where to mark the onset.
        alarm_at: where to mark the alarm.
    """
    points, gaps, alarm, found = [], [], None, None
    for verdict in verdicts:
        x = axis.x(verdict.at)
        if verdict.state is State.INCONCLUSIVE:
            gaps.append(f"M{x} {EVIDENCE_HEIGHT - GAP_MARK}v{GAP_MARK}")
            points.append((x, math.nan))
        elif (judged := verdict.kind(kind)) is not None:
            found = judged
            points.append((x, _evidence_y(height_of(found.evidence, found.threshold))))
            if verdict.at == alarm_at:
                alarm = points[-1]
    if found is None:
        return None
    threshold = found.threshold
    calibrated = [row.scheduled_at for row in rows if row.purpose is Purpose.CALIBRATION]
    return EvidencePlot(
        axis=axis,
        kind=kind,
        height=EVIDENCE_HEIGHT,
        line=path(points),
        scale=tuple(
            (_evidence_y(height_of(10.0**power, threshold)), f"{10**power:,}")
            for power in range(1, math.ceil(math.log10(threshold / 2)) if threshold > 2 else 1)  # noqa: PLR2004 - half
        ),
        alarm_y=_evidence_y(1.0),
        threshold=threshold,
        calibration_x=max(0.0, axis.x(calibrated[-1])) if calibrated else 0.0,
        onset_x=axis.x(onset_at) if onset_at and axis.start <= onset_at <= axis.end else None,
        alarm=alarm,
        gaps="".join(gaps),
        is_cut_off=any(y <= _evidence_y(TOP) for _, y in points),
    )


def channel_plots(
    axis: Axis,
    rows: Sequence[SeriesRow],
    verdict: Verdict,
    found: KindEvidence,
    *,
    window: Window,
    gaps: Sequence[datetime],
) -> tuple[ChannelPlot, ...]:
    """Draw the channels of one kind, the one that carries most evidence first.

    Args:
        axis: time.
        rows: the baseline's series.
        verdict: tells the channels' shares and calibration.
        found: the kind; runs of the change are set apart only when it has drifted.
        window: the change.
        gaps: runs without a verdict, which have no scores; the lines break there.
    """
    ranked = sorted((c for c in verdict.channels if c.kind is found.kind), key=lambda c: -c.share)
    plots = []
    for evidence in ranked:
        values = [row.values.get(evidence.channel, math.nan) for row in rows]
        low, high = _range([*values, evidence.calibration_low, evidence.calibration_high])
        y = _channel_scale(low, high)
        lines: dict[str, list[tuple[float, float]]] = {
            part: [(axis.x(at), math.nan) for at in gaps] for part in ("calibration", "watched", "since")
        }
        for row, value in zip(rows, values, strict=True):
            is_since = found.is_drifted and window.holds(row.scheduled_at)
            part = "calibration" if row.purpose is Purpose.CALIBRATION else "since" if is_since else "watched"
            for name, line in lines.items():
                line.append((axis.x(row.scheduled_at), y(value) if name == part else math.nan))
        top, bottom = y(evidence.calibration_high), y(evidence.calibration_low)
        plots.append(
            ChannelPlot(
                evidence=evidence,
                height=CHANNEL_HEIGHT,
                high=high,
                low=low,
                calibration=path(sorted(lines["calibration"], key=lambda point: point[0])),
                watched=path(sorted(lines["watched"], key=lambda point: point[0])),
                since_onset=path(sorted(lines["since"], key=lambda point: point[0])),
                band_top=top,
                band_height=round(max(1.0, bottom - top), 1),
            )
        )
    return tuple(plots)


def _evidence_y(share: float) -> float:
    return round(EVIDENCE_HEIGHT * (1 - share / (TOP + 0.05)), 1)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and highest score drawn, apart by at least ``LEAST_SPAN``."""
    finite = [value for value in values if not math.isnan(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    missing = max(0.0, LEAST_SPAN - (high - low))
    if missing:  # no score is below 0 or above 1, so no edge says so either
        low = min(max(0.0, low - missing / 2), 1.0 - LEAST_SPAN)
    return low, max(high, low + LEAST_SPAN)


def _channel_scale(low: float, high: float) -> Callable[[float], float]:
    inner = CHANNEL_HEIGHT - 2 * CHANNEL_MARGIN

    def y(value: float) -> float:
        return value if math.isnan(value) else round(CHANNEL_MARGIN + (high - value) / (high - low) * inner, 1)

    return y
