"""Within the budget, and no further: what is found is near a tie, varies, or tells log-probabilities."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from driftwatch.canaries import parse_suite
from driftwatch.probes import KINDS, suite_text
from driftwatch.probes.search import BEST_VARIETY, MAX_GAP_NATS, VARIETY
from driftwatch.replay import Gate, RetryPolicy, replay
from driftwatch.score import Reference, score
from driftwatch.score.channels.label import is_one_word, label_of

AT = datetime(2026, 3, 2, tzinfo=UTC)
BLACK_BOX = ("max_tokens", "temperature")


def gap(told) -> float:
    first, second = sorted(told.values(), reverse=True)[:2]
    return first - second


def of_kind(found, kind):
    return [probe for probe in found.probes if probe.kind == kind]


def test_with_log_probabilities_the_nearest_ties_of_all_prompts_asked_are_found(find, model, words_of):
    endpoint = model()
    found = find(endpoint, 120)
    border = of_kind(found, "border")
    asked = {prompt for prompt, sent in endpoint.asked if sent.get("top_logprobs")}
    nearest = sorted(gap(words_of(prompt)) for prompt in asked)[:8]
    assert len(border) == 8
    assert [probe.gap_nats for probe in border] == pytest.approx(nearest)
    assert found.n_candidates > 90


def test_without_them_repeated_answers_find_prompts_that_are_nearer_than_chance(find, model, words_of):
    endpoint = model(takes=BLACK_BOX)
    found = find(endpoint, 400, n_probes=4)
    border = of_kind(found, "border")
    assert border
    mean_gap = math.fsum(gap(words_of(probe.prompt)) for probe in border) / len(border)
    every = {prompt for prompt, _ in endpoint.asked}
    typical = math.fsum(gap(words_of(prompt)) for prompt in every) / len(every)
    assert mean_gap < 0.5 * typical
    assert found.n_candidates > 20


@pytest.mark.parametrize("takes", [BLACK_BOX, (*BLACK_BOX, "logprobs"), ("max_tokens",), ("max_tokens", "logprobs")])
@pytest.mark.parametrize("n_requests", [1, 5, 17, 40, 41, 64, 200, 333])
@pytest.mark.parametrize("n_probes", [1, 8])
def test_the_budget_is_never_exceeded(find, model, takes, n_requests, n_probes):
    endpoint = model(takes=takes)
    found = find(endpoint, n_requests, n_probes=n_probes)
    assert found.n_requests == endpoint.n_requests <= n_requests


@pytest.mark.parametrize("takes", [BLACK_BOX, (*BLACK_BOX, "logprobs")])
def test_most_of_a_budget_is_used(find, model, takes):
    assert find(model(takes=takes), 200).n_requests > 150


def test_border_inputs_are_within_reach_of_a_flip_and_kept_in_order(find, model):
    border = of_kind(find(model(), 200), "border")
    gaps = [probe.gap_nats for probe in border]
    assert gaps == sorted(gaps)
    assert all(0 <= each <= MAX_GAP_NATS for each in gaps)


def test_a_tie_of_two_spellings_of_one_answer_is_no_border(find, model):
    endpoint = model(words=lambda _: {"Heads": -0.7, "heads": -0.7, "tails": -9.0})
    assert of_kind(find(endpoint, 60), "border") == []


def test_one_word_prompts_vary_about_as_three_even_answers_do_and_are_other_prompts(find, model, words_of):
    found = find(model(), 200)
    words = of_kind(found, "words")
    assert words
    varieties = [1 - math.fsum(math.exp(2 * told) for told in words_of(probe.prompt).values()) for probe in words]
    assert all(VARIETY[0] - 1e-9 <= variety <= VARIETY[1] + 1e-9 for variety in varieties)
    distances = [abs(variety - BEST_VARIETY) for variety in varieties]
    assert distances == sorted(distances)
    assert all(probe.parameters == {"max_tokens": 1, "temperature": 1} for probe in words)
    assert all((probe.repeats, probe.anchors) == (5, 50) for probe in words)
    assert {probe.prompt for probe in words}.isdisjoint(probe.prompt for probe in of_kind(found, "border"))


def test_log_probabilities_ride_along_with_border_inputs_and_need_no_request_of_their_own(find, model):
    found = find(model(), 200)
    assert of_kind(found, "logprob") == []
    assert all(probe.parameters["logprobs"] is True for probe in of_kind(found, "border"))


def test_where_they_cannot_they_get_probes_of_their_own(find, model):
    for endpoint in (model(answers_temperature_first=True), model(takes=("max_tokens", "logprobs"))):
        found = find(endpoint, 100)
        assert all("logprobs" not in probe.parameters for probe in of_kind(found, "border"))
        alone = of_kind(found, "logprob")
        assert alone
        assert all(probe.parameters["logprobs"] is True for probe in alone)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_kinds_that_are_wanted_are_found(find, model, kind):
    found = find(model(), 100, kinds=[kind])
    assert {probe.kind for probe in found.probes} == {kind}
    if kind != "logprob":
        assert all("logprobs" not in probe.parameters for probe in found.probes)


def test_without_temperature_there_are_no_border_inputs_but_one_word_prompts(find, model):
    found = find(model(takes=["max_tokens"]), 200)
    assert {probe.kind for probe in found.probes} == {"words"}
    assert all("temperature" not in probe.parameters for probe in found.probes)


def test_an_endpoint_that_wavers_at_temperature_0_gets_more_repeats(find, model):
    class Wavering(model):
        async def complete(self, target, canary, *, repeat, at):
            reply = await super().complete(target, canary, repeat=repeat, at=at)
            is_greedy = target.parameters_for(canary).get("temperature") == 0
            return replace(reply, text=("Heads", "Tails")[repeat % 2]) if is_greedy else reply

    border = of_kind(find(Wavering(), 100), "border")
    assert border
    assert all((probe.repeats, probe.anchors) == (5, 50) for probe in border)
    assert "both came at temperature 0" in border[0].reason


def test_a_model_that_always_answers_the_same_has_no_probe(find, model):
    for takes in (BLACK_BOX, (*BLACK_BOX, "logprobs")):
        endpoint = model(takes=takes, words=lambda _: {"Heads": -1e-6, "Tails": -14.0})
        found = find(endpoint, 100, kinds=["border", "words"])
        assert found.probes == ()
        assert found.trouble is None


def test_nothing_is_searched_on_a_model_that_thinks_first(find, model):
    endpoint = model(least_tokens=400)
    assert find(endpoint, 200).probes == ()
    assert endpoint.n_requests == 2


def test_an_endpoint_that_goes_down_costs_one_batch_and_keeps_what_was_found(find, model):
    endpoint = model(ends_after=60)
    found = find(endpoint, 400)
    assert found.trouble == "it is down"
    assert endpoint.n_requests <= 60 + 32
    assert of_kind(found, "border")


def test_the_same_seed_finds_the_same_and_another_seed_others(find, model):
    first, again, other = (find(model(), 100, seed=seed).probes for seed in (3, 3, 4))
    assert first == again
    assert {probe.prompt for probe in first} != {probe.prompt for probe in other}


# ---------------------------------------------------------------- the suite


@pytest.mark.parametrize("takes", [BLACK_BOX, (*BLACK_BOX, "logprobs"), ("max_tokens",)])
def test_what_is_written_is_a_suite_with_exactly_the_probes_found(find, model, target, takes):
    found = find(model(takes=takes), 150)
    suite = parse_suite(suite_text(found, target, seed=1, at=AT), "probes.yaml")
    assert suite.name == "probes-support"
    assert [c.messages[0].content for c in suite.canaries] == [
        probe.prompt for kind in KINDS for probe in of_kind(found, kind)
    ]
    for canary, probe in zip(suite.canaries, [p for kind in KINDS for p in of_kind(found, kind)], strict=True):
        assert (canary.parameters, canary.repeats, canary.anchors) == (probe.parameters, probe.repeats, probe.anchors)
        assert is_one_word(target, canary)
        is_gap_known = probe.gap_nats is not None
        assert is_gap_known is ("logprobs" in takes)
        if probe.kind == "border":
            assert (" nats apart by their log-probabilities" in canary.reason) is is_gap_known
            assert ("came, in " in canary.reason) is not is_gap_known
        else:
            assert "differ" in canary.reason


def test_requests_that_are_left_over_are_explained(find, model):
    same = find(model(takes=BLACK_BOX, words=lambda _: {"Heads": -1e-6, "Tails": -14.0}), 150)
    assert same.n_requests < 150
    assert same.unspent == "they were kept to confirm 8 border inputs at temperature 0, and 0 were found"
    few = find(model(takes=BLACK_BOX), 150)
    assert few.n_requests < 150
    assert few.unspent == "they are too few for one more round of answers"
    assert find(model(), 100, kinds=["words"]).unspent == "prompts that came up twice were asked once"
    none = find(model(takes=BLACK_BOX), 100, kinds=["logprob"])
    assert none.unspent == "nothing more of what is wanted can be asked of this endpoint"


def test_what_an_endpoint_says_cannot_break_the_file(find, model, target):
    evil = 'x"\n#: {boom}\u2028'
    endpoint = model(words=lambda _: {evil: -0.7, "b": -0.7})
    found = find(endpoint, 60)
    suite = parse_suite(suite_text(found, target, seed=1, at=AT), "probes.yaml")
    assert label_of(evil) in suite.canaries[0].reason


def test_the_probes_found_tell_other_weights_apart_and_are_silent_about_the_same(find, model, target, words_of):
    found = find(model(), 300)
    suite = parse_suite(suite_text(found, target, seed=1, at=AT), "probes.yaml")
    watched = replace(target, canaries=tuple(c for c in suite.canaries if "border" in c.id))

    def replies(weights: int, n: int):
        endpoint = model(words=lambda prompt: words_of(prompt, weights))

        async def work():
            return await replay(
                watched, endpoint, at=AT, gate=Gate(4), retry=RetryPolicy(attempts=1), deadline_s=9.0, repeats=n
            )

        return asyncio.run(work())

    anchors = {canary.id: [c for c in replies(0, 8) if c.canary_id == canary.id] for canary in watched.canaries}
    reference = Reference.from_anchors(watched, anchors, None)
    before, after = ({s.channel: s.value for s in score(reference, replies(weights, 1))} for weights in (0, 1))
    assert (before["label"], before["logprob"]) == (0.0, 0.0)
    assert after["label"] > 0.25
    assert 0.02 < after["logprob"] < 0.2
