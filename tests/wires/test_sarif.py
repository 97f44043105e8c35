"""What ``check --format sarif`` writes, checked by TypeScript's compiler against the published types of SARIF 2.1.0."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from driftwatch.cli.checked import Checked, Finding
from driftwatch.cli.formats import FORMATS, Outcome
from driftwatch.cli.grades import Grade
from driftwatch.domain import State

AT = datetime(2026, 3, 16, 14, tzinfo=UTC)
TYPES = {"package": "sarif", "types": "@types/sarif/index.d.ts"}
HOSTILE = '</script> `${process.exit()}` \u2028 [x](1) "quoted" 😀 \u202e'


def document() -> dict[str, Any]:
    """Every rule, grade and place."""
    grades = {"behaviour": Grade.DRIFT, "performance": Grade.DRIFT, "availability": Grade.UNMEASURED}
    rules = ("behaviour", "performance", "tripwire", "availability", "budget", "calibration", "watch-itself")
    findings = [
        Finding(rule=rule, grade=grades.get(rule, Grade.WARNING), headline=HOSTILE, details=(HOSTILE,), incident=number)
        for number, rule in enumerate(rules)
    ]
    checks = [
        Checked(
            target="support",
            ran=True,
            state=State.DRIFTED,
            measured=True,
            reason=HOSTILE,
            at=AT,
            paused=None,
            findings=tuple(findings),
            place=place,
            model="m",
        )
        for place in ("driftwatch.yaml:7", "/abs/driftwatch.yaml:2", None)
    ]
    return json.loads(FORMATS["sarif"](Outcome(at=AT, checks=checks, watch=findings[-1:], version="1.0.0")))


def typed(found: dict[str, Any]) -> str:
    return f'import type {{ Log }} from "sarif";\nexport const log: Log = {json.dumps(found)};\n'


@pytest.mark.timeout(120)
def test_the_published_types_take_every_finding(type_errors):
    assert type_errors(typed(document()), **TYPES) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found["runs"][0].update(result=[]),
        lambda found: found["runs"][0]["results"][0].update(level="fatal"),
        lambda found: found["runs"][0]["results"][0].update(message="plain text"),
        lambda found: found.pop("version"),
    ],
    ids=["unknown key", "unknown level", "message is no text", "no version"],
)
def test_the_compiler_refuses_what_the_standard_does(type_errors, spoil):
    found = document()
    spoil(found)

    assert type_errors(typed(found), **TYPES)
