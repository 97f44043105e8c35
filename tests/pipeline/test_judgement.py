"""The verdict as a value: recomputable, honest about what it could not measure, and readable."""

from __future__ import annotations

import math
from dataclasses import replace

from driftwatch.domain import Kind, Score, State
from driftwatch.judgement import EXPLAINED_CHANNELS, conclude, kinds_watched
from driftwatch.score import CHANNELS


def last_run(watch):
    return watch.store.runs(newest_first=True, limit=1)[0]


def test_behaviour_and_performance_share_the_alarm_budget():
    assert kinds_watched() == 2


def test_a_verdict_can_be_recomputed_from_the_store_at_any_time(drifted):
    drifted.run(3)
    for stored in drifted.store.verdicts(newest_first=False)[-6:]:
        run = next(run for run in drifted.store.runs() if run.id == stored.run_id)
        again = conclude(drifted.store, drifted.target, drifted.baseline(), run)
        assert again.state == stored.state
        assert again.reason == stored.reason
        assert again.kinds == stored.kinds


def test_a_stable_verdict_says_how_much_evidence_there_is_and_how_much_it_takes(armed):
    verdict = armed.run(2)
    assert verdict.state is State.STABLE
    assert verdict.reason.startswith("evidence ")
    assert verdict.reason.endswith(" of 500 after 2 runs")
    assert all(c.canaries == () for c in verdict.channels), "nothing to explain"
    assert all(c.calibration_low <= c.calibration_mean <= c.calibration_high for c in verdict.channels)


def test_a_drifted_verdict_names_kind_onset_and_the_two_leading_channels(drifted):
    verdict = drifted.run()
    kind = verdict.kind(Kind.BEHAVIOUR)
    leading = sorted((c for c in verdict.channels if c.kind is Kind.BEHAVIOUR), key=lambda c: -c.share)
    expected = f"behaviour has drifted since {kind.onset_at:%Y-%m-%d %H:%M} UTC, mostly in "
    assert verdict.reason.startswith(f"{expected}{leading[0].channel} and {leading[1].channel}")
    assert kind.onset_at <= kind.alarm_at < verdict.at
    assert kind.runs_since_onset == round((verdict.at - kind.onset_at).total_seconds() / 3600) + 1


def test_canaries_are_explained_for_the_leading_channels_of_a_drifted_kind_only(two_long_drifted):
    verdict = two_long_drifted.run()
    of_behaviour = [c for c in verdict.channels if c.kind is Kind.BEHAVIOUR]
    explained = [c for c in of_behaviour if c.canaries]
    assert 0 < len(explained) <= EXPLAINED_CHANNELS
    assert min(c.share for c in explained) >= max(c.share for c in of_behaviour if not c.canaries)
    affected = {canary.canary_id for c in explained for canary in c.canaries if canary.is_affected}
    assert affected <= {"shop/capital", "shop/refund"}
    assert affected


def test_a_run_with_too_many_failures_has_no_verdict_and_says_how_many(armed):
    armed.endpoint.rejected = {"shop/triage"}
    verdict = armed.run()
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.reason.startswith("no verdict: 1 of 4 requests failed, more than 20%")


def test_without_a_calibrated_channel_there_is_no_verdict_rather_than_a_stable_one(armed):
    calibration = [row.run_id for row in armed.store.series(1)]
    nothing = [Score(channel=name, value=math.nan) for name in CHANNELS]
    armed.store.record_scores(1, dict.fromkeys(calibration, nothing))
    verdict = armed.run()
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.reason == "no verdict: no channel has enough calibration scores to compare with"


def test_a_channel_that_was_measured_too_seldom_is_left_out_and_the_others_are_judged(armed):
    calibration = [row.run_id for row in armed.store.series(1)]
    armed.store.record_scores(1, {calibration[0]: [Score(channel="shape", value=math.nan)]})
    verdict = armed.run()
    assert verdict.state is State.STABLE
    assert "shape" not in {c.channel for c in verdict.channels}
    assert "wording" in {c.channel for c in verdict.channels}


def test_a_higher_threshold_needs_more_evidence_for_the_same_runs(drifted):
    run, baseline = last_run(drifted), drifted.baseline()
    cautious = replace(drifted.target, threshold=1e9)
    assert conclude(drifted.store, drifted.target, baseline, run).state is State.DRIFTED
    assert conclude(drifted.store, cautious, baseline, run).state is State.STABLE
