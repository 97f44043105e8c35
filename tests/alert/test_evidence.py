"""What an incident keeps of its cause."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from driftwatch.alert.evidence import (
    Affected,
    Attribution,
    BaselineRef,
    CanaryShift,
    Change,
    ChannelShift,
    EffectSize,
    IncidentEvidence,
    KindOfChange,
    NextStep,
    Pair,
    Reason,
    Whose,
    build,
    headline,
    told,
    trend,
)
from driftwatch.domain import (
    Baseline,
    BaselineState,
    Canary,
    CanaryEvidence,
    ChannelEvidence,
    Completion,
    Kind,
    KindEvidence,
    Outcome,
    State,
    Target,
    Verdict,
)

ALARM = datetime(2026, 3, 16, 14, 0, tzinfo=UTC)
ONSET = ALARM - timedelta(hours=5)
TARGET = Target(name="support-bot", provider="openai", model="gpt-4o", canaries=(), owner="team-support")
BASELINE = Baseline(
    id=3, target="support-bot", series_key="k", state=BaselineState.ACTIVE, author="ana", reason="r", created_at=ONSET
)


def channel(name: str, kind: Kind, share: float, *canaries: CanaryEvidence, since: float = 0.48) -> ChannelEvidence:
    return ChannelEvidence(
        channel=name,
        kind=kind,
        share=share,
        value=since,
        calibration_mean=0.21,
        calibration_low=0.18,
        calibration_high=0.26,
        since_onset_mean=since,
        canaries=canaries,
    )


def canary(id_: str, evidence: float, is_affected: bool = False) -> CanaryEvidence:
    return CanaryEvidence(
        canary_id=id_, calibration_mean=0.2, since_onset_mean=0.6, evidence=evidence, is_affected=is_affected
    )


def verdict(*kinds: KindEvidence, channels: tuple[ChannelEvidence, ...] = ()) -> Verdict:
    return Verdict(
        run_id=9,
        target="support-bot",
        baseline_id=3,
        at=ALARM,
        state=State.DRIFTED,
        reason="r",
        n_calibration=168,
        n_monitored=400,
        kinds=kinds,
        channels=channels,
    )


def drifted(kind: Kind, evidence: float = 41_327.0) -> KindEvidence:
    return KindEvidence(
        kind=kind,
        evidence=evidence,
        threshold=17_532.0,
        is_drifted=True,
        alarm_at=ALARM,
        onset_at=ONSET,
        runs_since_onset=6,
    )


def test_a_built_incident_survives_the_store_whole():
    stored = build(
        Kind.BEHAVIOUR,
        target=TARGET,
        verdict=verdict(
            drifted(Kind.BEHAVIOUR),
            drifted(Kind.PERFORMANCE),
            channels=(
                channel("checks", Kind.BEHAVIOUR, 0.3, canary("a/1", 5.0)),
                channel("latency", Kind.PERFORMANCE, 1.0),
                channel("wording", Kind.BEHAVIOUR, 0.7, canary("a/2", 900.0, True)),
            ),
        ),
        baseline=BASELINE,
        alarm_budget="at most one false alarm per year",
        kind_of_change=(KindOfChange(kind="longer", text="Replies got longer", why="median 1 → 2 words"),),
        changes=("Replies are longer.",),
        effects=(EffectSize(name="length", unit="ratio", before=1.0, after=2.0, change=2.0, low=1.5, high=2.5),),
        pair=Pair(canary_id="a/2", prompt="p", before="b", after="a", before_completion_id=1, after_completion_id=2),
        served_model=Change(before="m-1", after="m-2"),
        fingerprint=Change(before="fp_1", after=None),
    )
    assert IncidentEvidence.from_json(json.loads(json.dumps(stored, allow_nan=False))) == IncidentEvidence(
        headline="support-bot behaves differently since Mon 16 Mar 09:00 UTC (6 runs until the alarm)",
        kind_of_change=(KindOfChange(kind="longer", text="Replies got longer", why="median 1 → 2 words"),),
        changes=("Replies are longer.",),
        effects=(EffectSize(name="length", unit="ratio", before=1.0, after=2.0, change=2.0, low=1.5, high=2.5),),
        affected=Affected(n=1, of=1, names=("a/2",)),
        onset_at=ONSET,
        alarm_at=ALARM,
        runs_since_onset=6,
        evidence=41_327.0,
        threshold=17_532.0,
        alarm_budget="at most one false alarm per year",
        channels=(
            ChannelShift(
                name="wording", share=0.7, calibration_mean=0.21, since_onset_mean=0.48, calibration_high=0.26
            ),
            ChannelShift(name="checks", share=0.3, calibration_mean=0.21, since_onset_mean=0.48, calibration_high=0.26),
        ),
        canaries=(
            CanaryShift(id="a/2", channel="wording", before_mean=0.2, after_mean=0.6, is_affected=True),
            CanaryShift(id="a/1", channel="checks", before_mean=0.2, after_mean=0.6),
        ),
        pair=Pair(canary_id="a/2", prompt="p", before="b", after="a", before_completion_id=1, after_completion_id=2),
        served_model=Change(before="m-1", after="m-2"),
        fingerprint=Change(before="fp_1"),
        performance_also=True,
        owner="team-support",
        baseline=BaselineRef(id=3, author="ana", at=ONSET),
        model="gpt-4o",
        provider="openai",
    )


def test_an_availability_incident_counts_outcomes_and_keeps_the_last_error():
    failures = [
        Completion(canary_id="a/1", canary_hash="h", repeat=0, outcome=outcome, at=ALARM, latency_s=1.0, error=error)
        for outcome, error in (
            (Outcome.TIMEOUT, "no reply within 60 s"),
            (Outcome.UNAVAILABLE, "status 503"),
            (Outcome.TIMEOUT, None),
        )
    ]
    stored = build(Kind.AVAILABILITY, target=TARGET, verdict=verdict(), failures=failures, failing_since=ONSET)
    assert stored == {
        "headline": "support-bot cannot be measured since Mon 16 Mar 09:00 UTC",
        "outcomes": {"timeout": 2, "unavailable": 1},
        "last_error": "status 503",
        "failing_since": "2026-03-16T09:00:00+00:00",
        "owner": "team-support",
        "model": "gpt-4o",
        "provider": "openai",
    }


@pytest.mark.parametrize(
    ("outcomes", "end"),
    [
        ([Outcome.MODEL_GONE] * 3 + [Outcome.TIMEOUT], "09:00 UTC: the model is gone"),
        ([Outcome.QUOTA], "09:00 UTC: the account's quota is used up"),
        ([Outcome.FILTERED], "09:00 UTC: a content filter refuses the requests"),
        ([Outcome.AUTH], "09:00 UTC: the key is not accepted"),
        ([Outcome.MODEL_GONE, Outcome.TIMEOUT], "09:00 UTC"),
        ([Outcome.TIMEOUT] * 3, "09:00 UTC"),
        ([], "09:00 UTC"),
    ],
)
def test_a_headline_names_why_requests_fail_when_asking_again_does_not_change_it(outcomes, end):
    failures = [
        Completion(canary_id="a/1", canary_hash="h", repeat=0, outcome=outcome, at=ALARM, latency_s=1.0)
        for outcome in outcomes
    ]
    stored = build(Kind.AVAILABILITY, target=TARGET, verdict=verdict(), failures=failures, failing_since=ONSET)
    assert stored["headline"].endswith(end)


def test_an_incident_without_an_onset_begins_with_its_alarm_or_its_run():
    found = KindEvidence(kind=Kind.BEHAVIOUR, evidence=9.0, threshold=8.0, is_drifted=True, alarm_at=ONSET)
    stored = build(Kind.BEHAVIOUR, target=TARGET, verdict=verdict(found))
    assert (stored["onset_at"], stored["runs_since_onset"]) == ("2026-03-16T09:00:00+00:00", 0)
    bare = build(Kind.BEHAVIOUR, target=TARGET, verdict=verdict())
    assert bare["headline"] == "support-bot behaves differently since Mon 16 Mar 14:00 UTC"


def test_evidence_beyond_every_float_stays_evidence_and_a_gap_stays_a_gap():
    shift = channel("wording", Kind.BEHAVIOUR, 1.0, since=math.nan)
    stored = build(Kind.BEHAVIOUR, target=TARGET, verdict=verdict(drifted(Kind.BEHAVIOUR, math.inf), channels=(shift,)))
    read = IncidentEvidence.from_json(json.loads(json.dumps(stored, allow_nan=False)))
    assert (read.evidence, read.channels[0].since_onset_mean) == (sys.float_info.max, None)


def test_no_more_canaries_are_kept_than_a_message_can_use():
    many = tuple(canary(f"a/{i}", float(i)) for i in range(50))
    stored = build(
        Kind.BEHAVIOUR,
        target=TARGET,
        verdict=verdict(drifted(Kind.BEHAVIOUR), channels=(channel("wording", Kind.BEHAVIOUR, 1.0, *many),)),
    )
    assert [c["id"] for c in stored["canaries"]][:2] == ["a/49", "a/48"]
    assert len(stored["canaries"]) == 10


@pytest.mark.parametrize(
    ("name", "since", "expected", "sentence"),
    [
        ("latency", 0.5, "slower", "answers more slowly"),
        ("ttft", 0.1, "faster", "answers faster"),
        ("tokens", 0.5, "longer", "answers at greater length"),
        ("tokens", 0.1, "shorter", "answers more briefly"),
        ("another", 0.5, "different", "answers at a different speed or length"),
        ("latency", None, "different", "answers at a different speed or length"),
    ],
)
def test_performance_is_told_by_the_way_it_moved(name, since, expected, sentence):
    channels = (ChannelShift(name=name, share=1.0, calibration_mean=0.3, since_onset_mean=since),)
    assert trend(channels) == expected
    told = headline(Kind.PERFORMANCE, "bot", onset_at=ONSET, n_runs=1, channels=channels)
    assert told == f"bot {sentence} since Mon 16 Mar 09:00 UTC (1 run until the alarm)"


def test_performance_without_a_calibration_mean_says_no_more_than_it_knows():
    assert trend(()) == "different"
    assert trend((ChannelShift(name="latency", share=1.0, since_onset_mean=0.4),)) == "different"


def test_parts_that_cannot_be_understood_are_left_out():
    read = IncidentEvidence.from_json(
        {
            "headline": 7,
            "changes": "not a list",
            "onset_at": "yesterday",
            "alarm_at": "2026-03-16T09:00:00",  # without a zone it could be any hour
            "runs_since_onset": True,
            "evidence": "much",
            "threshold": math.nan,
            "channels": [None, {"share": 1}, {"name": "wording", "share": False}],
            "canaries": [{"id": "a/1"}, {"channel": "wording"}, "x", {"id": "a/2", "channel": "wording"}],
            "pair": {"before": "b"},
            "served_model": {"before": "", "after": None},
            "performance_also": "yes",
            "baseline": {"id": "three"},
            "outcomes": {"timeout": "many", "auth": 2},
            "failing_since": 5,
            "added_by_a_later_release": 1,
        },
    )
    assert read == IncidentEvidence(
        channels=(ChannelShift(name="wording", share=0.0),),
        canaries=(CanaryShift(id="a/2", channel="wording"),),
        outcomes={"auth": 2},
    )


def test_nothing_stored_is_nothing_shown():
    assert IncidentEvidence.from_json({}) == IncidentEvidence()
    assert IncidentEvidence().to_json() == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(list(IncidentEvidence.__dataclass_fields__))


@given(st.dictionaries(keys, json_values))
def test_any_json_can_be_read_and_stored_again(stored):
    read = IncidentEvidence.from_json(stored)
    assert read == IncidentEvidence.from_json(json.loads(json.dumps(read.to_json(), allow_nan=False)))


def test_the_kind_of_change_is_told_with_where_and_since_when():
    kind = KindOfChange(kind="shorter", text="Replies got 41 % shorter")
    full = IncidentEvidence(kind_of_change=(kind,), affected=Affected(n=1, of=1), onset_at=ONSET, runs_since_onset=1)
    assert told(full) == "Replies got 41 % shorter on 1 of 1 canary since Mon 16 Mar 09:00 UTC (1 run until the alarm)"
    assert told(IncidentEvidence(kind_of_change=(kind,), affected=Affected(n=0, of=3))) == "Replies got 41 % shorter"
    assert told(IncidentEvidence(changes=("replies are shorter",))) is None


def test_canaries_are_counted_once_however_many_channels_list_them():
    stored = build(
        Kind.BEHAVIOUR,
        target=replace(TARGET, canaries=tuple(Canary(id=f"a/{i}", suite="a", messages=()) for i in range(5))),
        verdict=verdict(
            drifted(Kind.BEHAVIOUR),
            channels=(
                channel("wording", Kind.BEHAVIOUR, 0.7, canary("a/2", 900.0, True), canary("a/1", 90.0, True)),
                channel("shape", Kind.BEHAVIOUR, 0.3, canary("a/2", 9.0, True), canary("a/3", 2.0)),
            ),
        ),
    )
    assert stored["affected"] == {"n": 2, "of": 5, "names": ["a/2", "a/1"]}


def test_half_a_kind_of_change_is_left_out():
    kinds = [{"kind": "longer"}, {"text": "no kind"}, 7, {"kind": "longer", "text": "Replies got longer", "why": 3}]
    read = IncidentEvidence.from_json({"kind_of_change": kinds, "effects": [{"name": "x"}], "affected": {"n": 1}})
    assert read.kind_of_change == (KindOfChange(kind="longer", text="Replies got longer"),)
    assert (read.effects, read.affected) == ((), None)


def test_a_kind_that_counts_its_own_canaries_is_told_with_these():
    kind = KindOfChange(kind="JSON broken", text="JSON replies are broken", n_canaries=1)
    found = IncidentEvidence(kind_of_change=(kind,), affected=Affected(n=4, of=5))
    assert told(found) == "JSON replies are broken on 1 of 5 canaries"
    assert told(IncidentEvidence(kind_of_change=(kind,))) == "JSON replies are broken"


OURS = Attribution(
    verdict=Whose.OURS,
    summary="Most likely our side: driftwatch 0.5.0 → 0.6.0, 2 h before the onset.",
    reasons=(
        Reason(text="driftwatch 0.5.0 → 0.6.0, 2 h before the onset", points_to=Whose.OURS),
        Reason(text="azure says nothing: 1 run since the onset, 2 are needed", points_to=Whose.UNKNOWN),
    ),
)


def test_whose_a_change_is_has_one_stored_form():
    assert OURS.to_json() == {
        "verdict": "our side",
        "summary": "Most likely our side: driftwatch 0.5.0 → 0.6.0, 2 h before the onset.",
        "reasons": [
            {"text": "driftwatch 0.5.0 → 0.6.0, 2 h before the onset", "points_to": "our side"},
            {"text": "azure says nothing: 1 run since the onset, 2 are needed", "points_to": "cannot tell"},
        ],
    }
    assert json.loads(json.dumps(IncidentEvidence(attribution=OURS).to_json())) == {"attribution": OURS.to_json()}
    assert IncidentEvidence.from_json({"attribution": OURS.to_json()}).attribution == OURS


def test_an_attribution_without_verdict_or_summary_is_left_out_and_half_a_reason_too():
    for half in (
        None,
        "our side",
        {"summary": "s"},
        {"verdict": "the weather", "summary": "s"},
        {"verdict": "provider"},
    ):
        assert IncidentEvidence.from_json({"attribution": half}).attribution is None
    reasons = [{"text": "t"}, {"points_to": "provider"}, {"text": "t", "points_to": "them"}, 7]
    read = IncidentEvidence.from_json({"attribution": {"verdict": "provider", "summary": "s", "reasons": reasons}})
    assert read.attribution == Attribution(verdict=Whose.PROVIDER, summary="s")


def test_what_to_do_and_which_wire_tripped_survive_the_store():
    steps = (NextStep(command="df -h /var/lib", meaning="shows what is full"), NextStep(command="driftwatch doctor"))
    kept = IncidentEvidence(steps=steps, wire="served_model", feature="checkout")
    assert IncidentEvidence.from_json(json.loads(json.dumps(kept.to_json()))) == kept
    read = IncidentEvidence.from_json({"steps": [{"meaning": "no command"}, "ls", {"command": "ls", "meaning": 3}]})
    assert read.steps == (NextStep(command="ls"),)


def test_an_incident_names_the_feature_on_top_of_its_target_and_whose_it_is():
    target = replace(TARGET, feature="checkout")
    stored = build(Kind.BEHAVIOUR, target=target, verdict=verdict(drifted(Kind.BEHAVIOUR)), attribution=OURS)
    assert (stored["feature"], stored["attribution"]["verdict"]) == ("checkout", "our side")
