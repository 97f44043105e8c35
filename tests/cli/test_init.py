"""``driftwatch init`` and ``driftwatch validate``: from nothing to a configuration that is right."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from driftwatch.cli.init import MODELS, OFFERED
from driftwatch.config import load
from driftwatch.providers import PROVIDERS


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_init_writes_into_a_new_directory_is_valid_there(here, driftwatch, monkeypatch):
    written = driftwatch("init", "watch")

    assert (written.code, written.err) == (0, "")
    n_suites = len(list((here / "watch" / "canaries").glob("*.yaml")))
    assert written.out == (
        f"Wrote watch/driftwatch.yaml and {n_suites} suites in watch/canaries.\n"
        "Next: edit the targets and export the API keys they name, then\n"
        "  cd watch\n"
        "  driftwatch validate  # is what you wrote right? no keys, no network\n"
        "  driftwatch plan      # what it will cost and how soon it will see what\n"
        "  driftwatch doctor    # keys, endpoints, embedder, store: one request per target\n"
        "  driftwatch baseline  # says what it costs, asks, then collects what is normal\n"
        "  driftwatch serve     # watches until stopped\n"
    )
    monkeypatch.chdir(here / "watch")
    validated = driftwatch("validate")
    assert (validated.code, validated.err) == (0, "")
    assert validated.out.endswith("driftwatch.yaml: ok\n")


def test_init_without_a_directory_writes_here(here, driftwatch):
    said = driftwatch("init").out
    assert "  cd " not in said
    assert "then\n  driftwatch validate " in said
    assert (here / "driftwatch.yaml").is_file()
    assert (here / "canaries" / "core.yaml").is_file()


def test_init_overwrites_nothing_without_force(here, driftwatch):
    driftwatch("init")
    (here / "driftwatch.yaml").write_text("mine")

    refused = driftwatch("init")

    assert refused.code == 2
    assert (here / "driftwatch.yaml").read_text() == "mine"
    assert driftwatch("init", "--force").code == 0
    assert (here / "driftwatch.yaml").read_text() != "mine"


@pytest.mark.parametrize("provider", OFFERED)
def test_what_init_writes_for_a_provider_is_valid_but_for_its_account(here, driftwatch, provider):
    written = driftwatch("init", "--provider", provider)

    assert (written.code, written.err) == (0, "")
    entry = PROVIDERS[provider]
    assert (f"export {entry.key_env}" in written.out) == (entry.key_env is not None)
    settings = load(Path("driftwatch.yaml"), {}, providers=PROVIDERS)
    [target] = settings.targets.values()
    assert (target.provider, target.api_key_env) == (provider, entry.key_env)
    assert "# Providers:" in Path("driftwatch.yaml").read_text()
    if find_spec(f"driftwatch.providers.{entry.module}"):
        validated = driftwatch("validate")
        assert (validated.code, validated.err) == (0, "")


def test_init_takes_the_model_that_is_meant(here, driftwatch):
    driftwatch("init", "--provider", "ollama", "--model", "llama3.3:70b")

    [target] = load(Path("driftwatch.yaml"), {}).targets.values()
    assert (target.model, target.base_url) == ("llama3.3:70b", "http://127.0.0.1:11434/v1")


def test_init_names_the_extra_that_a_provider_needs(here, driftwatch):
    assert (
        "Next: pip install 'driftwatch[bedrock]', look through the target, then"
        in driftwatch("init", "-p", "bedrock").out
    )


def test_every_vendor_has_a_model_to_begin_with():
    assert set(MODELS) == {name for name, entry in PROVIDERS.items() if entry.prices}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-p", "azure"), "unknown provider 'azure'; did you mean 'azure_openai'?"),
        (("-p", "antropic"), "unknown provider 'antropic'; did you mean 'anthropic'?"),
        (("-p", "simulated"), "unknown provider 'simulated'"),
        (("-m", "gpt-5"), "--model goes with --provider"),
    ],
)
def test_a_provider_that_is_none_is_told_and_nothing_is_written(here, driftwatch, arguments, said):
    refused = driftwatch("init", *arguments)

    assert refused.code == 2
    assert said in refused.err
    assert list(here.iterdir()) == []


def test_validate_says_what_would_be_watched_and_needs_neither_key_nor_store(over_http, endpoint, driftwatch):
    place = over_http("api_key_env: NOT_SET_YET")

    done = driftwatch("validate")

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "support: openai_compatible m-1, 2 canaries × 1 every 1h, nobody is told\ndriftwatch.yaml: ok\n"
    )
    assert endpoint.n_requests == 0
    assert not (place.root / "watch.db").exists()


def test_validate_reads_the_script_of_a_simulated_target(stable, driftwatch):
    assert driftwatch("validate").code == 0
    stable.edit("script.yaml", "start: before", "start: befor")

    assert driftwatch("validate").code == 2


def test_the_schema_for_editors_is_printed_alone(here, driftwatch):
    done = driftwatch("validate", "--schema")

    assert (done.code, done.err) == (0, "")
    assert "targets" in json.loads(done.out)["properties"]
