"""Judge: pure functions from the scores of a series to evidence, alarms, onsets and leading canaries.

``finding.judge`` is the entrance. A monitored score's rank among the calibration scores becomes an e-value
(``rank``, with ``backstop`` beside it), ``edetector`` adds e-values up to evidence and alarms, ``onset`` dates an
alarm, ``leading`` names its canaries, ``budget`` turns accepted false alarms into the threshold.
"""

from __future__ import annotations

from driftwatch.detect import budget
from driftwatch.detect.edetector import Episode
from driftwatch.detect.finding import ChannelSpec, Finding, finding_of, judge, watchers
from driftwatch.detect.leading import canary_evidence
from driftwatch.detect.watcher import Watcher

__all__ = [
    "ChannelSpec",
    "Episode",
    "Finding",
    "Watcher",
    "budget",
    "canary_evidence",
    "finding_of",
    "judge",
    "watchers",
]
