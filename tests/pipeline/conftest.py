"""A watch without a daemon: the real store, simulated endpoint, scoring and detection, run by hand, slot by slot."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from driftwatch.domain import Baseline, Canary, Check, Completion, Incident, Message, Outcome, Target, Verdict
from driftwatch.errors import ProviderRejected, ProviderUnavailable
from driftwatch.pipeline import Line, Pipeline
from driftwatch.providers import Connection
from driftwatch.providers.simulated import Simulated
from driftwatch.rebaseline import Acceptance, accept, undo
from driftwatch.replay import Gate, RetryPolicy
from driftwatch.store import Store

T0 = datetime(2026, 3, 2, tzinfo=UTC)

BEFORE = {
    "shop/capital": ["Paris.", "It is Paris.", "Paris, France."],
    "shop/refund": ["Within 30 days.", "You have 30 days.", "30 days from delivery."],
    "shop/greeting": ["Hello! How can I help?", "Hi there, how can I help you?", "Welcome! What can I do?"],
    "shop/triage": ['{"label": "billing"}', '{"label":"billing"}', '{ "label": "billing" }'],
}
AFTER = {
    "shop/capital": ["To my knowledge the capital would be Paris", "The French capital city is called Paris"],
    "shop/refund": ["I cannot say, please consult the terms.", "Please look at the terms and conditions."],
    "shop/greeting": ["Greetings, valued customer of ours", "Good day to you, esteemed customer"],
    "shop/triage": ["```json\n{}\n```", "Sure! {label: billing}"],
}
PERSONAS: dict[str, Any] = {
    "before": {"served_model": "m-1", "answers": BEFORE},
    "after": {"served_model": "m-1", "answers": AFTER},
    "slow": {"served_model": "m-1", "latency_s": 20.0, "answers": BEFORE},
    "other": {"served_model": "m-2", "latency_s": 20.0, "answers": AFTER},
    "terse": {"answers": {name: answers[0] for name, answers in BEFORE.items()}},
    "terse and slow": {"latency_s": 20.0, "answers": {name: answers[0] for name, answers in BEFORE.items()}},
    "refusing": {"answers": dict.fromkeys(BEFORE, "I'm sorry, but I can't help with that.")},
    "two": {"answers": {**BEFORE, "shop/capital": AFTER["shop/capital"], "shop/refund": AFTER["shop/refund"]}},
}
CANARIES = tuple(
    Canary(
        id=name,
        suite="shop",
        messages=(Message(role="user", content=f"about {name}"),),
        checks=(Check(kind="contains", argument="30"),) if name == "shop/refund" else (),
    )
    for name in BEFORE
)
TARGET = Target(
    name="shop-bot",
    provider="simulated",
    model="m",
    canaries=CANARIES,
    threshold=500.0,
    anchors_wanted=4,
    calibration_wanted=20,
    receivers=("oncall",),
)
FIVE = (*CANARIES, replace(CANARIES[0], id="shop/extra"))
"""With one of five failing, a run is measured all the same."""
N_BASELINE = 21
"""Runs until the watch is armed: one for the anchors and twenty of calibration."""


class Endpoint:
    """The simulated endpoint with a switch: whom it rejects, and whether it is down. The outermost seam."""

    def __init__(self, script: Mapping[str, Any]) -> None:
        self.simulated = Simulated(Connection(script=script))
        self.rejected: set[str] = set()
        self.is_down = False
        self.asked: list[str] = []
        self.while_asked: Callable[[], None] = lambda: None
        self.change_reply: Callable[[Completion], Completion] = lambda reply: reply

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        self.asked.append(canary.id)
        self.while_asked()
        if self.is_down:
            raise ProviderUnavailable("it is down", outcome=Outcome.UNAVAILABLE)
        if canary.id in self.rejected:
            raise ProviderRejected("tools are not supported", outcome=Outcome.REJECTED)
        return self.change_reply(await self.simulated.complete(target, canary, repeat=repeat, at=at))

    async def aclose(self) -> None:
        """Nothing to close."""


class Watch:
    """A store, an endpoint and a pipeline over them, with a clock that is moved by hand."""

    def __init__(self, path: Path, *, hour: int = 0, changes: Sequence[Mapping[str, Any]] = ()) -> None:
        self.path = path
        self.store = Store.open(path)
        self.runner = asyncio.Runner()
        self.target = TARGET
        self.hour = hour
        self.changes = list(changes)
        self.restart()

    def restart(self) -> None:
        """A new process over the same store: nothing but the database is remembered."""
        script = {"seed": 5, "start": "before", "personas": PERSONAS, "changes": self.changes}
        former = getattr(self, "endpoint", None)
        self.endpoint = Endpoint(script)
        if former is not None:
            self.endpoint.rejected, self.endpoint.is_down = former.rejected, former.is_down
            self.endpoint.change_reply = former.change_reply
        line = Line(provider=self.endpoint, gate=Gate(8), retry=RetryPolicy(attempts=1), deadline_s=60.0, price=None)
        self.pipeline = Pipeline(store=self.store, lines={TARGET.name: line}, embedder=None)

    @property
    def now(self) -> datetime:
        return T0 + timedelta(hours=self.hour)

    def serve(self, persona: str) -> None:
        """From the next run on, another persona answers."""
        self.changes = [*self.changes, {"at": self.now.isoformat(), "persona": persona}]
        self.restart()

    def run(self, n: int = 1) -> Verdict:
        """Make the next ``n`` hourly runs; the last one's verdict."""
        verdict = None
        for _ in range(n):
            verdict = self.run_at(self.now)
            self.hour += 1
        assert verdict is not None
        return verdict

    def run_at(self, at: datetime) -> Verdict | None:
        return self.runner.run(self.pipeline.run(self.target, scheduled_at=at, at=at))

    def close(self) -> None:
        self.runner.close()
        self.store.close()

    def until(self, is_so: Callable[[Verdict], bool], *, at_most: int) -> Verdict:
        """Run until a verdict is as wanted; fails when that takes too long."""
        for _ in range(at_most):
            verdict = self.run()
            if is_so(verdict):
                return verdict
        pytest.fail(f"not within {at_most} runs: {verdict.reason}")

    def change(self, persona: str) -> Verdict:
        """Five quiet runs, then another persona until the alarm."""
        self.run(5)
        self.serve(persona)
        return self.until(lambda verdict: verdict.state == "drifted", at_most=12)

    def baseline(self) -> Baseline:
        current = self.store.current_baseline(self.target.name)
        assert current is not None
        return current

    def incidents(self) -> list[tuple[str, str]]:
        return [(i.kind.value, i.state.value) for i in reversed(self.store.incidents())]

    def open_incident(self) -> Incident:
        [incident] = self.store.incidents(open_only=True)
        return incident

    def told(self) -> list[str]:
        """The reasons of the transitions that receivers are told of, oldest first."""
        reasons = {t.id: t.reason for i in self.store.incidents() for t in self.store.transitions(i.id)}
        return [reasons[n.transition_id] for n in self.store.notifications()]

    def accept(self, *canary_ids: str, since: datetime | None = None) -> Acceptance:
        return accept(
            self.store,
            self.target,
            None,
            canary_ids=canary_ids,
            since=since,
            author="ana",
            reason="the vendor announced it",
            at=self.now,
        )

    def undo(self) -> Baseline:
        return undo(self.store, self.target, author="ben", reason="too early", at=self.now)

    def edit(self, **changes: Any) -> None:
        """Another config and the restart that reads it."""
        self.target = replace(self.target, **changes)
        self.restart()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Nothing has been asked yet."""
    watch = Watch(tmp_path / "watch.db")
    yield watch
    watch.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Watch]:
    """Closed watches to copy, each brought to its state once."""
    folder = tmp_path_factory.mktemp("prepared")
    made: dict[str, Watch] = {}

    def begin(name: str, *, like: str | None = None) -> Watch:
        path = folder / f"{name}.db"
        if like is not None:
            shutil.copy(made[like].path, path)
        model = made.get(like or "")
        made[name] = Watch(path, hour=model.hour, changes=model.changes) if model else Watch(path)
        return made[name]

    with capture_logs():
        begin("armed").run(N_BASELINE)
        made["armed"].close()
        begin("five").edit(canaries=FIVE)
        made["five"].run(N_BASELINE)
        made["five"].close()
        for persona, n_after in (("after", 30), ("two", 16), ("slow", 0)):
            begin(persona, like="armed").change(persona)
            made[persona].close()
            begin(f"{persona}-long", like=persona).run(n_after or 1)
            made[f"{persona}-long"].close()
    return made


@pytest.fixture
def copy(prepared: Mapping[str, Watch], tmp_path: Path) -> Iterator[Callable[[str], Watch]]:
    """Make a watch in one of the prepared states."""
    made: list[Watch] = []

    def make(name: str) -> Watch:
        shutil.copy(prepared[name].path, tmp_path / f"{name}.db")
        made.append(Watch(tmp_path / f"{name}.db", hour=prepared[name].hour, changes=prepared[name].changes))
        return made[-1]

    yield make
    for watch in made:
        watch.close()


@pytest.fixture
def armed(copy: Callable[[str], Watch]) -> Watch:
    """Calibrated; the next run is the first that is judged."""
    return copy("armed")


@pytest.fixture
def armed_with_five(copy: Callable[[str], Watch]) -> Watch:
    """As ``armed``, with shop/extra as the fifth canary."""
    watch = copy("five")
    watch.edit(canaries=FIVE)
    return watch


@pytest.fixture
def drifted(copy: Callable[[str], Watch]) -> Watch:
    """All four canaries answer otherwise, and the alarm has just been raised."""
    return copy("after")


@pytest.fixture
def long_drifted(copy: Callable[[str], Watch]) -> Watch:
    """As ``drifted``, thirty runs later: enough to accept."""
    return copy("after-long")


@pytest.fixture
def two_long_drifted(copy: Callable[[str], Watch]) -> Watch:
    """As ``two_drifted``, sixteen runs later: enough to accept single canaries."""
    return copy("two-long")


@pytest.fixture
def two_drifted(copy: Callable[[str], Watch]) -> Watch:
    """Capital and refund answer otherwise, greeting and triage as ever; the alarm has just been raised."""
    return copy("two")


@pytest.fixture
def slowed(copy: Callable[[str], Watch]) -> Watch:
    """The same answers, twenty-five times slower; the alarm has just been raised."""
    return copy("slow")


@pytest.fixture
def logs() -> Iterator[Sequence[Mapping[str, Any]]]:
    with capture_logs() as captured:
        yield captured
