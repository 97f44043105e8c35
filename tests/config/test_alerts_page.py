"""The examples of docs/alerts.md are configs that load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from driftwatch import wiring
from driftwatch.config import load
from driftwatch.providers import PROVIDERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
AROUND = """
targets:
  support-eu: {provider: openai, model: gpt-4o, receivers: [mail]}
receivers:
  pager: {type: console}
  mail: {type: console}
  support-channel: {type: console}
"""


def test_there_are_examples():
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_loads_and_means_something(tmp_path, example):
    (tmp_path / "driftwatch.yaml").write_text(AROUND + example)
    policy = wiring.policy(load(tmp_path / "driftwatch.yaml", {}, providers=PROVIDERS))
    assert policy.routes or (policy.maintenance and policy.quiet_hours and policy.escalations)
