"""What an incident keeps of its cause: typed here, JSON in the store, the source of every message and report.

The stored form is read leniently: a part that is missing, of another type or from another release is left
out, because a page without a detail is better than no page.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from driftwatch.alert.text import count, when
from driftwatch.domain import Baseline, Completion, Json, Kind, Target, Verdict

_T = TypeVar("_T")

CANARIES_KEPT = 10
"""How many canaries an incident names; the report computes the rest from the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShift:
    """One channel before and since the onset; scores in [0, 1], None when not measured."""

    name: str
    share: float
    """Part of the kind's evidence, 0 … 1."""
    calibration_mean: float | None = None
    since_onset_mean: float | None = None
    calibration_high: float | None = None
    """95th percentile of the calibration scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryShift:
    """One canary in one channel before and since the onset; scores in [0, 1], None when not measured."""

    id: str
    channel: str
    before_mean: float | None = None
    after_mean: float | None = None
    is_affected: bool = False
    """Whether the canary stands out beyond chance among all of the target's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One canary's typical accepted reply beside its typical reply since the onset."""

    canary_id: str
    prompt: str = ""
    before: str = ""
    after: str = ""
    before_completion_id: int | None = None
    after_completion_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value the endpoint reports about itself, before and since."""

    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRef:
    """The baseline an incident was found against."""

    id: int
    author: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEvidence:
    """Everything shown about one incident. Every part may be missing."""

    headline: str = ""
    """One sentence: which target, what, since when."""
    changes: tuple[str, ...] = ()
    """Sentences from ``score.describe_change``."""
    onset_at: datetime | None = None
    alarm_at: datetime | None = None
    runs_since_onset: int | None = None
    evidence: float | None = None
    """M when the incident opened."""
    threshold: float | None = None
    """A, the bar that M reached."""
    alarm_budget: str = ""
    """The operator's setting in words, e.g. ``at most one false alarm per year``."""
    channels: tuple[ChannelShift, ...] = ()
    """Largest share first."""
    canaries: tuple[CanaryShift, ...] = ()
    pair: Pair | None = None
    served_model: Change | None = None
    fingerprint: Change | None = None
    performance_also: bool = False
    """Whether latency or length drifted too, so that this page stands for both."""
    owner: str | None = None
    baseline: BaselineRef | None = None
    model: str | None = None
    provider: str | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Availability: outcome → requests that ended so in the failing runs."""
    last_error: str | None = None
    """Availability: the latest failure's sentence."""
    failing_since: datetime | None = None
    """Availability: scheduled_at of the first failing run."""

    def to_json(self) -> dict[str, Json]:
        """The stored form: missing parts absent, times as ISO 8601."""
        stored: dict[str, Json] = _plain(asdict(self))
        return {key: value for key, value in stored.items() if value is not False and value not in (None, "", [], {})}

    @classmethod
    def from_json(cls, stored: Mapping[str, Json]) -> IncidentEvidence:
        """Read the stored form, leaving out whatever cannot be understood."""
        return cls(
            headline=_text(stored.get("headline")) or "",
            changes=_each(stored.get("changes"), _text),
            onset_at=_time(stored.get("onset_at")),
            alarm_at=_time(stored.get("alarm_at")),
            runs_since_onset=_whole(stored.get("runs_since_onset")),
            evidence=_figure(stored.get("evidence")),
            threshold=_figure(stored.get("threshold")),
            alarm_budget=_text(stored.get("alarm_budget")) or "",
            channels=_each(stored.get("channels"), _channel),
            canaries=_each(stored.get("canaries"), _canary),
            pair=_pair(stored.get("pair")),
            served_model=_change(stored.get("served_model")),
            fingerprint=_change(stored.get("fingerprint")),
            performance_also=stored.get("performance_also") is True,
            owner=_text(stored.get("owner")),
            baseline=_baseline(stored.get("baseline")),
            model=_text(stored.get("model")),
            provider=_text(stored.get("provider")),
            outcomes={str(k): v for k, v in _mapping(stored.get("outcomes")).items() if _whole(v) is not None},
            last_error=_text(stored.get("last_error")),
            failing_since=_time(stored.get("failing_since")),
        )


def build(
    kind: Kind,
    *,
    target: Target,
    verdict: Verdict,
    baseline: Baseline | None = None,
    alarm_budget: str = "",
    changes: Sequence[str] = (),
    pair: Pair | None = None,
    served_model: Change | None = None,
    fingerprint: Change | None = None,
    failures: Sequence[Completion] = (),
    failing_since: datetime | None = None,
) -> dict[str, Json]:
    """What an incident of ``kind`` stores, should it open on this verdict.

    Args:
        kind: of the incident.
        target: under watch.
        verdict: of the run just judged; its channels of ``kind`` are kept.
        baseline: the one judged against.
        alarm_budget: the operator's setting in words.
        changes: sentences from ``score.describe_change``.
        pair: medoid anchor and medoid reply since the onset of the canary that moved most.
        served_model: only when it changed.
        fingerprint: only when it changed.
        failures: availability: the failed completions of the failing runs, oldest first.
        failing_since: availability: scheduled_at of the first failing run.
    """
    found = verdict.kind(kind)
    performance = verdict.kind(Kind.PERFORMANCE)
    measured = sorted((c for c in verdict.channels if c.kind is kind), key=lambda c: -c.share)
    channels = tuple(
        ChannelShift(
            name=c.channel,
            share=c.share,
            calibration_mean=c.calibration_mean,
            since_onset_mean=c.since_onset_mean,
            calibration_high=c.calibration_high,
        )
        for c in measured
    )
    canaries = [(c.channel, canary) for c in measured for canary in c.canaries]
    canaries.sort(key=lambda item: -item[1].evidence)
    outcomes: dict[str, int] = {}
    for failure in failures:
        outcomes[failure.outcome.value] = outcomes.get(failure.outcome.value, 0) + 1
    onset_at = (found.onset_at or found.alarm_at) if found else None
    n_since = found.runs_since_onset if found else None
    began_at = failing_since or onset_at or verdict.at
    return IncidentEvidence(
        headline=headline(kind, target.name, onset_at=began_at, n_runs=n_since, channels=channels),
        changes=tuple(changes),
        onset_at=onset_at,
        alarm_at=found.alarm_at if found else None,
        runs_since_onset=n_since,
        evidence=found.evidence if found else None,
        threshold=found.threshold if found else None,
        alarm_budget=alarm_budget,
        channels=channels,
        canaries=tuple(
            CanaryShift(
                id=canary.canary_id,
                channel=channel,
                before_mean=canary.calibration_mean,
                after_mean=canary.since_onset_mean,
                is_affected=canary.is_affected,
            )
            for channel, canary in canaries[:CANARIES_KEPT]
        ),
        pair=pair,
        served_model=served_model,
        fingerprint=fingerprint,
        performance_also=kind is Kind.BEHAVIOUR and performance is not None and performance.is_drifted,
        owner=target.owner,
        baseline=BaselineRef(id=baseline.id, author=baseline.author, at=baseline.created_at) if baseline else None,
        model=target.model,
        provider=target.provider,
        outcomes=outcomes,
        last_error=next((f.error for f in reversed(failures) if f.error), None),
        failing_since=failing_since,
    ).to_json()


def headline(
    kind: Kind,
    target: str,
    *,
    onset_at: datetime,
    n_runs: int | None,
    channels: Sequence[ChannelShift] = (),
) -> str:
    """The one sentence that opens every message about an incident.

    >>> headline(Kind.BEHAVIOUR, "support-bot", onset_at=datetime(2026, 3, 16, 9, tzinfo=UTC), n_runs=6)
    'support-bot behaves differently since Mon 16 Mar 09:00 UTC (6 runs)'
    """
    verb = {
        Kind.BEHAVIOUR: "behaves differently",
        Kind.PERFORMANCE: _PERFORMANCE_VERBS[trend(channels)],
        Kind.AVAILABILITY: "cannot be measured",
    }[kind]
    runs = f" ({count(n_runs, 'run')})" if n_runs else ""
    return f"{target} {verb} since {when(onset_at)}{runs}"


def trend(channels: Sequence[ChannelShift]) -> str:
    """Which way performance moved, from the strongest channel; scores of latency and tokens grow with them.

    Returns:
        ``slower``, ``faster``, ``longer``, ``shorter``, or ``different`` when the channels do not say.
    """
    strongest = channels[0] if channels else None
    if strongest is None or strongest.calibration_mean is None or strongest.since_onset_mean is None:
        return "different"
    grew, shrank = _TRENDS.get(strongest.name, ("different", "different"))
    return grew if strongest.since_onset_mean > strongest.calibration_mean else shrank


_TRENDS = {"latency": ("slower", "faster"), "ttft": ("slower", "faster"), "tokens": ("longer", "shorter")}
_PERFORMANCE_VERBS = {
    "slower": "answers more slowly",
    "faster": "answers faster",
    "longer": "answers at greater length",
    "shorter": "answers more briefly",
    "different": "answers at a different speed or length",
}


# ---------------------------------------------------------------- JSON


def _plain(value: Json) -> Json:
    """JSON has neither times nor NaN nor infinity; evidence beyond every float is kept as the largest one."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return sys.float_info.max if value > 0 else None
    return value


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _figure(value: Json) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _time(value: Json) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC) if at.tzinfo else None


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _each(value: Json, read: Callable[[Json], _T | None]) -> tuple[_T, ...]:
    items = value if isinstance(value, (list, tuple)) else ()
    return tuple(item for item in map(read, items) if item is not None)


def _channel(value: Json) -> ChannelShift | None:
    stored = _mapping(value)
    name = _text(stored.get("name"))
    if not name:
        return None
    return ChannelShift(
        name=name,
        share=_figure(stored.get("share")) or 0.0,
        calibration_mean=_figure(stored.get("calibration_mean")),
        since_onset_mean=_figure(stored.get("since_onset_mean")),
        calibration_high=_figure(stored.get("calibration_high")),
    )


def _canary(value: Json) -> CanaryShift | None:
    stored = _mapping(value)
    id_, channel = _text(stored.get("id")), _text(stored.get("channel"))
    if not id_ or not channel:
        return None
    return CanaryShift(
        id=id_,
        channel=channel,
        before_mean=_figure(stored.get("before_mean")),
        after_mean=_figure(stored.get("after_mean")),
        is_affected=stored.get("is_affected") is True,
    )


def _pair(value: Json) -> Pair | None:
    stored = _mapping(value)
    canary_id = _text(stored.get("canary_id"))
    if not canary_id:
        return None
    return Pair(
        canary_id=canary_id,
        prompt=_text(stored.get("prompt")) or "",
        before=_text(stored.get("before")) or "",
        after=_text(stored.get("after")) or "",
        before_completion_id=_whole(stored.get("before_completion_id")),
        after_completion_id=_whole(stored.get("after_completion_id")),
    )


def _change(value: Json) -> Change | None:
    stored = _mapping(value)
    change = Change(before=_text(stored.get("before")), after=_text(stored.get("after")))
    return change if change.before or change.after else None


def _baseline(value: Json) -> BaselineRef | None:
    stored = _mapping(value)
    id_ = _whole(stored.get("id"))
    return (
        None
        if id_ is None
        else BaselineRef(id=id_, author=_text(stored.get("author")) or "", at=_time(stored.get("at")))
    )
