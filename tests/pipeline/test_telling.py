"""From verdicts to incidents: what pages, what does not page again, and what a page says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch import briefing
from driftwatch.alert import incidents
from driftwatch.alert.evidence import Change, IncidentEvidence
from driftwatch.alert.policy import Facts, Policy, Route
from driftwatch.briefing import completions_since, shown
from driftwatch.domain import (
    Completion,
    Event,
    Kind,
    KindEvidence,
    Level,
    Outcome,
    Purpose,
    Severity,
    ToolCall,
    Wire,
)
from driftwatch.telling import REPLACED


def resolve_by_hand(watch) -> None:
    for incident in watch.store.incidents(open_only=True):
        steps = incidents.resolve([incident], author="ana", reason="seen", at=watch.now)
        watch.store.commit_judgement(None, steps, at=watch.now)


def pages(watch) -> int:
    """How many incidents were opened."""
    return len(watch.store.incidents())


def events(watch) -> list[Event]:
    """What every edge told, over all incidents, oldest first."""
    edges = [edge for incident in watch.store.incidents() for edge in watch.store.transitions(incident.id)]
    return [edge.event for edge in sorted(edges, key=lambda edge: edge.id)]


def refuse(watch, outcome) -> None:
    """From the next run on every request ends so; None: in a good reply."""
    watch.endpoint.change_reply = lambda reply: (
        reply if outcome is None else replace(reply, outcome=outcome, text="", error="refused")
    )


def stable(verdict) -> bool:
    return verdict.state == "stable"


def drifting(verdict) -> bool:
    return verdict.state == "drifted"


# ---------------------------------------------------------------- drift


def test_a_change_opens_one_incident_that_is_told_once_however_long_it_lasts(drifted):
    drifted.run(10)
    assert drifted.incidents() == [("behaviour", "open")]
    assert len(drifted.told()) == 1


def test_the_onset_is_near_the_change(drifted):
    changed_at = drifted.now - timedelta(hours=drifted.hour - 26)
    off = abs((drifted.open_incident().onset_at - changed_at) / timedelta(hours=1))
    assert off <= 1


def test_behaviour_that_comes_back_ends_the_incident_and_says_so(drifted):
    drifted.serve("before")
    drifted.until(stable, at_most=90)
    assert drifted.incidents() == [("behaviour", "resolved")]
    assert drifted.told()[-1] == "behaviour is back within calibration"


def test_slower_answers_are_performance_and_never_behaviour(slowed):
    slowed.run(5)
    assert slowed.incidents() == [("performance", "open")]
    evidence = IncidentEvidence.from_json(slowed.open_incident().evidence)
    assert "answers more slowly" in evidence.headline
    assert evidence.pair is None or evidence.pair.before != evidence.pair.after


def test_a_change_of_behaviour_and_speed_in_the_same_run_is_one_page_that_says_both(armed):
    armed.edit(tripwires={})
    verdict = armed.change("other")
    assert [k.is_drifted for k in verdict.kinds] == [True, True], "this scenario alarms on both at once"
    armed.run(5)
    assert armed.incidents() == [("behaviour", "open")]
    evidence = IncidentEvidence.from_json(armed.open_incident().evidence)
    assert evidence.performance_also
    assert evidence.served_model == Change(before="m-1", after="m-2")


# ---------------------------------------------------------------- closed by a person


def test_drift_that_a_person_has_closed_does_not_page_again_while_it_stands(drifted):
    resolve_by_hand(drifted)
    assert drifted.run(8).state == "drifted"
    assert pages(drifted) == 1


def test_performance_that_joined_a_behaviour_incident_is_closed_with_it(armed):
    armed.edit(tripwires={})
    armed.change("other")
    armed.run(3)
    resolve_by_hand(armed)
    armed.run(5)
    assert pages(armed) == 1


def test_performance_that_drifts_after_behaviour_was_closed_by_hand_is_news(two_drifted):
    # Another run or two and the length of the answers, which changed as well, has joined the incident.
    two_drifted.until(lambda v: v.kind(Kind.PERFORMANCE).is_drifted, at_most=30)
    resolve_by_hand(two_drifted)
    two_drifted.serve("before")
    two_drifted.until(stable, at_most=120)
    two_drifted.serve("slow")
    two_drifted.until(drifting, at_most=12)
    assert two_drifted.incidents()[-1] == ("performance", "open")
    assert {state for _, state in two_drifted.incidents()[:-1]} == {"resolved"}


def test_performance_that_has_not_recovered_yet_when_behaviour_has_is_no_page_of_its_own(drifted):
    drifted.until(lambda v: v.kind(Kind.PERFORMANCE).is_drifted, at_most=30)
    drifted.serve("before")
    drifted.until(lambda v: not v.kind(Kind.BEHAVIOUR).is_drifted, at_most=60)
    drifted.until(stable, at_most=90)
    assert drifted.incidents() == [("behaviour", "resolved")]


def test_performance_that_outlasts_the_behaviour_it_joined_becomes_an_incident_of_its_own(armed):
    armed.edit(tripwires={})
    armed.change("other")
    armed.serve("slow")
    armed.until(lambda v: not v.kind(Kind.BEHAVIOUR).is_drifted, at_most=40)
    assert armed.incidents() == [("behaviour", "resolved")]
    assert armed.run(4).kind(Kind.PERFORMANCE).is_drifted
    assert armed.incidents() == [("behaviour", "resolved"), ("performance", "open")]


def test_the_next_drift_after_a_recovery_pages_again(drifted):
    resolve_by_hand(drifted)
    drifted.serve("before")
    drifted.until(stable, at_most=90)
    assert pages(drifted) == 1
    drifted.serve("after")
    drifted.until(drifting, at_most=12)
    assert drifted.incidents() == [("behaviour", "resolved"), ("behaviour", "open")]


def test_drift_that_ended_by_itself_opens_the_same_incident_when_it_returns_soon(drifted):
    first = drifted.open_incident()
    drifted.serve("before")
    drifted.until(stable, at_most=90)
    drifted.serve("after")
    drifted.until(drifting, at_most=12)
    again = drifted.open_incident()
    assert (again.id, again.n_reopened, again.state) == (first.id, 1, "open")
    assert again.onset_at > first.onset_at
    assert again.resolved_at is None
    assert events(drifted) == [Event.OPENED, Event.RESOLVED, Event.REOPENED]
    assert len(drifted.told()) == 3


def test_drift_that_returns_late_is_an_incident_of_its_own(drifted):
    drifted.serve("before")
    drifted.until(stable, at_most=90)
    drifted.run(25)
    drifted.serve("after")
    drifted.until(drifting, at_most=12)
    assert drifted.incidents() == [("behaviour", "resolved"), ("behaviour", "open")]


def test_drift_that_keeps_coming_back_must_stay_away_twice_as_long(drifted):
    drifted.serve("before")
    drifted.until(stable, at_most=90)
    drifted.serve("after")
    drifted.until(drifting, at_most=12)
    drifted.serve("before")
    drifted.until(stable, at_most=90)
    assert drifted.open_incident().n_reopened == 1, "one quiet run says little of what has come back before"
    drifted.run()
    assert drifted.incidents() == [("behaviour", "resolved")]


def test_what_a_person_closes_after_it_came_back_does_not_page_again_while_it_stands(drifted):
    drifted.serve("before")
    drifted.until(stable, at_most=90)
    drifted.serve("after")
    drifted.until(drifting, at_most=12)
    resolve_by_hand(drifted)
    assert drifted.run(6).state == "drifted"
    assert drifted.incidents() == [("behaviour", "resolved")]


def test_many_outages_do_not_make_a_closed_drift_page_again(drifted):
    resolve_by_hand(drifted)
    drifted.pipeline._failure_threshold = 1
    for _ in range(22):
        drifted.endpoint.is_down = True
        drifted.run()
        drifted.endpoint.is_down = False
        drifted.run()
    assert drifted.incidents() == [("behaviour", "resolved"), ("availability", "open")]


# ---------------------------------------------------------------- outages


def test_an_outage_is_availability_and_leaves_the_evidence_of_drift_alone(armed):
    before = armed.run().kind(Kind.BEHAVIOUR).evidence
    armed.endpoint.is_down = True
    verdicts = [armed.run() for _ in range(4)]
    assert [v.state for v in verdicts] == 4 * ["inconclusive"]
    assert {v.kind(Kind.BEHAVIOUR).evidence for v in verdicts} == {before}
    assert armed.incidents() == [("availability", "open")]
    evidence = IncidentEvidence.from_json(armed.open_incident().evidence)
    assert evidence.outcomes == {"unavailable": 3 * 4}
    assert evidence.last_error == "it is down"
    assert evidence.failing_since == verdicts[0].at


def test_two_failed_runs_are_no_outage_and_a_good_one_between_begins_the_count_anew(armed):
    for down in (True, True, False, True, True):
        armed.endpoint.is_down = down
        armed.run()
    assert armed.incidents() == []


def test_an_outage_neither_opens_nor_ends_an_incident_of_behaviour(drifted):
    drifted.endpoint.is_down = True
    drifted.run(4)
    assert drifted.incidents() == [("behaviour", "open"), ("availability", "open")]
    drifted.endpoint.is_down = False
    drifted.run()
    assert drifted.incidents()[-1] == ("availability", "open"), "a single measured run is no recovery"
    drifted.run()
    assert drifted.incidents() == [("behaviour", "open"), ("availability", "resolved")]


def test_an_outage_that_comes_and_goes_is_one_incident_that_is_told_a_few_times(armed):
    armed.pipeline._failure_threshold = 1
    for _ in range(12):
        armed.endpoint.is_down = True
        armed.run(2)
        armed.endpoint.is_down = False
        armed.run(3)
    assert armed.incidents() == [("availability", "open")]
    assert events(armed) == [Event.OPENED, Event.RESOLVED, Event.REOPENED], "then three good runs are too few"
    armed.run(1)
    assert armed.incidents() == [("availability", "resolved")], "four measured runs in a row"


def test_the_same_outage_a_day_later_is_another_incident(armed):
    for _ in range(2):
        armed.endpoint.is_down = True
        armed.run(3)
        armed.endpoint.is_down = False
        armed.run(30)
    assert armed.incidents() == [("availability", "resolved"), ("availability", "resolved")]


def test_a_model_that_is_gone_is_graver_than_an_outage(armed):
    armed.endpoint.change_reply = lambda reply: replace(
        reply, outcome=Outcome.MODEL_GONE, text="", error="the model does not exist"
    )
    armed.run(3)
    assert armed.open_incident().severity is Severity.CRITICAL


def test_an_outage_that_turns_out_to_last_is_told_once_more(armed):
    armed.endpoint.is_down = True
    armed.run(3)
    assert armed.open_incident().severity is Severity.WARNING
    armed.endpoint.is_down = False
    refuse(armed, Outcome.MODEL_GONE)
    armed.run(5)
    incident = armed.open_incident()
    assert incident.severity is Severity.CRITICAL
    assert incident.evidence["headline"].endswith(": the model is gone")
    assert events(armed) == [Event.OPENED, Event.ESCALATED]


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.AUTH])
def test_an_outage_that_a_person_has_closed_does_not_page_again_until_it_has_ended(armed, outcome):
    refuse(armed, outcome)
    armed.run(4)
    resolve_by_hand(armed)
    armed.run(6)
    assert pages(armed) == 1
    refuse(armed, None)
    armed.run(1)
    refuse(armed, outcome)
    armed.run(3)
    assert pages(armed) == 2


# ---------------------------------------------------------------- our own key and account


@pytest.mark.parametrize(
    ("outcome", "trouble", "why"),
    [
        (Outcome.AUTH, "key", "the key is not accepted"),
        (Outcome.QUOTA, "quota", "the account's quota is used up"),
    ],
)
def test_a_key_that_is_refused_is_the_watchs_own_trouble_and_no_outage(armed, outcome, trouble, why):
    since = armed.now
    refuse(armed, outcome)
    armed.run(4)
    [incident] = armed.store.incidents()
    assert (incident.kind, incident.trouble, incident.onset_at) == (Kind.WATCH_ITSELF, trouble, since)
    assert incident.cause == f"watch:{trouble} simulated"
    assert incident.baseline_id is None
    assert incident.evidence["headline"] == f"shop-bot is not watched since Mon 2 Mar 21:00 UTC: {why}"
    refuse(armed, None)
    armed.run(2)
    assert armed.incidents() == [("watch-itself", "resolved")]
    assert armed.told()[-1] == "the target can be measured again"


def test_a_key_that_expires_is_one_page_with_the_first_run_where_refusals_page(armed):
    armed.target = replace(armed.target, tripwires={Wire.ERRORS: Level.PAGE})
    refuse(armed, Outcome.AUTH)
    armed.run(5)
    assert armed.incidents() == [("watch-itself", "open")]
    assert armed.open_incident().opened_at == armed.now - timedelta(hours=5)
    refuse(armed, None)
    armed.run(3)
    assert armed.incidents() == [("watch-itself", "resolved")]


def test_a_trouble_of_our_own_goes_on_over_a_change_of_baseline(armed):
    refuse(armed, Outcome.AUTH)
    armed.run(3)
    armed.edit(model="m-2")
    armed.run(3)
    assert armed.incidents() == [("watch-itself", "open")]


# ---------------------------------------------------------------- who is told


def test_routes_say_who_is_told_and_what_they_ask_stays_with_the_incident(armed):
    armed.target = replace(armed.target, owner="shop", feature="checkout")
    armed.pipeline._policy = Policy(
        routes=(Route(match={"kind": ["availability"], "feature": ["checkout"]}, receivers=("ops",)),),
        severities={Kind.AVAILABILITY: Severity.INFO},
    )
    armed.endpoint.is_down = True
    armed.run(3)
    incident = armed.open_incident()
    assert incident.severity is Severity.INFO
    assert [n.receiver for n in armed.store.notifications()] == ["ops"]
    facts = Facts.of_incident(incident)
    assert (facts.owner, facts.feature) == ("shop", "checkout")


# ---------------------------------------------------------------- another baseline


def test_an_incident_of_a_target_that_was_edited_is_closed_with_the_reason(drifted):
    drifted.edit(model="m-2")
    drifted.run()
    assert drifted.incidents() == [("behaviour", "resolved")]
    last = drifted.store.transitions(1)[-1]
    assert last.author == REPLACED
    assert drifted.told()[-1] == "baseline 1, which it was found against, is no longer in use"


def test_drift_that_still_stands_when_an_edit_is_taken_back_pages_again(drifted):
    drifted.edit(model="m-2")
    drifted.run(2)
    drifted.edit(model="m")
    drifted.run()
    assert drifted.incidents() == [("behaviour", "resolved"), ("behaviour", "open")]


def test_an_outage_goes_on_over_a_change_of_baseline_as_one_incident(armed):
    armed.endpoint.is_down = True
    armed.run(3)
    armed.edit(model="m-2")
    armed.run(3)
    assert armed.incidents() == [("availability", "open")]


# ---------------------------------------------------------------- a clock that was wrong


def test_a_clock_that_was_ahead_while_calibrating_leaves_the_watch_its_measure(watch):
    watch.hour = 24 * 365
    watch.run(21)
    watch.hour = 0
    verdict = watch.run()
    assert (verdict.state, verdict.n_calibration, verdict.n_monitored) == ("stable", 20, 1)


def test_incidents_follow_the_runs_made_since_a_clock_was_set_right(armed):
    hour = armed.hour
    armed.hour += 24 * 365
    armed.run(3)
    armed.hour = hour
    armed.change("after")
    assert armed.incidents() == [("behaviour", "open")]
    armed.serve("before")
    armed.until(stable, at_most=90)
    assert armed.incidents() == [("behaviour", "resolved")]


def test_a_verdict_about_an_earlier_slot_looks_at_the_runs_up_to_it_only(armed):
    slot = armed.now
    armed.hour += 1
    armed.run(3)
    assert armed.run_at(slot).n_monitored == 1


# ---------------------------------------------------------------- what a page says


def test_a_page_shows_a_typical_reply_before_and_since_that_can_be_followed_back(drifted):
    evidence = IncidentEvidence.from_json(drifted.open_incident().evidence)
    pair = evidence.pair
    ids = {c.id: c for those in drifted.store.completions([r.id for r in drifted.store.runs()]).values() for c in those}
    assert pair.before == ids[pair.before_completion_id].text
    assert pair.after == ids[pair.after_completion_id].text
    assert pair.before != pair.after
    assert pair.prompt == f"about {pair.canary_id}"
    assert evidence.changes
    assert evidence.baseline.id == 1


def test_replies_that_are_the_same_as_ever_are_not_shown_as_a_change(watch):
    watch.serve("terse")
    watch.endpoint.rejected = {"shop/triage"}
    watch.run(23)
    watch.change("terse and slow")
    evidence = IncidentEvidence.from_json(watch.open_incident().evidence)
    assert evidence.pair is None
    assert "slowly" in evidence.headline


def test_a_value_that_is_merely_missing_among_several_is_no_change(watch):
    watch.endpoint.change_reply = lambda reply: replace(reply, fingerprint=f"fp_{reply.repeat % 2}")
    watch.run(21)
    watch.change("after")
    evidence = IncidentEvidence.from_json(watch.open_incident().evidence)
    assert {c.fingerprint for c in watch.store.anchors(1)["shop/capital"]} == {"fp_0", "fp_1"}
    assert evidence.fingerprint is None, "a run asks once, so that one of two fingerprints is never seen"
    assert evidence.served_model is None


def test_an_endpoint_that_stops_telling_its_model_is_said_to(armed):
    armed.endpoint.change_reply = lambda reply: replace(reply, served_model=None)
    armed.change("after")
    evidence = IncidentEvidence.from_json(armed.open_incident().evidence)
    assert evidence.served_model == Change(before="m-1", after=None)


def test_a_page_reads_the_first_runs_since_the_onset_and_no_more_than_it_needs(drifted, monkeypatch):
    monkeypatch.setattr(briefing, "MAX_RUNS_COMPARED", 5)
    onset = drifted.open_incident().onset_at
    drifted.run(5)
    kind = KindEvidence(kind=Kind.BEHAVIOUR, evidence=1e3, threshold=500.0, is_drifted=True, onset_at=onset)
    found = completions_since(drifted.store, drifted.baseline(), kind)
    assert len(found) == 4 * 5
    assert min(c.at for c in found) == onset
    without = KindEvidence(kind=Kind.BEHAVIOUR, evidence=1.0, threshold=500.0, is_drifted=False)
    assert completions_since(drifted.store, drifted.baseline(), without) == []


def test_a_page_is_written_without_the_replies_when_they_are_gone(armed):
    armed.run(5)
    armed.serve("after")
    armed.run(2)
    armed.store.prune(before=armed.now)  # a retention as short as no config allows
    armed.until(drifting, at_most=12)
    evidence = IncidentEvidence.from_json(armed.open_incident().evidence)
    assert evidence.headline
    assert evidence.served_model is None


@pytest.mark.parametrize(
    ("text", "calls", "expected"),
    [
        ("Paris.", (), "Paris."),
        ("", (ToolCall(name="find", arguments='{"a": 1}'),), 'find({"a": 1})'),
        ("I look.", (ToolCall(name="find", arguments="{"),), "I look.\nfind({)"),
    ],
)
def test_a_reply_is_shown_with_its_tool_calls(at, text, calls, expected):
    completion = Completion(
        canary_id="c", canary_hash="h", repeat=0, outcome=Outcome.OK, at=at, latency_s=1.0, text=text, tool_calls=calls
    )
    assert shown(completion) == expected


def test_nothing_is_deleted_that_a_report_or_an_acceptance_still_needs(drifted):
    onset = drifted.open_incident().onset_at
    drifted.run(5)
    drifted.store.prune(before=drifted.now)
    stored = drifted.store.completions([run.id for run in drifted.store.runs(since=onset)])
    assert all(len(those) == 4 for those in stored.values())
    assert {len(those) for those in drifted.store.anchors(1).values()} == {4}
    old = drifted.store.completions([run.id for run in drifted.store.runs(purposes=(Purpose.WATCH,), until=onset)][:-1])
    assert all(those == [] for those in old.values()), "calm runs before the change are forgotten"
    assert drifted.accept().n_anchor_runs == 4
    assert drifted.run().state == "calibrating"
