"""``--format sarif``: findings as SARIF 2.1.0, for code scanning pages.

Source: docs.oasis-open.org/sarif/sarif/v2.1.0; what GitHub reads of it: docs.github.com, "SARIF support for code
scanning", 2025.
"""

from __future__ import annotations

import json
from pathlib import PurePath
from urllib.parse import quote

from driftwatch.cli.checked import Checked, Finding
from driftwatch.cli.formats.outcome import Outcome
from driftwatch.cli.grades import Grade

_RULES = {
    "behaviour": "Replies to the canary prompts differ from the accepted baseline",
    "performance": "Latency or length of replies differs from the accepted baseline",
    "tripwire": "Metadata that comes with replies has changed",
    "availability": "The endpoint could not be measured",
    "budget": "A budget keeps the endpoint from being measured",
    "calibration": "The watch of the endpoint is not armed yet",
    "watch-itself": "driftwatch cannot do all of its work",
}
_LEVELS = {Grade.DRIFT: "error", Grade.UNMEASURED: "warning", Grade.WARNING: "note"}


def to_sarif(outcome: Outcome) -> str:
    """One run; each finding is a result at the line of the config that names its target."""
    results = [_result(check, found) for check in outcome.checks for found in check.findings]
    first = outcome.checks[0].place if outcome.checks else None
    results.extend(_whole(found, first) for found in outcome.watch)
    is_measured = not any(check.grade is Grade.UNMEASURED for check in outcome.checks)
    document = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "driftwatch",
                        "semanticVersion": outcome.version,
                        "rules": [
                            {"id": rule, "name": rule, "shortDescription": {"text": about}}
                            for rule, about in _RULES.items()
                        ],
                    }
                },
                "invocations": [{"executionSuccessful": is_measured, "endTimeUtc": f"{outcome.at:%Y-%m-%dT%H:%M:%SZ}"}],
                "results": results,
            }
        ],
    }
    return json.dumps(document, indent=2)


def _result(check: Checked, found: Finding) -> dict[str, object]:
    return _as_result(check.target, found, check.place)


def _whole(found: Finding, place: str | None) -> dict[str, object]:
    return _as_result("driftwatch", found, place)


def _as_result(target: str, found: Finding, place: str | None) -> dict[str, object]:
    more = [f"All the evidence: driftwatch report {found.incident}"] if found.incident is not None else []
    said = "\n".join([f"{target}: {found.headline}", *found.details, *more])
    return {
        "ruleId": found.rule,
        "ruleIndex": list(_RULES).index(found.rule),
        "level": _LEVELS[found.grade],
        # Brackets would be read as links to other locations (SARIF 3.11.6).
        "message": {"text": said.replace("[", "\\[").replace("]", "\\]")},
        "locations": [_location(place)],
        # What makes the same finding of two checks one alert: never the words, which hold figures.
        "partialFingerprints": {"driftwatch/v1": f"{target}/{found.rule}/{found.incident or ''}"},
    }


def _location(place: str | None) -> dict[str, object]:
    head, _, number = (place or "").rpartition(":")
    path = PurePath(head if head and number.isdigit() else place or "driftwatch.yaml")
    # A path outside the repository says nothing to a reader of the page, and something about the machine.
    shown = path.name if path.is_absolute() or ".." in path.parts else path.as_posix()
    line = int(number) if number.isdigit() else 1
    return {"physicalLocation": {"artifactLocation": {"uri": quote(shown)}, "region": {"startLine": line}}}
