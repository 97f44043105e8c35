from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Barrier

import pytest
import sqlalchemy as sa

from driftwatch.alert import grouping
from driftwatch.domain import Event, Incident, IncidentState, Kind, NotificationState, RunState, Severity, State
from driftwatch.errors import StoreError
from driftwatch.store import Store, judgements

OPEN, ACKNOWLEDGED, RESOLVED = IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED


@pytest.fixture
def run(world):
    return world.measured(world.baseline())[0]


def open_incident(world, run, **changes):
    (incident,) = world.store.commit_judgement(None, [world.opening(run, **changes)], at=run.scheduled_at)
    return incident


def edge(world, incident, before, after, hours=1, **changes):
    values = {"incident_id": incident.id, "before": before, "after": after, "at": world.at(hours), "author": "ana"}
    (run,) = [r for r in world.store.runs() if r.id == incident.run_id]
    return world.opening(run, kind=incident.kind, **{**values, **changes})


def test_a_judgement_is_written_whole(world, run):
    verdict = world.verdict(run, State.DRIFTED)
    (incident,) = world.store.commit_judgement(verdict, [world.opening(run)], at=world.at(1))
    assert incident == Incident(
        id=1,
        target="support",
        kind=Kind.BEHAVIOUR,
        state=IncidentState.OPEN,
        opened_at=run.scheduled_at,
        onset_at=world.at(-2),
        baseline_id=run.baseline_id,
        run_id=run.id,
        evidence={"channels": ["wording"]},
    )
    assert world.store.incident(incident.id) == incident
    assert world.store.runs()[0].state is RunState.JUDGED
    assert world.store.latest_verdict("support") == verdict
    (transition,) = world.store.transitions(incident.id)
    assert (transition.before, transition.after, transition.author) == (None, IncidentState.OPEN, "driftwatch")
    notifications = world.store.notifications(incident.id)
    assert [n.dedup_key for n in notifications] == ["driftwatch/1/1/oncall", "driftwatch/1/1/team"]
    assert {(n.state, n.attempts, n.next_attempt_at) for n in notifications} == {
        (NotificationState.PENDING, 0, world.at(1))
    }


def test_judging_a_run_again_changes_nothing(world, run):
    verdict = world.verdict(run, State.DRIFTED)
    world.store.commit_judgement(verdict, [world.opening(run)], at=world.at(1))
    again = replace(verdict, reason="otherwise")
    assert world.store.commit_judgement(again, [world.opening(run, kind=Kind.PERFORMANCE)], at=world.at(2)) == []
    assert world.store.verdicts() == [verdict]
    assert len(world.store.incidents()) == 1
    assert len(world.store.notifications()) == 2


def test_a_second_cause_of_the_same_kind_opens_no_second_incident(world, run):
    incident = open_incident(world, run)
    assert world.store.commit_judgement(None, [world.opening(run)], at=world.at(1)) == []
    acknowledged = edge(world, incident, IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
    world.store.commit_judgement(None, [acknowledged], at=world.at(1))
    assert world.store.commit_judgement(None, [world.opening(run)], at=world.at(1)) == []
    assert len(world.store.transitions(incident.id)) == 2


def test_other_kinds_and_targets_open_their_own_and_a_resolved_one_makes_room(world, run):
    incident = open_incident(world, run)
    assert open_incident(world, run, kind=Kind.PERFORMANCE).id != incident.id
    abroad, _ = world.measured(world.baseline("other"))
    assert open_incident(world, abroad).target == "other"
    resolved = edge(world, incident, IncidentState.OPEN, IncidentState.RESOLVED)
    world.store.commit_judgement(None, [resolved], at=world.at(1))
    again = open_incident(world, run)
    assert [i.id for i in world.store.incidents(target="support")] == [again.id, 2, incident.id]
    assert [i.id for i in world.store.incidents(target="support", open_only=True)] == [again.id, 2]
    assert [i.id for i in world.store.incidents(limit=1)] == [again.id]


def test_an_incident_is_acknowledged_and_resolved(world, run):
    incident = open_incident(world, run)
    steps = [
        edge(world, incident, IncidentState.OPEN, IncidentState.ACKNOWLEDGED, 1, receivers=()),
        edge(
            world, incident, IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED, 2, receivers=("team",), reason="fixed"
        ),
    ]
    (acknowledged,) = world.store.commit_judgement(None, steps[:1], at=world.at(1))
    (resolved,) = world.store.commit_judgement(None, steps[1:], at=world.at(2))
    assert acknowledged.acknowledged_at == world.at(1)
    assert acknowledged.is_open
    assert resolved.resolved_at == world.at(2)
    assert resolved.acknowledged_at == world.at(1)
    assert not resolved.is_open
    assert resolved.evidence == incident.evidence
    assert [t.reason for t in world.store.transitions(incident.id)][-1] == "fixed"
    told = [n.receiver for n in world.store.notifications()]
    assert told == ["oncall", "team", "oncall", "team", "team", "oncall"], "who was told before is told how it goes on"


def test_an_edge_from_a_state_the_incident_has_left_is_skipped(world, run):
    incident = open_incident(world, run)
    step = edge(world, incident, IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
    assert len(world.store.commit_judgement(None, [step], at=world.at(1))) == 1
    assert world.store.commit_judgement(None, [step], at=world.at(1)) == []
    assert world.store.commit_judgement(None, [replace(step, before=None)], at=world.at(1)) == []
    assert len(world.store.transitions(incident.id)) == 2


def test_a_receiver_named_twice_is_told_once(world, run):
    incident = open_incident(world, run, receivers=("oncall", "oncall"))
    assert [n.receiver for n in world.store.notifications(incident.id)] == ["oncall"]


def test_nothing_of_a_judgement_is_kept_when_a_step_of_it_is_wrong(world, run):
    wrong = replace(world.opening(run), incident_id=99, before=IncidentState.OPEN)
    with pytest.raises(StoreError, match=r"^there is no incident 99$"):
        world.store.commit_judgement(world.verdict(run), [world.opening(run), wrong], at=world.at(1))
    assert world.store.latest_verdict("support") is None
    assert world.store.incidents() == []
    assert world.store.notifications() == []
    assert world.store.runs()[0].state is RunState.MEASURED


def test_evidence_precedes_judgement(world):
    claimed = world.claim(world.baseline())
    with pytest.raises(StoreError, match="is claimed, so it has no evidence to be judged by"):
        world.store.commit_judgement(world.verdict(claimed), [], at=world.at())
    assert world.store.verdicts() == []


def test_verdicts_are_filtered_ordered_and_limited(world):
    baseline, other = world.baseline(), world.baseline("other")
    for hour in (2, 1, 3):
        run, _ = world.measured(baseline, hour=hour)
        world.store.commit_judgement(world.verdict(run), [], at=world.at(hour))
    abroad, _ = world.measured(other, hour=9)
    world.store.commit_judgement(world.verdict(abroad), [], at=world.at(9))

    def hours(*args, **conditions):
        return [(v.at - world.at()).total_seconds() / 3600 for v in world.store.verdicts(*args, **conditions)]

    assert hours() == [9, 3, 2, 1]
    assert hours("support") == [3, 2, 1]
    assert hours("support", newest_first=False) == [1, 2, 3]
    assert hours("support", since=world.at(2)) == [3, 2]
    assert hours("support", limit=1) == [3]
    assert world.store.latest_verdict("support").at == world.at(3)
    assert world.store.latest_verdict("nobody") is None


def test_an_incidents_evidence_holds_no_nan(world, run):
    incident = open_incident(
        world, run, evidence={"mean": math.nan, "high": math.inf, "pair": (1, 0.5), "text": "\ud800"}
    )
    assert incident.evidence == {"mean": None, "high": None, "pair": [1, 0.5], "text": "\ufffd"}
    assert world.store.incident(incident.id) == incident
    assert world.store.incident(99) is None


# ---------------------------------------------------------------- coming back, and groups


def moved(world, incident, before, after, hours, event, **changes):
    step = edge(world, incident, before, after, hours, event=event, **changes)
    return world.store.commit_judgement(None, [step], at=world.at(hours))


def test_an_incident_that_comes_back_is_open_again_with_all_that_is_new(world, run):
    incident = open_incident(world, run, severity=Severity.WARNING)
    moved(world, incident, OPEN, ACKNOWLEDGED, 1, Event.ACKNOWLEDGED)
    moved(world, incident, ACKNOWLEDGED, RESOLVED, 2, Event.RESOLVED)
    (back,) = moved(
        world,
        incident,
        RESOLVED,
        OPEN,
        3,
        Event.REOPENED,
        onset_at=world.at(2.5),
        evidence={"headline": "again"},
        severity=Severity.CRITICAL,
        cause="served openai api.openai.com",
    )
    assert (back.id, back.state, back.n_reopened) == (incident.id, OPEN, 1)
    assert (back.onset_at, back.opened_at) == (world.at(2.5), incident.opened_at)
    assert (back.acknowledged_at, back.resolved_at) == (None, None)
    assert (back.evidence, back.severity) == ({"headline": "again"}, Severity.CRITICAL)
    assert back.cause == "served openai api.openai.com"


def test_nothing_comes_back_beside_a_new_one_of_its_kind(world, run):
    incident = open_incident(world, run)
    moved(world, incident, OPEN, RESOLVED, 1, Event.RESOLVED)
    open_incident(world, run)
    assert moved(world, incident, RESOLVED, OPEN, 2, Event.REOPENED) == []
    assert world.store.incident(incident.id).state is RESOLVED


def test_an_escalation_may_make_it_graver_and_other_edges_never_do(world, run):
    incident = open_incident(world, run, severity=Severity.WARNING)
    for event, expected in ((Event.COMMENTED, Severity.WARNING), (Event.ESCALATED, Severity.CRITICAL)):
        (after,) = moved(world, incident, OPEN, OPEN, 1, event, severity=Severity.CRITICAL, evidence={})
        assert (after.severity, after.state) == (expected, OPEN)
        assert after.evidence == incident.evidence
    assert [edge.event for edge in world.store.transitions(incident.id)] == [
        Event.OPENED,
        Event.COMMENTED,
        Event.ESCALATED,
    ]


def test_an_incident_that_opens_is_shown_the_open_groups_of_its_cause_with_all_their_members(world, run):
    first = open_incident(world, run, cause="a")
    second = open_incident(world, run, kind=Kind.PERFORMANCE, cause="a", part_of=first.id)
    open_incident(world, run, kind=Kind.TRIPWIRE, cause="b")
    over = open_incident(world, run, kind=Kind.AVAILABILITY, cause="a")
    moved(world, over, OPEN, RESOLVED, 1, Event.RESOLVED)
    moved(world, first, OPEN, RESOLVED, 1, Event.RESOLVED)
    shown = []

    def join(step, standing):
        shown.append([(i.id, i.is_open) for i in standing])
        return replace(step, part_of=first.id, event=Event.JOINED)

    abroad, _ = world.measured(world.baseline("other"))
    (joined,) = world.store.commit_judgement(None, [world.opening(abroad, cause="a")], at=world.at(2), join=join)
    assert shown == [[(first.id, False), (second.id, True)]]
    assert (joined.part_of, joined.lead_id) == (first.id, first.id)
    assert world.store.transitions(joined.id)[0].event is Event.JOINED


def test_edges_of_an_incident_that_is_open_are_not_asked_to_join(world, run):
    incident = open_incident(world, run, cause="a")

    def join(step, standing):
        pytest.fail("it has its group")

    steps = [edge(world, incident, OPEN, OPEN, event=Event.REMINDED), edge(world, incident, OPEN, RESOLVED)]
    assert len(world.store.commit_judgement(None, steps, at=world.at(1), join=join)) == 2


def test_two_of_one_judgement_see_each_other(world, run):
    steps = [world.opening(run, kind=kind, cause="a") for kind in (Kind.TRIPWIRE, Kind.BEHAVIOUR)]

    def join(step, standing):
        return replace(step, part_of=standing[0].id) if standing else step

    first, second = world.store.commit_judgement(None, steps, at=world.at(1), join=join)
    assert (first.part_of, second.part_of) == (None, first.id)


def test_whoever_was_told_of_a_group_is_told_of_every_later_edge_of_it_once(world, run):
    first = open_incident(world, run, receivers=("oncall",))
    abroad, _ = world.measured(world.baseline("other"))
    joined = world.opening(abroad, part_of=first.id, receivers=("team", "oncall"))
    world.store.commit_judgement(None, [joined], at=world.at(1))
    moved(world, first, OPEN, RESOLVED, 2, Event.RESOLVED, receivers=())
    told = [[n.receiver for n in world.store.notifications(i.id)] for i in world.store.group(first.id)]
    assert told == [["oncall", "oncall", "team"], ["team", "oncall"]]


def test_what_many_steps_of_one_commit_ask_is_read_once(world, run):
    """Such a commit holds the write lock: 1,500 targets that join one group must not read it 1,500 times."""
    lead = open_incident(world, run, cause="a", receivers=("oncall",))
    asked, told, groups = [], judgements._told_before, judgements._open_groups

    def counting(what, original):
        return lambda session, key: asked.append((what, key)) or original(session, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judgements, "_told_before", counting("told", told))
        patch.setattr(judgements, "_open_groups", counting("groups", groups))
        steps = [world.opening(run, target=f"t{n}", cause="a", receivers=(f"team-{n % 3}",)) for n in range(60)]
        join = partial(grouping.join, within=timedelta(hours=6))
        joined = world.store.commit_judgement(None, steps, at=world.at(1), join=join)
        assert sorted(asked) == [("groups", "a"), ("told", lead.id)]
        asked.clear()
        ends = [edge(world, incident, OPEN, RESOLVED, 2, receivers=()) for incident in joined]
        world.store.commit_judgement(None, ends, at=world.at(2))
        assert asked == [("told", lead.id)]
    assert {incident.part_of for incident in joined} == {lead.id}
    first, fourth = ([n.receiver for n in world.store.notifications(joined[n].id)] for n in (0, 3))
    assert first == ["team-0", "oncall", "oncall", "team-0", "team-1", "team-2"]
    assert fourth == ["team-0", "oncall", "team-1", "team-2"] * 1 + ["oncall", "team-0", "team-1", "team-2"]


def test_a_group_that_opens_again_is_seen_by_the_next_step_of_the_same_commit(world, run):
    lead = open_incident(world, run, cause="a")
    moved(world, lead, OPEN, RESOLVED, 1, Event.RESOLVED)
    steps = [
        world.opening(run, kind=Kind.PERFORMANCE, cause="b"),
        edge(world, lead, RESOLVED, OPEN, 2, event=Event.REOPENED, cause="a"),
        world.opening(run, kind=Kind.TRIPWIRE, cause="a"),
    ]
    shown = []

    def join(step, standing):
        shown.append([incident.id for incident in standing])
        return step

    world.store.commit_judgement(None, steps, at=world.at(2), join=join)
    assert shown == [[], [], [lead.id]]


def test_the_latest_verdicts_of_many_targets_are_read_at_once(world):
    for name, hours in (("a", (2, 1, 3)), ("b", (5,)), ("c", (9,))):
        baseline = world.baseline(name)
        for hour in hours:
            made, _ = world.measured(baseline, hour=hour)
            world.store.commit_judgement(world.verdict(made), [], at=world.at(hour))
    found = world.store.latest_verdicts(["b", "a", "nobody"])
    assert found == {name: world.store.latest_verdict(name) for name in ("a", "b")}
    assert found["a"].at == world.at(3)
    assert world.store.latest_verdicts([]) == {}


def test_only_what_has_no_cause_is_given_one(world, run):
    old, new = open_incident(world, run), open_incident(world, run, kind=Kind.PERFORMANCE, cause="mine")
    world.store.name_causes({old.id: "served", new.id: "other"})
    assert [world.store.incident(i.id).cause for i in (old, new)] == ["served", "mine"]


def test_targets_that_are_judged_at_the_same_moment_form_one_group(world):
    """Both have read that nothing is open before either writes."""
    targets = [f"target-{n}" for n in range(6)]
    runs = [world.measured(world.baseline(target))[0] for target in targets]
    together = Barrier(len(runs))

    def judge(run):
        with Store.open(world.path) as store:
            step = world.opening(run, cause="served openai", onset_at=world.at(), severity=Severity.CRITICAL)
            together.wait(timeout=30)
            join = partial(grouping.join, within=timedelta(hours=6))
            return store.commit_judgement(world.verdict(run), [step], at=world.at(1), join=join)

    with ThreadPoolExecutor(len(runs)) as pool:
        found = [incident for (incident,) in pool.map(judge, runs)]
    assert len({incident.lead_id for incident in found}) == 1
    assert sum(incident.part_of is None for incident in found) == 1
    events = [world.store.transitions(i.id)[0].event for i in sorted(found, key=lambda i: i.id)]
    assert events == [Event.OPENED, *[Event.JOINED] * 5]


def test_the_file_is_asked_no_more_often_for_sixty_that_open_than_for_twenty(world, run):
    """Each question is asked under the write lock, while every other process waits."""
    asked = []
    sa.event.listen(
        world.store._database._readers, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement)
    )
    counted = []
    for first, n in ((0, 20), (20, 60)):
        asked.clear()
        steps = [world.opening(run, target=f"t{first + k}") for k in range(n)]
        opened = world.store.commit_judgement(None, steps, at=world.at(1))
        counted.append(sum(statement.startswith("SELECT") for statement in asked))
        ends = [edge(world, incident, OPEN, RESOLVED, 2) for incident in opened]
        asked.clear()
        world.store.commit_judgement(None, ends, at=world.at(2))
        # Who was told of each group is another question for each group.
        counted.append(sum(statement.startswith("SELECT") for statement in asked) - n)
    assert counted[:2] == counted[2:]


def test_what_ends_makes_room_within_one_commit_whatever_its_number(world, run):
    old = open_incident(world, run)
    moved(world, old, OPEN, RESOLVED, 1, Event.RESOLVED)
    young = open_incident(world, run)
    steps = [
        edge(world, young, OPEN, RESOLVED, 2),
        edge(world, old, RESOLVED, OPEN, 2, event=Event.REOPENED),
        edge(world, old, OPEN, RESOLVED, 3),
        world.opening(run),
        world.opening(run),
    ]
    found = world.store.commit_judgement(None, steps, at=world.at(3))
    assert [(i.id, i.state) for i in found] == [(2, RESOLVED), (1, RESOLVED), (1, RESOLVED), (3, OPEN)]
    assert [t.event for t in world.store.transitions(old.id)] == ["opened", "resolved", "reopened", "resolved"]


def test_a_target_whose_name_the_file_cannot_hold_opens_one_incident_of_a_kind(world, run):
    steps = [world.opening(run, target="caf\ud83d") for _ in range(2)]
    assert len(world.store.commit_judgement(None, steps, at=world.at(1))) == 1
    assert world.store.commit_judgement(None, steps[:1], at=world.at(1)) == []


def test_each_edge_of_a_large_commit_is_told_under_its_own_number(world, run):
    steps = [world.opening(run, target=f"t{n}", receivers=(f"team-{n}",)) for n in range(40)]
    for incident in world.store.commit_judgement(None, steps, at=world.at(1)):
        [transition], [told] = world.store.transitions(incident.id), world.store.notifications(incident.id)
        assert (told.transition_id, told.receiver) == (transition.id, incident.target.replace("t", "team-"))
        assert told.dedup_key == f"driftwatch/{incident.id}/{transition.id}/{told.receiver}"
