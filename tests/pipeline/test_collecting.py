"""Collecting a baseline: what is asked for it, what it costs when canaries fail, and what the operator hears."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.domain import BaselineState, Purpose, RunState

HOUR = timedelta(hours=1)


def purposes(watch) -> list[str]:
    return [run.purpose.value for run in watch.store.runs()]


def warnings(logs) -> list[str]:
    return [entry["event"] for entry in logs if entry["log_level"] == "warning"]


# ---------------------------------------------------------------- an endpoint that answers


def test_the_first_run_collects_every_anchor_and_the_next_twenty_calibrate(watch):
    first = watch.run()
    assert first.state == "calibrating"
    assert first.reason == "calibrating: 0 of 20 runs"
    assert Counter(watch.endpoint.asked) == dict.fromkeys(watch.endpoint.asked, 4)
    last = watch.run(20)
    assert last.reason == "calibrated on 20 runs; the next run is judged"
    assert watch.baseline().state is BaselineState.ACTIVE
    assert purposes(watch) == ["anchor"] + 20 * ["calibration"]
    assert watch.run().state == "stable"


def test_anchors_and_calibration_share_no_completion(armed):
    anchors = {c.id for those in armed.store.anchors(armed.baseline().id).values() for c in those}
    runs = armed.store.runs(purposes=(Purpose.CALIBRATION,))
    calibration = {c.id for those in armed.store.completions([run.id for run in runs]).values() for c in those}
    assert len(anchors) == 16
    assert anchors.isdisjoint(calibration)


def test_an_armed_watch_asks_each_canary_as_often_as_the_target_says(armed):
    armed.run()
    assert Counter(armed.endpoint.asked).most_common(1)[0][1] == armed.target.repeats == 1


def test_after_a_single_failure_the_next_run_asks_for_what_is_missing_and_no_more(watch):
    answers = iter([False])
    watch.endpoint.while_asked = lambda: setattr(watch.endpoint, "is_down", not next(answers, True))
    assert watch.run().reason == "collecting anchors: 3 of 4 for every canary; 1 of 16 requests failed"
    assert list(watch.pipeline.missing_anchors(watch.target, watch.baseline()).values()) == [1]
    watch.run()
    assert len(watch.endpoint.asked) == 16 + 4
    assert {len(those) for those in watch.store.anchors(watch.baseline().id).values()} == {4}, "never more than wanted"


def test_an_anchor_run_of_which_most_fails_gives_no_anchors(watch):
    answers = iter([True, True, True])
    watch.endpoint.while_asked = lambda: setattr(watch.endpoint, "is_down", not next(answers, False))
    verdict = watch.run()
    assert "this run does not count, 13 of 16 requests failed, more than 50%" in verdict.reason
    assert watch.store.anchors(watch.baseline().id) == {}


# ---------------------------------------------------------------- canaries with numbers of their own


@pytest.fixture
def mixed(watch):
    """The four canaries, of which greeting wants 12 anchors and is asked 3 times a run."""
    own = {"shop/greeting": {"repeats": 3, "anchors": 12}}
    watch.edit(canaries=tuple(replace(canary, **own.get(canary.id, {})) for canary in watch.target.canaries))
    return watch


def n_anchors(watch) -> dict[str, int]:
    return {canary_id: len(those) for canary_id, those in watch.store.anchors(watch.baseline().id).items()}


def test_the_first_run_asks_each_canary_for_the_anchors_it_wants_and_later_runs_for_its_repeats(mixed):
    wanted = {"shop/capital": 4, "shop/refund": 4, "shop/greeting": 12, "shop/triage": 4}
    mixed.run()
    assert Counter(mixed.endpoint.asked) == n_anchors(mixed) == wanted
    mixed.endpoint.asked.clear()
    mixed.run()
    assert Counter(mixed.endpoint.asked) == {**dict.fromkeys(wanted, 1), "shop/greeting": 3}


def test_missing_anchors_are_counted_for_each_canary_and_the_one_that_needs_most_is_named(mixed):
    answers = iter([True] * 8 + [False] * 16)
    mixed.endpoint.while_asked = lambda: setattr(mixed.endpoint, "is_down", not next(answers, True))
    assert "this run does not count, 16 of 24 requests failed" in mixed.run().reason
    mixed.endpoint.is_down, mixed.endpoint.while_asked = False, lambda: None
    verdict = mixed.run()
    assert verdict.reason == "collecting anchors: 1 of 12 for shop/greeting"
    assert mixed.pipeline.missing_anchors(mixed.target, mixed.baseline()) == {
        "shop/capital": 3, "shop/refund": 3, "shop/greeting": 11, "shop/triage": 3,
    }  # fmt: skip
    mixed.run()
    assert n_anchors(mixed) == {"shop/capital": 4, "shop/refund": 4, "shop/greeting": 12, "shop/triage": 4}


def test_a_canary_with_half_of_its_own_anchors_is_watched_and_one_with_less_is_not(mixed):
    greetings = iter([True] * 5)

    def answer() -> None:
        is_greeting = mixed.endpoint.asked[-1] == "shop/greeting"
        mixed.endpoint.is_down = is_greeting and not next(greetings, False)

    mixed.endpoint.while_asked = answer
    for _ in range(6):
        verdict = mixed.run()
    assert n_anchors(mixed)["shop/greeting"] == 5
    assert "not watched, for they hardly answer: shop/greeting" in verdict.reason


# ---------------------------------------------------------------- a canary that never answers


def test_a_canary_that_never_answers_is_left_out_and_the_others_are_watched(watch, logs):
    watch.endpoint.rejected = {"shop/triage"}
    reasons = [watch.run().reason for _ in range(4)]
    assert reasons[0] == "collecting anchors: 0 of 4 for every canary; 4 of 16 requests failed"
    assert reasons[1] == "collecting anchors: 0 of 4 for every canary; 1 of 4 requests failed"
    assert reasons[2].endswith("; not watched, for they hardly answer: shop/triage")
    assert reasons[3] == "calibrating: 1 of 20 runs; not watched, for they hardly answer: shop/triage"
    assert warnings(logs).count("canaries.left_out") == 1, "told once"
    watch.run(19)
    verdict = watch.run()
    assert verdict.state == "stable"
    assert verdict.reason.endswith("; not watched, for they hardly answer: shop/triage")


def test_a_canary_that_never_answers_costs_no_more_than_three_anchor_runs(watch):
    watch.endpoint.rejected = {"shop/triage"}
    watch.run(10)
    asked = Counter(watch.endpoint.asked)
    assert asked["shop/triage"] == 4 + 1 + 1, "as often as anchors are wanted, then once a run, then never again"
    assert asked["shop/capital"] == 4 + 1 + 1 + 7
    assert purposes(watch)[:4] == ["anchor", "anchor", "anchor", "calibration"]


def test_a_watch_without_one_canary_still_finds_drift_in_the_others(watch):
    watch.endpoint.rejected = {"shop/triage"}
    watch.run(3 + 20)
    watch.change("after")
    assert watch.incidents()[-1] == ("behaviour", "open")
    assert ("availability", "open") not in watch.incidents()


def test_the_reference_is_the_same_after_a_restart_without_the_canary_that_was_left_out(watch):
    watch.endpoint.rejected = {"shop/triage"}
    watch.run(3 + 20 + 2)
    before = watch.run()
    watch.restart()
    watch.endpoint.rejected = set()
    after = watch.run()
    assert {c.channel for c in before.channels} == {c.channel for c in after.channels}
    assert watch.endpoint.asked.count("shop/triage") == 0, "what the baseline does not have is not asked either"


def test_a_canary_that_answers_half_the_time_is_kept_with_the_anchors_it_has(watch):
    triage = iter(range(1000))

    def every_other() -> None:
        if watch.endpoint.asked[-1] == "shop/triage":
            watch.endpoint.rejected = {"shop/triage"} if next(triage) % 2 else set()

    watch.endpoint.while_asked = every_other
    watch.run(3)
    n = len(watch.store.anchors(watch.baseline().id)["shop/triage"])
    assert 2 <= n <= 4
    assert watch.run().reason.startswith("calibrating: ")


def test_many_canaries_left_out_are_named_up_to_three(watch):
    watch.target = replace(
        watch.target,
        canaries=(
            *watch.target.canaries,
            *(replace(watch.target.canaries[0], id=f"shop/x{i}") for i in range(4)),
        ),
    )
    watch.endpoint.rejected = {f"shop/x{i}" for i in range(4)}
    watch.run(2)
    assert watch.run().reason.endswith("they hardly answer: shop/x0, shop/x1, shop/x2 and 1 more")


def test_more_than_half_of_the_canaries_failing_is_told_as_an_outage_and_goes_on_cheaply(watch):
    watch.endpoint.rejected = {"shop/triage", "shop/refund", "shop/greeting"}
    verdict = watch.run(6)
    assert verdict.reason == (
        "collecting anchors: 0 of 4 for every canary; this run does not count, 3 of 4 requests failed, more than 50%"
    )
    assert watch.incidents() == [("availability", "open")]
    assert len(watch.endpoint.asked) == 16 + 5 * 4, "once per canary while nothing comes back"
    assert set(purposes(watch)) == {"anchor"}


# ---------------------------------------------------------------- an endpoint that is down


def test_an_outage_at_the_start_leaves_no_canary_out_and_is_told_after_three_runs(watch):
    watch.endpoint.is_down = True
    watch.run(5)
    assert watch.incidents() == [("availability", "open")]
    watch.endpoint.is_down = False
    verdict = watch.until(lambda verdict: verdict.reason.startswith("calibrating"), at_most=3)
    assert "not watched" not in verdict.reason
    assert watch.incidents() == [("availability", "resolved")]
    assert {len(those) for those in watch.store.anchors(watch.baseline().id).values()} == {4}


def test_a_calibration_run_with_many_failures_is_no_calibration(watch):
    watch.run(5)
    watch.endpoint.rejected = {"shop/triage"}
    verdict = watch.run()
    assert verdict.reason.startswith(
        "calibrating: 4 of 20 runs; this run does not count, 1 of 4 requests failed, more than 20%; the endpoint"
    )
    assert len(watch.store.series(watch.baseline().id)) == 4


def test_a_run_with_exactly_a_fifth_of_failures_counts(watch):
    watch.edit(canaries=(*watch.target.canaries, replace(watch.target.canaries[0], id="shop/fifth")))
    watch.run(2)
    watch.endpoint.rejected = {"shop/fifth"}
    assert watch.run().reason.startswith("calibrating: 2 of 20 runs; the endpoint fails")


# ---------------------------------------------------------------- whose run it is


def test_of_two_runs_for_one_slot_one_is_made_and_the_other_says_so(armed):
    at = armed.now
    assert armed.run_at(at) is not None
    n = len(armed.endpoint.asked)
    assert armed.run_at(at) is None
    assert len(armed.endpoint.asked) == n, "nothing is spent twice"


def test_a_check_beside_the_daemon_is_a_run_of_its_own(armed):
    daemon = armed.run_at(armed.now)
    check = armed.run_at(armed.now + timedelta(minutes=3))
    assert (daemon.n_monitored, check.n_monitored) == (1, 2)


def test_two_processes_that_begin_a_baseline_at_once_fill_the_same_one(watch, monkeypatch):
    store = watch.store
    original = type(store).current_baseline
    rivals = []

    def looked_too_early(self, target):
        found = original(self, target)
        if found is None and not rivals:
            rivals.append("begun")  # between our look and our write
            rivals.append(watch.pipeline.baseline_for(watch.target, watch.now))
        return found

    monkeypatch.setattr(type(store), "current_baseline", looked_too_early)
    ours = watch.pipeline.baseline_for(watch.target, watch.now)
    assert ours.id == rivals[1].id
    assert [b.state.value for b in store.baselines()] == ["collecting", "superseded"]


def test_a_baseline_begun_for_another_question_meanwhile_is_replaced(watch, monkeypatch):
    store = watch.store
    original = type(store).current_baseline
    rivals = []

    def looked_too_early(self, target):
        found = original(self, target)
        if found is None and not rivals:
            rivals.append("begun")
            rivals.append(watch.pipeline.baseline_for(replace(watch.target, model="other"), watch.now))
        return found

    monkeypatch.setattr(type(store), "current_baseline", looked_too_early)
    ours = watch.pipeline.baseline_for(watch.target, watch.now)
    assert ours.series_key == watch.pipeline.series_key(watch.target)
    assert ours.parent_id == rivals[1].id


# ---------------------------------------------------------------- another question


@pytest.mark.parametrize(
    "change",
    [{"model": "m-2"}, {"parameters": {"temperature": 0}}, {"repeats": 2}, {"base_url": "http://127.0.0.1:9"}],
)
def test_a_change_of_the_target_begins_a_new_baseline_instead_of_an_alarm(armed, change):
    armed.edit(**change)
    verdict = armed.run()
    assert verdict.state == "calibrating"
    assert armed.baseline().reason == "the target, its canaries, the scoring or the embedder changed"
    assert armed.baseline().parent_id == 1


def test_a_change_of_owner_receivers_or_threshold_keeps_the_baseline(armed):
    armed.edit(owner="team", receivers=(), threshold=900.0)
    assert armed.run().state == "stable"
    assert armed.baseline().id == 1


def test_an_edit_that_is_taken_back_gets_its_old_baseline_back(armed):
    armed.edit(model="m-2")
    armed.run(2)
    armed.edit(model="m")
    verdict = armed.run()
    assert verdict.state == "stable"
    assert armed.baseline().id == 1
    assert len(armed.store.baselines()) == 2
    change = armed.store.baseline_changes("shop-bot")[-1]
    assert (change.author, change.reason) == ("driftwatch", "the target is again what it was")


def test_two_processes_with_two_versions_of_a_config_do_not_calibrate_for_ever(armed):
    versions = [armed.target, replace(armed.target, model="m-2")]
    for _ in range(4):
        for armed.target in versions:
            armed.run()
    assert len(armed.store.baselines()) == 2
    assert [run.purpose.value for run in armed.store.runs()][-8:] == [
        *("watch", "anchor"),
        *("watch", "calibration") * 3,
    ]


def test_a_claim_is_not_made_when_the_reply_could_not_be_measured(armed):
    class Broken:
        revision = None

        def embed(self, _texts):
            raise RuntimeError("the weights are gone")

    armed.pipeline.embedder = Broken()
    with pytest.raises(RuntimeError, match="weights"):
        armed.run()
    assert armed.endpoint.asked == []
    assert armed.store.runs(states=(RunState.CLAIMED,)) == []
