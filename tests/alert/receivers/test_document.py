"""The JSON document that programs are given keeps to its published form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from driftwatch.alert import document
from driftwatch.alert.receivers.posting import to_bytes
from driftwatch.domain import Event, IncidentState, Kind, Severity

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "alert.schema.json").read_text())


def check(said):
    """Against the published form, and that it is JSON everywhere, without NaN."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(to_bytes(said), parse_constant=pytest.fail))
    return said


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("after", list(IncidentState))
def test_every_edge_of_every_kind_keeps_to_the_schema(announce, kind, after):
    check(document.of_announcement(announce(kind, after)))


def test_the_schema_knows_every_word_of_the_domain():
    definitions = SCHEMA["$defs"]
    assert definitions["event"]["enum"] == [event.value for event in Event]
    assert definitions["state"]["enum"] == [state.value for state in IncidentState]
    assert definitions["severity"]["enum"] == [severity.value for severity in Severity]
    assert set(definitions["incident"]["properties"]["kind"]["enum"]) == {kind.value for kind in Kind}
    assert SCHEMA["properties"]["type"]["enum"] == [*(f"incident.{event.value}" for event in Event), "incident.digest"]
    assert SCHEMA["properties"]["version"]["const"] == document.VERSION


def test_it_says_what_moved_and_how_the_whole_group_stands(edges):
    said = check(document.of_announcement(edges["member resolved"]))
    assert (said["type"], said["timestamp"]) == ("incident.resolved", "2026-03-16T19:10:00Z")
    group = said["data"]["group"]
    assert (group["number"], group["is_over"], group["severity"]) == (12, False, "critical")
    assert [(i["target"], i["state"]) for i in group["incidents"]] == [
        ("target-0", "open"),
        ("target-1", "resolved"),
        ("target-2", "open"),
    ]
    assert said["data"]["incident"]["id"] == 13
    assert said["data"]["dedup_key"] == "30:oncall"


def test_owner_and_feature_are_those_of_the_incident(announce):
    said = document.of_announcement(announce(evidence={"owner": "team-a", "feature": "search"}))
    assert (said["data"]["incident"]["owner"], said["data"]["incident"]["feature"]) == ("team-a", "search")
    nobody = document.of_announcement(announce(evidence={}, told={"owner": None}))
    assert (nobody["data"]["owner"], nobody["data"]["incident"]["owner"]) == (None, None)


def test_evidence_is_bounded_and_safe_to_print(announce):
    deep: object = "end"
    for _ in range(20):
        deep = {"more": deep}
    evidence = {"text": "x" * 50_000, "hidden": "a\x1b[31m\u202eb", "many": list(range(500)), "nan": float("nan")}
    said = check(document.of_announcement(announce(evidence=evidence | {"deep": deep, "tuple": (1,)})))
    kept = said["data"]["evidence"]
    assert kept["text"].endswith(" more characters)")
    assert len(kept["text"]) == 2_000 or len(kept["text"]) < 2_000
    assert kept["hidden"] == "a⟨U+001B⟩[31m⟨U+202E⟩b"
    assert len(kept["many"]) == 100
    assert (kept["nan"], kept["tuple"]) == (None, [1])
    assert "end" not in json.dumps(kept["deep"])


def test_half_characters_can_be_sent():
    assert json.loads(to_bytes({"half": "\ud800"})) == {"half": "\ud800"}


def test_a_digest_tells_the_latest_edge_of_each_group_and_has_a_key_of_its_own(edges):
    groups = [edges["opened"], replace(edges["group resolved"], dedup_key="31:oncall")]
    said = check(document.of_digest(groups))
    assert said["timestamp"] == "2026-03-16T19:10:00Z"
    assert [edge["dedup_key"] for edge in said["data"]["announcements"]] == ["30:oncall", "31:oncall"]
    assert said["data"]["dedup_key"] == document.digest_key(groups) != document.digest_key(groups[:1])
    assert "evidence" not in said["data"]["announcements"][0]
