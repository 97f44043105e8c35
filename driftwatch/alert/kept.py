"""What an incident keeps of its cause: typed here, JSON in the store, the source of every message and report.

The stored form is read leniently: a part that is missing, of another type or from another release is left
out, because a page without a detail is better than no page.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from driftwatch.alert.whose import Attribution
from driftwatch.domain import Json

_T = TypeVar("_T")


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
class KindOfChange:
    """One kind of change that the replies bear out, e.g. ``shorter``."""

    kind: str
    """A value of ``score.KindOfChange``."""
    text: str
    """The claim, to be continued by "on 3 of 4 canaries since …"."""
    why: str = ""
    """The figures behind it."""
    n_canaries: int | None = None
    """On how many of the target's canaries this kind shows; None: as many as moved at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSize:
    """One material difference; the sentence is in ``changes``."""

    name: str
    unit: str
    """``share``: ``change`` is after − before. ``ratio``: after / before. ``name``: no figures."""
    before: float | None = None
    after: float | None = None
    change: float | None = None
    low: float | None = None
    """Of the 95 % interval of ``change``."""
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """How many of a target's canaries moved beyond chance, by e-BH in each of the leading channels."""

    n: int
    of: int
    names: tuple[str, ...] = ()
    """The strongest; at most ``CANARIES_KEPT``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRef:
    """The baseline an incident was found against."""

    id: int
    author: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """Something to do about an incident."""

    command: str
    """To be pasted into a shell."""
    meaning: str = ""
    """What it does, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEvidence:
    """Everything shown about one incident. Every part may be missing."""

    headline: str = ""
    """One sentence: which target, what, since when."""
    kind_of_change: tuple[KindOfChange, ...] = ()
    """The headline kind first, then others that are borne out; empty when none is."""
    changes: tuple[str, ...] = ()
    """Sentences on every material difference, with intervals."""
    effects: tuple[EffectSize, ...] = ()
    """The figures of these sentences."""
    affected: Affected | None = None
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
    feature: str | None = None
    """What the team ships on top of the target."""
    attribution: Attribution | None = None
    """Whose the change is, as far as was known when it was stored."""
    wire: str | None = None
    """Tripwire: which one tripped first among those that page, a value of ``domain.Wire``."""
    steps: tuple[NextStep, ...] = ()
    """Watch-itself: what to do about it, the first thing first."""

    def to_json(self) -> dict[str, Json]:
        """The stored form: missing parts absent, times as ISO 8601."""
        stored: dict[str, Json] = _plain(asdict(self))
        return {key: value for key, value in stored.items() if value is not False and value not in (None, "", [], {})}

    @classmethod
    def from_json(cls, stored: Mapping[str, Json]) -> IncidentEvidence:
        """Read the stored form, leaving out whatever cannot be understood."""
        return cls(
            headline=_text(stored.get("headline")) or "",
            kind_of_change=_each(stored.get("kind_of_change"), _kind_of_change),
            changes=_each(stored.get("changes"), _text),
            effects=_each(stored.get("effects"), _effect),
            affected=_affected(stored.get("affected")),
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
            owner=_text(stored.get("owner")) or None,
            baseline=_baseline(stored.get("baseline")),
            model=_text(stored.get("model")) or None,
            provider=_text(stored.get("provider")) or None,
            outcomes={str(k): v for k, v in _mapping(stored.get("outcomes")).items() if _whole(v) is not None},
            last_error=_text(stored.get("last_error")) or None,
            failing_since=_time(stored.get("failing_since")),
            feature=_text(stored.get("feature")) or None,
            attribution=Attribution.from_json(stored.get("attribution")),
            wire=_text(stored.get("wire")) or None,
            steps=_each(stored.get("steps"), _step),
        )


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


def _kind_of_change(value: Json) -> KindOfChange | None:
    stored = _mapping(value)
    kind, text = _text(stored.get("kind")), _text(stored.get("text"))
    if not kind or not text:
        return None
    n = _whole(stored.get("n_canaries"))
    return KindOfChange(kind=kind, text=text, why=_text(stored.get("why")) or "", n_canaries=n)


def _effect(value: Json) -> EffectSize | None:
    stored = _mapping(value)
    name, unit = _text(stored.get("name")), _text(stored.get("unit"))
    if not name or not unit:
        return None
    return EffectSize(
        name=name,
        unit=unit,
        before=_figure(stored.get("before")),
        after=_figure(stored.get("after")),
        change=_figure(stored.get("change")),
        low=_figure(stored.get("low")),
        high=_figure(stored.get("high")),
    )


def _affected(value: Json) -> Affected | None:
    stored = _mapping(value)
    n, of = _whole(stored.get("n")), _whole(stored.get("of"))
    return None if n is None or of is None else Affected(n=n, of=of, names=_each(stored.get("names"), _text))


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


def _step(value: Json) -> NextStep | None:
    stored = _mapping(value)
    command = _text(stored.get("command"))
    return NextStep(command=command, meaning=_text(stored.get("meaning")) or "") if command else None
