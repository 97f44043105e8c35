"""What an endpoint takes is found by asking, and every refusal has a next step."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from driftwatch.probes.abilities import MOST_REQUESTS, CannotProbe, find_abilities
from driftwatch.score.channels.label import ONE_WORD_TOKENS

ALL = ("max_tokens", "max_completion_tokens", "temperature", "logprobs")


@pytest.fixture
def abilities(asker_for):
    """``abilities(endpoint)``: what is found out."""

    def run(endpoint, n_requests=100, **changed):
        async def work():
            return await find_abilities(asker_for(endpoint, n_requests, **changed))

        return asyncio.run(work())

    return run


def without(*names):
    return [name for name in ALL if name not in names]


def test_an_endpoint_that_takes_everything_is_known_after_three_requests(abilities, model):
    endpoint = model()
    found = abilities(endpoint)
    assert found.bound == {"max_tokens": 1}
    assert found.greedy == {"temperature": 0}
    assert found.sampling == {"temperature": 1}
    assert found.logprobs == {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 20}
    assert found.logprobs_when_greedy
    assert endpoint.n_requests == 3


@pytest.mark.parametrize("says_why", [True, False])
def test_a_refused_temperature_leaves_sampling_at_the_endpoints_own(abilities, model, says_why):
    found = abilities(model(takes=without("temperature"), says_why=says_why))
    assert (found.bound, found.greedy, found.sampling) == ({"max_tokens": 1}, None, {})
    assert "temperature" not in (found.logprobs or {})
    assert not found.logprobs_when_greedy
    assert any(note.startswith("temperature 0: not taken") for note in found.notes)


@pytest.mark.parametrize("says_why", [True, False])
def test_a_refused_bound_is_tried_under_its_other_name_and_costs_no_temperature(abilities, model, says_why):
    found = abilities(model(takes=without("max_tokens"), says_why=says_why))
    assert found.bound == {"max_completion_tokens": 1}
    assert found.greedy == {"temperature": 0}


def test_the_name_that_the_target_uses_is_tried_first(abilities, model, target):
    endpoint = model()
    used = replace(target, parameters={"max_completion_tokens": 300})
    assert abilities(endpoint, target=used).bound == {"max_completion_tokens": 1}


def test_a_model_that_needs_room_gets_some(abilities, model):
    endpoint = model(least_tokens=4)
    assert abilities(endpoint).bound == {"max_tokens": ONE_WORD_TOKENS}
    assert endpoint.n_requests == 4


def test_a_model_that_thinks_first_has_no_micro_probe(abilities, model):
    endpoint = model(least_tokens=400)
    found = abilities(endpoint)
    assert found.bound == {}
    assert "as those of a model that thinks first" in found.notes[-1]
    assert endpoint.n_requests == 2


def test_an_endpoint_that_takes_no_bound_has_no_micro_probe(abilities, model):
    endpoint = model(takes=["temperature"])
    assert abilities(endpoint).bound == {}
    assert endpoint.n_requests == 4


def test_a_temperature_that_the_config_never_sends_is_not_asked_for(abilities, model, target):
    endpoint = model()
    found = abilities(endpoint, target=replace(target, parameters={"temperature": None}))
    assert found.greedy is None
    assert found.notes[0] == "temperature: the config says never to send it, so border inputs cannot be asked"
    assert all("temperature" not in sent for _, sent in endpoint.asked)


def test_an_endpoint_that_allows_fewer_log_probabilities_is_asked_for_fewer(abilities, model):
    assert abilities(model(most_logprobs=5)).logprobs["top_logprobs"] == 5


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"takes": without("logprobs")}, "logprobs: not taken"),
        ({"most_logprobs": 0}, "logprobs: not taken"),
    ],
)
def test_log_probabilities_that_are_refused_are_not_needed(abilities, model, fields, note):
    found = abilities(model(**fields))
    assert found.logprobs is None
    assert found.notes[-1] == note
    assert found.greedy == {"temperature": 0}


def test_log_probabilities_that_are_silently_left_out_are_not_needed(abilities, model):
    class Silent(model):
        async def complete(self, *arguments, **named):
            return replace(await super().complete(*arguments, **named), logprobs=None)

    assert abilities(Silent()).notes[-1] == "logprobs: asked for and not given"


def test_log_probabilities_after_a_temperature_of_0_are_asked_at_1(abilities, model):
    found = abilities(model(answers_temperature_first=True))
    assert found.logprobs["temperature"] == 1
    assert not found.logprobs_when_greedy


def test_asking_never_takes_more_than_is_stated_nor_more_than_allowed(abilities, model):
    worst = model(takes=["max_completion_tokens"], least_tokens=4, says_why=False)
    abilities(worst)
    assert worst.n_requests <= MOST_REQUESTS
    for n_requests in range(8):
        endpoint = model(most_logprobs=5)
        abilities(endpoint, n_requests)
        assert endpoint.n_requests <= n_requests


def test_an_endpoint_that_does_not_answer_is_left_alone_after_two_requests(abilities, slow):
    with pytest.raises(CannotProbe, match="support: no reply; `driftwatch doctor support` says what to correct"):
        abilities(slow)
    assert slow.n_requests == 2
