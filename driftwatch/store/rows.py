"""Rows to domain values and back. What is written here reads back equal, NaN and infinity included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import Row

from driftwatch import lifecycle
from driftwatch.domain import (
    Baseline,
    BaselineState,
    CanaryEvidence,
    ChannelEvidence,
    Completion,
    Event,
    Incident,
    IncidentState,
    Json,
    Kind,
    KindEvidence,
    Level,
    Listing,
    Lookup,
    Notification,
    NotificationState,
    Outcome,
    Purpose,
    Run,
    RunState,
    Score,
    Severity,
    Silence,
    State,
    ToolCall,
    Transition,
    Tripwire,
    Verdict,
    Wire,
)
from driftwatch.store.tables import (
    BaselineRow,
    CompletionRow,
    IncidentRow,
    LookupRow,
    NotificationRow,
    RunRow,
    SilenceRow,
    TransitionRow,
    VerdictRow,
)

_Columns: TypeAlias = Row[*tuple[Any, ...]]
"""All columns of a row, read without what SQLAlchemy needs to watch it for changes."""

_LARGEST = 2**63 - 1
"""SQLite's largest integer. Source: https://sqlite.org/datatype3.html."""


def baseline(row: BaselineRow) -> Baseline:
    """The baseline of a stored row."""
    return Baseline(
        id=stored_id(row.id),
        target=row.target,
        series_key=row.series_key,
        state=BaselineState(row.state),
        author=row.author,
        reason=row.reason,
        created_at=row.created_at,
        activated_at=row.activated_at,
        superseded_at=row.superseded_at,
        anchors_wanted=row.anchors_wanted,
        calibration_wanted=row.calibration_wanted,
        parent_id=row.parent_id,
        expires_at=row.expires_at,
        scope=tuple(row.scope or ()),
    )


def run(row: RunRow) -> Run:
    """The run of a stored row."""
    return Run(
        id=stored_id(row.id),
        target=row.target,
        scheduled_at=row.scheduled_at,
        purpose=Purpose(row.purpose),
        state=RunState(row.state),
        baseline_id=row.baseline_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        n_ok=row.n_ok,
        n_failed=row.n_failed,
        n_requests=row.n_requests,
        n_tokens=row.n_tokens,
        cost_usd=row.cost_usd,
    )


def completion(row: CompletionRow) -> Completion:
    """The completion of a stored row, with its id."""
    return Completion(
        id=row.id,
        canary_id=row.canary_id,
        canary_hash=row.canary_hash,
        repeat=row.repeat,
        outcome=Outcome(row.outcome),
        at=row.at,
        latency_s=row.latency_s,
        text=row.text,
        finish_reason=row.finish_reason,
        finish_detail=row.finish_detail,
        tool_calls=tuple(ToolCall(name=n, arguments=a, id=i) for n, a, i in row.tool_calls or ()),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens,
        reasoning_tokens=row.reasoning_tokens,
        ttft_s=row.ttft_s,
        gap_median_s=row.gap_median_s,
        gap_max_s=row.gap_max_s,
        served_model=row.served_model,
        fingerprint=row.fingerprint,
        upstream=row.upstream,
        request_id=row.request_id,
        headers=row.headers or {},
        logprobs=row.logprobs,
        attempts=row.attempts,
        error=row.error,
    )


def completion_columns(value: Completion, run_id: int) -> dict[str, Any]:
    """Column values of a completion; its id is left to the database."""
    return {
        "run_id": run_id,
        "canary_id": value.canary_id,
        "canary_hash": value.canary_hash,
        "repeat": value.repeat,
        "outcome": value.outcome.value,
        "at": value.at,
        "latency_s": value.latency_s,
        "text": value.text,
        "finish_reason": value.finish_reason,
        "finish_detail": value.finish_detail,
        "tool_calls": [[call.name, call.arguments, call.id] for call in value.tool_calls] or None,
        "input_tokens": _countable(value.input_tokens),
        "output_tokens": _countable(value.output_tokens),
        "cached_tokens": _countable(value.cached_tokens),
        "reasoning_tokens": _countable(value.reasoning_tokens),
        "ttft_s": value.ttft_s,
        "gap_median_s": value.gap_median_s,
        "gap_max_s": value.gap_max_s,
        "served_model": value.served_model,
        "fingerprint": value.fingerprint,
        "upstream": value.upstream,
        "request_id": value.request_id,
        "headers": dict(value.headers) or None,
        # A column of its own: what replies tell is counted in the database.
        "deprecation": lifecycle.announced(value.headers),
        "logprobs": value.logprobs,
        "attempts": value.attempts,
        "error": value.error,
    }


def score_columns(value: Score, *, baseline_id: int, run_id: int) -> dict[str, Any]:
    """Column values of a score; NaN becomes NULL, a canary's NaN is left out."""
    return {
        "baseline_id": baseline_id,
        "run_id": run_id,
        "channel": value.channel,
        "value": float(value.value) if value.is_measured else None,
        "by_canary": {key: float(item) for key, item in value.by_canary.items() if not math.isnan(item)},
    }


def verdict(row: VerdictRow) -> Verdict:
    """The verdict of a stored row."""
    return Verdict(
        run_id=row.run_id,
        target=row.target,
        baseline_id=row.baseline_id,
        at=row.at,
        state=State(row.state),
        reason=row.reason,
        n_calibration=row.n_calibration,
        n_monitored=row.n_monitored,
        kinds=tuple(_kind(item) for item in row.kinds),
        channels=tuple(_channel(item) for item in row.channels),
        tripwires=tuple(tripwire(item) for item in row.tripwires or ()),
    )


def verdict_columns(value: Verdict) -> dict[str, Any]:
    """Column values of a verdict."""
    return {
        "run_id": value.run_id,
        "target": value.target,
        "baseline_id": value.baseline_id,
        "at": value.at,
        "state": value.state.value,
        "reason": value.reason,
        "n_calibration": int(value.n_calibration),
        "n_monitored": int(value.n_monitored),
        "kinds": [_kind_json(item) for item in value.kinds],
        "channels": [_channel_json(item) for item in value.channels],
        # NULL where nothing is tripped, which is nearly every run: those few that are can be looked for.
        "tripwires": [_tripwire_json(item) for item in value.tripwires] or None,
    }


def incident(row: IncidentRow | _Columns) -> Incident:
    """The incident of a stored row."""
    return Incident(
        id=stored_id(row.id),
        target=row.target,
        kind=Kind(row.kind),
        state=IncidentState(row.state),
        opened_at=row.opened_at,
        onset_at=row.onset_at,
        baseline_id=row.baseline_id,
        run_id=row.run_id,
        evidence=row.evidence,
        acknowledged_at=row.acknowledged_at,
        resolved_at=row.resolved_at,
        severity=Severity(row.severity),
        part_of=row.part_of,
        cause=row.cause,
        trouble=row.trouble,
        n_reopened=row.n_reopened,
    )


def transition(row: TransitionRow | _Columns) -> Transition:
    """The transition of a stored row."""
    return Transition(
        id=stored_id(row.id),
        incident_id=row.incident_id,
        before=None if row.before is None else IncidentState(row.before),
        after=IncidentState(row.after),
        at=row.at,
        author=row.author,
        reason=row.reason,
        event=Event(row.event),
    )


def notification(row: NotificationRow | _Columns) -> Notification:
    """The notification of a stored row."""
    return Notification(
        id=stored_id(row.id),
        transition_id=row.transition_id,
        receiver=row.receiver,
        state=NotificationState(row.state),
        dedup_key=row.dedup_key,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        sent_at=row.sent_at,
        last_error=row.last_error,
    )


def silence(row: SilenceRow) -> Silence:
    """The silence of a stored row."""
    return Silence(
        id=stored_id(row.id),
        match={key: tuple(values) for key, values in row.match.items()},
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        author=row.author,
        reason=row.reason,
        created_at=row.created_at,
        ended_by=row.ended_by,
    )


def lookup(row: LookupRow) -> Lookup:
    """What is remembered of a list of models."""
    return Lookup(
        model=row.model,
        source=row.source,
        looked_at=row.looked_at,
        listing=None
        if row.is_listed is None
        else Listing(
            is_listed=row.is_listed,
            retires_on=row.retires_on,
            is_deprecated=row.is_deprecated,
            replacement=row.replacement,
        ),
        was_listed=row.was_listed,
    )


def stored_id(value: int | None) -> int:
    """The id of a row that was read; SQLModel types it as optional because a new row has none."""
    if value is None:
        msg = "a row without an id was never stored"
        raise ValueError(msg)
    return value


def tripwire(item: Mapping[str, Json]) -> Tripwire:
    """One entry of a verdict's tripwires."""
    return Tripwire(
        wire=Wire(item["wire"]),
        level=Level(item["level"]),
        before=tuple(item["before"]),
        after=tuple(item["after"]),
        canaries=tuple(item["canaries"]),
        since=datetime.fromisoformat(item["since"]),
    )


def _tripwire_json(value: Tripwire) -> dict[str, Json]:
    return {
        "wire": value.wire.value,
        "level": value.level.value,
        "before": list(value.before),
        "after": list(value.after),
        "canaries": list(value.canaries),
        "since": _moment_json(value.since),
    }


def _countable(n: int | None) -> int | None:
    """A token count as an endpoint reports it, held inside what SQLite can store: a hostile reply loses no run."""
    return None if n is None else max(-_LARGEST, min(n, _LARGEST))


def _kind(item: Mapping[str, Json]) -> KindEvidence:
    return KindEvidence(
        kind=Kind(item["kind"]),
        evidence=_number(item["evidence"]),
        threshold=_number(item["threshold"]),
        is_drifted=item["is_drifted"],
        alarm_at=_moment(item["alarm_at"]),
        onset_at=_moment(item["onset_at"]),
        runs_since_onset=item["runs_since_onset"],
        # Absent from verdicts that an older release stored.
        is_suspicious=item.get("is_suspicious", False),
        problem=item.get("problem"),
    )


def _kind_json(value: KindEvidence) -> dict[str, Json]:
    return {
        "kind": value.kind.value,
        "evidence": _number_json(value.evidence),
        "threshold": _number_json(value.threshold),
        "is_drifted": bool(value.is_drifted),
        "alarm_at": _moment_json(value.alarm_at),
        "onset_at": _moment_json(value.onset_at),
        "runs_since_onset": int(value.runs_since_onset),
        "is_suspicious": bool(value.is_suspicious),
        "problem": value.problem,
    }


def _channel(item: Mapping[str, Json]) -> ChannelEvidence:
    return ChannelEvidence(
        channel=item["channel"],
        kind=Kind(item["kind"]),
        share=_number(item["share"]),
        value=_number(item["value"]),
        calibration_mean=_number(item["calibration_mean"]),
        calibration_low=_number(item["calibration_low"]),
        calibration_high=_number(item["calibration_high"]),
        since_onset_mean=_number(item["since_onset_mean"]),
        canaries=tuple(
            CanaryEvidence(
                canary_id=canary["canary_id"],
                calibration_mean=_number(canary["calibration_mean"]),
                since_onset_mean=_number(canary["since_onset_mean"]),
                evidence=_number(canary["evidence"]),
                is_affected=canary["is_affected"],
            )
            for canary in item["canaries"]
        ),
    )


def _channel_json(value: ChannelEvidence) -> dict[str, Json]:
    return {
        "channel": value.channel,
        "kind": value.kind.value,
        "share": _number_json(value.share),
        "value": _number_json(value.value),
        "calibration_mean": _number_json(value.calibration_mean),
        "calibration_low": _number_json(value.calibration_low),
        "calibration_high": _number_json(value.calibration_high),
        "since_onset_mean": _number_json(value.since_onset_mean),
        "canaries": [
            {
                "canary_id": canary.canary_id,
                "calibration_mean": _number_json(canary.calibration_mean),
                "since_onset_mean": _number_json(canary.since_onset_mean),
                "evidence": _number_json(canary.evidence),
                "is_affected": bool(canary.is_affected),
            }
            for canary in value.canaries
        ],
    }


def _number(stored: Json) -> float:
    """Read what ``_number_json`` wrote."""
    return math.nan if stored is None else float(stored)


def _number_json(value: float) -> Json:
    """A float as JSON: NaN is null, an infinity the word, because evidence can outgrow a float and JSON has neither."""
    number = float(value)
    if math.isnan(number):
        return None
    return number if math.isfinite(number) else str(number)


def _moment(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored)


def _moment_json(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.utcoffset() is None:
        msg = f"{value} has no time zone; the store takes aware datetimes only"
        raise ValueError(msg)
    return value.astimezone(UTC).isoformat()
