from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from driftwatch.domain import (
    WATCH,
    CanaryEvidence,
    ChannelEvidence,
    Completion,
    Event,
    IncidentState,
    Kind,
    KindEvidence,
    Outcome,
    Severity,
    State,
    ToolCall,
    Verdict,
)

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXT = st.text(max_size=200)
NUMBER = st.floats(allow_nan=False)
MOMENT = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))]))
COUNT = st.integers(min_value=0, max_value=2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
COMPLETION = st.builds(
    Completion,
    canary_id=TEXT,
    canary_hash=TEXT,
    repeat=COUNT,
    outcome=st.sampled_from(Outcome),
    at=MOMENT,
    latency_s=NUMBER,
    text=TEXT,
    finish_reason=st.none() | TEXT,
    tool_calls=st.lists(st.builds(ToolCall, name=TEXT, arguments=TEXT, id=st.none() | TEXT), max_size=3).map(tuple),
    input_tokens=st.none() | COUNT,
    output_tokens=st.none() | COUNT,
    ttft_s=st.none() | NUMBER,
    served_model=st.none() | TEXT,
    fingerprint=st.none() | TEXT,
    request_id=st.none() | TEXT,
    logprobs=JSON,
    attempts=COUNT,
    error=st.none() | TEXT,
)
CANARY = st.builds(
    CanaryEvidence,
    canary_id=TEXT,
    calibration_mean=NUMBER,
    since_onset_mean=NUMBER,
    evidence=NUMBER,
    is_affected=st.booleans(),
)
CHANNEL = st.builds(
    ChannelEvidence,
    channel=TEXT,
    kind=st.sampled_from(Kind),
    share=NUMBER,
    value=NUMBER,
    calibration_mean=NUMBER,
    calibration_low=NUMBER,
    calibration_high=NUMBER,
    since_onset_mean=NUMBER,
    canaries=st.lists(CANARY, max_size=2).map(tuple),
)
KIND = st.builds(
    KindEvidence,
    kind=st.sampled_from(Kind),
    evidence=NUMBER,
    threshold=NUMBER,
    is_drifted=st.booleans(),
    alarm_at=st.none() | MOMENT,
    onset_at=st.none() | MOMENT,
    runs_since_onset=COUNT,
)


@QUICK
@given(completions=st.lists(COMPLETION, min_size=1, max_size=3))
def test_completions_read_back_equal(world, completions):
    run = world.claim(world.baseline())
    stored = world.store.record_measurement(
        run.id, completions=completions, scores=(), finished_at=world.at(), cost_usd=None
    )
    found = world.store.completions([run.id])[run.id]
    assert found == list(stored)
    assert [replace(c, id=None) for c in found] == completions
    assert {c.at.tzinfo for c in found} == {UTC}


@QUICK
@given(
    kinds=st.lists(KIND, max_size=3).map(tuple),
    channels=st.lists(CHANNEL, max_size=3).map(tuple),
    state=st.sampled_from(State),
    reason=TEXT,
)
def test_verdicts_read_back_equal(world, kinds, channels, state, reason):
    run, _ = world.measured(world.baseline())
    verdict = Verdict(
        run_id=run.id,
        target="support",
        baseline_id=run.baseline_id,
        at=run.scheduled_at,
        state=state,
        reason=reason,
        n_calibration=168,
        n_monitored=2,
        kinds=kinds,
        channels=channels,
    )
    world.store.commit_judgement(verdict, [], at=world.at())
    assert world.store.latest_verdict("support") == verdict


def test_nan_and_infinity_in_a_verdict_come_back_and_are_no_json_nan(world):
    run, _ = world.measured(world.baseline())
    channel = ChannelEvidence(
        channel="meaning",
        kind=Kind.BEHAVIOUR,
        share=0.5,
        value=math.nan,
        calibration_mean=0.1,
        calibration_low=0.0,
        calibration_high=math.inf,
        since_onset_mean=-math.inf,
    )
    kind = KindEvidence(
        kind=Kind.BEHAVIOUR,
        evidence=math.inf,
        threshold=8766.0,
        is_drifted=True,
        is_suspicious=True,
        problem="the calibration drifted",
    )
    verdict = replace(world.verdict(run), channels=(channel,), kinds=(kind,))
    world.store.commit_judgement(verdict, [], at=world.at())
    found = world.store.latest_verdict("support")
    assert found.kinds == (kind,)
    assert math.isnan(found.channels[0].value)
    assert replace(found.channels[0], value=0.0) == replace(channel, value=0.0)
    with world.store._database.plain() as connection:
        (kinds, channels) = connection.execute("SELECT kinds, channels FROM verdict").fetchone()
    assert "NaN" not in kinds + channels
    assert "Infinity" not in kinds + channels


def test_a_verdict_with_a_naive_time_inside_is_rejected(world):
    run, _ = world.measured(world.baseline())
    naive = world.at().replace(tzinfo=None)
    kind = KindEvidence(kind=Kind.BEHAVIOUR, evidence=1.0, threshold=2.0, is_drifted=False, onset_at=naive)
    with pytest.raises(
        ValueError, match=r"^2026-03-01 12:00:00 has no time zone; the store takes aware datetimes only$"
    ):
        world.store.commit_judgement(replace(world.verdict(run), kinds=(kind,)), [], at=world.at())
    assert world.store.latest_verdict("support") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("héllo 世界 \U0001f600 e\u0301 \u202eright to left\u202c", None),
        ("before\x00after\x00", None),
        ("x" * 100_000, None),
        ("'; DROP TABLE run; --", None),
        ("lone \ud83d here", "lone \ufffd here"),
        ("lone \ude00", "lone \ufffd"),
        ("a pair \ud83d\ude00", "a pair \U0001f600"),
    ],
)
def test_any_text_a_model_utters_is_kept(world, make_completion, text, expected):
    expected = text if expected is None else expected
    run = world.claim(world.baseline())
    uttered = make_completion(
        text=text,
        error=text,
        tool_calls=(ToolCall(name=text, arguments=text, id=text),),
        logprobs=[{"token": text, "logprob": math.nan, "top": [[text, -0.5]]}],
    )
    world.store.record_measurement(run.id, completions=[uttered], scores=(), finished_at=world.at(), cost_usd=None)
    (found,) = world.store.completions([run.id])[run.id]
    assert found.text == expected
    assert found.error == expected
    assert found.tool_calls == (ToolCall(name=expected, arguments=expected, id=expected),)
    assert found.logprobs == [{"token": expected, "logprob": None, "top": [[expected, -0.5]]}]


@QUICK
@given(
    severity=st.sampled_from(Severity),
    cause=TEXT,
    trouble=TEXT,
    evidence=st.dictionaries(TEXT, JSON, max_size=3),
    onset_at=MOMENT,
)
def test_incidents_read_back_equal(world, severity, cause, trouble, evidence, onset_at):
    run, _ = world.measured(world.baseline())
    opening = world.opening(
        run, severity=severity, cause=cause, trouble=trouble, evidence=evidence, onset_at=onset_at, receivers=()
    )
    (lead,) = world.store.commit_judgement(None, [opening], at=world.at())
    joining = replace(opening, target="sales", part_of=lead.id, event=Event.JOINED)
    (member,) = world.store.commit_judgement(None, [joining], at=world.at())
    assert world.store.group(member.id) == [lead, member]
    assert (lead.severity, lead.cause, lead.trouble, lead.evidence) == (severity, cause, trouble, evidence)
    assert (lead.onset_at, lead.part_of, member.part_of, member.lead_id) == (onset_at, None, lead.id, lead.id)
    over = {"before": IncidentState.OPEN, "after": IncidentState.RESOLVED, "event": Event.RESOLVED}
    world.store.commit_judgement(
        None, [replace(opening, incident_id=found.id, **over) for found in (lead, member)], at=world.at()
    )


def test_an_incident_of_the_watch_itself_has_neither_baseline_nor_run(world):
    run, _ = world.measured(world.baseline())
    opening = world.opening(run, target=WATCH, kind=Kind.WATCH_ITSELF, trouble="disk", baseline_id=None, run_id=None)
    (found,) = world.store.commit_judgement(None, [opening], at=world.at())
    assert (found.target, found.kind, found.trouble) == ("driftwatch", Kind.WATCH_ITSELF, "disk")
    assert (found.baseline_id, found.run_id) == (None, None)
    again = replace(opening, trouble="heartbeat")
    assert len(world.store.commit_judgement(None, [again, opening], at=world.at())) == 1


def test_a_baseline_for_a_while_and_a_part_reads_back(world):
    made = world.baseline(expires_at=world.at(48), scope=("core/a", "core/ü"))
    assert (made.expires_at, made.scope) == (world.at(48), ("core/a", "core/ü"))
    assert world.store.current_baseline("support") == made
    assert world.store.baselines() == [made]
