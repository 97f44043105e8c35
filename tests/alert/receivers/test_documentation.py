"""What docs/receivers.md tells people to write is what the config takes and the notifiers do."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from driftwatch import wiring
from driftwatch.alert.receivers import NOTIFIERS
from driftwatch.alert.receivers.alertmanager import LABELS
from driftwatch.alert.receivers.command import PASSED_ON
from driftwatch.config import load
from driftwatch.config.receiver_rules import _OWN_LABELS
from driftwatch.domain import Event

PAGE = (Path(__file__).parents[3] / "docs" / "receivers.md").read_text()
SLACK_PAGE = (Path(__file__).parents[3] / "docs" / "slack.md").read_text()
EXAMPLES = [text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if text.startswith("receivers:\n")]
TARGET = "targets: {support: {provider: openai, model: gpt-4o-mini}}\n"


def kind_of(text):
    (receiver,) = YAML(typ="safe").load(io.StringIO(text))["receivers"].values()
    return receiver["type"]


@pytest.mark.parametrize("text", EXAMPLES, ids=kind_of)
def test_every_example_is_taken_and_wired(text, tmp_path):
    (tmp_path / "driftwatch.yaml").write_text(TARGET + text)
    settings = load(tmp_path / "driftwatch.yaml", {})
    assert list(wiring.notifiers(settings, {}, None)) == list(settings.receivers)


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(receivers:\n.*?)```", SLACK_PAGE, re.DOTALL))
def test_every_example_of_slacks_own_page_is_taken_and_wired(text, tmp_path):
    (tmp_path / "driftwatch.yaml").write_text(TARGET + text)
    settings = load(tmp_path / "driftwatch.yaml", {})
    assert list(wiring.notifiers(settings, {}, None)) == ["oncall"]


def test_there_is_an_example_of_every_receiver_but_slack_which_has_its_own_page():
    assert {kind_of(text) for text in EXAMPLES} == set(NOTIFIERS) - {"slack"}


def test_words_of_the_page_are_those_of_the_code():
    assert all(f"`{label}`" in PAGE for label in LABELS)
    assert all(f"`{variable}`" in PAGE for variable in PASSED_ON)
    assert all(f"`{event.value}`" in PAGE or f"incident.{event.value}" in PAGE for event in Event)


def test_the_config_knows_the_labels_that_alerts_have():
    assert set(LABELS) == _OWN_LABELS


def test_alertmanagers_example_passes_its_own_checker(debian_program, tmp_path):
    (text,) = re.findall(r"```yaml\n# alertmanager.yml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "alertmanager.yml").write_text(text)
    command = [str(debian_program("amtool")), "check-config", str(tmp_path / "alertmanager.yml")]
    assert subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
