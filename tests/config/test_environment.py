"""Variables of the environment: what they override, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.errors import ConfigError


def test_variables_override_the_file(load_text, target) -> None:
    env = {"DRIFTWATCH_STORE": "state/watch.db", "DRIFTWATCH_LOG_LEVEL": "DEBUG", "DRIFTWATCH_HTTP": "192.0.2.1:80"}
    settings = load_text(f"{target}store: other.db\nlog: {{level: error, format: json}}\nhttp: {{port: 1}}\n", env)
    assert settings.store == Path("state/watch.db")  # relative to the working folder: no file names it
    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert (settings.http.host, settings.http.port) == ("192.0.2.1", 80)


def test_an_empty_variable_counts_as_not_set(load_text, target) -> None:
    env = {"DRIFTWATCH_STORE": "", "DRIFTWATCH_LOG_LEVEL": "", "DRIFTWATCH_HTTP": "", "DRIFTWATCH_CONFIG": ""}
    settings = load_text(f"{target}log: {{level: error}}\n", env)
    assert (settings.log.level, settings.http.port) == ("error", 8077)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("[::1]:8077", "::1", 8077), ("localhost:0", "localhost", 0), ("127.0.0.1:65535", "127.0.0.1", 65_535)],
)
def test_an_address_is_host_and_port(load_text, target, address, host, port) -> None:
    http = load_text(target, {"DRIFTWATCH_HTTP": address}).http
    assert (http.host, http.port) == (host, port)


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("DRIFTWATCH_HTTP", "8077", "write host:port to listen on, such as 127.0.0.1:8077"),
        ("DRIFTWATCH_HTTP", "localhost:65536", "write host:port to listen on, such as 127.0.0.1:8077"),
        ("DRIFTWATCH_HTTP", "::1:8077", "write host:port to listen on, such as 127.0.0.1:8077"),
        ("DRIFTWATCH_HTTP", "http://localhost:80", "write host:port to listen on, such as 127.0.0.1:8077"),
        ("DRIFTWATCH_LOG_LEVEL", "warn", "did you mean 'warning'?"),
        ("DRIFTWATCH_LOG_LEVEL", "7", "write debug, info, warning or error"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused(load_text, target, name, value, instead) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(target, {name: value})
    assert f"environment: {name}: not usable; {instead}" == str(refused.value)


def test_an_override_does_not_hide_a_mistake_in_the_file(load_text, target) -> None:
    with pytest.raises(ConfigError, match="log: must be a mapping"):
        load_text(f"{target}log: debug\n", {"DRIFTWATCH_LOG_LEVEL": "info"})


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("DRIFTWATCH_STORES", "did you mean DRIFTWATCH_STORE?"),
        ("DRIFTWATCH_LOGLEVEL", "did you mean DRIFTWATCH_LOG_LEVEL?"),
        (
            "DRIFTWATCH_PORT",
            "the variables are DRIFTWATCH_CONFIG, DRIFTWATCH_STORE, DRIFTWATCH_LOG_LEVEL, DRIFTWATCH_HTTP",
        ),
    ],
)
def test_a_misspelled_variable_is_refused_without_its_value(load_text, target, name, instead) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(target, {name: "hunter2"})
    assert f"environment: {name}: unknown variable; {instead}" == str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DRIFTWATCH_TEST_PG_URL", "postgresql://"),
        # what Kubernetes sets beside a Service called driftwatch
        ("DRIFTWATCH_SERVICE_HOST", "10.0.0.1"),
        ("DRIFTWATCH_SERVICE_PORT", "8077"),
        ("DRIFTWATCH_SERVICE_PORT_HTTP", "8077"),
        ("DRIFTWATCH_PORT", "tcp://10.0.0.1:8077"),
        ("DRIFTWATCH_PORT_8077_TCP", "tcp://10.0.0.1:8077"),
        ("DRIFTWATCH_PORT_8077_TCP_ADDR", "10.0.0.1"),
        ("DRIFTWATCH_UI_SERVICE_HOST", "10.0.0.2"),
        ("OTHER_STORE", "x"),
    ],
)
def test_a_variable_with_a_meaning_elsewhere_is_left_alone(load_text, target, name, value) -> None:
    load_text(target, {name: value})


def test_variables_that_the_file_names_are_known(load_text, target) -> None:
    text = (
        f"{target}    api_key_env: DRIFTWATCH_KEY\n    headers: {{X-Team: DRIFTWATCH_TEAM}}\n"
        "receivers:\n  oncall: {type: slack, webhook_url_env: DRIFTWATCH_HOOK}\n"
    )
    load_text(text, {"DRIFTWATCH_KEY": "a", "DRIFTWATCH_TEAM": "b", "DRIFTWATCH_HOOK": "c"})


def test_mistakes_of_file_and_environment_are_told_together(load_text, target) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(f"{target}    repeats: 0\n", {"DRIFTWATCH_STOR": "x", "DRIFTWATCH_HTTP": "y"})
    assert len(str(refused.value).splitlines()) == 3
