"""Completions × anchors → one Score per channel: what a run is compared to, and the comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from driftwatch.domain import Canary, Completion, Score, Target
from driftwatch.score.channel import Channel, clip, mean, variance
from driftwatch.score.channels import CHANNELS
from driftwatch.score.channels.novelty import is_prose, typical_variances
from driftwatch.score.embedder import Embedder
from driftwatch.score.reading import Anchors, Reading, read

_LEAST_VARIANCE = 1e-6
"""Added to every variance before it divides: canaries whose anchors never differ weigh the same, not infinitely."""
_SUREST = 1.0 - 1e-9
"""A chance of 1 has no odds."""
_MOST_MISSING = 0.5 + 1e-9
"""Weight that may be imputed. Beyond half, a value would say more about the baseline than about the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """How one channel's canaries add up to the run's value."""

    weights: Mapping[str, float]
    """Canary id → w, above 0, summing to 1; the canaries that the channel can measure, in the target's order."""
    anchor_means: Mapping[str, float]
    """Canary id → m, the leave-one-out mean of its anchors in [0, 1]; stands in for a canary without a reply.
    All NaN when no canary has enough anchors to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A target's anchors, prepared. Immutable; worth keeping for as long as the baseline stands."""

    target: Target
    anchors: Mapping[str, Anchors]
    """Canary id → its OK anchors, possibly none."""
    weighings: Mapping[str, Weighing]
    """Channel → weighing, in the order of CHANNELS; only channels that can measure at least one canary."""
    embedder: Embedder | None

    @classmethod
    def from_anchors(
        cls,
        target: Target,
        anchors: Mapping[str, Sequence[Completion]],
        embedder: Embedder | None,
    ) -> Reference:
        """Prepare anchors and learn each canary's noise from them.

        Weights are w_c ∝ 1 / (½·v_c + ½·v̄ + 1e-6), v_c the variance of the canary's leave-one-out values and v̄
        the mean over canaries. Inverse variance is the best weighting of independent values under known variances;
        v_c is estimated from about 8 anchors, where its own standard error is half of it, so it is shrunk half-way
        to the mean: no canary outweighs another by more than 1 + v_max/v̄, whatever luck its anchors had.
        Source: Cochran (1937), J. R. Stat. Soc. Suppl. 4, 102–118, for the weights; the shrinkage is ours.

        Args:
            target: whose canaries are measured.
            anchors: canary id → accepted completions; failures and unknown canaries are left out.
            embedder: None leaves out the channels that need one.

        Raises:
            EmbedderUnavailable: the weights cannot be loaded.
        """
        known = [c for canary in target.canaries for c in anchors.get(canary.id, ())]
        by_canary = _by_canary(target, read(known, embedder))
        alone = {canary_id: Anchors(readings) for canary_id, readings in by_canary.items()}
        typical = typical_variances(alone[canary.id] for canary in target.canaries if is_prose(target, canary))
        prepared = {canary_id: anchors.among(typical) for canary_id, anchors in alone.items()}
        left_out = {canary_id: those.left_out() for canary_id, those in prepared.items()}
        weighings = {}
        for name, channel in CHANNELS.items():
            if channel.needs_embedder and embedder is None:
                continue
            values = {
                canary.id: channel.anchor_values(prepared[canary.id], left_out[canary.id], _as_asked(target, canary))
                for canary in target.canaries
                if channel.applies(target, canary) and _is_measurable(channel, prepared[canary.id], canary)
            }
            if values:
                weighings[name] = _weigh(values, equally=channel.weighting == "equal")
        return cls(target=target, anchors=prepared, weighings=weighings, embedder=embedder)


def score(reference: Reference, completions: Sequence[Completion]) -> tuple[Score, ...]:
    """Measure one run.

    Args:
        reference: what to measure against.
        completions: of one run, in any order; failures and canaries that the target does not have are left out.

    Returns:
        One Score per channel of the reference, in the order of CHANNELS; a channel that applies to no canary, or
        that the anchors cannot support, has none. NaN where more than half of the channel's weight is missing.
    """
    embedder = reference.embedder if any(CHANNELS[name].needs_embedder for name in reference.weighings) else None
    by_canary = _by_canary(reference.target, read(completions, embedder))
    canaries = {canary.id: _as_asked(reference.target, canary) for canary in reference.target.canaries}
    scores = []
    for name, weighing in reference.weighings.items():
        values = {}
        for canary_id in weighing.weights:
            readings = by_canary[canary_id]
            value = CHANNELS[name].measure(readings, reference.anchors[canary_id], canaries[canary_id])
            if not math.isnan(value):
                values[canary_id] = value
        scores.append(Score(channel=name, value=combine(reference, name, values), by_canary=values))
    return tuple(scores)


def combine(reference: Reference, channel: str, by_canary: Mapping[str, float]) -> float:
    """Add the canaries' values up to the run's: S = Σ w_c · value_c, or as odds where the channel says so.

    For n canaries the odds are o = n · Σ w_c · value_c/(1 − value_c) and S = o/(1 + o). A canary without a value is
    imputed by its leave-one-out anchor mean, so that one failed request does not move the series by the difference
    between canaries.

    Args:
        reference: holds the weights.
        channel: a key of CHANNELS.
        by_canary: canary id → value in [0, 1]; NaN counts as missing, unknown canaries are ignored.

    Returns:
        The value in [0, 1]; NaN when more than half of the weight is missing or the reference lacks the channel.
    """
    weighing = reference.weighings.get(channel)
    if weighing is None:
        return math.nan
    adds_odds = CHANNELS[channel].combining == "odds"
    parts, missing, unknown = [], [], []
    for canary_id, weight in weighing.weights.items():
        value = by_canary.get(canary_id, math.nan)
        if math.isnan(value):
            missing.append(weight)
            value = weighing.anchor_means[canary_id]
        if math.isnan(value):
            unknown.append(weight)
        else:
            parts.append(weight * (_odds(value) if adds_odds else value))
    if math.fsum(missing) > _MOST_MISSING:
        return math.nan
    total = math.fsum(parts) / (1.0 - math.fsum(unknown))
    if adds_odds:
        odds = len(weighing.weights) * total
        return odds / (1.0 + odds)
    return clip(total)


def _odds(chance: float) -> float:
    return chance / (1.0 - min(chance, _SUREST))


def _by_canary(target: Target, readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    grouped: dict[str, list[Reading]] = {canary.id: [] for canary in target.canaries}
    for reading in readings:
        if reading.completion.canary_id in grouped:
            grouped[reading.completion.canary_id].append(reading)
    return grouped


def _as_asked(target: Target, canary: Canary) -> Canary:
    """The canary with the number of repeats that a run asks: the noise of a share depends on it."""
    return replace(canary, repeats=target.repeats_for(canary))


def _is_measurable(channel: Channel, anchors: Anchors, canary: Canary) -> bool:
    """Whether the channel can value these anchors at all: a canary that never can be must not count as missing."""
    return not channel.needs_anchors or not math.isnan(channel.measure(tuple(anchors), anchors, canary))


def _weigh(values: Mapping[str, Sequence[float]], *, equally: bool) -> Weighing:
    variances = {canary_id: math.nan if equally else variance(those) for canary_id, those in values.items()}
    typical = mean(variances.values())
    if math.isnan(typical):
        typical = 0.0
    raw = {}
    for canary_id, known in variances.items():
        own = typical if math.isnan(known) else known
        raw[canary_id] = 1.0 / (0.5 * own + 0.5 * typical + _LEAST_VARIANCE)
    total = math.fsum(raw.values())
    means = {canary_id: mean(those) for canary_id, those in values.items()}
    overall = mean(means.values())
    return Weighing(
        weights={canary_id: weight / total for canary_id, weight in raw.items()},
        anchor_means={canary_id: overall if math.isnan(m) else m for canary_id, m in means.items()},
    )
