"""Secrets: never accepted in a file, never repeated, read at the moment of use."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from driftwatch.config import MissingSecret, load, missing_secrets, read_secret, require_secret
from driftwatch.config.credentials import has_secret_shape, names_secret, names_variable
from driftwatch.config.problems import dotted
from driftwatch.errors import ConfigError
from driftwatch.providers import PROVIDERS

LETTERS = string.ascii_letters + string.digits
SECRETS = st.one_of(
    st.text(LETTERS, min_size=16, max_size=48),
    st.text(LETTERS + "-_", min_size=12, max_size=40).map("sk-{}".format),
    st.text(LETTERS, min_size=12, max_size=40).map("xoxb-{}".format),
    st.text(LETTERS, min_size=16, max_size=24).map("https://hooks.slack.com/services/T0/B0/{}".format),
    st.text(string.ascii_letters + string.punctuation.replace("'", "").replace("\\", ""), min_size=16, max_size=40),
)
"""Keys as vendors draw them, in single quotes below."""

PLACES = (
    "openai_key: '{}'\n",
    "http: {{port: '{}'}}\n",
    "http: {{token: '{}'}}\n",
    "log: {{level: '{}'}}\n",
    "log: '{}'\n",
    "alarm_budget: {{scope: '{}', false_alarms_per_year: '{}'}}\n",
    "embedder: '{}'\n",
    "embedder: ['{}']\n",
    "canaries: '{}'\n",
    "canaries: ['{}'\n",
    "defaults: {{key: '{}'}}\n",
    "defaults: {{interval: '{}', repeats: '{}'}}\n",
    "receivers: {{oncall: {{type: '{}'}}}}\n",
    "receivers: {{oncall: {{type: slack, webhook_url: '{}'}}}}\n",
    "receivers: {{oncall: {{type: slack, webhook: {{url: '{}'}}}}}}\n",
    "receivers: {{oncall: '{}'}}\n",
    "simulation: {{start: '{}', end: '{}'}}\n",
    "retention_days: *'{}'\n",
    "retention_days: !{} 5\n",
    "'{}'\n",
    "    api_key: '{}'\n",
    "    api_key: '{}'\n    api_key: '{}'\n",
    "    apikey: '{}'\n",
    "    token: {{value: '{}'}}\n",
    "    provider: '{}'\n",
    "    base_url: '{}'\n",
    "    base_url: 'https://user:{}@example.com/v1'\n",
    "    base_url: 'https://example.com/v1?key={}'\n",
    "    interval: '{}'\n",
    "    receivers: ['{}']\n",
    "    suites: [['{}']]\n",
    "    parameters: '{}'\n",
    "    price: {{input: '{}', output: '{}'}}\n",
    "    script: '{}'\n",
    "    headers: {{Authorization: 'Bearer {}'}}\n",
    "    headers: {{'X {}': NAME}}\n",
)


@pytest.mark.parametrize("place", PLACES)
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=SECRETS)
def test_a_secret_in_the_wrong_place_never_appears_in_the_error(place: str, secret: str, tmp_path: Path) -> None:
    path = tmp_path / "driftwatch.yaml"
    target = "targets:\n  support:\n    model: gpt-4o-mini\n"
    provider = "" if "provider" in place else "    provider: openai\n"
    path.write_text(target + provider + place.format(secret, secret), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(path, {}, providers=PROVIDERS)
    if "'X " in place and not (has_secret_shape(secret) or len(secret) > 60):
        return  # a key of the file, not a value: repeated unless it has the shape of a secret
    assert secret not in str(refused.value)
    assert secret not in repr(refused.value)


def test_one_leaked_secret_is_one_mistake(load_text, target) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(f"{target}receivers:\n  oncall:\n    type: slack\n    webhook_url: https://example.com/hunter2\n")
    assert str(refused.value).count("\n") == 0


def test_a_commit_is_no_secret(load_text, target) -> None:
    revision = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
    assert load_text(f"{target}embedder: {{model: a/b, revision: {revision}}}\n").embedder.revision == revision


@pytest.mark.parametrize("key", ["api_key", "api-key", "apiKey", "OPENAI_API_KEY", "token", "bot_token", "webhook_url",
                                 "password", "client_secret", "authorization"])  # fmt: skip
def test_keys_that_would_hold_a_secret_are_known(key: str) -> None:
    assert names_secret(key)


@pytest.mark.parametrize("key", ["api_key_env", "api_key_file", "max_tokens", "prompt_cache_key", "model", "stop"])
def test_keys_that_hold_none_are_left_alone(key: str) -> None:
    assert not names_secret(key)


@pytest.mark.parametrize(
    "value", ["sk-abc", "a b", "", "1KEY", "$KEY", "${KEY}", "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1" * 18]
)
def test_what_cannot_name_a_variable_is_taken_for_its_value(value: str) -> None:
    assert not names_variable(value)


@pytest.mark.parametrize("value", ["OPENAI_API_KEY", "openai_key", "_K", "AZURE_OPENAI_KEY_2", "KEY1"])
def test_names_of_variables_are_taken(value: str) -> None:
    assert names_variable(value)


def test_a_key_that_may_be_a_secret_or_breaks_the_line_is_hidden() -> None:
    assert dotted(("targets", "sk-hunter2-hunter2", "a\nb", "k" * 65, 3)) == "targets.….….…[3]"


# ------------------------------------------------------------------ at the moment of use


def test_a_secret_is_read_from_its_variable_or_file_without_the_line_break(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\r\n")
    assert read_secret("KEY", None, {"KEY": " from-variable\n"}) == "from-variable"
    assert read_secret(None, file, {}) == "from-file"


@pytest.mark.parametrize("env", [{}, {"KEY": ""}, {"KEY": "\n"}])
def test_a_variable_that_is_not_set_has_no_secret(env: dict[str, str]) -> None:
    assert read_secret("KEY", None, env) is None


def test_no_place_no_secret() -> None:
    assert read_secret(None, None, {"KEY": "x"}) is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"hunter2\nhunter3\n", "the secret is not one line of plain text"),
        (b"hunter2\x00", "the secret is not one line of plain text"),
        ("hünter2".encode(), "the secret is not one line of plain text"),
        (b"\xffhunter2", "the secret is not one line of plain text"),
        (b" \n", "the secret is empty"),
    ],
)
def test_a_secret_that_no_header_can_carry_is_refused_unseen(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_secret(None, file, {})
    assert refused.value.problem == problem
    assert "nter" not in str(refused.value)


def test_a_secret_of_a_variable_is_held_to_the_same(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read_secret("KEY", None, {"KEY": "hunter2\nX-Admin: 1"})
    expected = "KEY: the secret is not one line of plain text; write the secret and nothing else"
    assert expected == str(refused.value)


@pytest.mark.parametrize(("name", "reason"), [("absent", "No such file or directory"), (".", "Is a directory")])
def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_secret(None, tmp_path / name, {})
    expected = f"{tmp_path / name}: the secret cannot be read ({reason}); name a file this user may read"
    assert expected == str(refused.value)


def test_every_missing_secret_is_listed_in_order(load_text, tmp_path) -> None:
    (tmp_path / "bot").write_text("xoxb-hunter2")
    settings = load_text(
        "targets:\n"
        "  support: {provider: openai, model: a, headers: {X-Team: TEAM, X-Set: SET}}\n"
        "  billing: {provider: openai, model: a, api_key_file: absent}\n"
        "receivers:\n"
        "  screen: {type: console}\n"
        "  hook: {type: slack, webhook_url_env: HOOK}\n"
        "  bot: {type: slack, bot_token_file: bot, channel: C1}\n"
    )
    unset = "environment variable {} is not set; set it before driftwatch starts"
    absent = "the secret cannot be read (No such file or directory); name a file this user may read"
    expected = [
        MissingSecret(
            about="target support", key="targets.support.api_key_env", sentence=unset.format("OPENAI_API_KEY")
        ),
        MissingSecret(about="target support", key="targets.support.headers.X-Team", sentence=unset.format("TEAM")),
        MissingSecret(
            about="target billing", key="targets.billing.api_key_file", sentence=f"{tmp_path / 'absent'}: {absent}"
        ),
        MissingSecret(about="receiver hook", key="receivers.hook.webhook_url_env", sentence=unset.format("HOOK")),
    ]
    assert expected == missing_secrets(settings, {"SET": "x"})
    assert missing_secrets(settings, {"SET": "x", "TEAM": "y", "OPENAI_API_KEY": "z", "HOOK": "h"}) == expected[2:3]


def test_a_secret_that_is_named_is_required(tmp_path: Path):
    with pytest.raises(ConfigError) as refused:
        require_secret("SUPPORT_KEY", None, {"SUPPORT_KEY": " "})

    assert str(refused.value) == "environment variable SUPPORT_KEY is not set; set it before driftwatch starts"
    assert require_secret("SUPPORT_KEY", None, {"SUPPORT_KEY": "k-1"}) == "k-1"
    assert require_secret(None, None, {}) is None


def test_a_proxy_counts_as_a_secret_that_must_be_there(load_text) -> None:
    """Its URL can hold a password."""
    settings = load_text("targets:\n  t: {provider: vllm, model: m, proxy_env: WATCH_PROXY}\n")
    [missing] = missing_secrets(settings, {})
    assert (missing.about, missing.key) == ("target t", "targets.t.proxy_env")
    assert missing.sentence == "environment variable WATCH_PROXY is not set; set it before driftwatch starts"
    assert missing_secrets(settings, {"WATCH_PROXY": "http://proxy.example.com:3128"}) == []


@pytest.mark.parametrize("value", ["'{{prompt}}'", "'{{ parameters.seed }}'"])
def test_a_place_in_a_template_is_no_secret_whatever_its_key(load_text, value) -> None:
    text = (
        "targets:\n  t:\n    provider: http\n    model: m\n    base_url: https://api.example.com/ask\n"
        f"    options: {{text: $.a, request: {{q: '{{{{prompt}}}}', token: {value}}}}}\n"
    )
    assert "token" in load_text(text).targets["t"].options["request"]
