"""Targets that move at once are told as one: several targets, one store, the real detection."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.domain import Canary, Completion, Event, Incident, Kind, Message, Outcome, Severity, Target
from driftwatch.pipeline import Line, Pipeline
from driftwatch.providers import Connection
from driftwatch.providers.simulated import Simulated
from driftwatch.replay import Gate, RetryPolicy
from driftwatch.store import Store

T0 = datetime(2026, 3, 2, tzinfo=UTC)
BEFORE, AFTER = ["Paris.", "It is Paris."], ["I would say that the capital is called Paris", "That would be Paris"]


class Endpoint:
    """One provider that all targets of it share."""

    def __init__(self) -> None:
        names = [f"shop/{n}" for n in range(40)]
        persona = {name: {"answers": dict.fromkeys(names, replies)} for name, replies in personas.items()}
        self.simulated = {
            name: Simulated(Connection(script={"seed": 5, "start": name, "personas": persona})) for name in persona
        }
        self.serves = "before"
        self.change: Callable[[Completion], Completion] = lambda reply: reply

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        endpoint = self.simulated[self.serves]
        return self.change(await endpoint.complete(target, canary, repeat=repeat, at=at))

    async def aclose(self) -> None:
        """Nothing to close."""


personas = {"before": BEFORE, "after": AFTER}


class Fleet:
    """Targets over endpoints, run slot by slot."""

    def __init__(self, path: Path, providers: Sequence[str], *, n_canaries: int = 3) -> None:
        self.store = Store.open(path)
        self.runner = asyncio.Runner()
        self.endpoints = {provider: Endpoint() for provider in providers}
        self.hour = 0
        canaries = tuple(
            Canary(id=f"shop/{n}", suite="shop", messages=(Message(role="user", content=f"about {n}"),))
            for n in range(n_canaries)
        )
        self.targets = [
            Target(
                name=f"target-{n}",
                provider=provider,
                model="m",
                canaries=canaries,
                threshold=500.0,
                anchors_wanted=4,
                calibration_wanted=20,
                receivers=("oncall",),
            )
            for n, provider in enumerate(providers)
        ]
        self.pipeline = Pipeline(
            store=self.store,
            lines={
                target.name: Line(
                    provider=self.endpoints[target.provider],
                    gate=Gate(8),
                    retry=RetryPolicy(attempts=1),
                    deadline_s=60.0,
                )
                for target in self.targets
            },
            embedder=None,
        )

    def run(self, n: int = 1) -> None:
        for _ in range(n):
            at = T0 + timedelta(hours=self.hour)
            for target in self.targets:
                self.runner.run(self.pipeline.run(target, scheduled_at=at, at=at))
            self.hour += 1

    def groups(self) -> list[list[Incident]]:
        leads = sorted({incident.lead_id for incident in self.store.incidents()})
        return [self.store.group(lead_id) for lead_id in leads]

    def told(self) -> Counter[Event]:
        """How many messages each event would be."""
        events = {edge.id: edge.event for i in self.store.incidents() for edge in self.store.transitions(i.id)}
        return Counter(events[notification.transition_id] for notification in self.store.notifications())

    def close(self) -> None:
        self.runner.close()
        self.store.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(*providers: str, n_canaries: int = 3) -> Fleet:
        made.append(Fleet(tmp_path / "watch.db", providers, n_canaries=n_canaries))
        made[-1].run(21)
        return made[-1]

    yield make
    for watch in made:
        watch.close()


def test_forty_canaries_of_a_target_that_move_at_once_are_one_incident(fleet):
    watch = fleet("openai", n_canaries=40)
    watch.endpoints["openai"].serves = "after"
    watch.run(10)
    [incident] = watch.store.incidents()
    assert incident.kind is Kind.BEHAVIOUR
    assert incident.cause == "served openai api.openai.com"
    assert watch.told() == {Event.OPENED: 1}


def test_six_targets_of_one_provider_that_drift_at_once_are_one_incident_and_one_page(fleet):
    watch = fleet(*6 * ["openai"])
    watch.run(3)
    watch.endpoints["openai"].serves = "after"
    watch.run(12)
    [group] = watch.groups()
    assert len(group) == 6
    assert {incident.kind for incident in group} == {Kind.BEHAVIOUR}
    assert watch.told() == {Event.OPENED: 1, Event.JOINED: 5}


def test_an_outage_of_one_of_two_providers_at_once_is_one_incident_each(fleet):
    watch = fleet("openai", "anthropic", "openai", "anthropic", "mistral")
    down = {"outcome": Outcome.UNAVAILABLE, "text": "", "error": "it is down"}
    for name in ("openai", "anthropic"):
        watch.endpoints[name].change = lambda reply: replace(reply, **down)
    watch.run(4)
    causes = [{incident.cause for incident in group} for group in watch.groups()]
    assert causes == [{"reach openai api.openai.com"}, {"reach anthropic api.anthropic.com"}]
    assert [len(group) for group in watch.groups()] == [2, 2]
    assert watch.told() == {Event.OPENED: 2, Event.JOINED: 2}


def test_a_model_name_and_the_behaviour_that_follows_are_one_incident_that_got_graver(fleet):
    watch = fleet("openai")
    watch.run(3)
    watch.endpoints["openai"].change = lambda reply: replace(reply, served_model="m-2")
    watch.run(10)  # longer than onsets may lie apart
    watch.endpoints["openai"].serves = "after"
    watch.run(10)
    [[name, behaviour]] = watch.groups()
    assert (name.kind, name.severity) == (Kind.TRIPWIRE, Severity.WARNING)
    assert (behaviour.kind, behaviour.severity) == (Kind.BEHAVIOUR, Severity.CRITICAL)
    assert watch.told() == {Event.OPENED: 1, Event.ESCALATED: 1}


def test_one_key_that_three_targets_share_is_one_trouble_of_the_watch(fleet):
    watch = fleet(*3 * ["openai"])
    watch.endpoints["openai"].change = lambda reply: replace(reply, outcome=Outcome.AUTH, text="", error="401")
    watch.run(4)
    [group] = watch.groups()
    assert {(i.kind, i.trouble) for i in group} == {(Kind.WATCH_ITSELF, "key")}
    assert watch.told() == {Event.OPENED: 1, Event.JOINED: 2}


def test_the_end_of_a_member_is_told_as_no_end_and_the_last_one_ends_the_group(fleet):
    watch = fleet(*2 * ["openai"])
    down = {"outcome": Outcome.UNAVAILABLE, "text": "", "error": "it is down"}
    watch.endpoints["openai"].change = lambda reply: replace(reply, **down)
    watch.run(3)
    watch.endpoints["openai"].change = lambda reply: reply
    watch.targets, rest = watch.targets[:1], watch.targets[1:]
    watch.run(2)
    [group] = watch.groups()
    assert [incident.is_open for incident in group] == [False, True]
    watch.targets = rest
    watch.run(2)
    [group] = watch.groups()
    assert [incident.is_open for incident in group] == [False, False]
