"""What a good configuration comes to: defaults, inheritance, paths, folders, the places it is looked for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from driftwatch.config import Settings, TargetSettings, load, locate
from driftwatch.config.provider_rules import OTHER_NAMES
from driftwatch.config.receivers import ConsoleReceiver, SlackReceiver
from driftwatch.errors import ConfigError
from driftwatch.providers import PROVIDERS

ROOT = Path(__file__).parent.parent.parent


def test_the_shipped_example_loads_without_any_variable_set() -> None:
    settings = load(ROOT / "config" / "driftwatch.yaml", {}, providers=PROVIDERS)
    assert set(settings.targets) == {"support", "local"}
    assert isinstance(settings.receivers["oncall"], SlackReceiver)
    assert settings.canaries == (ROOT / "canaries",)


def test_the_shipped_example_names_every_key_that_there_is() -> None:
    """A key that the example does not show is a key that nobody finds."""
    from driftwatch.config.translation import SECTIONS  # noqa: PLC0415 - used here only

    pages = ("config/driftwatch.yaml", "docs/receivers.md", "docs/alerts.md")
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
    keys = {field.alias or name for section in SECTIONS.values() for name, field in section.model_fields.items()}
    for_simulations_and_proxies = {"simulation", "script"}
    twins_of_shown_keys = {f"{name}_file" for name in _secrets(keys) if f"{name}_env:" in text}
    assert {key for key in keys if f"{key}:" not in text} - twins_of_shown_keys == for_simulations_and_proxies


def _secrets(keys: set[str]) -> set[str]:
    return {key.removesuffix("_env") for key in keys if key.endswith("_env")}


def test_the_shipped_example_names_every_provider() -> None:
    text = (ROOT / "config" / "driftwatch.yaml").read_text(encoding="utf-8")
    assert [name for name in PROVIDERS if not re.search(rf"\b{name}\b", text)] == []


def test_no_provider_is_called_by_another_name() -> None:
    assert not set(OTHER_NAMES) & set(PROVIDERS)
    for said in OTHER_NAMES.values():
        named = re.findall(r"'(\w+)'|provider: (\w+)", said)
        assert {one or other for one, other in named} <= set(PROVIDERS)


def test_a_target_of_two_keys_gets_every_default(load_text, target, tmp_path) -> None:
    settings = load_text(target)
    support = settings.targets["support"]
    assert (support.base_url, support.api_key_env) == ("https://api.openai.com/v1", "OPENAI_API_KEY")
    assert (support.interval_s, support.jitter_s, support.timeout_s) == (3600.0, 360.0, 60.0)
    assert (support.repeats, support.concurrency, support.attempts) == (1, 4, 3)
    assert (support.suites, support.receivers, support.parameters, support.headers) == ((), (), {}, {})
    assert settings.alarm_budget.chance_of_any_per_year == 0.1
    assert (settings.alarm_budget.false_alarms_per_year, settings.alarm_budget.scope) == (None, "target")
    assert support.burst
    assert support.tripwires.model_dump() == {
        "served_model": "page",
        "fingerprint": "notice",
        "upstream": "notice",
        "input_tokens": "notice",
        "errors": "notice",
        "deprecation": "notice",
        "retirement": "notice",
    }
    assert (settings.failure_threshold, settings.retention_days) == (3, 90)
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8077)
    assert (settings.embedder.model, settings.embedder.revision) == ("all-MiniLM-L6-v2", None)
    assert settings.store == tmp_path / "driftwatch.db"
    assert settings.file == tmp_path / "driftwatch.yaml"
    assert settings.simulation is None


def test_settings_do_not_change_after_loading(load_text, target) -> None:
    settings = load_text(target)
    with pytest.raises(ValidationError):
        settings.targets["support"].model = "another"


def test_settings_made_in_code_have_a_file_all_the_same() -> None:
    targets = {"support": TargetSettings(provider="openai", model="gpt-4o-mini", interval_s=600)}
    settings = Settings(targets=targets)
    assert (settings.file, settings.targets["support"].jitter_s) == (Path("driftwatch.yaml"), 60.0)


def test_a_number_of_alarms_takes_the_place_of_the_default_budget(load_text, target) -> None:
    budget = load_text(f"{target}alarm_budget: {{false_alarms_per_year: 2, scope: fleet}}\n").alarm_budget
    assert (budget.false_alarms_per_year, budget.chance_of_any_per_year, budget.scope) == (2, None, "fleet")


@pytest.mark.parametrize("level", ["page", "notice", "off"])
def test_one_word_sets_every_tripwire(load_text, target, level: str) -> None:
    tripwires = load_text(f"{target}    tripwires: {level}\n").targets["support"].tripwires
    assert set(tripwires.model_dump().values()) == {level}


def test_a_tripwire_that_is_not_named_keeps_its_default(load_text, target) -> None:
    tripwires = load_text(f"{target}    tripwires: {{fingerprint: page}}\n").targets["support"].tripwires
    assert (tripwires.fingerprint, tripwires.served_model, tripwires.errors) == ("page", "page", "notice")


def test_bursts_and_tripwires_are_switched_for_all_targets_in_one_place(load_text, target) -> None:
    support = load_text(f"{target}defaults: {{burst: false, tripwires: off}}\n").targets["support"]
    assert (support.burst, support.tripwires.served_model) == (False, "off")


@pytest.mark.parametrize(
    ("interval_s", "runs"),
    [(60, 168), (3600, 168), (7200, 84), (6 * 3600, 28), (86_400, 20), (7 * 86_400, 20)],
)
def test_calibration_is_a_week_of_runs_within_bounds(load_text, target, interval_s: int, runs: int) -> None:
    assert load_text(target).baseline.calibration_runs_for(interval_s) == runs


def test_a_stated_number_of_calibration_runs_holds_at_every_interval(load_text, target) -> None:
    baseline = load_text(f"{target}baseline: {{calibration_runs: 500}}\n").baseline
    assert {baseline.calibration_runs_for(60), baseline.calibration_runs_for(86_400)} == {500}


def test_defaults_reach_every_target_and_give_way_to_its_own_keys(load_text) -> None:
    targets = load_text(
        "defaults: {provider: openai, interval: 2h, parameters: {temperature: 0, seed: 7}}\n"
        "targets:\n  one: {model: a}\n  two: {model: b, interval: 30m, parameters: {temperature: 1}}\n"
    ).targets
    assert (targets["one"].interval_s, targets["one"].parameters) == (7200.0, {"temperature": 0, "seed": 7})
    assert (targets["two"].interval_s, targets["two"].parameters) == (1800.0, {"temperature": 1})
    assert targets["two"].jitter_s == 180.0


def test_a_targets_own_key_source_keeps_the_default_one_out(load_text, tmp_path) -> None:
    support = load_text(
        "defaults: {api_key_env: SHARED_KEY}\n"
        "targets:\n  support: {provider: openai, model: a, api_key_file: keys/openai}\n"
    ).targets["support"]
    assert (support.api_key_env, support.api_key_file) == (None, tmp_path / "keys" / "openai")


def test_a_local_endpoint_needs_no_key(load_text) -> None:
    local = load_text(
        "targets:\n  local: {provider: openai_compatible, model: m, base_url: 'http://127.0.0.1:8000/v1/'}\n"
    ).targets["local"]
    assert (local.api_key_env, local.base_url) == (None, "http://127.0.0.1:8000/v1")


def test_a_target_that_names_no_receiver_tells_all_and_an_empty_list_tells_nobody(load_text) -> None:
    settings = load_text(
        "targets:\n  loud: {provider: openai, model: a}\n  quiet: {provider: openai, model: a, receivers: []}\n"
        "receivers:\n  screen: {type: console}\n  oncall: {type: slack, webhook_url_env: HOOK}\n"
    )
    assert settings.targets["loud"].receivers == ("screen", "oncall")
    assert settings.targets["quiet"].receivers == ()
    assert isinstance(settings.receivers["screen"], ConsoleReceiver)


def test_the_mistake_of_an_inherited_key_is_told_once_and_where_it_stands(load_text) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(
            "defaults: {provider: openai, repeats: 0, api_key: hunter2}\ntargets:\n  a: {model: x}\n  b: {model: y}\n"
        )
    assert [line.split(": ")[1] for line in str(refused.value).splitlines()] == ["defaults.api_key", "defaults.repeats"]


def test_a_receiver_with_a_bad_name_is_one_mistake(load_text, target) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(f"{target}receivers:\n  on call: {{type: console}}\n")
    assert refused.value.key == "receivers.on call"


def test_a_simulation_runs_in_utc_and_may_be_fast(load_text) -> None:
    settings = load_text(
        "targets:\n  demo: {provider: simulated, model: m, script: demo.yaml, interval: 10s, jitter: 0}\n"
        "simulation: {start: '2026-01-05T02:00:00+02:00', end: 2026-01-26T00:00:00Z}\n"
    )
    assert settings.simulation is not None
    assert settings.simulation.start == datetime(2026, 1, 5, tzinfo=UTC)
    assert settings.simulation.start.tzinfo is UTC
    assert (settings.targets["demo"].interval_s, settings.targets["demo"].jitter_s) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("'off'", ("off", None, True)),
        ("off", ("off", None, True)),
        ("{model: org/name, revision: v1}", ("org/name", "v1", False)),
        ("{}", ("all-MiniLM-L6-v2", None, False)),
    ],
)
def test_an_embedder_is_bundled_off_or_pinned(load_text, target, written, expected) -> None:
    embedder = load_text(f"{target}embedder: {written}\n").embedder
    assert (embedder.model, embedder.revision, embedder.is_off) == expected


def test_null_is_a_value_of_a_parameter_only(load_text, target) -> None:
    settings = load_text(f"{target}    parameters: {{stop: null, extra: [null, true]}}\n")
    assert settings.targets["support"].parameters == {"stop": None, "extra": [None, True]}


def test_any_provider_is_taken_when_the_caller_does_not_know_them(load_text) -> None:
    assert load_text("targets:\n  a: {provider: of_tomorrow, model: b}\n").targets["a"].provider == "of_tomorrow"


# ------------------------------------------------------------------ paths


def test_paths_are_relative_to_the_file_that_names_them(write, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setenv("HOME", "/home/somebody")
    write(
        "defaults: {script: scripts/demo.yaml}\n"
        "targets:\n  demo: {provider: simulated, model: m, api_key_file: ~/key}\n"
        "receivers:\n  oncall: {type: slack, webhook_url_file: hook}\n"
        "store: ../state/watch.db\ncanaries: [core.yaml, /srv/canaries]\nembedder: {model: ./minilm, revision: v1}\n",
        "etc/driftwatch.yaml",
    )
    settings = load(tmp_path / "etc" / "driftwatch.yaml", {})
    etc = tmp_path / "etc"
    assert settings.store == etc / ".." / "state" / "watch.db"
    assert settings.canaries == (etc / "core.yaml", Path("/srv/canaries"))
    assert settings.targets["demo"].script == etc / "scripts" / "demo.yaml"
    assert settings.targets["demo"].api_key_file == Path("/home/somebody/key")
    assert settings.receivers["oncall"].webhook_url_file == etc / "hook"
    assert settings.embedder.model == str(etc / "minilm")


@pytest.mark.parametrize(("folder", "expected"), [("canaries", "canaries"), ("etc/canaries", "etc/canaries")])
def test_canaries_are_found_beside_the_file_or_one_folder_up(write, target, tmp_path, folder, expected) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert load(write(target, "etc/driftwatch.yaml"), {}).canaries == (tmp_path / expected,)


# ------------------------------------------------------------------ folders of files


def test_the_files_of_a_folder_merge(write, target, tmp_path) -> None:
    write(f"{target}log: {{level: debug}}\n", "conf/a.yaml")
    write("targets:\n  billing: {provider: openai, model: b}\nlog: {format: json}\n", "conf/b.yaml")
    write("receivers:\n  oncall: {type: console}\n", "conf/c.yml")
    write("nonsense", "conf/.#a.yaml")
    write("nonsense", "conf/notes.txt")
    settings = load(tmp_path / "conf", {})
    assert list(settings.targets) == ["support", "billing"]
    assert settings.targets["billing"].receivers == ("oncall",)
    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert (settings.file, settings.store) == (tmp_path / "conf", tmp_path / "conf" / "driftwatch.db")


@pytest.mark.parametrize(
    ("text", "line", "key", "first_line"),
    [
        ("targets:\n  support: {owner: me}\n", 2, "targets.support", 2),
        ("receivers:\n  oncall: {type: console}\n", 2, "receivers.oncall", 6),
        ("retention_days: 30\n", 1, "retention_days", 7),
        ("log:\n  level: info\n", 2, "log.level", 9),
        ("log: info\n", 1, "log", 8),
        ("canaries: [more]\n", 1, "canaries", 10),
    ],
)
def test_what_two_files_define_is_refused_with_both_places(conf, text, line, key, first_line) -> None:
    (conf / "b.yaml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(conf, {})
    first = f"conf/a.yaml:{first_line}"
    assert f"conf/b.yaml:{line}: {key}: also defined in {first}; keep it in one of the two files" == str(refused.value)


@pytest.fixture
def conf(write, target, tmp_path, monkeypatch) -> Path:
    """A folder with one file in it, named relative to the working folder."""
    rest = "receivers:\n  oncall: {type: console}\nretention_days: 30\nlog:\n  level: info\ncanaries: [core]\n"
    write(target + rest, "conf/a.yaml")
    monkeypatch.chdir(tmp_path)
    return Path("conf")


def test_every_broken_file_of_a_folder_is_told(write, tmp_path, monkeypatch) -> None:
    write("a: 'b\n", "conf/a.yaml")
    write("", "conf/b.yaml")
    (tmp_path / "conf" / "c.yaml").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        load(Path("conf"), {})
    assert str(refused.value).splitlines() == [
        "conf/a.yaml:1: a quote is not closed; close it on the same line",
        "conf/b.yaml: the file is empty; run `driftwatch init` for one to start from",
        "conf/c.yaml: cannot be read (Is a directory); make it readable for this user",
    ]


def test_a_folder_without_files_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"a folder without \*\.yaml files; run `driftwatch init`"):
        load(tmp_path, {})


# ------------------------------------------------------------------ where it is looked for


def test_the_places_are_tried_in_order(write, target, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(target, "config/driftwatch.yaml")
    assert locate(None, {}) == Path("config/driftwatch.yaml")
    write(target)
    assert locate(None, {"DRIFTWATCH_CONFIG": ""}) == Path("driftwatch.yaml")
    assert locate(None, {"DRIFTWATCH_CONFIG": "named.yaml"}) == Path("named.yaml")
    assert locate(Path("given.yaml"), {"DRIFTWATCH_CONFIG": "named.yaml"}) == Path("given.yaml")


def test_without_a_configuration_the_way_to_one_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        load(None, {"DRIFTWATCH_CONFG": "x.yaml"})
    assert str(refused.value).splitlines() == [
        (
            "no configuration: neither ./driftwatch.yaml nor ./config/driftwatch.yaml exists; "
            "run `driftwatch init`, or name one with --config or DRIFTWATCH_CONFIG"
        ),
        "environment: DRIFTWATCH_CONFG: unknown variable; did you mean DRIFTWATCH_CONFIG?",
    ]


def test_a_missing_file_is_one_sentence() -> None:
    with pytest.raises(ConfigError) as refused:
        load(Path("nowhere/driftwatch.yaml"), {})
    expected = "nowhere/driftwatch.yaml: no such file; name a file that exists, or run `driftwatch init`"
    assert expected == str(refused.value)


def test_a_name_that_no_file_can_have_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(File name too long\); make it readable for this user"):
        load(Path("x" * 300), {})


def test_a_folder_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, {})
    assert f"{tmp_path}: cannot be read (Permission denied); make it readable for this user" == str(refused.value)


def test_receivers_that_are_no_mapping_are_one_mistake(load_text, target) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(f"{target}    receivers: [oncall]\nreceivers: [oncall]\n")
    assert refused.value.key == "receivers"


# ------------------------------------------------------------------ hostile files


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: " + "[" * 500, "nested too deeply"),
        ("a: &a [0,0,0,0,0,0,0,0,0,0]\n" + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcde", "bcdef", strict=True)
        ), "too many or too deep values"),
        (f"retention_days: {'9' * 5000}\n", "not a number"),
        (f"retention_days: 0x{'f' * 5000}\n", "not a number that JSON carries"),
        ("retention_days: !!int many\n", "not a number"),
        ("# " + "x" * (1 << 20), "larger than 1 MiB"),
        ("canaries: [core, ~]\n", "canaries[1]: has no value"),
        ("canaries: !!set {core}\n", "a YAML tag (!…) that is not supported"),
        ("a: &x 1\nb: &x 2\n", "unknown key"),
        ("%YAML 1.1\n%FOO\n%YAML 1.1\n---\na: 1\n", "not YAML"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_in_a_moment(load_text, text, problem) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(text)
    assert problem in str(refused.value)
    assert "fffff" not in str(refused.value)


def test_a_byte_order_mark_is_no_mistake(write, target) -> None:
    assert load(write("\ufeff" + target), {}).targets["support"].model == "gpt-4o-mini"


def test_importing_the_configuration_stays_light() -> None:
    heavy = "{'torch', 'scipy', 'numpy', 'httpx', 'sqlmodel', 'sqlalchemy', 'starlette'}"
    code = f"import sys, driftwatch.config; sys.exit(', '.join({heavy} & sys.modules.keys()))"
    finished = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert finished.stderr.strip() == ""


# ------------------------------------------------------------------ providers


def _least(name: str) -> str:
    """The shortest config of a provider: name and model, and what only the config can say."""
    entry = PROVIDERS[name]
    required = {key: option.example for key, option in entry.options.items() if option.is_required}
    lines = [f"provider: {name}", "model: m"]
    if entry.needs_base_url:
        lines.append("base_url: https://api.example.com/v1")
    if required:
        lines.append(f"options: {json.dumps(required)}")
    return "targets:\n  t:\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize("name", sorted(set(PROVIDERS) - {"simulated"}))
def test_provider_and_model_are_enough_where_the_provider_knows_the_rest(load_text, name) -> None:
    entry, target = PROVIDERS[name], load_text(_least(name)).targets["t"]
    assert target.api_key_env == entry.key_env
    assert target.base_url == (entry.base_url or ("https://api.example.com/v1" if entry.needs_base_url else None))


def test_an_identity_takes_the_place_of_the_key(load_text) -> None:
    keys = "provider: azure_openai, model: m, base_url: 'https://x.openai.azure.com'"
    text = f"targets:\n  t: {{{keys}, options: {{auth: %s}}}}\n"
    assert load_text(text % "entra").targets["t"].api_key_env is None
    assert load_text(text % "api_key").targets["t"].api_key_env == "AZURE_OPENAI_API_KEY"


def test_what_is_not_said_about_connections_and_money(load_text, target) -> None:
    settings = load_text(target)
    support = settings.targets["support"]
    assert (support.connect_timeout_s, support.read_timeout_s, support.requests_per_connection) == (10.0, None, 16)
    assert (support.proxy_env, support.ca_file, support.options, support.stream) == (None, None, {}, False)
    assert (support.limits.requests_per_minute, support.limits.tokens_per_minute) == (None, None)
    assert (support.budget.caps, settings.budget.caps, settings.retirement_notice_days) == ({}, {}, 30)


def test_what_is_said_about_connections_and_money(load_text, target, tmp_path) -> None:
    settings = load_text(
        f"{target}    connect_timeout: 3s\n    read_timeout: 20s\n    requests_per_connection: 0\n"
        "    proxy_env: WATCH_PROXY\n    ca_file: ca.pem\n    stream: true\n"
        "    limits: {requests_per_minute: 30, tokens_per_minute: 9000}\n"
        "    budget: {usd_per_run: 0.1, requests_per_day: 100, tokens_per_month: 1000000}\n"
        "budget: {usd_per_month: 50}\nretirement_notice_days: 60\n"
    )
    support = settings.targets["support"]
    assert (support.connect_timeout_s, support.read_timeout_s, support.requests_per_connection) == (3.0, 20.0, 0)
    assert (support.proxy_env, support.ca_file, support.stream) == ("WATCH_PROXY", tmp_path / "ca.pem", True)
    assert (support.limits.requests_per_minute, support.limits.tokens_per_minute) == (30, 9000)
    assert support.budget.caps == {"requests_per_day": 100, "tokens_per_month": 1_000_000, "usd_per_run": 0.1}
    assert (settings.budget.caps, settings.retirement_notice_days) == ({"usd_per_month": 50}, 60)


def test_a_template_of_a_request_keeps_its_shape(load_text) -> None:
    """Nested keys that look like secrets, null, lists and numbers are the endpoint's own."""
    target = load_text(
        "targets:\n  t:\n    provider: http\n    model: m\n    base_url: https://api.example.com/answer\n"
        "    options:\n      text: $.answer\n      request:\n        session: null\n        token: '{{prompt}}'\n"
        "        headers: {kind: plain}\n        turns: [{role: user, content: '{{ prompt }}'}, 1, true]\n"
    ).targets["t"]
    assert target.options["request"] == {
        "session": None,
        "token": "{{prompt}}",
        "headers": {"kind": "plain"},
        "turns": [{"role": "user", "content": "{{ prompt }}"}, 1, True],
    }


def test_an_error_found_after_loading_still_has_its_line(write) -> None:
    path = write("targets:\n  t:\n    provider: openai\n    model: m\n    suites: [core]\n")
    settings = load(path, {})
    assert str(settings.error_at(("targets", "t", "suites"), "wrong", instead="write x")) == (
        f"{path}:5: targets.t.suites: wrong; write x"
    )
    assert str(settings.error_at(("targets", "t", "price"), "missing")) == f"{path}:2: targets.t.price: missing"
    assert settings.place_of(("targets", "t", "model")) == f"{path}:4"
    assert settings.place_of(("targets", "t", "price")) is None


def test_an_address_keeps_its_query_and_only_http_its_last_slash(load_text) -> None:
    http = "options: {text: $.a, request: {q: '{{prompt}}'}}"
    text = (
        "targets:\n"
        "  a: {provider: openai_compatible, model: m, base_url: 'https://gateway.example.com/v1?version=2'}\n"
        "  b: {provider: openai_compatible, model: m, base_url: 'https://gateway.example.com/v1/'}\n"
        f"  c: {{provider: http, model: m, base_url: 'https://feature.example.com/ask/', {http}}}\n"
    )
    assert [target.base_url for target in load_text(text).targets.values()] == [
        "https://gateway.example.com/v1?version=2",
        "https://gateway.example.com/v1",
        "https://feature.example.com/ask/",
    ]


def test_a_control_among_the_defaults_is_one_for_every_other_target(load_text):
    settings = load_text(
        "defaults: {controls: {own-weights: frozen}}\n"
        "targets:\n"
        "  support: {provider: openai, model: gpt-4o-mini}\n"
        "  own-weights: {provider: ollama, model: smollm2}\n"
    )
    assert settings.targets["support"].controls == {"own-weights": "frozen"}
    assert settings.targets["own-weights"].controls == {}


def test_a_control_may_be_asked_more_than_its_target_and_by_another_name_of_the_model(load_text):
    settings = load_text(
        "targets:\n"
        "  support: {provider: openai, model: gpt-4o, suites: [core, shop], controls: {azure: same_model}}\n"
        "  azure: {provider: azure_openai, model: our-deployment, base_url: 'https://x.example/openai/v1'}\n"
        "  half: {provider: openai, model: gpt-4o, suites: [core, shop], controls: {one: frozen}}\n"
        "  one: {provider: ollama, model: smollm2, suites: [core]}\n"
    )
    assert settings.targets["support"].controls == {"azure": "same_model"}
    assert settings.targets["half"].controls == {"one": "frozen"}
