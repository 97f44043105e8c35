"""What holds of incidents whatever happens: random histories of verdicts and people through the real store."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from driftwatch.alert import advancing, grouping, incidents
from driftwatch.alert.advancing import Streaks
from driftwatch.alert.outbox import Courier
from driftwatch.alert.policy import Policy
from driftwatch.alert.receiver import EVERY_EVENT, FOR_PEOPLE
from driftwatch.domain import (
    Announcement,
    Event,
    Incident,
    IncidentState,
    Kind,
    KindEvidence,
    Level,
    Notification,
    NotificationState,
    Outcome,
    Purpose,
    State,
    Step,
    Target,
    Transition,
    Tripwire,
    Verdict,
    Wire,
)
from driftwatch.errors import UsageError
from driftwatch.store import Store

START = datetime(2026, 3, 2, tzinfo=UTC)
TARGETS = {
    name: Target(name=name, provider=provider, model="m", canaries=(), receivers=receivers)
    for name, provider, receivers in (
        ("a", "openai", ("oncall",)),
        ("b", "openai_responses", ("oncall", "log")),
        ("c", "openai", ("other",)),
        ("d", "mistral", ("oncall",)),
    )
}
POLICY = Policy(target_receivers={name: target.receivers for name, target in TARGETS.items()})
NUMBERS = {name: n for n, name in enumerate(TARGETS, start=1)}
"""Target → the number of its baseline, and of its run."""
DRIFTS = (Kind.BEHAVIOUR, Kind.PERFORMANCE)
OPEN, ACKNOWLEDGED, RESOLVED = IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED
LEGAL = {
    Event.OPENED: {(None, OPEN)},
    Event.JOINED: {(None, OPEN), (RESOLVED, OPEN)},
    Event.REOPENED: {(RESOLVED, OPEN)},
    Event.ESCALATED: {(None, OPEN), (RESOLVED, OPEN), (OPEN, OPEN), (ACKNOWLEDGED, ACKNOWLEDGED)},
    Event.REMINDED: {(OPEN, OPEN), (ACKNOWLEDGED, ACKNOWLEDGED)},
    Event.COMMENTED: {(OPEN, OPEN), (ACKNOWLEDGED, ACKNOWLEDGED)},
    Event.ACKNOWLEDGED: {(OPEN, ACKNOWLEDGED)},
    Event.RESOLVED: {(OPEN, RESOLVED), (ACKNOWLEDGED, RESOLVED)},
}

observations = st.fixed_dictionaries(
    {
        "drifted": st.sets(st.sampled_from(DRIFTS)),
        "outcome": st.sampled_from([None, None, None, "timeout", "auth", "quota", "model_gone"]),
        "wires": st.sets(st.sampled_from([Wire.SERVED_MODEL, Wire.UPSTREAM, Wire.ERRORS]), max_size=2),
        "onset_before": st.floats(0, 12),
    }
)


@pytest.fixture(scope="module", autouse=True)
def template(tmp_path_factory):
    """A store in which every target has a run; copied for each history."""
    path = tmp_path_factory.mktemp("lifecycle") / "template.db"
    with Store.open(path) as store:
        for target in TARGETS.values():
            baseline = store.start_baseline(
                target=target.name,
                series_key="0123456789abcdef",
                author="ana",
                reason="first",
                at=START,
                anchors_wanted=4,
                calibration_wanted=20,
            )
            run = store.claim_run(
                target=target.name, scheduled_at=START, purpose=Purpose.WATCH, baseline_id=baseline.id, at=START
            )
            store.record_measurement(run.id, completions=(), scores=(), finished_at=START, cost_usd=None)
    History.template = path


class Died(BaseException):
    """The process is gone."""


class Dying:
    """The store of a process that is killed between sending a message and writing that down."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def mark_sent(self, *_: Any, **__: Any) -> None:
        raise Died


class Recorder:
    """A receiver that counts what it is told."""

    def __init__(self, name: str, sent: Counter[tuple[str, str]], events: frozenset[Event]) -> None:
        self.name, self.sent, self.events = name, sent, events

    async def send(self, announcement: Announcement) -> None:
        self.sent[self.name, announcement.dedup_key] += 1

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        for announcement in announcements:
            await self.send(announcement)


class History(RuleBasedStateMachine):
    """Targets that are judged, people who act on what they see, now or a moment too late."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "watch.db"
        shutil.copy(self.template, path)
        self.store = Store.open(path)
        self.at = START
        self.failed: dict[str, int] = defaultdict(int)
        self.troubles: dict[str, list[str]] = defaultdict(list)
        self.measured: dict[str, int] = defaultdict(int)
        self.quiet: dict[str, dict[Kind, int]] = defaultdict(dict)
        self.seen: list[list[Incident]] = []
        self.runner = asyncio.Runner()
        self.sent: Counter[tuple[str, str]] = Counter()
        self.repeatable: Counter[tuple[str, str]] = Counter()
        self.notifiers = {
            name: Recorder(name, self.sent, events)
            for name, events in (
                ("oncall", FOR_PEOPLE),
                ("log", EVERY_EVENT),
                ("other", FOR_PEOPLE),
                ("boss", FOR_PEOPLE),
            )
        }

    # ------------------------------------------------------------ what happens

    @rule(hours=st.sampled_from([0.25, 1, 1, 5, 20, 40]))
    def time_passes(self, hours: float) -> None:
        self.at += timedelta(hours=hours)

    @rule(observed=st.dictionaries(st.sampled_from(sorted(TARGETS)), observations, min_size=1, max_size=4))
    def judge(self, observed: dict[str, dict]) -> None:
        """All that are judged here have read the store before any of them writes."""
        self.at += timedelta(minutes=1)
        steps = [self.steps(TARGETS[name], **found) for name, found in observed.items()]
        for those in steps:
            self.commit(those)

    @rule(data=st.data(), verb=st.sampled_from(["acknowledge", "comment", "resolve", "escalate", "remind"]))
    def act(self, data: st.DataObject, verb: str) -> None:
        group = self.chosen(data)
        if group is None:
            return
        # Or as somebody saw one a while ago.
        group = data.draw(st.sampled_from([group, *self.seen[-4:-1]]))
        self.at += timedelta(minutes=1)
        try:
            steps = self.edges(verb, group)
        except UsageError:
            assert all(member.state is not OPEN for member in group)
            assert verb == "acknowledge" or not any(member.is_open for member in group)
            return
        assert any(member.is_open for member in group)
        self.commit(steps)

    @rule(data=st.data())
    def two_people_do_the_same(self, data: st.DataObject) -> None:
        group = self.chosen(data)
        if group is None or not any(member.state is OPEN for member in group):
            return
        self.at += timedelta(minutes=1)
        first, second = self.edges("acknowledge", group), self.edges("resolve", group)
        assert len(self.commit(first)) == len(first)
        untouched = {m.id for m in group if m.state is ACKNOWLEDGED}
        assert {i.id for i in self.commit(second)} == untouched, "an edge from a state that was left is not written"
        assert self.commit(first) == []

    @rule(dies=st.booleans())
    def tell(self, dies: bool) -> None:
        """Deliver what is due; a process that dies has sent its first messages and not written that down."""
        before = self.sent.copy()
        store = Dying(self.store) if dies else self.store
        courier = Courier(store, self.notifiers, policy=POLICY, lease_s=0.0)
        with suppress(Died):
            self.runner.run(courier.deliver(at=self.at))
        if dies:
            self.repeatable += self.sent - before

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self.at += timedelta(days=3)
            self.tell(dies=False)
            self.all_holds()
            self.what_waits_is_others_who_joined_what_somebody_is_on()
            told = {(n.receiver, lead) for n, lead in self.correspondence() if n.state is NotificationState.SENT}
            # A part that began and ended before anybody could be told makes nobody a party to the rest.
            beginnings = {
                t.id
                for i in self.store.incidents(open_only=True)
                for t in self.store.transitions(i.id)
                if t.event in {Event.OPENED, Event.JOINED, Event.REOPENED}
            }
            known = {(n.receiver, lead) for n, lead in self.correspondence() if n.transition_id in beginnings}
            assert known <= told, "everybody has been told of what stands"
            for lead_id in {incident.lead_id for incident in self.store.incidents(open_only=True)}:
                self.commit(self.edges("resolve", self.store.group(lead_id)))
            self.tell(dies=False)
            assert self.pending() == [], "nothing waits for ever"
        finally:
            self.runner.close()
            self.store.close()
            self.folder.cleanup()

    def pending(self) -> list[Notification]:
        return [n for n in self.store.notifications() if n.state is NotificationState.PENDING]

    def what_waits_is_others_who_joined_what_somebody_is_on(self) -> None:
        """Days after the last news, of what still stands."""
        edges = {t.id: t for i in self.store.incidents() for t in self.store.transitions(i.id)}
        for notification in self.pending():
            edge = edges[notification.transition_id]
            incident = self.store.incident(edge.incident_id)
            assert incident is not None
            group = self.store.group(incident.lead_id)
            assert edge.event is Event.JOINED
            assert incident.is_open
            assert any(member.state is ACKNOWLEDGED for member in group)
            assert notification.receiver not in TARGETS[incident.target].receivers, "one's own is always told"
            sent = [n for n in self.store.group_notifications(incident.id) if n.sent_at is not None]
            assert any(n.receiver == notification.receiver for n in sent), "who waits knows of the group"

    def correspondence(self) -> list[tuple[Notification, int]]:
        """Every notification with the number of its group."""
        lead_of = {t.id: i.lead_id for i in self.store.incidents() for t in self.store.transitions(i.id)}
        return [(n, lead_of[n.transition_id]) for n in self.store.notifications()]

    # ------------------------------------------------------------ how

    def steps(
        self, target: Target, *, drifted: set, outcome: str | None, wires: set, onset_before: float
    ) -> list[Step]:
        name = target.name
        wires = {wire for wire in wires if wire is not Wire.ERRORS or outcome not in {None, "timeout"}}
        self.failed[name] = self.failed[name] + 1 if outcome else 0
        own = advancing.TROUBLES.get(Outcome(outcome), "") if outcome else ""
        self.troubles[name] = [*self.troubles[name][-1:], own] if outcome else []
        self.measured[name] = 0 if outcome else self.measured[name] + 1
        for kind in DRIFTS if outcome is None else ():
            self.quiet[name][kind] = 0 if kind in drifted else self.quiet[name].get(kind, 0) + 1
        state = State.INCONCLUSIVE if outcome else State.DRIFTED if drifted else State.STABLE
        verdict = Verdict(
            run_id=NUMBERS[name],
            target=name,
            baseline_id=NUMBERS[name],
            at=self.at,
            state=state,
            reason="r",
            n_calibration=168,
            n_monitored=1,
            kinds=tuple(
                KindEvidence(
                    kind=kind,
                    evidence=1.0,
                    threshold=1.0,
                    is_drifted=kind in drifted,
                    onset_at=self.at - timedelta(hours=onset_before),
                )
                for kind in DRIFTS
            ),
            tripwires=tuple(
                Tripwire(
                    wire=wire,
                    level=Level.PAGE,
                    before=(),
                    after=(str(outcome).replace("_", " ") if wire is Wire.ERRORS else "x",),
                    canaries=(),
                    since=self.at,
                )
                for wire in Wire
                if wire in wires
            ),
        )
        standing = self.store.incidents(target=name, open_only=True)
        over = [i for i in self.store.incidents(target=name) if not i.is_open]
        found_over = [i for i in over if self.store.transitions(i.id)[-1].author == incidents.DRIFTWATCH]
        told = next((i.evidence.get("wires", {}) for i in standing if i.kind is Kind.TRIPWIRE), {})
        news = {w.wire.value: sorted({*told.get(w.wire.value, ()), *w.after}) for w in verdict.tripwires}
        advance = partial(
            advancing.advance,
            verdict,
            target=target,
            open_incidents=standing,
            recent=sorted(found_over, key=lambda i: i.resolved_at, reverse=True),
            streaks=Streaks(
                failed=self.failed[name],
                measured=self.measured[name],
                quiet=dict(self.quiet[name]),
                outcomes={outcome: 9} if outcome else {},
                is_alike=len(set(self.troubles[name])) <= 1,
            ),
            failure_threshold=2,
            evidence={Kind.TRIPWIRE: {"wires": {**told, **news}}},
            policy=POLICY,
        )
        steps = advance()
        assert advance() == steps, "the same input, the same output"
        assert not {Kind.AVAILABILITY, Kind.WATCH_ITSELF} <= {s.kind for s in steps if s.after is OPEN}
        return [replace(s, cause=s.cause or grouping.cause(s.kind, target, s.trouble)) for s in steps]

    def edges(self, verb: str, group: Sequence[Incident]) -> list[Step]:
        said = {"reason": "r", "at": self.at}
        if verb == "escalate":
            return incidents.escalate(group, receivers=("boss",), **said)
        if verb == "remind":
            return incidents.remind(group, **said)
        return getattr(incidents, verb)(group, author="ana", **said)

    def chosen(self, data: st.DataObject) -> list[Incident] | None:
        """A group as it stands."""
        stored = self.store.incidents()
        if not stored:
            return None
        lead_id = data.draw(st.sampled_from(sorted({incident.lead_id for incident in stored})))
        self.seen.append(self.store.group(lead_id))
        return self.seen[-1]

    def commit(self, steps: Sequence[Step]) -> list[Incident]:
        before = {incident.id: incident for incident in self.store.incidents()}
        self.joined: dict[tuple[str, Kind, str], set[int]] = {}
        moved = self.store.commit_judgement(None, steps, at=self.at, join=self.join_and_check)
        for incident in moved:
            groups = self.joined.get((incident.target, incident.kind, incident.trouble))
            assert groups is None or incident.lead_id in groups, "it is stored in the group that it joins"
            note(f"{self.at} {self.store.transitions(incident.id)[-1].event} {incident}")
            edge = self.store.transitions(incident.id)[-1]
            was = before.get(incident.id)
            assert edge.before is (was.state if was else None), "an edge begins where the incident was"
            if was is not None and not was.is_open and incident.is_open:
                last_end = [t for t in self.store.transitions(incident.id) if t.event is Event.RESOLVED][-1]
                assert self.at - last_end.at <= POLICY.reopen_within
                assert last_end.author == incidents.DRIFTWATCH, "what a person has closed stays closed"
        return moved

    def join_and_check(self, step: Step, standing: Sequence[Incident]) -> Step:
        """No group leads beside an open one that the incident belongs to."""
        joined = grouping.join(step, standing, within=POLICY.group_within)
        assert grouping.join(step, standing, within=POLICY.group_within) == joined
        assert all(incident.cause == step.cause or not incident.is_open for incident in standing)
        near = {
            incident.lead_id
            for incident in standing
            if incident.is_open and abs(incident.onset_at - step.onset_at) <= POLICY.group_within
        }
        own = joined.part_of or joined.incident_id
        is_own = own is not None and own in {i.lead_id for i in standing if i.is_open}
        if near:
            assert is_own, "one open group for a cause"
            assert joined.event in {Event.JOINED, Event.ESCALATED}
            self.joined[step.target, step.kind, step.trouble] = {i.lead_id for i in standing if i.is_open}
        return joined

    # ------------------------------------------------------------ what holds

    @invariant()
    def all_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        stored = {incident.id: incident for incident in self.store.incidents()}
        edges = {incident_id: self.store.transitions(incident_id) for incident_id in stored}
        self.every_edge_is_legal_and_follows_the_one_before(stored, edges)
        self.a_part_belongs_to_an_incident_that_leads_and_has_its_cause(stored)
        self.a_target_has_one_open_incident_of_a_kind_and_one_that_it_cannot_be_asked(stored)
        self.every_edge_is_to_be_told_to_everybody_who_knows_of_the_group(stored, edges)
        for message, n in self.sent.items():
            assert n <= 1 + self.repeatable[message], "nothing is told twice unless a process died meanwhile"

    def every_edge_is_legal_and_follows_the_one_before(
        self, stored: dict[int, Incident], all_edges: dict[int, list[Transition]]
    ) -> None:
        for incident in stored.values():
            edges = all_edges[incident.id]
            assert edges[0].before is None
            for earlier, later in pairwise(edges):
                assert later.before is earlier.after
            for edge in edges:
                assert (edge.before, edge.after) in LEGAL[edge.event]
            assert incident.state is edges[-1].after
            assert incident.n_reopened == sum(edge.before is RESOLVED for edge in edges)
            assert (incident.resolved_at is None) == incident.is_open

    def a_part_belongs_to_an_incident_that_leads_and_has_its_cause(self, stored: dict[int, Incident]) -> None:
        for incident in stored.values():
            lead = stored[incident.lead_id]
            assert lead.part_of is None
            assert lead.cause == incident.cause

    def a_target_has_one_open_incident_of_a_kind_and_one_that_it_cannot_be_asked(
        self, stored: dict[int, Incident]
    ) -> None:
        standing = [(i.target, i.kind) for i in stored.values() if i.is_open]
        assert len(standing) == len(set(standing))
        unmeasured = [target for target, kind in standing if kind in incidents.UNMEASURED]
        assert len(unmeasured) == len(set(unmeasured))

    def every_edge_is_to_be_told_to_everybody_who_knows_of_the_group(
        self, stored: dict[int, Incident], all_edges: dict[int, list[Transition]]
    ) -> None:
        edges = sorted((edge for those in all_edges.values() for edge in those), key=lambda edge: edge.id)
        told: dict[int, list[str]] = defaultdict(list)
        for notification in self.store.notifications():
            told[notification.transition_id].append(notification.receiver)
        known: dict[int, set[str]] = defaultdict(set)
        for edge in edges:
            group = known[stored[edge.incident_id].lead_id]
            group.update(told[edge.id])
            assert sorted(told[edge.id]) == sorted(group), "each of them once"
            assert group


History.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHistory = History.TestCase
