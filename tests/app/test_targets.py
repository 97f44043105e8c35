"""From the config to targets: their canaries, their thresholds, and how they are reached."""

from __future__ import annotations

import asyncio

import pytest

from driftwatch.app import upcoming
from driftwatch.domain import Level, Wire
from driftwatch.errors import ConfigError, EmbedderUnavailable
from driftwatch.wiring import build_targets, check_scripts

OTHER_SUITE = """
suite: other
canaries:
  - {id: sum, reason: a sum, prompt: What is 2 + 2?}
"""
HOURLY, DAILY = 8766.0, 365.25
N_KINDS = 2
"""Behaviour and performance are watched by a detector each, and share the budget."""


@pytest.mark.parametrize(
    ("budget", "expected", "words"),
    [
        ("", 175_320, "at most a 10% chance of any false alarm in a year"),
        ("alarm_budget: {false_alarms_per_year: 1}", HOURLY * N_KINDS, "at most one false alarm per year"),
        ("alarm_budget: {false_alarms_per_year: 4}", HOURLY * N_KINDS / 4, "at most 4 false alarms per year"),
        (
            "alarm_budget: {chance_of_any_per_year: 0.1}",
            HOURLY * N_KINDS * 10,
            "at most a 10% chance of any false alarm in a year",
        ),
        (
            "alarm_budget: {scope: fleet}",
            HOURLY * N_KINDS * 3 * 10,
            "at most a 10% chance of any false alarm in a year over all targets together",
        ),
        (
            "alarm_budget: {scope: fleet, chance_of_any_per_year: 0.25}",
            HOURLY * N_KINDS * 3 * 4,
            "at most a 25% chance of any false alarm in a year over all targets together",
        ),
        (
            "alarm_budget: {scope: target, false_alarms_per_year: 0.5}",
            HOURLY * N_KINDS * 2,
            "at most 0.5 false alarms per year",
        ),
    ],
)
def test_the_threshold_is_the_runs_of_a_year_shared_by_kinds_and_by_a_fleet(place, simulated, budget, expected, words):
    settings = place.settings({"a": simulated, "b": simulated, "c": {**simulated, "interval": "1d"}}, budget)
    a, b, c = build_targets(settings)
    assert a.threshold == b.threshold == pytest.approx(expected)
    assert c.threshold == pytest.approx(expected * DAILY / HOURLY), "its own runs of a year"
    assert a.alarm_budget == words


def test_the_false_alarms_of_a_fleet_add_up_to_its_budget(place, simulated):
    settings = place.settings(
        {"a": simulated, "b": {**simulated, "interval": "15m"}},
        "alarm_budget: {scope: fleet, false_alarms_per_year: 2}",
    )
    # Each detector raises at most one false alarm in `threshold` runs on average.
    a_year = sum(N_KINDS * target.runs_per_year / target.threshold for target in build_targets(settings))
    assert a_year == pytest.approx(2.0)


def test_a_target_without_suites_is_asked_every_canary_and_one_with_suites_its_own(place, simulated):
    (place.root / "suites" / "other.yaml").write_text(OTHER_SUITE)
    settings = place.settings({"all": simulated, "one": {**simulated, "suites": ["other"]}})
    everything, one = build_targets(settings)
    assert {canary.id for canary in everything.canaries} == {"shop/capital", "shop/refund", "other/sum"}
    assert [canary.id for canary in one.canaries] == ["other/sum"]


def test_an_unknown_suite_is_refused_with_those_that_exist(place, simulated):
    settings = place.settings({"a": {**simulated, "suites": ["shpo"]}})
    with pytest.raises(ConfigError, match=r"targets\.a\.suites: unknown suite 'shpo'; write one of: shop"):
        build_targets(settings)


def test_owner_and_receivers_reach_the_target(place, simulated):
    settings = place.settings({"a": {**simulated, "owner": "team"}}, "receivers: {me: {type: console}}")
    [target] = build_targets(settings)
    assert (target.owner, target.receivers) == ("team", ("me",))
    assert (target.anchors_wanted, target.calibration_wanted) == (2, 20)


# ---------------------------------------------------------------- how they are reached


def test_targets_of_one_endpoint_share_the_requests_in_flight_of_the_most_careful(place, local, simulated):
    app = place.app(
        {
            "a": {**local, "concurrency": 3},
            "b": {**local, "concurrency": 2, "model": "m-2"},
            "elsewhere": {**local, "base_url": "http://127.0.0.1:9/v1"},
        }
    )
    gates = {name: line.gate for name, line in app.lines.items()}
    app.store.close()
    assert gates["a"] is gates["b"]
    assert gates["a"] is not gates["elsewhere"]
    assert gates["a"].most == 2


def test_another_key_has_a_gate_of_its_own_and_another_header_none(place, local, monkeypatch):
    monkeypatch.setenv("KEY_A", "a")
    monkeypatch.setenv("KEY_B", "b")
    app = place.app(
        {
            "a": {**local, "api_key_env": "KEY_A"},
            "also-a": {**local, "api_key_env": "KEY_A", "timeout": "5s"},
            "b": {**local, "api_key_env": "KEY_B"},
            "still-a": {**local, "api_key_env": "KEY_A", "headers": {"X-Feature": "KEY_B"}},
        }
    )
    gates = {name: line.gate for name, line in app.lines.items()}
    app.store.close()
    assert gates["a"] is gates["also-a"] is gates["still-a"]
    assert gates["a"] is not gates["b"]


def test_headers_tell_keys_apart_where_there_is_no_other(place, local, monkeypatch):
    monkeypatch.setenv("KEY_A", "a")
    monkeypatch.setenv("KEY_B", "b")
    app = place.app({"a": {**local, "headers": {"X-Key": "KEY_A"}}, "b": {**local, "headers": {"X-Key": "KEY_B"}}})
    gates = {name: line.gate for name, line in app.lines.items()}
    app.store.close()
    assert gates["a"] is not gates["b"]


@pytest.mark.parametrize(
    ("common", "one", "other", "is_shared"),
    [
        ({"provider": "anthropic", "api_key_env": "KEY_A"}, {}, {"api_version": "2023-06-01"}, True),
        ({"provider": "openrouter", "api_key_env": "KEY_A"}, {"upstream": "a"}, {"upstream": "b"}, True),
        ({"provider": "bedrock"}, {"region": "eu-central-1"}, {"region": "us-east-1"}, False),
        ({"provider": "bedrock"}, {"profile": "a"}, {"profile": "b"}, False),
        ({"provider": "vertex"}, {"project": "a"}, {"project": "b"}, False),
        ({"provider": "vertex"}, {"project": "a"}, {"project": "a", "location": "europe-west4"}, False),
    ],
)
def test_options_that_choose_the_account_or_the_endpoint_divide_and_others_do_not(
    place, common, one, other, is_shared, monkeypatch
):
    (place.root / "aws").write_text("[profile a]\nregion = eu-central-1\n[profile b]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(place.root / "aws"))
    monkeypatch.setenv("KEY_A", "a")
    app = place.app(
        {"one": {**common, "model": "m", "options": one}, "two": {**common, "model": "m", "options": other}}
    )
    gates = [line.gate for line in app.lines.values()]
    app.store.close()
    assert (gates[0] is gates[1]) is is_shared


def test_a_connection_that_cannot_be_closed_leaves_no_other_open(place, local, monkeypatch):
    app = place.app({"a": local, "b": {**local, "timeout": "5s"}, "c": {**local, "timeout": "6s"}})
    closed = []

    def breaks(name):
        async def aclose():
            closed.append(name)
            raise RuntimeError("torn")

        return aclose

    for name, line in app.lines.items():
        monkeypatch.setattr(line.provider, "aclose", breaks(name))
    with pytest.raises(RuntimeError, match="torn"):
        asyncio.run(app._lines.close())
    app.store.close()
    assert sorted(closed) == ["a", "b", "c"]


def test_targets_of_one_endpoint_share_the_strictest_of_their_limits(place, local):
    app = place.app(
        {
            "a": {**local, "limits": {"requests_per_minute": 60}},
            "b": {**local, "limits": {"requests_per_minute": 30, "tokens_per_minute": 1000}},
        }
    )
    gate = app.lines["a"].gate
    app.store.close()
    assert [sentence for _, _, sentence in gate.rates._ours] == ["30 requests a minute", "1000 tokens a minute"]


def test_targets_that_are_reached_alike_share_their_connections(place, local):
    app = place.app({"a": local, "b": {**local, "model": "m-2"}, "slow": {**local, "timeout": "90s"}})
    providers = {name: line.provider for name, line in app.lines.items()}
    app.store.close()
    assert providers["a"] is providers["b"]
    assert providers["a"] is not providers["slow"]


def test_a_key_and_headers_are_read_when_they_are_used(place, local, endpoint):
    place.env["STUB_ORG"] = "org-1"
    app = place.app({"a": {**local, "api_key_env": "STUB_KEY", "headers": {"X-Org": "STUB_ORG"}}})
    place.env["STUB_KEY"] = "k-later"
    place.use(app, lambda: app.run_due(["a"]))
    assert {request["key"] for request in endpoint.asked} == {"Bearer k-later"}


def test_a_configured_price_comes_before_a_listed_one_and_a_script_costs_nothing(place, local, simulated):
    app = place.app({"a": {**local, "price": {"input": 1.5, "output": 2}}, "b": simulated})
    prices = {name: line.price for name, line in app.lines.items()}
    app.store.close()
    assert (prices["a"].input_usd, prices["a"].output_usd, prices["a"].source) == (1.5, 2.0, "config")
    assert prices["b"].input_usd == prices["b"].output_usd == 0


def test_a_run_has_most_of_its_interval_and_two_minutes_at_least(place, local, simulated):
    app = place.app({"a": local, "b": simulated})
    deadlines = {name: line.deadline_s for name, line in app.lines.items()}
    app.store.close()
    assert deadlines == {"a": 120.0, "b": 0.8 * 3600}


def test_a_wrong_script_is_told_before_anything_is_created(place, simulated):
    (place.root / "script.yaml").write_text("start: nobody\npersonas: {before: {}}\n")
    settings = place.settings({"a": simulated})
    with pytest.raises(ConfigError, match="there is no persona 'nobody'"):
        check_scripts(settings)
    with pytest.raises(ConfigError, match="there is no persona 'nobody'"):
        place.app({"a": simulated})
    assert not (place.root / "watch.db").exists()


def test_scripts_in_order_pass_the_check_and_real_endpoints_have_none(place, simulated, local):
    check_scripts(place.settings({"a": simulated, "b": local}))


def test_an_embedder_that_is_not_there_is_told_and_the_database_released(place, simulated):
    with pytest.raises(EmbedderUnavailable):
        place.app({"a": simulated}, 'embedder: {model: ./nowhere, revision: "1"}')


def test_the_next_run_is_told_as_its_start_or_as_now(place, simulated, at):
    [target] = build_targets(place.settings({"a": simulated}))
    assert upcoming(target, None, at) == at
    assert upcoming(target, at, at).isoformat() == "2026-03-02T13:00:00+00:00"


# ---------------------------------------------------------------- who is told


def test_a_slack_receiver_reads_its_address_when_it_is_used(place, local, endpoint, slack):
    endpoint.status = 500
    app = place.app(
        {"a": local}, "receivers: {oncall: {type: slack, webhook_url_env: HOOK}}\nfailure_threshold: 1", write=None
    )
    place.env["HOOK"] = slack.url
    place.use(app, lambda: app.run_due(["a"]))
    [payload] = slack.payloads
    assert "Cannot measure" in str(payload["text"])


def test_a_console_receiver_prints_to_standard_output_unless_told_otherwise(place, local, endpoint, capsys):
    endpoint.status = 500
    app = place.app({"a": local}, "receivers: {me: {type: console}}\nfailure_threshold: 1", write=None)
    place.use(app, lambda: app.run_due(["a"]))
    assert "Cannot measure" in capsys.readouterr().out
    assert place.lines == []


ROUTED = {"provider": "openrouter", "model": "v/m-1", "api_key_env": "KEY"}


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ({}, Level.NOTICE),
        ({"options": {"upstream": "fireworks"}}, Level.PAGE),
        ({"options": {"upstream": "fireworks"}, "tripwires": {"served_model": "page"}}, Level.PAGE),
        ({"options": {"upstream": "fireworks"}, "tripwires": {"upstream": "notice"}}, Level.NOTICE),
        ({"options": {"upstream": "fireworks"}, "tripwires": "off"}, Level.OFF),
        ({"options": {"quantization": "bf16"}}, Level.NOTICE),
    ],
    ids=str,
)
def test_another_upstream_than_a_pinned_one_pages_unless_the_config_says_otherwise(place, said, level):
    [target] = build_targets(place.settings({"a": {**ROUTED, **said}}))
    assert target.tripwires[Wire.UPSTREAM] is level


def test_how_long_before_a_models_end_it_is_told_is_configured_for_all_targets(place, simulated):
    [target] = build_targets(place.settings({"a": simulated}, "retirement_notice_days: 60"))
    assert target.retirement_notice_days == 60
    assert build_targets(place.settings({"a": simulated}))[0].definition_hash == target.definition_hash
