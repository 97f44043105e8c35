"""From the settings to targets, connections and prices: nothing a person wrote is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from driftwatch import wiring
from driftwatch.config import Settings, load
from driftwatch.domain import Target
from driftwatch.errors import ConfigError
from driftwatch.providers import PROVIDERS

Configure = Callable[..., Settings]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    def write(target: str, *more: str) -> Settings:
        path = tmp_path / "driftwatch.yaml"
        path.write_text("\n".join([f"targets: {{support: {{{target}}}}}", *more, ""]), encoding="utf-8")
        return load(path, {}, providers=PROVIDERS)

    return write


def build(settings: Settings) -> Target:
    return wiring.target("support", settings.targets["support"], settings, ())


EVERYTHING = (
    "provider: openrouter, model: m/n, options: {upstream: fireworks}, stream: true, timeout: 30s, "
    "connect_timeout: 3s, read_timeout: 9s, proxy_env: WATCH_PROXY, ca_file: ca.pem, requests_per_connection: 4, "
    "headers: {X-Team: TEAM}"
)


def test_a_connection_is_what_the_target_says(configure, tmp_path):
    env = {
        "OPENROUTER_API_KEY": "sk-or-0123",
        "WATCH_PROXY": "http://me:pass@proxy.example.com:3128",
        "TEAM": "team-blue",
    }
    reached = wiring.connection(configure(EVERYTHING).targets["support"], env)

    assert reached.base_url == "https://openrouter.ai/api/v1"
    assert reached.options == {"upstream": "fireworks"}
    assert (reached.timeout_s, reached.connect_timeout_s, reached.read_timeout_s) == (30.0, 3.0, 9.0)
    assert (reached.ca_file, reached.requests_per_connection) == (tmp_path / "ca.pem", 4)
    assert (reached.read_key(), reached.read_proxy(), reached.read_headers()) == (
        "sk-or-0123",
        env["WATCH_PROXY"],
        {"X-Team": "team-blue"},
    )
    assert not any(secret in repr(reached) for secret in env.values())


def test_a_connection_without_a_proxy_leaves_it_to_the_surroundings(configure):
    assert wiring.connection(configure("provider: vllm, model: m").targets["support"], {}).read_proxy() is None


def test_a_target_carries_what_changes_the_question(configure):
    said, silent = build(configure(EVERYTHING)), build(configure("provider: openrouter, model: m/n"))

    assert (said.options, said.stream) == ({"upstream": "fireworks"}, True)
    assert (silent.options, silent.stream) == ({}, False)
    assert said.definition_hash != silent.definition_hash


def test_a_proxy_that_is_not_set_is_told_with_its_target(configure):
    settings = configure("provider: vllm, model: m, proxy_env: WATCH_PROXY")

    with pytest.raises(ConfigError, match=r"driftwatch\.yaml:1: targets\.support: .*WATCH_PROXY is not set; set it"):
        wiring.provider(build(settings), settings, {})


def test_what_a_provider_refuses_is_told_where_it_is_written(configure):
    settings = configure("provider: vllm, model: m, ca_file: nothing.pem")

    with pytest.raises(
        ConfigError, match=r"driftwatch\.yaml:1: targets\.support\.ca_file: no certificates can be read"
    ):
        wiring.provider(build(settings), settings, {})


@pytest.mark.anyio
async def test_a_provider_can_be_tried_without_any_variable_set(configure):
    settings = configure("provider: vllm, model: m, proxy_env: WATCH_PROXY, api_key_env: WATCH_KEY")

    await wiring.provider(build(settings), settings, None).aclose()


# ---------------------------------------------------------------- prices

LISTED = {
    "anthropic": "model: claude-haiku-4-5",
    "azure_openai": "model: gpt-4o-mini, base_url: 'https://x.openai.azure.com/openai/v1'",
    "bedrock": "model: eu.amazon.nova-lite-v1:0",
    "cohere": "model: command-r-08-2024",
    "deepseek": "model: deepseek-chat",
    "gemini": "model: gemini-2.5-flash",
    "groq": "model: llama-3.3-70b-versatile",
    "mistral": "model: mistral-small-latest",
    "openai": "model: gpt-4o-mini",
    "openai_responses": "model: gpt-4o-mini",
    "openrouter": "model: openai/gpt-4o-mini",
    "vertex": "model: gemini-2.5-flash, options: {project: p}",
}


@pytest.mark.parametrize("provider", LISTED)
def test_the_list_price_is_found_under_the_providers_own_name_for_it(configure, provider):
    settings = configure(f"provider: {provider}, {LISTED[provider]}, budget: {{usd_per_day: 1}}")
    price = wiring.price(settings.targets["support"], build(settings))

    assert price is not None
    assert (price.input_usd > 0, price.source.split()[0]) == (True, "genai-prices")


def test_a_vendor_behind_an_address_of_ones_own_charges_all_the_same(configure):
    settings = configure("provider: openai, model: gpt-4o-mini, base_url: 'http://127.0.0.1:4000/v1'")
    price = wiring.price(settings.targets["support"], build(settings))

    assert price is not None
    assert (price.input_usd, price.output_usd) == (0.15, 0.6)


@pytest.mark.parametrize("provider", ["ollama", "vllm", "llama_cpp"])
def test_a_server_of_ones_own_charges_nothing_and_any_cap_in_dollars_holds(configure, provider):
    settings = configure(f"provider: {provider}, model: gpt-4o-mini, budget: {{usd_per_day: 1}}")
    price = wiring.price(settings.targets["support"], build(settings))

    assert price is not None
    assert (price.input_usd, price.output_usd) == (0.0, 0.0)


def test_a_configured_price_wins(configure):
    settings = configure("provider: openai, model: gpt-4o-mini, price: {input: 7, output: 9}")
    price = wiring.price(settings.targets["support"], build(settings))

    assert price is not None
    assert (price.input_usd, price.output_usd, price.source) == (7, 9, "config")


UNPRICED = "provider: openai_compatible, model: m, base_url: 'https://llm.example.com/v1'"


def test_a_cap_in_dollars_that_nobody_could_count_is_refused(configure):
    own = configure(f"{UNPRICED}, budget: {{usd_per_run: 1}}")
    fleet = configure(UNPRICED, "budget: {usd_per_month: 1}")

    with pytest.raises(ConfigError, match=r"yaml:1: targets\.support\.budget\.usd_per_run: cannot be kept"):
        build(own)
    with pytest.raises(
        ConfigError, match=r"yaml:2: budget\.usd_per_month: cannot be kept: nobody knows what m costs at"
    ):
        build(fleet)


@pytest.mark.parametrize("cap", ["requests_per_day: 5", "tokens_per_month: 5"])
def test_caps_in_requests_and_tokens_need_no_price(configure, cap):
    assert build(configure(f"{UNPRICED}, budget: {{{cap}}}")).model == "m"


def test_a_budget_is_no_part_of_the_question(configure):
    bare, capped = build(configure(UNPRICED)), build(configure(f"{UNPRICED}, budget: {{requests_per_day: 5}}"))

    assert replace(bare) == capped
    assert bare.definition_hash == capped.definition_hash


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("{temprature: 1}", "unknown parameter 'temprature'; did you mean 'temperature'?"),
        ("{temperature: hot}", "expected a number from 0 to 2, found the text 'hot'; write 0 for the most repeatable"),
    ],
)
def test_a_target_s_parameters_are_held_to_what_suites_are_held_to(configure, parameters, told):
    settings = configure(f"provider: openai, model: gpt-4o-mini, parameters: {parameters}")

    with pytest.raises(ConfigError) as raised:
        build(settings)

    assert "driftwatch.yaml:1: targets.support.parameters.temp" in str(raised.value)
    assert told in str(raised.value)


def test_a_parameter_set_to_null_is_never_sent_and_held_to_nothing(configure):
    settings = configure("provider: openai, model: gpt-4o-mini, parameters: {temperature: null}")

    assert build(settings).parameters == {"temperature": None}


def test_a_provider_that_chooses_by_its_key_is_opened_for_validation_without_reading_it(configure):
    settings = configure("provider: vertex, model: gemini-2.5-flash, options: {project: p}, api_key_env: GOOGLE_TOKEN")

    wiring.provider(build(settings), settings, None)
