"""Backtest: what driftwatch would have said about recorded outputs.

``grouping`` turns the completions of files into runs, ``rehearsal`` replays anchors, calibration and watch over them
with the daemon's own scoring and detection, ``explanation`` says what an alarm was about.
"""

from __future__ import annotations

from driftwatch.backtest.explanation import Alarm
from driftwatch.backtest.grouping import By, Grouping, RecordedRun, group
from driftwatch.backtest.rehearsal import Answer, Plan, Rehearsal, WatchedRun, rehearse

__all__ = ["Alarm", "Answer", "By", "Grouping", "Plan", "RecordedRun", "Rehearsal", "WatchedRun", "group", "rehearse"]
