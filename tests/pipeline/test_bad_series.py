"""Every kind of bad input has a defined answer through the whole pipeline: never a crash, never a false page."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest

from driftwatch.domain import BaselineState, Kind, Purpose, Score, State
from driftwatch.pipeline import Line, Pipeline
from driftwatch.replay import Gate, RetryPolicy
from driftwatch.score import CHANNELS

HOUR = timedelta(hours=1)


def score_as(watch, value, *, purpose):
    """Give every stored run of a purpose the same score in every channel."""
    runs = [row.run_id for row in watch.store.series(watch.baseline().id) if row.purpose is purpose]
    scores = [Score(channel=name, value=value, by_canary={"shop/capital": value}) for name in CHANNELS]
    watch.store.record_scores(watch.baseline().id, dict.fromkeys(runs, scores))


def quiet(watch):
    """Nobody was told anything."""
    return watch.store.incidents() == [] and watch.told() == []


# ---------------------------------------------------------------- values without variety


def test_an_endpoint_that_always_says_the_same_is_stable_and_its_change_is_found(watch):
    watch.serve("terse")
    watch.run(21)
    assert {watch.run().state for _ in range(20)} == {State.STABLE}
    assert quiet(watch)
    watch.serve("after")
    assert watch.until(lambda verdict: verdict.state is State.DRIFTED, at_most=12)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_channels_in_which_every_score_ties_page_nobody(armed, value):
    score_as(armed, value, purpose=Purpose.CALIBRATION)
    for _ in range(25):
        armed.run()
        score_as(armed, value, purpose=Purpose.WATCH)
    run = armed.store.runs(newest_first=True, limit=1)[0]
    armed.restart()  # a daemon that has judged the runs does not read their scores again
    again = armed.pipeline._judge(armed.target, armed.baseline(), run)
    assert again.state is not State.DRIFTED
    assert all(math.isfinite(kind.evidence) for kind in again.kinds)
    assert all(not kind.is_drifted for kind in again.kinds)


# ---------------------------------------------------------------- hardly any replies


def test_a_run_without_a_single_reply_is_inconclusive(armed):
    armed.endpoint.is_down = True
    verdict = armed.run()
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.reason.startswith("no verdict: 4 of 4 requests failed")
    assert quiet(armed)


def test_a_single_canary_asked_once_is_watched(watch):
    watch.edit(canaries=watch.target.canaries[:1])
    watch.run(21)
    assert {watch.run().state for _ in range(15)} == {State.STABLE}
    assert quiet(watch)


def test_a_single_anchor_is_no_baseline_to_compare_to(watch):
    watch.edit(canaries=watch.target.canaries[:1], anchors_wanted=2)
    watch.endpoint.while_asked = lambda: setattr(watch.endpoint, "is_down", len(watch.endpoint.asked) != 1)
    verdict = watch.run(6)
    assert verdict.state is State.CALIBRATING
    assert {kind for kind, _ in watch.incidents()} <= {"availability"}


# ---------------------------------------------------------------- values that are missing


def test_calibration_that_could_not_be_measured_is_inconclusive_with_the_reason(armed):
    score_as(armed, math.nan, purpose=Purpose.CALIBRATION)
    verdict = armed.run()
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.reason == "no verdict: no channel has enough calibration scores to compare with"
    assert quiet(armed)


def test_watched_runs_that_could_not_be_measured_hold_the_evidence(armed):
    before = armed.run(3).kind(Kind.BEHAVIOUR).evidence
    run = armed.store.runs(newest_first=True, limit=1)[0]
    armed.store.record_scores(1, {run.id: [Score(channel=name, value=math.nan) for name in CHANNELS]})
    verdict = armed.run()
    assert verdict.state is State.STABLE
    assert math.isfinite(verdict.kind(Kind.BEHAVIOUR).evidence)
    assert math.isfinite(before)
    assert quiet(armed)


def test_half_of_the_calibration_missing_leaves_too_little_to_judge_by(armed):
    rows = [row.run_id for row in armed.store.series(1)][::2]
    armed.store.record_scores(1, {key: [Score(channel=name, value=math.nan) for name in CHANNELS] for key in rows})
    assert armed.run().state is State.INCONCLUSIVE
    assert quiet(armed)


# ---------------------------------------------------------------- time


def test_weeks_without_a_run_change_nothing(armed):
    armed.run(3)
    armed.hour += 24 * 40
    assert {armed.run().state for _ in range(5)} == {State.STABLE}
    assert quiet(armed)


def test_a_clock_that_goes_backwards_pages_nobody_and_judges_every_run(armed):
    armed.run(5)
    armed.hour += 48
    armed.run(3)
    armed.hour -= 40
    verdicts = [armed.run() for _ in range(5)]
    assert {verdict.state for verdict in verdicts} == {State.STABLE}
    assert quiet(armed)


def test_a_clock_that_goes_back_while_calibrating_still_gives_a_baseline(watch):
    watch.edit(calibration_wanted=30)
    watch.run(12)
    watch.hour -= 100
    watch.run(19)
    assert watch.baseline().state is BaselineState.ACTIVE
    watch.hour += 300
    assert watch.run(3).state is State.STABLE
    assert quiet(watch)


def test_a_slot_that_was_run_already_is_not_run_again(armed):
    armed.run()
    assert armed.run_at(armed.now - HOUR) is None


# ---------------------------------------------------------------- another question


def test_a_suite_edited_while_calibrating_begins_a_baseline_of_its_own(watch):
    watch.run(10)
    first = watch.baseline().id
    watch.edit(canaries=watch.target.canaries[:3])
    verdict = watch.run(3)
    assert (verdict.state, verdict.n_calibration) == (State.CALIBRATING, 2), "nothing of the other suite counts"
    assert watch.baseline().id != first
    assert quiet(watch)


def test_a_suite_edited_while_watching_is_calibrated_anew(armed):
    armed.run(3)
    armed.edit(canaries=armed.target.canaries[:3])
    assert armed.run().state is State.CALIBRATING
    assert armed.run(21).state is State.STABLE
    assert quiet(armed)


class Vectors:
    """An embedder whose revision can be upgraded: a fixed unit vector for each text."""

    def __init__(self, revision: str) -> None:
        self.revision = revision

    def embed(self, texts):
        rows = np.array([[len(text) % 7 + 1.0, text.count("a") + 1.0, len(self.revision)] for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_an_upgraded_embedder_never_compares_to_what_the_old_one_measured(watch):
    def upgrade(revision):
        line = Line(provider=watch.endpoint, gate=Gate(8), retry=RetryPolicy(attempts=1), deadline_s=60.0)
        watch.pipeline = Pipeline(store=watch.store, lines={"shop-bot": line}, embedder=Vectors(revision))

    upgrade("one")
    watch.run(21)
    assert watch.run(3).state is State.STABLE
    first = watch.baseline().id
    upgrade("second")
    assert watch.run().state is State.CALIBRATING
    assert watch.baseline().id != first
    upgrade("one")
    assert watch.run().state is State.STABLE, "the old one, put back, has its baseline back"
    assert quiet(watch)


# ---------------------------------------------------------------- refusals


def test_a_model_that_refuses_everything_from_the_first_day_is_its_own_normal(watch):
    watch.serve("refusing")
    watch.run(21)
    assert {watch.run().state for _ in range(10)} == {State.STABLE}
    assert quiet(watch)


def test_a_model_that_begins_to_refuse_everything_has_drifted(armed):
    armed.change("refusing")
    assert ("behaviour", "open") in armed.incidents()


def test_an_endpoint_that_rejects_every_request_is_calibrating_and_an_outage(watch):
    watch.endpoint.rejected = {canary.id for canary in watch.target.canaries}
    verdict = watch.run(4)
    assert verdict.state is State.CALIBRATING
    assert "this run does not count, 4 of 4 requests failed" in verdict.reason
    assert watch.incidents() == [("availability", "open")]


# ---------------------------------------------------------------- a baseline that is no measure


@pytest.fixture
def mixture(watch):
    """Half of the shortest calibration is one model, half another."""
    watch.run(11)
    watch.serve("after")
    watch.run(10)
    assert watch.baseline().state is BaselineState.ACTIVE
    return watch


def test_a_baseline_that_was_itself_drifting_is_inconclusive_and_says_what_to_do(mixture):
    verdicts = [mixture.run() for _ in range(10)]
    assert {verdict.state for verdict in verdicts} == {State.INCONCLUSIVE}
    assert "behaviour cannot be judged: the calibration runs themselves drifted" in verdicts[-1].reason
    assert "`driftwatch rebaseline shop-bot --since TIME --reason …`" in verdicts[-1].reason
    assert not any(kind.is_drifted for kind in verdicts[-1].kinds if kind.problem)
    assert ("behaviour", "open") not in mixture.incidents()


def test_what_it_says_to_do_ends_it(mixture):
    begun = mixture.now - 10 * HOUR
    mixture.run(20)
    mixture.accept(since=begun)
    assert mixture.run(3).state is State.STABLE


def test_an_outage_ends_though_the_baseline_is_no_measure(mixture):
    mixture.endpoint.is_down = True
    mixture.run(3)
    assert ("availability", "open") in mixture.incidents()
    mixture.endpoint.is_down = False
    mixture.run(2)
    assert ("availability", "resolved") in mixture.incidents()


def test_a_longer_calibration_notices_the_change_before_it_is_complete(watch):
    watch.edit(calibration_wanted=60)
    watch.run(26)
    watch.serve("after")
    watch.run(40)
    assert watch.baseline().state is BaselineState.COLLECTING
