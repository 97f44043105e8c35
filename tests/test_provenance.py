"""What is so on our side: complete, readable, and without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import pytest

import driftwatch
from driftwatch import provenance
from driftwatch.config import Settings, TargetSettings
from driftwatch.domain import Canary, Message, Target
from driftwatch.store import Store

AT = datetime(2026, 3, 16, 9, tzinfo=UTC)
SECRET = "hunter2hunter2"  # noqa: S105 - what must not be found
TARGET = Target(
    name="support",
    provider="openai",
    model="m",
    canaries=(Canary(id="core/a", suite="core", messages=(Message(role="user", content="?"),)),),
)


def settings(**wanted: object) -> Settings:
    return Settings(targets={"support": TargetSettings(provider="openai", model="m", **wanted)})


def facts(env: dict[str, str] | None = None, **wanted: object) -> dict[str, str]:
    return provenance.facts(settings(**wanted), [TARGET], env or {}, embedder="mini@abc")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "watch.db") as opened:
        yield opened


def test_versions_machine_settings_and_suites_are_named():
    found = facts()
    assert found["driftwatch"] == driftwatch.__version__
    assert found["httpx"] == metadata.version("httpx")
    assert found["embedder"] == "mini@abc"
    assert {"python", "system", "machine", "OpenSSL", "time zone", "way out", "suite.core"} <= set(found)
    assert "timeout 60" in found["target.support"].split(", ")
    assert provenance.facts(settings(), [TARGET], {}, embedder=None)["embedder"] == "off"


def test_nothing_is_written_twice_and_a_change_names_what_changed(store: Store):
    first = provenance.note(store, settings(), [TARGET], {}, embedder=None, at=AT)
    assert first is not None
    assert first.changed == ()
    assert provenance.note(store, settings(), [TARGET], {}, embedder=None, at=AT + timedelta(hours=1)) is None
    change = provenance.note(store, settings(timeout="20s"), [TARGET], {}, embedder=None, at=AT + timedelta(hours=2))
    assert change is not None
    assert change.changed == ("target.support",)
    said = provenance.words("target.support", first.facts["target.support"], change.facts["target.support"])
    assert said == "the settings of support: timeout 60 → 20"


def test_no_secret_is_in_it():
    env = {"HTTPS_PROXY": f"http://user:{SECRET}@proxy.example:3128", "OPENAI_API_KEY": SECRET}
    found = facts(env, base_url="https://llm.example/v1?tenant=quiet", headers={"X-Team": "TEAM_HEADER"})
    assert SECRET not in repr(found)
    assert "tenant" not in repr(found)


@pytest.mark.parametrize(
    ("env", "is_other"),
    [
        ({"https_proxy": "http://user:new@proxy.example:3128"}, False),
        ({"HTTPS_PROXY": "http://proxy.example:3129"}, True),
        ({"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "api.example"}, True),
        ({}, True),
        ({"HTTPS_PROXY": "http://[half"}, True),
    ],
)
def test_another_proxy_is_another_way_out_and_new_credentials_for_it_are_not(env, is_other):
    before = facts({"HTTPS_PROXY": "http://user:old@proxy.example:3128"})
    assert (facts(env)["way out"] != before["way out"]) is is_other


def test_every_setting_that_can_move_a_measure_is_in_it():
    usual = facts()["target.support"]
    for wanted in (
        {"timeout": "9s"},
        {"concurrency": 9},
        {"attempts": 1},
        {"stream": True},
        {"proxy_env": "WATCH_PROXY"},
        {"limits": {"requests_per_minute": 5}},
        {"base_url": "https://other.example/v1"},
        {"headers": {"X-Team": "TEAM"}},
        {"ca_file": Path("ca.pem")},
        {"read_timeout": "5s"},
        {"requests_per_connection": 1},
    ):
        assert facts(**wanted)["target.support"] != usual, wanted


@pytest.mark.parametrize(
    ("key", "before", "after", "said"),
    [
        ("torch", None, "2.13.0", "torch none → 2.13.0"),
        ("way out", "aa", "bb", "another proxy, or another way of going out without one"),
        ("suite.core", "aa", "bb", "the suite core was edited"),
        ("target.beta", None, "timeout 60", "beta was added to the config"),
        ("target.beta", "timeout 60", None, "beta was taken out of the config"),
        ("target.beta", "headers aa, limits unset", "headers bb, limits rpm=5", None),
        ("target.beta", "timeout 60", "timeout 60", "the settings of beta: changed"),
    ],
)
def test_changes_in_words(key, before, after, said):
    expected = said or "the settings of beta: headers changed, limits unset → rpm=5"
    assert provenance.words(key, before, after) == expected


def test_limits_are_told_by_key():
    assert "limits requests_per_minute=5" in facts(limits={"requests_per_minute": 5})["target.support"]


def test_a_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(provenance, "LIBRARIES", ("not-a-library-of-anybody",))
    provenance._machine.cache_clear()
    try:
        assert not {"httpx", "not-a-library-of-anybody"} & set(facts())
    finally:
        provenance._machine.cache_clear()
