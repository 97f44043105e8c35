"""A whole watch in a directory: config, suite and script."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SUITE = """
suite: support
canaries:
  - id: capital
    reason: a fact
    prompt: What is the capital of France?
    checks: [{contains: Paris}]
  - id: refund
    reason: a policy
    prompt: How long can I return an order?
    checks: [{contains: "30"}]
  - id: greeting
    reason: a tone
    prompt: Greet a customer.
  - id: triage
    reason: a format
    prompt: Answer with JSON.
    checks: [{json_valid: true}]
"""

PERSONAS = """
seed: 11
start: before
personas:
  before:
    served_model: m-1
    answers:
      support/capital: ["Paris.", "It is Paris.", "Paris, France."]
      support/refund: ["Within 30 days.", "You have 30 days.", "30 days from delivery."]
      support/greeting: ["Hello! How can I help?", "Hi there, how can I help you?", "Welcome! What can I do for you?"]
      support/triage: ['{"label": "billing"}', '{"label":"billing"}', '{ "label": "billing" }']
  after:
    served_model: m-1
    answers:
      support/capital: ["To my knowledge the capital would be Paris", "The French capital city is called Paris"]
      support/refund: ["I cannot say, please consult the terms.", "Please look at the terms and conditions."]
      support/greeting: ["Greetings, valued customer of ours", "Good day to you, esteemed customer"]
      support/triage: ["```json\\n{\\"label\\": \\"billing\\"}\\n```", "Sure! {label: billing}"]
"""

CONFIG = """
simulation: {{start: 2026-03-02T00:00:00Z, end: {end}}}
store: watch.db
embedder: "off"
canaries: [suite.yaml]
http: {{host: 127.0.0.1, port: 0}}
log: {{level: warning, format: json}}
baseline: {{anchors: 8, calibration_runs: 40}}
alerts: {{minimum_reminder_interval: 0s}}
receivers:
  slack: {{type: slack, webhook_url_env: SLACK_WEBHOOK_URL}}
targets:
  support:
    provider: simulated
    model: m
    script: script.yaml
    interval: {interval}
    jitter: 0s
    repeats: 2
    receivers: [slack]
"""


@dataclass
class Watch:
    """A directory that driftwatch is run in, as a user would."""

    root: Path
    slack: Any
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.root / "watch.db"

    def write(self, *, end: str, interval: str = "6h", script: str = "") -> None:
        """Lay out config, suite and script; ``script`` adds changes and faults."""
        (self.root / "driftwatch.yaml").write_text(CONFIG.format(end=end, interval=interval))
        (self.root / "suite.yaml").write_text(SUITE)
        (self.root / "script.yaml").write_text(PERSONAS + script)

    def env(self) -> dict[str, str]:
        return {**os.environ, "SLACK_WEBHOOK_URL": self.slack.url, **self.environment}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "driftwatch", *arguments]
        return subprocess.Popen(
            command, cwd=self.root, env=self.env(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "driftwatch", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.env(), text=True, capture_output=True, timeout=timeout_s, check=False
        )

    def rows(self, query: str) -> list[tuple]:
        """Read the database as a stranger with sqlite3 would."""
        if not self.database.exists():
            return []
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()


@pytest.fixture
def watch(tmp_path: Path, slack) -> Watch:
    return Watch(root=tmp_path, slack=slack)
