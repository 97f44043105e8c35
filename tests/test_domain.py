"""The values everything speaks in: identities change exactly when what they stand for changes."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from driftwatch import domain
from driftwatch.domain import (
    Baseline,
    BaselineState,
    Canary,
    Check,
    Completion,
    Incident,
    IncidentState,
    Kind,
    KindEvidence,
    Message,
    Outcome,
    Purpose,
    Run,
    RunState,
    Score,
    State,
    Target,
    ToolCall,
    Verdict,
    content_hash,
)

VALUES = [cls for _, cls in inspect.getmembers(domain, inspect.isclass) if dataclasses.is_dataclass(cls)]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def asked(**fields) -> Message:
    return Message(**{"role": "user", "content": "Capital of France?", **fields})


def canary(**fields) -> Canary:
    return Canary(
        id="core/capital", suite="core", messages=(Message(role="user", content="Capital of France?"),), **fields
    )


def target(*canaries: Canary, **fields) -> Target:
    return Target(**{"name": "support", "provider": "openai", "model": "m", **fields}, canaries=canaries or (canary(),))


@pytest.mark.parametrize("cls", VALUES)
def test_every_value_is_frozen_slotted_and_keyword_only(cls):
    assert cls.__dataclass_params__.frozen
    assert "__slots__" in vars(cls)
    assert all(field.kw_only for field in dataclasses.fields(cls))


def test_a_value_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        canary().id = "other"  # type: ignore[misc]


# ---------------------------------------------------------------- content hash


@given(json_values)
def test_a_content_hash_survives_being_written_and_read_again(value):
    assert content_hash(json.loads(json.dumps(value))) == content_hash(value)


@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=5))
def test_the_order_of_keys_does_not_change_a_content_hash(value):
    assert content_hash(dict(reversed(value.items()))) == content_hash(value)


@given(json_values, json_values)
def test_different_content_has_a_different_hash(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (content_hash(one) == content_hash(other)) is same


def test_a_content_hash_is_16_hex_digits_and_the_same_in_every_release():
    # Stored databases hold these: a change here makes every stored baseline incomparable.
    assert content_hash({"b": [1, None, True], "a": "ü"}) == "7f6d95bfd383437e"
    assert len(content_hash(None)) == 16


def test_a_value_that_json_cannot_hold_has_no_hash():
    with pytest.raises(ValueError, match="JSON"):
        content_hash(math.nan)


# ---------------------------------------------------------------- canaries and targets


@pytest.mark.parametrize(
    "changed",
    [
        {"messages": (asked(content="Capital of Spain?"),)},
        {"messages": (asked(role="system"),)},
        {"messages": (asked(tool_call_id="c1"),)},
        {"messages": (asked(tool_calls=(ToolCall(name="f", arguments="{}"),)),)},
        {"checks": (Check(kind="contains", argument="Paris"),)},
        {"tools": ({"name": "f"},)},
        {"tool_choice": "auto"},
        {"response_format": {"type": "json_object"}},
        {"parameters": {"max_tokens": 5}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_canary_is_another_when_its_request_or_its_assertions_change(changed):
    assert replace(canary(), **changed).content_hash != canary().content_hash


@pytest.mark.parametrize("changed", [{"id": "core/other"}, {"suite": "other"}, {"reason": "a fact"}])
def test_a_canary_stays_the_same_when_only_its_name_or_reason_changes(changed):
    assert replace(canary(), **changed).content_hash == canary().content_hash


@pytest.mark.parametrize(
    "changed",
    [
        {"provider": "simulated"},
        {"model": "m2"},
        {"base_url": "http://h"},
        {"parameters": {"temperature": 1}},
        {"repeats": 2},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_evidence_of_a_target_does_not_compare_when_the_question_changes(changed):
    assert target(**changed).definition_hash != target().definition_hash


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "renamed"},
        {"interval_s": 60.0},
        {"jitter_s": 5.0},
        {"threshold": 10.0},
        {"owner": "me"},
        {"receivers": ("slack",)},
        {"anchors_wanted": 4},
        {"calibration_wanted": 20},
        {"alarm_budget": "one"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_evidence_of_a_target_still_compares_when_only_the_watch_changes(changed):
    assert target(**changed).definition_hash == target().definition_hash


@pytest.mark.parametrize("counts", [{"repeats": 5}, {"anchors": 50}, {"repeats": 5, "anchors": 50}])
def test_how_often_a_canary_is_asked_is_part_of_what_is_asked(counts):
    assert canary(**counts).content_hash != canary().content_hash


def test_a_canary_that_says_nothing_of_repeats_keeps_the_hash_it_had_before_there_were_any():
    assert canary().content_hash == "bee235688c27ba58"


def test_a_canarys_own_repeats_and_anchors_come_before_the_targets_and_the_baselines(at):
    own, none = canary(repeats=5, anchors=50), canary()
    asked = target(own, repeats=2)
    assert (asked.repeats_for(own), asked.repeats_for(none)) == (5, 2)
    made = Baseline(id=1, target="t", series_key="k", state=BaselineState.ACTIVE, author="a", reason="r", created_at=at)
    assert (made.anchors_for(own), made.anchors_for(none)) == (50, 8)
    assert (made.least_anchors(own), made.least_anchors(none), made.least_anchors(canary(anchors=2))) == (25, 4, 2)


def test_a_suite_hash_knows_every_canary_and_no_order():
    one, other = canary(), replace(canary(), id="core/other")
    edited = replace(other, parameters={"max_tokens": 1})
    assert target(one, other).suite_hash == target(other, one).suite_hash
    assert len({target(one).suite_hash, target(one, other).suite_hash, target(one, edited).suite_hash}) == 3


def test_a_canarys_parameters_override_the_targets():
    asked = canary(parameters={"max_tokens": 5})
    assert target(asked, parameters={"temperature": 0, "max_tokens": 99}).parameters_for(asked) == {
        "temperature": 0,
        "max_tokens": 5,
    }


def test_runs_per_year_are_the_slots_of_a_julian_year():
    assert target(interval_s=3600.0).runs_per_year == 8766.0


# ---------------------------------------------------------------- what comes back


@pytest.mark.parametrize("outcome", Outcome)
def test_only_an_ok_completion_may_be_scored(outcome, at):
    completion = Completion(
        canary_id="c", canary_hash="h", repeat=0, outcome=outcome, at=at, latency_s=1.0, error="why"
    )
    assert completion.is_ok is (outcome is Outcome.OK)


@pytest.mark.parametrize(("n_ok", "n_failed", "share"), [(8, 2, 0.2), (0, 3, 1.0), (5, 0, 0.0), (0, 0, 1.0)])
def test_a_run_without_any_completion_counts_as_failed(at, n_ok, n_failed, share):
    run = Run(
        id=1,
        target="t",
        scheduled_at=at,
        purpose=Purpose.WATCH,
        state=RunState.MEASURED,
        baseline_id=1,
        started_at=at,
        n_ok=n_ok,
        n_failed=n_failed,
    )
    assert run.failure_share == share


@pytest.mark.parametrize(("value", "is_measured"), [(0.0, True), (1.0, True), (math.nan, False)])
def test_a_score_without_a_value_is_not_measured(value, is_measured):
    assert Score(channel="wording", value=value).is_measured is is_measured


# ---------------------------------------------------------------- what is concluded


def test_a_verdict_finds_the_evidence_of_a_kind(at):
    behaviour = KindEvidence(kind=Kind.BEHAVIOUR, evidence=2.0, threshold=10.0, is_drifted=False)
    verdict = Verdict(
        run_id=1,
        target="t",
        baseline_id=1,
        at=at,
        state=State.STABLE,
        reason="",
        n_calibration=40,
        n_monitored=1,
        kinds=(behaviour,),
    )
    assert verdict.kind(Kind.BEHAVIOUR) is behaviour
    assert verdict.kind(Kind.PERFORMANCE) is None


@pytest.mark.parametrize("state", IncidentState)
def test_an_incident_asks_for_attention_until_it_is_resolved(state, at):
    incident = Incident(
        id=1,
        target="t",
        kind=Kind.BEHAVIOUR,
        state=state,
        opened_at=at,
        onset_at=at - timedelta(hours=2),
        baseline_id=1,
        run_id=1,
        evidence={},
    )
    assert incident.is_open is (state is not IncidentState.RESOLVED)
