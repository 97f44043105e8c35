"""The report as data: what the page says, with every figure and text as stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from enum import Enum

from driftwatch import __version__
from driftwatch.briefing import shown
from driftwatch.domain import Completion, Json
from driftwatch.report.canaries import Pair
from driftwatch.report.cost import Spent
from driftwatch.report.dossier import Report
from driftwatch.report.record import Deed
from driftwatch.report.view import View

FORMAT = "driftwatch-report/1"
"""Changes when a reader of the one before would misunderstand; new keys do not change it."""


def document(report: Report) -> dict[str, Json]:
    """The report as a JSON object: times as ISO 8601 in UTC, what was not measured as null."""
    lead = report.lead
    return {
        "format": FORMAT,
        "driftwatch": __version__,
        "made_at": plain(report.at),
        "incident": report.number,
        "title": report.title,
        "kind": lead.incident.kind.value if lead.incident else None,
        "severity": plain(report.severity),
        "state": report.state,
        "targets": [_member(view) for view in report.members],
        "record": [_deed(deed) for deed in report.record],
        "next": [{"command": command, "meaning": meaning} for command, meaning in report.steps],
    }


def plain(value: Json) -> Json:
    """Any value of the report as JSON, which has neither times nor NaN."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return value.value if isinstance(value, Enum) else value


def _member(view: View) -> dict[str, Json]:
    incident, evidence, verdict = view.incident, view.evidence, view.verdict
    return {
        "target": view.name,
        "provider": view.target.provider,
        "model": view.target.model,
        "base_url": view.target.base_url,
        "owner": view.target.owner,
        "feature": view.target.feature,
        "title": view.title,
        "sentences": list(view.sentences),
        "why": list(view.kinds),
        "incident": {
            "id": incident.id,
            "kind": incident.kind.value,
            "severity": incident.severity.value,
            "state": incident.state.value,
            "onset_at": plain(incident.onset_at),
            "opened_at": plain(incident.opened_at),
            "acknowledged_at": plain(incident.acknowledged_at),
            "resolved_at": plain(incident.resolved_at),
            "n_reopened": incident.n_reopened,
        }
        if incident
        else None,
        "state": view.state,
        "baseline": {
            "id": view.baseline.id,
            "author": view.baseline.author,
            "created_at": plain(view.baseline.created_at),
            "superseded_at": plain(view.baseline.superseded_at),
        }
        if view.baseline
        else None,
        "changes": list(evidence.changes),
        "effects": plain(evidence.effects),
        "kinds_of_change": plain(evidence.kind_of_change),
        "attribution": plain(evidence.attribution),
        "statistics": {
            "evidence_at_alarm": plain(evidence.evidence),
            "threshold": plain(evidence.threshold),
            "alarm_budget": evidence.alarm_budget or view.target.alarm_budget,
            "runs_until_alarm": evidence.runs_since_onset,
            "in_words": list(view.sure),
        },
        "kinds": plain(verdict.kinds) if verdict else [],
        "channels": plain([{**asdict(c), "canaries": None} for c in verdict.channels]) if verdict else [],
        "affected": _affected(view),
        "pairs": [_pair(pair) for pair in view.pairs],
        "failures": plain(view.failures),
        "timeline": [
            {"at": plain(m.moment.at), "until": plain(m.moment.until), "what": m.moment.text} for m in view.marks
        ],
        "cost": {"since_onset": _spent(view.cost.since), "total": _spent(view.cost.total)} if view.cost else None,
    }


def _affected(view: View) -> list[Json]:
    """Every affected canary by channel; where calibration and the time since the onset differ is in the figures."""
    if view.affected is None:
        return []
    return [
        {
            "canary": row.canary_id,
            "channels": {
                name: {
                    "calibration_mean": plain(found.calibration_mean),
                    "since_onset_mean": plain(found.since_onset_mean),
                    "evidence": plain(found.evidence),
                }
                for name, found in zip(view.affected.channels, row.cells, strict=True)
                if found is not None
            },
        }
        for row in view.affected.rows
    ]


def _pair(pair: Pair) -> dict[str, Json]:
    before, after = pair.replies
    return {
        "canary": pair.canary_id,
        "private": pair.is_private,
        "reason": pair.reason,
        "prompt": pair.prompt,
        "before": _reply(before),
        "after": _reply(after),
        "differences": {
            "only_before": [piece.text for piece in pair.before if piece.is_changed],
            "only_since": [piece.text for piece in pair.after if piece.is_changed],
        },
    }


def _reply(completion: Completion) -> dict[str, Json]:
    return {
        "text": shown(completion),
        "completion": completion.id,
        "at": plain(completion.at),
        "request_id": completion.request_id,
        "served_model": completion.served_model,
        "fingerprint": completion.fingerprint,
    }


def _spent(spent: Spent | None) -> dict[str, Json] | None:
    if spent is None:
        return None
    return {
        "runs": spent.n_runs,
        "requests": spent.n_requests,
        "tokens": spent.n_tokens,
        "usd": plain(spent.cost_usd),
    }


def _deed(deed: Deed) -> dict[str, Json]:
    return {
        "at": plain(deed.at),
        "target": deed.target,
        "what": deed.what,
        "author": deed.author,
        "reason": deed.reason,
        "told": [
            {"receiver": told.receiver, "state": told.state, "at": plain(told.at), "trouble": told.trouble or None}
            for told in deed.told
        ],
    }
