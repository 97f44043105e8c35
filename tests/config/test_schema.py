"""The JSON Schema for editors: up to date, described, and in agreement with what loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from driftwatch.config import alerting, json_schema, receivers, settings, spending
from driftwatch.config.section import Section
from driftwatch.config.translation import SECTIONS
from driftwatch.providers import PROVIDERS

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "schema.py"


def test_the_committed_schema_is_up_to_date() -> None:
    finished = subprocess.run([sys.executable, SCRIPT, "--check"], check=False, capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_a_stale_schema_is_told(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "config").mkdir()
    copy = tmp_path / "scripts" / "schema.py"
    copy.write_text(SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")
    stale = subprocess.run([sys.executable, copy, "--check"], check=False, capture_output=True, text=True)
    expected = "driftwatch.schema.json is out of date: run python scripts/schema.py\n"
    assert (stale.returncode, stale.stderr) == (1, expected)
    subprocess.run([sys.executable, copy], check=True)
    subprocess.run([sys.executable, copy, "--check"], check=True)
    assert subprocess.run([sys.executable, copy, "--chek"], check=False, capture_output=True).returncode == 2


def test_the_example_says_where_its_schema_is_and_agrees_with_it() -> None:
    text = (ROOT / "config" / "driftwatch.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=./driftwatch.schema.json"
    jsonschema.Draft202012Validator(json_schema()).validate(YAML(typ="safe", pure=True).load(text))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "name",
    ["unknown_key", "unknown_target_key", "interval_in_words", "repeats_zero", "anchors_too_few", "log_format_unknown",
     "receiver_type_unlike_any", "receiver_unknown_key", "unknown_key_in_defaults", "defaults_a_list", "port_too_high",
     "model_a_number", "base_url_other_scheme", "target_name_with_slash", "secret_api_key", "provider_misspelled",
     "budget_cap_zero", "budget_unknown_cap", "budget_of_all_per_run", "limit_zero", "option_a_number",
     "options_a_list", "stream_in_words"],
)  # fmt: skip
def test_an_editor_marks_what_loading_refuses(name: str) -> None:
    text = (ROOT / "tests" / "data" / "bad_config" / f"{name}.yaml").read_text(encoding="utf-8")
    written = YAML(typ="safe", pure=True).load(text)
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(written)


@pytest.mark.parametrize("written", ["off", "all-MiniLM-L6-v2", {"model": "a/b", "revision": "v1"}])
def test_every_way_to_write_an_embedder_is_in_the_schema(written: object) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate({"embedder": written})


def test_every_key_is_described() -> None:
    schema = json_schema()
    sections = [schema, *schema["$defs"].values()]
    bare = [key for section in sections for key, value in section["properties"].items() if not value.get("description")]
    assert bare == []
    assert len(sections) == len(set(SECTIONS.values()))
    assert '"null"' not in json.dumps(schema)


def test_every_settings_class_has_its_place_in_the_file() -> None:
    modules = (settings, spending, receivers, alerting)
    found = {c for module in modules for c in vars(module).values() if isinstance(c, type) and issubclass(c, Section)}
    assert {c for c in found if c is not Section and not c.__name__.startswith("_")} == set(SECTIONS.values())


def test_every_example_in_the_schema_is_a_value_its_key_takes() -> None:
    schema = json_schema()
    for section in (schema, *schema["$defs"].values()):
        for key, value in section["properties"].items():
            for example in value.get("examples", ()):
                validator = jsonschema.Draft202012Validator({**value, "$defs": schema["$defs"]})
                assert validator.is_valid(example), key


def test_an_editor_offers_every_provider_and_describes_every_option() -> None:
    keys = json_schema()["$defs"]["TargetSettings"]["properties"]
    assert keys["provider"]["enum"] == sorted(PROVIDERS)
    options = {name for entry in PROVIDERS.values() for name in entry.options}
    assert set(keys["options"]["properties"]) == options
    assert keys["options"]["properties"]["region"]["description"].startswith("bedrock: AWS region.")
