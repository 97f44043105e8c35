"""A model's end over real sockets: what announces it, what is said on the day, and who is told of it how often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.vendors.serving import Request, Server, answering, serving
from benchmarks.vendors.wire import Answer
from driftwatch import metadata
from driftwatch.alert import incidents
from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.alert.message import compose
from driftwatch.domain import Announcement, Canary, Level, Message, Outcome, Target, Verdict, Wire
from driftwatch.errors import RateLimited, StoreError
from driftwatch.pipeline import Line, Pipeline
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.replay import Gate, RetryPolicy
from driftwatch.store import Store

T0 = datetime(2026, 11, 2, tzinfo=UTC)
JSON = {"content-type": "application/json"}


class Vendor:
    """What the server says: everything about it can be changed between two runs."""

    def __init__(self) -> None:
        self.upstream = "Fireworks"
        self.headers: dict[str, str] = {}
        self.models: Any = [{"id": "m-1"}, {"id": "m-2"}]
        self.is_retired = False
        self.list_status = 200
        self.is_listing = True
        self.ends = asyncio.Event()

    async def play(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.method == "GET" and not self.is_listing:
            await self.ends.wait()
            raise ConnectionError
        await answering(self.answer)(request, writer)

    def answer(self, request: Request) -> Answer:
        if request.method == "GET":
            return self._json({"object": "list", "data": self.models}, self.list_status)
        if self.is_retired:
            error = {"message": "The model `m-1` does not exist", "code": "model_not_found"}
            return self._json({"error": error}, 404)
        return self._json(
            {
                "id": "r",
                "model": "m-1",
                "provider": self.upstream,
                "choices": [{"message": {"content": "Paris."}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 2},
            }
        )

    def _json(self, document: Any, status: int = 200) -> Answer:
        return Answer(status=status, headers={**JSON, **self.headers}, pieces=(json.dumps(document).encode(),))


class HeldTime:
    """Time that is moved on by hand, and by whoever waits."""

    def __init__(self) -> None:
        self.t = 0.0

    def now_s(self) -> float:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.t += seconds


class Watch:
    """One target over a server on a loopback port, with a clock that is moved by hand."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)
        self.runner = asyncio.Runner()
        self.vendor = Vendor()
        self.now = T0
        self._open = AsyncExitStack()
        self.server: Server = self.runner.run(self._open.enter_async_context(serving(self.vendor.play)))
        self.target = Target(
            name="shop-bot",
            provider="openai_compatible",
            model="m-1",
            base_url=f"{self.server.address}/v1",
            canaries=tuple(
                Canary(id=f"shop/{i}", suite="shop", messages=(Message(role="user", content=f"{i}?"),))
                for i in range(2)
            ),
            anchors_wanted=2,
            calibration_wanted=100,
            receivers=("oncall",),
        )
        self._provider: Any = None
        self.restart()

    def restart(self, **changes: Any) -> None:
        """A new process over the same store, with another config."""
        self.target = replace(self.target, **changes)
        if self._provider is not None:
            self.runner.run(self._provider.aclose())
        self._provider = PROVIDERS[self.target.provider](Connection(base_url=self.target.base_url))
        self.timing = HeldTime()
        self.gate = Gate(2, timing=self.timing)
        line = Line(provider=self._provider, gate=self.gate, retry=RetryPolicy(attempts=1), deadline_s=60.0)
        self.pipeline = Pipeline(store=self.store, lines={"shop-bot": line}, embedder=None)

    def levels(self, **levels: Level) -> None:
        self.restart(tripwires={Wire(name): level for name, level in levels.items()})

    def run(self, n: int = 1, every: timedelta = timedelta(hours=1)) -> Verdict:
        for _ in range(n):
            verdict = self.runner.run(self.pipeline.run(self.target, scheduled_at=self.now, at=self.now))
            self.now += every
        assert verdict is not None
        return verdict

    def run_daily(self, n: int = 1) -> Verdict:
        return self.run(n, every=timedelta(days=1))

    def tripped(self, verdict: Verdict) -> dict[str, tuple[str, ...]]:
        return {t.wire.value: t.after for t in verdict.tripwires}

    def told(self) -> list[str]:
        reasons = {t.id: t.reason for i in self.store.incidents() for t in self.store.transitions(i.id)}
        return [reasons[n.transition_id] for n in self.store.notifications()]

    def message(self) -> Any:
        """What the receivers are sent about the newest incident's beginning."""
        incident = self.store.incidents()[0]
        [opened] = [t for t in self.store.transitions(incident.id) if t.before is None]
        return compose(Announcement(incident=incident, transition=opened, dedup_key="k"))

    def asked(self, method: str) -> int:
        return sum(request.method == method for request in self.server.requests)

    def close(self) -> None:
        self.runner.run(self._close())
        self.runner.close()
        self.store.close()

    async def _close(self) -> None:
        self.vendor.ends.set()
        await self._provider.aclose()
        await self._open.aclose()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        if connections:
            await asyncio.wait(connections)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path / "watch.db")
    yield watch
    watch.close()


def another_upstream(vendor: Vendor) -> None:
    vendor.upstream = "Together"


def a_sunset(vendor: Vendor) -> None:
    vendor.headers = {"Sunset": "Sun, 31 Jan 2027 00:00:00 GMT", "Deprecation": "@1788220800"}


def leaving_the_list(vendor: Vendor) -> None:
    vendor.models = [{"id": "m-2"}]


def a_day(vendor: Vendor) -> None:
    vendor.models = [{"id": "m-1", "deprecation": "2026-11-30T12:00:00Z", "deprecation_replacement_model": "m-2"}]


def a_refusal(vendor: Vendor) -> None:
    vendor.is_retired = True


CASES: dict[str, tuple[Callable[[Vendor], None], str]] = {
    "upstream": (another_upstream, "is served by another provider: Fireworks → Together"),
    "deprecation": (a_sunset, "announces an end: deprecation 1 Sep 2026; sunset 31 Jan 2027"),
    "retirement": (a_day, "announces the end of its model for 30 Nov 2026, with m-2 in its place"),
    "errors": (a_refusal, "fails in a way that asking again does not change: the model is gone"),
}


@pytest.mark.parametrize("wire", CASES)
def test_a_notice_stands_in_the_verdict_and_pages_nobody(watch, wire):
    change, words = CASES[wire]
    watch.levels(**{wire: Level.NOTICE})
    assert watch.run_daily(3).tripwires == ()
    change(watch.vendor)
    verdict = watch.run_daily()
    assert list(watch.tripped(verdict)) == [wire]
    assert f"; the endpoint {words} since " in verdict.reason
    assert watch.store.incidents() == []


@pytest.mark.parametrize("wire", CASES)
def test_a_page_is_told_once_and_says_it_in_its_first_line(watch, wire):
    change, words = CASES[wire]
    watch.levels(**{wire: Level.PAGE})
    watch.run_daily(3)
    change(watch.vendor)
    watch.run_daily(4)
    assert watch.told() == [f"shop-bot {words}, since Thu 5 Nov 00:00 UTC"]
    assert watch.message().summary[0] == f"shop-bot {words}, since Thu 5 Nov 00:00 UTC."


@pytest.mark.parametrize("wire", CASES)
def test_a_wire_that_is_off_says_nothing(watch, wire):
    change, _ = CASES[wire]
    watch.levels(**{wire: Level.OFF})
    watch.run_daily(3)
    change(watch.vendor)
    assert watch.run_daily().tripwires == ()


# ---------------------------------------------------------------- the list of models


def test_the_list_is_asked_for_once_a_day_and_is_no_canary(watch):
    watch.run(24)
    assert watch.asked("GET") == 1
    watch.run(24)
    assert watch.asked("GET") == 2
    assert watch.asked("POST") == sum(run.n_requests for run in watch.store.runs())


def test_an_endpoint_whose_retirement_is_of_no_interest_is_not_asked(watch):
    watch.levels(served_model=Level.PAGE)
    watch.run()
    assert watch.asked("GET") == 0


def test_a_restart_remembers_what_the_list_said_and_when_it_was_read(watch):
    leaving_the_list(watch.vendor)
    watch.run()
    watch.vendor.models = [{"id": "m-1"}]
    watch.run_daily()
    watch.run_daily()
    watch.restart()
    leaving_the_list(watch.vendor)
    watch.run(2)
    verdict = watch.run_daily()
    watch.restart()
    assert watch.tripped(watch.run()) == watch.tripped(verdict) == {"retirement": ("no longer lists its model",)}


def test_a_model_that_was_never_listed_cannot_leave_the_list(watch):
    leaving_the_list(watch.vendor)
    assert watch.run_daily(4).tripwires == ()


@pytest.mark.parametrize("status", [404, 401, 500])
def test_a_list_that_cannot_be_read_is_no_news_and_fails_no_run(watch, status, logs):
    watch.run_daily(2)
    watch.vendor.list_status = status
    verdict = watch.run_daily(2)
    assert (verdict.tripwires, watch.store.runs()[-1].n_failed) == ((), 0)
    assert {entry["log_level"] for entry in logs if entry["event"] == "listing.unread"} == {"debug"}


def test_a_list_that_never_comes_is_waited_for_only_so_long(watch, monkeypatch, logs):
    monkeypatch.setattr(metadata, "LOOK_S", 0.05)
    watch.vendor.is_listing = False
    assert watch.run().tripwires == ()
    assert [entry["error"] for entry in logs if entry["event"] == "listing.unread"] == ["no answer in time"]
    assert watch.store.lookup("shop-bot").looked_at == T0, "it is not asked again before tomorrow"


def test_what_cannot_be_kept_of_a_list_fails_no_run(watch, monkeypatch, logs):
    def refuse(*_: Any, **__: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(watch.store, "looked", refuse)
    assert watch.run().tripwires == ()
    assert [entry["error"] for entry in logs if entry["event"] == "listing.not_kept"] == ["the disk is full"]


def test_a_bug_in_reading_a_list_is_logged_and_fails_no_run(watch, monkeypatch, logs):
    key = "sk-proj-abcDEF123456"

    async def odd(*_: Any) -> None:
        raise KeyError(key)

    monkeypatch.setattr(watch._provider, "listed", odd)
    assert watch.run().tripwires == ()
    assert watch.store.runs()[-1].n_failed == 0
    (entry,) = [entry for entry in logs if entry["event"] == "listing.unexpected"]
    assert entry["log_level"] == "error"
    assert "odd" in entry["frames"]
    assert "sk-proj" not in str(logs)
    assert watch.store.lookup("shop-bot").looked_at == T0, "it is not asked again before tomorrow"


def test_an_endpoint_that_wants_to_be_left_alone_is_not_asked_for_its_list(watch):
    watch.timing.t = 0.0
    watch.gate.failed(
        watch.runner.run(watch.gate.admit(watch.target, watch.target.canaries[0], left_s=lambda: 9.0)),
        RateLimited("429", outcome=Outcome.RATE_LIMITED),
        now=T0,
    )
    watch.run()
    assert watch.asked("GET") == 0
    watch.timing.t = 100.0
    watch.run()
    assert watch.asked("GET") == 1


def test_what_the_list_takes_counts_towards_the_runs_time(watch, monkeypatch):
    async def late(*_: Any) -> None:
        watch.timing.t += 60.0

    monkeypatch.setattr(watch._provider, "listed", late)
    watch.run()
    assert watch.asked("POST") == 0
    assert "the run's limit of 60 s" in watch.store.completions([1])[1][0].error


def test_a_day_is_told_as_soon_as_it_is_near_and_once(watch):
    watch.restart(retirement_notice_days=7, tripwires={Wire.RETIREMENT: Level.PAGE})
    a_day(watch.vendor)
    found = {}
    for _ in range(27):
        day = watch.now.day
        found[day] = bool(watch.run_daily().tripwires)
    assert [day for day, is_told in found.items() if is_told] == [23, 24, 25, 26, 27, 28]
    assert len(watch.told()) == 1


def test_a_day_that_is_near_is_told_by_the_very_first_run(watch):
    watch.restart(tripwires={Wire.RETIREMENT: Level.PAGE})
    a_day(watch.vendor)
    assert watch.tripped(watch.run())
    assert len(watch.told()) == 1


def test_headers_that_announce_an_end_are_told_by_the_very_first_run_and_stay_told(watch):
    watch.restart(tripwires={Wire.DEPRECATION: Level.PAGE})
    a_sunset(watch.vendor)
    first = watch.run()
    assert watch.tripped(first)
    assert watch.run(3).tripwires == first.tripwires
    watch.restart(canaries=watch.target.canaries[:1])
    assert watch.tripped(watch.run(3)) == watch.tripped(first)
    assert [state for state in watch.told() if "announces an end" in state] == watch.told()[:1]
    watch.vendor.headers = {}
    assert watch.run().tripwires == ()


def test_a_day_that_is_taken_back_ends_the_incident(watch):
    watch.restart(tripwires={Wire.RETIREMENT: Level.PAGE})
    a_day(watch.vendor)
    watch.run_daily(2)
    watch.vendor.models = [{"id": "m-1", "deprecation": None}]
    assert watch.run_daily().tripwires == ()
    assert watch.told()[-1] == "the endpoint reports again what it reported before"


def test_what_a_person_has_closed_is_not_told_again_by_a_new_baseline(watch):
    watch.restart(tripwires={Wire.RETIREMENT: Level.PAGE})
    a_day(watch.vendor)
    watch.run_daily(3)
    [incident] = watch.store.incidents(open_only=True)
    steps = incidents.resolve([incident], author="ana", reason="we migrate", at=watch.now)
    watch.store.commit_judgement(None, steps, at=watch.now)
    watch.restart(canaries=watch.target.canaries[:1])
    verdict = watch.run_daily(3)
    assert verdict.baseline_id != incident.baseline_id
    assert watch.tripped(verdict), "it is noted all the same"
    assert len(watch.store.incidents()) == 1


# ---------------------------------------------------------------- on the day


def test_on_the_day_of_its_retirement_the_first_line_says_that_the_model_is_gone(watch):
    a_day(watch.vendor)
    watch.run_daily(3)
    watch.vendor.is_retired = True
    watch.run(3)
    message = watch.message()
    assert message.title == "Model gone: shop-bot"
    assert message.summary[0] == "shop-bot cannot be measured since Thu 5 Nov 00:00 UTC: the model is gone."
    assert "Failed requests: 6 × model gone." in message.summary
    assert any("The model `m-1` does not exist" in said for said in message.summary)
    assert message.changes == ("The endpoint announces the end of its model for 30 Nov 2026, with m-2 in its place.",)
    evidence = IncidentEvidence.from_json(watch.store.incidents()[0].evidence)
    assert evidence.outcomes == {"model_gone": 6}


# ---------------------------------------------------------------- a pinned upstream


def test_another_upstream_than_the_pinned_one_is_told_though_the_baseline_knows_it(watch):
    watch.restart(options={"upstream": "fireworks"}, tripwires={Wire.UPSTREAM: Level.PAGE})
    watch.run()
    another_upstream(watch.vendor)
    verdict = watch.run()
    assert watch.tripped(verdict) == {"upstream": ("Together",)}
    watch.vendor.upstream = "Fireworks"
    watch.run()
    another_upstream(watch.vendor)
    watch.run()
    first = "shop-bot is served by another provider: Fireworks → Together, since "
    assert [reason.startswith(first) for reason in watch.told()] == [True, False, True]
