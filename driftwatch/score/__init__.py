"""Measure: completions × anchors → one value in [0, 1] per channel and run, and words for what changed."""

from __future__ import annotations

from driftwatch.score.channel import Channel
from driftwatch.score.channels import CHANNELS
from driftwatch.score.embedder import Embedder, EmbeddingCache, open_embedder
from driftwatch.score.explain import (
    Change,
    Effect,
    Explanation,
    KindOfChange,
    describe_change,
    explain,
    far_replies,
    medoid,
)
from driftwatch.score.reference import Reference, combine, score

SCORING_VERSION = 2
"""Part of a series' identity: scores of two versions do not compare, so a new version starts new baselines.

Add one when the same completions and anchors would give another value in any channel: another tokenisation, hash,
form, distance, weighting, imputation or rounding; a refusal or check that judges a text otherwise; a channel added
or removed. Not for speed, words of ``describe_change``, or another embedder, whose revision is in the identity
already. Say "scores change: re-baseline" in the changelog.
"""

__all__ = [
    "CHANNELS",
    "SCORING_VERSION",
    "Change",
    "Channel",
    "Effect",
    "Embedder",
    "EmbeddingCache",
    "Explanation",
    "KindOfChange",
    "Reference",
    "combine",
    "describe_change",
    "explain",
    "far_replies",
    "medoid",
    "open_embedder",
    "score",
]
