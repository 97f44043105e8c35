"""Discovered probes under the whole watch: quiet on the same weights, an alarm on slightly other ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.canaries import parse_suite
from driftwatch.domain import State
from driftwatch.pipeline import Line, Pipeline
from driftwatch.probes import suite_text
from driftwatch.rebaseline import accept
from driftwatch.replay import Gate, RetryPolicy
from driftwatch.store import Store

AT = datetime(2026, 3, 2, tzinfo=UTC)
BLACK_BOX = ("max_tokens", "temperature")


@pytest.fixture
def watch(find, model, target, tmp_path):
    """``watch(takes, kinds, n)``: an armed watch over what was discovered, as a function that makes one run."""
    store = Store.open(tmp_path / "watch.db")

    def start(takes, kinds, n_probes=6):
        found = find(model(takes=takes), 300, kinds=kinds, n_probes=n_probes)
        suite = parse_suite(suite_text(found, target, seed=1, at=AT), "probes.yaml")
        endpoint = model(takes=takes)
        watched = replace(target, canaries=suite.canaries, threshold=500.0, calibration_wanted=20)
        line = Line(provider=endpoint, gate=Gate(8), retry=RetryPolicy(attempts=1), deadline_s=30.0)
        pipeline = Pipeline(store=store, lines={watched.name: line}, embedder=None)
        slots = iter(AT + timedelta(hours=hour) for hour in range(10**4))

        def run():
            at = next(slots)
            endpoint.asked.clear()
            return asyncio.run(pipeline.run(watched, scheduled_at=at, at=at))

        run.store = store
        return run, endpoint, watched

    yield start
    store.close()


@pytest.mark.parametrize(
    ("takes", "kinds", "channels"),
    [((*BLACK_BOX, "logprobs"), ["border", "logprob"], {"label", "logprob"}), (BLACK_BOX, ["border"], {"label"})],
)
def test_border_inputs_alarm_on_slightly_other_weights_and_only_then(watch, words_of, takes, kinds, channels):
    run, endpoint, watched = watch(takes, kinds)
    for _ in range(21):
        run()
    assert [run().state for _ in range(10)] == [State.STABLE] * 10
    assert endpoint.n_requests == len(watched.canaries), "one request each"
    endpoint.words = lambda prompt: words_of(prompt, 1)
    verdicts = [run() for _ in range(10)]
    assert verdicts[-1].state is State.DRIFTED
    carried = {c.channel: c.value for c in verdicts[-1].channels}
    assert channels <= set(carried)
    assert all(carried[name] > 0 for name in channels)


def test_one_word_prompts_collect_fifty_answers_first_and_five_a_run_then(watch):
    run, endpoint, watched = watch(BLACK_BOX, ["words"])
    first = run()
    assert Counter(prompt for prompt, _ in endpoint.asked) == {c.messages[0].content: 50 for c in watched.canaries}
    assert first.reason == "calibrating: 0 of 20 runs"
    for _ in range(20):
        run()
    verdict = run()
    assert Counter(prompt for prompt, _ in endpoint.asked) == {c.messages[0].content: 5 for c in watched.canaries}
    assert verdict.state is State.STABLE
    [label] = [c for c in verdict.channels if c.channel == "label"]
    assert 0.05 < label.calibration_mean < 0.4, "five answers are never quite the fifty"


def test_accepting_other_answers_takes_as_many_of_each_probe_as_it_wants(watch, words_of):
    run, endpoint, watched = watch(BLACK_BOX, ["words"], n_probes=2)
    for _ in range(22):
        run()
    since = AT + timedelta(hours=22)
    endpoint.words = lambda prompt: words_of(prompt, 3)
    for _ in range(31):
        run()
    accepted = accept(
        run.store,
        watched,
        None,
        canary_ids=(),
        since=since,
        author="ana",
        reason="announced",
        at=since + timedelta(hours=40),
    )
    anchors = run.store.anchors(accepted.baseline.id)
    assert {canary_id: len(those) for canary_id, those in anchors.items()} == {c.id: 50 for c in watched.canaries}
    assert (accepted.n_anchor_runs, accepted.n_calibration) == (10, 21), "five answers a run; the rest calibrates"
    assert accepted.missing_runs == 0
