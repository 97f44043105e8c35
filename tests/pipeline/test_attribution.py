"""Whose a change is, told from what the real pipeline stored while simulated endpoints changed under it."""

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

from driftwatch.attribution import Attribution, Whose, attribute
from driftwatch.domain import Canary, Completion, Control, Kind, Message, Outcome, Target, Verdict
from driftwatch.errors import ProviderConnection, ProviderRejected, ProviderUnavailable
from driftwatch.pipeline import Line, Pipeline
from driftwatch.providers import Connection
from driftwatch.providers.simulated import Simulated
from driftwatch.replay import Gate, RetryPolicy
from driftwatch.store import Store

T0 = datetime(2026, 3, 2, tzinfo=UTC)
USUAL = {
    "shop/capital": ["Paris.", "It is Paris.", "Paris, France."],
    "shop/refund": ["Within 30 days.", "You have 30 days.", "30 days from delivery."],
    "shop/greeting": ["Hello! How can I help?", "Hi there, how can I help you?", "Welcome! What can I do?"],
    "shop/triage": ['{"label": "billing"}', '{"label":"billing"}', '{ "label": "billing" }'],
}
STIFF = {
    "shop/capital": ["To my knowledge the capital would be Paris", "The French capital city is called Paris"],
    "shop/refund": ["I cannot say, please consult the terms.", "Please look at the terms and conditions."],
    "shop/greeting": ["Greetings, valued customer of ours", "Good day to you, esteemed customer"],
    "shop/triage": ["```json\n{}\n```", "Sure! {label: billing}"],
}
PERSONAS: Mapping[str, Any] = {
    "usual": {"served_model": "m", "answers": USUAL},
    "stiff": {"served_model": "m", "answers": STIFF},
    "renamed": {"served_model": "m-2026-03", "answers": USUAL},
    "slow": {"served_model": "m", "latency_s": 20.0, "answers": USUAL},
}
CANARIES = tuple(
    Canary(id=name, suite="shop", messages=(Message(role="user", content=f"about {name}"),)) for name in USUAL
)


def endpoint(name: str, host: str, model: str, *, provider: str = "simulated") -> Target:
    return Target(
        name=name,
        provider=provider,
        model=model,
        base_url=f"https://{host}/v1",
        canaries=CANARIES,
        threshold=500.0,
        anchors_wanted=4,
        calibration_wanted=20,
    )


FLEET = {
    target.name: target
    for target in (
        endpoint("support", "api.one.example", "large"),
        endpoint("small", "api.one.example", "small"),
        endpoint("azure", "two.example", "vendor/Large"),
        endpoint("beta", "three.example", "beta"),
        endpoint("gamma", "four.example", "gamma"),
        endpoint("delta", "five.example", "delta"),
        endpoint("own-weights", "127.0.0.1", "frozen"),
        endpoint("assistant", "assistant.shop.example", "any", provider="http"),
    )
}
N_QUIET = 26
"""One run for anchors, twenty of calibration, five quiet ones."""


class Endpoints:
    """All simulated endpoints, what they serve, and what stands between them and us."""

    def __init__(self) -> None:
        self.changes: dict[str, list[Mapping[str, Any]]] = {}
        self.down: dict[str, Exception] = {}
        self.rewrite: Callable[[str, Completion], Completion] = lambda _, reply: reply

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        if target.name in self.down:
            raise self.down[target.name]
        script = {"seed": 5, "start": "usual", "personas": PERSONAS, "changes": self.changes.get(target.name, [])}
        simulated = Simulated(Connection(script=script))
        return self.rewrite(target.name, await simulated.complete(target, canary, repeat=repeat, at=at))

    async def aclose(self) -> None:
        """Nothing to close."""


class Watch:
    """Every target of the fleet, watched hour by hour with a clock that is moved by hand."""

    def __init__(self, path: Path, *, hour: int = 0) -> None:
        self.store = Store.open(path)
        self.hour = hour
        self.runner = asyncio.Runner()
        self.endpoints = Endpoints()
        line = Line(provider=self.endpoints, gate=Gate(8), retry=RetryPolicy(attempts=1), deadline_s=60.0, price=None)
        self.pipeline = Pipeline(store=self.store, lines=dict.fromkeys(FLEET, line), embedder=None)
        self.watched: Sequence[str] = tuple(FLEET)
        self.latest: dict[str, Verdict] = {}

    @property
    def now(self) -> datetime:
        return T0 + timedelta(hours=self.hour)

    def serve(self, persona: str, *names: str) -> None:
        """From the next run on, these targets answer otherwise."""
        for name in names:
            self.endpoints.changes.setdefault(name, []).append({"at": self.now.isoformat(), "persona": persona})

    def only(self, *names: str) -> None:
        """Ask no more than these from now on."""
        self.watched = names

    def run(self, *names: str, n: int = 1) -> None:
        for _ in range(n):
            for name in names or self.watched:
                verdict = self.runner.run(self.pipeline.run(FLEET[name], scheduled_at=self.now, at=self.now))
                if verdict is not None:
                    self.latest[name] = verdict
            self.hour += 1

    def until_alarm(self, name: str, kind: Kind = Kind.BEHAVIOUR, *, among: Sequence[str] = ()) -> None:
        """Run everything, or some targets, until one has an open incident."""
        for _ in range(12):
            self.run(*among)
            if any(incident.kind is kind for incident in self.store.incidents(target=name, open_only=True)):
                return
        pytest.fail(f"no alarm: {self.latest[name].reason}")

    def ask(self, name: str, *others: str, controls: Mapping[str, Control] | None = None) -> Attribution:
        """Whose the newest incident of a target is, in a watch of it and these others."""
        incident = self.store.incidents(target=name)[0]
        target = replace(FLEET[name], controls=controls or {})
        fleet = [target, *(FLEET[other] for other in others)]
        return attribute(
            self.store,
            target,
            fleet,
            kind=incident.kind,
            onset_at=incident.onset_at,
            alarm_at=incident.opened_at,
            at=self.now,
        )

    def close(self) -> None:
        self.runner.close()
        self.store.close()


@pytest.fixture(scope="module")
def quiet_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every target calibrated and quiet for five hours, with a record of our side."""
    path = tmp_path_factory.mktemp("quiet") / "watch.db"
    watch = Watch(path)
    with capture_logs():
        watch.store.note_harness({"driftwatch": "0.5.0", "target.support": "timeout 60"}, at=T0)
        watch.run(n=N_QUIET)
    watch.close()
    return path


@pytest.fixture
def watch(quiet_store: Path, tmp_path: Path) -> Iterator[Watch]:
    shutil.copy(quiet_store, tmp_path / "watch.db")
    watch = Watch(tmp_path / "watch.db", hour=N_QUIET)
    with capture_logs():
        yield watch
    watch.close()


def texts(found: Attribution, points_to: Whose) -> list[str]:
    return [reason.text for reason in found.reasons if reason.points_to is points_to]


# ---------------------------------------------------------------- what is served


def test_the_same_model_moving_at_two_hosts_is_the_providers(watch: Watch):
    watch.only("support", "azure", "beta")
    watch.serve("stiff", "support", "azure")
    watch.until_alarm("support")
    found = watch.ask("support", "azure", "beta", controls={"azure": Control.SAME_MODEL})
    assert found.verdict is Whose.PROVIDER
    assert found.summary.startswith("Most likely the provider: azure (the same model at another host) moved too")
    assert "; beta (another model at another host) did not move: " in found.summary
    assert found.reasons[0].points_to is Whose.PROVIDER


def test_the_same_model_moving_at_two_hosts_may_be_our_side_where_nothing_else_is_watched(watch: Watch):
    watch.only("support", "azure")
    watch.serve("stiff", "support", "azure")
    watch.until_alarm("support")
    found = watch.ask("support", "azure", controls={"azure": Control.SAME_MODEL})
    assert found.verdict is Whose.UNKNOWN
    assert ", but nothing shows that our side did not move them. To tell next time, add one at an" in found.summary


def test_one_host_moving_while_the_same_model_elsewhere_stays_is_this_endpoint(watch: Watch):
    watch.only("support", "azure")
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    found = watch.ask("support", "azure", controls={"azure": Control.SAME_MODEL})
    assert found.verdict is Whose.ENDPOINT
    assert "azure (the same model at another host) did not move: " in found.summary


@pytest.mark.parametrize(
    ("here", "there", "whose"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.2:8000/v1", Whose.ENDPOINT),
        ("http://gpu-1.lan/v1", "http://gpu-2.lan/v1", Whose.ENDPOINT),
        ("http://gpu-1.lan/v1", "http://127.0.0.1:8000/v1", Whose.UNKNOWN),
        ("https://api.one.example/v1", "http://gpu-2.lan/v1", Whose.UNKNOWN),
    ],
)
def test_a_control_tells_as_much_of_the_way_as_it_is_far(watch: Watch, here: str, there: str, whose: Whose):
    watch.only("support", "azure")
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    support = replace(FLEET["support"], base_url=here, controls={"azure": Control.SAME_MODEL})
    assert _about(watch, "support", [support, replace(FLEET["azure"], base_url=there)]).verdict is whose


def test_the_same_model_under_a_routers_name_for_it_needs_no_declaration(watch: Watch):
    watch.only("support", "azure")
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    assert watch.ask("support", "azure").verdict is Whose.ENDPOINT


def test_all_targets_of_one_host_and_none_elsewhere_is_this_endpoint(watch: Watch):
    watch.only("support", "small", "beta", "gamma")
    watch.serve("stiff", "support", "small")
    watch.until_alarm("support")
    found = watch.ask("support", "small", "beta", "gamma")
    assert found.verdict is Whose.ENDPOINT
    assert "small (at the same host) moved too" in found.summary
    assert "a same_model control would tell" in found.summary


def test_another_model_name_is_the_providers_own_word(watch: Watch):
    watch.only("support")
    watch.serve("renamed", "support")
    watch.until_alarm("support", Kind.TRIPWIRE)
    found = watch.ask("support")
    assert found.verdict is Whose.PROVIDER
    assert found.summary.startswith(
        "Most likely the provider: the endpoint names another model: m → m-2026-03, since Tue 3 Mar 02:00 UTC."
    )


def test_another_model_name_here_alone_is_this_endpoint(watch: Watch):
    watch.only("support", "azure")
    watch.serve("renamed", "support")
    watch.until_alarm("support", Kind.TRIPWIRE)
    watch.run(n=2)
    found = watch.ask("support", "azure")
    assert found.verdict is Whose.ENDPOINT
    assert "azure (the same model at another host) reports nothing of the kind" in found.summary


def test_a_rollout_that_goes_from_host_to_host_is_told_once_it_arrived(watch: Watch):
    watch.only("support", "azure", "beta")
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    assert watch.ask("support", "azure", "beta").verdict is Whose.ENDPOINT
    watch.run(n=6)
    watch.serve("stiff", "azure")
    watch.until_alarm("azure")
    found = watch.ask("support", "azure", "beta")
    assert found.verdict is Whose.PROVIDER
    assert "later: its own alarm" in found.summary


# ---------------------------------------------------------------- our side


def test_a_frozen_control_that_moves_too_is_our_side(watch: Watch):
    watch.only("support", "own-weights")
    watch.serve("stiff", "support", "own-weights")
    watch.until_alarm("support")
    found = watch.ask("support", "own-weights", controls={"own-weights": Control.FROZEN})
    assert found.verdict is Whose.OURS
    assert found.summary.startswith("Most likely our side: own-weights (frozen) moved too")


def test_a_frozen_target_that_moves_is_our_side(watch: Watch):
    watch.only("support", "own-weights")
    watch.serve("stiff", "own-weights")
    watch.until_alarm("own-weights")
    support = replace(FLEET["support"], controls={"own-weights": Control.FROZEN})
    [incident] = watch.store.incidents()
    found = attribute(
        watch.store,
        FLEET["own-weights"],
        [support, FLEET["own-weights"]],
        kind=Kind.BEHAVIOUR,
        onset_at=incident.onset_at,
        at=watch.now,
    )
    assert found.verdict is Whose.OURS
    assert "own-weights is declared frozen" in found.summary


def test_a_rewriting_proxy_does_not_blame_the_api(watch: Watch):
    watch.only("support", "small", "azure", "beta", "gamma", "own-weights")

    # Everything that leaves by it is rewritten, the frozen weights on this machine are not.
    def shout(name: str, reply: Completion) -> Completion:
        return reply if name == "own-weights" else replace(reply, text=f"NOTICE: {reply.text.upper()} -- filtered")

    watch.endpoints.rewrite = shout
    watch.until_alarm("support")
    for others in (
        ("azure", "beta", "gamma", "own-weights"),
        ("azure",),
        ("own-weights", "beta"),
        ("own-weights",),
        ("small",),
        (),
    ):
        found = watch.ask("support", *others, controls={"own-weights": Control.FROZEN})
        assert found.verdict in {Whose.OURS, Whose.UNKNOWN}, others
    assert watch.ask("support", "azure", "beta", "gamma", "small").verdict is Whose.OURS


def test_a_rewriting_proxy_that_the_settings_name_is_our_side(watch: Watch):
    watch.only("support", "azure")
    watch.endpoints.rewrite = lambda _, reply: replace(reply, text=f"NOTICE: {reply.text.upper()} -- filtered")
    facts = {"driftwatch": "0.5.0", "target.support": "timeout 60", "way out": "ffff"}
    watch.store.note_harness(facts, at=watch.now - timedelta(minutes=30))
    watch.until_alarm("support")
    found = watch.ask("support", "azure")
    assert found.verdict is Whose.OURS
    assert "another proxy, or another way of going out without one, 30 min before the onset" in found.summary


def test_another_version_shortly_before_is_named(watch: Watch):
    watch.only("support")
    watch.serve("stiff", "support")
    watch.store.note_harness({"driftwatch": "0.6.0", "target.support": "timeout 60"}, at=watch.now)
    watch.until_alarm("support")
    found = watch.ask("support")
    assert found.verdict is Whose.OURS
    assert found.summary == "Most likely our side: driftwatch 0.5.0 → 0.6.0, at the onset."


def test_the_targets_own_settings_explain_what_the_same_model_elsewhere_does_not_show(watch: Watch):
    watch.only("support", "azure")
    watch.serve("stiff", "support")
    watch.store.note_harness({"driftwatch": "0.5.0", "target.support": "timeout 20"}, at=watch.now)
    watch.until_alarm("support")
    found = watch.ask("support", "azure")
    assert found.verdict is Whose.OURS
    assert "the settings of support: timeout 60 → 20, at the onset" in found.summary


@pytest.mark.parametrize(
    ("facts", "hours"),
    [
        ({"driftwatch": "0.6.0", "target.support": "timeout 60"}, -12),
        ({"driftwatch": "0.5.0", "target.support": "timeout 60", "target.beta": "timeout 9"}, 0),
        ({"driftwatch": "0.5.0", "target.support": "timeout 60", "suite.shop": "ff"}, 0),
    ],
    ids=["another time", "another target", "what begins a new baseline"],
)
def test_what_the_operator_changed_elsewhere_or_at_another_time_says_nothing(watch: Watch, facts, hours):
    watch.only("support", "azure", "beta")
    watch.store.note_harness(facts, at=watch.now + timedelta(hours=hours))
    watch.serve("stiff", "support", "azure")
    watch.until_alarm("support")
    found = watch.ask("support", "azure", "beta")
    assert found.verdict is Whose.PROVIDER
    assert "nothing that driftwatch records changed on our side around the onset" in texts(found, Whose.UNKNOWN)


def test_a_setting_that_is_new_with_every_run_leaves_open_whose_it_is(watch: Watch):
    watch.only("support", "azure")
    for hour in range(N_QUIET + 8):
        facts = {"driftwatch": "0.5.0", "target.support": f"timeout {hour}"}
        watch.store.note_harness(facts, at=T0 + timedelta(hours=hour, minutes=-5))
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    assert watch.ask("support", "azure").verdict is Whose.UNKNOWN


def test_another_machine_with_every_run_says_nothing(watch: Watch):
    watch.only("support", "azure")
    # Each job of a CI system has another machine.
    for hour in range(N_QUIET + 8):
        facts = {"driftwatch": "0.5.0", "machine": f"{hour}"}
        watch.store.note_harness(facts, at=T0 + timedelta(hours=hour, minutes=-5))
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    found = watch.ask("support", "azure")
    assert found.verdict is Whose.ENDPOINT
    assert any("it changes so often that this says nothing" in text for text in texts(found, Whose.UNKNOWN))


def test_a_feature_that_moves_alone_is_our_side(watch: Watch):
    watch.only("support", "beta", "assistant")
    watch.serve("stiff", "assistant")
    watch.until_alarm("assistant")
    support = replace(FLEET["support"], controls={"assistant": Control.FEATURE})
    found = _about(watch, "assistant", [support, FLEET["assistant"], FLEET["beta"]])
    assert found.verdict is Whose.OURS
    assert "support (the endpoint that the feature asks) did not move" in found.summary


def test_a_feature_that_moves_with_what_it_asks_is_not_the_feature(watch: Watch):
    watch.only("support", "azure", "assistant")
    watch.serve("stiff", "assistant", "support")
    watch.until_alarm("assistant")
    support = replace(FLEET["support"], controls={"assistant": Control.FEATURE, "azure": Control.SAME_MODEL})
    found = _about(watch, "assistant", [support, FLEET["assistant"], FLEET["azure"]])
    assert found.verdict is Whose.ENDPOINT
    assert any("support (the endpoint that the feature asks) moved too" in t for t in texts(found, Whose.ENDPOINT))


def _about(watch: Watch, name: str, fleet: Sequence[Target]) -> Attribution:
    incident = watch.store.incidents(target=name)[0]
    target = next(target for target in fleet if target.name == name)
    return attribute(
        watch.store, target, fleet, kind=incident.kind, onset_at=incident.onset_at, alarm_at=None, at=watch.now
    )


def test_everything_slow_at_once_is_our_side(watch: Watch):
    watch.serve("slow", *FLEET)
    watch.until_alarm("support", Kind.PERFORMANCE)
    found = watch.ask("support", "azure", "small", "beta", "gamma", "delta")
    assert found.verdict is Whose.OURS
    assert "beta, gamma and delta, other models at 3 other hosts, moved in the same hours" in found.summary


def test_slow_here_alone_is_this_endpoint(watch: Watch):
    watch.only("support", "beta", "gamma")
    watch.serve("slow", "support")
    watch.until_alarm("support", Kind.PERFORMANCE)
    assert watch.ask("support", "beta", "gamma").verdict is Whose.ENDPOINT


def test_the_same_model_slow_at_two_hosts_may_be_our_network(watch: Watch):
    watch.only("support", "azure", "beta")
    watch.serve("slow", "support", "azure")
    watch.until_alarm("support", Kind.PERFORMANCE)
    assert watch.ask("support", "azure").verdict is Whose.UNKNOWN
    assert watch.ask("support", "azure", "beta").verdict is Whose.PROVIDER


# ---------------------------------------------------------------- what cannot be told


def test_without_anything_to_compare_with_nothing_is_told_but_what_would_help(watch: Watch):
    watch.only("support")
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    found = watch.ask("support")
    assert found.verdict is Whose.UNKNOWN
    assert found.summary == (
        "Cannot tell: there is no other target to compare it with. To tell next time, add a target with the same "
        "model at another host (`controls: {NAME: same_model}`) and one at another host with weights that nobody "
        "changes (`controls: {NAME: frozen}`)."
    )


def test_a_control_with_too_few_runs_says_nothing_yet(watch: Watch):
    watch.only("support", "azure")
    watch.serve("stiff", "support")
    watch.until_alarm("support", among=("support",))
    found = watch.ask("support", "azure", controls={"azure": Control.SAME_MODEL})
    assert found.verdict is Whose.UNKNOWN
    assert "More runs of azure may tell: `driftwatch report` asks again." in found.summary
    said = "azure (the same model at another host) says nothing: no run since the onset, 2 are needed"
    assert said in texts(found, Whose.UNKNOWN)


def test_a_control_that_is_asked_other_canaries_says_nothing(watch: Watch):
    watch.only("support", "azure")
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    azure = replace(FLEET["azure"], canaries=tuple(replace(c, repeats=3) for c in CANARIES[1:]) + CANARIES[:1])
    found = _about(watch, "support", [FLEET["support"], azure])
    assert found.verdict is Whose.UNKNOWN
    assert any("it is asked other canaries" in text for text in texts(found, Whose.UNKNOWN))


def test_contradictions_are_told_as_such(watch: Watch):
    watch.only("support", "azure", "own-weights")
    watch.serve("stiff", "support", "own-weights")
    watch.until_alarm("support")
    controls = {"own-weights": Control.FROZEN, "azure": Control.SAME_MODEL}
    found = watch.ask("support", "own-weights", "azure", controls=controls)
    assert found.verdict is Whose.UNKNOWN
    assert found.summary.startswith("Cannot tell: own-weights (frozen) moved too")
    assert ", but azure (the same model at another host) did not move" in found.summary


def test_the_same_model_moving_at_one_host_and_not_at_another_cannot_be_told(watch: Watch):
    watch.only("support", "azure", "beta")
    watch.serve("stiff", "support", "azure")
    watch.until_alarm("support")
    controls = {"azure": Control.SAME_MODEL, "beta": Control.SAME_MODEL}
    found = watch.ask("support", "azure", "beta", controls=controls)
    assert found.verdict is Whose.UNKNOWN
    assert "A rollout from host to host looks like this" in found.summary


def test_a_control_that_was_off_before_says_nothing(watch: Watch):
    watch.only("support", "azure")
    watch.serve("stiff", "azure")
    watch.until_alarm("azure")
    watch.run(n=6)
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    found = watch.ask("support", "azure", controls={"azure": Control.SAME_MODEL})
    assert any("it was off already, since" in text for text in texts(found, Whose.UNKNOWN))


def test_a_target_without_any_history_is_no_error(watch: Watch):
    watch.only("support", "azure", "beta")
    found = attribute(
        watch.store,
        replace(FLEET["support"], name="new"),
        [replace(FLEET["beta"], name="newer"), replace(FLEET["azure"], name="newest")],
        kind=Kind.BEHAVIOUR,
        onset_at=T0 - timedelta(days=400),
        at=T0,
    )
    assert found.verdict is Whose.UNKNOWN


# ---------------------------------------------------------------- availability


def test_requests_that_nothing_answers_anywhere_are_our_side(watch: Watch):
    watch.endpoints.down = dict.fromkeys(FLEET, ProviderConnection("no route to host", outcome=Outcome.CONNECTION))
    watch.until_alarm("support", Kind.AVAILABILITY)
    assert watch.ask("support", "azure", "beta", "gamma").verdict is Whose.OURS


def test_errors_that_the_endpoint_answers_are_the_providers(watch: Watch):
    watch.only("support")
    watch.endpoints.down = {"support": ProviderUnavailable("503", outcome=Outcome.UNAVAILABLE)}
    watch.until_alarm("support", Kind.AVAILABILITY)
    found = watch.ask("support")
    assert found.verdict is Whose.PROVIDER
    assert "it answers that it is unavailable (5xx) (12 of 12 failed requests)" in found.summary


def test_no_route_to_one_host_alone_is_this_endpoint(watch: Watch):
    watch.only("support", "beta")
    watch.endpoints.down = {"support": ProviderConnection("reset", outcome=Outcome.CONNECTION)}
    watch.until_alarm("support", Kind.AVAILABILITY)
    assert watch.ask("support", "beta").verdict is Whose.ENDPOINT
    assert watch.ask("support").verdict is Whose.UNKNOWN


def test_a_key_that_is_not_accepted_is_our_side_wherever_it_is_used(watch: Watch):
    watch.only("support", "small", "beta")
    watch.endpoints.down = dict.fromkeys(("support", "small"), ProviderRejected("401", outcome=Outcome.AUTH))
    onset_at = watch.now
    watch.run(n=3)
    fleet = [FLEET[name] for name in ("support", "small", "beta")]
    found = attribute(watch.store, fleet[0], fleet, kind=Kind.AVAILABILITY, onset_at=onset_at, at=watch.now)
    assert found.verdict is Whose.OURS
    assert "the key is not accepted (12 of 12 failed requests)" in found.summary


def test_what_fails_in_another_way_or_now_and_then_says_nothing_of_the_network(watch: Watch):
    watch.only("support", "beta", "gamma")
    watch.endpoints.down = {
        "support": ProviderConnection("reset", outcome=Outcome.CONNECTION),
        "beta": ProviderUnavailable("503", outcome=Outcome.UNAVAILABLE),
        "gamma": ProviderConnection("reset", outcome=Outcome.CONNECTION),
    }
    watch.run()
    del watch.endpoints.down["gamma"]
    watch.run(n=2)
    found = watch.ask("support", "beta", "gamma")
    assert found.verdict is Whose.UNKNOWN
    assert texts(found, Whose.UNKNOWN)[:2] == [
        "beta (another model at another host) says nothing: it fails in another way",
        "gamma (another model at another host) says nothing: 1 of its 3 runs since then failed",
    ]


def test_a_target_that_was_not_asked_since_says_nothing_of_an_outage(watch: Watch):
    watch.only("support")
    watch.endpoints.down = {"support": ProviderConnection("reset", outcome=Outcome.CONNECTION)}
    watch.until_alarm("support", Kind.AVAILABILITY)
    said = "beta (another model at another host) says nothing: 0 runs since then, 2 are needed"
    assert said in texts(watch.ask("support", "beta"), Whose.UNKNOWN)


def test_another_name_at_two_hosts_is_the_providers(watch: Watch):
    watch.only("support", "azure", "beta")
    watch.serve("renamed", "support", "azure")
    watch.until_alarm("support", Kind.TRIPWIRE)
    found = watch.ask("support", "azure", "beta")
    assert found.verdict is Whose.PROVIDER
    assert "azure (the same model at another host) reports the like, since Tue 3 Mar 02:00 UTC" in texts(
        found, Whose.PROVIDER
    )
    said = "beta (another model at another host) says nothing: what an endpoint says of itself is its own"
    assert said in texts(found, Whose.UNKNOWN)


def test_another_name_here_says_nothing_of_a_host_that_was_not_asked_since(watch: Watch):
    watch.only("support")
    watch.serve("renamed", "support")
    watch.until_alarm("support", Kind.TRIPWIRE)
    said = "azure (the same model at another host) says nothing: 0 runs since then, 2 are needed"
    assert said in texts(watch.ask("support", "azure"), Whose.UNKNOWN)


def test_a_control_that_was_added_afterwards_says_nothing(watch: Watch):
    watch.only("support")
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    found = _about(watch, "support", [FLEET["support"], replace(FLEET["azure"], name="azure-2")])
    said = "azure-2 (the same model at another host) says nothing: it had no baseline then"
    assert said in texts(found, Whose.UNKNOWN)


def test_an_incident_that_was_over_long_before_says_nothing(watch: Watch):
    watch.only("support", "azure")
    watch.serve("renamed", "azure")
    watch.until_alarm("azure", Kind.TRIPWIRE)
    watch.serve("stiff", "support")
    watch.until_alarm("support")
    assert watch.ask("support", "azure").verdict is Whose.ENDPOINT


def test_an_incident_of_the_watch_itself_is_our_side(watch: Watch):
    found = attribute(watch.store, FLEET["support"], [], kind=Kind.WATCH_ITSELF, onset_at=watch.now, at=watch.now)
    assert (found.verdict, found.summary) == (Whose.OURS, "Our side: it is about driftwatch itself.")
