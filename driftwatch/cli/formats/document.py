"""``--format json``: one object for each target."""

from __future__ import annotations

import json

from driftwatch.cli.checked import Checked, Finding
from driftwatch.cli.formats.outcome import Outcome
from driftwatch.cli.standing import way


def to_json(outcome: Outcome) -> str:
    """A list with one object for each target, and one of target ``driftwatch`` for trouble of the watch itself."""
    rows = [_row(check) for check in outcome.checks]
    if outcome.watch:
        whole = {"target": "driftwatch", "findings": [_finding(found) for found in outcome.watch]}
        rows.append({**whole, "grade": outcome.watch[0].grade.value})
    return json.dumps(rows, indent=2)


def _row(check: Checked) -> dict[str, object]:
    return {
        "target": check.target,
        "ran": check.ran,
        "state": check.state,
        "measured": check.measured,
        "reason": check.reason,
        "at": check.at.isoformat() if check.at else None,
        "paused": check.paused,
        "grade": check.grade.value if check.grade else "ok",
        "evidence": {
            found.kind.value: {"m": found.evidence, "threshold": found.threshold, "way": round(way(found), 4)}
            for found in check.evidence
        },
        "notable": check.notable,
        "findings": [_finding(found) for found in check.findings],
    }


def _finding(found: Finding) -> dict[str, object]:
    return {
        "rule": found.rule,
        "grade": found.grade.value,
        "headline": found.headline,
        "details": list(found.details),
        "incident": found.incident,
    }
