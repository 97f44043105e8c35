"""Tripwires through the whole pipeline: who is told, how often, and when it is over."""

from __future__ import annotations

from dataclasses import replace

from driftwatch.alert import incidents
from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.domain import Event, Level, Outcome, State, Wire


def tell(watch, **changes):
    """From the next run on the endpoint tells something else; the replies stay as they are."""
    watch.endpoint.change_reply = lambda reply: replace(reply, **changes)


def pages(watch):
    return [state for kind, state in watch.incidents() if kind == "tripwire"]


def test_another_model_name_pages_with_the_first_run_and_says_what_was_and_is(armed):
    armed.run(2)
    tell(armed, served_model="m-2")
    at = armed.now
    verdict = armed.run()
    assert verdict.state is State.STABLE, "metadata is no behaviour"
    assert armed.incidents() == [("tripwire", "open")]
    incident = armed.open_incident()
    evidence = IncidentEvidence.from_json(incident.evidence)
    assert evidence.headline == "shop-bot names another model: m-1 → m-2, since Mon 2 Mar 23:00 UTC"
    assert evidence.changes[0] == (
        "The endpoint names another model: m-1 → m-2, since Mon 2 Mar 23:00 UTC, on all canaries."
    )
    assert incident.onset_at == at
    assert armed.told() == [evidence.headline]
    assert "; the endpoint names another model: m-1 → m-2 since" in verdict.reason


def test_it_is_told_once_and_its_end_once(armed, logs):
    tell(armed, served_model="m-2")
    armed.run(4)
    tell(armed)
    armed.run(2)
    assert pages(armed) == ["resolved"]
    assert armed.told()[1:] == ["the endpoint reports again what it reported before"]
    for name in ("m-2", "m-1", "m-2"):
        tell(armed, served_model=name)
        armed.run()
    assert len(pages(armed)) == 1, "going back and forth between known names is no news"
    assert {entry["wire"] for entry in logs if entry["event"] == "tripwire.tripped"} == {"served_model"}


def test_what_is_noticed_stands_in_the_verdict_and_pages_nobody(armed, logs):
    tell(armed, fingerprint="f-1", input_tokens=40)
    verdict = armed.run()
    assert [t.wire for t in verdict.tripwires] == [Wire.INPUT_TOKENS], "a first fingerprint is nothing to compare"
    assert "counts the same requests as another number of tokens: " in verdict.reason
    assert armed.store.latest_verdict("shop-bot").tripwires == verdict.tripwires
    assert armed.incidents() == []
    assert [e["level"] for e in logs if e["event"] == "tripwire.tripped"] == ["notice"]


def test_every_wire_can_page_and_every_wire_can_be_off(armed):
    armed.target = replace(armed.target, tripwires=dict.fromkeys(Wire, Level.PAGE))
    tell(armed, input_tokens=40)
    armed.run()
    assert pages(armed) == ["open"]
    armed.target = replace(armed.target, tripwires=dict.fromkeys(Wire, Level.OFF))
    tell(armed, served_model="m-9")
    assert armed.run().tripwires == ()


def test_a_second_wire_that_trips_while_one_is_open_is_told_in_its_incident(armed):
    armed.target = replace(armed.target, tripwires=dict.fromkeys(Wire, Level.PAGE))
    tell(armed, served_model="m-2")
    armed.run(2)
    tell(armed, served_model="m-2", input_tokens=40)
    armed.run(3)
    incident = armed.open_incident()
    events = [(edge.event, edge.reason) for edge in armed.store.transitions(incident.id)]
    assert [event for event, _ in events] == [Event.OPENED, Event.ESCALATED]
    assert events[1][1].startswith("shop-bot counts the same requests as another number of tokens: ")
    assert events[1][1].endswith("; it names another model: m-1 → m-2, since Mon 2 Mar 21:00 UTC")
    assert incident.evidence["headline"] == events[1][1]
    assert len(armed.told()) == 2
    tell(armed)
    armed.run(1)
    assert pages(armed) == ["resolved"]


def test_a_third_model_name_is_news_in_the_same_incident_and_the_second_again_is_not(armed):
    for name in ("m-2", "m-3", "m-2", "m-3"):
        tell(armed, served_model=name)
        armed.run()
    assert pages(armed) == ["resolved"], "the second is known by then"
    assert [edge.event for edge in armed.store.transitions(1)] == [Event.OPENED, Event.ESCALATED, Event.RESOLVED]
    assert armed.told()[1] == "shop-bot names another model: m-1 → m-3, since Mon 2 Mar 22:00 UTC"


def test_a_restart_remembers_what_stands(armed):
    tell(armed, served_model="m-2")
    [tripped] = armed.run().tripwires
    armed.restart()
    assert armed.run().tripwires == (tripped,)
    assert pages(armed) == ["open"]


def test_what_a_person_closed_does_not_page_again_while_it_stands(armed):
    tell(armed, served_model="m-2")
    armed.run()
    steps = incidents.resolve([armed.open_incident()], author="ana", reason="announced", at=armed.now)
    armed.store.commit_judgement(None, steps, at=armed.now)
    assert armed.run(3).tripwires
    assert pages(armed) == ["resolved"]


def test_accepting_the_change_ends_it_and_makes_the_new_name_known(armed):
    armed.run(2)
    tell(armed, served_model="m-2")
    armed.run(30)
    armed.accept()
    assert pages(armed) == ["resolved"]
    assert armed.run(3).tripwires == ()
    tell(armed)
    assert [t.after for t in armed.run().tripwires] == [("m-1",)], "the old name is news to the new baseline"


def test_an_outage_between_leaves_it_open(armed):
    tell(armed, served_model="m-2")
    armed.run()
    armed.endpoint.is_down = True
    armed.run()
    assert pages(armed) == ["open"]
    armed.endpoint.is_down = False
    armed.run()
    assert pages(armed) == ["open"]


def test_another_name_while_calibrating_pages_and_does_not_become_normal_by_itself(watch):
    watch.run(10)
    tell(watch, served_model="m-2")
    assert watch.run().state is State.CALIBRATING
    assert pages(watch) == ["open"]
    watch.run(12)
    assert watch.baseline().state == "active"
    assert pages(watch) == ["open"], "until it is back or somebody accepts it"
    tell(watch)
    watch.run()
    assert pages(watch) == ["resolved"]


def test_a_name_that_was_tripped_before_an_undo_is_news_against_the_baseline_put_back(armed):
    armed.run(2)
    tell(armed, served_model="m-2")
    armed.run(30)
    armed.accept()
    armed.run()
    armed.undo()
    assert armed.run().tripwires
    assert pages(armed) == ["resolved", "open"]


def test_a_model_that_is_gone_is_named_at_once_and_is_one_page_in_the_end(armed):
    gone = {"outcome": Outcome.MODEL_GONE, "text": "", "error": "the model does not exist"}
    tell(armed, **gone)
    verdict = armed.run()
    assert [t.after for t in verdict.tripwires] == [("model gone",)]
    armed.run(3)
    assert armed.incidents() == [("availability", "open")]


def test_rotating_fingerprints_make_no_noise(watch):
    watch.endpoint.change_reply = lambda reply: replace(reply, fingerprint=f"f-{len(watch.endpoint.asked) % 5}")
    watch.run(21)
    verdicts = [watch.run() for _ in range(6)]
    assert [t for verdict in verdicts for t in verdict.tripwires] == []
    watch.endpoint.change_reply = lambda reply: replace(reply, fingerprint="f-new")
    [tripped] = watch.run().tripwires
    assert (tripped.level, tripped.after) == (Level.NOTICE, ("f-new",))
